//! Portals.

use portico_sandbox::Switches;
use serde_json::{Value, json};

use crate::client::{Acme, id};

#[tokio::test]
async fn a_new_portal_has_the_defaults_of_the_api() {
    let acme = Acme::new();
    let made = acme.post("/v2/portals", json!({"name": "docs"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.headers["content-type"], "application/json");
    for (field, expected) in [
        ("display_name", json!("docs")),
        ("description", Value::Null),
        ("is_public", json!(false)),
        ("rbac_enabled", json!(false)),
        ("auto_approve_applications", json!(false)),
        ("auto_approve_developers", json!(false)),
        ("custom_domain", Value::Null),
        ("developer_count", json!(0)),
    ] {
        assert_eq!(made.body[field], expected, "{field}");
    }
    assert!(made.body.get("labels").is_none(), "no labels, no member");
    assert!(made.body["default_application_auth_strategy_id"].is_string());
    let read = acme.get(&format!("/v2/portals/{}", made.id())).await;
    assert_eq!((read.status, &read.body), (200, &made.body));
}

#[tokio::test]
async fn a_second_portal_of_the_same_name_is_refused() {
    let acme = Acme::new();
    acme.portal("docs").await;
    assert_eq!(acme.post("/v2/portals", json!({"name": "docs"})).await.status, 409);
    let other = acme.portal("other").await;
    assert_eq!(acme.patch(&other, json!({"name": "docs"})).await.status, 409);
    assert_eq!(acme.patch(&other, json!({"name": "other"})).await.status, 200);

    let acme = Acme::with(Switches { duplicate_portal_name: 400, ..Switches::default() });
    acme.portal("docs").await;
    let refused = acme.post("/v2/portals", json!({"name": "docs"})).await;
    assert_eq!(refused.refusal(), ("name", "invalid", "body"));
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_clears() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    let changed = acme.patch(&portal, json!({"description": "ours", "is_public": true})).await;
    assert_eq!((&changed.body["description"], &changed.body["is_public"]), (&json!("ours"), &json!(true)));
    assert_eq!(changed.body["name"], "docs");
    let cleared = acme.patch(&portal, json!({"description": null})).await;
    assert_eq!((&cleared.body["description"], &cleared.body["is_public"]), (&Value::Null, &json!(true)));
    assert_eq!(acme.patch(&portal, json!({"name": null})).await.refusal(), ("name", "is_string", "body"));
    assert_eq!(acme.patch(&portal, json!({"id": "x"})).await.refusal(), ("id", "unknown_property", "body"));
}

#[tokio::test]
async fn labels_are_merged_key_by_key() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    let set = acme.patch(&portal, json!({"labels": {"team": "a", "env": "dev"}})).await;
    assert_eq!(set.body["labels"], json!({"team": "a", "env": "dev"}));
    let merged = acme.patch(&portal, json!({"labels": {"team": null, "tier": "1"}})).await;
    assert_eq!(merged.body["labels"], json!({"env": "dev", "tier": "1"}));
    let cleared = acme.patch(&portal, json!({"labels": null})).await;
    assert!(cleared.body.get("labels").is_none());
}

#[tokio::test]
async fn label_keys_and_numbers_have_limits() {
    let acme = Acme::with(Switches { max_labels: 2, ..Switches::default() });
    for key in ["kong-x", "konnect", "mesh", "kic-x", "_x", "a/b", ""] {
        let refused = acme.post("/v2/portals", json!({"name": "n", "labels": {key: "v"}})).await;
        assert_eq!(refused.refusal(), (format!("labels.{key}").as_str(), "is_label", "body"));
    }
    let portal = acme.portal("docs").await;
    acme.patch(&portal, json!({"labels": {"a": "1", "b": "2"}})).await;
    let refused = acme.patch(&portal, json!({"labels": {"c": "3"}})).await;
    assert_eq!(refused.refusal(), ("labels", "max_items", "body"));
    assert_eq!(refused.body["invalid_parameters"][0]["maximum"], 2);
    assert_eq!(acme.patch(&portal, json!({"labels": {"c": "3", "a": null}})).await.status, 200);
}

#[tokio::test]
async fn a_client_domain_needs_a_custom_domain() {
    let acme = Acme::new();
    let refused = acme.post("/v2/portals", json!({"name": "n", "custom_client_domain": "api.example.com"})).await;
    assert_eq!(refused.refusal(), ("custom_client_domain", "dependent_fields", "body"));
    assert_eq!(refused.body["invalid_parameters"][0]["dependents"], json!(["custom_domain"]));
}

#[tokio::test]
async fn a_custom_domain_is_unique_across_organizations() {
    let acme = Acme::new();
    let other = acme.as_token(&acme.sandbox.organization("other"));
    let portal = acme.portal("docs").await;
    let body = json!({"custom_domain": "docs.example.com"});
    assert_eq!(acme.patch(&portal, body.clone()).await.status, 200);
    let theirs = other.portal("docs").await;
    assert_eq!(other.patch(&theirs, body.clone()).await.status, 409);
    assert_eq!(acme.delete(&portal).await.status, 204);
    assert_eq!(other.patch(&theirs, body).await.status, 200);
}

#[tokio::test]
async fn a_reserved_hostname_outlives_its_portal_where_the_switch_says_so() {
    let acme = Acme::with(Switches { hostname_reservation_outlives: true, ..Switches::default() });
    let body = json!({"name": "docs", "custom_domain": "docs.example.com"});
    let made = acme.post("/v2/portals", body.clone()).await;
    assert_eq!(acme.delete(&format!("/v2/portals/{}", made.id())).await.status, 204);
    assert_eq!(acme.post("/v2/portals", body).await.status, 409);

    let body = json!({"name": "docs", "custom_domain": "other.example.com"});
    let made = acme.post("/v2/portals", body.clone()).await;
    let portal = format!("/v2/portals/{}", made.id());
    acme.patch(&portal, json!({"custom_domain": null})).await;
    acme.delete(&portal).await;
    assert_eq!(acme.post("/v2/portals", body).await.status, 201, "it was cleared first");
}

#[tokio::test]
async fn a_portal_with_developers_is_only_deleted_by_force() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    acme.developer(&portal, "ann@example.com");
    assert_eq!(acme.get(&portal).await.body["developer_count"], 1);
    assert_eq!(acme.delete(&portal).await.refusal(), ("force", "required", "query"));
    assert_eq!(acme.delete(&format!("{portal}?force=maybe")).await.refusal(), ("force", "enum", "query"));
    assert_eq!(acme.delete(&format!("{portal}?force=true")).await.status, 204);
    assert_eq!(acme.get(&portal).await.status, 404);
    assert_eq!(acme.get(&format!("{portal}/developers")).await.status, 404, "it cascades");
    assert_eq!(acme.delete(&portal).await.status, 404);
}

