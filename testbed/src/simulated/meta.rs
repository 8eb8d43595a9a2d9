//! Metadata: what every object has, and what may be done to it (`k8s.io/apimachinery/pkg/api/validation`).
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time},
    jiff::Timestamp,
};
use serde_json::{Value, json};

use super::refusal::Flaw;

/// The garbage collector removes this object's name from its dependents before the object goes.
pub(super) const ORPHAN: &str = "orphan";
/// The garbage collector deletes the dependents before the object goes.
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// A text in the metadata; empty where there is none.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// Sets a field of the metadata, or removes it where the value is null.
pub(super) fn set(object: &mut Value, field: &str, value: Value) {
    let metadata = &mut object["metadata"];
    if !value.is_null() {
        metadata[field] = value;
    } else if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove(field);
    }
}

/// A point in time as the API server writes it in metadata: whole seconds.
pub(super) fn time(at: Timestamp) -> Value {
    json!(Time(at))
}

/// Whether the object is being deleted.
pub(super) fn is_deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// Who holds the object.
pub(super) fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Sets who holds the object.
pub(super) fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    set(object, "finalizers", if finalizers.is_empty() { Value::Null } else { json!(finalizers) });
}

/// Whom the object belongs to.
pub(super) fn owners(object: &Value) -> Vec<OwnerReference> {
    // A list that does not fit was refused when the object was written.
    serde_json::from_value(object["metadata"]["ownerReferences"].clone()).unwrap_or_default()
}

/// Sets whom the object belongs to.
pub(super) fn set_owners(object: &mut Value, owners: &[OwnerReference]) {
    set(object, "ownerReferences", if owners.is_empty() { Value::Null } else { json!(owners) });
}

/// Takes the metadata through its type, as decoding does: what is unknown or empty falls away, and so do managed fields, which the
/// simulation keeps elsewhere.
pub(super) fn normalize(object: &mut Value) -> Result<(), String> {
    let given = object["metadata"].take();
    let mut metadata: ObjectMeta = if given.is_null() {
        ObjectMeta::default()
    } else {
        serde_json::from_value(given).map_err(|e| e.to_string())?
    };
    metadata.managed_fields = None;
    metadata.self_link = None;
    metadata.annotations = metadata.annotations.filter(|map| !map.is_empty());
    metadata.labels = metadata.labels.filter(|map| !map.is_empty());
    metadata.finalizers = metadata.finalizers.filter(|list| !list.is_empty());
    metadata.owner_references = metadata.owner_references.filter(|list| !list.is_empty());
    metadata.generation = metadata.generation.filter(|generation| *generation != 0);
    for text in [
        &mut metadata.name,
        &mut metadata.generate_name,
        &mut metadata.namespace,
        &mut metadata.uid,
        &mut metadata.resource_version,
    ] {
        if text.as_deref() == Some("") {
            *text = None;
        }
    }
    object["metadata"] = json!(metadata);
    Ok(())
}

/// What an update never changes, whatever it says (`rest.BeforeUpdate`).
pub(super) fn keep(after: &mut Value, before: &Value) {
    let old = |field: &str| before["metadata"][field].clone();
    if text(after, "uid").is_empty() {
        set(after, "uid", old("uid"));
    }
    set(after, "creationTimestamp", old("creationTimestamp"));
    if is_deleting(before) {
        set(after, "deletionTimestamp", old("deletionTimestamp"));
    }
    if after["metadata"]["deletionGracePeriodSeconds"].is_null() {
        set(after, "deletionGracePeriodSeconds", old("deletionGracePeriodSeconds"));
    }
}

/// What is wrong with the metadata of an object that is to be made.
pub(super) fn flaws(object: &Value, is_label: bool) -> Vec<Flaw> {
    let name = text(object, "name");
    if name.is_empty() {
        return vec![Flaw::required("metadata.name", "name or generateName is required")];
    }
    let why = if is_label { NOT_A_LABEL } else { NOT_A_SUBDOMAIN };
    let longest = if is_label { 63 } else { 253 };
    if name.len() > longest {
        return vec![Flaw::invalid("metadata.name", &json!(name), &format!("must be no more than {longest} bytes"))];
    }
    let parts: Vec<&str> = if is_label { vec![name] } else { name.split('.').collect() };
    let fits = parts.into_iter().all(|part| {
        let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        part.starts_with(letters) && part.ends_with(letters) && part.chars().all(|l| letters(l) || l == '-')
    });
    if fits { Vec::new() } else { vec![Flaw::invalid("metadata.name", &json!(name), why)] }
}

const NOT_A_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
                               and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                               '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NOT_A_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with \
                           an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                           '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// What is wrong with a change of the metadata. The API server finds each of these twice: once for all kinds, once for the kind.
pub(super) fn changes(after: &Value, before: &Value) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if is_deleting(before) {
        let old = finalizers(before);
        let mut new: Vec<&str> = finalizers(after).into_iter().filter(|f| !old.contains(f)).collect();
        new.sort_unstable();
        new.dedup();
        if !new.is_empty() {
            let new = new.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>().join(", ");
            let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
            flaws.push(Flaw::forbidden("metadata.finalizers", &format!("{why} []string{{{new}}}")));
        }
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (new, old) = (&after["metadata"][field], &before["metadata"][field]);
        if new != old {
            flaws.push(Flaw::invalid(&format!("metadata.{field}"), new, "field is immutable"));
        }
    }
    flaws.iter().chain(&flaws).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_metadata_drops_what_is_unknown_or_empty() {
        let mut object = json!({"metadata": {
            "name": "a", "namespace": "", "labels": {}, "finalizers": [], "colour": "red", "managedFields": [], "annotations": {"x": ""},
        }});
        normalize(&mut object).unwrap();
        assert_eq!(object, json!({"metadata": {"name": "a", "annotations": {"x": ""}}}));
        assert!(normalize(&mut json!({"metadata": {"labels": 3}})).is_err());
    }

    #[test]
    fn names_are_checked_as_the_api_server_does() {
        for (name, fits) in [("a", true), ("a.b-c", true), ("A", false), ("-a", false), ("a.", false), ("a..b", false)]
        {
            assert_eq!(flaws(&json!({"metadata": {"name": name}}), false).is_empty(), fits, "{name}");
        }
        assert!(!flaws(&json!({"metadata": {"name": "a.b"}}), true).is_empty());
    }

    #[test]
    fn a_deleted_object_takes_no_new_finalizer() {
        let before = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}});
        let mut after = before.clone();
        set_finalizers(&mut after, &["a/b".to_owned(), "c/d".to_owned()]);
        assert_eq!(changes(&after, &before).len(), 2);
        set_finalizers(&mut after, &[]);
        assert!(changes(&after, &before).is_empty());
    }
}
