//! What `kube-apiserver` does to built-in objects when they are made and changed: `pkg/registry/*/*/strategy.go` and
//! `pkg/apis/core/validation`, as far as Portico and its tests can tell.
use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::{
        coordination::v1::Lease,
        core::v1::{ConfigMap, Namespace, Secret, ServiceAccount},
        events::v1::Event,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{event, meta, refusal::Flaw, resource::Builtin};

/// The finalizer in the spec of a namespace that its controller removes.
pub(super) const NAMESPACE_FINALIZER: &str = "kubernetes";
/// The finalizer of a CRD that is being deleted.
pub(super) const DEFINITION_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// A Secret of this type has these keys.
const TLS: &str = "kubernetes.io/tls";
const TLS_KEYS: [&str; 2] = ["tls.crt", "tls.key"];

/// An object as its type takes and shows it.
pub(super) fn decode(builtin: Builtin, object: Value) -> Result<Value, String> {
    let mut object = match builtin {
        Builtin::Secret => return secret(object),
        Builtin::ConfigMap => through::<ConfigMap>(object, |_| ())?,
        Builtin::ServiceAccount => through::<ServiceAccount>(object, |_| ())?,
        Builtin::Event => through::<Event>(object, |_| ())?,
        Builtin::Lease => through::<Lease>(object, |lease| {
            lease.spec.get_or_insert_default();
        })?,
        Builtin::Namespace => through::<Namespace>(object, |namespace| {
            namespace.spec.get_or_insert_default();
            let phase = &mut namespace.status.get_or_insert_default().phase;
            phase.get_or_insert_with(|| "Active".to_owned());
        })?,
        // Large, and never written wrong by anybody here: it is taken as it is.
        Builtin::Definition => definition(object),
    };
    match builtin {
        Builtin::Namespace => label(&mut object),
        Builtin::Event => event::complete(&mut object),
        _ => {}
    }
    for field in ["data", "binaryData"] {
        remove_empty(&mut object, field);
    }
    Ok(object)
}

fn through<T: DeserializeOwned + Serialize>(object: Value, change: impl FnOnce(&mut T)) -> Result<Value, String> {
    let mut typed: T = serde_json::from_value(object).map_err(|e| e.to_string())?;
    change(&mut typed);
    serde_json::to_value(typed).map_err(|e| e.to_string())
}

fn secret(object: Value) -> Result<Value, String> {
    let mut object = through::<Secret>(object, |secret| {
        let strings: BTreeMap<String, String> = secret.string_data.take().unwrap_or_default();
        let bytes = strings.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes())));
        secret.data.get_or_insert_default().extend(bytes);
        if secret.type_.as_deref().unwrap_or_default().is_empty() {
            secret.type_ = Some("Opaque".to_owned());
        }
    })?;
    remove_empty(&mut object, "data");
    Ok(object)
}

fn definition(mut object: Value) -> Value {
    let names = &mut object["spec"]["names"];
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    if names["singular"].is_null() {
        names["singular"] = json!(kind.to_lowercase());
    }
    if names["listKind"].is_null() {
        names["listKind"] = json!(format!("{kind}List"));
    }
    if object["spec"]["conversion"].is_null() {
        object["spec"]["conversion"] = json!({"strategy": "None"});
    }
    object
}

fn label(namespace: &mut Value) {
    let name = meta::text(namespace, "name").to_owned();
    if !name.is_empty() {
        namespace["metadata"]["labels"][NAME_LABEL] = json!(name);
    }
}

fn remove_empty(object: &mut Value, field: &str) {
    let is_empty = object[field].as_object().is_none_or(serde_json::Map::is_empty);
    if let Some(object) = object.as_object_mut().filter(|_| is_empty) {
        object.remove(field);
    }
}

