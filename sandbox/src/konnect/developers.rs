//! Developers: they sign up themselves, so nothing here creates one.

use serde_json::json;

use super::{Call, Outcome, merge};
use crate::problem::Problem;
use crate::world::{World, now};

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
    merge(developer, &call.body, &["status"]);
    developer["updated_at"] = json!(now());
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

fn unknown() -> Problem {
    Problem::not_found("Developer")
}
