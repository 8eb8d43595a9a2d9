//! What two API servers cannot agree on, replaced by names: UIDs and versions in the order in which they were first seen, times, generated
//! names. Managed fields are left out: the simulated one does not show them.
use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The names that were given so far.
#[derive(Default)]
pub(crate) struct Names {
    uids: BTreeMap<String, String>,
    versions: BTreeMap<String, String>,
    generated: BTreeMap<String, String>,
}

impl Names {
    /// An answer or an event with names in the place of what is random.
    pub(crate) fn normal(&mut self, value: &Value) -> Value {
        self.learn(value);
        self.replace(value)
    }

    /// Notes what is new in the metadata of objects.
    fn learn(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for child in map.values() {
                    self.learn(child);
                }
                for place in [&value["metadata"], &value["details"]] {
                    note(&mut self.uids, "uid", &place["uid"]);
                }
                // A list shows the version of the whole store, in which others write as well.
                if value["items"].is_null() {
                    note(&mut self.versions, "version", &value["metadata"]["resourceVersion"]);
                }
                if !value["metadata"]["generateName"].is_null() {
                    note(&mut self.generated, "generated", &value["metadata"]["name"]);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            _ => {}
        }
    }

    fn replace(&self, value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let is_list = map.contains_key("items");
                let mut fresh = serde_json::Map::new();
                for (key, child) in map.iter().filter(|(key, _)| *key != "managedFields") {
                    let shown = match key.as_str() {
                        "resourceVersion" => json!(self.version(child)),
                        // The real one shows an empty token where nothing follows.
                        "continue" if child == "" => continue,
                        "continue" => json!("<continue>"),
                        "metadata" if is_list => self.list_metadata(child),
                        "causes" => sorted(self.replace(child)),
                        _ => self.replace(child),
                    };
                    fresh.insert(key.clone(), shown);
                }
                Value::Object(fresh)
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.replace(item)).collect()),
            Value::String(text) => Value::String(self.words(text)),
            other => other.clone(),
        }
    }

    fn list_metadata(&self, metadata: &Value) -> Value {
        let mut metadata = self.replace(metadata);
        if !metadata["resourceVersion"].is_null() {
            metadata["resourceVersion"] = json!("<list>");
        }
        metadata
    }

    fn version(&self, version: &Value) -> String {
        let version = version.as_str().unwrap_or_default();
        self.versions.get(version).cloned().unwrap_or_else(|| version.to_owned())
    }

    /// A text with names in it. Only a number in parentheses can be a version.
    fn words(&self, text: &str) -> String {
        let mut words = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let is_word = |letter: char| letter.is_ascii_alphanumeric() || ['-', ':'].contains(&letter);
            let end = rest.find(|letter: char| !is_word(letter)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let is_version = words.ends_with('(') && word.chars().all(|letter| letter.is_ascii_digit());
            let (core, colon) = word.strip_suffix(':').map_or((word, ""), |core| (core, ":"));
            let known = match core {
                _ if is_version => self.versions.get(core).cloned(),
                _ if is_time(core) => Some("<time>".to_owned()),
                _ => self.uids.get(core).or_else(|| self.generated.get(core)).cloned(),
            };
            words.push_str(known.as_deref().unwrap_or(core));
            words.push_str(colon);
            let width = after.chars().next().map_or(0, char::len_utf8);
            words.push_str(&after[..width]);
            rest = &after[width..];
        }
        words
    }
}

fn note(names: &mut BTreeMap<String, String>, kind: &str, value: &Value) {
    if let Some(text) = value.as_str().filter(|text| !text.is_empty() && !names.contains_key(*text)) {
        names.insert(text.to_owned(), format!("<{kind} {}>", names.len() + 1));
    }
}

/// `2026-01-01T00:00:00Z`
fn is_time(word: &str) -> bool {
    let shape = "dddd-dd-ddTdd:dd:ddZ";
    word.len() == shape.len()
        && word
            .chars()
            .zip(shape.chars())
            .all(|(letter, expected)| if expected == 'd' { letter.is_ascii_digit() } else { letter == expected })
}

/// Causes come in any order.
fn sorted(causes: Value) -> Value {
    let Value::Array(mut causes) = causes else { return causes };
    causes.sort_by_key(Value::to_string);
    Value::Array(causes)
}

/// Where two values differ first, and how.
pub(crate) fn difference(path: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        _ if one == other => None,
        (Value::Object(left), Value::Object(right)) => {
            let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            keys.into_iter()
                .find_map(|key| difference(&format!("{path}.{key}"), &one[key.as_str()], &other[key.as_str()]))
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            left.iter().zip(right).enumerate().find_map(|(i, (l, r))| difference(&format!("{path}[{i}]"), l, r))
        }
        _ => Some(format!("{path}:\n  real      {one}\n  simulated {other}")),
    }
}

#[test]
fn names_replace_what_is_random_and_nothing_else() {
    let mut names = Names::default();
    let object = json!({"metadata": {"uid": "a-b", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": []}});
    let expected =
        json!({"metadata": {"uid": "<uid 1>", "resourceVersion": "<version 1>", "creationTimestamp": "<time>"}});
    assert_eq!(names.normal(&object), expected);
    let message = json!("the UID (a-b): (7) is not (8), Code: 7");
    assert_eq!(names.normal(&message), "the UID (<uid 1>): (<version 1>) is not (8), Code: 7");
    let list = json!({"items": [], "metadata": {"resourceVersion": "9", "continue": "x"}});
    assert_eq!(names.normal(&list)["metadata"], json!({"resourceVersion": "<list>", "continue": "<continue>"}));
    assert_eq!(
        difference("", &json!({"a": [1, 2]}), &json!({"a": [1, 3]})).unwrap(),
        ".a[1]:\n  real      2\n  simulated 3"
    );
}
