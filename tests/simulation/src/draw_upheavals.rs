//! What shakes a whole world: connections and namespaces that go and come back, CRDs that are deleted, backups.
use serde_json::{Value, json};

use super::{Draft, cast::OTHER};
use crate::{
    plan::{Action, Millis},
    world::NAMESPACE,
};

impl Draft {
    /// The kind, namespace and name of a connection, with its manifest.
    fn a_connection(&mut self) -> Option<Value> {
        let is_connection =
            |manifest: &&Value| manifest["kind"].as_str().is_some_and(|kind| kind.ends_with("Connection"));
        let all: Vec<Value> = self.before.iter().filter(is_connection).cloned().collect();
        if all.is_empty() { None } else { Some(self.dice.pick(&all).clone()) }
    }

    pub(super) fn names(manifest: &Value) -> [String; 3] {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        [text(&manifest["kind"]), text(&manifest["metadata"]["namespace"]), text(&manifest["metadata"]["name"])]
    }

    /// Switches a connection to Observe and back, pauses it, or opens it to others.
    pub(super) fn switches_a_connection(&mut self) {
        let Some(manifest) = self.a_connection() else { return };
        let [kind, namespace, name] = Self::names(&manifest);
        let at = self.moment();
        let later = at + self.dice.between(1_000..=60_000);
        match self.dice.below(4) {
            0 => {
                let change = self.openness();
                self.step(at, Self::edit_connection(&kind, &namespace, &name, change));
            }
            1 => {
                let key = "portico.dev/paused".to_owned();
                for (moment, value) in [(at, Some("true".to_owned())), (later, None)] {
                    let (kind, namespace, name, key) = (kind.clone(), namespace.clone(), name.clone(), key.clone());
                    self.step(moment, Action::Annotate { kind, namespace, name, key, value });
                }
            }
            _ => {
                let observe = Self::edit_connection(&kind, &namespace, &name, json!({"mode": "Observe"}));
                self.step(at, observe);
                if self.dice.chance(85) {
                    let manage = Self::edit_connection(&kind, &namespace, &name, json!({"mode": "Manage"}));
                    self.step(later, manage);
                }
            }
        }
    }

    /// Deletes a connection and makes it again.
    pub(super) fn replaces_a_connection(&mut self) {
        let Some(manifest) = self.a_connection() else { return };
        let [kind, namespace, name] = Self::names(&manifest);
        let at = self.moment();
        self.step(at, Action::Delete { kind, namespace, name });
        for most in [2_000, 60_000] {
            let later = at + self.dice.between(100..=most);
            self.step(later, Action::Apply(manifest.clone()));
        }
    }

    /// Writes something into the Secret of a connection that no API takes, and mends it.
    pub(super) fn breaks_a_connection(&mut self) {
        let is_credential = |secret: &&Value| secret["stringData"].to_string().contains("${");
        let all: Vec<Value> = self.before.iter().filter(is_credential).cloned().collect();
        if all.is_empty() {
            return;
        }
        let secret = self.dice.pick(&all).clone();
        let [_, namespace, name] = Self::names(&secret);
        let values = secret["stringData"].as_object().into_iter().flatten();
        let good: Vec<(String, String)> =
            values.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
        let bad: Vec<(String, String)> = good.iter().map(|(key, _)| (key.clone(), self.dice.secret())).collect();
        let at = self.moment();
        let later = at + self.dice.between(500..=60_000);
        if self.dice.chance(30) {
            self.step(at, Action::DeleteSecret { namespace: namespace.clone(), name: name.clone() });
        } else {
            self.step(at, Action::Secret { namespace: namespace.clone(), name: name.clone(), data: bad });
        }
        if self.dice.chance(85) {
            self.step(later, Action::Secret { namespace, name, data: good });
        }
    }

    /// Deletes a namespace with all that is in it; mostly it comes back, and everything is made again.
    pub(super) fn deletes_a_namespace(&mut self) {
        let namespace = if self.is_wide && self.dice.chance(40) { OTHER } else { NAMESPACE };
        let at = self.moment();
        self.step(at, Action::DeleteNamespace { namespace: namespace.to_owned() });
        if self.dice.chance(25) {
            // Nobody is there while it goes.
            let (moment, down) = (at.saturating_sub(500), self.dice.between(1_000..=25_000));
            self.step(moment, Action::Crash { replica: 0, down });
        }
        if self.dice.chance(15) {
            let account = self.an_account().to_owned();
            self.step(at.saturating_sub(200), Action::Revoke { account: account.clone() });
            let later = at + self.dice.between(5_000..=90_000);
            self.step(later, Action::Revoke { account });
        }
        if self.dice.chance(60) {
            self.comes_back(namespace, at);
        }
    }

    fn comes_back(&mut self, namespace: &str, at: Millis) {
        // Nobody knows how long it takes.
        for most in [15_000, 45_000, 120_000] {
            let moment = at + self.dice.between(8_000..=most);
            self.step(moment, Action::Namespace { namespace: namespace.to_owned() });
        }
        let moment = at + 120_000 + self.dice.between(0..=2_000);
        self.apply_all(namespace, moment);
    }

    /// Everything that is in a namespace is applied once more, as GitOps does.
    fn apply_all(&mut self, namespace: &str, at: Millis) {
        let is_connection = |manifest: &&Value| {
            manifest["metadata"]["namespace"] == namespace
                && manifest["kind"].as_str().is_some_and(|kind| kind.ends_with("Connection"))
        };
        let connections: Vec<Value> = self.before.iter().filter(is_connection).cloned().collect();
        for manifest in connections {
            self.step(at, Action::Apply(manifest));
        }
        for member in self.cast.clone() {
            if member.namespace == namespace {
                let moment = at + self.dice.between(0..=500);
                let action = member.apply(&member.spec);
                self.step(moment, action);
            }
        }
    }

    /// Deletes a CRD; mostly it is installed again, and the resources are restored from a backup or made again.
    pub(super) fn deletes_a_crd(&mut self) {
        let kinds = self.kinds_in_use();
        if kinds.is_empty() {
            return;
        }
        let kind = (*self.dice.pick(&kinds)).to_owned();
        let at = 1_000 + self.moment();
        self.step(at, Action::DeleteCrd { kind: kind.clone() });
        if self.dice.chance(20) {
            // In the middle of deletions.
            if let Some(member) = self.somebody() {
                let before = at.saturating_sub(self.dice.between(0..=300));
                self.step(before, member.delete());
            }
        }
        if !self.dice.chance(80) {
            return;
        }
        for most in [10_000, 40_000, 100_000] {
            let moment = at + self.dice.between(2_000..=most);
            self.step(moment, Action::InstallCrd { kind: kind.clone() });
        }
        let back = at + 101_000;
        if self.dice.chance(50) {
            self.step(back, Action::Restore { from: at - 500 });
        } else {
            for namespace in [NAMESPACE, OTHER] {
                self.apply_all(namespace, back);
            }
        }
    }

    /// Deletes some resources, and restores all from a backup that is older.
    pub(super) fn restores(&mut self) {
        let from = 2_000 + self.moment();
        let count = self.dice.between(1..=3);
        for _ in 0..count {
            if let Some(member) = self.somebody() {
                let at = from + self.dice.between(1..=10_000);
                self.step(at, member.delete());
            }
        }
        let at = from + self.dice.between(11_000..=60_000);
        self.step(at, Action::Restore { from });
    }
}
