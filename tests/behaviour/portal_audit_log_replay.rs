//! Replays of audit logs: each is started once, whatever happens, and told until it ends. At Konnect there is one at a time, and only the
//! last one is shown.
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta, Utc};
use portico_sandbox::{Effect, Options, Switches};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    tripwire::{Side, When},
    world::{World, condition, is_current},
    world_steps::{assert_nothing_sent, id, status},
};

const KIND: &str = "PortalAuditLogReplay";
const PUT: &str = "update-portal-audit-log-replay-job";
const GET: &str = "get-portal-audit-log-replay-job";

/// More requests than this no start of a replay makes.
const MOST_REQUESTS: usize = 8;

/// Replays that take so long.
fn taking(milliseconds: u64) -> Switches {
    Switches { replay_milliseconds: milliseconds, ..Switches::default() }
}

/// A world with the Portal `docs` at a Konnect that does so, and the portal's id. It is looked at this often.
async fn world(name: &str, switches: Switches, resync: &str) -> (World, String) {
    let mut world = World::with(name, Options { switches, ..Options::default() }).await;
    world.start();
    world.connection(json!({"resyncInterval": resync})).await;
    world.portal("docs", json!({})).await;
    let portal = id(&world.synced("Portal", "docs").await);
    world.sandbox.reset_exchanges();
    (world, portal)
}

