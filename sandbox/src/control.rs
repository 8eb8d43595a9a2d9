//! `/_sandbox/`: what tests and the demo see and do besides the API. Nobody is authenticated here.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::exchange::Exchange;
use crate::faults::Fault;
use crate::plants::{AcpPlant, Plant};
use crate::problem::Problem;
use crate::sandbox::Sandbox;

type Refusal = (StatusCode, Json<Value>);
type Planted = Result<(StatusCode, Json<Value>), Refusal>;

pub(crate) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/state", get(state))
        .route("/secrets", get(secrets))
        .route("/counters", get(counters).delete(reset_counters))
        .route("/coverage", get(coverage))
        .route("/exchanges", get(exchanges).delete(reset_exchanges))
        .route("/faults", get(faults).post(inject).delete(clear_faults))
        .route("/organizations", post(organization))
        .route("/tenants", post(tenant))
        .route("/tenants/{tenant}/tokens", get(access_tokens))
        .route("/tenants/{tenant}/servers", post(acp_server))
        .route("/tenants/{tenant}/clients", post(acp_client))
        .route("/tenants/{tenant}/consents", post(acp_consent))
        .route("/tenants/{tenant}/consent-actions", post(acp_consent_action))
        .route("/tokens/{token}", delete(revoke))
        .route("/organizations/{organization}/portals", post(portal))
        .route("/organizations/{organization}/api-products", post(api_product))
        .route("/organizations/{organization}/api-products/{product}/versions", post(api_product_version))
        .route("/organizations/{organization}/auth-strategies", post(auth_strategy))
        .route("/organizations/{organization}/portals/{portal}/teams", post(team))
        .route("/organizations/{organization}/portals/{portal}/developers", post(developer))
        .route("/organizations/{organization}/portals/{portal}/identity-providers", post(identity_provider))
        .route("/organizations/{organization}/portals/{portal}/product-versions", post(portal_product_version))
        .route("/organizations/{organization}/portals/{portal}/custom-domain", post(custom_domain))
}

async fn state(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(sandbox.state())
}

async fn secrets(State(sandbox): State<Sandbox>) -> Json<Vec<String>> {
    Json(sandbox.secrets())
}

async fn counters(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!(sandbox.counters()))
}

async fn reset_counters(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.reset_counters();
    StatusCode::NO_CONTENT
}

async fn coverage(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(sandbox.coverage())
}

async fn exchanges(State(sandbox): State<Sandbox>) -> Json<Vec<Exchange>> {
    Json(sandbox.exchanges())
}

async fn reset_exchanges(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.reset_exchanges();
    StatusCode::NO_CONTENT
}

async fn faults(State(sandbox): State<Sandbox>) -> Json<Vec<Fault>> {
    Json(sandbox.faults())
}

/// One fault, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Faults {
    Many(Vec<Fault>),
    One(Fault),
}

async fn inject(State(sandbox): State<Sandbox>, body: Bytes) -> Result<Json<Vec<Fault>>, Refusal> {
    match read::<Faults>(&sandbox, &body)? {
        Faults::Many(faults) => {
            for fault in faults {
                sandbox.inject(fault);
            }
        }
        Faults::One(fault) => sandbox.inject(fault),
    }
    Ok(Json(sandbox.faults()))
}

