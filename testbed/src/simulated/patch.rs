//! JSON merge patches (RFC 7396) and JSON patches (RFC 6902), with the habits of the library that `kube-apiserver` uses
//! (`gopkg.in/evanphx/json-patch.v4`).
use serde_json::{Map, Value};

/// Applies a merge patch to an object. False where the patch is not one.
pub(super) fn merge(object: &mut Value, patch: &Value) -> bool {
    let (Some(object), Some(patch)) = (object.as_object_mut(), patch.as_object()) else { return false };
    merge_objects(object, patch);
    true
}

fn merge_objects(object: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, change) in patch {
        if change.is_null() {
            object.remove(key);
        } else if let (Some(Value::Object(old)), Value::Object(change)) = (object.get_mut(key), change) {
            merge_objects(old, change);
        } else {
            object.insert(key.clone(), without_nulls(change));
        }
    }
}

/// What is new has nothing to remove. Nulls in lists stay.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// Applies a JSON patch. None where it does not apply; the object may be changed in part then.
pub(super) fn json(object: &mut Value, operations: &[Value]) -> Option<()> {
    operations.iter().try_for_each(|operation| apply(object, operation))
}

fn apply(object: &mut Value, operation: &Value) -> Option<()> {
    let path = path(operation["path"].as_str()?)?;
    let from = || operation["from"].as_str().and_then(self::path);
    match operation["op"].as_str()? {
        "add" => add(object, &path, operation.get("value")?.clone()),
        "replace" => replace(object, &path, operation.get("value")?.clone()),
        "remove" => remove(object, &path).map(drop),
        "move" => {
            let moved = remove(object, &from()?)?;
            add(object, &path, moved)
        }
        "copy" => {
            let copied = find(object, &from()?)?.clone();
            add(object, &path, copied)
        }
        "test" => (value(object, &path)? == operation["value"]).then_some(()),
        _ => None,
    }
}

fn path(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let parts = text.strip_prefix('/')?.split('/');
    Some(parts.map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
}

fn find<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Object(map) => map.get_mut(key),
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// What a test sees: a value that is not there equals null.
fn value(object: &mut Value, path: &[String]) -> Option<Value> {
    let Some((key, parent)) = path.split_last() else { return Some(object.clone()) };
    match find(object, parent)? {
        Value::Object(map) => Some(map.get(key).cloned().unwrap_or_default()),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?).cloned(),
        _ => None,
    }
}

/// Takes the place of a value, or its place alone: the library does not mind that a key is not there.
fn replace(object: &mut Value, path: &[String], value: Value) -> Option<()> {
    let Some((key, parent)) = path.split_last() else {
        *object = value;
        return Some(());
    };
    match find(object, parent)? {
        Value::Object(map) => {
            map.insert(key.clone(), value);
        }
        Value::Array(items) => *items.get_mut(key.parse::<usize>().ok()?)? = value,
        _ => return None,
    }
    Some(())
}

fn add(object: &mut Value, path: &[String], value: Value) -> Option<()> {
    let Some((key, parent)) = path.split_last() else {
        *object = value;
        return Some(());
    };
    match find(object, parent)? {
        Value::Object(map) => {
            map.insert(key.clone(), value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let index = key.parse::<usize>().ok().filter(|index| *index <= items.len())?;
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(object: &mut Value, path: &[String]) -> Option<Value> {
    let (key, parent) = path.split_last()?;
    match find(object, parent)? {
        Value::Object(map) => map.remove(key),
        Value::Array(items) => {
            let index = key.parse::<usize>().ok().filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_sets_and_removes() {
        let mut object = json!({"a": {"b": 1, "c": 2}, "list": [1, 2], "text": "x"});
        let patch = json!({"a": {"b": null, "d": {"e": null, "f": 1}}, "list": [{"x": null}], "text": {"y": 1}});
        assert!(merge(&mut object, &patch));
        assert_eq!(object, json!({"a": {"c": 2, "d": {"f": 1}}, "list": [{}], "text": {"y": 1}}));
        assert!(!merge(&mut object, &json!([1])));
    }

    #[test]
    fn a_json_patch_applies_as_a_whole_or_not_at_all() {
        let mut object = json!({"a/b": 1, "list": [1, 2], "c": {"d": 1}});
        let operations = [
            json!({"op": "test", "path": "/a~1b", "value": 1}),
            json!({"op": "add", "path": "/list/1", "value": 9}),
            json!({"op": "add", "path": "/list/-", "value": 3}),
            json!({"op": "remove", "path": "/list/0"}),
            json!({"op": "replace", "path": "/c/d", "value": 5}),
            json!({"op": "copy", "from": "/c/d", "path": "/e"}),
            json!({"op": "move", "from": "/a~1b", "path": "/f"}),
        ];
        assert!(json(&mut object, &operations).is_some());
        assert_eq!(object, json!({"list": [9, 2, 3], "c": {"d": 5}, "e": 5, "f": 1}));
        for wrong in [
            json!({"op": "test", "path": "/e", "value": 6}),
            json!({"op": "remove", "path": "/gone"}),
            json!({"op": "replace", "path": "/gone/deep", "value": 1}),
            json!({"op": "add", "path": "/gone/deep", "value": 1}),
        ] {
            assert!(json(&mut object, &[wrong]).is_none());
        }
    }
}
