//! Worlds for crashes: one kind and what it needs, a life from its making to its end, a second one that takes an object over, and nothing
//! that goes wrong but crashes, each meant for the n-th request of a stage. Seed after seed walks through all kinds and all numbers.
use serde_json::{Value, json};

use super::{Dice, Draft, LIBRARY, Member, library::Model};
use crate::{
    coverage::{Stage, all_of},
    laws::sorts::{Shape, connection, referred, sort},
    plan::{Action, Effect, Fault, Millis, Plan, Side, Stranger},
    seen::Api,
    world::{NAMESPACE, World},
};

/// One of so many worlds is such a one.
const SHARE: u64 = 20;
/// Which of them.
const WHICH: u64 = 13;
/// Crashes are meant for one of the first so many requests of a stage.
const REQUESTS: usize = 12;
/// So often a stage is crashed on either side, in a hundred worlds.
const CRASHED: u64 = 60;

/// When the resource in the middle is made, and what happens to it from there on.
const MADE: Millis = 3_000;
const CHANGED: Millis = 30_000;
const CHANGED_ANYHOW: Millis = 37_000;
const CHANGED_BACK: Millis = 44_000;
const ROTATED: Millis = 50_000;
const ASKED: Millis = 55_000;
const DELETED: Millis = 70_000;
/// When a stranger makes an object that it could have, and the resource that takes it over comes.
const STRANGE: Millis = 100_000;
const TAKEN: Millis = 103_000;
const TAKEN_CHANGED: Millis = 130_000;
const TAKEN_DELETED: Millis = 150_000;
/// Until then it may crash.
const END: Millis = 190_000;

/// How many such worlds come before the one of this seed, if it is one.
pub(super) fn number(seed: u64) -> Option<usize> {
    (seed % SHARE == WHICH).then(|| usize::try_from(seed / SHARE).unwrap_or_default())
}

/// Draws such a world. `only`: the kind in its middle, where it is not the number that says it.
pub(super) fn draw(seed: u64, number: usize, only: Option<&str>) -> Plan {
    let kinds = World::kinds();
    let chosen = only.and_then(|only| kinds.iter().copied().find(|kind| *kind == only));
    let (kind, turn) = match chosen {
        Some(kind) => (kind, number),
        None => (kinds[number % kinds.len()], number / kinds.len()),
    };
    let mut draft = Draft::new(seed);
    (draft.is_wide, draft.has_second) = (false, false);
    let mut switches = portico_sandbox::Switches::default();
    if sort(kind).is_some_and(|sort| sort.shape == Shape::Action) {
        // So that it is looked at while it lasts.
        switches.replay_milliseconds = 20_000;
    }
    match sort(kind) {
        Some(_) => draft.life(kind),
        None => draft.life_of_connection(kind),
    }
    draft.faults = crashes(&mut draft.dice, kind, turn);
    draft.finish(seed, 1, switches)
}

/// The crashes of the `turn`-th world of a kind.
fn crashes(dice: &mut Dice, kind: &str, turn: usize) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (place, stage) in Stage::all().into_iter().enumerate() {
        for (side, shift) in [(Side::Remote, 0), (Side::Kubernetes, 5)] {
            if stage.never(kind).is_some() || !dice.chance(CRASHED) {
                continue;
            }
            // In twelve turns each stage goes through all numbers, and in twelve more with the other effect.
            let nth = (turn + 7 * place + shift) % REQUESTS;
            let is_after = (turn / REQUESTS + place + shift) % 2 == 1;
            faults.push(Fault {
                side,
                from: 0,
                until: END,
                nth: u32::try_from(nth).unwrap_or_default(),
                times: 1,
                what: all_of(kind, stage),
                effect: if is_after { Effect::CrashAfter } else { Effect::CrashBefore },
            });
        }
    }
    faults
}

impl Draft {
    /// A resource of a kind through all its stages, and another one.
    fn life(&mut self, kind: &'static str) {
        self.parents(kind);
        let member = self.enters(kind, MADE);
        let second = Stage::Adopt.never(kind).is_none().then(|| taker(&member));
        self.prepare();
        self.create();
        self.people(&member, MADE - 500);
        self.changes_there_and_back(&member);
        self.step(DELETED, member.delete());
        let Some(second) = second else { return };
        // Whom a spec names by an address signs up, and is not made.
        let is_made = sort(kind).is_some_and(|sort| sort.shape != Shape::Claimed);
        if let Some(key) = Self::key_of(&second).filter(|_| is_made) {
            self.stranger(STRANGE, Stranger::Make { kind: kind.to_owned(), key });
        }
        self.people(&second, STRANGE);
        let apply = second.apply(&second.spec);
        self.step(TAKEN, apply);
        let change = difference(second.model, &second.spec, &second.model.changed);
        self.step(TAKEN_CHANGED, second.edit(change));
        self.step(TAKEN_DELETED, second.delete());
    }

