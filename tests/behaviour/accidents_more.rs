//! More known accidents: 404s that prove nothing, refusals that never sound the same, pauses, and namespaces that end in the middle of it all.
//!
//! Another account behind the same connection, and objects that vanish all at once, are in `absence` and `races`.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, FixedOffset, TimeDelta};
use futures::{StreamExt, future, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use portico_sandbox::{AcpSwitches, Effect, Exchange};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    tripwire::{Side, When},
    world::{PATIENCE, World},
    world_steps::{fault, grant_everywhere, plant_portal, portal_ids, status},
};

/// What comes with a 404 of somebody else than the API: Kong's gateway, problems that speak of something else, nothing.
const NOT_THE_APIS: [&str; 5] = [
    r#"{"message":"no Route matched with those values"}"#,
    r#"{"status":410,"title":"Gone","instance":"a:1","detail":"there is no such host any more"}"#,
    r#"{"status":"404","title":"Not Found","instance":"a:1","detail":"Team not found"}"#,
    r#"{"status":404,"detail":"Team not found"}"#,
    "",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_404_in_another_shape_than_the_apis_own_ends_no_deletion() {
    let (world, _) = World::with_docs("acc-shape").await;
    for (n, body) in NOT_THE_APIS.into_iter().enumerate() {
        let team = format!("team-{n}");
        world.team(&team, "docs", json!({})).await;
        world.synced("PortalTeam", &team).await;
        world.sandbox.reset_exchanges();
        let page = Effect::Page { status: 404, body: body.to_owned(), location: None };
        fault(&world, "delete-portal-team", page);
        world.delete("PortalTeam", &team).await;
        world.eventually("the deletion is tried again", |w| w.calls("delete-portal-team") >= 2).await;
        assert!(world.get("PortalTeam", &team).await.is_some(), "it was let go for {body:?}");
        assert_eq!(world.teams_in("docs").len(), 1);
        world.sandbox.clear_faults();
        world.gone("PortalTeam", &team).await;
        assert_eq!(world.teams_in("docs"), [] as [Value; 0]);
    }
    world.end().await;
}

/// A path that was wrong is answered like an object that is gone, and some gateways speak as the API does. A look tells (law 3).
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_answered_404_is_not_over_while_the_api_shows_the_object() {
    let (world, _) = World::with_docs("acc-shown").await;
    world.team("writers", "docs", json!({})).await;
    world.synced("PortalTeam", "writers").await;
    let not_found = || Effect::Status { status: 404, retry_after: None, detail: Some("Not found".to_owned()) };
    for (kind, name, operation) in
        [("PortalTeam", "writers", "delete-portal-team"), ("Portal", "docs", "delete-portal")]
    {
        world.sandbox.reset_exchanges();
        fault(&world, operation, not_found());
        world.delete(kind, name).await;
        world.eventually("the deletion is tried", |w| w.calls(operation) > 0).await;
        sleep(Duration::from_millis(700)).await;
        assert!(world.get(kind, name).await.is_some(), "{kind} was let go, and the API still has it");
        world.unready(kind, name, "DeletionBlocked").await;
        world.sandbox.clear_faults();
        world.gone(kind, name).await;
    }
    assert!(world.portals().is_empty());
    world.end().await;
}

/// What happened to the Portal `docs` through Portico, by the audit log.
async fn writes_to_docs(world: &World) -> Vec<String> {
    world.flush_audit().await;
    world.kubernetes_writes().into_iter().filter(|w| w.ends_with(" docs")).collect()
}

/// The same of answers that are no refusals (503) is in `lasting`.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_carries_a_new_trace_id_each_time_is_written_once() {
    let world = World::new("acc-trace").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    // A refusal, how often it is asked for, and how often the status may change for it: the refusal, and that it lasts.
    for (code, calls, most) in [(409, 5, 2), (403, 5, 2), (400, 3, 1)] {
        let before = writes_to_docs(&world).await.len();
        world.sandbox.reset_exchanges();
        fault(&world, "update-portal", status(code));
        world.spec("Portal", "docs", json!({"description": format!("changed for {code}")})).await;
        world.eventually("it is refused again and again", |w| w.calls("update-portal") >= calls).await;
        let exchanges = world.sandbox.exchanges();
        let refusals = exchanges.iter().filter(|e| e.status == code);
        let said: BTreeSet<String> = refusals.map(|e| e.response_body.to_string()).collect();
        assert!(said.len() >= calls, "the refusals sound alike: this test tests nothing");
        let writes = writes_to_docs(&world).await.split_off(before);
        assert!((1..=most).contains(&writes.len()), "{code}: {writes:?}");
        world.sandbox.clear_faults();
        world.spec("Portal", "docs", json!({"description": format!("taken after {code}")})).await;
        world.synced("Portal", "docs").await;
    }
    world.end().await;
}

