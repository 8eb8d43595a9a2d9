//! Two resources never fight over one object (law 12). Whoever holds a recorded id or an open create wins; among those without, the older.
//! Nor do they fight over what only one object of a collection can have ([`Kind::exclusive`](super::kind::Kind::exclusive)).
//!
//! The claims are computed from the cache at every pass, not kept: there is nothing to leak and nothing to restore after a crash.
use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use super::{
    core::Memory,
    desired::Shape,
    key::Key,
    kind::Identity,
    mark::{self, Mark},
    observe::items,
    pass::Pass,
    queue::{Cause, Lane},
    raw::Raw,
    reason::Reason,
    resolve::Resolved,
    spec::Common,
    standing::{holds, says_conflict},
    status::{Intent, Recipe, conditions},
    stop::{Again, Halt, Judgement, Stop},
};
use crate::remote::{Path, Place};

/// Who is working on a rival's object is asked again after this long.
const MOMENT: Duration = Duration::from_millis(500);

/// A resource that cannot have what another one wants as well.
struct Rival {
    key: Key,
    object: Arc<Raw>,
    /// The field of what only one object of a collection can have; none where it claims the object itself.
    field: Option<&'static str>,
}

impl Rival {
    /// Whether it waits for somebody itself, and so is in nobody's way. For an object it stands in the queue all the same.
    fn stands_aside(&self) -> bool {
        self.field.is_some() && says_conflict(&self.object.status())
    }

    fn claim(&self) -> String {
        match self.field {
            None => format!("{} claims the same object", self.key),
            Some(field) => format!("{} has {field}: true as well", self.key),
        }
    }

    fn advice(&self) -> String {
        match self.field {
            None if self.object.is_deleting() => "it is being deleted; waiting for its end".to_owned(),
            None => "delete one of the two, or give them different names".to_owned(),
            Some(field) => format!("only one of them can: set {field}: false on one of the two"),
        }
    }
}