/// What is set on an object that is to be made.
pub(super) fn prepare_create(builtin: Builtin, object: &mut Value, now: &Value) {
    match builtin {
        Builtin::Namespace => {
            object["status"] = json!({"phase": "Active"});
            let mut finalizers = texts(&object["spec"]["finalizers"]);
            if !finalizers.iter().any(|finalizer| finalizer == NAMESPACE_FINALIZER) {
                finalizers.push(NAMESPACE_FINALIZER.to_owned());
            }
            object["spec"]["finalizers"] = json!(finalizers);
            label(object);
        }
        Builtin::Definition => {
            // The real ones come a moment later, one by one, from controllers.
            object["status"] = json!({
                "acceptedNames": object["spec"]["names"],
                "conditions": [
                    condition("NamesAccepted", "True", "NoConflicts", "no conflicts found", now),
                    condition("Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now),
                ],
                "storedVersions": stored_versions(object),
            });
            meta::set(object, "generation", json!(1));
        }
        Builtin::Secret | Builtin::ConfigMap | Builtin::ServiceAccount | Builtin::Event | Builtin::Lease => {}
    }
}

fn stored_versions(definition: &Value) -> Vec<Value> {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    versions.filter(|version| version["storage"] == true).map(|version| version["name"].clone()).collect()
}

/// A condition of a CRD.
pub(super) fn condition(type_: &str, status: &str, reason: &str, message: &str, now: &Value) -> Value {
    json!({"type": type_, "status": status, "lastTransitionTime": now, "reason": reason, "message": message})
}

/// Sets a condition of a CRD. Its time is that of the last change of its status.
pub(super) fn set_condition(definition: &mut Value, fresh: &Value) {
    let Some(conditions) = definition["status"]["conditions"].as_array_mut() else { return };
    match conditions.iter().position(|old| old["type"] == fresh["type"]) {
        None => conditions.push(fresh.clone()),
        Some(index) => {
            let old = std::mem::replace(&mut conditions[index], fresh.clone());
            if old["status"] == fresh["status"] {
                conditions[index]["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
        }
    }
}

/// What an update of the resource itself, or of a subresource, may not touch.
pub(super) fn prepare_update(builtin: Builtin, subresource: &str, after: &mut Value, before: &Value) {
    match (builtin, subresource) {
        // The spec of a namespace is its finalizers.
        (Builtin::Namespace, "") => {
            after["spec"] = before["spec"].clone();
            after["status"] = before["status"].clone();
        }
        (Builtin::Namespace, "finalize") => after["status"] = before["status"].clone(),
        (Builtin::Namespace | Builtin::Definition, "status") => after["spec"] = before["spec"].clone(),
        (Builtin::Definition, _) => {
            after["status"] = before["status"].clone();
            after["status"]["acceptedNames"] = after["spec"]["names"].clone();
            if after["spec"] != before["spec"] {
                let generation = before["metadata"]["generation"].as_i64().unwrap_or_default();
                meta::set(after, "generation", json!(generation + 1));
            }
        }
        _ => {}
    }
}

/// What the kind alone finds wrong; `before` is none where the object is to be made.
pub(super) fn flaws(builtin: Builtin, after: &Value, before: Option<&Value>) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if let Some(before) = before {
        if builtin == Builtin::Secret && after["type"] != before["type"] {
            flaws.push(Flaw::invalid("type", &after["type"], "field is immutable"));
        }
        if matches!(builtin, Builtin::Secret | Builtin::ConfigMap) && before["immutable"] == true {
            let kept = [
                ("data", after["data"] == before["data"]),
                ("binaryData", after["binaryData"] == before["binaryData"]),
            ];
            let kept = [("immutable", after["immutable"] == true)].into_iter().chain(kept);
            let why = "field is immutable when `immutable` is set";
            flaws.extend(kept.filter(|(_, kept)| !kept).map(|(field, _)| Flaw::forbidden(field, why)));
        }
    }
    if builtin == Builtin::Secret && after["type"] == TLS {
        let missing = TLS_KEYS.into_iter().filter(|key| after["data"].get(*key).is_none());
        flaws.extend(missing.map(|key| Flaw::required(&format!("data[{key}]"), "")));
    }
    if builtin == Builtin::Event {
        flaws.extend(event::flaws(after, before));
    }
    if builtin == Builtin::Lease {
        let spec = &after["spec"];
        if spec["leaseDurationSeconds"].as_i64().is_some_and(|seconds| seconds <= 0) {
            let found = &spec["leaseDurationSeconds"];
            flaws.push(Flaw::invalid("spec.leaseDurationSeconds", found, "must be greater than 0"));
        }
        if spec["leaseTransitions"].as_i64().is_some_and(|transitions| transitions < 0) {
            let found = &spec["leaseTransitions"];
            flaws.push(Flaw::invalid("spec.leaseTransitions", found, "must be greater than or equal to 0"));
        }
    }
    flaws
}

/// The texts of a list.
pub(super) fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_gets_a_type_and_its_strings_become_data() {
        let given = json!({"metadata": {"name": "a"}, "stringData": {"key": "value"}, "colour": "red"});
        let shown = decode(Builtin::Secret, given).unwrap();
        let expected = json!({
            "kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}, "type": "Opaque", "data": {"key": "dmFsdWU="},
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_new_namespace_is_active_and_held_by_its_controller() {
        let mut namespace = decode(Builtin::Namespace, json!({"metadata": {"name": "a"}})).unwrap();
        prepare_create(Builtin::Namespace, &mut namespace, &Value::Null);
        assert_eq!(namespace["status"], json!({"phase": "Active"}));
        assert_eq!(namespace["spec"], json!({"finalizers": ["kubernetes"]}));
        assert_eq!(namespace["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "a"}));
    }

    #[test]
    fn what_is_empty_is_not_shown() {
        let shown = decode(Builtin::ConfigMap, json!({"metadata": {"name": "a"}, "data": {}})).unwrap();
        assert_eq!(shown, json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}}));
        let shown = decode(Builtin::Lease, json!({"metadata": {"name": "a"}})).unwrap();
        assert_eq!(shown["spec"], json!({}));
    }

    #[test]
    fn an_immutable_secret_stays_as_it_is() {
        let before = json!({"immutable": true, "data": {"a": "YQ=="}, "type": "Opaque"});
        let after = json!({"data": {"a": "Yg=="}, "type": "example.dev/other"});
        assert_eq!(flaws(Builtin::Secret, &after, Some(&before)).len(), 3);
        assert!(flaws(Builtin::Secret, &before, Some(&before)).is_empty());
    }

    #[test]
    fn a_tls_secret_has_a_certificate_and_a_key() {
        let secret = json!({"type": TLS, "data": {"tls.crt": ""}});
        assert_eq!(flaws(Builtin::Secret, &secret, None), [Flaw::required("data[tls.key]", "")]);
        assert_eq!(flaws(Builtin::Secret, &json!({"type": TLS}), None).len(), 2);
    }

    #[test]
    fn a_condition_keeps_its_place_and_while_its_status_stays_its_time() {
        let first = condition("Terminating", "True", "InstanceDeletionPending", "soon", &json!("t1"));
        let other = condition("Other", "True", "Because", "so", &json!("t1"));
        let mut definition = json!({"status": {"conditions": []}});
        for fresh in [&first, &other] {
            set_condition(&mut definition, fresh);
        }
        let again = condition("Terminating", "True", "InstanceDeletionInProgress", "now", &json!("t2"));
        set_condition(&mut definition, &again);
        let expected = condition("Terminating", "True", "InstanceDeletionInProgress", "now", &json!("t1"));
        assert_eq!(definition["status"]["conditions"], json!([expected, other]));
        let done = condition("Terminating", "False", "InstanceDeletionCompleted", "done", &json!("t3"));
        set_condition(&mut definition, &done);
        assert_eq!(definition["status"]["conditions"][0], done);
    }
}
