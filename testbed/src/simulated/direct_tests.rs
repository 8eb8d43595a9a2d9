//! What worlds and checks of laws use.
use serde_json::json;

use crate::simulated::{
    Verb,
    support::{config_map, path, send, server, widget},
};

#[tokio::test(start_paused = true)]
async fn put_makes_and_replaces_and_leaves_alone_what_it_does_not_name() {
    let server = server();
    server.put("user", widget("a")).unwrap();
    server
        .patch("other", "widgets.example.dev", "default", "a", "", &json!({"metadata": {"finalizers": ["x/y"]}}))
        .unwrap();
    server.patch("other", "widgets.example.dev", "default", "a", "status", &json!({"status": {"id": "7"}})).unwrap();
    let mut edited = widget("a");
    edited["spec"] = json!({"name": "b"});
    let put = server.put("user", edited).unwrap();
    assert_eq!(put["spec"], json!({"name": "b", "size": 1}));
    assert_eq!(put["metadata"]["finalizers"], json!(["x/y"]));
    assert_eq!((&put["status"]["id"], &put["metadata"]["generation"]), (&json!("7"), &json!(2)));
    assert_eq!(server.list("widgets.example.dev", None), [put]);
}

#[tokio::test(start_paused = true)]
async fn every_write_is_recorded_with_what_became_of_it() {
    let server = server();
    let before = server.history().len();
    let client = server.client("operator");
    let made = server.create("user", widget("a")).unwrap();
    send(&client, "PATCH merge", &path("a"), &json!({"spec": {"size": 2}})).await;
    send(&client, "PATCH merge", &path("a"), &json!({"spec": {"size": 2}})).await;
    send(&client, "PATCH merge", &path("b"), &json!({})).await;
    send(&client, "GET", &path("a"), &json!(null)).await;
    server.delete("user", "widgets.example.dev", "default", "a").unwrap();
    let history = server.history_since(before);
    let told: Vec<_> = history.iter().map(|w| (w.actor.as_str(), w.verb, w.code, w.version.is_some())).collect();
    let expected: [(&str, Verb, u16, bool); 5] = [
        ("user", Verb::Create, 201, true),
        ("operator", Verb::Patch, 200, true),
        ("operator", Verb::Patch, 200, false),
        ("operator", Verb::Patch, 404, false),
        ("user", Verb::Delete, 200, true),
    ];
    assert_eq!(told, expected);
    assert!([0, 1, 4].iter().all(|index| history[*index].uid == made["metadata"]["uid"].as_str().unwrap()));
    assert_eq!(history[1].resource, "widgets.example.dev");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_and_the_same_requests_make_the_same_world() {
    let run = || {
        let server = server();
        let mut named = config_map("");
        named["metadata"] = json!({"generateName": "m-", "namespace": "default"});
        server.create("user", named).unwrap();
        server.create("user", widget("a")).unwrap();
        (server.list("configmaps", None), server.list("widgets.example.dev", None), server.version())
    };
    assert_eq!(run(), run());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_is_refused() {
    let server = server();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default"}});
    assert_eq!(server.create("user", pod).unwrap_err().code, 404);
    assert_eq!(server.delete("user", "pods", "default", "a").unwrap_err().code, 404);
    assert!(server.get("pods", "default", "a").is_none());
}
