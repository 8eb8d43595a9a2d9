//! One world from its beginning to its rest.
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use portico_testbed::simulated::{Loss, Write};
use serde_json::json;
use tokio::{
    runtime::Builder,
    time::{sleep, sleep_until},
};

use crate::{
    act::act,
    cluster::Cluster,
    coverage::Coverage,
    panics,
    plan::{Action, Effect, Fault, Millis, Plan, Side, Step},
    replicas,
    seen::Violation,
    trace::Trace,
    world::{BOUND, NAMESPACE, REST, SYSTEM, World, lock},
};

/// What became of a world.
pub struct Outcome {
    /// The laws that did not hold.
    pub violations: Vec<Violation>,
    /// How many requests the operator sent, to both sides.
    pub requests: u64,
    /// How many virtual milliseconds it lasted.
    pub lasted: Millis,
    /// Since when it is at rest; none where it never came to rest.
    pub settled: Option<Millis>,
    /// What happened, line by line; nothing where that was not kept.
    pub trace: Vec<String>,
    /// The same for all worlds in which the same happened.
    pub digest: u64,
    /// The crashes that were drawn.
    pub coverage: Coverage,
    /// How often each law was put to the test.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Something that the core does at its time.
enum Event<'p> {
    Backup,
    Step(&'p Step),
    CutWatches(&'p str, bool),
    DelayWatches(&'p str, Millis),
}

/// Runs a world on this thread, on a time of its own.
#[must_use]
pub fn run(plan: &Plan, keep_trace: bool) -> Outcome {
    let trace = Trace::new(keep_trace);
    panics::note();
    // Whatever is left of the world goes with its runtime.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime without I/O needs nothing");
        runtime.block_on(whole(plan, trace.clone()))
    }));
    let panics = panics::take();
    let mut outcome = result.unwrap_or_else(|_| Outcome {
        violations: Vec::new(),
        requests: 0,
        lasted: 0,
        settled: None,
        trace: Vec::new(),
        digest: 0,
        coverage: Coverage::default(),
        counts: BTreeMap::new(),
    });
    let at = outcome.lasted;
    outcome.violations.extend(panics.into_iter().map(|what| Violation { law: "panic", at, what }));
    outcome.trace = trace.lines();
    outcome.digest = trace.digest();
    outcome
}

async fn whole(plan: &Plan, trace: Trace) -> Outcome {
    let world = World::new(plan.clone(), trace);
    world.kubernetes.intercept(Some(Arc::new(Cluster::new(&world))));
    tokio::spawn(world.kubernetes.controllers());
    prepare(&world);
    world.faults.remember(0, &world.sandbox);
    world.laws.begin(&world);
    tokio::spawn(tick(world.clone()));
    for replica in 0..plan.replicas {
        replicas::start(&world, replica);
    }
    let settled = tokio::select! {
        biased;
        () = world.halted.notified() => None,
        settled = live(&world) => settled,
    };
    world.laws.finish(&world);
    // It holds the way back to the world.
    world.kubernetes.intercept(None);
    let coverage = lock(&world.coverage).clone();
    Outcome {
        violations: world.violations(),
        requests: world.requests(),
        lasted: world.now(),
        settled,
        trace: Vec::new(),
        digest: 0,
        coverage,
        counts: world.laws.counts(),
    }
}

/// What is there before anybody does anything.
fn prepare(world: &World) {
    for name in [NAMESPACE, SYSTEM] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        world.kubernetes.create("user", namespace).expect("it is new");
    }
    for manifest in &world.plan.before {
        if let Err(refusal) = world.kubernetes.put("user", world.filled(manifest)) {
            world.violate("plan", format!("what is to be there beforehand is refused: {refusal}: {manifest}"));
        }
    }
}

async fn tick(world: Arc<World>) {
    loop {
        sleep(Duration::from_secs(1)).await;
        world.laws.tick(&world);
    }
}

/// Lets everything happen, and waits for the rest; says since when it lasts.
async fn live(world: &World) -> Option<Millis> {
    for (at, event) in timeline(&world.plan) {
        sleep_until(world.at(at)).await;
        match event {
            Event::Backup => world.keep_backup(at),
            Event::Step(step) => {
                world.trace.note(world.now(), format_args!("* {:?}", step.action));
                act(world, &step.action).await;
                world.faults.remember(world.now(), &world.sandbox);
                world.laws.acted(world, &step.action);
            }
            Event::CutWatches(what, compact) => cut_watches(world, what, compact),
            Event::DelayWatches(what, delay) => delay_watches(world, what, delay),
        }
    }
    sleep_until(world.at(world.plan.quiet_from)).await;
    world.kubernetes.delay_watches(Duration::ZERO);
    world.trace.note(world.now(), format_args!("* nothing more goes wrong from here on"));
    rest(world).await
}

