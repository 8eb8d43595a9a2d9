//! One pass over a connection: read the Secret, build the link, probe, open or shut the gate, report.
use std::{sync::Arc, time::Duration};

use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    core::Engine,
    done::Outcome,
    escrow::Data,
    events::transition,
    key::{Key, Target},
    kind::{ConnectionOps, Wait},
    kubernetes::{KubeError, Precondition},
    links::Known,
    queue::Lane,
    raw::Raw,
    reason::Reason,
    report::backoff,
    spec::{ConnectionCommon, annotations},
    status::{State, Status, Tri, conditions},
    stop::{Again, Halt, Judgement, Stop},
    sweep::sweep,
    sweep_cost::text,
    working::{tell_connection, turn_to},
};
use crate::remote::{ApiError, Call, gate::Shut};

/// What the status calls the interval between sweeps that was stretched.
const SWEEP_INTERVAL: &str = "sweepInterval";

/// One pass over a connection.
pub struct ConnectionPass<'e> {
    pub(super) engine: &'e Arc<Engine>,
    pub(super) ops: &'static dyn ConnectionOps,
    pub(super) key: &'e Key,
    pub(super) object: Arc<Raw>,
    generation: i64,
    pub(super) status: Status,
    pub(super) requests: u32,
    /// What the link was built from in this pass, to be kept once it is seen to work.
    pub(super) escrow: Option<Data>,
    /// Whether what works could not be kept, and is to be kept soon.
    pub(super) unkept: bool,
}

impl<'e> ConnectionPass<'e> {
    /// A pass.
    #[must_use]
    pub fn new(engine: &'e Arc<Engine>, ops: &'static dyn ConnectionOps, key: &'e Key, object: Arc<Raw>) -> Self {
        let (status, generation) = (object.status(), object.generation());
        Self { engine, ops, key, object, generation, status, requests: 0, escrow: None, unkept: false }
    }

    /// Runs to the end, and writes the status.
    pub async fn run(mut self) -> Outcome {
        tell_connection(&self.object);
        self.note_need();
        if self.object.is_deleting() {
            return self.run_deletion().await;
        }
        if self.object.is_paused() {
            let state = State::new(
                Tri::Unknown,
                Reason::Paused,
                "The connection is paused; remove the annotation portico.dev/paused to go on.",
            );
            self.condition(conditions::SYNCED, Some(&state));
            self.keep_while_paused().await;
            return self.finish("paused", None).await;
        }
        let before = self.engine.links.get(self.key);
        let result = self.connect().await;
        self.keep_escrow().await;
        let (word, later) = self.judge(&result);
        let after = self.engine.links.get(self.key);
        let usable = |known: &Option<Known>| {
            known.as_ref().is_some_and(|k| k.trouble.is_none() && k.verified && k.link.gate().is_shut().is_none())
        };
        let built =
            |known: &Option<Known>| known.as_ref().map(|k| (k.uid.clone(), k.fingerprint.clone(), k.generation));
        let trouble = |known: &Option<Known>| known.as_ref().and_then(|k| k.trouble.as_ref()).map(|wait| wait.reason);
        let changed = usable(&before) != usable(&after) || trouble(&before) != trouble(&after);
        let mut outcome = self.finish(word, later).await;
        let (engine, key) = (self.engine, self.key);
        if built(&before) != built(&after) {
            engine.wake_dependents(&Target::Resource(key.clone()));
        } else if changed || matches!(&result, Ok(true)) {
            // Those who wait for the connection go on; those who wait after a failure of their own keep waiting.
            engine.nudge_dependents(&Target::Resource(key.clone()));
        }
        let interval = |known: &Known| known.interval(engine.settings.backoff_max);
        let due = |known: &Known| known.swept.is_none_or(|at| at.elapsed() >= interval(known));
        if let Some(known) = after.filter(|known| result.is_ok() && due(known)) {
            turn_to(None);
            self.requests += sweep(engine, key, &known).await;
            self.show_sweep();
            let wait = engine.links.get(key).map_or(known.common.resync(), |known| interval(&known));
            let later = Some((Instant::now() + engine.jitter(wait), Lane::Sweep));
            outcome = self.finish(word, outcome.later.and(later)).await;
        }
        outcome
    }

    /// What the last sweep saw, or why it did not.
    fn show_sweep(&mut self) {
        let Some(known) = self.engine.links.get(self.key) else { return };
        // After a restart what the status says stands until the first sweep has shown its cost.
        if let Some(stretched) = known.stretched() {
            self.status.extra.insert(SWEEP_INTERVAL.to_owned(), text(stretched).into());
        } else if known.swept.is_some() {
            self.status.extra.remove(SWEEP_INTERVAL);
        }
        if let Some(trouble) = &known.sweep_trouble {
            let message = format!("Not all objects could be looked at: {}", trouble.message);
            // What vanished at once is the graver news.
            if !self.status.extra.contains_key("absence") {
                self.condition(conditions::SYNCED, Some(&State::new(Tri::Unknown, trouble.reason, message)));
            }
            self.note_silence();
        } else if self.end_silence() {
            self.engine.nudge_dependents(&Target::Resource(self.key.clone()));
        }
    }

