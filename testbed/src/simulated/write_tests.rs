//! Creating and changing objects, with the answers of the real API server.
use serde_json::json;

use crate::simulated::support::{config_map, path, send, server, widget, widgets};

const LIST: &str = "/apis/example.dev/v1/namespaces/default/widgets";

#[tokio::test(start_paused = true)]
async fn what_is_made_has_defaults_and_no_status_of_its_own() {
    let client = server().client("test");
    let mut given = widget("a");
    given["status"] = json!({"id": "mine"});
    given["spec"]["unknown"] = json!(1);
    let (code, made) = send(&client, "POST", LIST, &given).await;
    assert_eq!(code, 201);
    assert_eq!(made["spec"], json!({"name": "a", "size": 1}));
    assert_eq!(made["status"], json!({"observedGeneration": -1}));
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["metadata"]["creationTimestamp"], "2026-01-01T00:00:00Z");
    let (code, refused) = send(&client, "POST", LIST, &widget("a")).await;
    assert_eq!((code, refused["reason"].as_str()), (409, Some("AlreadyExists")));
    assert_eq!(refused["message"], "widgets.example.dev \"a\" already exists");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_refused() {
    let client = server().client("test");
    let mut versioned = widget("a");
    versioned["metadata"]["resourceVersion"] = json!("7");
    let mut elsewhere = widget("a");
    elsewhere["metadata"]["namespace"] = json!("other");
    let mut nameless = widget("a");
    nameless["spec"] = json!({});
    let mut foreign = widget("a");
    foreign["apiVersion"] = json!("example.dev/v2");
    for (wrong, expected) in [(versioned, 500), (elsewhere, 400), (nameless, 422), (foreign, 400)] {
        assert_eq!(send(&client, "POST", LIST, &wrong).await.0, expected, "{wrong}");
    }
    let nowhere = "/apis/example.dev/v1/namespaces/nowhere/widgets";
    let mut lost = widget("a");
    lost["metadata"]["namespace"] = json!("nowhere");
    let (code, refused) = send(&client, "POST", nowhere, &lost).await;
    assert_eq!((code, refused["message"].as_str()), (404, Some("namespaces \"nowhere\" not found")));
}

