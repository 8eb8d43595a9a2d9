//! Leader election by a Lease: of several replicas one works, the others wait with warm caches.
//!
//! Nobody compares clocks. A Lease has run out when it was seen to stand still for its duration, by the watcher's own clock; and the
//! holder counts its life from before the renewal was sent, so that it always takes the Lease to end before anybody else does.
use std::{
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease as Record, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{
    core::Clock,
    kubernetes::{FIELD_MANAGER, KubeError, Kubernetes},
    mark::hex,
    own::Entropy,
};

/// The name of the Lease, in Portico's own namespace.
pub const NAME: &str = "portico";

/// The windows of leader election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long a Lease lives that nobody renews.
    pub duration: Duration,
    /// How long after a renewal the next one is sent.
    pub renew: Duration,
    /// How long after a failed try the next one is made, and how often a standby looks.
    pub retry: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { duration: Duration::from_secs(15), renew: Duration::from_secs(5), retry: Duration::from_secs(2) }
    }
}

impl LeaseTimes {
    /// Whether these times let a leader keep its Lease.
    ///
    /// # Errors
    /// What is wrong, for the user.
    pub fn check(self) -> Result<Self, String> {
        if self.duration.is_zero() || self.duration.subsec_nanos() != 0 {
            return Err(format!("a lease lasts whole seconds, and {:?} is not so", self.duration));
        }
        if self.renew.is_zero() || self.retry.is_zero() || self.renew + self.retry * 2 >= self.duration {
            return Err(format!(
                "a lease of {:?} is too short to be renewed after {:?} and tried again twice, {:?} apart",
                self.duration, self.renew, self.retry
            ));
        }
        Ok(self)
    }

    /// A holder that could not renew gives up so long before the Lease ends, because clocks do not all run at the same speed.
    fn margin(self) -> Duration {
        self.retry
    }

    /// What a Lease that is renewed in time always has left.
    fn assured(self) -> Duration {
        self.duration.saturating_sub(self.renew + self.retry)
    }

    /// The deadline of one request: a renewal that hangs leaves time for another.
    fn deadline(self) -> Duration {
        self.duration / 3
    }