    /// Makes the link usable; true where its resources should be woken.
    async fn connect(&mut self) -> Result<bool, Stop> {
        let common: ConnectionCommon = self
            .object
            .spec()
            .map_err(|e| Stop::hopeless(Reason::InvalidSpec, format!("the stored spec does not fit: {e}")))?;
        if let Err(stop) = self.build(&common).await {
            // The last verified credential still serves deletions.
            if let Stop::Halt(halt) = &stop {
                let wait = Wait::new(halt.reason, halt.message.clone());
                self.engine.links.change(self.key, |known| known.trouble = Some(wait));
                if halt.reason == Reason::SecretNotFound {
                    self.end_with_the_namespace(&common).await;
                }
            }
            return Err(stop);
        }
        let known = self.known()?;
        let (mut opened, mut asked) = (false, false);
        // An answer of the sweep is a probe too.
        let quiet = known.answered.is_none_or(|at| at.elapsed() >= common.resync());
        if !known.verified
            || known.link.gate().is_shut().is_some()
            || (quiet && self.engine.recorded(self.key).is_empty())
        {
            self.probe(&known).await?;
            opened = known.link.gate().open();
            asked = true;
        }
        if !self.object.is_held() {
            let held = self.engine.kube.hold(self.ops.info(), &self.object).await;
            self.take(held)?;
        }
        if !known.verified || known.trouble.is_some() {
            self.check_account(&known).await?;
            self.engine.links.change(self.key, |known| {
                known.verified = true;
                known.trouble = None;
            });
            opened = true;
        } else {
            // The same credential in a Secret that was touched: nothing to ask.
            self.note_credential(&known);
        }
        // Not before it is known to be the account of the objects: in another one nobody can look at them, whatever it answers. And that a
        // probe is answered says nothing of what the last sweep could not look at.
        opened |= asked && known.sweep_trouble.is_none() && self.hear();
        Ok(self.confirm_absence() || opened)
    }

    pub(super) async fn probe(&mut self, known: &Known) -> Result<(), Stop> {
        let path = self.ops.probe(&self.object)?;
        let gate = known.link.gate();
        self.requests += 1;
        let query = known.link.api().page_query(1);
        let answer = known.link.probe(Call::new(Method::GET, &path).query(query)).await;
        let answer = answer.and_then(|body| {
            let page = body.and_then(|body| known.link.api().page(body, 1));
            page.ok_or_else(|| ApiError::Unavailable(format!("{path} did not answer with a page of a listing")))
        });
        match answer {
            Ok(_) => {
                self.engine.links.change(self.key, |known| known.answered = Some(Instant::now()));
                Ok(())
            }
            Err(ApiError::Unauthorized(why)) => {
                gate.shut(Shut::CredentialRejected, &why);
                let message = format!("the API refused the credential: {why}; put a valid one into the Secret");
                Err(halt(Reason::CredentialRejected, message))
            }
            Err(ApiError::Absent(words)) => {
                let message = format!(
                    "{}{path} does not exist: the API says {words:?}; check the url and the tenant",
                    known.link.account()
                );
                Err(halt(Reason::NotFound, message))
            }
            Err(ApiError::Unavailable(why)) => {
                gate.shut(Shut::Unavailable, &why);
                Err(halt(Reason::RemoteUnavailable, why))
            }
            Err(error) => Err(Stop::from_api(error, gate.is_shut().map(|(shut, _)| shut))),
        }
    }

