//! Issue 3, "Bad input, and what it gets": references to nothing and to what is not allowed, ids that are none, moves, and two resources
//! that claim one object.
use std::time::Duration;

use kube::api::DeleteParams;
use portico::remote::AllowList;
use serde_json::{Value, json};

use crate::{
    tripwire::Side,
    world::{World, condition, is_current},
};

/// Texts that would lead a request elsewhere if they became part of its path.
const NO_IDS: [&str; 6] = ["..", ".", "../../portals", "%2e%2e", "x?force=true", "x#y"];

fn teams(world: &World, portal: &str) -> Vec<Value> {
    world.only(portal)["teams"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_to_nothing_waits_and_goes_on_by_itself() {
    let mut world = World::still("ref-nothing").await;
    world.start();
    world.team("devs", "docs", json!({})).await;
    let message = world.unready("PortalTeam", "devs", "ReferenceNotFound").await;
    assert!(message.contains("Portal") && message.contains("/docs"), "{message}");
    world.portal("docs", json!({})).await;
    let message = world.unready("Portal", "docs", "ReferenceNotFound").await;
    assert!(message.contains("KonnectConnection") && message.contains("/acme"), "{message}");
    world.unready("PortalTeam", "devs", "ReferenceNotReady").await;
    for (kind, name) in [("PortalTeam", "devs"), ("Portal", "docs")] {
        assert!(!world.is_stalled(kind, name).await, "waiting for something is not an error: {kind}");
    }
    world.connection(json!({})).await;
    world.synced("Portal", "docs").await;
    world.synced("PortalTeam", "devs").await;
    assert_eq!(teams(&world, "docs").len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_into_another_namespace_waits_until_it_is_allowed_there() {
    let mut world = World::still("ref-leave").await;
    let (home, away) = (world.namespace.clone(), world.second_namespace().await);
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    let acme = json!({"name": "acme", "namespace": home});
    world.create_in(&away, "Portal", "other", json!({"connectionRef": acme})).await;
    let docs = json!({"name": "docs", "namespace": home});
    world.create_in(&away, "PortalTeam", "devs", json!({"portalRef": docs})).await;
    for (kind, name, target) in [("Portal", "other", "/acme"), ("PortalTeam", "devs", "/docs")] {
        let is = |o: &Value| condition(o, "Ready", "reason") == "ReferenceNotPermitted";
        let object = world.until_in(&away, kind, name, "said ReferenceNotPermitted", is).await;
        let message = condition(&object, "Ready", "message");
        let says = [target, away.as_str(), "allowedNamespaces"].iter().all(|word| message.contains(word));
        assert!(says, "{kind}: {message}");
        assert_ne!(condition(&object, "Stalled", "status"), "True", "{kind}");
    }
    assert!(world.named("other").is_empty() && teams(&world, "docs").is_empty());
    let leave = json!({"allowedNamespaces": {"from": "Names", "names": [away]}});
    world.spec("KonnectConnection", "acme", leave).await;
    world.spec("Portal", "docs", json!({"allowedNamespaces": {"from": "All"}})).await;
    for (kind, name) in [("Portal", "other"), ("PortalTeam", "devs")] {
        let is = |o: &Value| is_current(o) && condition(o, "Synced", "status") == "True";
        world.until_in(&away, kind, name, "became Synced", is).await;
    }
    assert_eq!((world.named("other").len(), teams(&world, "docs").len()), (1, 1));
    for (kind, name) in [("PortalTeam", "devs"), ("Portal", "other")] {
        world.api_in(&away, kind).delete(name, &DeleteParams::default()).await.expect("it is deleted");
        world.until_in(&away, kind, name, "went", Value::is_null).await;
    }
    assert!(world.named("other").is_empty() && teams(&world, "docs").is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_moves_to_another_portal_only_where_it_may_be_replaced() {
    let world = World::new("ref-move").await;
    world.portal("first", json!({})).await;
    world.portal("second", json!({})).await;
    world.team("devs", "first", json!({})).await;
    let old = world.synced("PortalTeam", "devs").await["status"]["id"].clone();
    world.synced("Portal", "second").await;
    let refused = world.try_patch("PortalTeam", "devs", json!({"spec": {"portalRef": {"name": "second"}}})).await;
    let refused = refused.expect_err("it cannot move");
    assert!(refused.contains("portalRef cannot be changed") && refused.contains("replace: Allow"), "{refused}");
    world.sandbox.reset_exchanges();
    let moved = json!({"portalRef": {"name": "second"}, "lifecycle": {"replace": "Allow"}});
    world.spec("PortalTeam", "devs", moved).await;
    let new = world.synced("PortalTeam", "devs").await["status"]["id"].clone();
    assert_ne!(old, new);
    assert_eq!(teams(&world, "first"), Vec::<Value>::new());
    assert_eq!(teams(&world, "second").iter().map(|t| t["id"].clone()).collect::<Vec<_>>(), [new]);
    assert_eq!(world.remote_writes(), ["delete-portal-team", "create-portal-team"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_cannot_know_to_be_immutable_stalls_and_writes_nothing() {
    let mut world = World::still("ref-immutable").await;
    let elsewhere = world.sandbox.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    world.settings.allow = AllowList::new(&[world.server.url(), elsewhere.url()]).unwrap();
    world.start();
    world.connection(json!({})).await;
    let other = json!({"url": elsewhere.url(), "tokenSecretRef": {"name": "konnect"}});
    world.create("KonnectConnection", "other", other).await;
    world.ready("KonnectConnection", "other").await;
    world.portal("docs", json!({})).await;
    let id = world.synced("Portal", "docs").await["status"]["id"].clone();
    world.sandbox.reset_exchanges();
    world.spec("Portal", "docs", json!({"connectionRef": {"name": "other"}})).await;
    let message = world.unready("Portal", "docs", "ImmutableFieldChanged").await;
    assert!(message.contains(&world.server.url()) && message.contains(&elsewhere.url()), "{message}");
    assert!(world.is_stalled("Portal", "docs").await);
    world.spec("Portal", "docs", json!({"connectionRef": {"name": "acme"}})).await;
    world.synced("Portal", "docs").await;
    let stranger = "11111111-2222-4333-8444-555555555555";
    world.spec("Portal", "docs", json!({"lifecycle": {"id": stranger}})).await;
    world.unready("Portal", "docs", "ImmutableFieldChanged").await;
    world.spec("Portal", "docs", json!({"lifecycle": {"id": ""}})).await;
    assert_eq!(world.synced("Portal", "docs").await["status"]["id"], id);
    assert_eq!(world.remote_writes(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_would_change_the_path_is_refused_before_any_request() {
    let mut world = World::still("ref-dots").await;
    world.start();
    world.connection(json!({"resyncInterval": "10m"})).await;
    world.ready("KonnectConnection", "acme").await;
    world.wire.disarm();
    world.sandbox.reset_exchanges();
    for (n, id) in NO_IDS.iter().enumerate() {
        world.portal(&format!("dots-{n}"), json!({"lifecycle": {"id": id, "adoption": "Adopt"}})).await;
        let team = json!({"portalRef": {"id": id}, "connectionRef": {"name": "acme"}});
        world.create("PortalTeam", &format!("dots-{n}"), team).await;
    }
    for (n, id) in NO_IDS.iter().enumerate() {
        for kind in ["Portal", "PortalTeam"] {
            let message = world.unready(kind, &format!("dots-{n}"), "InvalidSpec").await;
            assert!(message.contains(&format!("{id:?}")), "{kind}: {message}");
            assert!(world.is_stalled(kind, &format!("dots-{n}")).await, "{kind} {id}");
        }
    }
    assert_eq!(world.wire.seen(Side::Remote), Vec::<String>::new());
    assert!(world.sandbox.exchanges().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_portals_of_one_name_the_second_conflicts_and_its_deletion_touches_nothing() {
    let world = World::new("ref-conflict").await;
    world.portal("first", json!({"name": "docs"})).await;
    let id = world.synced("Portal", "first").await["status"]["id"].as_str().unwrap().to_owned();
    world.portal("second", json!({"name": "docs"})).await;
    let message = world.unready("Portal", "second", "Conflict").await;
    assert!(message.contains("/first"), "{message}");
    // Not even with leave to adopt is an object taken from a living resource, by name or by id.
    world.portal("third", json!({"name": "docs", "lifecycle": {"adoption": "Adopt"}})).await;
    world.portal("fourth", json!({"lifecycle": {"adoption": "Adopt", "id": id}})).await;
    for name in ["third", "fourth"] {
        world.unready("Portal", name, "Conflict").await;
    }
    world.sandbox.reset_exchanges();
    for name in ["second", "fourth"] {
        world.delete("Portal", name).await;
        world.gone("Portal", name).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.remote_writes(), Vec::<String>::new());
    assert_eq!(world.only("docs")["id"], id.as_str());
    world.synced("Portal", "first").await;
    world.delete("Portal", "first").await;
    let third = world.synced("Portal", "third").await;
    assert_ne!(third["status"]["id"], id.as_str(), "the first one's object went with it");
    assert_eq!(world.only("docs")["id"], third["status"]["id"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn among_claimants_without_an_object_the_older_wins() {
    let mut world = World::still("ref-older").await;
    world.connection(json!({})).await;
    // In the order of names the younger ones come first.
    world.portal("z-older", json!({"name": "docs"})).await;
    world.team("z-older", "z-older", json!({"name": "devs"})).await;
    // Creation times have whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.portal("a-younger", json!({"name": "docs"})).await;
    world.team("a-younger", "z-older", json!({"name": "devs"})).await;
    world.start();
    for kind in ["Portal", "PortalTeam"] {
        world.synced(kind, "z-older").await;
        let message = world.unready(kind, "a-younger", "Conflict").await;
        assert!(message.contains("/z-older"), "{message}");
    }
    assert_eq!(teams(&world, "docs").len(), 1);
    world.sandbox.reset_exchanges();
    for kind in ["PortalTeam", "Portal"] {
        world.delete(kind, "a-younger").await;
        world.gone(kind, "a-younger").await;
    }
    assert_eq!(world.remote_writes(), Vec::<String>::new());
    assert_eq!(teams(&world, "docs").len(), 1);
    world.end().await;
}
