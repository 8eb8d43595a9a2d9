//! A create of which nothing is recorded, sent through a connection that nothing names any more: some kinds know their connection through
//! their parent alone, and that may be gone by now, or made anew; and a spec may name a connection by now that is not there. The derived id,
//! or the mark, tells the object from all others (law 2a), so every connection that the create may have gone through is asked before the
//! finalizer goes (law 3: unknown is not absent); and it is looked for before the resource is bound to another object.
use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    cache::AnyKind,
    connect::ConnectionPass,
    context::{Cx, Secrets},
    core::Engine,
    delete::{Ended, blocked, hint},
    key::{Key, Target},
    kind::{Identity, Ops},
    links::Known,
    mark::{self, Mark},
    observe::{Read, items},
    pass::Pass,
    raw::Raw,
    reason::Reason,
    record::left_behind,
    resolve::Resolved,
    spec::ConnectionCommon,
    stop::Stop,
};
use crate::remote::{Path, Place, Segment};

impl Pass<'_> {
    /// Looks for what has the derived id, or the mark, wherever it may have been made, and deletes it. None: there is nobody to ask.
    ///
    /// # Errors
    /// [`Stop`] where one of them does not answer, and where several accounts have such an object.
    pub(super) async fn seek(&mut self) -> Result<Option<Ended>, Stop> {
        let ways = self.engine.ways(self.ops, self.key, &self.object);
        let collection = self.engine.collection_of(self.ops, self.key, &self.object);
        let Some(collection) = collection.filter(|_| !ways.is_empty()) else { return Ok(None) };
        // A connection that becomes usable wakes who waits for it.
        let mut edges = self.engine.compute(self.ops, self.key, &self.object, &Secrets::new()).1.edges;
        edges.extend(ways.iter().cloned().map(Target::Resource));
        self.engine.edges.set(self.key, edges);
        let known = ways.iter().filter_map(|way| self.engine.links.get(way));
        if let Some(longest) = known.map(|known| self.window(&known.link)).max() {
            self.wait_for_late(longest)?;
        }
        let id = mark::derived_id(&self.engine.owner, self.key);
        let segment = Segment::new(&id).map_err(|e| blocked(e.to_string()))?;
        let place = Place::in_collection(collection.child(&segment));
        let is_marked = self.ops.identity() == Identity::Mark;
        let (mut asked, mut silent, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for way in ways {
            // What nothing was ever made through has nothing.
            if self.engine.was_never_used(&way) {
                continue;
            }
            let Some(known) = self.engine.links.get(&way) else {
                silent.push((None, blocked(format!("whether an object was made cannot be asked: {way} is not ready"))));
                continue;
            };
            let account = known.link.account();
            if asked.contains(&account) {
                continue;
            }
            let there = if is_marked {
                self.has_marked_at(&way, &known, &collection).await
            } else {
                self.has_own(&way, &known, &place).await
            };
            match there {
                Ok(there) => {
                    // Who has it recorded was told by a user to have it.
                    if there && self.recorder_of(&id, &account, &place.path).is_none() {
                        found.push((way, known));
                    }
                    asked.push(account);
                }
                Err(stop) => silent.push((Some(account), stop)),
            }
        }
        // Of two ways to one account one is enough.
        silent.retain(|(account, _): &(Option<String>, Stop)| account.as_ref().is_none_or(|one| !asked.contains(one)));
        if let Some((_, stop)) = silent.into_iter().next() {
            return Err(stop);
        }
        match found.as_slice() {
            [] => self.believe_absence()?,
            [(way, known)] => {
                self.check_usable(way, known)?;
                if is_marked {
                    self.remove_marked(known, &collection, &collection).await?;
                } else {
                    self.delete_object(&known.link, &place).await.map_err(hint)?;
                }
            }
            several => {
                let ways: Vec<String> = several.iter().map(|(way, _)| way.to_string()).collect();
                let what = if is_marked { "with the mark of this resource" } else { id.as_str() };
                let message = format!(
                    "each of the objects {what} that are reached through {} could be the one that was created; delete the right one at the API",
                    ways.join(", ")
                );
                return Err(blocked(message));
            }
        }
        Ok(Some(Ended::Deleted))
    }

    /// Before a create, where an earlier one may have been sent through a connection that the spec does not name any more: what came of
    /// that is recorded, or nobody would know of it (law 1).
    ///
    /// # Errors
    /// [`Stop`] where there is such an object.
    pub(super) async fn check_elsewhere(&mut self, resolved: &Resolved) -> Result<(), Stop> {
        let Some((there, place)) = self.find_elsewhere(resolved).await else { return Ok(()) };
        let id = place.path.last().unwrap_or_default();
        self.record(&there, &id, &place.path, false);
        self.persist(there.link(), &place.path).await?;
        Err(left_behind(&there.connection_name()))
    }

    /// What carries the mark of this very resource, of which nothing is recorded, and is to be had through another connection than the one
    /// that the spec names. Asked is the one through which this process sent its create; of what an earlier one sent nobody knows that, and all
    /// that the namespace may use are asked which answer now: one that never does is in nobody's way.
    pub(super) async fn find_elsewhere(&mut self, resolved: &Resolved) -> Option<(Resolved, Place)> {
        let may_be_open = self.engine.remember(self.object.uid(), |memory| memory.unsettled.is_some());
        let is_recorded = self.status.recorded(&self.engine.owner, self.object.uid()).is_some();
        if resolved.identity != Identity::Mark || is_recorded || !may_be_open {
            return None;
        }
        let sent_through = self.engine.remember(self.object.uid(), |memory| memory.sent_through.clone());
        let ways = sent_through.map_or_else(|| self.engine.permitted(self.ops, self.key), |way| vec![way]);
        for way in ways {
            let Some(known) = self.engine.links.get(&way) else { continue };
            let is_same =
                known.fingerprint == resolved.known.fingerprint && known.link.account() == resolved.link().account();
            if is_same || Self::check_trusted(&way, &known).is_err() {
                continue;
            }
            let there = Resolved { connection: way, known, ..resolved.clone() };
            let link = there.link().clone();
            let shown = items(self.ops, &link, &there.listing, None, &mut self.requests).await.unwrap_or_default();
            let own = shown.iter().find(|item| mark::uid(item, &self.engine.owner) == Some(self.object.uid()));
            if let Some(place) = own.and_then(|item| there.place(self.ops.id(item)?).ok()) {
                return Some((there, place));
            }
        }
        None
    }

    /// Before `lifecycle.id` binds this resource to an object: an earlier create under its derived id may have made another one, and its
    /// record was lost. That one is its own (law 2a), and is recorded: so the binding is refused as it would have been without the crash,
    /// and nothing is left behind that nobody knows of (law 1).
    ///
    /// # Errors
    /// [`Stop`] while such a create may still take effect, and where the API does not answer.
    pub(super) async fn find_derived(&mut self, resolved: &Resolved) -> Result<(), Stop> {
        let bound = resolved.common.lifecycle.id.as_str();
        let is_recorded = self.status.recorded(&self.engine.owner, self.object.uid()).is_some();
        if bound.is_empty() || is_recorded || !self.was_held || resolved.identity != Identity::Derived {
            return Ok(());
        }
        let Some(id) = resolved.id.as_deref().filter(|id| *id != bound) else { return Ok(()) };
        let unsettled = self.unsettled_until(resolved);
        let made = self.engine.remember(self.object.uid(), |memory| memory.made);
        let Some(until) = unsettled.max(made.map(|made| made + self.engine.settings.consistency)) else {
            return Ok(());
        };
        let place = resolved.place(id).map_err(|e| Stop::hopeless(Reason::InvalidSpec, format!("the id: {e}")))?;
        let link = resolved.link().clone();
        let Read::Found(_) = self.read(&link, &place).await? else {
            if until > Instant::now() {
                return Err(self.still_waiting(until));
            }
            // Nothing was made, and nothing can come any more.
            self.engine.remember(self.object.uid(), |memory| (memory.unsettled, memory.made) = (None, None));
            return Ok(());
        };
        if self.recorder_of(id, &link.account(), &place.path).is_none() {
            self.record(resolved, id, &place.path, false);
            self.persist(&link, &place.path).await?;
        }
        Ok(())
    }

    /// What an open create can have made under another id, which the user chose, is this resource's own: it is settled first, or nobody
    /// would know of it any more (law 1). Where several could be meant, a person decides by the binding.
    ///
    /// # Errors
    /// [`Stop`] while it is too early to know, and where it has made another one.
    pub(super) async fn settle_before(&mut self, resolved: &Resolved, bound: &str) -> Result<(), Stop> {
        let open =
            self.status.intent(&self.engine.owner, self.object.uid()).and_then(|intent| intent.object.as_deref());
        let is_other = |open: &str| resolved.place(bound).is_ok_and(|place| place.path.as_str() != open);
        if resolved.writes && open.is_some_and(is_other) && self.settle(resolved).await?.is_some() {
            return Err(self.has_another(bound));
        }
        Ok(())
    }

    /// Where `lifecycle.id` names what is not there: whether an earlier create of this resource, whose record was lost, has made an object
    /// that carries its mark. That is recorded, or nobody would know of it (law 1).
    ///
    /// # Errors
    /// [`Stop`] while such a create may still take effect, and where the API does not answer.
    pub(super) async fn has_marked(&mut self, resolved: &Resolved) -> Result<bool, Stop> {
        if !resolved.writes || resolved.identity != Identity::Mark || !self.was_held {
            return Ok(false);
        }
        let Some(until) = self.unsettled_until(resolved) else { return Ok(false) };
        if until > Instant::now() {
            return Err(self.still_waiting(until));
        }
        self.find_marked(resolved).await
    }

    /// The spec binds the resource to another object than the one that it has.
    pub(super) fn has_another(&self, bound: &str) -> Stop {
        let message = format!(
            "the resource already has the object {}; lifecycle.id cannot bind it to {bound}: leave lifecycle.id out, or delete this resource and make it again with it",
            self.status.id.as_deref().unwrap_or_default()
        );
        Stop::hopeless(Reason::ImmutableFieldChanged, message)
    }

    /// Whether the API shows an object here, asked through a connection whose answers can be believed.
    async fn has_own(&mut self, way: &Key, known: &Known, place: &Place) -> Result<bool, Stop> {
        Self::check_trusted(way, known)?;
        let read = self.read(&known.link, place).await.map_err(hint)?;
        Ok(matches!(read, Read::Found(_)))
    }

    /// The same of an object that carries this resource's mark, in a complete listing.
    async fn has_marked_at(&mut self, way: &Key, known: &Known, collection: &Path) -> Result<bool, Stop> {
        Self::check_trusted(way, known)?;
        let shown = items(self.ops, &known.link, collection, None, &mut self.requests).await;
        let shown = shown.map_err(|error| hint(Self::stop(&known.link, error)))?;
        Ok(shown.iter().any(|item| mark::read(item, &self.engine.owner, self.key) == Mark::Ours))
    }

    /// Waits until nothing that was sent for this resource, by an earlier process too, can take effect unseen any more.
    ///
    /// # Errors
    /// [`Stop`] until then.
    pub(super) fn wait_for_late(&self, window: Duration) -> Result<(), Stop> {
        let unsettled = self.engine.remember(self.object.uid(), |memory| {
            if !memory.held {
                // An earlier process put the finalizer there, and may have sent a create just before it ended.
                memory.held = true;
                memory.unsettled = Some(Instant::now() + window);
            }
            memory.unsettled
        });
        match unsettled.filter(|until| *until > Instant::now()) {
            None => Ok(()),
            Some(until) => {
                let message = "an earlier create may still take effect; looking for its result after the wait";
                Err(Stop::wait_until(Reason::Deleting, message, until))
            }
        }
    }
}

