//! Authorization servers, their authentications and the links to their dashboards.

use std::sync::Arc;

use serde_json::{Value, json};

use super::made::{self, Made};
use super::shape::{complete, is_zero, overlay};
use super::tenant::{Server, Tenant};
use super::{clients, generate};
use crate::call::{Call, Outcome};
use crate::options::AbsentSecrets;
use crate::problem::{Problem, in_body};
use crate::seam::Seam;
use crate::world::World;

const KEPT: [&str; 3] = ["id", "tenant_id", "system"];
const METHODS: [&str; 5] = ["azure", "cognito", "custom", "oidc", "static"];
const POLICIES: [&str; 2] = ["developer_policy_id", "user_policy_id"];

pub(super) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let servers = call.tenant(world)?.servers.iter().map(|server| call.shown(server.body.clone()));
    Ok(Some(json!({"servers": servers.collect::<Vec<_>>()})))
}

pub(super) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let tenant = call.tenant(world)?;
    let id = call.given("id").map_or_else(|| call.seam.fresh_id(), str::to_owned);
    if tenant.servers.get(&id).is_some() {
        return Err(Problem::new(409, format!("an authorization server with the id {id} already exists")));
    }
    let demo = call.acp().side_effects;
    if demo && tenant.clients.get(&id).is_some() {
        return Err(Problem::new(409, format!("a client with the id {id} already exists")));
    }
    check(tenant, call, &call.body["authentications"], &id)?;
    let body = fresh(call.seam, call.account, call.origin, &id, &call.body);
    let made = if demo { Made::new(call.seam, call.account, &id) } else { Made::default() };
    let tenant = call.tenant_mut(world)?;
    tenant.servers.insert(&id, Server { body: body.clone(), made: Arc::new(made) });
    if demo {
        let given = json!({"authorization_server_id": id, "client_name": "User Portal", "system": true});
        let portal = clients::fresh(call.seam, call.account, &id, &given);
        tenant.clients.insert(&id, portal.clone());
        world.secrets.collect(&portal);
    }
    Ok(Some(call.shown(body)))
}

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    Ok(Some(call.shown(call.server(call.tenant(world)?)?.body.clone())))
}

pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let tenant = call.tenant(world)?;
    let old = &call.server(tenant)?.body;
    writable(call, old)?;
    check(tenant, call, &call.body["authentications"], call.id("aid"))?;
    let mut body = call.replaced(old, &KEPT);
    keep_secrets(call, &mut body, old);
    settle(&mut body, call.account, call.origin);
    call.server_mut(world)?.body = body.clone();
    Ok(Some(call.shown(body)))
}

pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    let id = call.id("aid").to_owned();
    let tenant = call.tenant(world)?;
    if call.server(tenant)?.body["system"] == true && !call.acp().built_in_deletable {
        return Err(Problem::new(400, "a built-in authorization server cannot be deleted"));
    }
    let used = tenant.clients.iter().any(|client| client["authorization_server_id"] == id && client["system"] != true);
    if let Some(status) = call.acp().server_in_use.filter(|_| used) {
        return Err(Problem::new(status, "the authorization server is in use: it has clients"));
    }
    let cascades = call.acp().deletion_cascades;
    let tenant = call.tenant_mut(world)?;
    tenant.servers.remove(&id);
    let clients = tenant.clients.iter().filter(|client| client["authorization_server_id"] == id);
    let gone: Vec<String> = clients.filter(|client| cascades || client["system"] == true).map(clients::id_of).collect();
    for client in gone {
        tenant.clients.remove(&client);
    }
    Ok(None)
}

/// Replaces the list of methods, whatever else the server holds.
pub(super) fn update_authentications(world: &mut World, call: &Call<'_>) -> Outcome {
    if !call.acp().authentications_endpoint {
        return Err(Problem::new(404, "Not found"));
    }
    let tenant = call.tenant(world)?;
    writable(call, &call.server(tenant)?.body)?;
    check(tenant, call, &call.body, call.id("aid"))?;
    let mut authentications = call.body.clone();
    complete("updateAuthentications", &mut authentications);
    call.server_mut(world)?.body["authentications"] = authentications.clone();
    Ok(Some(call.shown(authentications)))
}

pub(super) fn list_dashboards(world: &mut World, call: &Call<'_>) -> Outcome {
    call.server(call.tenant(world)?)?;
    let link = |name: &str| format!("{}/dashboards/{}/{}/{name}", call.origin, call.account, call.id("aid"));
    Ok(Some(json!({
        "enabled": true,
        "sample_business_url": link("sample-business"),
        "sample_threat_url": link("sample-threat"),
        "tenant_business_url": link("business"),
        "tenant_threat_url": link("threat"),
    })))
}