/// What the core has to do when. What is due at the same moment keeps this order.
fn timeline(plan: &Plan) -> Vec<(Millis, Event<'_>)> {
    let mut timeline: Vec<(Millis, Event)> = Vec::new();
    for step in &plan.steps {
        if let Action::Restore { from } = step.action {
            timeline.push((from, Event::Backup));
        }
    }
    for fault in plan.faults.iter().filter(|fault| fault.side == Side::Kubernetes) {
        let what = fault.what.strip_prefix("watch ").or((fault.what == "*").then_some(""));
        match (&fault.effect, what) {
            (Effect::WatchCut(compact), what) => {
                timeline.extend(cuts(fault).map(|at| (at, Event::CutWatches(what.unwrap_or_default(), *compact))));
            }
            (Effect::Slow(delay), Some(what)) => {
                timeline.push((fault.from, Event::DelayWatches(what, *delay)));
                timeline.push((fault.until, Event::DelayWatches(what, 0)));
            }
            _ => {}
        }
    }
    timeline.extend(plan.steps.iter().map(|step| (step.at, Event::Step(step))));
    timeline.retain(|(at, _)| *at <= plan.quiet_from);
    timeline.sort_by_key(|(at, _)| *at);
    timeline
}

/// When the watches that a fault names are cut: as often as it says, in its time.
fn cuts(fault: &Fault) -> impl Iterator<Item = Millis> {
    let (from, times) = (fault.from, u64::from(fault.times.clamp(1, 10)));
    let apart = fault.until.saturating_sub(from) / times;
    (0..times).map(move |number| from + number * apart)
}

/// Breaks watches: those of the resource with this plural, or all where it is empty.
fn cut_watches(world: &World, plural: &str, compact: bool) {
    world.trace.note(world.now(), format_args!("* watches of {plural:?} break, compacted: {compact}"));
    if compact {
        world.kubernetes.compact(world.kubernetes.version());
    }
    let named = |resource: &str| plural.is_empty() || resource.split('.').next() == Some(plural);
    world.kubernetes.break_watches(Loss::Reset, |_, resource| named(resource));
}

/// Makes watches tell what happens so much later: those of the resource with this plural, or all where it is empty.
fn delay_watches(world: &World, plural: &str, millis: Millis) {
    world.trace.note(world.now(), format_args!("* watches of {plural:?} tell {millis} ms later"));
    let delay = Duration::from_millis(millis);
    if plural.is_empty() {
        world.kubernetes.delay_watches(delay);
    }
    // Each resource on its own: what is written to one is still unseen when the watch of another wakes somebody.
    let resources = World::kinds().iter().chain(&["Secret"]).map(|kind| World::resource(kind));
    for resource in resources.filter(|resource| resource.split('.').next() == Some(plural)) {
        world.kubernetes.delay_watches_of(resource, delay);
    }
}

/// Waits until nothing has been written for [`REST`]; says since when, or gives up after [`BOUND`].
async fn rest(world: &World) -> Option<Millis> {
    let mut seen = world.kubernetes.history().len();
    let mut quiet_since = world.now();
    let mut last = None;
    loop {
        sleep(Duration::from_secs(1)).await;
        let writes = world.kubernetes.history_since(seen);
        seen += writes.len();
        if let Some(write) = writes.into_iter().rfind(|write| counts(world, write)) {
            quiet_since = world.now();
            last = Some(write);
        }
        quiet_since = quiet_since.max(world.last_change());
        if world.running().len() < usize::from(world.plan.replicas) {
            quiet_since = world.now();
        }
        if world.now() - quiet_since >= REST {
            return Some(quiet_since);
        }
        if world.now() > world.plan.quiet_from + BOUND {
            world.violate("rest", busy(world, last.as_ref()));
            return None;
        }
    }
}

/// Whether a write says that the world is not at rest yet: the Lease and the events do not count, nor do writes that changed nothing, nor
/// those that announce another attempt at what is refused.
fn counts(world: &World, write: &Write) -> bool {
    let is_noise = ["leases.", "events."].iter().any(|noise| write.resource.starts_with(noise));
    let is_news = write.version.is_some_and(|version| !world.laws.is_attempt(version));
    World::is_operator(&write.actor) && is_news && !is_noise
}

fn busy(world: &World, last: Option<&Write>) -> String {
    let last = last.map_or("none to Kubernetes".to_owned(), |write| {
        let Write { verb, resource, subresource, namespace, name, .. } = write;
        format!("{verb} {resource} {subresource} {namespace}/{name}")
    });
    format!(
        "{BOUND} ms after the last fault it still writes: last {last}, and at {} ms to an API; running: {:?}",
        world.last_change(),
        world.running()
    )
}

#[cfg(test)]
mod tests {
    use portico_sandbox::Switches;

    use super::*;

    #[test]
    fn backups_come_before_what_is_done_at_their_moment_and_nothing_comes_after_the_quiet() {
        let step = |at| Step { at, action: Action::Namespace { namespace: "a".to_owned() } };
        let plan = Plan {
            seed: 1,
            switches: Switches::default(),
            before: Vec::new(),
            steps: vec![step(500), Step { at: 800, action: Action::Restore { from: 500 } }, step(2000)],
            faults: vec![Fault {
                side: Side::Kubernetes,
                from: 100,
                until: 300,
                nth: 0,
                times: 2,
                what: "watch portals".to_owned(),
                effect: Effect::WatchCut(true),
            }],
            replicas: 1,
            quiet_from: 1000,
        };
        let found: Vec<(Millis, &str)> = timeline(&plan)
            .into_iter()
            .map(|(at, event)| match event {
                Event::Backup => (at, "backup"),
                Event::Step(_) => (at, "step"),
                Event::CutWatches("portals", true) => (at, "cut"),
                Event::CutWatches(..) | Event::DelayWatches(..) => (at, "other"),
            })
            .collect();
        assert_eq!(found, [(100, "cut"), (200, "cut"), (500, "backup"), (500, "step"), (800, "step")]);
    }
}
