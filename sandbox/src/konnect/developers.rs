//! Developers: they sign up themselves, so nothing here creates one.

use serde_json::{Value, json};

use super::{Call, Outcome, merge};
use crate::problem::{Problem, in_body};
use crate::world::World;

pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    Ok(Some(call.page(call.portal(world)?.developers.iter())))
}

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    let developer = call.portal(world)?.developers.get(call.id("developerId"));
    developer.cloned().map(Some).ok_or_else(unknown)
}

pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let developers = &mut call.portal_mut(world)?.developers;
    let developer = developers.get_mut(call.id("developerId")).ok_or_else(unknown)?;
    check_status(call, developer)?;
    merge(developer, &call.body, &["status"]);
    developer["updated_at"] = json!(call.seam.now());
    Ok(Some(developer.clone()))
}

pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal_mut(world)?;
    let id = call.id("developerId");
    portal.developers.remove(id).ok_or_else(unknown)?;
    for team in portal.teams.iter_mut() {
        team.members.retain(|member| member != id);
    }
    Ok(None)
}

pub(super) fn list_teams(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal(world)?;
    let id = call.id("developerId");
    portal.developers.get(id).ok_or_else(unknown)?;
    let joined = portal.teams.iter().filter(|team| team.members.iter().any(|member| member == id));
    Ok(Some(call.page(joined.map(|team| &team.body))))
}

/// The vendor's documentation tells which ways people go; that the API keeps them to these is not said.
fn check_status(call: &Call<'_>, developer: &Value) -> Result<(), Problem> {
    let (old, new) = (developer["status"].as_str().unwrap_or_default(), call.text("status"));
    let Some(new) = new.filter(|new| *new != old && !call.switches.any_developer_status) else { return Ok(()) };
    if matches!((old, new), ("pending", "approved" | "rejected") | ("approved", "revoked") | ("revoked", "approved")) {
        return Ok(());
    }
    let reason = format!("a developer who is {old} cannot become {new}");
    Err(Problem::invalid(vec![in_body("status", "invalid", &reason)]))
}

fn unknown() -> Problem {
    Problem::not_found("Developer")
}
