//! What all passes share.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use ring::hmac;
use tokio::{
    sync::{OnceCell, RwLock},
    time::Instant,
};

use super::{
    begun::Beginners,
    cache::{AnyKind, Cache, Change, Kinds},
    claims::Claims,
    edges::Edges,
    escrow::Kept,
    events::Events,
    gone::Gone,
    handed_out::HandedOut,
    key::{Key, Target},
    kubernetes::{KubeError, Kubernetes},
    lease::Lease,
    links::Links,
    metrics::Metrics,
    own::Entropy,
    queue::{Cause, Lane, Queue},
    raw::Raw,
    secrets::Stored,
    settings::Settings,
    sweep_cost::Huge,
};
use crate::remote::{HttpFactory, Path, Place};

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

/// For how long nobody could look at the objects of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence {
    /// When they could last be looked at; until they could, when this process first needed the connection.
    pub heard: Option<Instant>,
    /// That is so long ago that their state counts as not known.
    pub out_of_touch: bool,
}

/// What is remembered of a resource between passes, by UID. Losing it costs requests, never correctness.
#[expect(clippy::struct_excessive_bools, reason = "each is remembered for itself")]
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Failures in a row.
    pub failures: u32,
    /// Failures of the API server in a row.
    pub kube_failures: u32,
    /// When the first of them was.
    pub failing_since: Option<Instant>,
    /// The generation that failed.
    pub generation: i64,
    /// The open create, and when this process first saw it.
    pub intent: Option<(String, Instant)>,
    /// The tokens of creates that may be written down as open and that nothing can come of: they were never sent, or refused.
    pub fruitless: Vec<String>,
    /// Of a connection: the fingerprint of the credential that was last seen to be of the account of its objects.
    pub proven: Option<String>,
    /// Of a connection: for how long nobody could look at its objects.
    pub silence: Silence,
    /// Objects with this resource's mark that are not its own, as a sweep saw them.
    pub duplicates: Vec<Path>,
    /// Whether this process put the finalizer there: no earlier one can have sent a create.
    pub held: bool,
    /// Until when a create of this process without an answer may still take effect unseen.
    pub unsettled: Option<Instant>,
    /// The connection through which this process last sent a create.
    pub sent_through: Option<Key>,
    /// Until when an update that was sent may take effect unseen. With it the secret that the object had then.
    pub late_update: Option<Instant>,
    /// By when an update that was answered is shown by every read.
    pub shown_by: Option<Instant>,
    /// When this process first knew that the record says of a create that it could still take effect beside what is recorded.
    pub sighted: Option<Instant>,
    /// When this process made the object, or of a marked one first saw it: for a while reads may not show it.
    pub made: Option<Instant>,
    /// The generation at which its object was gone, or was refused its name, and another one that wants the same had recorded the object of
    /// that name.
    pub displaced: Option<i64>,
    /// Whether an object that this process made, or knew again by its mark, is not recorded yet.
    pub unrecorded: bool,
    /// The event of a transition is still owed: the write of the status failed, and may be stored all the same.
    pub event: bool,
    /// A look that the API could not answer is still owed.
    pub look: bool,
    /// Since when it is.
    pub unseen_since: Option<Instant>,
    /// Since when its deletion waits for what has to go first.
    pub waits_since: Option<Instant>,
    /// When to ask next for something that takes its time.
    pub ask: Option<Instant>,
    /// Of a connection: what is kept for the day on which its credential is gone.
    pub escrow: Kept,
    /// Of a connection: since when Kubernetes refuses to erase that.
    pub erasure_refused: Option<Instant>,
    /// Of a connection: who writes or erases what is kept has it alone; others have it from when they have seen that it is there until
    /// they count as users.
    pub escrow_turn: Arc<RwLock<()>>,
    /// Until when a Secret that this process sent for it, without an answer, may still turn up: kept for a connection, or an output.
    pub late_secret: Option<Instant>,
    /// The generation from which entries are gone whose addition may still take effect, and until when.
    pub entries: Option<(i64, Instant)>,
    /// The name of the Secret that this process has handed out its credentials in last.
    pub output: Option<String>,
    /// Of a connection: the collections that are far larger than what is ours in them.
    pub huge: BTreeMap<Path, Huge>,
}

impl Memory {
    /// A pass has done all that there was to do: what failed until then, and what was owed, is over. What is on its way is not, nor what is
    /// not written down yet: an adoption, say, does not end a create whose answer never came.
    pub(super) fn end_well(&mut self) {
        (self.failures, self.kube_failures, self.failing_since, self.generation) = (0, 0, None, 0);
        (self.intent, self.displaced, self.waits_since) = (None, None, None);
        (self.look, self.unseen_since) = (false, None);
        self.fruitless.clear();
        self.duplicates.clear();
    }
}

