//! Every request of a create, an update, an adoption and a deletion, crashed before and after it: one object, as it should be, no stranger
//! touched, nothing stuck. The operator is dropped at the request and started again.
use std::time::Duration;

use portico_sandbox::{Exchange, Snapshot};
use serde_json::{Map, Value, json};

use super::{
    case::snake,
    fixtures::{Bench, STRANGER, with},
    life::check_reset,
    remote::{Place, bare, differing, is_within, plain},
    shape::Shape,
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
    /// The request that makes an object, and where it then is; where it is there without us, the one that changes it.
    create: Exchange,
    place: Place,
    /// The same request with other values.
    other: Exchange,
    /// What an update changes; none where nothing can be.
    unit: Option<Unit>,
    /// What all objects of the example have in common, as they are made and after the change.
    made: Value,
    changed: Value,
    /// A stranger's object.
    stranger: (Place, Value),
    /// How everything is before an action, and all that there is around the object.
    start: Snapshot,
    untouched: Value,
    rest: Value,
    count: usize,
}

pub(crate) async fn crash_everywhere(kind: &'static str, action: Action) {
    let head = ["kind", "action", "side", "request", "crash before", "crash after"];
    let mut table = Table::new(&format!("crash-{kind}-{action:?}").to_lowercase(), &head);
    // No sweep gets in between: only the action's own requests are counted.
    let mut bench = Bench::small(kind, &format!("crash-{action:?}").to_lowercase(), "1h").await;
    if let Some(why) = bench.case.shape.exempt(&format!("{action:?}")) {
        Box::pin(check_exempt(&bench, action)).await;
        table.row([kind, &format!("{action:?}"), "both", "none", why, why]);
        return bench.world.end().await;
    }
    let known = if bench.case.ops.is_some() { Some(Box::pin(rehearse(&bench)).await) } else { None };
    let end = match (action, &known) {
        (Action::Delete, _) if bench.case.shape == Shape::Singleton => "put back",
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

/// An action without requests of Portico's: a change is refused by the API server, and an end asks nothing and changes nothing.
async fn check_exempt(bench: &Bench, action: Action) {
    let (world, case, name) = (&bench.world, &bench.case, "over");
    world.create(case.kind, name, case.spec(name)).await;
    let resource = bench.done(name).await;
    let (place, scene) = (bench.place(&resource), bench.scene(&bench.place(&resource)));
    world.flush_audit().await;
    let before = bench.resource_writes(name).len();
    world.sandbox.reset_exchanges();
    if action == Action::Update {
        for field in case.fields() {
            let patch = json!({"spec": { &field: case.another(&field) }});
            let refusal = world.try_patch(case.kind, name, patch).await.unwrap_err();
            assert!(refusal.contains(&format!("{field} cannot be")), "{refusal}");
        }
    }
    end(bench, name).await;
    world.flush_audit().await;
    assert_eq!(bench.resource_writes(name).len(), before, "{:?}", bench.resource_writes(name));
    assert_eq!(bench.asked(&place.path), 0, "{:?}", bench.writes());
    assert!(bench.scene(&place) == scene, "what is over was changed");
}

/// Makes objects in peace to see how they look, and leaves a stranger behind that differs from all that is to come.
async fn rehearse(bench: &Bench) -> Rehearsal {
    let (case, unit, sandbox) = (&bench.case, simple(&bench.case), &bench.world.sandbox);
    let begin = sandbox.snapshot();
    let no_change = json!({});
    let change = unit.as_ref().map_or(&no_change, |unit| &unit.change);
    let first = try_out(bench, "first", case.spec("first"), change).await;
    put_back(bench, &begin);
    let second = try_out(bench, "second", case.spec("second"), change).await;
    put_back(bench, &begin);
    let third = try_out(bench, "third", case.fit(&case.changed, "third"), &no_change).await;
    put_back(bench, &begin);
    let stranger = if case.shape == Shape::Claimed {
        let people = bench.objects(&first.place.list).into_iter().find(|person| person["email"] == STRANGER);
        first.place.of(&id(&people.expect("a stranger has signed up")))
    } else if case.stands_alone() {
        bench.replay_elsewhere(&third.create).await
    } else {
        first.place.of(&bench.replay(&third.create).await)
    };
    let scene = bench.scene(&first.place);
    Rehearsal {
        made: in_common(&first.made, &second.made),
        changed: in_common(&first.changed, &second.changed),
        stranger: (stranger.clone(), bench.object(&stranger)),
        start: sandbox.snapshot(),
        untouched: scene.object,
        rest: scene.rest,
        count: bench.objects(&first.place.list).len(),
        create: first.create,
        place: first.place,
        other: third.create,
        unit,
    }
}

/// Everything is as it was at that time, also what does not go with its resource.
fn put_back(bench: &Bench, snapshot: &Snapshot) {
    if !bench.case.shape.leaves_nothing() {
        bench.world.sandbox.restore(snapshot);
    }
}

async fn try_out(bench: &Bench, name: &str, spec: Value, change: &Value) -> Seen {
    let (world, kind) = (&bench.world, bench.case.kind);
    world.create(kind, name, spec).await;
    let resource = bench.done(name).await;
    let place = bench.place(&resource);
    let (create, made) = (bench.create_of(&place), bare(bench.object(&place)));
    world.spec(kind, name, change.clone()).await;
    bench.done(name).await;
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
    if action == Action::Delete && bench.case.shape == Shape::Claimed {
        // What was put back has the id that it had before its DELETE. No API gives one out twice, and the process that deleted it takes it
        // for what an old listing shows.
        bench.world.crash().await;
        bench.world.start();
    }
    let spec = spec(bench, known, action, name).await;
    if matches!(action, Action::Update | Action::Delete) {
        bench.world.create(kind, name, spec.clone()).await;
        bench.done(name).await;
    }
    // Of the last crash both may have happened, the trip and the end: then the trip is not to be taken for this one's.
    let _ = tokio::time::timeout(Duration::ZERO, bench.world.wire.tripped()).await;
    bench.world.wire.arm(side, when, nth);
    match action {
        Action::Create | Action::Adopt => bench.world.create(kind, name, spec).await,
        Action::Update => {
            let change = known.map_or_else(|| json!({"requestTimeout": "2s"}), Rehearsal::change);
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

impl Rehearsal {
    fn change(&self) -> Value {
        self.unit.as_ref().map_or_else(|| json!({}), |unit| unit.change.clone())
    }

    /// How the object is after an action.
    fn wanted(&self, shape: Shape, action: Action) -> &Value {
        match action {
            Action::Create => &self.made,
            Action::Adopt if !shape.leaves_nothing() => &self.made,
            Action::Update | Action::Adopt | Action::Delete => &self.changed,
        }
    }
}

/// The spec to begin with. For an adoption a stranger makes the same object, and the spec wants something else of it; or makes something else
/// of the object that is there.
async fn spec(bench: &Bench, known: Option<&Rehearsal>, action: Action, name: &str) -> Value {
    let (case, spec) = (&bench.case, bench.case.spec(name));
    let Some(known) = known else { return spec };
    match action {
        // What is there without a resource goes only where the spec says so.
        Action::Delete if case.shape.is_given() => with(spec, json!({"lifecycle": {"deletion": "Delete"}})),
        Action::Create | Action::Update | Action::Delete => spec,
        Action::Adopt => {
            if !case.shape.leaves_nothing() {
                bench.replay(&known.other).await;
                return spec;
            }
            let theirs = bench.replay(&known.create).await;
            let claim = match (case.shape, case.known_by()) {
                (Shape::Made, Some(field)) => {
                    json!({ &field: known.create.request_body[snake(&field)], "lifecycle": {"adoption": "Adopt"} })
                }
                (Shape::Made, None) => json!({"lifecycle": {"id": theirs}}),
                _ => json!({"lifecycle": {"adoption": "Adopt"}}),
            };
            with(with(spec, known.change()), claim)
        }
    }
}

/// The action has had its effect, and nothing is left to do.
async fn settled(bench: &Bench, known: Option<&Rehearsal>, action: Action, name: &str) {
    if action == Action::Delete {
        bench.world.gone(bench.case.kind, name).await;
        return;
    }
    let resource = bench.done(name).await;
    let Some(known) = known else { return };
    let place = if bench.case.shape.is_alone() { known.place.clone() } else { known.place.of(&id(&resource)) };
    let is_done = || {
        let object = bench.object(&place);
        bench.case.is_as_told(&resource, &object) && is_within(known.wanted(bench.case.shape, action), &bare(object))
    };
    bench.world.eventually("the object is as it should be", |_| is_done()).await;
}

/// One object and its credentials; and when the resource is gone, everything is as it was before, but for what outlives its resource.
async fn check(bench: &Bench, known: Option<&Rehearsal>, action: Action, name: &str) {
    let (world, shape) = (&bench.world, bench.case.shape);
    let Some(known) = known else {
        if action != Action::Delete {
            end(bench, name).await;
        }
        return;
    };
    let (place, stranger) = &known.stranger;
    let count = || bench.objects(&known.place.list).len();
    if action != Action::Delete {
        let made = usize::from(!shape.is_given());
        assert_eq!(count(), known.count + made, "{:#?}", bench.objects(&known.place.list));
        assert_eq!(bench.object(place), *stranger, "the stranger was touched");
        bench.check_credentials(&world.get(bench.case.kind, name).await.unwrap_or_default()).await;
        end(bench, name).await;
    }
    assert_eq!(bench.object(place), *stranger, "the stranger was touched");
    let after = bench.scene(&known.place);
    match (shape, action) {
        (Shape::Made | Shape::Upserted | Shape::Sole, _) => {
            assert_eq!(count(), known.count, "left behind: {:#?}", bench.objects(&known.place.list));
            assert!(plain(world.sandbox.state()) == known.rest, "something else was touched");
        }
        (Shape::Claimed, Action::Delete) => assert!(after.object.is_null(), "left behind: {:#}", after.object),
        (Shape::Singleton, Action::Delete) => check_reset(&known.untouched, &after.object),
        (Shape::Claimed | Shape::Singleton | Shape::Action, _) => {
            assert!(is_within(known.wanted(shape, action), &after.object), "it did not stay: {:#}", after.object);
        }
    }
    assert!(after.rest == known.rest, "something else was touched");
    assert!(world.values(&bench.case.output(name)).await.is_empty(), "the credentials are still there");
    put_back(bench, &known.start);
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
