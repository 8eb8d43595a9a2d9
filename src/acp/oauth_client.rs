use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    AcpConnection, AuthorizationServer, consent::PiiCategory, credentials::CredentialsSecret, public_key::PublicKeys,
};
use crate::{
    engine::{
        context::Cx,
        kind::{Desired, Endpoint, How, Identity, Kind, Output, Rules, Wait},
        reason::Reason,
        spec::{ConnectionRef, Lifecycle, Ref, SecretKeyRef},
        status::Status,
    },
    remote::{Path, Segment},
};

/// An OAuth2 client: an application that gets tokens of an authorization server.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "acp.portico.dev",
    version = "v1alpha1",
    kind = "OAuthClient",
    namespaced,
    status = "Status<OAuthClientExtra>",
    shortname = "oclient",
    doc = "An OAuth2 client of an authorization server of Cloudentity ACP."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.serverRef.id) == has(self.connectionRef)")
        .message("connectionRef goes with serverRef.id, and only with it: otherwise the server's connection is used"),
    validation = Rule::new("self.serverRef == oldSelf.serverRef || (has(self.lifecycle) && self.lifecycle.replace == 'Allow')")
        .message("serverRef cannot be changed: a client cannot move; set lifecycle.replace: Allow to delete it there and make it again"),
    validation = Rule::new("has(self.clientId) == has(oldSelf.clientId) && (!has(self.clientId) || self.clientId == oldSelf.clientId)")
        .message("clientId cannot be set, changed or removed later: a client keeps the id that it was made with"),
    validation = Rule::new("!(has(self.clientSecretRef) && has(self.credentialsSecret))")
        .message("give at most one of clientSecretRef (a secret of your own) and credentialsSecret (Portico makes one)"),
)]
pub struct OAuthClientSpec {
    /// The authorization server that the client belongs to: name for an AuthorizationServer resource, id for a server that Portico does not manage. Cannot be changed, except with `lifecycle.replace: Allow`.
    pub server_ref: Ref<AuthorizationServer>,
    /// The connection, where serverRef gives an id. Otherwise the server's own is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,
    /// The id to make the client under, which applications carry; 1 to 255 letters, digits, ".", "-", "_" and "~", not beginning with ".". Cannot be set, changed or removed later. Left out: an id that follows from the namespace and name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_~-][A-Za-z0-9._~-]*$"))]
    pub client_id: Option<String>,
    /// The name that users see when they are asked for consent, 1 to 255 characters. Left out: the name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub client_name: Option<String>,
    /// The Secret that receives the client's id, its secret, which Portico makes, and where to get tokens. Another secret is made for every new value of the annotation portico.dev/rotate. The Secret goes with the client, and stays where the client stays. Left out: no Secret is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<CredentialsSecret>,
    /// The fields that are the API's own.
    #[serde(flatten)]
    pub settings: OAuthClientSettings,
    /// How the client in ACP is treated through its life. Left out: created, kept as the spec says, and deleted with this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// What the API and the spec call the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuthClientSettings {
    /// The Secret that holds the client's secret, where you bring your own. Left out: not managed, unless credentialsSecret is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// What the client is; up to 4096 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// The ways in which the client may get tokens, in any order: `authorization_code`, `implicit`, `client_credentials`, `refresh_token`, `password`. [] clears them. Left out: not managed, at first authorization_code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), extend("items" = {"type": "string", "enum": ["authorization_code", "implicit", "client_credentials", "refresh_token", "password"]}))]
    pub grant_types: Option<Vec<String>>,
    /// What the authorization endpoint may answer the client, in any order: `token`, `id_token`, `code`. [] clears them. Left out: not managed, at first code where grantTypes is left out, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 3), extend("items" = {"type": "string", "enum": ["token", "id_token", "code"]}))]
    pub response_types: Option<Vec<String>>,
    /// The URLs that users may be sent back to, in any order, at most 64; [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 2048)))]
    pub redirect_uris: Option<Vec<String>>,
    /// The scopes that the client may ask for, by their names on the server, in any order, at most 256; [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 255)))]
    pub scopes: Option<Vec<String>>,
    /// For whom the client's tokens may be, in any order, at most 64; [] clears it. Left out: not managed, at first the client's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 2048)))]
    pub audience: Option<Vec<String>>,
    /// How the client shows at the token endpoint who it is: `client_secret_basic`, `client_secret_post`, `client_secret_jwt`, `private_key_jwt`, `self_signed_tls_client_auth`, `tls_client_auth` or `none`. Left out: not managed, at first client_secret_basic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "self_signed_tls_client_auth", "tls_client_auth", "none"]))]
    pub token_endpoint_auth_method: Option<String>,
    /// How what the client signs for the token endpoint is signed: `none`, `RS256`, `ES256`, `PS256` or `H256`. Left out: not managed, at first none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["none", "RS256", "ES256", "PS256", "H256"]))]
    pub token_endpoint_signing_alg: Option<String>,
    /// How the client's request objects are signed: `none`, `RS256`, `ES256`, `PS256` or `any`. Left out: not managed, at first none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["none", "RS256", "ES256", "PS256", "any"]))]
    pub request_object_signing_alg: Option<String>,
    /// How answers of the userinfo endpoint are signed: `none` (they are plain JSON), `RS256` or `ES256`. Left out: not managed, at first none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["none", "RS256", "ES256"]))]
    pub userinfo_signed_response_alg: Option<String>,
    /// The URLs of request objects, in any order, at most 64; [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 2048)))]
    pub request_uris: Option<Vec<String>>,
    /// The client's public keys; private ones do not belong into a resource. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<PublicKeys>,
    /// The URL of the client's public keys; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub jwks_uri: Option<String>,
    /// Whether the client cannot keep a secret, such as a page in a browser. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// Whether users are not asked for their consent. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted: Option<bool>,
    /// The URL of the client's home page; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub client_uri: Option<String>,
    /// The URL of the client's logo; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub logo_uri: Option<String>,
    /// The URL of what the client says on privacy; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub policy_uri: Option<String>,
    /// The URL of the client's terms of service; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub tos_uri: Option<String>,
    /// The https URL of a list of redirect URIs: clients with the same host there know a user by the same pseudonym. Up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub sector_identifier_uri: Option<String>,
    /// For mutual TLS: the subject that the client's certificate must have, such as CN=shop,O=Acme; up to 1024 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub tls_client_auth_subject_dn: Option<String>,
    /// For mutual TLS: the DNS name that the client's certificate must have; up to 255 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub tls_client_auth_san_dns: Option<String>,
    /// For mutual TLS: the e-mail address that the client's certificate must have; up to 255 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub tls_client_auth_san_email: Option<String>,
    /// For mutual TLS: the IP address that the client's certificate must have; up to 64 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub tls_client_auth_san_ip: Option<String>,
    /// For mutual TLS: the URI that the client's certificate must have; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub tls_client_auth_san_uri: Option<String>,
    /// Whether the client's tokens are good only together with its certificate. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_certificate_bound_access_tokens: Option<bool>,
    /// What users are told about their data. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,
}

