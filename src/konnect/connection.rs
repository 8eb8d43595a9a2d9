use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    engine::{
        context::Cx,
        kind::{Connection, Wait},
        spec::{ConnectionCommon, ConnectionExtra, TokenSecretRef},
        status::Status,
    },
    remote::{Credential, Dialect, Path, allow, konnect::Konnect},
};

/// The way to one Konnect organization in one region: where it is, and a token that may manage its portals.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "konnect.portico.dev",
    version = "v1alpha1",
    kind = "KonnectConnection",
    namespaced,
    status = "Status<ConnectionExtra>",
    shortname = "kconn",
    doc = "The way to one Kong Konnect organization in one region. Portals name it in their connectionRef."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.region) != has(self.url)").message("give exactly one of region and url"),
    validation = Rule::new("has(self.region) == has(oldSelf.region) && (!has(self.region) || self.region == oldSelf.region)")
        .message("region cannot be changed: the objects stay where they are; make another connection"),
    validation = Rule::new("has(self.url) == has(oldSelf.url) && (!has(self.url) || self.url == oldSelf.url)")
        .message("url cannot be changed: the objects stay where they are; make another connection"),
)]
pub struct KonnectConnectionSpec {
    /// The Konnect region, such as eu, us, au, me, in or sg: requests go to `https://{region}.api.konghq.com`. Give either region or url. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[a-z0-9-]+$"))]
    pub region: Option<String>,
    /// The base URL of the API, for a proxy or a test server: a host that whoever installed Portico allowed with --allow-host. Give either region or url. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^https?://"))]
    pub url: Option<String>,
    /// The Secret that holds a personal or system account access token. A changed token is noticed at once.
    pub token_secret_ref: TokenSecretRef,
    /// What all connections have.
    #[serde(flatten)]
    pub common: ConnectionCommon,
}

impl Connection for KonnectConnection {
    type Extra = ConnectionExtra;
    const API: &'static dyn Dialect = &Konnect;

    fn base(&self) -> Result<Url, Wait> {
        let text = match (&self.spec.region, &self.spec.url) {
            (Some(region), None) => format!("https://{region}.api.konghq.com"),
            (None, Some(url)) => url.clone(),
            _ => return Err(Wait::invalid("give exactly one of region and url")),
        };
        allow::base(&text).map_err(Wait::invalid)
    }

    fn credential(&self, cx: &Cx<'_>) -> Result<Credential, Wait> {
        let reference = &self.spec.token_secret_ref;
        Ok(Credential::Token(cx.secret(&reference.name, &reference.key)?))
    }

    fn probe(&self) -> Path {
        Path::literal("/v2/portals")
    }
}
