//! What all passes share.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::{
    cache::{AnyKind, Cache, Change, Kinds},
    edges::Edges,
    events::Events,
    key::{Key, Target},
    kubernetes::Kubernetes,
    links::Links,
    metrics::Metrics,
    queue::{Cause, Lane, Queue},
    raw::Raw,
    settings::Settings,
};
use crate::remote::{HttpFactory, Path};

/// What time it is, for what is written down. Waits run on tokio's clock.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// What is remembered of a resource between passes, by UID. Losing it costs requests, never correctness.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Failures in a row.
    pub failures: u32,
    /// When the first of them was.
    pub failing_since: Option<Instant>,
    /// The generation that failed.
    pub generation: i64,
    /// The open create, and when this process first saw it.
    pub intent: Option<(String, Instant)>,
    /// Objects with this resource's mark that are not its own, as a sweep saw them.
    pub duplicates: Vec<Path>,
    /// Whether this process put the finalizer there: no earlier one can have sent a create.
    pub held: bool,
    /// Until when a create of this process without an answer may still take effect unseen.
    pub unsettled: Option<Instant>,
    /// A look that the API could not answer is still owed.
    pub look: bool,
    /// When to ask next for something that takes its time.
    pub ask: Option<Instant>,
}

/// The engine: everything that lives as long as an operator runs.
pub struct Engine {
    /// The way to the API server.
    pub kube: Kubernetes,
    /// How HTTP services are made.
    pub http: Arc<dyn HttpFactory>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Every window.
    pub settings: Settings,
    /// Who this installation is.
    pub owner: String,
    /// All resources.
    pub cache: Cache,
    /// Who depends on whom.
    pub edges: Edges,
    /// Who is next.
    pub queue: Arc<Queue>,
    /// The connections.
    pub links: Links,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The events.
    pub events: Events,
    memory: Mutex<HashMap<String, Memory>>,
    random: Mutex<fastrand::Rng>,
}

/// What an engine is made of.
pub struct Parts {
    /// The way to the API server.
    pub kube: Kubernetes,
    /// How HTTP services are made.
    pub http: Arc<dyn HttpFactory>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub seed: u64,
    /// Every window.
    pub settings: Settings,
    /// Who this installation is.
    pub owner: String,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The events.
    pub events: Events,
}

impl Engine {
    /// An engine with nothing in it.
    #[must_use]
    pub fn new(parts: Parts, kinds: &Kinds) -> Self {
        Self {
            kube: parts.kube,
            http: parts.http,
            clock: parts.clock,
            settings: parts.settings,
            owner: parts.owner,
            cache: Cache::new(kinds),
            edges: Edges::default(),
            queue: Arc::default(),
            links: Links::default(),
            metrics: parts.metrics,
            events: parts.events,
            memory: Mutex::default(),
            random: Mutex::new(fastrand::Rng::with_seed(parts.seed)),
        }
    }

    /// Reads and changes what is remembered of a UID.
    pub fn remember<T>(&self, uid: &str, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(self.memory.lock().unwrap_or_else(PoisonError::into_inner).entry(uid.to_owned()).or_default())
    }

    /// Forgets a UID.
    pub fn forget(&self, uid: &str) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// Wakes everyone who depends on something. What is in order is not looked at for a change of a resource: nothing of its own changed.
    pub fn wake_dependents(&self, target: &Target) {
        let cause = if matches!(target, Target::Resource(_)) { Cause::Start } else { Cause::Look };
        for key in self.edges.dependents(target) {
            self.queue.push(&key, Lane::Retry, cause);
        }
    }

    /// Wakes everyone who depends on something, except those who wait after a failure of their own.
    pub fn nudge_dependents(&self, target: &Target) {
        for key in self.edges.dependents(target) {
            self.queue.push(&key, Lane::Sweep, Cause::Start);
        }
    }

    /// Takes the answer to a write of our own, and wakes the resource where it shows a user's change.
    pub fn wrote(&self, key: &Key, object: Raw) {
        let lane = if object.is_deleting() { Lane::Deletion } else { Lane::User };
        let before = super::watch::claimants(self, key);
        if self.cache.wrote(key, object) == Change::User {
            self.queue.push(key, lane, Cause::Look);
            self.wake_dependents(&Target::Resource(key.clone()));
            super::watch::wake_claimants(self, key, &before);
        }
    }

    /// Up to a quarter more, so that what failed together does not come back together.
    #[must_use]
    pub fn jitter(&self, wait: Duration) -> Duration {
        let share = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        wait.mul_f64(1.0 + share / 4.0)
    }

    /// 16 hex digits.
    #[must_use]
    pub fn token(&self) -> String {
        format!("{:016x}", self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(..))
    }

    /// The resources of a connection whose id is recorded, with their paths.
    #[must_use]
    pub fn recorded(&self, connection: &Key) -> Vec<(Key, Path)> {
        let name = format!("{}/{}", connection.namespace, connection.name);
        let all = self.cache.all().into_iter();
        let of_kind = all.filter(|(key, _)| matches!(self.cache.ops(key.kind), Some(AnyKind::Resource(ops)) if ops.connection() == connection.kind));
        of_kind
            .filter_map(|(key, object)| {
                let status = object.status();
                let recipe = status.recorded(&self.owner, object.uid()).filter(|r| r.connection == name)?;
                Some((key, Path::parse(&recipe.path).ok()?))
            })
            .collect()
    }
}
