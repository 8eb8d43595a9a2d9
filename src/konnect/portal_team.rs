use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{KonnectConnection, Portal, portal_path};
use crate::{
    engine::{
        context::Cx,
        kind::{Desired, Endpoint, Identity, Kind, Wait},
        part::{Catalogue, Entries, Lookup, Part, Row},
        spec::{ConnectionRef, Lifecycle, Ref},
        status::Status,
    },
    remote::{Path, Refusal},
};

/// A team of developers in a portal.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "konnect.portico.dev",
    version = "v1alpha1",
    kind = "PortalTeam",
    namespaced,
    status = "Status<PortalTeamExtra>",
    shortname = "kteam",
    doc = "A team of developers in a Konnect portal, with its roles and members."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.portalRef.id) == has(self.connectionRef)").message("connectionRef goes with portalRef.id, and only with it: otherwise the portal's connection is used"),
    validation = Rule::new("self.portalRef == oldSelf.portalRef || (has(self.lifecycle) && self.lifecycle.replace == 'Allow')")
        .message("portalRef cannot be changed: a team cannot move; set lifecycle.replace: Allow to delete it there and make it again"),
)]
pub struct PortalTeamSpec {
    /// The portal that the team belongs to: name for a Portal resource, id for a portal that Portico does not manage. Cannot be changed, except with `lifecycle.replace: Allow`.
    pub portal_ref: Ref<Portal>,
    /// The connection, where portalRef gives an id. Otherwise the portal's own is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,
    /// The team's name in Konnect, 1 to 250 characters. Left out: the name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 250))]
    pub name: Option<String>,
    /// What the team is for; up to 250 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 250))]
    pub description: Option<String>,
    /// The roles that the team's members have. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Roles>,
    /// The members. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub developers: Option<Developers>,
    /// The groups of the portal's identity provider whose members join the team; the list is replaced whole. Waits while the portal has no identity provider. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 255)))]
    pub identity_provider_groups: Option<Vec<String>>,
    /// How the team in Konnect is treated through its life. Left out: created, kept as the spec says, and deleted with this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// The roles of a team.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Roles {
    /// One entry a role; an entry that leaves this list is taken from the team.
    #[schemars(length(max = 256))]
    pub items: Vec<Role>,
    /// Whether roles that others gave the team are taken from it. Left out: false.
    pub exclusive: bool,
}

/// A role on one product.
#[allow(clippy::struct_field_names, reason = "the API's own names")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// What members may do: `API Viewer` or `API Consumer`.
    #[schemars(length(min = 1, max = 255))]
    pub role_name: String,
    /// The id (a UUID) of the product that the role is for.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"))]
    pub entity_id: String,
    /// What the id stands for. Left out: `Services`, an API product.
    #[serde(default = "services")]
    #[schemars(length(min = 1, max = 255))]
    pub entity_type_name: String,
    /// The region of the product, such as eu, or * for all. Left out: the region of the connection; required where the connection has a url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub entity_region: Option<String>,
}

fn services() -> String {
    "Services".to_owned()
}

/// The members of a team.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Developers {
    /// The e-mail addresses of the members. Who has not signed up yet is added once they have; the condition Bound names them. An address that leaves this list leaves the team.
    #[schemars(length(max = 1000), inner(length(min = 3, max = 255)))]
    pub items: Vec<String>,
    /// Whether members that others added are removed. Left out: false.
    pub exclusive: bool,
}

/// A team shows nothing of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortalTeamExtra {}

impl Kind for PortalTeam {
    type Connection = KonnectConnection;
    type Extra = PortalTeamExtra;
    // Team names are not unique and teams have no labels (Kong/kong-operator#3543).
    const IDENTITY: Identity = Identity::Intent;

    fn endpoint(&self, cx: &Cx<'_>) -> Result<Endpoint, Wait> {
        let portal = portal_path(&self.spec.portal_ref, cx)?;
        Ok(Endpoint::Collection { path: portal.then("teams") })
    }

    fn desired(&self, _: &Cx<'_>) -> Result<Desired, Wait> {
        // `description` is not nullable: "" clears it.
        let desired =
            Desired::new().set("name", self.natural_key()).maybe("description", self.spec.description.as_ref());
        // Names are not unique: a team with a description that was not sent is another one.
        Ok(Desired { telling: &["description"], ..desired })
    }

