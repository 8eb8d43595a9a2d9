//! Values that the API keeps otherwise, and writes that take effect when nobody expects them any more: what a second look at both has found.
use std::time::Duration;

use portico_sandbox::{AcpPlant, AcpSwitches, Effect};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    tripwire::{Side, When},
    world::{World, condition, is_current},
    world_steps::{fault, id, status},
};

const SERVER: &str = "AuthorizationServer";
const CONSENT: &str = "Consent";
const ACTION: &str = "ConsentAction";

/// An API that keeps descriptions without the blanks at their ends.
fn trims() -> AcpSwitches {
    AcpSwitches { trims_descriptions: true, ..AcpSwitches::default() }
}

/// The version of the one consent of the tenant.
fn version(world: &World) -> u64 {
    world.only_consent()["version"].as_u64().expect("versions are counted")
}

/// Waits until a resource says of its present spec that the API keeps another description.
async fn kept(world: &World, kind: &str, name: &str) -> Value {
    let is = |o: &Value| {
        is_current(o)
            && condition(o, "Ready", "status") == "True"
            && condition(o, "Synced", "status") == "False"
            && condition(o, "Synced", "reason") == "Updating"
            && o["status"]["drift"][0]["path"] == "description"
    };
    world.until(kind, name, "said what the API keeps", is).await
}