/// A new server, with what is made where nothing is given.
pub(super) fn fresh(seam: &Seam, tenant: &str, origin: &str, id: &str, given: &Value) -> Value {
    let mut body = json!({
        "access_token_ttl": "1h0m0s",
        "authorization_code_ttl": "10m0s",
        "cookie_max_age": "1h0m0s",
        "grant_types": ["authorization_code", "implicit", "client_credentials", "refresh_token"],
        "id_token_ttl": "1h0m0s",
        "jwks": generate::jwks(seam, given["key_type"].as_str().unwrap_or("rsa")),
        "refresh_token_ttl": "720h0m0s",
        "secret": generate::secret(seam),
    });
    overlay(&mut body, given, is_zero);
    body["id"] = json!(id);
    body["tenant_id"] = json!(tenant);
    body["system"] = json!(false);
    settle(&mut body, tenant, origin);
    body
}

/// Completes a server, and takes away what is only said when it is made.
fn settle(body: &mut Value, tenant: &str, origin: &str) {
    for (member, empty) in [("authentications", json!({"methods": []})), ("jwks", json!({"keys": []}))] {
        if is_zero(&body[member]) {
            body[member] = empty;
        }
    }
    if is_zero(&body["issuer_url"]) {
        body["issuer_url"] = json!(format!("{origin}/{tenant}/{}", body["id"].as_str().unwrap_or_default()));
    }
    complete("getAuthorizationServer", body);
    if let Some(members) = body.as_object_mut() {
        members.remove("key_type");
    }
}

/// What a PUT does to the secrets that it leaves out.
fn keep_secrets(call: &Call<'_>, body: &mut Value, old: &Value) {
    for member in ["secret", "jwks", "rotated_secrets"] {
        if !is_zero(&call.body[member]) || !call.acp().put_replaces {
            continue;
        }
        body[member] = match call.acp().absent_secrets {
            AbsentSecrets::Clear => Value::Null,
            AbsentSecrets::Keep => old[member].clone(),
            AbsentSecrets::Generate => match member {
                "secret" => json!(generate::secret(call.seam)),
                "jwks" => generate::jwks(call.seam, "rsa"),
                _ => Value::Null,
            },
        };
    }
}

fn writable(call: &Call<'_>, server: &Value) -> Result<(), Problem> {
    if server["system"] == true && !call.acp().built_in_writable {
        return Err(Problem::new(400, "a built-in authorization server cannot be changed"));
    }
    Ok(())
}

/// What must hold of a server besides its schema.
fn check(tenant: &Tenant, call: &Call<'_>, authentications: &Value, id: &str) -> Result<(), Problem> {
    let mut refused = Vec::new();
    for field in POLICIES {
        let policy = call.given(field).filter(|_| call.acp().check_policies);
        let own = |policy: &str| made::policy_ids(id).iter().any(|own| own == policy);
        if policy.is_some_and(|policy| !tenant.has_policy(policy) && !own(policy)) {
            refused.push(in_body(field, "missing_reference", "is not a policy of the tenant"));
        }
    }
    let mut seen = Vec::new();
    for (index, method) in authentications["methods"].as_array().into_iter().flatten().enumerate() {
        let field = format!("authentications.methods.{index}");
        if seen.contains(&&method["id"]) {
            refused.push(in_body(&format!("{field}.id"), "invalid", "is the id of another method too"));
        }
        seen.push(&method["id"]);
        let kind = method["method"].as_str().filter(|kind| METHODS.contains(kind)).unwrap_or_default();
        if call.acp().method_settings_required && method[kind].is_null() {
            let reason = format!("must be given for the method {kind}");
            refused.push(in_body(&format!("{field}.{kind}"), "dependent_fields", &reason));
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(Problem::invalid(refused)) }
}

impl Call<'_> {
    fn server<'w>(&self, tenant: &'w Tenant) -> Result<&'w Server, Problem> {
        tenant.servers.get(self.id("aid")).ok_or_else(unknown)
    }

    fn server_mut<'w>(&self, world: &'w mut World) -> Result<&'w mut Server, Problem> {
        self.tenant_mut(world)?.servers.get_mut(self.id("aid")).ok_or_else(unknown)
    }
}

/// What is answered where the server does not exist.
pub(super) fn unknown() -> Problem {
    Problem::not_found("Authorization server")
}
