//! A world while it runs: what actions act upon, and what the laws look at.
//!
//! How the core calls the other modules:
//!
//! ```text
//! draw::draw(seed, only) -> Plan
//! act::act(&world, &action).await          at the action's time; it should take no virtual time itself
//!
//! Laws::new(&plan) -> Laws                 all methods take &self: Laws is Send + Sync and keeps its notes behind locks of its own
//! laws.begin(&world)                       `before` has been applied, no replica has started
//! laws.remote_request(&world, &request)    the operator sends this: nothing has happened yet, and a fault may still hit it
//! laws.remote_arrives(&world, &request)    it is about to take effect: `world.sandbox.state()` is as it was right before
//! laws.remote_answer(&world, &request, &answer)    it has just taken effect, and nothing else happened since; the answer may still be lost.
//!                                          Of what a fault swallows or answers itself, neither of the two is called
//! laws.kubernetes_request(&world, &call)   the operator sends this to the API server, which it may never reach
//! laws.kubernetes_answer(&world, &call, status)    it has just been carried out and answered like this; what it changed is in
//!                                          `world.kubernetes`. Not called where a fault swallows it or answers itself
//! laws.acted(&world, &action)              after each action
//! laws.tick(&world)                        once a virtual second, from the beginning to the end
//! laws.finish(&world)                      the last look: the world has been at rest for REST, all replicas running; or it did not come to
//!                                          rest within BOUND, which is a violation of its own (`rest`) and makes no other law void
//! laws.counts() -> BTreeMap<&'static str, u64>     how often each law was put to the test
//! ```
//!
//! Laws report through [`World::violate`]. The hooks are called from within the operator's requests: they must not wait, and not send.
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Method;
use k8s_openapi::jiff::Timestamp;
use portico::engine::{Clock, Settings};
use portico_sandbox::Sandbox;
use portico_testbed::simulated::{Seam, Simulated};
use serde_json::Value;
use tokio::{sync::Notify, time::Instant};

use crate::{
    account::Accounts,
    coverage::Coverage,
    crds,
    faults::Faults,
    laws::Laws,
    plan::{Millis, Plan},
    replicas::Replicas,
    seen::{Api, Violation},
    trace::Trace,
};

/// When every world begins: what is written down has this date.
pub const START: &str = "2026-01-01T00:00:00Z";
/// The namespace of resources that name none.
pub const NAMESPACE: &str = "world";
/// Portico's own namespace.
pub const SYSTEM: &str = "portico-system";
/// The organization of Konnect that the account `konnect` belongs to.
pub const ORGANIZATION: &str = "acme";
/// The tenant of ACP that the account `acp` belongs to.
pub const TENANT: &str = "acme";
/// The `url` of AcpConnections. KonnectConnections have `region: eu`.
pub const ACP_URL: &str = "https://acp.example.com";
/// What begins the name under which a replica's requests to the API server are recorded: `portico-0.2` is the third life of replica 0.
pub const OPERATOR: &str = "portico-";
/// `settings().consistency` in milliseconds.
pub const CONSISTENCY: Millis = 10_000;
/// The `requestTimeout` that connections of worlds should have: law 1 waits for it and [`CONSISTENCY`], so an `Effect::Late` of a create that
/// is to be seen in time stays below the sum of both.
pub const REQUEST_TIMEOUT: Millis = 5_000;
/// The `resyncInterval` that connections of worlds should have.
pub const RESYNC: Millis = 60_000;
/// A world is at rest when nothing was written for so long: longer than every window of the operator, the five minutes for a custom domain
/// included.
pub const REST: Millis = 400_000;
/// So long after `quiet_from` a world must have come to rest.
pub const BOUND: Millis = 7_200_000;
/// A world with more requests than this never rests.
pub const MOST_REQUESTS: u64 = 30_000;

/// More violations than this say nothing new.
const MOST_VIOLATIONS: usize = 100;

