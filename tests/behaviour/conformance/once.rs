//! The life of what is done once and not kept: it is started once, with the counts of the design, and then over; not while it is paused or
//! only observed, and not while another one is under way; and it stays done when its resource goes.
use std::time::Duration;

use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use super::{
    fixtures::{Bench, with},
    life::rests,
    remote::Place,
    table::Table,
};
use crate::{
    world::{condition, is_current, resource},
    world_steps::{fault, status},
};

const NOTHING: [String; 0] = [];

/// What is said of other resources and not of these.
const EXEMPT: [&str; 3] = ["yields to the older one", "is given up", "is retained"];

pub(crate) async fn runs_once(bench: &mut Bench, table: &mut Table) {
    let (kind, shape) = (bench.case.kind, bench.case.shape);
    let mut held = |what: &str, holds: &str| table.row([kind, what, holds]);
    let place = is_started(bench).await;
    held("is started", "yes");
    rests(bench, Some(&place.path)).await;
    held("rests", "yes");
    Box::pin(is_paused(bench, &place)).await;
    held("is paused", "yes");
    Box::pin(waits_its_turn(bench, &place)).await;
    held("waits its turn", "yes");
    Box::pin(is_observed(bench, &place)).await;
    held("is observed", "yes");
    is_left_alone(bench, &place).await;
    held("stays done", "yes");
    for what in EXEMPT {
        held(what, shape.exempt(what).expect("the table of exemptions says why"));
    }
}

/// One request starts it, and three writes tell of it: the intent, the start and the end. Nothing holds the resource.
async fn is_started(bench: &Bench) -> Place {
    let (world, case) = (&bench.world, &bench.case);
    world.sandbox.reset_exchanges();
    world.create(case.kind, &case.name, case.spec(&case.name)).await;
    let resource = bench.done(&case.name).await;
    let place = bench.place(&resource);
    assert_eq!(bench.objects(&place.list).len(), 1);
    assert!(case.is_as_told(&resource, &bench.object(&place)), "{:#}", bench.object(&place));
    assert_eq!(bench.writes().len(), 1, "{:?}", bench.writes());
    assert!(resource["metadata"]["finalizers"].is_null(), "{resource:#}");
    world.flush_audit().await;
    assert_eq!(bench.resource_writes(&case.name), vec![format!("patch {}/status {}", case.plural, case.name); 3]);
    place
}

/// Nothing starts while it is paused; and then it does.
async fn is_paused(bench: &Bench, place: &Place) {
    let (world, kind, name) = (&bench.world, bench.case.kind, "paused");
    let before = bench.scene(place);
    world.sandbox.reset_exchanges();
    let object = json!({
        "apiVersion": resource(kind).api_version,
        "kind": kind,
        "metadata": {"name": name, "annotations": {"portico.dev/paused": "true"}},
        "spec": bench.case.spec(name),
    });
    let object: DynamicObject = serde_json::from_value(object).expect("it is an object of Kubernetes");
    world.api(kind).create(&PostParams::default(), &object).await.expect("it is taken");
    let says_so =
        |o: &Value| condition(o, "Synced", "status") == "Unknown" && condition(o, "Synced", "reason") == "Paused";
    world.until(kind, name, "said that it is paused", says_so).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(bench.writes(), NOTHING, "writes while it is paused");
    assert!(bench.scene(place) == before, "something was started while it was paused");
    world.annotate(kind, name, "portico.dev/paused", Value::Null).await;
    let resource = bench.done(name).await;
    assert!(bench.case.is_as_told(&resource, &bench.object(place)), "it was not started after the pause");
    assert_eq!(bench.writes().len(), 1, "{:?}", bench.writes());
}

/// While the API says that another one is under way, it waits, and says so; then it is started, once. The others that are over are silent.
async fn waits_its_turn(bench: &Bench, place: &Place) {
    let (world, kind, name) = (&bench.world, bench.case.kind, "another");
    let operation = bench.create_of(place).operation.expect("it has an operation");
    fault(world, &operation, status(409));
    world.create(kind, name, bench.case.spec(name)).await;
    world.unready(kind, name, "ReferenceNotReady").await;
    world.sandbox.clear_faults();
    let resource = bench.done(name).await;
    assert!(bench.case.is_as_told(&resource, &bench.object(place)), "it was not started when its turn came");
    let exchanges = world.sandbox.exchanges();
    let started =
        exchanges.iter().filter(|e| e.operation.as_ref() == Some(&operation) && (200..300).contains(&e.status)).count();
    // The one before it is still in the record.
    assert_eq!(started, 2, "{:?}", bench.writes());
}

/// In Observe nothing is started, and the resource is not held.
async fn is_observed(bench: &Bench, place: &Place) {
    let (world, kind, name) = (&bench.world, bench.case.kind, "watcher");
    let before = bench.scene(place);
    world.sandbox.reset_exchanges();
    world.create(kind, name, with(bench.case.spec(name), json!({"lifecycle": {"mode": "Observe"}}))).await;
    let resource = world.until(kind, name, "was looked at", is_current).await;
    assert!(resource["metadata"]["finalizers"].is_null(), "{resource:#}");
    tokio::time::sleep(Duration::from_millis(700)).await;
    world.delete(kind, name).await;
    world.gone(kind, name).await;
    assert_eq!(bench.writes(), NOTHING, "writes by an observer");
    assert!(bench.scene(place) == before, "an observer started something");
}

/// What is done stays done when its resource goes, and nobody is asked.
async fn is_left_alone(bench: &Bench, place: &Place) {
    let (world, case) = (&bench.world, &bench.case);
    let before = bench.scene(place);
    world.sandbox.reset_exchanges();
    world.delete(case.kind, &case.name).await;
    world.gone(case.kind, &case.name).await;
    assert_eq!((bench.writes(), bench.asked(&place.path)), (Vec::new(), 0), "requests for what is over");
    assert!(bench.scene(place) == before, "what was done is not as it was");
}
