//! The fields of a portal: how they are cleared and left to the API, and what only the API knows. Each of them alone is in `conformance`.
use std::time::Duration;

use portico_sandbox::{Options, Switches};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{World, condition, is_current, merge};

/// The operation that asks whether a portal's domain is verified.
const QUESTION: &str = "verify-portal-domains";
const STRATEGY: &str = "11111111-2222-4333-8444-555555555555";

/// The bodies of all changes of a portal since the record was last reset.
fn updates(world: &World) -> Vec<Value> {
    let exchanges = world.sandbox.exchanges().into_iter();
    exchanges.filter(|e| e.operation.as_deref() == Some("update-portal")).map(|e| e.request_body).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_fields_go_into_one_create_and_what_may_be_empty_is_cleared_by_an_empty_text() {
    let world = World::new("fields-clear").await;
    let nullable = json!({
        "description": "first",
        "customDomain": "docs.example.com",
        "customClientDomain": "app.example.com",
        "defaultApplicationAuthStrategyId": STRATEGY,
    });
    let mut spec = json!({"displayName": "Docs", "isPublic": false, "rbacEnabled": true, "labels": {"team": "a"}});
    merge(&mut spec, nullable);
    world.sandbox.reset_exchanges();
    world.portal("docs", spec).await;
    world.synced("Portal", "docs").await;
    let portal = world.only("docs");
    assert_eq!((&portal["description"], &portal["custom_client_domain"]), (&json!("first"), &json!("app.example.com")));
    assert_eq!((&portal["display_name"], &portal["rbac_enabled"]), (&json!("Docs"), &json!(true)));
    assert_eq!((world.calls("create-portal"), world.calls("update-portal")), (1, 0));
    let empty = json!({
        "description": "", "customDomain": "", "customClientDomain": "", "defaultApplicationAuthStrategyId": ""
    });
    world.spec("Portal", "docs", empty).await;
    let portal = world.synced("Portal", "docs").await;
    assert_eq!(condition(&portal, "Verified", "status"), "", "there is no domain to verify");
    let cleared = json!({
        "description": null, "custom_domain": null, "custom_client_domain": null,
        "default_application_auth_strategy_id": null
    });
    assert_eq!(updates(&world), std::slice::from_ref(&cleared));
    let portal = world.only("docs");
    for field in cleared.as_object().unwrap().keys() {
        assert_eq!(portal[field], Value::Null, "{field}");
    }
    world.assert_silence(Duration::from_millis(2500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_leaves_the_spec_belongs_to_the_api_again() {
    let world = World::new("fields-unmanaged").await;
    world.portal("docs", json!({"description": "first", "displayName": "Docs"})).await;
    let id = world.synced("Portal", "docs").await["status"]["id"].as_str().unwrap().to_owned();
    world.sandbox.reset_exchanges();
    world.spec("Portal", "docs", json!({"description": null})).await;
    world.synced("Portal", "docs").await;
    assert_eq!(world.only("docs")["description"], "first", "leaving a field out changes nothing");
    assert_eq!(world.remote_writes(), Vec::<String>::new());
    let change = json!({"description": "theirs", "display_name": "theirs"});
    world.by_hand(Method::PATCH, &format!("/v2/portals/{id}"), Some(change)).await;
    world.eventually("the managed field is put back", |w| w.only("docs")["display_name"] == "Docs").await;
    assert_eq!(world.only("docs")["description"], "theirs");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_leaves_the_spec_is_removed_and_others_labels_stay() {
    let world = World::new("fields-labels").await;
    world.portal("docs", json!({"labels": {"team": "a", "stage": "test"}})).await;
    let id = world.synced("Portal", "docs").await["status"]["id"].as_str().unwrap().to_owned();
    let theirs = json!({"labels": {"theirs": "stays"}});
    assert_eq!(world.by_hand(Method::PATCH, &format!("/v2/portals/{id}"), Some(theirs)).await, 200);
    world.spec("Portal", "docs", json!({"labels": {"stage": null}})).await;
    world.synced("Portal", "docs").await;
    assert_eq!(labels(&world), json!({"team": "a", "theirs": "stays"}));
    world.spec("Portal", "docs", json!({"labels": null})).await;
    let portal = world.synced("Portal", "docs").await;
    assert!(portal["spec"]["labels"].is_null());
    assert_eq!(labels(&world), json!({"theirs": "stays"}));
    let marked = world.only("docs")["labels"].clone();
    assert!(marked["portico-owner"].is_string() && marked["portico-ref"].is_string(), "the mark is lost: {marked}");
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
}

/// The portal's labels without Portico's mark.
fn labels(world: &World) -> Value {
    let mut labels = world.only("docs")["labels"].clone();
    if let Some(labels) = labels.as_object_mut() {
        labels.retain(|key, _| !key.starts_with("portico-"));
    }
    labels
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_defaults_to_the_resources_and_a_rename_keeps_the_portal() {
    let world = World::new("fields-name").await;
    world.portal("docs", json!({})).await;
    let id = world.synced("Portal", "docs").await["status"]["id"].clone();
    assert_eq!(world.only("docs")["id"], id);
    world.spec("Portal", "docs", json!({"name": "Developer documents"})).await;
    assert_eq!(world.synced("Portal", "docs").await["status"]["id"], id);
    assert_eq!(world.only("Developer documents")["id"], id);
    world.spec("Portal", "docs", json!({"name": null})).await;
    world.synced("Portal", "docs").await;
    assert_eq!(world.only("docs")["id"], id);
    assert_eq!(world.portals().len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_becomes_verified_by_asking_and_the_host_for_its_cname_is_shown() {
    let world = World::new("fields-verified").await;
    world.portal("docs", json!({"customDomain": "docs.example.com"})).await;
    let verified = |o: &Value| is_current(o) && condition(o, "Verified", "status") == "True";
    let portal = world.until("Portal", "docs", "became verified", verified).await;
    let host = portal["status"]["defaultDomain"].as_str().unwrap().to_owned();
    assert!(!host.is_empty());
    assert_eq!(world.only("docs")["default_domain"], host.as_str());
    world.assert_silence(Duration::from_millis(2500)).await;
    // Another domain begins anew.
    world.spec("Portal", "docs", json!({"customDomain": "dev.example.com"})).await;
    let again = |o: &Value| verified(o) && condition(o, "Verified", "message").contains("dev.example.com");
    world.until("Portal", "docs", "became verified again", again).await;
    world.end().await;
}

/// Konnect does not see the domain's CNAME.
async fn unverified(name: &str, minute: Duration) -> World {
    let switches = Switches { domains_verified: false, ..Switches::default() };
    let mut world = World::with(name, Options { switches, ..Options::default() }).await;
    world.settings.minute = minute;
    world.start();
    world.connection(json!({})).await;
    world.ready("KonnectConnection", "acme").await;
    world.portal("docs", json!({"description": "ours", "customDomain": "docs.example.com"})).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_does_not_wait_for_a_domain_that_is_not_verified() {
    let world = unverified("fields-unverified", Duration::from_millis(200)).await;
    world.synced("Portal", "docs").await;
    world.eventually("it is asked for more than once", |w| w.calls(QUESTION) >= 2).await;
    let told = |o: &Value| condition(o, "Verified", "message").contains("CNAME");
    let portal = world.until("Portal", "docs", "said what is missing", told).await;
    assert_eq!(condition(&portal, "Verified", "status"), "False");
    assert_eq!((condition(&portal, "Ready", "status"), condition(&portal, "Synced", "status")), ("True", "True"));
    assert_eq!(condition(&portal, "Reconciling", "status"), "");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_asked_for_after_one_minute_and_not_again_before_five() {
    // A minute lasts 2 s.
    let world = unverified("fields-minute", Duration::from_secs(2)).await;
    world.synced("Portal", "docs").await;
    let made = Instant::now();
    assert_eq!(world.calls(QUESTION), 0, "asked at once: no CNAME can be there yet");
    world.eventually("it is asked for", |w| w.calls(QUESTION) > 0).await;
    // Times in the status are whole seconds, so the first question may come half a minute off.
    assert!(made.elapsed() < Duration::from_secs(6), "the first question came after {:?}", made.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.calls(QUESTION), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_asked_for_also_after_a_restart() {
    let mut world = unverified("fields-restart", Duration::from_millis(500)).await;
    world.synced("Portal", "docs").await;
    world.stop().await;
    world.sandbox.reset_exchanges();
    world.start();
    world.eventually("it is asked for", |w| w.calls(QUESTION) > 0).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_put_back_also_while_a_domain_is_not_verified() {
    // The next question is hours away, the resync a second.
    let world = unverified("fields-drift", Duration::from_secs(600)).await;
    let id = world.synced("Portal", "docs").await["status"]["id"].as_str().unwrap().to_owned();
    world.by_hand(Method::PATCH, &format!("/v2/portals/{id}"), Some(json!({"description": "theirs"}))).await;
    world.eventually("the description is put back", |w| w.only("docs")["description"] == "ours").await;
    world.end().await;
}
