//! Looking: is an object there? Unknown is not absent (law 3), and many absences at once are not believed.
use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    core::Engine,
    desired::Shape,
    key::Key,
    kind::{Identity, Ops},
    mark,
    parts::spellings,
    pass::Pass,
    queue::{Cause, Lane},
    reason::Reason,
    resolve::Resolved,
    stop::Stop,
};
use crate::remote::{ApiError, Call, Link, Path, Place, Segment};

/// The answer to "is it there?". A failed read is none of these (law 3).
pub enum Read {
    /// It is there.
    Found(Value),
    /// It is certainly not there: the API said so, and its parent answers.
    Absent,
    /// Its parent is certainly not there.
    ParentAbsent(Path),
}

impl Pass<'_> {
    /// Reads an object. A 404 counts as absent only in the API's own shape and while the parent answers.
    ///
    /// # Errors
    /// [`Stop`] where it cannot be known.
    pub async fn read(&mut self, link: &Link, place: &Place) -> Result<Read, Stop> {
        let path = &place.path;
        match self.send(link, Call::new(Method::GET, path)).await {
            Ok(Some(object)) => Ok(Read::Found(self.ops.normalize(object))),
            Ok(None) => Err(Stop::from_api(ApiError::Unavailable(format!("{path} was answered without a body")), None)),
            Err(ApiError::Absent(_)) => {
                let Some(parent) = place.parent.clone() else { return Ok(Read::Absent) };
                match self.send(link, Call::new(Method::GET, &parent)).await {
                    // What a parent always has is there, whether it is shown or not.
                    Ok(_) => Ok(self.ops.unset().map_or(Read::Absent, Read::Found)),
                    Err(ApiError::Absent(_)) => Ok(Read::ParentAbsent(parent)),
                    Err(error) => Err(Self::stop(link, error)),
                }
            }
            Err(error) => Err(Self::stop(link, error)),
        }
    }

    /// What a listing shows: everything, or what has the name that the spec gives, in small letters, too, where that is a person's.
    ///
    /// # Errors
    /// [`ApiError`] of the listing.
    pub(super) async fn listed(&mut self, resolved: &Resolved, everything: bool) -> Result<Vec<Value>, ApiError> {
        let (link, name) = (resolved.link().clone(), &resolved.natural_key);
        let mut found = Vec::new();
        for called in spellings(name).take(if resolved.shape == Shape::Claimed { 2 } else { 1 }) {
            let filter = link.api().equals_query(self.ops.key_field(), &called).filter(|_| !everything);
            found = items(self.ops, &link, &resolved.listing, filter.as_deref(), &mut self.requests).await?;
            if !found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// A recorded object is gone. Before it is made again: is it the only one? Returns the complete listing; with the parent gone there is
    /// none, and whatever is recorded below that has gone with it.
    ///
    /// # Errors
    /// [`Stop`] with [`Reason::MassAbsence`], and where the listing contradicts the read.
    pub async fn check_absence(
        &mut self,
        resolved: &Resolved,
        place: &Place,
        parent_gone: Option<&Path>,
    ) -> Result<Vec<Value>, Stop> {
        let link = resolved.link().clone();
        let path = &place.path;
        // Where no mark and no id tells that two objects are one resource's, a read that lags behind our own create is not believed.
        let made = self.engine.remember(self.object.uid(), |memory| memory.made);
        let shown_by = made.filter(|_| resolved.identity == Identity::Intent);
        if let Some(by) = shown_by.map(|made| made + self.engine.settings.consistency).filter(|by| *by > Instant::now())
        {
            let message = format!("{path} was made just now, and the API does not show it yet");
            return Err(Stop::not_shown_until(by, message));
        }
        let items = if place.is_alone() || parent_gone.is_some() {
            // No list shows it; that it is not there was read just now.
            Vec::new()
        } else {
            let all = items(self.ops, &link, &place.listing, None, &mut self.requests).await;
            all.map_err(|e| Self::stop(&link, e))?
        };
        // The spec may name another collection by now.
        let collection = place.path.collection().unwrap_or_else(|| resolved.collection.clone());
        let there: Vec<Path> =
            items.iter().filter_map(|i| Some(collection.child(&Segment::new(self.ops.id(i)?).ok()?))).collect();
        let recorded: Vec<Place> = self.engine.recorded(&resolved.connection).into_iter().map(|(_, p)| p).collect();
        let mut absence = None;
        self.engine.links.change(&resolved.connection, |known| {
            known.missing.retain(|p| !there.contains(p));
            let is_unseen = |p: &&Place| match parent_gone {
                Some(parent) => p.path == *parent || p.is_below(parent),
                None => p.listing == place.listing && !there.contains(&p.path),
            };
            let unseen = recorded.iter().filter(is_unseen);
            known.missing.extend(unseen.map(|p| p.path.clone()).chain([path.clone()]));
            if !known.is_confirmed(place) {
                absence = known.absence(&recorded);
            }
        });
        if there.contains(path) {
            let why = format!("the API lists {path} and does not return it");
            return Err(Stop::from_api(ApiError::Unavailable(why), None));
        }
        let Some(absence) = absence else { return Ok(items) };
        self.engine.queue.push(&resolved.connection, Lane::Retry, Cause::Look);
        // Before a crash it was made again, where fewer were gone: what carries the mark of this very resource is there.
        let is_own = |item: &&Value| mark::uid(item, &self.engine.owner) == Some(self.object.uid());
        if items.iter().filter(is_own).any(|item| !self.was_deleted(resolved, item)) {
            return Ok(items);
        }
        let message = format!(
            "{} of {} objects of {} vanished at once, so nothing is made again; if they were meant to go, annotate the connection with portico.dev/confirm-absence={}",
            absence.missing, absence.recorded, resolved.connection, absence.token
        );
        Err(Stop::wait_until(Reason::MassAbsence, message, Instant::now() + self.engine.settings.stalled))
    }

    /// The collection itself is not there.
    #[must_use]
    pub fn parent_gone(&self, resolved: &Resolved, words: &str) -> Stop {
        let parent = resolved.parent.clone().or_else(|| resolved.listing.above());
        if let Some(parent) = &parent {
            wake_recorder(self.engine, resolved, parent);
        }
        match parent {
            Some(parent) => {
                let message = format!("{parent} does not exist at the API; waiting for it to be made");
                let at = Instant::now() + self.engine.settings.stalled;
                Stop::wait_until(Reason::ReferenceNotReady, message, at)
            }
            None => self.reference_gone(words),
        }
    }

    /// The API does not know something that the spec refers to.
    #[must_use]
    pub fn reference_gone(&self, words: &str) -> Stop {
        let message =
            format!("something that the spec refers to does not exist at the API, which says: {words}; waiting for it");
        Stop::wait_until(Reason::ReferenceNotFound, message, Instant::now() + self.engine.settings.stalled)
    }
}

/// All objects of a listing, as they are written.
///
/// # Errors
/// [`ApiError`], also where one of several pages is missing.
pub async fn items(
    ops: &dyn Ops,
    link: &Link,
    listing: &Path,
    filter: Option<&str>,
    counter: &mut u32,
) -> Result<Vec<Value>, ApiError> {
    let items = if ops.has_bare_listing() {
        link.list_bare(listing, counter).await?
    } else {
        link.list(listing, filter, counter).await?
    };
    Ok(items.into_iter().map(|item| ops.normalize(item)).collect())
}

/// Tells whoever recorded an object that it may be gone.
pub fn wake_recorder(engine: &Engine, resolved: &Resolved, path: &Path) {
    let recorder: Option<Key> =
        engine.recorded(&resolved.connection).into_iter().find(|(_, p)| p.path == *path).map(|(k, _)| k);
    if let Some(key) = recorder {
        engine.queue.push(&key, Lane::Retry, Cause::Look);
    }
}
