use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::KonnectConnection;
use crate::{
    engine::{
        context::Cx,
        kind::{Desired, Endpoint, Identity, Kind, Wait},
        part::Progress,
        spec::{AllowedNamespaces, ConnectionRef, Lifecycle},
        status::Status,
    },
    remote::Path,
};

/// A developer portal.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "konnect.portico.dev",
    version = "v1alpha1",
    kind = "Portal",
    namespaced,
    status = "Status<PortalExtra>",
    shortname = "kportal",
    doc = "A developer portal in Kong Konnect."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.customClientDomain) || self.customClientDomain == '' || (has(self.customDomain) && self.customDomain != '')")
    .message("customClientDomain goes with customDomain"))]
pub struct PortalSpec {
    /// The connection to the Konnect organization that the portal is in. It may be changed to another connection of the same organization and region; with one of another the resource says ImmutableFieldChanged until the old one is named again, or the resource is made again.
    pub connection_ref: ConnectionRef,
    /// The portal's name in Konnect, unique in the organization; 1 to 255 characters. Left out: the name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub name: Option<String>,
    /// The name that developers see; 1 to 255 characters. Left out: Konnect's to choose, usually the portal's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub display_name: Option<String>,
    /// What the portal is for; up to 512 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub description: Option<String>,
    /// Whether the catalog can be read without signing in; then there are no developer accounts and no applications. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_public: Option<bool>,
    /// Whether developers see and use only the products that their teams have roles for. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_enabled: Option<bool>,
    /// Whether an application's request for a product is approved at once instead of waiting for an administrator. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_approve_applications: Option<bool>,
    /// Whether a developer who signs up is approved at once instead of waiting for an administrator. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_approve_developers: Option<bool>,
    /// The portal's own host name, such as developer.example.com; up to 1024 characters, "" clears it. Its DNS needs a CNAME to status.defaultDomain; the condition Verified shows how far Konnect is. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub custom_domain: Option<String>,
    /// The host name of a portal client that you host yourself, instead of the one that Konnect hosts; goes with customDomain; up to 1024 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub custom_client_domain: Option<String>,
    /// The id (a UUID) of the authentication strategy that applications get unless they ask for another; "" clears it. Left out: Konnect's to choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = r"^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?$"))]
    pub default_application_auth_strategy_id: Option<String>,
    /// Labels on the portal in Konnect; keys and values of 1 to 63 letters, digits, ".", "-" and "_". Keys that others set stay; a key that leaves this list is removed. Two more labels carry Portico's mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "labels_schema")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Whether deleting this resource also deletes the developers who signed up, their applications and registrations. Left out: false, Konnect refuses the deletion while there are any, and the resource says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_delete: Option<bool>,
    /// From which namespaces resources may refer to this portal. Left out: only its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// How the portal in Konnect is treated through its life. Left out: created, kept as the spec says, and deleted with this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// The contract allows 50 labels; two of them are Portico's mark.
fn labels_schema(_: &mut SchemaGenerator) -> Schema {
    let value = r"^[a-z0-9A-Z]{1}([a-z0-9A-Z-._]*[a-z0-9A-Z]+)?$";
    json_schema!({
        "type": "object",
        "maxProperties": 48,
        "additionalProperties": { "type": "string", "minLength": 1, "maxLength": 63, "pattern": value },
    })
}

/// What only a portal shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortalExtra {
    /// The host name that Konnect gave the portal; a custom domain's CNAME points to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_domain: Option<String>,
}

const STRATEGY: &str = "default_application_auth_strategy_id";

impl Kind for Portal {
    type Connection = KonnectConnection;
    type Extra = PortalExtra;
    const IDENTITY: Identity = Identity::Mark;
    const PROGRESS: &'static [&'static str] = &["Verified"];

    fn endpoint(&self, _: &Cx<'_>) -> Result<Endpoint, Wait> {
        Ok(Endpoint::Collection { path: Path::literal("/v2/portals") })
    }

    fn desired(&self, _: &Cx<'_>) -> Result<Desired, Wait> {
        let spec = &self.spec;
        let mut desired = Desired::new()
            .set("name", self.natural_key())
            .maybe("display_name", spec.display_name.as_ref())
            .nullable("description", spec.description.as_ref())
            .maybe("is_public", spec.is_public.as_ref())
            .maybe("rbac_enabled", spec.rbac_enabled.as_ref())
            .maybe("auto_approve_applications", spec.auto_approve_applications.as_ref())
            .maybe("auto_approve_developers", spec.auto_approve_developers.as_ref())
            .nullable("custom_domain", spec.custom_domain.as_ref())
            .nullable("custom_client_domain", spec.custom_client_domain.as_ref())
            .nullable(STRATEGY, spec.default_application_auth_strategy_id.as_ref().map(|id| id.to_lowercase()).as_ref())
            .maybe("labels", spec.labels.as_ref().map(|labels| json!(labels)).as_ref());
        desired.merged = &["labels"];
        Ok(desired)
    }

    fn natural_key(&self) -> Option<String> {
        Some(self.spec.name.clone().unwrap_or_else(|| self.name_any()))
    }

    /// An id is the same in upper case.
    fn normalize(mut object: Value) -> Value {
        if let Some(Value::String(id)) = object.get_mut(STRATEGY) {
            id.make_ascii_lowercase();
        }
        object
    }

    fn observe(object: &Value, extra: &mut PortalExtra) {
        extra.default_domain = object["default_domain"].as_str().map(str::to_owned);
    }

    fn progress(&self) -> Option<Progress> {
        let domain = self.spec.custom_domain.clone().filter(|domain| !domain.is_empty())?;
        Some(Progress { condition: "Verified", subject: domain, action: "verify-domain", judge })
    }

    fn deletion_query(&self) -> Option<&'static str> {
        // The contract: `force` is the text true or false, and without it a portal with developers stays.
        self.spec.force_delete.unwrap_or_default().then_some("force=true")
    }
}

fn judge(answer: &Value) -> Result<(), String> {
    match (answer["is_cname_verified"].as_bool(), answer["is_ssl_issued"].as_bool()) {
        (Some(true), Some(true)) => Ok(()),
        (Some(true), _) => Err("the CNAME is there, the certificate is not issued yet".to_owned()),
        _ => Err("Konnect does not see the CNAME to status.defaultDomain yet".to_owned()),
    }
}
