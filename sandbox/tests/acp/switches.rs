//! What the contract leaves open, the other way round.

use portico_sandbox::{AbsentSecrets, AcpSwitches};
use serde_json::json;

use crate::acme::{Acme, changed, without};

async fn with(change: impl FnOnce(&mut AcpSwitches)) -> Acme {
    let mut switches = AcpSwitches::default();
    change(&mut switches);
    Acme::with(switches).await
}

#[tokio::test]
async fn unknown_keys_are_refused() {
    let acme = with(|acp| acp.unknown_keys_ignored = false).await;
    assert_eq!(acme.post("/servers", json!({"nick": 1})).await.fields(), ["nick"]);
}

#[tokio::test]
async fn a_put_changes_only_what_it_names() {
    let acme = with(|acp| acp.put_replaces = false).await;
    let server = acme.server("one").await;
    let renamed = acme.put("/servers/one", json!({"name": "First"})).await.body;
    assert_eq!(renamed, changed(&server, json!({"name": "First"})));
    let client = acme.client("one", "app").await;
    let same = acme.put("/clients/app", json!({"authorization_server_id": "one"})).await.body;
    assert_eq!(same, client);
}

#[tokio::test]
async fn secrets_that_a_put_leaves_out_stay_or_are_made_anew() {
    for (switch, stay) in [(AbsentSecrets::Keep, true), (AbsentSecrets::Generate, false)] {
        let acme = with(|acp| acp.absent_secrets = switch).await;
        let server = acme.server("one").await;
        let client = acme.client("one", "app").await;
        let put = acme.put("/servers/one", without(&without(&server, "secret"), "jwks")).await.body;
        assert_eq!((put["secret"] == server["secret"], put["jwks"] == server["jwks"]), (stay, stay));
        assert_eq!(put["jwks"]["keys"].as_array().unwrap().len(), 1);
        let put = acme.put("/clients/app", without(&client, "client_secret")).await.body;
        assert_eq!(put["client_secret"] == client["client_secret"], stay);
        assert_eq!(put["client_secret"].as_str().unwrap().len(), 43);
    }
}

#[tokio::test]
async fn authentications_may_have_no_operation_of_their_own() {
    let acme = with(|acp| acp.authentications_endpoint = false).await;
    acme.server("one").await;
    assert_eq!(acme.put("/servers/one/authentications", json!({})).await.refusal(), (404, "Not found"));
}

#[tokio::test]
async fn the_secrets_of_authentications_may_be_shown_to_nobody() {
    let acme = with(|acp| acp.authentication_secrets_shown = false).await;
    let user = json!({"username": "ann", "password": "correct horse"});
    let method = json!({"id": "local", "name": "Local", "method": "static", "static": {"users": [user]}});
    acme.server("one").await;
    let put = acme.put("/servers/one/authentications", json!({"methods": [method]})).await.body;
    assert_eq!(put["methods"][0]["static"]["users"][0]["username"], "ann");
    for shown in [put, acme.get("/servers/one").await.body, acme.get("/servers").await.body] {
        assert!(!shown.to_string().contains("correct horse"), "{shown:#}");
    }
    assert!(acme.sandbox.secrets().contains(&"correct horse".to_owned()));
    assert!(acme.get("/servers/one").await.body["secret"].as_str().is_some_and(|secret| !secret.is_empty()));
}

#[tokio::test]
async fn a_server_may_come_alone() {
    let acme = with(|acp| acp.side_effects = false).await;
    acme.server("one").await;
    assert!(acme.get("/servers/one/clients").await.all("clients", "client_id").is_empty());
    assert_eq!(acme.sandbox.state()["tenants"]["acme"]["servers"][3]["claims"], json!([]));
}

#[tokio::test]
async fn a_server_with_clients_may_be_in_use_or_leave_them_behind() {
    let acme = with(|acp| acp.server_in_use = Some(400)).await;
    acme.server("one").await;
    acme.client("one", "app").await;
    assert_eq!(acme.delete("/servers/one").await.refusal().0, 400);
    acme.delete("/clients/app").await;
    assert_eq!(acme.delete("/servers/one").await.status, 204, "its User Portal is no reason");

    let acme = with(|acp| acp.deletion_cascades = false).await;
    acme.server("one").await;
    acme.client("one", "app").await;
    assert_eq!(acme.delete("/servers/one").await.status, 204);
    assert_eq!(acme.get("/clients/app").await.status, 200);
}