    /// A connection with a resource that uses it, twice.
    fn life_of_connection(&mut self, kind: &'static str) {
        let user = self.enters(if kind == connection(Api::Konnect) { "Portal" } else { "Consent" }, MADE);
        self.prepare();
        self.create();
        let manifest = self.before.iter().find(|manifest| manifest["kind"] == kind).cloned().unwrap_or_default();
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let rate = json!({"rateLimit": {"requestsPerSecond": 500, "burst": 500}});
        self.step(CHANGED, Self::edit_connection(kind, NAMESPACE, &name, rate));
        let account = if kind == connection(Api::Konnect) { "konnect" } else { "acp" };
        self.step(CHANGED_ANYHOW, Action::Renew { account: account.to_owned() });
        let key = "portico.dev/paused".to_owned();
        for (at, value) in [(CHANGED_BACK, Some("true".to_owned())), (ROTATED, None)] {
            let (kind, namespace, name, key) = (kind.to_owned(), NAMESPACE.to_owned(), name.clone(), key.clone());
            self.step(at, Action::Annotate { kind, namespace, name, key, value });
        }
        let delete = Action::Delete { kind: kind.to_owned(), namespace: NAMESPACE.to_owned(), name };
        // At first somebody still uses it, the second time nobody does.
        self.step(DELETED, delete.clone());
        self.step(DELETED + 8_000, user.delete());
        self.step(STRANGE, Action::Apply(manifest));
        self.step(TAKEN, user.apply(&user.spec));
        self.step(TAKEN_CHANGED, user.delete());
        self.step(TAKEN_DELETED, delete);
    }

    /// A resource as its example has it, which is made at some time.
    pub(super) fn enters(&mut self, kind: &'static str, at: Millis) -> Member {
        let model = LIBRARY.model(kind).unwrap_or_else(|| LIBRARY.model("Portal").expect("portals have an example"));
        let mut spec = model.example.clone();
        self.make_own(model, &mut spec, 0, &model.name);
        if Stage::Delete.never(kind).is_none() {
            spec["lifecycle"] = json!({"deletion": "Delete"});
        }
        let member = Member { model, namespace: NAMESPACE.to_owned(), name: model.name.clone(), spec, at };
        self.cast.push(member.clone());
        member
    }

    /// Whatever the example of a kind refers to, and what that refers to.
    pub(super) fn parents(&mut self, kind: &'static str) {
        let (Some(sort), Some(model)) = (sort(kind), LIBRARY.model(kind)) else { return };
        let spec = model.example.to_string();
        for (field, at) in [("portalRef", 0), ("serverRef", 0), ("consentRef", 300)] {
            if let Some(parent) = referred(field, sort.api).filter(|_| spec.contains(&format!("\"{field}\""))) {
                self.enters(parent, at);
            }
        }
    }

    /// Those whom a spec names sign up.
    fn people(&mut self, member: &Member, at: Millis) {
        let mut people = Vec::new();
        for spec in [&member.spec, &member.model.changed] {
            super::spec::texts(&spec["developers"], "items", &mut people);
            people.extend(spec["email"].as_str());
        }
        people.sort_unstable();
        people.dedup();
        let people: Vec<String> = people.into_iter().map(str::to_owned).collect();
        for email in people {
            self.stranger(at, Stranger::SignUp { which: 1, email });
        }
    }

    /// All of a spec is changed, something of it, and all of it back; and what annotations ask for.
    fn changes_there_and_back(&mut self, member: &Member) {
        let model = member.model;
        let there = difference(model, &member.spec, &model.changed);
        let back = difference(model, &model.changed, &member.spec);
        let anyhow = self.change(member);
        for (at, change) in [(CHANGED, there), (CHANGED_ANYHOW, anyhow), (CHANGED_BACK, back)] {
            self.step(at, member.edit(change));
        }
        if member.spec["credentialsSecret"].is_object() {
            self.step(ROTATED, member.annotate("rotate", Some("wish")));
        }
        self.step(ASKED, member.annotate("reconcile-at", Some("wish")));
    }
}

