//! Consents, and the actions that ask for them. Every PUT of a consent makes a new version and may ask all users again: none is sent without a
//! difference, nor twice for one.
use std::time::Duration;

use portico_sandbox::{AcpPlant, AcpSwitches, Effect};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    tripwire::{Side, When},
    world::{World, condition},
    world_steps::{id, status},
};

/// More requests than this no change of a consent makes.
const MOST_REQUESTS: usize = 12;

/// The version of the one consent of the tenant.
fn version(world: &World) -> u64 {
    world.only_consent()["version"].as_u64().expect("versions are counted")
}

/// Where the one consent of the tenant is.
fn path(world: &World) -> String {
    format!("/consents/{}", id(&world.only_consent()))
}

/// Makes the Consent `marketing`, and waits until it is in order.
async fn marketing(world: &World, spec: Value) {
    world.consent("marketing", spec).await;
    world.synced("Consent", "marketing").await;
    assert_eq!(version(world), 1);
    world.sandbox.reset_exchanges();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_change_makes_one_version() {
    let world = World::acp("consent-once").await;
    marketing(&world, json!({"description": "first"})).await;
    world.spec("Consent", "marketing", json!({"description": "second"})).await;
    world.synced("Consent", "marketing").await;
    let consent = world.only_consent();
    assert_eq!((&consent["version"], &consent["description"]), (&json!(2), &json!("second")));
    assert_eq!(world.acp_writes(), ["updateConsent"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resyncs_and_restarts_make_no_version() {
    let mut world = World::acp("consent-rest").await;
    let purposes = json!([{"name": "research", "primary": true}, {"name": "advertising"}]);
    let spec = json!({
        "name": "Marketing",
        "description": "",
        "canBeWithdrawn": true,
        "piiCategories": [{"name": "email"}, {"name": "address"}],
        "internalServices": [{"name": "newsletter", "purposes": purposes}],
        "thirdPartyServices": [{"name": "agency", "purposes": [{"name": "advertising"}]}],
    });
    marketing(&world, spec).await;
    world.assert_silence(Duration::from_millis(3300)).await;
    assert!(world.calls("listConsents") + world.calls("getConsent") >= 2, "nobody looked");
    world.assert_silence_after_a_restart().await;
    assert_eq!(version(&world), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_of_which_nobody_knows_the_outcome_makes_one_version() {
    let world = World::acp("consent-lost").await;
    marketing(&world, json!({"description": "first"})).await;
    // Made and not answered; not made, with and without an answer that says little.
    for (effect, puts) in [(Effect::LoseResponse, 1), (Effect::Reset, 2), (status(503), 2)] {
        let before = version(&world);
        world.sandbox.reset_exchanges();
        world.once("updateConsent", effect.clone());
        let description = format!("after {effect:?}");
        world.spec("Consent", "marketing", json!({"description": description})).await;
        world.synced("Consent", "marketing").await;
        assert_eq!(world.only_consent()["description"], description.as_str());
        assert_eq!((version(&world), world.calls("updateConsent")), (before + 1, puts), "{effect:?}");
    }
    let before = version(&world);
    world.assert_silence(Duration::from_secs(2)).await;
    assert_eq!(version(&world), before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_takes_effect_after_its_deadline_is_not_sent_again() {
    let mut world = World::still_acp("consent-late", AcpSwitches::default()).await;
    world.settings.consistency = Duration::from_millis(1500);
    world.start();
    world.identity(json!({})).await;
    marketing(&world, json!({"description": "first"})).await;
    world.once("updateConsent", Effect::Hang);
    world.spec("Consent", "marketing", json!({"description": "second"})).await;
    world.eventually("the change was sent", |w| w.calls("updateConsent") == 1).await;
    // The operator gives up after 1 s; then the API does what it was asked.
    sleep(Duration::from_millis(1200)).await;
    let sent = world.bodies("updateConsent").remove(0);
    assert_eq!(world.by_hand_acp(Method::PUT, &path(&world), Some(sent)).await.0, 201);
    world.synced("Consent", "marketing").await;
    let consent = world.only_consent();
    assert_eq!((&consent["version"], &consent["description"]), (&json!(2), &json!("second")));
    world.assert_silence(Duration::from_secs(2)).await;
    assert_eq!(version(&world), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_request_of_a_change_makes_exactly_one_version() {
    // No sweep gets in between, and a PUT of which nobody knows the outcome is soon settled.
    let connection = json!({"resyncInterval": "1h", "requestTimeout": "500ms"});
    let mut world = World::acp_with("consent-crash", AcpSwitches::default(), connection).await;
    marketing(&world, json!({"description": "first"})).await;
    let mut crashed = Vec::new();
    for side in [Side::Remote, Side::Kubernetes] {
        for nth in 0..MOST_REQUESTS {
            let mut found = None;
            for when in [When::Before, When::After] {
                let Some(request) = crash_at(&mut world, (side, when, nth)).await else { break };
                found = Some(request);
            }
            let Some(request) = found else { break };
            crashed.push(request);
        }
    }
    println!("crashed before and after each of {crashed:#?}");
    assert!(crashed.iter().any(|request| request.starts_with("PUT")), "{crashed:?}");
    assert!(crashed.len() >= 3, "{crashed:?}");
    world.end().await;
}

/// Changes the consent, with a crash at the given request; which that was, if there is one.
async fn crash_at(world: &mut World, at: (Side, When, usize)) -> Option<String> {
    world.quiet().await;
    let (side, when, nth) = at;
    let before = version(world);
    let description = format!("changed in spite of a crash at {at:?}");
    world.wire.arm(side, when, nth);
    world.spec("Consent", "marketing", json!({"description": description})).await;
    let tripped = tokio::select! {
        () = world.wire.tripped() => true,
        _ = world.synced("Consent", "marketing") => false,
    };
    let request = world.wire.seen(side).get(nth).cloned();
    world.crash_and_come_back().await;
    world.synced("Consent", "marketing").await;
    let consent = world.only_consent();
    assert_eq!(consent["description"], description.as_str());
    assert_eq!(version(world), before + 1, "{at:?}: {request:?}");
    if tripped { request } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_made_again_finds_its_consent_and_makes_no_version() {
    let world = World::acp("consent-again").await;
    let spec = json!({"description": "kept", "lifecycle": {"deletion": "Retain"}});
    marketing(&world, spec.clone()).await;
    let before = world.only_consent();
    world.delete("Consent", "marketing").await;
    world.gone("Consent", "marketing").await;
    world.consent("marketing", spec).await;
    let again = world.synced("Consent", "marketing").await;
    assert_eq!(id(&again), id(&before));
    assert_eq!((world.only_consent(), world.calls("updateConsent")), (before, 0));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn categories_in_another_order_are_no_difference_and_another_category_is_one() {
    let world = World::acp("consent-set").await;
    marketing(&world, json!({"piiCategories": [{"name": "email"}, {"name": "address"}]})).await;
    let reversed = json!([{"name": "address"}, {"name": "email"}]);
    world.alter_by_hand(&path(&world), json!({ "pii_categories": reversed })).await;
    // A look later the status may show the version that somebody made.
    sleep(Duration::from_millis(1500)).await;
    world.assert_silence(Duration::from_millis(2500)).await;
    assert_eq!((version(&world), &world.only_consent()["pii_categories"]), (2, &reversed));
    let more = json!([{"name": "address"}, {"name": "email"}, {"name": "health"}]);
    world.alter_by_hand(&path(&world), json!({ "pii_categories": more })).await;
    world.eventually("the third is gone", |w| version(w) == 4).await;
    assert_eq!(world.only_consent()["pii_categories"].as_array().map(Vec::len), Some(2));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_from_which_a_consent_holds_is_sent_only_if_the_spec_has_it() {
    let world = World::acp("consent-from").await;
    world.consent("marketing", json!({"description": "first"})).await;
    world.synced("Consent", "marketing").await;
    world.spec("Consent", "marketing", json!({"description": "second"})).await;
    world.synced("Consent", "marketing").await;
    let sent = [world.bodies("createConsent"), world.bodies("updateConsent")].concat();
    assert_eq!(sent.len(), 2);
    for body in sent {
        assert!(body["valid_from"].is_null() && body["version"].is_null(), "{body:#}");
    }
    world.spec("Consent", "marketing", json!({"validFrom": "2024-02-01T09:00:00+01:00"})).await;
    world.synced("Consent", "marketing").await;
    let consent = world.only_consent();
    assert_eq!((&consent["version"], &consent["valid_from"]), (&json!(3), &json!("2024-02-01T08:00:00Z")));
    // The same moment in other words, and a resync.
    world.spec("Consent", "marketing", json!({"validFrom": "2024-02-01T08:00:00.000Z"})).await;
    world.synced("Consent", "marketing").await;
    world.assert_silence(Duration::from_millis(2500)).await;
    assert_eq!(world.only_consent(), consent);
    world.end().await;
}

/// A world with the Consents `terms` and `marketing` and the ConsentAction `sign-up` of both, in order.
async fn sign_up(name: &str, acp: AcpSwitches) -> World {
    let world = World::acp_with(name, acp, json!({})).await;
    for consent in ["terms", "marketing"] {
        world.consent(consent, json!({"name": consent})).await;
    }
    world.action("sign-up", &["terms", "marketing"]).await;
    world.synced("ConsentAction", "sign-up").await;
    world
}

/// The consents of the one action as names, each with whether it is required, in the order of the names.
fn asked_for(world: &World) -> Vec<(String, bool)> {
    let action = world.only_action();
    let consents = action["consents"].as_array().into_iter().flatten();
    let named = consents.map(|c| (c["name"].as_str().unwrap_or_default().to_owned(), c["required"] == true));
    let mut named: Vec<(String, bool)> = named.collect();
    named.sort();
    named
}

fn both() -> Vec<(String, bool)> {
    vec![("marketing".to_owned(), false), ("terms".to_owned(), true)]
}

/// The id of a Consent.
async fn id_of(world: &World, consent: &str) -> String {
    id(&world.get("Consent", consent).await.expect("it is there"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_has_its_consents_in_any_order_and_sends_only_what_is_its_own() {
    let world = sign_up("action-order", AcpSwitches::default()).await;
    assert_eq!(asked_for(&world), both());
    let (terms, marketing) = (id_of(&world, "terms").await, id_of(&world, "marketing").await);
    let action = format!("/actions/{}", id(&world.only_action()));
    let reversed = json!([{"id": marketing, "required": false}, {"id": terms, "required": true}]);
    world.alter_by_hand(&action, json!({ "consents": reversed })).await;
    world.assert_silence(Duration::from_millis(2500)).await;
    let all = json!([{"id": terms, "required": true}, {"id": marketing, "required": true}]);
    world.alter_by_hand(&action, json!({ "consents": all })).await;
    world.eventually("marketing is optional again", |w| asked_for(w) == both()).await;
    let sent = world.bodies("updateConsentAction").pop().expect("it was put back");
    for consent in sent["consents"].as_array().expect("it is a list") {
        let members: Vec<&String> = consent.as_object().expect("it is an object").keys().collect();
        assert_eq!(members, ["id", "required"], "{sent:#}");
    }
    assert!(world.acp_consents().iter().all(|consent| consent["version"] == 1));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_deleted_at_the_api_is_made_again_and_put_back_into_its_actions() {
    let world = sign_up("action-torn", AcpSwitches::default()).await;
    let marketing = id_of(&world, "marketing").await;
    world.delete_by_hand_acp(&format!("/consents/{marketing}")).await;
    world.eventually("both are whole again", |w| w.acp_consents().len() == 2 && asked_for(w) == both()).await;
    world.synced("Consent", "marketing").await;
    world.synced("ConsentAction", "sign-up").await;
    assert_eq!(id_of(&world, "marketing").await, marketing);
    assert!(world.acp_consents().iter().any(|consent| consent["id"] == marketing.as_str()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_waits_for_consents_that_are_not_there_and_names_them() {
    let world = World::acp("action-waits").await;
    let of = |consent: Value| {
        let consents = json!([{"consentRef": consent, "required": true}]);
        json!({"connectionRef": {"name": "identity"}, "consents": consents})
    };
    world.create("ConsentAction", "by-name", of(json!({"name": "later"}))).await;
    world.create("ConsentAction", "by-id", of(json!({"id": "newsletter"}))).await;
    let message = world.unready("ConsentAction", "by-name", "ReferenceNotFound").await;
    assert!(message.contains("Consent") && message.contains("/later"), "{message}");
    let names_it = |o: &Value| condition(o, "Ready", "message").contains("newsletter");
    world.until("ConsentAction", "by-id", "named the consent", names_it).await;
    // Longer than what the API refuses for good takes to be called stalled.
    sleep(Duration::from_millis(2500)).await;
    for name in ["by-name", "by-id"] {
        let action = world.get("ConsentAction", name).await.unwrap_or_default();
        assert_ne!(condition(&action, "Ready", "status"), "True", "{action:#}");
        assert!(!world.is_stalled("ConsentAction", name).await, "waiting for something is not an error: {action:#}");
    }
    assert_eq!(world.acp_actions(), Vec::<Value>::new());
    let newsletter = json!({"id": "newsletter", "name": "newsletter", "update_existing_grants": "keepCurrent"});
    world.plant_acp(AcpPlant::Consent(newsletter));
    world.consent("later", json!({})).await;
    for name in ["by-name", "by-id"] {
        world.synced("ConsentAction", name).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_is_deleted_although_actions_use_it() {
    let world = sign_up("action-leaves", AcpSwitches::default()).await;
    world.delete("Consent", "marketing").await;
    world.gone("Consent", "marketing").await;
    assert_eq!(asked_for(&world), [("terms".to_owned(), true)]);
    let is_missed = |o: &Value| condition(o, "Ready", "reason") == "ReferenceNotFound";
    let action = world.until("ConsentAction", "sign-up", "missed the consent", is_missed).await;
    assert!(condition(&action, "Ready", "message").contains("/marketing"));
    let terms = json!([{"consentRef": {"name": "terms"}, "required": true}]);
    world.spec("ConsentAction", "sign-up", json!({ "consents": terms })).await;
    world.synced("ConsentAction", "sign-up").await;
    assert_eq!(asked_for(&world), [("terms".to_owned(), true)]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_keeps_a_consent_for_its_actions_is_quoted_and_asked_again() {
    let acp = AcpSwitches { consent_in_use: Some(409), ..AcpSwitches::default() };
    let world = sign_up("action-keeps", acp).await;
    world.delete("Consent", "marketing").await;
    let message = world.unready("Consent", "marketing", "DeletionBlocked").await;
    assert!(message.contains("in use by a consent action"), "{message}");
    world.delete("ConsentAction", "sign-up").await;
    world.gone("ConsentAction", "sign-up").await;
    world.gone("Consent", "marketing").await;
    assert_eq!(world.only_consent()["name"], "terms");
    world.end().await;
}
