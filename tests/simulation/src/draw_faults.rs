//! What goes wrong: which requests are lost, late, refused or answered from the past, and where the operator crashes.
use super::{Draft, Size};
use crate::{
    laws::sorts::{Shape, sort},
    plan::{Effect, Fault, Millis, Side},
    world::{CONSISTENCY, REQUEST_TIMEOUT, World},
};

/// Requests to the API server that are about no kind.
const ENGINE: [&str; 11] = [
    "create events",
    "create leases",
    "create secrets",
    "delete secrets",
    "get customresourcedefinitions",
    "get leases",
    "get namespaces",
    "get secrets",
    "list secrets",
    "update leases",
    "update secrets",
];

/// What happens to a request, roughly.
#[derive(Clone, Copy)]
enum Mishap {
    Lost,
    AnswerLost,
    Late,
    Slow,
    Status,
    Stale,
    Cut,
    Before,
    After,
}

/// How often what happens to requests to the management APIs.
const REMOTE: &[(u64, Mishap)] = &[
    (8, Mishap::Lost),
    (17, Mishap::AnswerLost),
    (10, Mishap::Late),
    (8, Mishap::Slow),
    (14, Mishap::Status),
    (5, Mishap::Stale),
    (16, Mishap::Before),
    (22, Mishap::After),
];

/// And to those to the API server.
const KUBERNETES: &[(u64, Mishap)] = &[
    (8, Mishap::Lost),
    (14, Mishap::AnswerLost),
    (8, Mishap::Late),
    (8, Mishap::Slow),
    (14, Mishap::Status),
    (4, Mishap::Stale),
    (10, Mishap::Cut),
    (12, Mishap::Before),
    (22, Mishap::After),
];

impl Draft {
    /// Draws what goes wrong.
    pub(super) fn faults(&mut self) {
        let count = match self.size {
            Size::Small => *self.dice.weigh(&[(15, 0), (35, 1), (25, 2), (15, 3), (10, 5)]),
            Size::Middle => self.dice.between(0..=7),
            Size::Large => self.dice.between(1..=10),
        };
        for _ in 0..count {
            let fault = self.fault();
            self.faults.push(fault);
        }
    }

    fn fault(&mut self) -> Fault {
        let side = if self.dice.chance(60) { Side::Remote } else { Side::Kubernetes };
        let mishap = *self.dice.weigh(if side == Side::Remote { REMOTE } else { KUBERNETES });
        let what = self.what(side, mishap);
        let from = self.moment();
        let lasts: Millis = *self.dice.weigh(&[(30, 2_000), (40, 15_000), (30, 60_000)]);
        let until = from + lasts;
        let (nth, times) = match mishap {
            // One crash a fault is enough.
            Mishap::Before | Mishap::After => (self.dice.between(0..=6), 1),
            _ => (self.dice.between(0..=4), *self.dice.weigh(&[(65, 1), (20, 2), (15, 12)])),
        };
        let effect = self.effect(side, mishap);
        let nth = u32::try_from(nth).unwrap_or_default();
        Fault { side, from, until, nth, times, what, effect }
    }

    /// Which requests are meant.
    fn what(&mut self, side: Side, mishap: Mishap) -> String {
        let kinds = self.kinds_in_use();
        let kind = if kinds.is_empty() { "Portal" } else { *self.dice.pick(&kinds) };
        let plural = World::resource(kind).split('.').next().unwrap_or_default();
        match (side, mishap) {
            (Side::Kubernetes, Mishap::Cut) => {
                let watched = *self.dice.weigh(&[(60, plural), (20, "secrets"), (20, "")]);
                if watched.is_empty() { "*".to_owned() } else { format!("watch {watched}") }
            }
            (Side::Kubernetes, Mishap::Stale) => format!("list {plural}"),
            (Side::Kubernetes, Mishap::Slow) if self.dice.chance(40) => format!("watch {plural}"),
            (Side::Kubernetes, _) => match self.dice.below(100) {
                0..35 => format!("patch {plural}/status"),
                35..55 => format!("patch {plural}"),
                55..65 => format!("list {plural}"),
                65..70 => format!("get {plural}"),
                70..85 => (*self.dice.pick(&ENGINE)).to_owned(),
                85..95 => "write".to_owned(),
                _ => "*".to_owned(),
            },
            (Side::Remote, _) => match (self.dice.below(100), sort(kind)) {
                (0..60, Some(sort)) => {
                    // Creates are what most laws are about.
                    let is_create = |operation: &&&str| {
                        ["create", "replace", "add-", "assign"].iter().any(|word| operation.starts_with(word))
                    };
                    let create = sort.operations.iter().find(is_create).copied();
                    let any = *self.dice.pick(sort.operations);
                    let made = sort.shape != Shape::Claimed && self.dice.chance(40);
                    create.filter(|_| made).unwrap_or(any).to_owned()
                }
                (60..66, _) => "token".to_owned(),
                (66..84, _) => "write".to_owned(),
                _ => "*".to_owned(),
            },
        }
    }

    fn effect(&mut self, side: Side, mishap: Mishap) -> Effect {
        // A change that comes later than this is later than anybody waits for.
        let window: Millis = REQUEST_TIMEOUT + CONSISTENCY - 1_000;
        match (mishap, side) {
            (Mishap::Lost, _) => Effect::Lost,
            (Mishap::AnswerLost, _) => Effect::AnswerLost,
            (Mishap::Late, Side::Remote) => Effect::Late(self.dice.between(100..=window)),
            (Mishap::Late, Side::Kubernetes) => Effect::Late(self.dice.between(50..=8_000)),
            (Mishap::Slow, _) => Effect::Slow(self.dice.between(100..=9_000)),
            (Mishap::Stale, Side::Remote) => Effect::Stale(self.dice.between(200..=CONSISTENCY - 1_000)),
            (Mishap::Stale, Side::Kubernetes) => Effect::Stale(self.dice.between(200..=20_000)),
            (Mishap::Cut, _) => Effect::WatchCut(self.dice.chance(40)),
            (Mishap::Before, _) => Effect::CrashBefore,
            (Mishap::After, _) => Effect::CrashAfter,
            (Mishap::Status, Side::Remote) => {
                let (status, retry_after) = *self.dice.weigh(&[
                    (20, (429, Some(7))),
                    (10, (429, None)),
                    (18, (500, None)),
                    (12, (502, None)),
                    (18, (503, None)),
                    (8, (504, None)),
                    (5, (401, None)),
                    (4, (403, None)),
                    (3, (400, None)),
                    (2, (409, None)),
                ]);
                Effect::Status(status, retry_after)
            }
            (Mishap::Status, Side::Kubernetes) => {
                let codes = [(35, 409), (10, 429), (25, 500), (18, 503), (8, 504), (4, 403)];
                Effect::Status(*self.dice.weigh(&codes), None)
            }
        }
    }
}
