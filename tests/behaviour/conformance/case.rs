//! A kind as the suite sees it: what its CRD, its trait and its two manifests say.
use std::sync::OnceLock;

use portico::{
    engine::{
        cache::Kinds,
        kind::{Identity, Ops},
        raw::Raw,
    },
    kinds, manifests,
};
use serde_json::{Value, json};

use super::fixtures::Library;

/// Fields that nothing at the API stands for, and what they are; they have no row in the table of fields.
const OWN: [(&str, &str); 5] = [
    ("allowedNamespaces", "who may refer to the resource"),
    ("connectionRef", "the way to the API"),
    ("credentialsSecret", "where the credentials go"),
    ("forceDelete", "how the object is deleted"),
    ("lifecycle", "how the object is treated"),
];

/// Where credentials are handed out: a Secret belongs to one resource.
const OUTPUT: &str = "credentialsSecret";

/// A kind under test.
#[derive(Clone)]
pub(crate) struct Case {
    /// Its name.
    pub(crate) kind: &'static str,
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
    /// The spec in which every field of the API has another value.
    pub(crate) changed: Value,
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
        let mut case =
            Self { kind, plural: crd.spec.names.plural.clone(), ops, schema, name, changed: example.clone(), example };
        if ops.is_some() {
            case.changed = case.overlay(&library.changed(kind)["spec"]);
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
        self.chosen_id().into_iter().chain(self.parents()).collect()
    }

    /// Whether a rule of the CRD keeps a field as it was made.
    pub(crate) fn is_fixed(&self, field: &str) -> bool {
        let rules = self.schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        let mut messages = rules.filter_map(|rule| rule["message"].as_str());
        messages.any(|message| message.starts_with(&format!("{field} cannot be ")))
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
        Some(camel(self.id_member())).filter(|field| self.property(field).is_object())
    }

    /// Whether people know objects of this kind by their names.
    pub(crate) fn has_names(&self) -> bool {
        let manifest = json!({"metadata": {"name": self.name, "namespace": "n"}, "spec": self.example});
        self.ops.is_some_and(|ops| ops.natural_key(&raw(self.kind, manifest)).is_some())
    }

    /// Whether a create of this resource is recorded beforehand.
    pub(crate) fn has_intent(&self, resource: &Value) -> bool {
        self.ops.is_some_and(|ops| ops.identity_of(&raw(self.kind, resource.clone())) == Identity::Intent)
    }

    /// The example's spec for a resource of another name; it hands its credentials out elsewhere.
    pub(crate) fn spec(&self, name: &str) -> Value {
        self.fit(&self.example, name)
    }

    /// A spec of this kind for a resource of another name.
    pub(crate) fn fit(&self, spec: &Value, name: &str) -> Value {
        let mut spec = spec.clone();
        if name != self.name && spec[OUTPUT].is_object() {
            spec[OUTPUT]["name"] = json!(self.output(name));
        }
        spec
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
