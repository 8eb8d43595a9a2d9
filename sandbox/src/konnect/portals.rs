//! Portals and the verification of their domains.

use serde_json::{Map, Value, json};

use super::{Call, Outcome, merge};
use crate::problem::{Problem, in_body, in_query, with};
use crate::world::{Portal, World, id_of};

const WRITABLE: [&str; 10] = [
    "name",
    "display_name",
    "description",
    "is_public",
    "rbac_enabled",
    "auto_approve_applications",
    "auto_approve_developers",
    "custom_domain",
    "custom_client_domain",
    "default_application_auth_strategy_id",
];

pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let portals = &world.organization(call.account)?.portals;
    let (page, total) = call.listing.select(portals.iter(), |portal| &portal.body);
    Ok(Some(call.listing.envelope(&page.into_iter().map(Portal::show).collect::<Vec<_>>(), total)))
}

pub(super) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let organization = world.organization(call.account)?;
    let subdomain = &call.seam.uuid().simple().to_string()[..12];
    let mut body = call.seam.fresh(json!({
        "display_name": call.body["name"],
        "description": null,
        "default_domain": format!("{subdomain}.{}.portal.konghq.com", call.switches.region),
        "is_public": false,
        "rbac_enabled": false,
        "auto_approve_applications": false,
        "auto_approve_developers": false,
        "custom_domain": null,
        "custom_client_domain": null,
        "default_application_auth_strategy_id": organization.auth_strategy,
    }));
    merge(&mut body, &call.body, &WRITABLE);
    merge_labels(&mut body, call)?;
    check(world, call, &body)?;
    let mut portal = Portal::new(body);
    portal.authentication_settings["basic_auth_enabled"] = json!(call.switches.basic_auth_by_default);
    let shown = portal.show();
    world.organization_mut(call.account)?.portals.insert(&id_of(&shown), portal);
    Ok(Some(shown))
}

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    Ok(Some(call.portal(world)?.show()))
}

pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let mut body = call.portal(world)?.body.clone();
    merge(&mut body, &call.body, &WRITABLE);
    merge_labels(&mut body, call)?;
    check(world, call, &body)?;
    body["updated_at"] = json!(call.seam.now());
    let portal = call.portal_mut(world)?;
    portal.body = body;
    Ok(Some(portal.show()))
}

pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal(world)?;
    let force = call.parameter("force").unwrap_or("false");
    if !matches!(force, "true" | "false") {
        let choices = json!(["true", "false"]);
        let refusal = with(in_query("force", "enum", "must be one of true, false"), "choices", choices);
        return Err(Problem::invalid(vec![refusal]));
    }
    if let Some(reason) = needs_force(portal).filter(|_| force == "false") {
        return Err(Problem::invalid(vec![in_query("force", "required", reason)]));
    }
    let hostname = portal.body["custom_domain"].as_str().map(str::to_lowercase);
    let hosted = portal.domain.as_ref().map(|domain| domain.hostname().to_lowercase());
    world.reserved.extend(hostname.filter(|_| call.switches.hostname_reservation_outlives));
    world.reserved.extend(hosted.filter(|_| call.switches.custom_domain_outlives_portal));
    world.organization_mut(call.account)?.portals.remove(call.id("portalId"));
    Ok(None)
}

pub(super) fn verify_domains(world: &mut World, call: &Call<'_>) -> Outcome {
    if call.portal(world)?.body["custom_domain"].is_null() {
        let reason = "portal needs a custom_domain to be verified";
        return Err(Problem::invalid(vec![json!({"field": "custom_domain", "reason": reason})]));
    }
    let verified = call.switches.domains_verified;
    Ok(Some(json!({"is_cname_verified": verified, "is_ssl_issued": verified})))
}

/// Why a portal is not deleted without force.
fn needs_force(portal: &Portal) -> Option<&'static str> {
    if !portal.developers.is_empty() {
        return Some("force must be true to delete a portal that has developers");
    }
    let mut versions = portal.product_versions.iter();
    let registered = versions.any(|version| version["application_registration_enabled"] == true);
    registered.then_some("force must be true to delete a portal with application registration in a product version")
}

/// What must hold of a portal besides its schema, before it is kept.
fn check(world: &World, call: &Call<'_>, body: &Value) -> Result<(), Problem> {
    if !body["custom_client_domain"].is_null() && body["custom_domain"].is_null() {
        let refusal = in_body("custom_client_domain", "dependent_fields", "custom_domain must be set too");
        return Err(Problem::invalid(vec![with(refusal, "dependents", json!(["custom_domain"]))]));
    }
    let other = |portal: &&Portal| portal.body["id"] != body["id"];
    let siblings = &world.organization(call.account)?.portals;
    if siblings.iter().filter(other).any(|portal| portal.body["name"] == body["name"]) {
        // The contract documents a 409 for PATCH, and none for POST.
        let creating = call.id("portalId").is_empty();
        let status = if creating { call.switches.duplicate_portal_name } else { 409 };
        return Err(Problem::taken(status, "name", "portal name must be unique in the organization"));
    }
    let Some(domain) = body["custom_domain"].as_str().map(str::to_lowercase) else { return Ok(()) };
    if world.hostname_taken(&domain, &body["id"]) {
        return Err(Problem::new(409, format!("custom_domain {domain} is already in use")));
    }
    Ok(())
}

/// Labels are merged key by key; null removes one. An object without labels shows no `labels` at all.
fn merge_labels(body: &mut Value, call: &Call<'_>) -> Result<(), Problem> {
    let mut labels = match body.get("labels") {
        Some(Value::Object(labels)) => labels.clone(),
        _ => Map::new(),
    };
    match call.body.get("labels") {
        Some(Value::Object(change)) => {
            let refused: Vec<Value> = change.keys().filter_map(|key| refuse_key(key)).collect();
            if !refused.is_empty() {
                return Err(Problem::invalid(refused));
            }
            for (key, value) in change {
                if value.is_null() {
                    labels.remove(key);
                } else {
                    labels.insert(key.clone(), value.clone());
                }
            }
        }
        Some(Value::Null) if call.switches.null_labels_clear => labels.clear(),
        _ => {}
    }
    let maximum = call.switches.max_labels;
    if labels.len() > maximum {
        let refusal = in_body("labels", "max_items", &format!("must not have more than {maximum} labels"));
        return Err(Problem::invalid(vec![with(refusal, "maximum", json!(maximum))]));
    }
    let Some(members) = body.as_object_mut() else { return Ok(()) };
    members.remove("labels");
    if !labels.is_empty() {
        members.insert("labels".to_owned(), Value::Object(labels));
    }
    Ok(())
}

fn refuse_key(key: &str) -> Option<Value> {
    let reserved = ["kong", "konnect", "mesh", "kic", "_"].iter().any(|prefix| key.starts_with(prefix));
    let sound = (1..=63).contains(&key.chars().count()) && !key.contains('/');
    let reason = "a label key has 1 to 63 characters, no slash, and does not start with kong, konnect, mesh, kic or _";
    (reserved || !sound).then(|| in_body(&format!("labels.{key}"), "is_label", reason))
}
