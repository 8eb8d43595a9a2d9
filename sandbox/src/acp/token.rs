//! The token endpoint, and what its tokens are good for.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::generate;
use crate::call::{Call, Outcome};
use crate::options::AcpSwitches;
use crate::problem::Problem;
use crate::world::World;

const CLIENT_CREDENTIALS: &str = "client_credentials";

/// What an access token is good for.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    tenant: String,
    server: String,
    expires: Instant,
}

/// Who wants a token, and how they say so.
struct Credentials {
    id: String,
    secret: String,
    method: &'static str,
}

impl Access {
    fn good(&self) -> bool {
        self.expires > Instant::now()
    }
}

/// Client credentials for a token of one server.
pub(super) fn grant(world: &mut World, call: &Call<'_>) -> Outcome {
    let missing = |what: &str| Problem::oauth(404, "not_found", what);
    let tenant = world.tenants.get(call.account).ok_or_else(|| missing("tenant not found"))?;
    let server = tenant.servers.get(call.id("aid")).ok_or_else(|| missing("authorization server not found"))?;
    let credentials = credentials(call).ok_or_else(|| rejected("no client credentials"))?;
    let ours = |client: &&Value| client["authorization_server_id"] == call.id("aid");
    let client = tenant.clients.get(&credentials.id).filter(ours).ok_or_else(|| rejected("unknown client"))?;
    let secret = client["client_secret"].as_str().filter(|secret| !secret.is_empty());
    if secret != Some(credentials.secret.as_str()) {
        return Err(rejected("invalid client secret"));
    }
    if call.acp().auth_method_enforced && client["token_endpoint_auth_method"] != credentials.method {
        return Err(rejected("the client is registered with another authentication method"));
    }
    if call.text("grant_type") != Some(CLIENT_CREDENTIALS) {
        return Err(Problem::oauth(400, "unsupported_grant_type", "only client_credentials is supported"));
    }
    let grants = |holder: &Value| items(holder, "grant_types").any(|grant| grant == CLIENT_CREDENTIALS);
    if !grants(client) || !grants(&server.body) {
        return Err(Problem::oauth(400, "unauthorized_client", "the client may not use this grant type"));
    }
    let allowed: Vec<&str> = items(client, "scopes").collect();
    let asked: Vec<&str> = call.text("scope").unwrap_or_default().split_whitespace().collect();
    if asked.iter().any(|scope| !allowed.contains(scope)) {
        return Err(Problem::oauth(400, "invalid_scope", "the client does not have one of the scopes"));
    }
    let granted = if asked.is_empty() { allowed } else { asked };
    let scope = granted.join(" ");
    let token = generate::random(call.seam, 48);
    let expires = Instant::now() + Duration::from_secs(call.acp().expires_in);
    let access = Access { tenant: call.account.to_owned(), server: call.id("aid").to_owned(), expires };
    world.access.retain(|_, access| access.good());
    world.access.insert(token.clone(), access);
    Ok(Some(json!({
        "access_token": token,
        "token_type": "bearer",
        "expires_in": call.acp().expires_in,
        "scope": scope,
    })))
}

/// Checks the token of a call whose tokens this server issues, as `acme/admin`.
pub(crate) fn authenticate(
    world: &World,
    switches: &AcpSwitches,
    token: Option<&str>,
    issuer: &str,
) -> Result<(), Problem> {
    match token.and_then(|token| world.access.get(token)).filter(|access| access.good()) {
        None => Err(Problem::new(401, "the access token is missing, invalid or expired")),
        Some(access) if format!("{}/{}", access.tenant, access.server) == issuer => Ok(()),
        Some(_) => Err(Problem::new(switches.foreign_token, "the access token was issued by another server")),
    }
}

/// The tokens of a tenant that are still good.
pub(crate) fn access_tokens(world: &World, tenant: &str) -> Vec<String> {
    let good = world.access.iter().filter(|(_, access)| access.tenant == tenant && access.good());
    good.map(|(token, _)| token.clone()).collect()
}

/// Forgets a token, or the admin clients with this secret.
pub(crate) fn revoke(world: &mut World, revoked: &str) {
    world.access.remove(revoked);
    for tenant in world.tenants.values_mut() {
        let admin = |client: &Value| client["authorization_server_id"] == "admin" && client["client_secret"] == revoked;
        for client in tenant.clients.iter_mut().filter(|client| admin(client)) {
            client["client_secret"] = json!("");
        }
    }
}

/// From the header, or else from the body.
fn credentials(call: &Call<'_>) -> Option<Credentials> {
    if let Some(header) = call.authorization {
        return basic(header);
    }
    let (id, secret) = (call.text("client_id")?.to_owned(), call.text("client_secret")?.to_owned());
    Some(Credentials { id, secret, method: "client_secret_post" })
}

/// Id and secret are encoded as in a form, joined, and encoded again.
fn basic(header: &str) -> Option<Credentials> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    Some(Credentials { id: decoded(id), secret: decoded(secret), method: "client_secret_basic" })
}

fn items<'a>(holder: &'a Value, list: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    holder[list].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn rejected(hint: &str) -> Problem {
    Problem::oauth(401, "invalid_client", hint)
}
