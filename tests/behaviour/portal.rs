//! A portal's life, and what it costs.
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::world::{World, condition};

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_is_made_with_one_write_to_the_api_and_two_to_the_resource() {
    let world = World::new("portal-counts").await;
    world.sandbox.reset_exchanges();
    world.portal("docs", json!({"description": "APIs", "isPublic": true, "labels": {"team": "a"}})).await;
    let portal = world.synced("Portal", "docs").await;
    assert_eq!(portal["status"]["id"], world.only("docs")["id"]);
    assert_eq!(world.only("docs")["labels"]["team"], "a");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.remote_writes(), ["create-portal"]);
    let writes: Vec<String> = world.kubernetes_writes().into_iter().filter(|w| w.ends_with(" docs")).collect();
    assert_eq!(writes, ["patch portals docs", "patch portals/status docs"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_costs_no_write_to_the_api_and_two_to_the_resource() {
    let world = World::new("connection-counts").await;
    world.flush_audit().await;
    assert_eq!(world.remote_writes(), Vec::<String>::new());
    let expected = ["patch konnectconnections acme", "patch konnectconnections/status acme"];
    assert_eq!(world.kubernetes_writes(), expected);
    world.assert_silence(Duration::from_millis(3500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_rest_and_after_a_restart_nothing_is_written() {
    let mut world = World::new("portal-rest").await;
    world.portal("docs", json!({"description": "APIs", "labels": {"team": "a"}})).await;
    world.synced("Portal", "docs").await;
    world.assert_silence(Duration::from_millis(3500)).await;
    assert!(world.calls("list-portals") >= 2, "nobody looked");
    world.stop().await;
    world.flush_audit().await;
    world.sandbox.reset_exchanges();
    let before = world.kubernetes_writes().len();
    world.start();
    tokio::time::sleep(Duration::from_millis(3500)).await;
    world.assert_nothing_written_since(before).await;
    assert!(world.calls("list-portals") >= 2, "nobody looked after the restart");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_hand_is_put_back_and_an_event_says_so() {
    let world = World::new("portal-drift").await;
    world.portal("docs", json!({"description": "ours", "labels": {"team": "a"}})).await;
    let id = world.synced("Portal", "docs").await["status"]["id"].as_str().unwrap().to_owned();
    let change =
        json!({"description": "theirs", "display_name": "unmanaged stays", "labels": {"team": "b", "extra": "stays"}});
    assert_eq!(world.by_hand(Method::PATCH, &format!("/v2/portals/{id}"), Some(change)).await, 200);
    world.eventually("the description is put back", |w| w.only("docs")["description"] == "ours").await;
    let portal = world.only("docs");
    assert_eq!((&portal["labels"]["team"], &portal["labels"]["extra"]), (&json!("a"), &json!("stays")));
    assert_eq!(portal["display_name"], "unmanaged stays");
    world.synced("Portal", "docs").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let events = world.events("docs").await;
    assert!(
        events.iter().any(|(reason, note)| reason == "DriftCorrected" && note.contains("description")),
        "{events:?}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_drift_report_a_change_by_hand_is_listed_and_left() {
    let world = World::new("portal-report").await;
    world.portal("docs", json!({"description": "ours", "lifecycle": {"drift": "Report"}})).await;
    let id = world.synced("Portal", "docs").await["status"]["id"].as_str().unwrap().to_owned();
    world.by_hand(Method::PATCH, &format!("/v2/portals/{id}"), Some(json!({"description": "theirs"}))).await;
    let portal =
        world.until("Portal", "docs", "reported the drift", |o| condition(o, "Synced", "status") == "False").await;
    assert_eq!(condition(&portal, "Ready", "status"), "True");
    assert_eq!(portal["status"]["drift"], json!([{"path": "description", "want": "\"ours\"", "found": "\"theirs\""}]));
    world.assert_silence(Duration::from_millis(2500)).await;
    assert_eq!(world.only("docs")["description"], "theirs");
    world.spec("Portal", "docs", json!({"description": "changed"})).await;
    world.synced("Portal", "docs").await;
    assert_eq!(world.only("docs")["description"], "changed");
    world.end().await;
}
