//! Drift: where an object differs from what is desired. Pure.
use serde_json::{Map, Value};

use super::status::DriftItem;

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The keys down to the value.
    pub path: Vec<String>,
    /// What should be there; null: nothing.
    pub want: Value,
    /// What is there; null: nothing.
    pub found: Value,
}

impl Difference {
    /// As it stands in the status.
    #[must_use]
    pub fn item(&self) -> DriftItem {
        DriftItem { path: self.path.join("."), want: self.want.to_string(), found: self.found.to_string() }
    }
}

/// The places at which `found` does not hold what `want` asks for. Fields that `want` does not mention belong to the API. Null, `""` and
/// absent are equal in an answer.
#[must_use]
pub fn diff(want: &Map<String, Value>, found: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (key, want) in want {
        walk(want, &found[key.as_str()], &mut vec![key.clone()], &mut differences);
    }
    differences
}

fn walk(want: &Value, found: &Value, path: &mut Vec<String>, out: &mut Vec<Difference>) {
    match (want, found) {
        (Value::Object(map), _) => {
            for (key, want) in map {
                path.push(key.clone());
                walk(want, &found[key.as_str()], path, out);
                path.pop();
            }
        }
        (want, found) if is_nothing(want) && is_nothing(found) => {}
        (want, found) if want == found => {}
        _ => out.push(Difference { path: path.clone(), want: want.clone(), found: found.clone() }),
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value == ""
}

/// The smallest body that makes the object as desired: whole top-level fields, except that maps in `merged` send only the keys that
/// differ.
#[must_use]
pub fn patch(want: &Map<String, Value>, differences: &[Difference], merged: &[&str]) -> Map<String, Value> {
    let mut body = Map::new();
    for difference in differences {
        let Some(field) = difference.path.first() else { continue };
        if let (true, Some(key)) = (merged.contains(&field.as_str()), difference.path.get(1)) {
            let map = body.entry(field.clone()).or_insert_with(|| Value::Object(Map::new()));
            map[key.as_str()] = difference.want.clone();
        } else if let Some(value) = want.get(field) {
            body.insert(field.clone(), value.clone());
        }
    }
    body
}

/// The part of an object that a request body speaks of.
#[must_use]
pub fn project(fields: &[String], found: &Value) -> Map<String, Value> {
    fields.iter().map(|f| (f.clone(), found[f.as_str()].clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => panic!("not a map"),
        }
    }

    fn paths(want: Value, found: &Value) -> Vec<String> {
        diff(&map(want), found).iter().map(|d| d.item().path).collect()
    }

    #[test]
    fn fields_that_the_spec_does_not_name_are_no_drift() {
        assert!(paths(json!({"name": "a"}), &json!({"name": "a", "created_at": "now"})).is_empty());
    }

    #[test]
    fn null_empty_and_absent_are_equal() {
        for want in [json!(null), json!("")] {
            for found in [json!({}), json!({"d": null}), json!({"d": ""})] {
                assert!(paths(json!({"d": want}), &found).is_empty());
            }
        }
        assert_eq!(paths(json!({"d": ""}), &json!({"d": "x"})), ["d"]);
        assert_eq!(paths(json!({"d": false}), &json!({})), ["d"]);
    }

    #[test]
    fn others_keys_in_a_map_stay_and_only_ours_are_sent() {
        let want = map(json!({"labels": {"team": "a", "gone": null}, "name": "n"}));
        let found = json!({"labels": {"team": "b", "gone": "x", "theirs": "y"}, "name": "n"});
        let differences = diff(&want, &found);
        assert_eq!(differences.len(), 2);
        assert_eq!(
            Value::Object(patch(&want, &differences, &["labels"])),
            json!({"labels": {"team": "a", "gone": null}})
        );
    }

    #[test]
    fn a_patch_holds_only_what_differs() {
        let want = map(json!({"name": "n", "description": null, "is_public": true}));
        let found = json!({"name": "n", "description": "old", "is_public": true});
        assert_eq!(Value::Object(patch(&want, &diff(&want, &found), &[])), json!({"description": null}));
    }
}
