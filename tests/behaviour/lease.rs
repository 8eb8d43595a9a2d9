//! Leader election: of several replicas one works, and another goes on where it ended.
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use portico::engine::{Ended, LeaseTimes};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    world::{PATIENCE, World},
    world_replicas::Replica,
};

/// As often the leader is killed.
const KILLS: u64 = 20;

fn milliseconds(duration: u64, renew: u64, retry: u64) -> LeaseTimes {
    let [duration, renew, retry] = [duration, renew, retry].map(Duration::from_millis);
    LeaseTimes { duration, renew, retry }
}

/// A world with a leader and a standby.
async fn pair(name: &str, times: LeaseTimes) -> (World, Replica, Replica) {
    let mut world = World::still(name).await;
    world.settings.lease = Some(times);
    let first = world.replica(1);
    world.led(&first).await;
    let second = world.replica(2);
    second.warm().await;
    (world, first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_ready_and_works_once_the_lease_of_a_crashed_leader_has_run_out() {
    let (world, mut first, mut second) = pair("lease-crash", milliseconds(1500, 300, 150)).await;
    world.connection(json!({"requestTimeout": "500ms"})).await;
    world.ready("KonnectConnection", "acme").await;
    first.crash().await;
    // What was under way is over.
    sleep(Duration::from_millis(100)).await;
    let left = world.lease().await;
    world.sandbox.reset_exchanges();
    world.portal("docs", json!({})).await;
    world.led(&second).await;
    world.synced("Portal", "docs").await;
    let taken = world.lease().await;
    let (renewed, acquired) = (left.renew_time.expect("it was renewed").0, taken.acquire_time.expect("it was taken").0);
    let waited = acquired.duration_since(renewed);
    assert!(waited.as_millis() >= 1500, "taken over after {waited:?}, while the leader could still write");
    assert_eq!(taken.lease_transitions, left.lease_transitions.map(|before| before + 1));
    for exchange in world.sandbox.exchanges() {
        let at: Timestamp = exchange.at.parse().expect("RFC 3339");
        assert!(at >= acquired, "a standby asked the API: {exchange:?}");
    }
    assert_eq!(world.named("docs").len(), 1);
    assert_eq!(second.stop().await, Ended::Shutdown);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_stopped_hands_over_at_once() {
    let (world, mut first, mut second) = pair("lease-stop", milliseconds(60_000, 1000, 200)).await;
    let started = Instant::now();
    assert_eq!(first.stop().await, Ended::Shutdown);
    world.led(&second).await;
    assert!(started.elapsed() < Duration::from_secs(20), "it waited for {:?}", started.elapsed());
    assert_eq!(second.stop().await, Ended::Shutdown);
    assert_eq!(world.lease().await.holder_identity, None);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_ends_before_another_leads() {
    let (world, mut first, mut second) = pair("lease-blocked", milliseconds(4000, 500, 1500)).await;
    first.dam.close();
    assert_eq!(first.ended().await, Ended::LeaseLost);
    assert_eq!(world.lease().await.holder_identity.as_deref(), Some(first.identity.as_str()), "two were at work");
    world.led(&second).await;
    assert_eq!(second.stop().await, Ended::Shutdown);
    world.end().await;
}

/// The replicas of a world.
struct Replicas {
    running: Vec<Replica>,
    started: u64,
}

impl Replicas {
    fn start(&mut self, world: &World) {
        self.started += 1;
        self.running.push(world.replica(self.started));
    }

    /// Starts another for each that a slow machine let lose its lease, as the kubelet would.
    fn replace_the_ended(&mut self, world: &World) {
        self.running.retain(|replica| !replica.has_ended());
        while self.running.len() < 2 {
            self.start(world);
        }
    }

    /// Waits until a resource is Ready and Synced.
    async fn synced(&mut self, world: &World, kind: &str, name: &str) {
        let since = Instant::now();
        while !world.is_synced(kind, name).await {
            self.replace_the_ended(world);
            let waited = since.elapsed();
            assert!(waited < PATIENCE, "{kind} {name} is not in order after {waited:?}: {:#?}", world.lease().await);
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// Takes out the one that leads.
    async fn take_leader(&mut self, world: &World) -> Replica {
        let since = Instant::now();
        loop {
            self.replace_the_ended(world);
            let holder = world.lease().await.holder_identity;
            let leads = |replica: &Replica| holder.as_ref() == Some(&replica.identity);
            if let Some(leader) = self.running.iter().position(leads) {
                return self.running.swap_remove(leader);
            }
            assert!(since.elapsed() < PATIENCE, "nobody leads; {holder:?} holds the lease");
            sleep(Duration::from_millis(15)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_at_twenty_random_moments_of_a_busy_apply_leaves_one_object_each() {
    let mut world = World::still("lease-kills").await;
    world.settings.lease = Some(milliseconds(600, 200, 100));
    let mut replicas = Replicas { running: Vec::new(), started: 0 };
    replicas.start(&world);
    replicas.start(&world);
    world.connection(json!({"requestTimeout": "500ms"})).await;
    world.ready("KonnectConnection", "acme").await;
    let portal = |n: u64| format!("portal-{n}");
    let team = |n: u64| format!("team-{n}");
    let mut takeovers = Vec::new();
    for n in 0..KILLS {
        world.portal(&portal(n), json!({"description": "first"})).await;
        world.team(&team(n), &portal(n), json!({"description": "first"})).await;
        if n > 0 {
            world.spec("Portal", &portal(n - 1), json!({"description": "second"})).await;
        }
        sleep(Duration::from_millis(fastrand::u64(..200))).await;
        let mut leader = replicas.take_leader(&world).await;
        leader.crash().await;
        let killed = Instant::now();
        replicas.start(&world);
        world.led_by("another replica", |holder| holder != leader.identity).await;
        takeovers.push(killed.elapsed());
    }
    for n in 0..KILLS {
        replicas.synced(&world, "Portal", &portal(n)).await;
        replicas.synced(&world, "PortalTeam", &team(n)).await;
        let description = if n + 1 < KILLS { "second" } else { "first" };
        assert_eq!(world.only(&portal(n))["description"], description);
        world.only_team_in(&portal(n));
    }
    let total = world.portals().len();
    assert_eq!(total, usize::try_from(KILLS).unwrap());
    takeovers.sort_unstable();
    let report = format!(
        "a lease of 600 ms, the leader killed {KILLS} times: another led after {:?} at least, {:?} in the middle, {:?} at most\n{takeovers:?}\n",
        takeovers[0],
        takeovers[takeovers.len() / 2],
        takeovers[takeovers.len() - 1]
    );
    println!("{report}");
    std::fs::write(format!("{}/takeovers.txt", env!("CARGO_TARGET_TMPDIR")), report).unwrap();
    for mut replica in replicas.running {
        replica.crash().await;
    }
    world.end().await;
}
