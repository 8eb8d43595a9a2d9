//! What a status says of names with digits in them, and how far those reach who only look.
use portico_sandbox::Switches;
use portico_simulation::plan::{Action, Effect, Fault, Side, Step};
use serde_json::{Value, json};

use crate::{
    decisions::{said, times},
    world::{apply, delete, first, konnect, make, mapping, portal, remove, replay, sent, shared, step, world},
};

fn pause(at: u64, kind: &str, name: &str, value: Option<&str>) -> Step {
    let (kind, namespace, name) = (kind.to_owned(), "world".to_owned(), name.to_owned());
    let (key, value) = ("portico.dev/paused".to_owned(), value.map(str::to_owned));
    step(at, Action::Annotate { kind, namespace, name, key, value })
}

/// Whether other namespaces may take over through the connection what is there.
fn adoption(at: u64, allowed: bool) -> Step {
    let (kind, namespace, name) = ("KonnectConnection".to_owned(), "world".to_owned(), "acme".to_owned());
    step(at, Action::Edit { kind, namespace, name, spec: json!({ "allowAdoption": allowed }) })
}

/// A resource of the namespace `other`.
fn other(mut resource: Value) -> Value {
    resource["metadata"]["namespace"] = json!("other");
    resource
}

/// Laws 4 and 9: a domain with eight digits, a hyphen and a colon after it was taken for a time, and left out of the condition. So each pass took
/// it for another domain than before and began anew: its verification was never asked for, and the status was written every minute.
#[test]
fn the_verification_of_a_domain_with_a_date_in_its_name_is_asked_for() {
    let spec = json!({"connectionRef": {"name": "acme"}, "name": "shop", "customDomain": "docs-20261122.example.com"});
    let outcome = replay(&world(vec![apply(1_000, konnect("Portal", "shop", &spec))], Vec::new(), 2_000));
    assert_eq!(sent(&outcome, "POST", "/verify-domain"), 1, "{}", outcome.trace.join("\n"));
}

/// Law 5: "until then the message names the blocker". Whose names have digits were all one to the status: as long as it showed as many, it named
/// those that had been at the beginning.
#[test]
fn a_connection_that_is_to_go_names_those_that_it_waits_for_by_now() {
    let mut steps: Vec<Step> = (1..=7).map(|n| apply(1_000 + n, portal(&format!("portal-{n}")))).collect();
    steps.extend([delete(15_000, "KonnectConnection", "acme"), delete(25_000, "Portal", "portal-1")]);
    let outcome = replay(&world(steps, Vec::new(), 26_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "konnectconnections", "acme", "7 resources") > 0, "{trace}");
    assert!(said(&outcome, "konnectconnections", "acme", "6 resources") > 0, "{trace}");
}

/// Law 9: a stranger's object that was gone was named for ever as the one to take over: the id of the one that had its name by then was all one
/// to the status.
#[test]
fn who_is_refused_a_name_says_which_object_has_it_by_now() {
    let steps = vec![
        make(0, "Portal", "shop"),
        apply(1_000, portal("shop")),
        // It is stalled by then.
        remove(30_000, "Portal", 0),
        make(30_001, "Portal", "shop"),
    ];
    let outcome = replay(&world(steps, Vec::new(), 31_000));
    let (trace, told) = (outcome.trace.join("\n"), times(&outcome, "patch portals/status world/shop", "{"));
    assert!(said(&outcome, "portals", "shop", "a Portal named") > 0, "{trace}");
    assert!(told.iter().any(|at| *at > 30_000), "{told:?}\n{trace}");
}

