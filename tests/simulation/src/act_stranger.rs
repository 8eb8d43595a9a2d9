//! What strangers do at the APIs: requests with a token of their own, and what only people do, such as signing up.
use http::Method;
use portico_sandbox::Plant;
use serde_json::{Value, json};

use crate::{
    laws::sorts::{Shape, in_order, items, sort, text},
    plan::Stranger,
    seen::Api,
    world::{ORGANIZATION, TENANT, World},
};

/// The product that versions belong to of which nothing else is known.
const PRODUCT: &str = "5f2c1e7a-8d34-4b6f-9a51-3c7be0d94f12";

/// Does it.
pub(super) fn act(world: &World, deed: &Stranger) -> Result<(), String> {
    match deed {
        Stranger::Make { kind, key } => match key.rsplit_once('*') {
            // So many at once.
            Some((key, count)) => {
                let count: u32 = count.parse().map_err(|_| "nobody knows how many")?;
                (1..=count).try_for_each(|number| make(world, kind, &format!("{key}-{number}")))
            }
            None => make(world, kind, key),
        },
        Stranger::Change { kind, which, field, value } => change(world, kind, *which, field, value),
        Stranger::Delete { kind, which } => {
            let (api, path, _) = chosen(world, kind, *which)?;
            let force = if kind == "Portal" { "?force=true" } else { "" };
            by_hand(world, api, Method::DELETE, &format!("{path}{force}"), &Value::Null).map(drop)
        }
        Stranger::Member { which, email, there } => member(world, *which, email, *there),
        Stranger::SignUp { which, email } => {
            let (.., portal) = chosen(world, "Portal", *which)?;
            let portal = text(&portal["id"]).to_owned();
            // Some wait for an answer, some do not.
            let status = if which % 2 == 0 { "pending" } else { "approved" };
            plant(world, Plant::Developer { portal, email: email.clone(), status: status.to_owned() })
        }
    }
}

fn plant(world: &World, what: Plant) -> Result<(), String> {
    world.sandbox.plant(ORGANIZATION, what).map(drop)
}

/// Sends a request, and takes a refusal for what it is.
fn by_hand(world: &World, api: Api, method: Method, path: &str, body: &Value) -> Result<Value, String> {
    let whole = if api == Api::Acp { format!("/api/admin/{TENANT}{path}") } else { path.to_owned() };
    match world.by_hand(api, method, &whole, body) {
        (status, answer) if (200..300).contains(&status) => Ok(answer),
        (status, answer) => Err(format!("{status} {answer}")),
    }
}

/// The object of a kind that a number means, with its API and its path. What belongs to the API itself is nobody's to touch.
fn chosen(world: &World, kind: &str, which: u64) -> Result<(Api, String, Value), String> {
    let state = world.state_of(sort(kind).map_or(Api::Konnect, |sort| sort.api));
    let all: Vec<(Api, String, &Value)> = in_order(&state)
        .into_iter()
        .filter(|(sort, _, object)| sort.kind == kind && object["system"] != true)
        .map(|(sort, path, object)| (sort.api, path, object))
        .collect();
    let at = usize::try_from(which).unwrap_or_default() % all.len().max(1);
    let (api, path, object) = all.get(at).ok_or_else(|| format!("there is no {kind}"))?;
    Ok((*api, path.clone(), (*object).clone()))
}

