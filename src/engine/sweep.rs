//! The sweep: drift is found by listing collections, not by one GET per object.
//!
//! An item of a listing is compared with what the owner's spec wants now, which is pure and needs no memory. A difference only wakes the
//! owner; its pass reads the object and decides. A listing never says "absent", only "not seen".
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
};
use crate::remote::{ApiError, Call, Path, Place, Segment};

struct Owned {
    key: Key,
    ops: &'static dyn Ops,
    object: Arc<Raw>,
    status: Status,
    place: Place,
}

/// Lists every collection in use through a connection and wakes the owners of what differs. Says how many requests it took.
pub async fn sweep(engine: &Engine, connection: &Key, known: &Known) -> u32 {
    let mut requests = 0;
    let mut trouble = None;
    for (collection, owned) in collections(engine, connection) {
        let Some(first) = owned.first() else { continue };
        let answer = if first.place.is_alone() {
            requests += 1;
            let read = known.link.send(Call::new(Method::GET, &collection)).await;
            read.map(|object| object.into_iter().map(|object| first.ops.normalize(object)).collect())
        } else {
            items(first.ops, &known.link, &collection, None, &mut requests).await
        };
        let items = match answer {
            Ok(items) => items,
            Err(ApiError::Absent(_)) => {
                // The parent may be gone; each owner's own look decides.
                wake(engine, &owned);
                continue;
            }
            Err(error) => {
                tracing::info!(%connection, %collection, %error, "a listing failed");
                if let Stop::Halt(halt) = Stop::from_api(error, known.link.gate().is_shut().map(|(shut, _)| shut)) {
                    trouble.get_or_insert(Wait::new(halt.reason, halt.message));
                }
                continue;
            }
        };
        let (ops, alone) = (first.ops, first.place.is_alone());
        let by_id: BTreeMap<&str, &Value> = items.iter().filter_map(|item| Some((ops.id(item)?, item))).collect();
        if owned.iter().any(|one| one.ops.identity() == Identity::Mark) {
            note_duplicates(engine, &collection, &owned, &by_id);
        }
        for one in owned {
            if late_ones(&one, &items) {
                wake(engine, &[one]);
                continue;
            }
            let item =
                if alone { items.first() } else { by_id.get(one.status.id.as_deref().unwrap_or_default()).copied() };
            if is_to_be_looked_at(engine, &one, item).await {
                wake(engine, &[one]);
            }
        }
    }
    let now = Instant::now();
    engine.links.change(connection, |known| {
        known.swept = Some(now);
        if trouble.is_none() {
            known.answered = Some(now);
        }
        known.sweep_trouble = trouble;
    });
    requests
}

/// Objects that carry the mark of a resource and are not its own slipped through; their resource removes them.
fn note_duplicates(engine: &Engine, collection: &Path, owned: &[Owned], by_id: &BTreeMap<&str, &Value>) {
    let owners: BTreeMap<&str, &Owned> = owned.iter().map(|one| (one.object.uid(), one)).collect();
    for (id, item) in by_id {
        let Some(one) = mark::uid(item, &engine.owner).and_then(|uid| owners.get(uid)) else { continue };
        let Ok(segment) = Segment::new(id) else { continue };
        if one.status.id.as_deref() != Some(*id) {
            engine.remember(one.object.uid(), |memory| memory.duplicates.push(collection.child(&segment)));
            engine.queue.push(&one.key, Lane::Sweep, Cause::Look);
        }
    }
}

/// Whether the listing shows what may be the late effect of a create that was given up.
fn late_ones(one: &Owned, items: &[Value]) -> bool {
    let Some(late) = given_up(&one.status, one.object.uid()) else { return false };
    let is_other = |item: &&Value| one.ops.id(item) != one.status.id.as_deref();
    items.iter().filter(is_other).any(|item| could_be_late(late, one.ops.key_field(), item))
}

fn wake(engine: &Engine, owned: &[Owned]) {
    for one in owned {
        engine.queue.push(&one.key, Lane::Sweep, Cause::Look);
    }
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

async fn is_to_be_looked_at(engine: &Engine, owned: &Owned, item: Option<&Value>) -> bool {
    let Some(item) = item else { return true };
    // What still waits for something has its own time to look again.
    let Ok(resolved) = engine.resolve_in_passing(owned.ops, &owned.key, &owned.object).await else { return false };
    let parts = engine.parts(owned.ops, &owned.key, &owned.object, &owned.place.path, &resolved.connection_name());
    let has_parts = parts.is_ok_and(|parts| !parts.is_empty());
    let differences = diff(&resolved.desired, item);
    let leaves = !resolved.writes || resolved.common.lifecycle.drift == Drift::Report;
    let handed_out = is_handed_out(&resolved, &owned.status, owned.object.annotation(annotations::ROTATE));
    let moved = has_moved(owned.ops, &owned.status, item);
    has_parts || moved || !handed_out || is_news(&owned.status, &differences, leaves)
}
