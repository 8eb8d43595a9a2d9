//! Reading custom resources: conditions, references, the Secrets that they name, where their objects are or would be.
use std::collections::BTreeSet;

use portico::engine::{key::Key, mark};
use serde_json::Value;

use super::sorts::{Sort, connection, items, referred, sort, text};
use crate::seen::Api;

/// What holds a resource while its object exists.
pub(crate) const FINALIZER: &str = "portico.dev/remote";
const PAUSED: &str = "portico.dev/paused";
const ORPHAN: &str = "portico.dev/orphan";

/// One thing that a spec refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) kind: &'static str,
    /// Of the target, where it is a resource.
    pub(crate) namespace: String,
    /// Empty: the target is given by id.
    pub(crate) name: String,
    pub(crate) id: String,
}

pub(crate) fn uid(object: &Value) -> &str {
    text(&object["metadata"]["uid"])
}

pub(crate) fn kind(object: &Value) -> &str {
    text(&object["kind"])
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(&object["metadata"]["namespace"])
}

pub(crate) fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

/// `Portal world/docs`.
pub(crate) fn label(object: &Value) -> String {
    format!("{} {}/{}", kind(object), namespace(object), name(object))
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

pub(crate) fn is_held(object: &Value) -> bool {
    items(&object["metadata"]["finalizers"]).any(|finalizer| finalizer == FINALIZER)
}

pub(crate) fn is_paused(object: &Value) -> bool {
    object["metadata"]["annotations"][PAUSED] == "true"
}

pub(crate) fn is_given_up(object: &Value) -> bool {
    object["metadata"]["annotations"][ORPHAN] == "true"
}

pub(crate) fn lifecycle<'v>(object: &'v Value, field: &str) -> &'v str {
    text(&object["spec"]["lifecycle"][field])
}

/// Whether nothing is ever to be written to the API for it.
pub(crate) fn observes(object: &Value) -> bool {
    lifecycle(object, "mode") == "Observe"
}

/// Whether its object is to be deleted with it.
pub(crate) fn deletes(object: &Value) -> bool {
    let retains = sort(kind(object)).is_some_and(|sort| sort.retains);
    match lifecycle(object, "deletion") {
        "" => !retains,
        policy => policy == "Delete",
    }
}

/// A condition; null where it is not there.
pub(crate) fn condition<'v>(object: &'v Value, type_: &str) -> &'v Value {
    items(&object["status"]["conditions"]).find(|condition| condition["type"] == type_).unwrap_or(&Value::Null)
}

/// `True`, `False`, `Unknown`, or nothing.
pub(crate) fn holds<'v>(object: &'v Value, type_: &str) -> &'v str {
    text(&condition(object, type_)["status"])
}

pub(crate) fn reason<'v>(object: &'v Value, type_: &str) -> &'v str {
    text(&condition(object, type_)["reason"])
}

pub(crate) fn message(object: &Value) -> &str {
    text(&condition(object, "Ready")["message"])
}

/// The path of the object that the status has recorded for this very resource, whether it is only observed or not.
pub(crate) fn known_path(object: &Value) -> Option<&str> {
    let (status, remote) = (&object["status"], &object["status"]["remote"]);
    let is_own = status["id"].is_string() && remote["uid"] == object["metadata"]["uid"];
    remote["path"].as_str().filter(|_| is_own)
}

/// The same where the object is this resource's.
pub(crate) fn recorded_path(object: &Value) -> Option<&str> {
    known_path(object).filter(|_| object["status"]["remote"]["observed"] != true)
}

/// What a spec refers to, its connection included.
pub(crate) fn references(object: &Value) -> Vec<Reference> {
    let Some(sort) = sort(kind(object)) else { return Vec::new() };
    let mut found = Vec::new();
    collect(&object["spec"], sort, namespace(object), &mut found);
    found
}

