//! Objects that somebody else made: taken over when the user says so, by id or by what they are known by, and never twice; what a spec names
//! that only others can make, or that every parent has, is simply taken.
use portico_sandbox::Exchange;
use serde_json::{Value, json};

use super::{
    case::kebab,
    fixtures::{Bench, with},
    remote::Place,
    shape::Shape,
    table::Table,
};
use crate::{
    world::{condition, is_current},
    world_steps::{ask_for_a_look, id},
};

const NOTHING: [String; 0] = [];
/// Nobody has it.
const NOWHERE: &str = "00000000-1111-4222-8333-444444444444";
/// Nobody signs up with it before a test says so.
const LATER: &str = "later@example.com";

/// How strangers make objects, and where those are.
struct Others<'b> {
    bench: &'b Bench,
    /// What Portico sent once.
    create: Exchange,
    place: Place,
}

pub(crate) async fn strangers(kind: &'static str) {
    let bench = Bench::new(kind, "strangers", "1h").await;
    let (world, case) = (&bench.world, &bench.case);
    let mut table = Table::new(&format!("strangers-{}", kebab(kind)), &["kind", "a stranger's object", "holds"]);
    let untouched = world.sandbox.snapshot();
    world.sandbox.reset_exchanges();
    world.create(kind, &case.name, case.spec(&case.name)).await;
    let place = bench.place(&bench.done(&case.name).await);
    let others = Others { bench: &bench, create: bench.create_of(&place), place };
    others.end(&others.place).await;
    if case.shape.is_given() {
        world.sandbox.restore(&untouched);
    }
    let mut held = |what: &str| table.row([kind, what, case.shape.exempt(what).unwrap_or("yes")]);
    if case.shape.exempt("is bound by id").is_none() {
        Box::pin(others.are_bound_by_id()).await;
    }
    held("is bound by id");
    if case.shape.is_given() {
        world.sandbox.restore(&untouched);
    }
    let is_refused = case.shape.exempt("is refused until it is adopted").is_none();
    if is_refused && (case.known_by().is_some() || case.shape != Shape::Made) {
        let theirs = bench.replay(&others.create).await;
        Box::pin(others.are_adopted(&theirs, json!({}))).await;
    }
    if let Some(field) = case.chosen_id() {
        if case.shape == Shape::Made {
            let theirs = bench.replay(&others.create).await;
            Box::pin(others.are_adopted(&theirs, json!({ &field: &theirs }))).await;
        }
        Box::pin(others.share_no_chosen_id(&field)).await;
    }
    held("is refused until it is adopted");
    match case.shape {
        Shape::Claimed => {
            Box::pin(others.are_taken_as_they_are()).await;
            world.sandbox.restore(&untouched);
            Box::pin(others.are_waited_for()).await;
            held("is waited for");
        }
        Shape::Singleton => Box::pin(others.are_taken_as_they_are()).await,
        Shape::Action => {
            Box::pin(others.are_not_mistaken()).await;
            held("is not mistaken for ours");
        }
        Shape::Made | Shape::Upserted | Shape::Sole => {}
    }
    table.assert_full();
    bench.world.end().await;
}

