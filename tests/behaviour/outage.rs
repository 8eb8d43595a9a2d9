//! Issue 3, "Bad input, and what it gets": a host that is down, that is another, that cannot be trusted, or that may not be spoken to.
use std::{net::SocketAddr, time::Duration};

use portico::remote::AllowList;
use portico_sandbox::{Effect, Fault, Sandbox, Server};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    tripwire::Side,
    world::{World, condition},
    world_steps::delete_secret,
};

/// Portals that are in order when the API goes away.
const SETTLED: [&str; 4] = ["one", "two", "three", "four"];

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// A world with portals that are in order, one of them about to be deleted, and backoff steps long enough to be counted.
async fn settled(name: &str) -> World {
    let mut world = World::still(name).await;
    (world.settings.backoff, world.settings.backoff_max) = (Duration::from_secs(1), Duration::from_secs(2));
    world.start();
    world.connection(json!({})).await;
    for portal in SETTLED.into_iter().chain(["leaving"]) {
        world.portal(portal, json!({})).await;
    }
    for portal in SETTLED.into_iter().chain(["leaving"]) {
        world.synced("Portal", portal).await;
    }
    world
}

/// What is promised while something else answers, or nothing: no write, nothing taken for gone, few questions.
async fn nothing_is_made_and_nothing_is_forgotten(world: &World) {
    world.sandbox.reset_exchanges();
    world.unready("KonnectConnection", "acme", "RemoteUnavailable").await;
    world.portal("fresh", json!({})).await;
    world.delete("Portal", "leaving").await;
    world.unready("Portal", "fresh", "RemoteUnavailable").await;
    world.wire.disarm();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // The steps are 1 s and then 2 s, and up to a quarter more.
    let requests = world.wire.seen(Side::Remote);
    assert!((1..=3).contains(&requests.len()), "not one probe a backoff step: {requests:?}");
    for portal in SETTLED {
        let object = world.get("Portal", portal).await.unwrap_or_default();
        assert_eq!(condition(&object, "Ready", "status"), "True", "{object:#}");
        assert_eq!(object["status"]["id"], world.only(portal)["id"], "{object:#}");
        assert!(object["status"]["remote"].is_object(), "{object:#}");
    }
    assert!(world.get("Portal", "leaving").await.is_some(), "its finalizer was dropped without an answer");
    assert_eq!((world.named("leaving").len(), world.named("fresh").len()), (1, 0));
}

/// What is promised once the API answers again: everything goes on by itself, and nothing is made twice.
async fn everything_goes_on(world: &World) {
    world.ready("KonnectConnection", "acme").await;
    world.gone("Portal", "leaving").await;
    for portal in SETTLED.into_iter().chain(["fresh"]) {
        let object = world.synced("Portal", portal).await;
        assert_eq!(object["status"]["id"], world.only(portal)["id"]);
    }
    let mut writes = world.remote_writes();
    writes.sort_unstable();
    assert_eq!(writes, ["create-portal", "delete-portal"]);
}

