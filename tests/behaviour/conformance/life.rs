//! The life of a resource: made with the counts of the design, at rest, paused, in conflict, given up, observed, retained, deleted. Where the
//! object is there without it, "made" means that it is taken and changed, and "deleted" may mean that it is put back.
use std::time::Duration;

use portico_sandbox::Snapshot;
use serde_json::{Value, json};

use super::{
    case::{Case, kebab, snake},
    fixtures::{Bench, with},
    once::runs_once,
    remote::Place,
    shape::Shape,
    table::Table,
    units::{Unit, simple},
};
use crate::world::{condition, is_current};

const NOTHING: [String; 0] = [];

/// Fields that the API does not take when it makes an object, so that they cost another write: kind, and field.
const SENT_LATER: [(&str, &str); 1] = [("PortalIdentityProvider", "enabled")];

pub(crate) async fn life(kind: &'static str) {
    let mut bench = Bench::new(kind, "life", "1s").await;
    let mut table = Table::new(&format!("life-{}", kebab(kind)), &["kind", "a resource", "holds"]);
    if bench.case.shape == Shape::Action {
        Box::pin(runs_once(&mut bench, &mut table)).await;
    } else {
        Box::pin(lives(&mut bench, &mut table)).await;
    }
    table.assert_full();
    bench.world.end().await;
}

async fn lives(bench: &mut Bench, table: &mut Table) {
    let (kind, unit) = (bench.case.kind, simple(&bench.case).expect("a kind has fields that can be changed"));
    let mut held = |what: &str| table.row([kind, what, "yes"]);
    let untouched = bench.world.sandbox.state();
    let place = is_made(bench).await;
    held("is made");
    rests(bench, None).await;
    held("rests");
    let theirs = Box::pin(is_paused(bench, &unit, &place)).await;
    held("is paused");
    Box::pin(yields_to_the_older(bench, &place)).await;
    held("yields to the older one");
    let ours = is_given_up(bench, &place).await;
    held("is given up");
    Box::pin(is_observed(bench, &place, &theirs, &ours)).await;
    held("is observed");
    is_retained(bench, &place).await;
    held("is retained");
    is_deleted(bench, &place, untouched.pointer(&place.list)).await;
    held("is deleted");
}

/// One object, one write for it and one for each of its parts; and two writes to the resource, or as many more as the design says. An object
/// that is there already is taken by the one write that changes it.
async fn is_made(bench: &Bench) -> Place {
    let (world, case) = (&bench.world, &bench.case);
    let (kind, name) = (case.kind, case.name.as_str());
    let before = world.sandbox.state();
    world.sandbox.reset_exchanges();
    world.create(kind, name, case.spec(name)).await;
    let resource = world.synced(kind, name).await;
    let place = bench.place(&resource);
    let made = usize::from(!case.shape.is_given());
    let known = match before.pointer(&place.list) {
        Some(Value::Array(items)) => items.len(),
        only => usize::from(only.is_some_and(Value::is_object)),
    };
    assert_eq!(bench.objects(&place.list).len(), known + made, "one object is made, if it is not there");
    let parts = writes_for_parts(&resource);
    let later = writes_for_later(bench, &place);
    assert_eq!(bench.writes().len(), 1 + parts + later, "{:?}", bench.writes());
    bench.check_credentials(&resource).await;
    world.flush_audit().await;
    let mut expected = vec![format!("patch {} {name}", case.plural)];
    let statuses = 1 + usize::from(case.has_intent(&resource)) + usize::from(parts > 0);
    expected.extend(vec![format!("patch {}/status {name}", case.plural); statuses]);
    assert_eq!(bench.resource_writes(name), expected);
    place
}

/// A list whose entries are items costs a write an entry, any other is written whole.
fn writes_for_parts(resource: &Value) -> usize {
    let parts = resource["status"]["parts"].as_object().into_iter().flatten();
    let writes = parts.map(|(part, entries)| {
        let has_items = resource["spec"][part]["items"].is_array();
        if has_items { entries.as_array().map_or(0, Vec::len) } else { 1 }
    });
    writes.sum()
}

/// What the API did not take when it made the object, and has otherwise than the spec says, is sent right after.
fn writes_for_later(bench: &Bench, place: &Place) -> usize {
    let case = &bench.case;
    let is_open = |(kind, field): &&(&str, &str)| {
        *kind == case.kind && bench.create_of(place).response_body[snake(field)] != case.example[*field]
    };
    SENT_LATER.iter().filter(is_open).count()
}

