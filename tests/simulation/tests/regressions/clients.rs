//! What ACP's kinds promise of their fields and of rotated secrets.
use portico_simulation::{
    Outcome,
    plan::{Action, Effect, Fault, Millis, Step},
};
use serde_json::{Value, json};

use crate::{
    decisions::edit,
    world::{acp, apply, first, identity_world, replay, sent, server, step},
};

fn rotate(at: Millis) -> Step {
    rotate_for(at, "wish")
}

fn rotate_for(at: Millis, wish: &str) -> Step {
    let (kind, namespace, name) = ("OAuthClient".to_owned(), "world".to_owned(), "shop".to_owned());
    let (key, value) = ("portico.dev/rotate".to_owned(), Some(wish.to_owned()));
    step(at, Action::Annotate { kind, namespace, name, key, value })
}

/// A client of the server `login` with a Secret.
fn client() -> Vec<Step> {
    let spec = json!({"serverRef": {"name": "login"}, "credentialsSecret": {"name": "handed"}});
    vec![apply(500, server("login", &json!({}))), apply(3_000, acp("OAuthClient", "shop", &spec))]
}

/// This operation is refused until then.
fn down(operation: &str, until: Millis) -> Fault {
    Fault { until, times: 1_000, ..first(operation, Effect::Status(503, None)) }
}

/// How many requests of this method on such a path were sent from this moment on.
fn sent_since(outcome: &Outcome, from: Millis, method: &str, path: &str) -> usize {
    let millis = |line: &str| {
        let (seconds, millis) = line.trim_start().split_once(' ')?.0.split_once('.')?;
        Some(seconds.parse::<Millis>().ok()? * 1_000 + millis.parse::<Millis>().ok()?)
    };
    let late = |line: &&String| millis(line).is_some_and(|at| at >= from);
    let is_one = |line: &&String| line.contains(" r0.") && line.contains(method) && line.contains(path);
    outcome.trace.iter().filter(late).filter(is_one).count()
}

/// Field descriptions of `Consent`: purposes "Left out: none", primary "Left out: false". What left the spec stayed at the API, and the
/// status said `Synced`.
#[test]
fn what_leaves_a_service_of_a_consent_leaves_it_at_the_api() {
    for services in ["internalServices", "thirdPartyServices"] {
        let with = |purposes: Option<Value>| {
            let mut service = json!({"name": "Shop"});
            service["purposes"] = purposes.unwrap_or_default();
            service.as_object_mut().expect("it is one").retain(|_, member| !member.is_null());
            json!({services: [service]})
        };
        let mut spec = with(Some(json!([{"name": "Delivery", "primary": true}])));
        spec["connectionRef"] = json!({"name": "identity"});
        spec["updateExistingGrants"] = json!("keepCurrent");
        let steps = vec![
            apply(1_000, acp("Consent", "marketing", &spec)),
            edit(10_000, "Consent", "marketing", with(Some(json!([{"name": "Delivery"}])))),
            edit(20_000, "Consent", "marketing", with(None)),
        ];
        let outcome = replay(&identity_world(steps, Vec::new(), 30_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "PUT", "/consents/"), 2, "{services}: {trace}");
    }
}

/// Field description of `authenticationContext`: "any keys and values, sent as they are; a key that leaves it is removed". A key with the
/// value false, 0, "" or [] was neither added nor removed.
#[test]
fn a_key_with_a_zero_value_comes_and_goes_in_what_is_known_of_a_user() {
    let methods = |context: &Value| {
        let users = json!([{"username": "ann", "authenticationContext": context}]);
        let method = json!({"id": "local", "name": "Local", "method": "static", "static": {"users": users}});
        json!({"authentications": {"methods": [method]}})
    };
    for zero in [json!(false), json!(0), json!(""), json!([])] {
        let (without, with) = (json!({"email": "ann@example.com"}), json!({"email": "ann@example.com", "more": zero}));
        for (before, after) in [(&without, &with), (&with, &without)] {
            let steps = vec![
                apply(1_000, server("login", &methods(before))),
                edit(10_000, "AuthorizationServer", "login", methods(after)),
            ];
            let outcome = replay(&identity_world(steps, Vec::new(), 20_000));
            let trace = outcome.trace.join("\n");
            assert_ne!(sent_since(&outcome, 10_000, "PUT", "/servers/"), 0, "{before} to {after}: {trace}");
        }
    }
}

