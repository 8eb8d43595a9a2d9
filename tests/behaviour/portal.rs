//! What strangers change in a portal, in the words of events and of the status. The rest of its life is in `conformance`.
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::world::{World, condition};

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
