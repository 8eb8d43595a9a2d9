use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AcpConnection, authentication::Authentications};
use crate::{
    engine::{
        context::Cx,
        kind::{Desired, Endpoint, How, Identity, Kind, Rules, View, Wait},
        spec::{AllowedNamespaces, ConnectionRef, Lifecycle, SecretKeyRef},
        status::Status,
    },
    remote::Path,
};

/// An authorization server: an issuer of tokens, with clients and ways to sign in of its own.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "acp.portico.dev",
    version = "v1alpha1",
    kind = "AuthorizationServer",
    namespaced,
    status = "Status<AuthorizationServerExtra>",
    shortname = "acpserver",
    doc = "An authorization server in a tenant of Cloudentity ACP."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.id) == has(oldSelf.id) && (!has(self.id) || self.id == oldSelf.id)")
        .message("id cannot be set, changed or removed later: a server keeps the id that it was made with"),
    validation = Rule::new("has(self.keyType) == has(oldSelf.keyType) && (!has(self.keyType) || self.keyType == oldSelf.keyType)")
        .message("keyType cannot be set, changed or removed later: it says which key a server is made with"),
)]
pub struct AuthorizationServerSpec {
    /// The connection to the tenant that the server is in. It may be changed to another connection of the same tenant and persona; with one of another the resource says ImmutableFieldChanged until the old one is named again, or the resource is made again.
    pub connection_ref: ConnectionRef,
    /// The id to make the server under, which its issuer URL carries; 1 to 255 letters, digits, ".", "-", "_" and "~", not beginning with ".". Cannot be set, changed or removed later. Left out: an id that follows from the namespace and name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_~-][A-Za-z0-9._~-]*$"))]
    pub id: Option<String>,
    /// The server's name, 1 to 255 characters. Left out: the name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub name: Option<String>,
    /// What kind of key the server is made with to sign its tokens: `rsa` or `ecdsa`. Cannot be set, changed or removed later. Left out: ACP's to choose, rsa.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["rsa", "ecdsa"]))]
    pub key_type: Option<String>,
    /// The policy that developers must satisfy. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub developer_policy_ref: Option<PolicyRef>,
    /// The policy that users must satisfy. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_policy_ref: Option<PolicyRef>,
    /// The fields that are the API's own.
    #[serde(flatten)]
    pub settings: AuthorizationServerSettings,
    /// From which namespaces resources may refer to this server. Left out: only its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// How the server in ACP is treated through its life. Left out: created, kept as the spec says, and deleted with this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// A policy of the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyRef {
    /// The id that the policy has in ACP, such as `block_login_user`; up to 255 characters, "" for no policy.
    #[schemars(length(max = 255))]
    pub id: String,
}

/// What the API and the spec call the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationServerSettings {
    /// The issuer that tokens name, a URL of up to 2048 characters. Left out: not managed; ACP makes it from its own URL, the tenant and the server's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub issuer_url: Option<String>,
    /// The URL of a logo; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub logo_uri: Option<String>,
    /// How long an access token is good, such as 90m or 1h30m. Left out: not managed, at first 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub access_token_ttl: Option<String>,
    /// How long an authorization code is good, such as 90s or 10m. Left out: not managed, at first 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub authorization_code_ttl: Option<String>,
    /// How long an id token is good, such as 90m or 1h30m. Left out: not managed, at first 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub id_token_ttl: Option<String>,
    /// How long a refresh token is good, such as 24h or 720h. Left out: not managed, at first 720h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub refresh_token_ttl: Option<String>,
    /// How long a browser stays signed in, such as 90m or 8h. Left out: not managed, at first 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub cookie_max_age: Option<String>,
    /// The ways in which clients may get tokens, in any order: `authorization_code`, `implicit`, `client_credentials`, `refresh_token`, `password`. [] clears them. Left out: not managed, at first all but password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), extend("items" = {"type": "string", "enum": ["authorization_code", "implicit", "client_credentials", "refresh_token", "password"]}))]
    pub grant_types: Option<Vec<String>>,
    /// Whether every authorization code must be asked for with PKCE. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce_pkce: Option<bool>,
    /// Whether clients may register by themselves. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_dynamic_client_registration: Option<bool>,
    /// The profiles that the server conforms to: `fapi_rw`, the Financial-grade API for reading and writing. [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1), extend("items" = {"type": "string", "enum": ["fapi_rw"]}))]
    pub profiles: Option<Vec<String>>,
    /// The Secret that holds what tokens are hashed with, at least 32 characters; with another, tokens that are out are good no more. Left out: not managed, ACP makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// How users sign in. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentications: Option<Authentications>,
}

/// A duration as Go reads it. A rule takes the place of a pattern, for its message shows the form.
fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 64,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$')",
            "message": "duration must look like 90m or 1h30m",
        }],
    })
}

/// What only an authorization server shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationServerExtra {
    /// The issuer that the server's tokens name; /oauth2/token below it is where clients get them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_url: Option<String>,
    /// The dashboards of ACP that show what the server does, as of the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dashboards: Option<Dashboards>,
}