/// Another resource of the same kind, for an object that somebody else has made.
fn taker(first: &Member) -> Member {
    let model = first.model;
    let name = format!("{}-taker", model.name);
    let mut spec = model.example.clone();
    spec["lifecycle"] = json!({"deletion": "Delete", "adoption": "Adopt"});
    if let Some(sort) = sort(model.kind).filter(|sort| sort.shape == Shape::Keyed) {
        spec[sort.chosen] = json!(format!("strange-{name}"));
    }
    if spec["ssl"].is_object() {
        // As strangers have it, and as it stays.
        spec["ssl"] = json!({"domainVerificationMethod": "http"});
    }
    if spec["credentialsSecret"].is_object() {
        spec["credentialsSecret"]["name"] = json!(format!("{name}-credentials"));
    }
    Member { model, namespace: first.namespace.clone(), name, spec, at: TAKEN }
}

/// The merge patch that makes one spec of a kind another, but for what stays as it was made.
fn difference(model: &Model, from: &Value, to: &Value) -> Value {
    let stays =
        |field: &str| model.is_fixed(field) || ["allowedNamespaces", "connectionRef", "lifecycle"].contains(&field);
    let differs = |field: &str| from[field] != to[field];
    let fields = model.fields().into_iter().filter(|field| !stays(field.as_str()) && differs(field.as_str()));
    Value::Object(fields.map(|field| (field.clone(), to[field.as_str()].clone())).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{act::rules, draw::draw as draw_any};

    fn seed(number: u64) -> u64 {
        number * SHARE + WHICH
    }

    #[test]
    fn one_world_of_twenty_is_for_crashes_alone() {
        assert_eq!((0..1_000).filter(|seed| number(*seed).is_some()).count(), 50);
        let plan = draw_any(seed(0), None);
        assert!(
            plan.faults.iter().all(|fault| matches!(fault.effect, Effect::CrashBefore | Effect::CrashAfter)),
            "{plan}"
        );
        assert_eq!(plan.replicas, 1);
    }

    #[test]
    fn every_request_of_every_stage_of_every_kind_is_meant() {
        let kinds = World::kinds();
        let turns = u64::try_from(kinds.len() * REQUESTS * 2).expect("they are few");
        // Each is left out now and then, and comes again some rounds later.
        let faults = (0..6 * turns).flat_map(|number| draw_any(seed(number), None).faults);
        let meant: BTreeSet<(String, bool, bool, u32)> = faults
            .map(|fault| (fault.what, fault.side == Side::Remote, fault.effect == Effect::CrashAfter, fault.nth))
            .collect();
        for kind in kinds {
            for stage in Stage::all().into_iter().filter(|stage| stage.never(kind).is_none()) {
                let what = all_of(kind, stage);
                let count = meant.iter().filter(|(meant, ..)| *meant == what).count();
                assert!(count > 3 * REQUESTS, "{what}: {count} of {}", 4 * REQUESTS);
            }
        }
    }

    #[test]
    fn in_the_middle_is_the_kind_of_the_turn_and_its_changes_keep_to_the_rules() {
        for (number, kind) in (0..).zip(World::kinds()) {
            let plan = draw_any(seed(number), None);
            assert!(plan.faults.iter().all(|fault| fault.what.starts_with(&format!("{kind} "))), "{kind}: {plan}");
            let is_its = |manifest: &Value| manifest["kind"] == *kind;
            let applied = plan.steps.iter().any(|step| matches!(&step.action, Action::Apply(made) if is_its(made)));
            assert!(applied, "{kind}: {plan}");
            for step in &plan.steps {
                let Action::Edit { kind, spec, .. } = &step.action else { continue };
                let Some(model) = LIBRARY.model(kind).filter(|_| step.at == CHANGED && sort(kind).is_some()) else {
                    continue;
                };
                let mut changed = model.example.clone();
                for (field, value) in spec.as_object().into_iter().flatten() {
                    changed[field] = value.clone();
                }
                if let Some(members) = changed.as_object_mut() {
                    members.retain(|_, value| !value.is_null());
                }
                assert_eq!(rules::check(kind, &changed, Some(&model.example)), Ok(()), "{kind}: {changed:#}");
            }
        }
    }
}
