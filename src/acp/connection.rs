use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    engine::{
        context::Cx,
        kind::{Connection, Wait},
        spec::{ConnectionCommon, ConnectionExtra, TokenSecretRef},
        status::Status,
    },
    remote::{ClientAuth, Credential, Dialect, Path, Segment, acp::Acp, allow},
};

/// The way to one tenant of Cloudentity ACP: where it is, and a client that may administer it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "acp.portico.dev",
    version = "v1alpha1",
    kind = "AcpConnection",
    namespaced,
    status = "Status<ConnectionExtra>",
    shortname = "acpconn",
    doc = "The way to one tenant of Cloudentity ACP."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.clientCredentials) != has(self.tokenSecretRef)")
        .message("give exactly one of clientCredentials and tokenSecretRef"),
    validation = Rule::new("self.url == oldSelf.url")
        .message("url cannot be changed: the objects stay where they are; make another connection"),
    validation = Rule::new("self.tenant == oldSelf.tenant")
        .message("tenant cannot be changed: the objects stay where they are; make another connection"),
    validation = Rule::new("self.persona == oldSelf.persona")
        .message("persona cannot be changed: make another connection"),
)]
pub struct AcpConnectionSpec {
    /// The base URL of ACP, such as https://acp.example.com: a host that whoever installed Portico allowed with --allow-host. It cannot be changed.
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^https?://"))]
    pub url: String,
    /// The id of the tenant. It cannot be changed.
    #[schemars(length(min = 1, max = 255))]
    pub tenant: String,
    /// As whom requests are made: `Admin` (default) manages everything in the tenant, `Developer` only what a developer may. It cannot be changed.
    #[serde(default)]
    pub persona: Persona,
    /// An OAuth2 client that gets its tokens by the client credentials grant. Give either clientCredentials or tokenSecretRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_credentials: Option<ClientCredentials>,
    /// The Secret that holds a bearer token, for tests and other ways of getting tokens. Give either clientCredentials or tokenSecretRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<TokenSecretRef>,
    /// What all connections have.
    #[serde(flatten)]
    pub common: ConnectionCommon,
}

/// As whom requests are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Persona {
    /// As an administrator of the tenant.
    #[default]
    Admin,
    /// As a developer.
    Developer,
}

/// An OAuth2 client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCredentials {
    /// The Secret that holds the client, with the keys `client_id` and `client_secret`. A changed one is noticed at once.
    pub secret_ref: ClientSecretRef,
    /// The token endpoint. Left out: the tenant's own, {url}/{tenant}/admin/oauth2/token or {url}/{tenant}/developer/oauth2/token. Its host must be allowed as that of url must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^https?://"))]
    pub token_url: Option<String>,
    /// How the client shows its secret: `Basic` (default) in a header, `Post` in the body.
    #[serde(default)]
    pub auth_method: AuthMethod,
}

/// How a client shows its secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AuthMethod {
    /// In the header Authorization.
    #[default]
    Basic,
    /// In the body.
    Post,
}

/// A Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientSecretRef {
    /// The name of the Secret, in the namespace of this resource.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

impl Persona {
    fn path(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Developer => "developer",
        }
    }
}

impl AcpConnection {
    fn at(&self, path: &str) -> Result<Url, Wait> {
        let base = allow::base(&self.spec.url).map_err(Wait::invalid)?;
        let text = format!("{}{path}", base.as_str().trim_end_matches('/'));
        allow::base(&text).map_err(Wait::invalid)
    }

    fn tenant(&self) -> Result<Segment, Wait> {
        Segment::new(&self.spec.tenant).map_err(|e| Wait::invalid(format_args!("tenant: {e}")))
    }
}

impl Connection for AcpConnection {
    type Extra = ConnectionExtra;
    const API: &'static dyn Dialect = &Acp;

    fn base(&self) -> Result<Url, Wait> {
        self.at(&format!("/api/{}/{}", self.spec.persona.path(), self.tenant()?))
    }

    fn credential(&self, cx: &Cx<'_>) -> Result<Credential, Wait> {
        let client = match (&self.spec.client_credentials, &self.spec.token_secret_ref) {
            (Some(client), None) => client,
            (None, Some(reference)) => return Ok(Credential::Token(cx.secret(&reference.name, &reference.key)?)),
            _ => return Err(Wait::invalid("give exactly one of clientCredentials and tokenSecretRef")),
        };
        let url = match &client.token_url {
            Some(url) => allow::base(url).map_err(Wait::invalid)?,
            None => self.at(&format!("/{}/{}/oauth2/token", self.tenant()?, self.spec.persona.path()))?,
        };
        let auth = match client.auth_method {
            AuthMethod::Basic => ClientAuth::Basic,
            AuthMethod::Post => ClientAuth::Post,
        };
        let id = cx.secret(&client.secret_ref.name, "client_id")?.expose_secret().to_owned();
        Ok(Credential::Client { id, secret: cx.secret(&client.secret_ref.name, "client_secret")?, url, auth })
    }

    fn probe(&self) -> Path {
        Path::literal("/servers")
    }

    /// An administrator sees all of the tenant that the URL names, a developer only what is their own.
    fn is_account_of_credential(&self) -> bool {
        self.spec.persona == Persona::Developer
    }
}
