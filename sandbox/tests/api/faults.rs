//! Each fault does what it says.

use std::time::{Duration, Instant};

use portico_sandbox::{Effect, Fault};
use serde_json::json;

use crate::client::Acme;

fn once(operation: &str, effect: Effect) -> Fault {
    Fault { operation: operation.to_owned(), effect, times: Some(1), organization: None }
}

#[tokio::test]
async fn a_status_comes_in_the_shape_of_the_api_and_before_any_change() {
    let acme = Acme::new();
    let effect = Effect::Status { status: 429, retry_after: Some("7".to_owned()), detail: None };
    acme.sandbox.inject(Fault { times: Some(2), ..once("create-portal", effect) });
    let refused = acme.post("/v2/portals", json!({"name": "docs"})).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "7");
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    let again = acme.post("/v2/portals", json!({"name": "docs"})).await;
    assert_ne!(refused.body["detail"], again.body["detail"], "trace and time differ");
    assert!(acme.get("/v2/portals").await.all("name").is_empty());
    acme.portal("docs").await;

    let effect = Effect::Status { status: 400, retry_after: None, detail: Some("quota exceeded".to_owned()) };
    acme.sandbox.inject(once("*", effect));
    let refused = acme.get("/v2/portals").await;
    assert_eq!(refused.body["detail"], "quota exceeded");
    assert_eq!(refused.body["invalid_parameters"].as_array().unwrap().len(), 1);
    let stranger = acme.as_token("kpat_unknown");
    acme.sandbox.inject(once("*", Effect::Status { status: 503, retry_after: None, detail: None }));
    assert_eq!(stranger.get("/v2/portals").await.status, 401, "authentication comes first");
    assert_eq!(acme.get("/v2/portals").await.status, 503);
}

#[tokio::test]
async fn a_page_comes_from_a_proxy_and_to_anyone() {
    let acme = Acme::new();
    let body = "<h1>Not here</h1>".to_owned();
    acme.sandbox.inject(once("get-portal", Effect::Page { status: 404, body: body.clone(), location: None }));
    let portal = acme.portal("docs").await;
    let page = acme.as_token("kpat_unknown").get(&portal).await;
    assert_eq!((page.status, page.body), (404, json!(body)));
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let location = Some("https://login.example.com/".to_owned());
    acme.sandbox.inject(once("*", Effect::Page { status: 302, body: String::new(), location }));
    let moved = acme.get(&portal).await;
    assert_eq!((moved.status, moved.headers["location"].to_str().unwrap()), (302, "https://login.example.com/"));
}

#[tokio::test]
async fn a_delay_is_followed_by_the_answer() {
    let acme = Acme::new();
    acme.sandbox.inject(once("list-portals", Effect::Delay { milliseconds: 60 }));
    let start = Instant::now();
    assert_eq!(acme.get("/v2/portals").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_lost_response_leaves_its_change_and_a_reset_does_not() {
    let acme = Acme::new();
    acme.sandbox.inject(once("create-portal", Effect::LoseResponse));
    assert!(acme.post("/v2/portals", json!({"name": "made"})).await.lost);
    acme.sandbox.inject(once("create-portal", Effect::Reset));
    assert!(acme.post("/v2/portals", json!({"name": "not made"})).await.lost);
    assert_eq!(acme.get("/v2/portals").await.all("name"), ["made"]);
}

#[tokio::test]
async fn what_hangs_is_never_answered() {
    let acme = Acme::new();
    acme.sandbox.inject(once("list-portals", Effect::Hang));
    let answer = tokio::time::timeout(Duration::from_millis(50), acme.get("/v2/portals")).await;
    assert!(answer.is_err());
    assert_eq!(acme.get("/v2/portals").await.status, 200);
}

#[tokio::test]
async fn a_lagging_list_shows_what_was() {
    let acme = Acme::new();
    let before = acme.portal("before").await;
    let lag = Effect::Lag { milliseconds: 60_000 };
    acme.sandbox.inject(Fault { times: None, ..once("list-portals", lag) });
    let after = acme.portal("after").await;
    assert_eq!(acme.get("/v2/portals").await.all("name"), ["before"]);
    assert_eq!(acme.get(&after).await.status, 200, "only lists lag");
    assert_eq!(acme.delete(&before).await.status, 204);
    assert_eq!(acme.get("/v2/portals").await.all("name"), ["before"]);
    acme.sandbox.clear_faults();
    assert_eq!(acme.get("/v2/portals").await.all("name"), ["after"]);

    acme.sandbox.inject(Fault { times: None, ..once("list-portals", Effect::Lag { milliseconds: 400 }) });
    acme.portal("third").await;
    assert_eq!(acme.get("/v2/portals").await.all("name"), ["after"]);
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(acme.get("/v2/portals").await.all("name"), ["after", "third"]);
}

#[tokio::test]
async fn a_fault_of_one_organization_spares_the_other() {
    let acme = Acme::new();
    let other = acme.as_token(&acme.sandbox.organization("other"));
    let effect = Effect::Status { status: 500, retry_after: None, detail: None };
    acme.sandbox.inject(Fault { organization: Some("acme".to_owned()), times: None, ..once("*", effect) });
    assert_eq!(other.get("/v2/portals").await.status, 200);
    assert_eq!(acme.get("/v2/portals").await.status, 500);
}
