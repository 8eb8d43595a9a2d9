//! `/_sandbox/`, which needs no token.

use serde_json::{Value, json};

use crate::client::{Acme, id};

#[tokio::test]
async fn what_strangers_make_can_be_planted() {
    let acme = Acme::new();
    let made = acme.post("/_sandbox/organizations/acme/portals", json!({"name": "theirs"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let planted = format!("/_sandbox/organizations/acme/portals/{}", made.id());
    let portal = format!("/v2/portals/{}", made.id());
    let team = acme.post(&format!("{planted}/teams"), json!({"name": "core"})).await.id();
    let developer = acme.post(&format!("{planted}/developers"), json!({"email": "ann@example.com"})).await.id();
    let config = json!({"issuer_url": "https://idp.example.com", "client_id": "portal"});
    let body = json!({"type": "oidc", "enabled": true, "config": config});
    let provider = acme.post(&format!("{planted}/identity-providers"), body).await.id();
    let product = acme.post("/_sandbox/organizations/acme/api-products", json!({"name": "orders"})).await.id();
    assert_eq!(acme.get(&format!("{portal}/teams/{team}")).await.body["name"], "core");
    assert_eq!(acme.get(&format!("{portal}/developers/{developer}")).await.body["status"], "approved");
    assert_eq!(acme.get(&format!("{portal}/identity-providers/{provider}")).await.body["enabled"], true);

    let members = format!("{portal}/teams/{team}/developers");
    acme.post(&members, json!({"id": developer})).await;
    let state = acme.get("/_sandbox/state").await.body;
    assert_eq!(state, acme.sandbox.state());
    let shown = &state["organizations"]["acme"];
    assert_eq!(shown["api_products"][0]["id"], json!(product));
    assert_eq!(shown["portals"][0]["name"], "theirs");
    assert_eq!(shown["portals"][0]["teams"][0]["developers"], json!(["ann@example.com"]));
    assert_eq!(shown["portals"][0]["group_mappings"], json!({}));
    assert_eq!(shown["portals"][0]["authentication_settings"]["basic_auth_enabled"], true);
}

#[tokio::test]
async fn what_cannot_be_planted_is_refused() {
    let acme = Acme::new();
    let portals = "/_sandbox/organizations/acme/portals";
    assert_eq!(acme.post(portals, json!({"nick": 1})).await.status, 400);
    assert_eq!(acme.post("/_sandbox/organizations/nobody/portals", json!({"name": "n"})).await.status, 404);
    let developers = format!("{portals}/{}/developers", id(&acme.portal("docs").await));
    assert_eq!(acme.post(&developers, json!({"email": "ann"})).await.status, 400);
    assert_eq!(acme.post(&developers, json!({"email": "ann@example.com"})).await.status, 201);
    assert_eq!(acme.post(&developers, json!({"email": "ann@example.com"})).await.status, 409);
}

#[tokio::test]
async fn an_api_product_may_get_the_id_that_a_manifest_names() {
    let acme = Acme::new();
    let products = "/_sandbox/organizations/acme/api-products";
    let id = "5F2C1E7A-8d34-4b6f-9a51-3c7be0d94f12";
    let planted = acme.post(products, json!({"id": id, "name": "payments"})).await;
    assert_eq!((planted.status, planted.id()), (201, id.to_lowercase()));
    assert_eq!(acme.post(products, json!({"id": "payments", "name": "payments"})).await.status, 400);
    assert_eq!(acme.sandbox.state()["organizations"]["acme"]["api_products"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_existed_at_a_moment_is_put_back_and_tokens_and_the_record_stay() {
    let acme = Acme::new();
    let path = acme.portal("docs").await;
    let (before, snapshot) = (acme.sandbox.state(), acme.sandbox.snapshot());
    acme.patch(&path, json!({"description": "theirs", "labels": {"team": "b"}})).await;
    acme.developer(&path, "ann@example.com");
    let after = acme.sandbox.snapshot();
    acme.portal("other").await;
    let (token, client) = (acme.sandbox.organization("acme"), acme.sandbox.tenant("acme"));
    let recorded = acme.sandbox.exchanges().len();
    acme.sandbox.restore(&snapshot);
    assert_eq!(acme.sandbox.state(), before);
    assert_eq!(acme.sandbox.exchanges().len(), recorded);
    assert!([token.clone(), client.1].iter().all(|secret| acme.sandbox.secrets().contains(secret)));
    assert_eq!(acme.as_token(&token).get(&path).await.body["description"], Value::Null);
    // The same snapshot may be put back again, and one moment after another.
    acme.sandbox.restore(&after);
    assert_eq!(acme.get(&path).await.body["description"], "theirs");
    assert_eq!(acme.get("/v2/portals").await.all("name"), ["docs"]);
    acme.sandbox.restore(&snapshot);
    assert_eq!(acme.sandbox.state(), before);
}

#[tokio::test]
async fn organizations_get_tokens_that_can_be_revoked() {
    let acme = Acme::new();
    let made = acme.post("/_sandbox/organizations", json!({"name": "other"})).await;
    let token = made.body["token"].as_str().unwrap();
    assert!(token.starts_with("kpat_"));
    assert_eq!(acme.as_token(token).get("/v2/portals").await.status, 200);
    assert!(acme.get("/_sandbox/secrets").await.body.as_array().unwrap().contains(&json!(token)));
    assert_eq!(acme.delete(&format!("/_sandbox/tokens/{token}")).await.status, 204);
    assert_eq!(acme.as_token(token).get("/v2/portals").await.status, 401);
    let chosen = acme.post("/_sandbox/organizations", json!({"name": "other", "token": "kpat_mine"})).await;
    assert_eq!(chosen.body, json!({"name": "other", "token": "kpat_mine"}));
    assert_eq!(acme.as_token("kpat_mine").get("/v2/portals").await.status, 200);
}

#[tokio::test]
async fn faults_are_taken_listed_and_cleared() {
    let acme = Acme::new();
    let fault = json!({"operation": "*", "effect": "status", "status": 503, "times": 1});
    let taken = acme.post("/_sandbox/faults", json!([fault, {"operation": "get-portal", "effect": "hang"}])).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(taken.body[1]["effect"], "hang");
    assert_eq!(acme.get("/v2/portals").await.status, 503);
    assert_eq!(acme.get("/_sandbox/faults").await.body.as_array().unwrap().len(), 1);
    assert_eq!(acme.delete("/_sandbox/faults").await.status, 204);
    assert_eq!(acme.get("/_sandbox/faults").await.body, json!([]));
    assert_eq!(acme.post("/_sandbox/faults", json!({"effect": "magic"})).await.status, 400);
}

#[tokio::test]
async fn the_record_is_read_and_forgotten() {
    let acme = Acme::new();
    acme.portal("docs").await;
    assert_eq!(acme.get("/_sandbox/counters").await.body, json!({"create-portal": {"201": 1}}));
    assert_eq!(acme.get("/_sandbox/coverage").await.body["create-portal"]["calls"], 1);
    assert_eq!(acme.get("/_sandbox/exchanges").await.body[0]["operation"], "create-portal");
    assert_eq!(acme.delete("/_sandbox/counters").await.status, 204);
    assert_eq!(acme.delete("/_sandbox/exchanges").await.body, Value::Null);
    assert_eq!(acme.get("/_sandbox/counters").await.body, json!({}));
    assert_eq!(acme.get("/_sandbox/exchanges").await.body, json!([]));
}