impl Others<'_> {
    /// The resource goes, and with it its object, unless that is there without it.
    async fn end(&self, place: &Place) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        world.delete(case.kind, &case.name).await;
        world.gone(case.kind, &case.name).await;
        assert_eq!(self.bench.object(place).is_null(), case.shape.leaves_nothing(), "{:#}", self.bench.object(place));
    }

    /// Waits until the resource is in order, and asserts that it has this object and that none was made.
    async fn has(&self, theirs: &str, count: usize) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        let resource = world.synced(case.kind, &case.name).await;
        assert_eq!(resource["status"]["id"], theirs);
        let writes = self.bench.writes();
        let makes = |write: &String| !case.shape.is_given() && Some(write) == self.create.operation.as_ref();
        assert!(!writes.iter().any(makes), "{writes:?}");
        assert_eq!(self.bench.objects(&self.place.list).len(), count, "there is another one");
        self.bench.check_credentials(&resource).await;
    }

    async fn are_bound_by_id(&self) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        let bound = |id: &str| with(case.spec(&case.name), json!({"lifecycle": {"id": id}}));
        // Where the spec says which object it is, that one is not there yet. A parent always has what it always has.
        let missing = match case.shape {
            Shape::Upserted | Shape::Sole => Some(self.place.id.as_str()),
            Shape::Singleton => None,
            Shape::Made | Shape::Claimed | Shape::Action => Some(NOWHERE),
        };
        if let Some(missing) = missing {
            world.sandbox.reset_exchanges();
            world.create(case.kind, &case.name, bound(missing)).await;
            let message = world.unready(case.kind, &case.name, "NotFound").await;
            assert!(message.contains(missing), "{message}");
            assert_eq!(self.bench.writes(), NOTHING, "an id only binds");
            world.delete(case.kind, &case.name).await;
            world.gone(case.kind, &case.name).await;
        }
        let theirs = if case.shape.is_given() { self.place.id.clone() } else { self.bench.replay(&self.create).await };
        let count = self.bench.objects(&self.place.list).len();
        world.sandbox.reset_exchanges();
        world.create(case.kind, &case.name, bound(&theirs)).await;
        self.has(&theirs, count).await;
        self.end(&self.place.of(&theirs)).await;
    }

    /// A stranger's object where the resource's own is to be: refused untouched, with the way to adopt it; then adopted.
    async fn are_adopted(&self, theirs: &str, claim: Value) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        let (place, count) = (self.place.of(theirs), self.bench.objects(&self.place.list).len());
        let before = self.bench.scene(&place);
        world.sandbox.reset_exchanges();
        world.create(case.kind, &case.name, with(case.spec(&case.name), claim)).await;
        let message = world.unready(case.kind, &case.name, "AlreadyExists").await;
        assert!(message.contains("adoption: Adopt"), "{message}");
        assert_eq!(self.bench.writes(), NOTHING, "a stranger's object is written to");
        assert!(self.bench.scene(&place) == before, "a stranger's object is changed");
        world.spec(case.kind, &case.name, json!({"lifecycle": {"adoption": "Adopt"}})).await;
        self.has(theirs, count).await;
        self.end(&place).await;
    }

    /// What the spec names is there: nobody has to say that it may be taken, and nothing but it is written to, once.
    async fn are_taken_as_they_are(&self) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        let (before, count) = (self.bench.scene(&self.place), self.bench.objects(&self.place.list).len());
        world.sandbox.reset_exchanges();
        let refused = with(case.spec(&case.name), json!({"lifecycle": {"adoption": "Refuse"}}));
        world.create(case.kind, &case.name, refused).await;
        self.has(&self.place.id, count).await;
        let after = self.bench.scene(&self.place);
        assert!(before.object != after.object && before.rest == after.rest, "something else was touched");
        assert_eq!(self.bench.writes().len(), 1, "{:?}", self.bench.writes());
        self.end(&self.place).await;
        assert!(self.bench.scene(&self.place) == after, "it did not stay as it was");
    }

    /// What nobody has made yet is waited for in good order, and taken once it is there.
    async fn are_waited_for(&self) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        let field = case.known_by().expect("a spec names what it claims");
        world.sandbox.reset_exchanges();
        world.create(case.kind, &case.name, with(case.spec(&case.name), json!({ &field: LATER }))).await;
        let is = |bound: &'static str| {
            move |o: &Value| {
                let holds = |type_: &str| condition(o, type_, "status") == "True";
                is_current(o) && holds("Ready") && holds("Synced") && condition(o, "Bound", "status") == bound
            }
        };
        let resource = world.until(case.kind, &case.name, "waited", is("False")).await;
        assert!(condition(&resource, "Bound", "message").contains(LATER), "{resource:#}");
        assert!(resource["status"]["id"].is_null(), "{resource:#}");
        assert_eq!(self.bench.writes(), NOTHING, "writes for what is not there");
        let mut portals = world.portals().into_iter();
        let portal = portals.next().map(|portal| id(&portal)).expect("people sign up in a portal");
        let theirs = world.sign_up(&portal, LATER);
        ask_for_a_look(world, case.kind, &case.name, "now").await;
        let resource = world.until(case.kind, &case.name, "was bound", is("True")).await;
        assert_eq!(resource["status"]["id"], theirs.as_str());
        self.end(&self.place.of(&theirs)).await;
    }

    /// What a stranger did is not what the resource says: it is done all the same.
    async fn are_not_mistaken(&self) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        self.bench.replay(&self.create).await;
        world.sandbox.reset_exchanges();
        world.create(case.kind, &case.name, case.spec(&case.name)).await;
        let resource = self.bench.done(&case.name).await;
        assert!(case.is_as_told(&resource, &self.bench.object(&self.place)), "a stranger's was taken for it");
        assert_eq!(self.bench.writes().len(), 1, "{:?}", self.bench.writes());
    }

    /// An id that a user chose is the object's; a second resource that chose it says Conflict.
    async fn share_no_chosen_id(&self, field: &str) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        let chosen = if case.shape == Shape::Upserted { self.place.id.as_str() } else { "chosen-by-a-user" };
        let claim = json!({ field: chosen });
        world.create(case.kind, &case.name, with(case.spec(&case.name), claim.clone())).await;
        assert_eq!(id(&world.synced(case.kind, &case.name).await), chosen);
        let place = self.place.of(chosen);
        let before = self.bench.scene(&place);
        assert!(before.object.is_object(), "nothing has the id that was chosen");
        world.sandbox.reset_exchanges();
        world.create(case.kind, "rival", with(case.spec("rival"), claim)).await;
        let message = world.unready(case.kind, "rival", "Conflict").await;
        assert!(message.contains(&case.name), "{message}");
        world.delete(case.kind, "rival").await;
        world.gone(case.kind, "rival").await;
        assert_eq!(self.bench.writes(), NOTHING, "writes by the younger one");
        assert!(self.bench.scene(&place) == before, "the younger one changed something");
        self.end(&place).await;
    }
}
