//! What is decided about a deletion: one small world for each way that a decision can go.
use portico_simulation::plan::{Action, Effect, Fault, Stranger};
use serde_json::json;

use crate::{
    decisions::{edit, look, times},
    world::{apply, delete, first, identity_world, konnect, portal, remove, replay, sent, server, step, world},
};

/// Law 2: another installation's mark goes before the record, also when the resource is deleted before anybody has looked.
#[test]
fn a_portal_that_another_installation_has_taken_is_not_deleted() {
    let mark = json!({
        "portico-owner": "another",
        "portico-ref": "0123456789abcdef.00000000-0000-4000-8000-000000000000",
    });
    let taken = Stranger::Change { kind: "Portal".to_owned(), which: 0, field: "labels".to_owned(), value: mark };
    let steps =
        vec![apply(1_000, portal("shop")), step(20_000, Action::Stranger(taken)), delete(25_000, "Portal", "shop")];
    let outcome = replay(&world(steps, Vec::new(), 26_000));
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 0, "{}", outcome.trace.join("\n"));
}

/// What was recorded and was there when it was deleted is gone: also a process that did not make it need not look for more.
#[test]
fn a_server_that_another_process_made_is_deleted_once() {
    let steps = vec![
        apply(2_000, server("login", &json!({}))),
        step(8_000, Action::Crash { replica: 0, down: 3_000 }),
        delete(20_000, "AuthorizationServer", "login"),
    ];
    let outcome = replay(&identity_world(steps, Vec::new(), 21_000));
    assert_eq!(sent(&outcome, "DELETE", "/servers/"), 1, "{}", outcome.trace.join("\n"));
}

/// Law 1: what was recorded and is not there may be on its way again: the process before was making it anew when it ended.
#[test]
fn a_server_that_is_not_there_may_be_on_its_way_again_and_its_deletion_waits_for_that() {
    let again = Fault { nth: 1, ..first("createAuthorizationServer", Effect::Late(12_000)) };
    let steps = vec![
        apply(2_000, server("login", &json!({}))),
        remove(8_000, "AuthorizationServer", 0),
        look(8_500, "AuthorizationServer", "login"),
        step(10_000, Action::Crash { replica: 0, down: 3_000 }),
        // While nobody runs.
        delete(11_000, "AuthorizationServer", "login"),
    ];
    let outcome = replay(&identity_world(steps, vec![again], 61_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/servers {"), 2, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/servers/"), 2, "{trace}");
}

/// Laws 1 and 5: a connection that only observes is asked nothing that a deletion could rest on: it waits, and what an unrecorded create
/// has made goes once the connection manages again.
#[test]
fn a_deletion_waits_while_its_connection_observes_although_nothing_is_recorded() {
    let steps = vec![
        apply(1_000, portal("shop")),
        step(1_500, Action::Crash { replica: 0, down: 10_000 }),
        edit(2_000, "KonnectConnection", "acme", json!({"mode": "Observe"})),
        delete(3_000, "Portal", "shop"),
        edit(60_000, "KonnectConnection", "acme", json!({"mode": "Manage"})),
    ];
    let outcome = replay(&world(steps, vec![first("create-portal", Effect::Late(3_000))], 61_000));
    let (trace, deletes) = (outcome.trace.join("\n"), times(&outcome, "DELETE", "/v2/portals/"));
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
    assert!(deletes.len() == 1 && deletes[0] >= 60_000, "{deletes:?}\n{trace}");
}

/// The same of a portal that is recorded.
#[test]
fn a_recorded_portal_stays_while_its_connection_observes() {
    let steps = vec![
        apply(1_000, portal("shop")),
        edit(10_000, "KonnectConnection", "acme", json!({"mode": "Observe"})),
        delete(12_000, "Portal", "shop"),
        edit(60_000, "KonnectConnection", "acme", json!({"mode": "Manage"})),
    ];
    let outcome = replay(&world(steps, Vec::new(), 61_000));
    let (trace, deletes) = (outcome.trace.join("\n"), times(&outcome, "DELETE", "/v2/portals/"));
    assert!(deletes.len() == 1 && deletes[0] >= 60_000, "{deletes:?}\n{trace}");
}

/// Seed 4011651, law 2: a connection that only observes stops the writes of its own resources, not those of another connection to the same
/// account. Who looks at an object through the one is not in the way of its end through the other, whether that is recorded yet or not.
#[test]
fn what_is_looked_at_through_a_connection_that_observes_goes_through_the_one_that_made_it() {
    let connection = json!({
        "region": "eu",
        "tokenSecretRef": {"name": "konnect"},
        "resyncInterval": "60s",
        "requestTimeout": "5s",
        "rateLimit": {"requestsPerSecond": 100, "burst": 100},
    });
    let named = |name: &str, connection: &str| {
        konnect("Portal", name, &json!({"connectionRef": {"name": connection}, "name": "shop"}))
    };
    let crash = Fault { until: 101_000, ..first("create-portal", Effect::CrashAfter) };
    for (end, faults) in [(100_200, vec![crash]), (110_000, Vec::new())] {
        let steps = vec![
            apply(100, konnect("KonnectConnection", "second", &connection)),
            edit(200, "KonnectConnection", "acme", json!({"mode": "Observe"})),
            apply(100_000, named("shop", "second")),
            apply(100_150, named("visitors", "acme")),
            delete(end, "Portal", "shop"),
        ];
        let outcome = replay(&world(steps, faults, 111_000));
        let trace = outcome.trace.join("\n");
        let found = sent(&outcome, "patch portals/status world/visitors ", r#""status":{"acceptedGeneration":1"#);
        assert!(found > 0, "it was never looked at: {trace}");
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
        assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{trace}");
    }
}
