//! Watches, by hand and by kube-runtime's watcher.
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, pin_mut};
use kube::{
    ResourceExt,
    api::{WatchEvent, WatchParams},
    core::DynamicObject,
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::simulated::{
    Loss, Simulated,
    support::{definition, pass, server, widget, widgets},
};

const WIDGETS: &str = "widgets.example.dev";

/// What an event is about.
fn shown(event: &WatchEvent<DynamicObject>) -> String {
    match event {
        WatchEvent::Added(object) => format!("+{}", object.name_any()),
        WatchEvent::Modified(object) => format!("~{}", object.name_any()),
        WatchEvent::Deleted(object) => format!("-{}", object.name_any()),
        WatchEvent::Bookmark(bookmark) => format!("@{}", bookmark.metadata.resource_version),
        WatchEvent::Error(status) => format!("!{}", status.code),
    }
}

/// The events of a watch from a version, until nothing comes any more for a second.
async fn events(server: &Simulated, version: &str, params: &WatchParams) -> Vec<String> {
    let stream = widgets(server.client("test")).watch(params, version).await.unwrap();
    pin_mut!(stream);
    let mut seen = Vec::new();
    while let Ok(Ok(Some(event))) = timeout(Duration::from_secs(1), stream.try_next()).await {
        seen.push(shown(&event));
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_happened_since_its_version() {
    let server = server();
    server.create("user", widget("a")).unwrap();
    let version = server.version().to_string();
    server.create("user", widget("b")).unwrap();
    server.patch("user", WIDGETS, "default", "a", "", &json!({"spec": {"size": 2}})).unwrap();
    server.delete("user", WIDGETS, "default", "a").unwrap();
    let params = WatchParams::default().disable_bookmarks();
    assert_eq!(events(&server, &version, &params).await, ["+b", "~a", "-a"]);
    assert_eq!(events(&server, "0", &params).await, ["+b"]);
    assert_eq!(events(&server, &version, &params.fields("metadata.name=b")).await, ["+b"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_not_selected_any_more_is_deleted() {
    let server = server();
    let mut object = widget("a");
    object["metadata"]["labels"] = json!({"tier": "web"});
    let version = server.version().to_string();
    server.create("user", object).unwrap();
    server.patch("user", WIDGETS, "default", "a", "", &json!({"metadata": {"labels": null}})).unwrap();
    let params = WatchParams::default().disable_bookmarks().labels("tier=web");
    assert_eq!(events(&server, &version, &params).await, ["+a", "-a"]);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_told_with_its_own_version_and_the_last_state() {
    let server = server();
    let mut object = widget("a");
    object["metadata"]["finalizers"] = json!(["x/y"]);
    server.create("user", object).unwrap();
    server.delete("user", WIDGETS, "default", "a").unwrap();
    let version = server.version();
    server.patch("user", WIDGETS, "default", "a", "", &json!({"metadata": {"finalizers": null}})).unwrap();
    let api = widgets(server.client("test"));
    let stream = api.watch(&WatchParams::default(), &version.to_string()).await.unwrap();
    pin_mut!(stream);
    let Some(WatchEvent::Deleted(gone)) = stream.try_next().await.unwrap() else { panic!("not a deletion") };
    assert_eq!(gone.resource_version(), Some((version + 1).to_string()));
    assert_eq!(gone.finalizers(), ["x/y"]);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_and_the_end_when_it_is_time() {
    let server = server();
    let version = server.version();
    let stream = widgets(server.client("test")).watch(&WatchParams::default().timeout(90), &version.to_string()).await;
    let begun = Instant::now();
    let mut at = Vec::new();
    let stream = stream.unwrap();
    pin_mut!(stream);
    while let Some(event) = stream.try_next().await.unwrap() {
        assert_eq!(shown(&event), format!("@{version}"));
        at.push(begun.elapsed().as_secs());
    }
    assert_eq!(at, [60, 88]);
    assert_eq!(begun.elapsed().as_secs(), 90);
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_version_that_is_not_kept_begins_with_an_error() {
    let server = server();
    let version = server.version().to_string();
    server.create("user", widget("a")).unwrap();
    server.compact(server.version());
    assert_eq!(events(&server, &version, &WatchParams::default()).await, ["!410"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_before_its_crd_was_changed_begins_with_an_error() {
    let server = server();
    let version = server.version().to_string();
    let mut definition = definition();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["required"] = json!([]);
    server.put("user", definition).unwrap();
    let since = server.version().to_string();
    server.create("user", widget("a")).unwrap();
    let params = WatchParams::default().disable_bookmarks();
    assert_eq!(events(&server, &version, &params).await, ["!410"]);
    assert_eq!(events(&server, &since, &params).await, ["+a"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_can_begin_with_what_is_there_at_a_version() {
    let server = server();
    server.create("user", widget("b")).unwrap();
    server.create("user", widget("a")).unwrap();
    let version = server.version().to_string();
    let params = WatchParams::default().initial_events();
    assert_eq!(events(&server, &version, &params).await, ["+a".to_owned(), "+b".to_owned(), format!("@{version}")]);
    assert_eq!(events(&server, "1000", &params).await, ["!504"]);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_follows_through_breaks_and_compaction() {
    let server = server();
    server.create("user", widget("a")).unwrap();
    let events = watcher(widgets(server.client("test")), watcher::Config::default()).default_backoff();
    let seen = tokio::spawn(async move {
        let objects = events.applied_objects().filter_map(|object| async move { object.ok() });
        objects.map(|object| object.name_any()).take(4).collect::<Vec<_>>().await
    });
    pass(1).await;
    server.break_watches(Loss::Reset, |actor, resource| actor == "test" && resource == WIDGETS);
    server.create("user", widget("b")).unwrap();
    server.compact(server.version());
    pass(1).await;
    server.create("user", widget("c")).unwrap();
    // After the break the watcher asks from a version that is gone, and lists again.
    let seen = timeout(Duration::from_secs(600), seen).await.unwrap().unwrap();
    assert_eq!(seen, ["a", "a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_can_be_slow() {
    let server = server();
    let version = server.version().to_string();
    server.delay_watches(Duration::from_secs(30));
    let stream = widgets(server.client("test")).watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(stream);
    let begun = Instant::now();
    server.create("user", widget("a")).unwrap();
    assert_eq!(shown(&stream.try_next().await.unwrap().unwrap()), "+a");
    assert_eq!(begun.elapsed().as_secs(), 30);
    server.create("user", widget("b")).unwrap();
    server.delay_watches(Duration::ZERO);
    assert_eq!(shown(&stream.try_next().await.unwrap().unwrap()), "+b");
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn the_watches_of_one_resource_can_be_slow_alone() {
    let server = server();
    let version = server.version().to_string();
    let stream = widgets(server.client("test")).watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(stream);
    let begun = Instant::now();
    server.delay_watches_of("secrets", Duration::from_secs(30));
    server.create("user", widget("a")).unwrap();
    assert_eq!(shown(&stream.try_next().await.unwrap().unwrap()), "+a");
    assert_eq!(begun.elapsed().as_secs(), 0);
    server.delay_watches_of(WIDGETS, Duration::from_secs(20));
    server.create("user", widget("b")).unwrap();
    assert_eq!(shown(&stream.try_next().await.unwrap().unwrap()), "+b");
    assert_eq!(begun.elapsed().as_secs(), 20);
    server.create("user", widget("c")).unwrap();
    server.delay_watches(Duration::ZERO);
    assert_eq!(shown(&stream.try_next().await.unwrap().unwrap()), "+c");
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn the_watches_of_a_crd_end_when_it_changes() {
    let server = server();
    let version = server.version().to_string();
    let stream = widgets(server.client("test")).watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(stream);
    let mut definition = definition();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["required"] = json!([]);
    server.put("user", definition).unwrap();
    assert!(stream.try_next().await.unwrap().is_none());
}
