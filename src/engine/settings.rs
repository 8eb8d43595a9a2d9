//! Every window of the operator, so that tests can shrink it.
use std::time::Duration;

use super::lease::LeaseTimes;
use crate::remote::AllowList;

/// How an operator is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Portico's own namespace.
    pub namespace: String,
    /// The namespaces to watch; empty: all.
    pub watch_namespaces: Vec<String>,
    /// What tells this installation from others in the marks it leaves; none: the UID of the namespace kube-system.
    pub owner: Option<String>,
    /// The hosts that may be spoken to.
    pub allow: AllowList,
    /// How long after a request's deadline a change may still show up in a listing.
    pub consistency: Duration,
    /// The first wait after a failure; doubles from there.
    pub backoff: Duration,
    /// The longest wait after a failure that can pass by itself.
    pub backoff_max: Duration,
    /// The first wait after a failure that needs a person.
    pub stalled: Duration,
    /// The longest such wait.
    pub stalled_max: Duration,
    /// How long something other than an invalid spec is tried before it counts as stalled.
    pub patience: Duration,
    /// The deadline of a request to the API server.
    pub kube_deadline: Duration,
    /// A minute in the schedule of slow questions, such as whether a domain is verified.
    pub minute: Duration,
    /// The share of a connection's rate limit that reads of sweeps may take; where they take more, sweeps are further apart.
    pub sweep_share: f64,
    /// How many passes run at once.
    pub workers: usize,
    /// How many requests of one connection are under way at once.
    pub concurrency: usize,
    /// How long running passes may take to end at shutdown.
    pub shutdown: Duration,
    /// The windows of leader election; none: this is the only instance.
    pub lease: Option<LeaseTimes>,
    /// What this replica is called in the lease, before some random digits; none: the name of its host.
    pub host: Option<String>,
    /// Whether the last verified credential of a connection is kept in Portico's own namespace, for deletions alone.
    pub escrow: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: "portico-system".to_owned(),
            watch_namespaces: Vec::new(),
            owner: None,
            allow: AllowList::default(),
            consistency: Duration::from_secs(30),
            backoff: Duration::from_secs(10),
            backoff_max: Duration::from_secs(300),
            stalled: Duration::from_secs(300),
            stalled_max: Duration::from_secs(1800),
            patience: Duration::from_secs(60),
            kube_deadline: Duration::from_secs(30),
            minute: Duration::from_secs(60),
            sweep_share: 0.1,
            workers: 16,
            concurrency: 8,
            shutdown: Duration::from_secs(8),
            lease: None,
            host: None,
            escrow: true,
        }
    }
}