impl Engine {
    /// The connections through which a create may have been sent for a resource of which nothing says the connection any more: all that
    /// its namespace may use. One that is named and not there says nothing: when the create was sent another one may have been named.
    pub(super) fn ways(&self, ops: &'static dyn Ops, key: &Key, object: &Raw) -> Vec<Key> {
        let is_there = |named: Key| self.cache.get(&named).is_some();
        if !ops.identity_of(object).is_found_again() || self.connection_of(ops, key, object).is_some_and(is_there) {
            return Vec::new();
        }
        if self.collection_of(ops, key, object).is_none() {
            return Vec::new();
        }
        self.permitted(ops, key)
    }

    /// The connections that the namespace of a resource may use.
    fn permitted(&self, ops: &'static dyn Ops, key: &Key) -> Vec<Key> {
        let all = self.cache.of_kind(ops.connection()).into_iter();
        let permitted = all.filter(|(way, connection)| {
            let common = connection.spec::<ConnectionCommon>().unwrap_or_default();
            common.allowed_namespaces.permits(&way.namespace, &key.namespace)
        });
        permitted.map(|(way, _)| way).collect()
    }

    /// Where an object was made, whatever has become of its parent.
    fn collection_of(&self, ops: &'static dyn Ops, key: &Key, object: &Raw) -> Option<Path> {
        let by_spec = || {
            let secrets = Secrets::new();
            let cx = Cx::new(&key.namespace, &self.owner, &self.cache, &secrets).ending(true);
            Some(ops.endpoint(object, &cx).ok()?.into_paths().0)
        };
        ops.collection().or_else(by_spec)
    }
}

impl ConnectionPass<'_> {
    /// Those with our finalizer and without any record that may have made something through this connection, for all that is known.
    pub(super) fn seekers(&self) -> impl Iterator<Item = (Key, Arc<Raw>)> {
        let may_have_made = move |key: &Key, object: &Raw| {
            let Some(AnyKind::Resource(ops)) = self.engine.cache.ops(key.kind) else { return false };
            let (status, uid, owner) = (object.status(), object.uid(), &self.engine.owner);
            let is_recorded = status.recorded(owner, uid).is_some() || status.intent(owner, uid).is_some();
            ops.connection() == self.key.kind && !is_recorded && self.engine.ways(ops, key, object).contains(self.key)
        };
        let all = self.engine.cache.all().into_iter();
        all.filter(move |(key, object)| object.is_held() && may_have_made(key, object))
    }
}
