//! Deleting, with the answers of the real API server.
use serde_json::{Value, json};

use crate::simulated::{
    Simulated,
    support::{config_map, path, send, server, widget},
};

fn held(server: &Simulated) -> Value {
    let mut object = widget("a");
    object["metadata"]["finalizers"] = json!(["x/y"]);
    server.create("user", object).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_nothing_holds_is_gone_at_once() {
    let server = server();
    let client = server.client("test");
    let made = server.create("user", widget("a")).unwrap();
    let (code, status) = send(&client, "DELETE", &path("a"), &Value::Null).await;
    assert_eq!(code, 200);
    let details = json!({"name": "a", "group": "example.dev", "kind": "widgets", "uid": made["metadata"]["uid"]});
    assert_eq!(
        status,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
    );
    assert_eq!(send(&client, "DELETE", &path("a"), &Value::Null).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_marked_until_the_last_finalizer_goes() {
    let server = server();
    let client = server.client("test");
    let made = held(&server);
    let (code, marked) = send(&client, "DELETE", &path("a"), &Value::Null).await;
    assert_eq!(code, 200);
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    assert_eq!(marked["metadata"]["generation"], 2);
    let (_, again) = send(&client, "DELETE", &path("a"), &Value::Null).await;
    assert_eq!(again, marked);
    let (_, refused) =
        send(&client, "PATCH merge", &path("a"), &json!({"metadata": {"finalizers": ["x/y", "z/z"]}})).await;
    assert!(refused["message"].as_str().unwrap().contains("no new finalizers can be added"), "{refused}");
    let (code, refused) = send(&client, "POST", "/apis/example.dev/v1/namespaces/default/widgets", &widget("a")).await;
    assert_eq!(code, 409);
    assert!(refused["message"].as_str().unwrap().starts_with("object is being deleted: "));
    let (code, last) = send(&client, "PATCH merge", &path("a"), &json!({"metadata": {"finalizers": null}})).await;
    // The answer shows the version that the object had, although a newer one is what removed it.
    assert_eq!((code, &last["metadata"]["resourceVersion"]), (200, &marked["metadata"]["resourceVersion"]));
    assert!(last["metadata"]["finalizers"].is_null());
    assert_eq!(last["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(send(&client, "GET", &path("a"), &Value::Null).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn what_is_marked_is_stored_with_its_defaults() {
    let server = server();
    let client = server.client("test");
    held(&server);
    let (_, marked) = send(&client, "DELETE", &path("a"), &Value::Null).await;
    // Without the mark this would store the status, which nobody wrote, and so be a change.
    let (_, same) = send(&client, "PATCH merge", &path("a"), &json!({})).await;
    assert_eq!(same, marked);
}

#[tokio::test(start_paused = true)]
async fn preconditions_hold() {
    let server = server();
    let client = server.client("test");
    let made = server.create("user", widget("a")).unwrap();
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let (code, refused) = send(&client, "DELETE", &path("a"), &json!({"preconditions": {"uid": "other"}})).await;
    assert_eq!(code, 409);
    assert_eq!(
        refused["message"],
        format!(
            "Operation cannot be fulfilled on Widget.example.dev \"a\": the UID in the precondition (other) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        )
    );
    let (code, _) =
        send(&client, "DELETE", &path("a"), &json!({"preconditions": {"uid": uid, "resourceVersion": "1"}})).await;
    assert_eq!(code, 409);
    let version = &made["metadata"]["resourceVersion"];
    let (code, _) =
        send(&client, "DELETE", &path("a"), &json!({"preconditions": {"uid": uid, "resourceVersion": version}})).await;
    assert_eq!(code, 200);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_on_its_way_out_takes_nothing_new() {
    let server = server();
    let client = server.client("test");
    server.create("user", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})).unwrap();
    let mut map = config_map("a");
    map["metadata"]["namespace"] = json!("n");
    server.create("user", map.clone()).unwrap();
    let (code, marked) = send(&client, "DELETE", "/api/v1/namespaces/n", &Value::Null).await;
    assert_eq!((code, marked["status"]["phase"].as_str()), (200, Some("Terminating")));
    assert!(marked["metadata"]["deletionGracePeriodSeconds"].is_null());
    map["metadata"]["name"] = json!("b");
    let (code, refused) = send(&client, "POST", "/api/v1/namespaces/n/configmaps", &map).await;
    assert_eq!((code, refused["reason"].as_str()), (403, Some("Forbidden")));
    assert_eq!(
        refused["message"],
        "configmaps \"b\" is forbidden: unable to create new content in namespace n because it is being terminated"
    );
    assert_eq!(refused["details"]["causes"][0]["reason"], "NamespaceTerminating");
    // What is there can still be changed.
    assert!(server.patch("user", "configmaps", "n", "a", "", &json!({"data": {"a": "2"}})).is_ok());
    let (code, _) = send(&client, "DELETE", "/api/v1/namespaces/kube-system", &Value::Null).await;
    assert_eq!(code, 403);
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_deleted_by_label() {
    let server = server();
    let client = server.client("test");
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web")] {
        let mut map = config_map(name);
        map["metadata"]["labels"] = json!({"tier": tier});
        server.create("user", map).unwrap();
    }
    let uri = "/api/v1/namespaces/default/configmaps?labelSelector=tier%3Dweb";
    let (code, list) = send(&client, "DELETE", uri, &Value::Null).await;
    assert_eq!((code, list["items"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(server.list("configmaps", Some("default")).len(), 1);
}
