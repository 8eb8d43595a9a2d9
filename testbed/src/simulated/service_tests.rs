//! What an interceptor can do to a request.
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::Client;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::simulated::{
    Call, Effect, Loss, Refusal, Simulated, Verb, Verdict,
    support::{config_map, path, send, server, widget, widgets},
};

/// An API server that does this to every PATCH, and a client of it.
fn spoiled(verdict: Verdict) -> (Simulated, Client) {
    let server = server();
    server.create("user", config_map("a")).unwrap();
    server.intercept(Some(Arc::new(move |call: &Call| match call.verb {
        Verb::Patch => verdict.clone(),
        _ => Verdict::proceed(),
    })));
    let client = server.client("test");
    (server, client)
}

async fn patch(client: &Client) -> Result<(), kube::Error> {
    let api = kube::Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(client.clone(), "default");
    let change = kube::api::Patch::Merge(json!({"data": {"a": "2"}}));
    api.patch("a", &kube::api::PatchParams::default(), &change).await.map(drop)
}

fn value(server: &Simulated) -> String {
    server.get("configmaps", "default", "a").unwrap()["data"]["a"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_request_can_be_lost_before_or_after_it_takes_effect() {
    for (effect, expected) in [(Effect::LoseRequest(Loss::Reset), "1"), (Effect::LoseAnswer(Loss::Reset), "2")] {
        let (server, client) = spoiled(effect.into());
        assert!(matches!(patch(&client).await.unwrap_err(), kube::Error::Service(_)));
        assert_eq!(value(&server), expected);
    }
    let (server, client) = spoiled(Effect::LoseAnswer(Loss::Silence).into());
    assert!(timeout(Duration::from_secs(3600), patch(&client)).await.is_err());
    assert_eq!(value(&server), "2");
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_takes_effect_even_when_nobody_waits_for_it() {
    let verdict = Verdict { before: Duration::from_secs(20), after: Duration::from_secs(5), ..Verdict::proceed() };
    let (server, client) = spoiled(verdict);
    let begun = Instant::now();
    assert!(timeout(Duration::from_secs(10), patch(&client)).await.is_err());
    assert_eq!(value(&server), "1");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(value(&server), "2");
    patch(&client).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 10 + 11 + 25);
}

#[tokio::test(start_paused = true)]
async fn a_request_can_be_answered_with_any_refusal() {
    let (server, client) = spoiled(Effect::Answer(Refusal::new(429, "TooManyRequests", "later")).into());
    let refused = patch(&client).await.unwrap_err();
    assert!(
        matches!(&refused, kube::Error::Api(status) if status.code == 429 && status.message == "later"),
        "{refused}"
    );
    assert_eq!(value(&server), "1");
}

#[tokio::test(start_paused = true)]
async fn a_read_can_be_stale() {
    let server = server();
    server.create("user", widget("a")).unwrap();
    let then = server.version();
    server.create("user", widget("b")).unwrap();
    server.delete("user", "widgets.example.dev", "default", "a").unwrap();
    server.intercept(Some(Arc::new(move |_: &Call| Verdict::from(Effect::Stale(then)))));
    let api = widgets(server.client("test"));
    assert!(api.get_opt("a").await.unwrap().is_some());
    assert!(api.get_opt("b").await.unwrap().is_none());
    let list = api.list(&kube::api::ListParams::default()).await.unwrap();
    assert_eq!((list.items.len(), list.metadata.resource_version), (1, Some(then.to_string())));
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_sees_who_asks_for_what() {
    let server = server();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = seen.clone();
    server.intercept(Some(Arc::new(move |call: &Call| {
        notes.lock().unwrap().push(call.to_string());
        Verdict::proceed()
    })));
    let status = format!("{}/status", path("a"));
    send(&server.client("one"), "GET", "/api/v1/secrets", &json!(null)).await;
    send(&server.client("two"), "PATCH merge", &status, &json!({})).await;
    let expected = ["#1 one list secrets /", "#2 two patch widgets.example.dev/status default/a"];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_is_a_page_not_found() {
    let client = server().client("test");
    for uri in ["/apis/example.dev/v1/gadgets", "/apis/example.dev/v2/widgets", "/healthz"] {
        assert_eq!(send(&client, "GET", uri, &json!(null)).await, (404, json!("404 page not found\n")));
    }
    let (code, refused) = send(&client, "GET", &format!("{}/scale", path("a")), &json!(null)).await;
    assert_eq!((code, refused["reason"].as_str()), (404, Some("NotFound")));
    assert_eq!(client.apiserver_version().await.unwrap().minor, "36");
}
