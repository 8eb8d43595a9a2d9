//! Which object is whose, where the client chooses ids: derived ids find their object again; an id that a user chose proves nothing.
use std::time::Duration;

use portico_sandbox::{AcpPlant, Effect};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    tripwire::{Side, When},
    world::World,
    world_acp::{SHOP, works},
    world_steps::{delete_secret, id},
};

const SERVER: &str = "AuthorizationServer";

/// A stranger makes a server under this id.
fn theirs(world: &World, id: &str) -> Value {
    world.plant_acp(AcpPlant::Server(json!({"id": id, "name": "theirs"})));
    world.only_server()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_has_an_id_of_its_own_and_a_resource_made_again_finds_it() {
    let mut world = World::acp("id-derived").await;
    let spec = json!({"accessTokenTtl": "30m", "lifecycle": {"deletion": "Retain"}});
    world.server("login", spec.clone()).await;
    let first = world.synced(SERVER, "login").await;
    let (own, before) = (id(&first), world.only_server());
    assert!(own.len() == 26 && own.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')), "{own}");
    world.delete(SERVER, "login").await;
    world.gone(SERVER, "login").await;
    world.server("login", spec.clone()).await;
    let again = world.synced(SERVER, "login").await;
    assert_eq!((id(&again), world.only_server()), (own.clone(), before.clone()));
    assert_ne!(again["metadata"]["uid"], first["metadata"]["uid"]);
    // A restore: nothing is left of the resource but its manifest.
    world.crash().await;
    world.patch(SERVER, "login", json!({"metadata": {"finalizers": null}})).await;
    world.delete(SERVER, "login").await;
    world.gone(SERVER, "login").await;
    world.server("login", spec).await;
    world.start();
    let restored = world.synced(SERVER, "login").await;
    assert_eq!((id(&restored), world.only_server()), (own, before));
    assert_eq!(world.calls("updateAuthorizationServer"), 0, "there was nothing to change");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_of_which_nobody_knows_the_outcome_makes_one_object_of_each_kind() {
    let world = World::acp("id-lost").await;
    let creates = ["createAuthorizationServer", "createClient", "createConsent", "createConsentAction"];
    for effect in [Effect::LoseResponse, Effect::Reset] {
        for operation in creates {
            world.once(operation, effect.clone());
        }
        world.server("login", json!({})).await;
        world.client("shop", "login", json!({})).await;
        world.consent("terms", json!({})).await;
        world.action("sign-up", &["terms"]).await;
        let made = [(SERVER, "login"), ("OAuthClient", "shop"), ("Consent", "terms"), ("ConsentAction", "sign-up")];
        for (kind, name) in made {
            world.synced(kind, name).await;
        }
        for what in ["servers", "clients", "consents", "consent_actions"] {
            assert_eq!(world.tenant_has("acme", what).len(), 1, "{what} after {effect:?}");
        }
        assert_eq!(world.only_consent()["version"], 1);
        for (kind, name) in made {
            world.delete(kind, name).await;
        }
        for (kind, name) in made {
            world.gone(kind, name).await;
        }
        assert!(world.sandbox.faults().is_empty(), "not everything went wrong that was to");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_can_be_chosen_and_never_changed() {
    let world = World::acp("id-chosen").await;
    world.server("login", json!({"id": "main", "keyType": "ecdsa"})).await;
    world.client("shop", "login", json!({"clientId": "storefront"})).await;
    world.consent("terms", json!({"id": "eula"})).await;
    world.action("sign-up", &["terms"]).await;
    let derived = id(&world.synced("ConsentAction", "sign-up").await);
    let chosen = [(SERVER, "login", "main"), ("OAuthClient", "shop", "storefront"), ("Consent", "terms", "eula")];
    for (kind, name, chosen) in chosen {
        assert_eq!(id(&world.synced(kind, name).await), chosen);
    }
    let (server, client) = (world.only_server(), world.only_client());
    assert_eq!((&server["id"], &server["jwks"]["keys"][0]["kty"]), (&json!("main"), &json!("EC")));
    assert_eq!((&client["client_id"], &client["authorization_server_id"]), (&json!("storefront"), &json!("main")));
    assert_eq!((&world.only_consent()["id"], derived.len()), (&json!("eula"), 26));
    let changes = [
        (SERVER, "login", json!({"id": "other"}), "id cannot be"),
        (SERVER, "login", json!({"id": null}), "id cannot be"),
        (SERVER, "login", json!({"keyType": "rsa"}), "keyType cannot be"),
        ("OAuthClient", "shop", json!({"clientId": "other"}), "clientId cannot be"),
        ("Consent", "terms", json!({"id": null}), "id cannot be"),
        ("ConsentAction", "sign-up", json!({"id": "later"}), "id cannot be"),
    ];
    for (kind, name, change, words) in changes {
        let refused = world.try_patch(kind, name, json!({ "spec": change })).await.expect_err("it cannot be changed");
        assert!(refused.contains(words), "{kind}: {refused}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_server_of_the_chosen_id_is_refused_untouched_with_the_way_to_adopt_it() {
    let world = World::acp("id-stranger").await;
    let stranger = theirs(&world, "main");
    world.server("login", json!({"id": "main", "name": "ours"})).await;
    let message = world.unready(SERVER, "login", "AlreadyExists").await;
    assert!(message.contains("lifecycle.adoption: Adopt") && message.contains("main"), "{message}");
    world.delete(SERVER, "login").await;
    world.gone(SERVER, "login").await;
    assert_eq!((world.acp_writes(), world.only_server()), (Vec::new(), stranger.clone()));
    world.server("login", json!({"id": "main", "name": "ours", "lifecycle": {"adoption": "Adopt"}})).await;
    assert_eq!(id(&world.synced(SERVER, "login").await), "main");
    let mut adopted = stranger;
    adopted["name"] = json!("ours");
    assert_eq!(world.only_server(), adopted, "only the name was the spec's to change");
    assert_eq!(world.acp_writes(), ["updateAuthorizationServer"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_comes_between_the_look_and_the_create_keeps_what_is_theirs() {
    let world = World::quiet_acp("id-between").await;
    world.once("createAuthorizationServer", Effect::Delay { milliseconds: 700 });
    world.quiet().await;
    world.server("login", json!({"id": "main"})).await;
    let create = "POST /api/admin/acme/servers";
    world.eventually("the create is under way", |w| w.wire.seen(Side::Remote).iter().any(|r| r == create)).await;
    let stranger = theirs(&world, "main");
    let message = world.unready(SERVER, "login", "AlreadyExists").await;
    assert!(message.contains("lifecycle.adoption: Adopt"), "{message}");
    world.delete(SERVER, "login").await;
    world.gone(SERVER, "login").await;
    assert_eq!(world.only_server(), stranger);
    world.end().await;
}

/// A world in which the server `login` with the chosen id `main` was being made when the operator crashed at the create.
async fn crashed_at_the_create(name: &str, when: When) -> World {
    let mut world = World::quiet_acp(name).await;
    world.quiet().await;
    // The look is the first request, and the create the second.
    world.wire.arm(Side::Remote, when, 1);
    world.server("login", json!({"id": "main", "logoUri": "https://example.com/ours.png"})).await;
    assert!(world.crash_at_the_wire(Duration::from_secs(20)).await, "nothing was sent");
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_chosen_id_that_was_made_just_before_a_crash_is_known_again() {
    let mut world = crashed_at_the_create("id-crash-after", When::After).await;
    let made = world.only_server();
    world.start();
    assert_eq!(id(&world.synced(SERVER, "login").await), "main");
    assert_eq!(world.only_server(), made);
    assert_eq!(world.calls("createAuthorizationServer"), 1);
    world.delete(SERVER, "login").await;
    world.gone(SERVER, "login").await;
    assert!(world.acp_servers().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_chosen_id_deleted_after_such_a_crash_goes_with_its_resource() {
    let mut world = crashed_at_the_create("id-crash-gone", When::After).await;
    assert_eq!(world.acp_servers().len(), 1);
    world.delete(SERVER, "login").await;
    world.start();
    world.gone(SERVER, "login").await;
    assert!(world.acp_servers().is_empty(), "it was left behind");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_chosen_id_that_was_made_just_before_a_crash_is_known_again_and_its_secret_works() {
    let mut world = World::quiet_acp("id-crash-client").await;
    world.server("login", json!({})).await;
    world.synced(SERVER, "login").await;
    world.quiet().await;
    // Before the create there is a look at the client, and one at its server.
    world.wire.arm(Side::Remote, When::After, 2);
    world.client("shop", "login", json!({"clientId": "storefront"})).await;
    assert!(world.crash_at_the_wire(Duration::from_secs(20)).await, "nothing was sent");
    let made = world.only_client();
    world.start();
    assert_eq!(id(&world.synced("OAuthClient", "shop").await), "storefront");
    assert_eq!(world.only_client(), made);
    assert!(works(&world.values(SHOP).await, "client_secret").await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_just_before_a_crash_goes_with_its_resource_although_its_secret_went_first() {
    let mut world = World::quiet_acp("id-crash-secret").await;
    world.keys("hashing", &[("secret", "forty-characters-that-tokens-are-hashed-with")]).await;
    world.quiet().await;
    // An id that follows from the name needs no look: the create is the first request.
    world.wire.arm(Side::Remote, When::After, 0);
    world.server("login", json!({"secretRef": {"name": "hashing", "key": "secret"}})).await;
    assert!(world.crash_at_the_wire(Duration::from_secs(20)).await, "nothing was sent");
    assert_eq!(world.acp_servers().len(), 1);
    delete_secret(&world, "hashing").await;
    world.delete(SERVER, "login").await;
    world.start();
    world.gone(SERVER, "login").await;
    assert!(world.acp_servers().is_empty(), "it was left behind");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_took_the_chosen_id_during_a_crash_keeps_it() {
    let mut world = crashed_at_the_create("id-crash-before", When::Before).await;
    let stranger = theirs(&world, "main");
    world.start();
    world.unready(SERVER, "login", "AlreadyExists").await;
    world.delete(SERVER, "login").await;
    world.gone(SERVER, "login").await;
    assert_eq!(world.only_server(), stranger);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_resources_for_one_chosen_id_the_second_conflicts_and_its_end_touches_nothing() {
    let world = World::acp("id-rivals").await;
    world.consent("terms", json!({"id": "eula", "description": "ours"})).await;
    world.synced("Consent", "terms").await;
    let before = world.only_consent();
    let adopt = json!({"id": "eula", "description": "mine", "lifecycle": {"adoption": "Adopt"}});
    world.consent("rival", adopt).await;
    let message = world.unready("Consent", "rival", "Conflict").await;
    assert!(message.contains("/terms"), "{message}");
    world.delete("Consent", "rival").await;
    world.gone("Consent", "rival").await;
    assert_eq!(world.only_consent(), before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_to_bind_to_never_creates() {
    let world = World::acp("id-bound").await;
    world.server("nowhere", json!({"lifecycle": {"id": "nowhere"}})).await;
    let message = world.unready(SERVER, "nowhere", "NotFound").await;
    assert!(message.contains("nowhere"), "{message}");
    theirs(&world, "main");
    world.server("login", json!({"name": "ours", "lifecycle": {"id": "main"}})).await;
    assert_eq!(id(&world.synced(SERVER, "login").await), "main");
    assert_eq!((world.calls("createAuthorizationServer"), world.only_server()["name"].clone()), (0, json!("ours")));
    // Bound to by hand, and deleted by hand: it is not made again.
    world.delete_by_hand_acp("/servers/main").await;
    world.unready(SERVER, "login", "NotFound").await;
    sleep(Duration::from_millis(1200)).await;
    assert!(world.acp_servers().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_built_in_is_refused_before_any_write_and_may_be_looked_at() {
    let world = World::acp("id-built-in").await;
    world.server("login", json!({"id": "main"})).await;
    world.synced(SERVER, "login").await;
    let built_in = |world: &World| {
        let state = world.sandbox.state();
        let of = |what: &str| state["tenants"]["acme"][what].as_array().cloned().unwrap_or_default();
        let all = [of("servers"), of("clients")].concat();
        all.into_iter().filter(|object| object["system"] == true).collect::<Vec<Value>>()
    };
    let before = built_in(&world);
    assert!(before.len() >= 5, "three servers, the client that Portico is, and the one called User Portal");
    world.sandbox.reset_exchanges();
    let adopt = json!({"adoption": "Adopt"});
    let with = |id: Value, lifecycle: Value| {
        let mut spec = id;
        spec["lifecycle"] = lifecycle;
        spec
    };
    // The client that came with the server has the server's id.
    for (kind, field, id) in [(SERVER, "id", "admin"), (SERVER, "id", "system"), ("OAuthClient", "clientId", "main")] {
        let tries = [
            ("chosen", with(json!({field: id}), json!({}))),
            ("adopted", with(json!({field: id}), adopt.clone())),
            ("bound", with(json!({}), json!({"id": id, "adoption": "Adopt"}))),
        ];
        for (name, spec) in tries {
            if kind == SERVER {
                world.server(name, spec).await;
            } else {
                world.client(name, "login", spec).await;
            }
            let message = world.unready(kind, name, "InvalidSpec").await;
            assert!(message.contains("built in"), "{name}: {message}");
            assert!(world.is_stalled(kind, name).await, "{name}");
            world.delete(kind, name).await;
            world.gone(kind, name).await;
        }
    }
    let observe = json!({"lifecycle": {"id": "admin", "mode": "Observe"}});
    world.server("watched", observe).await;
    let watched = world.ready(SERVER, "watched").await;
    assert_eq!(watched["status"]["id"], "admin");
    world.delete(SERVER, "watched").await;
    world.gone(SERVER, "watched").await;
    for name in ["chosen", "adopted", "bound"] {
        assert_eq!(world.secret_named(&format!("{name}-credentials")).await, None, "{name}");
    }
    assert_eq!((world.acp_writes(), built_in(&world)), (Vec::new(), before));
    world.end().await;
}
