//! The same over TCP and TLS.

use std::net::SocketAddr;

use portico_sandbox::{Effect, Fault, Options, Sandbox};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A client that trusts this CA alone, or speaks no TLS.
fn client(ca_pem: Option<String>) -> Client {
    // A second test of this process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = ca_pem.map(|pem| Certificate::from_pem(pem.as_bytes()).unwrap());
    Client::builder().no_proxy().tls_certs_only(trusted).build().unwrap()
}

#[tokio::test]
async fn it_is_reached_over_http() {
    let sandbox = Sandbox::new(Options::default());
    let token = sandbox.organization("acme");
    let server = sandbox.serve(any_port()).await.unwrap();
    assert_eq!(server.url(), format!("http://{}", server.address()));
    let url = format!("{}/v2/portals", server.url());
    let client = client(None);
    let made = client.post(&url).bearer_auth(&token).json(&json!({"name": "docs"})).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let listed: Value = client.get(&url).bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["data"][0]["name"], "docs");
    assert_eq!(sandbox.exchanges()[0].url, url);
    drop(server);
}

#[tokio::test]
async fn it_is_reached_over_https_by_who_trusts_its_ca() {
    let sandbox = Sandbox::new(Options::default());
    let token = sandbox.organization("acme");
    let server = sandbox.serve_tls(any_port()).await.unwrap();
    let client = client(server.ca_pem());
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{}/v2/portals", server.address().port());
        assert_eq!(client.get(&url).bearer_auth(&token).send().await.unwrap().status(), 200, "{host}");
    }
    let other = sandbox.serve_tls(any_port()).await.unwrap();
    let refused = client.get(format!("{}/v2/portals", other.url())).bearer_auth(&token).send().await;
    assert!(refused.is_err(), "another CA");
}

#[tokio::test]
async fn a_connection_is_closed_where_no_answer_is_made() {
    let sandbox = Sandbox::new(Options::default());
    let token = sandbox.organization("acme");
    let server = sandbox.serve(any_port()).await.unwrap();
    let url = format!("{}/v2/portals", server.url());
    let client = client(None);
    for effect in [Effect::LoseResponse, Effect::Reset] {
        let operation = "create-portal".to_owned();
        sandbox.inject(Fault { operation, effect, times: Some(1), organization: None });
        let body = json!({"name": format!("portal {}", fastrand::u32(..))});
        let lost = client.post(&url).bearer_auth(&token).json(&body).send().await;
        assert!(lost.is_err(), "{lost:?}");
    }
    let listed: Value = client.get(&url).bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["meta"]["page"]["total"], 1, "the first of the two changes was made");
}

#[tokio::test]
async fn a_dropped_server_answers_nobody() {
    let sandbox = Sandbox::new(Options::default());
    let server = sandbox.serve(any_port()).await.unwrap();
    let url = format!("{}/_sandbox/state", server.url());
    let client = client(None);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    drop(server);
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert!(client.get(&url).send().await.is_err());
}
