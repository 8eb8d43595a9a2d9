//! What is sent to make an object as desired. Pure.
use serde_json::{Map, Value};

use super::{
    desired::{Desired, How},
    diff::Difference,
};

/// The smallest body that makes the object as desired: whole top-level fields, laid over what was read, since the API replaces them
/// whole; except that maps in `merged` send only the keys that differ.
#[must_use]
pub fn patch(desired: &Desired, read: &Value, differences: &[Difference]) -> Map<String, Value> {
    let mut body = Map::new();
    for difference in differences {
        let Some(field) = difference.path.first() else { continue };
        if let (true, Some(key)) = (desired.merged.contains(&field.as_str()), difference.path.get(1)) {
            let map = body.entry(field.clone()).or_insert_with(|| Value::Object(Map::new()));
            map[key.as_str()] = difference.want.clone();
        } else if let Some(value) = desired.body.get(field) {
            body.insert(field.clone(), lay(desired, field, value, &read[field.as_str()]));
        }
    }
    body
}

/// The object as read with what is desired laid over it: what the spec does not name is echoed.
#[must_use]
pub fn overlay(desired: &Desired, read: &Value) -> Map<String, Value> {
    let mut whole = read.as_object().cloned().unwrap_or_default();
    whole.retain(|key, _| !desired.unsent.contains(&key.as_str()));
    for (key, want) in &desired.body {
        let value = lay(desired, key, want, &read[key.as_str()]);
        whole.insert(key.clone(), value);
    }
    whole
}

fn lay(desired: &Desired, rule: &str, want: &Value, read: &Value) -> Value {
    let inner = |want: &Map<String, Value>, read: &Value| {
        let mut laid = read.as_object().cloned().unwrap_or_default();
        for (key, want) in want {
            laid.insert(key.clone(), lay(desired, &format!("{rule}.{key}"), want, &read[key.as_str()]));
        }
        Value::Object(laid)
    };
    match (desired.rule(rule), want) {
        (Some(How::Keyed(by)), Value::Array(wants)) => {
            let entry = |want: &Value| {
                let read = read.as_array().and_then(|read| read.iter().find(|read| read[by] == want[by]));
                want.as_object().map_or_else(|| want.clone(), |members| inner(members, read.unwrap_or(&Value::Null)))
            };
            Value::Array(wants.iter().map(entry).collect())
        }
        (None, Value::Object(want)) => inner(want, read),
        (Some(How::Map), Value::Object(want)) => {
            let entry = |(key, want): (&String, &Value)| {
                (key.clone(), lay(desired, &format!("{rule}.{key}"), want, &read[key.as_str()]))
            };
            Value::Object(want.iter().map(entry).collect())
        }
        _ => want.clone(),
    }
}

/// What is desired, as far as it is secrets: everything else as it was read.
#[must_use]
pub fn secrets_over(desired: &Desired, read: &Value) -> Desired {
    let fields = desired.body.iter().filter(|(key, want)| holds_secrets(desired, key, want));
    let body = fields.map(|(key, want)| (key.clone(), put(desired, key, key, want, &read[key.as_str()])));
    Desired { body: body.collect(), initial: Map::new(), ..desired.clone() }
}

fn holds_secrets(desired: &Desired, key: &str, want: &Value) -> bool {
    match want {
        Value::Object(members) => members.iter().any(|(key, want)| holds_secrets(desired, key, want)),
        Value::Array(items) => items.iter().any(|item| holds_secrets(desired, key, item)),
        _ => desired.secrets.contains(&key),
    }
}

