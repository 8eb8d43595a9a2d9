//! The escrow: deletions end where the credential went with what it served for, while nobody ran.
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    world::{PATIENCE, World, condition},
    world_steps::{delete_secret, grant_everywhere},
};

/// What Portico keeps for deletions.
async fn escrows(world: &World) -> Vec<Secret> {
    let api: Api<Secret> = Api::namespaced(world.admin(), &world.settings.namespace);
    let all = api.list(&ListParams::default()).await.expect("Secrets can be listed");
    let is_escrow = |secret: &Secret| secret.metadata.name.as_ref().is_some_and(|n| n.starts_with("portico-escrow-"));
    all.items.into_iter().filter(is_escrow).collect()
}

/// The tokens that Portico keeps for deletions.
async fn tokens(world: &World) -> Vec<String> {
    let token = |secret: Secret| secret.data.and_then(|mut data| data.remove("token")).map(|token| token.0);
    let all = escrows(world).await.into_iter();
    all.map(|secret| String::from_utf8(token(secret).expect("it holds a token")).expect("a text")).collect()
}

/// Waits until exactly these tokens are kept.
async fn kept(world: &World, expected: &[&str]) {
    let started = Instant::now();
    loop {
        let tokens = tokens(world).await;
        if tokens == expected {
            return;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{} tokens are kept, and not the {} expected",
            tokens.len(),
            expected.len()
        );
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_deleted_with_its_credentials_while_portico_is_down_still_ends() {
    let mut world = World::new("escrow-namespace").await;
    grant_everywhere(&world).await;
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    world.synced("PortalTeam", "writers").await;
    kept(&world, &[&world.token]).await;
    world.crash().await;
    let namespaces: Api<Namespace> = Api::all(world.admin());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.expect("the deletion is taken");
    let secrets: Api<Secret> = Api::namespaced(world.admin(), &world.namespace);
    let started = Instant::now();
    while secrets.get_opt("konnect").await.expect("the API server answers").is_some() {
        assert!(started.elapsed() < PATIENCE, "the Secret stays");
        sleep(Duration::from_millis(50)).await;
    }
    world.start();
    while namespaces.get_metadata_opt(&world.namespace).await.expect("the API server answers").is_some() {
        assert!(started.elapsed() < PATIENCE, "the namespace does not end");
        sleep(Duration::from_millis(200)).await;
    }
    assert!(world.portals().is_empty());
    kept(&world, &[]).await;
    // In a terminating namespace not even an event can be created.
    world.expect_forbidden();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_was_kept_nothing_was_made_and_a_deletion_ends_without_the_credential() {
    let mut world = World::new("escrow-unsent").await;
    kept(&world, &[]).await;
    world.stop().await;
    // As a crash between the finalizer and the first create leaves it.
    world.portal("docs", json!({})).await;
    world.patch("Portal", "docs", json!({"metadata": {"finalizers": ["portico.dev/remote"]}})).await;
    delete_secret(&world, "konnect").await;
    world.delete("Portal", "docs").await;
    world.delete("KonnectConnection", "acme").await;
    world.sandbox.reset_exchanges();
    world.start();
    world.gone("Portal", "docs").await;
    world.gone("KonnectConnection", "acme").await;
    assert!(world.sandbox.exchanges().is_empty(), "the API was asked without a credential");
    kept(&world, &[]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_an_unrecorded_deletion_without_its_secret_waits_for_it_and_for_a_persons_word() {
    let mut world = World::new("escrow-off-unsent").await;
    world.stop().await;
    world.settings.escrow = false;
    world.portal("docs", json!({})).await;
    world.patch("Portal", "docs", json!({"metadata": {"finalizers": ["portico.dev/remote"]}})).await;
    delete_secret(&world, "konnect").await;
    world.delete("Portal", "docs").await;
    world.delete("KonnectConnection", "acme").await;
    world.start();
    let message = world.unready("Portal", "docs", "DeletionBlocked").await;
    assert!(message.contains("acme"), "{message}");
    world.secret("konnect", &world.token).await;
    // Nothing tells that this is the credential that a create may have been sent with: a person does.
    let asks = |portal: &Value| condition(portal, "Ready", "message").contains("portico.dev/confirm-absence=");
    let portal = world.until("Portal", "docs", "asked for a person's word", asks).await;
    let message = condition(&portal, "Ready", "message");
    let token = message.split_once("portico.dev/confirm-absence=").map(|(_, rest)| &rest[..16]);
    world.annotate("KonnectConnection", "acme", "portico.dev/confirm-absence", json!(token)).await;
    world.gone("Portal", "docs").await;
    world.gone("KonnectConnection", "acme").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_is_kept_before_the_first_finalizer_and_once_for_all() {
    let world = World::new("escrow-first").await;
    kept(&world, &[]).await;
    let portals = ["docs", "news", "shop"];
    for portal in portals {
        world.portal(portal, json!({})).await;
    }
    for portal in portals {
        world.synced("Portal", portal).await;
    }
    kept(&world, &[&world.token]).await;
    world.flush_audit().await;
    let writes = world.kubernetes_writes();
    let is_kept = |write: &&String| write.starts_with("create secrets portico-escrow-");
    assert_eq!(writes.iter().filter(is_kept).count(), 1, "{writes:#?}");
    let of_portals = writes.iter().position(|write| write.starts_with("patch portals"));
    let first = writes.iter().position(|write| is_kept(&write));
    assert!(first.is_some() && first < of_portals, "{writes:#?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_goes_with_the_last_recorded_id() {
    let world = World::new("escrow-last").await;
    kept(&world, &[]).await;
    for portal in ["docs", "news"] {
        world.portal(portal, json!({})).await;
        world.synced("Portal", portal).await;
    }
    kept(&world, &[&world.token]).await;
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    sleep(Duration::from_millis(1500)).await;
    kept(&world, &[&world.token]).await;
    world.delete("Portal", "news").await;
    world.gone("Portal", "news").await;
    kept(&world, &[]).await;
    world.ready("KonnectConnection", "acme").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_credential_is_kept_once_it_works() {
    let world = World::new("escrow-change").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    kept(&world, &[&world.token]).await;
    world.secret("konnect", "kpat_of_nobody").await;
    world.unready("KonnectConnection", "acme", "CredentialRejected").await;
    kept(&world, &[&world.token]).await;
    let fresh = world.sandbox.organization("acme");
    world.secret("konnect", &fresh).await;
    world.ready("KonnectConnection", "acme").await;
    kept(&world, &[&fresh]).await;
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_nothing_is_kept_and_nothing_is_used() {
    let mut world = World::new("escrow-off").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    kept(&world, &[&world.token]).await;
    world.stop().await;
    world.settings.escrow = false;
    delete_secret(&world, "konnect").await;
    world.delete("Portal", "docs").await;
    world.delete("KonnectConnection", "acme").await;
    world.start();
    let message = world.unready("Portal", "docs", "DeletionBlocked").await;
    assert!(message.contains("acme"), "{message}");
    sleep(Duration::from_millis(1000)).await;
    assert_eq!(world.named("docs").len(), 1, "it was deleted with a credential that was not to be kept");
    kept(&world, &[]).await;
    world.secret("konnect", &world.token).await;
    world.gone("Portal", "docs").await;
    world.gone("KonnectConnection", "acme").await;
    assert!(world.portals().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_serves_deletions_alone_and_only_with_its_connection() {
    let mut world = World::new("escrow-alone").await;
    for portal in ["docs", "news"] {
        world.portal(portal, json!({"description": "first"})).await;
        world.synced("Portal", portal).await;
    }
    kept(&world, &[&world.token]).await;
    world.stop().await;
    delete_secret(&world, "konnect").await;
    world.delete("Portal", "docs").await;
    world.spec("Portal", "news", json!({"description": "second"})).await;
    world.sandbox.reset_exchanges();
    world.start();
    // Somebody took the credential away and kept the connection: Portico is not to ask any more.
    world.unready("KonnectConnection", "acme", "SecretNotFound").await;
    world.unready("Portal", "docs", "DeletionBlocked").await;
    sleep(Duration::from_millis(1200)).await;
    assert!(world.sandbox.exchanges().is_empty(), "the API was asked with a credential that was taken away");
    world.delete("KonnectConnection", "acme").await;
    world.gone("Portal", "docs").await;
    world.unready("KonnectConnection", "acme", "DeletionBlocked").await;
    world.unready("Portal", "news", "ConnectionNotReady").await;
    sleep(Duration::from_millis(1200)).await;
    assert_eq!(world.remote_writes(), ["delete-portal"]);
    assert_eq!(world.only("news")["description"], "first");
    world.delete("Portal", "news").await;
    world.gone("Portal", "news").await;
    world.gone("KonnectConnection", "acme").await;
    assert!(world.portals().is_empty());
    kept(&world, &[]).await;
    world.end().await;
}
