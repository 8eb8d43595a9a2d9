//! Law 9, of what nobody could look at: "a failed periodic read shows on the connection at once, and on the object (`Synced=Unknown`) only
//! after three intervals". The last look comes later than that, whatever the connection waits for, and whether a process has ever heard of the
//! API or not.
use serde_json::Value;

use super::{
    end::End,
    look::{holds, is_paused, label, reason},
};
use crate::world::{REST, RESYNC};

// Three intervals, and one more for the longest wait between two tries.
const _: () = assert!(REST > 4 * RESYNC, "a world is done before a silence is told");

impl End<'_> {
    /// What is Ready, and has a connection that cannot be used, says that its state is not known.
    pub(super) fn check_unseen(&self, resource: &Value, connection: Option<&Value>) {
        // "Paused: `Synced=Unknown`, `observedGeneration` stands still" (DESIGN.md, section 4) is what the connection itself says then. The law
        // speaks of reads that fail, and of one that a person has paused none is tried.
        if connection.is_some_and(is_paused) {
            return;
        }
        let synced = holds(resource, "Synced");
        if synced != "Unknown" {
            let why = connection.map_or("is not there", |connection| reason(connection, "Ready"));
            let what = format!("{} says Synced={synced}, and nobody can look: its connection: {why}", label(resource));
            self.world.violate("law 9: unseen and said to be known", what);
        }
    }
}
