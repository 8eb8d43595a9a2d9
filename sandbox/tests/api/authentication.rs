//! Authentication settings.

use portico_sandbox::{MappedProvider, Switches};
use serde_json::{Value, json};

use crate::client::{Acme, id};

const SECRET: &str = "a-client-secret-of-the-settings";
const UNMAPPED: (&str, &str, &str) = ("idp_mapping_enabled", "missing_reference", "body");

/// A new portal's authentication settings.
async fn settings(acme: &Acme) -> String {
    format!("{}/authentication-settings", acme.portal("docs").await)
}

fn oidc() -> Value {
    json!({
        "oidc_auth_enabled": true,
        "oidc_issuer": "https://idp.example.com",
        "oidc_client_id": "portal",
        "oidc_client_secret": SECRET,
    })
}

#[tokio::test]
async fn a_new_portal_has_basic_authentication_and_nothing_else() {
    for basic in [true, false] {
        let acme = Acme::with(Switches { basic_auth_by_default: basic, ..Switches::default() });
        let read = acme.get(&settings(&acme).await).await;
        let expected = json!({
            "basic_auth_enabled": basic,
            "oidc_auth_enabled": false,
            "saml_auth_enabled": false,
            "oidc_team_mapping_enabled": false,
            "konnect_mapping_enabled": false,
            "idp_mapping_enabled": false,
        });
        assert_eq!((read.status, read.body), (200, expected));
    }
}

#[tokio::test]
async fn what_answers_may_leave_out_is_left_out_where_the_switch_says_so() {
    let acme = Acme::with(Switches { unset_settings_shown: false, ..Switches::default() });
    let settings = settings(&acme).await;
    let read = acme.get(&settings).await.body;
    assert_eq!(read.as_object().unwrap().len(), 4, "{read}");
    let changed = acme.patch(&settings, json!({"saml_auth_enabled": true})).await;
    assert_eq!(changed.body["saml_auth_enabled"], true);
}

#[tokio::test]
async fn they_are_written_flat_and_read_nested_and_without_the_secret() {
    let acme = Acme::new();
    let settings = settings(&acme).await;
    let changed = acme.patch(&settings, oidc()).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let config = json!({
        "issuer": "https://idp.example.com",
        "client_id": "portal",
        "scopes": ["email", "openid", "profile"],
        "claim_mappings": {"name": "name", "email": "email", "groups": "groups"},
    });
    assert_eq!((&changed.body["oidc_config"], &changed.body["oidc_auth_enabled"]), (&config, &json!(true)));
    assert!(changed.body.get("oidc_issuer").is_none());
    assert_eq!(acme.get(&settings).await.body, changed.body);

    assert!(acme.sandbox.secrets().contains(&SECRET.to_owned()));
    assert!(!serde_json::to_string(&acme.sandbox.exchanges()).unwrap().contains(SECRET));
    let state = acme.sandbox.state();
    let kept = &state["organizations"]["acme"]["portals"][0]["authentication_settings"];
    assert_eq!(kept["write_only"], json!({"oidc_client_secret": SECRET}));
    assert_eq!(kept["oidc_config"], config);
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let acme = Acme::new();
    let settings = settings(&acme).await;
    acme.patch(&settings, oidc()).await;
    let body = json!({"oidc_scopes": ["openid"], "oidc_claim_mappings": {"groups": "teams"}, "unknown": 1});
    let changed = acme.patch(&settings, body).await.body;
    let mappings = json!({"name": "name", "email": "email", "groups": "teams"});
    assert_eq!(changed["oidc_config"]["scopes"], json!(["openid"]));
    assert_eq!(changed["oidc_config"]["claim_mappings"], mappings);
    assert_eq!(changed["oidc_config"]["client_id"], "portal");
    assert_eq!(acme.call("PATCH", &settings, None).await.body, changed, "a body is not required");
    let cleared = acme.patch(&settings, json!({"oidc_issuer": "", "oidc_client_id": ""})).await.body;
    assert!(cleared.get("oidc_config").is_none());
    for (field, rule) in [("basic_auth_enabled", "is_boolean"), ("oidc_client_secret", "is_string")] {
        let refused = acme.patch(&settings, json!({field: 5})).await;
        assert_eq!(refused.refusal(), (field, rule, "body"));
    }
}

#[tokio::test]
async fn claim_mappings_are_replaced_or_merged() {
    for (merged, name) in [(false, "name"), (true, "full_name")] {
        let acme = Acme::with(Switches { claim_mappings_merged: merged, ..Switches::default() });
        let settings = settings(&acme).await;
        acme.patch(&settings, oidc()).await;
        acme.patch(&settings, json!({"oidc_claim_mappings": {"name": "full_name"}})).await;
        let changed = acme.patch(&settings, json!({"oidc_claim_mappings": {"groups": "teams"}})).await.body;
        assert_eq!(changed["oidc_config"]["claim_mappings"]["name"], name);
        assert_eq!(changed["oidc_config"]["claim_mappings"]["groups"], "teams");
    }
}

