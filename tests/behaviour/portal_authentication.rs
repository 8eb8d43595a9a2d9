//! How developers sign in to a portal: written flat and read nested, with a secret that is never shown, and there as long as its portal.
use std::time::Duration;

use portico_sandbox::{Options, Switches};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    world::{World, condition, merge},
    world_steps::{assert_nothing_sent, id},
};

const KIND: &str = "PortalAuthentication";
const CHANGE: &str = "update-portal-authentication-settings";
const ISSUER: &str = "https://idp.example.com";

/// A world with the Portal `docs`, whose id comes with it, and whose Konnect behaves otherwise than usual.
async fn with_docs(name: &str, switches: Switches) -> (World, String) {
    let mut world = World::with(name, Options { switches, ..Options::default() }).await;
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    let portal = id(&world.synced("Portal", "docs").await);
    (world, portal)
}

/// Makes a resource for the settings of the Portal `docs`.
async fn authentication(world: &World, name: &str, spec: Value) {
    let mut whole = json!({"portalRef": {"name": "docs"}});
    merge(&mut whole, spec);
    world.create(KIND, name, whole).await;
}

/// The settings of the Portal `docs` as the API shows them, and what it never shows.
fn settings(world: &World) -> Value {
    world.only("docs")["authentication_settings"].clone()
}

