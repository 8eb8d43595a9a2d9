//! One call of an operation, and how it is carried out.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::contract::{Operation, contract};
use crate::options::Switches;
use crate::page::Listing;
use crate::problem::Problem;
use crate::seam::Seam;
use crate::world::World;
use crate::{acp, konnect, validate};

/// The body of the answer, whose status is the one that the contract names; `None` where the contract has no body.
pub(crate) type Outcome = Result<Option<Value>, Problem>;

/// What an operation does to the world.
pub(crate) type Behaviour = fn(&mut World, &Call<'_>) -> Outcome;

/// What an operation does, if it is implemented.
pub(crate) fn behaviour(operation: &Operation) -> Option<Behaviour> {
    match operation.api {
        "konnect" => konnect::behaviour(&operation.id),
        "acp" => acp::behaviour(&operation.id),
        _ => None,
    }
}

/// Is a body what its operation takes? A switch may choose the shape that another version of the API has.
pub(crate) fn check(operation: &Operation, switches: &Switches, body: &Value) -> Result<(), Problem> {
    match konnect::other_shape(&operation.id, switches) {
        Some(schema) => validate::fits(schema, body),
        None => validate::request(operation, body),
    }
}

/// One call of an operation: authenticated, its path, query and body checked against the contract.
pub(crate) struct Call<'a> {
    /// The organization of Konnect, or the tenant of ACP.
    pub(crate) account: &'a str,
    pub(crate) path: BTreeMap<String, String>,
    pub(crate) query: &'a [(String, String)],
    pub(crate) listing: Listing,
    pub(crate) body: Value,
    pub(crate) switches: &'a Switches,
    pub(crate) seam: &'a Seam,
    /// The header, for the operation that looks at it itself.
    pub(crate) authorization: Option<&'a str>,
    /// Where the API was reached: scheme, host and port.
    pub(crate) origin: &'a str,
}

impl Call<'_> {
    /// Does what the operation does, and remembers the secrets that it took and gave.
    pub(crate) fn run(&self, behaviour: Behaviour, world: &mut World) -> Outcome {
        let outcome = behaviour(world, self)?;
        world.secrets.collect(&self.body);
        if let Some(body) = &outcome {
            world.secrets.collect(body);
        }
        Ok(outcome)
    }

    /// A parameter of the path.
    pub(crate) fn id(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A text in the body.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field).and_then(Value::as_str)
    }

    /// A page of objects that the API shows as they are kept.
    pub(crate) fn page<'b>(&self, items: impl Iterator<Item = &'b Value>) -> Value {
        let (page, total) = self.listing.select(items, |body| body);
        self.listing.envelope(&page.into_iter().cloned().collect::<Vec<_>>(), total)
    }
}

/// Runs an operation as if somebody else had called it with this body.
pub(crate) fn plant(
    world: &mut World,
    switches: &Switches,
    seam: &Seam,
    account: &str,
    operation: &str,
    path: BTreeMap<String, String>,
    body: Value,
) -> Outcome {
    let missing = || Problem::new(501, format!("{operation} is not implemented"));
    let operation = contract().operation(operation).ok_or_else(missing)?;
    check(operation, switches, &body)?;
    let behaviour = behaviour(operation).ok_or_else(missing)?;
    let (authorization, origin) = (None, contract().acp_origin.as_str());
    let listing = Listing::default();
    let call = Call { account, path, query: &[], listing, body, switches, seam, authorization, origin };
    call.run(behaviour, world)
}
