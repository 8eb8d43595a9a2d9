//! The secrets that were accepted, made or returned, and how they are covered in what is written down.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

/// Shorter secrets are covered only where they are a whole text: they would be found in everything.
const TELLING: usize = 8;
/// Members of a body that hold a secret, also where the body was refused.
const MEMBERS: [&str; 9] = [
    "access_token",
    "client_hashed_secret",
    "client_secret",
    "custom_private_key",
    "oidc_client_secret",
    "password",
    "refresh_token",
    "rotated_secrets",
    "secret",
];
/// Members of a JSON Web Key that are not for the public.
const PRIVATE: [&str; 7] = ["d", "dp", "dq", "k", "p", "q", "qi"];

/// Every secret that is known. Looking for them all in a text takes a time that does not depend on their number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    all: BTreeSet<String>,
    /// Those that may stand within a longer text, by their first bytes.
    telling: HashMap<[u8; TELLING], Vec<String>>,
}

impl Secrets {
    pub(crate) fn insert(&mut self, secret: &str) {
        if secret.is_empty() || self.all.contains(secret) {
            return;
        }
        if let Some(start) = secret.as_bytes().first_chunk() {
            self.telling.entry(*start).or_default().push(secret.to_owned());
        }
        self.all.insert(secret.to_owned());
    }

    /// Takes up every secret of a body.
    pub(crate) fn collect(&mut self, body: &Value) {
        match body {
            Value::Array(items) => {
                for item in items {
                    self.collect(item);
                }
            }
            Value::Object(members) => {
                let key = members.contains_key("kty");
                for (name, member) in members {
                    if is_secret(name, key) { self.take(member) } else { self.collect(member) }
                }
            }
            _ => {}
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &String> {
        self.all.iter()
    }

    /// Replaces the secrets in a body by as many `*`.
    pub(crate) fn mask(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.masked(text),
            Value::Array(items) => {
                for item in items {
                    self.mask(item);
                }
            }
            Value::Object(members) => {
                let key = members.contains_key("kty");
                for (name, member) in members {
                    if is_secret(name, key) { cover(member) } else { self.mask(member) }
                }
            }
            _ => {}
        }
    }

    /// The text with as many `*` in the place of each secret.
    pub(crate) fn masked(&self, text: &str) -> String {
        if self.all.contains(text) {
            return stars(text);
        }
        let mut masked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let length = if let Some(secret) = self.at_the_start(rest) {
                masked.push_str(&stars(secret));
                secret.len()
            } else {
                masked.push(letter);
                letter.len_utf8()
            };
            rest = &rest[length..];
        }
        masked
    }

    /// The longest secret that a text starts with.
    fn at_the_start(&self, text: &str) -> Option<&String> {
        let candidates = self.telling.get(text.as_bytes().first_chunk::<TELLING>()?)?;
        candidates.iter().filter(|secret| text.starts_with(secret.as_str())).max_by_key(|secret| secret.len())
    }

    fn take(&mut self, value: &Value) {
        match value {
            Value::String(secret) => self.insert(secret),
            Value::Array(items) => {
                for item in items {
                    self.take(item);
                }
            }
            other => self.collect(other),
        }
    }
}

fn is_secret(member: &str, of_a_key: bool) -> bool {
    MEMBERS.contains(&member) || (of_a_key && PRIVATE.contains(&member))
}

fn cover(value: &mut Value) {
    match value {
        Value::String(text) => *text = stars(text),
        Value::Array(items) => {
            for item in items {
                cover(item);
            }
        }
        Value::Object(members) => {
            for member in members.values_mut() {
                cover(member);
            }
        }
        _ => {}
    }
}

/// As many `*` as the secret has letters.
pub(crate) fn stars(secret: &str) -> String {
    "*".repeat(secret.chars().count())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_becomes_as_many_stars_wherever_it_stands() {
        let mut secrets = Secrets::default();
        for secret in ["kpat_0123456789", "kpat_0123", "abc"] {
            secrets.insert(secret);
        }
        let mut body =
            json!({"config": {"client_secret": "any"}, "note": "is kpat_0123456789", "list": ["abc", "abcd"]});
        secrets.mask(&mut body);
        let expected =
            json!({"config": {"client_secret": "***"}, "note": "is ***************", "list": ["***", "abcd"]});
        assert_eq!(body, expected);
        assert_eq!(secrets.masked("äkpat_0123ä kpat_012"), "ä*********ä kpat_012");
    }

    #[test]
    fn the_private_members_of_a_key_are_secrets_and_the_public_ones_are_not() {
        let mut secrets = Secrets::default();
        let mut body = json!({
            "jwks": {"keys": [{"kty": "RSA", "kid": "one", "n": "public", "d": "private", "p": "prime"}]},
            "rotated_secrets": ["old one", "older one"],
            "d": "no key",
        });
        secrets.collect(&body);
        assert_eq!(secrets.iter().collect::<Vec<_>>(), ["old one", "older one", "prime", "private"]);
        Secrets::default().mask(&mut body);
        assert_eq!(body["jwks"]["keys"][0]["d"], "*******");
        assert_eq!(body["jwks"]["keys"][0]["n"], "public");
        assert_eq!(body["rotated_secrets"][0], "*******");
        assert_eq!(body["d"], "no key");
    }
}
