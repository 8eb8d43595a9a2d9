//! How users sign in at an authorization server: the part of its spec that is nested deepest.
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::spec::SecretKeyRef;

/// How users sign in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authentications {
    /// The ways to sign in, known by their ids, at most 32. Where there is one, users are sent to it at once; of several they choose one. The list is managed whole: a method that leaves it leaves the server, and [] removes all.
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub methods: Vec<Authentication>,
}

/// One way to sign in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.method == 'oidc' && has(self.oidc)) || (self.method == 'static' && has(self.static)) || (self.method == 'custom' && has(self.custom)) || (self.method == 'azure' && has(self.azure)) || (self.method == 'cognito' && has(self.cognito))")
    .message("a method goes with its settings, which stand under its name: oidc, static, custom, azure or cognito"))]
pub struct Authentication {
    /// What the method is known by on its server; 1 to 255 characters. Another id is another method.
    #[schemars(length(min = 1, max = 255))]
    pub id: String,
    /// The name that users see where they choose among several methods; 1 to 255 characters.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// What kind of method it is: `oidc` (an OpenID Connect provider), `static` (users listed here, for demonstrations and tests), `custom` (a login page of your own), `azure` (Azure Active Directory) or `cognito` (Amazon Cognito). Its settings stand in the field of the same name.
    #[schemars(extend("enum" = ["oidc", "static", "custom", "azure", "cognito"]))]
    pub method: String,
    /// Whether nobody can sign in by this method for the time being. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// What the method knows of a user, known by their names, at most 128; [] clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub attributes: Option<Vec<Attribute>>,
    /// Which of the attributes go where in the user's identity context, at most 128; [] clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub mappings: Option<Vec<Mapping>>,
    /// The settings of the method `oidc`. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcAuthentication>,
    /// The settings of the method `static`. Left out: not managed.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    pub static_: Option<StaticAuthentication>,
    /// The settings of the method `custom`. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomAuthentication>,
    /// The settings of the method `azure`. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureAuthentication>,
    /// The settings of the method `cognito`. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cognito: Option<CognitoAuthentication>,
}

/// Something that a method knows of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attribute {
    /// The technical name, such as `email`; 1 to 255 characters.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// The name that people see; up to 1024 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
}

/// From an attribute to the identity context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mapping {
    /// The path of what is copied, such as `email`; `.` copies everything. 1 to 255 characters.
    #[schemars(length(min = 1, max = 255))]
    pub source: String,
    /// Where it goes in the identity context, such as `contact.email`; `.` is its top. 1 to 255 characters.
    #[schemars(length(min = 1, max = 255))]
    pub target: String,
}

/// An OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OidcAuthentication {
    /// The provider's issuer URL; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub issuer_url: Option<String>,
    /// The id of the client that the provider knows ACP as; up to 255 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub client_id: Option<String>,
    /// The Secret that holds this client's secret. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// The URL that the provider sends users back to; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub redirect_url: Option<String>,
    /// The scopes that the provider is asked for, in any order, at most 64; [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub scopes: Option<Vec<String>>,
    /// Whether more attributes are fetched from the provider's userinfo endpoint. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_user_info: Option<bool>,
}

/// Azure Active Directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureAuthentication {
    /// The id of the Azure tenant; up to 255 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub tenant: Option<String>,
    /// The id of the client that Azure knows ACP as; up to 255 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub client_id: Option<String>,
    /// The Secret that holds this client's secret. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// The URL that Azure sends users back to; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub redirect_url: Option<String>,
    /// The scopes that Azure is asked for, in any order, at most 64; [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub scopes: Option<Vec<String>>,
    /// Whether more of a user is fetched from Microsoft Graph. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_user: Option<bool>,
    /// Whether a user's groups are fetched. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch_groups: Option<bool>,
    /// Whether only security groups are among them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_security_groups: Option<bool>,
    /// How groups are written: `id` or `name`. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["id", "name"]))]
    pub group_name_format: Option<String>,
}

/// Amazon Cognito.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CognitoAuthentication {
    /// The AWS region of the user pool, such as eu-west-1; up to 64 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub region: Option<String>,
    /// The id of the user pool; up to 255 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub pool_id: Option<String>,
    /// The id of the client that Cognito knows ACP as; up to 255 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub client_id: Option<String>,
    /// The Secret that holds this client's secret. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// The URL that Cognito sends users back to; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub redirect_url: Option<String>,
    /// The scopes that Cognito is asked for, in any order, at most 64; [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub scopes: Option<Vec<String>>,
    /// Whether more of a user is fetched from Cognito's userinfo endpoint. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_user_info: Option<bool>,
}

/// A login page of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomAuthentication {
    /// The URL of the login page that users are sent to; up to 2048 characters, "" clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub login_url: Option<String>,
}

/// Users that the server knows by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StaticAuthentication {
    /// Whether the login page shows a hint on how to sign in. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<bool>,
    /// The users, known by their names, at most 256. The list is managed whole: a user who leaves it leaves the server, and [] removes all. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["username"]))]
    pub users: Option<Vec<StaticUser>>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StaticUser {
    /// The name that the user signs in with; 1 to 255 characters. Another name is another user.
    #[schemars(length(min = 1, max = 255))]
    pub username: String,
    /// The Secret that holds the user's password. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeyRef>,
    /// What is known of the user, such as `email: ann@example.com`: any keys and values, sent as they are; a key that leaves it is removed, and {} clears it. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_form")]
    pub authentication_context: Option<Map<String, Value>>,
}

fn free_form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
