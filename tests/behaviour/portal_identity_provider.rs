//! Identity providers of a portal: one of a type, one enabled, a config that is sent whole, and a secret in it that is never shown.
use std::time::Duration;

use portico_sandbox::{Options, Switches};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    world::{World, condition, merge},
    world_steps::{assert_nothing_sent, id},
};

const KIND: &str = "PortalIdentityProvider";
const CREATE: &str = "create-portal-identity-provider";
const UPDATE: &str = "update-portal-identity-provider";
const DELETE: &str = "delete-portal-identity-provider";
const ISSUER: &str = "https://idp.example.com";
const METADATA: &str = "https://idp.example.com/metadata";

/// A world with the Portal `docs`, whose Konnect behaves otherwise than usual.
async fn with_docs(name: &str, switches: Switches) -> World {
    let mut world = World::with(name, Options { switches, ..Options::default() }).await;
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    world
}

/// A provider by OpenID Connect.
fn oidc() -> Value {
    json!({"type": "oidc", "config": {"issuerUrl": ISSUER, "clientId": "portal"}})
}

/// A provider by SAML.
fn saml() -> Value {
    json!({"type": "saml", "config": {"idpMetadataUrl": METADATA}})
}

/// A spec for the Portal `docs`, with these fields besides.
fn of_docs(mut spec: Value, more: Value) -> Value {
    merge(&mut spec, json!({"portalRef": {"name": "docs"}}));
    merge(&mut spec, more);
    spec
}

/// The providers of the Portal `docs` as the API shows them, and what it never shows.
fn providers(world: &World) -> Vec<Value> {
    world.only("docs")["identity_providers"].as_array().cloned().unwrap_or_default()
}

/// The one of this type.
fn of_type(world: &World, type_: &str) -> Value {
    let mut found: Vec<Value> = providers(world).into_iter().filter(|provider| provider["type"] == type_).collect();
    assert_eq!(found.len(), 1, "providers of type {type_}: {found:#?}");
    found.remove(0)
}

