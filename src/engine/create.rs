//! Making an object so that it is made once, whatever crashes in between (law 1).
use std::time::Duration;

use http::Method;
use secrecy::SecretString;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    desired::Shape,
    diff::{telling_fields, within},
    equal::canonical,
    identify::{Identified, already_exists},
    kind::Identity,
    kubernetes::Precondition,
    mark::hex,
    observe::items,
    part::Part,
    pass::Pass,
    reason::Reason,
    resolve::Resolved,
    status::{Intent, SentSecret, State, Tri, conditions},
    stop::{Again, Halt, Judgement, Stop},
};
use crate::remote::{ApiError, Call, Link, Path, PathError, Place, Segment};

/// What a create brought.
pub enum Made {
    /// The object, as it was made.
    Now(Value),
    /// The object, which an earlier create of ours had made.
    Before(Value),
}

impl Pass<'_> {
    /// Sends the create. For kinds without a mark the intent is written first, so that the pass after a crash knows what to look for.
    ///
    /// # Errors
    /// [`Stop`]; an answer that says definitely that nothing was made clears the intent, any other keeps it.
    pub async fn create(&mut self, resolved: &Resolved) -> Result<Made, Stop> {
        let unsettled = self.unsettled_until(resolved);
        // Two creates of one derived id still make one object.
        let repeatable = resolved.identity == Identity::Derived;
        if let Some(until) = unsettled.filter(|until| *until > Instant::now() && !repeatable) {
            return Err(self.still_waiting(until));
        }
        self.check_elsewhere(resolved).await?;
        // A spec whose parts cannot be computed is refused before anything is made.
        let anywhere = resolved.collection.then("new");
        self.engine.parts(self.ops, self.key, &self.object, &anywhere, &resolved.connection_name())?;
        // A process that finds the finalizer and nothing else needs the credential, to ask whether something was made.
        let kept = self.keep_first(resolved).await?;
        self.hold().await?;
        let link = resolved.link().clone();
        let mut body = fresh_body(&resolved.desired.body);
        body.retain(|key, _| !resolved.desired.later.contains(&key.as_str()));
        if let (Shape::Keyed, Some(id)) = (resolved.shape, &resolved.id) {
            body.insert(self.ops.id_field().to_owned(), id.clone().into());
        }
        if resolved.identity == Identity::Intent {
            // What is only sent at the beginning is never shown, and tells nothing.
            self.write_intent(resolved, &body, None).await?;
        }
        drop(kept);
        body.extend(resolved.desired.initial.clone());
        body.extend(resolved.desired.along.clone());
        // Between the first look and now a rival may have come, or another credential. Nothing was sent yet, so nothing is open.
        if let Err(stop) = self.claim(resolved).and_then(|()| self.check_credential(resolved)) {
            self.status.creating = None;
            return Err(stop);
        }
        let body = Value::Object(body);
        let (method, path) = match (resolved.shape, Self::place_to_be(resolved)?) {
            (Shape::Upsert, Some(place)) => (Method::PUT, place.path),
            _ => (Method::POST, resolved.collection.clone()),
        };
        self.note_sending(resolved);
        self.claim_labels(resolved, &Value::Null);
        // Also for who asks while it is on its way.
        self.note_unsettled(Some(Instant::now() + self.window(&link)));
        let answer = self.send(&link, Call::new(method, &path).body(&body)).await;
        let object = match answer {
            Ok(object) => self.ops.normalize(object.unwrap_or_default()),
            Err(error) => {
                if error.is_definite() {
                    self.note_refused();
                    self.note_unsettled(unsettled);
                } else {
                    self.note_unsettled(Some(Instant::now() + self.window(&link)));
                    self.mark_unsettled(resolved);
                }
                return match (error, &resolved.id) {
                    // The collection answered just now, so it is something else that is not there.
                    (ApiError::Absent(words), _) if resolved.shape == Shape::Upsert => Err(self.reference_gone(&words)),
                    (ApiError::Absent(words), _) => Err(self.parent_gone(resolved, &words)),
                    (ApiError::Refused(refusal), Some(id))
                        if refusal.status == 409 && resolved.shape == Shape::Keyed =>
                    {
                        if repeatable {
                            let why = format!("the API says that the id {id} is taken and does not show what has it");
                            let found = self.take_own(resolved, id).await?;
                            return found
                                .map(Made::Before)
                                .ok_or_else(|| Self::stop(&link, ApiError::Unavailable(why)));
                        }
                        Err(Stop::refused(Reason::AlreadyExists, already_exists(resolved, self.key.kind, id)))
                    }
                    (error, _) => Err(self.refusal(&link, error)),
                };
            }
        };
        let id = resolved.id_of(self.ops, &object);
        let place = resolved.place(&id).map_err(|e| {
            Stop::refused(Reason::RemoteUnavailable, format!("the API made an object and did not say its id: {e}"))
        })?;
        self.made = true;
        self.note_made();
        self.note_unsettled(unsettled);
        self.status.parts.clear();
        self.record(resolved, &id, &place.path, false);
        let parts = self.engine.parts(self.ops, self.key, &self.object, &place.path, &resolved.connection_name())?;
        if !parts.is_empty() {
            // The parts take requests of their own, and neither the id nor what is added must be lost on the way.
            self.status.parts.extend(parts.iter().filter_map(Part::named));
            self.persist(&link, &place.path).await?;
        }
        Ok(Made::Now(object))
    }

    /// How long a request may take effect unseen after it was sent.
    pub(super) fn window(&self, link: &Link) -> Duration {
        link.deadline() + self.engine.settings.consistency
    }

    /// Until when a create that was sent, or may have been, can take effect unseen. Nothing: there is none.
    pub(super) fn unsettled_until(&self, resolved: &Resolved) -> Option<Instant> {
        let by_an_earlier_process = self.was_held && resolved.identity != Identity::Intent;
        self.engine.remember(self.object.uid(), |memory| {
            if by_an_earlier_process && !memory.held {
                // It may have sent a create just before it ended.
                memory.held = true;
                memory.unsettled = Some(Instant::now() + self.window(resolved.link()));
            }
            memory.unsettled
        })
    }

    /// Where the object will be, if that is known before it is made.
    fn place_to_be(resolved: &Resolved) -> Result<Option<Place>, Stop> {
        let place = resolved.id.as_deref().map(|id| resolved.place(id)).transpose();
        place.map_err(|e| Stop::hopeless(Reason::InvalidSpec, format!("the id: {e}")))
    }

    /// Writes what is about to be sent. `seen`: what was there before, where something always is.
    ///
    /// # Errors
    /// [`Stop::Kube`].
    pub async fn write_intent(
        &mut self,
        resolved: &Resolved,
        body: &Map<String, Value>,
        seen: Option<String>,
    ) -> Result<(), Stop> {
        let fields = telling_fields(&resolved.desired, body);
        let object = Self::place_to_be(resolved)?.map(|place| place.path.to_string());
        self.status.id = None;
        self.status.remote = None;
        let token = self.engine.token();
        self.announce(&token);
        self.status.creating = Some(Intent {
            token,
            owner: self.engine.owner.clone(),
            uid: self.object.uid().to_owned(),
            connection: resolved.connection_name(),
            account: resolved.link().account(),
            path: resolved.collection.to_string(),
            object,
            seen,
            key: resolved.natural_key.clone(),
            digest: digest(&fields, &Value::Object(body.clone())),
            secret: resolved.handout.as_ref().and_then(|handout| {
                let field = handout.output.generated.field;
                Some(SentSecret { field: field.to_owned(), digest: resolved.digests.get(field)?.clone() })
            }),
            fields,
            candidates: Vec::new(),
        });
        // What the last try said stands until there is something better to say.
        // What the API itself said is missing, or is to end first, may still be.
        let waits = match resolved.shape {
            Shape::Action => self.status.is_waiting(Reason::ReferenceNotReady, self.generation),
            Shape::Upsert | Shape::Keyed => self.status.is_waiting(Reason::ReferenceNotFound, self.generation),
            _ => false,
        };
        if self.failure().is_none() && !waits {
            let (creating, doing) = being_created();
            self.status.observed_generation = Some(self.generation);
            self.condition(conditions::READY, Some(&creating));
            self.condition(conditions::SYNCED, Some(&creating));
            self.condition(conditions::RECONCILING, Some(&doing));
            self.condition(conditions::STALLED, None);
        }
        self.write_status(Precondition::Version).await
    }

    /// Why the last try at this generation failed, if it did.
    fn failure(&self) -> Option<(Reason, String)> {
        let ready = self.status.condition(conditions::READY)?;
        let of_this_generation = ready.observed_generation == Some(self.generation);
        let reason = Reason::ALL.into_iter().find(|reason| reason.as_str() == ready.reason)?;
        (of_this_generation && ready.status == "False" && !reason.is_waiting()).then(|| (reason, ready.message.clone()))
    }

    /// An earlier create may still take effect unseen: nothing is known that the status does not say.
    #[must_use]
    pub fn still_waiting(&self, until: Instant) -> Stop {
        self.absent_until("an earlier create may still take effect; looking for its result after the wait", until)
    }

    /// The object is not there, as far as can be known, and is looked for again at this time.
    pub(super) fn absent_until(&self, waits: &str, until: Instant) -> Stop {
        // Known to be absent, unless the last try says otherwise: then nothing that was true still is.
        let (judgement, (reason, message)) = match self.failure() {
            Some(failure) => (Judgement::OutOfTouch, failure),
            None => (Judgement::Waiting, (Reason::Creating, waits.to_owned())),
        };
        Stop::Halt(Halt { reason, message, judgement, again: Again::At(until) })
    }

    /// When an open write can no longer take effect unseen, counted from this process' own first sight of it.
    pub fn settles_at(&self, token: &str, link: &Link) -> Instant {
        let now = Instant::now();
        let first_sight = self.engine.remember(self.object.uid(), |memory| match &memory.intent {
            Some((seen, at)) if seen == token => *at,
            _ => {
                memory.intent = Some((token.to_owned(), now));
                now
            }
        });
        first_sight + self.window(link)
    }

    /// The objects that an open create may have made: equal to what was sent, and recorded by nobody else.
    ///
    /// # Errors
    /// [`ApiError`] of the listing.
    pub async fn made_by(&mut self, intent: &Intent, link: &Link, collection: &Path) -> Result<Vec<Value>, ApiError> {
        let damaged = |e: PathError| ApiError::NotSent(format!("status.creating is damaged: {e}"));
        let items = if let Some(object) = &intent.object {
            // No other object can be the one.
            match self.send(link, Call::new(Method::GET, &Path::parse(object).map_err(damaged)?)).await {
                Err(ApiError::Absent(_)) => Vec::new(),
                other => other?.into_iter().map(|object| self.ops.normalize(object)).collect(),
            }
        } else {
            let filter = link.api().equals_query(self.ops.key_field(), &intent.key);
            match items(self.ops, link, collection, filter.as_deref(), &mut self.requests).await {
                // The parent is gone, and with it whatever was made below it.
                Err(ApiError::Absent(_)) => Vec::new(),
                other => other?,
            }
        };
        let mut ours = Vec::new();
        for item in items {
            let Ok((id, path)) = self.made_at(intent, collection, &item) else { continue };
            if digest(&intent.fields, &item) == intent.digest
                && self.recorder_of(&id, &intent.account, &path).is_none()
                && self.has_secret_of(intent, &item).await?
            {
                ours.push(item);
            }
        }
        Ok(ours)
    }

    /// The id and the path of what an open create made.
    ///
    /// # Errors
    /// [`PathError`] for an object without an id, and where someone wrote into the status.
    pub fn made_at(&self, intent: &Intent, collection: &Path, item: &Value) -> Result<(String, Path), PathError> {
        if let Some(object) = &intent.object {
            return Ok((intent.key.clone(), Path::parse(object)?));
        }
        let id = self.ops.id(item).unwrap_or_default();
        Ok((id.to_owned(), collection.child(&Segment::new(id)?)))
    }

    /// Whether an object has the secret that the create sent, as far as the API shows it.
    async fn has_secret_of(&self, intent: &Intent, item: &Value) -> Result<bool, ApiError> {
        let Some(SentSecret { field, digest: sent }) = &intent.secret else { return Ok(true) };
        let Some(shown) = item[field.as_str()].as_str().filter(|text| !text.is_empty()) else { return Ok(true) };
        let digest = self.engine.digest(&SecretString::from(shown.to_owned())).await;
        Ok(digest.map_err(|e| ApiError::Unavailable(e.to_string()))? == *sent)
    }

    /// Settles an open create of an earlier pass: once it can no longer take effect unseen, looks for what it made.
    ///
    /// # Errors
    /// [`Stop`] while it is too early to know, and where several objects could be the one.
    pub async fn settle(&mut self, resolved: &Resolved) -> Result<Option<Identified>, Stop> {
        let Some(intent) = self.open_create() else { return Ok(None) };
        if intent.account != resolved.link().account() {
            let message = format!(
                "a create was sent to {} and its result is not known; put the connection back so that it can be looked for",
                intent.account
            );
            return Err(Stop::hopeless(Reason::ImmutableFieldChanged, message));
        }
        let collection = Path::parse(&intent.path)
            .map_err(|e| Stop::hopeless(Reason::InvalidSpec, format!("status.creating.path is damaged: {e}")))?;
        let link = resolved.link().clone();
        let due = self.settles_at(&intent.token, &link);
        if Instant::now() < due {
            return Err(self.still_waiting(due));
        }
        let found = self.made_by(&intent, &link, &collection).await.map_err(|e| Self::stop(&link, e))?;
        match found.as_slice() {
            [] => {
                self.check_left_behind(resolved, &intent, &collection).await?;
                self.give_up();
                Ok(None)
            }
            [object] => {
                let unnamed = |e: PathError| Stop::refused(Reason::RemoteUnavailable, e.to_string());
                let (id, path) = self.made_at(&intent, &collection, object).map_err(unnamed)?;
                let place = Self::place_made(resolved, &collection, &id, path).map_err(unnamed)?;
                self.record_at(resolved, &id, &place, false);
                // At once: a change that is sent now could make it another object than the one that was looked for.
                self.persist(&link, &place.path).await?;
                let is_elsewhere = collection != resolved.collection;
                if is_elsewhere || (resolved.shape == Shape::Upsert && self.status.id != resolved.id) {
                    // The spec has moved on meanwhile. What is recorded says so, and this very pass moves the object.
                    return self.by_moved_record(resolved).await;
                }
                Ok(Some(Identified { object: Some(object.clone()), recorded: true, adopted: false }))
            }
            several => {
                let ids: Vec<&str> = several.iter().filter_map(|item| self.ops.id(item)).collect();
                let message = format!(
                    "each of the objects {} could be the one that was created; set spec.lifecycle.id to the right one and delete the others",
                    ids.join(", ")
                );
                Err(Stop::refused(Reason::Ambiguous, message))
            }
        }
    }

    /// The place of what an open create made in this collection. The spec may name another by now: what was below one parent is below that
    /// one, whatever it is to be below.
    fn place_made(resolved: &Resolved, collection: &Path, id: &str, path: Path) -> Result<Place, PathError> {
        match &resolved.parent {
            // Its id is its parent's, and all parents are in one collection.
            Some(parent) => {
                let parents = parent.collection().ok_or(PathError::Empty)?;
                Ok(Place::alone(path, parents.child(&Segment::new(id)?)))
            }
            None if *collection == resolved.collection => Ok(Place::listed(path, resolved.listing.clone())),
            None => Ok(Place::in_collection(path)),
        }
    }

    async fn by_moved_record(&mut self, resolved: &Resolved) -> Result<Option<Identified>, Stop> {
        Box::pin(self.identify(resolved)).await.map(Some)
    }
}

/// What is said while the object is being made: that it is not ready, and that Portico is at it.
fn being_created() -> (State, State) {
    let creating = State::new(false, Reason::Creating, "The object is being created.");
    let doing = State { holds: Tri::True, ..creating.clone() };
    (creating, doing)
}

/// What a create sends: everything that has a value.
#[must_use]
pub fn fresh_body(desired: &Map<String, Value>) -> Map<String, Value> {
    let clean = |(key, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::Object(map) => Some((
            key.clone(),
            Value::Object(map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect()),
        )),
        value => Some((key.clone(), value.clone())),
    };
    desired.iter().filter_map(clean).collect()
}

/// A digest of some fields of an object. What says nothing is equal to what is absent.
#[must_use]
pub fn digest(fields: &[String], object: &Value) -> String {
    let mut values: Vec<(&String, Value)> =
        fields.iter().map(|field| (field, canonical(None, within(object, field), true))).collect();
    values.sort_by(|a, b| a.0.cmp(b.0));
    hex(&Sha256::digest(serde_json::to_vec(&values).unwrap_or_default()))[..32].to_owned()
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
