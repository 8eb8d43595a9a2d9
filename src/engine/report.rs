//! The one place where statuses are written: what a pass found becomes conditions, events, a log line and a time to come back.
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    delete::Ended,
    diff::Difference,
    done::{Done, Outcome},
    events::transition,
    key::Target,
    kind::Identity,
    kubernetes::{KubeError, Precondition},
    links::Known,
    pass::Pass,
    queue::Lane,
    reason::Reason,
    resolve::parse_connection,
    settings::Settings,
    spec::annotations,
    status::{State, Status, Tri, conditions},
    stop::{Again, Halt, Judgement, Stop},
};

/// After this many refusals a resource counts as stalled.
const TRIES: u32 = 3;

impl Pass<'_> {
    /// Writes what a pass over a living resource found.
    pub async fn report(mut self, result: Result<Done, Stop>) -> Outcome {
        let before = self.object.status();
        let (word, later) = match result {
            Ok(done) => self.report_done(&done),
            Err(Stop::Paused) => self.report_paused(),
            Err(Stop::Halt(halt)) => self.report_halt(&halt),
            Err(Stop::Kube(KubeError::Gone)) => return self.outcome("gone", None),
            Err(Stop::Kube(error)) => return self.report_kube(&error),
        };
        self.finish(&before, word, later).await
    }

    /// Writes what a deletion found.
    pub async fn report_deletion(mut self, result: Result<Ended, Stop>) -> Outcome {
        let before = self.object.status();
        match result {
            Ok(ended) => {
                let word = match ended {
                    Ended::Deleted => "deleted",
                    Ended::Released(_) => "released",
                    Ended::NotHeld => return self.outcome("deleting", None),
                };
                if let Ended::Released(why) = ended {
                    self.event(false, Reason::Deleting, &format!("The object at the API was left as it is: {why}."))
                        .await;
                }
                self.wake_after_end();
                self.outcome(word, None)
            }
            Err(Stop::Halt(halt)) => {
                // What it waits for wakes it; but nothing says that the CRD goes meanwhile, and then there is nothing to wait for (law 6).
                let look = || (Instant::now() + self.engine.jitter(self.engine.settings.backoff_max), Lane::Sweep);
                let later = self.again(&halt).unwrap_or_else(look);
                self.condition(conditions::READY, Some(&State::new(false, halt.reason, halt.message.clone())));
                self.condition(conditions::RECONCILING, Some(&State::new(true, halt.reason, halt.message.clone())));
                self.condition(conditions::STALLED, None);
                self.status.observed_generation = Some(self.generation);
                self.finish(&before, "blocked", Some(later)).await
            }
            Err(Stop::Kube(KubeError::Gone)) => self.outcome("gone", None),
            Err(Stop::Kube(error)) => self.report_kube(&error),
            Err(Stop::Paused) => self.outcome("paused", None),
        }
    }

    fn report_done(&mut self, done: &Done) -> (&'static str, Option<(Instant, Lane)>) {
        let asked = !done.unasked;
        let is_marked = self.ops.identity() == Identity::Mark;
        self.engine.remember(self.object.uid(), |memory| {
            // The first sight of a marked object: it may be younger than the window in which reads do not show it.
            let is_new = asked && is_marked && (done.adopted || !memory.held);
            if is_new {
                memory.made = Some(Instant::now());
            }
            // What was just looked at cannot hide an earlier process' create any more.
            memory.held |= asked;
            memory.end_well();
        });
        if done.unasked {
            return ("in order", None);
        }
        self.answer(true);
        // What was only looked at, through a connection in Observe, is still to be sent.
        if !done.looked {
            self.status.accepted_generation = Some(self.generation);
        }
        let (ready, equal) = if done.nothing {
            let nothing = "There is no object at the API yet, and nothing to do before others have made it.";
            (nothing, nothing)
        } else {
            ("The object exists at the API and accepts the spec.", "The object equals the spec.")
        };
        self.condition(conditions::READY, Some(&State::new(true, Reason::Available, ready)));
        let synced = if done.differences.is_empty() {
            State::new(true, Reason::Available, equal)
        } else if done.kept {
            // Our own write was taken, and the API still shows something else: writing again would not help.
            let message = format!("The API keeps other values than the spec's in {}.", paths(&done.differences));
            State::new(false, Reason::Updating, message)
        } else {
            let message = format!("The object differs from the spec in {}.", paths(&done.differences));
            State::new(false, Reason::DriftDetected, message)
        };
        self.condition(conditions::SYNCED, Some(&synced));
        self.condition(conditions::RECONCILING, None);
        self.condition(conditions::STALLED, None);
        self.status.drift = done.differences.iter().map(Difference::item).collect();
        self.condition(conditions::BOUND, bound_state(done.unbound.as_deref()).as_ref());
        if !done.corrected.is_empty() {
            let note = format!("Someone changed the object at the API; put back: {}.", paths(&done.corrected));
            self.event_now(true, Reason::DriftCorrected, &note);
            self.engine.metrics.drift(self.key.kind, "corrected");
        }
        let word = match (done.created, done.adopted, done.updated, done.differences.is_empty()) {
            (true, ..) => "created",
            (_, true, ..) => "adopted",
            (_, _, true, _) => "updated",
            (.., false) => "differs",
            _ => "unchanged",
        };
        (word, done.ask_again.map(|at| (at, Lane::Sweep)))
    }

    /// The status speaks of the resource as it is now; where the API could not be asked, a wish to look again stays open.
    fn answer(&mut self, asked: bool) {
        self.status.observed_generation = Some(self.generation);
        if asked {
            let wish = self.object.annotation(annotations::RECONCILE_AT);
            self.status.last_handled_reconcile_at = wish.map(str::to_owned);
        }
    }

    fn report_paused(&mut self) -> (&'static str, Option<(Instant, Lane)>) {
        let message = "The resource is paused; remove the annotation portico.dev/paused to go on.";
        let observed = self.status.observed_generation.unwrap_or(-1);
        let now = self.engine.clock.now();
        self.status.set(conditions::SYNCED, Some(&State::new(Tri::Unknown, Reason::Paused, message)), observed, now);
        ("paused", None)
    }

    fn report_halt(&mut self, halt: &Halt) -> (&'static str, Option<(Instant, Lane)>) {
        let later = self.again(halt);
        let was_true = self.is_accepted() && self.is_own_status() && !self.is_only_observed();
        if halt.judgement == Judgement::OutOfTouch && was_true && !self.write_failed {
            // What made this pass look is still to be looked at. One that was only told of something is told again.
            self.owe_look();
            // What was true may still be true. After a while of not knowing, that is what the status says; and who is not paused any more says
            // so at once.
            if self.status.says_paused() || self.is_out_of_touch() || self.is_unseen() {
                self.condition(conditions::SYNCED, Some(&State::new(Tri::Unknown, halt.reason, halt.message.clone())));
            }
            return ("out of touch", later);
        }
        let (failures, failing_for) = self
            .engine
            .remember(self.object.uid(), |m| (m.failures, m.failing_since.map(|s| s.elapsed()).unwrap_or_default()));
        let stalled = match halt.judgement {
            Judgement::Hopeless => true,
            Judgement::Refused => failures >= TRIES || failing_for >= self.engine.settings.patience,
            Judgement::Waiting | Judgement::OutOfTouch => false,
        };
        if halt.reason == Reason::NotFound {
            self.show_nothing();
        }
        let unready = State::new(false, halt.reason, halt.message.clone());
        self.note = Some(halt.message.clone());
        self.answer(halt.judgement != Judgement::OutOfTouch);
        self.condition(conditions::READY, Some(&unready));
        let synced = if halt.judgement == Judgement::OutOfTouch { Tri::Unknown } else { Tri::False };
        self.condition(conditions::SYNCED, Some(&State { holds: synced, ..unready.clone() }));
        let doing = State { holds: Tri::True, ..unready };
        self.condition(conditions::STALLED, stalled.then_some(&doing));
        self.condition(conditions::RECONCILING, (!stalled).then_some(&doing));
        let word = match halt.judgement {
            Judgement::Waiting => "waiting",
            Judgement::OutOfTouch => "out of touch",
            Judgement::Refused | Judgement::Hopeless => "refused",
        };
        (word, later)
    }

    fn report_kube(self, error: &KubeError) -> Outcome {
        self.engine.queue.owe(self.key);
        let wait = if matches!(error, KubeError::Conflict) {
            Duration::from_millis(100)
        } else {
            let failures = self.engine.remember(self.object.uid(), |memory| {
                memory.kube_failures += 1;
                memory.kube_failures
            });
            let first = Duration::from_secs(1).min(self.engine.settings.backoff);
            first.saturating_mul(2_u32.saturating_pow(failures - 1)).min(self.engine.settings.backoff_max)
        };
        tracing::debug!(resource = %self.key, %error, "the API server did not take a write");
        let later = (Instant::now() + self.engine.jitter(wait), Lane::Retry);
        self.outcome("kubernetes", Some(later))
    }

    /// When to run again; counts the failure.
    fn again(&self, halt: &Halt) -> Option<(Instant, Lane)> {
        let now = Instant::now();
        match halt.again {
            Again::OnWake => None,
            Again::At(at) => Some((at.max(now) + self.engine.jitter(Duration::from_millis(20)), Lane::Retry)),
            Again::Backoff(earliest) => {
                let generation = self.generation;
                let failures = self.engine.remember(self.object.uid(), |memory| {
                    if memory.generation != generation {
                        (memory.generation, memory.failures, memory.failing_since) = (generation, 0, None);
                    }
                    memory.failures += 1;
                    memory.failing_since.get_or_insert(now);
                    memory.failures
                });
                // A try that takes many requests is made less often: at most six requests in the first minute.
                let least = match self.requests {
                    0..=2 => 0,
                    3 => 3,
                    _ => 6,
                };
                let wait =
                    backoff(&self.engine.settings, failures, halt.judgement).max(self.engine.settings.backoff * least);
                let due = now + self.engine.jitter(wait);
                Some((earliest.map_or(due, |earliest| earliest.max(due)), Lane::Retry))
            }
        }
    }

    async fn finish(mut self, before: &Status, word: &'static str, later: Option<(Instant, Lane)>) -> Outcome {
        let stored = self.object.status();
        // A restored backup has the id, and the recipe of another UID.
        let new_record =
            self.status.id.is_some() && (self.status.id != stored.id || self.status.remote != stored.remote);
        let written = match (new_record, self.connection(), self.recorded_path()) {
            (true, Some(known), Ok(path)) if self.status.recorded(&self.engine.owner, self.object.uid()).is_some() => {
                self.persist(&known.link, &path).await
            }
            _ => self.write_status(Precondition::Uid).await,
        };
        if let Err(Stop::Kube(error)) = written {
            let is_news = transition(before, &self.status).is_some();
            self.engine.remember(self.object.uid(), |memory| memory.event |= is_news);
            return match error {
                KubeError::Gone => self.outcome("gone", None),
                error => self.report_kube(&error),
            };
        }
        if self.status.recorded(&self.engine.owner, self.object.uid()).is_some() {
            self.engine.remember(self.object.uid(), |memory| memory.unrecorded = false);
        }
        let (nothing, owed) =
            (Status::default(), self.engine.remember(self.object.uid(), |m| std::mem::take(&mut m.event)));
        if let Some((warning, reason, note)) = transition(if owed { &nothing } else { before }, &self.status) {
            let note = self.note.take().unwrap_or(note);
            self.event(warning, reason, &note).await;
        }
        // A pass before this one, or another process, may have stored the same and told nobody: then it is no news here, and is told all the
        // same, or whoever waits would wait for ever (law 10).
        let is_untold = self.engine.queue.take_untold(self.key);
        // What it has given up may be another one's now.
        if (is_untold || before.id.is_some()) && self.status.id.is_none() {
            let others = super::watch::claimants(self.engine, self.key);
            super::watch::wake_claimants(self.engine, self.key, &others);
        }
        // What was made again may be what others miss, and what a resource shows stands in others' Secrets.
        // Whoever waits for an object reads the id together with the recipe.
        let is_moved = before.id != self.status.id || before.remote != self.status.remote;
        let is_news = is_untold || self.made || is_moved || before.extra != self.status.extra;
        if is_news || before.is_true(conditions::READY) != self.status.is_true(conditions::READY) {
            self.engine.wake_dependents(&Target::Resource(self.key.clone()));
        }
        self.outcome(word, later)
    }

    /// Hands in an event, except in a namespace that is going: nothing can be created there.
    async fn event(&self, warning: bool, reason: Reason, note: &str) {
        if self.object.is_deleting() {
            let lives = matches!(self.engine.kube.namespace(&self.key.namespace).await, Ok(Some((_, false))));
            if !lives {
                return;
            }
        }
        self.event_now(warning, reason, note);
    }

    fn event_now(&self, warning: bool, reason: Reason, note: &str) {
        self.engine.events.publish(self.ops.info(), &self.object, warning, reason, note);
    }

    /// Whether nobody could look for long through the connection that this resource is to use; where its spec leads to none, the one that
    /// it used last.
    fn is_out_of_touch(&self) -> bool {
        let named = self.engine.connection_of(self.ops, self.key, &self.object);
        let recorded = || parse_connection(self.ops, &self.status.remote.as_ref()?.connection);
        named.or_else(recorded).is_some_and(|connection| self.engine.is_out_of_touch(&connection))
    }

    /// The connection that this resource used last.
    pub(super) fn connection(&self) -> Option<Known> {
        let recipe = self.status.remote.as_ref()?;
        self.engine.links.get(&parse_connection(self.ops, &recipe.connection)?)
    }

    fn outcome(&self, word: &'static str, later: Option<(Instant, Lane)>) -> Outcome {
        Outcome { word, requests: self.requests, later }
    }
}

