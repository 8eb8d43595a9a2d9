//! The token endpoint, and who gets in with what.

use std::collections::BTreeMap;
use std::time::Duration;

use portico_sandbox::AcpSwitches;
use serde_json::{Value, json};

use crate::acme::{Acme, Answer, changed};

const ENDPOINT: &str = "/acme/admin/oauth2/token";

/// Status, code and hint of a refusal by the token endpoint.
fn refused(answer: &Answer) -> (u16, &str, &str) {
    assert_eq!(answer.body["error_code"], answer.status, "{answer:?}");
    (answer.status, answer.body["error"].as_str().unwrap(), answer.body["error_hint"].as_str().unwrap())
}

#[tokio::test]
async fn credentials_are_taken_in_the_header_and_in_the_body() {
    let acme = Acme::new().await;
    for fetched in [
        acme.basic(ENDPOINT, &acme.client_id, &acme.client_secret).await,
        acme.in_body(ENDPOINT, &acme.client_id, &acme.client_secret).await,
    ] {
        assert_eq!(fetched.status, 200, "{fetched:?}");
        assert_eq!((&fetched.body["token_type"], &fetched.body["expires_in"]), (&json!("bearer"), &json!(3600)));
    }
    assert_eq!(acme.sandbox.access_tokens("acme").len(), 3);
    assert_eq!(acme.sandbox.counters()["token"], BTreeMap::from([(200, 3)]));
    assert_eq!(acme.get("/servers").await.status, 200);
}

#[tokio::test]
async fn what_is_in_the_header_is_encoded_as_in_a_form() {
    let acme = Acme::new().await;
    acme.sandbox.accept_client("acme", "ann:admin", "a+b c%");
    assert_eq!(acme.basic(ENDPOINT, "ann%3Aadmin", "a%2Bb+c%25").await.status, 200);
}

#[tokio::test]
async fn wrong_credentials_are_refused_in_the_words_of_oauth() {
    let acme = Acme::new().await;
    let refusal = acme.basic(ENDPOINT, &acme.client_id, "wrong").await;
    assert_eq!(refused(&refusal), (401, "invalid_client", "invalid client secret"));
    assert_eq!(refusal.headers["content-type"], "application/json");
    let refusal = acme.in_body(ENDPOINT, "nobody", &acme.client_secret).await;
    assert_eq!(refused(&refusal), (401, "invalid_client", "unknown client"));
    let refusal = acme.form(ENDPOINT, None, "grant_type=client_credentials").await;
    assert_eq!(refused(&refusal).1, "invalid_client");
    let refusal = acme.form(ENDPOINT, Some("Basic ???".to_owned()), "grant_type=client_credentials").await;
    assert_eq!(refused(&refusal).0, 401);
    let refusal = acme.basic("/nobody/admin/oauth2/token", &acme.client_id, &acme.client_secret).await;
    assert_eq!(refused(&refusal), (404, "not_found", "tenant not found"));
    let refusal = acme.basic("/acme/nothing/oauth2/token", &acme.client_id, &acme.client_secret).await;
    assert_eq!(refused(&refusal), (404, "not_found", "authorization server not found"));
    let other = acme.basic("/acme/developer/oauth2/token", &acme.client_id, &acme.client_secret).await;
    assert_eq!(refused(&other).0, 401, "a client of another server");
    let form = format!("client_id={}&client_secret={}", acme.client_id, acme.client_secret);
    assert_eq!(refused(&acme.form(ENDPOINT, None, &form).await).1, "invalid_request");
    let form = format!("{form}&grant_type=password");
    assert_eq!(refused(&acme.form(ENDPOINT, None, &form).await).1, "unsupported_grant_type");
}

#[tokio::test]
async fn a_client_of_a_server_gets_tokens_of_that_server_alone() {
    let acme = Acme::new().await;
    acme.server("one").await;
    let body = json!({
        "authorization_server_id": "one", "grant_types": ["client_credentials"], "scopes": ["openid", "email"],
    });
    let client = acme.made("/clients", body).await;
    let (id, secret) = (client["client_id"].as_str().unwrap(), client["client_secret"].as_str().unwrap());
    let fetched = acme.basic("/acme/one/oauth2/token", id, secret).await;
    assert_eq!((fetched.status, &fetched.body["scope"]), (200, &json!("email openid")));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=");
    let fewer = acme.form("/acme/one/oauth2/token", None, &format!("{form}email")).await;
    assert_eq!(fewer.body["scope"], "email");
    let more = acme.form("/acme/one/oauth2/token", None, &format!("{form}profile")).await;
    assert_eq!(refused(&more).1, "invalid_scope");

    let mut stranger = Acme::of(acme.sandbox.clone()).await;
    stranger.token = fetched.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(stranger.get("/servers").await.refusal().0, 401);
    let client = acme.client("one", "interactive").await;
    let secret = client["client_secret"].as_str().unwrap();
    let refusal = acme.basic("/acme/one/oauth2/token", "interactive", secret).await;
    assert_eq!(refused(&refusal).1, "unauthorized_client");
}

