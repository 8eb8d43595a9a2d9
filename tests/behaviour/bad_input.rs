//! Issue 3, "Bad input, and what it gets": what the API server refuses, what a Secret lacks, what the API refuses, and what is stored and
//! does not decode.
use std::time::Duration;

use portico_sandbox::{Options, Plant};
use portico_testbed::ControlPlane;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    tripwire::Side,
    world::{PATIENCE, World, condition, install},
};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_refuses_what_does_not_fit_the_schema_and_names_it() {
    let world = World::still("bad-schema").await;
    let (docs, token) = (json!({"name": "docs"}), json!({"name": "konnect"}));
    let product = json!({"roleName": "API Viewer", "entityId": "5"});
    let cases = [
        ("Portal", json!({"connectionRef": docs, "descripton": "a typo"}), "spec.descripton"),
        ("Portal", json!({"connectionRef": docs, "isPublic": "yes"}), "spec.isPublic"),
        ("Portal", json!({"connectionRef": docs, "lifecycle": {"drift": "Sometimes"}}), "spec.lifecycle.drift"),
        ("Portal", json!({}), "spec.connectionRef"),
        ("KonnectConnection", json!({"region": "eu"}), "spec.tokenSecretRef"),
        ("KonnectConnection", json!({"region": "eu", "tokenSecretRef": token, "mode": "Sometimes"}), "spec.mode"),
        ("KonnectConnection", json!({"tokenSecretRef": token}), "exactly one of region and url"),
        (
            "KonnectConnection",
            json!({"region": "eu", "url": "https://eu.api.konghq.com", "tokenSecretRef": token}),
            "exactly one of region and url",
        ),
        (
            "KonnectConnection",
            json!({"region": "eu", "tokenSecretRef": token, "resyncInterval": "0s"}),
            "resyncInterval is at least 1s",
        ),
        ("PortalTeam", json!({"portalRef": {"name": "docs", "id": "x"}}), "exactly one of name"),
        ("PortalTeam", json!({"portalRef": {"id": "x"}}), "connectionRef goes with portalRef.id"),
        ("PortalTeam", json!({"portalRef": docs, "roles": {"items": [product]}}), "spec.roles.items[0].entityId"),
    ];
    for (kind, spec, word) in cases {
        let metadata = json!({"name": "bad"});
        let manifest =
            json!({"apiVersion": "konnect.portico.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        let answer = world.kubectl(&["apply", "-f", "-"], &manifest.to_string()).await;
        let Err(refused) = answer else { panic!("{manifest} was taken") };
        assert!(refused.contains(word), "{manifest}: {refused}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn region_and_url_of_a_connection_cannot_be_changed() {
    let world = World::still("bad-immutable").await;
    world.connection(json!({})).await;
    let regional = json!({"region": "eu", "tokenSecretRef": {"name": "konnect"}});
    world.create("KonnectConnection", "regional", regional).await;
    for (name, change, message) in [
        ("acme", json!({"url": "https://us.api.konghq.com"}), "url cannot be changed"),
        ("acme", json!({"url": null, "region": "eu"}), "url cannot be changed"),
        ("regional", json!({"region": "us"}), "region cannot be changed"),
    ] {
        let refused = world.try_patch("KonnectConnection", name, json!({"spec": change})).await;
        let refused = refused.expect_err("it is refused");
        assert!(refused.contains(message), "{refused}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_and_a_missing_key_are_named_and_waited_for() {
    let mut world = World::still("bad-secret").await;
    world.start();
    world.connection(json!({"tokenSecretRef": {"name": "late"}})).await;
    let keyless = json!({"url": world.server.url(), "tokenSecretRef": {"name": "konnect", "key": "pat"}});
    world.create("KonnectConnection", "keyless", keyless).await;
    world.portal("docs", json!({})).await;
    for (connection, secret, key) in [("acme", "/late", "key token"), ("keyless", "/konnect", "key pat")] {
        let message = world.unready("KonnectConnection", connection, "SecretNotFound").await;
        assert!(message.contains(secret) && message.contains(key), "{message}");
        assert!(!world.is_stalled("KonnectConnection", connection).await);
    }
    world.unready("Portal", "docs", "ConnectionNotReady").await;
    world.secret("late", &world.token).await;
    world.secret_key("konnect", "pat", &world.token).await;
    world.ready("KonnectConnection", "acme").await;
    world.ready("KonnectConnection", "keyless").await;
    world.synced("Portal", "docs").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_costs_one_probe_a_backoff_step_and_a_right_one_is_taken_at_once() {
    let mut world = World::still("bad-token").await;
    (world.settings.backoff, world.settings.backoff_max) = (Duration::from_secs(1), Duration::from_secs(2));
    world.secret("konnect", "kpat_of_nobody").await;
    world.start();
    world.connection(json!({})).await;
    let portals = ["one", "two", "three", "four"];
    for portal in portals {
        world.portal(portal, json!({})).await;
    }
    let message = world.unready("KonnectConnection", "acme", "CredentialRejected").await;
    assert!(message.contains("Unauthorized"), "the API's own words: {message}");
    for portal in portals {
        let message = world.unready("Portal", portal, "ConnectionNotReady").await;
        assert!(message.contains("/acme"), "{message}");
    }
    world.wire.disarm();
    sleep(Duration::from_secs(3)).await;
    let requests = world.wire.seen(Side::Remote);
    assert!((1..=3).contains(&requests.len()), "not one probe a backoff step: {requests:?}");
    world.secret("konnect", &world.token).await;
    for portal in portals {
        world.synced("Portal", portal).await;
    }
    // The same with what is in order: nothing is forgotten.
    world.sandbox.revoke(&world.token);
    world.unready("KonnectConnection", "acme", "CredentialRejected").await;
    world.portal("five", json!({})).await;
    let message = world.unready("Portal", "five", "ConnectionNotReady").await;
    assert!(message.contains("credential"), "{message}");
    let one = world.get("Portal", "one").await.unwrap_or_default();
    assert_eq!((condition(&one, "Ready", "status"), &one["status"]["id"]), ("True", &world.only("one")["id"]));
    world.secret("konnect", &world.sandbox.organization("acme")).await;
    world.synced("Portal", "five").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_api_refuses_stalls_at_once_and_is_sent_again_on_a_change() {
    let mut world = World::still("bad-field").await;
    (world.settings.stalled, world.settings.stalled_max) = (Duration::from_secs(300), Duration::from_secs(300));
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({"labels": {"kong-thing": "x"}})).await;
    let message = world.unready("Portal", "docs", "InvalidSpec").await;
    let own_words = ["labels.kong-thing", "does not start with kong"];
    assert!(own_words.iter().all(|words| message.contains(words)), "{message}");
    assert!(world.is_stalled("Portal", "docs").await);
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.calls("create-portal"), 1);
    world.spec("Portal", "docs", json!({"labels": {"kong-thing": null, "team": "a"}})).await;
    world.synced("Portal", "docs").await;
    assert!(!world.is_stalled("Portal", "docs").await);
    assert_eq!(world.only("docs")["labels"]["team"], "a");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_the_api_refuses_is_explained_and_tried_again() {
    let world = World::new("bad-role").await;
    let product = world.sandbox.plant("acme", Plant::ApiProduct { name: "weather".to_owned() }).unwrap();
    let role = |name: &str| json!({"items": [{"roleName": name, "entityId": product, "entityRegion": "eu"}]});
    world.portal("docs", json!({})).await;
    world.team("devs", "docs", json!({"roles": role("API Wizard")})).await;
    let message = world.unready("PortalTeam", "devs", "InvalidSpec").await;
    assert!(message.contains("role_name") && message.contains("API Viewer"), "{message}");
    assert!(world.is_stalled("PortalTeam", "devs").await);
    world.eventually("it is tried again", |w| w.calls("assign-role-to-portal-teams") >= 2).await;
    world.spec("PortalTeam", "devs", json!({"roles": role("API Viewer")})).await;
    world.synced("PortalTeam", "devs").await;
    assert_eq!(world.calls("create-portal-team"), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_and_does_not_decode_says_so_and_its_siblings_go_on() {
    let start = || {
        // Not the shared one, for its schemas are loosened. Worlds want it 'static; a watchdog stops it when this process ends.
        let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start().expect("a control plane")));
        install(plane);
        loosen(plane, "portals", &["isPublic", "lifecycle"]);
        loosen(plane, "konnectconnections", &["mode"]);
        plane
    };
    let plane = tokio::task::spawn_blocking(start).await.unwrap();
    let mut world = World::on(plane, "bad-stored", Options::default()).await;
    let acme = json!({"name": "acme"});
    let access = json!({"url": world.server.url(), "tokenSecretRef": {"name": "konnect"}, "mode": "Sometimes"});
    let odd = [
        ("Portal", "no-boolean", json!({"connectionRef": acme, "isPublic": "yes"})),
        ("Portal", "no-word", json!({"connectionRef": acme, "lifecycle": {"drift": "Sometimes"}})),
        ("KonnectConnection", "no-mode", access),
    ];
    for (kind, name, spec) in &odd {
        store(&world, kind, name, spec).await;
    }
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    world.start();
    world.synced("Portal", "docs").await;
    for (kind, name, _) in &odd {
        let message = world.unready(kind, name, "InvalidSpec").await;
        assert!(message.contains("does not fit"), "{message}");
    }
    world.stop().await;
    world.start();
    world.spec("Portal", "docs", json!({"description": "changed"})).await;
    world.synced("Portal", "docs").await;
    assert_eq!(world.portals().len(), 1);
    for (kind, name, _) in &odd {
        world.delete(kind, name).await;
        world.gone(kind, name).await;
    }
    assert_eq!(world.only("docs")["description"], "changed");
    world.end().await;
}

/// Lets the schema take anything in these fields, as an older one may have.
fn loosen(plane: &ControlPlane, plural: &str, fields: &[&str]) {
    let fields = fields.iter().map(|field| {
        let path = format!("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/{field}");
        json!({"op": "replace", "path": path, "value": {"x-kubernetes-preserve-unknown-fields": true}})
    });
    let patch = Value::Array(fields.collect()).to_string();
    let crd = format!("{plural}.konnect.portico.dev");
    plane.kubectl(&["patch", "crd", &crd, "--type=json", "-p", &patch]).expect("the schema is loosened");
}

/// Creates a resource that only a loosened schema takes: the API server uses it a moment later.
async fn store(world: &World, kind: &str, name: &str, spec: &Value) {
    let started = Instant::now();
    while let Err(refused) = world.try_create(kind, name, spec.clone()).await {
        assert!(started.elapsed() < PATIENCE, "{kind} {name}: {refused}");
        sleep(Duration::from_millis(50)).await;
    }
}