/// So many hours ago.
fn ago(hours: i64) -> String {
    (Utc::now() - TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Makes a replay of the hours between; does not wait. Returns its times as the API takes them.
async fn replay(world: &World, name: &str, from: i64, to: i64) -> Value {
    let (start, end) = (ago(from), ago(to));
    let spec = json!({"portalRef": {"name": "docs"}, "startAt": start, "endAt": end});
    world.create(KIND, name, spec).await;
    json!({"start_at": start, "end_at": end})
}

/// The times of the replay that the API shows.
fn shown(world: &World) -> Value {
    let job = &world.only("docs")["audit_log_replay_job"];
    json!({"start_at": job["start_at"], "end_at": job["end_at"]})
}

/// How many replays were started since the record was last reset, by whomever.
fn started(world: &World) -> usize {
    let exchanges = world.sandbox.exchanges();
    exchanges.iter().filter(|e| e.operation.as_deref() == Some(PUT) && e.status == 202).count()
}

/// Waits until a condition of a replay is True.
async fn told(world: &World, name: &str, type_: &str) -> Value {
    let is = |o: &Value| is_current(o) && condition(o, type_, "status") == "True";
    world.until(KIND, name, &format!("became {type_}"), is).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_started_once_and_told_until_it_is_complete() {
    let (world, _) = world("replay-once", taking(1500), "1s").await;
    let times = replay(&world, "again", 30, 6).await;
    let runs = |o: &Value| condition(o, "Complete", "status") == "False" && started(&world) == 1;
    let running = world.until(KIND, "again", "was under way", runs).await;
    assert!(running["status"]["finishedAt"].is_null(), "{running:#}");
    let replay = told(&world, "again", "Complete").await;
    assert_eq!((condition(&replay, "Ready", "status"), condition(&replay, "Failed", "status")), ("True", ""));
    assert!(replay["status"]["finishedAt"].is_string(), "{replay:#}");
    assert!(replay["status"]["drift"].is_null(), "{replay:#}");
    assert_eq!((world.bodies(PUT), shown(&world)), (vec![times.clone()], times));
    // What has ended is never asked for again.
    world.assert_silence(Duration::from_millis(2500)).await;
    assert_eq!(world.calls(GET), 0);
    assert!(replay["metadata"]["finalizers"].is_null(), "there is nothing to delete: {replay:#}");
    world.delete(KIND, "again").await;
    world.gone(KIND, "again").await;
    assert_nothing_sent(&world);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_fails_says_so_and_is_not_tried_again() {
    let (world, _) = world("replay-fails", Switches { replay_fails: true, ..taking(300) }, "1s").await;
    replay(&world, "again", 30, 6).await;
    let replay = told(&world, "again", "Failed").await;
    assert_eq!(condition(&replay, "Complete", "status"), "False");
    assert!(condition(&replay, "Failed", "message").contains("another resource"), "{replay:#}");
    assert!(replay["status"]["finishedAt"].is_string(), "{replay:#}");
    assert_eq!(started(&world), 1);
    world.assert_silence(Duration::from_millis(2500)).await;
    assert_eq!(world.calls(GET), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_waits_while_another_one_runs_and_is_started_then() {
    let (world, portal) = world("replay-waits", taking(3000), "1s").await;
    let path = format!("/v2/portals/{portal}/audit-log-replay-job");
    let theirs = json!({"start_at": ago(48), "end_at": ago(40)});
    assert_eq!(world.by_hand(Method::PUT, &path, Some(theirs.clone())).await, 202);
    let ours = replay(&world, "again", 30, 6).await;
    world.unready(KIND, "again", "ReferenceNotReady").await;
    assert!(!world.is_stalled(KIND, "again").await, "waiting for something is not an error");
    assert_eq!(shown(&world), theirs);
    told(&world, "again", "Complete").await;
    assert_eq!((shown(&world), started(&world)), (ours, 2));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_replay_of_a_portal_has_its_turn_and_the_earlier_one_stays_complete() {
    let (world, _) = world("replay-later", taking(300), "1s").await;
    replay(&world, "first", 30, 6).await;
    let first = told(&world, "first", "Complete").await;
    let times = replay(&world, "second", 48, 40).await;
    told(&world, "second", "Complete").await;
    assert_eq!((shown(&world), started(&world)), (times, 2));
    world.assert_silence(Duration::from_millis(2500)).await;
    assert_eq!(world.get(KIND, "first").await.unwrap_or_default()["status"], first["status"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_starts_nothing_again_while_it_runs_or_afterwards() {
    let (mut world, _) = world("replay-restart", taking(2500), "1s").await;
    replay(&world, "again", 30, 6).await;
    world.eventually("it is started", |w| started(w) == 1).await;
    world.stop().await;
    world.start();
    told(&world, "again", "Complete").await;
    assert_eq!(world.calls(PUT), 1);
    world.stop().await;
    world.sandbox.reset_exchanges();
    world.start();
    world.eventually("the operator is back", |w| w.calls("list-portals") >= 2).await;
    assert_eq!((world.calls(PUT), world.calls(GET)), (0, 0));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_which_nobody_knows_the_outcome_starts_one_replay() {
    let (world, _) = world("replay-lost", taking(300), "1s").await;
    // Made and not answered; not made, with and without an answer that says little.
    for (n, effect) in (1..).zip([Effect::LoseResponse, Effect::Reset, status(503)]) {
        let name = format!("replay-{n}");
        world.sandbox.reset_exchanges();
        world.once(PUT, effect.clone());
        let times = replay(&world, &name, 30 + n, 6).await;
        told(&world, &name, "Complete").await;
        assert_eq!((shown(&world), started(&world)), (times, 1), "{effect:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_request_starts_exactly_one_replay() {
    // No sweep gets in between.
    let (mut world, _) = world("replay-crash", taking(300), "1h").await;
    let (mut crashed, mut hours) = (Vec::new(), 30);
    for nth in 0..MOST_REQUESTS {
        let mut found = None;
        for when in [When::Before, When::After] {
            // Each has times of its own.
            hours += 1;
            let Some(request) = crash_at(&mut world, when, nth, hours).await else { break };
            found = Some(request);
        }
        let Some(request) = found else { break };
        crashed.push(request);
    }
    println!("crashed before and after each of {crashed:#?}");
    assert!(crashed.iter().any(|request| request.starts_with("PUT")), "{crashed:?}");
    world.end().await;
}

/// Makes a replay of this many hours, with a crash at the given request; which that was, if there is one.
async fn crash_at(world: &mut World, when: When, nth: usize, hours: i64) -> Option<String> {
    world.quiet().await;
    world.sandbox.reset_exchanges();
    let name = format!("{when:?}-{nth}").to_lowercase();
    world.wire.arm(Side::Remote, when, nth);
    let times = replay(world, &name, 6 + hours, 6).await;
    let tripped = tokio::select! {
        () = world.wire.tripped() => true,
        _ = told(world, &name, "Complete") => false,
    };
    let request = world.wire.seen(Side::Remote).get(nth).cloned();
    world.crash().await;
    world.wire.disarm();
    world.start();
    told(world, &name, "Complete").await;
    assert_eq!((shown(world), started(world)), (times, 1), "{when:?} {nth}: {request:?}");
    if tripped { request } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_konnect_does_not_keep_are_refused_in_its_words() {
    let (world, _) = world("replay-old", taking(300), "1s").await;
    replay(&world, "again", 9 * 24, 6).await;
    let message = world.unready(KIND, "again", "InvalidSpec").await;
    assert!(message.contains("start_at: must be within the last 7 days"), "{message}");
    assert!(world.is_stalled(KIND, "again").await, "{message}");
    assert!(world.only("docs")["audit_log_replay_job"].is_null());
    world.delete(KIND, "again").await;
    world.gone(KIND, "again").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_replay_can_be_changed_and_it_ends_after_it_began() {
    let (world, _) = world("replay-fixed", taking(300), "1s").await;
    let (early, late) = (ago(30), ago(6));
    let (early, late) = (early.as_str(), late.as_str());
    for (from, to, word) in [
        (late, early, "endAt must be after startAt"),
        (early, early, "endAt must be after startAt"),
        ("yesterday", late, "spec.startAt"),
        (early, "2026-02-30T09:00:00Z", "spec.endAt"),
    ] {
        let spec = json!({"portalRef": {"name": "docs"}, "startAt": from, "endAt": to});
        let refused = world.try_create(KIND, "bad", spec).await.expect_err("it is refused");
        assert!(refused.contains(word), "{refused}");
    }
    replay(&world, "again", 30, 6).await;
    told(&world, "again", "Complete").await;
    for (field, value) in
        [("startAt", json!(ago(31))), ("endAt", json!(ago(5))), ("portalRef", json!({"name": "other"}))]
    {
        let refused = world.try_patch(KIND, "again", json!({"spec": {field: value}})).await;
        let refused = refused.expect_err("it is refused");
        assert!(refused.contains(&format!("{field} cannot be changed")), "{refused}");
    }
    world.spec(KIND, "again", json!({"lifecycle": {"mode": "Observe"}})).await;
    told(&world, "again", "Complete").await;
    assert_eq!(started(&world), 1);
    world.end().await;
}
