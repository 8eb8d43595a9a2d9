//! More of what is no absence (law 3): an API that contradicts itself, reads that lag, and accounts that are taken for others where nothing
//! is recorded yet, or the connection was made again.
use std::time::Duration;

use portico_sandbox::{Effect, Fault, Plant};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    world::World,
    world_steps::{answered, ask_for_a_look, assert_nothing_sent, fault, id, plant_portal, status},
};

const CONFIRM: &str = "portico.dev/confirm-absence=";

/// Somebody renamed it, so that its name does not tell that it is there: only the id in the listing does.
#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_the_api_lists_and_does_not_return_is_not_made_again() {
    let (world, portal) = World::with_docs("absence-listed").await;
    world.team("writers", "docs", json!({})).await;
    let team = id(&world.synced("PortalTeam", "writers").await);
    // Long enough for it not to count as made just now.
    sleep(world.settings.consistency * 2).await;
    world.sandbox.reset_exchanges();
    fault(&world, "get-portal-team", status(404));
    let path = format!("/v2/portals/{portal}/teams/{team}");
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(json!({"name": "renamed"}))).await, 200);
    ask_for_a_look(&world, "PortalTeam", "writers", "now").await;
    world.eventually("it is looked at twice", |w| w.calls("get-portal-team") >= 2).await;
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(id(&world.only_team_in("docs")), team);
    assert_eq!(world.calls("create-portal-team"), 0);
    world.sandbox.clear_faults();
    world.eventually("its name is put back", |w| w.only_team_in("docs")["name"] == "writers").await;
    answered(&world, "PortalTeam", "writers", "now").await;
    assert_eq!(id(&world.synced("PortalTeam", "writers").await), team);
    world.end().await;
}

/// Teams have no marks: a second one would never be known for what it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_neither_a_get_nor_a_list_shows_yet_is_not_made_twice() {
    let mut world = World::still("absence-young").await;
    // What follows has to be over within this time.
    world.settings.consistency = Duration::from_secs(8);
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    fault(&world, "get-portal-team", status(404));
    fault(&world, "list-portal-teams", Effect::Lag { milliseconds: 60_000 });
    world.team("writers", "docs", json!({})).await;
    let team = id(&world.synced("PortalTeam", "writers").await);
    world.sandbox.reset_exchanges();
    ask_for_a_look(&world, "PortalTeam", "writers", "now").await;
    world.eventually("it is looked at", |w| w.calls("get-portal-team") >= 1).await;
    sleep(Duration::from_millis(700)).await;
    assert_eq!(id(&world.only_team_in("docs")), team);
    world.sandbox.clear_faults();
    answered(&world, "PortalTeam", "writers", "now").await;
    assert_eq!(id(&world.synced("PortalTeam", "writers").await), team);
    assert_eq!(id(&world.only_team_in("docs")), team);
    assert_nothing_sent(&world);
    world.end().await;
}

/// What another organization has.
fn theirs(world: &World) -> Value {
    world.sandbox.state()["organizations"]["other"].clone()
}

