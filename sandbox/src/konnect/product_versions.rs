//! Versions of API products in a portal: known by the id of the version, made by POST or PUT, and told of by mail.

use serde_json::{Value, json};

use super::{Call, Outcome, merge, reference};
use crate::problem::{Problem, in_body};
use crate::world::{Collection, World};

const WRITABLE: [&str; 5] = [
    "publish_status",
    "auth_strategy_ids",
    "application_registration_enabled",
    "auto_approve_registration",
    "deprecated",
];
/// Written; answers show the strategies themselves.
const STRATEGY_IDS: &str = "auth_strategy_ids";

pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let versions = &call.portal(world)?.product_versions;
    let strategies = &world.organization(call.account)?.auth_strategies;
    let (page, total) = call.listing.select(versions.iter(), |version| version);
    let page: Vec<Value> = page.into_iter().map(|version| shown(strategies, version)).collect();
    Ok(Some(call.listing.envelope(&page, total)))
}

pub(super) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let id = reference(&call.body, "product_version_id").unwrap_or_default();
    if call.portal(world)?.product_versions.get(&id).is_some() {
        let reason = "the product version is in the portal already";
        return Err(Problem::taken(call.switches.duplicate_product_version, "product_version_id", reason));
    }
    save(world, call, &id)
}

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    let version = call.portal(world)?.product_versions.get(call.id("productVersionId")).ok_or_else(unknown)?;
    Ok(Some(shown(&world.organization(call.account)?.auth_strategies, version)))
}

pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let id = call.id("productVersionId");
    call.portal(world)?.product_versions.get(id).ok_or_else(unknown)?;
    save(world, call, id)
}

/// Makes the product version where there is none.
pub(super) fn replace(world: &mut World, call: &Call<'_>) -> Outcome {
    save(world, call, call.id("productVersionId"))
}

pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    let removed = call.portal_mut(world)?.product_versions.remove(call.id("productVersionId"));
    removed.map(|_| None).ok_or_else(unknown)
}

/// A product version as answers show it.
pub(crate) fn shown(strategies: &Collection<Value>, version: &Value) -> Value {
    let mut shown = version.clone();
    let ids = version[STRATEGY_IDS].as_array().into_iter().flatten().filter_map(Value::as_str);
    let strategy = |id: &str| strategies.get(id).cloned().unwrap_or_else(|| auth_strategy(id, "key-auth", "key_auth"));
    shown["auth_strategies"] = ids.map(strategy).collect();
    if let Some(members) = shown.as_object_mut() {
        members.remove(STRATEGY_IDS);
    }
    shown
}

/// An authentication strategy as the API shows it.
pub(crate) fn auth_strategy(id: &str, name: &str, credential_type: &str) -> Value {
    let mut strategy = json!({"id": id, "name": name, "credential_type": credential_type});
    if credential_type == "key_auth" {
        strategy["key_names"] = json!(["apikey"]);
    } else {
        strategy["auth_methods"] = json!(["bearer"]);
    }
    strategy
}

/// Makes or changes the product version of this id, and sends the mail that the body asks for.
fn save(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    check(world, call, id)?;
    let portal = call.portal_mut(world)?;
    let known = portal.product_versions.get(id).cloned();
    let made = || call.seam.fresh(json!({"product_version_id": id}));
    let mut version = known.map_or_else(made, |mut known| {
        known["updated_at"] = json!(call.seam.now());
        known
    });
    merge(&mut version, &call.body, &WRITABLE);
    for strategy in version[STRATEGY_IDS].as_array_mut().into_iter().flatten() {
        *strategy = json!(strategy.as_str().unwrap_or_default().to_lowercase());
    }
    portal.product_versions.insert(id, version.clone());
    if call.body["notify_developers"] == true {
        let approved = portal.developers.iter().filter(|developer| developer["status"] == "approved");
        let to: Vec<Value> = approved.map(|developer| developer["email"].clone()).collect();
        let (at, portal) = (call.seam.now(), call.id("portalId"));
        let mail = json!({"at": at, "portal_id": portal, "product_version_id": id, "to": to});
        world.mail(call.account, mail);
    }
    Ok(Some(shown(&world.organization(call.account)?.auth_strategies, &version)))
}

/// What must be there before a product version can be.
fn check(world: &World, call: &Call<'_>, id: &str) -> Result<(), Problem> {
    let portal = call.portal(world)?;
    let organization = world.organization(call.account)?;
    let version = organization.api_product_versions.get(id);
    let missing = |reason: &str| json!({"field": "product_version_id", "rule": "missing_reference", "reason": reason});
    match call.switches.missing_product_version {
        Some(400) if version.is_none() => {
            return Err(Problem::invalid(vec![missing("is not a version of an API product")]));
        }
        Some(status) if version.is_none() => return Err(Problem::new(status, "API product version not found")),
        _ => {}
    }
    let product = version.and_then(|version| version["product_id"].as_str());
    let is_published = product.is_some_and(|product| portal.published_products.iter().any(|known| known == product));
    if call.switches.version_needs_product && !is_published {
        return Err(Problem::invalid(vec![missing("its API product is not published in the portal")]));
    }
    let ids = call.body.get(STRATEGY_IDS).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let is_known = |id: &str| organization.auth_strategies.get(&id.to_lowercase()).is_some();
    let refused: Vec<Value> = ids
        .enumerate()
        .filter(|(_, id)| call.switches.check_auth_strategies && !is_known(id))
        .map(|(index, _)| {
            let field = format!("{STRATEGY_IDS}.{index}");
            in_body(&field, "missing_reference", "is not an authentication strategy of the organization")
        })
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Problem::invalid(refused)) }
}

fn unknown() -> Problem {
    Problem::not_found("Portal product version")
}