/// How long to wait after this many failures in a row.
#[must_use]
pub fn backoff(settings: &Settings, failures: u32, judgement: Judgement) -> Duration {
    let doubled =
        |first: Duration, times: u32, most: Duration| first.saturating_mul(2_u32.saturating_pow(times)).min(most);
    let tries = failures.saturating_sub(1);
    match judgement {
        Judgement::Hopeless => doubled(settings.stalled, tries, settings.stalled_max),
        Judgement::Refused if failures >= TRIES => doubled(settings.stalled, failures - TRIES, settings.stalled_max),
        _ => doubled(settings.backoff, tries, settings.backoff_max),
    }
}

/// The condition that says who and what is not there yet; none where the spec names nobody.
#[must_use]
pub fn bound_state(unbound: Option<&[String]>) -> Option<State> {
    unbound.map(|missing| match missing {
        [] => State::new(true, Reason::Available, "Everyone the spec names is bound."),
        missing => State::new(false, Reason::ReferenceNotFound, missing.join("; ")),
    })
}

fn paths(differences: &[Difference]) -> String {
    differences.iter().map(|d| d.path.join(".")).collect::<Vec<_>>().join(", ")
}

/// A status as the API server would return it, to compare two.
#[must_use]
pub fn value(status: &Status) -> Value {
    serde_json::to_value(status).unwrap_or_default()
}

