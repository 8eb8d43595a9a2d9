//! Issue 3, "Bad input, and what it gets": refusals and failures of the API that last, and how seldom they are asked for.
use std::time::Duration;

use chrono::{DateTime, FixedOffset, TimeDelta};
use portico::{engine::Settings, remote::AllowList};
use portico_sandbox::{Effect, Exchange, Fault, Plant, Server};
use serde_json::json;
use tokio::time::sleep;

use crate::world::World;

/// A refusal in the API's own shape, in other words each time.
fn refusal(operation: &str, status: u16) -> Fault {
    let effect = Effect::Status { status, retry_after: None, detail: None };
    Fault { operation: operation.to_owned(), effect, times: None, organization: None }
}

fn at(exchange: &Exchange) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(&exchange.at).expect("RFC 3339")
}

/// The exchanges from the first one on, for so long.
fn within(exchanges: &[Exchange], window: TimeDelta) -> Vec<&Exchange> {
    exchanges.iter().filter(|e| at(e) - at(&exchanges[0]) < window).collect()
}

fn of_operation(exchanges: Vec<Exchange>, operation: &str) -> Vec<Exchange> {
    exchanges.into_iter().filter(|e| e.operation.as_deref() == Some(operation)).collect()
}

/// What happened to the Portal `docs` through Portico, by the audit log.
async fn writes_to_docs(world: &World) -> Vec<String> {
    world.flush_audit().await;
    world.kubernetes_writes().into_iter().filter(|w| w.ends_with(" docs")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_whose_text_differs_each_time_is_written_once_and_disturbs_no_backoff() {
    let mut world = World::still("last-text").await;
    (world.settings.backoff, world.settings.backoff_max) = (Duration::from_millis(400), Duration::from_millis(800));
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    let before = writes_to_docs(&world).await.len();
    world.sandbox.inject(refusal("update-portal", 503));
    world.sandbox.reset_exchanges();
    world.spec("Portal", "docs", json!({"description": "changed"})).await;
    world.unready("Portal", "docs", "RemoteUnavailable").await;
    world.eventually("it is tried again and again", |w| w.calls("update-portal") >= 5).await;
    let tries = of_operation(world.sandbox.exchanges(), "update-portal");
    // At 0, 0.4 and 1.2 s, and up to a quarter later; the next is at 2 s. Sweeps see the difference once a second and wake nobody.
    assert!(within(&tries, TimeDelta::milliseconds(1900)).len() <= 3, "the backoff was disturbed");
    assert_eq!(writes_to_docs(&world).await[before..], ["patch portals/status docs"]);
    world.sandbox.clear_faults();
    world.synced("Portal", "docs").await;
    assert_eq!(world.only("docs")["description"], "changed");
    world.end().await;
}

/// The same for a create, of which nobody knows whether it took effect.
#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_fails_in_other_words_each_time_is_written_once() {
    let world = World::new("last-create").await;
    world.sandbox.inject(refusal("create-portal", 503));
    world.portal("docs", json!({})).await;
    world.eventually("it is tried again and again", |w| w.calls("create-portal") >= 3).await;
    assert_eq!(writes_to_docs(&world).await, ["patch portals docs", "patch portals/status docs"]);
    world.sandbox.clear_faults();
    world.synced("Portal", "docs").await;
    assert_eq!(world.named("docs").len(), 1);
    world.end().await;
}

/// DESIGN.md, section 4: what is volatile goes to the event and the log.
#[tokio::test(flavor = "multi_thread")]
async fn trace_ids_stay_out_of_conditions_and_stand_in_the_event() {
    let world = World::new("last-trace").await;
    world.sandbox.inject(refusal("create-portal", 503));
    world.portal("docs", json!({})).await;
    let message = world.unready("Portal", "docs", "RemoteUnavailable").await;
    assert!(message.contains("a fault was asked for"), "the API's own words: {message}");
    assert!(!message.contains("kong:trace"), "{message}");
    sleep(Duration::from_millis(500)).await;
    let events = world.events("docs").await;
    assert!(events.iter().any(|(_, note)| note.contains("kong:trace")), "{events:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_obeyed_by_every_resource_of_the_connection() {
    let world = World::new("last-429").await;
    world.portal("settled", json!({})).await;
    world.synced("Portal", "settled").await;
    let effect = Effect::Status { status: 429, retry_after: Some("2".to_owned()), detail: None };
    let once = Fault { operation: "create-portal".to_owned(), effect, times: Some(1), organization: None };
    world.sandbox.inject(once);
    world.sandbox.reset_exchanges();
    world.portal("refused", json!({})).await;
    world.unready("Portal", "refused", "RateLimited").await;
    world.portal("another", json!({})).await;
    world.spec("Portal", "settled", json!({"description": "changed"})).await;
    for portal in ["refused", "another", "settled"] {
        world.synced("Portal", portal).await;
        assert_eq!(world.named(portal).len(), 1);
    }
    let exchanges = world.sandbox.exchanges();
    let refused = exchanges.iter().find(|e| e.status == 429).expect("it was refused once");
    // What was under way at that moment is still answered.
    let pause = TimeDelta::milliseconds(200)..TimeDelta::seconds(2);
    let early: Vec<&Exchange> = exchanges.iter().filter(|e| pause.contains(&(at(e) - at(refused)))).collect();
    assert!(early.is_empty(), "{early:#?}");
    world.end().await;
}

/// Every window is a tenth of what people run with, so that a minute lasts 6 s.
fn tenth(settings: &Settings) -> Settings {
    Settings {
        backoff: Duration::from_secs(1),
        backoff_max: Duration::from_secs(30),
        stalled: Duration::from_secs(30),
        stalled_max: Duration::from_secs(180),
        patience: Duration::from_secs(6),
        consistency: Duration::from_secs(3),
        ..settings.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lasting_refusal_costs_at_most_six_requests_in_its_first_minute() {
    let cases =
        [("Portal", 503), ("Portal", 429), ("Portal", 409), ("Portal", 400), ("PortalTeam", 503), ("PortalTeam", 409)];
    let create = |kind: &str| if kind == "Portal" { "create-portal" } else { "create-portal-team" };
    let mut world = World::still("last-minute").await;
    world.settings = tenth(&world.settings);
    // Each has an organization and an address of its own, so that its requests can be told apart.
    let mut objects: Vec<(&str, u16, String, Server)> = Vec::new();
    for (kind, status) in cases {
        let name = format!("{}-{status}", kind.to_lowercase());
        world.secret(&name, &world.sandbox.organization(&name)).await;
        world.sandbox.inject(Fault { organization: Some(name.clone()), ..refusal(create(kind), status) });
        objects.push((kind, status, name, world.sandbox.serve("127.0.0.1:0".parse().unwrap()).await.unwrap()));
    }
    let urls: Vec<String> = objects.iter().map(|(.., server)| server.url()).collect();
    world.settings.allow = AllowList::new(&urls).unwrap();
    world.start();
    for (_, _, name, server) in &objects {
        let spec = json!({"url": server.url(), "tokenSecretRef": {"name": name}, "requestTimeout": "1500ms"});
        world.create("KonnectConnection", name, spec).await;
    }
    for (_, _, name, _) in &objects {
        world.ready("KonnectConnection", name).await;
    }
    world.sandbox.reset_exchanges();
    for (kind, _, name, _) in &objects {
        let mut spec = json!({"connectionRef": {"name": name}});
        if *kind == "PortalTeam" {
            let portal = world.sandbox.plant(name, Plant::Portal(json!({"name": "a stranger's"}))).unwrap();
            spec["portalRef"] = json!({"id": portal});
        }
        world.create(kind, name, spec).await;
    }
    let of = |world: &World, server: &Server| -> Vec<Exchange> {
        let here = format!("{}/", server.url());
        world.sandbox.exchanges().into_iter().filter(|e| e.url.starts_with(&here)).collect()
    };
    world.eventually("all were tried", |w| objects.iter().all(|(.., server)| !of(w, server).is_empty())).await;
    sleep(Duration::from_secs(6)).await;
    for (kind, status, name, server) in &objects {
        let exchanges = of(&world, server);
        let first_minute = within(&exchanges, TimeDelta::seconds(6));
        assert!(first_minute.len() <= 6, "{name}: {first_minute:#?}");
        let tries = first_minute.iter().filter(|e| e.operation.as_deref() == Some(create(kind))).count();
        match (*kind, status) {
            // It names a field: nothing helps but a change.
            (_, 400) => assert_eq!(tries, 1, "{name}"),
            ("Portal", _) => assert!(tries >= 2, "{name} is not tried again"),
            _ => {}
        }
        assert_eq!(world.is_stalled(kind, name).await, [400, 409].contains(status), "{name}");
    }
    world.end().await;
}