    fn judge(&mut self, result: &Result<bool, Stop>) -> (&'static str, Option<(Instant, Lane)>) {
        let now = Instant::now();
        match result {
            Ok(_) => {
                self.engine.remember(self.object.uid(), |m| m.failures = 0);
                self.condition(
                    conditions::READY,
                    Some(&State::new(true, Reason::Available, "The API answers and takes the credential.")),
                );
                let synced = match self.status.extra.get("absence") {
                    None => State::new(true, Reason::Available, "The connection is in use as the spec says."),
                    Some(absence) => State::new(
                        false,
                        Reason::MassAbsence,
                        format!(
                            "{} of {} objects vanished at once, so nothing is made again; if they were meant to go, annotate this connection with {}={}",
                            absence["missing"],
                            absence["recorded"],
                            annotations::CONFIRM_ABSENCE,
                            absence["token"].as_str().unwrap_or_default()
                        ),
                    ),
                };
                self.condition(conditions::SYNCED, Some(&synced));
                self.show_sweep();
                self.condition(conditions::RECONCILING, None);
                self.condition(conditions::STALLED, None);
                let soon = self.engine.settings.backoff_max;
                let interval = self.engine.links.get(self.key).map_or(super::spec::RESYNC, |k| k.interval(soon));
                ("ready", Some((now + self.engine.jitter(interval), Lane::Sweep)))
            }
            Err(Stop::Halt(halt)) => {
                let silent = self.note_silence();
                self.name_trouble(&halt.message);
                let unready = State::new(false, halt.reason, halt.message.clone());
                self.condition(conditions::READY, Some(&unready));
                self.condition(conditions::SYNCED, Some(&unready));
                let stalled = halt.judgement == Judgement::Hopeless;
                let doing = State { holds: true.into(), ..unready };
                self.condition(conditions::STALLED, stalled.then_some(&doing));
                self.condition(conditions::RECONCILING, (!stalled).then_some(&doing));
                let later = match halt.again {
                    Again::OnWake => None,
                    Again::At(at) => Some(at),
                    Again::Backoff(earliest) => {
                        let failures = self.engine.remember(self.object.uid(), |m| {
                            m.failures += 1;
                            m.failures
                        });
                        let due = now + self.engine.jitter(backoff(&self.engine.settings, failures, halt.judgement));
                        Some(earliest.map_or(due, |e| e.max(due)))
                    }
                };
                // What can pass by itself is tried soon enough anyway.
                let silent = silent.filter(|_| later.is_none() || halt.judgement != Judgement::OutOfTouch);
                ("not ready", later.into_iter().chain(silent).min().map(|at| (at, Lane::Retry)))
            }
            Err(Stop::Paused) => ("paused", None),
            Err(Stop::Kube(error)) => {
                tracing::debug!(connection = %self.key, %error, "the API server failed");
                ("kubernetes", Some((now + self.engine.jitter(Duration::from_millis(500)), Lane::Retry)))
            }
        }
    }

    pub(super) async fn finish(&mut self, word: &'static str, later: Option<(Instant, Lane)>) -> Outcome {
        // A pass that the API server kept from looking says nothing of the spec as it is now.
        if !self.object.is_paused() && word != "kubernetes" {
            self.status.observed_generation = Some(self.generation);
            self.status.last_handled_reconcile_at =
                self.object.annotation(annotations::RECONCILE_AT).map(str::to_owned);
        }
        let before = self.object.status();
        let value: Value = super::report::value(&self.status);
        let written = self.engine.kube.patch_status(self.ops.info(), &self.object, &value, Precondition::Uid).await;
        let written = match written {
            Ok(Some(object)) => self.take(Ok(object)),
            Ok(None) => Ok(()),
            Err(error) => self.take(Err(error)),
        };
        let later = match written {
            Ok(()) if !self.unkept => later,
            Err(Stop::Kube(KubeError::Gone)) => None,
            _ => Some((Instant::now() + self.engine.jitter(Duration::from_millis(500)), Lane::Retry)),
        };
        if let Some((warning, reason, note)) = transition(&before, &self.status) {
            // In a namespace that is going nothing can be created.
            let lives = !self.object.is_deleting()
                || matches!(self.engine.kube.namespace(&self.key.namespace).await, Ok(Some((_, false))));
            if lives {
                self.engine.events.publish(self.ops.info(), &self.object, warning, reason, &note);
            }
        }
        // Those who wait say why, and that is another reason now. Not at every try: a thousand of them would write a thousand times.
        if self.engine.links.get(self.key).is_some_and(|known| known.link.gate().take_turn()) {
            self.engine.nudge_dependents(&Target::Resource(self.key.clone()));
        }
        Outcome { word, requests: self.requests, later }
    }

    pub(super) fn take(&mut self, answer: Result<Raw, KubeError>) -> Result<(), Stop> {
        let object = answer?;
        self.engine.wrote(self.key, object.clone());
        self.object = Arc::new(object);
        Ok(())
    }

    /// Who waits for a credential that never worked can say why.
    pub(super) fn name_trouble(&self, message: &str) {
        self.engine.links.change(self.key, |known| {
            if let (Some(trouble), false) = (&mut known.trouble, known.verified) {
                message.clone_into(&mut trouble.message);
            }
        });
    }

    fn known(&self) -> Result<Known, Stop> {
        self.engine
            .links
            .get(self.key)
            .ok_or_else(|| Stop::wait(Reason::ConnectionNotReady, "the connection is being built"))
    }

    pub(super) fn condition(&mut self, type_: &str, state: Option<&State>) {
        self.status.set(type_, state, self.generation, self.engine.clock.now());
    }
}

pub(super) fn halt(reason: Reason, message: String) -> Stop {
    Stop::Halt(Halt { reason, message, judgement: Judgement::OutOfTouch, again: Again::Backoff(None) })
}
