use kube::{CustomResource, KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    engine::{
        context::Cx,
        kind::{Connection, Wait},
        spec::{AllowedNamespaces, CaBundleRef, Mode, RateLimit, TokenSecretRef},
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
    /// Certificate authorities to trust besides the usual ones. Left out: only the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<CaBundleRef>,
    /// How often every object is compared with its resource, such as 10m or 1h30m; at least 1s. Left out: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("resyncInterval is at least 1s"))]
    pub resync_interval: Option<Duration>,
    /// How many requests this connection may send. Left out: 20 a second, 40 at once after a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// How long one request may take, such as 15s; at least 100ms, at most 5m. Left out: 15s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('5m')").message("requestTimeout is between 100ms and 5m"))]
    pub request_timeout: Option<Duration>,
    /// From which namespaces resources may use this connection. Left out: only its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// Whether resources of other namespaces may also take over existing objects (adoption, lifecycle.id) through this connection. Left out: false, they may only create.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_adoption: bool,
    /// `Manage` (default), or `Observe`: the switch that stops all writes of all resources of this connection. Deletions then wait.
    #[serde(default)]
    pub mode: Mode,
}

/// What only a connection shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionExtra {
    /// Objects that vanished at once, so that nothing is made again until a person confirms it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absence: Option<AbsenceStatus>,
    /// The version of the Secret that was last seen to belong to the account of the recorded objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Objects that vanished at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AbsenceStatus {
    /// To confirm, annotate the connection with portico.dev/confirm-absence and this value.
    pub token: String,
    /// How many objects are gone.
    pub missing: u32,
    /// Of how many.
    pub recorded: u32,
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
