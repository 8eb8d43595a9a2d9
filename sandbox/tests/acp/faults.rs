//! Faults strike ACP as they strike Konnect.

use portico_sandbox::{Effect, Fault};
use serde_json::json;

use crate::acme::Acme;

fn once(operation: &str, effect: Effect) -> Fault {
    Fault { operation: operation.to_owned(), effect, times: Some(1), organization: None }
}

fn status(status: u16) -> Effect {
    Effect::Status { status, retry_after: Some("7".to_owned()), detail: None }
}

#[tokio::test]
async fn a_status_comes_in_the_shape_of_acp() {
    let acme = Acme::new().await;
    acme.sandbox.inject(once("createAuthorizationServer", status(429)));
    let refused = acme.post("/servers", json!({"id": "one"})).await;
    assert_eq!((refused.refusal().0, refused.headers["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(acme.get("/servers/one").await.status, 404, "before any change");
    acme.sandbox.inject(once("*", status(503)));
    assert_eq!(acme.get("/servers").await.refusal().0, 503);
}

#[tokio::test]
async fn the_token_endpoint_fails_on_request() {
    let acme = Acme::new().await;
    acme.sandbox.inject(once("token", status(503)));
    let refused = acme.basic("/acme/admin/oauth2/token", &acme.client_id, &acme.client_secret).await;
    assert_eq!((refused.status, &refused.body["error"]), (503, &json!("temporarily_unavailable")));
    assert_eq!(refused.body["error_code"], 503);
    acme.sandbox.inject(once("token", Effect::LoseResponse));
    assert!(acme.basic("/acme/admin/oauth2/token", &acme.client_id, &acme.client_secret).await.lost);
    assert_eq!(acme.sandbox.access_tokens("acme").len(), 2, "the token was issued all the same");
}

#[tokio::test]
async fn a_lost_response_leaves_its_change_and_a_reset_does_not() {
    let acme = Acme::new().await;
    acme.consent("eula").await;
    let body = json!({"id": "eula", "name": "EULA", "update_existing_grants": "explicitAll"});
    acme.sandbox.inject(once("updateConsent", Effect::LoseResponse));
    assert!(acme.put("/consents/eula", body.clone()).await.lost);
    acme.sandbox.inject(once("updateConsent", Effect::Reset));
    assert!(acme.put("/consents/eula", body).await.lost);
    assert_eq!(acme.get("/consents/eula").await.body["version"], 2);
}

#[tokio::test]
async fn a_page_comes_from_a_proxy() {
    let acme = Acme::new().await;
    let page = Effect::Page { status: 502, body: "<h1>Bad gateway</h1>".to_owned(), location: None };
    acme.sandbox.inject(once("*", page));
    let answer = acme.get("/servers").await;
    assert_eq!((answer.status, &answer.body), (502, &json!("<h1>Bad gateway</h1>")));
}

#[tokio::test]
async fn a_lagging_list_shows_what_was() {
    let acme = Acme::new().await;
    acme.consent("before").await;
    let lag = Effect::Lag { milliseconds: 60_000 };
    acme.sandbox.inject(Fault { times: None, ..once("listConsents", lag) });
    acme.consent("after").await;
    assert_eq!(acme.get("/consents").await.all("consents", "id"), ["before"]);
    assert_eq!(acme.get("/consents/after").await.status, 200, "only lists lag");
    acme.sandbox.clear_faults();
    assert_eq!(acme.get("/consents").await.all("consents", "id"), ["before", "after"]);
}

#[tokio::test]
async fn a_fault_of_one_tenant_spares_the_other() {
    let acme = Acme::new().await;
    let _ = acme.sandbox.tenant("other");
    let spared = Fault { times: None, organization: Some("other".to_owned()), ..once("*", status(503)) };
    acme.sandbox.inject(spared);
    assert_eq!(acme.get("/servers").await.status, 200);
    assert_eq!(acme.basic("/acme/admin/oauth2/token", &acme.client_id, &acme.client_secret).await.status, 200);
    assert_eq!(acme.basic("/other/admin/oauth2/token", "any", "any").await.status, 503);
}
