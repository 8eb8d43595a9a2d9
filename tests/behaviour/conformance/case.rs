//! A kind as the suite sees it: what its CRD, its trait and its two manifests say.
use std::sync::{
    OnceLock,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta};
use portico::{
    engine::{
        cache::Kinds,
        kind::{Identity, Ops},
        raw::Raw,
    },
    kinds, manifests,
};
use serde_json::{Value, json};

use super::{fixtures::Library, shape::Shape};

/// Fields that nothing at the API stands for, and what they are; they have no row in the table of fields.
const OWN: [(&str, &str); 6] = [
    ("allowedNamespaces", "who may refer to the resource"),
    ("connectionRef", "the way to the API"),
    ("credentialsSecret", "where the credentials go"),
    ("forceDelete", "how the object is deleted"),
    ("lifecycle", "how the object is treated"),
    ("notifyDevelopers", "who is told of a change, once; nothing of the object"),
];

/// Where credentials are handed out: a Secret belongs to one resource.
const OUTPUT: &str = "credentialsSecret";

/// A kind under test.
#[derive(Clone)]
pub(crate) struct Case {
    /// Its name.
    pub(crate) kind: &'static str,
    /// How its objects come to be.
    pub(crate) shape: Shape,
    /// Its name in URLs.
    pub(crate) plural: String,
    /// How the engine sees it; none for a connection.
    pub(crate) ops: Option<&'static dyn Ops>,
    /// The schema of its spec.
    pub(crate) schema: Value,
    /// What the resource in the example is called.
    pub(crate) name: String,
    /// The spec of the example.
    pub(crate) example: Value,
    /// The spec in which every field of the API that can be changed has another value.
    pub(crate) changed: Value,
    /// The spec of the changed manifest as it stands there.
    wished: Value,
}

