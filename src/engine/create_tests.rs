//! What a create sends, by what its result is known again, and what is said meanwhile.
use serde_json::json;

use super::*;
use crate::engine::desired::Desired;

#[test]
fn what_was_sent_is_known_again_in_the_answer_whatever_the_server_adds() {
    let fields = vec!["name".to_owned(), "description".to_owned()];
    let sent = digest(&fields, &json!({"name": "a", "description": ""}));
    assert_eq!(sent, digest(&fields, &json!({"id": "1", "description": null, "name": "a", "created_at": "now"})));
    assert_ne!(sent, digest(&fields, &json!({"name": "a", "description": "changed since"})));
}

#[test]
fn what_an_object_keeps_for_ever_tells_also_where_it_lies_deeper() {
    let Value::Object(body) = json!({"hostname": "a.b", "ssl": {"method": "http", "key": "k"}}) else { panic!() };
    let desired = Desired { fixed: &["hostname", "ssl.method", "ssl.none"], body: body.clone(), ..Desired::new() };
    let fields = telling_fields(&desired, &body);
    assert_eq!(fields, ["hostname", "ssl.method"]);
    let sent = digest(&fields, &Value::Object(body));
    assert_eq!(sent, digest(&fields, &json!({"hostname": "a.b", "ssl": {"method": "http", "state": "pending"}})));
    assert_ne!(sent, digest(&fields, &json!({"hostname": "a.b", "ssl": {"method": "custom"}})));
    assert_ne!(sent, digest(&fields, &json!({"hostname": "a.b"})));
}

#[test]
fn a_create_sends_no_nulls() {
    let Value::Object(desired) = json!({"name": "a", "description": null, "labels": {"x": null, "y": "1"}}) else {
        panic!()
    };
    assert_eq!(Value::Object(fresh_body(&desired)), json!({"name": "a", "labels": {"y": "1"}}));
}

#[test]
fn while_an_object_is_being_made_it_is_not_ready_and_portico_is_at_it() {
    let (creating, doing) = being_created();
    assert_eq!((creating.holds, creating.reason), (Tri::False, Reason::Creating));
    assert_eq!((doing.holds, doing.reason), (Tri::True, Reason::Creating));
}
