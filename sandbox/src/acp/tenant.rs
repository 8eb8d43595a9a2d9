//! A tenant and what is in it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::made::Made;
use super::{clients, servers};
use crate::contract::contract;
use crate::seam::Seam;
use crate::world::Collection;

/// The servers that every tenant has.
const BUILT_IN: [&str; 3] = ["admin", "developer", "system"];

/// All that a tenant holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tenant {
    pub(crate) servers: Collection<Server>,
    pub(super) clients: Collection<Value>,
    pub(super) consents: Collection<Value>,
    /// Their consents only as `id` and `required`.
    pub(super) actions: Collection<Value>,
}

/// An authorization server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) body: Value,
    pub(super) made: Arc<Made>,
}

impl Tenant {
    /// A tenant with the built-in servers alone.
    pub(crate) fn new(seam: &Seam, name: &str) -> Self {
        let mut tenant = Self::default();
        for id in BUILT_IN {
            let mut body = servers::fresh(seam, name, &contract().acp_origin, id, &json!({"name": id}));
            body["system"] = json!(true);
            tenant.servers.insert(id, Server { body, made: Arc::new(Made::new(seam, name, id)) });
        }
        tenant
    }

    /// A client that may fetch tokens for the admin API.
    pub(crate) fn add_admin_client(&mut self, seam: &Seam, tenant: &str, id: &str, secret: &str) {
        let given = json!({
            "authorization_server_id": "admin",
            "client_name": "Admin client",
            "client_secret": secret,
            "grant_types": ["client_credentials"],
            "system": true,
        });
        self.clients.insert(id, clients::fresh(seam, tenant, id, &given));
    }

    /// Whether the tenant has this policy.
    pub(super) fn has_policy(&self, id: &str) -> bool {
        self.servers.iter().any(|server| server.made.has_policy(id))
    }

    /// A consent action with its consents inlined.
    pub(super) fn show_action(&self, action: &Value) -> Value {
        let mut shown = action.clone();
        let references = action["consents"].as_array().into_iter().flatten();
        let consents = references.filter_map(|reference| {
            let mut consent = self.consents.get(reference["id"].as_str()?)?.clone();
            consent["required"] = reference["required"].clone();
            Some(consent)
        });
        shown["consents"] = consents.collect();
        shown
    }

    /// All of it as `GET /_sandbox/state` shows it.
    pub(crate) fn show_whole(&self) -> Value {
        let servers = self.servers.iter().map(|server| {
            let mut shown = server.body.clone();
            shown["claims"] = json!(server.made.claims);
            shown["services"] = json!(server.made.services);
            shown["scopes"] = json!(server.made.scopes);
            shown["policies"] = json!(server.made.policies);
            shown
        });
        json!({
            "servers": servers.collect::<Vec<_>>(),
            "clients": self.clients.iter().map(clients::shown).collect::<Vec<_>>(),
            "consents": self.consents.iter().collect::<Vec<_>>(),
            "consent_actions": self.actions.iter().map(|action| self.show_action(action)).collect::<Vec<_>>(),
        })
    }
}
