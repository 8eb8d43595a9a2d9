//! Things that happen at the same time, or at the worst time.
use std::time::Duration;

use portico_sandbox::{Effect, Fault};
use serde_json::json;

use crate::{
    tripwire::{Side, When},
    world::{World, condition},
};

fn fault(operation: &str, effect: Effect, times: Option<u32>) -> Fault {
    Fault { operation: operation.into(), effect, times, organization: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_while_everything_is_deleted_holds_nothing() {
    let world = World::new("race-reset").await;
    for name in ["one", "two"] {
        world.portal(name, json!({})).await;
        world.synced("Portal", name).await;
    }
    world.sandbox.inject(fault("delete-portal", Effect::Reset, Some(1)));
    world.delete("KonnectConnection", "acme").await;
    world.delete("Portal", "one").await;
    world.delete("Portal", "two").await;
    for (kind, name) in [("Portal", "one"), ("Portal", "two"), ("KonnectConnection", "acme")] {
        world.gone(kind, name).await;
    }
    assert!(world.portals().is_empty(), "{:#?}", world.portals());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_portal_deleted_just_before_a_crash_is_not_taken_for_another_account() {
    let mut world = World::new("race-only").await;
    world.portal("only", json!({})).await;
    world.synced("Portal", "only").await;
    // The pass reads the mark, then deletes.
    world.wire.arm(Side::Remote, When::After, 1);
    world.delete("Portal", "only").await;
    assert!(world.crash_at_the_wire(Duration::from_secs(20)).await, "the DELETE was never sent");
    assert!(world.portals().is_empty(), "it was not the DELETE that was stopped");
    world.start();
    world.gone("Portal", "only").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_portal_removed_by_hand_while_portico_was_down_is_made_again() {
    let mut world = World::new("race-down").await;
    world.portal("only", json!({})).await;
    let id = world.synced("Portal", "only").await["status"]["id"].as_str().unwrap().to_owned();
    world.stop().await;
    assert_eq!(world.by_hand(reqwest::Method::DELETE, &format!("/v2/portals/{id}"), None).await, 204);
    world.start();
    world.eventually("it is made again", |w| w.named("only").len() == 1).await;
    world.synced("Portal", "only").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn portals_of_one_name_in_two_organizations_on_one_host_do_not_fight() {
    let world = World::new("race-two-orgs").await;
    world.secret("prod", &world.sandbox.organization("prod")).await;
    let prod = json!({"url": world.server.url(), "tokenSecretRef": {"name": "prod"}});
    world.create("KonnectConnection", "prod", prod).await;
    world.portal("docs-acme", json!({"name": "docs"})).await;
    world.create("Portal", "docs-prod", json!({"connectionRef": {"name": "prod"}, "name": "docs"})).await;
    world.synced("Portal", "docs-acme").await;
    world.synced("Portal", "docs-prod").await;
    let state = world.sandbox.state();
    for organization in ["acme", "prod"] {
        assert_eq!(state["organizations"][organization]["portals"].as_array().map(Vec::len), Some(1), "{organization}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_deleted_while_a_create_is_under_way_waits_for_what_it_makes() {
    let world = World::new("race-create").await;
    world.sandbox.inject(fault("create-portal", Effect::Delay { milliseconds: 700 }, Some(1)));
    world.portal("slow", json!({})).await;
    let is_held = |o: &serde_json::Value| o["metadata"]["finalizers"].is_array();
    world.until("Portal", "slow", "was about to be made", is_held).await;
    world.delete("KonnectConnection", "acme").await;
    world.delete("Portal", "slow").await;
    world.gone("Portal", "slow").await;
    world.gone("KonnectConnection", "acme").await;
    assert!(world.portals().is_empty(), "{:#?}", world.portals());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_left_empty_means_the_same_as_one_left_out() {
    let world = World::new("race-null").await;
    let spec = json!({"connectionRef": {"name": "acme"}, "lifecycle": null, "allowedNamespaces": null, "labels": null});
    world.create("Portal", "empty", spec).await;
    world.synced("Portal", "empty").await;
    world.delete("Portal", "empty").await;
    world.gone("Portal", "empty").await;
    assert!(world.portals().is_empty(), "the default is to delete: {:#?}", world.portals());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_keeps_failing_shows_on_the_connection_and_then_on_its_objects() {
    let world = World::new("race-listing").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    for operation in ["list-portals", "get-portal"] {
        let failing = Effect::Status { status: 500, retry_after: None, detail: None };
        world.sandbox.inject(fault(operation, failing, None));
    }
    let unknown = |o: &serde_json::Value| condition(o, "Synced", "status") == "Unknown";
    world.until("KonnectConnection", "acme", "said that it cannot look", unknown).await;
    let portal = world.until("Portal", "docs", "said that its state is not known", unknown).await;
    assert_eq!(condition(&portal, "Ready", "status"), "True", "an object that was Ready stays so");
    world.sandbox.clear_faults();
    world.synced("KonnectConnection", "acme").await;
    world.synced("Portal", "docs").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_put_right_during_a_deletion_ends_it() {
    let world = World::new("race-token").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    world.sandbox.revoke(&world.token);
    world.delete("KonnectConnection", "acme").await;
    world.delete("Portal", "docs").await;
    world.unready("Portal", "docs", "DeletionBlocked").await;
    world.secret("konnect", &world.sandbox.organization("acme")).await;
    world.gone("Portal", "docs").await;
    world.gone("KonnectConnection", "acme").await;
    assert!(world.portals().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_of_the_same_secret_may_lead_to_another_account() {
    let world = World::new("race-key").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    let data = json!({"token": world.token, "other": world.sandbox.organization("other")});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "konnect"}, "stringData": data});
    world.apply_as("v1", "Secret", "secrets", "konnect", secret).await;
    world.synced("KonnectConnection", "acme").await;
    world.spec("KonnectConnection", "acme", json!({"tokenSecretRef": {"key": "other"}})).await;
    world.unready("KonnectConnection", "acme", "AccountChanged").await;
    let other = &world.sandbox.state()["organizations"]["other"]["portals"];
    assert!(other.as_array().is_none_or(Vec::is_empty), "made in the other organization: {other:#}");
    world.spec("KonnectConnection", "acme", json!({"tokenSecretRef": {"key": "token"}})).await;
    world.synced("KonnectConnection", "acme").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_deleted_while_it_is_made_again_leaves_nothing() {
    let world = World::new("race-again").await;
    world.portal("other", json!({})).await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "other").await;
    let id = world.synced("Portal", "docs").await["status"]["id"].as_str().unwrap().to_owned();
    // The create takes effect, and its answer is lost.
    world.sandbox.inject(fault("create-portal", Effect::LoseResponse, Some(1)));
    world.sandbox.reset_exchanges();
    assert_eq!(world.by_hand(reqwest::Method::DELETE, &format!("/v2/portals/{id}"), None).await, 204);
    world.eventually("it is made again", |w| w.calls("create-portal") == 1).await;
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    assert!(world.named("docs").is_empty(), "left behind: {:#?}", world.named("docs"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_certainly_gone_is_made_again_without_waiting_for_a_window() {
    let mut world = World::still("race-prompt").await;
    world.settings.consistency = Duration::from_secs(600);
    world.start();
    world.connection(json!({})).await;
    world.portal("other", json!({})).await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "other").await;
    let id = world.synced("Portal", "docs").await["status"]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.by_hand(reqwest::Method::DELETE, &format!("/v2/portals/{id}"), None).await, 204);
    world.eventually("it is made again", |w| w.named("docs").len() == 1).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_is_meant_for_a_resource_made_before_under_the_name_says_that_it_is_gone() {
    let world = World::still("races-status-uid").await;
    let portals = portico::kinds::all().resources.into_iter().find(|ops| ops.info().kind == "Portal");
    let info = portals.expect("there is the kind").info();
    let kube = portico::engine::kubernetes::Kubernetes::new(world.admin(), Duration::from_secs(10));
    world.portal("docs", json!({})).await;
    let first = kube.get(info, &world.namespace, "docs").await.expect("it is read").expect("it is there");
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    world.portal("docs", json!({})).await;
    let precondition = portico::engine::kubernetes::Precondition::Uid;
    let written = kube.patch_status(info, &first, &json!({"id": "old"}), precondition).await;
    assert!(matches!(written, Err(portico::engine::kubernetes::KubeError::Gone)), "it was taken for a success");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_of_the_resource_before_does_not_hide_that_nothing_was_made_for_this_one() {
    let mut world = World::new("races-old-status").await;
    world.portal("docs", json!({})).await;
    let old = world.synced("Portal", "docs").await["status"].clone();
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    world.stop().await;
    world.portal("docs", json!({})).await;
    world.status("Portal", "docs", old).await;
    world.start();
    world.eventually("the portal is made", |w| w.named("docs").len() == 1).await;
    world.synced("Portal", "docs").await;
    world.end().await;
}
