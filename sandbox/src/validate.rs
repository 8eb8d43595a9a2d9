//! Is a body what its operation takes? Every violation becomes one item of `invalid_parameters`, worded by its rule.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{JsonType, ValidationError};
use serde_json::{Value, json};

use crate::contract::{Operation, Schema};
use crate::konnect::UNSET;
use crate::problem::{Problem, in_body, with};

/// Checks a request's body against the operation's schema.
pub(crate) fn request(operation: &Operation, body: &Value) -> Result<(), Problem> {
    operation.request.as_ref().map_or(Ok(()), |schema| fits(schema, body))
}

/// Checks a request's body against a schema.
pub(crate) fn fits(schema: &Schema, body: &Value) -> Result<(), Problem> {
    let found = violations(schema, body);
    if found.is_empty() { Ok(()) } else { Err(Problem::invalid(found)) }
}

/// Checks our own answer. What it finds is a bug of the sandbox.
pub(crate) fn response(operation: &Operation, body: Option<&Value>) -> Result<(), String> {
    match (&operation.response, body) {
        (Some(schema), Some(body)) => match schema.validator().iter_errors(body).find(|error| !is_meant(error)) {
            None => Ok(()),
            Some(error) => Err(format!("{}: at {}: {error}", operation.id, error.instance_path().as_str())),
        },
        (Some(_), None) => Err(format!("{}: the contract has a body, the answer has none", operation.id)),
        (None, Some(_)) => Err(format!("{}: the answer has a body, the contract has none", operation.id)),
        (None, None) => Ok(()),
    }
}

/// Whether an answer breaks its own schema as the vendor's answers do.
fn is_meant(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), Kind::Format { .. }) && error.instance().as_str() == Some(UNSET)
}

fn violations(schema: &Schema, body: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for error in schema.validator().iter_errors(body) {
        describe(&error, &mut found);
    }
    found.sort_by_cached_key(|parameter| (parameter["field"].to_string(), parameter["rule"].to_string()));
    found.dedup();
    found
}

fn describe(error: &ValidationError<'_>, found: &mut Vec<Value>) {
    let path = dotted(error.instance_path().as_str());
    let field = if path.is_empty() { "body" } else { path.as_str() };
    let minimum = |rule: &str, limit: Value| {
        let reason = format!("must not be less than {limit}");
        with(in_body(field, rule, &reason), "minimum", limit)
    };
    let maximum = |rule: &str, limit: Value| {
        let reason = format!("must not be more than {limit}");
        with(in_body(field, rule, &reason), "maximum", limit)
    };
    let item = match error.kind() {
        Kind::Required { property } => {
            in_body(&join(&path, property.as_str().unwrap_or_default()), "required", "is a required field")
        }
        Kind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                found.push(in_body(&join(&path, name), "unknown_property", "is not a property of this object"));
            }
            return;
        }
        Kind::Type { kind } => {
            let wanted = type_name(kind);
            in_body(field, &format!("is_{wanted}"), &format!("must be of type {wanted}"))
        }
        Kind::Enum { options } => {
            with(in_body(field, "enum", &format!("must be one of {options}")), "choices", Value::clone(options))
        }
        Kind::MinLength { limit } => minimum("min_length", json!(limit)),
        Kind::MaxLength { limit } => maximum("max_length", json!(limit)),
        Kind::MinItems { limit } | Kind::MinProperties { limit } => minimum("min_items", json!(limit)),
        Kind::MaxItems { limit } | Kind::MaxProperties { limit } => maximum("max_items", json!(limit)),
        Kind::Minimum { limit } => minimum("min", limit.clone()),
        Kind::Maximum { limit } => maximum("max", limit.clone()),
        Kind::Pattern { pattern } => in_body(field, "matches_regex", &format!("must match {pattern}")),
        Kind::Format { format } => in_body(field, format_rule(format), &format!("must be a valid {format}")),
        Kind::OneOfNotValid { context } | Kind::OneOfMultipleValid { context } => {
            found.extend(closest(field, context));
            return;
        }
        // The validator's own words would repeat the value, which may be a secret.
        _ => in_body(field, "invalid", "is not valid"),
    };
    found.push(item);
}

