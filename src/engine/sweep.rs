//! The sweep: drift is found by listing collections, not by one GET per object.
//!
//! An item of a listing is compared with what the owner's spec wants now, which is pure and needs no memory. A difference only wakes the
//! owner; its pass reads the object and decides. A listing never says "absent", only "not seen".
//!
//! What was read is never kept, and nothing is acknowledged from it: no status, no milestone, no base of a write. So it does not matter
//! when a listing began. One that is older than our last write shows a difference that is none, which costs a GET; one that does not show
//! a stranger's change yet leaves it to the next sweep. What the status says has been observed by a pass, which reads the object itself.
//!
//! Objects that no list shows are read one by one, and so are ours where they are few in a huge collection (`sweep_cost`). Lists that
//! belong to an object are read here as well (`sweep_parts`). Reads have a budget: where they take more than their share of the
//! connection's rate limit, the interval is stretched, and the connection's status says so.
use std::{collections::BTreeMap, sync::Arc};

use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    cache::AnyKind,
    core::Engine,
    diff::diff,
    key::Key,
    kind::{Identity, Ops, Wait},
    late::{could_be_late, given_up},
    links::Known,
    mark,
    milestones::has_moved,
    observe::items,
    output::is_handed_out,
    queue::{Cause, Lane},
    raw::Raw,
    report::is_news,
    spec::{Drift, annotations},
    status::Status,
    stop::Stop,
    sweep_cost::{How, Huge, how, most_pages, needed},
    sweep_parts::Shared,
};
use crate::remote::{ApiError, Call, Path, Place, Segment};

struct Owned {
    key: Key,
    ops: &'static dyn Ops,
    object: Arc<Raw>,
    status: Status,
    place: Place,
}

struct Sweep<'s> {
    engine: &'s Engine,
    connection: &'s Key,
    known: &'s Known,
    requests: u32,
    /// Why not everything was seen.
    trouble: Option<Wait>,
    shared: Shared,
}

/// Looks at every object of a connection and wakes the owners of what differs. Says how many requests it took.
pub async fn sweep(engine: &Engine, connection: &Key, known: &Known) -> u32 {
    let mut sweep = Sweep { engine, connection, known, requests: 0, trouble: None, shared: Shared::default() };
    for (collection, owned) in collections(engine, connection) {
        sweep.look(&collection, &owned).await;
    }
    let Sweep { requests, trouble, .. } = sweep;
    let now = Instant::now();
    let share = f64::from(known.common.rate_limit.requests_per_second) * engine.settings.sweep_share;
    if trouble.is_none() {
        engine.heard(&known.uid);
    }
    engine.links.change(connection, |known| {
        known.swept = Some(now);
        if trouble.is_none() {
            known.answered = Some(now);
            known.pace = known.pace.after(needed(requests, share, known.common.resync()));
        }
        known.sweep_trouble = trouble;
    });
    requests
}

