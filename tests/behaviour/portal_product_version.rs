//! Versions of API products in a portal: one PUT makes a publication, PATCHes change it, and mail goes out when it is asked for, once a
//! change. The rest of its life is in `conformance`.
use std::time::Duration;

use portico_sandbox::{Effect, Options, Plant, Switches};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    tripwire::{Side, When},
    world::{World, merge},
    world_steps::{ask_for_a_look, assert_nothing_sent, id, status},
};

const KIND: &str = "PortalProductVersion";
const NAME: &str = "payments";
const PUT: &str = "replace-portal-product-version";
const PATCH: &str = "update-portal-product-version";

/// More requests than this no change of a publication makes.
const MOST_REQUESTS: usize = 8;

/// A version of an API product that somebody made; its id.
fn version(world: &World) -> String {
    let product = world.product();
    world.stranger_makes(Plant::ApiProductVersion { id: None, product, name: "v1".into() })
}

/// An authentication strategy that somebody made; its id.
fn strategy(world: &World) -> String {
    world.stranger_makes(Plant::AuthStrategy { id: None, name: "keys".into(), credential_type: "key_auth".into() })
}

/// Publishes a version in the Portal `docs`; does not wait.
async fn publish(world: &World, version: &str, spec: Value) {
    let mut whole = json!({"portalRef": {"name": "docs"}, "productVersionId": version});
    merge(&mut whole, spec);
    world.create(KIND, NAME, whole).await;
}

/// What is published in the portal `docs`.
fn publications(world: &World) -> Vec<Value> {
    world.only("docs")["product_versions"].as_array().cloned().unwrap_or_default()
}

