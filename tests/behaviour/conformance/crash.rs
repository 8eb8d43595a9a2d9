//! Every request of a create, an update, an adoption and a deletion, crashed before and after it: one object, as it should be, no stranger
//! touched, nothing stuck. The operator is dropped at the request and started again.
use std::time::Duration;

use portico_sandbox::Exchange;
use serde_json::{Map, Value, json};

use super::{
    fixtures::{Bench, with},
    remote::{Place, bare, differing, is_within, plain},
    table::Table,
    units::{Unit, simple},
};
use crate::{
    tripwire::{Side, When},
    world_steps::id,
};

/// More requests than this no action makes.
const MOST_REQUESTS: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Update,
    Adopt,
    Delete,
}

/// An object that was made, changed and deleted in peace.
struct Seen {
    create: Exchange,
    place: Place,
    made: Value,
    changed: Value,
}

/// What is known of a kind before anything crashes.
struct Rehearsal {
    /// The request that makes an object, and where it then is.
    create: Exchange,
    place: Place,
    /// What an update changes.
    unit: Unit,
    /// What all objects of the example have in common, as they are made and after the change.
    made: Value,
    changed: Value,
    /// A stranger's object.
    stranger: (Place, Value),
    /// All that there is while nothing of ours is.
    empty: Value,
    count: usize,
}

pub(crate) async fn crash_everywhere(kind: &'static str, action: Action) {
    // No sweep gets in between: only the action's own requests are counted.
    let mut bench = Bench::new(kind, &format!("crash-{action:?}").to_lowercase(), "1h").await;
    let known = if bench.case.ops.is_some() { Some(Box::pin(rehearse(&bench)).await) } else { None };
    let head = ["kind", "action", "side", "request", "crash before", "crash after"];
    let mut table = Table::new(&format!("crash-{kind}-{action:?}").to_lowercase(), &head);
    let end = match (action, &known) {
        (Action::Delete, _) => "gone",
        (_, Some(_)) => "one object",
        (_, None) => "Ready",
    };
    for side in [Side::Remote, Side::Kubernetes] {
        for nth in 0..MOST_REQUESTS {
            let mut row = None;
            for when in [When::Before, When::After] {
                let name = format!("{side:?}-{nth}-{when:?}").to_lowercase();
                let crash = crash_once(&mut bench, known.as_ref(), action, &name, (side, when, nth));
                row = Box::pin(crash).await;
                if row.is_none() {
                    break;
                }
            }
            let Some(request) = row else { break };
            table.row([kind, &format!("{action:?}"), &format!("{side:?}"), &request, end, end]);
        }
    }
    assert!(table.len() > usize::from(known.is_some()), "only {} requests were crashed", table.len());
    table.assert_full();
    bench.world.end().await;
}

/// Makes objects in peace to see how they look, and leaves a stranger behind that differs from all that is to come.
async fn rehearse(bench: &Bench) -> Rehearsal {
    let (case, unit) = (&bench.case, simple(&bench.case));
    let first = try_out(bench, "first", case.spec("first"), &unit.change).await;
    let second = try_out(bench, "second", case.spec("second"), &unit.change).await;
    let third = try_out(bench, "third", case.fit(&case.changed, "third"), &json!({})).await;
    let stranger = first.place.of(&bench.replay(&third.create).await);
    Rehearsal {
        made: in_common(&first.made, &second.made),
        changed: in_common(&first.changed, &second.changed),
        stranger: (stranger.clone(), bench.object(&stranger)),
        empty: plain(bench.world.sandbox.state()),
        count: bench.objects(&stranger.list).len(),
        create: first.create,
        place: first.place,
        unit,
    }
}

async fn try_out(bench: &Bench, name: &str, spec: Value, change: &Value) -> Seen {
    let (world, kind) = (&bench.world, bench.case.kind);
    world.create(kind, name, spec).await;
    let resource = world.synced(kind, name).await;
    let place = bench.place(&resource);
    let (create, made) = (bench.create_of(&place.id), bare(bench.object(&place)));
    world.spec(kind, name, change.clone()).await;
    world.synced(kind, name).await;
    let changed = bare(bench.object(&place));
    end(bench, name).await;
    Seen { create, place, made, changed }
}

/// The members that are the same in both; none that says when something was.
fn in_common(one: &Value, other: &Value) -> Value {
    let differing = differing(one, other);
    let members = one.as_object().into_iter().flatten();
    let stable = members.filter(|(member, _)| !differing.contains(*member) && !member.ends_with("_at"));
    let stable: Map<String, Value> = stable.map(|(member, value)| (member.clone(), value.clone())).collect();
    assert!(!stable.is_empty(), "nothing in {one:#} says that it is as it should be");
    Value::Object(stable)
}

