//! Worlds from seeds: which kinds and resources, what users and strangers do and when, how the APIs are, what goes wrong. The same seed
//! always gives the same world.
//!
//! The material for specs is in the examples: `examples/<kind>.yaml` and `examples/changed/<kind>.yaml`, so that a new kind is drawn as soon
//! as it has both.
//!
//! Most worlds are small and short, since most bugs need little: a resource or two, a handful of actions, one or two faults at the wrong
//! moment. A few have so many objects that a list has a second page, a few have two replicas, a few another namespace. One of twenty is
//! about the crashes of one kind and nothing else, and one of twenty about a single narrow place (`draw_narrow.rs`).
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::{
    laws::sorts::SORTS,
    plan::{Action, Fault, Millis, Plan, Step, Stranger},
};

#[path = "draw_aimed.rs"]
mod aimed;
#[path = "draw_before.rs"]
mod before;
#[path = "draw_cast.rs"]
mod cast;
#[path = "draw_faults.rs"]
mod faults;
#[path = "draw_library.rs"]
mod library;
#[path = "draw_narrow.rs"]
mod narrow;
#[path = "draw_rare.rs"]
mod rare;
#[path = "draw_script.rs"]
mod script;
#[path = "draw_spec.rs"]
mod spec;
#[path = "draw_strangers.rs"]
mod strangers;
#[path = "draw_switches.rs"]
mod switches;
#[path = "draw_upheavals.rs"]
mod upheavals;

use library::{LIBRARY, Model};

/// So long after the last thing that happens it is quiet.
const BREATH: Millis = 1_000;

/// Draws a world. `only` restricts it to one kind and what that needs.
#[must_use]
pub fn draw(seed: u64, only: Option<&str>) -> Plan {
    if let Some(number) = aimed::number(seed) {
        return aimed::draw(seed, number, only);
    }
    if let Some(plan) = narrow::number(seed).and_then(|number| narrow::draw(seed, number, only)) {
        return plan;
    }
    let mut draft = Draft::new(seed);
    draft.cast(only);
    draft.prepare();
    draft.create();
    draft.strangers();
    draft.script();
    draft.faults();
    let replicas = if draft.dice.chance(10) { 2 } else { 1 };
    let switches = draft.switches();
    // Last, so that a world in which none of it is drawn is as it would be without.
    draft.rare(replicas);
    draft.finish(seed, replicas, switches)
}

/// How big a world is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Small,
    Middle,
    Large,
}

/// A resource that a user makes at some time.
#[derive(Clone)]
struct Member {
    model: &'static Model,
    namespace: String,
    name: String,
    spec: Value,
    /// When it is made first.
    at: Millis,
}

/// A world that is being drawn.
struct Draft {
    dice: Dice,
    size: Size,
    /// Within this time everything happens.
    span: Millis,
    /// Whether there is a second namespace.
    is_wide: bool,
    /// Whether there is a second connection to the account at Konnect.
    has_second: bool,
    cast: Vec<Member>,
    before: Vec<Value>,
    steps: Vec<Step>,
    faults: Vec<Fault>,
}

impl Draft {
    fn new(seed: u64) -> Self {
        // Seeds that follow each other are to have nothing in common.
        let mut dice = Dice(fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x0070_6f72_7469_636f));
        let size = match dice.below(100) {
            0..72 => Size::Small,
            72..95 => Size::Middle,
            _ => Size::Large,
        };
        let span = *dice.pick(match size {
            Size::Small => &[10_000, 30_000, 60_000],
            Size::Middle | Size::Large => &[30_000, 90_000, 180_000],
        });
        let (is_wide, has_second) = (dice.chance(12), dice.chance(10));
        let (cast, before) = (Vec::new(), Vec::new());
        Self { dice, size, span, is_wide, has_second, cast, before, steps: Vec::new(), faults: Vec::new() }
    }

    /// Some moment of the world; every third one right after another thing happens.
    fn moment(&mut self) -> Millis {
        if self.dice.chance(33) && !self.steps.is_empty() {
            let near = self.dice.below(self.steps.len());
            return self.steps[near].at + self.dice.between(0..=1_500);
        }
        self.dice.between(0..=self.span)
    }

    fn step(&mut self, at: Millis, action: Action) {
        self.steps.push(Step { at, action });
    }

    fn stranger(&mut self, at: Millis, deed: Stranger) {
        self.step(at, Action::Stranger(deed));
    }

    /// A member, if there is one.
    fn somebody(&mut self) -> Option<Member> {
        if self.cast.is_empty() { None } else { Some(self.dice.pick(&self.cast).clone()) }
    }

    fn finish(mut self, seed: u64, replicas: u8, switches: portico_sandbox::Switches) -> Plan {
        self.steps.sort_by_key(|step| step.at);
        let last = self.steps.iter().map(|step| step.at).chain(self.faults.iter().map(|fault| fault.until)).max();
        Plan {
            seed,
            switches,
            before: self.before,
            steps: self.steps,
            faults: self.faults,
            replicas,
            quiet_from: last.unwrap_or_default() + BREATH,
        }
    }
}

