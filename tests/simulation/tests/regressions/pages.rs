//! What an API says of a request, and of a listing: a refusal of one operation, a pause, and pages that do not fit together.
use portico_simulation::plan::{Action, Effect, Fault, Millis, Side};
use serde_json::json;

use crate::{
    decisions::{edit, look, times},
    world::{apply, first, first_lost, identity_world, make, portal, remove, replay, sent, server, step, world},
};

/// This happens to every request of this name in this time.
fn while_(what: &str, from: Millis, until: Millis, effect: Effect) -> Fault {
    Fault { side: Side::Remote, from, until, nth: 0, times: 10_000, what: what.to_owned(), effect }
}

/// Law 10: one operation is answered with 401 and everything else, the probe of the connection too, is not. Each answered probe woke the
/// portal at once, whose next try shut the gate again: thousands of tries, one after the other, and the others of the connection between them.
#[test]
fn a_credential_that_one_operation_refuses_is_tried_again_after_a_wait() {
    let refused = while_("update-portal", 15_000, 300_000, Effect::Status(401, None));
    let steps = vec![apply(1_000, portal("shop")), edit(16_000, "Portal", "shop", json!({"description": "new"}))];
    let outcome = replay(&world(steps, vec![refused], 301_000));
    let tries = sent(&outcome, "PATCH", "/v2/portals/");
    assert!((2..60).contains(&tries), "{tries} tries\n{}", outcome.trace.join("\n"));
}

/// The gate: `Retry-After` closes it for all, and a token endpoint can ask for a pause as well. It was asked again after two seconds.
#[test]
fn a_token_endpoint_that_asks_for_a_pause_is_given_it() {
    for status in [429, 503] {
        let steps = vec![apply(1_000, server("main", &json!({})))];
        let faults = vec![first("token", Effect::Status(status, Some(40)))];
        let outcome = replay(&identity_world(steps, faults, 120_000));
        let asked = times(&outcome, "POST", "/oauth2/token");
        assert!(asked.len() > 1, "{}", outcome.trace.join("\n"));
        assert!(asked[1] - asked[0] >= 40_000, "{status}: {asked:?}\n{}", outcome.trace.join("\n"));
    }
}

/// Law 1: pages are cut anew for each request, and the second one lagged behind the first: both showed the portal that was made just before a
/// crash. The second sight of it was taken for a duplicate, and the portal was deleted.
#[test]
fn an_object_that_two_pages_show_is_no_duplicate_of_itself() {
    let steps = vec![
        make(500, "Portal", "other*100"),
        apply(2_000, portal("shop")),
        // The portal is there, and the answer is on its way.
        step(4_000, Action::Crash { replica: 0, down: 30_000 }),
        make(5_000, "Portal", "later"),
        // Now the portal is the last one of the first page; on the page that lags it is the first one of the second.
        remove(30_000, "Portal", 0),
    ];
    let faults =
        vec![first("create-portal", Effect::Slow(4_000)), while_("pages", 34_000, 60_000, Effect::Stale(10_000))];
    let outcome = replay(&world(steps, faults, 90_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 0, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
}

/// Laws 1 and 3: a portal was deleted between two pages of a listing, so what followed it moved up, onto the page that was read already. The
/// portal of a create whose answer was lost was not seen, and was made a second time.
#[test]
fn an_object_that_moves_between_two_pages_is_seen() {
    let steps = vec![
        make(500, "Portal", "other*100"),
        apply(2_000, portal("shop")),
        make(5_000, "Portal", "later"),
        edit(30_000, "Portal", "shop", json!({"name": "store"})),
        look(40_000, "Portal", "shop"),
        remove(41_500, "Portal", 0),
    ];
    let faults = vec![
        first_lost("create-portal"),
        // Until the lost create can no longer take effect unseen.
        while_("list-portals", 2_700, 39_900, Effect::Status(500, None)),
        while_("pages", 39_900, 60_000, Effect::Late(3_000)),
    ];
    let outcome = replay(&world(steps, faults, 120_000));
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{}", outcome.trace.join("\n"));
}
