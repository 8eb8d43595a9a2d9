//! The accounts at the management APIs: one organization of Konnect, one tenant of ACP, and the strangers in both.
use std::{iter::repeat_with, sync::Mutex};

use chrono::{DateTime, Utc};
use portico_sandbox::{Clock, Options, Sandbox};
use serde_json::Value;

use crate::{
    plan::Plan,
    world::{ORGANIZATION, START, TENANT, lock},
};

/// The account at Konnect.
pub const KONNECT: &str = "konnect";
/// The account at ACP.
pub const ACP: &str = "acp";
/// How long tokens and secrets are.
const SECRET_LETTERS: usize = 43;

/// The sandbox of a world, on its clock and seed. Must be called within its runtime.
pub(crate) fn sandbox(plan: &Plan) -> Sandbox {
    let start: DateTime<Utc> = START.parse().expect("it is a time");
    Sandbox::new(Options {
        unrecorded: true,
        switches: plan.switches.clone(),
        seed: Some(plan.seed),
        clock: Clock::Tokio { start },
        ..Options::default()
    })
}

/// The credentials of a world. Has no `Debug`.
pub struct Accounts {
    state: Mutex<State>,
    /// A token of another user of the organization.
    stranger_token: String,
    /// Id and secret of another client of the tenant.
    stranger_client: (String, String),
}

struct State {
    random: fastrand::Rng,
    token: Credential,
    client: Credential,
}

struct Credential {
    /// Of a client only.
    id: String,
    secret: String,
    good: bool,
}

impl Accounts {
    /// Makes both accounts, with a good credential each.
    pub(crate) fn new(sandbox: &Sandbox, mut random: fastrand::Rng) -> Self {
        let stranger_token = format!("kpat_{}", letters(&mut random));
        let stranger_client = (letters(&mut random), letters(&mut random));
        sandbox.accept(ORGANIZATION, &stranger_token);
        sandbox.accept_client(TENANT, &stranger_client.0, &stranger_client.1);
        let none = || Credential { id: String::new(), secret: String::new(), good: false };
        let state = State { random, token: none(), client: none() };
        let accounts = Self { state: Mutex::new(state), stranger_token, stranger_client };
        for account in [KONNECT, ACP] {
            accounts.renew(sandbox, account);
        }
        accounts
    }

    /// The token of a stranger at Konnect.
    pub(crate) fn stranger_token(&self) -> &str {
        &self.stranger_token
    }

    /// Id and secret of a stranger's client at ACP.
    pub(crate) fn stranger_client(&self) -> (&str, &str) {
        (&self.stranger_client.0, &self.stranger_client.1)
    }

    pub(crate) fn renew(&self, sandbox: &Sandbox, account: &str) {
        let mut state = lock(&self.state);
        let (id, secret) = (letters(&mut state.random), letters(&mut state.random));
        if account == ACP {
            sandbox.accept_client(TENANT, &id, &secret);
            state.client = Credential { id, secret, good: true };
        } else {
            let secret = format!("kpat_{secret}");
            sandbox.accept(ORGANIZATION, &secret);
            state.token = Credential { id: String::new(), secret, good: true };
        }
    }

    pub(crate) fn revoke(&self, sandbox: &Sandbox, account: &str) {
        let mut state = lock(&self.state);
        let is_client = account == ACP;
        let credential = if is_client { &mut state.client } else { &mut state.token };
        credential.good = !credential.good;
        match (credential.good, is_client) {
            (true, true) => sandbox.accept_client(TENANT, &credential.id, &credential.secret),
            (true, false) => sandbox.accept(ORGANIZATION, &credential.secret),
            (false, true) => {
                sandbox.revoke(&credential.secret);
                // What was issued before would be good for an hour.
                for token in sandbox.access_tokens(TENANT) {
                    sandbox.revoke(&token);
                }
            }
            (false, false) => sandbox.revoke(&credential.secret),
        }
    }

    pub(crate) fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text.contains("${") => Value::String(self.filled_text(text)),
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(members) => {
                Value::Object(members.iter().map(|(key, member)| (key.clone(), self.filled(member))).collect())
            }
            other => other.clone(),
        }
    }

    fn filled_text(&self, text: &str) -> String {
        let state = lock(&self.state);
        text.replace("${konnect.token}", &state.token.secret)
            .replace("${acp.client_id}", &state.client.id)
            .replace("${acp.client_secret}", &state.client.secret)
    }

    pub(crate) fn secrets(&self, account: &str, manifests: &[Value]) -> Vec<Value> {
        let named = format!("${{{account}.");
        let holds = |manifest: &&Value| manifest["kind"] == "Secret" && manifest.to_string().contains(&named);
        manifests.iter().filter(holds).map(|manifest| self.filled(manifest)).collect()
    }
}

fn letters(random: &mut fastrand::Rng) -> String {
    repeat_with(|| random.alphanumeric()).take(SECRET_LETTERS).collect()
}

#[cfg(test)]
mod tests {
    use portico_sandbox::Options;
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_are_filled_with_the_credential_of_the_day() {
        let sandbox = Sandbox::new(Options { seed: Some(1), ..Options::default() });
        let accounts = Accounts::new(&sandbox, fastrand::Rng::with_seed(1));
        let secret = json!({"kind": "Secret", "stringData": {"token": "${konnect.token}", "other": "${HOME}"}});
        let first = accounts.filled(&secret);
        assert_eq!(first["stringData"]["other"], "${HOME}");
        accounts.renew(&sandbox, KONNECT);
        assert_ne!(accounts.filled(&secret), first);
        assert_eq!(accounts.secrets(KONNECT, std::slice::from_ref(&secret)).len(), 1);
        assert!(accounts.secrets(ACP, &[secret]).is_empty());
    }
}
