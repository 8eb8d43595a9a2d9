//! For how long nobody could look at a connection's objects, or at one of them. After a while of that their own status says that their state
//! is not known (law 9).
//!
//! It is remembered by the connection's UID, and not with its link: one whose Secret is missing, and was when the process began, has no link,
//! and another credential makes another one.
use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    cache::AnyKind,
    connect::ConnectionPass,
    core::Engine,
    key::{Key, Target},
    pass::Pass,
    queue::{Cause, Lane},
    raw::Raw,
    spec::{ConnectionCommon, RESYNC},
    status::conditions,
};

/// After this many intervals in which nobody could look the state of objects counts as not known.
const SILENT_INTERVALS: u32 = 3;

impl Engine {
    /// The objects of the connection with this UID could be looked at just now.
    pub(super) fn heard(&self, uid: &str) {
        let now = Instant::now();
        self.remember(uid, |memory| memory.silence.heard = Some(now));
    }

    /// Whether the state of a connection's objects counts as not known.
    pub(super) fn is_out_of_touch(&self, connection: &Key) -> bool {
        let object = self.cache.get(connection);
        object.is_some_and(|object| self.remember(object.uid(), |memory| memory.silence.out_of_touch))
    }
}

impl Pass<'_> {
    /// The API could not be asked. What made this pass look is still to be looked at.
    pub(super) fn owe_look(&self) {
        if self.looks {
            self.engine.remember(self.object.uid(), |memory| {
                memory.look = true;
                memory.unseen_since.get_or_insert_with(Instant::now);
            });
        }
    }

    /// Whether a look at this very object has been owed for three intervals, though others of its connection are answered.
    pub(super) fn is_unseen(&self) -> bool {
        let since = self.engine.remember(self.object.uid(), |memory| memory.unseen_since);
        let interval = self.connection().map_or(RESYNC, |known| known.interval(Duration::MAX));
        since.is_some_and(|since| since.elapsed() >= interval.saturating_mul(SILENT_INTERVALS))
    }
}

impl ConnectionPass<'_> {
    /// This process needs the connection: where its objects never come to be looked at, the silence counts from the first pass.
    pub(super) fn note_need(&self) {
        let now = Instant::now();
        self.engine.remember(self.object.uid(), |memory| {
            memory.silence.heard.get_or_insert(now);
        });
    }

    /// Its objects can be looked at. True where their state had come to count as not known.
    pub(super) fn hear(&self) -> bool {
        self.engine.heard(self.object.uid());
        self.end_silence()
    }

    /// The state of its objects does not count as not known any more. True where it had come to.
    pub(super) fn end_silence(&self) -> bool {
        self.engine.remember(self.object.uid(), |memory| std::mem::take(&mut memory.silence.out_of_touch))
    }

    /// After three intervals in which nobody could look the objects' own status says that their state is not known. Where it is too early for
    /// that, says when it is due: what the connection waits for may never happen, and nothing else would bring it back.
    pub(super) fn note_silence(&self) -> Option<Instant> {
        let (now, silent) = (Instant::now(), self.silent_after());
        let (was_told, due) = self.engine.remember(self.object.uid(), |memory| {
            let due = memory.silence.heard.get_or_insert(now).checked_add(silent);
            let was_told = memory.silence.out_of_touch;
            memory.silence.out_of_touch |= due.is_some_and(|due| due <= now);
            (was_told, due)
        });
        if was_told {
            return None;
        }
        if due.is_none_or(|due| due > now) {
            return due;
        }
        // Once in each silence, and each of them writes once.
        for key in self.seen_through() {
            self.engine.queue.push(&key, Lane::Retry, Cause::Look);
        }
        None
    }

    /// How long a silence lasts before it is told.
    fn silent_after(&self) -> Duration {
        let known = self.engine.links.get(self.key).map(|known| known.interval(Duration::MAX));
        let asked = || self.object.spec::<ConnectionCommon>().map_or(RESYNC, |common| common.resync());
        known.unwrap_or_else(asked).saturating_mul(SILENT_INTERVALS)
    }

    /// Those whose status says what was seen through this connection: who has an object, who only looks at one, and who is Ready without.
    fn seen_through(&self) -> BTreeSet<Key> {
        let is_ready =
            |key: &Key| self.engine.cache.get(key).is_some_and(|object| object.status().is_true(conditions::READY));
        let dependents = self.engine.edges.dependents(&Target::Resource(self.key.clone()));
        let name = format!("{}/{}", self.key.namespace, self.key.name);
        let is_known = |(key, object): &(Key, Arc<Raw>)| {
            let Some(AnyKind::Resource(ops)) = self.engine.cache.ops(key.kind) else { return false };
            let status = object.status();
            let recipe = status.known(&self.engine.owner, object.uid());
            ops.connection() == self.key.kind && recipe.is_some_and(|recipe| recipe.connection == name)
        };
        let known = self.engine.cache.all().into_iter().filter(is_known).map(|(key, _)| key);
        dependents.into_iter().filter(is_ready).chain(known).collect()
    }
}
