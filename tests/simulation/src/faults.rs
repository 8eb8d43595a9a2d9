//! Which requests of the operator a plan's faults hit.
use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use portico_sandbox::{Sandbox, Snapshot};

use crate::{
    coverage::Point,
    plan::{Effect, Fault, Millis, Plan, Side},
    world::lock,
};

/// How many states of the APIs are remembered for stale reads.
const REMEMBERED: usize = 200;

/// A request as faults tell it from others.
pub(crate) struct Target<'a> {
    pub(crate) side: Side,
    /// A contract operation; or the verb, the plural and the subresource: `patch portals/status`.
    pub(crate) name: &'a str,
    /// For whom it is sent, and in the middle of what.
    pub(crate) point: Option<&'a Point>,
    /// Whether it may change something.
    pub(crate) is_write: bool,
    /// Whether it asks for a page of a listing after the first.
    pub(crate) is_later_page: bool,
    /// Whether it follows changes: then what happens to watches is decided elsewhere.
    pub(crate) is_watch: bool,
}

/// The faults of a world, and what they need to remember.
pub(crate) struct Faults {
    all: Vec<Counted>,
    quiet_from: Millis,
    random: Mutex<fastrand::Rng>,
    /// The APIs as they were, with the time from which on; only where reads may be stale.
    past: Option<Mutex<VecDeque<(Millis, Snapshot)>>>,
    /// The versions of the API server, likewise.
    versions: Mutex<VecDeque<(Millis, u64)>>,
}

struct Counted {
    fault: Fault,
    matched: AtomicU32,
}

impl Faults {
    pub(crate) fn new(plan: &Plan, random: fastrand::Rng) -> Self {
        let stale = |fault: &Fault| fault.side == Side::Remote && matches!(fault.effect, Effect::Stale(_));
        Self {
            all: plan.faults.iter().map(|fault| Counted { fault: fault.clone(), matched: AtomicU32::new(0) }).collect(),
            quiet_from: plan.quiet_from,
            random: Mutex::new(random),
            past: plan.faults.iter().any(stale).then(Mutex::default),
            versions: Mutex::default(),
        }
    }

    /// What happens to a request that is sent now. All faults that it matches count it; the first whose turn it is strikes.
    pub(crate) fn strike(&self, now: Millis, target: &Target) -> Option<Effect> {
        if now >= self.quiet_from {
            return None;
        }
        let mut effect = None;
        for Counted { fault, matched } in self.all.iter().filter(|counted| counted.fault.means(now, target)) {
            let number = matched.fetch_add(1, Ordering::Relaxed);
            let strikes = (fault.nth..fault.nth.saturating_add(fault.times)).contains(&number);
            if strikes && effect.is_none() {
                effect = Some(fault.effect.clone());
            }
        }
        effect
    }

    /// Draws for a request: how long it is on its way, how an answer is lost.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut lock(&self.random))
    }

    /// Remembers the APIs as they are now, where somebody may ask for it later. Called after every change.
    pub(crate) fn remember(&self, now: Millis, sandbox: &Sandbox) {
        let Some(past) = &self.past else { return };
        if now >= self.quiet_from {
            return;
        }
        let mut past = lock(past);
        past.push_back((now, sandbox.snapshot()));
        if past.len() > REMEMBERED {
            past.pop_front();
        }
    }

    /// The APIs as they were then, as far as that is remembered.
    pub(crate) fn before(&self, then: Millis) -> Option<Snapshot> {
        let past = lock(self.past.as_ref()?);
        let found = past.iter().rev().find(|(from, _)| *from <= then).or(past.front());
        found.map(|(_, snapshot)| snapshot.clone())
    }

    /// Remembers the version that the API server has now.
    pub(crate) fn note_version(&self, now: Millis, version: u64) {
        let mut versions = lock(&self.versions);
        if versions.back().is_none_or(|(_, last)| *last != version) {
            versions.push_back((now, version));
        }
    }

    /// The version that the API server had then.
    pub(crate) fn version_at(&self, then: Millis) -> u64 {
        let versions = lock(&self.versions);
        let found = versions.iter().rev().find(|(from, _)| *from <= then).or(versions.front());
        found.map_or(0, |(_, version)| *version)
    }
}

