//! The record of what was asked and answered. Secrets never get into it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// How many exchanges are kept in memory; the file has them all.
const REMEMBERED: usize = 100_000;
/// Headers whose whole value is a credential.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];
/// Members of a body that hold a secret, also where the body was refused.
const SECRETS: [&str; 4] = ["client_secret", "oidc_client_secret", "custom_private_key", "password"];
/// Shorter secrets are replaced only where they are a whole text: they would be found in everything.
const TELLING: usize = 8;

/// One request and its answer, with the secrets replaced by as many `*`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// When the answer was ready: RFC 3339 in UTC, with microseconds.
    pub at: String,
    /// `konnect` or `konnect-portal`.
    pub api: String,
    /// The contract's id; `None` for a path that it does not have.
    pub operation: Option<String>,
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// By name, in lower case.
    pub request_headers: BTreeMap<String, String>,
    /// As JSON where it is JSON, else as text; null where there was none.
    pub request_body: Value,
    /// The status, also of an answer that was then lost; 0 (in JSON null) where none was made.
    #[serde(serialize_with = "status_or_null")]
    pub status: u16,
    /// By name, in lower case.
    pub response_headers: BTreeMap<String, String>,
    /// As JSON where it is JSON, else as text; null where there was none.
    pub response_body: Value,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn status_or_null<S: Serializer>(status: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    if *status == 0 { serializer.serialize_none() } else { serializer.serialize_u16(*status) }
}

/// Writes exchanges down and counts them.
#[derive(Debug, Default)]
pub(crate) struct Record {
    files: Vec<File>,
    exchanges: VecDeque<Exchange>,
    counters: BTreeMap<String, BTreeMap<u16, u64>>,
}

impl Record {
    /// Appends to this file from now on. One that cannot be opened is reported and then done without.
    pub(crate) fn append_to(&mut self, path: &Path) {
        match File::options().create(true).append(true).open(path) {
            Ok(file) => self.files.push(file),
            Err(error) => tracing::error!(path = %path.display(), %error, "cannot write exchanges"),
        }
    }

    pub(crate) fn add(&mut self, mut exchange: Exchange, secrets: &BTreeSet<String>) {
        mask_exchange(&mut exchange, secrets);
        let operation = exchange.operation.clone().unwrap_or_else(|| "unknown".to_owned());
        *self.counters.entry(operation).or_default().entry(exchange.status).or_default() += 1;
        if !self.files.is_empty()
            && let Ok(mut line) = serde_json::to_vec(&exchange)
        {
            line.push(b'\n');
            for file in &mut self.files {
                if let Err(error) = file.write_all(&line) {
                    tracing::error!(%error, "cannot write an exchange");
                }
            }
        }
        if self.exchanges.len() == REMEMBERED {
            self.exchanges.pop_front();
        }
        self.exchanges.push_back(exchange);
    }

    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.iter().cloned().collect()
    }

    pub(crate) fn forget_exchanges(&mut self) {
        self.exchanges.clear();
    }

    pub(crate) fn counters(&self) -> &BTreeMap<String, BTreeMap<u16, u64>> {
        &self.counters
    }

    pub(crate) fn forget_counters(&mut self) {
        self.counters.clear();
    }
}

fn mask_exchange(exchange: &mut Exchange, secrets: &BTreeSet<String>) {
    exchange.url = masked(&exchange.url, secrets);
    for headers in [&mut exchange.request_headers, &mut exchange.response_headers] {
        for (name, value) in headers {
            *value = if CREDENTIALS.contains(&name.as_str()) { stars(value) } else { masked(value, secrets) };
        }
    }
    mask(&mut exchange.request_body, secrets);
    mask(&mut exchange.response_body, secrets);
}

fn mask(value: &mut Value, secrets: &BTreeSet<String>) {
    match value {
        Value::String(text) => *text = masked(text, secrets),
        Value::Array(items) => {
            for item in items {
                mask(item, secrets);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(text) if SECRETS.contains(&key.as_str()) => *text = stars(text),
                    member => mask(member, secrets),
                }
            }
        }
        _ => {}
    }
}

fn masked(text: &str, secrets: &BTreeSet<String>) -> String {
    if secrets.contains(text) {
        return stars(text);
    }
    let telling = secrets.iter().filter(|secret| secret.len() >= TELLING && text.contains(secret.as_str()));
    telling.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), &stars(secret)))
}

fn stars(secret: &str) -> String {
    "*".repeat(secret.chars().count())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_becomes_as_many_stars_wherever_it_stands() {
        let secrets = BTreeSet::from(["kpat_0123456789".to_owned(), "abc".to_owned()]);
        let mut body =
            json!({"config": {"client_secret": "any"}, "note": "is kpat_0123456789", "list": ["abc", "abcd"]});
        mask(&mut body, &secrets);
        let expected =
            json!({"config": {"client_secret": "***"}, "note": "is ***************", "list": ["***", "abcd"]});
        assert_eq!(body, expected);
    }
}