/// What users are told about their data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Privacy {
    /// By the name of a scope, at most 256: what the client does with what the scope gives it. A scope that leaves it is removed, and {} clears it.
    #[schemars(extend("maxProperties" = 256))]
    pub scopes: BTreeMap<String, ScopePrivacy>,
}

/// What a client does with the data that a scope gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScopePrivacy {
    /// What the data is for; up to 1024 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub purpose: Option<String>,
    /// Which categories of personal data it is, at most 128; [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub pii_categories: Option<Vec<PiiCategory>>,
}

/// What only a client shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuthClientExtra {
    /// The id that applications present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// When ACP made the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<String>,
}

/// The fields whose keys stay as they are: those of keys have their names from RFC 7517, and scopes from the user.
const OWN_WORDS: &[&str] = &["jwks.keys", "privacy.scopes"];

const RULES: Rules = &[
    ("audience", How::Set),
    ("grant_types", How::Set),
    ("redirect_uris", How::Set),
    ("request_uris", How::Set),
    ("response_types", How::Set),
    ("scopes", How::Set),
    ("jwks.keys", How::Keyed("kid")),
    ("jwks.keys.x5c", How::Bytes),
    ("privacy.scopes", How::Map),
];

impl Kind for OAuthClient {
    type Connection = AcpConnection;
    type Extra = OAuthClientExtra;
    const IDENTITY: Identity = Identity::Derived;
    const ID: &'static str = "client_id";

    fn endpoint(&self, cx: &Cx<'_>) -> Result<Endpoint, Wait> {
        Ok(Endpoint::Keyed { path: Path::literal("/clients"), listing: self.server(cx)?.then("clients") })
    }

