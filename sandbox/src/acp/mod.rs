//! What each operation of ACP does. The table below is the list of what is implemented: one line an operation.

mod actions;
mod clients;
mod consents;
mod duration;
mod generate;
mod made;
mod plant;
mod servers;
mod shape;
mod tenant;
mod token;

use serde_json::{Value, json};

pub(crate) use generate::{client_id, secret};
pub(crate) use plant::plant;
pub(crate) use shape::prune;
pub(crate) use tenant::Tenant;
pub(crate) use token::{Access, access_tokens, authenticate, revoke};

use crate::call::{Behaviour, Call};
use crate::options::AcpSwitches;
use crate::problem::Problem;
use crate::world::World;

/// What an operation does, if it is implemented.
pub(crate) fn behaviour(operation: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match operation {
        "token" => token::grant,
        "listAuthorizationServers" => servers::list,
        "createAuthorizationServer" => servers::create,
        "getAuthorizationServer" => servers::get,
        "updateAuthorizationServer" => servers::update,
        "deleteAuthorizationServer" => servers::delete,
        "updateAuthentications" => servers::update_authentications,
        "listDashboards" => servers::list_dashboards,
        "listClients" => clients::list,
        "createClient" => clients::create,
        "getClient" => clients::get,
        "updateClient" => clients::update,
        "deleteClient" => clients::delete,
        "listConsents" => consents::list,
        "createConsent" => consents::create,
        "getConsent" => consents::get,
        "updateConsent" => consents::update,
        "deleteConsent" => consents::delete,
        "listConsentActions" => actions::list,
        "createConsentAction" => actions::create,
        "getConsentAction" => actions::get,
        "updateConsentAction" => actions::update,
        "deleteConsentAction" => actions::delete,
        _ => return None,
    };
    Some(behaviour)
}

impl Call<'_> {
    fn acp(&self) -> &AcpSwitches {
        &self.switches.acp
    }

    fn tenant<'w>(&self, world: &'w World) -> Result<&'w Tenant, Problem> {
        world.tenants.get(self.account).ok_or_else(|| Problem::not_found("Tenant"))
    }

    fn tenant_mut<'w>(&self, world: &'w mut World) -> Result<&'w mut Tenant, Problem> {
        world.tenants.get_mut(self.account).ok_or_else(|| Problem::not_found("Tenant"))
    }

    /// A text in the body, unless it is empty, which is as good as absent.
    fn given(&self, field: &str) -> Option<&str> {
        self.text(field).filter(|text| !text.is_empty())
    }

    /// The object as a PUT leaves it: what the body leaves out becomes zero later, or stays where a switch says so.
    /// These members are not for the caller to change.
    fn replaced(&self, old: &Value, kept: &[&str]) -> Value {
        let mut body = if self.acp().put_replaces { json!({}) } else { old.clone() };
        shape::overlay(&mut body, &self.body, Value::is_null);
        for member in kept {
            body[*member] = old[*member].clone();
        }
        body
    }

    /// An object as the API shows it.
    fn shown(&self, mut body: Value) -> Value {
        if !self.acp().authentication_secrets_shown {
            for member in ["authentications", "methods"] {
                if let Some(inner) = body.get_mut(member) {
                    shape::hide_secrets(inner);
                }
            }
        }
        if self.acp().empty_lists_null {
            shape::empty_lists_to_null(&mut body);
        }
        body
    }
}
