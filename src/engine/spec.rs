//! What every resource has in its spec, whatever its kind; and the annotations that users write.
use std::time::Duration;

use kube::{KubeSchema, core::Duration as Span};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

pub use super::reference::{ConnectionRef, Ref, Target};

/// The annotations that users write and Portico reads.
pub mod annotations {
    /// `"true"`: Portico leaves the resource and its remote object alone. A deletion waits, unless the object stays anyway.
    pub const PAUSED: &str = "portico.dev/paused";
    /// Anything new: look at the remote object now.
    pub const RECONCILE_AT: &str = "portico.dev/reconcile-at";
    /// `"true"`: on deletion, give up the remote object and end.
    pub const ORPHAN: &str = "portico.dev/orphan";
    /// Anything new: make a new secret, where Portico made the present one.
    pub const ROTATE: &str = "portico.dev/rotate";
    /// On a connection: `status.absence.token`, to say that the objects that vanished are to be made again.
    pub const CONFIRM_ABSENCE: &str = "portico.dev/confirm-absence";
    /// The prefix of all of them.
    pub const PREFIX: &str = "portico.dev/";
    /// On an output Secret: the UID of the resource that it belongs to.
    pub const OWNER_UID: &str = "portico.dev/owner-uid";
    /// On an output Secret: the installation and the resource that it belongs to.
    pub const OWNER: &str = "portico.dev/owner";
    /// On an output Secret: the name under which Portico wrote it. What was copied from it under another name is the user's.
    pub const OUTPUT: &str = "portico.dev/output";
    /// On an output Secret: the keys that Portico wrote.
    pub const KEYS: &str = "portico.dev/keys";
    /// On an output Secret: a digest of the secret that Portico wrote.
    pub const DIGEST: &str = "portico.dev/digest";
    /// On an output Secret: the last value of [`ROTATE`] that a new secret was made for.
    pub const ROTATED: &str = "portico.dev/rotated";
}

/// The finalizer that holds a resource while its remote object exists.
pub const FINALIZER: &str = "portico.dev/remote";

/// How Portico treats the remote object through its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Create, change and delete.
    #[default]
    Manage,
    /// Look and report, never write.
    Observe,
}

/// What to do about changes that others make at the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Drift {
    /// Put the fields that the spec names back.
    #[default]
    Correct,
    /// List them in `status.drift` and leave them.
    Report,
}

/// What happens to the remote object when this resource is deleted: `Delete` or `Retain`. Left out: `Delete`; but `Retain` for settings that a parent always has, and for what stands for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Deletion {
    /// It is deleted.
    Delete,
    /// It stays.
    Retain,
}

/// Whether an object that exists already may be taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Adoption {
    /// No: the resource says `AlreadyExists` and how to adopt it.
    #[default]
    Refuse,
    /// Yes.
    Adopt,
}

/// Whether a change that the API cannot make may be made by deleting and creating again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Replace {
    /// No: the resource says `ImmutableFieldChanged`.
    #[default]
    Refuse,
    /// Yes.
    Allow,
}

/// How Portico treats the remote object of this resource. Everything is optional.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Lifecycle {
    /// `Manage` (default) creates, changes and deletes the remote object. `Observe` never writes to the API: the resource is Ready when the object is found, and Synced when it equals the spec.
    pub mode: Mode,
    /// What to do when someone changes the remote object: `Correct` (default) puts the fields named in the spec back, `Report` lists the differences in `status.drift` and leaves them until the spec changes; what was deleted is not made again until then either. With `Report`, too, another value in a Secret is sent, and so is who or what the spec names and could not be added before.
    pub drift: Drift,
    /// What happens to the remote object when this resource is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
    /// Whether an object of the same name or id that exists already may be taken over: `Refuse` (default) or `Adopt`. What a parent always has, and people, need no leave.
    pub adoption: Adoption,
    /// Whether a change that the API cannot make in place may be made by deleting the object and creating it again: `Refuse` (default) or `Allow`.
    pub replace: Replace,
    /// Bind to exactly the remote object with this id instead of looking it up or creating one. Empty (default) means not bound. An object that another Portico installation manages is taken over only with `adoption: Adopt` as well.
    #[schemars(length(max = 255))]
    pub id: String,
}

/// Who may refer to a resource from another namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum From {
    /// Nobody: only the same namespace.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// The namespaces listed in `names`.
    Names,
}

/// From which namespaces a resource may be referred to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.from == 'Names' || !has(self.names) || size(self.names) == 0").message("names goes with from: Names"))]
pub struct AllowedNamespaces {
    /// `Same` (default): only the resource's own namespace. `All`: every namespace. `Names`: its own and the namespaces in `names`.
    #[serde(default)]
    pub from: From,
    /// The namespaces that may refer to this resource, with `from: Names`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub names: Vec<String>,
}