/// Waits until a resource says what it waits for.
async fn waits(world: &World, name: &str, words: &str) {
    let is = |o: &Value| condition(o, "Ready", "status") != "True" && condition(o, "Ready", "message").contains(words);
    world.until(KIND, name, &format!("said {words:?}"), is).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_made_and_enabled_by_two_writes_and_made_by_one_where_it_is_not_to_be_enabled() {
    let (world, _) = World::quiet_with_docs("idp-writes").await;
    world.sandbox.reset_exchanges();
    world.create(KIND, "work", of_docs(oidc(), json!({"enabled": true}))).await;
    world.synced(KIND, "work").await;
    assert_eq!(world.remote_writes(), [CREATE, UPDATE]);
    assert!(world.bodies(CREATE)[0].get("enabled").is_none(), "older versions of the API do not know it there");
    assert_eq!(world.bodies(UPDATE), [json!({"enabled": true})]);
    assert_eq!(of_type(&world, "oidc")["enabled"], true);
    world.sandbox.reset_exchanges();
    world.create(KIND, "partners", of_docs(saml(), json!({"enabled": false}))).await;
    world.synced(KIND, "partners").await;
    assert_eq!(world.remote_writes(), [CREATE]);
    assert_eq!(of_type(&world, "saml")["enabled"], false);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_is_sent_whole_and_once_and_what_the_spec_leaves_out_of_it_stays() {
    let (world, portal) = World::with_docs("idp-config").await;
    world.create(KIND, "work", of_docs(oidc(), json!({}))).await;
    let provider = id(&world.synced(KIND, "work").await);
    let theirs = json!({"config": {"issuer_url": ISSUER, "client_id": "portal", "scopes": ["openid"]}});
    let path = format!("/v2/portals/{portal}/identity-providers/{provider}");
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(theirs)).await, 200);
    world.assert_silence(Duration::from_millis(1500)).await;
    world.spec(KIND, "work", json!({"config": {"clientId": "developers"}})).await;
    world.synced(KIND, "work").await;
    let sent = world.bodies(UPDATE);
    assert_eq!(sent.len(), 1, "{sent:#?}");
    let config = &sent[0]["config"];
    assert_eq!((&config["issuer_url"], &config["client_id"]), (&json!(ISSUER), &json!("developers")));
    let config = &of_type(&world, "oidc")["config"];
    assert_eq!((&config["client_id"], &config["scopes"]), (&json!("developers"), &json!(["openid"])));
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_never_shown_is_sent_exactly_when_it_changes() {
    let (first, second) = ("correct horse battery staple", "another horse battery staple");
    let (world, _) = World::with_docs("idp-secret").await;
    world.keys("login", &[("work", first)]).await;
    world.sandbox.reset_exchanges();
    let secret = json!({"config": {"clientSecretRef": {"name": "login", "key": "work"}}});
    world.create(KIND, "work", of_docs(oidc(), secret)).await;
    world.synced(KIND, "work").await;
    let kept = |w: &World| of_type(w, "oidc")["write_only"]["client_secret"].clone();
    assert_eq!(kept(&world), first);
    assert_eq!(world.remote_writes(), [CREATE]);
    world.assert_silence(Duration::from_millis(2500)).await;
    world.keys("login", &[("work", second)]).await;
    world.eventually("the new secret is sent", |w| kept(w) == second).await;
    world.synced(KIND, "work").await;
    assert_eq!(world.remote_writes(), [UPDATE]);
    assert_eq!(world.bodies(UPDATE)[0]["config"]["issuer_url"], ISSUER, "the API takes no part of a config");
    world.assert_silence(Duration::from_millis(2500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_provider_of_the_type_is_taken_only_when_told() {
    let (world, portal) = World::with_docs("idp-stranger").await;
    let theirs = world.identity_provider(&portal);
    let before = providers(&world);
    world.sandbox.reset_exchanges();
    world.create(KIND, "work", of_docs(oidc(), json!({"config": {"clientId": "ours"}}))).await;
    let message = world.unready(KIND, "work", "AlreadyExists").await;
    assert!(message.contains("oidc") && message.contains("adoption: Adopt"), "{message}");
    assert_nothing_sent(&world);
    assert_eq!(providers(&world), before);
    world.spec(KIND, "work", json!({"lifecycle": {"adoption": "Adopt"}})).await;
    assert_eq!(id(&world.synced(KIND, "work").await), theirs);
    assert_eq!(world.remote_writes(), [UPDATE]);
    let provider = of_type(&world, "oidc");
    assert_eq!((&provider["config"]["client_id"], &provider["enabled"]), (&json!("ours"), &json!(true)));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_type_changes_only_by_making_the_provider_again() {
    let (world, _) = World::with_docs("idp-type").await;
    world.create(KIND, "work", of_docs(oidc(), json!({}))).await;
    let before = id(&world.synced(KIND, "work").await);
    let config = json!({"issuerUrl": null, "clientId": null, "idpMetadataUrl": METADATA});
    let mut other = json!({"type": "saml", "config": config});
    let refusal = world.try_patch(KIND, "work", json!({"spec": other})).await.expect_err("it is refused");
    assert!(refusal.contains("type cannot be changed"), "{refusal}");
    world.sandbox.reset_exchanges();
    other["lifecycle"] = json!({"replace": "Allow"});
    world.spec(KIND, "work", other).await;
    let after = id(&world.synced(KIND, "work").await);
    assert_ne!(after, before);
    assert_eq!(world.remote_writes(), [DELETE, CREATE]);
    assert_eq!(providers(&world).len(), 1);
    assert_eq!(of_type(&world, "saml")["id"], after);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_groups_are_mapped_through_goes_when_they_are_not() {
    let (world, portal) = World::with_docs("idp-mapped").await;
    world.create(KIND, "work", of_docs(oidc(), json!({"enabled": true}))).await;
    world.synced(KIND, "work").await;
    let settings = format!("/v2/portals/{portal}/authentication-settings");
    let mapping = |on: bool| Some(json!({"idp_mapping_enabled": on}));
    assert_eq!(world.by_hand(Method::PATCH, &settings, mapping(true)).await, 200);
    // Nor can it be disabled; that is no fault of the spec.
    world.spec(KIND, "work", json!({"enabled": false})).await;
    waits(&world, "work", "idpMappingEnabled").await;
    assert!(!world.is_stalled(KIND, "work").await);
    world.delete(KIND, "work").await;
    let message = world.unready(KIND, "work", "DeletionBlocked").await;
    assert!(message.contains("the mapping of groups rests on the identity provider"), "the API's own words: {message}");
    assert_eq!(providers(&world).len(), 1);
    assert_eq!(world.by_hand(Method::PATCH, &settings, mapping(false)).await, 200);
    world.gone(KIND, "work").await;
    assert!(providers(&world).is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_providers_that_are_to_be_enabled_the_second_says_conflict_until_the_first_is_not() {
    // The API refuses the second, or silently disables the first: then both would take turns.
    for enabling_replaces in [false, true] {
        let switches = Switches { enabling_replaces, ..Switches::default() };
        let world = with_docs(&format!("idp-two-{enabling_replaces}"), switches).await;
        world.create(KIND, "work", of_docs(oidc(), json!({"enabled": true}))).await;
        world.synced(KIND, "work").await;
        world.create(KIND, "partners", of_docs(saml(), json!({"enabled": true}))).await;
        let message = world.unready(KIND, "partners", "Conflict").await;
        let names_it = message.contains(&format!("{KIND} {}/work", world.namespace));
        assert!(names_it && message.contains("set enabled: false on one of the two"), "{message}");
        assert!(!world.is_stalled(KIND, "partners").await, "the spec is not at fault");
        world.assert_silence(Duration::from_millis(2500)).await;
        assert!(world.is_synced(KIND, "work").await);
        assert_eq!(of_type(&world, "oidc")["enabled"], true);
        assert_eq!(providers(&world).len(), 1);
        world.spec(KIND, "work", json!({"enabled": false})).await;
        world.synced(KIND, "work").await;
        world.synced(KIND, "partners").await;
        let enabled = ["oidc", "saml"].map(|type_| of_type(&world, type_)["enabled"].clone());
        assert_eq!(enabled, [false, true]);
        // The first one is the older, and yet the one that comes later.
        world.spec(KIND, "work", json!({"enabled": true})).await;
        world.unready(KIND, "work", "Conflict").await;
        world.assert_silence(Duration::from_millis(2500)).await;
        assert!(world.is_synced(KIND, "partners").await);
        assert_eq!(of_type(&world, "saml")["enabled"], true);
        // Who waits goes all the same, and who goes is waited for no longer.
        world.delete(KIND, "partners").await;
        world.gone(KIND, "partners").await;
        world.synced(KIND, "work").await;
        assert_eq!(of_type(&world, "oidc")["enabled"], true);
        world.create(KIND, "partners", of_docs(saml(), json!({"enabled": true}))).await;
        world.unready(KIND, "partners", "Conflict").await;
        world.sandbox.reset_exchanges();
        world.delete(KIND, "partners").await;
        world.gone(KIND, "partners").await;
        assert_nothing_sent(&world);
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_enabled_as_soon_as_a_strangers_is_not() {
    let (world, portal) = World::with_docs("idp-theirs-first").await;
    let theirs = world.identity_provider(&portal);
    world.create(KIND, "partners", of_docs(saml(), json!({"enabled": true}))).await;
    waits(&world, "partners", "another identity provider of the portal is enabled").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!world.is_stalled(KIND, "partners").await, "the spec is not at fault");
    assert_eq!(of_type(&world, "saml")["enabled"], false);
    let path = format!("/v2/portals/{portal}/identity-providers/{theirs}");
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(json!({"enabled": false}))).await, 200);
    world.synced(KIND, "partners").await;
    assert_eq!(of_type(&world, "saml")["enabled"], true);
    assert_eq!(world.calls(CREATE), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_saml_the_status_shows_the_portals_side_and_only_the_users_side_is_sent() {
    let (world, portal) = World::with_docs("idp-saml").await;
    world.create(KIND, "partners", of_docs(saml(), json!({}))).await;
    let resource = world.synced(KIND, "partners").await;
    let shown = of_type(&world, "saml")["config"].clone();
    for (field, member) in
        [("spMetadataUrl", "sp_metadata_url"), ("spEntityId", "sp_entity_id"), ("callbackUrl", "callback_url")]
    {
        assert!(shown[member].is_string(), "{shown:#}");
        assert_eq!(resource["status"][field], shown[member], "{field}");
    }
    // From now on the API shows an empty text, and would not take one back.
    let theirs = json!({"config": {"idp_metadata_url": METADATA, "idp_metadata_xml": ""}});
    let path = format!("/v2/portals/{portal}/identity-providers/{}", id(&resource));
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(theirs)).await, 200);
    world.assert_silence(Duration::from_millis(1500)).await;
    let other = "https://login.example.com/metadata";
    world.spec(KIND, "partners", json!({"config": {"idpMetadataUrl": other}})).await;
    world.synced(KIND, "partners").await;
    assert_eq!(world.bodies(UPDATE), [json!({"config": {"idp_metadata_url": other}})]);
    world.sandbox.reset_exchanges();
    world.spec(KIND, "partners", json!({"config": {"idpMetadataUrl": "", "idpMetadataXml": "<metadata/>"}})).await;
    world.synced(KIND, "partners").await;
    assert_eq!(world.bodies(UPDATE), [json!({"config": {"idp_metadata_xml": "<metadata/>"}})]);
    assert!(of_type(&world, "saml")["config"]["idp_metadata_url"].is_null(), "it is cleared");
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_of_the_other_type_is_refused_at_once() {
    let world = World::still("idp-bad").await;
    for (spec, change, word) in [
        (oidc(), json!({"config": {"clientId": null}}), "with type: oidc"),
        (oidc(), json!({"config": {"idpMetadataUrl": METADATA}}), "with type: oidc"),
        (saml(), json!({"config": {"clientId": "portal"}}), "with type: saml"),
        (saml(), json!({"config": {"scopes": ["openid"]}}), "with type: saml"),
        (saml(), json!({"type": "ldap"}), "spec.type"),
        (saml(), json!({"config": null}), "spec.config"),
    ] {
        let refusal = world.try_create(KIND, "bad", of_docs(spec, change)).await.expect_err("it is refused");
        assert!(refusal.contains(word), "{refusal}");
    }
    world.end().await;
}
