//! Two resources never fight over one object (law 12). Whoever holds a recorded id or an open create wins; among those without, the older.
//!
//! The claims are computed from the cache at every pass, not kept: there is nothing to leak and nothing to restore after a crash.
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::{
    core::Engine,
    desired::Shape,
    key::Key,
    pass::Pass,
    raw::Raw,
    reason::Reason,
    resolve::Resolved,
    spec::Common,
    stop::{Again, Halt, Judgement, Stop},
};
use crate::remote::Path;

/// Who is working on a rival's object is asked again after this long.
const MOMENT: Duration = Duration::from_millis(500);

/// The UIDs of the resources whose passes speak for an object right now.
#[derive(Default)]
pub struct Claims(Mutex<HashSet<String>>);

impl Claims {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guard(&self, uid: &str) -> Claimed<'_> {
        Claimed { claims: self, uid: uid.to_owned() }
    }
}

/// A claim of a pass, until it ends in whatever way.
pub struct Claimed<'e> {
    claims: &'e Claims,
    uid: String,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.uid);
    }
}

/// The smaller wins.
type Rank = (bool, Option<Timestamp>, String);

impl Pass<'_> {
    /// Whether this resource may speak for its object.
    ///
    /// # Errors
    /// [`Stop`] with [`Reason::Conflict`], naming the one that may.
    pub fn claim(&mut self, resolved: &Resolved) -> Result<(), Stop> {
        let bound = Some(resolved.common.lifecycle.id.as_str()).filter(|id| !id.is_empty());
        let id = bound.or(self.status.id.as_deref()).or(resolved.id.as_deref());
        // What is done once can be done again by another.
        if resolved.shape == Shape::Action {
            return Ok(());
        }
        let by_name = resolved.id.is_none() || resolved.parent.is_some();
        let name = self.ops.natural_key(&self.object).filter(|_| by_name);
        // From here to the end of the pass nobody else goes on with this object: what this one finds and sends is not recorded before then.
        let mut under_way = self.engine.claims.lock();
        for (key, rival) in self.engine.cache.claimants(self.key.kind, name.as_deref(), id) {
            if rival.uid() == self.object.uid() || !self.is_same_object(resolved, &key, &rival, id) {
                continue;
            }
            if under_way.contains(rival.uid()) {
                let message = format!("{key} claims the same object and is being worked on");
                return Err(Stop::wait_until(Reason::Conflict, message, Instant::now() + MOMENT));
            }
            if rank(self.engine, &rival) < rank(self.engine, &self.object) {
                let message =
                    format!("{key} claims the same object; delete one of the two, or give them different names");
                // The rival's end wakes us; the slow look is for what nobody tells us of.
                let again = Again::At(Instant::now() + self.engine.settings.stalled);
                return Err(Stop::Halt(Halt {
                    reason: Reason::Conflict,
                    message,
                    judgement: Judgement::Waiting,
                    again,
                }));
            }
        }
        if self.claimed.is_none() {
            under_way.insert(self.object.uid().to_owned());
            self.claimed = Some(self.engine.claims.guard(self.object.uid()));
        }
        Ok(())
    }

    fn is_same_object(&self, resolved: &Resolved, key: &Key, rival: &Raw, id: Option<&str>) -> bool {
        let status = rival.status();
        let recorded = status.recorded(&self.engine.owner, rival.uid());
        if rival.is_deleting() && recorded.is_none() {
            return false;
        }
        let theirs = self.engine.locate(self.ops, key, rival);
        let same_collection = match (&theirs, recorded) {
            (Some(theirs), _) => {
                theirs.writes
                    && theirs.link().account() == resolved.link().account()
                    && theirs.collection == resolved.collection
                    && (resolved.id.is_some() || theirs.listing == resolved.listing)
            }
            (None, Some(recipe)) => {
                recipe.account == resolved.link().account() && recipe.path.starts_with(resolved.collection.as_str())
            }
            (None, None) => false,
        };
        let bound = rival.spec::<Common>().map(|c| c.lifecycle.id).unwrap_or_default();
        let chosen = self.ops.chosen_id(rival);
        let same_id =
            id.is_some_and(|id| status.id.as_deref() == Some(id) || bound == id || chosen.as_deref() == Some(id));
        // Two organizations on one host look alike: by name only resources of one connection meet, except below a parent, whose id says
        // which organization it is. The mark and the recorded ids tell the rest.
        let nested = resolved.listing.above().is_some();
        let same_way = nested || theirs.as_ref().is_none_or(|t| t.connection == resolved.connection);
        let same_name = theirs.is_none_or(|t| t.natural_key == resolved.natural_key) && !rival.is_deleting();
        // Where ids tell objects apart, the tenant stands in the account.
        let same_way = same_way || resolved.id.is_some();
        same_collection && (same_id || (same_name && same_way))
    }

    /// The live resource, other than this one, that has recorded the object with this id at this place.
    #[must_use]
    pub fn recorder_of(&self, id: &str, account: &str, path: &Path) -> Option<Key> {
        let claimants = self.engine.cache.claimants(self.key.kind, None, Some(id)).into_iter();
        let mut others = claimants.filter(|(_, o)| o.uid() != self.object.uid());
        others
            .find(|(_, o)| {
                let status = o.status();
                let recipe = status.recorded(&self.engine.owner, o.uid());
                recipe.is_some_and(|recipe| recipe.account == account && recipe.path == path.as_str())
            })
            .map(|(key, _)| key)
    }
}

fn rank(engine: &Engine, object: &Raw) -> Rank {
    let status = object.status();
    let holds =
        status.recorded(&engine.owner, object.uid()).is_some() || status.intent(&engine.owner, object.uid()).is_some();
    (!holds, object.metadata.creation_timestamp.as_ref().map(|t| t.0), object.uid().to_owned())
}