async fn end(bench: &Bench, name: &str) {
    bench.world.delete(bench.case.kind, name).await;
    bench.world.gone(bench.case.kind, name).await;
}

/// One crash; none where the action has no such request.
async fn crash_once(
    bench: &mut Bench,
    known: Option<&Rehearsal>,
    action: Action,
    name: &str,
    at: (Side, When, usize),
) -> Option<String> {
    let (side, when, nth) = at;
    let kind = bench.case.kind;
    let spec = spec(bench, known, action, name).await;
    if matches!(action, Action::Update | Action::Delete) {
        bench.world.create(kind, name, spec.clone()).await;
        bench.world.synced(kind, name).await;
    }
    // Of the last crash both may have happened, the trip and the end: then the trip is not to be taken for this one's.
    let _ = tokio::time::timeout(Duration::ZERO, bench.world.wire.tripped()).await;
    bench.world.wire.arm(side, when, nth);
    match action {
        Action::Create | Action::Adopt => bench.world.create(kind, name, spec).await,
        Action::Update => {
            let change = known.map_or_else(|| json!({"requestTimeout": "2s"}), |known| known.unit.change.clone());
            bench.world.spec(kind, name, change).await;
        }
        Action::Delete => bench.world.delete(kind, name).await,
    }
    tokio::select! {
        () = bench.world.wire.tripped() => {},
        () = settled(bench, known, action, name) => {},
    }
    let tripped = bench.world.wire.has_tripped();
    let request = bench.world.wire.seen(side).get(nth).map(|request| readable(request, name));
    println!("{action:?} crashed {when:?} {request:?}");
    bench.world.crash().await;
    bench.world.wire.disarm();
    bench.world.start();
    settled(bench, known, action, name).await;
    Box::pin(check(bench, known, action, name)).await;
    bench.world.sandbox.reset_exchanges();
    request.filter(|_| tripped)
}

/// The spec to begin with. For an adoption a stranger makes the same object, and the spec wants something else of it.
async fn spec(bench: &Bench, known: Option<&Rehearsal>, action: Action, name: &str) -> Value {
    let spec = bench.case.spec(name);
    let Some(known) = known.filter(|_| action == Action::Adopt) else { return spec };
    let theirs = bench.replay(&known.create).await;
    let claim = if bench.case.has_names() {
        json!({"name": known.create.request_body["name"], "lifecycle": {"adoption": "Adopt"}})
    } else {
        json!({"lifecycle": {"id": theirs}})
    };
    with(with(spec, known.unit.change.clone()), claim)
}

/// The action has had its effect, and nothing is left to do.
async fn settled(bench: &Bench, known: Option<&Rehearsal>, action: Action, name: &str) {
    if action == Action::Delete {
        bench.world.gone(bench.case.kind, name).await;
        return;
    }
    let resource = bench.world.synced(bench.case.kind, name).await;
    let Some(known) = known else { return };
    let place = known.place.of(&id(&resource));
    let wanted = if action == Action::Create { &known.made } else { &known.changed };
    let what = "the object is as it should be";
    bench.world.eventually(what, |_| is_within(wanted, &bare(bench.object(&place)))).await;
}

/// One object and its credentials; and when the resource is gone, everything is as it was before.
async fn check(bench: &Bench, known: Option<&Rehearsal>, action: Action, name: &str) {
    let world = &bench.world;
    let Some(known) = known else {
        if action != Action::Delete {
            end(bench, name).await;
        }
        return;
    };
    let (place, stranger) = &known.stranger;
    if action != Action::Delete {
        assert_eq!(bench.objects(&place.list).len(), known.count + 1, "{:#?}", bench.objects(&place.list));
        assert_eq!(bench.object(place), *stranger, "the stranger was touched");
        bench.check_credentials(&world.get(bench.case.kind, name).await.unwrap_or_default()).await;
        end(bench, name).await;
    }
    assert_eq!(bench.object(place), *stranger, "the stranger was touched");
    assert_eq!(bench.objects(&place.list).len(), known.count, "left behind: {:#?}", bench.objects(&place.list));
    assert!(plain(world.sandbox.state()) == known.empty, "something else was touched");
    assert!(world.values(&bench.case.output(name)).await.is_empty(), "the credentials are still there");
}

/// A request with words in the place of names and ids.
fn readable(request: &str, name: &str) -> String {
    let is_derived = |part: &str| part.len() == 26 && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
    let part = |part: &str| {
        if is_derived(part) || part.strip_prefix("stranger").is_some_and(|rest| rest.len() == 6) {
            "{id}".to_owned()
        } else if part.starts_with("portico-escrow-") {
            "portico-escrow-{id}".to_owned()
        } else {
            part.replace(name, "{name}")
        }
    };
    request.split('/').map(part).collect::<Vec<_>>().join("/")
}
