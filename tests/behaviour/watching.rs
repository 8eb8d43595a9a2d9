//! Who may write, and when Portico only watches: paused, observing, shutting down, and without a CRD.
use std::time::Duration;

use kube::api::ListParams;
use portico::manifests;
use portico_sandbox::{Effect, Fault, Options, Plant};
use portico_testbed::ControlPlane;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    tripwire::Side,
    world::{World, condition, is_current},
};

const NOTHING: [&str; 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_resource_is_left_alone_and_says_so() {
    let world = World::new("watch-paused").await;
    world.portal("docs", json!({"description": "first"})).await;
    let before = world.synced("Portal", "docs").await;
    world.annotate("Portal", "docs", "portico.dev/paused", json!("true")).await;
    let paused = |o: &Value| {
        (condition(o, "Synced", "status"), condition(o, "Synced", "reason")) == ("Unknown", "Paused")
            && condition(o, "Synced", "message").contains("portico.dev/paused")
    };
    world.until("Portal", "docs", "said that it is paused", paused).await;
    world.spec("Portal", "docs", json!({"description": "second"})).await;
    world.sandbox.reset_exchanges();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let asked: Vec<String> = world.sandbox.exchanges().into_iter().filter_map(|e| e.operation).collect();
    assert!(!asked.iter().any(|o| o != "list-portals"), "the connection may be probed, and no more: {asked:?}");
    let object = world.get("Portal", "docs").await.unwrap();
    assert!(paused(&object));
    assert_ne!(object["metadata"]["generation"], before["metadata"]["generation"]);
    assert_eq!(object["status"]["observedGeneration"], before["status"]["observedGeneration"]);
    assert_eq!(world.only("docs")["description"], "first");
    world.annotate("Portal", "docs", "portico.dev/paused", Value::Null).await;
    world.synced("Portal", "docs").await;
    assert_eq!(world.only("docs")["description"], "second");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observing_resource_waits_for_a_strangers_object_and_compares_it_and_never_writes() {
    let world = World::new("watch-observe").await;
    let spec = json!({"description": "as agreed", "lifecycle": {"mode": "Observe"}});
    world.portal("docs", spec).await;
    let message = world.unready("Portal", "docs", "NotFound").await;
    assert!(message.contains("docs"), "{message}");
    let id = world.stranger_makes(Plant::Portal(json!({"name": "docs", "description": "as agreed"})));
    let portal = world.synced("Portal", "docs").await;
    assert_eq!(portal["status"]["id"], id.as_str());
    let path = format!("/v2/portals/{id}");
    for (description, synced) in [("not as agreed", "False"), ("as agreed", "True")] {
        assert_eq!(world.by_hand(Method::PATCH, &path, Some(json!({"description": description}))).await, 200);
        let is = |o: &Value| condition(o, "Synced", "status") == synced;
        let portal = world.until("Portal", "docs", &format!("said Synced={synced}"), is).await;
        assert_eq!(condition(&portal, "Ready", "status"), "True", "Ready means found");
        assert_eq!(portal["status"]["drift"].is_array(), synced == "False");
    }
    world.sandbox.reset_exchanges();
    world.spec("Portal", "docs", json!({"description": "otherwise"})).await;
    let portal = world.until("Portal", "docs", "said that it differs", differs).await;
    assert!(portal["metadata"]["finalizers"].is_null(), "nothing is to be deleted, so nothing is held");
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.remote_writes(), NOTHING);
    assert_eq!(world.only("docs")["description"], "as agreed");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_observed_is_not_taken_when_the_mode_becomes_manage() {
    let world = World::new("watch-manage").await;
    let id = world.stranger_makes(Plant::Portal(json!({"name": "docs", "description": "theirs"})));
    world.portal("docs", json!({"description": "ours", "lifecycle": {"mode": "Observe"}})).await;
    world.ready("Portal", "docs").await;
    world.sandbox.reset_exchanges();
    world.spec("Portal", "docs", json!({"lifecycle": {"mode": "Manage"}})).await;
    let message = world.unready("Portal", "docs", "AlreadyExists").await;
    assert!(message.contains(&id) && message.contains("adoption: Adopt"), "{message}");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.remote_writes(), NOTHING);
    world.spec("Portal", "docs", json!({"lifecycle": {"adoption": "Adopt"}})).await;
    let portal = world.synced("Portal", "docs").await;
    assert_eq!(portal["status"]["id"], id.as_str());
    assert_eq!(world.only("docs")["description"], "ours");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_object_is_let_go_when_the_mode_becomes_observe() {
    let world = World::new("watch-let-go").await;
    world.portal("docs", json!({"description": "ours"})).await;
    world.synced("Portal", "docs").await;
    world.spec("Portal", "docs", json!({"description": "otherwise", "lifecycle": {"mode": "Observe"}})).await;
    let released = |o: &Value| is_current(o) && o["metadata"]["finalizers"].is_null();
    let portal = world.until("Portal", "docs", "let go", released).await;
    assert_eq!((condition(&portal, "Ready", "status"), condition(&portal, "Synced", "status")), ("True", "False"));
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    assert_eq!(world.only("docs")["description"], "ours");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reconcile_at_asks_for_a_look_now_and_is_answered() {
    let (world, id) = World::quiet_with_docs("watch-reconcile-at").await;
    world.spec("Portal", "docs", json!({"description": "ours"})).await;
    world.synced("Portal", "docs").await;
    world.by_hand(Method::PATCH, &format!("/v2/portals/{id}"), Some(json!({"description": "theirs"}))).await;
    for when in ["first", "second"] {
        world.annotate("Portal", "docs", "portico.dev/reconcile-at", json!(when)).await;
        let answered = |o: &Value| o["status"]["lastHandledReconcileAt"] == when;
        world.until("Portal", "docs", "answered", answered).await;
        assert_eq!(world.only("docs")["description"], "ours");
    }
    world.end().await;
}

/// Switches the connection's mode and waits until the connection says so.
async fn mode(world: &World, mode: &str) {
    world.spec("KonnectConnection", "acme", json!({"mode": mode})).await;
    world.ready("KonnectConnection", "acme").await;
}

fn differs(object: &Value) -> bool {
    is_current(object)
        && condition(object, "Ready", "status") == "True"
        && condition(object, "Synced", "status") == "False"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_observes_stops_all_writes_and_gives_nothing_up() {
    let (world, _) = World::with_docs("watch-mode").await;
    world.team("core", "docs", json!({"description": "first"})).await;
    let team = world.synced("PortalTeam", "core").await["status"]["id"].clone();
    mode(&world, "Observe").await;
    world.sandbox.reset_exchanges();
    world.spec("Portal", "docs", json!({"description": "second"})).await;
    world.spec("PortalTeam", "core", json!({"description": "second"})).await;
    world.portal("later", json!({})).await;
    for (kind, name) in [("Portal", "docs"), ("PortalTeam", "core")] {
        let object = world.until(kind, name, "said that it differs", differs).await;
        assert_eq!(object["metadata"]["finalizers"], json!(["portico.dev/remote"]), "it is still ours");
    }
    world.unready("Portal", "later", "NotFound").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.remote_writes(), NOTHING);
    mode(&world, "Manage").await;
    for (kind, name) in [("Portal", "docs"), ("PortalTeam", "core"), ("Portal", "later")] {
        world.synced(kind, name).await;
    }
    assert_eq!(world.only("docs")["description"], "second");
    assert_eq!(world.only_team_in("docs")["description"], "second");
    assert_eq!(world.only_team_in("docs")["id"], team);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_wait_while_the_connection_observes_and_the_orphan_annotation_ends_them() {
    let (world, _) = World::with_docs("watch-mode-delete").await;
    world.team("core", "docs", json!({"description": "first"})).await;
    world.portal("given-up", json!({})).await;
    world.synced("PortalTeam", "core").await;
    world.synced("Portal", "given-up").await;
    mode(&world, "Observe").await;
    world.sandbox.reset_exchanges();
    // What was looked at meanwhile is no less ours.
    for (kind, name) in [("PortalTeam", "core"), ("Portal", "given-up")] {
        world.spec(kind, name, json!({"description": "second"})).await;
        world.until(kind, name, "said that it differs", differs).await;
        world.delete(kind, name).await;
        let message = world.unready(kind, name, "DeletionBlocked").await;
        assert!(message.contains("acme") && message.contains("portico.dev/orphan"), "{message}");
    }
    world.annotate("Portal", "given-up", "portico.dev/orphan", json!("true")).await;
    world.gone("Portal", "given-up").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.remote_writes(), NOTHING);
    assert_eq!((world.named("given-up").len(), world.teams_in("docs").len()), (1, 1));
    mode(&world, "Manage").await;
    world.gone("PortalTeam", "core").await;
    assert_eq!((world.named("given-up").len(), world.teams_in("docs").len()), (1, 0));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_connection_that_concerns_no_object_is_not_written_to_any() {
    let world = World::new("watch-rate").await;
    for name in ["one", "two", "three"] {
        world.portal(name, json!({})).await;
    }
    for name in ["one", "two", "three"] {
        world.synced("Portal", name).await;
    }
    let of_portals = |w: &World| w.kubernetes_writes().into_iter().filter(|w| w.contains(" portals")).count();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = of_portals(&world);
    let rate = json!({"rateLimit": {"requestsPerSecond": 900, "burst": 900}});
    world.spec("KonnectConnection", "acme", rate).await;
    world.ready("KonnectConnection", "acme").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(of_portals(&world) - before, 0, "nothing differs, so nothing is written");
    world.end().await;
}

/// A world in which creating a portal goes wrong in some way, once the request is under way.
async fn creating(name: &str, effect: Effect, timeout: &str) -> World {
    let mut world = World::still(name).await;
    world.start();
    world.connection(json!({"requestTimeout": timeout})).await;
    world.ready("KonnectConnection", "acme").await;
    world.sandbox.inject(Fault { operation: "create-portal".into(), effect, times: None, organization: None });
    world.portal("docs", json!({})).await;
    let sent = |w: &World| w.wire.seen(Side::Remote).iter().any(|r| r == "POST /v2/portals");
    world.eventually("the create is under way", sent).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_when_the_operator_stops_is_finished_and_recorded() {
    let mut world = creating("watch-stop", Effect::Delay { milliseconds: 1000 }, "20s").await;
    let took = world.stop().await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    let portal = world.get("Portal", "docs").await.unwrap();
    assert_eq!(portal["status"]["id"], world.only("docs")["id"]);
    assert_eq!(condition(&portal, "Ready", "status"), "True");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_stops_within_ten_seconds_whatever_hangs() {
    let mut world = creating("watch-stop-hang", Effect::Hang, "60s").await;
    let took = world.stop().await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_without_its_crd_is_named_and_switched_on_when_the_crd_arrives() {
    let start = || -> &'static ControlPlane { Box::leak(Box::new(ControlPlane::start().expect("it starts"))) };
    let plane = tokio::task::spawn_blocking(start).await.unwrap();
    apply_crds(plane, |file| !file.starts_with("portalteams.")).await;
    let mut world = World::on(plane, "watch-crd", Options::default()).await;
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    let problems = world.health.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("portalteams.konnect.portico.dev"), "{problems:?}");
    apply_crds(plane, |file| file.starts_with("portalteams.")).await;
    world.team("core", "docs", json!({})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(world.health.problems(), NOTHING);
    world.only_team_in("docs");
    world.end().await;
}

/// Installs some of the CRDs and waits until they are served.
async fn apply_crds(plane: &'static ControlPlane, which: fn(&str) -> bool) {
    let files = manifests::crd_files().into_iter().filter(|(name, _)| which(name));
    let yaml = files.map(|(_, yaml)| yaml).collect::<Vec<_>>().join("\n---\n");
    tokio::task::spawn_blocking(move || {
        plane.kubectl_stdin(&["apply", "--server-side", "-f", "-"], &yaml).expect("the CRDs are taken");
        let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
        plane.kubectl(&established).expect("the CRDs are served");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn portico_writes_its_finalizer_and_the_status_and_nothing_else_of_a_resource() {
    let (world, portal) = World::with_docs("watch-spec").await;
    let everything = world.everything(&portal);
    world.team("core", "docs", everything).await;
    world.synced("PortalTeam", "core").await;
    world.spec("Portal", "docs", json!({"description": "second", "customDomain": "docs.example.com"})).await;
    world.by_hand(Method::PATCH, &format!("/v2/portals/{portal}"), Some(json!({"name": "theirs"}))).await;
    world.eventually("the name is put back", |w| w.named("docs").len() == 1).await;
    world.synced("Portal", "docs").await;
    for kind in ["KonnectConnection", "Portal", "PortalTeam"] {
        for object in world.api(kind).list(&ListParams::default()).await.unwrap() {
            let object = serde_json::to_value(object).unwrap();
            let entries = object["metadata"]["managedFields"].as_array().unwrap();
            let ours: Vec<&Value> = entries.iter().filter(|e| e["manager"] == "portico").collect();
            assert!(!ours.is_empty(), "{kind}: nobody named portico wrote: {entries:#?}");
            for entry in ours {
                let fields = entry["fieldsV1"].as_object().unwrap();
                assert!(fields.keys().all(|k| k == "f:status" || k == "f:metadata"), "{kind}: {fields:#?}");
                let mut metadata = fields.get("f:metadata").and_then(Value::as_object).into_iter().flatten();
                assert!(metadata.all(|(k, _)| k == "f:finalizers"), "{kind}: {fields:#?}");
            }
        }
    }
    let verbs = world.kubernetes_writes();
    assert!(verbs.iter().all(|w| w.starts_with("patch ") || w.contains(" secrets ")), "{verbs:?}");
    world.end().await;
}
