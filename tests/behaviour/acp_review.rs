//! Drift that is only reported, and credentials: what a second look at both has found. Each test is a promise that was broken once.
use std::{collections::BTreeMap, time::Duration};

use portico_sandbox::{AcpPlant, AcpSwitches, Effect};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    tripwire::Side,
    world::{World, condition},
    world_acp::{SHOP, Values, ask_for_token, works},
    world_steps::{delete_secret, fault, id, status},
};

const SERVER: &str = "AuthorizationServer";
const CLIENT: &str = "OAuthClient";
const ROTATE: &str = "portico.dev/rotate";

/// A world with the server `login` and its client `shop`, in which nobody looks unless something happens.
async fn quiet_shop(name: &str) -> World {
    World::with_shop(name, AcpSwitches::default(), json!({"resyncInterval": "1h"})).await
}

/// A world with the server `login` alone.
async fn login(name: &str, acp: AcpSwitches) -> World {
    let world = World::acp_with(name, acp, json!({})).await;
    world.server("login", json!({})).await;
    world.synced(SERVER, "login").await;
    world.sandbox.reset_exchanges();
    world
}

/// Asks for a new secret, and waits until it is there.
async fn rotate(world: &World, when: &str) -> Value {
    world.annotate(CLIENT, "shop", ROTATE, json!(when)).await;
    world.until(CLIENT, "shop", "was rotated", |o| o["status"]["lastHandledRotate"] == when).await
}

/// Asserts that the new credentials work and the old ones do not.
async fn assert_rotated(old: &Values, new: &Values) {
    assert!(new.keys().eq(old.keys()), "{:?}", new.keys());
    assert!(works(new, "client_secret").await, "the new secret does not work");
    assert!(!works(old, "client_secret").await, "the old secret still works");
}

/// Where the differences are that a status shows.
fn drift(object: &Value) -> Vec<&str> {
    let items = object["status"]["drift"].as_array().into_iter().flatten();
    items.map(|item| item["path"].as_str().unwrap_or_default()).collect()
}

