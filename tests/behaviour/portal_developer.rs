//! Developers of a portal: people make their accounts themselves. Portico waits for them, gives the platform team's answer once, and leaves
//! them alone when the resource goes.
use std::time::Duration;

use portico_sandbox::Plant;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    world::{World, condition, is_current, merge},
    world_steps::{assert_nothing_sent, id, plant_team},
};

const KIND: &str = "PortalDeveloper";
const ANN: &str = "ann@example.com";
const PATCH: &str = "update-developer";

/// Makes the PortalDeveloper of this name for Ann in the Portal `docs`; does not wait.
async fn ann(world: &World, name: &str, spec: Value) {
    let mut whole = json!({"portalRef": {"name": "docs"}, "email": ANN});
    merge(&mut whole, spec);
    world.create(KIND, name, whole).await;
}

/// Ann signs up, and nobody has answered her yet; her id.
fn ann_signs_up(world: &World, portal: &str) -> String {
    let (portal, email) = (portal.to_owned(), ANN.to_owned());
    world.stranger_makes(Plant::Developer { portal, email, status: "pending".into() })
}

/// What the API has of her; null where she has not signed up.
fn at_the_api(world: &World) -> Value {
    let portal = world.only("docs");
    let mut people = portal["developers"].as_array().into_iter().flatten();
    people.find(|person| person["email"] == ANN).cloned().unwrap_or_default()
}

/// Someone else says what she may do.
async fn someone_says(world: &World, portal: &str, developer: &str, status: &str) {
    let path = format!("/v2/portals/{portal}/developers/{developer}");
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(json!({"status": status}))).await, 200);
}

