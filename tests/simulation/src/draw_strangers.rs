//! What strangers do at the APIs: people who sign up, colleagues at the console, other tools.
use serde_json::{Value, json};

use super::{Draft, LIBRARY, Member, Size, spec::texts};
use crate::{
    laws::{
        same::snake,
        sorts::{SORTS, Shape, sort},
    },
    plan::{Millis, Stranger},
};

/// So many objects of strangers that a list has a second page.
pub(super) const CROWD: u32 = 104;
/// Kinds of which a crowd is worth its time.
const CROWDED: [&str; 4] = ["Portal", "PortalTeam", "PortalDeveloper", "OAuthClient"];

impl Draft {
    /// Draws what strangers do.
    pub(super) fn strangers(&mut self) {
        self.make_strange();
        self.sign_up();
        let count = match self.size {
            Size::Small => self.dice.between(0..=2),
            Size::Middle => self.dice.between(1..=5),
            Size::Large => self.dice.between(2..=6),
        };
        for _ in 0..count {
            match *self.dice.weigh(&[(22, 0), (30, 1), (22, 2), (8, 3), (8, 4), (10, 5)]) {
                0 => self.makes_alike(),
                1 => self.changes(),
                2 => self.deletes_one(),
                3 => self.deletes_many(),
                4 => self.joins_or_leaves(),
                _ => self.makes_something(),
            }
        }
        let is_crowded = if self.size == Size::Large { 45 } else { 2 };
        if self.dice.chance(is_crowded) {
            self.makes_a_crowd();
        }
    }

    /// What specs refer to as a stranger's is there, mostly.
    fn make_strange(&mut self) {
        let specs: Vec<String> = self.cast.iter().map(|member| member.spec.to_string()).collect();
        for sort in &SORTS {
            let named = format!("${{id:{}:strange}}", sort.kind);
            if specs.iter().any(|spec| spec.contains(&named)) && self.dice.chance(85) {
                // What is in a portal comes when that is there.
                let at = if sort.parent.is_empty() { 0 } else { self.dice.between(500..=4_000) };
                self.stranger(at, Stranger::Make { kind: sort.kind.to_owned(), key: "strange".to_owned() });
            }
        }
    }

    /// The people whom specs name sign up, sooner or later or never.
    fn sign_up(&mut self) {
        let specs: Vec<(Value, Millis)> = self.cast.iter().map(|member| (member.spec.clone(), member.at)).collect();
        for (spec, at) in specs {
            let mut people = Vec::new();
            texts(&spec["developers"], "items", &mut people);
            people.extend(spec["email"].as_str());
            for email in people.into_iter().map(str::to_owned).collect::<Vec<_>>() {
                if self.dice.chance(75) {
                    let (which, moment) = (self.dice.between(0..=7), at + self.dice.between(0..=self.span));
                    self.stranger(moment, Stranger::SignUp { which, email });
                }
            }
        }
    }

    /// Somebody of the cast whose object can be mistaken for another, and the key of it.
    fn a_key(&mut self) -> Option<(Member, String)> {
        let all: Vec<(Member, String)> =
            self.cast.iter().filter_map(|member| Some((member.clone(), Self::key_of(member)?))).collect();
        if all.is_empty() { None } else { Some(self.dice.pick(&all).clone()) }
    }

    /// Makes an object of the name that a resource has, too: before it, at the same time, or after it.
    fn makes_alike(&mut self) {
        let Some((member, key)) = self.a_key() else { return self.makes_something() };
        let at = match self.dice.below(4) {
            0 => 0,
            1 => member.at,
            2 => member.at + self.dice.between(0..=300),
            _ => self.moment(),
        };
        // Some of them are another installation's.
        let key = if member.model.kind == "Portal" && self.dice.chance(25) { format!("{key}@other") } else { key };
        self.stranger(at, Stranger::Make { kind: member.model.kind.to_owned(), key });
    }

