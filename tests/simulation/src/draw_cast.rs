//! Who is in a world: resources of one to three kinds, what they refer to, and when each is made.
use serde_json::{Value, json};

use super::{Draft, LIBRARY, Member, Size, kinds, spec::texts};
use crate::{
    laws::sorts::{connection, sort},
    plan::Stranger,
    seen::Api,
    world::NAMESPACE,
};

/// The second namespace.
pub(super) const OTHER: &str = "other";
/// Another connection to the account of the first.
pub(super) const SECOND: &str = "second";

impl Draft {
    /// Draws who is in the world.
    pub(super) fn cast(&mut self, only: Option<&str>) {
        let all = kinds();
        let mut chosen: Vec<&'static str> = if let Some(only) = only {
            all.iter().copied().filter(|kind| *kind == only).collect()
        } else {
            let count = *self.dice.weigh(&[(45, 1), (40, 2), (15, 3)]);
            (0..count).map(|_| *self.dice.pick(&all)).collect()
        };
        if chosen.is_empty() {
            chosen.push("Portal");
        }
        let count = match self.size {
            Size::Small => self.dice.between(1..=3),
            Size::Middle => self.dice.between(3..=9),
            Size::Large => self.dice.between(8..=24),
        };
        for number in 0..count {
            let kind = if number == 0 { chosen[0] } else { *self.dice.pick(&chosen) };
            let namespace = if self.is_wide && self.dice.chance(35) { OTHER } else { NAMESPACE };
            self.join(kind, namespace);
        }
    }

    /// Another resource joins the cast, and whatever it needs.
    pub(super) fn join(&mut self, kind: &'static str, namespace: &str) -> Member {
        let model = LIBRARY.model(kind).unwrap_or_else(|| LIBRARY.model("Portal").expect("portals have an example"));
        let number = self.cast.iter().filter(|member| member.model.kind == model.kind).count();
        let name = if number == 0 { model.name.clone() } else { format!("{}-{}", model.name, number + 1) };
        let spec = self.spec(model, number, namespace, &name);
        // Most come at once, in any order; some later.
        let at = if self.dice.chance(80) { self.dice.between(0..=3_000) } else { self.dice.between(0..=self.span) };
        let member = Member { model, namespace: namespace.to_owned(), name, spec, at };
        self.cast.push(member.clone());
        member
    }

    /// The resources are made.
    pub(super) fn create(&mut self) {
        for member in self.cast.clone() {
            let action = member.apply(&member.spec);
            self.step(member.at, action);
        }
        self.make_products();
    }

    /// What specs name and only the organization can make: products, their versions, strategies.
    fn make_products(&mut self) {
        let specs: Vec<Value> =
            self.cast.iter().flat_map(|member| [member.spec.clone(), member.model.changed.clone()]).collect();
        for (field, kind) in [
            ("entityId", "ApiProduct"),
            ("productVersionId", "ApiProductVersion"),
            ("authStrategyIds", "AuthStrategy"),
            ("defaultApplicationAuthStrategyId", "AuthStrategy"),
        ] {
            let mut ids = Vec::new();
            for spec in &specs {
                texts(spec, field, &mut ids);
            }
            ids.sort_unstable();
            ids.dedup();
            for id in ids.into_iter().map(str::to_owned).collect::<Vec<_>>() {
                // Some are there from the beginning, some come, some never do.
                let at = match self.dice.below(100) {
                    0..85 => 0,
                    85..96 => self.dice.between(0..=self.span),
                    _ => continue,
                };
                self.stranger(at, Stranger::Make { kind: kind.to_owned(), key: id });
            }
        }
    }

    /// The name of a connection of this kind: mostly the first one's.
    pub(super) fn connection_name(&mut self, kind: &str) -> String {
        let first = LIBRARY.model(kind).map(|model| model.name.clone()).unwrap_or_default();
        let is_second = kind == connection(Api::Konnect) && self.has_second && self.dice.chance(40);
        if is_second { SECOND.to_owned() } else { first }
    }

    /// A connection, seen from the second namespace: its own, or the one of the first.
    pub(super) fn connection_elsewhere(&mut self, name: &str) -> Value {
        if self.dice.chance(50) { json!({"name": name}) } else { json!({"name": name, "namespace": NAMESPACE}) }
    }

    /// The kinds in the cast, and those of their connections.
    pub(super) fn kinds_in_use(&self) -> Vec<&'static str> {
        let mut found: Vec<&'static str> = self.cast.iter().map(|member| member.model.kind).collect();
        found.extend(self.connections_in_use());
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The kinds of connections that the cast uses.
    pub(super) fn connections_in_use(&self) -> Vec<&'static str> {
        let apis = self.cast.iter().filter_map(|member| Some(connection(sort(member.model.kind)?.api)));
        let mut found: Vec<&'static str> = apis.collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}