/// A world while it runs.
pub struct World {
    /// What was drawn to happen in it.
    pub plan: Plan,
    /// The API server. Its direct helpers (`create`, `put`, `patch`, `delete`, `get`, `list`, `history`) meet no faults and take no time;
    /// users act as `user`, so that the record of writes tells them apart.
    pub kubernetes: Simulated,
    /// Both management APIs. Its own methods meet no faults.
    pub sandbox: Sandbox,
    /// The laws.
    pub laws: Laws,
    /// What happens, line by line.
    pub trace: Trace,
    /// Every window of the replicas.
    pub settings: Settings,
    /// The crashes that were drawn.
    pub coverage: Mutex<Coverage>,
    /// The credentials of the accounts `konnect` and `acp`.
    pub accounts: Accounts,
    pub(crate) faults: Faults,
    pub(crate) replicas: Mutex<Replicas>,
    pub(crate) router: axum::Router,
    pub(crate) halted: Notify,
    me: Weak<World>,
    clock: Arc<VirtualClock>,
    random: Mutex<fastrand::Rng>,
    requests: AtomicU64,
    changed: AtomicU64,
    violations: Mutex<Vec<Violation>>,
    backups: Mutex<BTreeMap<Millis, Vec<Value>>>,
}

/// What time it is in a world.
pub struct VirtualClock {
    start: Timestamp,
    begun: Instant,
}

impl VirtualClock {
    fn new() -> Self {
        Self { start: START.parse().expect("it is a time"), begun: Instant::now() }
    }

    fn elapsed(&self) -> Millis {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.start + self.begun.elapsed()
    }
}

impl World {
    /// An empty world: the CRDs are installed, both accounts exist, and nothing runs. Must be called within its runtime.
    pub(crate) fn new(plan: Plan, trace: Trace) -> Arc<Self> {
        let clock = Arc::new(VirtualClock::new());
        let seam = Seam::on_tokio_time(clock.start, plan.seed);
        let kubernetes = Simulated::new(&seam);
        crds::install_all(&kubernetes);
        let mut random = fastrand::Rng::with_seed(plan.seed ^ 0x5eed);
        let sandbox = crate::account::sandbox(&plan);
        let accounts = Accounts::new(&sandbox, random.fork());
        let faults = Faults::new(&plan, random.fork());
        Arc::new_cyclic(|me| Self {
            settings: crate::settings::settings(&plan),
            laws: Laws::new(&plan),
            router: sandbox.router(),
            kubernetes,
            sandbox,
            trace,
            coverage: Mutex::default(),
            accounts,
            faults,
            replicas: Mutex::new(Replicas::new(plan.replicas)),
            halted: Notify::new(),
            me: me.clone(),
            clock,
            random: Mutex::new(random),
            requests: AtomicU64::new(0),
            changed: AtomicU64::new(0),
            violations: Mutex::default(),
            backups: Mutex::default(),
            plan,
        })
    }

