//! What strangers make, without a token.

use std::collections::BTreeMap;

use serde_json::Value;

use super::clients;
use crate::call;
use crate::options::Switches;
use crate::plants::AcpPlant;
use crate::problem::Problem;
use crate::seam::Seam;
use crate::world::{World, id_of};

/// Makes it, and returns its id.
pub(crate) fn plant(
    world: &mut World,
    switches: &Switches,
    seam: &Seam,
    tenant: &str,
    what: AcpPlant,
) -> Result<String, Problem> {
    if !world.tenants.contains_key(tenant) {
        return Err(Problem::not_found("Tenant"));
    }
    let mut run = |operation: &str, body: Value| -> Result<Value, Problem> {
        let made = call::plant(world, switches, seam, tenant, operation, BTreeMap::new(), body)?;
        Ok(made.unwrap_or_default())
    };
    match what {
        AcpPlant::Server(body) => Ok(id_of(&run("createAuthorizationServer", body)?)),
        AcpPlant::Consent(body) => Ok(id_of(&run("createConsent", body)?)),
        AcpPlant::ConsentAction(body) => Ok(id_of(&run("createConsentAction", body)?)),
        AcpPlant::Client(body) => {
            let developer = body.get("developer_id").cloned();
            let id = clients::id_of(&run("createClient", body)?);
            let made = world.tenants.get_mut(tenant).and_then(|tenant| tenant.clients.get_mut(&id));
            if let (Some(client), Some(developer)) = (made, developer) {
                client["developer_id"] = developer;
            }
            Ok(id)
        }
    }
}
