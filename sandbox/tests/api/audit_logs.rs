//! Audit logs: where they are sent, and how they are sent once more.

use chrono::{DateTime, TimeDelta, Utc};
use portico_sandbox::Switches;
use serde_json::{Value, json};

use crate::client::Acme;

const DESTINATION: &str = "5f2c1e7a-8d34-4b6f-9a51-3c7be0d94f12";

/// A window that begins and ends so many hours ago.
fn window(start: i64, end: i64) -> Value {
    let ago = |hours: i64| (Utc::now() - TimeDelta::hours(hours)).to_rfc3339();
    json!({"start_at": ago(start), "end_at": ago(end)})
}

async fn job(acme: &Acme, name: &str) -> String {
    format!("{}/audit-log-replay-job", acme.portal(name).await)
}

#[tokio::test]
async fn a_replay_that_never_was_has_times_that_are_none() {
    for (odd, time) in [(true, "0001-01-01T00:00:0Z"), (false, "0001-01-01T00:00:00Z")] {
        let acme = Acme::with(Switches { odd_first_times: odd, ..Switches::default() });
        let read = acme.get(&job(&acme, "docs").await).await;
        let expected = json!({"start_at": time, "end_at": time, "status": "unconfigured", "updated_at": time});
        assert_eq!((read.status, read.body), (200, expected));
        assert_eq!(DateTime::parse_from_rfc3339(time).is_err(), odd);
    }
}

#[tokio::test]
async fn there_is_one_replay_at_a_time() {
    for (region, other) in [(true, 409), (false, 202)] {
        let switches = Switches { replay_milliseconds: 600_000, replay_of_region: region, ..Switches::default() };
        let acme = Acme::with(switches);
        let (one, two) = (job(&acme, "one").await, job(&acme, "two").await);
        let accepted = acme.put(&one, window(2, 1)).await;
        assert_eq!((accepted.status, &accepted.body["status"]), (202, &json!("accepted")));
        assert_ne!(acme.get(&one).await.body["status"], "completed");
        let refused = acme.put(&one, window(2, 1)).await;
        assert_eq!(refused.status, 409);
        assert!(refused.body["detail"].as_str().unwrap().contains("running"));
        assert_eq!(acme.put(&two, window(2, 1)).await.status, other);
        let stranger = acme.as_token(&acme.sandbox.organization("other"));
        let theirs = job(&stranger, "theirs").await;
        assert_eq!(stranger.put(&theirs, window(2, 1)).await.status, 202, "others have theirs");
    }
}

#[tokio::test]
async fn a_replay_ends_and_may_be_followed_by_another() {
    for (fails, status) in [(false, "completed"), (true, "failed")] {
        let acme = Acme::with(Switches { replay_milliseconds: 0, replay_fails: fails, ..Switches::default() });
        let job = job(&acme, "docs").await;
        let accepted = acme.put(&job, window(3, 2)).await.body;
        let ended = acme.get(&job).await.body;
        assert_eq!((&ended["status"], &ended["start_at"]), (&json!(status), &accepted["start_at"]));
        let state = acme.sandbox.state();
        assert_eq!(state["organizations"]["acme"]["portals"][0]["audit_log_replay_job"], ended);
        assert_eq!(acme.put(&job, window(2, 1)).await.status, 202);
    }
}

#[tokio::test]
async fn times_are_shown_in_utc_and_mean_the_same() {
    let acme = Acme::new();
    let body = window(2, 1);
    let shown = acme.put(&job(&acme, "docs").await, body.clone()).await.body;
    for field in ["start_at", "end_at"] {
        let time = |text: &Value| DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap();
        assert!((time(&shown[field]) - time(&body[field])).abs() < TimeDelta::milliseconds(1));
        assert!(shown[field].as_str().unwrap().ends_with('Z'));
    }
}

#[tokio::test]
async fn a_window_lies_within_seven_days() {
    let acme = Acme::new();
    let job = job(&acme, "docs").await;
    let refused = async |body: Value| acme.put(&job, body).await;
    assert_eq!(refused(window(24 * 7 + 1, 1)).await.refusal(), ("start_at", "invalid", "body"));
    assert_eq!(refused(window(1, -1)).await.refusal(), ("end_at", "invalid", "body"));
    assert_eq!(refused(window(1, 2)).await.refusal(), ("start_at", "invalid", "body"));
    let mut body = window(2, 1);
    body["start_at"] = json!("yesterday");
    assert_eq!(refused(body).await.refusal(), ("start_at", "is_date_time", "body"));
    let both = refused(json!({})).await;
    assert_eq!(both.body["invalid_parameters"].as_array().unwrap().len(), 2, "{both:?}");
    assert_eq!(acme.get(&job).await.body["status"], "unconfigured");
    assert_eq!(acme.put(&job, window(24 * 7 - 1, 0)).await.status, 202);
}

#[tokio::test]
async fn a_webhook_is_made_by_its_first_change() {
    let acme = Acme::new();
    let webhook = format!("{}/audit-log-webhook", acme.portal("docs").await);
    let status = format!("{webhook}/status");
    assert_eq!(acme.get(&webhook).await.body, json!({"enabled": false}));
    let inactive = json!({"webhook_status": "inactive", "webhook_enabled": false});
    assert_eq!(acme.get(&status).await.body, inactive);
    let made = acme.patch(&webhook, json!({"enabled": true, "audit_log_destination_id": DESTINATION})).await;
    assert_eq!((made.status, &made.body["audit_log_destination_id"]), (200, &json!(DESTINATION)));
    let read = acme.get(&status).await.body;
    assert_eq!((&read["webhook_status"], &read["last_response_code"]), (&json!("active"), &json!(200)));
    let disabled = acme.patch(&webhook, json!({"enabled": false})).await.body;
    assert_eq!(disabled, json!({"enabled": false, "audit_log_destination_id": DESTINATION}));
    let state = acme.sandbox.state();
    assert_eq!(state["organizations"]["acme"]["portals"][0]["audit_log_webhook"], disabled);
    let refused = acme.patch(&webhook, json!({"audit_log_destination_id": "x"})).await;
    assert_eq!(refused.refusal(), ("audit_log_destination_id", "is_uuid", "body"));
}

#[tokio::test]
async fn a_webhook_may_be_missing_or_fail() {
    let switches = Switches { unconfigured_webhook_shown: false, webhook_answer: 503, ..Switches::default() };
    let acme = Acme::with(switches);
    let webhook = format!("{}/audit-log-webhook", acme.portal("docs").await);
    let status = format!("{webhook}/status");
    assert_eq!(acme.get(&webhook).await.status, 404);
    let state = acme.sandbox.state();
    let shown = &state["organizations"]["acme"]["portals"][0]["audit_log_webhook"];
    assert_eq!(*shown, json!({"enabled": false}), "it does nothing, whatever the API says");
    assert_eq!(acme.get(&status).await.status, 404);
    acme.patch(&webhook, json!({"enabled": true, "audit_log_destination_id": DESTINATION})).await;
    let read = acme.get(&status).await.body;
    assert_eq!((&read["webhook_status"], &read["last_response_code"]), (&json!("inactive"), &json!(503)));
    assert_eq!(read["webhook_enabled"], true);
}
