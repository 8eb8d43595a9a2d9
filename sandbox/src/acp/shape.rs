//! Objects as ACP keeps them: every member that the contract knows, with its zero value where nobody set it.

use serde_json::{Value, json};

use super::duration;
use crate::contract::contract;

/// Takes away what the schema does not know.
pub(crate) fn prune(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(members) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            if let Some(properties) = properties {
                members.retain(|name, _| properties.contains_key(name));
            }
            for (name, member) in members {
                let inner = properties.and_then(|properties| properties.get(name));
                if let Some(inner) = inner.or_else(|| schema.get("additionalProperties")) {
                    prune(inner, member);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                for item in items {
                    prune(inner, item);
                }
            }
        }
        _ => {}
    }
}

/// Completes an object to what this operation answers with, and writes durations as the API does.
pub(super) fn complete(operation: &str, value: &mut Value) {
    if let Some(schema) = contract().operation(operation).and_then(|operation| operation.response.as_ref()) {
        fill(schema.document(), value);
    }
}

fn fill(schema: &Value, value: &mut Value) {
    match value {
        // A key has only the members of its own kind.
        Value::Object(_) if schema["title"] == "JWK" => {}
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = schema.get("properties") {
                for (name, inner) in properties {
                    if members.get(name).is_none_or(Value::is_null) {
                        members.extend(zero(inner).map(|zero| (name.clone(), zero)));
                    } else if let Some(member) = members.get_mut(name) {
                        fill(inner, member);
                    }
                }
            } else if let Some(inner) = schema.get("additionalProperties") {
                for member in members.values_mut() {
                    fill(inner, member);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                for item in items {
                    fill(inner, item);
                }
            }
        }
        Value::String(text) if is_duration(schema) => {
            if let Some(canonical) = duration::canonical(text) {
                *text = canonical;
            }
        }
        _ => {}
    }
}

/// The zero value of a member; an object that nobody set is not there.
fn zero(schema: &Value) -> Option<Value> {
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind? {
        "string" if is_duration(schema) => Some(json!("0s")),
        "string" => Some(json!("")),
        "boolean" => Some(json!(false)),
        "integer" | "number" => Some(json!(0)),
        "array" => Some(json!([])),
        _ => None,
    }
}

fn is_duration(schema: &Value) -> bool {
    schema["x-duration"] == true
}

/// Sets the members that the change has, unless they are to be skipped.
pub(super) fn overlay(body: &mut Value, change: &Value, skipped: impl Fn(&Value) -> bool) {
    for (name, member) in change.as_object().into_iter().flatten() {
        if !skipped(member) {
            body[name] = member.clone();
        }
    }
}

/// Whether a value says no more than its absence would.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_zero),
    }
}

/// Takes the blanks at the ends of a text away.
pub(super) fn trim(body: &mut Value, member: &str) {
    if let Some(trimmed) = body[member].as_str().map(|text| json!(text.trim())) {
        body[member] = trimmed;
    }
}

/// Leaves out the secrets of authentications.
pub(super) fn hide_secrets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !matches!(name.as_str(), "password" | "client_secret"));
            members.values_mut().for_each(hide_secrets);
        }
        Value::Array(items) => items.iter_mut().for_each(hide_secrets),
        _ => {}
    }
}

/// Shows empty lists as a server does that never made them.
pub(super) fn empty_lists_to_null(value: &mut Value) {
    match value {
        Value::Array(items) if items.is_empty() => *value = Value::Null,
        Value::Array(items) => {
            for item in items {
                empty_lists_to_null(item);
            }
        }
        Value::Object(members) => {
            for member in members.values_mut() {
                empty_lists_to_null(member);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_go_at_every_depth() {
        let schema = contract().operation("createAuthorizationServer").expect("known").request.as_ref().expect("one");
        let user = json!({"username": "ann", "nick": 1, "authentication_context": {"any": "thing"}});
        let method = json!({"id": "s", "method": "static", "static": {"users": [user], "nick": 1}});
        let mut body = json!({"name": "n", "nick": 1, "authentications": {"methods": [method]}});
        prune(schema.document(), &mut body);
        let user = json!({"username": "ann", "authentication_context": {"any": "thing"}});
        let method = json!({"id": "s", "method": "static", "static": {"users": [user]}});
        assert_eq!(body, json!({"name": "n", "authentications": {"methods": [method]}}));
    }

    #[test]
    fn what_nobody_set_has_its_zero_value() {
        let mut body = json!({
            "id": "one", "access_token_ttl": "90m", "authentications": {"methods": [{"id": "o", "oidc": {}}]},
            "jwks": {"keys": [{"kty": "EC"}]}, "profiles": null,
        });
        complete("getAuthorizationServer", &mut body);
        assert_eq!(body["access_token_ttl"], "1h30m0s");
        assert_eq!(body["cookie_max_age"], "0s");
        assert_eq!((&body["name"], &body["enforce_pkce"], &body["profiles"]), (&json!(""), &json!(false), &json!([])));
        let oidc = &body["authentications"]["methods"][0]["oidc"];
        assert_eq!((&oidc["client_id"], &oidc["scopes"]), (&json!(""), &json!([])));
        assert!(body["authentications"]["methods"][0].get("azure").is_none());
        assert_eq!(body["jwks"]["keys"][0], json!({"kty": "EC"}));
    }
}
