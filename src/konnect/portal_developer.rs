use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{KonnectConnection, Portal, portal_path};
use crate::engine::{
    context::Cx,
    kind::{Desired, Endpoint, Identity, Kind, Milestone, View, Wait},
    spec::{ConnectionRef, Deletion, Lifecycle, Ref},
    status::Status,
};

/// A developer of a portal.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "konnect.portico.dev",
    version = "v1alpha1",
    kind = "PortalDeveloper",
    namespaced,
    status = "Status<PortalDeveloperExtra>",
    shortname = "kdeveloper",
    doc = "A person who signs up in a Konnect portal, and whether they may use it. Portico never makes one."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.portalRef.id) == has(self.connectionRef)").message("connectionRef goes with portalRef.id, and only with it: otherwise the portal's connection is used"),
    validation = Rule::new("self.portalRef == oldSelf.portalRef")
        .message("portalRef cannot be changed: people sign up in one portal; make another resource for the other one"),
    validation = Rule::new("self.email == oldSelf.email")
        .message("email cannot be changed: it says which person is meant; make another resource for another person"),
)]
pub struct PortalDeveloperSpec {
    /// The portal that the person signs up in: name for a Portal resource, id for a portal that Portico does not manage. Cannot be changed.
    pub portal_ref: Ref<Portal>,
    /// The connection, where portalRef gives an id. Otherwise the portal's own is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,
    /// The e-mail address that the person signs up with, 3 to 255 characters. Until they have, the condition Bound says so, and they are looked for at each resync. Cannot be changed.
    #[schemars(length(min = 3, max = 255), regex(pattern = r"^[^@\s]+@[^@\s]+$"))]
    pub email: String,
    /// What the person may do: `approved` lets them sign in, make applications and register those for products; `pending` leaves them waiting for an answer; `revoked` takes the approval back; `rejected` refuses it, and they cannot sign up again. Credentials that their applications have already stay good. Left out: not managed; the condition Approved shows what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["approved", "pending", "revoked", "rejected"]))]
    pub status: Option<String>,
    /// How the person's account in Konnect is treated through its life. Left out: found, kept as the spec says, and left as it is when this resource is deleted. With `deletion: Delete` the account goes with this resource, and with it all its applications and their credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// What only a developer shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortalDeveloperExtra {
    /// The person's name, as they gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// The names of teams that the person was in when they were found or last changed by Portico; the first ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
}

impl Kind for PortalDeveloper {
    type Connection = KonnectConnection;
    type Extra = PortalDeveloperExtra;
    const IDENTITY: Identity = Identity::Intent;
    const KEY: &'static str = "email";
    // It stands for a person.
    const DELETION: Deletion = Deletion::Retain;
    const MILESTONES: &'static [&'static str] = &["Approved"];

    fn endpoint(&self, cx: &Cx<'_>) -> Result<Endpoint, Wait> {
        let portal = portal_path(&self.spec.portal_ref, cx)?;
        Ok(Endpoint::Claimed { path: portal.then("developers") })
    }

    fn desired(&self, _: &Cx<'_>) -> Result<Desired, Wait> {
        Ok(Desired::new().maybe("status", self.spec.status.as_ref()))
    }

    fn natural_key(&self) -> Option<String> {
        Some(self.spec.email.clone())
    }

    fn milestones(object: &Value) -> Vec<Milestone> {
        let met = match object["status"].as_str() {
            Some("approved") => Ok("The developer may use the portal.".to_owned()),
            Some("pending") => Err("The developer waits for an administrator to approve them.".to_owned()),
            Some("revoked") => Err("The developer's approval was taken back.".to_owned()),
            Some("rejected") => Err("The developer was rejected.".to_owned()),
            other => Err(format!("Konnect says of the developer: {}.", other.unwrap_or("nothing"))),
        };
        vec![Milestone { condition: "Approved", met, poll: false }]
    }

    fn views() -> &'static [View<PortalDeveloperExtra>] {
        VIEWS
    }

    fn observe(object: &Value, extra: &mut PortalDeveloperExtra) {
        extra.full_name = object["full_name"].as_str().map(str::to_owned);
    }
}

const VIEWS: &[View<PortalDeveloperExtra>] = &[View { word: "teams", show: show_teams }];

fn show_teams(answer: &Value, extra: &mut PortalDeveloperExtra) {
    let teams = answer["data"].as_array().into_iter().flatten();
    extra.teams = teams.filter_map(|team| team["name"].as_str()).map(str::to_owned).collect();
    // Nobody says in which order they are listed.
    extra.teams.sort_unstable();
}
