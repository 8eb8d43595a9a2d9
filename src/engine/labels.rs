//! The labels of an object: the user's, those that left the spec, and the mark.
use serde_json::{Map, Value};

use super::{
    desired::Desired,
    key::Key,
    kind::{Identity, Ops},
    mark,
    raw::Raw,
    spec::Mode,
    status::Status,
};

/// The body with the mark, and with the labels that we set once and that left the spec as null; and the keys that the spec names. Objects
/// that are only observed are not marked.
#[must_use]
pub fn with_labels(
    ops: &'static dyn Ops,
    key: &Key,
    object: &Raw,
    owner: &str,
    status: &Status,
    mode: Mode,
    mut desired: Desired,
) -> (Desired, Vec<String>) {
    if !desired.merged.contains(&"labels") {
        return (desired, Vec::new());
    }
    let mut labels = match desired.body.remove("labels") {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let keys: Vec<String> = labels.keys().cloned().collect();
    for gone in status.label_keys.iter().filter(|k| !keys.contains(k)) {
        labels.insert(gone.clone(), Value::Null);
    }
    if ops.identity() == Identity::Mark && mode == Mode::Manage {
        labels.extend(mark::labels(owner, key, object.uid()));
    }
    if !labels.is_empty() {
        desired.body.insert("labels".to_owned(), Value::Object(labels));
    }
    (desired, keys)
}
