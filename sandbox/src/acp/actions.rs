//! Consent actions: named lists of consents.

use serde_json::{Value, json};

use super::shape::{complete, trim};
use super::tenant::Tenant;
use crate::call::{Call, Outcome};
use crate::problem::Problem;
use crate::world::World;

const KEPT: [&str; 2] = ["id", "tenant_id"];

/// Without their consents.
pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let actions = call.tenant(world)?.actions.iter().map(|action| {
        let mut shown = action.clone();
        if let Some(members) = shown.as_object_mut() {
            members.remove("consents");
        }
        shown
    });
    Ok(Some(json!({"consent_actions": actions.collect::<Vec<_>>()})))
}

pub(super) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let tenant = call.tenant(world)?;
    let id = call.text("id").unwrap_or_default();
    if tenant.actions.get(id).is_some() {
        return Err(Problem::new(409, format!("a consent action with the id {id} already exists")));
    }
    let mut body = call.body.clone();
    body["tenant_id"] = json!(call.account);
    keep(world, call, id, body)
}

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    let tenant = call.tenant(world)?;
    Ok(Some(call.shown(tenant.show_action(call.action(tenant)?))))
}

pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let body = call.replaced(call.action(call.tenant(world)?)?, &KEPT);
    keep(world, call, call.id("action"), body)
}

pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    call.action(call.tenant(world)?)?;
    call.tenant_mut(world)?.actions.remove(call.id("action"));
    Ok(None)
}

/// Keeps an action, whose consents must exist.
fn keep(world: &mut World, call: &Call<'_>, id: &str, mut body: Value) -> Outcome {
    if call.acp().trims_descriptions {
        trim(&mut body, "description");
    }
    let tenant = call.tenant_mut(world)?;
    let mut consents: Vec<Value> = Vec::new();
    for named in body["consents"].as_array().into_iter().flatten() {
        let consent = named["id"].as_str().unwrap_or_default();
        if tenant.consents.get(consent).is_none() {
            return Err(Problem::new(call.acp().action_missing_consent, format!("consent {consent} not found")));
        }
        // Named twice, the last word counts.
        consents.retain(|earlier| earlier["id"] != consent);
        consents.push(json!({"id": consent, "required": named["required"]}));
    }
    body["consents"] = Value::Null;
    complete("getConsentAction", &mut body);
    body["consents"] = json!(consents);
    let shown = tenant.show_action(&body);
    tenant.actions.insert(id, body);
    Ok(Some(call.shown(shown)))
}

impl Call<'_> {
    fn action<'w>(&self, tenant: &'w Tenant) -> Result<&'w Value, Problem> {
        tenant.actions.get(self.id("action")).ok_or_else(|| Problem::not_found("Consent action"))
    }
}
