//! The catalogue of roles, and which of them a team has.

use serde_json::{Value, json};

use super::{Call, Outcome, reference};
use crate::problem::{Problem, in_body, with};
use crate::world::{World, id_of};

const ENTITY_TYPE: &str = "Services";
const VIEWER: &str = "API Viewer";
const CONSUMER: &str = "API Consumer";
/// Later versions of the contract require all four, and an assignment means nothing without one of them.
const MEMBERS: [&str; 4] = ["role_name", "entity_id", "entity_type_name", "entity_region"];

#[allow(clippy::unnecessary_wraps, reason = "it has the signature of all behaviours")]
pub(super) fn catalogue(_: &mut World, _: &Call<'_>) -> Outcome {
    Ok(Some(json!({
        "services": {
            "name": ENTITY_TYPE,
            "roles": {
                "apiviewer": {
                    "name": VIEWER,
                    "description": "API Viewers have read-only access to the documentation of a service in a portal",
                },
                "apiconsumer": {
                    "name": CONSUMER,
                    "description": "API Consumers can make calls to the given service",
                },
            },
        },
    })))
}

pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    Ok(Some(call.page(call.team(world)?.roles.iter())))
}

pub(super) fn assign(world: &mut World, call: &Call<'_>) -> Outcome {
    call.team(world)?;
    check(world, call)?;
    let mut assignment = json!({"id": call.seam.fresh_id()});
    for member in MEMBERS {
        assignment[member] = call.body[member].clone();
    }
    let team = call.team_mut(world)?;
    if team.roles.iter().any(|assigned| MEMBERS.iter().all(|member| assigned[*member] == assignment[*member])) {
        return Err(Problem::new(409, "the role is already assigned to the team"));
    }
    team.roles.insert(&id_of(&assignment), assignment.clone());
    Ok(Some(assignment))
}

pub(super) fn remove(world: &mut World, call: &Call<'_>) -> Outcome {
    let removed = call.team_mut(world)?.roles.remove(call.id("roleId"));
    removed.map(|_| None).ok_or_else(|| Problem::not_found("Role"))
}

fn check(world: &World, call: &Call<'_>) -> Result<(), Problem> {
    let missing = MEMBERS.iter().filter(|member| call.body.get(**member).is_none());
    let mut refused: Vec<Value> = missing.map(|member| in_body(member, "required", "is a required field")).collect();
    for (member, choices) in [("role_name", &[VIEWER, CONSUMER][..]), ("entity_type_name", &[ENTITY_TYPE][..])] {
        if call.text(member).is_some_and(|text| !choices.contains(&text)) {
            let refusal = in_body(member, "enum", &format!("must be one of {}", choices.join(", ")));
            refused.push(with(refusal, "choices", json!(choices)));
        }
    }
    let products = &world.organization(call.account)?.api_products;
    let entity = reference(&call.body, "entity_id");
    if call.switches.check_role_entity && entity.is_some_and(|id| products.get(&id).is_none()) {
        refused.push(in_body("entity_id", "missing_reference", "is not an API product of the organization"));
    }
    if refused.is_empty() { Ok(()) } else { Err(Problem::invalid(refused)) }
}
