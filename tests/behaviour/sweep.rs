//! What the sweep costs: at rest, after a restart, with parts, in a huge collection, and where it would be too much.
use std::time::Duration;

use portico_sandbox::Plant;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    world::{World, condition},
    world_steps::{assert_nothing_sent, delete_by_hand, id, plant_team, teams},
    world_team::role,
};

/// More strangers' teams than a sweep reads pages for.
const STRANGERS: usize = 650;

/// The team of this id, as the API has it.
fn team(world: &World, id: &str) -> Value {
    teams(world, "docs").into_iter().find(|team| team["id"] == id).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_reads_each_collection_once_and_no_object_that_is_in_order() {
    let (mut world, _) = World::quiet_with_docs("sweep-restart").await;
    let names: Vec<String> = (0..8).map(|n| format!("more-{n}")).collect();
    for name in &names {
        world.portal(name, json!({})).await;
        world.team(name, name, json!({})).await;
    }
    for name in &names {
        world.synced("PortalTeam", name).await;
    }
    world.stop().await;
    world.flush_audit().await;
    let before = world.kubernetes_writes().len();
    world.sandbox.reset_exchanges();
    world.start();
    world.eventually("every team is looked at", |w| w.calls("list-portal-teams") >= names.len()).await;
    sleep(Duration::from_millis(1500)).await;
    assert_eq!((world.calls("get-portal"), world.calls("get-portal-team")), (0, 0), "they are in order");
    // One more is the probe of the credential.
    assert!(world.calls("list-portals") <= 2, "{} listings", world.calls("list-portals"));
    assert_eq!(world.calls("list-portal-teams"), names.len());
    world.assert_nothing_written_since(before).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_nobody_was_there_to_see_is_found_by_the_sweep_after_the_start() {
    let (mut world, _) = World::quiet_with_docs("sweep-meanwhile").await;
    for name in ["same", "other", "lost"] {
        world.portal(name, json!({"description": "ours"})).await;
        world.synced("Portal", name).await;
    }
    world.stop().await;
    let path = format!("/v2/portals/{}", id(&world.only("other")));
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(json!({"description": "theirs"}))).await, 200);
    delete_by_hand(&world, "lost").await;
    world.sandbox.reset_exchanges();
    world.start();
    world.eventually("it is put back", |w| w.only("other")["description"] == "ours").await;
    world.eventually("it is made again", |w| w.named("lost").len() == 1).await;
    let same = id(&world.only("same"));
    let read = world.sandbox.exchanges().iter().any(|e| e.url.ends_with(&format!("/v2/portals/{same}")));
    assert!(!read, "what is in order is not read");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_with_parts_costs_two_reads_a_sweep_and_no_pass() {
    let (world, portal) = World::with_docs("sweep-parts").await;
    let everything = world.everything(&portal);
    world.team("core", "docs", everything).await;
    world.team("more", "docs", json!({"identityProviderGroups": ["others"]})).await;
    for name in ["core", "more"] {
        let is_bound =
            |o: &Value| condition(o, "Bound", "status") == "True" && condition(o, "Synced", "status") == "True";
        world.until("PortalTeam", name, "was bound", is_bound).await;
    }
    // Whatever came before has ended.
    sleep(Duration::from_millis(1500)).await;
    world.sandbox.reset_exchanges();
    world.eventually("three sweeps", |w| w.calls("list-portal-teams") > 3).await;
    assert_eq!(world.calls("get-portal-team"), 0, "nothing differs");
    assert_eq!(world.calls("list-portal-developers"), 0, "nobody has to be looked up");
    let parts = ["list-portal-team-roles", "list-portal-team-developers", "list-portal-team-group-mappings"];
    let read = parts.map(|operation| world.calls(operation));
    let sweeps = world.calls("list-portal-teams");
    assert!(read.iter().all(|read| (2..=sweeps + 1).contains(read)), "{read:?} reads in {sweeps} sweeps");
    assert_nothing_sent(&world);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_is_waited_for_costs_one_look_up_a_sweep_and_no_pass() {
    let (world, portal) = World::with_docs("sweep-waited").await;
    let product = world.product();
    for name in ["core", "more"] {
        let spec = json!({
            "roles": {"items": [role("API Viewer", &product)]},
            "developers": {"items": ["ann@example.com"]},
        });
        world.team(name, "docs", spec).await;
        world.until("PortalTeam", name, "said who is missing", |o| condition(o, "Bound", "status") == "False").await;
    }
    sleep(Duration::from_millis(1500)).await;
    world.sandbox.reset_exchanges();
    world.eventually("three sweeps", |w| w.calls("list-portal-teams") > 3).await;
    assert_eq!(world.calls("get-portal-team"), 0, "nothing is new");
    let (asked, sweeps) = (world.calls("list-portal-developers"), world.calls("list-portal-teams"));
    assert!((2..=sweeps + 1).contains(&asked), "{asked} look-ups in {sweeps} sweeps");
    world.sign_up(&portal, "ann@example.com");
    for name in ["core", "more"] {
        world.until("PortalTeam", name, "took her in", |o| condition(o, "Bound", "status") == "True").await;
    }
    assert!(teams(&world, "docs").iter().all(|team| team["developers"] == json!(["ann@example.com"])));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ours_in_a_huge_collection_is_read_by_itself() {
    let (world, portal) = World::with_docs("sweep-huge").await;
    world.team("core", "docs", json!({"description": "ours"})).await;
    let ours = id(&world.synced("PortalTeam", "core").await);
    for n in 0..STRANGERS {
        plant_team(&world, &portal, json!({"name": format!("theirs-{n}")}));
    }
    world.sandbox.reset_exchanges();
    world.eventually("four sweeps", |w| w.calls("get-portal-team") >= 4).await;
    let pages = world.calls("list-portal-teams");
    assert!(pages <= 10, "{pages} pages were read for one team");
    assert_nothing_sent(&world);
    let path = format!("/v2/portals/{portal}/teams/{ours}");
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(json!({"description": "theirs"}))).await, 200);
    world.eventually("it is put back", |w| team(w, &ours)["description"] == "ours").await;
    assert_eq!(world.by_hand(Method::DELETE, &path, None).await, 204);
    let again = |o: &Value| o["status"]["id"].is_string() && o["status"]["id"] != ours.as_str();
    let made = id(&world.until("PortalTeam", "core", "was made again", again).await);
    assert_eq!(team(&world, &made)["description"], "ours");
    assert_eq!(teams(&world, "docs").len(), STRANGERS + 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_that_would_take_more_than_their_share_come_more_rarely_and_the_status_says_so() {
    let mut world = World::still("sweep-budget").await;
    // Of 1,000 requests a second, half a one.
    world.settings.sweep_share = 0.0005;
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    world.team("core", "docs", json!({})).await;
    world.synced("PortalTeam", "core").await;
    let is_stretched = |o: &Value| o["status"]["sweepInterval"] == "4s";
    world.until("KonnectConnection", "acme", "stretched the interval", is_stretched).await;
    world.sandbox.reset_exchanges();
    sleep(Duration::from_secs(6)).await;
    let sweeps = world.calls("list-portal-teams");
    assert!((1..=2).contains(&sweeps), "{sweeps} sweeps in 6 s");
    // It is said once, and stands over a restart.
    world.stop().await;
    world.flush_audit().await;
    let before = world.kubernetes_writes().len();
    world.sandbox.reset_exchanges();
    world.start();
    world.eventually("a sweep", |w| w.calls("list-portal-teams") >= 1).await;
    sleep(Duration::from_millis(1000)).await;
    world.assert_nothing_written_since(before).await;
    assert!(is_stretched(&world.get("KonnectConnection", "acme").await.unwrap_or_default()));
    // What is seldom enough is as the spec says.
    world.spec("KonnectConnection", "acme", json!({"resyncInterval": "10s"})).await;
    let is_gone = |o: &Value| o["status"]["sweepInterval"].is_null();
    world.until("KonnectConnection", "acme", "did as the spec says", is_gone).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_provider_that_is_there_at_last_is_seen_by_the_sweep() {
    let (world, portal) = World::with_docs("sweep-table").await;
    world.team("core", "docs", json!({"identityProviderGroups": ["engineers"]})).await;
    world.until("PortalTeam", "core", "said what is missing", |o| condition(o, "Bound", "status") == "False").await;
    sleep(Duration::from_millis(1500)).await;
    world.sandbox.reset_exchanges();
    world.eventually("three sweeps", |w| w.calls("list-portal-teams") > 3).await;
    assert_eq!(world.calls("get-portal-team"), 0, "nothing is new");
    let config = json!({"issuer_url": "https://idp.example.com", "client_id": "portal"});
    let body = json!({"type": "oidc", "config": config, "enabled": true});
    world.stranger_makes(Plant::IdentityProvider { portal, body });
    world.until("PortalTeam", "core", "was bound", |o| condition(o, "Bound", "status") == "True").await;
    world.end().await;
}