impl AllowedNamespaces {
    /// Whether a resource in `from` may refer to one in `own` that has this setting.
    #[must_use]
    pub fn permits(&self, own: &str, from: &str) -> bool {
        own == from
            || match self.from {
                From::Same => false,
                From::All => true,
                From::Names => self.names.iter().any(|name| name == from),
            }
    }
}

/// One key of a Secret in the same namespace, by default the key `token`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenSecretRef {
    /// The name of the Secret, in the namespace of this resource.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in the Secret that holds the token. Left out: `token`.
    #[serde(default = "token_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn token_key() -> String {
    "token".to_owned()
}

/// One key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// The name of the Secret, in the namespace of this resource.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in the Secret that holds the value.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A CA bundle in a ConfigMap or a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.configMap) != has(self.secret)").message("give exactly one of configMap and secret"))]
pub struct CaBundleRef {
    /// The name of a ConfigMap, in the namespace of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub config_map: Option<String>,
    /// The name of a Secret, in the namespace of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret: Option<String>,
    /// The key that holds the PEM certificates. Left out: `ca.crt`.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn ca_key() -> String {
    "ca.crt".to_owned()
}

/// How many requests a connection may send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimit {
    /// Requests per second over time, 1 to 1000. Default 20.
    #[schemars(range(min = 1, max = 1000))]
    pub requests_per_second: u32,
    /// Requests that may go at once after a pause, 1 to 1000. Default 40.
    #[schemars(range(min = 1, max = 1000))]
    pub burst: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { requests_per_second: 20, burst: 40 }
    }
}

/// How often every object of a connection is compared with its resource.
pub const RESYNC: Duration = Duration::from_secs(600);
/// The deadline of a request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The part of a resource's spec that the engine reads, whatever the kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Common {
    /// How the remote object is treated.
    #[serde(deserialize_with = "null_is_default")]
    pub lifecycle: Lifecycle,
    /// The connection, where the resource names one itself.
    pub connection_ref: Option<ConnectionRef>,
    /// Who may refer to the resource.
    #[serde(deserialize_with = "null_is_default")]
    pub allowed_namespaces: AllowedNamespaces,
}

/// What is stored as null means the same as what is left out.
fn null_is_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// What all connections have in their spec, whatever the API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionCommon {
    /// Certificate authorities to trust besides the usual ones. Left out: only the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<CaBundleRef>,
    /// How often every object is compared with its resource, such as 10m or 1h30m; at least 1s. Left out: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("resyncInterval is at least 1s"))]
    pub resync_interval: Option<Span>,
    /// How many requests this connection may send. Left out: 20 a second, 40 at once after a pause.
    #[serde(default, deserialize_with = "null_is_default")]
    pub rate_limit: RateLimit,
    /// How long one request may take, such as 15s; at least 100ms, at most 5m. Left out: 15s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('5m')").message("requestTimeout is between 100ms and 5m"))]
    pub request_timeout: Option<Span>,
    /// From which namespaces resources may use this connection. Left out: only its own.
    #[serde(default, deserialize_with = "null_is_default")]
    pub allowed_namespaces: AllowedNamespaces,
    /// Whether resources of other namespaces may also take over existing objects (adoption, lifecycle.id) through this connection. Left out: false, they may only create; what every portal has, and its people, come with a portal that they may refer to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_adoption: bool,
    /// `Manage` (default), or `Observe`: the switch that stops all writes to the API of all resources of this connection. Deletions that would delete something there then wait.
    #[serde(default)]
    pub mode: Mode,
}

impl ConnectionCommon {
    /// How often its objects are compared with their resources.
    #[must_use]
    pub fn resync(&self) -> Duration {
        self.resync_interval.map_or(RESYNC, Duration::from)
    }

    /// The deadline of one request.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.request_timeout.map_or(REQUEST_TIMEOUT, Duration::from)
    }
}

/// What only connections show in their status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionExtra {
    /// Objects that vanished at once, so that nothing is made again until a person confirms it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absence: Option<AbsenceStatus>,
    /// The version of the Secrets whose credential was last seen to be of the account that the recorded objects are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// How often every object is compared with its resource, such as 20m, where doing so at every resyncInterval would take more than a tenth of the requests that rateLimit allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep_interval: Option<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_namespace_needs_to_be_allowed() {
        let named = AllowedNamespaces { from: From::Names, names: vec!["b".into()] };
        assert!(AllowedNamespaces::default().permits("a", "a"));
        assert!(!AllowedNamespaces::default().permits("a", "b"));
        assert!(named.permits("a", "b") && named.permits("a", "a") && !named.permits("a", "c"));
        assert!(AllowedNamespaces { from: From::All, names: vec![] }.permits("a", "c"));
    }
}
