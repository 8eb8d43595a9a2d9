//! A leader that is paused between its check whether it may write and the write, and goes on when another leads: no lease can keep that one
//! write back. Where objects carry a mark, or an id that follows from the resource, there still is one; of others there is one, or both are
//! named.
use std::time::Duration;

use portico_sandbox::{AcpSwitches, Effect};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    program::{Program, end},
    world::{World, condition},
    world_acp::{SHOP, works},
    world_steps::id,
};

/// The windows of the lease.
const LEASE: [&str; 6] = ["--lease-duration", "4s", "--lease-renew", "1s", "--lease-retry", "500ms"];

/// What makes the program stop itself, in debug builds: see `link_stop.rs`.
const STOP_BEFORE: &str = "PORTICO_TEST_STOP_BEFORE";

/// How long a late write is on its way: longer than another replica needs to take over and to make the object.
const LATE: Effect = Effect::Delay { milliseconds: 15_000 };

/// How long two sweeps take at most, and what they wake.
const TWO_SWEEPS: Duration = Duration::from_millis(3000);

/// Something that is made while the leader is paused.
#[derive(Clone, Copy)]
enum Made {
    Portal,
    Team,
    Client,
}

impl Made {
    fn kind(self) -> &'static str {
        match self {
            Self::Portal => "Portal",
            Self::Team => "PortalTeam",
            Self::Client => "OAuthClient",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Portal => "docs",
            Self::Team => "writers",
            Self::Client => "shop",
        }
    }

    /// The create as Portico's metrics name it.
    fn request(self) -> &'static str {
        match self {
            Self::Portal => "POST /v2/portals",
            Self::Team => "POST /v2/portals/{id}/teams",
            Self::Client => "POST /clients",
        }
    }

    /// The create as the contracts name it.
    fn operation(self) -> &'static str {
        match self {
            Self::Portal => "create-portal",
            Self::Team => "create-portal-team",
            Self::Client => "createClient",
        }
    }

    /// All that it needs.
    async fn prepare(self, world: &World) {
        match self {
            Self::Portal => {
                world.connection(json!({})).await;
                world.ready("KonnectConnection", "acme").await;
            }
            Self::Team => {
                world.connection(json!({})).await;
                world.portal("docs", json!({})).await;
                world.synced("Portal", "docs").await;
            }
            Self::Client => {
                world.identity(json!({})).await;
                world.server("login", json!({})).await;
                world.synced("AuthorizationServer", "login").await;
            }
        }
        world.sandbox.reset_exchanges();
    }

    async fn apply(self, world: &World) {
        match self {
            Self::Portal => world.portal("docs", json!({"description": "ours"})).await,
            Self::Team => world.team("writers", "docs", json!({"description": "ours"})).await,
            Self::Client => world.client("shop", "login", json!({})).await,
        }
    }

    /// What holds in the end.
    async fn check(self, world: &World) {
        sleep(TWO_SWEEPS).await;
        match self {
            Self::Portal => assert_eq!(id(&world.synced("Portal", "docs").await), id(&world.only("docs"))),
            Self::Team => is_one_or_names_both(world).await,
            Self::Client => {
                let client = world.synced("OAuthClient", "shop").await;
                assert_eq!(world.only_client()["client_id"], client["status"]["id"]);
                assert!(works(&world.values(SHOP).await, "client_secret").await, "its credentials do not work");
            }
        }
    }
}

/// One team, or `Ambiguous` with the ids of all: never several of which nobody speaks.
async fn is_one_or_names_both(world: &World) {
    let started = Instant::now();
    loop {
        let ids: Vec<String> = world.teams_in("docs").iter().map(id).collect();
        let resource = world.get("PortalTeam", "writers").await.unwrap_or_default();
        let (reason, message) = (condition(&resource, "Ready", "reason"), condition(&resource, "Ready", "message"));
        let is_told = match ids.as_slice() {
            [one] => condition(&resource, "Ready", "status") == "True" && resource["status"]["id"] == one.as_str(),
            several => reason == "Ambiguous" && several.iter().all(|id| message.contains(id.as_str())),
        };
        if is_told {
            return;
        }
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(20), "the API has {ids:?}, and the resource says: {resource:#}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// A world with a leader, `first`, and a standby, `second`.
async fn pair(name: &str, variables: &[(&str, &str)]) -> (World, Program, Program) {
    let world = World::still_acp(name, AcpSwitches::default()).await;
    let first = Program::start(&world, "first", &LEASE, variables);
    world.led_by("the first", |holder| holder.starts_with("first_")).await;
    let mut second = Program::start(&world, "second", &LEASE, &[]);
    second.says("standing by").await;
    (world, first, second)
}

/// Waits until the standby leads, and has made the object by itself.
async fn taken_over(world: &World, made: Made) {
    world.led_by("the second", |holder| holder.starts_with("second_")).await;
    world.synced(made.kind(), made.name()).await;
    assert_eq!(world.calls(made.operation()), 1, "the first wrote before it was to go on");
}

/// The first goes on, and ends: it does not lead any more.
async fn ends(mut first: Program) {
    first.proceed();
    let status = first.ended().await;
    assert!(!status.success(), "it went on as if it led: {status}");
}

/// The leader stops itself after the check and before the write.
async fn paused_before_the_write(name: &str, made: Made) {
    if !cfg!(debug_assertions) {
        println!("a release build does not stop itself");
        return;
    }
    let (world, first, second) = pair(name, &[(STOP_BEFORE, made.request())]).await;
    made.prepare(&world).await;
    made.apply(&world).await;
    taken_over(&world, made).await;
    ends(first).await;
    made.check(&world).await;
    // Whether the write still gets out before the process has ended is a matter of microseconds.
    println!("{name}: the create was sent {} times", world.calls(made.operation()));
    second.kill();
    end(world).await;
}

/// The leader is paused, and its write certainly gets through in the end.
async fn written_late(name: &str, made: Made) {
    let (world, first, second) = pair(name, &[]).await;
    made.prepare(&world).await;
    world.once(made.operation(), LATE);
    made.apply(&world).await;
    world.eventually("the create is on its way", |w| w.sandbox.faults().is_empty()).await;
    first.pause();
    taken_over(&world, made).await;
    world.eventually("the late create arrives", |w| w.calls(made.operation()) == 2).await;
    ends(first).await;
    made.check(&world).await;
    second.kill();
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_is_one_although_its_leader_was_paused_before_the_create() {
    paused_before_the_write("pause-portal", Made::Portal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_one_and_its_credentials_work_although_its_leader_was_paused_before_the_create() {
    paused_before_the_write("pause-client", Made::Client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_is_one_or_ambiguous_where_its_leader_was_paused_before_the_create() {
    paused_before_the_write("pause-team", Made::Team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_is_one_although_the_create_of_a_paused_leader_comes_late() {
    written_late("late-portal", Made::Portal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_one_and_its_credentials_work_although_the_create_of_a_paused_leader_comes_late() {
    written_late("late-client", Made::Client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_is_one_or_ambiguous_where_the_create_of_a_paused_leader_comes_late() {
    written_late("late-team", Made::Team).await;
}