async fn survives(name: &str, status: u16, body: &str) {
    let world = settled(name).await;
    let elsewhere = world.sandbox.serve(any_port()).await.expect("another server");
    let location = (300..400).contains(&status).then(|| format!("{}/v2/portals", elsewhere.url()));
    let effect = Effect::Page { status, body: body.to_owned(), location };
    world.sandbox.inject(Fault { operation: "*".to_owned(), effect, times: None, organization: None });
    nothing_is_made_and_nothing_is_forgotten(&world).await;
    world.sandbox.clear_faults();
    everything_goes_on(&world).await;
    let here = format!("{}/", world.server.url());
    assert!(world.sandbox.exchanges().iter().all(|e| e.url.starts_with(&here)), "a redirect was followed");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_proxy_that_says_404_is_not_an_absence() {
    survives("out-404", 404, "<html><h1>404 Not Found</h1></html>").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_json_is_no_answer() {
    survives("out-html", 200, "<html>Please sign in to the hotel's network.</html>").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    survives("out-302", 302, "<html>Over there.</html>").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_down_is_probed_once_a_step_and_nothing_is_forgotten() {
    let mut world = settled("out-down").await;
    let address = world.server.address();
    let elsewhere = world.sandbox.serve(any_port()).await.expect("another server");
    drop(std::mem::replace(&mut world.server, elsewhere));
    nothing_is_made_and_nothing_is_forgotten(&world).await;
    world.server = serve_again(&world.sandbox, address).await;
    everything_goes_on(&world).await;
    world.end().await;
}

/// The address may be taken for another moment by connections that are being closed.
async fn serve_again(sandbox: &Sandbox, address: SocketAddr) -> Server {
    let started = Instant::now();
    loop {
        match sandbox.serve(address).await {
            Ok(server) => return server,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(20), "{address}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_be_trusted_gets_no_request_until_its_authority_is_given() {
    let mut world = World::still("out-tls").await;
    let server = world.sandbox.serve_tls(any_port()).await.expect("it serves TLS");
    world.settings.allow = AllowList::new(&[server.url()]).expect("an origin");
    world.start();
    world.connection(json!({"url": server.url()})).await;
    world.portal("docs", json!({})).await;
    let message = world.unready("KonnectConnection", "acme", "RemoteUnavailable").await;
    assert!(message.contains("certificate"), "{message}");
    world.unready("Portal", "docs", "ConnectionNotReady").await;
    world.spec("KonnectConnection", "acme", json!({"caBundleRef": {"configMap": "authority"}})).await;
    let message = world.unready("KonnectConnection", "acme", "SecretNotFound").await;
    assert!(message.contains("/authority") && message.contains("ca.crt"), "{message}");
    assert!(world.sandbox.exchanges().is_empty(), "a request, and with it the token, went to a host nobody trusts");
    let bundle = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "authority"},
        "data": {"ca.crt": server.ca_pem()},
    });
    world.kubectl(&["apply", "-f", "-"], &bundle.to_string()).await.expect("the ConfigMap is taken");
    world.ready("KonnectConnection", "acme").await;
    world.synced("Portal", "docs").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_allowed_gets_no_request_and_the_message_names_the_flag() {
    let mut world = World::still("out-allow").await;
    let elsewhere = world.sandbox.serve(any_port()).await.expect("another server");
    world.start();
    let urls = [elsewhere.url(), "https://konnect.example.com".to_owned(), "http://eu.api.konghq.com".to_owned()];
    for (n, url) in urls.iter().enumerate() {
        let spec = json!({"url": url, "tokenSecretRef": {"name": "konnect"}});
        world.create("KonnectConnection", &format!("host-{n}"), spec).await;
    }
    for (n, url) in urls.iter().enumerate() {
        let name = format!("host-{n}");
        let message = world.unready("KonnectConnection", &name, "InvalidSpec").await;
        assert!(message.contains(&format!("--allow-host {url}")), "{message}");
        let connection = world.get("KonnectConnection", &name).await.unwrap_or_default();
        assert_eq!(condition(&connection, "Stalled", "status"), "True", "{connection:#}");
    }
    // Longer than the first retry of what is stalled.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.wire.seen(Side::Remote), Vec::<String>::new());
    assert!(world.sandbox.exchanges().is_empty());
    world.end().await;
}

/// Law 9: the status tells the truth, also of what is second-hand.
#[tokio::test(flavor = "multi_thread")]
async fn a_portal_says_what_its_connection_lacks() {
    let mut world = World::still("bad-words").await;
    world.secret("konnect", "kpat_of_nobody").await;
    world.start();
    world.connection(json!({})).await;
    world.unready("KonnectConnection", "acme", "CredentialRejected").await;
    world.portal("docs", json!({})).await;
    let message = world.unready("Portal", "docs", "ConnectionNotReady").await;
    assert!(!message.contains("not been tried"), "it has been tried, and refused: {message}");
    world.end().await;
}

/// What is promised where nobody can look, from whatever moment on: after three intervals the objects' own status says so, once, and no longer
/// than that.
async fn it_is_said_that_nothing_is_known(world: &World, reason: &str) {
    world.unready("KonnectConnection", "acme", reason).await;
    for portal in SETTLED.into_iter().chain(["leaving"]) {
        let is_unknown = |o: &Value| condition(o, "Synced", "status") == "Unknown";
        let object = world.until("Portal", portal, "said that its state is not known", is_unknown).await;
        assert_eq!(condition(&object, "Ready", "status"), "True", "an object that was Ready stays so: {object:#}");
        assert_eq!(condition(&object, "Synced", "reason"), "ConnectionNotReady", "{object:#}");
    }
    // Longer than three intervals more.
    world.assert_silence(Duration::from_millis(3500)).await;
    world.secret("konnect", &world.token).await;
    world.ready("KonnectConnection", "acme").await;
    for portal in SETTLED.into_iter().chain(["leaving"]) {
        world.synced("Portal", portal).await;
    }
    assert_eq!(world.remote_writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_start_with_a_credential_that_is_refused_it_is_said_that_nothing_is_known() {
    let mut world = settled("out-start-refused").await;
    world.stop().await;
    world.secret("konnect", "kpat_of_nobody").await;
    world.start();
    it_is_said_that_nothing_is_known(&world, "CredentialRejected").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_start_without_the_secret_it_is_said_that_nothing_is_known() {
    let mut world = settled("out-start-secret").await;
    world.stop().await;
    delete_secret(&world, "konnect").await;
    world.start();
    it_is_said_that_nothing_is_known(&world, "SecretNotFound").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_goes_brings_nobody_back_and_still_it_is_said_that_nothing_is_known() {
    let world = settled("out-secret").await;
    delete_secret(&world, "konnect").await;
    it_is_said_that_nothing_is_known(&world, "SecretNotFound").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_another_account_it_is_said_that_nothing_is_known_although_the_api_answers() {
    let world = settled("out-account").await;
    world.secret("konnect", &world.sandbox.organization("other")).await;
    it_is_said_that_nothing_is_known(&world, "AccountChanged").await;
    world.end().await;
}
