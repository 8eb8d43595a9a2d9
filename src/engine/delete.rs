//! Deletion always ends (law 5): it needs no valid spec and no reference, only the recipe in the status.
use std::time::Duration;

use http::Method;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{
    cache::AnyKind,
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
use crate::remote::{ApiError, Call, Path, Place};

/// For so many minutes what has to go first is waited for.
const LONGEST_WAIT: u32 = 5;

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
        if let Some(recipe) = self.status.recorded(&owner, &uid).cloned() {
            return self.by_recipe(&recipe).await;
        }
        if let Some(intent) = self.status.intent(&owner, &uid).cloned() {
            return self.by_intent(&intent).await;
        }
        match self.ops.identity_of(&self.object) {
            Identity::Mark | Identity::Derived => self.by_lookup_of_own().await,
            Identity::Intent => Ok(Ended::Deleted),
        }
    }

    async fn by_recipe(&mut self, recipe: &Recipe) -> Result<Ended, Stop> {
        let place = recipe.place().map_err(|e| blocked(format!("status.remote is damaged: {e}")))?;
        self.wait_for_those_that_go_first(&place.path)?;
        self.wait_for_children(&place.path).await?;
        let known = self.connection_of(&recipe.connection, &recipe.account)?;
        let unsettled = self.engine.remember(self.object.uid(), |memory| memory.unsettled);
        if let Some(until) = unsettled.filter(|until| *until > Instant::now())
            && self.ops.identity_of(&self.object) == Identity::Derived
        {
            // It was being made again under its id.
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
                Read::Absent => return self.by_lookup_of_own().await,
            }
        }
        if let Some(reset) = &recipe.reset {
            return self.put_back(&known, &place, reset).await;
        }
        let was_there = self.delete_object(&known.link.clone(), &place).await.map_err(hint)?;
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
        match made.as_slice() {
            [] => Ok(Ended::Deleted),
            [one] => {
                let (_, path) = self.made_at(intent, &collection, one).map_err(|e| blocked(e.to_string()))?;
                self.remove(&known, &Place::in_collection(path)).await
            }
            several => {
                let ids: Vec<&str> = several.iter().filter_map(|item| self.ops.id(item)).collect();
                Err(blocked(format!(
                    "each of the objects {} could be the one that was created; delete the right one at the API",
                    ids.join(", ")
                )))
            }
        }
    }

    /// Nothing is recorded, but a crash may have come between the create and its record: the mark tells, or the derived id.
    async fn by_lookup_of_own(&mut self) -> Result<Ended, Stop> {
        let resolved = match self.engine.resolve(self.ops, self.key, &self.object).await {
            Ok(resolved) => resolved,
            Err(Stop::Halt(halt)) if matches!(halt.reason, Reason::ConnectionNotReady) => {
                return Err(blocked(format!("whether an object was made cannot be asked: {}", halt.message)));
            }
            Err(Stop::Halt(_)) => {
                // The credentials of something that nobody knows of serve nobody.
                self.withdraw().await?;
                return Ok(Ended::Released("nothing is recorded of it, and its connection is not there"));
            }
            Err(stop) => return Err(stop),
        };
        self.check_usable(&resolved.connection, &resolved.known)?;
        let link = resolved.link().clone();
        let window = link.deadline() + self.engine.settings.consistency;
        let unsettled = self.engine.remember(self.object.uid(), |memory| {
            if !memory.held {
                // An earlier process put the finalizer there, and may have sent a create just before it ended.
                memory.held = true;
                memory.unsettled = Some(Instant::now() + window);
            }
            memory.unsettled
        });
        if let Some(until) = unsettled.filter(|until| *until > Instant::now()) {
            let message = "an earlier create may still take effect; looking for its result after the wait";
            return Err(Stop::wait_until(Reason::Deleting, message, until));
        }
        if let Some(id) = &resolved.id {
            let place = resolved.place(id).map_err(|e| blocked(e.to_string()))?;
            return self.remove(&resolved.known, &place).await;
        }
        let items = items(self.ops, &link, &resolved.listing, None, &mut self.requests).await;
        let items = items.map_err(|e| Self::blocked_by(&resolved.known, e))?;
        for item in items.iter().filter(|item| mark::read(item, &self.engine.owner, self.key) == Mark::Ours) {
            let place = resolved.place(self.ops.id(item).unwrap_or_default()).map_err(|e| blocked(e.to_string()))?;
            self.remove(&resolved.known, &place).await?;
        }
        Ok(Ended::Deleted)
    }

    async fn remove(&mut self, known: &Known, place: &Place) -> Result<Ended, Stop> {
        let link = known.link.clone();
        self.delete_object(&link, place).await.map_err(hint)?;
        Ok(Ended::Deleted)
    }

    /// What has to be gone before this object can go is waited for, whoever deletes it, but not for ever.
    fn wait_for_those_that_go_first(&self, path: &Path) -> Result<(), Stop> {
        let since = self.object.metadata.deletion_timestamp.as_ref().map(|since| since.0);
        let waited = since.and_then(|since| Duration::try_from(self.engine.clock.now().duration_since(since)).ok());
        if waited.unwrap_or_default() > self.engine.settings.minute * LONGEST_WAIT {
            return Ok(());
        }
        let first: Vec<String> = self
            .engine
            .cache
            .all()
            .into_iter()
            .filter(|(key, child)| {
                let Some(AnyKind::Resource(ops)) = self.engine.cache.ops(key.kind) else { return false };
                let (status, uid) = (child.status(), child.uid());
                let recorded = status.recorded(&self.engine.owner, uid).and_then(|recipe| recipe.place().ok());
                let open = || {
                    status.intent(&self.engine.owner, uid).and_then(|intent| Path::parse(intent.object.as_ref()?).ok())
                };
                let is_below = recorded
                    .map_or_else(|| open().is_some_and(|object| object.is_below(path)), |place| place.is_below(path));
                ops.goes_first() && child.is_deleting() && child.is_held() && is_below
            })
            .map(|(key, _)| format!("{} {}/{}", key.kind, key.namespace, key.name))
            .collect();
        if first.is_empty() {
            return Ok(());
        }
        Err(blocked(format!("these have to be gone at the API before it: {}", first.join(", "))))
    }

    /// Objects below this one would go with it. Those that nobody deletes are waited for, in the same namespace and while that lives.
    async fn wait_for_children(&self, path: &Path) -> Result<(), Stop> {
        let children: Vec<String> = self
            .engine
            .cache
            .all()
            .into_iter()
            .filter(|(key, child)| {
                key.namespace == self.key.namespace
                    && !child.is_deleting()
                    && matches!(self.engine.cache.ops(key.kind), Some(AnyKind::Resource(_)))
            })
            .filter(|(_, child)| {
                let status = child.status();
                let recipe = status.recorded(&self.engine.owner, child.uid());
                recipe.and_then(|r| r.place().ok()).is_some_and(|place| place.is_below(path))
            })
            .map(|(key, _)| format!("{} {}", key.kind, key.name))
            .collect();
        if children.is_empty() {
            return Ok(());
        }
        let terminating = self.engine.kube.namespace(&self.key.namespace).await?.is_none_or(|(_, going)| going);
        if terminating {
            return Ok(());
        }
        Err(blocked(format!("these resources live below it and are not being deleted: {}", children.join(", "))))
    }

    /// The connection of a recipe. One that is being deleted still serves for this.
    fn connection_of(&self, name: &str, account: &str) -> Result<Known, Stop> {
        let key = parse_connection(self.ops, name)
            .ok_or_else(|| blocked(format!("status.remote.connection is damaged: {name:?}")))?;
        self.engine.edges.set(self.key, [Target::Resource(key.clone())].into());
        let Some(known) = self.engine.links.get(&key) else {
            // Nothing else says that its CRD goes meanwhile: then there is nothing to wait for.
            return Err(blocked(format!("{key} is not there or not ready; make it again with its Secret")));
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
    fn check_usable(&self, key: &Key, known: &Known) -> Result<(), Stop> {
        if !self.engine.may_write(key) {
            return Err(blocked(format!("{key} only observes; set its spec.mode to Manage")));
        }
        let why = if let Some(wait) = known.trouble.as_ref().filter(|w| w.reason == Reason::AccountChanged) {
            format!("{key}: {}", wait.message)
        } else if !known.verified {
            // Another account's 404 would be taken for a deletion.
            format!("{key} has not been tried yet with its present credential")
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
fn hint(stop: Stop) -> Stop {
    let Stop::Halt(halt) = stop else { return stop };
    let message = format!("{}{ORPHAN_HINT}", halt.message);
    Stop::Halt(Halt { reason: Reason::DeletionBlocked, message, judgement: Judgement::Waiting, again: halt.again })
}

const ORPHAN_HINT: &str =
    " (to leave the object behind and end the deletion, annotate the resource with portico.dev/orphan=true)";

fn blocked(message: impl Into<String>) -> Stop {
    let message = format!("{}{ORPHAN_HINT}", message.into());
    Stop::Halt(Halt {
        reason: Reason::DeletionBlocked,
        message,
        judgement: Judgement::Waiting,
        again: Again::Backoff(None),
    })
}
