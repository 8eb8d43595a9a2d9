use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AcpConnection;
use crate::{
    engine::{
        context::Cx,
        kind::{Desired, Endpoint, How, Identity, Kind, Rules, Wait},
        spec::{AllowedNamespaces, ConnectionRef, Lifecycle},
        status::Status,
    },
    remote::Path,
};

/// A consent: something that users agree to, in one version after the other.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "acp.portico.dev",
    version = "v1alpha1",
    kind = "Consent",
    namespaced,
    status = "Status<ConsentExtra>",
    shortname = "acpconsent",
    doc = "Something that users of a tenant of Cloudentity ACP agree to."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.id) == has(oldSelf.id) && (!has(self.id) || self.id == oldSelf.id)")
    .message("id cannot be set, changed or removed later: a consent keeps the id that it was made with"))]
pub struct ConsentSpec {
    /// The connection to the tenant that the consent is in. It may be changed to another connection of the same tenant and persona; with one of another the resource says ImmutableFieldChanged until the old one is named again, or the resource is made again.
    pub connection_ref: ConnectionRef,
    /// The id to make the consent under, which applications may carry; 1 to 255 letters, digits, ".", "-", "_" and "~", not beginning with ".". Cannot be set, changed or removed later. Left out: an id that follows from the namespace and name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_~-][A-Za-z0-9._~-]*$"))]
    pub id: Option<String>,
    /// The consent's name, 1 to 255 characters. Left out: the name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub name: Option<String>,
    /// The fields that are the API's own.
    #[serde(flatten)]
    pub settings: ConsentSettings,
    /// From which namespaces resources may refer to this consent. Left out: only its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// How the consent in ACP is treated through its life. Left out: created, kept as the spec says, and deleted with this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// What the API and the spec call the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsentSettings {
    /// What a change of the consent, which makes a new version of it, does to those who agreed to an earlier one: `explicitAll` asks all of them again, `implicitAll` takes them to agree to the new version, `keepCurrent` leaves them with the version that they agreed to.
    #[schemars(extend("enum" = ["explicitAll", "implicitAll", "keepCurrent"]))]
    pub update_existing_grants: String,
    /// What users agree to; up to 16384 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub description: Option<String>,
    /// Whether users may take the consent back. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_be_withdrawn: Option<bool>,
    /// The time from which the version is in use, such as 2026-01-31T09:00:00Z; not in the future. Left out: the time of each change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub valid_from: Option<String>,
    /// Which categories of personal data the consent is about, in any order, at most 128; [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pii_categories: Option<Vec<PiiCategory>>,
    /// Services of your own that use the data, at most 64; [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub internal_services: Option<Vec<ConsentService>>,
    /// Services of others that use the data, at most 64; [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub third_party_services: Option<Vec<ConsentService>>,
}

/// A time as in RFC 3339. A rule takes the place of a format, for its message shows the form.
fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 64,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$')",
            "message": "a time must look like 2026-01-31T09:00:00Z",
        }],
    })
}

/// A category of personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PiiCategory {
    /// The name of the category, such as HIPAA; 1 to 255 characters.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
}

/// A service that uses personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsentService {
    /// The name of the service, 1 to 255 characters.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// What the service uses the data for, at most 64 purposes; of several at least one is the primary one. [] clears them. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub purposes: Option<Vec<Purpose>>,
}

/// What data is used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Purpose {
    /// The name of the purpose, such as Delivery; 1 to 255 characters.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Whether it is what the data is mainly used for. Left out: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

/// What only a consent shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsentExtra {
    /// The version of the consent: 1 at first, and one more with each change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The time from which the version is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
}

const RULES: Rules = &[("pii_categories", How::Keyed("name")), ("valid_from", How::Time)];

impl Kind for Consent {
    type Connection = AcpConnection;
    type Extra = ConsentExtra;
    const IDENTITY: Identity = Identity::Derived;
    // Every PUT makes a new version, and may ask all users again.
    const REPEATABLE: bool = false;

    fn endpoint(&self, _: &Cx<'_>) -> Result<Endpoint, Wait> {
        let path = Path::literal("/consents");
        Ok(Endpoint::Keyed { listing: path.clone(), path })
    }

    fn desired(&self, _: &Cx<'_>) -> Result<Desired, Wait> {
        let mut settings = self.spec.settings.clone();
        let services = settings.internal_services.iter_mut().chain(&mut settings.third_party_services);
        // What is left out of a service is none of it, and is not the API's to keep.
        for service in services.flatten() {
            for purpose in service.purposes.get_or_insert_default() {
                purpose.primary.get_or_insert(false);
            }
        }
        let desired =
            Desired::of(&settings, &[]).set("name", self.spec.name.clone().unwrap_or_else(|| self.name_any()));
        // Sent back, `valid_from` would say of a new version when the last one came into use.
        let unsent: &[&str] = match settings.valid_from {
            Some(_) => &["tenant_id", "version"],
            None => &["tenant_id", "version", "valid_from"],
        };
        Ok(Desired { rules: RULES, unsent, ..desired })
    }

    fn chosen_id(&self) -> Option<String> {
        self.spec.id.clone()
    }

    fn observe(object: &Value, extra: &mut ConsentExtra) {
        extra.version = object["version"].as_i64();
        extra.valid_from = object["valid_from"].as_str().map(str::to_owned);
    }
}
