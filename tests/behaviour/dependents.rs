//! A resource that goes while one that belongs to it does not know yet whether it made anything: it is the only way to find that out, so it
//! stays for a while (law 1), and not for ever (law 5).
use std::time::Duration;

use portico_sandbox::{AcpSwitches, Effect};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    world::World,
    world_steps::{fault, status},
};

/// A world in which nobody heard whether the OAuthClient `shop` of the AuthorizationServer `login` was made. It was.
async fn unheard_of(name: &str, minute: Duration, server: Value) -> World {
    let mut world = World::still_acp(name, AcpSwitches::default()).await;
    world.settings.consistency = Duration::from_secs(3);
    world.settings.minute = minute;
    world.start();
    world.identity(json!({})).await;
    world.server("login", server).await;
    world.synced("AuthorizationServer", "login").await;
    world.once("createClient", Effect::LoseResponse);
    // Nor does it find out by another try.
    fault(&world, "createClient", status(500));
    world.client("shop", "login", json!({})).await;
    world.eventually("the client is made", |w| w.acp_clients().len() == 1).await;
    world
}

/// The server waits, and says for whom.
async fn waits_for_the_client(world: &World) {
    let message = world.unready("AuthorizationServer", "login", "DeletionBlocked").await;
    assert!(message.contains(&format!("OAuthClient {}/shop", world.namespace)), "{message}");
}

/// The server's own object stays, so nobody else would ever remove the client.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_waits_for_a_client_that_finds_what_it_made_through_it_alone() {
    let retained = json!({"lifecycle": {"deletion": "Retain"}});
    let world = unheard_of("dep-waits", Duration::from_secs(2), retained).await;
    world.delete("OAuthClient", "shop").await;
    // It waits itself until the create can no longer take effect.
    world.unready("OAuthClient", "shop", "Deleting").await;
    world.delete("AuthorizationServer", "login").await;
    waits_for_the_client(&world).await;
    world.gone("OAuthClient", "shop").await;
    world.gone("AuthorizationServer", "login").await;
    assert_eq!((world.acp_servers().len(), world.acp_clients().len()), (1, 0));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_waits_no_longer_than_five_minutes_for_a_client_whose_deletion_does_not_go_on() {
    let minute = Duration::from_millis(300);
    let world = unheard_of("dep-ends", minute, json!({})).await;
    world.annotate("OAuthClient", "shop", "portico.dev/paused", json!("true")).await;
    world.delete("OAuthClient", "shop").await;
    world.unready("OAuthClient", "shop", "DeletionBlocked").await;
    let asked = Instant::now();
    world.delete("AuthorizationServer", "login").await;
    waits_for_the_client(&world).await;
    world.gone("AuthorizationServer", "login").await;
    assert!(asked.elapsed() >= minute * 5, "it went after {:?}", asked.elapsed());
    // What the client made has gone with the server.
    assert_eq!((world.acp_servers(), world.acp_clients()), (Vec::new(), Vec::new()));
    world.annotate("OAuthClient", "shop", "portico.dev/paused", Value::Null).await;
    world.gone("OAuthClient", "shop").await;
    world.end().await;
}
