//! Never touch what is not ours (law 2), and two resources never fight (law 12).
use std::time::Duration;

use portico::engine::{key::Key, mark};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::{
    world::{World, condition, is_current},
    world_steps::{after_a_sweep, assert_nothing_sent, id, plant_portal, portal_ids},
};

/// Nobody's: it stands for resources that are no more.
const OLD_UID: &str = "11111111-2222-4333-8444-555555555555";

/// The mark of this world's operator for a Portal.
fn our_mark(world: &World, portal: &str, uid: &str) -> Map<String, Value> {
    let owner = world.settings.owner.clone().expect("worlds name their owner");
    mark::labels(&owner, &Key::new("Portal", &world.namespace, portal), uid)
}

fn uid(resource: &Value) -> &str {
    resource["metadata"]["uid"].as_str().expect("the API server gives one")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_portal_of_the_same_name_is_refused_untouched_with_the_way_to_adopt_it() {
    let world = World::new("adopt-refuse").await;
    let stranger = plant_portal(&world, json!({"name": "docs", "description": "theirs"}));
    let before = world.only("docs");
    world.sandbox.reset_exchanges();
    world.portal("docs", json!({"description": "ours"})).await;
    let message = world.unready("Portal", "docs", "AlreadyExists").await;
    assert!(message.contains("adoption: Adopt") && message.contains(&stranger), "{message}");
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    assert_nothing_sent(&world);
    assert_eq!(world.only("docs"), before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adopt_takes_and_marks_it_with_one_write_to_the_api_and_two_to_the_resource() {
    let world = World::new("adopt-take").await;
    let stranger = plant_portal(&world, json!({"name": "docs", "description": "theirs", "labels": {"kept": "yes"}}));
    world.sandbox.reset_exchanges();
    world.portal("docs", json!({"description": "ours", "lifecycle": {"adoption": "Adopt"}})).await;
    let portal = world.synced("Portal", "docs").await;
    assert_eq!(id(&portal), stranger);
    let found = world.only("docs");
    assert_eq!((&found["description"], &found["labels"]["kept"]), (&json!("ours"), &json!("yes")));
    for (label, value) in our_mark(&world, "docs", uid(&portal)) {
        assert_eq!(found["labels"][&label], value, "{label}");
    }
    world.flush_audit().await;
    assert_eq!(world.remote_writes(), ["update-portal"]);
    let writes: Vec<String> = world.kubernetes_writes().into_iter().filter(|w| w.ends_with(" docs")).collect();
    assert_eq!(writes, ["patch portals docs", "patch portals/status docs"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_binds_to_exactly_that_portal_and_never_creates() {
    let world = World::new("adopt-id").await;
    let stranger = plant_portal(&world, json!({"name": "theirs"}));
    world.sandbox.reset_exchanges();
    world.portal("nowhere", json!({"lifecycle": {"id": OLD_UID}})).await;
    let message = world.unready("Portal", "nowhere", "NotFound").await;
    assert!(message.contains(OLD_UID), "{message}");
    world.portal("docs", json!({"name": "theirs", "lifecycle": {"id": stranger}})).await;
    assert_eq!(id(&world.synced("Portal", "docs").await), stranger);
    after_a_sweep(&world).await;
    assert_eq!(world.by_hand(Method::DELETE, &format!("/v2/portals/{stranger}"), None).await, 204);
    world.unready("Portal", "docs", "NotFound").await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(world.portals().is_empty());
    assert_eq!(world.calls("create-portal"), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_installations_portal_is_taken_only_with_adopt_and_id() {
    let world = World::new("adopt-foreign").await;
    let labels = json!({"portico-owner": "someone-else", "portico-ref": format!("0123456789abcdef.{OLD_UID}")});
    let foreign = plant_portal(&world, json!({"name": "docs", "labels": labels}));
    let before = world.only("docs");
    world.sandbox.reset_exchanges();
    world.portal("docs", json!({"lifecycle": {"adoption": "Adopt"}})).await;
    let message = world.unready("Portal", "docs", "OwnedByAnother").await;
    assert!(message.contains("someone-else"), "{message}");
    world.spec("Portal", "docs", json!({"lifecycle": {"adoption": "Refuse", "id": foreign}})).await;
    let refused = |o: &Value| is_current(o) && condition(o, "Ready", "reason") == "OwnedByAnother";
    world.until("Portal", "docs", "refused the id alone", refused).await;
    assert_nothing_sent(&world);
    assert_eq!(world.only("docs"), before);
    world.spec("Portal", "docs", json!({"lifecycle": {"adoption": "Adopt"}})).await;
    let portal = world.synced("Portal", "docs").await;
    assert_eq!(id(&portal), foreign);
    assert_eq!(world.only("docs")["labels"], Value::Object(our_mark(&world, "docs", uid(&portal))));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_installations_portal_is_taken_once_and_not_fought_over() {
    let world = World::new("adopt-once").await;
    let theirs = json!({"portico-owner": "someone-else", "portico-ref": format!("0123456789abcdef.{OLD_UID}")});
    let foreign = plant_portal(&world, json!({"name": "docs", "labels": theirs}));
    world.portal("docs", json!({"lifecycle": {"adoption": "Adopt", "id": foreign}})).await;
    world.synced("Portal", "docs").await;
    after_a_sweep(&world).await;
    let path = format!("/v2/portals/{foreign}");
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(json!({"labels": theirs}))).await, 200);
    let taken_back = world.only("docs");
    world.sandbox.reset_exchanges();
    world.unready("Portal", "docs", "OwnedByAnother").await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_nothing_sent(&world);
    assert_eq!(world.only("docs"), taken_back);
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    assert_eq!(world.only("docs"), taken_back);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_made_again_by_a_restore_finds_its_portal_by_the_mark() {
    let world = World::new("adopt-restore").await;
    let labels = Value::Object(our_mark(&world, "docs", OLD_UID));
    let ours = plant_portal(&world, json!({"name": "docs", "labels": labels}));
    world.sandbox.reset_exchanges();
    world.portal("docs", json!({})).await;
    let portal = world.synced("Portal", "docs").await;
    assert_eq!(id(&portal), ours);
    assert_eq!(world.only("docs")["labels"], Value::Object(our_mark(&world, "docs", uid(&portal))));
    assert_eq!(world.remote_writes(), ["update-portal"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_resources_for_one_name_the_later_says_conflict_and_its_end_changes_nothing() {
    let world = World::new("adopt-rivals").await;
    world.portal("older", json!({"name": "docs"})).await;
    let first = id(&world.synced("Portal", "older").await);
    let before = world.only("docs");
    world.sandbox.reset_exchanges();
    world.portal("younger", json!({"name": "docs", "description": "mine", "lifecycle": {"adoption": "Adopt"}})).await;
    let message = world.unready("Portal", "younger", "Conflict").await;
    assert!(message.contains(&format!("Portal {}/older", world.namespace)), "{message}");
    world.synced("Portal", "older").await;
    world.delete("Portal", "younger").await;
    world.gone("Portal", "younger").await;
    assert_nothing_sent(&world);
    assert_eq!(world.only("docs"), before);
    world.portal("younger", json!({"name": "docs", "description": "mine"})).await;
    world.unready("Portal", "younger", "Conflict").await;
    world.delete("Portal", "older").await;
    world.gone("Portal", "older").await;
    let second = id(&world.synced("Portal", "younger").await);
    assert_ne!(first, second);
    assert_eq!(world.only("docs")["description"], "mine");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rival_never_inherits_what_was_retained_without_adopt() {
    let world = World::new("adopt-inherit").await;
    world.portal("older", json!({"name": "docs", "lifecycle": {"deletion": "Retain"}})).await;
    let kept = id(&world.synced("Portal", "older").await);
    world.portal("younger", json!({"name": "docs"})).await;
    world.unready("Portal", "younger", "Conflict").await;
    world.delete("Portal", "older").await;
    world.gone("Portal", "older").await;
    world.unready("Portal", "younger", "AlreadyExists").await;
    assert_eq!(portal_ids(&world), std::slice::from_ref(&kept));
    world.spec("Portal", "younger", json!({"lifecycle": {"adoption": "Adopt"}})).await;
    assert_eq!(id(&world.synced("Portal", "younger").await), kept);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_kept_apart_by_host_and_path_and_not_by_connection() {
    let world = World::new("adopt-two-ways").await;
    let again = json!({"url": world.server.url(), "tokenSecretRef": {"name": "konnect"}, "requestTimeout": "1s"});
    world.create("KonnectConnection", "again", again).await;
    world.ready("KonnectConnection", "again").await;
    world.portal("one", json!({"name": "docs"})).await;
    world.synced("Portal", "one").await;
    let before = world.only("docs");
    world.portal("two", json!({"name": "docs", "connectionRef": {"name": "again"}})).await;
    let message = world.unready("Portal", "two", "Conflict").await;
    assert!(message.contains("/one"), "{message}");
    let bound = json!({"connectionRef": {"name": "again"}, "name": "docs", "lifecycle": {"id": id(&before)}});
    world.portal("three", bound).await;
    world.unready("Portal", "three", "Conflict").await;
    assert_eq!(world.only("docs"), before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_duplicates_with_our_mark_the_oldest_is_kept_and_the_others_are_removed() {
    let mut world = World::still("adopt-duplicates").await;
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    world.patch("Portal", "docs", json!({"metadata": {"finalizers": ["portico.dev/remote"]}})).await;
    let resource = world.get("Portal", "docs").await.unwrap();
    let labels = Value::Object(our_mark(&world, "docs", uid(&resource)));
    let oldest = plant_portal(&world, json!({"name": "first-try", "labels": labels}));
    // Apart by more than the digits of a time that a server may leave out.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    plant_portal(&world, json!({"name": "docs", "labels": labels}));
    let stranger = plant_portal(&world, json!({"name": "theirs"}));
    world.start();
    assert_eq!(id(&world.synced("Portal", "docs").await), oldest);
    assert_eq!(portal_ids(&world), [oldest, stranger]);
    assert_eq!(world.calls("create-portal"), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_someone_tears_off_is_put_back() {
    let world = World::new("adopt-torn").await;
    world.portal("docs", json!({})).await;
    let portal = world.synced("Portal", "docs").await;
    let mark = our_mark(&world, "docs", uid(&portal));
    let path = format!("/v2/portals/{}", id(&portal));
    let both = json!({"portico-owner": null, "portico-ref": null});
    for torn in [both, json!({"portico-owner": null}), json!({"portico-ref": null})] {
        assert_eq!(world.by_hand(Method::PATCH, &path, Some(json!({"labels": torn}))).await, 200);
        let whole = |w: &World| mark.iter().all(|(label, value)| w.only("docs")["labels"][label] == *value);
        world.eventually("the mark is whole again", whole).await;
    }
    assert_eq!(id(&world.synced("Portal", "docs").await), id(&portal));
    world.end().await;
}
