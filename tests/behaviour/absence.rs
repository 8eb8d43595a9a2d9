//! Unknown is not absent (law 3): nothing is made again, and nothing let go, for a failed or a foreign answer.
use std::time::Duration;

use portico_sandbox::{Effect, Fault, Plant};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    world::{World, condition},
    world_steps::{
        after_a_sweep, answered, ask_for_a_look, assert_nothing_sent, delete_by_hand, fault, id, page, plant_team,
        portal_ids, status, teams,
    },
};

const CONFIRM: &str = "portico.dev/confirm-absence";

async fn absence(world: &World, missing: u64) -> String {
    let is =
        |o: &Value| o["status"]["absence"]["missing"] == missing && condition(o, "Synced", "reason") == "MassAbsence";
    let connection = world.until("KonnectConnection", "acme", "showed the absence", is).await;
    assert_eq!(condition(&connection, "Synced", "status"), "False");
    let token = connection["status"]["absence"]["token"].as_str().expect("there is a token").to_owned();
    let message = condition(&connection, "Synced", "message");
    assert!(message.contains(&format!("{CONFIRM}={token}")), "{message}");
    token
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_objects_vanish_nothing_is_made_until_a_person_confirms_it() {
    let world = World::new("absence-all").await;
    for name in ["docs", "news"] {
        world.portal(name, json!({})).await;
        world.synced("Portal", name).await;
    }
    after_a_sweep(&world).await;
    for name in ["docs", "news"] {
        delete_by_hand(&world, name).await;
    }
    for name in ["docs", "news"] {
        world.unready("Portal", name, "MassAbsence").await;
    }
    let token = absence(&world, 2).await;
    world.ready("KonnectConnection", "acme").await;
    world.assert_silence(Duration::from_millis(2500)).await;
    world.annotate("KonnectConnection", "acme", CONFIRM, json!("no such token")).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(world.portals().is_empty());
    world.annotate("KonnectConnection", "acme", CONFIRM, json!(token)).await;
    for name in ["docs", "news"] {
        assert_eq!(id(&world.synced("Portal", name).await), id(&world.only(name)));
    }
    let over = |o: &Value| o["status"]["absence"].is_null() && condition(o, "Synced", "status") == "True";
    world.until("KonnectConnection", "acme", "forgot the absence", over).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_five_is_made_again_without_asking_and_four_of_five_are_not() {
    let world = World::new("absence-some").await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        world.portal(name, json!({})).await;
    }
    for name in names {
        world.synced("Portal", name).await;
    }
    let before: Vec<String> = names.iter().map(|name| id(&world.only(name))).collect();
    after_a_sweep(&world).await;
    delete_by_hand(&world, "a").await;
    world.eventually("it is made again", |w| !w.named("a").is_empty()).await;
    assert_ne!(id(&world.only("a")), before[0]);
    for (name, before) in names.iter().zip(&before).skip(1) {
        assert_eq!(id(&world.only(name)), *before, "{name} was not touched");
    }
    let made = id(&world.only("a"));
    world.until("Portal", "a", "recorded the new id", |o| o["status"]["id"] == made).await;
    after_a_sweep(&world).await;
    for name in &names[1..] {
        delete_by_hand(&world, name).await;
    }
    for name in &names[1..] {
        world.unready("Portal", name, "MassAbsence").await;
    }
    absence(&world, 4).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(portal_ids(&world), [made]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_organization_writes_nothing_there_and_the_old_one_goes_on() {
    let world = World::new("absence-account").await;
    world.portal("docs", json!({"description": "first"})).await;
    world.synced("Portal", "docs").await;
    let other = world.sandbox.organization("other");
    world.sandbox.plant("other", Plant::Portal(json!({"name": "docs"}))).unwrap();
    let theirs = |w: &World| w.sandbox.state()["organizations"]["other"].clone();
    let before = theirs(&world);
    world.sandbox.reset_exchanges();
    world.secret("konnect", &other).await;
    world.unready("KonnectConnection", "acme", "AccountChanged").await;
    world.spec("Portal", "docs", json!({"description": "second"})).await;
    world.portal("news", json!({})).await;
    world.unready("Portal", "news", "ConnectionNotReady").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_nothing_sent(&world);
    assert_eq!(theirs(&world), before);
    world.secret("konnect", &world.token).await;
    world.ready("KonnectConnection", "acme").await;
    world.synced("Portal", "docs").await;
    world.synced("Portal", "news").await;
    assert_eq!(world.only("docs")["description"], "second");
    assert_eq!(theirs(&world), before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_does_not_take_another_accounts_word_for_it() {
    let world = World::new("absence-deletion").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    let other = world.sandbox.organization("other");
    // While the new token is still being tried nobody knows whose it is.
    let slow = Fault {
        operation: "list-portals".to_owned(),
        effect: Effect::Delay { milliseconds: 800 },
        times: None,
        organization: Some("other".to_owned()),
    };
    world.sandbox.inject(slow);
    world.secret("konnect", &other).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.delete("Portal", "docs").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    world.secret("konnect", &world.token).await;
    world.gone("Portal", "docs").await;
    assert!(world.portals().is_empty(), "it was let go while it was still there");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_never_made_again() {
    let world = World::new("absence-unread").await;
    world.portal("docs", json!({})).await;
    let portal = id(&world.synced("Portal", "docs").await);
    world.sandbox.reset_exchanges();
    let troubles =
        [("list-portals", status(500)), ("get-portal", page(404)), ("get-portal", status(500)), ("*", page(404))];
    for (number, (operation, effect)) in troubles.into_iter().enumerate() {
        let when = number.to_string();
        fault(&world, operation, effect);
        ask_for_a_look(&world, "Portal", "docs", &when).await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        world.sandbox.clear_faults();
        answered(&world, "Portal", "docs", &when).await;
    }
    ask_for_a_look(&world, "Portal", "docs", "at last").await;
    answered(&world, "Portal", "docs", "at last").await;
    assert_eq!(id(&world.synced("Portal", "docs").await), portal);
    assert_nothing_sent(&world);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_counts_as_gone_only_while_its_portal_answers() {
    let world = World::new("absence-parent").await;
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    world.synced("PortalTeam", "writers").await;
    world.sandbox.reset_exchanges();
    fault(&world, "get-portal-team", status(404));
    fault(&world, "get-portal", status(503));
    ask_for_a_look(&world, "PortalTeam", "writers", "now").await;
    world.eventually("the team was looked at", |w| w.calls("get-portal-team") > 0).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    world.sandbox.clear_faults();
    ask_for_a_look(&world, "PortalTeam", "writers", "again").await;
    answered(&world, "PortalTeam", "writers", "again").await;
    world.synced("PortalTeam", "writers").await;
    assert_nothing_sent(&world);
    assert_eq!(teams(&world, "docs").len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_fails_is_no_proof_that_a_name_is_free() {
    let world = World::new("absence-look-up").await;
    for (name, effect) in [("docs", status(500)), ("news", page(404))] {
        world.sandbox.reset_exchanges();
        fault(&world, "list-portals", effect);
        world.portal(name, json!({})).await;
        world.eventually("the name was looked up", |w| w.calls("list-portals") > 0).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_nothing_sent(&world);
        world.sandbox.clear_faults();
        world.synced("Portal", name).await;
        assert_eq!(world.remote_writes(), ["create-portal"]);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_lags_makes_no_second_object() {
    let world = World::new("absence-lag").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    world.sandbox.reset_exchanges();
    // From here on the lists show what was there before the team and the second portal.
    fault(&world, "*", Effect::Lag { milliseconds: 60_000 });
    world.team("writers", "docs", json!({})).await;
    world.portal("news", json!({})).await;
    for (kind, name) in [("PortalTeam", "writers"), ("Portal", "news")] {
        world.synced(kind, name).await;
        ask_for_a_look(&world, kind, name, "now").await;
        answered(&world, kind, name, "now").await;
    }
    let listed = world.calls("list-portals");
    world.eventually("two more sweeps", |w| w.calls("list-portals") > listed + 1).await;
    world.sandbox.clear_faults();
    world.synced("PortalTeam", "writers").await;
    let mut writes = world.remote_writes();
    writes.sort_unstable();
    assert_eq!(writes, ["create-portal", "create-portal-team"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_of_a_proxy_ends_no_deletion() {
    let world = World::new("absence-proxy").await;
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    world.synced("PortalTeam", "writers").await;
    for (kind, name) in [("PortalTeam", "writers"), ("Portal", "docs")] {
        for operation in ["get-portal", "delete-portal", "delete-portal-team"] {
            fault(&world, operation, page(404));
        }
        world.delete(kind, name).await;
        world.until(kind, name, "said that it is stuck", |o| condition(o, "Ready", "status") == "False").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(world.get(kind, name).await.is_some(), "{kind} was let go");
        world.sandbox.clear_faults();
        world.gone(kind, name).await;
    }
    assert!(world.portals().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_page_in_the_place_of_one_answer_is_asked_for_again_with_growing_patience() {
    let world = World::new("absence-page").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    // Listings and probes go through all the while.
    for operation in ["create-portal", "delete-portal"] {
        fault(&world, operation, page(502));
    }
    world.sandbox.reset_exchanges();
    world.portal("news", json!({})).await;
    world.delete("Portal", "docs").await;
    // Backoff is shortened 50 times here, and so is the minute in which at most 6 requests may be spent.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for operation in ["create-portal", "delete-portal"] {
        let calls = world.calls(operation);
        assert!((1..=6).contains(&calls), "{calls} times {operation}");
    }
    world.sandbox.clear_faults();
    world.gone("Portal", "docs").await;
    world.synced("Portal", "news").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_someone_made_in_the_place_of_ours_is_a_strangers() {
    let world = World::new("absence-replaced").await;
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({"description": "ours"})).await;
    let team = id(&world.synced("PortalTeam", "writers").await);
    let portal = id(&world.only("docs"));
    after_a_sweep(&world).await;
    let theirs = plant_team(&world, &portal, json!({"name": "writers", "description": "theirs"}));
    world.sandbox.reset_exchanges();
    assert_eq!(world.by_hand(Method::DELETE, &format!("/v2/portals/{portal}/teams/{team}"), None).await, 204);
    let message = world.unready("PortalTeam", "writers", "AlreadyExists").await;
    assert!(message.contains("adoption: Adopt"), "{message}");
    let left = teams(&world, "docs");
    assert_eq!((left.len(), id(&left[0]), &left[0]["description"]), (1, theirs, &json!("theirs")));
    assert_eq!(world.remote_writes(), ["delete-portal-team"], "but for the deletion by hand");
    world.end().await;
}