#[tokio::test]
async fn domains_are_verified_as_the_switch_says() {
    for verified in [true, false] {
        let acme = Acme::with(Switches { domains_verified: verified, ..Switches::default() });
        let portal = acme.portal("docs").await;
        let verify = format!("{portal}/verify-domain");
        let refused = acme.call("POST", &verify, None).await;
        assert_eq!(refused.refusal(), ("custom_domain", "-", "-"));
        acme.patch(&portal, json!({"custom_domain": "docs.example.com"})).await;
        let answer = acme.call("POST", &verify, None).await;
        assert_eq!(answer.body, json!({"is_cname_verified": verified, "is_ssl_issued": verified}));
    }
}

#[tokio::test]
async fn organizations_do_not_see_each_other() {
    let acme = Acme::new();
    let other = acme.as_token(&acme.sandbox.organization("other"));
    let portal = acme.portal("docs").await;
    assert_eq!(other.get(&portal).await.status, 404);
    assert!(other.get("/v2/portals").await.all("name").is_empty());
    assert_eq!(other.delete(&portal).await.status, 404);
    other.portal("docs").await;
    let again = acme.as_token(&acme.sandbox.organization("acme"));
    assert_eq!(again.get("/v2/portals").await.all("id"), [id(&portal)]);
}

#[tokio::test]
async fn without_a_valid_token_there_is_a_401() {
    let acme = Acme::new();
    let stranger = acme.as_token("kpat_unknown");
    let refused = stranger.get("/v2/portals").await;
    assert_eq!((refused.status, &refused.body["title"]), (401, &json!("Unauthorized")));
    assert!(refused.body["instance"].as_str().unwrap().starts_with("kong:trace:"));
    acme.sandbox.revoke(&acme.token);
    assert_eq!(acme.get("/v2/portals").await.status, 401);
}

#[tokio::test]
async fn unknown_paths_are_404_and_operations_still_missing_501() {
    let acme = Acme::new();
    assert_eq!(acme.get("/v2/nothing").await.status, 404);
    assert_eq!(acme.get("/v2/portals/").await.status, 404);
    assert_eq!(acme.get("/v2/portals/not-an-id").await.status, 404);
    assert_eq!(acme.get("/v2/portals/00000000-0000-4000-8000-000000000000").await.status, 404);
    let portal = acme.portal("docs").await;
    let missing = acme.get(&format!("{portal}/appearance")).await;
    assert_eq!(missing.status, 501);
    assert!(missing.body["detail"].as_str().unwrap().contains("get-portal-appearance"));
}

#[tokio::test]
async fn a_body_must_be_a_json_object() {
    let acme = Acme::new();
    assert_eq!(acme.call("POST", "/v2/portals", None).await.refusal(), ("body", "required", "body"));
    assert_eq!(acme.post("/v2/portals", json!([1])).await.refusal(), ("body", "is_object", "body"));
    assert_eq!(acme.post("/v2/portals", json!(null)).await.refusal(), ("body", "is_object", "body"));
}
