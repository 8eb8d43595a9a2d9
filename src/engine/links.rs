//! The connections that are known, each with its link and what is known of its state.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    absence,
    core::Engine,
    escrow::Material,
    key::Key,
    kind::Wait,
    reason::Reason,
    spec::{ConnectionCommon, Mode},
    sweep_cost::Pace,
};
use crate::remote::{Link, Path, Place};

/// A connection.
#[derive(Clone)]
pub struct Known {
    /// The UID of the connection: one that is made again under its name has nothing of the one before.
    pub uid: String,
    /// The way to the API.
    pub link: Arc<Link>,
    /// What its spec says.
    pub common: ConnectionCommon,
    /// The generation of the spec that it was built from.
    pub generation: i64,
    /// Changes with the credential and the CA bundle.
    pub fingerprint: String,
    /// Which version of the Secret the credential was read from.
    pub version: String,
    /// What the link was built from.
    pub(super) material: Arc<Material>,
    /// Why the last sweep did not see everything, if it did not.
    pub sweep_trouble: Option<Wait>,
    /// Why resources cannot use it, if they cannot.
    pub trouble: Option<Wait>,
    /// Whether the credential was seen to work.
    pub verified: bool,
    /// Whether it is being deleted: only deletions go through.
    pub deleting: bool,
    /// When the API last answered.
    pub answered: Option<Instant>,
    /// When all collections were last listed.
    pub swept: Option<Instant>,
    /// How far sweeps are apart where they cost more than they may.
    pub pace: Pace,
    /// Recorded paths that a complete listing did not show and a GET denied.
    pub missing: BTreeSet<Path>,
    /// What was recorded when the mass was noticed that creates are held for. Empty where there is none.
    pub among: BTreeSet<Path>,
    /// Missing paths that a person confirmed.
    pub confirmed: BTreeSet<Path>,
}

/// Objects that vanished at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// What a person confirms.
    pub token: String,
    /// How many are gone.
    pub missing: usize,
    /// Of how many.
    pub recorded: usize,
}

/// All connections.
#[derive(Default)]
pub struct Links(Mutex<BTreeMap<Key, Known>>);

impl Links {
    /// A connection, whatever its state.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Known> {
        self.lock().get(key).cloned()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<(Key, Known)> {
        self.lock().iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// A new state of a connection.
    pub fn put(&self, key: &Key, known: Known) {
        self.lock().insert(key.clone(), known);
    }

    /// Changes the state of a connection, if it is known.
    pub fn change(&self, key: &Key, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.lock().get_mut(key) {
            change(known);
        }
    }

    /// Forgets a connection of this UID and its credential.
    pub fn forget(&self, key: &Key, uid: &str) {
        let mut links = self.lock();
        if links.get(key).is_some_and(|known| known.uid == uid) {
            links.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of a connection's spec that stops all writes, and what other namespaces may do through it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Switch {
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    allow_adoption: bool,
}

impl Engine {
    /// Whether a connection lets its resources write. Read from the connection as it is now: it is a switch. Unreadable means no.
    #[must_use]
    pub fn may_write(&self, connection: &Key) -> bool {
        let mode = self.cache.get(connection).and_then(|object| object.spec::<Switch>().ok());
        mode.is_some_and(|switch| switch.mode == Mode::Manage)
    }

    /// Whether a connection lets other namespaces take over existing objects. A leave that is withdrawn ends at once, as the others do.
    pub(super) fn may_adopt(&self, connection: &Key) -> bool {
        let switch = self.cache.get(connection).and_then(|object| object.spec::<Switch>().ok());
        switch.is_some_and(|switch| switch.allow_adoption)
    }
}

impl Known {
    /// How long after a sweep the next one comes. One that did not see everything is made up for sooner: after `soon`, unless reads are
    /// at their limit already.
    #[must_use]
    pub fn interval(&self, soon: Duration) -> Duration {
        let asked = self.common.resync();
        let due = if self.sweep_trouble.is_some() { asked.min(soon) } else { asked };
        self.stretched().unwrap_or(due)
    }

    /// The interval between sweeps where it is longer than the spec asks for.
    #[must_use]
    pub fn stretched(&self) -> Option<Duration> {
        self.pace.interval().filter(|interval| *interval > self.common.resync())
    }

    /// What is missing beyond what was confirmed, if that is a mass. One that was noticed stays one while others are made: they did not
    /// come back, and nobody confirmed it (law 3).
    #[must_use]
    pub fn absence(&mut self, recorded: &[Place]) -> Option<Absence> {
        let missing: Vec<Path> = self.missing.iter().cloned().collect();
        let all = absence::spread(recorded, &missing);
        let open: Vec<&Path> = all.iter().filter(|place| !self.is_confirmed(place)).map(|place| &place.path).collect();
        let of_then = recorded.iter().filter(|place| self.among.contains(&place.path)).count();
        let open_then = open.iter().filter(|path| self.among.contains(**path)).count();
        if !absence::is_mass(open.len(), recorded.len()) && !absence::is_mass(open_then, of_then) {
            self.among.clear();
            return None;
        }
        if self.among.is_empty() {
            self.among = recorded.iter().map(|place| place.path.clone()).collect();
        }
        Some(Absence { token: absence::token(&open), missing: open.len(), recorded: recorded.len() })
    }

    /// Whether a person said that this path is to be made again.
    #[must_use]
    pub fn is_confirmed(&self, place: &Place) -> bool {
        self.confirmed.iter().any(|path| *path == place.path || place.is_below(path))
    }

    /// Why a resource cannot use the connection; one that is being deleted still serves deletions.
    ///
    /// # Errors
    /// [`Wait`] with the reason `ConnectionNotReady`.
    pub fn usable(&self, label: &str, for_deletion: bool) -> Result<(), Wait> {
        if self.deleting && !for_deletion {
            return Err(Wait::new(Reason::ConnectionNotReady, format!("{label} is being deleted")));
        }
        match &self.trouble {
            Some(wait) if !for_deletion || wait.reason == Reason::AccountChanged => {
                Err(Wait::new(Reason::ConnectionNotReady, format!("{label} is not ready: {}", wait.message)))
            }
            _ => Ok(()),
        }
    }
}