/// Waits until the resource is in order and a condition of it is so.
async fn until(world: &World, name: &str, type_: &str, status: &str) -> Value {
    let is = |o: &Value| {
        let holds = |type_: &str| condition(o, type_, "status") == "True";
        is_current(o) && holds("Ready") && holds("Synced") && condition(o, type_, "status") == status
    };
    world.until(KIND, name, &format!("got {type_}={status}"), is).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_signed_up_is_waited_for_and_approved_by_itself_once_they_have() {
    let (world, portal) = World::with_docs("developer-late").await;
    world.sandbox.reset_exchanges();
    ann(&world, "ann", json!({"status": "approved"})).await;
    let resource = until(&world, "ann", "Bound", "False").await;
    assert!(condition(&resource, "Bound", "message").contains(ANN), "{resource:#}");
    assert!(resource["status"]["id"].is_null(), "{resource:#}");
    assert_eq!(condition(&resource, "Approved", "status"), "", "there is nobody to approve");
    for unfit in ["Reconciling", "Stalled"] {
        assert_eq!(condition(&resource, unfit, "status"), "", "waiting for a person is no trouble");
    }
    assert_nothing_sent(&world);
    world.assert_silence(Duration::from_millis(2500)).await;
    assert!(world.calls("list-portal-developers") >= 1, "nobody looked for her");
    let developer = ann_signs_up(&world, &portal);
    let resource = until(&world, "ann", "Bound", "True").await;
    assert_eq!((id(&resource), condition(&resource, "Approved", "status")), (developer, "True"));
    assert_eq!((&at_the_api(&world)["status"], world.calls(PATCH)), (&json!("approved"), 1));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_given_once_and_the_status_shows_who_it_is() {
    let (mut world, portal) = World::with_docs("developer-once").await;
    let developer = ann_signs_up(&world, &portal);
    for team in ["writers", "readers"] {
        let team = plant_team(&world, &portal, json!({"name": team}));
        let members = format!("/v2/portals/{portal}/teams/{team}/developers");
        assert!(world.by_hand(Method::POST, &members, Some(json!({"id": developer}))).await < 300);
    }
    world.sandbox.reset_exchanges();
    ann(&world, "ann", json!({"status": "approved"})).await;
    let resource = until(&world, "ann", "Approved", "True").await;
    assert_eq!(id(&resource), developer);
    assert_eq!(world.remote_writes(), [PATCH]);
    assert_eq!(world.bodies(PATCH), [json!({"status": "approved"})]);
    let shown = &resource["status"];
    assert_eq!((&shown["fullName"], &shown["teams"]), (&json!("ann"), &json!(["readers", "writers"])));
    world.assert_silence(Duration::from_millis(2500)).await;
    world.stop().await;
    world.sandbox.reset_exchanges();
    world.start();
    world.eventually("the operator looks again", |w| w.calls("list-portal-developers") >= 2).await;
    assert_nothing_sent(&world);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_nothing_is_written_and_approved_shows_what_others_say() {
    let (world, portal) = World::with_docs("developer-watched").await;
    let developer = ann_signs_up(&world, &portal);
    world.sandbox.reset_exchanges();
    ann(&world, "ann", json!({})).await;
    let resource = until(&world, "ann", "Approved", "False").await;
    assert_eq!(condition(&resource, "Bound", "status"), "True");
    assert!(condition(&resource, "Approved", "message").contains("waits"), "{resource:#}");
    assert_nothing_sent(&world);
    world.assert_silence(Duration::from_millis(2500)).await;
    someone_says(&world, &portal, &developer, "approved").await;
    until(&world, "ann", "Approved", "True").await;
    someone_says(&world, &portal, &developer, "revoked").await;
    let resource = until(&world, "ann", "Approved", "False").await;
    assert!(condition(&resource, "Approved", "message").contains("taken back"), "{resource:#}");
    assert_eq!(at_the_api(&world)["status"], "revoked");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_changed_by_hand_is_put_back_or_only_told() {
    let (world, portal) = World::with_docs("developer-drift").await;
    let developer = ann_signs_up(&world, &portal);
    ann(&world, "ann", json!({"status": "approved"})).await;
    until(&world, "ann", "Approved", "True").await;
    someone_says(&world, &portal, &developer, "revoked").await;
    world.eventually("she is approved again", |w| at_the_api(w)["status"] == "approved").await;
    until(&world, "ann", "Approved", "True").await;
    world.spec(KIND, "ann", json!({"lifecycle": {"drift": "Report"}})).await;
    world.synced(KIND, "ann").await;
    someone_says(&world, &portal, &developer, "revoked").await;
    let is_told = |o: &Value| is_current(o) && condition(o, "Synced", "reason") == "DriftDetected";
    let resource = world.until(KIND, "ann", "told of the drift", is_told).await;
    let drift = json!([{"path": "status", "want": "\"approved\"", "found": "\"revoked\""}]);
    assert_eq!((&resource["status"]["drift"], condition(&resource, "Ready", "status")), (&drift, "True"));
    assert_eq!(condition(&resource, "Approved", "status"), "False");
    world.assert_silence(Duration::from_millis(2500)).await;
    assert_eq!(at_the_api(&world)["status"], "revoked");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_stays_when_the_resource_goes_unless_it_says_delete() {
    let (world, portal) = World::with_docs("developer-delete").await;
    ann_signs_up(&world, &portal);
    ann(&world, "ann", json!({"status": "approved"})).await;
    until(&world, "ann", "Approved", "True").await;
    let before = at_the_api(&world);
    world.sandbox.reset_exchanges();
    world.delete(KIND, "ann").await;
    world.gone(KIND, "ann").await;
    assert_nothing_sent(&world);
    assert_eq!(at_the_api(&world), before);
    let delete = json!({"lifecycle": {"deletion": "Delete"}});
    ann(&world, "ann", delete.clone()).await;
    until(&world, "ann", "Bound", "True").await;
    assert_nothing_sent(&world);
    world.delete(KIND, "ann").await;
    world.gone(KIND, "ann").await;
    assert_eq!((world.remote_writes(), at_the_api(&world)), (vec!["delete-developer".to_owned()], Value::Null));
    // Nobody is there to be deleted.
    world.sandbox.reset_exchanges();
    ann(&world, "ann", delete).await;
    until(&world, "ann", "Bound", "False").await;
    world.delete(KIND, "ann").await;
    world.gone(KIND, "ann").await;
    assert_nothing_sent(&world);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_resources_for_one_person_the_older_one_answers() {
    let (world, portal) = World::with_docs("developer-two").await;
    let developer = ann_signs_up(&world, &portal);
    ann(&world, "first", json!({"status": "approved"})).await;
    until(&world, "first", "Approved", "True").await;
    world.sandbox.reset_exchanges();
    ann(&world, "second", json!({"status": "revoked"})).await;
    let message = world.unready(KIND, "second", "Conflict").await;
    assert!(message.contains("first"), "{message}");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_nothing_sent(&world);
    world.delete(KIND, "first").await;
    world.gone(KIND, "first").await;
    let resource = until(&world, "second", "Approved", "False").await;
    assert_eq!((id(&resource), &at_the_api(&world)["status"]), (developer, &json!("revoked")));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_and_signs_up_again_is_found_again() {
    let (world, portal) = World::with_docs("developer-again").await;
    let first = ann_signs_up(&world, &portal);
    ann(&world, "ann", json!({"status": "approved"})).await;
    until(&world, "ann", "Approved", "True").await;
    let path = format!("/v2/portals/{portal}/developers/{first}");
    assert_eq!(world.by_hand(Method::DELETE, &path, None).await, 204);
    let resource = until(&world, "ann", "Bound", "False").await;
    assert_eq!(condition(&resource, "Approved", "status"), "", "there is nobody to approve");
    assert_eq!(at_the_api(&world), Value::Null, "nobody signs up for her");
    let second = ann_signs_up(&world, &portal);
    let resource = until(&world, "ann", "Approved", "True").await;
    assert_eq!((id(&resource), &at_the_api(&world)["status"]), (second, &json!("approved")));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_found_by_the_very_address_that_they_signed_up_with() {
    let (world, portal) = World::with_docs("developer-case").await;
    let developer = world.sign_up(&portal, "Ann.Lee@Example.com");
    ann(&world, "ann", json!({"email": "Ann.Lee@Example.com"})).await;
    assert_eq!(id(&until(&world, "ann", "Bound", "True").await), developer);
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn which_person_it_is_cannot_be_changed() {
    let (world, _) = World::with_docs("developer-fixed").await;
    for (spec, word) in [
        (json!({"email": "Ann"}), "spec.email"),
        (json!({"email": "ann@"}), "spec.email"),
        (json!({"status": "welcome"}), "spec.status"),
        (json!({"connectionRef": {"name": "acme"}}), "connectionRef goes with portalRef.id"),
    ] {
        let mut whole = json!({"portalRef": {"name": "docs"}, "email": ANN});
        merge(&mut whole, spec);
        let refused = world.try_create(KIND, "bad", whole).await.expect_err("it is refused");
        assert!(refused.contains(word), "{refused}");
    }
    ann(&world, "ann", json!({})).await;
    for (field, value) in [("email", json!("bob@example.com")), ("portalRef", json!({"name": "other"}))] {
        let patch = json!({"spec": {field: value, "lifecycle": {"replace": "Allow"}}});
        let refused = world.try_patch(KIND, "ann", patch).await.expect_err("it is refused");
        assert!(refused.contains(&format!("{field} cannot be changed")), "{refused}");
    }
    world.end().await;
}
