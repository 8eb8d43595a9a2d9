use std::collections::BTreeSet;

use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{AcpConnection, Consent};
use crate::{
    engine::{
        context::Cx,
        kind::{Desired, Endpoint, How, Identity, Kind, Wait},
        spec::{ConnectionRef, Lifecycle, Ref},
        status::Status,
    },
    remote::Path,
};

/// A consent action: the consents that users are asked for at one point of an application.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "acp.portico.dev",
    version = "v1alpha1",
    kind = "ConsentAction",
    namespaced,
    status = "Status<ConsentActionExtra>",
    shortname = "acpaction",
    doc = "The consents that users of a tenant of Cloudentity ACP are asked for together."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.id) == has(oldSelf.id) && (!has(self.id) || self.id == oldSelf.id)")
    .message("id cannot be set, changed or removed later: an action keeps the id that it was made with"))]
pub struct ConsentActionSpec {
    /// The connection to the tenant that the action is in. It may be changed to another connection of the same tenant and persona; with one of another the resource says ImmutableFieldChanged until the old one is named again, or the resource is made again.
    pub connection_ref: ConnectionRef,
    /// The id to make the action under, which applications may carry; 1 to 255 letters, digits, ".", "-", "_" and "~", not beginning with ".". Cannot be set, changed or removed later. Left out: an id that follows from the namespace and name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_~-][A-Za-z0-9._~-]*$"))]
    pub id: Option<String>,
    /// The action's name, 1 to 255 characters. Left out: the name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub name: Option<String>,
    /// What the action is for; up to 4096 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// The consents that are asked for, in any order, each once, at most 64. The list is managed whole: a consent that leaves it leaves the action, and [] removes all. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub consents: Option<Vec<ActionConsent>>,
    /// How the action in ACP is treated through its life. Left out: created, kept as the spec says, and deleted with this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// A consent of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionConsent {
    /// The consent: name for a Consent resource, id for a consent that Portico does not manage.
    pub consent_ref: Ref<Consent>,
    /// Whether users must agree to go on.
    pub required: bool,
}

/// A consent action shows nothing of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConsentActionExtra {}

impl Kind for ConsentAction {
    type Connection = AcpConnection;
    type Extra = ConsentActionExtra;
    const IDENTITY: Identity = Identity::Derived;

    fn endpoint(&self, _: &Cx<'_>) -> Result<Endpoint, Wait> {
        let path = Path::literal("/actions");
        Ok(Endpoint::Keyed { listing: path.clone(), path })
    }

    fn desired(&self, cx: &Cx<'_>) -> Result<Desired, Wait> {
        let spec = &self.spec;
        let consents = spec.consents.as_ref().map(|consents| resolve(consents, cx)).transpose()?;
        let desired = Desired::new()
            .set("name", spec.name.clone().unwrap_or_else(|| self.name_any()))
            .maybe("description", spec.description.as_ref())
            .maybe("consents", consents.as_ref());
        Ok(Desired { rules: &[("consents", How::Named("id"))], unsent: &["tenant_id"], ..desired })
    }

    fn chosen_id(&self) -> Option<String> {
        self.spec.id.clone()
    }
}

/// The consents by their ids.
fn resolve(consents: &[ActionConsent], cx: &Cx<'_>) -> Result<Vec<Value>, Wait> {
    let mut seen = BTreeSet::new();
    let entry = |consent: &ActionConsent| {
        let id = cx.refer(&consent.consent_ref)?;
        if !seen.insert(id.clone()) {
            // Of two words on one consent the API keeps one, and the other would never be found there.
            return Err(Wait::invalid(format_args!("consents names the consent {id} twice")));
        }
        Ok(json!({"id": id, "required": consent.required}))
    };
    consents.iter().map(entry).collect()
}