/// The one publication in the portal `docs`.
fn only(world: &World) -> Value {
    let found = publications(world);
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

/// The ids of the strategies of the one publication.
fn strategies(world: &World) -> Vec<String> {
    only(world)["auth_strategies"].as_array().into_iter().flatten().map(id).collect()
}

/// How many mails went out to developers.
fn mails(world: &World) -> usize {
    world.sandbox.state()["organizations"]["acme"]["mails"].as_array().map_or(0, Vec::len)
}

/// Where a publication is.
fn path(portal: &str, version: &str) -> String {
    format!("/v2/portals/{portal}/product-versions/{version}")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_put_publishes_and_what_the_spec_leaves_out_is_the_apis_from_then_on() {
    let (world, portal) = World::with_docs("version-once").await;
    let version = version(&world);
    world.sandbox.reset_exchanges();
    publish(&world, &version.to_uppercase(), json!({"deprecated": false})).await;
    assert_eq!(id(&world.synced(KIND, NAME).await), version);
    assert_eq!(world.remote_writes(), [PUT]);
    let all_five = json!({
        "publish_status": "published",
        "auth_strategy_ids": [],
        "application_registration_enabled": false,
        "auto_approve_registration": false,
        "deprecated": false,
    });
    assert_eq!(world.bodies(PUT), [all_five]);
    let theirs = json!({"publish_status": "unpublished", "auto_approve_registration": true, "deprecated": true});
    assert_eq!(world.by_hand(Method::PATCH, &path(&portal, &version), Some(theirs)).await, 200);
    world.eventually("the managed field is put back", |w| only(w)["deprecated"] == false).await;
    world.synced(KIND, NAME).await;
    world.assert_silence(Duration::from_millis(2500)).await;
    let found = only(&world);
    assert_eq!((&found["publish_status"], &found["auto_approve_registration"]), (&json!("unpublished"), &json!(true)));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strategies_are_written_as_ids_and_read_as_what_they_are() {
    let (world, portal) = World::with_docs("version-strategies").await;
    let (version, first, second) = (version(&world), strategy(&world), strategy(&world));
    publish(&world, &version, json!({"authStrategyIds": [first.to_uppercase()]})).await;
    let resource = world.synced(KIND, NAME).await;
    assert!(resource["status"]["drift"].is_null(), "{resource:#}");
    assert_eq!(strategies(&world), std::slice::from_ref(&first));
    world.assert_silence(Duration::from_millis(2500)).await;
    let theirs = json!({"auth_strategy_ids": [second]});
    assert_eq!(world.by_hand(Method::PATCH, &path(&portal, &version), Some(theirs)).await, 200);
    world.eventually("the strategy is put back", |w| strategies(w) == std::slice::from_ref(&first)).await;
    world.synced(KIND, NAME).await;
    world.spec(KIND, NAME, json!({"authStrategyIds": []})).await;
    world.synced(KIND, NAME).await;
    assert_eq!(strategies(&world), Vec::<String>::new());
    let refused = world.try_patch(KIND, NAME, json!({"spec": {"authStrategyIds": [first, second]}})).await;
    assert!(refused.expect_err("one at most").contains("spec.authStrategyIds"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_publication_is_refused_untouched_and_taken_over_when_told() {
    let (world, portal) = World::with_docs("version-stranger").await;
    let version = version(&world);
    let body = json!({
        "product_version_id": version,
        "publish_status": "unpublished",
        "auth_strategy_ids": [],
        "application_registration_enabled": true,
        "auto_approve_registration": false,
        "deprecated": true,
    });
    // As any other program that uses the API.
    let versions = format!("/v2/portals/{portal}/product-versions");
    assert_eq!(world.by_hand(Method::POST, &versions, Some(body)).await, 201);
    let before = only(&world);
    world.sandbox.reset_exchanges();
    let ours = json!({"publishStatus": "published", "deprecated": true, "notifyDevelopers": true});
    publish(&world, &version, ours).await;
    let message = world.unready(KIND, NAME, "AlreadyExists").await;
    assert!(message.contains("adoption: Adopt") && message.contains(&version), "{message}");
    assert_nothing_sent(&world);
    assert_eq!(only(&world), before);
    world.spec(KIND, NAME, json!({"lifecycle": {"adoption": "Adopt"}})).await;
    assert_eq!(id(&world.synced(KIND, NAME).await), version);
    // Not the PUT: that would take the registrations away.
    assert_eq!(world.remote_writes(), [PATCH]);
    assert_eq!(world.bodies(PATCH), [json!({"publish_status": "published", "notify_developers": true})]);
    assert_eq!((&only(&world)["application_registration_enabled"], mails(&world)), (&json!(true), 1));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_out_only_where_it_is_asked_for_and_something_changes() {
    let (mut world, portal) = World::with_docs("version-mail").await;
    world.sign_up(&portal, "ann@example.com");
    let version = version(&world);
    publish(&world, &version, json!({"deprecated": false})).await;
    world.synced(KIND, NAME).await;
    world.spec(KIND, NAME, json!({"deprecated": true})).await;
    world.synced(KIND, NAME).await;
    assert_eq!((world.bodies(PATCH), mails(&world)), (vec![json!({"deprecated": true})], 0));
    world.sandbox.reset_exchanges();
    world.spec(KIND, NAME, json!({"notifyDevelopers": true})).await;
    world.synced(KIND, NAME).await;
    assert_nothing_sent(&world);
    world.spec(KIND, NAME, json!({"deprecated": false})).await;
    world.synced(KIND, NAME).await;
    assert_eq!(world.bodies(PATCH), [json!({"deprecated": false, "notify_developers": true})]);
    world.assert_silence(Duration::from_millis(2500)).await;
    world.stop().await;
    world.sandbox.reset_exchanges();
    world.start();
    world.eventually("the operator looks again", |w| w.calls("list-portal-product-versions") >= 2).await;
    assert_nothing_sent(&world);
    assert_eq!(mails(&world), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_which_nobody_knows_the_outcome_sends_one_mail() {
    let (world, _) = World::with_docs("version-lost").await;
    let version = version(&world);
    world.once(PUT, Effect::LoseResponse);
    publish(&world, &version, json!({"deprecated": false, "notifyDevelopers": true})).await;
    world.synced(KIND, NAME).await;
    assert_eq!((world.calls(PUT), mails(&world)), (1, 1));
    // Made and not answered; not made, with and without an answer that says little.
    for (effect, sent) in [(Effect::LoseResponse, 1), (Effect::Reset, 2), (status(503), 2)] {
        let before = mails(&world);
        world.sandbox.reset_exchanges();
        world.once(PATCH, effect.clone());
        let deprecated = only(&world)["deprecated"] != true;
        world.spec(KIND, NAME, json!({"deprecated": deprecated})).await;
        world.synced(KIND, NAME).await;
        assert_eq!(only(&world)["deprecated"], deprecated);
        assert_eq!((mails(&world), world.calls(PATCH)), (before + 1, sent), "{effect:?}");
    }
    let before = mails(&world);
    world.assert_silence(Duration::from_secs(2)).await;
    assert_eq!(mails(&world), before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_request_of_a_change_sends_exactly_one_mail() {
    // No sweep gets in between.
    let (mut world, _) = World::quiet_with_docs("version-crash").await;
    let version = version(&world);
    publish(&world, &version, json!({"deprecated": false, "notifyDevelopers": true})).await;
    world.synced(KIND, NAME).await;
    let mut crashed = Vec::new();
    for nth in 0..MOST_REQUESTS {
        let mut found = None;
        for when in [When::Before, When::After] {
            let Some(request) = crash_at(&mut world, when, nth).await else { break };
            found = Some(request);
        }
        let Some(request) = found else { break };
        crashed.push(request);
    }
    println!("crashed before and after each of {crashed:#?}");
    assert!(crashed.iter().any(|request| request.starts_with("PATCH")), "{crashed:?}");
    world.end().await;
}

/// Changes the publication, with a crash at the given request; which that was, if there is one.
async fn crash_at(world: &mut World, when: When, nth: usize) -> Option<String> {
    world.quiet().await;
    let before = mails(world);
    let deprecated = only(world)["deprecated"] != true;
    world.wire.arm(Side::Remote, when, nth);
    world.spec(KIND, NAME, json!({"deprecated": deprecated})).await;
    let tripped = tokio::select! {
        () = world.wire.tripped() => true,
        _ = world.synced(KIND, NAME) => false,
    };
    let request = world.wire.seen(Side::Remote).get(nth).cloned();
    world.crash().await;
    world.wire.disarm();
    world.start();
    world.synced(KIND, NAME).await;
    assert_eq!(only(world)["deprecated"], deprecated);
    assert_eq!(mails(world), before + 1, "{when:?} {nth}: {request:?}");
    if tripped { request } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_takes_its_place_only_where_it_may_be_replaced() {
    let (world, _) = World::with_docs("version-replace").await;
    let (first, second) = (version(&world), version(&world));
    publish(&world, &first, json!({})).await;
    world.synced(KIND, NAME).await;
    let other = json!({"spec": {"productVersionId": second}});
    let refused = world.try_patch(KIND, NAME, other).await.expect_err("it cannot be changed");
    assert!(refused.contains("productVersionId cannot be changed") && refused.contains("replace: Allow"), "{refused}");
    world.sandbox.reset_exchanges();
    world.spec(KIND, NAME, json!({"productVersionId": second, "lifecycle": {"replace": "Allow"}})).await;
    let resource = world.synced(KIND, NAME).await;
    assert_eq!((id(&resource), &only(&world)["product_version_id"]), (second.clone(), &json!(second)));
    let mut writes = world.remote_writes();
    writes.sort();
    assert_eq!(writes, ["delete-portal-product-version", PUT]);
    world.delete(KIND, NAME).await;
    world.gone(KIND, NAME).await;
    assert_eq!(publications(&world), Vec::<Value>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_nobody_made_is_waited_for_in_the_apis_words() {
    let (world, _) = World::with_docs("version-unknown").await;
    let version = "c47d0e52-3b1f-4a86-9d20-6e8f51a7b394";
    publish(&world, version, json!({})).await;
    let message = world.unready(KIND, NAME, "ReferenceNotFound").await;
    assert!(message.contains("API product version not found"), "{message}");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!world.is_stalled(KIND, NAME).await, "waiting for something is not an error");
    let product = world.product();
    world.stranger_makes(Plant::ApiProductVersion { id: Some(version.into()), product, name: "v1".into() });
    assert_eq!(id(&world.synced(KIND, NAME).await), version);
    only(&world);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_product_somebody_has_to_publish_first_says_so_and_comes_after_it() {
    // Whether it is so is not documented.
    let switches = Switches { version_needs_product: true, ..Switches::default() };
    let mut world = World::with("version-product", Options { switches, ..Options::default() }).await;
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    let portal = id(&world.synced("Portal", "docs").await);
    let product = world.product();
    let made = Plant::ApiProductVersion { id: None, product: product.clone(), name: "v1".into() };
    let version = world.stranger_makes(made);
    publish(&world, &version, json!({})).await;
    let message = world.unready(KIND, NAME, "InvalidSpec").await;
    assert!(message.contains("its API product is not published in the portal"), "{message}");
    assert_eq!(publications(&world), Vec::<Value>::new());
    let publication = json!({"api_products": { &product: {"publish_status": "published"} }});
    let path = format!("/v2/portals/{portal}/publish");
    assert_eq!(world.by_hand(Method::POST, &path, Some(publication)).await, 204);
    ask_for_a_look(&world, KIND, NAME, "published").await;
    assert_eq!(id(&world.synced(KIND, NAME).await), version);
    assert_eq!(only(&world)["publish_status"], "published");
    // The portal shows its product, with this one version.
    assert_eq!(world.by_hand(Method::GET, &format!("/v2/portals/{portal}/products"), None).await, 200);
    let exchanges = world.sandbox.exchanges();
    let listed = exchanges.iter().rfind(|exchange| exchange.operation.as_deref() == Some("list-portal-products"));
    let products = listed.expect("it was called just now").response_body["data"].clone();
    assert_eq!((&products[0]["id"], &products[0]["version_count"]), (&json!(product), &json!(1)));
    world.end().await;
}
