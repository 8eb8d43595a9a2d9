//! Teams and their members. Names are not unique.

use serde_json::{Value, json};

use super::{Call, Outcome, merge, reference};
use crate::problem::{Problem, in_body, with};
use crate::world::{Collection, Team, World, id_of};

const WRITABLE: [&str; 2] = ["name", "description"];
/// Of a name, as the answers have it; the request's schema has no limit.
const LONGEST_NAME: usize = 250;

pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal(world)?;
    Ok(Some(call.page(portal.teams.iter().map(|team| &team.body))))
}

pub(super) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal_mut(world)?;
    check_name(call)?;
    let mut body = call.seam.fresh(json!({}));
    merge(&mut body, &call.body, &WRITABLE);
    let team = Team { body: body.clone(), roles: Collection::default(), members: Vec::new() };
    portal.teams.insert(&id_of(&body), team);
    Ok(Some(body))
}

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    Ok(Some(call.team(world)?.body.clone()))
}

pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let team = call.team_mut(world)?;
    check_name(call)?;
    merge(&mut team.body, &call.body, &WRITABLE);
    team.body["updated_at"] = json!(call.seam.now());
    Ok(Some(team.body.clone()))
}

/// Deletes its roles and group mappings too; its members stay developers.
pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal_mut(world)?;
    let id = call.id("teamId");
    portal.teams.remove(id).ok_or_else(|| Problem::not_found("Team"))?;
    portal.group_mappings.remove(id);
    Ok(None)
}

pub(super) fn list_developers(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal(world)?;
    let team = call.team(world)?;
    let members: Vec<Value> = team.members.iter().filter_map(|id| portal.developers.get(id)).map(basic).collect();
    Ok(Some(call.page(members.iter())))
}

pub(super) fn add_developer(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal_mut(world)?;
    let team = portal.teams.get_mut(call.id("teamId")).ok_or_else(|| Problem::not_found("Team"))?;
    let id = reference(&call.body, "id").unwrap_or_default();
    if portal.developers.get(&id).is_none() {
        return Err(Problem::not_found("Developer"));
    }
    if team.members.contains(&id) {
        return Err(Problem::new(409, "developer is already a member of the team"));
    }
    team.members.push(id);
    Ok(None)
}

pub(super) fn remove_developer(world: &mut World, call: &Call<'_>) -> Outcome {
    let team = call.team_mut(world)?;
    let id = call.id("developerId");
    let member = team.members.iter().position(|member| member == id);
    team.members.remove(member.ok_or_else(|| Problem::not_found("Developer"))?);
    Ok(None)
}

/// A developer as the lists of members show them.
fn basic(developer: &Value) -> Value {
    json!({
        "id": developer["id"],
        "email": developer["email"],
        "full_name": developer["full_name"],
        "active": developer["status"] == "approved",
        "created_at": developer["created_at"],
        "updated_at": developer["updated_at"],
    })
}

fn check_name(call: &Call<'_>) -> Result<(), Problem> {
    if call.text("name").is_some_and(|name| name.chars().count() > LONGEST_NAME) {
        let refusal = in_body("name", "max_length", &format!("must not be longer than {LONGEST_NAME} characters"));
        return Err(Problem::invalid(vec![with(refusal, "maximum", json!(LONGEST_NAME))]));
    }
    Ok(())
}
