//! Ownership and server-side apply, without a server.
use serde_json::json;

use super::*;
use crate::simulated::resource::builtins;

fn config_maps() -> Resource {
    builtins().find(|resource| resource.plural == "configmaps").unwrap()
}

fn writer<'a>(name: &'a str, resource: &'a Resource) -> Writer<'a> {
    Writer { name, resource, subresource: "" }
}

fn config(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

#[test]
fn what_is_not_applied_any_more_goes_and_what_others_hold_stays() {
    let maps = config_maps();
    let one = json!({"a": "1", "b": "1"});
    let (object, managers) = applied(None, &[], &writer("one", &maps), &config(&one), false).unwrap();
    let (object, managers) =
        applied(Some(&object), &managers, &writer("two", &maps), &config(&json!({"b": "1", "c": "1"})), false).unwrap();
    assert_eq!(object["data"], json!({"a": "1", "b": "1", "c": "1"}));
    let (object, managers) =
        applied(Some(&object), &managers, &writer("one", &maps), &config(&json!({"d": "1"})), false).unwrap();
    assert_eq!(object["data"], json!({"b": "1", "c": "1", "d": "1"}));
    let (object, _) = applied(Some(&object), &managers, &writer("two", &maps), &config(&json!({})), false).unwrap();
    assert_eq!(object["data"], json!({"d": "1"}));
}

#[test]
fn a_field_of_somebody_else_is_changed_only_by_force() {
    let maps = config_maps();
    let made = config(&json!({"a": "1"}));
    let managers = written(&[], &writer("user", &maps), None, &made);
    let two = config(&json!({"a": "2"}));
    let refusal = applied(Some(&made), &managers, &writer("one", &maps), &two, false).unwrap_err();
    assert_eq!(refusal.message, "Apply failed with 1 conflict: conflict with \"user\" using v1: .data.a");
    let (object, managers) = applied(Some(&made), &managers, &writer("one", &maps), &two, true).unwrap();
    assert_eq!(object["data"], json!({"a": "2"}));
    assert_eq!(managers.len(), 1);
    // The same value is shared, not fought about.
    assert!(applied(Some(&object), &managers, &writer("three", &maps), &two, false).is_ok());
}

#[test]
fn a_write_that_changes_nothing_owns_nothing() {
    let maps = config_maps();
    let made = config(&json!({"a": "1"}));
    let managers = written(&[], &writer("user", &maps), None, &made);
    assert_eq!(written(&managers, &writer("other", &maps), Some(&made), &made), managers);
    let changed = config(&json!({"a": "1", "b": "2"}));
    let after = written(&managers, &writer("other", &maps), Some(&made), &changed);
    assert_eq!(after.len(), 2);
    let gone = config(&json!({"b": "2"}));
    assert_eq!(written(&after, &writer("third", &maps), Some(&changed), &gone).len(), 1);
}

#[test]
fn finalizers_are_a_set() {
    let maps = config_maps();
    let with = |finalizers: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": finalizers}});
    let (object, managers) = applied(None, &[], &writer("one", &maps), &with(json!(["x/a"])), false).unwrap();
    let (object, managers) =
        applied(Some(&object), &managers, &writer("two", &maps), &with(json!(["x/b"])), false).unwrap();
    assert_eq!(object["metadata"]["finalizers"], json!(["x/a", "x/b"]));
    let (object, _) = applied(Some(&object), &managers, &writer("one", &maps), &with(json!([])), false).unwrap();
    assert_eq!(object["metadata"]["finalizers"], json!(["x/b"]));
}