fn at(exchange: &Exchange) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(&exchange.at).expect("RFC 3339")
}

/// Creates, changes, deletions, sweeps and probes of a connection wait for as long as the API asked.
async fn waits_for_seven_seconds(name: &str, refusal: u16) {
    let (world, _) = World::with_docs(name).await;
    world.team("writers", "docs", json!({})).await;
    world.portal("leaving", json!({})).await;
    world.synced("PortalTeam", "writers").await;
    world.synced("Portal", "leaving").await;
    world.sandbox.reset_exchanges();
    let asks = Effect::Status { status: refusal, retry_after: Some("7".to_owned()), detail: None };
    world.once("create-portal", asks);
    world.portal("fresh", json!({})).await;
    let is_refused = |w: &World| w.sandbox.exchanges().iter().any(|e| e.status == refusal);
    world.eventually("the create is refused", is_refused).await;
    world.spec("Portal", "docs", json!({"description": "changed"})).await;
    world.spec("PortalTeam", "writers", json!({"description": "changed"})).await;
    world.delete("Portal", "leaving").await;
    world.annotate("KonnectConnection", "acme", "portico.dev/reconcile-at", json!("now")).await;
    world.gone("Portal", "leaving").await;
    for (kind, name) in [("Portal", "fresh"), ("Portal", "docs"), ("PortalTeam", "writers")] {
        world.synced(kind, name).await;
    }
    let exchanges = world.sandbox.exchanges();
    let refused = exchanges.iter().find(|e| e.status == refusal).expect("it was refused once");
    // What was under way at that moment is still answered.
    let pause = TimeDelta::milliseconds(300)..TimeDelta::seconds(7);
    let early: Vec<&Exchange> = exchanges.iter().filter(|e| pause.contains(&(at(e) - at(refused)))).collect();
    assert!(early.is_empty(), "{early:#?}");
    assert_eq!(world.named("fresh").len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_429_with_retry_after_7_nothing_is_sent_for_seven_seconds() {
    waits_for_seven_seconds("acc-429", 429).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_503_with_retry_after_7_nothing_is_sent_for_seven_seconds() {
    waits_for_seven_seconds("acc-503", 503).await;
}

/// Asks for the end of the world's namespace; does not wait.
async fn delete_namespace(world: &World) {
    let namespaces: Api<Namespace> = Api::all(world.admin());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.expect("the deletion is taken");
}

/// Waits until the world's namespace is gone.
async fn namespace_gone(world: &World, within: Duration) {
    let namespaces: Api<Namespace> = Api::all(world.admin());
    let started = Instant::now();
    while namespaces.get_metadata_opt(&world.namespace).await.expect("the API server answers").is_some() {
        assert!(started.elapsed() < within, "the namespace does not end; Konnect has {:#}", world.sandbox.state());
        sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until Secrets of the world's namespace are gone.
async fn secrets_gone(world: &World, names: &[&str]) {
    for name in names {
        world.until_values(name, "went", BTreeMap::is_empty).await;
    }
}

async fn ends_once_the_token_is_good_again(name: &str, restarts: bool) {
    let mut world = World::new(name).await;
    grant_everywhere(&world).await;
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    world.synced("PortalTeam", "writers").await;
    kept(&world, 1).await;
    world.sandbox.revoke(&world.token);
    world.unready("KonnectConnection", "acme", "CredentialRejected").await;
    delete_namespace(&world).await;
    secrets_gone(&world, &["konnect"]).await;
    if restarts {
        world.crash().await;
        world.start();
    }
    for (kind, name) in [("Portal", "docs"), ("PortalTeam", "writers")] {
        world.unready(kind, name, "DeletionBlocked").await;
    }
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.teams_in("docs").len(), 1);
    assert!(world.get("Portal", "docs").await.is_some(), "it was let go while it was still there");
    // In a namespace that is going no Secret can be put right, but what the API takes can.
    world.sandbox.accept("acme", &world.token);
    namespace_gone(&world, PATIENCE).await;
    assert!(world.portals().is_empty());
    world.expect_forbidden();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_deleted_while_its_token_is_revoked_ends_once_the_token_is_good_again() {
    ends_once_the_token_is_good_again("acc-revoked", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_deleted_while_its_token_is_revoked_ends_so_after_a_restart_too() {
    ends_once_the_token_is_good_again("acc-revoked-restart", true).await;
}

/// So many that for seconds on end some are being made, some are waiting, and some are being deleted.
const PORTALS: usize = 1_000;
/// As many are applied at once.
const AT_ONCE: usize = 16;
/// How long it may take until all of them are gone.
const LONG: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_deleted_while_its_many_portals_are_made_leaves_nothing_and_writes_to_nothing_deleted() {
    let mut world = World::new("acc-many").await;
    grant_everywhere(&world).await;
    let stranger = plant_portal(&world, json!({"name": "theirs"}));
    // As over a network.
    fault(&world, "*", Effect::Delay { milliseconds: 20 });
    world.sandbox.reset_exchanges();
    let here = &world;
    let apply = |n: usize| async move {
        // Those that come last come too late: the namespace takes nothing any more.
        let spec = json!({"connectionRef": {"name": "acme"}});
        let _ = here.try_create("Portal", &format!("portal-{n}"), spec).await;
    };
    let end = async {
        here.eventually("a quarter of them is made", |w| w.portals().len() > PORTALS / 4).await;
        delete_namespace(here).await;
    };
    future::join(stream::iter(0..PORTALS).for_each_concurrent(AT_ONCE, apply), end).await;
    namespace_gone(&world, LONG).await;
    assert_eq!(portal_ids(&world), [stranger]);
    let (mut made, mut deleted) = (BTreeSet::new(), BTreeSet::new());
    for exchange in world.sandbox.exchanges().iter().filter(|e| e.method != "GET") {
        let path = exchange.url.split('?').next().unwrap_or_default().to_owned();
        assert!(!deleted.contains(&path), "a write to what was deleted: {exchange:#?}");
        match (exchange.method.as_str(), exchange.status) {
            ("POST", 201) => {
                let name = exchange.request_body["name"].as_str().unwrap_or_default().to_owned();
                assert!(made.insert(name), "made twice: {exchange:#?}");
            }
            ("DELETE", 204) => {
                deleted.insert(path);
            }
            _ => {}
        }
    }
    assert_eq!(made.len(), deleted.len());
    // Only this may be refused on the way: in a terminating namespace not even an event can be created.
    let refused: Vec<_> = world.requests().into_iter().filter(|r| r.code == 403 && r.resource != "events").collect();
    assert!(refused.is_empty(), "{refused:#?}");
    world.expect_forbidden();
    world.end().await;
}

/// Waits until the credentials of so many connections are kept for deletions.
async fn kept(world: &World, connections: usize) {
    let api: Api<Secret> = Api::namespaced(world.admin(), &world.settings.namespace);
    let started = Instant::now();
    loop {
        let all = api.list(&ListParams::default()).await.expect("Secrets can be listed");
        let is_kept = |secret: &&Secret| secret.metadata.name.as_ref().is_some_and(|n| n.contains("escrow"));
        if all.items.iter().filter(is_kept).count() == connections {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "not {connections} credentials are kept");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_everything_in_it_ends_without_its_secrets_wherever_portico_crashes_meanwhile() {
    let mut world = World::still_acp("acc-everything", AcpSwitches::default()).await;
    grant_everywhere(&world).await;
    let stranger = plant_portal(&world, json!({"name": "theirs"}));
    world.start();
    world.connection(json!({})).await;
    world.identity(json!({})).await;
    world.portal("docs", json!({"forceDelete": true})).await;
    world.team("writers", "docs", json!({})).await;
    world.server("login", json!({})).await;
    world.client("shop", "login", json!({})).await;
    world.consent("terms", json!({})).await;
    world.action("sign-up", &["terms"]).await;
    for (kind, name) in [("PortalTeam", "writers"), ("OAuthClient", "shop"), ("ConsentAction", "sign-up")] {
        world.synced(kind, name).await;
    }
    let docs = world.only("docs")["id"].as_str().expect("it has an id").to_owned();
    world.sign_up(&docs, "ann@example.com");
    kept(&world, 2).await;
    world.wire.arm(Side::Remote, When::After, 2);
    delete_namespace(&world).await;
    assert!(world.crash_at_the_wire(Duration::from_secs(20)).await, "nothing was asked: the crash came too late");
    secrets_gone(&world, &["konnect", "acp"]).await;
    for (when, nth) in [(When::Before, 1), (When::After, 4), (When::Before, 6), (When::After, 9)] {
        world.wire.arm(Side::Remote, when, nth);
        world.start();
        // So long there is always something to ask, unless all is over.
        if !world.crash_at_the_wire(Duration::from_secs(8)).await {
            break;
        }
    }
    world.start();
    namespace_gone(&world, PATIENCE).await;
    assert_eq!(portal_ids(&world), [stranger]);
    for left in [world.acp_servers(), world.acp_clients(), world.acp_consents(), world.acp_actions()] {
        assert_eq!(left, [] as [Value; 0]);
    }
    world.expect_forbidden();
    world.end().await;
}
