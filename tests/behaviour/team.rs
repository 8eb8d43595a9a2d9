//! Where a team lives, and how it is known again: names are not unique and teams carry no labels. The rest of its life is in `conformance`.
use std::time::Duration;

use portico_sandbox::{Effect, Fault, Plant};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    tripwire::{Side, When},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_name_defaults_to_the_resources_and_an_empty_description_clears_it() {
    let (world, _) = World::with_docs("team-fields").await;
    world.team("core", "docs", json!({"description": "first"})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(world.only_team_in("docs")["name"], "core");
    world.sandbox.reset_exchanges();
    world.spec("PortalTeam", "core", json!({"description": ""})).await;
    world.synced("PortalTeam", "core").await;
    let sent = world.sandbox.exchanges().into_iter().filter(|e| e.method != "GET").map(|e| e.request_body);
    assert_eq!(sent.collect::<Vec<_>>(), [json!({"description": ""})], "the description cannot be null");
    assert_eq!(world.only_team_in("docs")["description"], "");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_lives_in_a_portal_that_portico_does_not_manage() {
    let world = World::new("team-by-id").await;
    let portal = world.stranger_makes(Plant::Portal(json!({"name": "theirs", "description": "not ours"})));
    let spec = json!({"portalRef": {"id": portal}, "connectionRef": {"name": "acme"}, "description": "ours"});
    world.create("PortalTeam", "core", spec).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(world.only_team_in("theirs")["description"], "ours");
    let id = world.only_team_in("theirs")["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/portals/{portal}/teams/{id}");
    world.by_hand(Method::PATCH, &path, Some(json!({"description": "theirs"}))).await;
    world.eventually("drift is put back", |w| w.only_team_in("theirs")["description"] == "ours").await;
    world.delete("PortalTeam", "core").await;
    world.gone("PortalTeam", "core").await;
    assert_eq!(world.teams_in("theirs"), [] as [Value; 0]);
    assert_eq!(world.only("theirs")["description"], "not ours", "the portal is a stranger's");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_and_its_team_may_be_applied_in_any_order() {
    let mut world = World::still("team-order").await;
    world.start();
    world.team("core", "docs", json!({})).await;
    let message = world.unready("PortalTeam", "core", "ReferenceNotFound").await;
    assert!(message.contains("docs"), "{message}");
    world.portal("docs", json!({})).await;
    let message = world.unready("Portal", "docs", "ReferenceNotFound").await;
    assert!(message.contains("acme"), "{message}");
    let team = world.unready("PortalTeam", "core", "ReferenceNotReady").await;
    assert!(team.contains("docs"), "{team}");
    world.connection(json!({})).await;
    world.synced("Portal", "docs").await;
    world.synced("PortalTeam", "core").await;
    world.only_team_in("docs");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_deleted_by_hand_is_made_again_once_and_its_team_in_it() {
    let (world, portal) = World::with_docs("team-portal-gone").await;
    // Another object stays: if all vanished at once, nothing would be made again.
    world.portal("keep", json!({})).await;
    world.synced("Portal", "keep").await;
    world.team("core", "docs", json!({"description": "ours"})).await;
    world.synced("PortalTeam", "core").await;
    world.sandbox.reset_exchanges();
    assert!(world.by_hand(Method::DELETE, &format!("/v2/portals/{portal}"), None).await < 300);
    let is_back = |w: &World| w.named("docs").first().is_some_and(|p| p["teams"].as_array().unwrap().len() == 1);
    world.eventually("portal and team are made again", is_back).await;
    let (docs, team) = (world.only("docs"), world.only_team_in("docs"));
    assert_ne!(docs["id"], portal.as_str());
    world.until("Portal", "docs", "recorded the new portal", |o| o["status"]["id"] == docs["id"]).await;
    world.until("PortalTeam", "core", "recorded the new team", |o| o["status"]["id"] == team["id"]).await;
    world.synced("Portal", "docs").await;
    world.synced("PortalTeam", "core").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((world.calls("create-portal"), world.calls("create-portal-team")), (1, 1));
    assert_eq!(world.only_team_in("docs")["description"], "ours");
    assert_eq!(world.portals().len(), 2);
    world.end().await;
}

/// A team whose operator crashed at its POST: the first request is the lookup, the second the POST.
async fn crash_at_the_post(name: &str, when: When) -> (World, String) {
    let (mut world, portal) = World::quiet_with_docs(name).await;
    world.wire.arm(Side::Remote, when, 1);
    world.team("core", "docs", json!({})).await;
    assert!(world.crash_at_the_wire(Duration::from_secs(20)).await, "the team was never created");
    let team = world.get("PortalTeam", "core").await.unwrap();
    assert!(team["status"]["creating"].is_object(), "the intent is recorded beforehand: {team:#}");
    assert_eq!(team["status"]["id"], Value::Null);
    assert_eq!(world.teams_in("docs").len(), usize::from(when == When::After));
    (world, portal)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_the_create_ends_with_the_team_that_was_created() {
    let (mut world, _) = crash_at_the_post("team-crash-after", When::After).await;
    let made = world.only_team_in("docs")["id"].clone();
    world.start();
    let team = world.synced("PortalTeam", "core").await;
    assert_eq!(team["status"]["id"], made);
    assert!(team["status"]["creating"].is_null());
    assert_eq!((world.teams_in("docs").len(), world.calls("create-portal-team")), (1, 1));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_create_ends_with_one_team() {
    let (mut world, _) = crash_at_the_post("team-crash-before", When::Before).await;
    world.start();
    let team = world.synced("PortalTeam", "core").await;
    assert_eq!(team["status"]["id"], world.only_team_in("docs")["id"]);
    assert_eq!(world.calls("create-portal-team"), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_the_create_ends_with_one_team() {
    let (world, _) = World::with_docs("team-lost").await;
    let operation = "create-portal-team".to_owned();
    world.sandbox.inject(Fault { operation, effect: Effect::LoseResponse, times: Some(1), organization: None });
    world.team("core", "docs", json!({"description": "once"})).await;
    let team = world.synced("PortalTeam", "core").await;
    assert_eq!(team["status"]["id"], world.only_team_in("docs")["id"]);
    assert_eq!(world.calls("create-portal-team"), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_strangers_team_equals_the_one_whose_create_crashed_a_person_decides() {
    let (mut world, portal) = crash_at_the_post("team-crash-stranger", When::After).await;
    let ours = world.only_team_in("docs")["id"].as_str().unwrap().to_owned();
    let theirs = world.stranger_makes(Plant::Team { portal, body: json!({"name": "core"}) });
    world.start();
    let message = world.unready("PortalTeam", "core", "Ambiguous").await;
    assert!(message.contains(&ours) && message.contains(&theirs) && message.contains("lifecycle.id"), "{message}");
    assert_eq!((world.teams_in("docs").len(), world.calls("create-portal-team")), (2, 1));
    // The stranger's team is not the user's to delete: saying which is meant is enough.
    world.spec("PortalTeam", "core", json!({"description": "ours", "lifecycle": {"id": ours}})).await;
    assert_eq!(world.synced("PortalTeam", "core").await["status"]["id"], ours.as_str());
    let stranger = world.teams_in("docs").into_iter().find(|t| t["id"] == theirs.as_str());
    assert!(stranger.is_some_and(|t| t["description"] != "ours"), "the stranger's team was touched");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_strangers_of_the_same_name_neither_is_taken_until_the_user_names_one() {
    let (world, portal) = World::with_docs("team-two").await;
    let plant = || {
        let body = json!({"name": "core", "description": "theirs"});
        world.stranger_makes(Plant::Team { portal: portal.clone(), body })
    };
    let (first, second) = (plant(), plant());
    world.sandbox.reset_exchanges();
    let adopt = json!({"description": "ours", "lifecycle": {"adoption": "Adopt"}});
    world.team("core", "docs", adopt).await;
    let message = world.unready("PortalTeam", "core", "Ambiguous").await;
    assert!(message.contains(&first) && message.contains(&second), "{message}");
    assert_eq!(world.remote_writes(), Vec::<String>::new());
    world.spec("PortalTeam", "core", json!({"lifecycle": {"id": second}})).await;
    assert_eq!(world.synced("PortalTeam", "core").await["status"]["id"], second.as_str());
    let description = |id: &str| {
        let team = world.teams_in("docs").into_iter().find(|t| t["id"] == id).unwrap();
        team["description"].as_str().unwrap().to_owned()
    };
    assert_eq!((description(&first), description(&second)), ("theirs".to_owned(), "ours".to_owned()));
    assert_eq!(world.teams_in("docs").len(), 2);
    world.end().await;
}
