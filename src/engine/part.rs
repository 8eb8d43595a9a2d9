//! What belongs to an object besides its body: lists with operations of their own, and things that take their time.
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::diff::Difference;
use crate::remote::{Dialect, Path, Refusal};

/// A list that belongs to an object but has operations of its own.
#[derive(Clone)]
pub enum Part {
    /// Entries that are added and removed one by one.
    Entries(Entries),
    /// A list that is replaced whole, one row of a table for all objects.
    Row(Row),
}

impl Part {
    /// What the status remembers of a list from which entries are taken one by one: its name, and what the spec says should be in it.
    #[must_use]
    pub fn named(&self) -> Option<(String, Vec<String>)> {
        let Self::Entries(entries) = self else { return None };
        let keys: BTreeSet<&String> = entries.wanted.iter().map(|(key, _)| key).collect();
        (!keys.is_empty()).then(|| (entries.name.to_owned(), keys.into_iter().cloned().collect()))
    }
}

/// Entries that are added by `POST {path}` and removed by `DELETE {path}/{id}`.
#[derive(Clone)]
pub struct Entries {
    /// The field of the spec, for the status and for messages.
    pub name: &'static str,
    /// The collection.
    pub path: Path,
    /// What should be there, by key.
    pub wanted: Vec<(String, Map<String, Value>)>,
    /// Whether entries that this resource never named are removed.
    pub exclusive: bool,
    /// The key of an entry as the API lists it.
    pub key: fn(&Value) -> Option<String>,
    /// For entries that are people: where they are looked up, and the field of the body that takes their id.
    pub lookup: Option<Lookup>,
    /// Where the API lists the values of a field, for a refusal that names the field.
    pub catalogue: Option<Catalogue>,
}

/// What to do about a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Keys of entries that should be there and are not.
    pub add: Vec<String>,
    /// Keys of entries that are there and should not be.
    pub remove: Vec<String>,
}

impl Entries {
    /// The ids of the entries that the API lists, by key.
    #[must_use]
    pub fn there(&self, items: &[Value], api: &dyn Dialect) -> BTreeMap<String, String> {
        items.iter().filter_map(|item| Some(((self.key)(item)?, api.id(item)?.to_owned()))).collect()
    }

    /// Compares what is wanted, what is there, and what this resource ever named.
    #[must_use]
    pub fn steps(&self, there: &BTreeMap<String, String>, named: &[String]) -> Steps {
        let wanted: Vec<String> = self.wanted.iter().map(|(key, _)| key.clone()).collect();
        steps(&wanted, &there.keys().cloned().collect(), named, self.exclusive)
    }

    /// What the user wrote for an entry that has to be looked up. Its key is in lower case.
    #[must_use]
    pub fn written<'e>(&'e self, lookup: &Lookup, key: &'e str) -> &'e str {
        let body = self.wanted.iter().find(|(wanted, _)| wanted == key).map(|(_, body)| body);
        body.and_then(|body| body.get(lookup.field)).and_then(Value::as_str).unwrap_or(key)
    }

    /// An entry that should be there and is not.
    #[must_use]
    pub fn lacks(&self, key: &str) -> Difference {
        Difference { path: vec![self.name.to_owned(), key.to_owned()], want: json!(true), found: Value::Null }
    }

    /// An entry that is there and should not be.
    #[must_use]
    pub fn exceeds(&self, key: &str) -> Difference {
        Difference { path: vec![self.name.to_owned(), key.to_owned()], want: Value::Null, found: json!(true) }
    }
}

impl Row {
    /// How the row differs from what is wanted, in the table as the API lists it.
    #[must_use]
    pub fn difference(&self, items: &[Value]) -> Option<Difference> {
        let ours = items.iter().find(|item| item[self.key.0] == self.key.1.as_str());
        let there: BTreeSet<&str> =
            ours.into_iter().filter_map(|i| i[self.field].as_array()).flatten().filter_map(Value::as_str).collect();
        let wanted: BTreeSet<&str> = self.wanted.iter().map(String::as_str).collect();
        let differs = there != wanted;
        differs.then(|| Difference { path: vec![self.name.to_owned()], want: json!(wanted), found: json!(there) })
    }
}

/// Compares what is wanted, what is there, and what this resource ever named. Pure.
fn steps(wanted: &[String], there: &BTreeSet<String>, named: &[String], exclusive: bool) -> Steps {
    let add = wanted.iter().filter(|k| !there.contains(*k)).cloned().collect();
    let remove = there.iter().filter(|k| !wanted.contains(k) && (exclusive || named.contains(k))).cloned().collect();
    Steps { add, remove }
}

/// How an entry's key becomes an id.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The collection to look in.
    pub path: Path,
    /// The field that equals the key but for its case; the listing can be filtered by it. A body may hold it as the user wrote it.
    pub field: &'static str,
    /// The field of the body that takes the id.
    pub into: &'static str,
    /// What is said where nobody is found, before the names.
    pub missing: &'static str,
}

/// Where the API lists what it knows.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// The field that a refusal names.
    pub field: &'static str,
    /// Where to look.
    pub path: Path,
    /// The names in the answer.
    pub names: fn(&Value) -> Vec<String>,
}

/// A row of a table at `path`, read by listing it and replaced by `PATCH {path}`.
#[derive(Clone)]
pub struct Row {
    /// The field of the spec.
    pub name: &'static str,
    /// The table.
    pub path: Path,
    /// The field that holds the row's key, and the key.
    pub key: (&'static str, String),
    /// The field that holds the list.
    pub field: &'static str,
    /// What should be in it, as a set.
    pub wanted: Vec<String>,
    /// Whether a refusal means that the table cannot exist yet, and what to say then.
    pub missing: fn(&Refusal) -> Option<&'static str>,
}

/// Something at the API that takes its time and must be asked for, such as the verification of a domain.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The condition that shows it.
    pub condition: &'static str,
    /// What it is about, such as a domain; another one begins anew.
    pub subject: String,
    /// `POST {object}/{action}` asks.
    pub action: &'static str,
    /// Whether it is done, and what is missing.
    pub judge: fn(&Value) -> Result<(), String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn strangers_entries_stay_unless_the_list_is_exclusive_and_ours_go_when_they_leave_the_spec() {
        let there: BTreeSet<String> = strings(&["kept", "left", "stranger"]).into_iter().collect();
        let decide = |exclusive| steps(&strings(&["kept", "new"]), &there, &strings(&["kept", "left"]), exclusive);
        assert_eq!(decide(false), Steps { add: strings(&["new"]), remove: strings(&["left"]) });
        assert_eq!(decide(true), Steps { add: strings(&["new"]), remove: strings(&["left", "stranger"]) });
    }

    #[test]
    fn a_row_is_compared_as_a_set_and_one_that_is_not_there_is_empty() {
        let row = |wanted: &[&str]| Row {
            name: "groups",
            path: Path::literal("/table"),
            key: ("team_id", "t".to_owned()),
            field: "groups",
            wanted: strings(wanted),
            missing: |_| None,
        };
        let table = [json!({"team_id": "t", "groups": ["b", "a"]}), json!({"team_id": "u", "groups": ["c"]})];
        assert_eq!(row(&["a", "b"]).difference(&table), None);
        assert_eq!(row(&[]).difference(&table[1..]), None);
        let found = row(&["c"]).difference(&table).map(|difference| difference.found);
        assert_eq!(found, Some(json!(["a", "b"])));
    }
}