/// Someone changes the settings.
async fn by_hand(world: &World, portal: &str, change: Value) {
    let path = format!("/v2/portals/{portal}/authentication-settings");
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(change)).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_flat_and_read_nested_arrives_in_one_write_and_is_no_drift() {
    let (world, _) = World::with_docs("auth-nested").await;
    world.sandbox.reset_exchanges();
    let claims = json!({"name": "full_name", "email": "mail", "groups": "teams"});
    let spec = json!({
        "oidcAuthEnabled": true,
        "oidcIssuer": ISSUER,
        "oidcClientId": "portal",
        "oidcScopes": ["profile", "openid"],
        "oidcClaimMappings": claims,
    });
    authentication(&world, "sign-in", spec).await;
    world.synced(KIND, "sign-in").await;
    assert_eq!(world.remote_writes(), [CHANGE]);
    let scopes = json!(["profile", "openid"]);
    let config = json!({"issuer": ISSUER, "client_id": "portal", "scopes": scopes, "claim_mappings": claims});
    assert_eq!(settings(&world)["oidc_config"], config);
    world.assert_silence(Duration::from_millis(2500)).await;
    // The same scopes in another order are no change.
    world.spec(KIND, "sign-in", json!({"oidcClientId": "developers", "oidcScopes": ["openid", "profile"]})).await;
    world.synced(KIND, "sign-in").await;
    assert_eq!(world.bodies(CHANGE), [json!({"oidc_client_id": "developers"})]);
    world.sandbox.reset_exchanges();
    let empty = json!({"oidcIssuer": "", "oidcClientId": "", "oidcScopes": null, "oidcClaimMappings": null});
    world.spec(KIND, "sign-in", empty).await;
    world.synced(KIND, "sign-in").await;
    assert_eq!(world.bodies(CHANGE), [json!({"oidc_client_id": "", "oidc_issuer": ""})]);
    assert!(settings(&world)["oidc_config"].is_null(), "it is cleared");
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_never_shown_is_sent_exactly_when_it_changes() {
    let (first, second) = ("correct horse battery staple", "another horse battery staple");
    let (world, _) = World::with_docs("auth-secret").await;
    world.keys("login", &[("portal", first)]).await;
    world.sandbox.reset_exchanges();
    let secret = json!({"name": "login", "key": "portal"});
    let spec = json!({"oidcIssuer": ISSUER, "oidcClientId": "portal", "oidcClientSecretRef": secret});
    authentication(&world, "sign-in", spec).await;
    world.synced(KIND, "sign-in").await;
    let kept = |w: &World| settings(w)["write_only"]["oidc_client_secret"].clone();
    assert_eq!(kept(&world), first);
    assert_eq!(world.remote_writes(), [CHANGE]);
    world.assert_silence(Duration::from_millis(2500)).await;
    world.keys("login", &[("portal", second)]).await;
    world.eventually("the new secret is sent", |w| kept(w) == second).await;
    world.synced(KIND, "sign-in").await;
    assert_eq!(world.remote_writes(), [CHANGE]);
    // Another key of the same Secret is none of its business.
    world.edit_secret("login", json!({"stringData": {"other": "something else"}})).await;
    world.assert_silence(Duration::from_millis(2500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_mapped_as_soon_as_an_identity_provider_is_enabled() {
    // Which rule the refusal names is not documented.
    for (n, rule) in ["missing_reference", "invalid"].into_iter().enumerate() {
        let switches = Switches { missing_provider_rule: rule.to_owned(), ..Switches::default() };
        let (world, portal) = with_docs(&format!("auth-waits-{n}"), switches).await;
        authentication(&world, "sign-in", json!({"idpMappingEnabled": true})).await;
        let waits = |o: &Value| {
            let words = condition(o, "Ready", "message");
            condition(o, "Ready", "status") != "True" && words.contains("waits for an identity provider")
        };
        world.until(KIND, "sign-in", "said what it waits for", waits).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!world.is_stalled(KIND, "sign-in").await, "the spec is not at fault, and the provider may still come");
        assert_eq!(settings(&world)["idp_mapping_enabled"], false);
        world.identity_provider_by_hand(&portal).await;
        world.synced(KIND, "sign-in").await;
        assert_eq!(settings(&world)["idp_mapping_enabled"], true);
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_leaves_the_settings_unless_they_are_to_be_reset() {
    let (world, _) = World::with_docs("auth-deletion").await;
    let mut spec = json!({"basicAuthEnabled": false, "oidcAuthEnabled": true, "konnectMappingEnabled": true});
    authentication(&world, "sign-in", spec.clone()).await;
    world.synced(KIND, "sign-in").await;
    let before = settings(&world);
    let flags = [&before["basic_auth_enabled"], &before["oidc_auth_enabled"], &before["konnect_mapping_enabled"]];
    assert_eq!(flags, [false, true, true]);
    world.sandbox.reset_exchanges();
    world.delete(KIND, "sign-in").await;
    world.gone(KIND, "sign-in").await;
    assert_eq!(settings(&world), before);
    spec["lifecycle"] = json!({"deletion": "Delete"});
    authentication(&world, "sign-in", spec).await;
    world.synced(KIND, "sign-in").await;
    assert_nothing_sent(&world);
    world.delete(KIND, "sign-in").await;
    world.gone(KIND, "sign-in").await;
    assert_eq!(world.remote_writes(), [CHANGE]);
    let reset = settings(&world);
    for (flag, on) in reset.as_object().expect("the portal has settings") {
        assert_eq!(*on, json!(flag == "basic_auth_enabled"), "{flag} in {reset:#}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_resource_for_one_portal_says_conflict_until_the_first_is_gone() {
    let (world, _) = World::with_docs("auth-conflict").await;
    authentication(&world, "first", json!({"konnectMappingEnabled": true})).await;
    world.synced(KIND, "first").await;
    world.sandbox.reset_exchanges();
    // What would be reset is the first one's.
    let rival = json!({"konnectMappingEnabled": false, "lifecycle": {"deletion": "Delete"}});
    authentication(&world, "second", rival.clone()).await;
    let message = world.unready(KIND, "second", "Conflict").await;
    assert!(message.contains("first"), "{message}");
    world.delete(KIND, "second").await;
    world.gone(KIND, "second").await;
    assert_nothing_sent(&world);
    assert_eq!(settings(&world)["konnect_mapping_enabled"], true);
    authentication(&world, "second", rival).await;
    world.unready(KIND, "second", "Conflict").await;
    world.delete(KIND, "first").await;
    world.gone(KIND, "first").await;
    world.synced(KIND, "second").await;
    assert_eq!(world.remote_writes(), [CHANGE]);
    assert_eq!(settings(&world)["konnect_mapping_enabled"], false);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_that_answers_leave_out_while_it_is_off_is_no_drift() {
    let switches = Switches { unset_settings_shown: false, ..Switches::default() };
    let (world, portal) = with_docs("auth-unshown", switches).await;
    world.sandbox.reset_exchanges();
    authentication(&world, "sign-in", json!({"samlAuthEnabled": false, "idpMappingEnabled": false})).await;
    world.synced(KIND, "sign-in").await;
    assert_nothing_sent(&world);
    world.assert_silence(Duration::from_millis(1500)).await;
    by_hand(&world, &portal, json!({"saml_auth_enabled": true})).await;
    world.eventually("SAML is switched off again", |w| settings(w)["saml_auth_enabled"] == false).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_change_is_put_back_where_the_spec_says_something_and_stays_elsewhere() {
    let (world, portal) = World::with_docs("auth-drift").await;
    let spec = json!({
        "basicAuthEnabled": false,
        "oidcIssuer": ISSUER,
        "oidcClientId": "portal",
        "oidcClaimMappings": {"groups": "teams"},
    });
    authentication(&world, "sign-in", spec).await;
    world.synced(KIND, "sign-in").await;
    let claims = json!({"name": "full_name", "groups": "roles"});
    let theirs = json!({"basic_auth_enabled": true, "konnect_mapping_enabled": true, "oidc_claim_mappings": claims});
    by_hand(&world, &portal, theirs).await;
    let is_back = |w: &World| {
        let now = settings(w);
        now["basic_auth_enabled"] == false && now["oidc_config"]["claim_mappings"]["groups"] == "teams"
    };
    world.eventually("what the spec says is put back", is_back).await;
    let now = settings(&world);
    assert_eq!(now["konnect_mapping_enabled"], true);
    assert_eq!(now["oidc_config"]["claim_mappings"]["name"], "full_name");
    world.synced(KIND, "sign-in").await;
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_a_client_and_another_portal_are_refused_at_once() {
    let world = World::still("auth-bad").await;
    let spec = |more: Value| {
        let mut spec = json!({"portalRef": {"name": "docs"}});
        merge(&mut spec, more);
        spec
    };
    for half in [json!({"oidcIssuer": ISSUER}), json!({"oidcIssuer": ISSUER, "oidcClientId": ""})] {
        let refusal = world.try_create(KIND, "half", spec(half)).await.expect_err("it is refused");
        assert!(refusal.contains("oidcIssuer and oidcClientId go together"), "{refusal}");
    }
    world.create(KIND, "sign-in", spec(json!({"basicAuthEnabled": true}))).await;
    let moved = json!({"spec": {"portalRef": {"name": "other"}, "lifecycle": {"replace": "Allow"}}});
    let refusal = world.try_patch(KIND, "sign-in", moved).await.expect_err("it is refused");
    assert!(refusal.contains("portalRef cannot be changed"), "{refusal}");
    world.end().await;
}
