//! Answers that are not a success, with the very words of `kube-apiserver` 1.36 (`k8s.io/apimachinery/pkg/api/errors`).
use std::{error, fmt};

use serde_json::{Map, Value, json};

use super::resource::Resource;

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// The machine-readable reason; empty where the API server gives none.
    pub reason: String,
    /// What went wrong.
    pub message: String,
    details: Option<Box<Value>>,
    /// A token with which a listing that has expired can be continued, inconsistently.
    again: Option<String>,
    /// Not a Status, but a line of text.
    plain: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl error::Error for Refusal {}

impl Refusal {
    /// An answer of one's own, such as an interceptor gives.
    #[must_use]
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        let (reason, message) = (reason.to_owned(), message.into());
        Self { code, reason, message, details: None, again: None, plain: false }
    }

    /// The body of the answer: a `Status`, or a line of text where the API server does not know the path.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        if self.plain { format!("{}\n", self.message).into_bytes() } else { self.status().to_string().into_bytes() }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    /// The answer as a `Status`.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = (**details).clone();
        }
        if let Some(again) = &self.again {
            status["metadata"]["continue"] = json!(again);
        }
        status
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        self.details = Some(Box::new(details(group, kind, name)));
        self
    }

    fn detail(mut self, field: &str, value: Value) -> Self {
        self.details.get_or_insert_with(|| Box::new(json!({})))[field] = value;
        self
    }

    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.id)).about(
            &resource.group,
            &resource.plural,
            name,
        )
    }

    /// What the API server answers where no resource is served: not a Status.
    pub(super) fn unknown_path() -> Self {
        Self { plain: true, ..Self::new(404, "", "404 page not found") }
    }

    pub(super) fn already_exists(resource: &Resource, name: &str, is_deleting: bool) -> Self {
        Self::name_taken(resource, name, is_deleting, "already exists")
    }

    /// A name that may have been generated is taken.
    pub(super) fn no_name_left(resource: &Resource, name: &str, is_deleting: bool) -> Self {
        let why = "already exists, the server was not able to generate a unique name for the object";
        Self::name_taken(resource, name, is_deleting, why).detail("retryAfterSeconds", json!(1))
    }

    fn name_taken(resource: &Resource, name: &str, is_deleting: bool, why: &str) -> Self {
        let prefix = if is_deleting { "object is being deleted: " } else { "" };
        Self::new(409, "AlreadyExists", format!("{prefix}{} \"{name}\" {why}", resource.id)).about(
            &resource.group,
            &resource.plural,
            name,
        )
    }

    pub(super) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let subject = if name.is_empty() { resource.id.clone() } else { format!("{} \"{name}\"", resource.id) };
        Self::new(403, "Forbidden", format!("{subject} is forbidden: {why}")).about(
            &resource.group,
            &resource.plural,
            name,
        )
    }

    /// A namespace takes nothing new while it is being deleted.
    pub(super) fn namespace_terminating(resource: &Resource, name: &str, namespace: &str) -> Self {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = json!({
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        });
        Self::forbidden(resource, name, &why).detail("causes", json!([cause]))
    }

    pub(super) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        Self::conflict_about(&resource.group, &resource.plural, &resource.id, name, why)
    }

    /// Deletions name the kind where everything else names the resource (`rest.BeforeDelete`).
    pub(super) fn conflict_by_kind(resource: &Resource, name: &str, why: &str) -> Self {
        let group = resource.group_of_kind();
        Self::conflict_about(group, &resource.kind, &qualified(&resource.kind, group), name, why)
    }

    fn conflict_about(group: &str, kind: &str, qualified: &str, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}"))
            .about(group, kind, name)
    }

    /// Others own what a server-side apply would change. `causes` names the other and the field.
    pub(super) fn apply_conflict(message: String, causes: &[(String, String)]) -> Self {
        let causes: Vec<Value> = causes
            .iter()
            .map(|(message, field)| json!({"reason": "FieldManagerConflict", "message": message, "field": field}))
            .collect();
        Self::new(409, "Conflict", message).detail("causes", json!(causes))
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// What validation found; `kind` is the kind without its group.
    pub(super) fn invalid(group: &str, kind: &str, name: &str, flaws: &[Flaw]) -> Self {
        let mut words: Vec<String> = Vec::new();
        for flaw in flaws {
            let word = format!("{}: {}", flaw.field, flaw.body);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        let words = if let [word] = &words[..] { word.clone() } else { format!("[{}]", words.join(", ")) };
        let causes: Vec<Value> =
            flaws.iter().map(|flaw| json!({"reason": flaw.cause, "message": flaw.body, "field": flaw.field})).collect();
        Self::new(422, "Invalid", format!("{} \"{name}\" is invalid: {words}", qualified(kind, group)))
            .about(group, kind, name)
            .detail("causes", json!(causes))
    }

    /// A JSON patch that does not apply: the API server does not say why.
    pub(super) fn patch_does_not_apply() -> Self {
        let message = "the server rejected our request due to an error in our request";
        let mut refusal = Self::new(422, "Invalid", message);
        refusal.details = Some(Box::new(json!({})));
        refusal
    }

    pub(super) fn method_not_allowed(resource: &Resource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind \"{}\"", resource.id);
        Self::new(405, "MethodNotAllowed", message).about(&resource.group, &resource.plural, "")
    }

    pub(super) fn unsupported_media_type(accepted: &[&str]) -> Self {
        let accepted = accepted.join(", ");
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// The version that was asked for is not kept any more.
    pub(super) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A listing whose version is not kept any more, with the token that continues it at the present version.
    pub(super) fn continue_expired(again: String) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without \
                       the continue parameter, or use the continue token in this response to retrieve the remainder of the results. \
                       Continuing with the provided token results in an inconsistent list - objects that were created, modified, or \
                       deleted between the time the first chunk was returned and now may show up in the list.";
        Self { again: Some(again), ..Self::expired(message) }
    }

    pub(super) fn version_too_large(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        Self::new(504, "Timeout", message).detail("retryAfterSeconds", json!(1)).detail("causes", json!([cause]))
    }
}

