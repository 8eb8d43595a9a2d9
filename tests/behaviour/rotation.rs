//! A client's secret changes: by rotation, whose every crash point leaves a key that works; by somebody at the API, which is drift; by its
//! owner's own Secret. Never by itself.
use std::time::Duration;

use portico_sandbox::{AcpPlant, AcpSwitches, Effect};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    tripwire::{Side, When},
    world::{World, condition},
    world_acp::{SHOP, Values, ask_for_token, works},
    world_steps::{delete_secret, id, status},
};

const ROTATE: &str = "portico.dev/rotate";
const PENDING: &str = "pending_client_secret";
/// More requests than this no rotation makes.
const MOST_REQUESTS: usize = 12;

/// Asks for a new secret.
async fn ask(world: &World, when: &str) {
    world.annotate("OAuthClient", "shop", ROTATE, json!(when)).await;
}

/// Waits until the new secret is there.
async fn answered(world: &World, when: &str) {
    world.until("OAuthClient", "shop", "was rotated", |o| o["status"]["lastHandledRotate"] == when).await;
    world.synced("OAuthClient", "shop").await;
}

/// Asserts that of the old and the new credentials exactly one key works: the new one's.
async fn assert_rotated(old: &Values, new: &Values) {
    let keys = |values: &Values| values.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(new), keys(old));
    assert!(works(new, "client_secret").await, "the new secret does not work");
    assert!(!works(old, "client_secret").await, "the old secret still works");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_one_put_and_the_new_secret_works_and_the_old_one_does_not() {
    let world = World::with_shop("rotate-once", AcpSwitches::default(), json!({})).await;
    let old = world.values(SHOP).await;
    ask(&world, "1").await;
    answered(&world, "1").await;
    assert_eq!(world.acp_writes(), ["updateClient"]);
    let new = world.values(SHOP).await;
    assert_eq!(new["client_secret"].len(), 43);
    assert_rotated(&old, &new).await;
    // Not once more for the same words, nor when they are taken away.
    world.annotate("OAuthClient", "shop", "example.com/note", json!("anything")).await;
    world.assert_silence(Duration::from_millis(1500)).await;
    world.annotate("OAuthClient", "shop", ROTATE, json!(null)).await;
    sleep(Duration::from_millis(700)).await;
    assert_eq!(world.acp_writes(), Vec::<String>::new());
    assert_eq!(world.values(SHOP).await, new);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_whose_put_nobody_knows_the_outcome_ends_with_one_key_that_works() {
    let world = World::with_shop("rotate-lost", AcpSwitches::default(), json!({})).await;
    for (n, effect) in [Effect::LoseResponse, Effect::Reset, status(503)].into_iter().enumerate() {
        let old = world.values(SHOP).await;
        world.once("updateClient", effect);
        ask(&world, &n.to_string()).await;
        answered(&world, &n.to_string()).await;
        assert_rotated(&old, &world.values(SHOP).await).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_portico_crashes_in_a_rotation_a_key_in_the_secret_works() {
    let connection = json!({"resyncInterval": "1h"});
    let mut world = World::with_shop("rotate-crash", AcpSwitches::default(), connection).await;
    let mut crashed = Vec::new();
    for side in [Side::Remote, Side::Kubernetes] {
        for nth in 0..MOST_REQUESTS {
            let mut found = None;
            for when in [When::Before, When::After] {
                let Some(request) = rotate_and_crash(&mut world, (side, when, nth)).await else { break };
                found = Some(request);
            }
            let Some(request) = found else { break };
            crashed.push(request);
        }
    }
    println!("crashed before and after each of {crashed:#?}");
    for part in ["PUT /api/admin/acme/clients/", "secrets/shop-credentials", "oauthclients/shop/status"] {
        assert!(crashed.iter().any(|request| request.contains(part)), "never at {part}: {crashed:?}");
    }
    world.end().await;
}

/// Rotates the secret, with a crash at the given request; which that was, if there is one.
async fn rotate_and_crash(world: &mut World, at: (Side, When, usize)) -> Option<String> {
    world.quiet().await;
    let (side, when, nth) = at;
    let (old, new) = (world.values(SHOP).await, format!("{at:?}"));
    world.wire.arm(side, when, nth);
    ask(world, &new).await;
    let tripped = tokio::select! {
        () = world.wire.tripped() => true,
        () = answered(world, &new) => false,
    };
    let request = world.wire.seen(side).get(nth).cloned();
    // What a program can do that reads the Secret at this moment.
    let found = world.values(SHOP).await;
    let working = works(&found, "client_secret").await || works(&found, PENDING).await;
    assert!(working, "no key works at {at:?}: {request:?}");
    world.crash_and_come_back().await;
    answered(world, &new).await;
    assert_rotated(&old, &world.values(SHOP).await).await;
    if tripped { request } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_portico_crashes_while_a_client_is_made_its_secret_works() {
    let mut world = World::quiet_acp("cred-crash").await;
    world.server("login", json!({})).await;
    world.synced("AuthorizationServer", "login").await;
    let mut crashed = Vec::new();
    for side in [Side::Remote, Side::Kubernetes] {
        for nth in 0..MOST_REQUESTS {
            let mut found = None;
            for when in [When::Before, When::After] {
                let Some(request) = make_and_crash(&mut world, (side, when, nth)).await else { break };
                found = Some(request);
            }
            let Some(request) = found else { break };
            crashed.push(request);
        }
    }
    println!("crashed before and after each of {crashed:#?}");
    assert!(crashed.iter().any(|request| request.contains("secrets")), "{crashed:?}");
    world.end().await;
}

/// Makes a client, with a crash at the given request; which that was, if there is one.
async fn make_and_crash(world: &mut World, at: (Side, When, usize)) -> Option<String> {
    world.quiet().await;
    let (side, when, nth) = at;
    world.wire.arm(side, when, nth);
    world.client("shop", "login", json!({})).await;
    let tripped = tokio::select! {
        () = world.wire.tripped() => true,
        _ = world.synced("OAuthClient", "shop") => false,
    };
    let request = world.wire.seen(side).get(nth).cloned();
    world.crash_and_come_back().await;
    world.synced("OAuthClient", "shop").await;
    let values = world.values(SHOP).await;
    assert_eq!(world.only_client()["client_id"], values["client_id"].as_str(), "{at:?}: {request:?}");
    assert!(works(&values, "client_secret").await, "{at:?}: {request:?}");
    world.delete("OAuthClient", "shop").await;
    world.gone("OAuthClient", "shop").await;
    assert_eq!(world.secret_named(SHOP).await, None, "{at:?}: {request:?}");
    if tripped { request } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_changed_at_the_api_is_drift_and_put_back() {
    let world = World::with_shop("rotate-drift", AcpSwitches::default(), json!({})).await;
    let before = world.values(SHOP).await;
    let path = format!("/clients/{}", before["client_id"]);
    let theirs = json!({"client_secret": "what-somebody-typed-into-a-console-one-day"});
    world.alter_by_hand(&path, theirs.clone()).await;
    world.eventually("it is put back", |w| w.only_client()["client_secret"] == before["client_secret"].as_str()).await;
    world.synced("OAuthClient", "shop").await;
    assert!(works(&before, "client_secret").await);
    assert_eq!(world.values(SHOP).await, before);
    sleep(Duration::from_millis(300)).await;
    let events = world.events("shop").await;
    let says = |(reason, note): &(String, String)| reason == "DriftCorrected" && note.contains("client_secret");
    assert!(events.iter().any(says), "{events:?}");

    world.spec("OAuthClient", "shop", json!({"lifecycle": {"drift": "Report"}})).await;
    world.synced("OAuthClient", "shop").await;
    world.alter_by_hand(&path, theirs.clone()).await;
    let is_reported = |o: &Value| condition(o, "Synced", "status") == "False";
    let client = world.until("OAuthClient", "shop", "reported the drift", is_reported).await;
    assert_eq!(client["status"]["drift"].as_array().map(Vec::len), Some(1));
    assert_eq!(client["status"]["drift"][0]["path"], "client_secret");
    assert_eq!(world.only_client()["client_secret"], theirs["client_secret"]);
    assert_eq!(world.values(SHOP).await, before);
    // Neither secret stands in the status or an event: the end of the world looks for both.
    let known = world.sandbox.secrets();
    assert!(known.contains(&before["client_secret"]) && known.iter().any(|s| theirs["client_secret"] == s.as_str()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_secret_is_sent_and_sent_again_when_it_changes() {
    let world = World::acp("rotate-own").await;
    world.server("login", json!({})).await;
    let (first, second) = ("the-first-secret-of-our-own-0123456789", "the-second-secret-of-our-own-012345678");
    world.keys("own", &[("secret", first)]).await;
    let own = json!({"credentialsSecret": null, "clientSecretRef": {"name": "own", "key": "secret"}});
    world.client("shop", "login", own).await;
    world.synced("OAuthClient", "shop").await;
    let client = world.only_client();
    assert_eq!(client["client_secret"], first);
    assert_eq!(world.secret_named(SHOP).await, None);
    world.sandbox.reset_exchanges();
    world.keys("own", &[("secret", second)]).await;
    world.eventually("the second is sent", |w| w.only_client()["client_secret"] == second).await;
    world.synced("OAuthClient", "shop").await;
    assert_eq!(world.acp_writes(), ["updateClient"]);
    let url = format!("{}/acme/{}/oauth2/token", world.server.url(), id(&world.only_server()));
    let client_id = client["client_id"].as_str().unwrap_or_default();
    assert_eq!(ask_for_token(&url, client_id, second).await.0, 200);
    assert_eq!(ask_for_token(&url, client_id, first).await.0, 401);
    world.assert_silence(Duration::from_millis(2200)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_nobody_returns_is_lost_until_a_rotation_is_asked_for() {
    let acp = AcpSwitches { developer_clients_locked: false, ..AcpSwitches::default() };
    let world = World::acp_with("rotate-mends", acp, json!({})).await;
    world.server("login", json!({})).await;
    world.synced("AuthorizationServer", "login").await;
    // The API shows the secret of a client that a developer made to nobody else.
    let theirs = json!({
        "client_id": "storefront",
        "authorization_server_id": id(&world.only_server()),
        "client_secret": "what-only-its-developer-ever-got-to-see",
        "grant_types": ["client_credentials"],
        "developer_id": "dora",
    });
    world.plant_acp(AcpPlant::Client(theirs.clone()));
    let spec = json!({"clientId": "storefront", "lifecycle": {"adoption": "Adopt"}});
    world.client("shop", "login", spec).await;
    let message = world.unready("OAuthClient", "shop", "CredentialLost").await;
    assert!(message.contains(ROTATE), "it does not say what to do: {message}");
    sleep(Duration::from_millis(1200)).await;
    let url = format!("{}/acme/{}/oauth2/token", world.server.url(), id(&world.only_server()));
    let developers = theirs["client_secret"].as_str().unwrap_or_default();
    assert_eq!(ask_for_token(&url, "storefront", developers).await.0, 200, "it was rotated and nobody had asked");

    ask(&world, "1").await;
    answered(&world, "1").await;
    let first = world.values(SHOP).await;
    assert!(works(&first, "client_secret").await);
    assert_eq!(ask_for_token(&url, "storefront", developers).await.0, 401);
    world.assert_silence(Duration::from_millis(2200)).await;

    delete_secret(&world, SHOP).await;
    world.unready("OAuthClient", "shop", "CredentialLost").await;
    assert!(works(&first, "client_secret").await, "it was rotated and nobody had asked");
    ask(&world, "2").await;
    answered(&world, "2").await;
    assert_rotated(&first, &world.values(SHOP).await).await;
    world.end().await;
}
