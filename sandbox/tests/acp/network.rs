//! The same over TCP, as programs do it that got their credentials from somewhere.

use std::net::SocketAddr;

use portico_sandbox::{Options, Sandbox};
use reqwest::Client;
use serde_json::Value;

#[tokio::test]
async fn both_apis_live_on_one_port() {
    let sandbox = Sandbox::new(Options::default());
    let (id, secret) = sandbox.tenant("acme");
    let konnect = sandbox.organization("acme");
    let server = sandbox.serve(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    // A second test of this process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().unwrap();
    let endpoint = format!("{}/acme/admin/oauth2/token", server.url());
    let asked = client.post(&endpoint).basic_auth(&id, Some(&secret));
    let asked = asked.header("content-type", "application/x-www-form-urlencoded").body("grant_type=client_credentials");
    let fetched: Value = asked.send().await.unwrap().json().await.unwrap();
    let token = fetched["access_token"].as_str().unwrap();
    let servers = format!("{}/api/admin/acme/servers", server.url());
    let listed: Value = client.get(&servers).bearer_auth(token).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["servers"][0]["id"], "admin");
    let portals = format!("{}/v2/portals", server.url());
    assert_eq!(client.get(&portals).bearer_auth(&konnect).send().await.unwrap().status(), 200);
    assert_eq!(client.get(&portals).bearer_auth(token).send().await.unwrap().status(), 401);
}