fn put(desired: &Desired, key: &str, rule: &str, want: &Value, read: &Value) -> Value {
    match (want, read) {
        (Value::Object(want), Value::Object(read)) => {
            let mut all = read.clone();
            for (key, want) in want.iter().filter(|(key, want)| holds_secrets(desired, key, want)) {
                let value =
                    put(desired, key, &format!("{rule}.{key}"), want, &read.get(key).cloned().unwrap_or_default());
                all.insert(key.clone(), value);
            }
            Value::Object(all)
        }
        (Value::Array(wants), Value::Array(reads)) => {
            let Some(How::Keyed(by)) = desired.rule(rule) else { return read.clone() };
            let entry = |read: &Value| {
                let want = wants.iter().find(|want| want[by] == read[by]);
                want.map_or_else(|| read.clone(), |want| put(desired, key, rule, want, read))
            };
            Value::Array(reads.iter().map(entry).collect())
        }
        (want, _) if desired.secrets.contains(&key) && want.is_string() => want.clone(),
        (_, read) => read.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::diff::diff;

    fn wants(value: Value) -> Desired {
        match value {
            Value::Object(body) => Desired { body, ..Desired::default() },
            _ => panic!("not a map"),
        }
    }

    /// As ACP's kinds want it.
    fn server(value: Value) -> Desired {
        let rules = &[
            ("auth.methods", How::Keyed("id")),
            ("uses", How::Named("id")),
            ("scopes", How::Map),
            ("context", How::Exact),
        ];
        Desired { rules, unsent: &["tenant_id"], ..wants(value) }
    }

    #[test]
    fn a_whole_object_keeps_what_the_spec_does_not_name() {
        let read = json!({"id": "s", "tenant_id": "t", "secret": "k", "unknown": 1, "uses": [{"id": "u", "name": "shown"}],
            "auth": {"methods": [{"id": "a", "name": "A", "amr": "x", "oidc": {"client_secret": "k", "scopes": ["x"]}}, {"id": "gone"}]}});
        let want = json!({"name": "new", "uses": [{"id": "u", "required": true}], "auth": {"methods": [{"id": "a", "name": "B", "oidc": {"scopes": ["y"]}}]}});
        assert_eq!(
            Value::Object(overlay(&server(want), &read)),
            json!({"id": "s", "name": "new", "secret": "k", "unknown": 1, "uses": [{"id": "u", "required": true}],
                "auth": {"methods": [{"id": "a", "name": "B", "amr": "x", "oidc": {"client_secret": "k", "scopes": ["y"]}}]}})
        );
    }

    #[test]
    fn others_keys_in_a_map_stay_and_only_ours_are_sent() {
        let want =
            Desired { merged: &["labels"], ..wants(json!({"labels": {"team": "a", "gone": null}, "name": "n"})) };
        let found = json!({"labels": {"team": "b", "gone": "x", "theirs": "y"}, "name": "n"});
        let differences = diff(&want, &found);
        assert_eq!(differences.len(), 2);
        assert_eq!(Value::Object(patch(&want, &found, &differences)), json!({"labels": {"team": "a", "gone": null}}));
    }

    #[test]
    fn a_field_that_is_an_object_is_sent_whole_with_what_the_spec_does_not_name() {
        let want = wants(json!({"config": {"issuer": "new"}, "on": true}));
        let found = json!({"config": {"issuer": "old", "scopes": ["theirs"]}, "on": true});
        assert_eq!(
            Value::Object(patch(&want, &found, &diff(&want, &found))),
            json!({"config": {"issuer": "new", "scopes": ["theirs"]}})
        );
    }

    #[test]
    fn a_patch_holds_only_what_differs() {
        let want = wants(json!({"name": "n", "description": null, "is_public": true}));
        let found = json!({"name": "n", "description": "old", "is_public": true});
        assert_eq!(Value::Object(patch(&want, &found, &diff(&want, &found))), json!({"description": null}));
    }

    #[test]
    fn of_what_is_desired_only_the_secrets_are_laid_over_what_was_read() {
        let method = |name: &str, secret: &str| json!({"id": "a", "name": name, "oidc": {"client_secret": secret}});
        let want = Desired {
            secrets: &["client_secret"],
            ..server(json!({"name": "ours", "client_secret": "new", "auth": {"methods": [method("ours", "new")]}}))
        };
        let read = json!({"name": "theirs", "client_secret": "old", "auth": {"methods": [{"id": "b"}, method("theirs", "old")]}});
        let sent = json!({"client_secret": "new", "auth": {"methods": [{"id": "b"}, method("theirs", "new")]}});
        assert_eq!(Value::Object(secrets_over(&want, &read).body), sent);
    }

    #[test]
    fn what_the_spec_owns_is_sent_as_the_spec_has_it() {
        let want = server(json!({"scopes": {"a": {"p": 3}}, "context": {"home": {"street": "x"}}}));
        let read = json!({"scopes": {"a": {"q": 2}, "b": {"p": 1}}, "context": {"home": {"floor": 2}, "more": 1}});
        let laid = json!({"scopes": {"a": {"p": 3, "q": 2}}, "context": {"home": {"street": "x"}}});
        assert_eq!(Value::Object(overlay(&want, &read)), laid);
    }
}