/// `kind.group`, or only `kind` in the core group.
fn qualified(kind: &str, group: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

/// The details of a Status; the API server leaves out what is empty.
pub(super) fn details(group: &str, kind: &str, name: &str) -> Value {
    let fields = [("name", name), ("group", group), ("kind", kind)].into_iter().filter(|(_, value)| !value.is_empty());
    Value::Object(fields.map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<_, _>>())
}

/// One thing that validation found (`k8s.io/apimachinery/pkg/util/validation/field`).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flaw {
    cause: &'static str,
    field: String,
    body: String,
}

impl Flaw {
    pub(super) fn invalid(field: &str, value: &Value, why: &str) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {value}: {why}"))
    }

    pub(super) fn wrong_type(field: &str, found: &str, why: &str) -> Self {
        Self::new("FieldValueTypeInvalid", field, format!("Invalid value: \"{found}\": {why}"))
    }

    pub(super) fn required(field: &str, why: &str) -> Self {
        let colon = if why.is_empty() { "" } else { ": " };
        Self::new("FieldValueRequired", field, format!("Required value{colon}{why}"))
    }

    pub(super) fn unsupported(field: &str, value: &Value, supported: &[String]) -> Self {
        let supported = supported.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ");
        Self::new("FieldValueNotSupported", field, format!("Unsupported value: {value}: supported values: {supported}"))
    }

    pub(super) fn forbidden(field: &str, why: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {why}"))
    }

    pub(super) fn too_long(field: &str, most: u64) -> Self {
        let bytes = if most == 1 { "byte" } else { "bytes" };
        Self::new("FieldValueTooLong", field, format!("Too long: may not be more than {most} {bytes}"))
    }

    pub(super) fn too_many(field: &str, found: usize, most: u64) -> Self {
        let items = if most == 1 { "item" } else { "items" };
        Self::new("FieldValueTooMany", field, format!("Too many: {found}: must have at most {most} {items}"))
    }

    /// What is said of an object whose CEL rules could not be asked.
    pub(super) fn rules_not_checked() -> Self {
        let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        Self::invalid("<nil>", &Value::Null, why)
    }

    /// Whether the CEL rules are not asked because of this.
    pub(super) fn blocks_rules(&self) -> bool {
        let blocking = [
            "FieldValueNotSupported",
            "FieldValueRequired",
            "FieldValueTooLong",
            "FieldValueTooMany",
            "FieldValueTypeInvalid",
        ];
        blocking.contains(&self.cause)
    }

    fn new(cause: &'static str, field: &str, body: String) -> Self {
        Self { cause, field: field.to_owned(), body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_validation_found_twice_is_said_once_but_counted_twice() {
        let flaw = Flaw::invalid("metadata.uid", &json!("u"), "field is immutable");
        let refusal = Refusal::invalid("example.dev", "Widget", "a", &[flaw.clone(), flaw]);
        assert_eq!(
            refusal.message,
            "Widget.example.dev \"a\" is invalid: metadata.uid: Invalid value: \"u\": field is immutable"
        );
        assert_eq!(refusal.status()["details"]["causes"].as_array().unwrap().len(), 2);
        assert_eq!(refusal.status()["details"]["kind"], "Widget");
        assert_eq!(refusal.status()["code"], 422);
    }

    #[test]
    fn an_unknown_path_is_answered_with_a_line_of_text() {
        assert_eq!(Refusal::unknown_path().body(), b"404 page not found\n");
    }
}
