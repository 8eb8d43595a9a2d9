//! Who wants the name of another, and has to step back.
use portico_simulation::plan::{Action, Effect, Fault, Plan};
use serde_json::json;

use crate::{
    decisions::edit,
    world::{apply, first, portal, remove, replay, sent, step, world},
};

/// Seed 10025469, law 12: an older portal, whose object a stranger had deleted, was edited into the name of a younger one, and yielded. The
/// younger one was edited while nobody ran, so after the restart neither was as its spec says, and that the older one had yielded was lost
/// while the connection was not ready yet. The older one went first then, found that the object of the name is the other's, and the two waited
/// for each other for ever.
#[test]
fn who_has_the_object_of_a_name_goes_before_an_older_one_whose_own_is_gone() {
    let steps = || {
        vec![
            apply(1_000, portal("one")),
            remove(3_000, "Portal", 0),
            apply(5_000, portal("two")),
            edit(7_000, "Portal", "one", json!({"name": "two"})),
            step(9_000, Action::Crash { replica: 0, down: 2_000 }),
            edit(10_000, "Portal", "two", json!({"autoApproveApplications": true})),
        ]
    };
    // The connection is not ready for a while, and both say so.
    let slow = || Fault { from: 10_500, ..first("list-portals", Effect::Slow(1_000)) };
    for seed in 1..=4 {
        let outcome = replay(&Plan { seed, ..world(steps(), vec![slow()], 12_000) });
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2, "{trace}");
        assert_eq!(sent(&outcome, "PATCH", r#""auto_approve_applications":true"#), 1, "{trace}");
    }
}

/// Law 12, beside seed 10025469: an older portal was edited into the name of a younger one, and yielded. The younger one was edited while nobody
/// ran, and that the older one had yielded was lost while the connection was not ready yet. The older one went first from then on, although
/// the API refuses it the name that the other's object has, and what the younger one's spec says was never sent.
#[test]
fn who_has_the_object_of_a_name_goes_before_an_older_one_that_the_api_refuses_that_name() {
    let steps = || {
        vec![
            apply(1_000, portal("one")),
            apply(5_000, portal("two")),
            edit(7_000, "Portal", "one", json!({"name": "two"})),
            step(9_000, Action::Crash { replica: 0, down: 2_000 }),
            edit(10_000, "Portal", "two", json!({"autoApproveApplications": true})),
        ]
    };
    // The connection is not ready for a while, and both say so.
    let slow = || Fault { from: 10_500, ..first("list-portals", Effect::Slow(1_000)) };
    for seed in 1..=4 {
        let outcome = replay(&Plan { seed, ..world(steps(), vec![slow()], 12_000) });
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2, "{trace}");
        assert_eq!(sent(&outcome, "PATCH", r#""auto_approve_applications":true"#), 1, "{trace}");
    }
}