/// Links to the dashboards of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dashboards {
    /// Whether there are dashboards.
    #[serde(default)]
    pub enabled: bool,
    /// The tenant's business dashboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_business_url: Option<String>,
    /// The tenant's threat dashboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_threat_url: Option<String>,
    /// A business dashboard with sample data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_business_url: Option<String>,
    /// A threat dashboard with sample data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_threat_url: Option<String>,
}

/// What is the user's own, with everything in it: what is known of a user.
const OWN_WORDS: &[&str] = &["authentications.methods.static.users.authentication_context.**"];

const RULES: Rules = &[
    ("access_token_ttl", How::Duration),
    ("authorization_code_ttl", How::Duration),
    ("cookie_max_age", How::Duration),
    ("id_token_ttl", How::Duration),
    ("refresh_token_ttl", How::Duration),
    ("grant_types", How::Set),
    ("profiles", How::Set),
    ("authentications.methods", How::Keyed("id")),
    ("authentications.methods.attributes", How::Keyed("name")),
    ("authentications.methods.azure.scopes", How::Set),
    ("authentications.methods.cognito.scopes", How::Set),
    ("authentications.methods.oidc.scopes", How::Set),
    ("authentications.methods.static.users", How::Keyed("username")),
    ("authentications.methods.static.users.authentication_context", How::Exact),
];

impl Kind for AuthorizationServer {
    type Connection = AcpConnection;
    type Extra = AuthorizationServerExtra;
    const IDENTITY: Identity = Identity::Derived;

    fn endpoint(&self, _: &Cx<'_>) -> Result<Endpoint, Wait> {
        let path = Path::literal("/servers");
        Ok(Endpoint::Keyed { listing: path.clone(), path })
    }

    fn desired(&self, cx: &Cx<'_>) -> Result<Desired, Wait> {
        let spec = &self.spec;
        let desired = Desired::of(&spec.settings, OWN_WORDS)
            .set("name", spec.name.clone().unwrap_or_else(|| self.name_any()))
            .maybe("developer_policy_id", spec.developer_policy_ref.as_ref().map(|policy| &policy.id))
            .maybe("user_policy_id", spec.user_policy_ref.as_ref().map(|policy| &policy.id))
            .initially("key_type", spec.key_type.as_ref())
            .with_secrets(
                &[
                    ("client_secret_ref", "client_secret"),
                    ("password_secret_ref", "password"),
                    ("secret_ref", "secret"),
                ],
                OWN_WORDS,
                cx,
            )?;
        Ok(Desired {
            rules: RULES,
            // The last two are never in a spec; where a server is shown whole, nobody may see them either.
            secrets: &["client_secret", "password", "secret", "jwks", "rotated_secrets"],
            unsent: &["tenant_id", "system"],
            alone: Some("authentications"),
            ..desired
        })
    }

    fn chosen_id(&self) -> Option<String> {
        self.spec.id.clone()
    }

    fn is_built_in(object: &Value) -> bool {
        object["system"] == true
    }

    fn observe(object: &Value, extra: &mut AuthorizationServerExtra) {
        extra.issuer_url = text(object, "issuer_url");
    }

    fn views() -> &'static [View<AuthorizationServerExtra>] {
        VIEWS
    }
}

const VIEWS: &[View<AuthorizationServerExtra>] = &[View { word: "dashboards", show: show_dashboards }];

fn show_dashboards(answer: &Value, extra: &mut AuthorizationServerExtra) {
    extra.dashboards = Some(Dashboards {
        enabled: answer["enabled"].as_bool().unwrap_or_default(),
        tenant_business_url: text(answer, "tenant_business_url"),
        tenant_threat_url: text(answer, "tenant_threat_url"),
        sample_business_url: text(answer, "sample_business_url"),
        sample_threat_url: text(answer, "sample_threat_url"),
    });
}

fn text(object: &Value, field: &str) -> Option<String> {
    object[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_body_has_the_apis_words_and_a_users_context_keeps_its_own() {
        let context = json!({"postalCode": "1", "homeAddress": {"streetName": {"houseNumber": [{"isEven": true}]}}});
        let password = json!({"name": "s", "key": "k"});
        let user = json!({"username": "ann", "passwordSecretRef": password, "authenticationContext": context});
        let method = json!({"id": "local", "name": "Local", "method": "static", "static": {"users": [user]}});
        let spec = json!({"accessTokenTtl": "90m", "enforcePkce": true, "authentications": {"methods": [method]}});
        let settings: AuthorizationServerSettings = serde_json::from_value(spec).unwrap();
        let user = json!({"username": "ann", "password_secret_ref": password, "authentication_context": context});
        let method = json!({"id": "local", "name": "Local", "method": "static", "static": {"users": [user]}});
        assert_eq!(
            Value::Object(Desired::of(&settings, OWN_WORDS).body),
            json!({"access_token_ttl": "90m", "enforce_pkce": true, "authentications": {"methods": [method]}})
        );
    }
}
