//! The labels of an object: the user's, those that left the spec, and the mark.
use serde_json::{Map, Value};

use super::{
    desired::Desired,
    done::Done,
    key::Key,
    kind::{Identity, Ops},
    mark,
    pass::Pass,
    raw::Raw,
    resolve::Resolved,
    spec::Mode,
    status::Status,
};

impl Pass<'_> {
    /// The labels of the spec are about to be sent: from now on they are known as ours, whatever becomes of the answer, or they would stay
    /// for ever once they have left the spec. One that is `there` before, and is not known as ours, is somebody else's until the API has taken
    /// ours (law 2). True where one of them is new.
    pub(super) fn claim_labels(&mut self, resolved: &Resolved, there: &Value) -> bool {
        let known = self.status.label_keys.len();
        for key in &resolved.label_keys {
            if there[key.as_str()].is_null() && !self.status.label_keys.contains(key) {
                self.status.label_keys.push(key.clone());
            }
        }
        self.status.label_keys.len() > known
    }

    /// The keys of labels that are ours, once the object is as the spec says: those of the spec, and those that have left it and were not there
    /// when it was read: what set them may still take effect unseen.
    pub(super) fn own_labels(&self, resolved: &Resolved, read: Option<&Value>, done: &mut Done) -> Vec<String> {
        let labels = read.filter(|_| resolved.writes).map(|read| &read["labels"]);
        let is_absent = |key: &&String| labels.is_some_and(|labels| labels[key.as_str()].is_null());
        let gone = self.status.label_keys.iter().filter(|key| !resolved.label_keys.contains(key));
        let late = self.late_entries(resolved.link(), gone.filter(is_absent), done);
        resolved.label_keys.iter().cloned().chain(late).collect()
    }
}

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
