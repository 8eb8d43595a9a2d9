//! Every field of a kind, changed alone: it reaches the API and comes back equal; and when a stranger changes it, that is found, told and
//! put back.
use std::{collections::BTreeSet, time::Duration};

use portico_sandbox::{Exchange, Snapshot};
use serde_json::{Value, json};

use super::{
    case::{kebab, snake},
    fixtures::Bench,
    remote::{Place, Scene, differing, is_within},
    table::Table,
    units::{OTHER, Unit, units},
};
use crate::{
    world::{World, condition, is_current},
    world_steps::{answered, ask_for_a_look, id},
};

/// What stands in the table for a field that the API server refuses to change.
const FIXED: [&str; 3] = ["when made; then refused", "cannot differ", "cannot differ"];

/// One resource, as in the example, whose fields are changed in turn.
struct Trial<'b> {
    bench: &'b Bench,
    place: Place,
    /// The request that made the object.
    create: Exchange,
}

pub(crate) async fn every_field(kind: &'static str) {
    let mut bench = Bench::new(kind, "fields", "1s").await;
    bench.case.make_exclusive();
    bench.copy_secrets(OTHER, true).await;
    let case = &bench.case;
    bench.world.create(kind, &case.name, case.spec(&case.name)).await;
    let resource = bench.world.synced(kind, &case.name).await;
    let (place, create) = (bench.place(&resource), bench.create_of(&id(&resource)));
    let trial = Trial { bench: &bench, place, create };
    trial.check_identity().await;
    let file = format!("conformance-{}", kebab(kind));
    let mut table = Table::new(&file, &["kind", "field", "applied", "drift found", "restored"]);
    for unit in units(case) {
        match unit {
            Ok(unit) => {
                let [applied, found, restored] = Box::pin(trial.vary(&unit)).await;
                table.row([kind, &unit.name, applied, found, restored]);
            }
            Err(missing) => {
                table.row([kind, &missing.name, "", "", ""]);
                table.note(format!("{}: {}.", missing.name, missing.why));
            }
        }
    }
    for (field, _) in case.schema["properties"].as_object().into_iter().flatten() {
        if let Some(why) = case.own(field) {
            table.note(format!("Not the API's: {field} ({why})."));
        }
    }
    // Events are sent in the background; those about one resource and one reason are counted in one.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let events = bench.world.events(&case.name).await;
    assert!(events.iter().any(|(reason, _)| reason == "DriftCorrected"), "{events:?}");
    table.assert_full();
    bench.world.end().await;
}

