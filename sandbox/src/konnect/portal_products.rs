//! Which API products a portal shows. They belong to the organization; here they are only published.

use serde_json::{Value, json};

use super::{Call, Outcome};
use crate::problem::{Problem, in_body};
use crate::world::{Organization, Portal, World};

pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal(world)?;
    let organization = world.organization(call.account)?;
    let published = portal.published_products.iter().filter_map(|id| organization.api_products.get(id));
    let shown: Vec<Value> = published.map(|product| shown(organization, portal, product)).collect();
    Ok(Some(call.page(shown.iter())))
}

/// Publishes and takes back: all that the body names, or nothing where one of them is not there.
pub(super) fn publish(world: &mut World, call: &Call<'_>) -> Outcome {
    call.portal(world)?;
    let products = &world.organization(call.account)?.api_products;
    let given = || call.body["api_products"].as_object().into_iter().flatten();
    let missing = given().filter(|(id, _)| products.get(&id.to_lowercase()).is_none());
    let refused: Vec<Value> = missing
        .map(|(id, _)| in_body(&format!("api_products.{id}"), "missing_reference", "is not an API product"))
        .collect();
    match call.switches.missing_api_product {
        _ if refused.is_empty() => {}
        400 => return Err(Problem::invalid(refused)),
        status => return Err(Problem::new(status, "API product not found")),
    }
    let published = &mut call.portal_mut(world)?.published_products;
    for (id, publication) in given() {
        let id = id.to_lowercase();
        match publication["publish_status"].as_str() {
            Some("published") if !published.contains(&id) => published.push(id),
            Some("published") => {}
            None if !call.switches.null_unpublishes => {}
            _ => published.retain(|known| *known != id),
        }
    }
    Ok(None)
}

/// An API product as the list of a portal shows it.
fn shown(organization: &Organization, portal: &Portal, product: &Value) -> Value {
    let is_here = |portal: &&Portal| portal.published_products.iter().any(|id| product["id"] == id.as_str());
    let portals = organization.portals.iter().filter(is_here).map(|portal| portal.body["id"].clone());
    let is_of_it = |version: &&Value| {
        let known = version["product_version_id"].as_str().and_then(|id| organization.api_product_versions.get(id));
        version["publish_status"] == "published" && known.is_some_and(|known| known["product_id"] == product["id"])
    };
    json!({
        "id": product["id"],
        "name": product["name"],
        "description": product.get("description"),
        "portal_ids": portals.collect::<Vec<_>>(),
        "version_count": portal.product_versions.iter().filter(is_of_it).count(),
        "created_at": product["created_at"],
        "updated_at": product["updated_at"],
        "labels": product.get("labels").cloned().unwrap_or_else(|| json!({})),
    })
}
