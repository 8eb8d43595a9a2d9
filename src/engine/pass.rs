//! One pass over one resource: resolve → claim → identify → plan → execute → parts → status. Each step has its own file; this one is
//! the order in which they run.
use std::sync::Arc;

use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    begun::Begun,
    claims::Claimed,
    core::Engine,
    create::Made,
    desired::{Desired, Shape},
    diff::diff,
    done::{Done, Outcome, immutable, leftover},
    key::Key,
    kind::Ops,
    mark::{self, Mark},
    output::leave_secret,
    overlay::secrets_over,
    plan::Plan,
    queue::Cause,
    raw::Raw,
    reason::Reason,
    resolve::Resolved,
    spec::{Common, Drift, Mode, annotations},
    status::{State, Status, conditions},
    stop::{Again, Halt, Judgement, Stop},
};
use crate::remote::{ApiError, Call, Link};

/// One pass.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, and they combine freely")]
pub struct Pass<'e> {
    /// The engine.
    pub engine: &'e Engine,
    /// The kind.
    pub ops: &'static dyn Ops,
    /// The resource.
    pub key: &'e Key,
    /// The resource as it is, with what this pass wrote.
    pub object: Arc<Raw>,
    /// The generation that this pass works on; the answer to a write of ours may show a newer one.
    pub generation: i64,
    /// Its status as it will be written.
    pub status: Status,
    /// The new secret that the user asked for when the pass began; what is asked for later is another pass's.
    pub wish: Option<String>,
    /// Whether Portico's finalizer was there when the pass began: an earlier pass may have created something.
    pub was_held: bool,
    /// Whether a write to the API failed in this pass.
    pub write_failed: bool,
    /// Its claim to the object, while it lasts.
    pub claimed: Option<Claimed<'e>>,
    /// That it begins to use its connection, once it is about to make or to take over something.
    pub begun: Option<Begun<'e>>,
    /// The token of the intent that this pass wrote.
    pub sent: Option<String>,
    /// Whether the object was made in this pass.
    pub made: bool,
    /// What the event says, where the condition leaves something out.
    pub note: Option<String>,
    /// Requests sent to the management API.
    pub requests: u32,
    /// Whether a look at the object is due: where the API cannot be asked, it stays owed.
    pub looks: bool,
}

impl<'e> Pass<'e> {
    /// A pass over an object.
    #[must_use]
    pub fn new(engine: &'e Engine, ops: &'static dyn Ops, key: &'e Key, object: Arc<Raw>) -> Self {
        let (status, was_held, generation) = (object.status(), object.is_held(), object.generation());
        let wish = object.annotation(annotations::ROTATE).map(str::to_owned);
        Self {
            engine,
            ops,
            key,
            object,
            generation,
            status,
            wish,
            was_held,
            write_failed: false,
            claimed: None,
            begun: None,
            sent: None,
            made: false,
            note: None,
            requests: 0,
            looks: true,
        }
    }

    /// Runs to the end, and writes the status.
    pub async fn run(mut self, cause: Cause) -> Outcome {
        self.tell_stage();
        self.sight_unsettled();
        if self.object.is_deleting() {
            let result = self.delete().await;
            return self.report_deletion(result).await;
        }
        let result = self.apply(cause).await;
        self.report(result).await
    }

    async fn apply(&mut self, cause: Cause) -> Result<Done, Stop> {
        let owed = self.engine.remember(self.object.uid(), |memory| memory.look);
        let cause = if owed { Cause::Look } else { cause };
        self.looks = cause == Cause::Look;
        if self.object.is_paused() {
            // The edges are still kept, so that a parent's deletion knows its children.
            let _ = self.engine.resolve(self.ops, self.key, &self.object).await;
            return Err(Stop::Paused);
        }
        let common = self
            .object
            .spec::<Common>()
            .map_err(|e| Stop::hopeless(Reason::InvalidSpec, format!("the stored spec does not fit: {e}")))?;
        let resolved = self.engine.resolve(self.ops, self.key, &self.object).await;
        if resolved.is_err() && common.lifecycle.mode == Mode::Observe {
            self.release_observed().await?;
        }
        let mut resolved = resolved?;
        if resolved.writes {
            self.claim_or_find(&resolved).await?;
        }
        if resolved.shape == Shape::Action {
            self.looks = true;
            return self.act(&resolved).await;
        }
        if cause == Cause::Start && self.is_in_order(&resolved) && !self.awaits_progress() && !self.awaits_milestone() {
            return Ok(Done { unasked: true, ..Done::default() });
        }
        self.looks = true;
        self.bring_about(&mut resolved).await
    }