impl Trial<'_> {
    fn world(&self) -> &World {
        &self.bench.world
    }

    fn kind(&self) -> &'static str {
        self.bench.case.kind
    }

    fn name(&self) -> &str {
        &self.bench.case.name
    }

    fn scene(&self) -> Scene {
        self.bench.scene(&self.place)
    }

    async fn set(&self, patch: &Value) -> Value {
        self.world().spec(self.kind(), self.name(), patch.clone()).await;
        self.world().synced(self.kind(), self.name()).await
    }

    /// Which object it is cannot be changed.
    async fn check_identity(&self) {
        for field in self.bench.case.identity() {
            let other = if field.ends_with("Ref") { json!({"name": "another"}) } else { json!("another") };
            let patch = json!({"spec": {&field: other}});
            let refusal = self.world().try_patch(self.kind(), self.name(), patch).await.unwrap_err();
            assert!(refusal.contains(&format!("{field} cannot be")), "{refusal}");
        }
    }

    async fn vary(&self, unit: &Unit) -> [&'static str; 3] {
        // Shown where the test fails: it says how far it came.
        println!("{} {}", self.kind(), unit.name);
        if let Some((before, _)) = &unit.around {
            self.set(before).await;
        }
        let before = self.scene();
        self.world().sandbox.reset_exchanges();
        let patch = json!({"spec": unit.change});
        if let Err(refusal) = self.world().try_patch(self.kind(), self.name(), patch).await {
            let field = &unit.field;
            assert!(refusal.contains(&format!("{field} cannot be")), "{} is refused: {refusal}", unit.name);
            let sent = self.create.request_body.get(snake(field));
            assert!(sent.is_some(), "{field} was never sent: {:#}", self.create.request_body);
            return FIXED;
        }
        let members = self.check_applied(unit, &before).await;
        let theirs = self.world().sandbox.snapshot();
        let cost = self.go_back(unit, &before).await;
        let ours = self.world().sandbox.snapshot();
        self.check_report(unit, &theirs, members).await;
        self.set(&json!({"lifecycle": {"drift": "Correct"}})).await;
        self.assert_as(unit, &before, "after drift was to be corrected again");
        // What strangers have in the maps that they share with us goes.
        self.world().sandbox.restore(&ours);
        self.check_correction(unit, &theirs, &before, cost).await;
        self.world().sandbox.restore(&ours);
        if let Some((_, after)) = &unit.around {
            self.set(after).await;
        }
        ["yes", "yes", "yes"]
    }

    /// The change arrives, alone and once, and what comes back is as good as what was sent. Returns the members that differ by it.
    async fn check_applied(&self, unit: &Unit, before: &Scene) -> BTreeSet<String> {
        let resource = self.world().synced(self.kind(), self.name()).await;
        let (after, writes) = (self.scene(), self.bench.writes());
        assert!(*before != after, "{} does not reach the API", unit.name);
        let members = differing(&before.object, &after.object);
        let others = self.bench.case.fields().into_iter().filter(|field| *field != unit.field);
        let touched: Vec<String> = others.filter(|field| members.contains(&snake(field))).collect();
        assert!(touched.is_empty(), "with {} change {touched:?}", unit.name);
        self.check_value(unit, &after.object);
        if resource["status"]["parts"][&unit.field].is_null() {
            assert_eq!(writes.len(), 1, "{}: {writes:?}", unit.name);
        }
        let when = format!("{:x}", fastrand::u64(..));
        ask_for_a_look(self.world(), self.kind(), self.name(), &when).await;
        answered(self.world(), self.kind(), self.name(), &when).await;
        let resource = self.world().synced(self.kind(), self.name()).await;
        assert!(resource["status"]["drift"].is_null(), "{} did not come back equal: {resource:#}", unit.name);
        assert_eq!(self.bench.writes(), writes, "{} is written again", unit.name);
        members
    }

    /// Plain values are the API's own. Durations and times begin with a digit, and may come back in another form.
    fn check_value(&self, unit: &Unit, object: &Value) {
        let (sent, found) = (&unit.change[&unit.field], object.get(snake(&unit.field)));
        let is_plain = match sent {
            Value::String(text) => !text.starts_with(|first: char| first.is_ascii_digit()),
            other => other.is_boolean(),
        };
        if let Some(found) = found.filter(|_| is_plain) {
            assert_eq!(found, sent, "{} {}", self.kind(), unit.name);
        }
    }

    /// The spec goes back, and drift is only to be told from now on. Returns how many writes it took.
    async fn go_back(&self, unit: &Unit, before: &Scene) -> usize {
        self.world().sandbox.reset_exchanges();
        let mut patch = unit.back.clone();
        patch["lifecycle"] = json!({"drift": "Report"});
        self.set(&patch).await;
        let now = self.scene();
        let differing = differing(&before.object, &now.object);
        assert!(*before == now, "{} did not go back: {differing:?}", unit.name);
        self.bench.writes().len()
    }

    /// A stranger's change is found and told, without secrets, and left as it is.
    async fn check_report(&self, unit: &Unit, theirs: &Snapshot, mut members: BTreeSet<String>) {
        let world = self.world();
        members.extend([unit.field.clone(), snake(&unit.field)]);
        world.sandbox.reset_exchanges();
        world.sandbox.restore(theirs);
        if unit.is_deep {
            // That listings are compared is seen at whole fields.
            ask_for_a_look(world, self.kind(), self.name(), &unit.name).await;
        }
        let is_told = |o: &Value| is_current(o) && condition(o, "Synced", "reason") == "DriftDetected";
        let resource = world.until(self.kind(), self.name(), &format!("told of {}", unit.name), is_told).await;
        let conditions = ["Ready", "Synced"].map(|type_| condition(&resource, type_, "status"));
        assert_eq!(conditions, ["True", "False"], "{resource:#}");
        let drift = resource["status"]["drift"].as_array().cloned().unwrap_or_default();
        assert!(!drift.is_empty(), "{} is not named: {resource:#}", unit.name);
        for item in &drift {
            let first = item["path"].as_str().unwrap_or_default().split('.').next().unwrap_or_default();
            assert!(members.contains(first), "{item} is no drift in {} ({members:?})", unit.name);
        }
        let text = resource.to_string();
        assert!(!world.sandbox.secrets().iter().any(|secret| text.contains(secret)), "{} tells a secret", unit.name);
        assert_eq!(self.bench.writes(), [] as [String; 0], "{}", unit.name);
    }

    /// A stranger's change is put back, by as many writes as the user's own change took.
    async fn check_correction(&self, unit: &Unit, theirs: &Snapshot, before: &Scene, cost: usize) {
        let world = self.world();
        let known = corrected(world, self.kind());
        world.sandbox.reset_exchanges();
        world.sandbox.restore(theirs);
        let when = format!("{:x}", fastrand::u64(..));
        ask_for_a_look(world, self.kind(), self.name(), &when).await;
        let what = format!("{} is put back", unit.name);
        world.eventually(&what, |w| corrected(w, self.kind()) > known).await;
        answered(world, self.kind(), self.name(), &when).await;
        world.synced(self.kind(), self.name()).await;
        self.assert_as(unit, before, "after a stranger's change");
        assert_eq!(self.bench.writes().len(), cost, "{}: {:?}", unit.name, self.bench.writes());
    }

    fn assert_as(&self, unit: &Unit, before: &Scene, when: &str) {
        let now = self.scene();
        let is_same = if unit.is_open { is_within(&before.object, &now.object) } else { before.object == now.object };
        let differing = differing(&before.object, &now.object);
        assert!(is_same, "{} is not as it was {when}: {differing:?}", unit.name);
        assert!(before.rest == now.rest, "{}: something else is not as it was {when}", unit.name);
    }
}

/// How often drift in a kind was corrected.
fn corrected(world: &World, kind: &str) -> u64 {
    let (metrics, label) = (world.metrics.text(), format!("kind=\"{kind}\""));
    let is_it = |line: &&str| {
        line.starts_with("portico_drift_total{") && line.contains(&label) && line.contains("outcome=\"corrected\"")
    };
    let count = metrics.lines().find(is_it).and_then(|line| line.rsplit(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or_default()
}