fn asked(bench: &Bench, path: Option<&str>) -> usize {
    path.map_or(0, |path| bench.asked(path))
}

/// Over three intervals and after a restart somebody looks, and nobody writes. Of what is over nobody asks: `never` is its path.
pub(crate) async fn rests(bench: &mut Bench, never: Option<&str>) {
    bench.world.assert_silence(Duration::from_millis(3300)).await;
    assert!(bench.looks() >= 2, "nobody looked");
    assert_eq!(asked(bench, never), 0, "what is over is asked for");
    bench.world.stop().await;
    bench.world.flush_audit().await;
    bench.world.sandbox.reset_exchanges();
    let before = bench.world.kubernetes_writes().len();
    bench.world.start();
    tokio::time::sleep(Duration::from_millis(2300)).await;
    assert!(bench.looks() >= 2, "nobody looked after the restart");
    assert_eq!(asked(bench, never), 0, "what is over is asked for after a restart");
    assert_eq!(bench.writes(), NOTHING, "writes to the API after a restart");
    bench.world.flush_audit().await;
    assert_eq!(bench.world.kubernetes_writes()[before..], NOTHING, "writes to Kubernetes after a restart");
}

/// While it is paused nothing is written and the generation stands still; then what was changed meanwhile arrives. Returns how that looks.
async fn is_paused(bench: &Bench, unit: &Unit, place: &Place) -> Snapshot {
    let (world, kind, name) = (&bench.world, bench.case.kind, bench.case.name.as_str());
    let before = bench.scene(place);
    world.annotate(kind, name, "portico.dev/paused", json!("true")).await;
    let says_so =
        |o: &Value| condition(o, "Synced", "status") == "Unknown" && condition(o, "Synced", "reason") == "Paused";
    world.until(kind, name, "said that it is paused", says_so).await;
    world.sandbox.reset_exchanges();
    world.spec(kind, name, unit.change.clone()).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(bench.writes(), NOTHING, "writes while it is paused");
    let resource = world.get(kind, name).await.unwrap_or_default();
    assert!(!is_current(&resource) && says_so(&resource), "{resource:#}");
    world.annotate(kind, name, "portico.dev/paused", Value::Null).await;
    world.synced(kind, name).await;
    assert!(bench.scene(place) != before, "{} did not arrive after the pause", unit.name);
    let theirs = world.sandbox.snapshot();
    world.spec(kind, name, unit.back.clone()).await;
    world.synced(kind, name).await;
    assert!(bench.scene(place) == before, "{} did not go back", unit.name);
    theirs
}

/// A second resource for the same object, by its id or by its name, says Conflict, and its end changes nothing.
async fn yields_to_the_older(bench: &Bench, place: &Place) {
    let (world, case) = (&bench.world, &bench.case);
    let before = bench.scene(place);
    let mut rivals = vec![json!({"lifecycle": {"id": place.id, "adoption": "Adopt"}})];
    if let Some(field) = case.known_by() {
        let name = case.example[&field].as_str().unwrap_or(&case.name);
        rivals.push(json!({ &field: name, "lifecycle": {"adoption": "Adopt"} }));
    } else if case.shape != Shape::Made {
        // The spec says which object it is.
        rivals.push(json!({"lifecycle": {"adoption": "Adopt"}}));
    }
    for claim in rivals {
        world.sandbox.reset_exchanges();
        world.create(case.kind, "rival", with(case.spec("rival"), claim)).await;
        let message = world.unready(case.kind, "rival", "Conflict").await;
        assert!(message.contains(&case.name), "{message}");
        world.delete(case.kind, "rival").await;
        world.gone(case.kind, "rival").await;
        assert_eq!(bench.writes(), NOTHING, "writes by the younger one");
        assert!(bench.scene(place) == before, "the younger one changed something");
    }
    world.synced(case.kind, &case.name).await;
}

/// The annotation ends the resource and leaves the object, and its credentials. Returns how that looks.
async fn is_given_up(bench: &Bench, place: &Place) -> Snapshot {
    let (world, case) = (&bench.world, &bench.case);
    let before = bench.scene(place);
    world.sandbox.reset_exchanges();
    world.annotate(case.kind, &case.name, "portico.dev/orphan", json!("true")).await;
    world.delete(case.kind, &case.name).await;
    world.gone(case.kind, &case.name).await;
    assert_eq!(bench.writes(), NOTHING, "writes for an object that is given up");
    assert!(bench.scene(place) == before, "what was given up was changed");
    if Case::hands_out(&case.example) {
        assert!(!world.values(&case.output(&case.name)).await.is_empty(), "programs run on these credentials");
    }
    world.sandbox.snapshot()
}