/// README, Rotation: a wish for another secret came while the client could not be made yet. `status.lastHandledRotate` said that it was
/// answered, and the client had the secret of before.
#[test]
fn a_wish_for_another_secret_that_comes_before_its_client_is_answered() {
    let steps = client().into_iter().chain([rotate(8_000)]).collect();
    let outcome = replay(&identity_world(steps, vec![down("createClient", 15_000)], 30_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "PUT", "/clients/"), 1, "{trace}");
}

/// The same where the client had been made, and nobody had heard of it yet.
#[test]
fn a_wish_for_another_secret_that_comes_before_the_answer_is_answered() {
    let steps = client().into_iter().chain([rotate(5_000)]).collect();
    let outcome = replay(&identity_world(steps, vec![first("createClient", Effect::Slow(10_000))], 30_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "PUT", "/clients/"), 1, "{trace}");
}

/// A secret was being rotated, and ACP did not take it yet, when the spec named another key for it. The next secret was thrown away, and
/// `status.lastHandledRotate` said that the wish was answered.
#[test]
fn a_rotation_goes_on_under_another_key() {
    let other = json!({"credentialsSecret": {"name": "handed", "keys": {"clientSecret": "password"}}});
    let steps = client().into_iter().chain([rotate(10_000), edit(12_000, "OAuthClient", "shop", other)]).collect();
    let outcome = replay(&identity_world(steps, vec![down("updateClient", 15_000)], 40_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent_since(&outcome, 15_000, "PUT", "/clients/"), 1, "{trace}");
}

/// KINDS.md, `OAuthClient`: "every crash point has a working key". The secret was on its way to ACP when the spec named another Secret: there
/// another one was chosen, and the first one took effect without standing anywhere.
#[test]
fn a_rotation_goes_on_in_a_secret_of_another_name() {
    let other = json!({"credentialsSecret": {"name": "elsewhere"}});
    let steps = client().into_iter().chain([rotate(10_000), edit(11_000, "OAuthClient", "shop", other)]).collect();
    let late = first("updateClient", Effect::Late(7_500));
    let outcome = replay(&identity_world(steps, vec![late], 40_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "PUT", "[Late(7500)]"), 1, "{trace}");
}

/// README, Rotation: a second wish came while the secret of the first was not taken yet. `status.lastHandledRotate` said that the second was
/// answered, too, by a secret that had been chosen before anybody wished for it.
#[test]
fn a_wish_that_comes_during_a_rotation_is_answered_by_another_one() {
    let steps = client().into_iter().chain([rotate(10_000), rotate_for(12_000, "another wish")]).collect();
    let outcome = replay(&identity_world(steps, vec![down("updateClient", 15_000)], 70_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent_since(&outcome, 15_000, "PUT", "/clients/"), 2, "{trace}");
}

/// README, Rotation: "At every moment one of the keys `client_secret` and `pending_client_secret` works." An update was on its way, with the
/// secret of then, when another one was asked for: that was rotated, and then the update took effect, and neither key worked until the sweep.
#[test]
fn no_secret_is_rotated_while_an_update_with_the_one_of_before_may_come_late() {
    let change = || edit(10_000, "OAuthClient", "shop", json!({"description": "A shop"}));
    for (before, wished) in [(change(), 11_000), (rotate_for(10_000, "an earlier wish"), 16_000)] {
        let steps = client().into_iter().chain([before, rotate(wished)]).collect();
        let late = first("updateClient", Effect::Late(7_500));
        let outcome = replay(&identity_world(steps, vec![late], 70_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "PUT", "[Late(7500)]"), 1, "{trace}");
        assert_ne!(sent_since(&outcome, 20_000, "PUT", "/clients/"), 0, "{trace}");
    }
}