#[tokio::test]
async fn built_in_objects_may_be_changed_and_deleted() {
    let acme = with(|acp| {
        acp.built_in_writable = true;
        acp.built_in_deletable = true;
    })
    .await;
    let server = acme.get("/servers/system").await.body;
    assert_eq!(acme.put("/servers/system", server).await.body["system"], true);
    assert_eq!(acme.delete("/servers/system").await.status, 204);
    assert_eq!(acme.delete(&format!("/clients/{}", acme.client_id)).await.status, 204);
}

#[tokio::test]
async fn references_may_go_unchecked_and_secrets_have_a_least_length() {
    let acme = with(|acp| {
        acp.check_scopes = false;
        acp.check_policies = false;
        acp.method_settings_required = false;
        acp.shortest_client_secret = 32;
    })
    .await;
    let methods = json!({"methods": [{"id": "o", "name": "O", "method": "oidc"}]});
    acme.made("/servers", json!({"id": "one", "user_policy_id": "none", "authentications": methods})).await;
    let body = json!({"authorization_server_id": "one", "scopes": ["none"], "client_secret": "short"});
    assert_eq!(acme.post("/clients", body.clone()).await.fields(), ["client_secret"]);
    acme.made("/clients", without(&body, "client_secret")).await;
}

#[tokio::test]
async fn consents_may_be_in_use_and_valid_later() {
    let acme = with(|acp| {
        acp.consent_in_use = Some(409);
        acp.action_missing_consent = 422;
        acp.future_valid_from = true;
        acp.primary_purpose_required = false;
    })
    .await;
    let purposes = json!([{"name": "one"}, {"name": "two"}]);
    let body = json!({
        "id": "eula", "name": "EULA", "update_existing_grants": "explicitAll", "valid_from": "2999-01-01T00:00:00Z",
        "third_party_services": [{"name": "s", "purposes": purposes}],
    });
    assert_eq!(acme.made("/consents", body).await["valid_from"], "2999-01-01T00:00:00Z");
    let action = |consent: &str| json!({"id": "a", "name": "A", "consents": [{"id": consent, "required": true}]});
    assert_eq!(acme.post("/actions", action("none")).await.refusal().0, 422);
    acme.made("/actions", action("eula")).await;
    assert_eq!(acme.delete("/consents/eula").await.refusal().0, 409);
    acme.delete("/actions/a").await;
    assert_eq!(acme.delete("/consents/eula").await.status, 204);
}

#[tokio::test]
async fn empty_lists_may_be_null() {
    let acme = with(|acp| acp.empty_lists_null = true).await;
    let server = acme.server("one").await;
    assert_eq!((&server["profiles"], &server["authentications"]["methods"]), (&json!(null), &json!(null)));
    assert_eq!(acme.put("/servers/one", server.clone()).await.body, server);
    assert_eq!(acme.client("one", "app").await["jwks"], json!({"keys": null}));
    assert_eq!(acme.get("/consents").await.body, json!({"consents": []}));
}

#[tokio::test]
async fn descriptions_of_consents_and_actions_may_lose_the_blanks_at_their_ends() {
    for (trims, kept) in [(false, " a text "), (true, "a text")] {
        let acme = with(|acp| acp.trims_descriptions = trims).await;
        let consent = acme.consent("eula").await;
        assert_eq!(consent["description"], "", "where there is none, none is made");
        let described = changed(&consent, json!({"description": " a text "}));
        assert_eq!(acme.put("/consents/eula", described).await.body["description"], kept);
        let described = json!({"id": "a", "name": "A", "description": " a text ", "consents": []});
        assert_eq!(acme.made("/actions", described.clone()).await["description"], kept);
        assert_eq!(acme.put("/actions/a", described).await.body["description"], kept);
        assert_eq!(acme.get("/consents/eula").await.body["version"], 2);
    }
}
