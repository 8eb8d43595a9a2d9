use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{KonnectConnection, Portal, portal_path};
use crate::{
    engine::{
        context::Cx,
        kind::{Desired, Endpoint, How, Identity, Kind, Rules, Wait},
        spec::{ConnectionRef, Deletion, Lifecycle, Ref, SecretKeyRef},
        status::Status,
    },
    remote::Refusal,
};

/// How developers sign in to a portal.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "konnect.portico.dev",
    version = "v1alpha1",
    kind = "PortalAuthentication",
    namespaced,
    status = "Status<PortalAuthenticationExtra>",
    shortname = "kauth",
    doc = "How developers sign in to a Konnect portal, and what decides on their teams. A portal has one of these, from its beginning to its end."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.portalRef.id) == has(self.connectionRef)")
        .message("connectionRef goes with portalRef.id, and only with it: otherwise the portal's connection is used"),
    validation = Rule::new("self.portalRef == oldSelf.portalRef")
        .message("portalRef cannot be changed: the settings of a portal cannot move; make another resource for the other portal"),
    validation = Rule::new("has(self.oidcIssuer) == has(self.oidcClientId) && (!has(self.oidcIssuer) || (self.oidcIssuer == '') == (self.oidcClientId == ''))")
        .message("oidcIssuer and oidcClientId go together: OpenID Connect needs both"),
)]
pub struct PortalAuthenticationSpec {
    /// The portal whose settings these are: name for a Portal resource, id for a portal that Portico does not manage. Cannot be changed.
    pub portal_ref: Ref<Portal>,
    /// The connection, where portalRef gives an id. Otherwise the portal's own is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,
    /// The fields that are the API's own.
    #[serde(flatten)]
    pub settings: PortalAuthenticationSettings,
    /// How the settings in Konnect are treated through the life of this resource. Left out: kept as the spec says, and left as they are when this resource is deleted. With `deletion: Delete` the switches that this resource has ever set go back to those of a new portal then: basic authentication on, the others off. Everything else stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// What the API and the spec call the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortalAuthenticationSettings {
    /// Whether developers may sign in with an e-mail address and a password of the portal's own. Left out: not managed, at first true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth_enabled: Option<bool>,
    /// Whether developers may sign in with OpenID Connect. Konnect is replacing this by identity providers: see PortalIdentityProvider. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc_auth_enabled: Option<bool>,
    /// Whether developers may sign in with SAML. Konnect is replacing this by identity providers: see PortalIdentityProvider. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saml_auth_enabled: Option<bool>,
    /// Whether a developer's groups at the identity provider decide on their teams. Konnect is replacing this by idpMappingEnabled. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc_team_mapping_enabled: Option<bool>,
    /// Whether administrators of the Konnect organization put developers into teams. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub konnect_mapping_enabled: Option<bool>,
    /// Whether a developer's groups at the identity provider decide on their teams. With true, this resource waits until the portal has an identity provider that is enabled, and that one can be neither disabled nor deleted afterwards. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idp_mapping_enabled: Option<bool>,
    /// The URL of the OpenID Connect provider; goes with oidcClientId; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub oidc_issuer: Option<String>,
    /// The id of the client that the provider knows the portal as; goes with oidcIssuer; up to 1024 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub oidc_client_id: Option<String>,
    /// The Secret that holds the secret of that client. Konnect never shows it: it is sent again when the Secret changes. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc_client_secret_ref: Option<SecretKeyRef>,
    /// The scopes that the provider is asked for, in any order, at most 64. Left out: not managed, at first email, openid and profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub oidc_scopes: Option<Vec<String>>,
    /// Which claims of the provider's tokens say who a developer is. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc_claim_mappings: Option<ClaimMappings>,
}

/// From what is known of a developer to the claim that says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimMappings {
    /// The claim that holds a developer's name; 1 to 255 characters. Left out: not managed, at first name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub name: Option<String>,
    /// The claim that holds a developer's e-mail address; 1 to 255 characters. Left out: not managed, at first email.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub email: Option<String>,
    /// The claim that holds a developer's groups; 1 to 255 characters. Left out: not managed, at first groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub groups: Option<String>,
}

/// The settings show nothing of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortalAuthenticationExtra {}

const RULES: Rules = &[("oidc_scopes", How::Set)];

/// The flags that an answer may leave out; one that is on is always shown.
const MAY_BE_LEFT_OUT: [&str; 2] = ["idp_mapping_enabled", "saml_auth_enabled"];

/// The flags that are off in a new portal. The contract infers it.
const FIRST_OFF: [&str; 5] = [
    "idp_mapping_enabled",
    "konnect_mapping_enabled",
    "oidc_auth_enabled",
    "oidc_team_mapping_enabled",
    "saml_auth_enabled",
];

