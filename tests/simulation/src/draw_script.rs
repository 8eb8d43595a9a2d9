//! What users do: they edit, delete and make again, pause, rotate, break things and mend them.
use serde_json::{Value, json};

use super::{Draft, Member, Size, spec::bad_change};
use crate::{
    laws::sorts::{Shape, connection, sort, text},
    plan::{Action, Millis},
    seen::Api,
    world::NAMESPACE,
};

/// Something that a user does.
type Deed = fn(&mut Draft);

/// What users do, and how often.
const DEEDS: [(u64, Deed); 22] = [
    (20, Draft::edits),
    (6, Draft::edits_badly),
    (12, Draft::deletes),
    (12, Draft::makes_again),
    (5, Draft::replaces),
    (5, Draft::pauses),
    (4, Draft::asks_to_look),
    (5, Draft::rotates),
    (3, Draft::gives_up),
    (5, Draft::changes_a_secret),
    (4, Draft::takes_a_secret),
    (3, Draft::takes_an_output),
    (3, Draft::switches_a_connection),
    (3, Draft::replaces_a_connection),
    (2, Draft::breaks_a_connection),
    (3, Draft::revokes),
    (3, Draft::renews),
    (4, Draft::deletes_a_namespace),
    (4, Draft::deletes_a_crd),
    (2, Draft::restores),
    (2, Draft::swaps_the_account),
    (9, Draft::kills),
];

impl Draft {
    /// Draws what users do.
    pub(super) fn script(&mut self) {
        let count = match self.size {
            Size::Small => self.dice.between(2..=7),
            Size::Middle => self.dice.between(5..=14),
            Size::Large => self.dice.between(6..=20),
        };
        for _ in 0..count {
            let deed = *self.dice.weigh(&DEEDS);
            deed(self);
        }
    }

    fn edits(&mut self) {
        let Some(member) = self.somebody() else { return };
        let (at, change) = (self.moment(), self.change(&member));
        self.step(at, member.edit(change));
    }

    fn edits_badly(&mut self) {
        let Some(member) = self.somebody() else { return };
        let Some(bad) = bad_change(member.model.kind) else { return };
        let at = self.moment();
        if self.dice.chance(65) {
            // And back.
            let good = bad.as_object().into_iter().flatten().map(|(field, _)| {
                let value = member.model.example[field].clone();
                (field.clone(), value)
            });
            let good = Value::Object(good.collect());
            let later = at + self.dice.between(500..=30_000);
            self.step(later, member.edit(good));
        }
        self.step(at, member.edit(bad));
    }

    fn deletes(&mut self) {
        let Some(member) = self.somebody() else { return };
        let at = self.moment();
        self.step(at, member.delete());
    }

    /// Deletes it, and makes it again under its name: at once, soon, or after a while. What is still being deleted then stays as it is.
    fn makes_again(&mut self) {
        let Some(member) = self.somebody() else { return };
        let at = self.moment();
        self.step(at, member.delete());
        let spec = self.other_spec(&member);
        let soon = at + self.dice.between(0..=200);
        let later = at + self.dice.between(1_000..=40_000);
        for moment in [soon, later] {
            self.step(moment, member.apply(&spec));
        }
    }

    fn replaces(&mut self) {
        let Some(member) = self.somebody() else { return };
        let (at, spec) = (self.moment(), self.other_spec(&member));
        self.step(at, member.apply(&spec));
    }

    /// The spec again, or with another choice of fields.
    fn other_spec(&mut self, member: &Member) -> Value {
        if self.dice.chance(50) {
            return member.spec.clone();
        }
        let mut spec = member.spec.clone();
        for _ in 0..2 {
            for (field, value) in self.change(member).as_object().into_iter().flatten() {
                if !value.is_null() {
                    spec[field] = value.clone();
                } else if let Some(members) = spec.as_object_mut() {
                    members.remove(field);
                }
            }
        }
        spec
    }

    fn pauses(&mut self) {
        let Some(member) = self.somebody() else { return };
        let at = self.moment();
        self.step(at, member.annotate("paused", Some("true")));
        if self.dice.chance(80) {
            let later = at + self.dice.between(1_000..=40_000);
            self.step(later, member.annotate("paused", None));
        }
    }

    fn asks_to_look(&mut self) {
        let Some(member) = self.somebody() else { return };
        let at = self.moment();
        self.step(at, member.annotate("reconcile-at", Some(&format!("wish-{at}"))));
    }

    fn rotates(&mut self) {
        let all: Vec<Member> =
            self.cast.iter().filter(|member| member.spec["credentialsSecret"].is_object()).cloned().collect();
        if all.is_empty() {
            return self.edits();
        }
        let member = self.dice.pick(&all).clone();
        let at = self.moment();
        self.step(at, member.annotate("rotate", Some(&format!("wish-{at}"))));
    }

    /// Deletes something and gives its object up, before or after.
    fn gives_up(&mut self) {
        let Some(member) = self.somebody() else { return };
        let at = self.moment();
        let then = at.saturating_sub(2_000) + self.dice.between(0..=6_000);
        self.step(at, member.delete());
        self.step(then, member.annotate("orphan", Some("true")));
    }

    /// A Secret that specs name, but for those of connections: its namespace, its name, and what is in it.
    #[allow(clippy::type_complexity, reason = "as the action wants it")]
    fn a_secret(&mut self) -> Option<(String, String, Vec<(String, String)>)> {
        let is_plain = |secret: &&Value| secret["kind"] == "Secret" && !secret["stringData"].to_string().contains("${");
        let all: Vec<Value> = self.before.iter().filter(is_plain).cloned().collect();
        if all.is_empty() {
            return None;
        }
        let secret = self.dice.pick(&all).clone();
        let values = secret["stringData"].as_object().into_iter().flatten();
        let data = values.map(|(key, value)| (key.clone(), text(value).to_owned())).collect();
        let metadata = &secret["metadata"];
        Some((text(&metadata["namespace"]).to_owned(), text(&metadata["name"]).to_owned(), data))
    }