/// Waits until the connection says that it leads to another account, though nothing is recorded.
async fn unseen(world: &World) {
    let message = world.unready("KonnectConnection", "acme", "AccountChanged").await;
    assert!(message.contains("whose results nobody has seen") && message.contains(CONFIRM), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_is_noticed_where_all_that_is_known_is_a_create_without_an_answer() {
    let mut world = World::still("absence-unseen").await;
    // Nobody gives the create up, and no list of this account shows what it made.
    world.settings.consistency = Duration::from_secs(60);
    world.start();
    world.connection(json!({})).await;
    world.ready("KonnectConnection", "acme").await;
    let lag = Fault {
        operation: "list-portals".to_owned(),
        effect: Effect::Lag { milliseconds: 60_000 },
        times: None,
        organization: Some("acme".to_owned()),
    };
    world.sandbox.inject(lag);
    world.once("create-portal", Effect::LoseResponse);
    world.portal("docs", json!({})).await;
    world.eventually("the portal is made", |w| w.named("docs").len() == 1).await;
    let other = world.sandbox.organization("other");
    world.sandbox.plant("other", Plant::Portal(json!({"name": "docs"}))).expect("it can be planted");
    let before = theirs(&world);
    world.sandbox.reset_exchanges();
    world.secret("konnect", &other).await;
    unseen(&world).await;
    world.portal("news", json!({})).await;
    world.unready("Portal", "news", "ConnectionNotReady").await;
    sleep(Duration::from_millis(1500)).await;
    assert_nothing_sent(&world);
    assert_eq!(theirs(&world), before);
    world.sandbox.clear_faults();
    world.secret("konnect", &world.token).await;
    world.ready("KonnectConnection", "acme").await;
    for name in ["docs", "news"] {
        assert_eq!(id(&world.synced("Portal", name).await), id(&world.only(name)));
    }
    assert_eq!(world.calls("create-portal"), 1, "docs was there already");
    assert_eq!(theirs(&world), before);
    world.end().await;
}

/// That account's 404 for the portal would be taken for the end of all that is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_does_not_take_another_accounts_word_where_only_an_intent_is_recorded() {
    let mut world = World::still("absence-intent").await;
    // It crashes before it looks for what the create made.
    world.settings.consistency = Duration::from_secs(3);
    world.start();
    world.connection(json!({})).await;
    world.ready("KonnectConnection", "acme").await;
    let portal = plant_portal(&world, json!({"name": "theirs"}));
    world.once("create-portal-team", Effect::LoseResponse);
    let spec = json!({"portalRef": {"id": portal}, "connectionRef": {"name": "acme"}});
    world.create("PortalTeam", "writers", spec).await;
    world.eventually("the team is made", |w| w.teams_in("theirs").len() == 1).await;
    world.crash().await;
    let other = world.sandbox.organization("other");
    world.secret("konnect", &other).await;
    world.sandbox.reset_exchanges();
    world.start();
    unseen(&world).await;
    world.delete("PortalTeam", "writers").await;
    world.unready("PortalTeam", "writers", "DeletionBlocked").await;
    // Longer than a create may take effect unseen.
    sleep(Duration::from_millis(4500)).await;
    assert!(world.get("PortalTeam", "writers").await.is_some(), "it was let go, and what it made is still there");
    assert_nothing_sent(&world);
    assert_eq!(world.teams_in("theirs").len(), 1);
    world.secret("konnect", &world.token).await;
    world.gone("PortalTeam", "writers").await;
    assert_eq!(world.teams_in("theirs"), [] as [Value; 0]);
    assert_eq!(world.remote_writes(), ["delete-portal-team"]);
    world.end().await;
}

/// Ends the connection though it is in use, and makes another one of its name, to another tenant.
async fn lead_to(world: &World, tenant: &str) {
    world.annotate("AcpConnection", "identity", "portico.dev/orphan", json!("true")).await;
    world.delete("AcpConnection", "identity").await;
    world.gone("AcpConnection", "identity").await;
    let (id, secret) = world.sandbox.tenant(tenant);
    world.keys("acp", &[("client_id", &id), ("client_secret", &secret)]).await;
    world.identity(json!({ "tenant": tenant })).await;
    world.ready("AcpConnection", "identity").await;
}

/// The URL of a connection cannot be changed, but who insists makes another one under its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_made_again_to_another_tenant_makes_nothing_there_and_ends_no_deletion() {
    let world = World::acp("absence-tenant").await;
    world.server("login", json!({})).await;
    world.synced("AuthorizationServer", "login").await;
    let before = world.only_server();
    world.sandbox.reset_exchanges();
    lead_to(&world, "other").await;
    let message = world.unready("AuthorizationServer", "login", "ImmutableFieldChanged").await;
    assert!(message.contains("/acme") && message.contains("/other"), "{message}");
    sleep(Duration::from_millis(1200)).await;
    assert_eq!(world.tenant_has("other", "servers"), [] as [Value; 0]);
    world.delete("AuthorizationServer", "login").await;
    let message = world.unready("AuthorizationServer", "login", "DeletionBlocked").await;
    assert!(message.contains("/acme") && message.contains("/other"), "{message}");
    sleep(Duration::from_millis(1200)).await;
    assert!(world.get("AuthorizationServer", "login").await.is_some(), "it was let go while it was still there");
    assert_eq!(world.acp_writes(), [] as [String; 0]);
    assert_eq!(world.only_server(), before);
    lead_to(&world, "acme").await;
    world.gone("AuthorizationServer", "login").await;
    assert_eq!(world.acp_servers(), [] as [Value; 0]);
    world.end().await;
}