/// An id that can stand in a path.
fn id_from(key: &str) -> String {
    key.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

fn make(world: &World, kind: &str, key: &str) -> Result<(), String> {
    // A name with this ending is made by another installation of Portico.
    let (key, is_foreign) = key.strip_suffix("@other").map_or((key, false), |key| (key, true));
    let id = id_from(key);
    let portal = || -> Result<String, String> {
        let which = world.draw(|random| random.u64(..8));
        Ok(chosen(world, "Portal", which)?.1)
    };
    let post = |path: &str, body: &Value| {
        let api = if path.starts_with("/v") { Api::Konnect } else { Api::Acp };
        by_hand(world, api, Method::POST, path, body).map(drop)
    };
    match kind {
        "Portal" => {
            let mut body = json!({"name": key});
            if is_foreign {
                let mark = "0123456789abcdef.00000000-0000-4000-8000-000000000000";
                body["labels"] = json!({"portico-owner": "another", "portico-ref": mark});
            }
            post("/v2/portals", &body)
        }
        "PortalTeam" => post(&format!("{}/teams", portal()?), &json!({"name": key, "description": "a stranger's"})),
        "PortalIdentityProvider" => {
            let config = if key == "saml" {
                json!({"idp_metadata_url": "https://strange.example.com/metadata"})
            } else {
                json!({"issuer_url": "https://strange.example.com", "client_id": "stranger"})
            };
            let body = json!({"type": key, "config": config, "enabled": true});
            let portal = portal()?.rsplit('/').next().unwrap_or_default().to_owned();
            plant(world, Plant::IdentityProvider { portal, body })
        }
        "PortalDeveloper" => {
            let portal = portal()?.rsplit('/').next().unwrap_or_default().to_owned();
            plant(world, Plant::Developer { portal, email: key.to_owned(), status: "approved".to_owned() })
        }
        "PortalProductVersion" => {
            let body = json!({
                "product_version_id": key, "publish_status": "published", "auth_strategy_ids": [],
                "application_registration_enabled": false, "auto_approve_registration": false, "deprecated": false,
            });
            post(&format!("{}/product-versions", portal()?), &body)
        }
        "PortalCustomDomain" => {
            let body = json!({"hostname": key, "enabled": true, "ssl": {"domain_verification_method": "http"}});
            post(&format!("{}/custom-domain", portal()?.replacen("/v2/", "/v3/", 1)), &body)
        }
        "AuthorizationServer" => post("/servers", &json!({"id": id, "name": key})),
        "OAuthClient" => {
            let which = world.draw(|random| random.u64(..8));
            let (.., server) = chosen(world, "AuthorizationServer", which)?;
            post("/clients", &json!({"client_id": id, "client_name": key, "authorization_server_id": server["id"]}))
        }
        "Consent" => post("/consents", &json!({"id": id, "name": key, "update_existing_grants": "keepCurrent"})),
        "ConsentAction" => post("/actions", &json!({"id": id, "name": key, "consents": []})),
        "ApiProduct" => plant(world, Plant::ApiProductOfId { id: key.to_owned(), name: format!("product {key}") }),
        "ApiProductVersion" => {
            plant(world, Plant::ApiProductOfId { id: PRODUCT.to_owned(), name: "product".to_owned() })?;
            let (id, product) = (Some(key.to_owned()), PRODUCT.to_owned());
            plant(world, Plant::ApiProductVersion { id, product, name: "v1".to_owned() })
        }
        "AuthStrategy" => {
            let (id, name) = (Some(key.to_owned()), format!("strategy {key}"));
            plant(world, Plant::AuthStrategy { id, name, credential_type: "key_auth".to_owned() })
        }
        _ => Err(format!("strangers make no {kind}")),
    }
}

fn change(world: &World, kind: &str, which: u64, field: &str, value: &Value) -> Result<(), String> {
    let (api, path, object) = chosen(world, kind, which)?;
    if api == Api::Konnect {
        let is_replay = sort(kind).is_some_and(|sort| sort.shape == Shape::Action);
        let method = if is_replay { Method::PUT } else { Method::PATCH };
        return by_hand(world, api, method, &path, &json!({ (field): value })).map(drop);
    }
    // Objects of ACP are replaced whole.
    let mut body = by_hand(world, api, Method::GET, &path, &Value::Null)?;
    if kind == "ConsentAction" {
        let named =
            items(&object["consents"]).map(|consent| json!({"id": consent["id"], "required": consent["required"]}));
        body["consents"] = named.collect();
    }
    body[field] = value.clone();
    by_hand(world, api, Method::PUT, &path, &body).map(drop)
}

/// Takes a developer into a team, or out of it.
fn member(world: &World, which: u64, email: &str, there: bool) -> Result<(), String> {
    let (api, team, _) = chosen(world, "PortalTeam", which)?;
    let (portal, _) = team.split_once("/teams/").ok_or("a team has a portal")?;
    let state = world.state_of(Api::Konnect);
    let mut people = in_order(&state).into_iter().filter(|(sort, path, _)| {
        sort.kind == "PortalDeveloper" && path.strip_prefix(portal).is_some_and(|rest| rest.starts_with('/'))
    });
    let found = people.find(|(.., person)| person["email"] == email);
    let person = found.map(|(.., person)| text(&person["id"]).to_owned()).ok_or("nobody of this address signed up")?;
    let members = format!("{team}/developers");
    if there {
        by_hand(world, api, Method::POST, &members, &json!({"id": person})).map(drop)
    } else {
        by_hand(world, api, Method::DELETE, &format!("{members}/{person}"), &Value::Null).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_stand_in_a_path() {
        assert_eq!(id_from("Customer login/2"), "Customer-login-2");
    }
}
