//! OAuth clients, of which admins make some and developers others.

use serde_json::{Value, json};

use super::shape::{complete, is_zero, overlay};
use super::tenant::Tenant;
use super::{generate, servers};
use crate::call::{Call, Outcome};
use crate::options::AbsentSecrets;
use crate::problem::{Problem, in_body, with};
use crate::seam::Seam;
use crate::world::World;

/// What a PUT cannot change.
const KEPT: [&str; 7] = [
    "authorization_server_id",
    "client_hashed_secret",
    "client_id",
    "client_id_issued_at",
    "client_secret_expires_at",
    "developer_id",
    "tenant_id",
];

/// Without pages, and with the clients that developers made.
pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let tenant = call.tenant(world)?;
    let server = call.id("aid");
    tenant.servers.get(server).ok_or_else(servers::unknown)?;
    let clients = tenant.clients.iter().filter(|client| client["authorization_server_id"] == server);
    Ok(Some(json!({"clients": clients.map(|client| call.shown(shown(client))).collect::<Vec<_>>()})))
}

pub(super) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let tenant = call.tenant(world)?;
    let server = call.given("authorization_server_id").unwrap_or_default();
    tenant.servers.get(server).ok_or_else(servers::unknown)?;
    let id = call.given("client_id").map_or_else(|| generate::client_id(call.seam), str::to_owned);
    if tenant.clients.get(&id).is_some() {
        return Err(Problem::new(409, format!("a client with the id {id} already exists")));
    }
    let mut given = call.body.clone();
    // A developer is not chosen by an admin, and a hash by nobody.
    for member in ["developer_id", "client_hashed_secret"] {
        given[member] = Value::Null;
    }
    let body = fresh(call.seam, call.account, &id, &given);
    check(tenant, call, server, &body)?;
    call.tenant_mut(world)?.clients.insert(&id, body.clone());
    Ok(Some(call.shown(shown(&body))))
}

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    Ok(Some(call.shown(shown(call.client(call.tenant(world)?)?))))
}

pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let tenant = call.tenant(world)?;
    let old = call.client(tenant)?;
    if old["system"] == true && !call.acp().built_in_writable {
        return Err(Problem::new(400, "a built-in client cannot be changed"));
    }
    let server = old["authorization_server_id"].as_str().unwrap_or_default();
    if call.given("authorization_server_id").is_some_and(|given| given != server) {
        let reason = "cannot be changed";
        return Err(Problem::invalid(vec![in_body("authorization_server_id", "invalid", reason)]));
    }
    let mut body = call.replaced(old, &KEPT);
    if call.given("client_secret").is_none() {
        // Nobody but its developer knows that of a developer's client, so nobody else can echo it.
        let stays = !is_zero(&old["developer_id"]) || !call.acp().put_replaces;
        let absent = if stays { AbsentSecrets::Keep } else { call.acp().absent_secrets };
        body["client_secret"] = match absent {
            AbsentSecrets::Clear => json!(""),
            AbsentSecrets::Keep => old["client_secret"].clone(),
            AbsentSecrets::Generate => json!(generate::secret(call.seam)),
        };
    }
    // The text follows the list, unless the body has the text alone.
    body["scope"] = call.body["scope"].clone();
    if body["client_secret"] != old["client_secret"] {
        body["client_hashed_secret"] = json!(generate::secret(call.seam));
    }
    settle(&mut body);
    check(tenant, call, server, &body)?;
    if call.acp().developer_clients_locked && !is_zero(&old["developer_id"]) {
        let mut allowed = old.clone();
        for member in ["system", "trusted"] {
            allowed[member] = body[member].clone();
        }
        if body != allowed {
            let reason = "of a client that a developer made only system and trusted can be changed";
            return Err(Problem::new(400, reason));
        }
    }
    call.tenant_mut(world)?.clients.insert(call.id("cid"), body.clone());
    Ok(Some(call.shown(shown(&body))))
}

pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    if call.client(call.tenant(world)?)?["system"] == true && !call.acp().built_in_deletable {
        return Err(Problem::new(400, "a built-in client cannot be deleted"));
    }
    call.tenant_mut(world)?.clients.remove(call.id("cid"));
    Ok(None)
}

/// A new client, with what is made where nothing is given.
pub(super) fn fresh(seam: &Seam, tenant: &str, id: &str, given: &Value) -> Value {
    let mut body = json!({
        "audience": [id],
        "client_hashed_secret": generate::secret(seam),
        "client_secret": generate::secret(seam),
        "request_object_signing_alg": "none",
        "token_endpoint_auth_method": "client_secret_basic",
        "token_endpoint_signing_alg": "none",
        "userinfo_signed_response_alg": "none",
    });
    if is_zero(&given["grant_types"]) {
        body["grant_types"] = json!(["authorization_code"]);
        body["response_types"] = json!(["code"]);
    }
    overlay(&mut body, given, is_zero);
    body["client_id"] = json!(id);
    body["tenant_id"] = json!(tenant);
    body["client_id_issued_at"] = json!(seam.time().timestamp());
    body["client_secret_expires_at"] = json!(0);
    settle(&mut body);
    body
}

/// Completes a client; its scopes are kept sorted, and once more as a text.
fn settle(body: &mut Value) {
    for (member, empty) in [("jwks", json!({"keys": []})), ("privacy", json!({}))] {
        if is_zero(&body[member]) {
            body[member] = empty;
        }
    }
    let text = |scope: &Value| scope.as_str().map(str::to_owned);
    let mut scopes: Vec<String> = match &body["scopes"] {
        Value::Array(scopes) if !scopes.is_empty() => scopes.iter().filter_map(text).collect(),
        _ => words(body["scope"].as_str().unwrap_or_default()),
    };
    scopes.sort_unstable();
    scopes.dedup();
    body["scope"] = json!(scopes.join(" "));
    body["scopes"] = json!(scopes);
    complete("getClient", body);
}

/// The documentation separates scopes by commas, its examples by spaces.
fn words(scope: &str) -> Vec<String> {
    scope.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What must hold of a client besides its schema.
fn check(tenant: &Tenant, call: &Call<'_>, server: &str, body: &Value) -> Result<(), Problem> {
    let mut refused = Vec::new();
    let shortest = call.acp().shortest_client_secret;
    if call.given("client_secret").is_some_and(|secret| secret.chars().count() < shortest) {
        let reason = format!("must not be shorter than {shortest} characters");
        refused.push(with(in_body("client_secret", "min_length", &reason), "minimum", json!(shortest)));
    }
    let known = tenant.servers.get(server);
    for scope in body["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if call.acp().check_scopes && known.is_none_or(|server| !server.made.has_scope(scope)) {
            let reason = format!("{scope} is not a scope of the authorization server");
            refused.push(in_body("scopes", "missing_reference", &reason));
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(Problem::invalid(refused)) }
}

/// A client as the API shows it: only its developer gets to see the secret of a client that a developer made.
pub(super) fn shown(client: &Value) -> Value {
    let mut shown = client.clone();
    if !is_zero(&client["developer_id"]) {
        shown["client_secret"] = json!("");
    }
    shown
}

pub(super) fn id_of(client: &Value) -> String {
    client["client_id"].as_str().unwrap_or_default().to_owned()
}

impl Call<'_> {
    fn client<'w>(&self, tenant: &'w Tenant) -> Result<&'w Value, Problem> {
        tenant.clients.get(self.id("cid")).ok_or_else(|| Problem::not_found("Client"))
    }
}
