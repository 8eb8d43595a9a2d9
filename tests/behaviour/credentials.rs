//! A client's credentials: they arrive in a Secret that programs read, which is never written over somebody else's, is rebuilt when a user
//! deletes it, and goes or stays with the client.
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use portico_sandbox::{AcpPlant, AcpSwitches};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    tripwire::{Side, When},
    world::World,
    world_acp::{SHOP, ask_for_token, works},
    world_steps::{delete_secret, fault, grant_everywhere, id, status},
};

/// A world with the server `login`, the client `shop` and its Secret.
async fn shop(name: &str) -> World {
    World::with_shop(name, AcpSwitches::default(), json!({})).await
}

/// A world with the server `login` alone.
async fn login(name: &str) -> World {
    let world = World::acp(name).await;
    world.server("login", json!({})).await;
    world.synced("AuthorizationServer", "login").await;
    world.sandbox.reset_exchanges();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_arrive_in_a_secret_and_get_a_token() {
    let world = login("cred-arrive").await;
    world.client("shop", "login", json!({})).await;
    let client = world.synced("OAuthClient", "shop").await;
    assert_eq!(world.acp_writes(), ["createClient"]);
    let secret = world.secret_named(SHOP).await.expect("the Secret is there");
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    assert_eq!(secret.metadata.owner_references, None);
    let labels = secret.metadata.labels.unwrap_or_default();
    assert_eq!(labels.get("app.kubernetes.io/managed-by").map(String::as_str), Some("portico"));
    let annotations = secret.metadata.annotations.unwrap_or_default();
    assert_eq!(client["metadata"]["uid"], annotations["portico.dev/owner-uid"].as_str());
    assert!(!annotations["portico.dev/digest"].is_empty());

    let values = world.values(SHOP).await;
    let keys: Vec<&str> = values.keys().map(String::as_str).collect();
    assert_eq!(keys, ["client_id", "client_secret", "issuer_url", "token_url"]);
    let (server, object) = (world.only_server(), world.only_client());
    assert_eq!((values["client_id"].clone(), values["client_secret"].len()), (id(&client), 43));
    assert_eq!(object["client_id"], values["client_id"].as_str());
    assert_eq!(object["client_secret"], values["client_secret"].as_str());
    assert_eq!(server["issuer_url"], values["issuer_url"].as_str());
    assert_eq!(values["token_url"], format!("{}/acme/{}/oauth2/token", world.server.url(), id(&server)));
    assert!(works(&values, "client_secret").await, "no token is to be had");
    let (refused, _) = ask_for_token(&values["token_url"], &values["client_id"], "something else").await;
    assert_eq!(refused, 401, "anything gets a token: this test tests nothing");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_the_secret_can_be_named() {
    let world = login("cred-keys").await;
    let ours =
        json!({"clientId": "OAUTH_ID", "clientSecret": "OAUTH_SECRET", "issuerUrl": "issuer", "tokenUrl": "token"});
    world.client("shop", "login", json!({"credentialsSecret": {"keys": ours}})).await;
    world.synced("OAuthClient", "shop").await;
    let values = world.values(SHOP).await;
    let keys: Vec<&str> = values.keys().map(String::as_str).collect();
    assert_eq!(keys, ["OAUTH_ID", "OAUTH_SECRET", "issuer", "token"]);
    let (status, _) = ask_for_token(&values["token"], &values["OAUTH_ID"], &values["OAUTH_SECRET"]).await;
    assert_eq!(status, 200);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_somebody_else_is_left_alone_and_no_client_is_made() {
    let world = login("cred-theirs").await;
    world.keys(SHOP, &[("client_id", "theirs"), ("client_secret", "and none of our business")]).await;
    let theirs = world.secret_named(SHOP).await;
    world.client("shop", "login", json!({})).await;
    let message = world.unready("OAuthClient", "shop", "Conflict").await;
    assert!(message.contains(SHOP), "{message}");
    sleep(Duration::from_millis(1200)).await;
    assert_eq!(world.acp_clients(), Vec::<Value>::new());
    world.delete("OAuthClient", "shop").await;
    world.gone("OAuthClient", "shop").await;
    assert_eq!(world.secret_named(SHOP).await, theirs);
    assert_eq!(world.acp_writes(), Vec::<String>::new());
    // It goes on by itself once the name is free.
    world.client("shop", "login", json!({})).await;
    world.unready("OAuthClient", "shop", "Conflict").await;
    delete_secret(&world, SHOP).await;
    world.synced("OAuthClient", "shop").await;
    assert!(works(&world.values(SHOP).await, "client_secret").await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_clients_for_one_secret_the_second_conflicts_and_its_end_changes_nothing() {
    let world = shop("cred-rivals").await;
    let before = world.secret_named(SHOP).await;
    world.client("kiosk", "login", json!({"credentialsSecret": {"name": SHOP}})).await;
    let message = world.unready("OAuthClient", "kiosk", "Conflict").await;
    assert!(message.contains(SHOP), "{message}");
    world.delete("OAuthClient", "kiosk").await;
    world.gone("OAuthClient", "kiosk").await;
    assert_eq!(world.secret_named(SHOP).await, before);
    assert_eq!(world.acp_writes(), Vec::<String>::new());
    assert_eq!(world.acp_clients().len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_secret_is_rebuilt_and_an_edited_one_put_back_without_a_write_to_the_api() {
    let world = shop("cred-rebuilt").await;
    let before = world.values(SHOP).await;
    delete_secret(&world, SHOP).await;
    world.until_values(SHOP, "was rebuilt", |values| *values == before).await;
    world.edit_secret(SHOP, json!({"stringData": {"client_secret": "somebody's better idea"}})).await;
    world.until_values(SHOP, "had its value again", |values| *values == before).await;
    world.edit_secret(SHOP, json!({"data": {"token_url": null}})).await;
    world.until_values(SHOP, "had its key again", |values| *values == before).await;
    world.synced("OAuthClient", "shop").await;
    assert_eq!(world.acp_writes(), Vec::<String>::new());
    assert!(works(&before, "client_secret").await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_and_nothing_rotates_by_itself() {
    let mut world = shop("cred-rest").await;
    let before = world.secret_named(SHOP).await;
    world.assert_silence(Duration::from_millis(3300)).await;
    world.assert_silence_after_a_restart().await;
    assert_eq!(world.secret_named(SHOP).await, before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_goes_after_its_client() {
    let world = shop("cred-goes").await;
    fault(&world, "deleteClient", status(503));
    world.delete("OAuthClient", "shop").await;
    world.unready("OAuthClient", "shop", "DeletionBlocked").await;
    assert!(works(&world.values(SHOP).await, "client_secret").await, "it went before the client did");
    world.sandbox.clear_faults();
    world.gone("OAuthClient", "shop").await;
    assert_eq!(world.acp_clients(), Vec::<Value>::new());
    assert_eq!(world.secret_named(SHOP).await, None);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_written_for_a_client_that_was_never_made_goes_with_its_resource() {
    let mut world = World::quiet_acp("cred-never").await;
    world.server("login", json!({})).await;
    world.synced("AuthorizationServer", "login").await;
    world.quiet().await;
    // The Secret comes first, and of the requests the create.
    world.wire.arm(Side::Remote, When::Before, 0);
    world.client("shop", "login", json!({})).await;
    assert!(world.crash_at_the_wire(Duration::from_secs(20)).await, "nothing was sent");
    assert!(world.secret_named(SHOP).await.is_some() && world.acp_clients().is_empty(), "it was not the create");
    // Not even its server is there any more when it goes.
    world.delete("AuthorizationServer", "login").await;
    world.start();
    world.gone("AuthorizationServer", "login").await;
    world.delete("OAuthClient", "shop").await;
    world.gone("OAuthClient", "shop").await;
    assert_eq!(world.secret_named(SHOP).await, None);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_stays_with_a_client_that_stays_and_serves_the_resource_made_again() {
    let world = shop("cred-stays").await;
    world.spec("OAuthClient", "shop", json!({"lifecycle": {"deletion": "Retain"}})).await;
    world.synced("OAuthClient", "shop").await;
    world.client("kiosk", "login", json!({})).await;
    world.synced("OAuthClient", "kiosk").await;
    world.annotate("OAuthClient", "kiosk", "portico.dev/orphan", json!("true")).await;
    let (shop, kiosk) = (world.secret_named(SHOP).await, world.secret_named("kiosk-credentials").await);
    let before = world.values(SHOP).await;
    for name in ["shop", "kiosk"] {
        world.delete("OAuthClient", name).await;
        world.gone("OAuthClient", name).await;
    }
    assert_eq!((world.secret_named(SHOP).await, world.secret_named("kiosk-credentials").await), (shop, kiosk));
    assert_eq!(world.acp_clients().len(), 2);
    world.client("shop", "login", json!({})).await;
    let again = world.synced("OAuthClient", "shop").await;
    assert_eq!(world.values(SHOP).await, before);
    assert!(works(&before, "client_secret").await);
    let annotations = world.secret_named(SHOP).await.and_then(|s| s.metadata.annotations).unwrap_or_default();
    assert_eq!(again["metadata"]["uid"], annotations["portico.dev/owner-uid"].as_str());
    assert_eq!(world.acp_clients().len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_under_another_name_are_written_there_and_gone_here() {
    let world = shop("cred-renamed").await;
    let before = world.values(SHOP).await;
    world.keys("theirs", &[("client_id", "somebody else's")]).await;
    let theirs = world.secret_named("theirs").await;
    world.spec("OAuthClient", "shop", json!({"credentialsSecret": {"name": "theirs"}})).await;
    world.unready("OAuthClient", "shop", "Conflict").await;
    assert_eq!((world.secret_named("theirs").await, world.values(SHOP).await), (theirs, before.clone()));
    world.spec("OAuthClient", "shop", json!({"credentialsSecret": {"name": "shop-keys"}})).await;
    world.synced("OAuthClient", "shop").await;
    assert_eq!(world.values("shop-keys").await, before);
    world.until_values(SHOP, "went", std::collections::BTreeMap::is_empty).await;
    world.spec("OAuthClient", "shop", json!({"credentialsSecret": null})).await;
    world.synced("OAuthClient", "shop").await;
    world.until_values("shop-keys", "went", std::collections::BTreeMap::is_empty).await;
    assert_eq!(world.only_client()["client_secret"], before["client_secret"].as_str());
    assert_eq!(world.acp_writes(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_client_keeps_the_secret_that_its_programs_know() {
    let world = login("cred-adopted").await;
    let known = "what-programs-out-there-were-given-long-ago";
    let theirs = json!({
        "client_id": "storefront",
        "authorization_server_id": id(&world.only_server()),
        "client_secret": known,
        "grant_types": ["client_credentials"],
        "description": "theirs",
    });
    world.plant_acp(AcpPlant::Client(theirs));
    let spec = json!({"clientId": "storefront", "description": "ours", "lifecycle": {"adoption": "Adopt"}});
    world.client("shop", "login", spec).await;
    world.synced("OAuthClient", "shop").await;
    let client = world.only_client();
    assert_eq!((&client["description"], &client["client_secret"]), (&json!("ours"), &json!(known)));
    assert_eq!(world.values(SHOP).await["client_secret"], known);
    assert_eq!(world.acp_writes(), ["updateClient"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_deleted_with_clients_and_their_secrets_ends_and_leaves_nothing() {
    let mut world = shop("cred-namespace").await;
    grant_everywhere(&world).await;
    world.consent("terms", json!({})).await;
    world.action("sign-up", &["terms"]).await;
    world.synced("ConsentAction", "sign-up").await;
    let namespaces: Api<Namespace> = Api::all(world.admin());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    let gone = async {
        while namespaces.get_metadata_opt(&world.namespace).await.unwrap().is_some() {
            sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("the namespace ends without help");
    for what in ["servers", "clients", "consents", "consent_actions"] {
        assert_eq!(world.tenant_has("acme", what), Vec::<Value>::new(), "{what}");
    }
    // In a terminating namespace nothing can be created: no event, and no Secret that its end took first.
    let may_be = |resource: &str| ["events", "secrets"].contains(&resource);
    let refused: Vec<_> = world.requests().into_iter().filter(|r| r.code == 403 && !may_be(&r.resource)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    world.expect_forbidden();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_secret_under_another_name_is_the_users() {
    let world = shop("cred-copy").await;
    let mut copy = world.secret_named(SHOP).await.expect("the Secret is there");
    copy.metadata = ObjectMeta {
        name: Some("copied".to_owned()),
        annotations: copy.metadata.annotations,
        labels: copy.metadata.labels,
        ..ObjectMeta::default()
    };
    let secrets = Api::<Secret>::namespaced(world.admin(), &world.namespace);
    let copied = secrets.create(&PostParams::default(), &copy).await.unwrap();
    world.spec("OAuthClient", "shop", json!({"credentialsSecret": {"name": "copied"}})).await;
    let message = world.unready("OAuthClient", "shop", "Conflict").await;
    assert!(message.contains("copied exists already and is not this resource's"), "{message}");
    world.delete("OAuthClient", "shop").await;
    world.gone("OAuthClient", "shop").await;
    assert_eq!((world.secret_named(SHOP).await, world.secret_named("copied").await), (None, Some(copied)));
    world.end().await;
}
