//! Objects that somebody else made: taken over when the user says so, by id or by what they are known by, and never twice.
use portico_sandbox::Exchange;
use serde_json::{Value, json};

use super::{
    fixtures::{Bench, with},
    remote::Place,
};
use crate::world_steps::id;

const NOTHING: [String; 0] = [];
/// Nobody has it.
const NOWHERE: &str = "00000000-1111-4222-8333-444444444444";

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
    world.sandbox.reset_exchanges();
    world.create(kind, &case.name, case.spec(&case.name)).await;
    let resource = world.synced(kind, &case.name).await;
    let others = Others { bench: &bench, create: bench.create_of(&id(&resource)), place: bench.place(&resource) };
    others.end(&others.place).await;
    others.are_bound_by_id().await;
    if case.has_names() {
        let theirs = bench.replay(&others.create).await;
        Box::pin(others.are_adopted(&theirs, json!({}))).await;
    }
    if let Some(field) = case.chosen_id() {
        let theirs = bench.replay(&others.create).await;
        Box::pin(others.are_adopted(&theirs, json!({ &field: &theirs }))).await;
        Box::pin(others.share_no_chosen_id(&field)).await;
    }
    bench.world.end().await;
}

impl Others<'_> {
    /// The resource and its object go.
    async fn end(&self, place: &Place) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        world.delete(case.kind, &case.name).await;
        world.gone(case.kind, &case.name).await;
        assert!(self.bench.object(place).is_null(), "the object is still there");
    }

    /// Waits until the resource is in order, and asserts that it has this object and that none was made.
    async fn has(&self, theirs: &str, count: usize) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        let resource = world.synced(case.kind, &case.name).await;
        assert_eq!(resource["status"]["id"], theirs);
        let writes = self.bench.writes();
        assert!(!writes.iter().any(|write| Some(write) == self.create.operation.as_ref()), "{writes:?}");
        assert_eq!(self.bench.objects(&self.place.list).len(), count, "there is another one");
        self.bench.check_credentials(&resource).await;
    }

    async fn are_bound_by_id(&self) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        let bound = |id: &str| with(case.spec(&case.name), json!({"lifecycle": {"id": id}}));
        world.sandbox.reset_exchanges();
        world.create(case.kind, &case.name, bound(NOWHERE)).await;
        let message = world.unready(case.kind, &case.name, "NotFound").await;
        assert!(message.contains(NOWHERE), "{message}");
        assert_eq!(self.bench.writes(), NOTHING, "an id only binds");
        world.delete(case.kind, &case.name).await;
        world.gone(case.kind, &case.name).await;
        let theirs = self.bench.replay(&self.create).await;
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

    /// An id that a user chose is the object's; a second resource that chose it says Conflict.
    async fn share_no_chosen_id(&self, field: &str) {
        let (world, case) = (&self.bench.world, &self.bench.case);
        let chosen = "chosen-by-a-user";
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
