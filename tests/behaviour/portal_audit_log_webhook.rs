//! Where the audit logs of a portal are sent: a webhook that every portal has, whether the API shows it or not, and of which the status
//! says how its destination answers. The rest of its life is in `conformance`.
use std::time::Duration;

use portico_sandbox::{Options, Switches};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    world::{World, merge},
    world_steps::{assert_nothing_sent, fault, id, status},
};

const KIND: &str = "PortalAuditLogWebhook";
const NAME: &str = "audit-logs";
const CHANGE: &str = "update-portal-audit-log-webhook";
const STATUS: &str = "get-portal-audit-log-webhook-status";
const DESTINATION: &str = "b7e9a345-5c2d-4f18-8a61-d93e07f4b256";
const ANOTHER: &str = "e21c6f08-94ab-4d73-b5f2-60c8a71d3e94";

/// A world with the Portal `docs`, whose id comes with it, and whose Konnect behaves otherwise than usual.
async fn with_docs(name: &str, switches: Switches) -> (World, String) {
    let mut world = World::with(name, Options { switches, ..Options::default() }).await;
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    let portal = id(&world.synced("Portal", "docs").await);
    (world, portal)
}

/// Makes the resource for the webhook of the Portal `docs`; does not wait.
async fn webhook(world: &World, spec: Value) {
    let mut whole = json!({"portalRef": {"name": "docs"}});
    merge(&mut whole, spec);
    world.create(KIND, NAME, whole).await;
}

/// What the API has of it.
fn at_the_api(world: &World) -> Value {
    world.only("docs")["audit_log_webhook"].clone()
}