/// A Secret that this process writes.
enum OwnSecret {
    /// The write is under way; the versions that a watch told of meanwhile.
    Writing(Vec<String>),
    /// The version that the last write made; empty where it failed.
    Wrote(String),
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
    /// Who speaks for an object right now.
    pub claims: Claims,
    /// Who begins to use a connection right now.
    pub beginners: Beginners,
    /// What was deleted just now, which listings may show still.
    pub gone: Gone,
    /// Which Secrets hand out whose credentials.
    pub handed_out: HandedOut,
    /// The right to write.
    pub lease: Arc<Lease>,
    /// Where the randomness of secrets comes from.
    pub entropy: Arc<dyn Entropy>,
    /// The key of the digests, once it was needed.
    pub(super) digest_key: OnceCell<hmac::Key>,
    /// The Secrets that this process writes, by namespace and name.
    own_secrets: Mutex<HashMap<(String, String), OwnSecret>>,
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
    /// The right to write.
    pub lease: Arc<Lease>,
    /// Where the randomness of secrets comes from.
    pub entropy: Arc<dyn Entropy>,
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
            claims: Claims::default(),
            beginners: Beginners::default(),
            gone: Gone::default(),
            handed_out: HandedOut::default(),
            lease: parts.lease,
            entropy: parts.entropy,
            digest_key: OnceCell::new(),
            own_secrets: Mutex::default(),
            memory: Mutex::default(),
            random: Mutex::new(fastrand::Rng::with_seed(parts.seed)),
        }
    }

    /// Reads and changes what is remembered of a UID.
    pub fn remember<T>(&self, uid: &str, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(self.memory.lock().unwrap_or_else(PoisonError::into_inner).entry(uid.to_owned()).or_default())
    }

    /// Writes a Secret of a resource. What a watch tells of this very write wakes nobody, whether it comes before the answer or after it: the
    /// resource knows, and the answer tells whoever else uses the Secret (law 10).
    ///
    /// # Errors
    /// [`KubeError`] of the write.
    pub async fn write_secret(
        &self,
        key: &Key,
        name: &str,
        write: impl Future<Output = Result<Stored, KubeError>>,
    ) -> Result<Stored, KubeError> {
        let id = (key.namespace.to_string(), name.to_owned());
        let target = Target::Secret(id.0.clone(), id.1.clone());
        self.own_secrets().insert(id.clone(), OwnSecret::Writing(Vec::new()));
        let answer = write.await;
        let version = answer.as_ref().map(|stored| stored.resource_version.clone()).unwrap_or_default();
        let before = self.own_secrets().insert(id, OwnSecret::Wrote(version.clone()));
        if let Some(OwnSecret::Writing(seen)) = before
            && seen.iter().any(|seen| *seen != version)
        {
            self.wake_dependents(&target);
        } else if answer.is_ok() {
            for other in self.edges.dependents(&target).iter().filter(|other| *other != key) {
                self.queue.push(other, Lane::Retry, Cause::Look);
            }
        }
        answer
    }

    /// Whether what a watch tells of a Secret is, or may be, this process' own write; then nobody is to be woken for it now.
    #[must_use]
    pub fn is_own_secret(&self, namespace: &str, name: &str, version: &str) -> bool {
        match self.own_secrets().get_mut(&(namespace.to_owned(), name.to_owned())) {
            Some(OwnSecret::Writing(seen)) => {
                seen.push(version.to_owned());
                true
            }
            Some(OwnSecret::Wrote(own)) => own == version,
            None => false,
        }
    }

    /// Whether this process has written a Secret.
    pub(super) fn has_written(&self, namespace: &str, name: &str) -> bool {
        self.own_secrets().contains_key(&(namespace.to_owned(), name.to_owned()))
    }

    fn own_secrets(&self) -> MutexGuard<'_, HashMap<(String, String), OwnSecret>> {
        self.own_secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a UID.
    pub fn forget(&self, uid: &str) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// Wakes everyone who depends on something. What is in order is not looked at for a change of a resource: nothing of its own changed.
    pub fn wake_dependents(&self, target: &Target) {
        let cause = if matches!(target, Target::Resource(_)) { Cause::Start } else { Cause::Look };
        self.wake_all(target, cause);
    }

    /// Something that others depend on is seen for the first time. It was there before this process was, so whoever is in order and was
    /// sent what it holds is not looked at for it.
    pub fn introduce(&self, target: &Target) {
        self.wake_all(target, Cause::Start);
    }

    fn wake_all(&self, target: &Target, cause: Cause) {
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
        let connection = self.awaits_escrow(key, &object);
        self.queue.answered(key, object.version());
        if self.cache.wrote(key, object) == Change::User {
            self.queue.push(key, lane, Cause::Look);
            self.wake_dependents(&Target::Resource(key.clone()));
            super::watch::wake_claimants(self, key, &before);
        }
        if let Some(connection) = connection {
            self.queue.push(&connection, Lane::Retry, Cause::Look);
        }
    }

    /// Our finalizer went. Where it was the last of a resource that is being deleted, the resource is gone, and the answer shows no newer
    /// version than before: nothing else says so until a watch does.
    pub fn released(&self, key: &Key, object: &Raw) {
        if object.is_deleting() && object.metadata.finalizers.as_ref().is_none_or(Vec::is_empty) {
            self.cache.ends(key, object.uid());
            super::watch::remove(self, key, Some(object.uid()));
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

    /// The resources of a connection whose id is recorded, with their places.
    #[must_use]
    pub fn recorded(&self, connection: &Key) -> Vec<(Key, Place)> {
        let name = format!("{}/{}", connection.namespace, connection.name);
        let all = self.cache.all().into_iter();
        let of_kind = all.filter(|(key, _)| matches!(self.cache.ops(key.kind), Some(AnyKind::Resource(ops)) if ops.connection() == connection.kind));
        of_kind
            .filter_map(|(key, object)| {
                let status = object.status();
                let recipe = status.recorded(&self.owner, object.uid()).filter(|r| r.connection == name)?;
                Some((key, recipe.place().ok()?))
            })
            .collect()
    }
}
