//! One seed and one clock decide everything.

use portico_sandbox::{AcpPlant, Clock, Options, Sandbox};
use serde_json::{Value, json};

use crate::client::Acme;

const START: &str = "2020-02-02T00:00:00Z";
/// As every time begins that is within ten minutes of the start.
const SOON: &str = "2020-02-02T00:0";

fn seeded(seed: u64) -> Acme {
    let clock = Clock::Tokio { start: START.parse().unwrap() };
    Acme::of(Sandbox::new(Options { seed: Some(seed), clock, ..Options::default() }))
}

/// Leaves out the times, which are those of this run.
fn leave_out_times(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with(SOON) => text.clear(),
        Value::Array(items) => items.iter_mut().for_each(leave_out_times),
        Value::Object(members) => {
            members.remove("client_id_issued_at");
            members.values_mut().for_each(leave_out_times);
        }
        _ => {}
    }
}

/// All that a sandbox of this seed shows after some calls.
async fn story(seed: u64) -> Value {
    let acme = seeded(seed);
    let portal = acme.portal("docs").await;
    acme.team(&portal, "core").await;
    acme.developer(&portal, "ann@example.com");
    acme.get("/v2/nothing").await;
    let client = acme.sandbox.tenant("acme");
    let server = acme.sandbox.plant_acp("acme", AcpPlant::Server(json!({"name": "Shop"}))).unwrap();
    let mut shown = json!({
        "token": acme.token,
        "client": client,
        "server": server,
        "state": acme.sandbox.state(),
        "exchanges": acme.sandbox.exchanges(),
        "secrets": acme.sandbox.secrets(),
    });
    leave_out_times(&mut shown);
    shown
}

#[tokio::test]
async fn the_same_seed_gives_the_same_answers() {
    assert_eq!(story(7).await, story(7).await);
    let (seven, eight) = (story(7).await, story(8).await);
    for shown in ["token", "client", "server", "state", "exchanges", "secrets"] {
        assert_ne!(seven[shown], eight[shown], "{shown}");
    }
}

#[tokio::test]
async fn every_time_is_the_clocks() {
    let acme = seeded(7);
    let portal = acme.portal("docs").await;
    let found = acme.get(&portal).await;
    let exchanges = acme.sandbox.exchanges();
    for time in [&found.body["created_at"], &found.body["updated_at"], &json!(exchanges[0].at)] {
        assert!(time.as_str().is_some_and(|time| time.starts_with(SOON)), "{time}");
    }
}

#[tokio::test]
async fn going_back_brings_no_id_a_second_time() {
    let acme = seeded(7);
    let before = acme.sandbox.snapshot();
    let portal = acme.portal("docs").await;
    acme.sandbox.restore(&before);
    assert_eq!(acme.get(&portal).await.status, 404);
    assert_ne!(acme.portal("docs").await, portal);
}