    /// Virtual milliseconds since the world began.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.elapsed()
    }

    /// The time as the replicas and the API server write it down.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.clock.now()
    }

    /// Draws something from this world's seed, for what the plan leaves open.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut lock(&self.random))
    }

    /// A law does not hold. The first violation of each law and text counts; the world goes on.
    pub fn violate(&self, law: &'static str, what: impl Into<String>) {
        let violation = Violation { law, at: self.now(), what: what.into() };
        let mut violations = lock(&self.violations);
        if violations.iter().any(|known| known.law == law && known.what == violation.what)
            || violations.len() > MOST_VIOLATIONS
        {
            return;
        }
        self.trace.note(self.now(), format_args!("VIOLATION {law}: {}", violation.what));
        violations.push(violation);
    }

    /// What did not hold so far.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        lock(&self.violations).clone()
    }

    /// Whether a name in the API server's record ([`Simulated::history`]) is a replica's.
    #[must_use]
    pub fn is_operator(actor: &str) -> bool {
        actor.starts_with(OPERATOR)
    }

    /// How a kind is called where resources are named by plural and group: `Portal` is `portals.konnect.portico.dev`. `Secret`, `Namespace`
    /// and `ConfigMap` are known, too. Empty for a kind that is not in the list.
    #[must_use]
    pub fn resource(kind: &str) -> &'static str {
        crds::resource(kind)
    }

    /// The objects of a kind in all namespaces, as they are now; none while its CRD is not there.
    #[must_use]
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.kubernetes.list(crds::resource(kind), None)
    }

    /// The names of all kinds in the list of kinds whose CRDs are installed at the beginning, connections included.
    #[must_use]
    pub fn kinds() -> &'static [&'static str] {
        crds::kinds()
    }

    /// Installs the CRD of a kind, as an administrator does.
    pub fn install_crd(&self, kind: &str) {
        crds::install(&self.kubernetes, kind);
    }

    /// A manifest with the present credentials in the place of `${konnect.token}`, `${acp.client_id}` and `${acp.client_secret}`, wherever
    /// they stand in a text.
    #[must_use]
    pub fn filled(&self, manifest: &Value) -> Value {
        self.accounts.filled(manifest)
    }

    /// The Secrets among the plan's `before` that hold a credential of this account, with the present one. After [`World::renew`] an action
    /// writes those whose namespace is there.
    #[must_use]
    pub fn credential_secrets(&self, account: &str) -> Vec<Value> {
        self.accounts.secrets(account, &self.plan.before)
    }

    /// The present credential of an account (`konnect` or `acp`) is not taken any more, access tokens included; or is taken again, where it
    /// was revoked.
    pub fn revoke(&self, account: &str) {
        self.accounts.revoke(&self.sandbox, account);
    }

    /// The account has another credential from now on. The one before stays good, unless it was revoked.
    pub fn renew(&self, account: &str) {
        self.accounts.renew(&self.sandbox, account);
    }

    /// What there is at one of the APIs, as the sandbox's state shows it. The other is left out: showing it would take most of the time.
    #[must_use]
    pub(crate) fn state_of(&self, api: Api) -> Value {
        match api {
            Api::Konnect => self.sandbox.organizations(),
            Api::Acp => self.sandbox.tenants(),
        }
    }

    /// A request of a stranger to an API, with a good token of their own, past all faults: status and body of the answer. The path is whole,
    /// as in [`RemoteRequest::path`](crate::seen::RemoteRequest::path), with its query where it has one; a null body is none.
    pub fn by_hand(&self, api: Api, method: Method, path: &str, body: &Value) -> (u16, Value) {
        crate::network::by_hand(self, api, method, path, body)
    }

    /// All custom resources as they were at this moment, for `Action::Restore`; the core takes the backup when the time comes.
    #[must_use]
    pub fn backup(&self, from: Millis) -> Vec<Value> {
        lock(&self.backups).get(&from).cloned().unwrap_or_default()
    }

    /// Lets a replica die now, as if its process had been killed, and starts another after so many milliseconds. Nothing happens where it is
    /// not running.
    pub fn crash(&self, replica: u8, down: Millis) {
        crate::replicas::crash(&self.shared(), replica, down);
    }

    /// Stops a replica in order, and starts another so many milliseconds after it has stopped.
    pub fn stop(&self, replica: u8, down: Millis) {
        crate::replicas::stop(&self.shared(), replica, down);
    }

    /// The replicas that run now.
    #[must_use]
    pub fn running(&self) -> Vec<u8> {
        lock(&self.replicas).running()
    }

    pub(crate) fn shared(&self) -> Arc<Self> {
        self.me.upgrade().expect("a world is only ever made within its Arc")
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(crate) fn keep_backup(&self, from: Millis) {
        let all = crds::kinds().iter().flat_map(|kind| self.all(kind)).collect();
        lock(&self.backups).insert(from, all);
    }

    /// The operator has changed something at an API.
    pub(crate) fn note_change(&self) {
        self.changed.store(self.now(), Ordering::Relaxed);
    }

    /// When the operator last changed something at an API; the beginning where it never has.
    #[must_use]
    pub fn last_change(&self) -> Millis {
        self.changed.load(Ordering::Relaxed)
    }

    /// Counts a request of the operator. There is an end to it: what never rests would never be done.
    pub(crate) fn count_request(&self) -> u64 {
        let count = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if count == MOST_REQUESTS {
            self.violate("rest", format!("the world never rests: it has sent {MOST_REQUESTS} requests"));
            self.halted.notify_one();
        }
        count
    }

    /// How many requests the operator has sent, to both sides.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The moment that is so many milliseconds after the beginning.
    pub(crate) fn at(&self, millis: Millis) -> Instant {
        self.clock.begun + Duration::from_millis(millis)
    }
}

/// A panic elsewhere leaves what is behind a lock still worth reading.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