/// A world with the Consent `terms`, whose description the API keeps otherwise.
async fn kept_terms(name: &str) -> World {
    let world = World::acp_with(name, trims(), json!({})).await;
    world.consent("terms", json!({"description": "what users agree to "})).await;
    kept(&world, CONSENT, "terms").await;
    assert_eq!((version(&world), &world.only_consent()["description"]), (1, &json!("what users agree to")));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_api_keeps_otherwise_makes_no_version_after_a_pause_or_a_change_of_nothing() {
    let world = kept_terms("review-kept").await;
    world.assert_silence(Duration::from_millis(1500)).await;
    let paused = "portico.dev/paused";
    world.annotate(CONSENT, "terms", paused, json!("true")).await;
    let says_so = |o: &Value| condition(o, "Synced", "reason") == "Paused";
    world.until(CONSENT, "terms", "said that it is paused", says_so).await;
    world.annotate(CONSENT, "terms", paused, json!(null)).await;
    kept(&world, CONSENT, "terms").await;
    assert_eq!(version(&world), 1, "after a pause");
    world.spec(CONSENT, "terms", json!({"lifecycle": {"deletion": "Retain"}})).await;
    kept(&world, CONSENT, "terms").await;
    assert_eq!(version(&world), 1, "after a change of what the API does not know");
    world.assert_silence(Duration::from_millis(1500)).await;
    // What the user really changes is sent, once.
    for (description, expected) in [("another text ", 2), ("a text without a blank at its end", 3)] {
        world.spec(CONSENT, "terms", json!({ "description": description })).await;
        if description.ends_with(' ') {
            kept(&world, CONSENT, "terms").await;
        } else {
            world.synced(CONSENT, "terms").await;
        }
        assert_eq!((version(&world), &world.only_consent()["description"]), (expected, &json!(description.trim())));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_api_keeps_otherwise_makes_no_version_after_a_long_outage() {
    let world = kept_terms("review-kept-out").await;
    fault(&world, "*", status(503));
    let is_unknown = |o: &Value| condition(o, "Synced", "status") == "Unknown";
    world.until(CONSENT, "terms", "was out of touch", is_unknown).await;
    world.sandbox.clear_faults();
    kept(&world, CONSENT, "terms").await;
    // The connection has its own news to tell first.
    world.synced("AcpConnection", "identity").await;
    sleep(Duration::from_millis(1500)).await;
    world.assert_silence(Duration::from_millis(1200)).await;
    assert_eq!(version(&world), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_api_keeps_otherwise_is_sent_once_and_not_with_every_sweep() {
    let world = World::acp_with("review-kept-action", trims(), json!({})).await;
    world.consent("terms", json!({})).await;
    // Listings do not show an action's consents, so that every sweep has it looked at.
    let spec = json!({
        "connectionRef": {"name": "identity"},
        "description": "first",
        "consents": [{"consentRef": {"name": "terms"}, "required": true}],
    });
    world.create(ACTION, "sign-up", spec).await;
    world.synced(ACTION, "sign-up").await;
    world.spec(ACTION, "sign-up", json!({"description": "second "})).await;
    kept(&world, ACTION, "sign-up").await;
    assert_eq!((world.calls("updateConsentAction"), &world.only_action()["description"]), (1, &json!("second")));
    world.assert_silence(Duration::from_millis(3300)).await;
    assert!(world.calls("getConsentAction") >= 2, "nobody looked: this test tests nothing");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_put_that_takes_a_consent_over_is_not_sent_again_when_it_takes_effect_late() {
    let mut world = World::still_acp("review-late-adoption", AcpSwitches::default()).await;
    world.settings.consistency = Duration::from_millis(1500);
    world.start();
    world.identity(json!({})).await;
    world.ready("AcpConnection", "identity").await;
    let mut theirs = json!({"id": "eula", "name": "terms", "update_existing_grants": "keepCurrent"});
    theirs["description"] = json!("theirs");
    world.plant_acp(AcpPlant::Consent(theirs));
    world.once("updateConsent", Effect::Hang);
    let ours = json!({"id": "eula", "description": "ours", "lifecycle": {"adoption": "Adopt"}});
    world.consent("terms", ours).await;
    world.eventually("the change was sent", |w| w.calls("updateConsent") == 1).await;
    // The operator gives up after 1 s; then the API does what it was asked.
    sleep(Duration::from_millis(1200)).await;
    let sent = world.bodies("updateConsent").remove(0);
    assert_eq!(world.by_hand_acp(Method::PUT, "/consents/eula", Some(sent)).await.0, 201);
    world.synced(CONSENT, "terms").await;
    assert_eq!((version(&world), &world.only_consent()["description"]), (2, &json!("ours")));
    assert_eq!(world.calls("updateConsent"), 2, "one of Portico's, which hung, and one by hand");
    world.assert_silence(Duration::from_secs(2)).await;
    assert_eq!(version(&world), 2);
    world.end().await;
}

/// A world in which the operator crashed just after the server `login` was made, with a chosen id and a kind of key.
async fn crashed_after_the_create(name: &str) -> World {
    let mut world = World::quiet_acp(name).await;
    world.quiet().await;
    // The look is the first request, and the create the second.
    world.wire.arm(Side::Remote, When::After, 1);
    world.server("login", json!({"id": "main", "keyType": "ecdsa"})).await;
    assert!(world.crash_at_the_wire(Duration::from_secs(20)).await, "nothing was sent");
    assert_eq!(world.only_server()["jwks"]["keys"][0]["kty"], "EC");
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_kind_of_key_that_was_made_just_before_a_crash_is_known_again() {
    let mut world = crashed_after_the_create("review-key-known").await;
    let made = world.only_server();
    world.start();
    assert_eq!(id(&world.synced(SERVER, "login").await), "main");
    assert_eq!((world.only_server(), world.calls("createAuthorizationServer")), (made, 1));
    world.delete(SERVER, "login").await;
    world.gone(SERVER, "login").await;
    assert!(world.acp_servers().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_kind_of_key_deleted_after_such_a_crash_goes_with_its_resource() {
    let mut world = crashed_after_the_create("review-key-gone").await;
    world.delete(SERVER, "login").await;
    world.start();
    world.gone(SERVER, "login").await;
    assert!(world.acp_servers().is_empty(), "it was left behind");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_and_then_a_change_of_which_nobody_knows_the_outcome_make_no_stranger_of_a_server() {
    let world = World::quiet_acp("review-lost-twice").await;
    world.once("createAuthorizationServer", Effect::LoseResponse);
    world.once("updateAuthorizationServer", Effect::LoseResponse);
    world.server("login", json!({"id": "main", "name": "first"})).await;
    world.eventually("it was made", |w| w.acp_servers().len() == 1).await;
    world.spec(SERVER, "login", json!({"name": "second"})).await;
    assert_eq!(id(&world.synced(SERVER, "login").await), "main");
    assert_eq!(world.only_server()["name"], "second");
    assert!(world.sandbox.faults().is_empty(), "not everything went wrong that was to");
    assert_eq!(world.calls("createAuthorizationServer"), 1);
    sleep(Duration::from_millis(300)).await;
    let events = world.events("login").await;
    assert!(events.iter().all(|(reason, _)| reason != "AlreadyExists"), "{events:?}");
    world.delete(SERVER, "login").await;
    world.gone(SERVER, "login").await;
    assert!(world.acp_servers().is_empty(), "it was left behind");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_waits_for_a_create_that_was_to_make_the_object_again() {
    let mut world = World::still_acp("review-late-again", AcpSwitches::default()).await;
    world.settings.consistency = Duration::from_millis(1500);
    world.start();
    world.identity(json!({})).await;
    world.server("login", json!({})).await;
    let server = world.synced(SERVER, "login").await;
    world.sandbox.reset_exchanges();
    world.once("createAuthorizationServer", Effect::Hang);
    world.delete_by_hand_acp(&format!("/servers/{}", id(&server))).await;
    world.eventually("it is being made again", |w| w.calls("createAuthorizationServer") == 1).await;
    world.delete(SERVER, "login").await;
    // The operator gives up after 1 s; then the API does what it was asked.
    sleep(Duration::from_millis(1300)).await;
    assert!(world.get(SERVER, "login").await.is_some(), "the deletion did not wait");
    let sent = world.bodies("createAuthorizationServer").remove(0);
    assert_eq!(sent["id"], server["status"]["id"]);
    assert_eq!(world.by_hand_acp(Method::POST, "/servers", Some(sent)).await.0, 201);
    world.gone(SERVER, "login").await;
    assert!(world.acp_servers().is_empty(), "it was left behind");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_whole_again_as_soon_as_its_consent_is() {
    let mut world = World::still_acp("review-torn", AcpSwitches::default()).await;
    // Whoever waits for this is not awakened.
    (world.settings.stalled, world.settings.stalled_max) = (Duration::from_secs(60), Duration::from_secs(60));
    world.start();
    world.identity(json!({})).await;
    for consent in ["terms", "marketing"] {
        world.consent(consent, json!({})).await;
    }
    world.action("sign-up", &["terms", "marketing"]).await;
    world.synced(ACTION, "sign-up").await;
    let marketing = id(&world.synced(CONSENT, "marketing").await);
    // Time enough for the action to find that its consent is not there.
    fault(&world, "createConsent", Effect::Delay { milliseconds: 500 });
    world.delete_by_hand_acp(&format!("/consents/{marketing}")).await;
    let is_whole = |w: &World| {
        let asked_for = w.only_action()["consents"].as_array().map_or(0, Vec::len);
        (w.acp_consents().len(), asked_for) == (2, 2)
    };
    let whole = world.eventually("the action is whole", is_whole);
    tokio::time::timeout(Duration::from_secs(10), whole).await.expect("the action is whole within 10 s");
    world.synced(CONSENT, "marketing").await;
    world.synced(ACTION, "sign-up").await;
    world.end().await;
}
