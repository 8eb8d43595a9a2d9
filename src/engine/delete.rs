//! Deletion always ends (law 5): it needs no valid spec and no reference, only the recipe in the status.
use http::Method;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{
    key::{Key, Target},
    kind::Identity,
    links::Known,
    mark::{self, Mark},
    observe::{Read, items},
    pass::Pass,
    reason::Reason,
    resolve::parse_connection,
    spec::{Common, Deletion, Mode, annotations},
    status::{Intent, Recipe},
    stop::{Again, Halt, Judgement, Stop},
};
use crate::remote::{ApiError, Call, Link, Path, Place, Segment};

/// How a deletion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The remote object is gone.
    Deleted,
    /// The remote object stays.
    Released(&'static str),
    /// The finalizer was not ours, or there was none.
    NotHeld,
}

impl Pass<'_> {
    /// Deletes or releases the object, then lets go of the resource.
    ///
    /// # Errors
    /// [`Stop`] with what is in the way.
    pub async fn delete(&mut self) -> Result<Ended, Stop> {
        if !self.object.is_held() {
            return Ok(Ended::NotHeld);
        }
        if self.object.annotation(annotations::ORPHAN) != Some("true") {
            self.wait_for_those_that_go_first(&self.seekers())?;
        }
        let ended = self.end_object().await?;
        if ended == Ended::Deleted {
            self.withdraw().await?;
        }
        self.let_go().await?;
        Ok(ended)
    }

    async fn end_object(&mut self) -> Result<Ended, Stop> {
        if self.object.annotation(annotations::ORPHAN) == Some("true") {
            return Ok(Ended::Released("the annotation portico.dev/orphan gave it up"));
        }
        // A deletion policy that cannot be read means Retain: nothing can be undone.
        let lifecycle = match self.object.spec::<Common>() {
            Ok(common) => common.lifecycle,
            Err(_) => return Ok(Ended::Released("its deletion policy cannot be read")),
        };
        self.outlast_update().await?;
        if self.ops.deletion(&lifecycle) == Deletion::Retain {
            let why = if lifecycle.deletion.is_some() {
                "lifecycle.deletion is Retain"
            } else {
                "that is what happens to it unless lifecycle.deletion is Delete"
            };
            return Ok(Ended::Released(why));
        }
        if lifecycle.mode == Mode::Observe {
            return Ok(Ended::Released("it was only observed"));
        }
        if !self.engine.kube.is_crd_live(self.ops.info()).await? {
            return Ok(Ended::Released("its CustomResourceDefinition is being deleted"));
        }
        if self.object.is_paused() {
            return Err(blocked("the resource is paused; remove the annotation portico.dev/paused"));
        }
        let (owner, uid) = (self.engine.owner.clone(), self.object.uid().to_owned());
        let late = self.engine.late_secret(&uid).filter(|until| *until > Instant::now());
        // What an earlier process sent may be late as well.
        let is_open = self.ops.output_secret(&self.object).is_some_and(|name| self.may_be_late(&name));
        let window = self.engine.kube.deadline + self.engine.settings.consistency;
        let earlier = self.engine.gone.settles_at(window).filter(|_| is_open);
        if let Some(until) = late.max(earlier) {
            // Nobody would find it once this resource is gone. Before the object goes: its DELETE is not sent twice.
            let message = "the output Secret may still turn up; deleting it after the wait";
            return Err(Stop::wait_until(Reason::Deleting, message, until));
        }
        if let Some(recipe) = self.status.recorded(&owner, &uid).cloned() {
            return self.by_recipe(&recipe).await;
        }
        if let Some(intent) = self.open_create() {
            return self.by_intent(&intent).await;
        }
        match self.ops.identity_of(&self.object) {
            Identity::Mark | Identity::Derived => self.by_lookup_of_own().await,
            Identity::Intent => Ok(Ended::Deleted),
        }
    }

    async fn by_recipe(&mut self, recipe: &Recipe) -> Result<Ended, Stop> {
        let place = recipe.place().map_err(|e| blocked(format!("status.remote is damaged: {e}")))?;
        self.wait_for_what_is_below(&place.path).await?;
        let known = self.connection_of(&recipe.connection, &recipe.account)?;
        let unsettled = self.unsettled_beside(recipe, &known.link);
        if let Some(until) = unsettled.filter(|until| *until > Instant::now())
            && (recipe.unsettled || self.ops.identity_of(&self.object) != Identity::Intent)
        {
            // It was being made again under its id, or another one was adopted meanwhile.
            let message = "an earlier create may still take effect; deleting its result after the wait";
            return Err(Stop::wait_until(Reason::Deleting, message, until));
        }
        if self.ops.identity() == Identity::Mark {
            // Another owner's mark overrides the record (law 2).
            match self.read(known.link.clone().as_ref(), &place).await.map_err(hint)? {
                Read::Found(object) => {
                    if let Mark::Foreign(_) = mark::read(&object, &self.engine.owner, self.key) {
                        return Ok(Ended::Released("it belongs to another Portico installation by now"));
                    }
                }
                Read::ParentAbsent(_) => return Ok(Ended::Deleted),
                // It may just have been made again, under another id, by a process that ended before it could record that.
                Read::Absent => {
                    self.believe_absence()?;
                    return self.by_lookup_of_own().await;
                }
            }
        }
        if let Some(reset) = &recipe.reset {
            return self.put_back(&known, &place, reset).await;
        }
        let was_there = self.delete_object(&known.link.clone(), &place).await.map_err(hint)?;
        // From here on an absence is the outcome of this.
        self.engine.remember(self.object.uid(), |memory| memory.made = None);
        if unsettled.is_some() && self.ops.identity() == Identity::Mark {
            // A create without an answer was not seen to make what is recorded: it may have made another one.
            let collection = place.path.collection().unwrap_or_else(|| place.listing.clone());
            self.remove_marked(&known, &place.listing, &collection).await?;
            return Ok(Ended::Deleted);
        }
        if was_there || self.ops.identity_of(&self.object) != Identity::Derived {
            return Ok(Ended::Deleted);
        }
        // An earlier process may have sent a create under this id just before it ended.
        let window = known.link.deadline() + self.engine.settings.consistency;
        let due = self.engine.remember(self.object.uid(), |memory| {
            if memory.held {
                return None;
            }
            memory.held = true;
            memory.unsettled = Some(Instant::now() + window);
            memory.unsettled
        });
        match due {
            None => Ok(Ended::Deleted),
            Some(due) => {
                let message = "an earlier create may still take effect; deleting its result after the wait";
                Err(Stop::wait_until(Reason::Deleting, message, due))
            }
        }
    }

    /// What cannot be deleted is left as it was when nobody had changed it.
    async fn put_back(&mut self, known: &Known, place: &Place, reset: &Map<String, Value>) -> Result<Ended, Stop> {
        if reset.is_empty() {
            return Ok(Ended::Deleted);
        }
        let body = Value::Object(self.ops.patched(reset.clone()));
        let link = known.link.clone();
        match self.send(&link, Call::new(Method::PATCH, &place.path).body(&body)).await {
            Ok(_) | Err(ApiError::Absent(_)) => Ok(Ended::Deleted),
            Err(error) => Err(Self::blocked_by(known, error)),
        }
    }

    /// A create whose result is not known: what it made is ours, and goes.
    async fn by_intent(&mut self, intent: &Intent) -> Result<Ended, Stop> {
        let known = self.connection_of(&intent.connection, &intent.account)?;
        let due = self.settles_at(&intent.token, &known.link);
        if Instant::now() < due {
            return Err(Stop::wait_until(
                Reason::Deleting,
                "an earlier create may still take effect; looking for its result after the wait",
                due,
            ));
        }
        let collection =
            Path::parse(&intent.path).map_err(|e| blocked(format!("status.creating.path is damaged: {e}")))?;
        let link = known.link.clone();
        let made = self.made_by(intent, &link, &collection).await.map_err(|e| Self::blocked_by(&known, e))?;
        if self.is_decided(intent, &link, &collection, &made).await? {
            return Ok(Ended::Deleted);
        }
        match made.as_slice() {
            [] => Ok(Ended::Deleted),
            [one] => {
                let (_, path) = self.made_at(intent, &collection, one).map_err(|e| blocked(e.to_string()))?;
                self.remove(&known, &Place::in_collection(path)).await
            }
            several => {
                let ids: Vec<&str> = several.iter().filter_map(|item| self.ops.id(item)).collect();
                let message = format!(
                    "each of the objects {} could be the one that was created; delete the right one at the API",
                    ids.join(", ")
                );
                let candidates = ids.into_iter().map(str::to_owned).collect();
                if let Some(creating) = &mut self.status.creating {
                    creating.candidates = candidates;
                }
                Err(blocked(message))
            }
        }
    }

    /// Whether somebody has deleted one of several that could be this resource's, as they were asked to: then what is left is not its own.
    async fn is_decided(&mut self, intent: &Intent, link: &Link, at: &Path, made: &[Value]) -> Result<bool, Stop> {
        for id in &intent.candidates {
            let Ok(segment) = Segment::new(id) else { continue };
            if made.iter().any(|item| self.ops.id(item) == Some(id.as_str())) {
                continue;
            }
            // It may have been changed, and is not the one any more; or the whole parent is gone, and with it all of them.
            if let Read::Absent = self.read(link, &Place::in_collection(at.child(&segment))).await.map_err(hint)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Nothing is recorded, but a crash may have come between the create and its record: the mark tells, or the derived id.
    async fn by_lookup_of_own(&mut self) -> Result<Ended, Stop> {
        let resolved = match self.engine.resolve(self.ops, self.key, &self.object).await {
            Ok(resolved) => resolved,
            Err(Stop::Halt(halt)) if matches!(halt.reason, Reason::ConnectionNotReady) => {
                if self.was_never_sent() {
                    return Ok(Ended::Deleted);
                }
                return Err(blocked(format!("whether an object was made cannot be asked: {}", halt.message)));
            }
            Err(Stop::Halt(_)) => {
                if let Some(ended) = Box::pin(self.seek()).await? {
                    return Ok(ended);
                }
                // The credentials of something that nobody knows of serve nobody.
                self.withdraw().await?;
                return Ok(Ended::Released("nothing is recorded of it, and its connection is not there"));
            }
            Err(stop) => return Err(stop),
        };
        match self.check_usable(&resolved.connection, &resolved.known) {
            Err(_) if self.was_never_sent() => return Ok(Ended::Deleted),
            usable => usable?,
        }
        let link = resolved.link().clone();
        self.wait_for_late(self.window(&link))?;
        if let Some(id) = &resolved.id {
            let place = resolved.place(id).map_err(|e| blocked(e.to_string()))?;
            return self.remove(&resolved.known, &place).await;
        }
        if !self.remove_marked(&resolved.known, &resolved.listing, &resolved.collection).await? {
            self.believe_absence()?;
        }
        if let Some((there, place)) = self.find_elsewhere(&resolved).await {
            self.check_usable(&there.connection, &there.known)?;
            return self.remove(&there.known, &place).await;
        }
        Ok(Ended::Deleted)
    }

    /// Removes all that carries this resource's mark. Says whether there was anything.
    pub(super) async fn remove_marked(
        &mut self,
        known: &Known,
        listing: &Path,
        collection: &Path,
    ) -> Result<bool, Stop> {
        let link = known.link.clone();
        let items = items(self.ops, &link, listing, None, &mut self.requests).await;
        let mut items = items.map_err(|e| Self::blocked_by(known, e))?;
        items.retain(|item| mark::read(item, &self.engine.owner, self.key) == Mark::Ours);
        for item in &items {
            let id = Segment::new(self.ops.id(item).unwrap_or_default()).map_err(|e| blocked(e.to_string()))?;
            self.remove(known, &Place::listed(collection.child(&id), listing.clone())).await?;
        }
        Ok(!items.is_empty())
    }

    async fn remove(&mut self, known: &Known, place: &Place) -> Result<Ended, Stop> {
        // What is not recorded here may all the same be what others live below: they name it by its id.
        self.wait_for_what_is_below(&place.path).await?;
        let link = known.link.clone();
        self.delete_object(&link, place).await.map_err(hint)?;
        Ok(Ended::Deleted)
    }

    /// The connection of a recipe. One that is being deleted still serves for this.
    fn connection_of(&self, name: &str, account: &str) -> Result<Known, Stop> {
        let key = parse_connection(self.ops, name)
            .ok_or_else(|| blocked(format!("status.remote.connection is damaged: {name:?}")))?;
        self.engine.edges.set(self.key, [Target::Resource(key.clone())].into());
        let Some(known) = self.engine.links.get(&key) else {
            let way_out = if self.engine.cache.get(&key).is_some() {
                "not ready; put its Secret back, or see in its status what else is in the way"
            } else {
                "not there; make it again with its Secret"
            };
            // Nothing else says that its CRD goes meanwhile: then there is nothing to wait for.
            return Err(blocked(format!("{key} is {way_out}")));
        };
        if known.link.account() != account {
            return Err(blocked(format!(
                "the object is at {account}, and {key} now leads to {}",
                known.link.account()
            )));
        }
        self.check_usable(&key, &known)?;
        Ok(known)
    }

    /// Whether a connection may be used for a deletion. It wakes the resource when that changes.
    pub(super) fn check_usable(&self, key: &Key, known: &Known) -> Result<(), Stop> {
        if !self.engine.may_write(key) {
            return Err(blocked(format!("{key} only observes; set its spec.mode to Manage")));
        }
        Self::check_trusted(key, known)
    }

    /// Whether what the API says through a connection may be believed.
    pub(super) fn check_trusted(key: &Key, known: &Known) -> Result<(), Stop> {
        let why = if let Some(wait) = known.trouble.as_ref().filter(|w| w.reason == Reason::AccountChanged) {
            format!("{key}: {}", wait.message)
        } else if !known.verified {
            // Another account's 404 would be taken for a deletion.
            let trouble = known.trouble.as_ref().map_or("it has not been tried yet", |wait| wait.message.as_str());
            format!("{key} is not ready: {trouble}")
        } else {
            return Ok(());
        };
        Err(waits(why))
    }

    /// Why the API did not delete.
    fn blocked_by(known: &Known, error: ApiError) -> Stop {
        hint(Self::stop(&known.link, error))
    }

    /// Wakes whoever waited for this resource to be gone.
    pub fn wake_after_end(&self) {
        self.engine.wake_dependents(&Target::Resource(self.key.clone()));
        let recorded = self.status.remote.as_ref().map(|r| r.connection.clone());
        let open = || self.status.creating.as_ref().map(|i| i.connection.clone());
        let named = || {
            let reference = self.object.spec::<Common>().ok()?.connection_ref?;
            let namespace = reference.namespace.unwrap_or_else(|| self.key.namespace.to_string());
            Some(format!("{namespace}/{}", reference.name))
        };
        let connection = recorded.or_else(open).or_else(named).and_then(|name| parse_connection(self.ops, &name));
        let mut keys: Vec<Key> = connection.into_iter().collect();
        let parents = self.status.remote.as_ref().and_then(|r| r.place().ok()).and_then(|place| place.parent);
        if let (Some(parent), Some(connection)) = (parents, keys.first().cloned()) {
            keys.extend(
                self.engine.recorded(&connection).into_iter().filter(|(_, p)| p.path == parent).map(|(k, _)| k),
            );
        }
        // Nothing may say which connection it was: each that is to go may have waited for this.
        let connections = self.engine.cache.of_kind(self.ops.connection()).into_iter();
        keys.extend(connections.filter(|(_, one)| one.is_deleting()).map(|(key, _)| key));
        for key in keys {
            self.engine.queue.push(&key, super::queue::Lane::Deletion, super::queue::Cause::Look);
        }
    }
}

/// In the way of a deletion until something happens that wakes the resource.
fn waits(message: impl Into<String>) -> Stop {
    hint(Stop::wait(Reason::DeletionBlocked, message))
}

/// What is in the way of a deletion, with the way out.
pub(super) fn hint(stop: Stop) -> Stop {
    let Stop::Halt(halt) = stop else { return stop };
    let message = format!("{}{ORPHAN_HINT}", halt.message);
    Stop::Halt(Halt { reason: Reason::DeletionBlocked, message, judgement: Judgement::Waiting, again: halt.again })
}

const ORPHAN_HINT: &str =
    " (to leave the object behind and end the deletion, annotate the resource with portico.dev/orphan=true)";

/// In the way of a deletion; tried again after a wait that doubles.
pub(super) fn blocked(message: impl Into<String>) -> Stop {
    let message = format!("{}{ORPHAN_HINT}", message.into());
    Stop::Halt(Halt {
        reason: Reason::DeletionBlocked,
        message,
        judgement: Judgement::Waiting,
        again: Again::Backoff(None),
    })
}
