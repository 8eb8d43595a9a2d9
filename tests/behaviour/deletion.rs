//! Deletion ends, takes what is ours, and leaves what is not (laws 2 and 5).
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams};
use portico_sandbox::{Effect, Fault, Plant};
use serde_json::{Value, json};

use crate::{
    tripwire::{Side, When},
    world::{World, condition},
    world_steps::{
        assert_nothing_sent, delete_secret, fault, grant_everywhere, id, plant_portal, plant_team, portal_ids, status,
        teams,
    },
};

const ORPHAN: &str = "portico.dev/orphan";
const PAUSED: &str = "portico.dev/paused";

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_resource_takes_its_object_with_it_and_no_strangers() {
    let world = World::new("del-plain").await;
    let stranger = plant_portal(&world, json!({"name": "theirs"}));
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    world.synced("PortalTeam", "writers").await;
    world.sandbox.reset_exchanges();
    world.delete("PortalTeam", "writers").await;
    world.gone("PortalTeam", "writers").await;
    assert_eq!(teams(&world, "docs"), Vec::<Value>::new());
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    assert_eq!(world.remote_writes(), ["delete-portal-team", "delete-portal"]);
    assert_eq!(portal_ids(&world), [stranger]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_with_developers_stays_until_force_delete_is_set_on_the_deleting_resource() {
    let world = World::new("del-force").await;
    world.portal("docs", json!({})).await;
    let portal = id(&world.synced("Portal", "docs").await);
    let ann = Plant::Developer { portal, email: "ann@example.com".into(), status: "approved".into() };
    world.sandbox.plant("acme", ann).unwrap();
    world.delete("Portal", "docs").await;
    let message = world.unready("Portal", "docs", "DeletionBlocked").await;
    assert!(message.contains("force must be true to delete a portal that has developers"), "{message}");
    assert!(message.contains(ORPHAN), "{message}");
    assert_eq!(world.only("docs")["developers"][0]["email"], "ann@example.com");
    world.spec("Portal", "docs", json!({"forceDelete": true})).await;
    world.gone("Portal", "docs").await;
    assert!(world.portals().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retain_leaves_the_object_with_its_mark_and_the_resource_made_again_takes_it() {
    let world = World::new("del-retain").await;
    let spec = json!({"description": "kept", "lifecycle": {"deletion": "Retain"}});
    world.portal("docs", spec.clone()).await;
    let first = world.synced("Portal", "docs").await;
    let before = world.only("docs");
    world.sandbox.reset_exchanges();
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    assert_nothing_sent(&world);
    assert_eq!(world.only("docs"), before);
    world.portal("docs", spec).await;
    let again = world.synced("Portal", "docs").await;
    assert_eq!(id(&again), id(&first));
    assert_ne!(again["metadata"]["uid"], first["metadata"]["uid"]);
    let mark = world.only("docs")["labels"]["portico-ref"].as_str().unwrap_or_default().to_owned();
    assert!(mark.ends_with(again["metadata"]["uid"].as_str().unwrap()), "{mark}");
    assert_eq!(world.calls("create-portal"), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orphan_annotation_ends_a_deletion_also_while_the_api_is_down() {
    let world = World::new("del-orphan").await;
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    world.synced("PortalTeam", "writers").await;
    let before = world.only("docs");
    fault(&world, "*", Effect::Reset);
    for (kind, name) in [("PortalTeam", "writers"), ("Portal", "docs")] {
        world.delete(kind, name).await;
        world.until(kind, name, "said that it is stuck", |o| condition(o, "Ready", "status") == "False").await;
        world.annotate(kind, name, ORPHAN, json!("true")).await;
        world.gone(kind, name).await;
    }
    world.delete("KonnectConnection", "acme").await;
    world.gone("KonnectConnection", "acme").await;
    world.sandbox.clear_faults();
    assert_eq!(world.only("docs"), before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_resource_is_deleted_when_it_goes_on() {
    let world = World::new("del-paused").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    world.annotate("Portal", "docs", PAUSED, json!("true")).await;
    world.sandbox.reset_exchanges();
    world.delete("Portal", "docs").await;
    let message = world.unready("Portal", "docs", "DeletionBlocked").await;
    assert!(message.contains(PAUSED), "{message}");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_nothing_sent(&world);
    world.annotate("Portal", "docs", PAUSED, Value::Null).await;
    world.gone("Portal", "docs").await;
    assert!(world.portals().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_waits_for_its_users_and_names_them() {
    let world = World::new("del-users").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    world.delete("KonnectConnection", "acme").await;
    let message = world.unready("KonnectConnection", "acme", "DeletionBlocked").await;
    assert!(message.contains(&format!("Portal {}/docs", world.namespace)), "{message}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(world.get("KonnectConnection", "acme").await.is_some());
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    world.gone("KonnectConnection", "acme").await;
    assert!(world.portals().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_waits_for_a_living_team_below_it_and_names_it() {
    let world = World::new("del-child").await;
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    world.synced("PortalTeam", "writers").await;
    world.delete("Portal", "docs").await;
    let message = world.unready("Portal", "docs", "DeletionBlocked").await;
    assert!(message.contains("PortalTeam writers"), "{message}");
    assert_eq!(teams(&world, "docs").len(), 1);
    world.delete("PortalTeam", "writers").await;
    world.gone("PortalTeam", "writers").await;
    world.gone("Portal", "docs").await;
    assert!(world.portals().is_empty());
    world.end().await;
}

/// Deletes all that `make_all` made, in this order, without waiting.
async fn delete_all(world: &World, order: &[&str]) {
    for kind in order {
        match *kind {
            "Secret" => delete_secret(world, "konnect").await,
            "KonnectConnection" => world.delete(kind, "acme").await,
            "Portal" => world.delete(kind, "docs").await,
            _ => world.delete(kind, "writers").await,
        }
    }
}

async fn make_all(world: &World) {
    world.secret("konnect", &world.token).await;
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    world.synced("PortalTeam", "writers").await;
}

async fn all_gone(world: &World) {
    world.gone("PortalTeam", "writers").await;
    world.gone("Portal", "docs").await;
    world.gone("KonnectConnection", "acme").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_together_in_any_order_leaves_only_strangers() {
    let mut world = World::still("del-order").await;
    world.start();
    let stranger = plant_portal(&world, json!({"name": "theirs"}));
    for order in [
        ["Portal", "PortalTeam", "KonnectConnection", "Secret"],
        ["KonnectConnection", "Secret", "Portal", "PortalTeam"],
        ["Secret", "KonnectConnection", "PortalTeam", "Portal"],
        ["Secret", "Portal", "KonnectConnection", "PortalTeam"],
        ["PortalTeam", "Portal", "KonnectConnection", "Secret"],
    ] {
        make_all(&world).await;
        delete_all(&world, &order).await;
        all_gone(&world).await;
        assert_eq!(portal_ids(&world), std::slice::from_ref(&stranger), "after {order:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_while_nobody_ran_is_gone_after_the_next_start() {
    let mut world = World::still("del-down").await;
    world.start();
    make_all(&world).await;
    world.crash().await;
    delete_all(&world, &["KonnectConnection", "Portal", "PortalTeam"]).await;
    world.start();
    all_gone(&world).await;
    assert!(world.portals().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_without_its_secret_after_a_restart_says_so_and_ends_when_the_secret_is_back() {
    let mut world = World::new("del-secret").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    world.stop().await;
    // With it, Portico would know the token by itself.
    world.settings.escrow = false;
    delete_secret(&world, "konnect").await;
    world.delete("Portal", "docs").await;
    world.delete("KonnectConnection", "acme").await;
    world.start();
    let message = world.unready("Portal", "docs", "DeletionBlocked").await;
    assert!(message.contains("acme") && message.contains("Secret"), "{message}");
    assert_eq!(world.named("docs").len(), 1);
    world.secret("konnect", &world.token).await;
    world.gone("Portal", "docs").await;
    world.gone("KonnectConnection", "acme").await;
    assert!(world.portals().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_deleted_as_a_whole_ends_and_leaves_only_strangers() {
    let mut world = World::new("del-namespace").await;
    grant_everywhere(&world).await;
    let stranger = plant_portal(&world, json!({"name": "theirs"}));
    world.portal("docs", json!({"forceDelete": true})).await;
    world.team("writers", "docs", json!({})).await;
    let portal = id(&world.synced("Portal", "docs").await);
    world.synced("PortalTeam", "writers").await;
    let ann = Plant::Developer { portal, email: "ann@example.com".into(), status: "approved".into() };
    world.sandbox.plant("acme", ann).unwrap();
    let namespaces: Api<Namespace> = Api::all(world.admin());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    let gone = async {
        while namespaces.get_metadata_opt(&world.namespace).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("the namespace ends without help");
    assert_eq!(portal_ids(&world), [stranger]);
    // Only this may be refused on the way: in a terminating namespace nothing can be created, not even an event.
    let refused: Vec<_> = world.requests().into_iter().filter(|r| r.code == 403 && r.resource != "events").collect();
    assert!(refused.is_empty(), "{refused:#?}");
    world.expect_forbidden();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_waits_while_the_api_is_down_and_ends_when_it_is_back() {
    let world = World::new("del-api-down").await;
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    world.synced("PortalTeam", "writers").await;
    let both = [("PortalTeam", "writers"), ("Portal", "docs")];
    for effect in [Effect::Reset, status(503)] {
        fault(&world, "*", effect);
        for (kind, name) in both {
            world.delete(kind, name).await;
            let is_stuck = |o: &Value| condition(o, "Ready", "status") == "False";
            let stuck = world.until(kind, name, "said what is in the way", is_stuck).await;
            assert!(!condition(&stuck, "Ready", "message").is_empty());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        for (kind, name) in both {
            assert!(world.get(kind, name).await.is_some(), "{kind} was let go while the API was down");
        }
        world.sandbox.clear_faults();
        for (kind, name) in both {
            world.gone(kind, name).await;
        }
        assert!(world.portals().is_empty());
        world.portal("docs", json!({})).await;
        world.team("writers", "docs", json!({})).await;
        world.synced("PortalTeam", "writers").await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_create_is_settled_before_a_deletion_ends() {
    let mut world = World::new("del-intent").await;
    world.portal("docs", json!({})).await;
    let portal = id(&world.synced("Portal", "docs").await);
    let lost = Fault {
        operation: "create-portal-team".to_owned(),
        effect: Effect::LoseResponse,
        times: Some(1),
        organization: None,
    };
    world.sandbox.inject(lost);
    world.team("writers", "docs", json!({"description": "ours"})).await;
    world.eventually("the team is made", |w| teams(w, "docs").len() == 1).await;
    world.crash().await;
    let stranger = plant_team(&world, &portal, json!({"name": "writers", "description": "theirs"}));
    world.delete("PortalTeam", "writers").await;
    world.start();
    world.gone("PortalTeam", "writers").await;
    assert_eq!(teams(&world, "docs").iter().map(id).collect::<Vec<_>>(), [stranger]);
    world.end().await;
}

/// A portal that was made, and of which the status knows nothing: the operator was dropped before it wrote the id.
async fn made_but_not_recorded(name: &str) -> World {
    let mut world = World::new(name).await;
    // The first create through a connection makes three writes to Kubernetes: the credential that deletions may need, the finalizer, and
    // the status.
    world.wire.arm(Side::Kubernetes, When::Before, 2);
    world.portal("docs", json!({})).await;
    assert!(world.crash_at_the_wire(Duration::from_secs(20)).await, "the status was never written");
    assert_eq!(world.named("docs").len(), 1);
    assert!(world.get("Portal", "docs").await.unwrap()["status"]["id"].is_null());
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_made_just_before_a_crash_goes_with_its_resource() {
    let mut world = made_but_not_recorded("del-crash").await;
    world.delete("Portal", "docs").await;
    world.start();
    world.gone("Portal", "docs").await;
    assert!(world.portals().is_empty(), "it was left behind: {:#?}", world.portals());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_made_just_before_a_crash_goes_also_when_the_connection_is_deleted_with_it() {
    let mut world = made_but_not_recorded("del-crash-all").await;
    delete_all(&world, &["KonnectConnection", "Portal"]).await;
    world.start();
    world.gone("Portal", "docs").await;
    world.gone("KonnectConnection", "acme").await;
    assert!(world.portals().is_empty(), "it was left behind: {:#?}", world.portals());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_copied_from_a_backup_is_never_used_to_delete() {
    let mut world = World::new("del-backup").await;
    let theirs = plant_portal(&world, json!({"name": "theirs"}));
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    let portal = world.synced("Portal", "docs").await;
    world.synced("PortalTeam", "writers").await;
    let team = plant_team(&world, &theirs, json!({"name": "writers"}));
    world.stop().await;
    let copied = |id: &str, path: String| {
        let mut remote = portal["status"]["remote"].clone();
        remote["uid"] = json!("11111111-2222-4333-8444-555555555555");
        remote["path"] = json!(path);
        json!({"id": id, "remote": remote})
    };
    world.status("Portal", "docs", copied(&theirs, format!("/v2/portals/{theirs}"))).await;
    world.status("PortalTeam", "writers", copied(&team, format!("/v2/portals/{theirs}/teams/{team}"))).await;
    delete_all(&world, &["Portal", "PortalTeam"]).await;
    world.start();
    world.gone("PortalTeam", "writers").await;
    world.gone("Portal", "docs").await;
    // Its own portal is known by its mark.
    assert_eq!(portal_ids(&world), [theirs]);
    assert_eq!(id(&teams(&world, "theirs")[0]), team);
    world.end().await;
}