#[tokio::test]
async fn half_of_the_configuration_waits_for_the_other_or_is_refused() {
    let half = json!({"oidc_issuer": "https://idp.example.com"});
    let acme = Acme::new();
    let path = settings(&acme).await;
    assert!(acme.patch(&path, half.clone()).await.body.get("oidc_config").is_none());
    let whole = acme.patch(&path, json!({"oidc_client_id": "portal"})).await.body;
    assert_eq!(whole["oidc_config"]["issuer"], "https://idp.example.com");

    let acme = Acme::with(Switches { oidc_parts_together: true, ..Switches::default() });
    let path = settings(&acme).await;
    let refused = acme.patch(&path, half).await;
    assert_eq!(refused.refusal(), ("oidc_issuer", "dependent_fields", "body"));
    assert_eq!(refused.body["invalid_parameters"][0]["dependents"], json!(["oidc_client_id"]));
    let refused = acme.patch(&path, json!({"oidc_auth_enabled": true})).await;
    assert_eq!(refused.refusal(), ("oidc_auth_enabled", "dependent_fields", "body"));
    assert_eq!(acme.get(&path).await.body["oidc_auth_enabled"], false, "nothing of it was taken");
    assert_eq!(acme.patch(&path, oidc()).await.status, 200);
}

#[tokio::test]
async fn groups_are_mapped_only_with_an_enabled_identity_provider() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    let settings = format!("{portal}/authentication-settings");
    let on = json!({"idp_mapping_enabled": true});
    let refused = acme.patch(&settings, on.clone()).await;
    assert_eq!(refused.refusal(), UNMAPPED);
    assert_eq!(refused.body["invalid_parameters"][0]["reason"], "cannot be enabled when no IdP is enabled");
    let provider = format!("{portal}/identity-providers/{}", acme.provider(&portal));
    acme.patch(&provider, json!({"enabled": false})).await;
    assert_eq!(acme.patch(&settings, on.clone()).await.refusal(), UNMAPPED);
    acme.patch(&provider, json!({"enabled": true})).await;
    assert_eq!(acme.patch(&settings, on).await.body["idp_mapping_enabled"], true);
    assert_eq!(acme.patch(&settings, json!({"idp_mapping_enabled": false})).await.status, 200);
}

#[tokio::test]
async fn the_refusal_names_the_rule_that_the_switch_says() {
    let acme = Acme::with(Switches { missing_provider_rule: "invalid".to_owned(), ..Switches::default() });
    let refused = acme.patch(&settings(&acme).await, json!({"idp_mapping_enabled": true})).await;
    assert_eq!(refused.refusal(), ("idp_mapping_enabled", "invalid", "body"));
}

#[tokio::test]
async fn the_settings_may_count_as_an_identity_provider() {
    for (counts, status) in [(true, 200), (false, 400)] {
        let acme = Acme::with(Switches { settings_count_as_provider: counts, ..Switches::default() });
        let mut body = oidc();
        body["idp_mapping_enabled"] = json!(true);
        assert_eq!(acme.patch(&settings(&acme).await, body).await.status, status);
    }
}

#[tokio::test]
async fn a_provider_that_a_mapping_rests_on_goes_as_the_switch_says() {
    for (mapped_provider, status, mapped) in [
        (MappedProvider::Refused, 400, true),
        (MappedProvider::SwitchedOff, 204, false),
        (MappedProvider::StaysOn, 204, true),
    ] {
        let acme = Acme::with(Switches { mapped_provider, ..Switches::default() });
        let portal = acme.portal("docs").await;
        let settings = format!("{portal}/authentication-settings");
        let provider = format!("{portal}/identity-providers/{}", acme.provider(&portal));
        assert_eq!(acme.patch(&settings, json!({"idp_mapping_enabled": true})).await.status, 200);
        let disabled = acme.patch(&provider, json!({"enabled": false})).await;
        assert_eq!(disabled.status == 400, status == 400, "{disabled:?}");
        assert_eq!(acme.delete(&provider).await.status, status);
        assert_eq!(acme.get(&settings).await.body["idp_mapping_enabled"], mapped);
        acme.patch(&settings, json!({"idp_mapping_enabled": false})).await;
        let expected = if status == 400 { 204 } else { 404 };
        assert_eq!(acme.delete(&provider).await.status, expected, "the mapping is off");
    }
}

#[tokio::test]
async fn they_go_with_their_portal_and_come_back_with_a_snapshot() {
    let acme = Acme::new();
    let settings = settings(&acme).await;
    acme.patch(&settings, oidc()).await;
    let (before, snapshot) = (acme.sandbox.state(), acme.sandbox.snapshot());
    let portal = settings.trim_end_matches("/authentication-settings");
    assert_eq!(acme.delete(portal).await.status, 204);
    assert_eq!(acme.get(&settings).await.status, 404);
    assert_eq!(acme.patch(&settings, json!({})).await.status, 404);
    acme.sandbox.restore(&snapshot);
    assert_eq!(acme.sandbox.state(), before);
    assert_eq!(before["organizations"]["acme"]["portals"][0]["id"], json!(id(portal)));
    assert_eq!(acme.get(&settings).await.status, 200);
}
