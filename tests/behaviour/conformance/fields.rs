//! Every field of a kind, changed alone: it reaches the API and comes back equal; and when a stranger changes it, that is found, told and
//! put back.
use std::{collections::BTreeSet, time::Duration};

use portico_sandbox::{Exchange, Snapshot};
use serde_json::{Map, Value, json};

use super::{
    case::{kebab, snake},
    fixtures::{Bench, with},
    remote::{Place, Scene, WRITE_ONLY, differing, is_within},
    table::Table,
    units::{OTHER, Unit, units},
};
use crate::{
    world::{World, condition, is_current, merge},
    world_steps::{answered, ask_for_a_look},
};

/// What stands in the table for a field that the API server refuses to change.
const FIXED: [&str; 3] = ["when made; then refused", "cannot differ", "cannot differ"];

/// And for one that is as the user wants it, whoever changes it.
const YES: [&str; 3] = ["yes", "yes", "yes"];

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
    let resource = bench.done(&case.name).await;
    let place = bench.place(&resource);
    let create = bench.create_of(&place);
    let mut trial = Trial { bench: &bench, place, create };
    trial.check_identity().await;
    let file = format!("conformance-{}", kebab(kind));
    let mut table = Table::new(&file, &["kind", "field", "applied", "drift found", "restored"]);
    let mut is_corrected = false;
    for unit in units(case) {
        match unit {
            Ok(unit) => {
                let [applied, found, restored] = Box::pin(trial.vary(&unit)).await;
                table.row([kind, &unit.name, applied, found, restored]);
                is_corrected |= restored == YES[2];
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
    if let Some(why) = case.shape.exempt("drift") {
        table.note(format!("Exempt: drift ({why})."));
    } else {
        assert!(is_corrected, "no drift was ever corrected");
        // Events are sent in the background; those about one resource and one reason are counted in one.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let events = bench.world.events(&case.name).await;
        assert!(events.iter().any(|(reason, _)| reason == "DriftCorrected"), "{events:?}");
    }
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
            let patch = json!({"spec": {&field: self.bench.case.another(&field)}});
            let refusal = self.world().try_patch(self.kind(), self.name(), patch).await.unwrap_err();
            assert!(refusal.contains(&format!("{field} cannot be")), "{refusal}");
        }
    }

    async fn vary(&mut self, unit: &Unit) -> [&'static str; 3] {
        // Shown where the test fails: it says how far it came.
        println!("{} {}", self.kind(), unit.name);
        if let Some((before, _)) = &unit.around {
            self.set_and_follow(before).await;
        }
        let before = self.scene();
        self.world().sandbox.reset_exchanges();
        let patch = json!({"spec": unit.change});
        let taken = self.world().try_patch(self.kind(), self.name(), patch).await;
        let cells = match taken {
            Ok(_) => Box::pin(self.check_change(unit, &before)).await,
            Err(refusal) => Box::pin(self.check_fixed(unit, &before, &refusal)).await,
        };
        if let Some((_, after)) = &unit.around {
            self.set_and_follow(after).await;
            self.set(&json!({"lifecycle": {"replace": null}})).await;
        }
        cells
    }

    /// Changes the spec so that the object may be another one afterwards.
    async fn set_and_follow(&mut self, patch: &Value) {
        let resource = self.set(patch).await;
        self.place = self.bench.place(&resource);
    }

    /// A change that was taken: it arrives, and a stranger's is found, told and put back.
    async fn check_change(&self, unit: &Unit, before: &Scene) -> [&'static str; 3] {
        let members = self.check_applied(unit, before).await;
        if !members.is_empty() && members.iter().all(|member| member == WRITE_ONLY) {
            return Box::pin(self.check_unshown(unit, before)).await;
        }
        let theirs = self.world().sandbox.snapshot();
        let cost = self.go_back(unit, before).await;
        let ours = self.world().sandbox.snapshot();
        self.check_report(unit, &theirs, members).await;
        self.set(&json!({"lifecycle": {"drift": "Correct"}})).await;
        self.assert_as(unit, before, "after drift was to be corrected again");
        // What strangers have in the maps that they share with us goes.
        self.world().sandbox.restore(&ours);
        self.check_correction(unit, &theirs, before, cost).await;
        self.world().sandbox.restore(&ours);
        YES
    }

    /// A value that the API takes and never shows: a stranger's cannot be seen, and is no reason to send anything; but another value in the
    /// Secret is sent, once.
    async fn check_unshown(&self, unit: &Unit, before: &Scene) -> [&'static str; 3] {
        let (world, changed, theirs) = (self.world(), self.scene(), self.world().sandbox.snapshot());
        self.set(&unit.back).await;
        self.assert_as(unit, before, "after the spec went back");
        let ours = world.sandbox.snapshot();
        world.sandbox.reset_exchanges();
        world.sandbox.restore(&theirs);
        let when = format!("{:x}", fastrand::u64(..));
        ask_for_a_look(world, self.kind(), self.name(), &when).await;
        answered(world, self.kind(), self.name(), &when).await;
        let resource = world.synced(self.kind(), self.name()).await;
        assert!(resource["status"]["drift"].is_null(), "{} cannot be seen: {resource:#}", unit.name);
        assert_eq!(self.bench.writes(), [] as [String; 0], "{} is sent again and again", unit.name);
        world.sandbox.restore(&ours);
        let example = &self.bench.case.example;
        let references = secret_references(&json!({ &unit.field: example[&unit.field] }));
        let others = secret_references(&with(json!({ &unit.field: example[&unit.field] }), unit.change.clone()));
        assert_eq!((references.len(), others.len()), (1, 1), "{} names one Secret", unit.name);
        for (by, wanted) in [(&others[0], &changed), (&references[0], before)] {
            world.sandbox.reset_exchanges();
            self.bench.renew(&references[0], by).await;
            let what = format!("another value for {} arrives", unit.name);
            world.eventually(&what, |_| self.scene().object == wanted.object).await;
            world.synced(self.kind(), self.name()).await;
            assert!(self.scene() == *wanted, "with {} something else changes", unit.name);
            assert_eq!(self.bench.writes().len(), 1, "{}: {:?}", unit.name, self.bench.writes());
        }
        ["yes", "the API does not show it", "sent when its Secret changes"]
    }

    /// What the API server refuses to change was sent when the object was made; where the refusal says so, the object can be made again.
    async fn check_fixed(&mut self, unit: &Unit, before: &Scene, refusal: &str) -> [&'static str; 3] {
        assert!(refusal.contains(&format!("{} cannot be", unit.name)), "{} is refused: {refusal}", unit.name);
        let member = snake(unit.name.rsplit('.').next().unwrap_or_default());
        let sent = &self.create.request_body;
        assert!(has_member(sent, &member), "{} was never sent: {sent:#}", unit.name);
        let mut again = unit.change.clone();
        merge(&mut again, json!({"lifecycle": {"replace": "Allow"}}));
        let is_replaceable = refusal.contains("lifecycle.replace: Allow");
        // Where more would have to change with it, that is another test's.
        let patch = json!({ "spec": again });
        if !is_replaceable || self.world().try_patch(self.kind(), self.name(), patch).await.is_err() {
            return FIXED;
        }
        Box::pin(self.check_replaced(unit, before)).await
    }

    /// With the user's leave the object is deleted and made again: for the user's change, and to put back a stranger's.
    async fn check_replaced(&mut self, unit: &Unit, before: &Scene) -> [&'static str; 3] {
        let resource = self.bench.done(self.name()).await;
        self.place = self.bench.place(&resource);
        let members = differing(&before.object, &self.scene().object);
        assert!(members.contains(&snake(&unit.field)), "{} does not reach the API: {members:?}", unit.name);
        self.check_value(unit, &self.scene().object);
        let exchanges = self.world().sandbox.exchanges();
        let sent = |is: &dyn Fn(&Exchange) -> bool| exchanges.iter().filter(|exchange| is(exchange)).count();
        let (gone, made) = (
            sent(&|exchange| exchange.method == "DELETE"),
            sent(&|exchange| exchange.operation == self.create.operation),
        );
        assert_eq!((gone, made), (1, 1), "{}: {:?}", unit.name, self.bench.writes());
        let theirs = self.world().sandbox.snapshot();
        self.set_and_follow(&unit.back).await;
        self.assert_made_again_as(unit, before);
        self.set(&json!({"lifecycle": {"replace": null, "drift": "Report"}})).await;
        self.check_report(unit, &theirs, members).await;
        self.set_and_follow(&json!({"lifecycle": {"replace": "Allow", "drift": "Correct"}})).await;
        self.assert_made_again_as(unit, before);
        self.set(&json!({"lifecycle": {"replace": null}})).await;
        ["when made, or made again where that is allowed", "yes", "made again"]
    }

    fn assert_made_again_as(&self, unit: &Unit, before: &Scene) {
        let stable = |object: &Value| {
            let members = object.as_object().into_iter().flatten();
            let members = members.filter(|(member, _)| *member != "id" && !member.ends_with("_at"));
            members.map(|(member, value)| (member.clone(), value.clone())).collect::<Map<String, Value>>()
        };
        let now = self.scene();
        let differing = differing(&before.object, &now.object);
        assert!(stable(&before.object) == stable(&now.object), "{} was not put back: {differing:?}", unit.name);
        assert!(before.rest == now.rest, "{}: something else was changed", unit.name);
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

/// Whether a body has a member of this name, at any depth.
fn has_member(body: &Value, name: &str) -> bool {
    match body {
        Value::Object(members) => members.iter().any(|(key, member)| key == name || has_member(member, name)),
        Value::Array(items) => items.iter().any(|item| has_member(item, name)),
        _ => false,
    }
}

/// The references to Secrets in a part of a spec.
fn secret_references(value: &Value) -> Vec<Value> {
    let members = value.as_object().into_iter().flatten();
    let of = |(key, member): (&String, &Value)| {
        if key.to_lowercase().ends_with("secretref") { vec![member.clone()] } else { secret_references(member) }
    };
    members.flat_map(of).collect()
}
