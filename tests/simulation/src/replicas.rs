//! The replicas of the operator: started, stopped in order, and killed.
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use portico::{
    engine::{Ended, Operator, own::SeededEntropy},
    kinds,
};
use tokio::{sync::oneshot, task::AbortHandle, time::sleep};

use crate::{
    network::Network,
    plan::Millis,
    world::{OPERATOR, World, lock},
};

/// A replica that lost its lease, or fell over by itself, is started again after so many milliseconds.
const RESTART: Millis = 1_000;
/// Between the least and the most milliseconds that a replica is down after a crash that a fault brought about.
const DOWN: std::ops::Range<Millis> = 200..8_000;

/// All replicas of a world.
pub(crate) struct Replicas(Vec<Slot>);

/// One replica through all its lives.
#[derive(Default)]
struct Slot {
    /// The present life, or the last one; none before the first.
    life: Option<u32>,
    running: Option<Running>,
}

struct Running {
    task: AbortHandle,
    stop: Option<oneshot::Sender<()>>,
    /// How long it stays away after it has ended.
    down: Millis,
}

impl Replicas {
    pub(crate) fn new(count: u8) -> Self {
        Self((0..count).map(|_| Slot::default()).collect())
    }

    pub(crate) fn running(&self) -> Vec<u8> {
        let numbered = (0..).zip(&self.0);
        numbered.filter(|(_, slot)| slot.running.is_some()).map(|(number, _)| number).collect()
    }

    fn slot(&mut self, replica: u8) -> Option<&mut Slot> {
        self.0.get_mut(usize::from(replica))
    }

    /// Takes a replica that runs out of those that do.
    fn take(&mut self, replica: u8, life: Option<u32>) -> Option<Running> {
        let slot = self.slot(replica)?;
        if life.is_some() && slot.life != life { None } else { slot.running.take() }
    }
}

/// Which replica, and which of its lives, has this name in the API server's record.
pub(crate) fn of_actor(actor: &str) -> Option<(u8, u32)> {
    let (replica, life) = actor.strip_prefix(OPERATOR)?.split_once('.')?;
    Some((replica.parse().ok()?, life.parse().ok()?))
}

/// Whether this life of a replica has not ended. What is left of one that has is not heard any more.
pub(crate) fn is_alive(world: &World, replica: u8, life: u32) -> bool {
    let mut replicas = lock(&world.replicas);
    replicas.slot(replica).is_some_and(|slot| slot.life == Some(life) && slot.running.is_some())
}

/// Starts a replica that is not running.
pub(crate) fn start(world: &Arc<World>, replica: u8) {
    let mut replicas = lock(&world.replicas);
    let Some(slot) = replicas.slot(replica).filter(|slot| slot.running.is_none()) else { return };
    let life = slot.life.map_or(0, |life| life + 1);
    slot.life = Some(life);
    let (stop, stopped) = oneshot::channel();
    // The first poll of the task comes after this: it finds itself alive.
    let task = tokio::spawn(live(world.clone(), replica, life, stopped)).abort_handle();
    slot.running = Some(Running { task, stop: Some(stop), down: RESTART });
    drop(replicas);
    world.trace.note(world.now(), format_args!("r{replica}.{life} starts"));
}

async fn live(world: Arc<World>, replica: u8, life: u32, stopped: oneshot::Receiver<()>) {
    let operator = operator(&world, replica, life);
    let shutdown = async move {
        // Without anybody who could stop it, it goes on.
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let ended = AssertUnwindSafe(operator.run(shutdown)).catch_unwind().await;
    let how = match ended {
        Ok(Ended::Shutdown) => "stopped",
        Ok(Ended::LeaseLost) => "lost its lease",
        // The panic itself is noted where it happens.
        Err(_) => "panicked",
    };
    world.trace.note(world.now(), format_args!("r{replica}.{life} {how}"));
    let running = lock(&world.replicas).take(replica, Some(life));
    start_later(&world, replica, running.map_or(RESTART, |running| running.down));
}

fn operator(world: &Arc<World>, replica: u8, life: u32) -> Operator {
    let client = world.kubernetes.client(&format!("{OPERATOR}{replica}.{life}"));
    let http = Arc::new(Network::new(world.clone(), replica, life));
    // Every life draws other secrets and waits otherwise.
    let mut random = fastrand::Rng::with_seed(world.plan.seed ^ (u64::from(replica) << 56) ^ (u64::from(life) << 40));
    let (seed, entropy) = (random.u64(..), random.u64(..));
    Operator::new(client, http, world.clock(), seed, world.settings.clone(), kinds::all())
        .with_entropy(Arc::new(SeededEntropy::new(entropy)))
}

/// Kills a replica that runs, and starts another one later.
pub(crate) fn crash(world: &Arc<World>, replica: u8, down: Millis) {
    crash_life(world, replica, None, down);
}

/// The same where a request of this life of it brought it about.
pub(crate) fn crash_somehow(world: &Arc<World>, replica: u8, life: u32) {
    let down = world.faults.draw(|random| random.u64(DOWN));
    crash_life(world, replica, Some(life), down);
}

fn crash_life(world: &Arc<World>, replica: u8, life: Option<u32>, down: Millis) {
    let Some(running) = lock(&world.replicas).take(replica, life) else { return };
    running.task.abort();
    world.trace.note(world.now(), format_args!("r{replica} crashes"));
    start_later(world, replica, down);
}

/// Stops a replica in order, and starts another one later.
pub(crate) fn stop(world: &Arc<World>, replica: u8, down: Millis) {
    let mut replicas = lock(&world.replicas);
    let Some(running) = replicas.slot(replica).and_then(|slot| slot.running.as_mut()) else { return };
    running.down = down;
    let stop = running.stop.take();
    drop(replicas);
    world.trace.note(world.now(), format_args!("r{replica} is asked to stop"));
    if let Some(stop) = stop {
        // It may have ended by itself.
        let _ = stop.send(());
    }
}

fn start_later(world: &Arc<World>, replica: u8, down: Millis) {
    let world = world.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(down)).await;
        start(&world, replica);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_known_by_its_name() {
        assert_eq!(of_actor("portico-1.3"), Some((1, 3)));
        assert_eq!(of_actor("user"), None);
        assert_eq!(of_actor("portico-x"), None);
    }

    #[test]
    fn who_does_not_run_is_not_taken() {
        let mut replicas = Replicas::new(2);
        assert!(replicas.running().is_empty());
        assert!(replicas.take(0, None).is_none() && replicas.take(9, None).is_none());
    }
}
