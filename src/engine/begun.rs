//! Who begins to use a connection right now: what a pass makes or takes over is recorded only when it ends, and until then nothing in the
//! cache says that the connection is needed.
use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    core::Engine,
    key::Key,
    queue::{Cause, Lane},
};

/// The passes under way that make or take over something: by the UID of the connection, and whose they are.
#[derive(Default)]
pub struct Beginners(Mutex<BTreeSet<(String, Key)>>);

impl Beginners {
    /// The resources whose passes begin to use the connection of this UID.
    pub(super) fn of(&self, connection: &str) -> Vec<Key> {
        let begun = self.lock();
        begun.iter().filter(|(uid, _)| uid == connection).map(|(_, key)| key.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(String, Key)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a pass begins to use a connection, until it ends in whatever way: by then what it has is recorded.
pub struct Begun<'e> {
    engine: &'e Engine,
    connection: Key,
    entry: (String, Key),
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.engine.beginners.lock().remove(&self.entry);
        // Where nothing came of it, nobody else tells the connection that it may go.
        if self.engine.links.get(&self.connection).is_some_and(|known| known.deleting) {
            self.engine.queue.push(&self.connection, Lane::Deletion, Cause::Look);
        }
    }
}

impl Engine {
    /// Says that a pass over a resource begins to use the connection of this UID.
    pub(super) fn begin(&self, key: &Key, connection: &Key, uid: &str) -> Begun<'_> {
        let entry = (uid.to_owned(), key.clone());
        self.beginners.lock().insert(entry.clone());
        Begun { engine: self, connection: connection.clone(), entry }
    }
}