    fn makes_something(&mut self) {
        let Some(member) = self.somebody() else { return };
        let (at, number) = (self.moment(), self.dice.between(0..=9));
        let key = match sort(member.model.kind).map(|sort| sort.key.1) {
            Some("type") => (*self.dice.pick(&["oidc", "saml"])).to_owned(),
            Some("email") => format!("somebody{number}@example.com"),
            _ => format!("something-{number}"),
        };
        self.stranger(at, Stranger::Make { kind: member.model.kind.to_owned(), key });
    }

    /// Changes a plain field, to the value of either example.
    fn changes(&mut self) {
        let Some(member) = self.somebody() else { return };
        let (model, at) = (member.model, self.moment());
        let which = self.dice.between(0..=5);
        let mut fields: Vec<(String, Value)> = [&model.example, &model.changed]
            .into_iter()
            .flat_map(|spec| spec.as_object().into_iter().flatten())
            .filter(|(field, value)| !value.is_object() && !model.is_fixed(field) && !field.ends_with("Ref"))
            .filter(|(_, value)| !value[0].is_object())
            .map(|(field, value)| (snake(field), value.clone()))
            .collect();
        if model.kind == "Portal" {
            fields.push(("labels".to_owned(), json!({"stage": "strange", "team": "strangers"})));
            fields.push(("labels".to_owned(), json!({"portico-owner": "another"})));
        }
        if fields.is_empty() {
            return;
        }
        let (field, value) = self.dice.pick(&fields).clone();
        let kind = model.kind.to_owned();
        self.stranger(at, Stranger::Change { kind, which, field, value });
    }

    fn deletes_one(&mut self) {
        let Some(member) = self.somebody() else { return };
        let at = member.at + self.dice.between(500..=self.span.max(501));
        let (kind, which) = (member.model.kind.to_owned(), self.dice.between(0..=5));
        self.stranger(at, Stranger::Delete { kind, which });
    }

    /// Many go at the same moment; now and then somebody says that it was meant so.
    fn deletes_many(&mut self) {
        let Some(member) = self.somebody() else { return };
        let at = 10_000 + self.dice.between(0..=self.span);
        let count = *self.dice.pick(&[2, 3, 5, 40]);
        for _ in 0..count {
            let kind = member.model.kind.to_owned();
            self.stranger(at, Stranger::Delete { kind, which: 0 });
        }
        if self.dice.chance(50) {
            let later = at + self.dice.between(61_000..=150_000);
            for kind in self.connections_in_use() {
                let Some(model) = LIBRARY.model(kind) else { continue };
                let (kind, name) = (kind.to_owned(), model.name.clone());
                let namespace = crate::world::NAMESPACE.to_owned();
                let (key, value) = ("portico.dev/confirm-absence".to_owned(), Some("${absence}".to_owned()));
                self.step(later, crate::plan::Action::Annotate { kind, namespace, name, key, value });
            }
        }
    }

    /// Takes somebody into a team, or out of it.
    fn joins_or_leaves(&mut self) {
        let at = self.moment();
        let email = (*self.dice.pick(&["ann@example.com", "ben@example.com", "eve@example.com"])).to_owned();
        let (which, there) = (self.dice.between(0..=3), self.dice.chance(50));
        if self.dice.chance(60) {
            self.stranger(at.saturating_sub(300), Stranger::SignUp { which, email: email.clone() });
        }
        self.stranger(at, Stranger::Member { which, email, there });
    }

    /// So many strangers' objects that a list has a second page.
    fn makes_a_crowd(&mut self) {
        let fitting: Vec<&'static str> = CROWDED
            .into_iter()
            .filter(|kind| {
                let is_there = self.cast.iter().any(|member| member.model.kind == *kind);
                let has_parent = sort(kind).is_some_and(|sort| sort.shape == Shape::Claimed);
                is_there || (has_parent && self.cast.iter().any(|member| member.model.kind == "PortalTeam"))
            })
            .collect();
        if fitting.is_empty() {
            return;
        }
        let kind = *self.dice.pick(&fitting);
        // Those before its own come first in a list.
        let at = if kind == "Portal" { 0 } else { self.dice.between(100..=5_000) };
        let key = if kind == "PortalDeveloper" { "crowd@example.com" } else { "crowd" };
        self.stranger(at, Stranger::Make { kind: kind.to_owned(), key: format!("{key}*{CROWD}") });
    }
}
