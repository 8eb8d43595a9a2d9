use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{KonnectConnection, Portal, portal_path};
use crate::engine::{
    context::Cx,
    kind::{Desired, Endpoint, How, Identity, Kind, Wait},
    spec::{ConnectionRef, Lifecycle, Ref},
    status::Status,
};

/// A version of an API product in a portal.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "konnect.portico.dev",
    version = "v1alpha1",
    kind = "PortalProductVersion",
    namespaced,
    status = "Status<PortalProductVersionExtra>",
    shortname = "kversion",
    doc = "A version of an API product, published in a Konnect portal."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.portalRef.id) == has(self.connectionRef)").message("connectionRef goes with portalRef.id, and only with it: otherwise the portal's connection is used"),
    validation = Rule::new("self.portalRef == oldSelf.portalRef || (has(self.lifecycle) && self.lifecycle.replace == 'Allow')")
        .message("portalRef cannot be changed: a publication cannot move; set lifecycle.replace: Allow to withdraw it there and make it again"),
    validation = Rule::new("self.productVersionId == oldSelf.productVersionId || (has(self.lifecycle) && self.lifecycle.replace == 'Allow')")
        .message("productVersionId cannot be changed: it says what is published; set lifecycle.replace: Allow to withdraw the one version and publish the other"),
)]
pub struct PortalProductVersionSpec {
    /// The portal that shows the version: name for a Portal resource, id for a portal that Portico does not manage. Cannot be changed, except with `lifecycle.replace: Allow`.
    pub portal_ref: Ref<Portal>,
    /// The connection, where portalRef gives an id. Otherwise the portal's own is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,
    /// The id (a UUID) of the version of an API product, as the organization has it. Cannot be changed, except with `lifecycle.replace: Allow`.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"))]
    pub product_version_id: String,
    /// Whether developers see the version in the portal: `published` or `unpublished`. Left out: not managed, at first published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["published", "unpublished"]))]
    pub publish_status: Option<String>,
    /// The id (a UUID) of the strategy by which applications authenticate to this version; one at most, [] takes it away. Left out: not managed, at first none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1), inner(regex(pattern = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")))]
    pub auth_strategy_ids: Option<Vec<String>>,
    /// Whether developers may register applications for this version. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_registration_enabled: Option<bool>,
    /// Whether such a registration is approved at once instead of waiting for an administrator. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_approve_registration: Option<bool>,
    /// Whether the portal shows the version as one to move away from. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<bool>,
    /// Whether Konnect mails the developers concerned whenever Portico makes or changes the publication, also where it puts back what somebody else changed. Each change is told once, and changing this field alone tells nobody anything. Left out: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_developers: Option<bool>,
    /// How the publication in Konnect is treated through its life. Left out: made, kept as the spec says, and withdrawn with this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// A publication shows nothing of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortalProductVersionExtra {}

impl Kind for PortalProductVersion {
    type Connection = KonnectConnection;
    type Extra = PortalProductVersionExtra;
    const IDENTITY: Identity = Identity::Intent;
    // A publication has an id of its own, too, which no path takes.
    const ID: &'static str = "product_version_id";
    const KEY: &'static str = "product_version_id";
    // Every update may send mail.
    const REPEATABLE: bool = false;

    fn endpoint(&self, cx: &Cx<'_>) -> Result<Endpoint, Wait> {
        let portal = portal_path(&self.spec.portal_ref, cx)?;
        Ok(Endpoint::Upsert { path: portal.then("product-versions") })
    }

    fn desired(&self, _: &Cx<'_>) -> Result<Desired, Wait> {
        let spec = &self.spec;
        let strategies = spec.auth_strategy_ids.as_ref().map(|ids| lower(ids.iter().map(String::as_str)));
        let mut desired = Desired::new()
            .maybe("publish_status", spec.publish_status.as_ref())
            .maybe("auth_strategy_ids", strategies.as_ref())
            .maybe("application_registration_enabled", spec.application_registration_enabled.as_ref())
            .maybe("auto_approve_registration", spec.auto_approve_registration.as_ref())
            .maybe("deprecated", spec.deprecated.as_ref());
        desired.rules = &[("auth_strategy_ids", How::Set)];
        for (field, value) in at_first() {
            if !desired.body.contains_key(field) {
                desired.initial.insert(field.to_owned(), value);
            }
        }
        if spec.notify_developers == Some(true) {
            desired.along.insert("notify_developers".to_owned(), json!(true));
        }
        Ok(desired)
    }

    fn chosen_id(&self) -> Option<String> {
        Some(self.spec.product_version_id.to_lowercase())
    }

    /// Strategies are written as their ids, and read whole.
    fn normalize(mut object: Value) -> Value {
        let strategies = object["auth_strategies"].as_array();
        let ids = strategies.map(|all| lower(all.iter().filter_map(|strategy| strategy["id"].as_str())));
        if let Some(ids) = ids {
            object["auth_strategy_ids"] = json!(ids);
        }
        object
    }
}

/// What the PUT that makes a publication sends of fields that the spec leaves out: it wants all of them.
fn at_first() -> [(&'static str, Value); 5] {
    [
        ("publish_status", json!("published")),
        ("auth_strategy_ids", json!([])),
        ("application_registration_enabled", json!(false)),
        ("auto_approve_registration", json!(false)),
        ("deprecated", json!(false)),
    ]
}

/// UUIDs in the form in which Konnect shows them.
fn lower<'i>(ids: impl Iterator<Item = &'i str>) -> Vec<String> {
    ids.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_are_read_as_the_ids_that_are_written() {
        let read = json!({"deprecated": false, "auth_strategies": [{"id": "8A4F2C61", "credential_type": "key_auth"}]});
        let object = PortalProductVersion::normalize(read.clone());
        assert_eq!((&object["auth_strategy_ids"], &object["deprecated"]), (&json!(["8a4f2c61"]), &json!(false)));
        assert_eq!(PortalProductVersion::normalize(object.clone()), object);
        for other in [json!({}), json!(null), json!([read])] {
            assert_eq!(PortalProductVersion::normalize(other.clone()), other);
        }
    }
}
