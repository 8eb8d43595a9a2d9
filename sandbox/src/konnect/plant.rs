//! What strangers make, without a token and past the refusals that only the API's users meet.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::auth_strategy;
use crate::call;
use crate::contract::is_uuid;
use crate::options::Switches;
use crate::plants::Plant;
use crate::problem::Problem;
use crate::seam::Seam;
use crate::world::{World, id_of};

const STATUSES: [&str; 4] = ["approved", "pending", "revoked", "rejected"];
const CREDENTIALS: [&str; 3] = ["key_auth", "client_credentials", "self_managed_client_credentials"];

/// Makes it, and returns its id.
pub(crate) fn plant(
    world: &mut World,
    switches: &Switches,
    seam: &Seam,
    organization: &str,
    what: Plant,
) -> Result<String, Problem> {
    world.organization(organization)?;
    match what {
        Plant::Portal(body) => run(world, switches, seam, organization, "create-portal", None, body),
        Plant::Team { portal, body } => {
            run(world, switches, seam, organization, "create-portal-team", Some(&portal), body)
        }
        Plant::IdentityProvider { portal, body } => {
            let switches = Switches { enabled_on_create: true, ..switches.clone() };
            run(world, &switches, seam, organization, "create-portal-identity-provider", Some(&portal), body)
        }
        Plant::Developer { portal, email, status } => sign_up(world, seam, organization, &portal, &email, &status),
        Plant::ApiProduct { name } => publish(world, seam, organization, json!({"name": name})),
        Plant::ApiProductOfId { id, name } => {
            let id = chosen(seam, Some(id))?;
            publish(world, seam, organization, json!({"id": id, "name": name}))
        }
        Plant::ApiProductVersion { id, product, name } => add_version(world, seam, organization, id, &product, &name),
        Plant::AuthStrategy { id, name, credential_type } => {
            add_strategy(world, seam, organization, id, &name, &credential_type)
        }
        Plant::PortalProductVersion { portal, body } => {
            run(world, switches, seam, organization, "create-portal-product-version", Some(&portal), body)
        }
        Plant::CustomDomain { portal, body } => {
            let hostname = body["hostname"].as_str().unwrap_or_default().to_owned();
            run(world, switches, seam, organization, "create-portal-custom-domain", Some(&portal), body)?;
            Ok(hostname)
        }
    }
}

/// The id that was chosen, or a new one.
fn chosen(seam: &Seam, id: Option<String>) -> Result<String, Problem> {
    match id {
        Some(id) if !is_uuid(&id) => Err(Problem::new(400, format!("{id} is not a UUID"))),
        Some(mut id) => {
            id.make_ascii_lowercase();
            Ok(id)
        }
        None => Ok(seam.fresh_id()),
    }
}

fn add_version(
    world: &mut World,
    seam: &Seam,
    organization: &str,
    id: Option<String>,
    product: &str,
    name: &str,
) -> Result<String, Problem> {
    let id = chosen(seam, id)?;
    let organization = world.organization_mut(organization)?;
    let product = organization.api_products.get(&product.to_lowercase());
    let product = product.map(id_of).ok_or_else(|| Problem::not_found("API product"))?;
    let version = seam.fresh(json!({"id": id, "product_id": product, "name": name}));
    organization.api_product_versions.insert(&id, version);
    Ok(id)
}

fn add_strategy(
    world: &mut World,
    seam: &Seam,
    organization: &str,
    id: Option<String>,
    name: &str,
    credential_type: &str,
) -> Result<String, Problem> {
    if !CREDENTIALS.contains(&credential_type) {
        return Err(Problem::new(400, format!("a credential type is one of {}", CREDENTIALS.join(", "))));
    }
    let id = chosen(seam, id)?;
    let strategies = &mut world.organization_mut(organization)?.auth_strategies;
    strategies.insert(&id, auth_strategy(&id, name, credential_type));
    Ok(id)
}

/// An API product with these members; one of the same id is replaced.
fn publish(world: &mut World, seam: &Seam, organization: &str, members: Value) -> Result<String, Problem> {
    let product = seam.fresh(members);
    let id = id_of(&product);
    world.organization_mut(organization)?.api_products.insert(&id, product);
    Ok(id)
}

/// Runs an operation as if it had been called with this body.
fn run(
    world: &mut World,
    switches: &Switches,
    seam: &Seam,
    organization: &str,
    operation: &str,
    portal: Option<&str>,
    body: Value,
) -> Result<String, Problem> {
    let path: BTreeMap<String, String> =
        portal.map(|portal| ("portalId".to_owned(), portal.to_owned())).into_iter().collect();
    let made = call::plant(world, switches, seam, organization, operation, path, body)?;
    Ok(made.as_ref().map(id_of).unwrap_or_default())
}

fn sign_up(
    world: &mut World,
    seam: &Seam,
    organization: &str,
    portal: &str,
    email: &str,
    status: &str,
) -> Result<String, Problem> {
    let portals = &mut world.organization_mut(organization)?.portals;
    let portal = portals.get_mut(portal).ok_or_else(|| Problem::not_found("Portal"))?;
    if !STATUSES.contains(&status) {
        return Err(Problem::new(400, format!("a developer's status is one of {}", STATUSES.join(", "))));
    }
    let Some((name, _)) = email.split_once('@').filter(|(name, host)| !name.is_empty() && !host.is_empty()) else {
        return Err(Problem::new(400, format!("{email} is not an e-mail address")));
    };
    if portal.developers.iter().any(|developer| developer["email"] == email) {
        return Err(Problem::new(409, format!("{email} has signed up already")));
    }
    let developer = seam.fresh(json!({"email": email, "full_name": name, "status": status, "application_count": 0}));
    let id = id_of(&developer);
    portal.developers.insert(&id, developer);
    Ok(id)
}
