//! The way to the API server: every request of the operator passes here, with time and faults.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use portico_testbed::simulated::{Call, Effect as Fate, Interceptor, Loss, Refusal, Verb, Verdict};

use crate::{
    attribution::{call_name, of_call},
    coverage::Point,
    faults::Target,
    plan::{Effect, Side},
    replicas,
    trace::Short,
    world::{MOST_REQUESTS, World, lock},
};

/// The most milliseconds that an answer takes.
const LATENCY: u64 = 5;
/// One of so many requests takes effect only after a while; the others at once.
const SLOW_ONE: u64 = 6;

/// Decides what becomes of the operator's requests to the API server. Whoever else asks is let through.
pub(crate) struct Cluster {
    /// The world holds the API server, which holds this.
    world: Weak<World>,
    /// The requests after whose effect their sender crashes.
    fatal: Mutex<BTreeMap<u64, Point>>,
}

impl Cluster {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::downgrade(world), fatal: Mutex::default() }
    }
}

impl Interceptor for Cluster {
    fn intercept(&self, call: &Call) -> Verdict {
        let Some(world) = self.world.upgrade() else { return Verdict::proceed() };
        let Some((replica, life)) = replicas::of_actor(&call.actor) else { return Verdict::proceed() };
        if !replicas::is_alive(&world, replica, life) {
            return Fate::LoseRequest(Loss::Silence).into();
        }
        let number = world.count_request();
        if number > MOST_REQUESTS {
            return Fate::LoseRequest(Loss::Silence).into();
        }
        let now = world.now();
        world.faults.note_version(now, call.version);
        world.laws.kubernetes_request(&world, call);
        let point = of_call(call);
        lock(&world.coverage).saw(&point, now);
        let name = call_name(call);
        let (is_write, is_watch) = (call.verb.is_write(), call.verb == Verb::Watch);
        let target = Target {
            side: Side::Kubernetes,
            name: &name,
            point: Some(&point),
            is_write,
            is_later_page: false,
            is_watch,
        };
        let effect = world.faults.strike(now, &target);
        note(&world, call, (replica, life), effect.as_ref());
        let mut verdict = world.faults.draw(|random| {
            let after = Duration::from_millis(random.u64(1..=LATENCY));
            // A watch has to begin where the list before it ended; it may take its time all the same.
            let before = if random.u64(..SLOW_ONE) == 0 { random.u64(1..=LATENCY) } else { 0 };
            Verdict { before: Duration::from_millis(before), after, ..Verdict::default() }
        });
        let Some(effect) = effect else { return verdict };
        match effect {
            Effect::Lost => verdict.effect = Fate::LoseRequest(loss(&world, call)),
            Effect::AnswerLost => verdict.effect = Fate::LoseAnswer(loss(&world, call)),
            Effect::Late(millis) => verdict.before += Duration::from_millis(millis),
            Effect::Slow(millis) => verdict.after += Duration::from_millis(millis),
            Effect::Status(code, _) => verdict.effect = Fate::Answer(refusal(code)),
            Effect::Stale(age) => {
                verdict.effect = Fate::Stale(world.faults.version_at(now.saturating_sub(age)));
            }
            // Watches are cut when the time comes, not when they begin.
            Effect::WatchCut(_) => {}
            Effect::CrashBefore => {
                lock(&world.coverage).crashed(&point, false);
                replicas::crash_somehow(&world, replica, life);
                verdict = Fate::LoseRequest(Loss::Silence).into();
            }
            Effect::CrashAfter => {
                lock(&self.fatal).insert(call.number, point);
            }
        }
        verdict
    }

    fn carried_out(&self, call: &Call, code: u16) -> Option<Loss> {
        let world = self.world.upgrade()?;
        let (replica, life) = replicas::of_actor(&call.actor)?;
        if is_worth_a_line(call) && call.verb.is_write() {
            let name = call_name(call);
            world.trace.note(world.now(), format_args!("r{replica}.{life} k#{} {name} -> {code}", call.number));
        }
        world.laws.kubernetes_answer(&world, call, code);
        if let Some(point) = lock(&self.fatal).remove(&call.number) {
            lock(&world.coverage).crashed(&point, true);
            replicas::crash_somehow(&world, replica, life);
        }
        // Nobody is there any more who could hear it.
        (!replicas::is_alive(&world, replica, life)).then_some(Loss::Silence)
    }
}

/// How a message is lost: the connection breaks, or falls silent. Only who has a deadline gets over a silence: kube's own requests for
/// watches have none here (in production the client's connection has).
fn loss(world: &World, call: &Call) -> Loss {
    let has_a_deadline = !matches!(call.verb, Verb::List | Verb::Watch);
    if has_a_deadline && world.faults.draw(fastrand::Rng::bool) { Loss::Silence } else { Loss::Reset }
}

/// An answer in the words of the API server.
fn refusal(code: u16) -> Refusal {
    let (reason, message) = match code {
        403 => ("Forbidden", "it is forbidden here"),
        404 => ("NotFound", "it is not found"),
        409 => {
            ("Conflict", "the object has been modified; please apply your changes to the latest version and try again")
        }
        429 => ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the request did not complete within the allotted time"),
        _ => ("InternalError", "an internal error occurred"),
    };
    Refusal::new(code, reason, message)
}

/// The renewals of the Lease fill pages, and say nothing.
fn is_worth_a_line(call: &Call) -> bool {
    !call.resource.starts_with("leases.")
}

/// A request is sent.
fn note(world: &World, call: &Call, (replica, life): (u8, u32), effect: Option<&Effect>) {
    if effect.is_none() && !is_worth_a_line(call) {
        return;
    }
    let Call { number, namespace, name, body, .. } = call;
    let (what, body) = (call_name(call), Short(body));
    let now = world.now();
    match effect {
        Some(effect) => {
            world
                .trace
                .note(now, format_args!("r{replica}.{life} k#{number} {what} {namespace}/{name}{body} [{effect:?}]"));
        }
        None => world.trace.note(now, format_args!("r{replica}.{life} k#{number} {what} {namespace}/{name}{body}")),
    }
}
