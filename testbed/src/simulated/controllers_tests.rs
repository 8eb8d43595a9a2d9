//! Namespaces and CRDs that end, and what belonged to objects that are gone.
use serde_json::{Value, json};

use crate::simulated::{
    Simulated,
    store::State,
    support::{config_map, pass, path, send, server, widget},
};

const WIDGETS: &str = "widgets.example.dev";

/// An API server whose controllers run.
fn running() -> Simulated {
    let server = server();
    tokio::spawn(server.controllers());
    server
}

fn namespaced(mut object: Value, namespace: &str) -> Value {
    object["metadata"]["namespace"] = json!(namespace);
    object
}

fn held(mut object: Value) -> Value {
    object["metadata"]["finalizers"] = json!(["x/y"]);
    object
}

fn owned(mut object: Value, owner: &Value, blocks: bool) -> Value {
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "blockOwnerDeletion": blocks,
    }]);
    object
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_after_all_that_is_in_it() {
    let server = running();
    server.create("user", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})).unwrap();
    for name in ["a", "b", "c"] {
        server.create("user", namespaced(config_map(name), "n")).unwrap();
    }
    server.create("user", held(namespaced(widget("w"), "n"))).unwrap();
    server.delete("user", "namespaces", "", "n").unwrap();
    pass(4).await;
    assert_eq!(server.list("configmaps", Some("n")).len(), 3);
    pass(2).await;
    assert!(server.list("configmaps", Some("n")).is_empty());
    let widget = server.get(WIDGETS, "n", "w").unwrap();
    assert!(!widget["metadata"]["deletionTimestamp"].is_null());
    pass(60).await;
    assert!(server.get("namespaces", "", "n").is_some());
    server.patch("user", WIDGETS, "n", "w", "", &json!({"metadata": {"finalizers": null}})).unwrap();
    pass(10).await;
    assert!(server.get("namespaces", "", "n").is_none());
    let last = server.history().pop().unwrap();
    assert_eq!((last.actor.as_str(), last.subresource.as_str()), ("namespace-controller", "finalize"));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_waits_for_another_look_after_something_in_it_was_held() {
    let server = server();
    server.create("user", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})).unwrap();
    server.create("user", held(namespaced(widget("w"), "n"))).unwrap();
    server.delete("user", "namespaces", "", "n").unwrap();
    pass(5).await;
    // Step by step, so that the widget is let go between its deletion and the end of the look.
    server.with(State::work);
    assert!(!server.get(WIDGETS, "n", "w").unwrap()["metadata"]["deletionTimestamp"].is_null());
    server.patch("user", WIDGETS, "n", "w", "", &json!({"metadata": {"finalizers": null}})).unwrap();
    pass(1).await;
    server.with(State::work);
    assert!(server.get("namespaces", "", "n").is_some());
    for _ in 0..10 {
        pass(1).await;
        server.with(State::work);
    }
    assert!(server.get("namespaces", "", "n").is_none());
}

#[tokio::test(start_paused = true)]
async fn without_controllers_a_namespace_stays() {
    let server = server();
    server.create("user", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})).unwrap();
    server.delete("user", "namespaces", "", "n").unwrap();
    pass(3600).await;
    assert_eq!(server.get("namespaces", "", "n").unwrap()["status"]["phase"], "Terminating");
}

#[tokio::test(start_paused = true)]
async fn a_crd_goes_after_its_objects() {
    let server = running();
    let client = server.client("test");
    server.create("user", held(widget("a"))).unwrap();
    server.create("user", widget("b")).unwrap();
    let definition = "customresourcedefinitions.apiextensions.k8s.io";
    server.delete("user", definition, "", WIDGETS).unwrap();
    let (code, refused) = send(&client, "POST", "/apis/example.dev/v1/namespaces/default/widgets", &widget("c")).await;
    assert_eq!((code, refused["reason"].as_str()), (403, Some("Forbidden")));
    pass(2).await;
    assert!(server.get(WIDGETS, "default", "b").is_none());
    assert!(server.get(definition, "", WIDGETS).is_some());
    server.patch("user", WIDGETS, "default", "a", "", &json!({"metadata": {"finalizers": null}})).unwrap();
    pass(10).await;
    assert!(server.get(definition, "", WIDGETS).is_none());
    assert_eq!(send(&client, "GET", &path("a"), &Value::Null).await, (404, json!("404 page not found\n")));
}

#[tokio::test(start_paused = true)]
async fn dependents_go_when_their_owner_is_gone() {
    let server = running();
    let owner = server.create("user", config_map("owner")).unwrap();
    server.create("user", owned(widget("a"), &owner, false)).unwrap();
    pass(10).await;
    assert!(server.get(WIDGETS, "default", "a").is_some());
    server.delete("user", "configmaps", "default", "owner").unwrap();
    pass(2).await;
    assert!(server.get(WIDGETS, "default", "a").is_none());
    // One that is made again under its name is another.
    server.create("user", config_map("owner")).unwrap();
    server.create("user", owned(widget("b"), &owner, false)).unwrap();
    pass(2).await;
    assert!(server.get(WIDGETS, "default", "b").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_owner_can_wait_for_its_dependents_or_let_them_go() {
    let server = running();
    let client = server.client("test");
    let uri = "/api/v1/namespaces/default/configmaps/owner";
    let owner = server.create("user", config_map("owner")).unwrap();
    server.create("user", held(owned(widget("a"), &owner, true))).unwrap();
    send(&client, "DELETE", uri, &json!({"propagationPolicy": "Foreground"})).await;
    pass(5).await;
    assert!(server.get("configmaps", "default", "owner").is_some());
    assert!(!server.get(WIDGETS, "default", "a").unwrap()["metadata"]["deletionTimestamp"].is_null());
    server.patch("user", WIDGETS, "default", "a", "", &json!({"metadata": {"finalizers": null}})).unwrap();
    pass(5).await;
    assert!(server.get("configmaps", "default", "owner").is_none());

    let owner = server.create("user", config_map("owner")).unwrap();
    server.create("user", owned(widget("b"), &owner, true)).unwrap();
    send(&client, "DELETE", uri, &json!({"propagationPolicy": "Orphan"})).await;
    pass(5).await;
    assert!(server.get("configmaps", "default", "owner").is_none());
    let freed = server.get(WIDGETS, "default", "b").unwrap();
    assert!(freed["metadata"]["ownerReferences"].is_null());
    // It is stored with its defaults now, so there is nothing to change.
    assert_eq!(server.patch("user", WIDGETS, "default", "b", "", &json!({})).unwrap(), freed);
}