#[tokio::test(start_paused = true)]
async fn names_are_generated() {
    let client = server().client("test");
    let mut given = widget("");
    given["spec"]["name"] = json!("x");
    given["metadata"] = json!({"generateName": "w-"});
    let (_, first) = send(&client, "POST", LIST, &given).await;
    let (_, second) = send(&client, "POST", LIST, &given).await;
    assert_ne!(first["metadata"]["name"], second["metadata"]["name"]);
    assert!(first["metadata"]["name"].as_str().unwrap().starts_with("w-"));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_may_have_been_generated_is_refused_in_other_words() {
    let client = server().client("test");
    let mut given = widget("a");
    given["metadata"]["generateName"] = json!("w-");
    given["metadata"]["resourceVersion"] = json!("0");
    assert_eq!(send(&client, "POST", LIST, &given).await.0, 201);
    let (code, refused) = send(&client, "POST", LIST, &given).await;
    assert_eq!((code, &refused["details"]["retryAfterSeconds"]), (409, &json!(1)));
    assert_eq!(
        refused["message"],
        "widgets.example.dev \"a\" already exists, the server was not able to generate a unique name for the object"
    );
}

#[tokio::test(start_paused = true)]
async fn events_are_checked_and_counted_on() {
    let client = server().client("test");
    let events = "/apis/events.k8s.io/v1/namespaces/default/events";
    let mut event = json!({
        "metadata": {"name": "a.1"}, "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Made", "action": "Make",
        "reportingController": "portico", "reportingInstance": "portico", "regarding": {"namespace": "default", "name": "a"},
    });
    let (code, made) = send(&client, "POST", events, &event).await;
    assert_eq!((code, &made["deprecatedSource"]), (201, &json!({})));
    let series = json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:09.000000Z"}});
    let (code, counted) = send(&client, "PATCH merge", &format!("{events}/a.1"), &series).await;
    assert_eq!((code, &counted["series"]["count"]), (200, &json!(2)));
    let (code, refused) = send(&client, "PATCH merge", &format!("{events}/a.1"), &json!({"action": "Break"})).await;
    assert_eq!(code, 422);
    assert_eq!(refused["message"], "Event \"a.1\" is invalid: action: Invalid value: \"Break\": field is immutable");
    event["eventTime"] = json!(null);
    assert_eq!(send(&client, "POST", events, &event).await.0, 422);
}

#[tokio::test(start_paused = true)]
async fn a_status_patch_changes_nothing_but_the_status_even_where_it_names_another_uid() {
    let server = server();
    let client = server.client("test");
    let made = server.create("user", widget("a")).unwrap();
    let patch = json!({
        "metadata": {"uid": "another", "finalizers": ["x/y"]}, "spec": {"size": 9}, "status": {"id": "7"},
    });
    let (code, patched) = send(&client, "PATCH merge", &format!("{}/status", path("a")), &patch).await;
    assert_eq!(code, 200);
    assert_eq!(patched["status"], json!({"observedGeneration": -1, "id": "7"}));
    assert_eq!(patched["spec"], made["spec"]);
    assert_eq!(patched["metadata"]["uid"], made["metadata"]["uid"]);
    assert!(patched["metadata"]["finalizers"].is_null());
    assert_eq!(patched["metadata"]["generation"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_patch_of_the_resource_itself_minds_the_uid_and_the_version() {
    let server = server();
    let client = server.client("test");
    let made = server.create("user", widget("a")).unwrap();
    let other = json!({"metadata": {"uid": "another"}});
    let (code, refused) = send(&client, "PATCH merge", &path("a"), &other).await;
    assert_eq!((code, refused["reason"].as_str()), (422, Some("Invalid")));
    assert_eq!(
        refused["message"],
        "Widget.example.dev \"a\" is invalid: metadata.uid: Invalid value: \"another\": field is immutable"
    );
    let stale = json!({"metadata": {"uid": "another", "resourceVersion": "1"}});
    for subresource in ["", "/status"] {
        let (code, refused) = send(&client, "PATCH merge", &format!("{}{subresource}", path("a")), &stale).await;
        assert_eq!((code, refused["reason"].as_str()), (409, Some("Conflict")));
    }
    assert_eq!(server.get("widgets.example.dev", "default", "a").unwrap(), made);
}

#[tokio::test(start_paused = true)]
async fn the_generation_counts_changes_of_the_spec_and_the_status_is_not_changed_there() {
    let server = server();
    let client = server.client("test");
    server.create("user", widget("a")).unwrap();
    let (_, labelled) =
        send(&client, "PATCH merge", &path("a"), &json!({"metadata": {"labels": {"x": "y"}}, "status": {"id": "1"}}))
            .await;
    assert_eq!((&labelled["metadata"]["generation"], &labelled["status"]["id"]), (&json!(1), &json!(null)));
    let (_, grown) =
        send(&client, "PATCH json", &path("a"), &json!([{"op": "replace", "path": "/spec/size", "value": 3}])).await;
    assert_eq!((&grown["metadata"]["generation"], &grown["spec"]["size"]), (&json!(2), &json!(3)));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_changes_nothing_has_no_version_of_its_own() {
    let server = server();
    let made = server.create("user", config_map("a")).unwrap();
    let same = server.patch("user", "configmaps", "default", "a", "", &json!({"data": {"a": "1"}})).unwrap();
    assert_eq!(same, made);
    // A custom resource is stored without its defaults, so the first such write does change it.
    let made = server.create("user", widget("a")).unwrap();
    let patch = |server: &crate::simulated::Simulated| {
        server.patch("user", "widgets.example.dev", "default", "a", "", &json!({})).unwrap()
    };
    let first = patch(&server);
    assert_ne!(first["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    assert_eq!(patch(&server), first);
}

#[tokio::test(start_paused = true)]
async fn a_put_needs_the_version_where_the_kind_says_so() {
    let server = server();
    let client = server.client("test");
    let made = server.create("user", widget("a")).unwrap();
    let (code, refused) = send(&client, "PUT", &path("a"), &widget("a")).await;
    assert_eq!((code, refused["details"]["kind"].as_str()), (422, Some("widgets")));
    let (code, _) = send(&client, "PUT", &path("a"), &made).await;
    assert_eq!(code, 200);
    let mut other = made;
    other["metadata"]["uid"] = json!("another");
    let (code, refused) = send(&client, "PUT", &path("a"), &other).await;
    assert_eq!(code, 409);
    assert!(
        refused["message"].as_str().unwrap().contains("Key: /registry/example.dev/widgets/default/a,"),
        "{refused}"
    );
    server.create("user", config_map("a")).unwrap();
    let (code, _) = send(&client, "PUT", "/api/v1/namespaces/default/configmaps/a", &config_map("a")).await;
    assert_eq!(code, 200);
    let (code, _) = send(&client, "PUT", "/api/v1/namespaces/default/configmaps/b", &config_map("b")).await;
    assert_eq!(code, 404);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_made_by_a_put() {
    let client = server().client("test");
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let mut lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a", "resourceVersion": "7"}});
    assert_eq!(send(&client, "PUT", &format!("{leases}/a"), &lease).await.0, 201);
    lease["metadata"] = json!({"name": "b", "uid": "gone"});
    assert_eq!(send(&client, "PUT", &format!("{leases}/b"), &lease).await.0, 409);
}

#[tokio::test(start_paused = true)]
async fn an_apply_makes_and_merges_and_minds_who_owns_what() {
    let server = server();
    let client = server.client("test");
    let uri = |manager: &str, force: &str| format!("{}?fieldManager={manager}{force}", path("a"));
    let config = |size: u64| json!({"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"name": "a", "size": size}});
    assert_eq!(send(&client, "PATCH apply", &uri("one", ""), &config(2)).await.0, 201);
    assert_eq!(send(&client, "PATCH apply", &uri("two", ""), &config(2)).await.0, 200);
    let (code, refused) = send(&client, "PATCH apply", &uri("two", ""), &config(3)).await;
    assert_eq!(code, 409);
    assert_eq!(refused["message"], "Apply failed with 1 conflict: conflict with \"one\": .spec.size");
    assert_eq!(send(&client, "PATCH apply", &uri("two", "&force=true"), &config(3)).await.1["spec"]["size"], 3);
    assert_eq!(send(&client, "PATCH apply", &path("a"), &config(3)).await.0, 422);
}

#[tokio::test(start_paused = true)]
async fn typed_clients_work_as_with_a_real_one() {
    let server = server();
    let api = widgets(server.client("test"));
    server.create("user", widget("a")).unwrap();
    assert_eq!(api.get("a").await.unwrap().data["spec"]["size"], 1);
    assert!(api.get_opt("b").await.unwrap().is_none());
    assert_eq!(api.get_metadata("a").await.unwrap().metadata.generation, Some(1));
}
