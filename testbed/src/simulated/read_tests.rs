//! Listings: pages, versions and selectors.
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::simulated::{
    Simulated,
    support::{config_map, send, server, widget, widgets},
};

const LIST: &str = "/apis/example.dev/v1/namespaces/default/widgets";

fn five() -> Simulated {
    let server = server();
    for name in ["a", "b", "c", "d", "e"] {
        server.create("user", widget(name)).unwrap();
    }
    server
}

#[tokio::test(start_paused = true)]
async fn pages_show_one_version_whatever_happens_meanwhile() {
    let server = five();
    let api = widgets(server.client("test"));
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    server.delete("user", "widgets.example.dev", "default", "d").unwrap();
    server.create("user", widget("f")).unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let second = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
    let token = second.metadata.continue_.clone().unwrap();
    let third = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    let pages = first.items.iter().chain(&second.items).chain(&third.items);
    let names: Vec<&str> = pages.map(|widget| widget.metadata.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert!(third.metadata.continue_.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_version_that_is_not_kept_is_gone_but_can_be_continued() {
    let server = five();
    let client = server.client("test");
    let (_, first) = send(&client, "GET", &format!("{LIST}?limit=2"), &Value::Null).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    server.delete("user", "widgets.example.dev", "default", "d").unwrap();
    server.compact(server.version());
    let (code, refused) = send(&client, "GET", &format!("{LIST}?limit=2&continue={token}"), &Value::Null).await;
    assert_eq!((code, refused["reason"].as_str()), (410, Some("Expired")));
    let again = refused["metadata"]["continue"].as_str().unwrap();
    let (code, rest) = send(&client, "GET", &format!("{LIST}?continue={again}"), &Value::Null).await;
    assert_eq!((code, rest["items"].as_array().unwrap().len()), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn a_listing_can_ask_for_a_version() {
    let server = five();
    let client = server.client("test");
    let version = server.version();
    server.create("user", widget("f")).unwrap();
    let ask = |query: String| {
        let client = client.clone();
        async move {
            let (code, list) = send(&client, "GET", &format!("{LIST}?{query}"), &Value::Null).await;
            (code, list["items"].as_array().map(Vec::len))
        }
    };
    let exact = format!("resourceVersion={version}&resourceVersionMatch=Exact");
    assert_eq!(ask(exact.clone()).await, (200, Some(5)));
    assert_eq!(ask(format!("resourceVersion={version}")).await, (200, Some(6)));
    assert_eq!(ask("resourceVersion=0".to_owned()).await, (200, Some(6)));
    // Where any version will do, limits are not heeded.
    assert_eq!(ask("resourceVersion=0&limit=2".to_owned()).await, (200, Some(6)));
    assert_eq!(ask("resourceVersion=1000".to_owned()).await.0, 504);
    assert_eq!(ask("resourceVersionMatch=Exact".to_owned()).await.0, 422);
    assert_eq!(ask("continue=1:a&resourceVersion=1".to_owned()).await.0, 400);
    server.compact(server.version());
    assert_eq!(ask(exact).await.0, 410);
}

#[tokio::test(start_paused = true)]
async fn listings_have_the_shape_that_clients_expect() {
    let server = server();
    let client = server.client("test");
    let mut map = config_map("a");
    map["metadata"]["labels"] = json!({"tier": "web"});
    server.create("user", map).unwrap();
    server.create("user", config_map("b")).unwrap();
    server.create("user", widget("w")).unwrap();
    let (_, maps) = send(&client, "GET", "/api/v1/configmaps?labelSelector=tier", &Value::Null).await;
    assert_eq!((maps["kind"].as_str(), maps["items"].as_array().unwrap().len()), (Some("ConfigMapList"), 1));
    assert!(maps["items"][0]["kind"].is_null());
    let (_, widgets) = send(&client, "GET", LIST, &Value::Null).await;
    assert_eq!(widgets["items"][0]["kind"], "Widget");
    let (_, empty) = send(&client, "GET", "/api/v1/secrets", &Value::Null).await;
    assert_eq!(empty["items"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn metadata_can_be_read_alone() {
    let server = five();
    let api = widgets(server.client("test"));
    let list = api.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(list.types.kind, "PartialObjectMetadataList");
    assert_eq!(list.items.len(), 5);
    assert!(list.items.iter().all(|item| item.metadata.resource_version.is_some()));
}