    fn changes_a_secret(&mut self) {
        let Some((namespace, name, mut data)) = self.a_secret() else { return self.edits() };
        // The two parts of a certificate go together, and there are only so many.
        let tls = self
            .before
            .iter()
            .find(|secret| secret["type"] == "kubernetes.io/tls" && secret["metadata"]["name"] != name.as_str());
        let is_tls = data.iter().any(|(key, _)| key == "tls.key");
        if let Some(other) = tls.filter(|_| is_tls) {
            for (key, value) in &mut data {
                text(&other["stringData"][key.as_str()]).clone_into(value);
            }
        } else if !is_tls {
            for (_, value) in &mut data {
                *value = self.dice.secret();
            }
        }
        let at = self.moment();
        self.step(at, Action::Secret { namespace, name, data });
    }

    fn takes_a_secret(&mut self) {
        let Some((namespace, name, data)) = self.a_secret() else { return self.edits() };
        let at = self.moment();
        self.step(at, Action::DeleteSecret { namespace: namespace.clone(), name: name.clone() });
        if self.dice.chance(80) {
            let later = at + self.dice.between(500..=40_000);
            self.step(later, Action::Secret { namespace, name, data });
        }
    }

    /// Takes a Secret away in which credentials are handed out.
    fn takes_an_output(&mut self) {
        let handed: Vec<(String, String)> = self
            .cast
            .iter()
            .filter_map(|member| {
                let name = member.spec["credentialsSecret"]["name"].as_str()?;
                Some((member.namespace.clone(), name.to_owned()))
            })
            .collect();
        if handed.is_empty() {
            return self.takes_a_secret();
        }
        let (namespace, name) = self.dice.pick(&handed).clone();
        let at = self.moment();
        self.step(at, Action::DeleteSecret { namespace, name });
    }

    fn kills(&mut self) {
        let at = self.moment();
        let (replica, down) = (u8::from(self.dice.chance(30)), self.dice.between(100..=20_000));
        let action =
            if self.dice.chance(70) { Action::Crash { replica, down } } else { Action::Stop { replica, down } };
        self.step(at, action);
    }

    /// The account of one of the connections in use.
    pub(super) fn an_account(&mut self) -> &'static str {
        let kinds = self.connections_in_use();
        if kinds.is_empty() || *self.dice.pick(&kinds) == connection(Api::Konnect) { "konnect" } else { "acp" }
    }

    fn revokes(&mut self) {
        let account = self.an_account().to_owned();
        let at = self.moment();
        self.step(at, Action::Revoke { account: account.clone() });
        let later = at + self.dice.between(500..=60_000);
        match self.dice.below(10) {
            0..5 => self.step(later, Action::Renew { account }),
            // Made good again.
            5..9 => self.step(later, Action::Revoke { account }),
            _ => {}
        }
    }

    fn renews(&mut self) {
        let account = self.an_account().to_owned();
        let at = self.moment();
        self.step(at, Action::Renew { account });
    }

    /// Puts a token of another organization into the Secret of a connection, and later the right one again.
    fn swaps_the_account(&mut self) {
        let uses_konnect = self.connections_in_use().contains(&connection(Api::Konnect));
        let is_token = |secret: &&Value| secret["stringData"]["token"] == "${konnect.token}";
        let Some(secret) = self.before.iter().find(is_token).filter(|_| uses_konnect).cloned() else { return };
        // Once there is something.
        let at: Millis = 15_000 + self.dice.between(0..=self.span);
        let (namespace, name) = (NAMESPACE.to_owned(), text(&secret["metadata"]["name"]).to_owned());
        let foreign = format!("kpat_other{}", self.dice.secret());
        for (moment, token) in [(at, foreign), (at + self.dice.between(3_000..=90_000), "${konnect.token}".to_owned())]
        {
            let data = vec![("token".to_owned(), token)];
            self.step(moment, Action::Secret { namespace: namespace.clone(), name: name.clone(), data });
        }
    }

    /// Whether somebody in the cast is claimed by a key of its own, and which that is.
    pub(super) fn key_of(member: &Member) -> Option<String> {
        let sort = sort(member.model.kind)?;
        let (_, field) = sort.key;
        let key = member.spec[field].as_str().map(str::to_owned);
        match sort.shape {
            Shape::Collection if field == "name" => Some(key.unwrap_or_else(|| member.name.clone())),
            Shape::Collection | Shape::Claimed | Shape::Upsert => key,
            Shape::Sole => member.spec["hostname"].as_str().map(str::to_owned),
            Shape::Keyed => member.spec[sort.chosen].as_str().map(str::to_owned),
            Shape::Singleton | Shape::Action => None,
        }
    }

    /// A patch that a connection takes.
    pub(super) fn edit_connection(kind: &str, namespace: &str, name: &str, spec: Value) -> Action {
        let (kind, namespace, name) = (kind.to_owned(), namespace.to_owned(), name.to_owned());
        Action::Edit { kind, namespace, name, spec }
    }

    /// The change that opens a connection, or shuts it, to other namespaces.
    pub(super) fn openness(&mut self) -> Value {
        let from = *self.dice.pick(&["All", "Same"]);
        json!({"allowedNamespaces": {"from": from}})
    }
}
