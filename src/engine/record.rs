//! What the status records of the object: where it is, and how it is deleted.
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    cache::AnyKind,
    connect::halt,
    desired::Shape,
    observe::Read,
    pass::Pass,
    reason::Reason,
    resolve::{Resolved, parse_connection},
    status::{Intent, Recipe},
    stop::{Again, Halt, Stop},
};
use crate::remote::{Link, Path, PathError, Place};

impl Pass<'_> {
    /// Puts the recipe and the id into the status, of an object that is where the spec says. An object that is only observed never becomes
    /// this resource's by that.
    pub fn record(&mut self, resolved: &Resolved, id: &str, path: &Path, observed: bool) {
        let (listing, parent) = (resolved.listing.clone(), resolved.parent.clone());
        self.record_at(resolved, id, &Place { path: path.clone(), listing, parent }, observed);
    }

    /// The same of an object that was made where the spec had it then. What is recorded is where it is: by that it is seen to be elsewhere
    /// than the spec says by now.
    pub(super) fn record_at(&mut self, resolved: &Resolved, id: &str, place: &Place, observed: bool) {
        if self.status.id.as_deref() != Some(id) {
            // What took its time with another object begins anew with this one.
            for stale in self.ops.progress_conditions() {
                self.condition(stale, None);
            }
        }
        if self.status.id.as_deref() != Some(id)
            || self.status.recorded(&self.engine.owner, self.object.uid()).is_none()
        {
            // The API has accepted the spec for another object.
            self.status.accepted_generation = None;
        }
        self.status.id = Some(id.to_owned());
        self.status.creating = None;
        self.engine.gone.forget(resolved.link().account(), place.path.clone());
        let reset = self.reset(resolved);
        let path = &place.path;
        let unsettled = !observed && self.is_unsettled_beside(resolved, path);
        self.status.remote = Some(Recipe {
            owner: self.engine.owner.clone(),
            uid: self.object.uid().to_owned(),
            connection: resolved.connection_name(),
            account: resolved.link().account(),
            path: path.to_string(),
            listing: (path.collection().as_ref() != Some(&place.listing)).then(|| place.listing.to_string()),
            // A path below another object, and a list there, say themselves what it belongs to.
            parent: place.parent.as_ref().filter(|_| place.is_alone()).map(ToString::to_string),
            reset,
            observed,
            unsettled,
        });
        self.engine.links.change(&resolved.connection, |known| {
            known.missing.remove(path);
        });
    }

    /// Reads what is recorded. Where the spec names another connection by now, what that one does not show is gone only if the one of the
    /// record does not show it either: it may be of another account, which has nothing of the first (law 3).
    ///
    /// # Errors
    /// [`Stop`] where it cannot be known, and where the spec leads to another account.
    pub(super) async fn read_recorded(
        &mut self,
        resolved: &Resolved,
        recipe: &Recipe,
        place: &Place,
    ) -> Result<Read, Stop> {
        let read = self.read(resolved.link().clone().as_ref(), place).await?;
        if !matches!(read, Read::Found(_))
            && let Some(before) = self.way_back(resolved, &recipe.connection)?
            && let Read::Found(_) = self.read(&before, place).await.map_err(later)?
        {
            return Err(left_behind(&recipe.connection));
        }
        Ok(read)
    }

    /// The same of what an open create has made, of which the connection that the spec names by now shows nothing.
    ///
    /// # Errors
    /// As [`Pass::read_recorded`].
    pub(super) async fn check_left_behind(
        &mut self,
        resolved: &Resolved,
        intent: &Intent,
        collection: &Path,
    ) -> Result<(), Stop> {
        let Some(before) = self.way_back(resolved, &intent.connection)? else { return Ok(()) };
        let made = self.made_by(intent, &before, collection).await.map_err(|e| later(Self::stop(&before, e)))?;
        if made.is_empty() { Ok(()) } else { Err(left_behind(&intent.connection)) }
    }

    /// The way through the connection that a status names, where the spec names another by now that may lead to another account: of some
    /// APIs the URL does not say which it is.
    fn way_back(&self, resolved: &Resolved, recorded: &str) -> Result<Option<Arc<Link>>, Stop> {
        let (cache, now) = (&self.engine.cache, &resolved.connection);
        let Some(before) = parse_connection(self.ops, recorded).filter(|before| before != now) else {
            return Ok(None);
        };
        let (ops, object) = (cache.ops(now.kind), cache.get(now));
        let is_pinned = !matches!((ops, object), (Some(AnyKind::Connection(ops)), Some(object)) if ops.is_account_of_credential(&object));
        if is_pinned {
            return Ok(None);
        }
        if cache.get(&before).is_none() {
            return Err(left_behind(recorded));
        }
        let known = self.engine.links.get(&before);
        match known.filter(|known| Self::check_trusted(&before, known).is_ok()) {
            Some(known) if known.fingerprint == resolved.known.fingerprint => Ok(None),
            Some(known) => Ok(Some(known.link)),
            None => {
                let message =
                    format!("what was made through {before} cannot be looked for: that connection is not ready");
                Err(halt(Reason::ConnectionNotReady, message))
            }
        }
    }

    /// Records nothing any more.
    pub(super) fn forget_record(&mut self) {
        self.status.id = None;
        self.status.remote = None;
        self.status.parts.clear();
        self.status.label_keys.clear();
    }

    /// The recorded place of the object.
    ///
    /// # Errors
    /// [`Stop`] where it is none: someone wrote into the status.
    pub fn recorded_place(&self) -> Result<Place, Stop> {
        let damaged = |e| Stop::hopeless(Reason::InvalidSpec, format!("status.remote is damaged: {e}"));
        match &self.status.remote {
            Some(recipe) => recipe.place().map_err(damaged),
            None => Err(damaged(PathError::Empty)),
        }
    }

    /// The recorded path of the object.
    ///
    /// # Errors
    /// As [`Pass::recorded_place`].
    pub fn recorded_path(&self) -> Result<Path, Stop> {
        self.recorded_place().map(|place| place.path)
    }

    /// What is written to an object that cannot be deleted when its resource goes: whatever the resource ever named.
    fn reset(&self, resolved: &Resolved) -> Option<Map<String, Value>> {
        if resolved.shape != Shape::Singleton {
            return None;
        }
        let before = self.status.known(&self.engine.owner, self.object.uid()).and_then(|recipe| recipe.reset.clone());
        let named = resolved.desired.reset.iter().filter(|(field, _)| resolved.desired.body.contains_key(*field));
        let mut reset = before.unwrap_or_default();
        reset.extend(named.map(|(field, value)| (field.clone(), value.clone())));
        Some(reset)
    }
}

/// What was made through the connection of this name is not to be had through the one that the spec names by now.
pub(super) fn left_behind(connection: &str) -> Stop {
    let message = format!(
        "the object was made through the connection {connection}, and the one that the spec names now does not show it: name that one again, or delete this resource and make it again (that connection has to be there for it; with the annotation portico.dev/orphan=true the object is left behind)"
    );
    Stop::hopeless(Reason::ImmutableFieldChanged, message)
}

/// Nothing wakes a resource for a connection that its spec does not name.
fn later(stop: Stop) -> Stop {
    match stop {
        Stop::Halt(halt) if halt.again == Again::OnWake => Stop::Halt(Halt { again: Again::Backoff(None), ..halt }),
        stop => stop,
    }
}
