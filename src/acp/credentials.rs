//! The Secret that receives a client's credentials.
use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{desired::Generated, kind::Output};

/// A Secret that Portico writes, and the keys in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.keys.clientId != self.keys.clientSecret && self.keys.issuerUrl != self.keys.tokenUrl && !([self.keys.clientId, self.keys.clientSecret].exists(key, key == self.keys.issuerUrl || key == self.keys.tokenUrl)) && !([self.keys.clientId, self.keys.issuerUrl, self.keys.tokenUrl].exists(key, key == 'pending_' + self.keys.clientSecret))")
    .message("keys must differ from each other, and from pending_ and clientSecret: each value needs a place of its own"))]
pub struct CredentialsSecret {
    /// The name of the Secret, in the namespace of this resource. It must not exist yet, or be this resource's already: a Secret of someone else is left alone. With another name the credentials move there, and the Secret of before goes.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// The keys under which the values stand in the Secret. Left out: client_id, client_secret, issuer_url and token_url.
    #[serde(default)]
    pub keys: CredentialKeys,
}

/// The keys of a Secret with credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CredentialKeys {
    /// The key that holds the client's id. Left out: `client_id`.
    #[schemars(length(min = 1, max = 240), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub client_id: String,
    /// The key that holds the client's secret. While the secret is rotated, the next one stands under `pending_` and this key. Left out: `client_secret`.
    #[schemars(length(min = 1, max = 240), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub client_secret: String,
    /// The key that holds the issuer's URL. Left out: `issuer_url`.
    #[schemars(length(min = 1, max = 240), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub issuer_url: String,
    /// The key that holds the URL of the token endpoint. Left out: `token_url`.
    #[schemars(length(min = 1, max = 240), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub token_url: String,
}

impl Default for CredentialKeys {
    fn default() -> Self {
        Self {
            client_id: "client_id".to_owned(),
            client_secret: "client_secret".to_owned(),
            issuer_url: "issuer_url".to_owned(),
            token_url: "token_url".to_owned(),
        }
    }
}

impl CredentialsSecret {
    /// What stands in the Secret: the client with this id, of this issuer.
    #[must_use]
    pub fn output(&self, id: &str, issuer_url: &str) -> Output {
        let keys = &self.keys;
        let values = [
            (&keys.client_id, id.to_owned()),
            (&keys.issuer_url, issuer_url.to_owned()),
            (&keys.token_url, format!("{}/oauth2/token", issuer_url.trim_end_matches('/'))),
        ];
        Output {
            values: BTreeMap::from(values.map(|(key, value)| (key.clone(), value))),
            generated: Generated { field: "client_secret", key: keys.client_secret.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_keys_are_configurable_one_by_one() {
        let secret = json!({"name": "shop", "keys": {"tokenUrl": "url"}});
        let secret: CredentialsSecret = serde_json::from_value(secret).unwrap();
        let output = secret.output("id", "https://a.example.com/t/s/");
        assert_eq!(
            json!(output.values),
            json!({
                "client_id": "id",
                "issuer_url": "https://a.example.com/t/s/",
                "url": "https://a.example.com/t/s/oauth2/token",
            })
        );
        assert_eq!((secret.name.as_str(), output.generated.key.as_str()), ("shop", "client_secret"));
    }
}
