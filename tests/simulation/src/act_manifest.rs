//! What users write to Kubernetes: manifests, changes of specs, Secrets. They keep to the rules of the CRDs, since the simulated API server
//! does not check those.
use serde_json::{Map, Value, json};

use super::{USER, id_of, rules};
use crate::{
    laws::{
        look::{is_deleting, kind, name, namespace},
        notes::{FOREIGN, FOREIGN_TOKEN},
        sorts::text,
    },
    world::World,
};

/// Applies a manifest: made, or its spec replaced.
pub(super) fn apply(world: &World, given: &Value) -> Result<(), String> {
    let object = with_ids(world, &world.filled(given));
    let resource = World::resource(kind(&object));
    let old = world.kubernetes.get(resource, namespace(&object), name(&object));
    if old.as_ref().is_some_and(is_deleting) {
        return Err("it is still being deleted".to_owned());
    }
    rules::check(kind(&object), &object["spec"], old.as_ref().map(|old| &old["spec"]))?;
    world.kubernetes.put(USER, object).map_err(|refusal| refusal.to_string())?;
    Ok(())
}

/// Merges a change into the spec of a resource.
pub(super) fn edit(world: &World, (kind, namespace, name): (&str, &str, &str), spec: &Value) -> Result<(), String> {
    let resource = World::resource(kind);
    let old = world.kubernetes.get(resource, namespace, name).ok_or("it is not there")?;
    if is_deleting(&old) {
        return Err("it is being deleted".to_owned());
    }
    let change = with_ids(world, &world.filled(spec));
    let mut new = old["spec"].clone();
    merge(&mut new, &change);
    rules::check(kind, &new, Some(&old["spec"]))?;
    let patch = json!({"spec": change});
    world.kubernetes.patch(USER, resource, namespace, name, "", &patch).map_err(|refusal| refusal.to_string())?;
    Ok(())
}

/// Writes a Secret, whole.
pub(super) fn secret(world: &World, namespace: &str, name: &str, data: &[(String, String)]) -> Result<(), String> {
    let mut values = Map::new();
    for (key, value) in data {
        let value = world.filled(&json!(value));
        // It is good, but somewhere else.
        if text(&value).starts_with(FOREIGN_TOKEN) {
            world.sandbox.accept(FOREIGN, text(&value));
        }
        values.insert(key.clone(), value);
    }
    let old = world.kubernetes.get("secrets", namespace, name);
    // A Secret keeps its type.
    let type_ = old.as_ref().map_or("Opaque", |old| text(&old["type"]));
    let object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": type_,
        "stringData": values,
    });
    world.kubernetes.put(USER, object).map_err(|refusal| refusal.to_string())?;
    Ok(())
}

/// A manifest with ids in the place of `${id:Kind:key}`; what is not there stays as it is written.
fn with_ids(world: &World, value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let named = text.strip_prefix("${id:").and_then(|rest| rest.strip_suffix('}'));
            let id = named.and_then(|named| named.split_once(':')).and_then(|(kind, key)| id_of(world, kind, key));
            id.map_or_else(|| value.clone(), Value::String)
        }
        Value::Array(items) => items.iter().map(|item| with_ids(world, item)).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(key, member)| (key.clone(), with_ids(world, member))).collect())
        }
        other => other.clone(),
    }
}

/// Merges a change into a value, as a merge patch does.
fn merge(value: &mut Value, change: &Value) {
    let Value::Object(members) = change else {
        value.clone_from(change);
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    for (key, change) in members {
        if change.is_null() {
            if let Some(value) = value.as_object_mut() {
                value.remove(key);
            }
        } else {
            merge(&mut value[key.as_str()], change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_merged() {
        let mut spec = json!({"a": 1, "b": {"c": 2, "d": 3}});
        merge(&mut spec, &json!({"a": null, "b": {"c": 4}, "e": {"f": 5}}));
        assert_eq!(spec, json!({"b": {"c": 4, "d": 3}, "e": {"f": 5}}));
    }
}