impl Case {
    pub(crate) fn new(kind: &'static str, library: &Library) -> Self {
        let crds = manifests::crds();
        let crd = crds.iter().find(|crd| crd.spec.names.kind == kind).expect("it is in the list of kinds");
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).expect("a schema is JSON");
        let schema = schema["openAPIV3Schema"]["properties"]["spec"].clone();
        assert!(schema["properties"].is_object(), "{kind} has a spec");
        let manifest = library.manifest(kind);
        let name = manifest["metadata"]["name"].as_str().expect("the example has a name").to_owned();
        let ops = list().resources.iter().find(|ops| ops.info().kind == kind).copied();
        let example = manifest["spec"].clone();
        let mut case = Self {
            kind,
            shape: Shape::of(kind),
            plural: crd.spec.names.plural.clone(),
            ops,
            schema,
            name,
            changed: example.clone(),
            wished: example.clone(),
            example,
        };
        if ops.is_some() {
            case.wished = library.changed(kind)["spec"].clone();
            case.changed = case.overlay(&case.wished);
        }
        case
    }

    /// The example with the fields of the API as the changed manifest has them. Identity and treatment stay.
    fn overlay(&self, changed: &Value) -> Value {
        let mut whole = self.example.clone();
        for field in self.fields().into_iter().filter(|field| !self.is_fixed(field)) {
            whole[&field] = changed[&field].clone();
        }
        // Of two ways to the same thing the changed manifest may have taken the other.
        if changed[OUTPUT].is_null() {
            whole[OUTPUT] = Value::Null;
        }
        if let Value::Object(members) = &mut whole {
            members.retain(|_, value| !value.is_null());
        }
        whole
    }

    /// The top-level fields that the API has, in the order of the alphabet.
    pub(crate) fn fields(&self) -> Vec<String> {
        let all = self.schema["properties"].as_object().expect("a spec has fields").keys();
        all.filter(|field| self.own(field).is_none()).cloned().collect()
    }

    /// What a field is that the API does not have.
    pub(crate) fn own(&self, field: &str) -> Option<&'static str> {
        if self.identity().iter().any(|part| part == field) {
            return Some("which object it is; it cannot be changed");
        }
        OWN.iter().find(|(own, _)| *own == field).map(|(_, why)| *why)
    }

    /// The fields that say which object it is.
    pub(crate) fn identity(&self) -> Vec<String> {
        let person = self.known_by().filter(|_| self.shape == Shape::Claimed);
        self.chosen_id().into_iter().chain(self.parents()).chain(person).collect()
    }

    /// Whether a rule of the CRD keeps a field, or what is in it, as it was made.
    pub(crate) fn is_fixed(&self, path: &str) -> bool {
        self.fixed().any(|fixed| fixed == path)
    }

    /// The fields that a rule of the CRD keeps as they were made.
    fn fixed(&self) -> impl Iterator<Item = &str> {
        let rules = self.schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        rules.filter_map(|rule| Some(rule["message"].as_str()?.split_once(" cannot be ")?.0))
    }

    /// A value that a field, or what is in it, does not have in the example, for those that cannot be changed.
    pub(crate) fn another(&self, path: &str) -> Value {
        let pointer = format!("/{}", path.replace('.', "/"));
        let property = format!("/properties/{}", path.replace('.', "/properties/"));
        let present = self.example.pointer(&pointer).unwrap_or(&Value::Null);
        let wished = self.wished.pointer(&pointer).filter(|wished| !wished.is_null() && *wished != present);
        let mut choices =
            self.schema.pointer(&property).and_then(|schema| schema["enum"].as_array()).into_iter().flatten();
        let choice = || choices.find(|choice| *choice != present);
        match (wished.or_else(choice), present) {
            (Some(other), _) => other.clone(),
            (None, Value::Object(_)) => json!({"name": "another"}),
            (None, present) => json!(another_text(present.as_str().unwrap_or_default())),
        }
    }

    /// The references that the object's path follows from.
    fn parents(&self) -> Vec<String> {
        let required = self.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let is_parent = |field: &&str| field.ends_with("Ref") && self.property(field)["properties"]["id"].is_object();
        required.filter(is_parent).map(str::to_owned).collect()
    }

    /// The schema of a top-level field.
    pub(crate) fn property(&self, field: &str) -> &Value {
        &self.schema["properties"][field]
    }

    /// The member of an object that holds its id.
    pub(crate) fn id_member(&self) -> &'static str {
        self.ops.map_or("id", Ops::id_field)
    }

    /// The field with which a user chooses the id, where users may.
    pub(crate) fn chosen_id(&self) -> Option<String> {
        let field = camel(self.id_member());
        let has_own_id = matches!(self.shape, Shape::Made | Shape::Upserted);
        (has_own_id && self.property(&field).is_object()).then_some(field)
    }

    /// The field that people know objects of this kind by, where they do: a name, an address, a type.
    pub(crate) fn known_by(&self) -> Option<String> {
        let manifest = json!({"metadata": {"name": self.name, "namespace": "n"}, "spec": self.example});
        let key = self.ops?.natural_key(&raw(self.kind, manifest))?;
        let mut members = self.example.as_object()?.iter();
        match self.shape {
            Shape::Made if self.property("name").is_object() => Some("name".to_owned()),
            Shape::Made | Shape::Claimed => members.find(|(_, value)| **value == key).map(|(field, _)| field.clone()),
            Shape::Upserted | Shape::Singleton | Shape::Sole | Shape::Action => None,
        }
    }

    /// Whether a parent takes only one object of such a spec.
    pub(crate) fn stands_alone(&self) -> bool {
        self.shape != Shape::Made || self.known_by().is_some_and(|field| self.is_fixed(&field))
    }

    /// Whether a create of this resource is recorded beforehand.
    pub(crate) fn has_intent(&self, resource: &Value) -> bool {
        let identity = self.ops.map(|ops| ops.identity_of(&raw(self.kind, resource.clone())));
        !self.shape.is_given() && identity == Some(Identity::Intent)
    }

    /// The example's spec for a resource of another name; it hands its credentials out elsewhere.
    pub(crate) fn spec(&self, name: &str) -> Value {
        self.fit(&self.example, name)
    }

    /// A spec of this kind for a resource of another name. What is done once is another one each time.
    pub(crate) fn fit(&self, spec: &Value, name: &str) -> Value {
        static SECONDS: AtomicI64 = AtomicI64::new(0);
        let mut spec = spec.clone();
        if name != self.name && spec[OUTPUT].is_object() {
            spec[OUTPUT]["name"] = json!(self.output(name));
        }
        if self.shape == Shape::Action {
            shift(&mut spec, TimeDelta::seconds(-SECONDS.fetch_add(1, Ordering::Relaxed)));
        }
        spec
    }

    /// A spec that leaves it to the kind what becomes of the object when the resource is deleted.
    pub(crate) fn with_default_deletion(mut spec: Value) -> Value {
        if let Some(lifecycle) = spec.get_mut("lifecycle").and_then(Value::as_object_mut) {
            lifecycle.remove("deletion");
        }
        spec
    }

    /// Whether what was started is what the resource says: the same moments, however they are written. True for what is compared otherwise.
    pub(crate) fn is_as_told(&self, resource: &Value, object: &Value) -> bool {
        let times = times(&resource["spec"]);
        self.shape != Shape::Action
            || times.iter().all(|(field, told)| time(&object[snake(field)]).is_some_and(|shown| shown == *told))
    }

    /// Whether a spec hands credentials out.
    pub(crate) fn hands_out(spec: &Value) -> bool {
        spec[OUTPUT].is_object()
    }

    /// The Secret that receives the credentials of a resource.
    pub(crate) fn output(&self, name: &str) -> String {
        let own = self.example[OUTPUT]["name"].as_str().filter(|_| name == self.name);
        own.map_or_else(|| format!("{name}-credentials"), str::to_owned)
    }

    /// The spec without credentials, given or handed out.
    pub(crate) fn without_output(spec: &Value) -> Value {
        let mut spec = spec.clone();
        if let Value::Object(members) = &mut spec {
            members.remove(OUTPUT);
        }
        spec
    }

    /// Makes every list exclusive that otherwise leaves strangers' entries alone, so that each difference counts.
    pub(crate) fn make_exclusive(&mut self) {
        for field in self.fields() {
            let has_it = self.property(&field)["properties"]["exclusive"].is_object();
            for spec in [&mut self.example, &mut self.changed] {
                if has_it && spec[&field].is_object() {
                    spec[&field]["exclusive"] = json!(true);
                }
            }
        }
    }
}