impl Kind for PortalAuthentication {
    type Connection = KonnectConnection;
    type Extra = PortalAuthenticationExtra;
    // Nothing is ever made, so no intent is ever written; and what is not recorded is not ours to reset.
    const IDENTITY: Identity = Identity::Intent;
    const DELETION: Deletion = Deletion::Retain;

    fn endpoint(&self, cx: &Cx<'_>) -> Result<Endpoint, Wait> {
        let parent = portal_path(&self.spec.portal_ref, cx)?;
        Ok(Endpoint::Singleton { path: parent.then("authentication-settings"), parent })
    }

    fn desired(&self, cx: &Cx<'_>) -> Result<Desired, Wait> {
        let desired = Desired::of(&self.spec.settings, &[]).with_secrets(
            &[("oidc_client_secret_ref", "oidc_client_secret")],
            &[],
            cx,
        )?;
        Ok(Desired { rules: RULES, secrets: &["oidc_client_secret"], reset: at_first(), ..desired })
    }

    fn natural_key(&self) -> Option<String> {
        Some(self.spec.portal_ref.text(self.metadata.namespace.as_deref()))
    }

    /// What is written as `oidc_issuer` is read as `oidc_config.issuer`, and so on.
    fn normalize(mut object: Value) -> Value {
        let Some(settings) = object.as_object_mut() else { return object };
        if let Some(Value::Object(config)) = settings.remove("oidc_config") {
            settings.extend(config.into_iter().map(|(field, value)| (format!("oidc_{field}"), value)));
        }
        for flag in MAY_BE_LEFT_OUT {
            settings.entry(flag).or_insert(Value::Bool(false));
        }
        object
    }

    fn waits_for(refusal: &Refusal) -> Option<&'static str> {
        // The rule that comes with it is not documented, only the words: "cannot be enabled when no IdP is enabled".
        let is_it = refusal.status == 400 && refusal.fields.iter().any(|field| field.field == "idp_mapping_enabled");
        is_it.then_some("idpMappingEnabled waits for an identity provider: the portal has none that is enabled yet")
    }
}

/// The settings of a new portal.
fn at_first() -> Map<String, Value> {
    let off = FIRST_OFF.into_iter().map(|flag| (flag.to_owned(), Value::Bool(false)));
    off.chain([("basic_auth_enabled".to_owned(), Value::Bool(true))]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{engine::diff::diff, remote::FieldProblem};

    #[test]
    fn what_is_read_nested_equals_what_is_written_flat() {
        let spec = json!({
            "basicAuthEnabled": false,
            "idpMappingEnabled": false,
            "oidcIssuer": "https://idp.example.com",
            "oidcClientId": "portal",
            "oidcScopes": ["openid", "email"],
            "oidcClaimMappings": {"groups": "teams"},
        });
        let settings: PortalAuthenticationSettings = serde_json::from_value(spec).unwrap();
        let desired = Desired { rules: RULES, ..Desired::of(&settings, &[]) };
        let read = json!({
            "basic_auth_enabled": false,
            "oidc_auth_enabled": true,
            "oidc_team_mapping_enabled": false,
            "konnect_mapping_enabled": false,
            "oidc_config": {
                "issuer": "https://idp.example.com",
                "client_id": "portal",
                "scopes": ["email", "openid"],
                "claim_mappings": {"name": "name", "email": "email", "groups": "teams"},
            },
        });
        assert_eq!(diff(&desired, &PortalAuthentication::normalize(read)), []);
    }

    #[test]
    fn a_flag_that_an_answer_leaves_out_is_off() {
        let flags = PortalAuthentication::normalize(json!({"basic_auth_enabled": true, "saml_auth_enabled": true}));
        let expected = json!({"basic_auth_enabled": true, "saml_auth_enabled": true, "idp_mapping_enabled": false});
        assert_eq!(flags, expected);
        assert_eq!(PortalAuthentication::normalize(Value::Null), Value::Null);
    }

    #[test]
    fn only_the_mapping_of_groups_waits_for_an_identity_provider() {
        let refusal = |status: u16, field: &str| {
            let reason = "cannot be enabled when no IdP is enabled".to_owned();
            let fields = vec![FieldProblem { field: field.to_owned(), reason, rule: None }];
            Refusal { status, detail: "Invalid Parameters".to_owned(), fields }
        };
        let waits = |status, field| PortalAuthentication::waits_for(&refusal(status, field)).is_some();
        assert!(waits(400, "idp_mapping_enabled"));
        assert!(!waits(400, "oidc_issuer") && !waits(403, "idp_mapping_enabled"));
    }

    #[test]
    fn a_reset_switches_basic_authentication_on_and_everything_else_off() {
        let reset = at_first();
        assert_eq!(reset.len(), 6);
        assert!(reset.iter().all(|(flag, on)| *on == json!(flag == "basic_auth_enabled")));
    }
}
