use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{KonnectConnection, Portal, portal_authentication::ClaimMappings, portal_path};
use crate::{
    engine::{
        context::Cx,
        kind::{Desired, Endpoint, How, Identity, Kind, Rules, Wait},
        spec::{ConnectionRef, Lifecycle, Ref, SecretKeyRef},
        status::Status,
    },
    remote::Refusal,
};

/// An identity provider of a portal.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "konnect.portico.dev",
    version = "v1alpha1",
    kind = "PortalIdentityProvider",
    namespaced,
    status = "Status<PortalIdentityProviderExtra>",
    shortname = "kidp",
    doc = "An identity provider, by OpenID Connect or SAML, through which developers sign in to a Konnect portal. A portal has at most one of each type."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.portalRef.id) == has(self.connectionRef)")
        .message("connectionRef goes with portalRef.id, and only with it: otherwise the portal's connection is used"),
    validation = Rule::new("self.portalRef == oldSelf.portalRef || (has(self.lifecycle) && self.lifecycle.replace == 'Allow')")
        .message("portalRef cannot be changed: an identity provider cannot move; set lifecycle.replace: Allow to delete it there and make it again"),
    validation = Rule::new("self.type == oldSelf.type || (has(self.lifecycle) && self.lifecycle.replace == 'Allow')")
        .message("type cannot be changed: an identity provider keeps its type; set lifecycle.replace: Allow to delete it and make it again"),
    validation = Rule::new("self.type != 'oidc' || (has(self.config.issuerUrl) && has(self.config.clientId) && !has(self.config.idpMetadataUrl) && !has(self.config.idpMetadataXml))")
        .message("with type: oidc, config has issuerUrl and clientId, and neither idpMetadataUrl nor idpMetadataXml"),
    validation = Rule::new("self.type != 'saml' || !(has(self.config.issuerUrl) || has(self.config.clientId) || has(self.config.clientSecretRef) || has(self.config.scopes) || has(self.config.claimMappings))")
        .message("with type: saml, config has idpMetadataUrl or idpMetadataXml, and nothing else"),
)]
pub struct PortalIdentityProviderSpec {
    /// The portal that developers sign in to: name for a Portal resource, id for a portal that Portico does not manage. Cannot be changed, except with `lifecycle.replace: Allow`.
    pub portal_ref: Ref<Portal>,
    /// The connection, where portalRef gives an id. Otherwise the portal's own is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,
    /// How the provider speaks: `oidc` (OpenID Connect) or `saml`. A portal has at most one provider of each type. Cannot be changed, except with `lifecycle.replace: Allow`.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["oidc", "saml"]))]
    pub type_: String,
    /// Whether developers may sign in through the provider. Of a portal's providers only one can be enabled: this one waits while another is. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Where the provider is, and as whom the portal speaks to it. Which fields it has depends on the type.
    pub config: IdentityProviderConfig,
    /// How the provider in Konnect is treated through its life. Left out: created, kept as the spec says, and deleted with this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// Where a provider is, and as whom the portal speaks to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityProviderConfig {
    /// Of type oidc, required: the provider's issuer URL, up to 2048 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub issuer_url: Option<String>,
    /// Of type oidc, required: the id of the client that the provider knows the portal as; 1 to 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub client_id: Option<String>,
    /// Of type oidc: the Secret that holds the secret of that client. Konnect never shows it: it is sent again when the Secret changes. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// Of type oidc: the scopes that the provider is asked for, in any order, at most 64. Left out: not managed, at first email, openid and profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub scopes: Option<Vec<String>>,
    /// Of type oidc: which claims of the provider's tokens say who a developer is. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_mappings: Option<ClaimMappings>,
    /// Of type saml: the URL of the provider's metadata; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub idp_metadata_url: Option<String>,
    /// Of type saml: the provider's metadata itself, where it is served under no URL; up to 262144 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub idp_metadata_xml: Option<String>,
}

/// What only an identity provider shows: of type saml, what the other side must know of the portal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortalIdentityProviderExtra {
    /// Of type saml: where the portal's metadata is, as a path on the portal's own host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sp_metadata_url: Option<String>,
    /// Of type saml: the entity id that the provider knows the portal by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sp_entity_id: Option<String>,
    /// Of type saml: where the provider sends developers back to, as a path on the portal's own host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

const RULES: Rules = &[("config.scopes", How::Set)];

/// What the API says of itself within a config.
const READ_ONLY: [&str; 3] = ["callback_url", "sp_entity_id", "sp_metadata_url"];

impl Kind for PortalIdentityProvider {
    type Connection = KonnectConnection;
    type Extra = PortalIdentityProviderExtra;
    // Providers have no labels, and there may be a stranger's of the type.
    const IDENTITY: Identity = Identity::Intent;
    const KEY: &'static str = "type";
    const BARE_LISTING: bool = true;

    fn endpoint(&self, cx: &Cx<'_>) -> Result<Endpoint, Wait> {
        let portal = portal_path(&self.spec.portal_ref, cx)?;
        Ok(Endpoint::Collection { path: portal.then("identity-providers") })
    }

