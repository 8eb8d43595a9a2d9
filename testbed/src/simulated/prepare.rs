//! What is checked and set right before an object is stored: `rest.BeforeUpdate` of `k8s.io/apiserver`, and the strategy of custom
//! resources in `k8s.io/apiextensions-apiserver`.
use serde_json::{Value, json};

use super::{
    builtin, meta,
    refusal::{Flaw, Refusal},
    resource::{Builtin, Resource},
    schema, validate,
    write::Target,
};

const CHANGED_MEANWHILE: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

fn is_status_of_custom(target: &Target) -> bool {
    target.resource.builtin.is_none() && target.subresource == "status"
}

/// What a patch makes is decoded again. The real refusal shows the whole object; this one does not.
pub(super) fn decoded(resource: &Resource, object: Value) -> Result<Value, Refusal> {
    resource.decode(object).map_err(|why| Refusal::invalid("", "", "", &[Flaw::invalid("patch", &Value::Null, &why)]))
}

pub(super) fn check_name(name: &str, object: &Value) -> Result<(), Refusal> {
    let found = meta::text(object, "name");
    if found.is_empty() {
        let message = format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
        return Err(Refusal::bad_request(message));
    }
    if found != name {
        let message = format!("the name of the object ({found}) does not match the name on the URL ({name})");
        return Err(Refusal::bad_request(message));
    }
    Ok(())
}

/// The namespace of an object is that of the request.
pub(super) fn settle_namespace(resource: &Resource, namespace: &str, object: &mut Value) -> Result<(), Refusal> {
    let expected = if resource.namespaced { namespace } else { "" };
    let found = meta::text(object, "namespace");
    if found == expected {
        return Ok(());
    }
    if !found.is_empty() && !expected.is_empty() {
        let why = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Refusal::bad_request(why));
    }
    meta::set(object, "namespace", if expected.is_empty() { Value::Null } else { json!(expected) });
    Ok(())
}

/// What a client cannot set on a new object.
pub(super) fn wipe(object: &mut Value) {
    for field in ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        meta::set(object, field, Value::Null);
    }
}

pub(super) fn set_or_remove(object: &mut Value, field: &str, value: Option<&Value>) {
    match value {
        Some(value) => object[field] = value.clone(),
        None => drop(object.as_object_mut().and_then(|object| object.remove(field))),
    }
}

pub(super) fn check_version(target: &Target, after: &Value, current: u64) -> Result<(), Refusal> {
    let given = meta::text(after, "resourceVersion");
    if given.is_empty() || given == "0" {
        if target.resource.updates_unconditionally() {
            return Ok(());
        }
        let flaw = Flaw::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
        return Err(Refusal::invalid(&target.resource.group, &target.resource.plural, target.name, &[flaw]));
    }
    if given != current.to_string() {
        return Err(Refusal::conflict(target.resource, target.name, CHANGED_MEANWHILE));
    }
    Ok(())
}

/// Takes back what an update may not touch, and counts the generation.
pub(super) fn prepare_update(target: &Target, after: &mut Value, before: &Value) {
    let resource = target.resource;
    if let Some(builtin) = resource.builtin {
        return builtin::prepare_update(builtin, target.subresource, after, before);
    }
    if is_status_of_custom(target) {
        // All but the status is as it was, the UID as well: an update of the status that is meant for another UID is not refused
        // (apiextensions-apiserver, pkg/registry/customresource/status_strategy.go).
        let status = after.get("status").cloned();
        *after = before.clone();
        set_or_remove(after, "status", status.as_ref());
        return;
    }
    if resource.has_status {
        set_or_remove(after, "status", before.get("status"));
    }
    if !same_but_metadata(after, before) {
        let generation = before["metadata"]["generation"].as_i64().unwrap_or_default();
        meta::set(after, "generation", json!(generation + 1));
    }
}

fn same_but_metadata(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    one.iter().all(|(key, value)| key == "metadata" || other.get(key) == Some(value))
        && other.keys().all(|key| key == "metadata" || one.contains_key(key))
}

pub(super) fn flaws_of_new(resource: &Resource, object: &Value) -> Vec<Flaw> {
    let mut flaws = meta::flaws(object, resource.builtin == Some(Builtin::Namespace));
    if let Some(builtin) = resource.builtin {
        flaws.extend(builtin::flaws(builtin, object, None));
    } else if let Some(known) = resource.schema.as_deref() {
        flaws.extend(validate::flaws("", object, None, known));
    }
    with_rules(resource, flaws)
}

pub(super) fn flaws_of_change(target: &Target, after: &Value, before: &Value) -> Vec<Flaw> {
    let resource = target.resource;
    let mut flaws = meta::changes(after, before);
    if let Some(builtin) = resource.builtin {
        flaws.extend(builtin::flaws(builtin, after, Some(before)));
        return flaws;
    }
    for (field, expected) in [("kind", resource.kind.clone()), ("apiVersion", resource.api_version())] {
        if after[field] != json!(expected) {
            flaws.push(Flaw::invalid(field, &after[field], &format!("must be {expected}")));
        }
    }
    let Some(known) = resource.schema.as_deref() else { return flaws };
    if is_status_of_custom(target) {
        if let (Some(status), Some(known)) = (after.get("status"), schema::property(known, "status")) {
            flaws.extend(validate::flaws("status", status, before.get("status"), known));
        }
    } else {
        flaws.extend(validate::flaws("", after, Some(before), known));
    }
    with_rules(resource, flaws)
}

/// CEL rules are not evaluated; but where other flaws keep the API server from asking them, it says so.
fn with_rules(resource: &Resource, mut flaws: Vec<Flaw>) -> Vec<Flaw> {
    let blocked = flaws.iter().any(Flaw::blocks_rules);
    if blocked && resource.schema.as_deref().is_some_and(schema::has_rules) {
        flaws.push(Flaw::rules_not_checked());
    }
    flaws
}

/// Whether an update takes away the last that held an object that is being deleted.
pub(super) fn is_released(resource: &Resource, after: &Value, before: &Value) -> bool {
    let is_namespace = resource.builtin == Some(Builtin::Namespace);
    let is_held =
        !meta::finalizers(after).is_empty() || is_namespace && !builtin::texts(&after["spec"]["finalizers"]).is_empty();
    meta::is_deleting(before)
        && !is_held
        && before["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or_default() == 0
}
