//! Refusals that last, for kinds whose ids the client chooses: at most six requests in the first minute, fewer after.
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use portico::engine::Settings;
use portico_sandbox::{AcpSwitches, Effect, Exchange, Fault};
use serde_json::json;
use tokio::time::sleep;

use crate::world::World;

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

fn at(exchange: &Exchange) -> DateTime<Utc> {
    exchange.at.parse().expect("it is a time")
}

/// The requests about objects that were sent to a tenant.
fn sent_to(world: &World, tenant: &str) -> Vec<Exchange> {
    let here = format!("/api/admin/{tenant}/");
    world.sandbox.exchanges().into_iter().filter(|e| e.url.contains(&here)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lasting_refusal_costs_at_most_six_requests_in_its_first_minute() {
    let cases = [
        ("AuthorizationServer", "createAuthorizationServer", 503),
        ("AuthorizationServer", "createAuthorizationServer", 422),
        // The create says that the id is taken, and the look that it is not.
        ("Consent", "createConsent", 409),
        ("Consent", "createConsent", 429),
        ("Consent", "createConsent", 503),
        ("ConsentAction", "createConsentAction", 404),
    ];
    let mut world = World::still_acp("acp-last-minute", AcpSwitches::default()).await;
    world.settings = tenth(&world.settings);
    world.start();
    // Each has a tenant of its own, so that its requests can be told apart.
    let tenant = |kind: &str, status: u16| format!("{}-{status}", kind.to_lowercase());
    for (kind, create, status) in cases {
        let name = tenant(kind, status);
        let (id, secret) = world.sandbox.tenant(&name);
        world.keys(&name, &[("client_id", &id), ("client_secret", &secret)]).await;
        let effect = Effect::Status { status, retry_after: None, detail: None };
        let fault = Fault { operation: create.to_owned(), effect, times: None, organization: Some(name.clone()) };
        world.sandbox.inject(fault);
        let client = json!({"secretRef": {"name": name}});
        let spec = json!({
            "url": world.server.url(),
            "tenant": name,
            "clientCredentials": client,
            "requestTimeout": "1500ms",
        });
        world.create("AcpConnection", &name, spec).await;
    }
    for (kind, _, status) in cases {
        world.ready("AcpConnection", &tenant(kind, status)).await;
    }
    world.sandbox.reset_exchanges();
    for (kind, _, status) in cases {
        let name = tenant(kind, status);
        let mut spec = json!({"connectionRef": {"name": name}});
        if kind == "Consent" {
            spec["updateExistingGrants"] = json!("keepCurrent");
        }
        world.create(kind, &name, spec).await;
    }
    let tried = |w: &World| cases.iter().all(|(kind, _, status)| !sent_to(w, &tenant(kind, *status)).is_empty());
    world.eventually("all were tried", tried).await;
    sleep(Duration::from_secs(6)).await;
    for (kind, create, status) in cases {
        let name = tenant(kind, status);
        let sent = sent_to(&world, &name);
        let first = at(&sent[0]);
        let minute: Vec<&Exchange> = sent.iter().filter(|e| at(e) - first < TimeDelta::seconds(6)).collect();
        assert!(minute.len() <= 6, "{name}: {minute:#?}");
        assert!(minute.iter().any(|e| e.operation.as_deref() == Some(create)), "{name} was not tried");
    }
    world.end().await;
}
