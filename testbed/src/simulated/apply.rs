//! Who set which field, and server-side apply (`sigs.k8s.io/structured-merge-diff`): a subset.
//!
//! Fields are owned one by one, lists as a whole; but finalizers are a set, and owner references go by their UID, as in every kind. What a
//! schema says of its lists (`x-kubernetes-list-type`) is not heeded. Managed fields are kept beside the objects and are not shown in them.
use std::{cmp::Ordering, collections::BTreeSet, fmt::Write as _};

use serde_json::{Map, Value};

use super::{refusal::Refusal, resource::Resource};

/// A step on the way to a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Field(String),
    /// An item of a set.
    Item(String),
    /// The item of a list that has this UID.
    Uid(String),
}

type Path = Vec<Step>;

/// Somebody who set fields.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Manager {
    name: String,
    applies: bool,
    subresource: String,
    version: String,
    fields: BTreeSet<Path>,
}

/// Who writes.
pub(super) struct Writer<'a> {
    pub(super) name: &'a str,
    pub(super) resource: &'a Resource,
    pub(super) subresource: &'a str,
}

impl Writer<'_> {
    fn is(&self, manager: &Manager, applies: bool) -> bool {
        manager.name == self.name && manager.subresource == self.subresource && manager.applies == applies
    }

    fn manager(&self, applies: bool, fields: BTreeSet<Path>) -> Manager {
        Manager {
            name: self.name.to_owned(),
            applies,
            subresource: self.subresource.to_owned(),
            version: self.resource.api_version(),
            fields,
        }
    }

    /// Whether this writer can own a field at all: identity belongs to the server, the status to its subresource, all else to the rest.
    fn may_own(&self, path: &[Step]) -> bool {
        const SERVERS: [&str; 8] = [
            "name",
            "namespace",
            "creationTimestamp",
            "uid",
            "generation",
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ];
        let field = |index: usize| match path.get(index) {
            Some(Step::Field(name)) => name.as_str(),
            _ => "",
        };
        match (field(0), field(1)) {
            ("apiVersion" | "kind" | "metadata", "") => false,
            ("metadata", name) if SERVERS.contains(&name) => false,
            (first, _) if self.resource.builtin.is_none() && self.resource.has_status => {
                (first == "status") == (self.subresource == "status")
            }
            _ => true,
        }
    }
}

/// What differs between two objects.
#[derive(Default)]
struct Changes {
    /// Fields that are new or have another value.
    set: BTreeSet<Path>,
    removed: BTreeSet<Path>,
}

impl Changes {
    fn between(old: Option<&Value>, new: &Value) -> Self {
        let mut changes = Self::default();
        changes.compare(&mut Vec::new(), old, Some(new));
        changes
    }

    fn compare(&mut self, path: &mut Path, old: Option<&Value>, new: Option<&Value>) {
        if old == new {
            return;
        }
        let before = old.and_then(|value| children(path, value));
        let after = new.and_then(|value| children(path, value));
        if let (Some(before), Some(after)) = (&before, &after) {
            for (step, child) in before {
                let other = after.iter().find(|(other, _)| other == step).map(|(_, child)| *child);
                self.descend(path, step, Some(*child), other);
            }
            for (step, child) in after.iter().filter(|(step, _)| before.iter().all(|(other, _)| other != step)) {
                self.descend(path, step, None, Some(*child));
            }
            return;
        }
        if let Some(before) = &before {
            for (step, child) in before {
                self.descend(path, step, Some(*child), None);
            }
        } else if old.is_some() && (new.is_none() || after.is_some()) {
            self.removed.insert(path.clone());
        }
        if let Some(after) = &after {
            for (step, child) in after {
                self.descend(path, step, None, Some(*child));
            }
        } else if new.is_some() {
            self.set.insert(path.clone());
        }
    }

    fn descend(&mut self, path: &mut Path, step: &Step, old: Option<&Value>, new: Option<&Value>) {
        path.push(step.clone());
        self.compare(path, old, new);
        path.pop();
    }
}

/// What has an owner of its own below a field; none where the field is owned as a whole.
fn children<'a>(path: &[Step], value: &'a Value) -> Option<Vec<(Step, &'a Value)>> {
    match value {
        Value::Object(map) if !map.is_empty() => {
            Some(map.iter().map(|(key, child)| (Step::Field(key.clone()), child)).collect())
        }
        Value::Array(items) if is_at(path, "finalizers") => {
            Some(items.iter().map(|item| (Step::Item(item.to_string()), item)).collect())
        }
        Value::Array(items) if is_at(path, "ownerReferences") => {
            Some(items.iter().map(|item| (Step::Uid(item["uid"].to_string()), item)).collect())
        }
        _ => None,
    }
}

fn is_at(path: &[Step], field: &str) -> bool {
    matches!(path, [Step::Field(metadata), Step::Field(name)] if metadata == "metadata" && name == field)
}

/// The managers after a write that was not an apply.
pub(super) fn written(managers: &[Manager], writer: &Writer, old: Option<&Value>, new: &Value) -> Vec<Manager> {
    let mut changes = Changes::between(old, new);
    changes.set.retain(|path| writer.may_own(path));
    let mut managers = managers.to_vec();
    let place = managers.iter().position(|manager| writer.is(manager, false));
    for (index, manager) in managers.iter_mut().enumerate() {
        manager.fields.retain(|path| !changes.removed.contains(path));
        if place != Some(index) {
            manager.fields.retain(|path| !changes.set.contains(path));
        }
    }
    if !changes.set.is_empty() {
        let fresh = writer.manager(false, changes.set);
        if let Some(index) = place {
            let fields = managers[index].fields.union(&fresh.fields).cloned().collect();
            managers[index] = Manager { fields, ..fresh };
        } else {
            managers.push(fresh);
        }
    }
    managers.retain(|manager| !manager.fields.is_empty());
    managers
}

