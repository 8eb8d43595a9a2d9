//! Which groups of an identity provider make somebody a member of which team.

use serde_json::{Value, json};

use super::{Call, Outcome, reference};
use crate::problem::{Problem, in_body};
use crate::world::{Portal, World};

pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal(world)?;
    needs_provider(portal)?;
    Ok(Some(call.page(portal.group_mappings.iter())))
}

/// The groups of a team are replaced as a whole; teams that are not named keep theirs.
pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal_mut(world)?;
    needs_provider(portal)?;
    let empty = Vec::new();
    let mappings = call.body.get("data").and_then(Value::as_array).unwrap_or(&empty);
    let refused: Vec<Value> =
        mappings.iter().enumerate().filter_map(|(index, mapping)| refuse(portal, index, mapping)).collect();
    if !refused.is_empty() {
        return Err(Problem::invalid(refused));
    }
    for mapping in mappings {
        let team = reference(mapping, "team_id").unwrap_or_default();
        let groups = distinct(&mapping["groups"]);
        if groups.is_empty() {
            portal.group_mappings.remove(&team);
        } else {
            portal.group_mappings.insert(&team, json!({"team_id": team, "groups": groups}));
        }
    }
    Ok(Some(call.page(portal.group_mappings.iter())))
}

fn needs_provider(portal: &Portal) -> Result<(), Problem> {
    if portal.identity_providers.is_empty() {
        let reason = "the portal has no identity provider";
        let refusal = json!({"field": "identity_provider", "rule": "missing_reference", "reason": reason});
        return Err(Problem::invalid(vec![refusal]));
    }
    Ok(())
}

fn refuse(portal: &Portal, index: usize, mapping: &Value) -> Option<Value> {
    let field = format!("data.{index}.team_id");
    match reference(mapping, "team_id") {
        None => Some(in_body(&field, "required", "is a required field")),
        Some(team) if portal.teams.get(&team).is_none() => {
            Some(in_body(&field, "missing_reference", "is not a team of the portal"))
        }
        Some(_) => None,
    }
}

/// The groups in the order of their first appearance.
fn distinct(groups: &Value) -> Vec<Value> {
    let mut distinct: Vec<Value> = Vec::new();
    for group in groups.as_array().into_iter().flatten() {
        if !distinct.contains(group) {
            distinct.push(group.clone());
        }
    }
    distinct
}