/// Whether the status says all there is to say: in sync, or different in a way that is to stay.
#[must_use]
pub fn is_settled(status: &Status, leaves: bool) -> bool {
    let Some(synced) = status.condition(conditions::SYNCED) else { return false };
    match synced.status.as_str() {
        "True" => true,
        "False" => {
            synced.reason == Reason::Updating.as_str() || (leaves && synced.reason == Reason::DriftDetected.as_str())
        }
        _ => false,
    }
}

/// Whether what a sweep saw is to be looked at: it is not what the status says already. `leaves`: differences are only reported.
#[must_use]
pub fn is_news(status: &Status, differences: &[Difference], leaves: bool) -> bool {
    let items: Vec<_> = differences.iter().map(Difference::item).collect();
    let synced = status.is_true(conditions::SYNCED);
    if items.is_empty() { !synced } else { synced || items != status.drift || !is_settled(status, leaves) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_refusal_is_tried_at_most_three_times_in_its_first_minute() {
        let settings = Settings::default();
        for judgement in [Judgement::Refused, Judgement::OutOfTouch, Judgement::Hopeless] {
            let mut at = Duration::ZERO;
            let tries = (1..20).take_while(|failures| {
                let within = at < Duration::from_secs(60);
                at += backoff(&settings, *failures, judgement);
                within
            });
            assert!(tries.count() <= 3, "{judgement:?}");
        }
    }

    #[test]
    fn what_needs_a_person_is_tried_every_5_to_30_minutes() {
        let settings = Settings::default();
        for failures in 1..50 {
            let wait = backoff(&settings, failures, Judgement::Hopeless);
            assert!((300..=1800).contains(&wait.as_secs()));
        }
    }
}