    fn desired(&self, cx: &Cx<'_>) -> Result<Desired, Wait> {
        let desired = Desired::of(&self.spec.settings, OWN_WORDS)
            .set("client_name", self.spec.client_name.clone().unwrap_or_else(|| self.name_any()))
            .maybe("authorization_server_id", self.server(cx)?.last().as_ref())
            .with_secrets(&[("client_secret_ref", "client_secret")], OWN_WORDS, cx)?;
        Ok(Desired {
            rules: RULES,
            // The rest is what a private key has: a stranger may put one among the public ones.
            secrets: &["client_secret", "client_hashed_secret", "d", "p", "q", "dp", "dq", "qi", "oth", "k"],
            // `scope` says once more what `scopes` says, as it was before.
            unsent: &["scope", "tenant_id", "client_hashed_secret"],
            fixed: &["authorization_server_id"],
            ..desired
        })
    }

    fn collection() -> Option<Path> {
        Some(Path::literal("/clients"))
    }

    fn chosen_id(&self) -> Option<String> {
        self.spec.client_id.clone()
    }

    fn is_built_in(object: &Value) -> bool {
        object["system"] == true
    }

    fn observe(object: &Value, extra: &mut OAuthClientExtra) {
        let issued = object["client_id_issued_at"].as_i64().filter(|seconds| *seconds > 0);
        let issued = issued.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        extra.issued_at = issued.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true));
        extra.client_id = object["client_id"].as_str().map(str::to_owned);
    }

    fn output_secret(&self) -> Option<String> {
        self.spec.credentials_secret.as_ref().map(|secret| secret.name.clone())
    }

    fn output(&self, id: &str, cx: &Cx<'_>) -> Result<Output, Wait> {
        let secret =
            self.spec.credentials_secret.as_ref().ok_or_else(|| Wait::invalid("credentialsSecret is not given"))?;
        Ok(secret.output(id, &self.issuer_url(cx)?))
    }
}

impl OAuthClient {
    fn server(&self, cx: &Cx<'_>) -> Result<Path, Wait> {
        Ok(Path::literal("/servers").child(&cx.parent(&self.spec.server_ref)?))
    }

    /// The issuer that the server shows. Of a server that is no resource, the one that ACP makes up.
    fn issuer_url(&self, cx: &Cx<'_>) -> Result<String, Wait> {
        if let Some(shown) = cx.extra(&self.spec.server_ref).and_then(|server| server.issuer_url) {
            return Ok(shown);
        }
        let server = cx.parent(&self.spec.server_ref)?;
        let field = |name: &str| {
            let unknown = || Wait::new(Reason::ConnectionNotReady, format!("the connection's {name} is not known yet"));
            cx.connection_field::<AcpConnection>(name).ok_or_else(unknown)
        };
        let tenant = Segment::new(&field("tenant")?).map_err(Wait::invalid)?;
        Ok(format!("{}/{tenant}/{server}", field("url")?.trim_end_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_body_has_the_apis_words_and_names_of_scopes_and_members_of_keys_stay() {
        let key = json!({"kid": "a", "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "x5t#S256": "x"});
        let spec = json!({
            "redirectUris": ["https://shop.example.com"],
            "tlsClientAuthSanDns": "shop.example.com",
            "clientSecretRef": {"name": "s", "key": "k"},
            "jwks": {"keys": [key]},
            "privacy": {"scopes": {"readAll": {"purpose": "Delivery", "piiCategories": [{"name": "Address"}]}}},
        });
        let settings: OAuthClientSettings = serde_json::from_value(spec).unwrap();
        assert_eq!(
            Value::Object(Desired::of(&settings, OWN_WORDS).body),
            json!({
                "redirect_uris": ["https://shop.example.com"],
                "tls_client_auth_san_dns": "shop.example.com",
                "client_secret_ref": {"name": "s", "key": "k"},
                "jwks": {"keys": [key]},
                "privacy": {"scopes": {"readAll": {"purpose": "Delivery", "pii_categories": [{"name": "Address"}]}}},
            })
        );
    }

    #[test]
    fn a_private_key_has_no_place_in_a_spec() {
        let private =
            json!({"kid": "a", "kty": "RSA", "use": "sig", "alg": "RS256", "n": "0vx7", "d": "X4cT", "k": "G"});
        let settings: OAuthClientSettings = serde_json::from_value(json!({"jwks": {"keys": [private]}})).unwrap();
        let body = Value::Object(Desired::of(&settings, OWN_WORDS).body);
        assert_eq!((&body["jwks"]["keys"][0]["d"], &body["jwks"]["keys"][0]["k"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn the_status_shows_when_a_client_was_made() {
        let mut extra = OAuthClientExtra::default();
        OAuthClient::observe(&json!({"client_id": "shop", "client_id_issued_at": 1_700_000_000}), &mut extra);
        assert_eq!(extra.client_id.as_deref(), Some("shop"));
        assert_eq!(extra.issued_at.as_deref(), Some("2023-11-14T22:13:20Z"));
    }
}
