//! Tokens at scale: one request for a token serves all objects of a connection, however many of them want it at once.
use std::time::Duration;

use futures::{StreamExt, future, stream};
use kube::api::{DeleteParams, ListParams};
use portico_sandbox::AcpSwitches;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    tripwire::Side,
    world::{World, condition},
};

/// As many objects has the one connection.
const OBJECTS: usize = 1000;
/// As many are made at once.
const AT_ONCE: usize = 16;
/// How long it may take until all of them are there.
const LONG: Duration = Duration::from_secs(240);

/// Makes Consents.
async fn make(world: &World, numbers: std::ops::Range<usize>) {
    let make_one = |n: usize| async move { world.consent(&format!("terms-{n}"), json!({})).await };
    stream::iter(numbers).for_each_concurrent(AT_ONCE, make_one).await;
}

/// Waits until the tenant has so many consents.
async fn until_made(world: &World, count: usize) {
    let started = Instant::now();
    while world.acp_consents().len() < count {
        assert!(started.elapsed() < LONG, "{} of {count} were made", world.acp_consents().len());
        sleep(Duration::from_millis(50)).await;
    }
}

/// The Consents that are there.
async fn consents(world: &World) -> Vec<Value> {
    let list = world.api("Consent").list(&ListParams::default()).await.expect("they can be listed");
    list.items.into_iter().map(|consent| serde_json::to_value(consent).expect("it is JSON")).collect()
}

/// Waits until so many Consents are in order.
async fn until_in_order(world: &World, count: usize) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let all = consents(world).await;
        let is_in_order = |o: &&Value| ["Ready", "Synced"].iter().all(|c| condition(o, c, "status") == "True");
        let in_order = all.iter().filter(is_in_order).count();
        if in_order == count {
            return all;
        }
        assert!(started.elapsed() < LONG, "{in_order} of {count} are in order");
        sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_objects_cost_one_token_and_a_token_revoked_among_them_one_more() {
    let mut world = World::quiet_acp("tokens-many").await;
    let revoke = async {
        until_made(&world, OBJECTS / 2).await;
        assert_eq!(world.calls("token"), 1, "half of the objects were made with more than one token");
        for token in world.sandbox.access_tokens("acme") {
            world.sandbox.revoke(&token);
        }
    };
    future::join(make(&world, 0..OBJECTS), revoke).await;
    let all = until_in_order(&world, OBJECTS).await;
    assert_eq!(world.acp_consents().len(), OBJECTS);
    let exchanges = world.sandbox.exchanges();
    let answered = |operation: &str, status: u16| {
        exchanges.iter().filter(|e| e.operation.as_deref() == Some(operation) && e.status == status).count()
    };
    assert_eq!((answered("token", 200), world.calls("token")), (2, 2));
    assert_eq!(answered("createConsent", 201), OBJECTS);
    // Those that were under way were refused; nobody used the old token after that.
    let refused = answered("createConsent", 401);
    assert!((1..=world.settings.concurrency).contains(&refused), "{refused} were refused");

    // So many objects would take long to be taken down one by one.
    let text = serde_json::to_string(&all).expect("it is JSON");
    assert!(world.sandbox.secrets().iter().all(|secret| !text.contains(secret)), "a secret stands in a Consent");
    world.stop().await;
    let here = &world;
    let release = |consent: &Value| {
        let name = consent["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        async move { here.patch("Consent", &name, json!({"metadata": {"finalizers": null}})).await }
    };
    stream::iter(&all).for_each_concurrent(AT_ONCE, release).await;
    let api = world.api("Consent");
    api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.expect("they are deleted");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_refused_is_tried_once_a_backoff_step_and_not_once_an_object() {
    let mut world = World::still_acp("tokens-refused", AcpSwitches::default()).await;
    (world.settings.backoff, world.settings.backoff_max) = (Duration::from_secs(1), Duration::from_secs(2));
    world.start();
    world.identity(json!({})).await;
    make(&world, 0..10).await;
    until_in_order(&world, 10).await;
    let old = world.values("acp").await;
    world.sandbox.revoke(&old["client_secret"]);
    for token in world.sandbox.access_tokens("acme") {
        world.sandbox.revoke(&token);
    }
    let message = world.unready("AcpConnection", "identity", "CredentialRejected").await;
    assert!(message.contains("invalid_client"), "the token endpoint's own words: {message}");
    make(&world, 10..20).await;
    for n in 10..20 {
        world.unready("Consent", &format!("terms-{n}"), "ConnectionNotReady").await;
    }
    world.wire.disarm();
    sleep(Duration::from_secs(3)).await;
    // The steps are 1 s and then 2 s, and up to a quarter more.
    let requests = world.wire.seen(Side::Remote);
    assert!((1..=3).contains(&requests.len()), "not one probe a backoff step: {requests:?}");
    let known = consents(&world).await;
    let kept = known.iter().filter(|o| condition(o, "Ready", "status") == "True" && o["status"]["id"].is_string());
    assert_eq!(kept.count(), 10, "what was true of the first ten still is");
    let (id, secret) = world.sandbox.tenant("acme");
    world.keys("acp", &[("client_id", &id), ("client_secret", &secret)]).await;
    until_in_order(&world, 20).await;
    assert_eq!(world.acp_consents().len(), 20);
    world.end().await;
}