impl Member {
    fn delete(&self) -> Action {
        Action::Delete { kind: self.model.kind.to_owned(), namespace: self.namespace.clone(), name: self.name.clone() }
    }

    fn edit(&self, spec: Value) -> Action {
        let (kind, namespace, name) = (self.model.kind.to_owned(), self.namespace.clone(), self.name.clone());
        Action::Edit { kind, namespace, name, spec }
    }

    fn annotate(&self, key: &str, value: Option<&str>) -> Action {
        let (kind, namespace, name) = (self.model.kind.to_owned(), self.namespace.clone(), self.name.clone());
        Action::Annotate { kind, namespace, name, key: format!("portico.dev/{key}"), value: value.map(str::to_owned) }
    }

    fn apply(&self, spec: &Value) -> Action {
        Action::Apply(self.model.manifest(&self.namespace, &self.name, spec))
    }
}

/// All that is decided, is decided by these.
struct Dice(fastrand::Rng);

impl Dice {
    /// Whether it comes so, in so many of a hundred cases.
    fn chance(&mut self, percent: u64) -> bool {
        self.0.u64(..100) < percent
    }

    /// A number below this one, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.u64(range)
    }

    /// One of several; there is at least one.
    fn pick<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.below(list.len())]
    }

    /// One of several, some likelier than others.
    fn weigh<'l, T>(&mut self, list: &'l [(u64, T)]) -> &'l T {
        let mut rest = self.0.u64(..list.iter().map(|(weight, _)| weight).sum::<u64>());
        for (weight, item) in list {
            if rest < *weight {
                return item;
            }
            rest -= weight;
        }
        &list[0].1
    }

    /// A secret as long as the APIs make them.
    fn secret(&mut self) -> String {
        (0..43).map(|_| self.0.alphanumeric()).collect()
    }
}

/// The kinds that have both examples, in the order of the table.
fn kinds() -> Vec<&'static str> {
    SORTS.iter().map(|sort| sort.kind).filter(|kind| LIBRARY.model(kind).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::act::rules;

    #[test]
    fn the_same_seed_gives_the_same_world_and_another_one_another() {
        assert_eq!(draw(7, None).to_string(), draw(7, None).to_string());
        assert_ne!(draw(7, None).to_string(), draw(8, None).to_string());
    }

    #[test]
    fn new_resources_keep_to_the_rules_of_their_kinds() {
        for seed in 0..300 {
            let mut known = BTreeSet::new();
            for step in draw(seed, None).steps {
                let Action::Apply(manifest) = step.action else { continue };
                let kind = manifest["kind"].as_str().unwrap_or_default().to_owned();
                if known.insert((kind.clone(), manifest["metadata"]["name"].to_string())) {
                    assert_eq!(rules::check(&kind, &manifest["spec"], None), Ok(()), "seed {seed}: {manifest:#}");
                }
            }
        }
    }

    #[test]
    fn every_kind_is_drawn_alone_and_in_company() {
        for kind in kinds() {
            let made = |plan: Plan| {
                let manifests = plan.steps.into_iter().map(|step| step.action);
                manifests.filter(|action| matches!(action, Action::Apply(manifest) if manifest["kind"] == kind)).count()
            };
            assert!(made(draw(1, Some(kind))) > 0, "{kind} alone");
            assert!((0..200).any(|seed| made(draw(seed, None)) > 0), "{kind} in company");
        }
    }

    #[test]
    fn nothing_happens_after_the_quiet_begins_and_most_worlds_are_small() {
        let plans: Vec<Plan> = (0..300).map(|seed| draw(seed, None)).collect();
        for plan in &plans {
            assert!(plan.steps.iter().all(|step| step.at < plan.quiet_from), "{plan}");
            assert!(
                plan.faults.iter().all(|fault| fault.from < fault.until && fault.until < plan.quiet_from),
                "{plan}"
            );
        }
        assert!(plans.iter().filter(|plan| plan.steps.len() <= 25).count() > 150, "worlds are too big");
    }
}
