//! Authorization servers: objects that are replaced whole, with secrets inside, and much that comes into being with them.
use std::time::Duration;

use portico_sandbox::{AbsentSecrets, AcpPlant, AcpSwitches};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{world::World, world_acp::SHOP, world_steps::id};

const PROVIDERS: &str = "the-secret-that-the-provider-knows-us-by";
const ANNS: &str = "what-ann-types-in-when-nobody-looks";
const HASHING: &str = "forty-characters-that-tokens-are-hashed-with";

/// The Secret that [`sign_in`] names.
async fn login_secrets(world: &World, providers: &str, hashing: &str) {
    world.keys("login-secrets", &[("provider", providers), ("ann", ANNS), ("hashing", hashing)]).await;
}

/// Two ways to sign in, each with a secret.
fn sign_in(hint: bool) -> Value {
    let oidc = json!({
        "issuerUrl": "https://idp.example.com",
        "clientId": "acp",
        "clientSecretRef": {"name": "login-secrets", "key": "provider"},
        "scopes": ["openid", "email"],
    });
    let ann = json!({
        "username": "ann",
        "passwordSecretRef": {"name": "login-secrets", "key": "ann"},
        "authenticationContext": {"email": "ann@example.com", "homeAddress": {"postalCode": "12345"}},
    });
    json!({"methods": [
        {"id": "corporate", "name": "Corporate", "method": "oidc", "oidc": oidc},
        {"id": "local", "name": "Local", "method": "static", "static": {"hint": hint, "users": [ann]}},
    ]})
}

