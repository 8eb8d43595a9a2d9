//! The way to a tenant of ACP: tokens from client credentials, fetched once and shared.
use std::time::Duration;

use portico_sandbox::{AcpSwitches, Effect, Fault, Options, Switches};
use serde_json::{Value, json};

use crate::world::{World, condition};

/// A world with a running operator, and the Secret `acp` with a client of the tenant `acme`.
async fn tenant(name: &str, acp: AcpSwitches) -> World {
    let switches = Switches { acp, ..Switches::default() };
    let mut world = World::with(name, Options { switches, ..Options::default() }).await;
    let (id, secret) = world.sandbox.tenant("acme");
    client(&world, &id, &secret).await;
    world.start();
    world
}

async fn client(world: &World, id: &str, secret: &str) {
    let data = json!({"client_id": id, "client_secret": secret});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "acp"}, "stringData": data});
    world.apply_as("v1", "Secret", "secrets", "acp", secret).await;
}

fn spec(world: &World) -> Value {
    json!({
        "url": world.server.url(),
        "tenant": "acme",
        "clientCredentials": {"secretRef": {"name": "acp"}},
        "resyncInterval": "1s",
        "requestTimeout": "1s",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_serves_a_connection_for_its_whole_life() {
    let world = tenant("acp-one-token", AcpSwitches::default()).await;
    world.create("AcpConnection", "acme", spec(&world)).await;
    world.synced("AcpConnection", "acme").await;
    world.eventually("it was probed several times", |w| w.calls("listAuthorizationServers") >= 3).await;
    assert_eq!(world.calls("token"), 1);
    world.assert_silence(Duration::from_secs(2)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_before_it_expires() {
    let world = tenant("acp-renewed", AcpSwitches { expires_in: 2, ..AcpSwitches::default() }).await;
    world.create("AcpConnection", "acme", spec(&world)).await;
    world.synced("AcpConnection", "acme").await;
    world.eventually("it was renewed twice", |w| w.calls("token") >= 3).await;
    let refused = world.sandbox.exchanges().into_iter().filter(|e| e.status == 401).count();
    assert_eq!(refused, 0, "a token was used after its end");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_costs_one_more_and_nobody_notices() {
    let world = tenant("acp-revoked", AcpSwitches::default()).await;
    world.create("AcpConnection", "acme", spec(&world)).await;
    world.synced("AcpConnection", "acme").await;
    for token in world.sandbox.access_tokens("acme") {
        world.sandbox.revoke(&token);
    }
    world.eventually("a new token was fetched", |w| w.calls("token") == 2).await;
    let before = world.calls("listAuthorizationServers");
    world.eventually("it works", |w| w.calls("listAuthorizationServers") >= before + 2).await;
    assert_eq!(world.calls("token"), 2);
    let connection = world.get("AcpConnection", "acme").await.unwrap();
    assert_eq!(condition(&connection, "Ready", "status"), "True");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told_in_the_token_endpoints_words_and_a_right_one_taken_at_once() {
    let world = tenant("acp-wrong", AcpSwitches::default()).await;
    let (id, secret) = world.sandbox.tenant("acme");
    client(&world, &id, "not-the-secret-of-this-client-at-all").await;
    world.create("AcpConnection", "acme", spec(&world)).await;
    let message = world.unready("AcpConnection", "acme", "CredentialRejected").await;
    assert!(message.contains("invalid_client"), "{message}");
    client(&world, &id, &secret).await;
    world.synced("AcpConnection", "acme").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_not_there_is_said() {
    let world = tenant("acp-nowhere", AcpSwitches::default()).await;
    let mut nowhere = spec(&world);
    nowhere["tenant"] = json!("nowhere");
    world.create("AcpConnection", "nowhere", nowhere).await;
    let message = world.unready("AcpConnection", "nowhere", "CredentialRejected").await;
    assert!(message.contains("tenant") || message.contains("not_found"), "{message}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_of_the_client_is_named() {
    let world = tenant("acp-no-key", AcpSwitches::default()).await;
    let mut elsewhere = spec(&world);
    elsewhere["clientCredentials"]["secretRef"]["name"] = json!("konnect");
    world.create("AcpConnection", "acme", elsewhere).await;
    let message = world.unready("AcpConnection", "acme", "SecretNotFound").await;
    assert!(message.contains("konnect") && message.contains("client_id"), "{message}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_may_show_its_secret_in_the_body_and_a_token_may_be_given_as_it_is() {
    let world = tenant("acp-ways", AcpSwitches::default()).await;
    let mut post = spec(&world);
    post["clientCredentials"]["authMethod"] = json!("Post");
    world.create("AcpConnection", "post", post).await;
    world.synced("AcpConnection", "post").await;
    let token = world.sandbox.access_tokens("acme").pop().expect("a token was made");
    world.secret("bearer", &token).await;
    let given = json!({"url": world.server.url(), "tenant": "acme", "tokenSecretRef": {"name": "bearer"}});
    world.create("AcpConnection", "given", given).await;
    world.synced("AcpConnection", "given").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_refuses_two_ways_of_authentication_and_a_change_of_the_tenant() {
    let world = tenant("acp-cel", AcpSwitches::default()).await;
    let mut both = spec(&world);
    both["tokenSecretRef"] = json!({"name": "bearer"});
    let refusal = world.try_create("AcpConnection", "both", both).await.unwrap_err();
    assert!(refusal.contains("exactly one of clientCredentials and tokenSecretRef"), "{refusal}");
    world.create("AcpConnection", "acme", spec(&world)).await;
    let refusal = world.try_patch("AcpConnection", "acme", json!({"spec": {"tenant": "other"}})).await.unwrap_err();
    assert!(refusal.contains("tenant cannot be changed"), "{refusal}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_on_a_host_that_is_not_allowed_is_never_asked() {
    let world = tenant("acp-host", AcpSwitches::default()).await;
    let mut elsewhere = spec(&world);
    elsewhere["clientCredentials"]["tokenUrl"] = json!("https://tokens.example.com/oauth2/token");
    world.create("AcpConnection", "acme", elsewhere).await;
    let is_refused = |o: &Value| condition(o, "Ready", "message").contains("--allow-host https://tokens.example.com");
    world.until("AcpConnection", "acme", "named the flag", is_refused).await;
    assert!(world.sandbox.exchanges().is_empty(), "a request was sent");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_token_endpoint_is_no_refusal_of_the_client() {
    let world = tenant("acp-failing", AcpSwitches::default()).await;
    let effect = Effect::Status { status: 503, retry_after: None, detail: None };
    world.sandbox.inject(Fault { operation: "token".into(), effect, times: None, organization: None });
    world.create("AcpConnection", "acme", spec(&world)).await;
    world.unready("AcpConnection", "acme", "RemoteUnavailable").await;
    world.sandbox.clear_faults();
    world.synced("AcpConnection", "acme").await;
    world.end().await;
}