/// Of several shapes none fitted: the complaints of the one that was probably meant, which knows the most of the keys.
fn closest(field: &str, branches: &[Vec<ValidationError<'static>>]) -> Vec<Value> {
    let complaints = branches.iter().map(|errors| {
        let mut found = Vec::new();
        for error in errors {
            describe(error, &mut found);
        }
        found
    });
    let unknown = |found: &Vec<Value>| found.iter().filter(|item| item["rule"] == "unknown_property").count();
    complaints
        .filter(|found| !found.is_empty())
        .min_by_key(|found| (unknown(found), found.len()))
        .unwrap_or_else(|| vec![in_body(field, "invalid", "must fit exactly one of the documented shapes")])
}

fn type_name(kind: &TypeKind) -> &'static str {
    match kind {
        TypeKind::Single(kind) => kind.as_str(),
        // Only nullable makes a list here, and what is asked for is the other type.
        TypeKind::Multiple(kinds) => kinds.iter().map(JsonType::as_str).find(|kind| *kind != "null").unwrap_or("null"),
    }
}

fn format_rule(format: &str) -> &'static str {
    match format {
        "uuid" => "is_uuid",
        "hostname" => "is_fqdn",
        "date-time" => "is_date_time",
        // There is no rule for e-mail addresses and URIs.
        _ => "invalid",
    }
}

/// `/labels/team` → `labels.team`.
fn dotted(pointer: &str) -> String {
    let parts: Vec<String> =
        pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    parts.join(".")
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::contract;

    fn refused(operation: &str, body: &Value) -> Vec<Value> {
        let operation = contract().operation(operation).expect("known");
        request(operation, body).expect_err("refused").invalid
    }

    #[test]
    fn each_rule_has_its_own_shape() {
        let cases = [
            (json!({}), json!({"field": "name", "rule": "required"})),
            (json!({"name": 5}), json!({"field": "name", "rule": "is_string"})),
            (json!({"name": ""}), json!({"field": "name", "rule": "min_length", "minimum": 1})),
            (json!({"name": "n".repeat(256)}), json!({"field": "name", "rule": "max_length", "maximum": 255})),
            (json!({"name": "n", "is_public": "yes"}), json!({"field": "is_public", "rule": "is_boolean"})),
            (json!({"name": "n", "description": 1}), json!({"field": "description", "rule": "is_string"})),
            (json!({"name": "n", "custom_domain": "not a host"}), json!({"field": "custom_domain", "rule": "is_fqdn"})),
            (json!({"name": "n", "labels": []}), json!({"field": "labels", "rule": "is_object"})),
            (json!({"name": "n", "labels": {"team": "-"}}), json!({"field": "labels.team", "rule": "matches_regex"})),
            (json!({"name": "n", "labels": {"team": null}}), json!({"field": "labels.team", "rule": "is_string"})),
            (json!({"name": "n", "nick": 1}), json!({"field": "nick", "rule": "unknown_property"})),
            (json!([]), json!({"field": "body", "rule": "is_object"})),
        ];
        for (body, expected) in cases {
            let mut found = refused("create-portal", &body);
            assert_eq!(found.len(), 1, "{body}: {found:?}");
            let mut found = found.remove(0);
            assert_eq!(found["source"], "body");
            assert!(found["reason"].is_string());
            let members = found.as_object_mut().expect("an object");
            members.remove("source");
            members.remove("reason");
            assert_eq!(found, expected, "{body}");
        }
    }

    #[test]
    fn every_violation_is_named_at_once() {
        let found = refused("create-portal", &json!({"nick": 1, "is_public": 1, "labels": {"a": ""}}));
        let rules: Vec<_> = found.iter().map(|item| (item["field"].clone(), item["rule"].clone())).collect();
        for wanted in [("is_public", "is_boolean"), ("labels.a", "min_length"), ("name", "required")] {
            assert!(rules.contains(&(json!(wanted.0), json!(wanted.1))), "{rules:?}");
        }
        assert!(rules.contains(&(json!("nick"), json!("unknown_property"))), "{rules:?}");
    }

    #[test]
    fn a_choice_names_the_choices() {
        let found = refused("update-developer", &json!({"status": "great"}));
        assert_eq!(found[0]["rule"], "enum");
        assert_eq!(found[0]["choices"], json!(["approved", "pending", "revoked", "rejected"]));
    }

    #[test]
    fn of_several_shapes_the_one_that_was_meant_complains() {
        let body = json!({"type": "oidc", "config": {"issuer_url": "https://idp.example.com"}});
        let found = refused("create-portal-identity-provider", &body);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0]["field"], &found[0]["rule"]), (&json!("config.client_id"), &json!("required")));
    }

    #[test]
    fn null_is_taken_where_the_contract_says_nullable() {
        let operation = contract().operation("update-portal").expect("known");
        let body = json!({"description": null, "labels": {"team": null}, "custom_domain": null});
        assert!(request(operation, &body).is_ok());
        assert!(request(operation, &json!({"labels": null})).is_ok());
    }
}