/// Makes the AuthorizationServer `login`, waits until it is in order, and says where it is at the API.
async fn login(world: &World, spec: Value) -> String {
    world.server("login", spec).await;
    let server = world.synced("AuthorizationServer", "login").await;
    world.sandbox.reset_exchanges();
    format!("/servers/{}", id(&server))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_echoes_what_the_spec_does_not_name_secrets_above_all() {
    let acp = AcpSwitches {
        put_replaces: true,
        absent_secrets: AbsentSecrets::Clear,
        unknown_keys_ignored: false,
        ..AcpSwitches::default()
    };
    let world = World::acp_with("server-echo", acp, json!({})).await;
    let path = login(&world, json!({"logoUri": "https://example.com/first.png"})).await;
    let custom = json!({"login_url": "https://login.example.com"});
    let theirs = json!({
        "rotated_secrets": ["a-secret-that-was-good-until-yesterday"],
        "cookie_max_age": "2h",
        "enforce_pkce": true,
        "authentications": {"methods": [{"id": "theirs", "name": "Theirs", "method": "custom", "custom": custom}]},
    });
    world.alter_by_hand(&path, theirs).await;
    let mut expected = world.only_server();
    assert!(expected["secret"].is_string() && expected["jwks"]["keys"][0]["d"].is_string(), "there is nothing to lose");
    world.sandbox.reset_exchanges();
    world.spec("AuthorizationServer", "login", json!({"logoUri": "https://example.com/second.png"})).await;
    world.synced("AuthorizationServer", "login").await;
    expected["logo_uri"] = json!("https://example.com/second.png");
    assert_eq!(world.only_server(), expected);
    assert_eq!(world.acp_writes(), ["updateAuthorizationServer"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn durations_are_compared_by_how_long_they_last() {
    let world = World::acp("server-ttl").await;
    let path = login(&world, json!({"accessTokenTtl": "90m", "cookieMaxAge": "3600s"})).await;
    let server = world.only_server();
    assert_eq!((&server["access_token_ttl"], &server["cookie_max_age"]), (&json!("1h30m0s"), &json!("1h0m0s")));
    world.assert_silence(Duration::from_millis(2500)).await;
    world.spec("AuthorizationServer", "login", json!({"accessTokenTtl": "1.5h"})).await;
    world.synced("AuthorizationServer", "login").await;
    assert_eq!(world.acp_writes(), Vec::<String>::new());
    world.alter_by_hand(&path, json!({"access_token_ttl": "2h"})).await;
    world.eventually("it is put back", |w| w.only_server()["access_token_ttl"] == "1h30m0s").await;
    world.end().await;
}

/// Changes how users sign in, and what it takes: first that alone, then something else with it.
async fn change_sign_in(name: &str, authentications_endpoint: bool) -> (Vec<String>, Vec<String>) {
    let acp = AcpSwitches { authentications_endpoint, ..AcpSwitches::default() };
    let world = World::acp_with(name, acp, json!({})).await;
    login_secrets(&world, PROVIDERS, HASHING).await;
    login(&world, json!({"authentications": sign_in(false)})).await;
    let mut expected = world.only_server();
    world.spec("AuthorizationServer", "login", json!({"authentications": sign_in(true)})).await;
    world.synced("AuthorizationServer", "login").await;
    expected["authentications"]["methods"][1]["static"]["hint"] = json!(true);
    assert_eq!(world.only_server(), expected);
    let alone = world.acp_writes();
    world.sandbox.reset_exchanges();
    world.spec("AuthorizationServer", "login", json!({"authentications": sign_in(false), "enforcePkce": true})).await;
    world.synced("AuthorizationServer", "login").await;
    expected["authentications"]["methods"][1]["static"]["hint"] = json!(false);
    expected["enforce_pkce"] = json!(true);
    assert_eq!(world.only_server(), expected);
    let together = world.acp_writes();
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
    (alone, together)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_ways_to_sign_in_alone_goes_through_their_own_operation() {
    let (alone, together) = change_sign_in("server-auth", true).await;
    assert_eq!(alone, ["updateAuthentications"]);
    assert_eq!(together, ["updateAuthorizationServer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_api_lacks_that_operation_the_server_is_replaced_whole() {
    let (alone, together) = change_sign_in("server-auth-later", false).await;
    assert_eq!(alone.last().map(String::as_str), Some("updateAuthorizationServer"));
    assert_eq!(together, ["updateAuthorizationServer"]);
}

/// The secret of the provider, as the API has it.
fn providers(world: &World) -> Value {
    world.only_server()["authentications"]["methods"][0]["oidc"]["client_secret"].clone()
}

/// The password of the one user, as the API has it.
fn anns(world: &World) -> Value {
    world.only_server()["authentications"]["methods"][1]["static"]["users"][0]["password"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_a_server_come_from_secrets_and_a_changed_one_is_sent() {
    let world = World::acp("server-secrets").await;
    let hashing = json!({"name": "login-secrets", "key": "hashing"});
    world.server("login", json!({"authentications": sign_in(false), "secretRef": hashing})).await;
    let message = world.unready("AuthorizationServer", "login", "SecretNotFound").await;
    assert!(message.contains("/login-secrets"), "{message}");
    login_secrets(&world, PROVIDERS, HASHING).await;
    let path = format!("/servers/{}", id(&world.synced("AuthorizationServer", "login").await));
    let server = world.only_server();
    assert_eq!((providers(&world), anns(&world), &server["secret"]), (json!(PROVIDERS), json!(ANNS), &json!(HASHING)));
    let user = &server["authentications"]["methods"][1]["static"]["users"][0];
    let context = json!({"email": "ann@example.com", "homeAddress": {"postalCode": "12345"}});
    assert_eq!(user["authentication_context"], context, "a user's own words stay as they are");

    world.sandbox.reset_exchanges();
    let provider = "another-secret-that-the-provider-made-for-us";
    let hash = "forty-other-characters-to-hash-tokens-with-now";
    login_secrets(&world, provider, HASHING).await;
    world.eventually("the provider's new secret is sent", |w| providers(w) == provider).await;
    world.synced("AuthorizationServer", "login").await;
    login_secrets(&world, provider, hash).await;
    world.eventually("the new secret for tokens is sent", |w| w.only_server()["secret"] == hash).await;
    world.synced("AuthorizationServer", "login").await;
    assert_eq!(world.acp_writes(), ["updateAuthentications", "updateAuthorizationServer"]);

    let mut changed = world.only_server()["authentications"].clone();
    changed["methods"][1]["static"]["users"][0]["password"] = json!("what-a-vandal-would-have-ann-type-in");
    world.alter_by_hand(&path, json!({ "authentications": changed })).await;
    world.eventually("the password is put back", |w| anns(w) == ANNS).await;
    world.synced("AuthorizationServer", "login").await;
    world.assert_silence(Duration::from_millis(1500)).await;
    // The end of the world looks for all of these in status, events, logs and the record.
    let known = world.sandbox.secrets();
    for secret in [PROVIDERS, ANNS, HASHING, provider, hash, "what-a-vandal-would-have-ann-type-in"] {
        assert!(known.iter().any(|k| k == secret), "the sandbox never saw it");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_shows_the_issuer_and_the_dashboards_and_asks_for_them_once_a_change() {
    let world = World::acp("server-shows").await;
    world.server("login", json!({})).await;
    let server = world.synced("AuthorizationServer", "login").await;
    assert_eq!(server["status"]["issuerUrl"], world.only_server()["issuer_url"]);
    let dashboards = &server["status"]["dashboards"];
    assert_eq!(dashboards["enabled"], true);
    for which in ["tenantBusinessUrl", "tenantThreatUrl", "sampleBusinessUrl", "sampleThreatUrl"] {
        let url = dashboards[which].as_str().unwrap_or_default();
        assert!(url.starts_with("http") && url.contains(&id(&server)), "{which}: {url}");
    }
    world.assert_silence(Duration::from_millis(2200)).await;
    assert_eq!(world.calls("listDashboards"), 0, "nothing was changed");
    world.spec("AuthorizationServer", "login", json!({"issuerUrl": "https://login.example.com/acme"})).await;
    let server = world.synced("AuthorizationServer", "login").await;
    assert_eq!(server["status"]["issuerUrl"], "https://login.example.com/acme");
    assert_eq!(world.calls("listDashboards"), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_waits_for_its_clients_but_not_for_the_one_that_came_with_it() {
    let world = World::with_shop("server-waits", AcpSwitches::default(), json!({})).await;
    let server = id(&world.only_server());
    let clients = || {
        let all = world.sandbox.state()["tenants"]["acme"]["clients"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|client| client["authorization_server_id"] == server.as_str()).count()
    };
    assert_eq!(clients(), 2, "the one called User Portal is not there: this test tests nothing");
    world.delete("AuthorizationServer", "login").await;
    let message = world.unready("AuthorizationServer", "login", "DeletionBlocked").await;
    assert!(message.contains("OAuthClient shop"), "{message}");
    sleep(Duration::from_millis(500)).await;
    assert_eq!((world.acp_servers().len(), clients()), (1, 2));
    world.delete("OAuthClient", "shop").await;
    world.gone("OAuthClient", "shop").await;
    world.gone("AuthorizationServer", "login").await;
    assert_eq!((world.acp_servers().len(), clients()), (0, 0));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_its_clients_and_the_connection_deleted_together_in_any_order_end() {
    let world = World::acp("server-order").await;
    let orders = [
        [("AuthorizationServer", "login"), ("OAuthClient", "shop"), ("AcpConnection", "identity")],
        [("AcpConnection", "identity"), ("AuthorizationServer", "login"), ("OAuthClient", "shop")],
        [("OAuthClient", "shop"), ("AcpConnection", "identity"), ("AuthorizationServer", "login")],
    ];
    for (n, order) in orders.into_iter().enumerate() {
        if n > 0 {
            world.identity(json!({})).await;
        }
        world.server("login", json!({})).await;
        world.client("shop", "login", json!({})).await;
        world.synced("OAuthClient", "shop").await;
        for (kind, name) in order {
            world.delete(kind, name).await;
        }
        for (kind, name) in order {
            world.gone(kind, name).await;
        }
        assert_eq!((world.acp_servers(), world.acp_clients()), (Vec::new(), Vec::new()), "after {order:?}");
        assert_eq!(world.secret_named(SHOP).await, None, "after {order:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_keeps_a_server_for_a_strangers_client_is_quoted_and_asked_again() {
    let acp = AcpSwitches { server_in_use: Some(400), ..AcpSwitches::default() };
    let world = World::acp_with("server-keeps", acp, json!({})).await;
    login(&world, json!({})).await;
    let server = id(&world.only_server());
    world.plant_acp(AcpPlant::Client(json!({"client_id": "theirs", "authorization_server_id": server})));
    world.delete("AuthorizationServer", "login").await;
    let message = world.unready("AuthorizationServer", "login", "DeletionBlocked").await;
    assert!(message.contains("it has clients"), "{message}");
    assert_eq!(world.only_client()["client_id"], "theirs");
    world.delete_by_hand_acp("/clients/theirs").await;
    world.gone("AuthorizationServer", "login").await;
    assert!(world.acp_servers().is_empty());
    world.end().await;
}