/// In Observe it is found and compared, never written to and never held.
async fn is_observed(bench: &Bench, place: &Place, theirs: &Snapshot, ours: &Snapshot) {
    let (world, case, name) = (&bench.world, &bench.case, "watcher");
    world.sandbox.reset_exchanges();
    let observe = json!({"lifecycle": {"mode": "Observe", "id": place.id}});
    world.create(case.kind, name, with(Case::without_output(&case.spec(name)), observe)).await;
    let resource = world.synced(case.kind, name).await;
    assert!(resource["metadata"]["finalizers"].is_null(), "{resource:#}");
    world.sandbox.restore(theirs);
    let is_told = |o: &Value| condition(o, "Synced", "reason") == "DriftDetected";
    let resource = world.until(case.kind, name, "told of the drift", is_told).await;
    assert_eq!(condition(&resource, "Ready", "status"), "True", "{resource:#}");
    assert!(resource["status"]["drift"].is_array(), "{resource:#}");
    world.sandbox.restore(ours);
    world.synced(case.kind, name).await;
    world.delete(case.kind, name).await;
    world.gone(case.kind, name).await;
    assert_eq!(bench.writes(), NOTHING, "writes by an observer");
    assert!(!bench.object(place).is_null(), "what was observed is gone");
}

/// An object that is left over is bound again by its id, without another one; with Retain it survives its resource. What is there without a
/// resource survives it also where the spec does not say so.
async fn is_retained(bench: &Bench, place: &Place) {
    let (world, case, name) = (&bench.world, &bench.case, "keeper");
    let count = bench.objects(&place.list).len();
    let bound = with(case.spec(name), json!({"lifecycle": {"id": place.id, "deletion": "Retain"}}));
    let spec = if case.shape.is_given() { Case::with_default_deletion(bound) } else { bound };
    world.create(case.kind, name, spec).await;
    let resource = world.synced(case.kind, name).await;
    assert_eq!(resource["status"]["id"], place.id.as_str());
    bench.check_credentials(&resource).await;
    let before = bench.scene(place);
    world.sandbox.reset_exchanges();
    world.delete(case.kind, name).await;
    world.gone(case.kind, name).await;
    assert_eq!(bench.writes(), NOTHING, "writes for an object that is retained");
    assert!(bench.scene(place) == before, "what was retained was changed");
    assert_eq!(bench.objects(&place.list).len(), count);
}

/// The object goes with its resource, by one request; and then its credentials. What a parent always has is put back instead. What is there
/// without a resource goes only where the spec says so; everything else, where it does not say otherwise.
async fn is_deleted(bench: &Bench, place: &Place, untouched: Option<&Value>) {
    let (world, case, name) = (&bench.world, &bench.case, "last");
    let bound = with(case.spec(name), json!({"lifecycle": {"id": place.id, "deletion": "Delete"}}));
    let spec = if case.shape.is_given() { bound } else { Case::with_default_deletion(bound) };
    world.create(case.kind, name, spec).await;
    world.synced(case.kind, name).await;
    let (count, before) = (bench.objects(&place.list).len(), bench.scene(place));
    world.sandbox.reset_exchanges();
    world.delete(case.kind, name).await;
    world.gone(case.kind, name).await;
    let deletes = world.sandbox.exchanges().iter().filter(|exchange| exchange.method == "DELETE").count();
    let gone = usize::from(case.shape != Shape::Singleton);
    assert_eq!((bench.writes().len(), deletes), (1, gone), "{:?}", bench.writes());
    assert_eq!(bench.objects(&place.list).len(), count - gone);
    let after = bench.scene(place);
    assert!(!case.shape.is_given() || after.rest == before.rest, "something else was touched");
    if case.shape == Shape::Singleton {
        check_reset(untouched.unwrap_or(&Value::Null), &after.object);
    } else {
        assert!(after.object.is_null(), "the object is still there");
    }
    assert!(world.values(&case.output(name)).await.is_empty(), "the credentials are still there");
}

/// What can be on or off is as it was before any resource spoke of it.
pub(crate) fn check_reset(untouched: &Value, object: &Value) {
    let members = untouched.as_object().into_iter().flatten();
    let switches: Vec<(&String, &Value)> = members.filter(|(_, value)| value.is_boolean()).collect();
    assert!(!switches.is_empty(), "nothing in {untouched:#} can be told");
    for (member, value) in switches {
        assert_eq!(object[member], *value, "{member} was not put back: {object:#}");
    }
}