fn collect(value: &Value, sort: &Sort, own: &str, found: &mut Vec<Reference>) {
    match value {
        Value::Object(members) => {
            for (field, member) in members {
                if let Some(kind) = referred(field, sort.api) {
                    let namespace = member["namespace"].as_str().unwrap_or(own).to_owned();
                    let (name, id) = (text(&member["name"]).to_owned(), text(&member["id"]).to_owned());
                    found.push(Reference { kind, namespace, name, id });
                } else {
                    collect(member, sort, own, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, sort, own, found)),
        _ => {}
    }
}

/// The reference to the parent by path.
pub(crate) fn parent(object: &Value) -> Option<Reference> {
    let field = sort(kind(object))?.parent;
    let target = if field.is_empty() { None } else { referred(field, sort(kind(object))?.api) };
    let mut parent = references(object).into_iter().find(|reference| Some(reference.kind) == target)?;
    if parent.kind == "Portal" {
        parent.id = plain_id(&parent.id);
    }
    Some(parent)
}

/// The id that the spec binds to, as the API shows it.
pub(crate) fn bound(object: &Value) -> Option<String> {
    let is_konnect = sort(kind(object)).is_some_and(|sort| sort.api == Api::Konnect);
    let id = Some(lifecycle(object, "id")).filter(|id| !id.is_empty())?;
    Some(if is_konnect { plain_id(id) } else { id.to_owned() })
}

/// The namespace and name of the connection that the spec names itself.
pub(crate) fn own_connection(object: &Value) -> Option<Reference> {
    let wanted = connection(sort(kind(object))?.api);
    references(object).into_iter().find(|reference| reference.kind == wanted)
}

/// The names of all Secrets that a spec mentions: what stands under something that is called a secret and has a name.
pub(crate) fn secrets(spec: &Value, found: &mut BTreeSet<String>) {
    match spec {
        Value::Object(members) => {
            for (field, member) in members {
                let is_secret = field.to_lowercase().contains("secret");
                if let (true, Some(name)) = (is_secret, member["name"].as_str()) {
                    found.insert(name.to_owned());
                }
                if let (true, Some(name)) = (field == "caBundleRef", member["secret"].as_str()) {
                    found.insert(name.to_owned());
                }
                secrets(member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| secrets(item, found)),
        _ => {}
    }
}

/// What people tell the object by: the name that the spec gives it, or the resource's own.
pub(crate) fn natural_key(object: &Value) -> Option<String> {
    let (_, field) = sort(kind(object))?.key;
    if field.is_empty() {
        return None;
    }
    let given = object["spec"][field].as_str();
    let key = given.or_else(|| (field == "name").then(|| name(object)))?;
    // Ids and addresses are the same in capitals.
    Some(if field == "name" { key.to_owned() } else { key.to_lowercase() })
}

/// The id under which the object is made, where the client chooses it.
pub(crate) fn chosen_id(object: &Value, owner: &str) -> Option<String> {
    let sort = sort(kind(object)).filter(|sort| !sort.chosen.is_empty())?;
    let derived = || mark::derived_id(owner, &Key::new(sort.kind, namespace(object), name(object)));
    Some(object["spec"][sort.chosen].as_str().map_or_else(derived, plain_id))
}

/// Ids of Konnect are UUIDs, which are shown in small letters; ids of ACP stay as they are.
fn plain_id(id: &str) -> String {
    let is_uuid = id.len() == 36 && id.matches('-').count() == 4;
    if is_uuid { id.to_lowercase() } else { id.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_and_secrets_are_found_at_every_depth() {
        let action = json!({
            "kind": "ConsentAction",
            "metadata": {"namespace": "a", "name": "n"},
            "spec": {"connectionRef": {"name": "c"}, "consents": [{"consentRef": {"id": "x"}}, {"consentRef": {"name": "y", "namespace": "b"}}]},
        });
        let found: Vec<String> =
            references(&action).iter().map(|r| format!("{} {}/{} {}", r.kind, r.namespace, r.name, r.id)).collect();
        assert_eq!(found, ["AcpConnection a/c ", "Consent a/ x", "Consent b/y "]);
        let mut names = BTreeSet::new();
        secrets(
            &json!({"tokenSecretRef": {"name": "t"}, "list": [{"clientSecretRef": {"name": "u"}}], "x": {"name": "v"}}),
            &mut names,
        );
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["t", "u"]);
    }

    #[test]
    fn a_record_of_another_uid_is_none() {
        let resource =
            |uid: &str| json!({"metadata": {"uid": "1"}, "status": {"id": "i", "remote": {"uid": uid, "path": "/p"}}});
        assert_eq!(known_path(&resource("1")), Some("/p"));
        assert_eq!(known_path(&resource("2")), None);
    }
}
