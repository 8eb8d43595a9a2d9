//! The record of what was asked and answered. Secrets never get into it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::secret::{Secrets, stars};

/// How many exchanges are kept in memory; the file has them all.
const REMEMBERED: usize = 100_000;
/// Headers whose whole value is a credential.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// One request and its answer, with the secrets replaced by as many `*`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// When the answer was ready: RFC 3339 in UTC, with microseconds.
    pub at: String,
    /// `konnect`, `konnect-portal` or `acp`.
    pub api: String,
    /// The contract's id, `token` for ACP's token endpoint; `None` for a path that no contract has.
    pub operation: Option<String>,
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// By name, in lower case.
    pub request_headers: BTreeMap<String, String>,
    /// As JSON where it is JSON or a form, else as text; null where there was none.
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

    pub(crate) fn add(&mut self, mut exchange: Exchange, secrets: &Secrets) {
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

fn mask_exchange(exchange: &mut Exchange, secrets: &Secrets) {
    exchange.url = secrets.masked(&exchange.url);
    for headers in [&mut exchange.request_headers, &mut exchange.response_headers] {
        for (name, value) in headers {
            *value = if CREDENTIALS.contains(&name.as_str()) { stars(value) } else { secrets.masked(value) };
        }
    }
    secrets.mask(&mut exchange.request_body);
    secrets.mask(&mut exchange.response_body);
}