    fn desired(&self, cx: &Cx<'_>) -> Result<Desired, Wait> {
        let config = Desired::of(&self.spec.config, &[])
            .with_secrets(&[("client_secret_ref", "client_secret")], &[], cx)?
            .body
            .into_iter()
            // What is cleared is left out of the config that takes the old one's place.
            .map(|(field, value)| (field, if value.as_str() == Some("") { Value::Null } else { value }));
        let desired = Desired::new()
            .set("type", self.spec.type_.as_str())
            .set("config", config.collect::<Map<String, Value>>())
            .maybe("enabled", self.spec.enabled.as_ref());
        Ok(Desired {
            rules: RULES,
            secrets: &["client_secret"],
            fixed: &["type"],
            // A portal has one of each type: the type alone would make a stranger's provider equal to what was sent.
            telling: &["config.issuer_url", "config.client_id", "config.idp_metadata_url", "config.idp_metadata_xml"],
            // The contract: versions of the API before 2025-06-19 do not know it in a create.
            later: &["enabled"],
            ..desired
        })
    }

    fn natural_key(&self) -> Option<String> {
        Some(self.spec.type_.clone())
    }

    /// The contract leaves open whether the API refuses to enable a second one or silently disables the first: then two would take turns.
    fn exclusive(&self) -> Option<&'static str> {
        (self.spec.enabled == Some(true)).then_some("enabled")
    }

    /// A config is taken whole, and refused with an empty text in it, which the API itself may show (Kong/terraform-provider-konnect#419).
    fn patched(mut body: Map<String, Value>) -> Map<String, Value> {
        if let Some(Value::Object(config)) = body.get_mut("config") {
            config.retain(|field, value| {
                !READ_ONLY.contains(&field.as_str()) && !value.is_null() && value.as_str() != Some("")
            });
        }
        body
    }

    fn observe(object: &Value, extra: &mut PortalIdentityProviderExtra) {
        let shown = |field: &str| {
            let text = object["config"][field].as_str();
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        extra.sp_metadata_url = shown("sp_metadata_url");
        extra.sp_entity_id = shown("sp_entity_id");
        extra.callback_url = shown("callback_url");
    }

    fn waits_for(refusal: &Refusal) -> Option<&'static str> {
        let names = |name: &str| refusal.status == 400 && refusal.fields.iter().any(|field| field.field == name);
        if names("idp_mapping_enabled") {
            Some("groups are mapped through this provider; this waits until the portal's idpMappingEnabled is off")
        } else if names("enabled") {
            Some("another identity provider of the portal is enabled; this one waits until that one is not")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(body: Value) -> Value {
        match body {
            Value::Object(body) => Value::Object(PortalIdentityProvider::patched(body)),
            _ => panic!("not a body"),
        }
    }

    #[test]
    fn neither_what_is_empty_nor_what_only_the_api_says_is_sent_in_a_config() {
        let read = json!({
            "idp_metadata_url": "https://idp.example.com/metadata",
            "idp_metadata_xml": "",
            "sp_metadata_url": "/saml/metadata",
            "sp_entity_id": "urn:portal",
            "callback_url": "/saml/callback",
        });
        let sent = json!({"config": {"idp_metadata_url": "https://idp.example.com/metadata"}});
        assert_eq!(patched(json!({"config": read})), sent);
        assert_eq!(patched(json!({"config": {"idp_metadata_url": null}})), json!({"config": {}}));
        assert_eq!(patched(json!({"enabled": true})), json!({"enabled": true}));
    }

    #[test]
    fn only_who_says_that_it_is_to_be_enabled_is_in_anothers_way() {
        let exclusive = |enabled: Value| {
            let spec = json!({"portalRef": {"name": "docs"}, "type": "saml", "enabled": enabled, "config": {}});
            let manifest = json!({
                "apiVersion": "konnect.portico.dev/v1alpha1",
                "kind": "PortalIdentityProvider",
                "metadata": {"name": "work"},
                "spec": spec,
            });
            serde_json::from_value::<PortalIdentityProvider>(manifest).unwrap().exclusive()
        };
        assert_eq!(exclusive(json!(true)), Some("enabled"));
        assert_eq!(exclusive(json!(false)), None);
        assert_eq!(exclusive(Value::Null), None);
    }

    #[test]
    fn the_config_has_the_apis_words() {
        let spec = json!({
            "issuerUrl": "https://idp.example.com",
            "clientId": "portal",
            "claimMappings": {"groups": "teams"},
            "idpMetadataXml": "<x/>",
        });
        let config: IdentityProviderConfig = serde_json::from_value(spec).unwrap();
        let expected = json!({
            "issuer_url": "https://idp.example.com",
            "client_id": "portal",
            "claim_mappings": {"groups": "teams"},
            "idp_metadata_xml": "<x/>",
        });
        assert_eq!(Value::Object(Desired::of(&config, &[]).body), expected);
    }

    #[test]
    fn the_status_shows_what_the_other_side_of_saml_must_know() {
        let mut extra = PortalIdentityProviderExtra::default();
        let config = json!({"sp_entity_id": "urn:portal", "callback_url": "/saml/callback", "sp_metadata_url": ""});
        PortalIdentityProvider::observe(&json!({"type": "saml", "config": config}), &mut extra);
        assert_eq!(extra.sp_entity_id.as_deref(), Some("urn:portal"));
        assert_eq!(extra.callback_url.as_deref(), Some("/saml/callback"));
        assert_eq!(extra.sp_metadata_url, None);
    }
}
