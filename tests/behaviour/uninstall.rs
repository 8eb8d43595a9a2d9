//! Uninstalling wipes nothing (law 6), and what cannot be read is kept. These tests change CRDs, so they have a control
//! plane of their own.
use portico::manifests;
use portico_sandbox::Options;
use portico_testbed::ControlPlane;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    world::{World, install},
    world_steps::{assert_nothing_sent, eventually_ok, id},
};

const CRD: &str = "portals.konnect.portico.dev";

/// Started by the first test that needs it, and used by one at a time. The test bed stops it when the process ends.
static OWN: Mutex<Option<&'static ControlPlane>> = Mutex::const_new(None);

/// The control plane with the CRDs as they should be.
async fn installed(own: &mut Option<&'static ControlPlane>) -> &'static ControlPlane {
    let plane = match *own {
        Some(plane) => plane,
        None => blocking(start).await,
    };
    // Kept before the CRDs are tried, so that a failure there starts no second one.
    *own = Some(plane);
    blocking(move || install(plane)).await;
    plane
}

fn start() -> &'static ControlPlane {
    Box::leak(Box::new(ControlPlane::start().expect("a control plane starts")))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// The CRD of portals as an older version might have had it: anything goes.
fn loose_crd() -> Value {
    let portal = manifests::crds().into_iter().find(|crd| crd.metadata.name.as_deref() == Some(CRD));
    let mut crd = serde_json::to_value(portal.expect("there are portals")).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    crd
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_crd_releases_its_objects_and_installing_it_again_takes_them_back() {
    let mut own = OWN.lock().await;
    let plane = installed(&mut own).await;
    let mut world = World::on(plane, "uninstall-crd", Options::default()).await;
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({"description": "kept"})).await;
    let portal = id(&world.synced("Portal", "docs").await);
    world.sandbox.reset_exchanges();
    world.kubectl(&["delete", "crd", CRD, "--timeout=60s"], "").await.expect("nothing holds the CRD");
    assert_nothing_sent(&world);
    assert_eq!(id(&world.only("docs")), portal);
    let names_it = |w: &World| w.health.problems().iter().any(|p| p.contains(CRD));
    world.eventually("/readyz names the missing kind", names_it).await;
    blocking(move || install(plane)).await;
    let spec = json!({"connectionRef": {"name": "acme"}, "description": "kept"});
    eventually_ok("the kind is served again", async || world.try_create("Portal", "docs", spec.clone()).await).await;
    assert_eq!(id(&world.synced("Portal", "docs").await), portal);
    world.eventually("/readyz is content again", |w| w.health.problems().is_empty()).await;
    assert_eq!(world.calls("create-portal"), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_deletion_policy_cannot_be_read_is_kept() {
    let mut own = OWN.lock().await;
    let plane = installed(&mut own).await;
    let mut world = World::on(plane, "uninstall-unreadable", Options::default()).await;
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    let portal = id(&world.synced("Portal", "docs").await);
    let loose = loose_crd().to_string();
    let apply = move || plane.kubectl_stdin(&["apply", "--server-side", "-f", "-"], &loose);
    blocking(apply).await.expect("the older schema is taken");
    let unreadable = json!({"spec": {"lifecycle": {"deletion": "Sometimes"}}});
    let attempt = async || world.try_patch("Portal", "docs", unreadable.clone()).await;
    eventually_ok("the older schema takes anything", attempt).await;
    world.unready("Portal", "docs", "InvalidSpec").await;
    blocking(move || install(plane)).await;
    world.sandbox.reset_exchanges();
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    assert_nothing_sent(&world);
    assert_eq!(id(&world.only("docs")), portal);
    world.end().await;
}
