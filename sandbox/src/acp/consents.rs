//! Consents, of which every PUT makes a new version.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::shape::{complete, trim};
use super::tenant::Tenant;
use crate::call::{Call, Outcome};
use crate::problem::{Problem, in_body};
use crate::world::{World, stamp};

const KEPT: [&str; 3] = ["id", "tenant_id", "version"];

pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let consents = call.tenant(world)?.consents.iter().map(|consent| call.shown(consent.clone()));
    Ok(Some(json!({"consents": consents.collect::<Vec<_>>()})))
}

pub(super) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let id = call.text("id").unwrap_or_default();
    if call.tenant(world)?.consents.get(id).is_some() {
        return Err(Problem::new(409, format!("a consent with the id {id} already exists")));
    }
    check(call)?;
    let mut body = call.body.clone();
    body["tenant_id"] = json!(call.account);
    body["version"] = json!(1);
    settle(call, &mut body);
    call.tenant_mut(world)?.consents.insert(id, body.clone());
    Ok(Some(call.shown(body)))
}

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    Ok(Some(call.shown(call.consent(call.tenant(world)?)?.clone())))
}

/// Makes a new version, even where nothing changes.
pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let old = call.consent(call.tenant(world)?)?;
    check(call)?;
    let mut body = call.replaced(old, &KEPT);
    body["version"] = json!(old["version"].as_u64().unwrap_or_default() + 1);
    settle(call, &mut body);
    call.tenant_mut(world)?.consents.insert(call.id("consent"), body.clone());
    Ok(Some(call.shown(body)))
}

/// Drops it out of the actions that use it, unless a switch refuses to.
pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    let id = call.id("consent");
    let tenant = call.tenant(world)?;
    call.consent(tenant)?;
    let names_it = |action: &Value| action["consents"].as_array().into_iter().flatten().any(|named| named["id"] == id);
    let used = tenant.actions.iter().any(names_it);
    if let Some(status) = call.acp().consent_in_use.filter(|_| used) {
        return Err(Problem::new(status, "the consent is in use by a consent action"));
    }
    let tenant = call.tenant_mut(world)?;
    tenant.consents.remove(id);
    for action in tenant.actions.iter_mut() {
        if let Some(consents) = action["consents"].as_array_mut() {
            consents.retain(|named| named["id"] != id);
        }
    }
    Ok(None)
}

/// Completes a consent. Where the body says nothing, it is valid from now on.
fn settle(call: &Call<'_>, body: &mut Value) {
    body["valid_from"] = json!(valid_from(call).map_or_else(|| call.seam.now(), stamp));
    if call.acp().trims_descriptions {
        trim(body, "description");
    }
    complete("getConsent", body);
}

fn valid_from(call: &Call<'_>) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(call.given("valid_from")?).ok().map(|time| time.with_timezone(&Utc))
}

/// What must hold of a consent besides its schema.
fn check(call: &Call<'_>) -> Result<(), Problem> {
    let mut refused = Vec::new();
    if !call.acp().future_valid_from && valid_from(call).is_some_and(|time| time > call.seam.time()) {
        refused.push(in_body("valid_from", "invalid", "must not be in the future"));
    }
    for member in ["internal_services", "third_party_services"] {
        for (index, service) in call.body[member].as_array().into_iter().flatten().enumerate() {
            let purposes = service["purposes"].as_array().map_or(&[][..], Vec::as_slice);
            let primary = purposes.iter().any(|purpose| purpose["primary"] == true);
            if call.acp().primary_purpose_required && purposes.len() > 1 && !primary {
                let field = format!("{member}.{index}.purposes");
                refused.push(in_body(&field, "invalid", "one of several purposes must be the primary one"));
            }
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(Problem::invalid(refused)) }
}

impl Call<'_> {
    fn consent<'w>(&self, tenant: &'w Tenant) -> Result<&'w Value, Problem> {
        tenant.consents.get(self.id("consent")).ok_or_else(|| Problem::not_found("Consent"))
    }
}