/// Waits until a resource is Ready and reports differences in exactly these places.
async fn reported(world: &World, kind: &str, name: &str, paths: &[&str]) -> Value {
    let is = |o: &Value| {
        condition(o, "Ready", "status") == "True" && condition(o, "Synced", "status") == "False" && drift(o) == paths
    };
    world.until(kind, name, &format!("reported {paths:?}"), is).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_nobody_returns_is_rotated_every_time_that_it_is_asked_for() {
    let world = login("review-again", AcpSwitches { developer_clients_locked: false, ..AcpSwitches::default() }).await;
    let theirs = json!({
        "client_id": "storefront",
        "authorization_server_id": id(&world.only_server()),
        "client_secret": "what-only-its-developer-ever-got-to-see",
        "grant_types": ["client_credentials"],
        "developer_id": "dora",
    });
    world.plant_acp(AcpPlant::Client(theirs));
    let spec = json!({"clientId": "storefront", "lifecycle": {"adoption": "Adopt"}});
    world.client("shop", "login", spec).await;
    world.unready(CLIENT, "shop", "CredentialLost").await;
    rotate(&world, "1").await;
    world.synced(CLIENT, "shop").await;
    let mut old = world.values(SHOP).await;
    assert!(works(&old, "client_secret").await);
    for when in ["2", "3"] {
        world.sandbox.reset_exchanges();
        rotate(&world, when).await;
        world.synced(CLIENT, "shop").await;
        let new = world.values(SHOP).await;
        assert_rotated(&old, &new).await;
        assert_eq!(world.acp_writes(), ["updateClient"], "{when}");
        old = new;
    }
    world.assert_silence(Duration::from_millis(1500)).await;
    // Under another name it is the same, and the one of before goes.
    let before = world.values(SHOP).await;
    world.spec(CLIENT, "shop", json!({"credentialsSecret": {"name": "moved"}})).await;
    let moved = world.until_values("moved", "arrived", |values| values.contains_key("client_secret")).await;
    assert_eq!(moved, before);
    world.until_values(SHOP, "went", BTreeMap::is_empty).await;
    assert!(works(&moved, "client_secret").await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_at_the_api_is_reported_and_not_made_again_before_the_spec_changes() {
    let world = World::acp("review-gone").await;
    let spec = json!({"name": "first", "lifecycle": {"drift": "Report"}});
    world.server("login", spec).await;
    let server = world.synced(SERVER, "login").await;
    world.sandbox.reset_exchanges();
    world.delete_by_hand_acp(&format!("/servers/{}", id(&server))).await;
    world.unready(SERVER, "login", "NotFound").await;
    // Several backoffs, and several sweeps.
    sleep(Duration::from_millis(3300)).await;
    assert_eq!((world.calls("createAuthorizationServer"), world.acp_servers()), (0, Vec::new()));
    let message = world.unready(SERVER, "login", "NotFound").await;
    assert!(message.contains("drift: Report"), "{message}");
    world.spec(SERVER, "login", json!({"name": "second"})).await;
    world.synced(SERVER, "login").await;
    assert_eq!(world.only_server()["name"], "second");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_leaves_alone_what_is_only_reported() {
    let world = World::with_shop("review-theirs", AcpSwitches::default(), json!({})).await;
    let ours = json!({"description": "ours", "lifecycle": {"drift": "Report"}});
    world.spec(CLIENT, "shop", ours).await;
    world.synced(CLIENT, "shop").await;
    let old = world.values(SHOP).await;
    let path = format!("/clients/{}", old["client_id"]);
    world.alter_by_hand(&path, json!({"description": "theirs"})).await;
    reported(&world, CLIENT, "shop", &["description"]).await;
    world.sandbox.reset_exchanges();
    rotate(&world, "1").await;
    reported(&world, CLIENT, "shop", &["description"]).await;
    assert_eq!(world.only_client()["description"], "theirs");
    assert_rotated(&old, &world.values(SHOP).await).await;
    assert_eq!(world.acp_writes(), ["updateClient"]);
    world.assert_silence(Duration::from_millis(1500)).await;
    // Until the user wants it otherwise.
    world.spec(CLIENT, "shop", json!({"lifecycle": {"drift": "Correct"}})).await;
    world.synced(CLIENT, "shop").await;
    assert_eq!(world.only_client()["description"], "ours");
    world.end().await;
}

/// A world with a server whose `secret` stands in the Secret `hashing`, and whose logo somebody has changed, which is reported.
async fn changed_logo(name: &str, secret: &str) -> World {
    let world = World::acp(name).await;
    world.keys("hashing", &[("secret", secret)]).await;
    let spec = json!({
        "logoUri": "https://example.com/ours.png",
        "secretRef": {"name": "hashing", "key": "secret"},
        "lifecycle": {"drift": "Report"},
    });
    world.server("login", spec).await;
    let server = world.synced(SERVER, "login").await;
    let path = format!("/servers/{}", id(&server));
    world.alter_by_hand(&path, json!({"logo_uri": "https://example.com/theirs.png"})).await;
    reported(&world, SERVER, "login", &["logo_uri"]).await;
    world.sandbox.reset_exchanges();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_made_again_with_the_same_value_is_no_reason_to_write() {
    let secret = "forty-characters-that-tokens-are-hashed-with";
    let world = changed_logo("review-same", secret).await;
    let before = world.only_server();
    delete_secret(&world, "hashing").await;
    world.unready(SERVER, "login", "SecretNotFound").await;
    world.keys("hashing", &[("secret", secret)]).await;
    reported(&world, SERVER, "login", &["logo_uri"]).await;
    sleep(Duration::from_millis(1200)).await;
    reported(&world, SERVER, "login", &["logo_uri"]).await;
    assert_eq!((world.acp_writes(), world.only_server()), (Vec::new(), before));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_secret_with_another_value_only_that_is_sent_and_what_is_reported_can_still_be_corrected() {
    let world = changed_logo("review-other", "forty-characters-that-tokens-are-hashed-with").await;
    let mut expected = world.only_server();
    let other = "forty-other-characters-to-hash-tokens-with-now";
    world.keys("hashing", &[("secret", other)]).await;
    world.eventually("the other secret is sent", |w| w.only_server()["secret"] == other).await;
    let is = |o: &Value| condition(o, "Synced", "reason") == "DriftDetected" && drift(o) == ["logo_uri"];
    world.until(SERVER, "login", "still reported the logo as somebody's change", is).await;
    expected["secret"] = json!(other);
    assert_eq!(world.only_server(), expected);
    assert_eq!(world.acp_writes(), ["updateAuthorizationServer"]);
    world.spec(SERVER, "login", json!({"lifecycle": {"drift": "Correct"}})).await;
    world.synced(SERVER, "login").await;
    expected["logo_uri"] = json!("https://example.com/ours.png");
    assert_eq!(world.only_server(), expected);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn private_keys_that_a_stranger_puts_into_a_client_stand_nowhere() {
    let world = login("review-keys", AcpSwitches::default()).await;
    let ours = json!({"kid": "ours", "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "x": "f8", "y": "x_"});
    let spec = json!({"jwks": {"keys": [ours]}, "lifecycle": {"drift": "Report"}});
    world.client("shop", "login", spec).await;
    let client = world.synced(CLIENT, "shop").await;
    let private = [
        "the-private-part-of-an-elliptic-curve-key",
        "the-private-exponent-of-an-rsa-key-it-is",
        "the-first-prime-factor-of-an-rsa-key-it-is",
        "the-whole-of-a-symmetric-key-and-nothing-else",
    ];
    let mut known = ours;
    known["d"] = json!(private[0]);
    let mut rsa = json!({"kid": "rsa", "kty": "RSA", "use": "sig", "alg": "RS256", "n": "0vx7", "e": "AQAB"});
    (rsa["d"], rsa["p"]) = (json!(private[1]), json!(private[2]));
    let symmetric = json!({"kid": "symmetric", "kty": "oct", "use": "sig", "alg": "HS256", "k": private[3]});
    let keys = json!({"jwks": {"keys": [known, rsa, symmetric]}});
    world.alter_by_hand(&format!("/clients/{}", id(&client)), keys).await;
    let client = reported(&world, CLIENT, "shop", &["jwks.keys.rsa", "jwks.keys.symmetric"]).await;
    let (shown, secrets) = (client.to_string(), world.sandbox.secrets());
    assert!(shown.contains("0vx7"), "what anybody may know is not shown: {client:#}");
    for value in private {
        // The end of the world looks for it in events and logs, too.
        assert!(secrets.iter().any(|secret| secret == value), "the sandbox does not know it for a secret");
        assert!(!shown.contains(value), "{client:#}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_issuer_of_a_server_reaches_the_secrets_of_its_clients() {
    let world = quiet_shop("review-issuer").await;
    let before = world.values(SHOP).await;
    let issuer = "https://login.example.com/acme";
    world.spec(SERVER, "login", json!({ "issuerUrl": issuer })).await;
    let is_there = |values: &Values| values.get("issuer_url").is_some_and(|url| url == issuer);
    let after = world.until_values(SHOP, "named the new issuer", is_there).await;
    let mut expected = before;
    expected.insert("issuer_url".to_owned(), issuer.to_owned());
    expected.insert("token_url".to_owned(), format!("{issuer}/oauth2/token"));
    assert_eq!(after, expected);
    world.synced(CLIENT, "shop").await;
    assert_eq!(world.acp_writes(), ["updateAuthorizationServer"]);
    world.end().await;
}

/// Makes the client `shop` with credentials that move through these Secrets while it cannot be made; only the last one stays.
async fn moves_before_it_is_made(name: &str, secrets: &[&str]) {
    let world = login(name, AcpSwitches::default()).await;
    fault(&world, "createClient", status(503));
    world.client("shop", "login", json!({})).await;
    world.until_values(SHOP, "was written", |values| values.contains_key("client_secret")).await;
    for secret in secrets {
        world.spec(CLIENT, "shop", json!({"credentialsSecret": {"name": secret}})).await;
        world.until_values(secret, "was written", |values| values.contains_key("client_secret")).await;
    }
    world.sandbox.clear_faults();
    world.synced(CLIENT, "shop").await;
    let last = secrets.last().expect("there is one");
    assert!(works(&world.values(last).await, "client_secret").await);
    for secret in [SHOP].iter().chain(secrets).filter(|secret| *secret != last) {
        world.until_values(secret, "went", BTreeMap::is_empty).await;
    }
    world.delete(CLIENT, "shop").await;
    world.gone(CLIENT, "shop").await;
    assert_eq!((world.secret_named(last).await, world.acp_clients()), (None, Vec::new()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_move_before_their_client_is_made_leave_nothing_behind() {
    moves_before_it_is_made("review-moves", &["shop-keys"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_move_twice_before_their_client_is_made_leave_nothing_behind() {
    moves_before_it_is_made("review-moves-on", &["shop-keys", "shop-access"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_move_and_change_at_once_are_there_and_not_here() {
    let world = World::with_shop("review-both", AcpSwitches::default(), json!({})).await;
    let old = world.values(SHOP).await;
    let both = json!({
        "metadata": {"annotations": {ROTATE: "1"}},
        "spec": {"credentialsSecret": {"name": "shop-keys"}},
    });
    world.patch(CLIENT, "shop", both).await;
    world.until(CLIENT, "shop", "was rotated", |o| o["status"]["lastHandledRotate"] == "1").await;
    world.synced(CLIENT, "shop").await;
    world.until_values(SHOP, "went", BTreeMap::is_empty).await;
    assert_rotated(&old, &world.values("shop-keys").await).await;
    assert_eq!(world.acp_writes(), ["updateClient"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_its_user_made_immutable_is_a_refusal_in_words_and_no_storm() {
    let world = quiet_shop("review-fixed").await;
    let before = world.values(SHOP).await;
    world.edit_secret(SHOP, json!({"immutable": true})).await;
    world.annotate(CLIENT, "shop", ROTATE, json!("1")).await;
    let message = world.unready(CLIENT, "shop", "SecretAccessDenied").await;
    assert!(message.contains(SHOP) && message.contains("immutable"), "{message}");
    world.wire.disarm();
    sleep(Duration::from_secs(2)).await;
    let (asked, written) = (world.wire.seen(Side::Remote), world.wire.seen(Side::Kubernetes));
    assert!(asked.len() <= 6, "{asked:?}");
    assert!(written.len() <= 12, "{written:?}");
    assert_eq!((world.acp_writes(), world.values(SHOP).await), (Vec::new(), before.clone()));
    assert!(works(&before, "client_secret").await, "it was rotated, and nobody was told");
    world.delete(CLIENT, "shop").await;
    world.gone(CLIENT, "shop").await;
    assert_eq!((world.secret_named(SHOP).await, world.acp_clients()), (None, Vec::new()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_still_empty_is_not_there_yet() {
    let world = login("review-empty", AcpSwitches::default()).await;
    let (secret, password) = ("a-secret-of-our-own-of-some-length-0123", "correct horse battery staple");
    world.keys("own", &[("secret", ""), ("password", "\n")]).await;
    let own = json!({"credentialsSecret": null, "clientSecretRef": {"name": "own", "key": "secret"}});
    world.client("shop", "login", own).await;
    let user = json!({"username": "ann", "passwordSecretRef": {"name": "own", "key": "password"}});
    let method = json!({"id": "local", "name": "Local", "method": "static", "static": {"users": [user]}});
    world.server("second", json!({"authentications": {"methods": [method]}})).await;
    for (kind, name, key) in [(CLIENT, "shop", "secret"), (SERVER, "second", "password")] {
        let message = world.unready(kind, name, "SecretNotFound").await;
        assert!(message.contains("/own") && message.contains(key), "{message}");
    }
    sleep(Duration::from_millis(1200)).await;
    assert_eq!((world.acp_writes(), world.acp_clients()), (Vec::new(), Vec::new()));
    world.keys("own", &[("secret", secret), ("password", password)]).await;
    world.synced(SERVER, "second").await;
    world.synced(CLIENT, "shop").await;
    assert_eq!(world.only_client()["client_secret"], secret);
    // Emptied later: what the API has stays.
    world.sandbox.reset_exchanges();
    world.keys("own", &[("secret", ""), ("password", "")]).await;
    world.unready(CLIENT, "shop", "SecretNotFound").await;
    world.unready(SERVER, "second", "SecretNotFound").await;
    sleep(Duration::from_millis(1200)).await;
    assert_eq!(world.acp_writes(), Vec::<String>::new());
    assert_eq!(world.only_client()["client_secret"], secret);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_came_just_before_the_create_is_adopted_with_the_secret_that_is_theirs() {
    let world = World::quiet_acp("review-before").await;
    world.server("login", json!({})).await;
    world.synced(SERVER, "login").await;
    world.once("createClient", Effect::Delay { milliseconds: 700 });
    world.quiet().await;
    world.client("shop", "login", json!({"clientId": "storefront"})).await;
    let create = "POST /api/admin/acme/clients";
    world.eventually("the create is under way", |w| w.wire.seen(Side::Remote).iter().any(|r| r == create)).await;
    let known = "what-programs-out-there-were-given-long-ago";
    let server = id(&world.only_server());
    let theirs = json!({
        "client_id": "storefront",
        "authorization_server_id": server,
        "client_secret": known,
        "grant_types": ["client_credentials"],
    });
    world.plant_acp(AcpPlant::Client(theirs));
    let message = world.unready(CLIENT, "shop", "AlreadyExists").await;
    assert!(message.contains("lifecycle.adoption: Adopt"), "{message}");
    world.spec(CLIENT, "shop", json!({"lifecycle": {"adoption": "Adopt"}})).await;
    world.synced(CLIENT, "shop").await;
    assert_eq!(world.only_client()["client_secret"], known);
    let values = world.values(SHOP).await;
    assert_eq!(values["client_secret"], known);
    let url = format!("{}/acme/{server}/oauth2/token", world.server.url());
    assert_eq!(ask_for_token(&url, "storefront", known).await.0, 200);
    assert!(works(&values, "client_secret").await);
    world.end().await;
}
