//! Something that is done once and not kept, as a Job is: started at most once, whatever crashes, then watched until it has ended.
use http::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    create::fresh_body,
    diff::diff,
    done::Done,
    mark::hex,
    observe::Read,
    pass::Pass,
    reason::Reason,
    resolve::Resolved,
    status::conditions,
    stop::{Again, Halt, Judgement, Stop},
};
use crate::remote::{ApiError, Call, Place};

const ANOTHER: &str = "another one is under way; this one is started when that has ended";

impl Pass<'_> {
    /// Starts it if it was never started, and looks how far it is.
    ///
    /// # Errors
    /// [`Stop`] while another one is under way, where the API refuses, and where nobody can tell whether it was started.
    pub async fn act(&mut self, resolved: &Resolved) -> Result<Done, Stop> {
        // What was seen while nothing was to be started may be another one's end.
        if self.has_ended() && (self.status.started.is_some() || !resolved.writes) {
            return Ok(Done { unasked: self.is_accepted() && self.is_answered(), ..Done::default() });
        }
        // Whose turn it is not has nothing to ask the API: many that wait would leave no turn at the gate for the one that they wait for.
        let begins = resolved.writes && self.status.started.is_none() && self.open_create().is_none();
        if begins && self.is_anothers_turn(resolved) {
            return Err(self.another_runs());
        }
        let parent = resolved.parent.clone().unwrap_or_else(|| resolved.collection.clone());
        let place = Place::alone(resolved.collection.clone(), parent);
        let link = resolved.link().clone();
        let last = match self.read(&link, &place).await? {
            Read::Found(last) => last,
            Read::Absent => Value::Null,
            Read::ParentAbsent(_) => return Err(self.parent_gone(resolved, "not found")),
        };
        let is_ours = !last.is_null() && diff(&resolved.desired, &last).is_empty();
        if self.status.started.is_some() {
            return if is_ours { Ok(self.watched(&last)) } else { Err(displaced(&place)) };
        }
        if !resolved.writes {
            return Ok(self.watched(if is_ours { &last } else { &Value::Null }));
        }
        let seen = hex(&Sha256::digest(last.to_string()))[..32].to_owned();
        if let Some(intent) = self.open_create() {
            let due = self.settles_at(&intent.token, &link);
            if Instant::now() < due {
                return Err(self.still_waiting(due));
            }
            if intent.seen.as_ref() != Some(&seen) {
                return if is_ours { Ok(self.has_started(&last)) } else { Err(displaced(&place)) };
            }
            // Nothing has moved since before it was sent, so it never arrived.
            self.status.creating = None;
        }
        let runs = self.ops.milestones(&last).iter().any(|milestone| milestone.poll && milestone.met.is_err());
        if runs || !self.take_turn(resolved) || self.is_anothers_turn(resolved) {
            return Err(self.another_runs());
        }
        let mut body = fresh_body(&resolved.desired.body);
        self.write_intent(resolved, &body, Some(seen)).await?;
        body.extend(resolved.desired.along.clone());
        self.note_sending(resolved);
        match self.send(&link, Call::new(Method::PUT, &place.path).body(&Value::Object(body))).await {
            Ok(answer) => {
                let job = self.ops.normalize(answer.unwrap_or_default());
                Ok(self.has_started(&job))
            }
            Err(error) => {
                if error.is_definite() {
                    self.note_refused();
                }
                match &error {
                    // One that cannot be seen from here.
                    ApiError::Refused(refusal) if refusal.status == 409 => Err(Stop::Halt(Halt {
                        reason: Reason::ReferenceNotReady,
                        message: ANOTHER.to_owned(),
                        judgement: Judgement::Waiting,
                        again: Again::Backoff(None),
                    })),
                    _ => Err(self.refusal(&link, error)),
                }
            }
        }
    }

    fn has_started(&mut self, job: &Value) -> Done {
        self.status.started = Some(self.engine.token());
        self.status.creating = None;
        let mut done = self.watched(job);
        done.created = true;
        done
    }

    fn watched(&mut self, job: &Value) -> Done {
        self.ops.observe(job, &mut self.status.extra);
        let mut done = Done::default();
        done.look_again(self.show_milestones(job));
        done
    }

    /// Whether one of its milestones is reached: there is nothing more to come.
    fn has_ended(&self) -> bool {
        self.ops.milestone_conditions().iter().any(|condition| self.status.is_true(condition))
    }

    /// Whether another resource has started one there and has not seen its end: it would never see it if this one began.
    fn is_anothers_turn(&self, resolved: &Resolved) -> bool {
        // Of all namespaces, which name the same parent in different words.
        let others = self.engine.cache.of_kind(self.key.kind);
        others.into_iter().any(|(key, other)| {
            let status = other.status();
            let ended = self.ops.milestone_conditions().iter().any(|condition| status.is_true(condition));
            // One of which nobody can tell whether it has ended is waited for by nobody.
            let ended = ended || status.is_true(conditions::STALLED);
            let open = status.started.is_some() || status.intent(&self.engine.owner, other.uid()).is_some();
            let there = || self.engine.locate(self.ops, &key, &other);
            other.uid() != self.object.uid()
                && open
                && !ended
                && !other.is_deleting()
                && there().is_some_and(|there| {
                    there.collection == resolved.collection && there.link().account() == resolved.link().account()
                })
        })
    }

    fn another_runs(&self) -> Stop {
        let at = Instant::now() + self.engine.jitter(self.engine.settings.minute / 6);
        Stop::wait_until(Reason::ReferenceNotReady, ANOTHER, at)
    }
}

/// The API remembers only the last one, and that is neither ours nor the one before ours.
fn displaced(place: &Place) -> Stop {
    let message = format!(
        "{} shows another one by now, so nobody can tell whether this one ran to its end; delete this resource, and make it again if it is still needed",
        place.path
    );
    Stop::hopeless(Reason::Ambiguous, message)
}