/// Someone changes the webhook.
async fn by_hand(world: &World, portal: &str, change: Value) {
    let path = format!("/v2/portals/{portal}/audit-log-webhook");
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(change)).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_nobody_configured_is_configured_by_one_write_whether_it_is_shown_or_not() {
    for unconfigured_webhook_shown in [true, false] {
        let switches = Switches { unconfigured_webhook_shown, ..Switches::default() };
        let (world, _) = with_docs(&format!("webhook-first-{unconfigured_webhook_shown}"), switches).await;
        world.sandbox.reset_exchanges();
        webhook(&world, json!({"enabled": true, "auditLogDestinationId": DESTINATION.to_uppercase()})).await;
        let resource = world.synced(KIND, NAME).await;
        let whole = json!({"enabled": true, "audit_log_destination_id": DESTINATION});
        assert_eq!((world.remote_writes(), at_the_api(&world)), (vec![CHANGE.to_owned()], whole));
        let shown = &resource["status"];
        assert_eq!((&shown["webhookStatus"], &shown["lastResponseCode"]), (&json!("active"), &json!(200)));
        world.assert_silence(Duration::from_millis(2500)).await;
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_not_shown_is_a_disabled_one() {
    let switches = Switches { unconfigured_webhook_shown: false, ..Switches::default() };
    let (world, portal) = with_docs("webhook-unshown", switches).await;
    world.sandbox.reset_exchanges();
    webhook(&world, json!({"enabled": false})).await;
    world.synced(KIND, NAME).await;
    assert_nothing_sent(&world);
    world.assert_silence(Duration::from_millis(2500)).await;
    by_hand(&world, &portal, json!({"enabled": true, "audit_log_destination_id": ANOTHER})).await;
    world.eventually("it is disabled again", |w| at_the_api(w)["enabled"] == false).await;
    world.synced(KIND, NAME).await;
    assert_eq!(at_the_api(&world)["audit_log_destination_id"], ANOTHER, "that is nothing of the spec's");
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_refuses_is_shown_and_a_status_that_cannot_be_read_is_no_failure() {
    let switches = Switches { webhook_answer: 503, ..Switches::default() };
    let (world, _) = with_docs("webhook-status", switches).await;
    fault(&world, STATUS, status(500));
    webhook(&world, json!({"enabled": true, "auditLogDestinationId": DESTINATION})).await;
    let resource = world.synced(KIND, NAME).await;
    assert!(resource["status"]["webhookStatus"].is_null(), "{resource:#}");
    world.sandbox.clear_faults();
    world.spec(KIND, NAME, json!({"auditLogDestinationId": ANOTHER})).await;
    let resource = world.synced(KIND, NAME).await;
    let shown = &resource["status"];
    assert_eq!((&shown["webhookStatus"], &shown["lastResponseCode"]), (&json!("inactive"), &json!(503)));
    world.assert_silence(Duration::from_millis(2500)).await;
    world.spec(KIND, NAME, json!({"enabled": false})).await;
    let resource = world.synced(KIND, NAME).await;
    assert!(resource["status"]["lastResponseCode"].is_null(), "nothing is sent to it any more: {resource:#}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_destination_goes_out_with_the_word_that_the_webhook_is_enabled_where_the_spec_has_one() {
    let (world, portal) = World::with_docs("webhook-together").await;
    webhook(&world, json!({"enabled": true, "auditLogDestinationId": DESTINATION})).await;
    world.synced(KIND, NAME).await;
    world.sandbox.reset_exchanges();
    world.spec(KIND, NAME, json!({"auditLogDestinationId": ANOTHER})).await;
    world.synced(KIND, NAME).await;
    assert_eq!(world.bodies(CHANGE), [json!({"enabled": true, "audit_log_destination_id": ANOTHER})]);
    // What the spec does not name is the API's.
    world.spec(KIND, NAME, json!({"enabled": null})).await;
    world.synced(KIND, NAME).await;
    by_hand(&world, &portal, json!({"enabled": false})).await;
    world.sandbox.reset_exchanges();
    world.spec(KIND, NAME, json!({"auditLogDestinationId": DESTINATION})).await;
    world.synced(KIND, NAME).await;
    assert_eq!(world.bodies(CHANGE), [json!({"audit_log_destination_id": DESTINATION})]);
    assert_eq!(at_the_api(&world)["enabled"], false);
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_leaves_the_webhook_unless_it_is_to_be_disabled() {
    let (world, _) = World::with_docs("webhook-deletion").await;
    let mut spec = json!({"enabled": true, "auditLogDestinationId": DESTINATION});
    webhook(&world, spec.clone()).await;
    world.synced(KIND, NAME).await;
    let before = at_the_api(&world);
    world.sandbox.reset_exchanges();
    world.delete(KIND, NAME).await;
    world.gone(KIND, NAME).await;
    assert_nothing_sent(&world);
    assert_eq!(at_the_api(&world), before);
    spec["lifecycle"] = json!({"deletion": "Delete"});
    webhook(&world, spec).await;
    world.synced(KIND, NAME).await;
    assert_nothing_sent(&world);
    world.delete(KIND, NAME).await;
    world.gone(KIND, NAME).await;
    assert_eq!(world.bodies(CHANGE), [json!({"enabled": false})]);
    assert_eq!(at_the_api(&world), json!({"enabled": false, "audit_log_destination_id": DESTINATION}));
    // Whether it is enabled was never this one's to say.
    world.sandbox.reset_exchanges();
    webhook(&world, json!({"auditLogDestinationId": DESTINATION, "lifecycle": {"deletion": "Delete"}})).await;
    world.synced(KIND, NAME).await;
    world.delete(KIND, NAME).await;
    world.gone(KIND, NAME).await;
    assert_nothing_sent(&world);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_id_and_another_portal_are_refused_at_once() {
    let world = World::still("webhook-bad").await;
    for (spec, word) in [
        (json!({"auditLogDestinationId": "https://logs.example.com"}), "spec.auditLogDestinationId"),
        (json!({"auditLogDestinationId": ""}), "spec.auditLogDestinationId"),
        (json!({"enabled": "yes"}), "spec.enabled"),
        (json!({"connectionRef": {"name": "acme"}}), "connectionRef goes with portalRef.id"),
    ] {
        let mut whole = json!({"portalRef": {"name": "docs"}});
        merge(&mut whole, spec);
        let refusal = world.try_create(KIND, NAME, whole).await.expect_err("it is refused");
        assert!(refusal.contains(word), "{refusal}");
    }
    webhook(&world, json!({"enabled": true})).await;
    let moved = json!({"spec": {"portalRef": {"name": "other"}, "lifecycle": {"replace": "Allow"}}});
    let refusal = world.try_patch(KIND, NAME, moved).await.expect_err("it is refused");
    assert!(refusal.contains("portalRef cannot be changed"), "{refusal}");
    world.end().await;
}
