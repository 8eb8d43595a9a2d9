//! Structural schemas: pruning and defaulting (`k8s.io/apiextensions-apiserver/pkg/apiserver/schema`).
use serde_json::Value;

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const RULES: &str = "x-kubernetes-validations";
/// What every resource has, whether its schema names it or not.
const ALWAYS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// What a schema says of keys that are not among its properties.
pub(super) enum Others<'a> {
    Unknown,
    Anything,
    Typed(&'a Value),
}

pub(super) fn is_set(schema: &Value, flag: &str) -> bool {
    schema[flag] == true
}

pub(super) fn property<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema.get("properties")?.get(key)
}

pub(super) fn others(schema: &Value) -> Others<'_> {
    match schema.get("additionalProperties") {
        None | Some(Value::Null | Value::Bool(false)) => Others::Unknown,
        Some(Value::Bool(true)) => Others::Anything,
        Some(typed) => Others::Typed(typed),
    }
}

/// Whether there are CEL rules anywhere. The simulation does not evaluate them.
pub(super) fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.contains_key(RULES) || map.values().any(has_rules),
        Value::Array(items) => items.iter().any(has_rules),
        _ => false,
    }
}

/// Removes what the schema does not know.
pub(super) fn prune(resource: &mut Value, schema: &Value) {
    prune_node(resource, Some(schema), true, false);
}

/// `keeps` says that the list around the value preserves unknown fields.
fn prune_node(value: &mut Value, schema: Option<&Value>, is_root: bool, keeps: bool) {
    let preserves = keeps || schema.is_some_and(|schema| is_set(schema, PRESERVE));
    match value {
        Value::Object(map) => {
            let is_resource = is_root || schema.is_some_and(|schema| is_set(schema, EMBEDDED));
            map.retain(|key, child| {
                if is_resource && ALWAYS.contains(&key.as_str()) {
                    return true;
                }
                let Some(schema) = schema else { return false };
                if let Some(known) = property(schema, key) {
                    prune_node(child, Some(known), false, false);
                    return true;
                }
                match others(schema) {
                    Others::Unknown => return preserves,
                    // What is below is not described, so nothing of it is kept, unless unknown fields are.
                    Others::Anything if !preserves => prune_node(child, None, false, false),
                    Others::Anything => {}
                    Others::Typed(typed) => prune_node(child, Some(typed), false, false),
                }
                true
            });
        }
        Value::Array(items) => {
            let inner = schema.and_then(|schema| schema.get("items"));
            if inner.is_some() || !preserves {
                for item in items {
                    prune_node(item, inner, false, preserves);
                }
            }
        }
        _ => {}
    }
}

fn typed<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    property(schema, key).or_else(|| match others(schema) {
        Others::Typed(typed) => Some(typed),
        Others::Unknown | Others::Anything => None,
    })
}

fn default_of(schema: &Value) -> Option<&Value> {
    schema.get("default").filter(|default| !default.is_null())
}

fn is_forbidden_null(value: &Value, schema: &Value) -> bool {
    value.is_null() && !is_set(schema, "nullable")
}

/// Removes nulls where the schema allows none and has no default to put in their place.
pub(super) fn prune_nulls(value: &mut Value, schema: Option<&Value>) {
    match value {
        Value::Object(map) => map.retain(|key, child| {
            let inner = schema.and_then(|schema| typed(schema, key));
            if inner.is_some_and(|inner| is_forbidden_null(child, inner) && default_of(inner).is_none()) {
                return false;
            }
            prune_nulls(child, inner);
            true
        }),
        Value::Array(items) => {
            let inner = schema.and_then(|schema| schema.get("items"));
            for item in items {
                prune_nulls(item, inner);
            }
        }
        _ => {}
    }
}

/// Puts defaults where nothing is, or a null that is not allowed.
pub(super) fn fill(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
                let Some(default) = default_of(inner) else { continue };
                if map.get(key).is_none_or(|found| is_forbidden_null(found, inner)) {
                    map.insert(key.clone(), default.clone());
                }
            }
            for (key, child) in map {
                if let Some(known) = property(schema, key) {
                    fill(child, known);
                } else if let Others::Typed(typed) = others(schema) {
                    fill_item(child, typed);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                for item in items {
                    fill_item(item, inner);
                }
            }
        }
        _ => {}
    }
}

fn fill_item(item: &mut Value, schema: &Value) {
    if is_forbidden_null(item, schema) {
        *item = default_of(schema).cloned().unwrap_or_default();
    }
    fill(item, schema);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decoded(mut object: Value, schema: &Value) -> Value {
        prune(&mut object, schema);
        prune_nulls(&mut object, Some(schema));
        fill(&mut object, schema);
        object
    }

    #[test]
    fn unknown_fields_go_and_defaults_come() {
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "size": {"type": "integer", "default": 1},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}},
                "maybe": {"type": "string", "nullable": true},
            }},
            "status": {"type": "object", "default": {"observedGeneration": -1}, "properties": {"observedGeneration": {"type": "integer"}}},
        }});
        let object = json!({
            "kind": "Widget", "metadata": {"name": "a"}, "other": 1,
            "spec": {
                "size": null, "unknown": 1, "labels": {"a": "b"}, "free": {"x": [1]}, "list": [{"b": 1}], "maybe": null,
            },
        });
        assert_eq!(
            decoded(object, &schema),
            json!({
                "kind": "Widget", "metadata": {"name": "a"}, "status": {"observedGeneration": -1},
                "spec": {"size": 1, "labels": {"a": "b"}, "free": {"x": [1]}, "list": [{"a": "x"}], "maybe": null},
            })
        );
    }

    #[test]
    fn a_null_that_is_not_allowed_means_nothing_at_all() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}});
        assert_eq!(decoded(json!({"spec": {"a": null}}), &schema), json!({"spec": {}}));
    }

    #[test]
    fn rules_are_found_wherever_they_are() {
        assert!(has_rules(&json!({"properties": {"spec": {"x-kubernetes-validations": []}}})));
        assert!(!has_rules(&json!({"properties": {"spec": {"type": "object"}}})));
    }
}