/// What an apply makes of an object, and its managers afterwards.
pub(super) fn applied(
    old: Option<&Value>,
    managers: &[Manager],
    writer: &Writer,
    config: &Value,
    force: bool,
) -> Result<(Value, Vec<Manager>), Refusal> {
    let mut wanted = Changes::between(None, config).set;
    wanted.retain(|path| writer.may_own(path));
    let mut object = old.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    merge(&mut object, config, &mut Vec::new());
    // What this manager applied earlier, and does not any more, goes, unless somebody else holds it, too.
    let earlier = managers.iter().find(|manager| writer.is(manager, true)).map(|manager| manager.fields.clone());
    for path in earlier.unwrap_or_default().difference(&wanted) {
        let held = managers.iter().any(|manager| !writer.is(manager, true) && manager.fields.contains(path));
        if !held {
            remove(&mut object, path);
        }
    }
    let mut changes = Changes::between(old, &object);
    changes.set.retain(|path| writer.may_own(path));
    let mut managers: Vec<Manager> = managers.iter().filter(|manager| !writer.is(manager, true)).cloned().collect();
    if !force {
        refuse_conflicts(&managers, &changes)?;
    }
    for manager in &mut managers {
        manager.fields.retain(|path| !changes.set.contains(path) && !changes.removed.contains(path));
    }
    managers.push(writer.manager(true, wanted));
    managers.retain(|manager| !manager.fields.is_empty());
    Ok((object, managers))
}

fn refuse_conflicts(managers: &[Manager], changes: &Changes) -> Result<(), Refusal> {
    let mut found: Vec<(String, &Path)> = managers
        .iter()
        .flat_map(|manager| manager.fields.intersection(&changes.set).map(move |path| (shown_manager(manager), path)))
        .collect();
    found.sort_by(|(one, path), (other, second)| one.cmp(other).then_with(|| in_a_tree(path, second)));
    let conflicts: Vec<(String, String)> = found.into_iter().map(|(manager, path)| (manager, shown(path))).collect();
    let causes: Vec<(String, String)> =
        conflicts.iter().map(|(manager, path)| (format!("conflict with {manager}"), path.clone())).collect();
    let message = match &conflicts[..] {
        [] => return Ok(()),
        [(manager, path)] => format!("Apply failed with 1 conflict: conflict with {manager}: {path}"),
        [..] => {
            let mut lines: Vec<String> = Vec::new();
            let mut last = "";
            for (manager, path) in &conflicts {
                if manager != last {
                    lines.push(format!("conflicts with {manager}:"));
                    last = manager.as_str();
                }
                lines.push(format!("- {path}"));
            }
            format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
        }
    };
    Err(Refusal::apply_conflict(message, &causes))
}

/// The order of a set of fields: what ends at a field comes before what goes on below another.
fn in_a_tree(one: &[Step], other: &[Step]) -> Ordering {
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    match (one.get(same), other.get(same)) {
        (Some(first), Some(second)) => {
            let ends = (same + 1 < one.len(), same + 1 < other.len());
            ends.0.cmp(&ends.1).then_with(|| first.cmp(second))
        }
        (first, second) => first.cmp(&second),
    }
}

fn shown_manager(manager: &Manager) -> String {
    let mut text = format!("{:?}", manager.name);
    // Writing to a String cannot fail.
    if !manager.subresource.is_empty() {
        let _ = write!(text, " with subresource {:?}", manager.subresource);
    }
    if !manager.applies {
        let _ = write!(text, " using {}", manager.version);
    }
    text
}

fn shown(path: &[Step]) -> String {
    let steps = path.iter().map(|step| match step {
        Step::Field(name) => format!(".{name}"),
        Step::Item(value) => format!("[={value}]"),
        Step::Uid(uid) => format!("[uid={uid}]"),
    });
    steps.collect::<Vec<_>>().concat()
}

fn merge(object: &mut Value, config: &Value, path: &mut Path) {
    match (object, config) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                path.push(Step::Field(key.clone()));
                match old.get_mut(key) {
                    Some(old) => merge(old, value, path),
                    None => {
                        old.insert(key.clone(), value.clone());
                    }
                }
                path.pop();
            }
        }
        (Value::Array(old), Value::Array(new)) if is_at(path, "finalizers") => {
            for item in new {
                if !old.contains(item) {
                    old.push(item.clone());
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if is_at(path, "ownerReferences") => {
            for item in new {
                old.retain(|other| other["uid"] != item["uid"]);
                old.push(item.clone());
            }
        }
        (old, new) => *old = new.clone(),
    }
}

/// Removes a field, and what has become empty above it.
fn remove(value: &mut Value, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else { return };
    match (value, step) {
        (Value::Object(map), Step::Field(name)) => {
            if let Some(child) = map.get_mut(name) {
                remove(child, rest);
                if rest.is_empty() || is_empty(child) {
                    map.remove(name);
                }
            }
        }
        (Value::Array(items), Step::Item(text)) => items.retain(|item| &item.to_string() != text),
        (Value::Array(items), Step::Uid(uid)) => {
            if let Some(item) = items.iter_mut().find(|item| &item["uid"].to_string() == uid) {
                remove(item, rest);
            }
            items.retain(|item| !is_empty(item));
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