/// The list of kinds.
pub(crate) fn list() -> &'static Kinds {
    static LIST: OnceLock<Kinds> = OnceLock::new();
    LIST.get_or_init(kinds::all)
}

/// A resource as the engine decodes it.
fn raw(kind: &str, mut resource: Value) -> Raw {
    let resource_type = crate::world::resource(kind);
    resource["apiVersion"] = json!(resource_type.api_version);
    resource["kind"] = json!(kind);
    serde_json::from_value(resource).expect("it is an object of Kubernetes")
}

/// A text of the same form.
fn another_text(text: &str) -> String {
    match text {
        _ if text.len() == 36 && text.matches('-').count() == 4 => "00000000-5555-4666-8777-888888888888".to_owned(),
        _ if text.contains('@') => format!("another-{text}"),
        _ if text.contains('.') && !text.contains('/') => format!("another.{text}"),
        _ => "another".to_owned(),
    }
}

/// A value as a moment, if it is one.
fn time(value: &Value) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok()
}

/// The fields of a spec that are moments.
pub(crate) fn times(spec: &Value) -> Vec<(String, DateTime<FixedOffset>)> {
    let members = spec.as_object().into_iter().flatten();
    members.filter_map(|(field, value)| Some((field.clone(), time(value)?))).collect()
}

/// Moves all moments of a spec.
pub(crate) fn shift(spec: &mut Value, by: TimeDelta) {
    for (field, at) in times(spec) {
        spec[&field] = json!((at + by).to_rfc3339_opts(SecondsFormat::Secs, true));
    }
}

/// `OAuthClient` as `oauth-client`.
pub(crate) fn kebab(kind: &str) -> String {
    let mut text = String::new();
    let mut after_lower = false;
    for letter in kind.chars() {
        if letter.is_ascii_uppercase() && after_lower {
            text.push('-');
        }
        after_lower = letter.is_ascii_lowercase();
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// `client_id` as `clientId`.
pub(crate) fn camel(member: &str) -> String {
    let mut words = member.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| text + &word[..1].to_ascii_uppercase() + &word[1..])
}

/// `clientId` as `client_id`.
pub(crate) fn snake(field: &str) -> String {
    field.chars().fold(String::new(), |mut text, letter| {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
        text
    })
}
