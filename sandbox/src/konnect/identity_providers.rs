//! Identity providers: at most one of a type, at most one enabled, and their client secrets are never shown.

use serde_json::{Value, json};

use super::{Call, Outcome, authentication};
use crate::problem::{Problem, in_body};
use crate::world::{Collection, Portal, World, id_of};

/// A bare array, without pages.
pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let providers = &call.portal(world)?.identity_providers;
    Ok(Some(call.listing.all(providers.iter(), |body| body).into_iter().cloned().collect()))
}

pub(super) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal_mut(world)?;
    let missing = ["type", "config"].iter().filter(|field| call.body.get(**field).is_none());
    let refused: Vec<Value> = missing.map(|field| in_body(field, "required", "is a required field")).collect();
    if !refused.is_empty() {
        return Err(Problem::invalid(refused));
    }
    let kind = call.text("type").unwrap_or_default();
    fits(kind, &call.body["config"])?;
    if portal.identity_providers.iter().any(|provider| provider["type"] == kind) {
        let reason = format!("the portal already has an identity provider of type {kind}");
        return Err(Problem::taken(call.switches.duplicate_identity_provider, "type", &reason));
    }
    let enabled = call.switches.enabled_on_create && call.body["enabled"] == true;
    let mut body = call.seam.fresh(json!({"type": kind, "enabled": false}));
    body["config"] = shown(kind, &call.body["config"], call.id("portalId"));
    if enabled {
        enable(portal, call, &mut body)?;
    }
    portal.identity_providers.insert(&id_of(&body), body.clone());
    keep_secret(portal, &body, &call.body);
    Ok(Some(body))
}

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    let provider = call.portal(world)?.identity_providers.get(call.id("id"));
    provider.cloned().map(Some).ok_or_else(unknown)
}

/// The type cannot change, and a config replaces the whole config.
pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal_mut(world)?;
    let mut body = portal.identity_providers.get(call.id("id")).cloned().ok_or_else(unknown)?;
    if let Some(config) = call.body.get("config") {
        let kind = body["type"].as_str().unwrap_or_default().to_owned();
        fits(&kind, config)?;
        body["config"] = shown(&kind, config, call.id("portalId"));
    }
    match call.body.get("enabled") {
        Some(Value::Bool(true)) => enable(portal, call, &mut body)?,
        Some(disabled) => {
            authentication::release(portal, call, &body)?;
            body["enabled"] = disabled.clone();
        }
        None => {}
    }
    body["updated_at"] = json!(call.seam.now());
    portal.identity_providers.insert(call.id("id"), body.clone());
    keep_secret(portal, &body, &call.body);
    Ok(Some(body))
}

pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal_mut(world)?;
    let provider = portal.identity_providers.get(call.id("id")).cloned().ok_or_else(unknown)?;
    authentication::release(portal, call, &provider)?;
    portal.identity_providers.remove(call.id("id"));
    portal.provider_secrets.remove(call.id("id"));
    if portal.identity_providers.is_empty() {
        portal.group_mappings = Collection::default();
    }
    Ok(None)
}

/// Enables a provider, which only one of a portal may be.
fn enable(portal: &mut Portal, call: &Call<'_>, body: &mut Value) -> Result<(), Problem> {
    let others = portal.identity_providers.iter_mut().filter(|other| other["id"] != body["id"]);
    for other in others.filter(|other| other["enabled"] == true) {
        if !call.switches.enabling_replaces {
            let reason = "another identity provider of the portal is enabled";
            return Err(Problem::invalid(vec![in_body("enabled", "invalid", reason)]));
        }
        other["enabled"] = json!(false);
    }
    body["enabled"] = json!(true);
    Ok(())
}

/// The schema takes the config of either type; it must be the one of this type.
fn fits(kind: &str, config: &Value) -> Result<(), Problem> {
    if (kind == "oidc") == config.get("issuer_url").is_some() {
        return Ok(());
    }
    let reason = format!("is not the configuration of an identity provider of type {kind}");
    Err(Problem::invalid(vec![in_body("config", "invalid", &reason)]))
}

/// A config as answers show it: without the secret, with what the server adds.
fn shown(kind: &str, config: &Value, portal: &str) -> Value {
    let mut shown = config.clone();
    if kind == "oidc" {
        if let Some(members) = shown.as_object_mut() {
            members.remove("client_secret");
            members.entry("scopes").or_insert_with(|| json!(["email", "openid", "profile"]));
            members.entry("claim_mappings").or_insert_with(|| json!({}));
        }
        for claim in ["name", "email", "groups"] {
            if shown["claim_mappings"].get(claim).is_none() {
                shown["claim_mappings"][claim] = json!(claim);
            }
        }
    } else {
        shown["sp_metadata_url"] = json!(format!("/{portal}/saml/metadata"));
        shown["sp_entity_id"] = json!(format!("urn:portal:{portal}"));
        shown["callback_url"] = json!(format!("/{portal}/saml/callback"));
    }
    shown
}

/// Remembers the client secret of a request for those who look at the sandbox's state.
fn keep_secret(portal: &mut Portal, provider: &Value, request: &Value) {
    if let Some(secret) = request["config"]["client_secret"].as_str() {
        portal.provider_secrets.insert(id_of(provider), secret.to_owned());
    }
}

fn unknown() -> Problem {
    Problem::not_found("Identity provider")
}