async fn clear_faults(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.clear_faults();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct NewOrganization {
    name: String,
    token: Option<String>,
}

async fn organization(State(sandbox): State<Sandbox>, body: Bytes) -> Planted {
    let new: NewOrganization = read(&sandbox, &body)?;
    let token = if let Some(token) = new.token {
        sandbox.accept(&new.name, &token);
        token
    } else {
        sandbox.organization(&new.name)
    };
    Ok((StatusCode::CREATED, Json(json!({"name": new.name, "token": token}))))
}

#[derive(Deserialize)]
struct NewTenant {
    name: String,
    #[serde(flatten)]
    credentials: Option<Credentials>,
}

#[derive(Deserialize)]
struct Credentials {
    client_id: String,
    client_secret: String,
}

async fn tenant(State(sandbox): State<Sandbox>, body: Bytes) -> Planted {
    let NewTenant { name, credentials } = read(&sandbox, &body)?;
    let (id, secret) = if let Some(Credentials { client_id, client_secret }) = credentials {
        sandbox.accept_client(&name, &client_id, &client_secret);
        (client_id, client_secret)
    } else {
        sandbox.tenant(&name)
    };
    Ok((StatusCode::CREATED, Json(json!({"name": name, "client_id": id, "client_secret": secret}))))
}

async fn access_tokens(State(sandbox): State<Sandbox>, Path(tenant): Path<String>) -> Json<Vec<String>> {
    Json(sandbox.access_tokens(&tenant))
}

async fn acp_server(State(sandbox): State<Sandbox>, Path(tenant): Path<String>, body: Bytes) -> Planted {
    plant_acp(&sandbox, &tenant, AcpPlant::Server(read(&sandbox, &body)?))
}

async fn acp_client(State(sandbox): State<Sandbox>, Path(tenant): Path<String>, body: Bytes) -> Planted {
    plant_acp(&sandbox, &tenant, AcpPlant::Client(read(&sandbox, &body)?))
}

async fn acp_consent(State(sandbox): State<Sandbox>, Path(tenant): Path<String>, body: Bytes) -> Planted {
    plant_acp(&sandbox, &tenant, AcpPlant::Consent(read(&sandbox, &body)?))
}

async fn acp_consent_action(State(sandbox): State<Sandbox>, Path(tenant): Path<String>, body: Bytes) -> Planted {
    plant_acp(&sandbox, &tenant, AcpPlant::ConsentAction(read(&sandbox, &body)?))
}

async fn revoke(State(sandbox): State<Sandbox>, Path(token): Path<String>) -> StatusCode {
    sandbox.revoke(&token);
    StatusCode::NO_CONTENT
}

async fn portal(State(sandbox): State<Sandbox>, Path(organization): Path<String>, body: Bytes) -> Planted {
    plant(&sandbox, &organization, Plant::Portal(read(&sandbox, &body)?))
}

#[derive(Deserialize)]
struct NewApiProduct {
    id: Option<String>,
    name: String,
}

async fn api_product(State(sandbox): State<Sandbox>, Path(organization): Path<String>, body: Bytes) -> Planted {
    let NewApiProduct { id, name } = read(&sandbox, &body)?;
    let product = match id {
        Some(id) => Plant::ApiProductOfId { id, name },
        None => Plant::ApiProduct { name },
    };
    plant(&sandbox, &organization, product)
}

async fn api_product_version(
    State(sandbox): State<Sandbox>,
    Path((organization, product)): Path<(String, String)>,
    body: Bytes,
) -> Planted {
    let NewApiProduct { id, name } = read(&sandbox, &body)?;
    plant(&sandbox, &organization, Plant::ApiProductVersion { id, product, name })
}

#[derive(Deserialize)]
struct NewAuthStrategy {
    id: Option<String>,
    name: String,
    #[serde(default = "key_auth")]
    credential_type: String,
}

fn key_auth() -> String {
    "key_auth".to_owned()
}

async fn auth_strategy(State(sandbox): State<Sandbox>, Path(organization): Path<String>, body: Bytes) -> Planted {
    let NewAuthStrategy { id, name, credential_type } = read(&sandbox, &body)?;
    plant(&sandbox, &organization, Plant::AuthStrategy { id, name, credential_type })
}

async fn team(
    State(sandbox): State<Sandbox>,
    Path((organization, portal)): Path<(String, String)>,
    body: Bytes,
) -> Planted {
    plant(&sandbox, &organization, Plant::Team { portal, body: read(&sandbox, &body)? })
}

#[derive(Deserialize)]
struct NewDeveloper {
    email: String,
    #[serde(default = "approved")]
    status: String,
}

fn approved() -> String {
    "approved".to_owned()
}

async fn developer(
    State(sandbox): State<Sandbox>,
    Path((organization, portal)): Path<(String, String)>,
    body: Bytes,
) -> Planted {
    let NewDeveloper { email, status } = read(&sandbox, &body)?;
    plant(&sandbox, &organization, Plant::Developer { portal, email, status })
}

async fn identity_provider(
    State(sandbox): State<Sandbox>,
    Path((organization, portal)): Path<(String, String)>,
    body: Bytes,
) -> Planted {
    plant(&sandbox, &organization, Plant::IdentityProvider { portal, body: read(&sandbox, &body)? })
}

async fn portal_product_version(
    State(sandbox): State<Sandbox>,
    Path((organization, portal)): Path<(String, String)>,
    body: Bytes,
) -> Planted {
    plant(&sandbox, &organization, Plant::PortalProductVersion { portal, body: read(&sandbox, &body)? })
}

async fn custom_domain(
    State(sandbox): State<Sandbox>,
    Path((organization, portal)): Path<(String, String)>,
    body: Bytes,
) -> Planted {
    plant(&sandbox, &organization, Plant::CustomDomain { portal, body: read(&sandbox, &body)? })
}

fn plant(sandbox: &Sandbox, organization: &str, what: Plant) -> Planted {
    let id = sandbox.try_plant(organization, what).map_err(|problem| refuse(sandbox, &problem))?;
    Ok((StatusCode::CREATED, Json(json!({"id": id}))))
}

fn plant_acp(sandbox: &Sandbox, tenant: &str, what: AcpPlant) -> Planted {
    let id = sandbox.try_plant_acp(tenant, what).map_err(|problem| refuse(sandbox, &problem))?;
    Ok((StatusCode::CREATED, Json(json!({"id": id}))))
}

fn read<T: for<'de> Deserialize<'de>>(sandbox: &Sandbox, body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| refuse(sandbox, &Problem::new(400, error.to_string())))
}

fn refuse(sandbox: &Sandbox, problem: &Problem) -> Refusal {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, Json(problem.body(sandbox.seam())))
}
