//! The resources that are served: a few built-in ones, and those of the CRDs.
use std::sync::Arc;

use serde_json::{Value, json};

use super::{builtin, meta, refusal::Refusal, schema, store::Stored};

/// A resource with code of its own in `kube-apiserver`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    Namespace,
    Secret,
    ConfigMap,
    ServiceAccount,
    Event,
    Lease,
    Definition,
}

/// A resource.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resource {
    /// `portals.konnect.portico.dev`, or only the plural in the core group: as error messages name it.
    pub(super) id: String,
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) kind: String,
    pub(super) list_kind: String,
    pub(super) namespaced: bool,
    /// None: a custom resource.
    pub(super) builtin: Option<Builtin>,
    /// Whether a custom resource has the status subresource.
    pub(super) has_status: bool,
    /// The structural schema of a custom resource.
    pub(super) schema: Option<Arc<Value>>,
    /// Whether the CRD is being deleted.
    pub(super) terminating: bool,
}

/// The id of a resource.
pub(super) fn id(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

/// The built-in resources.
pub(super) fn builtins() -> impl Iterator<Item = Resource> {
    let known = [
        (Builtin::Namespace, "", "v1", "namespaces", "Namespace", false),
        (Builtin::Secret, "", "v1", "secrets", "Secret", true),
        (Builtin::ConfigMap, "", "v1", "configmaps", "ConfigMap", true),
        (Builtin::ServiceAccount, "", "v1", "serviceaccounts", "ServiceAccount", true),
        (Builtin::Event, "events.k8s.io", "v1", "events", "Event", true),
        (Builtin::Lease, "coordination.k8s.io", "v1", "leases", "Lease", true),
        (
            Builtin::Definition,
            "apiextensions.k8s.io",
            "v1",
            "customresourcedefinitions",
            "CustomResourceDefinition",
            false,
        ),
    ];
    known.into_iter().map(|(builtin, group, version, plural, kind, namespaced)| Resource {
        id: id(group, plural),
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        namespaced,
        builtin: Some(builtin),
        has_status: false,
        schema: None,
        terminating: false,
    })
}

/// The resource of a CRD, in the version that is stored; none where the CRD is not established or does not serve that version.
pub(super) fn of_definition(definition: &Value) -> Option<Resource> {
    let conditions = definition["status"]["conditions"].as_array()?;
    let holds = |type_: &str| conditions.iter().any(|c| c["type"] == type_ && c["status"] == "True");
    if !holds("Established") {
        return None;
    }
    let spec = &definition["spec"];
    let version = spec["versions"].as_array()?.iter().find(|v| v["storage"] == true && v["served"] == true)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (group, plural) = (text(&spec["group"])?, text(&spec["names"]["plural"])?);
    let schema = version["schema"].get("openAPIV3Schema").cloned();
    Some(Resource {
        id: id(&group, &plural),
        group,
        version: text(&version["name"])?,
        plural,
        kind: text(&spec["names"]["kind"])?,
        list_kind: text(&spec["names"]["listKind"])?,
        namespaced: spec["scope"] == "Namespaced",
        builtin: None,
        has_status: version["subresources"]["status"].is_object(),
        schema: schema.map(Arc::new),
        terminating: holds("Terminating"),
    })
}

impl Resource {
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The group that errors put to the kind. Inside of the API server an Event is that of the core group.
    pub(super) fn group_of_kind(&self) -> &str {
        if self.builtin == Some(Builtin::Event) { "" } else { &self.group }
    }

    /// The key of an object among those of its resource; listings are in the order of these.
    pub(super) fn key(&self, namespace: &str, name: &str) -> String {
        if self.namespaced { format!("{namespace}/{name}") } else { name.to_owned() }
    }

    /// The key of an object in etcd, which some error messages show.
    pub(super) fn storage_key(&self, namespace: &str, name: &str) -> String {
        let key = self.key(namespace, name);
        match self.builtin {
            Some(Builtin::Definition) | None => format!("/registry/{}/{}/{key}", self.group, self.plural),
            Some(_) => format!("/registry/{}/{key}", self.plural),
        }
    }

    /// Whether an update may leave out the version.
    pub(super) fn updates_unconditionally(&self) -> bool {
        !matches!(self.builtin, Some(Builtin::Lease | Builtin::Definition) | None)
    }

    /// Whether a PUT makes what is not there.
    pub(super) fn creates_on_update(&self) -> bool {
        matches!(self.builtin, Some(Builtin::Lease | Builtin::Event))
    }

    /// Whether the answer to a deletion is the object, not a Status.
    pub(super) fn returns_deleted(&self) -> bool {
        matches!(self.builtin, Some(Builtin::Namespace | Builtin::ServiceAccount))
    }

    /// Whether there is such a subresource; the empty name stands for the resource itself.
    pub(super) fn has_subresource(&self, name: &str) -> bool {
        match (self.builtin, name) {
            (_, "") | (Some(Builtin::Namespace), "status" | "finalize") | (Some(Builtin::Definition), "status") => true,
            (None, "status") => self.has_status,
            _ => false,
        }
    }

    /// The object of a request, once it is certain that it is one of this resource.
    pub(super) fn typed(&self, mut object: Value) -> Result<Value, Refusal> {
        if !object.is_object() {
            return Err(Refusal::bad_request("the object provided is unrecognized: it is not a JSON object"));
        }
        for (field, expected) in [("kind", self.kind.clone()), ("apiVersion", self.api_version())] {
            if object[field].is_null() && self.builtin.is_some() {
                object[field] = json!(expected);
            }
        }
        if object["kind"].is_null() {
            return Err(Refusal::bad_request(format!("Object 'Kind' is missing in '{object}'")));
        }
        if object["apiVersion"] != json!(self.api_version()) {
            let found = object["apiVersion"].as_str().unwrap_or_default();
            let expected = self.api_version();
            let message =
                format!("the API version in the data ({found}) does not match the expected API version ({expected})");
            return Err(Refusal::bad_request(message));
        }
        if object["kind"] != json!(self.kind) {
            let found = object["kind"].as_str().unwrap_or_default();
            let message = format!("{found} in version {:?} cannot be handled as a {}", self.version, self.kind);
            return Err(Refusal::bad_request(message));
        }
        self.decode(object).map_err(|why| {
            let (kind, version) = (&self.kind, &self.version);
            Refusal::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
        })
    }

    /// An object as decoding leaves it: without what is unknown, and with defaults.
    pub(super) fn decode(&self, mut object: Value) -> Result<Value, String> {
        meta::normalize(&mut object)?;
        match (self.builtin, self.schema.as_deref()) {
            (Some(builtin), _) => return builtin::decode(builtin, object),
            (None, Some(known)) => {
                schema::prune(&mut object, known);
                schema::prune_nulls(&mut object, Some(known));
                schema::fill(&mut object, known);
            }
            (None, None) => {}
        }
        Ok(object)
    }

    /// An object as it is shown: defaults are put in when it is read, not only when it is written.
    pub(super) fn view(&self, stored: &Stored) -> Value {
        let mut object = (*stored.value).clone();
        if let Some(known) = self.schema.as_deref() {
            schema::prune(&mut object, known);
            schema::fill(&mut object, known);
        }
        meta::set(&mut object, "resourceVersion", json!(stored.version.to_string()));
        object
    }

    /// An object as it is shown to who asked for nothing but metadata.
    pub(super) fn partial_view(stored: &Stored) -> Value {
        let mut metadata = stored.value["metadata"].clone();
        metadata["resourceVersion"] = json!(stored.version.to_string());
        partial(metadata)
    }
}

/// Metadata by itself.
pub(super) fn partial(metadata: Value) -> Value {
    let mut object = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"});
    object["metadata"] = metadata;
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crd_is_served_once_it_is_established() {
        let mut definition = json!({
            "spec": {
                "group": "example.dev", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget", "listKind": "WidgetList"},
                "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {"type": "object"}}}],
            },
            "status": {"conditions": []},
        });
        assert!(of_definition(&definition).is_none());
        definition["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
        let widgets = of_definition(&definition).unwrap();
        assert_eq!(widgets.id, "widgets.example.dev");
        assert_eq!(widgets.storage_key("n", "a"), "/registry/example.dev/widgets/n/a");
        assert!(widgets.has_subresource("status") && !widgets.has_subresource("scale"));
    }

    #[test]
    fn an_object_of_another_kind_or_version_is_refused() {
        let secrets = builtins().find(|resource| resource.plural == "secrets").unwrap();
        let typed = secrets.typed(json!({"metadata": {"name": "a"}})).unwrap();
        assert_eq!((&typed["kind"], &typed["apiVersion"]), (&json!("Secret"), &json!("v1")));
        for wrong in [json!({"kind": "ConfigMap"}), json!({"apiVersion": "v2"}), json!({"data": 3}), json!(3)] {
            assert_eq!(secrets.typed(wrong).unwrap_err().code, 400);
        }
    }
}