    fn seconds(self) -> i32 {
        i32::try_from(self.duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
    }

    /// How long a Lease as it stands lives. It is written in whole seconds; where they are those that we write, ours are meant.
    fn life(self, spec: &LeaseSpec) -> Duration {
        let others = spec.lease_duration_seconds.filter(|seconds| *seconds != self.seconds());
        others.map_or(self.duration, |seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    }
}

/// The right to work. Without an election it is always there.
pub struct Lease(Option<Election>);

struct Election {
    kube: Kubernetes,
    namespace: String,
    identity: String,
    times: LeaseTimes,
    clock: Arc<dyn Clock>,
    random: Mutex<fastrand::Rng>,
    held: Mutex<Option<Held>>,
}

/// The Lease while it is ours.
#[derive(Clone)]
struct Held {
    record: Record,
    until: Instant,
}

/// The Lease as a standby last saw it, and since when it stands still.
#[derive(Default)]
struct Sight(Option<(LeaseSpec, Instant)>);

impl Sight {
    /// When the Lease runs out, unless it moves.
    fn runs_out(&mut self, spec: &LeaseSpec, times: LeaseTimes, now: Instant) -> Instant {
        let since = match &self.0 {
            Some((seen, since)) if seen == spec => *since,
            _ => {
                self.0 = Some((spec.clone(), now));
                now
            }
        };
        since + times.life(spec)
    }
}

impl Lease {
    /// There is one instance, and it always leads.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// A part in the election in `namespace`, under a name that no other replica has; see [`identity`]. `seed` is for jitter.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: &str,
        identity: String,
        times: LeaseTimes,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Self {
        Self(Some(Election {
            kube: Kubernetes::new(client, times.deadline()),
            namespace: namespace.to_owned(),
            identity,
            times,
            clock,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            held: Mutex::default(),
        }))
    }

    /// Returns once we lead.
    pub async fn acquire(&self) {
        if let Some(election) = &self.0 {
            election.acquire().await;
        }
    }

    /// Renews the Lease, and returns once it is lost: somebody else holds it, or it could not be renewed in time.
    pub async fn keep(&self) {
        match &self.0 {
            Some(election) => election.keep().await,
            None => std::future::pending().await,
        }
    }

    /// Whether our lease certainly outlives a request that is sent now and has this deadline.
    ///
    /// A deadline longer than what a healthy lease always has left counts as that: otherwise requests of more than `duration - renew`
    /// could never be sent. Such a request is cut off by the end of the operator, which comes before the end of the lease.
    #[must_use]
    pub fn covers(&self, deadline: Duration) -> bool {
        let Some(election) = &self.0 else { return true };
        let left = election.held().map(|held| held.until.saturating_duration_since(Instant::now()));
        left.is_some_and(|left| !left.is_zero() && left >= deadline.min(election.times.assured()))
    }

    /// Gives the Lease back, so that a standby takes over at once. Nothing may be written any more when this is called.
    pub async fn release(&self) {
        let Some(election) = &self.0 else { return };
        election.lose();
        if let Err(error) = election.release().await {
            tracing::warn!(%error, "the lease could not be given back: a standby waits until it runs out");
        }
    }
}

impl Election {
    async fn acquire(&self) {
        let mut sight = Sight::default();
        let mut told = false;
        loop {
            let pause = self.jitter(self.times.retry);
            let again = match self.attempt(&mut sight).await {
                Ok(None) => {
                    tracing::info!(identity = self.identity, "leading");
                    return;
                }
                Ok(Some(runs_out)) => {
                    if !told {
                        tracing::info!(identity = self.identity, "standing by: another replica leads");
                    }
                    told = true;
                    // One that is given back is seen at the next look, one that stands still is taken at its moment.
                    runs_out.min(Instant::now() + pause)
                }
                Err(error) => {
                    tracing::warn!(namespace = self.namespace, %error, "the lease cannot be read or taken; trying again");
                    Instant::now() + pause
                }
            };
            sleep_until(again).await;
        }
    }

    /// One try to lead: none where we do, else when the Lease runs out.
    async fn attempt(&self, sight: &mut Sight) -> Result<Option<Instant>, KubeError> {
        let tried = match self.kube.in_time(self.api().get_opt(NAME)).await? {
            None => self.create().await,
            Some(record) => {
                let now = Instant::now();
                let runs_out = sight.runs_out(&record.spec.clone().unwrap_or_default(), self.times, now);
                // Our own name stands there where the answer to our write was lost.
                let free = [Some(""), None, Some(&*self.identity)].contains(&holder(&record));
                if !free && now < runs_out {
                    return Ok(Some(runs_out));
                }
                self.write(record).await
            }
        };
        match tried {
            Ok(()) => Ok(None),
            // Another replica was faster.
            Err(KubeError::Conflict) => Ok(Some(Instant::now() + self.times.duration)),
            Err(error) => Err(error),
        }
    }

    async fn keep(&self) {
        let mut wait = self.times.renew;
        while let Some(held) = self.held() {
            let end = held.until - self.times.margin();
            let renewed = timeout_at(end, async move {
                sleep(wait).await;
                self.renew(held.record).await
            });
            wait = match renewed.await {
                Ok(Ok(true)) => self.times.renew,
                Ok(Ok(false)) => {
                    tracing::error!(identity = self.identity, "another replica holds the lease");
                    break;
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the lease is not renewed yet");
                    self.jitter(self.times.retry)
                }
                Err(_) => {
                    tracing::error!(identity = self.identity, "the lease could not be renewed in time");
                    break;
                }
            };
        }
        self.lose();
    }

    /// Renews the Lease; false where it is somebody else's.
    async fn renew(&self, record: Record) -> Result<bool, KubeError> {
        match self.write(record).await {
            Ok(()) => return Ok(true),
            Err(KubeError::Conflict | KubeError::Gone) => {}
            Err(error) => return Err(error),
        }
        // It was deleted, or somebody wrote it: we did, where the answer was lost, or a person, or another replica.
        match self.kube.in_time(self.api().get_opt(NAME)).await? {
            None => self.create().await?,
            Some(record) if holder(&record) == Some(&*self.identity) => self.write(record).await?,
            Some(_) => return Ok(false),
        }
        Ok(true)
    }

    async fn release(&self) -> Result<(), KubeError> {
        let Some(mut record) = self.kube.in_time(self.api().get_opt(NAME)).await? else { return Ok(()) };
        if holder(&record) != Some(&*self.identity) {
            return Ok(());
        }
        let spec = record.spec.take().unwrap_or_default();
        let now = MicroTime(self.clock.now());
        record.spec = Some(LeaseSpec { holder_identity: None, renew_time: Some(now), ..spec });
        self.kube.in_time(self.api().replace(NAME, &params(), &record)).await?;
        Ok(())
    }

    /// Makes the Lease, ours from the beginning.
    async fn create(&self) -> Result<(), KubeError> {
        let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
        let record = Record { metadata, spec: Some(self.ours(None)) };
        let before = Instant::now();
        let record = self.kube.in_time(self.api().create(&params(), &record)).await?;
        self.hold(record, before);
        Ok(())
    }

    /// Makes the Lease ours, or ours for longer, if nobody wrote it in between.
    async fn write(&self, mut record: Record) -> Result<(), KubeError> {
        record.spec = Some(self.ours(record.spec.as_ref()));
        let before = Instant::now();
        let record = self.kube.in_time(self.api().replace(NAME, &params(), &record)).await?;
        self.hold(record, before);
        Ok(())
    }

    /// The Lease with us as its holder from now on.
    fn ours(&self, old: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(self.clock.now());
        let stays = old.is_some_and(|old| old.holder_identity.as_deref() == Some(&*self.identity));
        let old = old.cloned();
        let transitions =
            old.as_ref().map_or(0, |old| old.lease_transitions.unwrap_or(0).saturating_add(i32::from(!stays)));
        let old = old.unwrap_or_default();
        LeaseSpec {
            acquire_time: old.acquire_time.clone().filter(|_| stays).or_else(|| Some(now.clone())),
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(self.times.seconds()),
            lease_transitions: Some(transitions),
            renew_time: Some(now),
            ..old
        }
    }

    fn hold(&self, record: Record, before: Instant) {
        *self.lock() = Some(Held { record, until: before + self.times.duration });
    }

    fn lose(&self) {
        *self.lock() = None;
    }

    fn held(&self) -> Option<Held> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api(&self) -> Api<Record> {
        Api::namespaced(self.kube.client().clone(), &self.namespace)
    }

    /// Up to a quarter more, so that standbys do not all try at once.
    fn jitter(&self, wait: Duration) -> Duration {
        let share = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        wait.mul_f64(1.0 + share / 4.0)
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn holder(record: &Record) -> Option<&str> {
    record.spec.as_ref()?.holder_identity.as_deref()
}

/// A name for a replica: its host's, unless it is told, and a few random digits, so that one that was started again is another.
#[must_use]
pub fn identity(host: Option<&str>, entropy: &dyn Entropy) -> String {
    let found = || {
        let named = std::env::var("HOSTNAME").or_else(|_| fs::read_to_string("/proc/sys/kernel/hostname"));
        named.ok().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
    };
    let host = host.map(str::to_owned).or_else(found);
    let mut digits = [0_u8; 5];
    entropy.fill(&mut digits);
    format!("{}_{}", host.as_deref().unwrap_or("portico"), hex(&digits))
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