/// Law 9: a portal that was paused while the API could not be asked said that it is paused, and to remove the annotation, for three intervals
/// after that had been done.
#[test]
fn a_portal_that_is_paused_no_longer_does_not_say_so_where_the_api_cannot_be_asked() {
    let steps = vec![
        apply(1_000, portal("shop")),
        step(20_000, Action::Revoke { account: "konnect".to_owned() }),
        pause(30_000, "Portal", "shop", Some("true")),
        pause(40_000, "Portal", "shop", None),
    ];
    let outcome = replay(&world(steps, Vec::new(), 41_000));
    let (trace, told) = (outcome.trace.join("\n"), times(&outcome, "patch portals/status world/shop", "{"));
    assert!(told.iter().any(|at| (30_000..40_000).contains(at)), "{told:?}\n{trace}");
    assert!(told.iter().any(|at| (40_000..100_000).contains(at)), "{told:?}\n{trace}");
}

/// Law 13: "Through a connection of another namespace one may create, not adopt". Who only looked at a stranger's portal through one, which needs
/// no leave, took over the settings of that portal as those of a parent of its own.
#[test]
fn settings_of_a_strangers_portal_are_not_taken_over_by_looking_at_it_from_another_namespace() {
    let looks = json!({
        "connectionRef": {"name": "acme", "namespace": "world"},
        "name": "shop",
        "lifecycle": {"mode": "Observe"},
    });
    let steps = vec![
        make(0, "Portal", "shop"),
        apply(1_000, other(konnect("Portal", "shop", &looks))),
        apply(5_000, mapping("other", "one", &json!({"name": "shop"}), &json!({}))),
        adoption(20_000, true),
    ];
    let outcome = replay(&shared(Switches::default(), steps, 21_000));
    let (trace, changes) = (outcome.trace.join("\n"), times(&outcome, "PATCH", "/authentication-settings {"));
    assert!(!changes.is_empty() && changes.iter().all(|at| *at >= 20_000), "{changes:?}\n{trace}");
}

/// Law 13: the same "unless that connection's `allowAdoption` says so". Who withdrew that on a connection that was paused withdrew nothing: what it
/// had said before the pause was remembered.
#[test]
fn what_a_connection_does_not_allow_any_more_is_not_done_through_it_while_it_is_paused() {
    let adopts = json!({
        "connectionRef": {"name": "acme", "namespace": "world"},
        "name": "shop",
        "lifecycle": {"adoption": "Adopt"},
    });
    let steps = vec![
        make(0, "Portal", "shop"),
        adoption(500, true),
        pause(10_000, "KonnectConnection", "acme", Some("true")),
        adoption(12_000, false),
        apply(15_000, other(konnect("Portal", "shop", &adopts))),
        pause(60_000, "KonnectConnection", "acme", None),
    ];
    let outcome = replay(&shared(Switches::default(), steps, 61_000));
    assert_eq!(sent(&outcome, "PATCH", "/v2/portals/"), 0, "{}", outcome.trace.join("\n"));
}

/// "Events on every transition": the answer to the write of a status was lost, and the next pass found it stored and had nothing to tell.
#[test]
fn an_event_tells_of_a_transition_whose_status_was_stored_without_an_answer() {
    let lost = Fault { side: Side::Kubernetes, ..first("patch portals/status", Effect::AnswerLost) };
    let steps = vec![make(0, "Portal", "shop"), apply(1_000, portal("shop"))];
    let outcome = replay(&world(steps, vec![lost], 2_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "patch portals/status world/shop", "[AnswerLost]"), 1, "{trace}");
    assert!(sent(&outcome, "create events world/", "\"name\":\"shop.") > 0, "{trace}");
}

/// "Events on every transition": of a connection that was to go none was told, for the sake of namespaces that go with it. Who deleted one that
/// is in use was not told by what its end is blocked.
#[test]
fn an_event_tells_that_the_end_of_a_connection_is_blocked() {
    let steps = vec![apply(1_000, portal("shop")), delete(15_000, "KonnectConnection", "acme")];
    let outcome = replay(&world(steps, Vec::new(), 16_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "konnectconnections", "acme", "1 resources") > 0, "{trace}");
    let told = times(&outcome, "create events world/", "\"name\":\"acme.");
    assert!(told.iter().any(|at| *at >= 15_000), "{told:?}\n{trace}");
}
