//! Secrets that the API takes and never shows: known by a keyed digest of what was sent.
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::DeleteParams};
use portico::engine::own::DIGEST_KEY;
use portico_sandbox::AcpSwitches;
use serde_json::{Value, json};

use crate::world::World;

const PATH: &str = "authentications.methods.local.static.users.ann.password";

/// A world with a server whose user has a password that the API shows to nobody.
async fn world(name: &str) -> World {
    let hidden = AcpSwitches { authentication_secrets_shown: false, ..AcpSwitches::default() };
    let world = World::acp_with(name, hidden, json!({})).await;
    world.keys("ann", &[("password", "correct horse battery staple")]).await;
    let user = json!({"username": "ann", "passwordSecretRef": {"name": "ann", "key": "password"}});
    let method = json!({"id": "local", "name": "Local", "method": "static", "static": {"users": [user]}});
    world.server("login", json!({"authentications": {"methods": [method]}})).await;
    world.synced("AuthorizationServer", "login").await;
    world
}

fn password(world: &World) -> Value {
    world.only_server()["authentications"]["methods"][0]["static"]["users"][0]["password"].clone()
}

async fn digest(world: &World) -> Option<String> {
    let server = world.get("AuthorizationServer", "login").await.unwrap_or_default();
    server["status"]["digests"][PATH].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_the_api_does_not_show_is_sent_once_and_never_again_at_rest() {
    let mut world = world("unshown-once").await;
    assert!(digest(&world).await.is_some_and(|digest| digest.len() == 32));
    assert_eq!(password(&world), "correct horse battery staple");
    world.assert_silence(Duration::from_millis(2500)).await;
    world.assert_silence_after_a_restart().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_the_api_does_not_show_follows_its_secret() {
    let world = world("unshown-follows").await;
    let before = digest(&world).await;
    world.sandbox.reset_exchanges();
    world.keys("ann", &[("password", "another horse battery staple")]).await;
    world.eventually("the new password is sent", |w| password(w) == "another horse battery staple").await;
    world
        .until("AuthorizationServer", "login", "remembers it", |o| {
            o["status"]["digests"][PATH].is_string() && o["status"]["digests"][PATH].as_str() != before.as_deref()
        })
        .await;
    assert_eq!(world.acp_writes(), ["updateAuthentications"]);
    world.assert_silence(Duration::from_millis(2500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_digest_key_every_such_secret_is_sent_once_more() {
    let mut world = world("unshown-key").await;
    let before = digest(&world).await;
    world.stop().await;
    let own: Api<Secret> = Api::namespaced(world.admin(), &world.settings.namespace);
    own.delete(DIGEST_KEY, &DeleteParams::default()).await.expect("the key was made, and is deleted");
    world.sandbox.reset_exchanges();
    world.start();
    world.eventually("the password is sent again", |w| !w.acp_writes().is_empty()).await;
    world
        .until("AuthorizationServer", "login", "remembers it by the new key", |o| {
            o["status"]["digests"][PATH].is_string() && o["status"]["digests"][PATH].as_str() != before.as_deref()
        })
        .await;
    world.synced("AuthorizationServer", "login").await;
    assert_eq!(world.acp_writes(), ["updateAuthentications"]);
    let told = world.events("login").await;
    assert!(told.iter().all(|(reason, _)| reason != "DriftCorrected"), "nobody had changed anything: {told:?}");
    world.assert_silence(Duration::from_millis(2500)).await;
    world.end().await;
}
