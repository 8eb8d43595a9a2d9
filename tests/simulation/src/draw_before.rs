//! What is there before the operator starts: a second namespace, Secrets, connections.
use serde_json::{Value, json};

use super::{
    Draft, LIBRARY,
    cast::{OTHER, SECOND},
};
use crate::{
    laws::sorts::{connection, text},
    seen::Api,
    world::{ACP_URL, NAMESPACE, REQUEST_TIMEOUT, RESYNC, TENANT},
};

impl Draft {
    /// Draws it.
    pub(super) fn prepare(&mut self) {
        let mut namespaces = vec![NAMESPACE];
        if self.is_wide {
            self.before.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OTHER}}));
            namespaces.push(OTHER);
        }
        let kinds = self.connections_in_use();
        for namespace in namespaces {
            for secret in &LIBRARY.secrets {
                if self.is_used(secret, &kinds) {
                    let secret = self.filled(secret, namespace);
                    self.before.push(secret);
                }
            }
            for kind in &kinds {
                let manifest = self.connection(kind, namespace);
                self.before.push(manifest);
            }
        }
        if self.has_second && kinds.contains(&connection(Api::Konnect)) {
            let mut second = self.connection(connection(Api::Konnect), NAMESPACE);
            second["metadata"]["name"] = json!(SECOND);
            self.before.push(second);
        }
    }

    /// Whether somebody in the world may read a Secret.
    fn is_used(&self, secret: &Value, kinds: &[&'static str]) -> bool {
        // In quotes.
        let name = secret["metadata"]["name"].to_string();
        let names_it = |spec: &Value| spec.to_string().contains(&name);
        let of_connections = kinds.iter().filter_map(|kind| LIBRARY.model(kind)).any(|model| names_it(&model.example));
        let mut of_cast = self.cast.iter();
        of_connections || of_cast.any(|member| names_it(&member.model.example) || names_it(&member.model.changed))
    }

    /// A Secret with the credentials of this world, and with values that nobody else has.
    fn filled(&mut self, secret: &Value, namespace: &str) -> Value {
        let mut secret = secret.clone();
        secret["metadata"]["namespace"] = json!(namespace);
        let values = secret["stringData"].as_object_mut().into_iter().flatten();
        for (_, value) in values {
            *value = match text(value) {
                "kpat_replace-me" => json!("${konnect.token}"),
                "client-id-replace-me" => json!("${acp.client_id}"),
                "client-secret-replace-me" => json!("${acp.client_secret}"),
                given if given.contains("replace-me") => json!(self.dice.secret()),
                given => json!(given),
            };
        }
        secret
    }

    /// A connection that leads to this world's accounts.
    pub(super) fn connection(&mut self, kind: &'static str, namespace: &str) -> Value {
        let model = LIBRARY.model(kind).expect("connections have examples");
        let mut spec = model.example.clone();
        spec["resyncInterval"] = json!(format!("{}s", RESYNC / 1_000));
        spec["requestTimeout"] = json!(format!("{}s", REQUEST_TIMEOUT / 1_000));
        // Some are in a hurry, some may not be.
        let (rate, burst) = *self.dice.weigh(&[(85, (1_000, 1_000)), (15, (4, 6))]);
        spec["rateLimit"] = json!({"requestsPerSecond": rate, "burst": burst});
        let allowed = match (self.is_wide && namespace == NAMESPACE, self.dice.below(10)) {
            (true, 0..7) => json!({"from": "All"}),
            (true, 7..9) => json!({"from": "Names", "names": [OTHER]}),
            _ => json!({"from": "Same"}),
        };
        spec["allowedNamespaces"] = allowed;
        if self.is_wide && self.dice.chance(50) {
            spec["allowAdoption"] = json!(true);
        }
        if kind == connection(Api::Acp) {
            spec["url"] = json!(ACP_URL);
            spec["tenant"] = json!(TENANT);
        }
        model.manifest(namespace, &model.name, &spec)
    }
}