#[tokio::test]
async fn a_rotated_secret_works_at_once_and_the_old_one_no_more() {
    let acme = Acme::new().await;
    acme.server("one").await;
    let body = json!({"client_id": "app", "authorization_server_id": "one", "grant_types": ["client_credentials"]});
    let client = acme.made("/clients", body).await;
    let old = client["client_secret"].as_str().unwrap();
    assert_eq!(acme.basic("/acme/one/oauth2/token", "app", old).await.status, 200);
    let rotated = acme.put("/clients/app", changed(&client, json!({"client_secret": "the-next-one"}))).await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    assert_eq!(acme.basic("/acme/one/oauth2/token", "app", "the-next-one").await.status, 200);
    let refusal = acme.basic("/acme/one/oauth2/token", "app", old).await;
    assert_eq!(refused(&refusal), (401, "invalid_client", "invalid client secret"));
}

#[tokio::test]
async fn a_token_of_another_tenant_opens_nothing() {
    let acme = Acme::new().await;
    let (id, secret) = acme.sandbox.tenant("other");
    let fetched = acme.basic("/other/admin/oauth2/token", &id, &secret).await;
    let mut stranger = Acme::of(acme.sandbox.clone()).await;
    stranger.token = fetched.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(stranger.get("/servers").await.refusal().0, 401);
    assert_eq!(stranger.call("GET", "/api/admin/other/servers", None).await.status, 200);
    assert_eq!(stranger.call("GET", "/api/admin/nobody/servers", None).await.status, 401);
    let acme = Acme::with(AcpSwitches { foreign_token: 403, ..AcpSwitches::default() }).await;
    assert_eq!(acme.call("GET", "/api/admin/other/servers", None).await.status, 403);
}

#[tokio::test]
async fn tokens_expire_and_can_be_revoked() {
    let acme = Acme::with(AcpSwitches { expires_in: 1, ..AcpSwitches::default() }).await;
    assert_eq!(acme.get("/consents").await.status, 200);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(acme.get("/consents").await.refusal().0, 401);
    assert!(acme.sandbox.access_tokens("acme").is_empty());

    let mut acme = Acme::new().await;
    acme.sandbox.revoke(&acme.token);
    assert_eq!(acme.get("/consents").await.refusal().0, 401);
    acme.token = acme.fetch_token().await;
    assert_eq!(acme.get("/consents").await.status, 200);
    acme.sandbox.revoke(&acme.client_secret);
    assert_eq!(acme.get("/consents").await.status, 200, "its tokens stay good");
    let refusal = acme.basic(ENDPOINT, &acme.client_id, &acme.client_secret).await;
    assert_eq!(refused(&refusal).0, 401);
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_and_unknown_paths_are_unknown() {
    let mut acme = Acme::new().await;
    assert_eq!(acme.call("GET", "/api/admin/acme/nothing", None).await.refusal(), (404, "Not found"));
    assert_eq!(acme.call("PATCH", "/api/admin/acme/servers", None).await.refusal().0, 404);
    assert_eq!(acme.get("/apis/one").await.refusal().0, 501, "known, but not implemented");
    let konnect = acme.call("GET", "/v2/nothing", None).await;
    assert_eq!(konnect.headers["content-type"], "application/problem+json");
    acme.token = "unknown".to_owned();
    assert_eq!(acme.get("/servers").await.refusal().0, 401);
    assert_eq!(acme.get("/apis/one").await.refusal().0, 401);
    assert_eq!(acme.call("GET", "/v2/portals", None).await.body["title"], "Unauthorized");
}

#[tokio::test]
async fn the_registered_method_can_be_insisted_on() {
    let acme = Acme::with(AcpSwitches { auth_method_enforced: true, ..AcpSwitches::default() }).await;
    assert_eq!(acme.in_body(ENDPOINT, &acme.client_id, &acme.client_secret).await.status, 401);
    assert_eq!(acme.basic(ENDPOINT, &acme.client_id, &acme.client_secret).await.status, 200);
    assert_ne!(acme.sandbox.state()["tenants"]["acme"]["clients"][0]["client_secret"], Value::Null);
}