impl Sweep<'_> {
    async fn look(&mut self, collection: &Path, owned: &[Owned]) {
        let Some(first) = owned.first() else { return };
        if first.place.is_alone() {
            return self.one_by_one(owned).await;
        }
        let marked = owned.iter().any(|one| one.ops.identity() == Identity::Mark);
        let late = owned.iter().any(|one| given_up(&one.status, one.object.uid()).is_some());
        let before = self.engine.remember(&self.known.uid, |memory| memory.huge.get(collection).copied());
        let how = how(owned.len(), marked, late, before);
        if let (How::OneByOne, Some(huge)) = (how, before) {
            self.note_size(collection, Some(Huge { since: huge.since + 1, ..huge }));
            return self.one_by_one(owned).await;
        }
        let asked = self.requests;
        let listed = self.list(first.ops, collection, how).await;
        let pages = self.requests - asked;
        match listed {
            Ok(Some(items)) => {
                self.note_size(collection, (pages > most_pages(owned.len())).then_some(Huge { pages, since: 0 }));
                self.compare(collection, owned, marked, &items).await;
            }
            Ok(None) => {
                self.note_size(collection, Some(Huge { pages: pages + 1, since: 0 }));
                self.one_by_one(owned).await;
            }
            // The parent may be gone; each owner's own look decides.
            Err(ApiError::Absent(_)) => {
                for one in owned {
                    self.wake(one);
                }
            }
            Err(error) => self.failed(collection, error),
        }
    }

    /// The items of a listing; none where it was given up because it is huge.
    async fn list(&mut self, ops: &dyn Ops, listing: &Path, how: How) -> Result<Option<Vec<Value>>, ApiError> {
        let link = &self.known.link;
        match how {
            How::UpTo(most) if !ops.has_bare_listing() => {
                let items = link.list_within(listing, None, most, &mut self.requests).await?;
                Ok(items.map(|items| items.into_iter().map(|item| ops.normalize(item)).collect()))
            }
            _ => items(ops, link, listing, None, &mut self.requests).await.map(Some),
        }
    }

    fn note_size(&self, collection: &Path, size: Option<Huge>) {
        self.engine.remember(&self.known.uid, |memory| match size {
            Some(huge) => memory.huge.insert(collection.clone(), huge),
            None => memory.huge.remove(collection),
        });
    }

    async fn compare(&mut self, collection: &Path, owned: &[Owned], marked: bool, items: &[Value]) {
        let Some(ops) = owned.first().map(|one| one.ops) else { return };
        let by_id: BTreeMap<&str, &Value> = items.iter().filter_map(|item| Some((ops.id(item)?, item))).collect();
        if marked {
            self.note_duplicates(collection, owned, &by_id);
        }
        for one in owned {
            if late_ones(one, items) {
                self.wake(one);
            } else {
                let item = by_id.get(one.status.id.as_deref().unwrap_or_default()).copied();
                self.judge(one, item).await;
            }
        }
    }

    async fn one_by_one(&mut self, owned: &[Owned]) {
        for one in owned {
            let path = &one.place.path;
            self.requests += 1;
            match self.known.link.send(Call::new(Method::GET, path)).await {
                Ok(object) => {
                    let item = object.map(|object| one.ops.normalize(object));
                    self.judge(one, item.as_ref()).await;
                }
                Err(ApiError::Absent(_)) => self.wake(one),
                Err(error) => {
                    let is_over = matches!(error, ApiError::Closed { .. });
                    self.failed(path, error);
                    if is_over {
                        return;
                    }
                }
            }
        }
    }

    async fn judge(&mut self, one: &Owned, item: Option<&Value>) {
        match self.is_to_be_looked_at(one, item).await {
            // A refusal of its lists is the object's own trouble, which its pass shows.
            Ok(true) | Err(ApiError::Absent(_) | ApiError::Refused(_)) => self.wake(one),
            Ok(false) => {}
            Err(error) => self.failed(&one.place.path, error),
        }
    }

    async fn is_to_be_looked_at(&mut self, owned: &Owned, item: Option<&Value>) -> Result<bool, ApiError> {
        let Some(item) = item else { return Ok(true) };
        let (engine, status) = (self.engine, &owned.status);
        // What still waits for something has its own time to look again.
        let Ok(resolved) = engine.resolve_in_passing(owned.ops, &owned.key, &owned.object).await else {
            return Ok(false);
        };
        let parts = engine.parts(owned.ops, &owned.key, &owned.object, &owned.place.path, &resolved.connection_name());
        let parts = parts.unwrap_or_default();
        let mut differences = diff(&resolved.desired, item);
        let leaves = !resolved.writes || resolved.common.lifecycle.drift == Drift::Report;
        let handed_out = is_handed_out(&resolved, status, owned.object.annotation(annotations::ROTATE));
        // Where the object itself is to be looked at, the pass reads its lists. Where drift is left, they may be in the status, too.
        let surely = has_moved(owned.ops, status, item)
            || !handed_out
            || ((parts.is_empty() || !leaves) && is_news(status, &differences, leaves));
        if surely || parts.is_empty() {
            return Ok(surely);
        }
        let lists = self.shared.read(&self.known.link, &parts, status, &mut self.requests).await?;
        if lists.have_moved(status, owned.object.generation(), engine.clock.now()) {
            return Ok(true);
        }
        differences.extend(lists.differences);
        Ok(is_news(status, &differences, leaves))
    }

    /// Objects that carry the mark of a resource and are not its own slipped through; their resource removes them.
    fn note_duplicates(&self, collection: &Path, owned: &[Owned], by_id: &BTreeMap<&str, &Value>) {
        let engine = self.engine;
        let owners: BTreeMap<&str, &Owned> = owned.iter().map(|one| (one.object.uid(), one)).collect();
        for (id, item) in by_id {
            let Some(one) = mark::uid(item, &engine.owner).and_then(|uid| owners.get(uid)) else { continue };
            let Ok(segment) = Segment::new(id) else { continue };
            if one.status.id.as_deref() != Some(*id) {
                engine.remember(one.object.uid(), |memory| memory.duplicates.push(collection.child(&segment)));
                self.wake(one);
            }
        }
    }

    fn wake(&self, one: &Owned) {
        self.engine.queue.push(&one.key, Lane::Sweep, Cause::Look);
    }

    fn failed(&mut self, path: &Path, error: ApiError) {
        tracing::info!(connection = %self.connection, %path, %error, "a read of the sweep failed");
        if let Stop::Halt(halt) = Stop::from_api(error, self.known.link.gate().is_shut().map(|(shut, _)| shut)) {
            self.trouble.get_or_insert(Wait::new(halt.reason, halt.message));
        }
    }
}

/// Whether the listing shows what may be the late effect of a create that was given up.
fn late_ones(one: &Owned, items: &[Value]) -> bool {
    let Some(late) = given_up(&one.status, one.object.uid()) else { return false };
    let is_other = |item: &&Value| one.ops.id(item) != one.status.id.as_deref();
    items.iter().filter(is_other).any(|item| could_be_late(late, one.ops.key_field(), item))
}

fn collections(engine: &Engine, connection: &Key) -> BTreeMap<Path, Vec<Owned>> {
    let name = format!("{}/{}", connection.namespace, connection.name);
    let mut map: BTreeMap<Path, Vec<Owned>> = BTreeMap::new();
    for (key, object) in engine.cache.all() {
        let Some(AnyKind::Resource(ops)) = engine.cache.ops(key.kind) else { continue };
        if ops.connection() != connection.kind || object.is_deleting() || object.is_paused() {
            continue;
        }
        let status = object.status();
        let recipe = status.known(&engine.owner, object.uid()).filter(|r| r.connection == name);
        let Some(place) = recipe.and_then(|recipe| recipe.place().ok()) else { continue };
        map.entry(place.listing.clone()).or_default().push(Owned { key, ops, object, status, place });
    }
    map
}
