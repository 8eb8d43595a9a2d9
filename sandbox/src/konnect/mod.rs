//! What each operation does. The table below is the list of what is implemented: one line an operation.

mod audit_log_replay;
mod audit_log_webhook;
mod authentication;
mod certificate;
mod custom_domain;
mod developers;
mod groups;
mod identity_providers;
mod plant;
mod portal_products;
mod portals;
mod product_versions;
mod roles;
mod teams;

use serde_json::Value;

pub(crate) use audit_log_replay::{ReplayJob, UNSET};
pub(crate) use audit_log_webhook::unconfigured as unconfigured_webhook;
pub(crate) use authentication::shown as shown_settings;
pub(crate) use custom_domain::Domain;
pub(crate) use plant::plant;
pub(crate) use product_versions::{auth_strategy, shown as shown_version};

use crate::call::{Behaviour, Call, Outcome};
use crate::contract::{Schema, is_uuid};
use crate::options::Switches;
use crate::problem::Problem;
use crate::world::{Portal, Team, World};

/// What an operation does, if it is implemented.
pub(crate) fn behaviour(operation: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match operation {
        "list-portals" => portals::list,
        "create-portal" => portals::create,
        "get-portal" => portals::get,
        "update-portal" => portals::update,
        "delete-portal" => portals::delete,
        "verify-portal-domains" => portals::verify_domains,
        "list-portal-developers" => developers::list,
        "get-developer" => developers::get,
        "update-developer" => developers::update,
        "delete-developer" => developers::delete,
        "list-portal-developer-teams" => developers::list_teams,
        "list-portal-teams" => teams::list,
        "create-portal-team" => teams::create,
        "get-portal-team" => teams::get,
        "update-portal-team" => teams::update,
        "delete-portal-team" => teams::delete,
        "list-portal-team-developers" => teams::list_developers,
        "add-developer-to-portal-team" => teams::add_developer,
        "remove-developer-from-portal-team" => teams::remove_developer,
        "list-portal-roles" => roles::catalogue,
        "list-portal-team-roles" => roles::list,
        "assign-role-to-portal-teams" => roles::assign,
        "remove-role-from-portal-team" => roles::remove,
        "list-portal-team-group-mappings" => groups::list,
        "update-portal-team-group-mappings" => groups::update,
        "get-portal-identity-providers" => identity_providers::list,
        "create-portal-identity-provider" => identity_providers::create,
        "get-portal-identity-provider" => identity_providers::get,
        "update-portal-identity-provider" => identity_providers::update,
        "delete-portal-identity-provider" => identity_providers::delete,
        "get-portal-authentication-settings" => authentication::get,
        "update-portal-authentication-settings" => authentication::update,
        "list-portal-products" => portal_products::list,
        "publish-api-products" => portal_products::publish,
        "list-portal-product-versions" => product_versions::list,
        "create-portal-product-version" => product_versions::create,
        "get-portal-product-version" => product_versions::get,
        "update-portal-product-version" => product_versions::update,
        "replace-portal-product-version" => product_versions::replace,
        "delete-portal-product-version" => product_versions::delete,
        "get-portal-audit-log-webhook" => audit_log_webhook::get,
        "update-portal-audit-log-webhook" => audit_log_webhook::update,
        "get-portal-audit-log-webhook-status" => audit_log_webhook::status,
        "get-portal-audit-log-replay-job" => audit_log_replay::get,
        "update-portal-audit-log-replay-job" => audit_log_replay::update,
        "get-portal-custom-domain" => custom_domain::get,
        "create-portal-custom-domain" => custom_domain::create,
        "update-portal-custom-domain" => custom_domain::update,
        "delete-portal-custom-domain" => custom_domain::delete,
        _ => return None,
    };
    Some(behaviour)
}

/// The shape of an operation's body in another version of the API, where a switch chooses one.
pub(crate) fn other_shape(operation: &str, switches: &Switches) -> Option<&'static Schema> {
    match operation {
        "update-portal-custom-domain" => custom_domain::patch_shape(switches.custom_domain_patch),
        _ => None,
    }
}

impl Call<'_> {
    fn portal<'w>(&self, world: &'w World) -> Result<&'w Portal, Problem> {
        let portals = &world.organization(self.account)?.portals;
        portals.get(self.id("portalId")).ok_or_else(|| Problem::not_found("Portal"))
    }

    fn portal_mut<'w>(&self, world: &'w mut World) -> Result<&'w mut Portal, Problem> {
        let portals = &mut world.organization_mut(self.account)?.portals;
        portals.get_mut(self.id("portalId")).ok_or_else(|| Problem::not_found("Portal"))
    }

    fn team<'w>(&self, world: &'w World) -> Result<&'w Team, Problem> {
        self.portal(world)?.teams.get(self.id("teamId")).ok_or_else(|| Problem::not_found("Team"))
    }

    fn team_mut<'w>(&self, world: &'w mut World) -> Result<&'w mut Team, Problem> {
        self.portal_mut(world)?.teams.get_mut(self.id("teamId")).ok_or_else(|| Problem::not_found("Team"))
    }
}

/// Overwrites these members of an object where the change has them.
fn merge(body: &mut Value, change: &Value, members: &[&str]) {
    for member in members {
        if let Some(value) = change.get(member) {
            body[*member] = value.clone();
        }
    }
}

/// A reference in a body, in the form in which ids are kept.
fn reference(body: &Value, field: &str) -> Option<String> {
    body.get(field).and_then(Value::as_str).filter(|text| is_uuid(text)).map(str::to_lowercase)
}
