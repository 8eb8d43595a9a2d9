//! The operator's windows in a world: as in production, but shorter, so that a world is done after fewer virtual hours.
use std::time::Duration;

use portico::{
    engine::{LeaseTimes, Settings},
    remote::AllowList,
};

use crate::{
    plan::Plan,
    world::{ACP_URL, CONSISTENCY, SYSTEM},
};

/// The settings of all replicas of a world.
pub(crate) fn settings(plan: &Plan) -> Settings {
    Settings {
        namespace: SYSTEM.to_owned(),
        allow: AllowList::new(&[ACP_URL]).expect("it is an origin"),
        consistency: Duration::from_millis(CONSISTENCY),
        backoff: Duration::from_secs(2),
        backoff_max: Duration::from_secs(30),
        stalled: Duration::from_secs(20),
        stalled_max: Duration::from_secs(60),
        kube_deadline: Duration::from_secs(6),
        minute: Duration::from_secs(5),
        // A world is done before a stretched interval ends.
        sweep_share: 1.0,
        workers: 6,
        concurrency: 4,
        // Not the name of the machine: a trace is the same everywhere.
        host: Some("replica".to_owned()),
        lease: (plan.replicas > 1).then(LeaseTimes::default),
        ..Settings::default()
    }
}
