//! Issue 4, "Bad input, and what it gets", and the table of issue 3 as far as ACP's kinds have their own part in it.
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::DeleteParams};
use portico_sandbox::{AcpPlant, AcpSwitches};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    tripwire::Side,
    world::{World, condition, is_current, merge},
    world_acp::SHOP,
    world_steps::id,
};

const CONNECTION: &str = "AcpConnection";
const SERVER: &str = "AuthorizationServer";
const CLIENT: &str = "OAuthClient";
const ACTION: &str = "ConsentAction";

/// Texts that would lead a request elsewhere if they became part of its path.
const NO_IDS: [&str; 4] = ["..", "../../servers/admin", "%2e%2e", "x?y=z"];

/// A world with the server `login`, in which nothing refused is tried again by itself.
async fn patient(name: &str, acp: AcpSwitches) -> World {
    let mut world = World::still_acp(name, acp).await;
    (world.settings.stalled, world.settings.stalled_max) = (Duration::from_secs(300), Duration::from_secs(300));
    world.start();
    world.identity(json!({})).await;
    world.server("login", json!({"id": "main"})).await;
    world.synced(SERVER, "login").await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_refuses_what_does_not_fit_the_schema_and_names_it() {
    let world = World::still("acp-bad-schema").await;
    let (on, of) = (json!({"name": "identity"}), json!({"name": "login"}));
    let server = |field: &str, value: Value| (SERVER, json!({"connectionRef": on, field: value}));
    let client = |field: &str, value: Value| (CLIENT, json!({"serverRef": of, field: value}));
    let oidc = json!({"id": "a", "name": "A", "method": "oidc"});
    let custom = json!({"id": "a", "name": "A", "method": "custom", "custom": {}});
    let own = json!({"name": "own", "key": "secret"});
    let one_key = json!({"name": "keys", "keys": {"clientId": "same", "clientSecret": "same"}});
    let pending = json!({"name": "keys", "keys": {"tokenUrl": "pending_client_secret"}});
    let consent = |grants: &str, from: &str| {
        ("Consent", json!({"connectionRef": on, "updateExistingGrants": grants, "validFrom": from}))
    };
    let cases = [
        (server("accessTokenTtl", json!("an hour")), "90m or 1h30m"),
        (server("cookieMaxAge", json!("3600")), "90m or 1h30m"),
        (server("grantTypes", json!(["magic"])), "spec.grantTypes[0]"),
        (server("keyType", json!("dsa")), "spec.keyType"),
        (server("id", json!("../admin")), "spec.id"),
        (server("authentications", json!({"methods": [oidc]})), "a method goes with its settings"),
        (server("authentications", json!({"methods": [custom, custom]})), "spec.authentications.methods[1]"),
        ((SERVER, json!({"name": "login"})), "spec.connectionRef"),
        (client("connectionRef", on.clone()), "connectionRef goes with serverRef.id"),
        ((CLIENT, json!({"serverRef": {"id": "main"}})), "connectionRef goes with serverRef.id"),
        ((CLIENT, json!({"serverRef": {"name": "login", "id": "main"}})), "exactly one of name"),
        ((CLIENT, json!({"clientName": "Shop"})), "spec.serverRef"),
        (client("clientId", json!("a/b")), "spec.clientId"),
        (client("clientSecretRef", json!({"name": "own"})), "spec.clientSecretRef.key"),
        (client("credentialsSecret", one_key), "keys must differ"),
        (client("credentialsSecret", pending), "keys must differ"),
        (
            (CLIENT, json!({"serverRef": of, "clientSecretRef": own, "credentialsSecret": {"name": "shop"}})),
            "at most one of clientSecretRef",
        ),
        (("Consent", json!({"connectionRef": on})), "spec.updateExistingGrants"),
        (consent("never", "2024-02-01T08:00:00Z"), "spec.updateExistingGrants"),
        (consent("keepCurrent", "yesterday"), "2026-01-31T09:00:00Z"),
        ((ACTION, json!({"connectionRef": on, "consents": [{"required": true}]})), "spec.consents[0].consentRef"),
    ];
    for ((kind, spec), word) in cases {
        let refused = world.try_create(kind, "bad", spec.clone()).await;
        let Err(refused) = refused else { panic!("{kind} {spec} was taken") };
        assert!(refused.contains(word), "{kind} {spec}: {refused}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_refuses_unknown_fields_private_keys_among_them() {
    let world = World::still("acp-bad-fields").await;
    let (on, of) = (json!({"name": "identity"}), json!({"name": "login"}));
    let key = json!({"kid": "a", "kty": "RSA", "use": "sig", "alg": "RS256", "n": "0vx7", "e": "AQAB", "d": "X4cT"});
    let method = json!({"id": "a", "name": "A", "method": "oidc", "oidc": {"clientSecret": "in the open"}});
    let cases = [
        (SERVER, json!({"connectionRef": on, "grantType": []}), "spec.grantType"),
        (SERVER, json!({"connectionRef": on, "authentications": {"methods": [method]}}), "oidc.clientSecret"),
        (CLIENT, json!({"serverRef": of, "clientSecret": "in the open"}), "spec.clientSecret"),
        (CLIENT, json!({"serverRef": of, "jwks": {"keys": [key]}}), "spec.jwks.keys[0].d"),
        ("Consent", json!({"connectionRef": on, "updateExistingGrants": "keepCurrent", "version": 2}), "spec.version"),
    ];
    for (kind, spec, word) in cases {
        let api_version = "acp.portico.dev/v1alpha1";
        let manifest = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "bad"}, "spec": spec});
        let answer = world.kubectl(&["apply", "-f", "-"], &manifest.to_string()).await;
        let Err(refused) = answer else { panic!("{manifest} was taken") };
        assert!(refused.contains("unknown field") && refused.contains(word), "{manifest}: {refused}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_of_a_tenant_that_is_not_there_wait_for_their_connection() {
    let mut world = World::still_acp("acp-bad-tenant", AcpSwitches::default()).await;
    world.start();
    world.identity(json!({"tenant": "nowhere"})).await;
    world.consent("terms", json!({})).await;
    let message = world.unready(CONNECTION, "identity", "CredentialRejected").await;
    assert!(message.contains("tenant"), "{message}");
    let message = world.unready("Consent", "terms", "ConnectionNotReady").await;
    assert!(message.contains("/identity"), "{message}");
    assert!(!world.is_stalled("Consent", "terms").await);
    let (id, secret) = world.sandbox.tenant("nowhere");
    world.keys("acp", &[("client_id", &id), ("client_secret", &secret)]).await;
    world.synced("Consent", "terms").await;
    assert_eq!(world.tenant_has("nowhere", "consents").len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_the_server_does_not_have_stalls_at_once_and_names_it() {
    let world = patient("acp-bad-scope", AcpSwitches::default()).await;
    world.client("shop", "login", json!({"scopes": ["openid", "brew_coffee"]})).await;
    let message = world.unready(CLIENT, "shop", "InvalidSpec").await;
    assert!(message.contains("scopes") && message.contains("brew_coffee"), "{message}");
    assert!(world.is_stalled(CLIENT, "shop").await);
    sleep(Duration::from_millis(1200)).await;
    assert_eq!((world.calls("createClient"), world.acp_clients()), (1, Vec::new()));
    world.spec(CLIENT, "shop", json!({"scopes": ["openid", "email"]})).await;
    world.synced(CLIENT, "shop").await;
    world.spec(CLIENT, "shop", json!({"scopes": ["openid", "brew_tea"]})).await;
    let message = world.unready(CLIENT, "shop", "InvalidSpec").await;
    assert!(message.contains("brew_tea"), "{message}");
    assert_eq!(world.only_client()["scopes"], json!(["email", "openid"]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_the_tenant_does_not_have_is_named() {
    let world = patient("acp-bad-policy", AcpSwitches::default()).await;
    world.spec(SERVER, "login", json!({"userPolicyRef": {"id": "block_nobody_user"}})).await;
    let message = world.unready(SERVER, "login", "InvalidSpec").await;
    assert!(message.contains("user_policy_id"), "{message}");
    world.spec(SERVER, "login", json!({"userPolicyRef": {"id": "block_main_user"}})).await;
    world.synced(SERVER, "login").await;
    assert_eq!(world.only_server()["user_policy_id"], "block_main_user");
    world.spec(SERVER, "login", json!({"userPolicyRef": {"id": ""}})).await;
    world.synced(SERVER, "login").await;
    assert_eq!(world.only_server()["user_policy_id"], "");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_of_a_consent_makes_no_version_and_the_next_one_makes_one() {
    let world = patient("acp-bad-consent", AcpSwitches::default()).await;
    world.consent("terms", json!({"description": "first"})).await;
    world.synced("Consent", "terms").await;
    world.spec("Consent", "terms", json!({"validFrom": "2999-01-01T00:00:00Z", "description": "second"})).await;
    let message = world.unready("Consent", "terms", "InvalidSpec").await;
    assert!(message.contains("valid_from") && message.contains("future"), "{message}");
    assert_eq!(world.only_consent()["version"], 1);
    world.spec("Consent", "terms", json!({"validFrom": null})).await;
    world.synced("Consent", "terms").await;
    let consent = world.only_consent();
    assert_eq!((&consent["version"], &consent["description"]), (&json!(2), &json!("second")));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_the_api_refuses_is_not_repeated_and_a_better_one_is_sent_at_once() {
    let acp = AcpSwitches { shortest_client_secret: 32, ..AcpSwitches::default() };
    let world = patient("acp-bad-secret", acp).await;
    let (short, long) = ("far-too-short", "as-long-as-the-api-would-have-it-and-longer");
    world.keys("own", &[("secret", short)]).await;
    let own = json!({"credentialsSecret": null, "clientSecretRef": {"name": "own", "key": "secret"}});
    world.client("shop", "login", own).await;
    let message = world.unready(CLIENT, "shop", "InvalidSpec").await;
    assert!(message.contains("client_secret") && message.contains("32") && !message.contains(short), "{message}");
    world.keys("own", &[("secret", long)]).await;
    world.synced(CLIENT, "shop").await;
    assert_eq!(world.only_client()["client_secret"], long);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_another_namespace_is_used_only_with_leave() {
    let mut world = World::still_acp("acp-bad-leave", AcpSwitches::default()).await;
    let (home, away) = (world.namespace.clone(), world.second_namespace().await);
    world.start();
    world.identity(json!({})).await;
    world.server("login", json!({})).await;
    world.synced(SERVER, "login").await;
    let there = json!({"name": "login", "namespace": home});
    let spec = json!({"serverRef": there, "credentialsSecret": {"name": SHOP}});
    world.create_in(&away, CLIENT, "shop", spec).await;
    let is = |o: &Value| condition(o, "Ready", "reason") == "ReferenceNotPermitted";
    let client = world.until_in(&away, CLIENT, "shop", "said ReferenceNotPermitted", is).await;
    let message = condition(&client, "Ready", "message");
    assert!(["/login", away.as_str(), "allowedNamespaces"].iter().all(|word| message.contains(word)), "{message}");
    assert_ne!(condition(&client, "Stalled", "status"), "True");
    let secrets: Api<Secret> = Api::namespaced(world.admin(), &away);
    assert_eq!(secrets.get_opt(SHOP).await.expect("it can be asked"), None);
    assert!(world.acp_clients().is_empty());
    world.spec(CONNECTION, "identity", json!({"allowedNamespaces": {"from": "Names", "names": [away]}})).await;
    world.spec(SERVER, "login", json!({"allowedNamespaces": {"from": "All"}})).await;
    let is = |o: &Value| is_current(o) && condition(o, "Synced", "status") == "True";
    world.until_in(&away, CLIENT, "shop", "became Synced", is).await;
    // The credentials are where the resource is, and nowhere else.
    assert!(secrets.get_opt(SHOP).await.expect("it can be asked").is_some());
    assert_eq!(world.secret_named(SHOP).await, None);
    world.api_in(&away, CLIENT).delete("shop", &DeleteParams::default()).await.expect("it is deleted");
    world.until_in(&away, CLIENT, "shop", "went", Value::is_null).await;
    assert_eq!(secrets.get_opt(SHOP).await.expect("it can be asked"), None);
    assert!(world.acp_clients().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_of_another_tenant_and_one_named_twice_are_refused_before_any_write() {
    let world = World::acp("acp-bad-refs").await;
    let (id, secret) = world.sandbox.tenant("other");
    world.keys("other", &[("client_id", &id), ("client_secret", &secret)]).await;
    let credentials = json!({"secretRef": {"name": "other"}});
    let other = json!({"url": world.server.url(), "tenant": "other", "clientCredentials": credentials});
    world.create(CONNECTION, "other", other).await;
    world.consent("terms", json!({"connectionRef": {"name": "other"}})).await;
    world.synced("Consent", "terms").await;
    world.action("sign-up", &["terms"]).await;
    let message = world.unready(ACTION, "sign-up", "InvalidSpec").await;
    assert!(["terms", "/other", "/acme"].iter().all(|word| message.contains(word)), "{message}");
    world.consent("ours", json!({})).await;
    world.synced("Consent", "ours").await;
    world.action("twice", &["ours", "ours"]).await;
    let message = world.unready(ACTION, "twice", "InvalidSpec").await;
    assert!(message.contains("twice"), "{message}");
    assert_eq!(world.calls("createConsentAction"), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_client_that_a_developer_made_only_what_the_api_lets_go_can_be_changed() {
    let world = World::acp("acp-bad-developer").await;
    world.server("login", json!({})).await;
    world.synced(SERVER, "login").await;
    let theirs = json!({
        "client_id": "storefront",
        "client_name": "Storefront",
        "authorization_server_id": id(&world.only_server()),
        "developer_id": "dora",
    });
    world.plant_acp(AcpPlant::Client(theirs));
    let before = world.only_client();
    let adopt = |more: Value| {
        let mut spec = json!({"clientId": "storefront", "credentialsSecret": null, "grantTypes": null});
        spec["lifecycle"] = json!({"adoption": "Adopt"});
        merge(&mut spec, more);
        spec
    };
    world.client("shop", "login", adopt(json!({"description": "ours now"}))).await;
    let is_refused = |o: &Value| condition(o, "Ready", "message").contains("only system and trusted can be changed");
    let refused = world.until(CLIENT, "shop", "quoted the API", is_refused).await;
    assert_eq!(condition(&refused, "Ready", "status"), "False");
    world.delete(CLIENT, "shop").await;
    world.gone(CLIENT, "shop").await;
    assert_eq!(world.only_client(), before);
    world.client("shop", "login", adopt(json!({"clientName": "Storefront", "trusted": true}))).await;
    world.synced(CLIENT, "shop").await;
    let mut trusted = before;
    trusted["trusted"] = json!(true);
    assert_eq!(world.only_client(), trusted);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_would_change_the_path_is_refused_before_any_request() {
    let world = World::quiet_acp("acp-bad-dots").await;
    world.quiet().await;
    world.sandbox.reset_exchanges();
    let lifecycle = |id: &str| json!({"id": id, "adoption": "Adopt"});
    for (n, id) in NO_IDS.into_iter().enumerate() {
        let name = format!("dots-{n}");
        world.server(&name, json!({"lifecycle": lifecycle(id)})).await;
        world.consent(&name, json!({"lifecycle": lifecycle(id)})).await;
        let action = json!({"connectionRef": {"name": "identity"}, "lifecycle": lifecycle(id)});
        world.create(ACTION, &name, action).await;
        let client = json!({"serverRef": {"id": id}, "connectionRef": {"name": "identity"}});
        world.create(CLIENT, &name, client).await;
    }
    for (n, id) in NO_IDS.into_iter().enumerate() {
        for kind in [SERVER, "Consent", ACTION, CLIENT] {
            let message = world.unready(kind, &format!("dots-{n}"), "InvalidSpec").await;
            assert!(message.contains(&format!("{id:?}")), "{kind}: {message}");
        }
    }
    assert_eq!(world.wire.seen(Side::Remote), Vec::<String>::new());
    assert!(world.sandbox.exchanges().is_empty());
    world.end().await;
}