    /// Finds the object, makes it or changes it, and shows what has become of it.
    async fn bring_about(&mut self, resolved: &mut Resolved) -> Result<Done, Stop> {
        let before = (self.status.id.clone(), self.status.remote.clone(), self.status.creating.clone());
        let identified = self.identify(resolved).await?;
        identified.tell_stage();
        self.forget_others_digests(resolved, before.1.as_ref());
        self.remove_duplicates(resolved).await?;
        self.check_given_up(resolved).await?;
        if let Err(stop) = self.keep_adopted(resolved, identified.adopted).await {
            (self.status.id, self.status.remote, self.status.creating) = before;
            return Err(stop);
        }
        if identified.adopted {
            leave_secret(resolved, identified.object.as_ref());
        }
        let rotates = self.rotate(resolved, identified.object.as_ref()).await?;
        // Another value in a Secret is the user's change, not a stranger's; and where digests are lost, nobody knows whose it is.
        let resends = self.resends(resolved);
        let mut done = Done { adopted: identified.adopted, looked: !resolved.writes, ..Done::default() };
        let object = identified.object;
        let mut fresh = identified.adopted || self.is_changed();
        if object.is_none() && resolved.shape == Shape::Claimed && resolved.writes {
            return Ok(self.not_there_yet(resolved));
        }
        let object = self.make(resolved, object, &mut fresh, identified.recorded, &mut done).await?;
        let Some(mut object) = object else { return Err(self.missing(resolved, identified.recorded)) };
        let labels = self.own_labels(resolved, (!done.created).then_some(&object), &mut done);
        // What is only now made or found may have been asked for another secret than it was made with.
        let rotates_late = !rotates && self.rotate(resolved, Some(&object)).await?;
        let sends = rotates || rotates_late || resends;
        // Where drift is only reported, another secret is all that is sent.
        let leaves_drift = resolved.common.lifecycle.drift == Drift::Report && !fresh;
        let whole = (sends && leaves_drift).then(|| {
            let secrets = secrets_over(&resolved.desired, &object);
            std::mem::replace(&mut resolved.desired, secrets)
        });
        let plan = if done.created && !rotates_late {
            leftover(&resolved.desired, &object)
        } else {
            self.decide(resolved, Some(&object), fresh || sends, true)
        };
        let kept = plan == Plan::Keep;
        if let Plan::Update(differences) = plan {
            if !(fresh || sends || done.created) {
                self.check_shown()?;
            }
            self.hold().await?;
            done.updated = true;
            let is_marked = mark::read(&object, &self.engine.owner, self.key) == Mark::Ours;
            let takes_over = identified.adopted && !done.created && !is_marked;
            let updated = self.update(resolved, &object, &differences, takes_over).await;
            if !(fresh || sends || done.created) {
                done.corrected = differences;
            }
            if updated.is_err() && takes_over {
                // Not taken over yet: the next pass finds it as this one did.
                (self.status.id, self.status.remote, self.status.creating) = before;
            }
            object = updated?;
            resolved.desired.acknowledged = resolved.digests.keys().cloned().collect();
        }
        let sent_all = done.created || (done.updated && whole.is_none());
        if let Some(whole) = whole {
            let acknowledged = std::mem::take(&mut resolved.desired.acknowledged);
            resolved.desired = Desired { acknowledged, ..whole };
        }
        if resolved.writes {
            self.hold().await?;
            self.status.label_keys = labels;
        } else if resolved.common.lifecycle.mode == Mode::Observe && self.object.is_held() {
            self.let_go().await?;
        }
        done.differences = diff(&resolved.desired, &object);
        done.kept = kept || (sent_all && !done.differences.is_empty());
        self.note_kept(resolved, &done.differences, sent_all);
        self.hand_out(resolved, &object).await?;
        if resolved.writes {
            self.status.digests.clone_from(&resolved.digests);
        }
        self.ops.observe(&object, &mut self.status.extra);
        if resolved.shape == Shape::Claimed {
            done.unbound = Some(Vec::new());
        }
        self.show_views(resolved, &done).await;
        self.do_parts(resolved, &mut done).await?;
        done.look_again(self.ask_progress(resolved).await?);
        done.look_again(self.show_milestones(&object));
        if resolved.handout.is_some() && self.wish != self.status.last_handled_rotate {
            done.look_again(Some(self.late_update().unwrap_or_else(Instant::now)));
        }
        Ok(done)
    }

