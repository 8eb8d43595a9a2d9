//! Known accidents, each as it happened to somebody: answers lost behind full pages, names that two have, parents that go first. More of them
//! in `accidents_more`.
use std::time::Duration;

use kube::api::DeleteParams;
use portico_sandbox::Effect;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    world::{World, condition, is_current},
    world_steps::{id, plant_portal, plant_team, portal_ids, teams},
};

/// As many objects of strangers come before ours in every list. Portico asks for pages of 100, so ours is on the second one.
const STRANGERS: usize = 130;

/// Waits until a second page of this listing was asked for.
async fn second_page(world: &World, operation: &str) {
    let is_second = |url: &str| ["number%5D=2", "number]=2"].iter().any(|query| url.contains(query));
    let asked = |w: &World| {
        w.sandbox.exchanges().iter().any(|e| e.operation.as_deref() == Some(operation) && is_second(&e.url))
    };
    world.eventually(&format!("the second page of {operation} is asked for"), asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_whose_create_was_not_answered_is_found_behind_a_page_of_strangers() {
    let world = World::new("acc-page").await;
    for n in 0..STRANGERS {
        plant_portal(&world, json!({"name": format!("theirs-{n}")}));
    }
    let strangers = portal_ids(&world);
    world.sandbox.reset_exchanges();
    world.once("create-portal", Effect::LoseResponse);
    world.portal("docs", json!({})).await;
    let docs = id(&world.synced("Portal", "docs").await);
    assert_eq!(portal_ids(&world)[STRANGERS..], [docs], "one portal, behind all others");
    assert_eq!(world.calls("create-portal"), 1);
    second_page(&world, "list-portals").await;
    // One that goes before anybody knows what became of its create.
    world.once("create-portal", Effect::LoseResponse);
    world.portal("short", json!({})).await;
    world.eventually("it is made", |w| w.named("short").len() == 1).await;
    world.delete("Portal", "short").await;
    world.gone("Portal", "short").await;
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    assert_eq!(portal_ids(&world), strangers);
    world.end().await;
}

/// Teams have neither unique names nor labels: only the create that was recorded beforehand tells which one is ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_team_whose_create_was_not_answered_is_found_behind_a_page_of_strangers_of_its_name() {
    let (world, portal) = World::with_docs("acc-page-team").await;
    // The strangers come between the look-up and the create; of that the answer is lost.
    world.once("create-portal-team", Effect::Delay { milliseconds: 850 });
    world.once("create-portal-team", Effect::LoseResponse);
    world.sandbox.reset_exchanges();
    world.team("writers", "docs", json!({"description": "ours"})).await;
    world.eventually("the create is under way", |w| w.sandbox.faults().is_empty()).await;
    for _ in 0..STRANGERS {
        plant_team(&world, &portal, json!({"name": "writers", "description": "theirs"}));
    }
    let writers = id(&world.synced("PortalTeam", "writers").await);
    let all = teams(&world, "docs");
    assert_eq!(all.len(), STRANGERS + 1);
    assert_eq!((id(&all[STRANGERS]), &all[STRANGERS]["description"]), (writers, &json!("ours")), "not the last one");
    assert_eq!(world.calls("create-portal-team"), 1);
    second_page(&world, "list-portal-teams").await;
    world.delete("PortalTeam", "writers").await;
    world.gone("PortalTeam", "writers").await;
    let left = teams(&world, "docs");
    assert!(left.len() == STRANGERS && left.iter().all(|team| team["description"] == "theirs"), "{}", left.len());
    world.end().await;
}

/// The plain cases of two resources of one name are in `adoption`, `references` and `conformance`.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_resources_of_one_name_the_younger_never_takes_what_an_unanswered_create_of_the_older_made() {
    let (world, _) = World::with_docs("acc-one-name").await;
    world.sandbox.reset_exchanges();
    world.once("create-portal-team", Effect::LoseResponse);
    world.team("older", "docs", json!({"name": "writers"})).await;
    world.eventually("it is made", |w| w.teams_in("docs").len() == 1).await;
    let adopts = json!({"name": "writers", "lifecycle": {"adoption": "Adopt"}});
    world.team("younger", "docs", adopts).await;
    let message = world.unready("PortalTeam", "younger", "Conflict").await;
    assert!(message.contains(&format!("PortalTeam {}/older", world.namespace)), "{message}");
    let older = world.synced("PortalTeam", "older").await;
    assert_eq!(id(&older), id(&world.only_team_in("docs")));
    world.delete("PortalTeam", "younger").await;
    world.gone("PortalTeam", "younger").await;
    world.synced("PortalTeam", "older").await;
    assert_eq!(world.remote_writes(), ["create-portal-team"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_of_a_portal_that_is_deleted_before_them_are_not_ready_and_end() {
    let (world, portal) = World::with_docs("acc-first").await;
    for team in ["readers", "writers"] {
        world.team(team, "docs", json!({})).await;
        world.synced("PortalTeam", team).await;
    }
    world.delete("Portal", "docs").await;
    for team in ["readers", "writers"] {
        let message = world.unready("PortalTeam", team, "ReferenceNotReady").await;
        assert!(message.contains("docs"), "{message}");
    }
    // Somebody loses patience, and deletes the portal at the console. With it go its teams.
    assert_eq!(world.by_hand(Method::DELETE, &format!("/v2/portals/{portal}"), None).await, 204);
    world.sandbox.reset_exchanges();
    sleep(Duration::from_millis(2500)).await;
    for team in ["readers", "writers"] {
        let object = world.get("PortalTeam", team).await.unwrap_or_default();
        assert_eq!(condition(&object, "Ready", "status"), "False", "{object:#}");
    }
    assert_eq!(world.remote_writes(), [] as [String; 0], "something was made in what is being deleted");
    for team in ["readers", "writers"] {
        world.delete("PortalTeam", team).await;
        world.gone("PortalTeam", team).await;
    }
    world.gone("Portal", "docs").await;
    assert!(world.portals().is_empty());
    world.end().await;
}

/// A portal waits for its teams in its own namespace alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_team_in_another_namespace_is_not_ready_once_its_portal_is_deleted_and_is_made_in_the_next() {
    let mut world = World::still("acc-away").await;
    let (home, away) = (world.namespace.clone(), world.second_namespace().await);
    world.start();
    let for_all = json!({"allowedNamespaces": {"from": "All"}});
    world.connection(for_all.clone()).await;
    world.portal("docs", for_all.clone()).await;
    let docs = json!({"name": "docs", "namespace": home});
    world.create_in(&away, "PortalTeam", "writers", json!({"portalRef": docs})).await;
    let is_synced = |o: &Value| is_current(o) && condition(o, "Synced", "status") == "True";
    let first = id(&world.until_in(&away, "PortalTeam", "writers", "became Synced", is_synced).await);
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    assert!(world.portals().is_empty());
    let is_unready = |o: &Value| condition(o, "Ready", "status") == "False";
    let team = world.until_in(&away, "PortalTeam", "writers", "stopped being Ready", is_unready).await;
    assert_eq!(condition(&team, "Synced", "status"), "False", "{team:#}");
    sleep(Duration::from_millis(1500)).await;
    world.portal("docs", for_all).await;
    world.synced("Portal", "docs").await;
    let is_another = |o: &Value| is_synced(o) && o["status"]["id"] != first.as_str();
    let second = id(&world.until_in(&away, "PortalTeam", "writers", "was made again", is_another).await);
    assert_eq!(second, id(&world.only_team_in("docs")));
    world.api_in(&away, "PortalTeam").delete("writers", &DeleteParams::default()).await.expect("it is deleted");
    world.until_in(&away, "PortalTeam", "writers", "went", Value::is_null).await;
    assert_eq!(world.teams_in("docs"), [] as [Value; 0]);
    world.end().await;
}

/// Which of the two goes first at the API, and whose answer is late or lost, is another each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_is_deleted_while_its_portal_is_leaves_nothing_and_holds_nothing() {
    let world = World::new("acc-both").await;
    let late = || Effect::Delay { milliseconds: 700 };
    let rounds = [
        ("delete-portal", late(), ["Portal", "PortalTeam"]),
        ("delete-portal-team", late(), ["PortalTeam", "Portal"]),
        ("delete-portal", Effect::LoseResponse, ["PortalTeam", "Portal"]),
        ("delete-portal-team", Effect::LoseResponse, ["Portal", "PortalTeam"]),
        ("delete-portal-team", Effect::Reset, ["PortalTeam", "Portal"]),
    ];
    for (operation, effect, order) in rounds {
        world.portal("docs", json!({})).await;
        world.team("writers", "docs", json!({})).await;
        world.synced("PortalTeam", "writers").await;
        world.once(operation, effect);
        for kind in order {
            world.delete(kind, if kind == "Portal" { "docs" } else { "writers" }).await;
            sleep(Duration::from_millis(100)).await;
        }
        world.gone("PortalTeam", "writers").await;
        world.gone("Portal", "docs").await;
        assert!(world.portals().is_empty(), "{order:?}: {:#?}", world.portals());
        world.sandbox.clear_faults();
    }
    world.end().await;
}
