//! What differs, what is hidden, and what tells objects apart.
use serde_json::json;

use super::*;

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("not a map"),
    }
}

fn wants(value: Value) -> Desired {
    Desired { body: map(value), ..Desired::default() }
}

fn paths(want: Value, found: &Value) -> Vec<String> {
    diff(&wants(want), found).iter().map(|d| d.item().path).collect()
}

/// As ACP's kinds want it.
fn server(value: Value) -> Desired {
    Desired {
        rules: &[
            ("ttl", How::Duration),
            ("types", How::Set),
            ("auth.methods", How::Keyed("id")),
            ("auth.methods.oidc.scopes", How::Set),
            ("uses", How::Named("id")),
            ("scopes", How::Map),
            ("context", How::Exact),
        ],
        secrets: &["client_secret"],
        unsent: &["tenant_id"],
        absent_is_zero: true,
        ..wants(value)
    }
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
fn where_absent_is_the_zero_value_all_zero_values_are_equal_to_it() {
    for zero in [json!(false), json!(""), json!([]), json!(0), json!({}), json!(null)] {
        assert_eq!(diff(&server(json!({"d": zero})), &json!({})), []);
    }
    assert_eq!(diff(&server(json!({"d": []})), &json!({"d": ["x"]})).len(), 1);
    assert_eq!(diff(&server(json!({"d": true})), &json!({})).len(), 1);
}

#[test]
fn what_can_be_written_in_several_ways_is_no_drift() {
    let found = json!({"ttl": "1h30m0s", "types": ["b", "a"], "scopes": {}});
    assert_eq!(diff(&server(json!({"ttl": "90m", "types": ["a", "b", "a"], "scopes": {}})), &found), []);
    let differing = diff(&server(json!({"ttl": "91m", "types": ["a"], "scopes": {"x": {"y": 1}}})), &found);
    assert_eq!(differing.iter().map(|d| d.item().path).collect::<Vec<_>>(), ["scopes.x.y", "ttl", "types"]);
}

#[test]
fn entries_are_compared_by_their_key_and_none_may_be_left_over() {
    let want = json!({"auth": {"methods": [{"id": "b", "oidc": {"scopes": ["x", "y"]}}, {"id": "a", "name": "A"}]}});
    let same = json!({"auth": {"methods": [{"id": "a", "name": "A", "disabled": false}, {"id": "b", "oidc": {"scopes": ["y", "x"], "issuer": ""}}]}});
    assert_eq!(diff(&server(want.clone()), &same), []);
    let other =
        json!({"auth": {"methods": [{"id": "a", "name": "B"}, {"id": "c", "oidc": {"client_secret": "hunter2"}}]}});
    let differences = diff(&server(want), &other);
    let shown: Vec<_> = differences.iter().map(|d| d.item().path).collect();
    assert_eq!(shown, ["auth.methods.b", "auth.methods.a.name", "auth.methods.c"]);
    assert!(!format!("{differences:?}").contains("hunter2"), "{differences:?}");
}

#[test]
fn a_map_that_the_spec_owns_has_no_other_keys() {
    assert_eq!(
        paths_of(&server(json!({"scopes": {"a": {"p": 1}}})), &json!({"scopes": {"a": {"p": 1}, "b": {"p": 2}}})),
        ["scopes.b"]
    );
    let also = json!({"scopes": {"a": {"p": 1, "q": 2}, "b": {}}});
    assert!(paths_of(&server(json!({"scopes": {"a": {"p": 1}}})), &also).is_empty());
}

#[test]
fn a_value_that_the_spec_owns_holds_nothing_else_at_any_depth() {
    let want = server(json!({"context": {"home": {"street": "x"}}}));
    assert!(paths_of(&want, &json!({"context": {"home": {"street": "x", "floor": null}}})).is_empty());
    assert_eq!(paths_of(&want, &json!({"context": {"home": {"street": "x", "floor": 2}}})), ["context"]);
    for zero in [json!(false), json!(0), json!(""), json!([]), json!({})] {
        assert_eq!(paths_of(&want, &json!({"context": {"home": {"street": "x"}, "more": zero}})), ["context"]);
    }
    assert!(paths_of(&server(json!({"context": {}})), &json!({})).is_empty());
}

fn paths_of(desired: &Desired, found: &Value) -> Vec<String> {
    diff(desired, found).iter().map(|d| d.item().path).collect()
}

#[test]
fn a_secret_that_the_api_does_not_show_is_known_by_its_digest() {
    let mut want = server(json!({"client_secret": "hunter2"}));
    assert_eq!(diff(&want, &json!({}))[0].item().want, format!("{HIDDEN:?}"));
    assert_eq!(diff(&want, &json!({"client_secret": "other"}))[0].item().found, format!("{HIDDEN:?}"));
    assert_eq!(diff(&want, &json!({"client_secret": "hunter2"})), []);
    want.acknowledged = BTreeSet::from(["client_secret".to_owned()]);
    assert_eq!(diff(&want, &json!({})), []);
    assert_eq!(diff(&want, &json!({"client_secret": "other"})).len(), 1);
}

#[test]
fn secrets_have_the_same_paths_in_what_is_wanted_and_in_what_differs() {
    let want =
        server(json!({"client_secret": "a", "auth": {"methods": [{"id": "m", "oidc": {"client_secret": "b"}}]}}));
    let wanted: BTreeSet<String> = secrets(&want).into_iter().map(|(path, _)| path).collect();
    let differing = diff(&want, &json!({"auth": {"methods": [{"id": "m"}]}}));
    let differing: BTreeSet<String> = differing.into_iter().map(|d| d.item().path).collect();
    assert!(differing.contains("client_secret") && differing.contains("auth.methods.m.oidc.client_secret"));
    assert_eq!(wanted, BTreeSet::from(["auth.methods.m.oidc.client_secret".to_owned(), "client_secret".to_owned()]));
}

#[test]
fn what_tells_an_object_from_others_of_its_name_does_so_where_it_lies_deeper() {
    let body = map(json!({"type": "oidc", "config": {"issuer_url": "https://a.example.com", "scopes": ["email"]}}));
    let telling: &[&str] = &["config.issuer_url", "config.idp_metadata_url"];
    let desired = Desired { telling, ..wants(Value::Object(body.clone())) };
    assert_eq!(telling_fields(&desired, &body), ["type", "config.issuer_url"]);
}

#[test]
fn what_stays_empty_where_it_is_not_sent_tells_whether_it_is_sent_or_not() {
    let fields = |body: Value| {
        let desired = Desired { telling: &["description"], ..wants(body) };
        telling_fields(&desired, &desired.body)
    };
    assert_eq!(fields(json!({"name": "a"})), ["name", "description"]);
    assert_eq!(fields(json!({"description": "b"})), ["description"]);
}

#[test]
fn lists_of_one_length_are_compared_item_by_item_and_others_as_a_whole() {
    let want = json!({"steps": [{"wait": 1}, {"wait": 2}]});
    let found = json!({"steps": [{"wait": 1, "id": "a"}, {"wait": 3, "id": "b"}]});
    assert_eq!(paths(want.clone(), &found), ["steps.1.wait"]);
    assert_eq!(paths(want, &json!({"steps": [{"wait": 1}]})), ["steps"]);
}

#[test]
fn secrets_are_hidden_wherever_they_lie_and_nothing_else_is() {
    let mut value = json!({"name": "a", "client_secret": "", "keys": [{"id": "k", "client_secret": "hunter2"}]});
    hide(&mut value, &["client_secret"]);
    assert_eq!(value, json!({"name": "a", "client_secret": "", "keys": [{"id": "k", "client_secret": HIDDEN}]}));
}

#[test]
fn only_plain_values_that_are_written_in_one_way_and_are_no_secret_tell() {
    let sent = json!({
        "name": "a",
        "tags": ["x"],
        "ttl": "1h",
        "client_secret": "hunter2",
        "auth": {"methods": []},
        "rows": [{"id": "r"}],
        "grid": [["x"]],
    });
    let desired = server(sent);
    assert_eq!(telling_fields(&desired, &desired.body), ["name", "tags"]);
}