    /// Makes the object where it is not there, or cannot become what the spec says.
    async fn make(
        &mut self,
        resolved: &mut Resolved,
        found: Option<Value>,
        fresh: &mut bool,
        recorded: bool,
        done: &mut Done,
    ) -> Result<Option<Value>, Stop> {
        if let Some(found) = found {
            match self.decide(resolved, Some(&found), *fresh, true) {
                Plan::Replace => {
                    let place = self.recorded_place()?;
                    self.delete_to_replace(resolved, &place).await?;
                    *fresh = true;
                }
                Plan::Immutable(differences) => return Err(immutable(&differences)),
                _ => return Ok(Some(found)),
            }
        }
        if self.decide(resolved, None, *fresh, recorded) != Plan::Create {
            return Ok(None);
        }
        self.choose_secret(resolved).await?;
        match self.create(resolved).await? {
            Made::Now(made) => {
                done.created = true;
                resolved.desired.acknowledged = resolved.digests.keys().cloned().collect();
                Ok(Some(made))
            }
            Made::Before(found) => {
                (done.adopted, *fresh) = (true, true);
                // It may have been made where the spec was then, and cannot become what the spec says now.
                Box::pin(self.make(resolved, Some(found), fresh, true, done)).await
            }
        }
    }

    /// Whether the user changed the spec since the API accepted it.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.status.accepted_generation != Some(self.generation)
    }

    /// Whether the API accepted this generation of the spec.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.status.observed_generation == Some(self.generation) && self.status.is_true(conditions::READY)
    }

    /// Whether the last wish to look again was answered.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.status.last_handled_reconcile_at.as_deref() == self.object.annotation(annotations::RECONCILE_AT)
    }

    /// Sends one request and counts it.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn send(&mut self, link: &Link, call: Call<'_>) -> Result<Option<Value>, ApiError> {
        let writes = call.method != Method::GET;
        self.requests += 1;
        let result = link.send(call).await;
        if writes && result.as_ref().is_err_and(|e| !matches!(e, ApiError::Closed { .. })) {
            self.write_failed = true;
        }
        result
    }

    /// Classifies an answer to a write: it may wait for something without the spec being at fault.
    #[must_use]
    pub fn refusal(&self, link: &Link, error: ApiError) -> Stop {
        if let ApiError::Refused(refusal) = &error
            && let Some(what) = self.ops.waits_for(refusal)
        {
            return Stop::Halt(Halt {
                reason: Reason::ReferenceNotReady,
                message: what.to_owned(),
                judgement: Judgement::Waiting,
                again: Again::Backoff(None),
            });
        }
        Self::stop(link, error)
    }

    /// Classifies an answer.
    #[must_use]
    pub fn stop(link: &Link, error: ApiError) -> Stop {
        Stop::from_api(error, link.gate().is_shut().map(|(shut, _)| shut))
    }

    fn missing(&mut self, resolved: &Resolved, recorded: bool) -> Stop {
        let what = self.key.kind;
        let name = &resolved.natural_key;
        self.forget_person(resolved);
        if resolved.writes && recorded {
            let message =
                format!("the {what} was deleted at the API; with drift: Report it is made again when the spec changes");
            return Stop::refused(Reason::NotFound, message);
        }
        let observed = self.status.remote.as_ref().is_some_and(|remote| remote.observed);
        if observed || (recorded && self.gives_up_its_place(resolved)) {
            self.forget_record();
        }
        let called = if resolved.id.is_some() { "with the id" } else { "named" };
        Stop::refused(
            Reason::NotFound,
            format!("there is no {what} {called} {name:?} at the API, and Portico only observes"),
        )
    }

    /// Nobody has made what the spec speaks of, and Portico never does: it is looked for at each resync.
    fn not_there_yet(&mut self, resolved: &Resolved) -> Done {
        self.forget_person(resolved);
        self.show_nothing();
        let resync = resolved.known.common.resync();
        Done {
            nothing: true,
            unbound: Some(vec![format!("{} is not there yet", resolved.natural_key)]),
            ask_again: Some(Instant::now() + self.engine.jitter(resync)),
            ..Done::default()
        }
    }

    /// What is shown of somebody who has left goes with them.
    fn forget_person(&mut self, resolved: &Resolved) {
        if resolved.shape == Shape::Claimed {
            self.status.extra.clear();
        }
    }

    /// Of what is not there nothing holds any more.
    pub(super) fn show_nothing(&mut self) {
        for condition in self.ops.milestone_conditions().iter().chain(self.ops.progress_conditions()) {
            self.condition(condition, None);
        }
    }

    /// Sets a condition.
    pub fn condition(&mut self, type_: &str, state: Option<&State>) {
        self.status.set(type_, state, self.generation, self.engine.clock.now());
    }
}