impl Fault {
    /// Whether it counts a request that is sent now.
    fn means(&self, now: Millis, target: &Target) -> bool {
        let named = match self.what.as_str() {
            "*" => true,
            "write" => target.is_write,
            "pages" => target.is_later_page,
            name => name == target.name || target.point.is_some_and(|point| point.is_named(name)),
        };
        // A read alone can be stale, a watch alone be cut, and of a watch every event can be slow: that is not up to its request.
        let fits = match self.effect {
            Effect::Stale(_) => !target.is_write && !target.is_watch,
            Effect::WatchCut(_) => false,
            Effect::Slow(_) | Effect::Late(_) => !target.is_watch,
            _ => true,
        };
        named && fits && self.side == target.side && (self.from..self.until).contains(&now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Stage;

    fn faults(faults: Vec<Fault>) -> Faults {
        let plan = Plan {
            seed: 1,
            switches: portico_sandbox::Switches::default(),
            before: Vec::new(),
            steps: Vec::new(),
            faults,
            replicas: 1,
            quiet_from: 1000,
        };
        Faults::new(&plan, fastrand::Rng::with_seed(1))
    }

    fn fault(what: &str, nth: u32, times: u32, effect: Effect) -> Fault {
        Fault { side: Side::Remote, from: 10, until: 500, nth, times, what: what.to_owned(), effect }
    }

    fn write(name: &str) -> Target<'_> {
        Target { side: Side::Remote, name, point: None, is_write: true, is_later_page: false, is_watch: false }
    }

    #[test]
    fn a_fault_strikes_from_its_nth_request_on_as_often_as_it_says() {
        let faults = faults(vec![fault("create-portal", 1, 2, Effect::Lost)]);
        let struck: Vec<bool> = (0..5).map(|_| faults.strike(100, &write("create-portal")).is_some()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert_eq!(faults.strike(100, &write("update-portal")), None);
    }

    #[test]
    fn a_fault_strikes_in_its_time_alone_and_never_in_quiet_times() {
        let mut late = fault("*", 0, 9, Effect::Lost);
        late.until = 5000;
        let faults = faults(vec![late]);
        let struck = [5, 10, 999, 1000, 2000].map(|now| faults.strike(now, &write("create-portal")).is_some());
        assert_eq!(struck, [false, true, true, false, false]);
    }

    #[test]
    fn a_crash_can_be_meant_for_the_nth_request_of_a_stage_of_a_kind() {
        let faults = faults(vec![fault("Portal create *", 1, 1, Effect::CrashBefore)]);
        let point = |kind, stage| Point { kind, stage, side: Side::Remote, request: "create-portal".to_owned() };
        let of = |point| faults.strike(100, &Target { point: Some(point), ..write("create-portal") }).is_some();
        let (create, update) = (point("Portal", Stage::Create), point("Portal", Stage::Update));
        let struck = [&create, &update, &point("PortalTeam", Stage::Create), &create, &create].map(of);
        assert_eq!(struck, [false, false, false, true, false]);
    }

    #[test]
    fn only_reads_are_stale() {
        let faults = faults(vec![fault("*", 0, 1, Effect::Stale(100)), fault("write", 0, 1, Effect::AnswerLost)]);
        assert_eq!(faults.strike(100, &write("create-portal")), Some(Effect::AnswerLost));
        let read = Target { is_write: false, ..write("list-portals") };
        assert_eq!(faults.strike(100, &read), Some(Effect::Stale(100)));
    }

    #[test]
    fn a_fault_of_later_pages_leaves_the_first_page_alone() {
        let faults = faults(vec![fault("pages", 0, 9, Effect::Lost)]);
        let first = Target { is_write: false, ..write("list-portals") };
        assert_eq!(faults.strike(100, &first), None);
        assert_eq!(faults.strike(100, &Target { is_later_page: true, ..first }), Some(Effect::Lost));
    }

    #[test]
    fn the_version_of_a_moment_is_the_last_before_it() {
        let faults = faults(Vec::new());
        for (now, version) in [(10, 3), (20, 3), (30, 7)] {
            faults.note_version(now, version);
        }
        assert_eq!([5, 10, 29, 30, 99].map(|then| faults.version_at(then)), [3, 3, 3, 7, 7]);
    }
}
