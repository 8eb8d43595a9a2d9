//! The record: complete, and without secrets.

use std::collections::BTreeMap;

use portico_sandbox::{Effect, Fault, Options, Sandbox};
use serde_json::{Value, json};

use crate::client::{Acme, id};

const SECRET: &str = "a-client-secret-of-the-provider";

#[tokio::test]
async fn no_secret_gets_into_the_record() {
    let acme = Acme::new();
    let portal = acme.portal(&format!("named like {}", acme.token)).await;
    let config = json!({"issuer_url": "https://idp.example.com", "client_id": "portal", "client_secret": SECRET});
    let providers = format!("{portal}/identity-providers");
    assert_eq!(acme.post(&providers, json!({"type": "oidc", "config": config})).await.status, 201);
    let refused = json!({"type": "other", "config": {"client_secret": "never accepted"}});
    assert_eq!(acme.post(&providers, refused).await.status, 400);
    acme.get(&format!("/v2/portals?filter[name]={}", acme.token)).await;

    let exchanges = acme.sandbox.exchanges();
    assert_eq!(exchanges.len(), 4);
    let text = serde_json::to_string(&exchanges).unwrap();
    for secret in acme.sandbox.secrets() {
        assert!(!text.contains(&secret));
    }
    assert!(!text.contains("never accepted"));
    let stars = "*".repeat(SECRET.len());
    assert_eq!(exchanges[1].request_body["config"]["client_secret"], json!(stars));
    assert_eq!(exchanges[1].request_headers["authorization"].len(), "Bearer ".len() + acme.token.len());
    assert!(exchanges[1].request_headers["authorization"].chars().all(|letter| letter == '*'));
}

#[tokio::test]
async fn an_exchange_says_what_was_asked_and_answered() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    acme.get("/v2/nothing").await;
    acme.sandbox.inject(Fault { operation: "*".to_owned(), effect: Effect::Reset, times: Some(1), organization: None });
    acme.delete(&portal).await;
    let record = serde_json::to_value(acme.sandbox.exchanges()).unwrap();
    let made = &record[0];
    for (key, expected) in [
        ("api", json!("konnect")),
        ("operation", json!("create-portal")),
        ("method", json!("POST")),
        ("url", json!("http://sandbox/v2/portals")),
        ("requestBody", json!({"name": "docs"})),
        ("status", json!(201)),
    ] {
        assert_eq!(made[key], expected, "{key}");
    }
    assert_eq!(made["responseHeaders"]["content-type"], "application/json");
    assert_eq!(made["responseBody"]["id"], json!(id(&portal)));
    assert_eq!(made["at"].as_str().unwrap().len(), "2026-01-01T00:00:00.000000Z".len());
    assert_eq!((&record[1]["operation"], &record[1]["status"]), (&Value::Null, &json!(404)));
    assert_eq!((&record[2]["operation"], &record[2]["status"]), (&json!("delete-portal"), &Value::Null));
    acme.sandbox.reset_exchanges();
    assert!(acme.sandbox.exchanges().is_empty());
}

#[tokio::test]
async fn calls_are_counted_and_coverage_names_every_operation() {
    let acme = Acme::new();
    acme.portal("docs").await;
    acme.post("/v2/portals", json!({})).await;
    acme.post("/v2/portals", json!({"name": "docs"})).await;
    assert_eq!(acme.sandbox.counters()["create-portal"], BTreeMap::from([(201, 1), (400, 1), (409, 1)]));
    let coverage = acme.sandbox.coverage();
    assert_eq!(coverage.as_object().unwrap().len(), 148, "those of ACP are listed too");
    let statuses = json!({"201": 1, "400": 1, "409": 1});
    let expected = json!({"resource": "Portal", "implemented": true, "calls": 3, "statuses": statuses});
    assert_eq!(coverage["create-portal"], expected);
    assert_eq!(coverage["get-portal-appearance"]["implemented"], false);
    acme.sandbox.reset_counters();
    assert!(acme.sandbox.counters().is_empty());
}

#[tokio::test]
async fn every_exchange_is_a_line_of_the_file() {
    let file = std::env::temp_dir().join(format!("portico-sandbox-{}.jsonl", std::process::id()));
    let sandbox = Sandbox::new(Options { exchanges: Some(file.clone()), ..Options::default() });
    let acme = Acme::of(sandbox);
    acme.portal("docs").await;
    acme.get("/v2/portals").await;
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(lines), serde_json::to_value(acme.sandbox.exchanges()).unwrap());
}
