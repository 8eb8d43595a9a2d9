//! What slips through: objects with the mark of a resource that has another one, and objects that are made for nobody (law 1).
use std::time::Duration;

use portico_sandbox::Effect;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    world::World,
    world_steps::{assert_nothing_sent, fault, id, plant_portal, portal_ids},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_portal_with_our_mark_is_found_by_a_sweep_and_removed() {
    let (world, ours) = World::with_docs("dup-sweep").await;
    let stranger = plant_portal(&world, json!({"name": "theirs"}));
    world.sandbox.reset_exchanges();
    let labels = world.only("docs")["labels"].clone();
    assert!(labels["portico-ref"].is_string(), "there is no mark: this test tests nothing");
    plant_portal(&world, json!({"name": "twin", "labels": labels}));
    world.eventually("the twin is removed", |w| w.named("twin").is_empty()).await;
    assert_eq!(portal_ids(&world), [ours, stranger]);
    assert_eq!(world.remote_writes(), ["delete-portal"]);
    world.synced("Portal", "docs").await;
    world.end().await;
}

/// What a list shows may be old; whose an object is says the object (law 2).
#[tokio::test(flavor = "multi_thread")]
async fn a_twin_that_has_become_another_installations_is_left_though_a_list_still_shows_our_mark() {
    let (world, ours) = World::with_docs("dup-mark").await;
    let labels = world.only("docs")["labels"].clone();
    // For two seconds and a half the twin has our mark. The lists show that time when it is over.
    fault(&world, "list-portals", Effect::Lag { milliseconds: 4_000 });
    let twin = plant_portal(&world, json!({"name": "twin", "labels": labels}));
    sleep(Duration::from_millis(2_500)).await;
    let path = format!("/v2/portals/{twin}");
    let taken = json!({"labels": {"portico-owner": "someone-else"}});
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(taken)).await, 200);
    world.sandbox.reset_exchanges();
    let is_read = |w: &World| w.sandbox.exchanges().iter().any(|e| e.method == "GET" && e.url.ends_with(&path));
    world.eventually("a sweep has seen the twin, and its mark is looked at", is_read).await;
    sleep(Duration::from_millis(700)).await;
    assert_nothing_sent(&world);
    assert_eq!(portal_ids(&world), [ours, twin]);
    world.end().await;
}

/// Portico's finalizer keeps a resource until its object is gone; a user may take it away all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_for_a_resource_whose_finalizer_a_user_took_away_is_removed_again() {
    let mut world = World::still("dup-nobody").await;
    world.start();
    world.connection(json!({"requestTimeout": "5s"})).await;
    world.portal("docs", json!({})).await;
    let ours = id(&world.synced("Portal", "docs").await);
    let portal = json!({"connectionRef": {"name": "acme"}});
    let team = json!({"portalRef": {"name": "docs"}});
    for (kind, spec, create, removal) in [
        ("Portal", portal, "create-portal", "delete-portal"),
        ("PortalTeam", team, "create-portal-team", "delete-portal-team"),
    ] {
        world.sandbox.reset_exchanges();
        world.once(create, Effect::Delay { milliseconds: 2_000 });
        world.create(kind, "slow", spec).await;
        // A portal is made right after its finalizer is there, a team after its intent is written.
        let is_sent = |o: &Value| {
            o["status"]["creating"].is_object() || (kind == "Portal" && o["metadata"]["finalizers"].is_array())
        };
        world.until(kind, "slow", "was about to be made", is_sent).await;
        world.delete(kind, "slow").await;
        world.patch(kind, "slow", json!({"metadata": {"finalizers": null}})).await;
        world.gone(kind, "slow").await;
        assert_eq!(world.calls(create), 0, "it is there already: this test tests nothing");
        world.eventually("it is made", |w| w.calls(create) == 1).await;
        world.eventually("it is removed", |w| w.calls(removal) == 1).await;
    }
    assert_eq!(portal_ids(&world), [ours]);
    assert_eq!(world.teams_in("docs"), [] as [Value; 0]);
    world.end().await;
}
