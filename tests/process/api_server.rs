//! The API server goes away and comes back, and forgets the past.
use std::time::Duration;

use kube::api::ListParams;
use portico_sandbox::{Effect, Options};
use portico_testbed::ControlPlane;
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    program::{ALONE, Program, end},
    world::{World, all_kinds, install},
    world_steps::{eventually_ok, id},
};

const NOTHING: [&str; 0] = [];

/// A world on a control plane that nobody else uses. A watchdog stops it when this process ends.
async fn world_of_its_own(name: &str) -> World {
    let start = || -> &'static ControlPlane {
        let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start().expect("it starts")));
        install(plane);
        plane
    };
    let plane = spawn_blocking(start).await.expect("it starts without a panic");
    World::on(plane, name, Options::default()).await
}

/// Ends the API server and starts it again.
async fn restart(world: &World) {
    let plane = world.plane();
    spawn_blocking(move || plane.restart_api_server().expect("it comes back")).await.expect("it is without a panic");
    // The connections of before are broken, and each kind is read in when it is first asked for: whoever asks is refused until then.
    for kind in all_kinds() {
        let ask = async || world.api(kind).list(&ListParams::default().limit(1)).await;
        eventually_ok("the API server answers", ask).await;
    }
}

/// Says something to the etcd behind the API server.
async fn etcd(world: &World, path: &str, body: &Value) -> Value {
    let url = format!("{}{path}", world.plane().etcd());
    let response = reqwest::Client::new().post(url).json(body).send().await.expect("etcd answers");
    let status = response.status();
    let answer = response.bytes().await.expect("the answer is whole");
    assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&answer));
    serde_json::from_slice(&answer).expect("it is JSON")
}

/// Forgets everything but the present.
async fn compact(world: &World) {
    let status = etcd(world, "/v3/maintenance/status", &json!({})).await;
    let revision = status["header"]["revision"].as_str().expect("there is a revision");
    etcd(world, "/v3/kv/compaction", &json!({"revision": revision, "physical": true})).await;
}

/// How often the operator has listed the Portals of Kubernetes.
async fn listings(world: &World) -> usize {
    world.flush_audit().await;
    world.requests().iter().filter(|r| r.verb == "list" && r.resource == "portals").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_when_the_api_server_restarts_is_recorded_and_what_changes_afterwards_arrives() {
    let mut world = world_of_its_own("process-restart").await;
    // An API server that has just started refuses what it has not read the rules for yet.
    world.forbidden_is_expected = true;
    world.connection(json!({"requestTimeout": "10s"})).await;
    for portal in ["docs", "leaving"] {
        world.portal(portal, json!({"description": "first"})).await;
    }
    let mut program = Program::start(&world, "restarted", &[], &[]);
    for portal in ["docs", "leaving"] {
        world.synced("Portal", portal).await;
    }
    world.sandbox.reset_exchanges();
    // Their answers come while there is nobody to tell them to.
    for operation in ["create-portal", "create-portal-team"] {
        world.once(operation, Effect::Delay { milliseconds: 1000 });
    }
    world.portal("slow", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    world.eventually("both creates are under way", |w| w.sandbox.faults().is_empty()).await;
    restart(&world).await;
    sleep(Duration::from_secs(1)).await;
    if program.has_ended() {
        // On a slow machine it has lost its lease, and is started again, as the kubelet would.
        program = Program::start(&world, "again", &[], &[]);
    }
    assert_eq!(id(&world.synced("Portal", "slow").await), id(&world.only("slow")));
    assert_eq!(id(&world.synced("PortalTeam", "writers").await), id(&world.only_team_in("docs")));
    sleep(Duration::from_millis(1500)).await;
    let mut writes = world.remote_writes();
    writes.sort_unstable();
    assert_eq!(writes, ["create-portal", "create-portal-team"], "the restart alone is no reason to write");

    world.sandbox.reset_exchanges();
    world.spec("Portal", "docs", json!({"description": "second"})).await;
    world.delete("Portal", "leaving").await;
    world.portal("fresh", json!({})).await;
    world.gone("Portal", "leaving").await;
    world.synced("Portal", "docs").await;
    world.synced("Portal", "fresh").await;
    assert_eq!(world.only("docs")["description"], "second");
    let mut writes = world.remote_writes();
    writes.sort_unstable();
    assert_eq!(writes, ["create-portal", "delete-portal", "update-portal"]);
    program.kill();
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_whose_past_is_compacted_begins_anew_and_misses_nothing() {
    let world = world_of_its_own("process-compaction").await;
    world.connection(json!({})).await;
    for portal in ["docs", "leaving", "resting"] {
        world.portal(portal, json!({"description": "first"})).await;
    }
    let program = Program::start(&world, "watching", &ALONE, &[]);
    for portal in ["docs", "leaving", "resting"] {
        world.synced("Portal", portal).await;
    }
    compact(&world).await;
    world.spec("Portal", "docs", json!({"description": "second"})).await;
    world.synced("Portal", "docs").await;
    assert_eq!(world.only("docs")["description"], "second");

    // What happens now is never told to it: the watch breaks, and the API server that it finds knows nothing but the present.
    let before = listings(&world).await;
    program.pause();
    world.sandbox.reset_exchanges();
    world.spec("Portal", "docs", json!({"description": "third"})).await;
    world.delete("Portal", "leaving").await;
    world.portal("fresh", json!({})).await;
    world.portal("ghost", json!({})).await;
    world.delete("Portal", "ghost").await;
    world.gone("Portal", "ghost").await;
    compact(&world).await;
    restart(&world).await;
    assert_eq!(world.remote_writes(), NOTHING, "it was not paused");
    program.proceed();
    world.gone("Portal", "leaving").await;
    world.synced("Portal", "docs").await;
    world.synced("Portal", "fresh").await;
    assert_eq!(world.only("docs")["description"], "third");
    assert_eq!((world.named("leaving").len(), world.named("ghost").len(), world.named("resting").len()), (0, 0, 1));
    assert!(listings(&world).await > before, "the watch went on where it was: this test tests nothing");
    // And the new watch tells what happens.
    world.spec("Portal", "resting", json!({"description": "second"})).await;
    world.synced("Portal", "resting").await;
    let mut writes = world.remote_writes();
    writes.sort_unstable();
    assert_eq!(writes, ["create-portal", "delete-portal", "update-portal", "update-portal"]);
    program.kill();
    end(world).await;
}