    fn natural_key(&self) -> Option<String> {
        Some(self.spec.name.clone().unwrap_or_else(|| self.name_any()))
    }

    fn parts(&self, team: &Path, cx: &Cx<'_>) -> Result<Vec<Part>, Wait> {
        let spec = &self.spec;
        let portal =
            team.collection().and_then(|teams| teams.above()).ok_or_else(|| Wait::invalid("a team has a portal"))?;
        let roles = spec.roles.as_ref().map(|roles| assignments(roles, team, cx)).transpose()?;
        let developers = spec.developers.as_ref().map(|developers| members(developers, team, &portal));
        let groups =
            spec.identity_provider_groups.as_ref().map(|groups| groups_row(groups, team, &portal)).transpose()?;
        Ok(roles.into_iter().chain(developers).chain(groups).collect())
    }
}

fn assignments(roles: &Roles, team: &Path, cx: &Cx<'_>) -> Result<Part, Wait> {
    let wanted = roles.items.iter().map(|role| {
        let region = role.entity_region.clone().or_else(|| cx.connection_field::<KonnectConnection>("region"));
        let region = region
            .ok_or_else(|| Wait::invalid("roles.items.entityRegion is required where the connection has a url"))?;
        let body = Desired::new()
            .set("role_name", role.role_name.as_str())
            .set("entity_id", role.entity_id.as_str())
            .set("entity_type_name", role.entity_type_name.as_str())
            .set("entity_region", region)
            .body;
        Ok((role_key(&Value::Object(body.clone())).unwrap_or_default(), body))
    });
    Ok(Part::Entries(Entries {
        name: "roles",
        path: team.then("assigned-roles"),
        wanted: wanted.collect::<Result<_, Wait>>()?,
        exclusive: roles.exclusive,
        key: role_key,
        lookup: None,
        catalogue: Some(Catalogue { field: "role_name", path: Path::literal("/v2/portal-roles"), names: role_names }),
    }))
}

/// A role as one text; an item may say `entity_type` instead of `entity_type_name` (a typo in the contract's 2.2.0).
fn role_key(item: &Value) -> Option<String> {
    let text = |field: &str| item[field].as_str();
    let type_name = text("entity_type_name").or_else(|| text("entity_type"))?;
    let id = text("entity_id")?.to_lowercase();
    Some(format!("{} on {type_name} {id} in {}", text("role_name")?, text("entity_region")?))
}

fn role_names(catalogue: &Value) -> Vec<String> {
    let groups = catalogue.as_object().into_iter().flat_map(Map::values);
    let roles = groups.filter_map(|group| group["roles"].as_object()).flat_map(Map::values);
    roles.filter_map(|role| role["name"].as_str()).map(str::to_owned).collect()
}

fn members(developers: &Developers, team: &Path, portal: &Path) -> Part {
    let wanted =
        developers.items.iter().map(|email| (email.to_lowercase(), Desired::new().set("email", email.as_str()).body));
    Part::Entries(Entries {
        name: "developers",
        path: team.then("developers"),
        wanted: wanted.collect(),
        exclusive: developers.exclusive,
        key: |item| Some(item["email"].as_str()?.to_lowercase()),
        lookup: Some(Lookup {
            path: portal.then("developers"),
            field: "email",
            into: "id",
            missing: "these developers have not signed up yet:",
        }),
        catalogue: None,
    })
}

fn groups_row(groups: &[String], team: &Path, portal: &Path) -> Result<Part, Wait> {
    let id = team.last().ok_or_else(|| Wait::invalid("a team has an id"))?;
    Ok(Part::Row(Row {
        name: "identityProviderGroups",
        path: portal.then("identity-provider").then("team-group-mappings"),
        key: ("team_id", id),
        field: "groups",
        wanted: groups.to_vec(),
        missing: no_identity_provider,
    }))
}

/// The contract: 400 while the portal has no identity provider.
fn no_identity_provider(refusal: &Refusal) -> Option<&'static str> {
    (refusal.status == 400).then_some("the portal has no identity provider yet, so no groups can be bound")
}