impl Pass<'_> {
    /// Whether this resource may speak for its object.
    ///
    /// # Errors
    /// [`Stop`] with [`Reason::Conflict`], naming the one that may.
    pub fn claim(&mut self, resolved: &Resolved) -> Result<(), Stop> {
        let bound = Some(resolved.common.lifecycle.id.as_str()).filter(|id| !id.is_empty());
        // What a restored backup says of another UID is no record (law 2), and so no claim.
        let known = self.status.known(&self.engine.owner, self.object.uid()).and(self.status.id.as_deref());
        let id = bound.or(known).or(resolved.id.as_deref());
        // What is done once can be done again by another.
        if resolved.shape == Shape::Action {
            return Ok(());
        }
        let by_name = resolved.id.is_none() || resolved.parent.is_some();
        let name = self.ops.natural_key(&self.object).filter(|_| by_name);
        // Where its id is known beforehand. Two may refer to their parent in different words: by name and by id.
        let place = resolved.id.as_deref().map(|id| place_of(resolved, id));
        // From here to the end of the pass nobody else goes on with this object: what this one finds and sends is not recorded before then.
        let mut under_way = self.engine.claims.lock();
        let rivals = self.rivals(resolved, name.as_deref(), id);
        let own = self.engine.rank(&self.object);
        let is_before = |rival: &&Rival| !rival.stands_aside() && self.engine.rank(&rival.object) < own;
        // Who goes first is said in the same words whether it is at work right now or not: it may try for ever, and at rest nothing is
        // written (law 4).
        if let Some(rival) = rivals.iter().find(is_before) {
            let message = format!("{}; {}", rival.claim(), rival.advice());
            // The rival's end wakes us; the slow look is for what nobody tells us of.
            let is_at_work = under_way.contains_key(rival.object.uid());
            let wait = if is_at_work { MOMENT } else { self.engine.settings.stalled };
            let again = Again::At(Instant::now() + wait);
            return Err(Stop::Halt(Halt { reason: Reason::Conflict, message, judgement: Judgement::Waiting, again }));
        }
        let at_work = rivals.iter().find(|rival| under_way.contains_key(rival.object.uid())).map(Rival::claim);
        if let Some(claim) = at_work.or_else(|| self.claim_of_place(&under_way, place.as_deref())) {
            let message = format!("{claim} and is being worked on");
            return Err(Stop::wait_until(Reason::Conflict, message, Instant::now() + MOMENT));
        }
        if self.claimed.is_none() {
            under_way.insert(self.object.uid().to_owned(), place);
            self.claimed = Some(self.engine.claims.guard(self.object.uid()));
        }
        drop(under_way);
        // Who came in the same second and counts as older may find another that says it is Ready: nothing else tells that one.
        for rival in rivals.iter().filter(|rival| rival.object.status().is_true(conditions::READY)) {
            if !rival.object.is_deleting() && !rival.object.is_paused() {
                self.engine.queue.push(&rival.key, Lane::Retry, Cause::Start);
            }
        }
        Ok(())
    }

    /// Claims an object that was found, and that is about to become this resource's, until the pass ends. Where its id was not known
    /// beforehand, another may have found it as well: through another connection, or by its mark where this one went by its name. And what a
    /// spec binds to may have the id that another one derives and has not recorded yet.
    ///
    /// # Errors
    /// [`Stop`] with [`Reason::Conflict`] where another one is about to take it, or has recorded it meanwhile.
    pub(super) fn claim_found(&mut self, resolved: &Resolved, id: &str, path: &Path) -> Result<(), Stop> {
        if !resolved.writes || resolved.id.as_deref() == Some(id) || resolved.shape == Shape::Action {
            return Ok(());
        }
        let place = place_of(resolved, id);
        let mut under_way = self.engine.claims.lock();
        if let Some(claim) = self.claim_of_place(&under_way, Some(place.as_str())) {
            let message = format!("{claim} and is being worked on");
            return Err(Stop::wait_until(Reason::Conflict, message, Instant::now() + MOMENT));
        }
        under_way.insert(self.object.uid().to_owned(), Some(place));
        drop(under_way);
        if self.claimed.is_none() {
            self.claimed = Some(self.engine.claims.guard(self.object.uid()));
        }
        // Whoever was at work on it a moment ago has recorded it by now.
        if let Some(other) = self.recorder_of(id, &resolved.link().account(), path) {
            return Err(self.conflict(format!("the object {id} belongs to {other}")));
        }
        Ok(())
    }

    /// The object that this resource has recorded is gone, or the API refuses it its new name, and whoever wants to have that name may have
    /// recorded the object that has it now. "Whoever holds the recorded id wins" (law 12), and the record of what is gone, or has another
    /// name, does not hold that. Where that one is the younger of two that are not as their specs say, it would wait for this one, and this
    /// one for it: it goes first from now on, and is told.
    ///
    /// `is_taken`: whether another object turned out to be in the way.
    pub(super) fn step_back(&self, resolved: &Resolved, items: &[Value], is_taken: bool) {
        let is_taken = resolved.writes && is_taken;
        let name = Some(resolved.natural_key.as_str());
        let named = items.iter().filter(|item| is_taken && item[self.ops.key_field()].as_str() == name);
        let holders = named.filter_map(|item| {
            let id = self.ops.id(item)?;
            let place = resolved.place(id).ok()?;
            let key = self.recorder_of(id, &resolved.link().account(), &place.path)?;
            let other = self.engine.cache.get(&key)?;
            // Who wants another name by now is in another queue.
            self.is_same_object(resolved, &key, &other, None).then_some((key, other))
        });
        let holders: Vec<(Key, Arc<Raw>)> = holders.collect();
        let displaced = (!holders.is_empty()).then_some(self.generation);
        self.engine.remember(self.object.uid(), |memory| memory.displaced = displaced);
        for (key, other) in holders {
            // Its object is there: what it was told before is over.
            self.engine.remember(other.uid(), |memory| memory.displaced = None);
            self.engine.queue.push(&key, Lane::Retry, Cause::Start);
        }
    }

    /// Takes the turn to do at a place what one does there at a time, until the pass ends: what this one is about to send is not recorded
    /// yet, and another pass would not know of it. Whether it was free.
    pub(super) fn take_turn(&mut self, resolved: &Resolved) -> bool {
        let place = format!("{}{}", resolved.link().account(), resolved.collection);
        self.claimed = self.engine.claims.take(&place);
        self.claimed.is_some()
    }

    /// Whether anybody else claims the object of this resource's name.
    pub(super) fn has_rivals(&self, resolved: &Resolved) -> bool {
        !self.rivals(resolved, Some(&resolved.natural_key), None).is_empty()
    }

    /// Who else claims the object, or asks for what only one object beside it can have.
    fn rivals(&self, resolved: &Resolved, name: Option<&str>, id: Option<&str>) -> Vec<Rival> {
        let claimants = self.engine.cache.claimants(self.key.kind, name, id).into_iter();
        let others = claimants.filter(|(_, other)| other.uid() != self.object.uid());
        let same = others.filter(|(key, other)| self.is_same_object(resolved, key, other, id));
        let mut rivals: Vec<Rival> = same.map(|(key, object)| Rival { key, object, field: None }).collect();
        let Some(field) = self.ops.exclusive(&self.object) else { return rivals };
        for (key, object) in self.engine.cache.contenders(self.key.kind, field) {
            let is_other = object.uid() != self.object.uid() && rivals.iter().all(|rival| rival.key != key);
            // What the API has of one that goes is the API's to tell.
            if is_other && !object.is_deleting() {
                let (theirs, status) = (self.engine.locate(self.ops, &key, &object), object.status());
                let recorded = status.recorded(&self.engine.owner, object.uid());
                let open = status.intent(&self.engine.owner, object.uid());
                if is_beside(resolved, theirs.as_ref(), recorded, open) {
                    rivals.push(Rival { key, object, field: Some(field) });
                }
            }
        }
        rivals
    }

    /// What another one does whose pass speaks for the object at this place.
    fn claim_of_place(&self, under_way: &HashMap<String, Option<String>>, place: Option<&str>) -> Option<String> {
        let place = place?;
        let mut others = under_way.iter().filter(|(uid, _)| uid.as_str() != self.object.uid());
        let (uid, _) = others.find(|(_, theirs)| theirs.as_deref() == Some(place))?;
        let other = self.engine.cache.by_uid(self.key.kind, uid);
        let other = other.map_or_else(|| "another resource".to_owned(), |key| key.to_string());
        Some(format!("{other} claims the same object"))
    }

    /// Claims the object. A resource that has recorded nothing may still have made something: a create of it that was never answered, or
    /// that an earlier process sent. Before it yields to another for the sake of a name or an id, it looks for its own once: who holds the mark
    /// wins (law 12), and an object that nobody knows of would be lost (law 1).
    ///
    /// # Errors
    /// [`Stop`], as [`Pass::claim`], and where the API does not answer.
    pub async fn claim_or_find(&mut self, resolved: &Resolved) -> Result<(), Stop> {
        self.find_derived(resolved).await?;
        let halt = match self.claim(resolved) {
            Err(Stop::Halt(halt)) => halt,
            other => return other,
        };
        let is_recorded = self.status.recorded(&self.engine.owner, self.object.uid()).is_some();
        if self.ops.identity() != Identity::Mark || !self.was_held || is_recorded {
            return Err(Stop::Halt(halt));
        }
        let Some(until) = self.unsettled_until(resolved) else { return Err(Stop::Halt(halt)) };
        if until > Instant::now() {
            // Too early to say that there is nothing.
            let again = earlier(halt.again, until);
            return Err(Stop::Halt(Halt { again, ..halt }));
        }
        if !self.find_marked(resolved).await? {
            return Err(Stop::Halt(halt));
        }
        self.claim(resolved)
    }

    /// Looks for what carries this resource's mark, and records it at once.
    pub(super) async fn find_marked(&mut self, resolved: &Resolved) -> Result<bool, Stop> {
        let link = resolved.link().clone();
        let items = items(self.ops, &link, &resolved.listing, None, &mut self.requests).await;
        let mut ours = items.map_err(|e| Self::stop(&link, e))?;
        let account = link.account();
        ours.retain(|item| !self.was_deleted(resolved, item));
        ours.retain(|item| {
            let id = self.ops.id(item).unwrap_or_default();
            let is_free = |place: Place| self.recorder_of(id, &account, &place.path).is_none();
            mark::read(item, &self.engine.owner, self.key) == Mark::Ours && resolved.place(id).is_ok_and(is_free)
        });
        let found = self.keep_oldest(resolved, ours).await?.is_some();
        if found {
            let path = self.recorded_path()?;
            self.persist(&link, &path).await?;
        }
        // A complete listing after the wait: whatever there was is seen by now.
        self.engine.remember(self.object.uid(), |memory| memory.unsettled = None);
        Ok(found)
    }

    fn is_same_object(&self, resolved: &Resolved, key: &Key, rival: &Raw, id: Option<&str>) -> bool {
        let status = rival.status();
        let recorded = status.recorded(&self.engine.owner, rival.uid());
        let open = status.intent(&self.engine.owner, rival.uid());
        let is_going = rival.is_deleting();
        // What is still on its way may make an object, and its deletion will look for one that equals what was sent.
        if is_going && recorded.is_none() && open.is_none() {
            return false;
        }
        let theirs = self.engine.locate(self.ops, key, rival);
        let same_collection = is_beside(resolved, theirs.as_ref(), recorded, open);
        let bound = rival.spec::<Common>().map(|c| resolved.link().api().plain_id(&c.lifecycle.id)).unwrap_or_default();
        let chosen = self.ops.chosen_id(rival);
        let known = status.known(&self.engine.owner, rival.uid()).and(status.id.as_deref());
        let same_id = id.is_some_and(|id| known == Some(id) || bound == id || chosen.as_deref() == Some(id));
        // Two organizations on one host look alike: by name only resources of one connection meet, except below a parent, whose id says
        // which organization it is. The mark and the recorded ids tell the rest.
        let nested = resolved.listing.above().is_some();
        let recorded_way = recorded.map(|recipe| &recipe.connection).or(open.map(|intent| &intent.connection));
        let same_way = nested
            || match &theirs {
                Some(theirs) => theirs.connection == resolved.connection,
                None => !is_going || recorded_way.is_some_and(|name| *name == resolved.connection_name()),
            };
        // Who is being deleted has the name until it is gone: a listing from before its DELETE shows its object still. Whoever has an object
        // of its own waits for nobody's end.
        let has_name = !is_going || !holds(&self.engine.owner, &self.object);
        let same_name = theirs.is_none_or(|t| t.natural_key == resolved.natural_key) && has_name;
        // Where ids tell objects apart, the tenant stands in the account.
        let same_way = same_way || resolved.id.is_some();
        same_collection && (same_id || (same_name && same_way))
    }

    /// Who will take an object that carries the mark of a resource that is no more: the one that has its name now, as from a restored backup,
    /// where it has recorded nothing yet and has still to look for its mark (law 12). Who has looked stands in the order of all: so nobody
    /// waits in a circle.
    pub(super) fn heir(&self, resolved: &Resolved, object: &Value) -> Option<Key> {
        let owner = &self.engine.owner;
        let all = self.engine.cache.of_kind(self.key.kind).into_iter();
        let mut heirs = all.filter(|(key, other)| {
            if mark::read(object, owner, key) != Mark::Ours || !other.is_held() || other.is_deleting() {
                return false;
            }
            let has_none = other.status().recorded(owner, other.uid()).is_none();
            let bound =
                other.spec::<Common>().map(|c| resolved.link().api().plain_id(&c.lifecycle.id)).unwrap_or_default();
            let may_have = bound.is_empty() || self.ops.id(object) == Some(bound.as_str());
            let is_to_look = |memory: &mut Memory| !memory.held || memory.unsettled.is_some();
            let theirs = self.engine.locate(self.ops, key, other);
            let looks_here = is_beside(resolved, theirs.as_ref(), None, None);
            has_none && may_have && looks_here && self.engine.remember(other.uid(), is_to_look)
        });
        heirs.next().map(|(key, _)| key)
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

/// What tells an object from all others among those that are being worked on.
fn place_of(resolved: &Resolved, id: &str) -> String {
    format!("{} {} {id}", resolved.link().account(), resolved.collection)
}

/// The same, and not later than a moment.
fn earlier(again: Again, moment: Instant) -> Again {
    match again {
        Again::At(at) => Again::At(at.min(moment)),
        other => other,
    }
}

/// Whether another one's object is, or will be, in the same collection, and somebody writes there for it.
fn is_beside(resolved: &Resolved, theirs: Option<&Resolved>, recorded: Option<&Recipe>, open: Option<&Intent>) -> bool {
    match (theirs, recorded, open) {
        (Some(theirs), ..) => {
            theirs.writes
                && theirs.link().account() == resolved.link().account()
                && theirs.collection == resolved.collection
                && (resolved.id.is_some() || theirs.listing == resolved.listing)
        }
        (None, Some(recipe), _) => {
            recipe.account == resolved.link().account() && recipe.path.starts_with(resolved.collection.as_str())
        }
        (None, None, Some(intent)) => {
            intent.account == resolved.link().account() && intent.path == resolved.collection.as_str()
        }
        (None, None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_yields_looks_for_its_mark_as_soon_as_it_can_know_and_not_at_the_slow_look_after_that() {
        let now = Instant::now();
        let (soon, slow) = (now + MOMENT, now + MOMENT * 600);
        assert_eq!(earlier(Again::At(slow), soon), Again::At(soon));
        assert_eq!(earlier(Again::At(soon), slow), Again::At(soon));
    }
}
