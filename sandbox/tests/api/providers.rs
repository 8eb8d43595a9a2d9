//! Identity providers.

use portico_sandbox::Switches;
use serde_json::{Value, json};

use crate::client::Acme;

const SECRET: &str = "a-client-secret-of-the-provider";

fn oidc() -> Value {
    let config = json!({"issuer_url": "https://idp.example.com", "client_id": "portal", "client_secret": SECRET});
    json!({"type": "oidc", "config": config})
}

fn saml() -> Value {
    json!({"type": "saml", "config": {"idp_metadata_url": "https://idp.example.com/metadata"}})
}

#[tokio::test]
async fn a_provider_is_created_disabled_with_defaults_and_without_its_secret() {
    let acme = Acme::new();
    let providers = format!("{}/identity-providers", acme.portal("docs").await);
    let mut body = oidc();
    body["enabled"] = json!(true);
    let made = acme.post(&providers, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["enabled"], false, "the documented request has no such field");
    let config = json!({
        "issuer_url": "https://idp.example.com",
        "client_id": "portal",
        "scopes": ["email", "openid", "profile"],
        "claim_mappings": {"name": "name", "email": "email", "groups": "groups"},
    });
    assert_eq!(made.body["config"], config);
    assert!(acme.sandbox.secrets().contains(&SECRET.to_owned()));
    let provider = format!("{providers}/{}", made.id());
    assert_eq!(acme.get(&provider).await.body, made.body);
    assert_eq!(acme.get(&providers).await.body, json!([made.body]), "the list is a bare array");
    assert_eq!(acme.get(&format!("{providers}?filter[type]=saml")).await.body, json!([]));
    assert_eq!(acme.delete(&provider).await.status, 204);
    assert_eq!(acme.get(&provider).await.status, 404);
}

#[tokio::test]
async fn a_config_must_fit_its_type() {
    let acme = Acme::new();
    let providers = format!("{}/identity-providers", acme.portal("docs").await);
    let missing = acme.post(&providers, json!({"config": saml()["config"]})).await;
    assert_eq!(missing.refusal(), ("type", "required", "body"));
    let mixed = acme.post(&providers, json!({"type": "oidc", "config": saml()["config"]})).await;
    assert_eq!(mixed.refusal(), ("config", "invalid", "body"));
    let short = json!({"type": "oidc", "config": {"issuer_url": "https://idp.example.com"}});
    assert_eq!(acme.post(&providers, short).await.refusal(), ("config.client_id", "required", "body"));
    let made = acme.post(&providers, saml()).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(made.body["config"]["callback_url"].is_string());
}

#[tokio::test]
async fn there_is_one_provider_of_a_type() {
    for (status, switches) in
        [(409, Switches::default()), (400, Switches { duplicate_identity_provider: 400, ..Switches::default() })]
    {
        let acme = Acme::with(switches);
        let providers = format!("{}/identity-providers", acme.portal("docs").await);
        assert_eq!(acme.post(&providers, oidc()).await.status, 201);
        assert_eq!(acme.post(&providers, oidc()).await.status, status);
        assert_eq!(acme.post(&providers, saml()).await.status, 201);
    }
}

#[tokio::test]
async fn there_is_one_enabled_provider() {
    for replaces in [false, true] {
        let acme = Acme::with(Switches { enabling_replaces: replaces, ..Switches::default() });
        let providers = format!("{}/identity-providers", acme.portal("docs").await);
        let one = format!("{providers}/{}", acme.post(&providers, oidc()).await.id());
        let two = format!("{providers}/{}", acme.post(&providers, saml()).await.id());
        assert_eq!(acme.patch(&one, json!({"enabled": true})).await.body["enabled"], true);
        let second = acme.patch(&two, json!({"enabled": true})).await;
        if replaces {
            assert_eq!(second.body["enabled"], true);
            assert_eq!(acme.get(&one).await.body["enabled"], false);
        } else {
            assert_eq!(second.refusal(), ("enabled", "invalid", "body"));
            acme.patch(&one, json!({"enabled": false})).await;
            assert_eq!(acme.patch(&two, json!({"enabled": true})).await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_config_is_replaced_as_a_whole() {
    let acme = Acme::new();
    let providers = format!("{}/identity-providers", acme.portal("docs").await);
    let mut body = oidc();
    body["config"]["scopes"] = json!(["openid"]);
    let provider = format!("{providers}/{}", acme.post(&providers, body).await.id());
    let changed = acme.patch(&provider, json!({"config": oidc()["config"], "type": "saml"})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.body["config"]["scopes"], json!(["email", "openid", "profile"]));
    assert_eq!(changed.body["type"], "oidc", "the type is not in the request of an update");
}
