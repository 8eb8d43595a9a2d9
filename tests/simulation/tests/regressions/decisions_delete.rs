//! What is decided about a deletion: one small world for each way that a decision can go.
use portico_simulation::{
    Outcome,
    plan::{Action, Effect, Fault, Millis, Side, Step, Stranger},
};
use serde_json::{Value, json};

use crate::{
    decisions::{edit, look, times},
    world::{
        apply, delete, first, identity_world, konnect, make, portal, remove, replay, sent, server, step, team, token,
        world,
    },
};

/// Another connection to the same account, or the same one again.
fn connection(name: &str) -> Value {
    let spec = json!({
        "region": "eu",
        "tokenSecretRef": {"name": "konnect"},
        "resyncInterval": "60s",
        "requestTimeout": "5s",
        "rateLimit": {"requestsPerSecond": 100, "burst": 100},
    });
    konnect("KonnectConnection", name, &spec)
}

/// A user sets an annotation of Portico's, or removes it.
pub(crate) fn annotate(at: Millis, kind: &str, name: &str, key: &str, value: Option<&str>) -> Step {
    let (kind, namespace, name) = (kind.to_owned(), "world".to_owned(), name.to_owned());
    let (key, value) = (format!("portico.dev/{key}"), value.map(str::to_owned));
    step(at, Action::Annotate { kind, namespace, name, key, value })
}

/// How often a request was sent in the middle of something, such as `Portal delete list-portals`.
fn asked(outcome: &Outcome, point: &str) -> u64 {
    outcome.coverage.points().filter(|(seen, _)| seen.is_named(point)).map(|(_, counts)| counts.seen).sum()
}

/// When the finalizer of a resource was removed.
fn released(outcome: &Outcome, plural: &str, name: &str) -> Vec<Millis> {
    times(outcome, &format!("patch {plural} world/{name} "), "\"finalizers\":[]")
}

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
    let named = |name: &str, connection: &str| {
        konnect("Portal", name, &json!({"connectionRef": {"name": connection}, "name": "shop"}))
    };
    let crash = Fault { until: 101_000, ..first("create-portal", Effect::CrashAfter) };
    for (end, faults) in [(100_200, vec![crash]), (110_000, Vec::new())] {
        let steps = vec![
            apply(100, connection("second")),
            edit(200, "KonnectConnection", "acme", json!({"mode": "Observe"})),
            apply(100_000, named("shop", "second")),
            apply(100_150, named("visitors", "acme")),
            delete(end, "Portal", "shop"),
        ];
        let outcome = replay(&world(steps, faults, 111_000));
        let trace = outcome.trace.join("\n");
        let found = sent(&outcome, "patch portals/status world/visitors ", r#""message":"The object"#);
        assert!(found > 0, "it was never looked at: {trace}");
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
        assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{trace}");
    }
}

/// What is recorded, and has no open create beside it, goes with one DELETE: nobody lists what else there may be.
#[test]
fn a_portal_beside_which_nothing_can_be_on_its_way_goes_without_a_listing() {
    let steps = vec![apply(1_000, portal("shop")), delete(12_000, "Portal", "shop")];
    let outcome = replay(&world(steps, Vec::new(), 13_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(asked(&outcome, "Portal delete delete-portal"), 1, "{trace}");
    assert_eq!(asked(&outcome, "Portal delete list-portals"), 0, "{trace}");
}

/// Law 1: a portal was adopted while a create had no answer, and was given another name, so the create had its way after all. Both carry the
/// mark, and both go.
#[test]
fn what_a_late_create_made_beside_an_adopted_portal_goes_with_it() {
    let lifecycle = json!({"adoption": "Adopt", "deletion": "Delete"});
    let adopts = json!({"connectionRef": {"name": "acme"}, "name": "shop", "lifecycle": lifecycle});
    let (kind, field) = ("Portal".to_owned(), "name".to_owned());
    let renamed = Stranger::Change { kind, which: 0, field, value: json!("other") };
    let steps = vec![
        apply(1_000, konnect("Portal", "shop", &adopts)),
        // With the create on its way, which is given up after 5 s.
        make(3_000, "Portal", "shop"),
        step(11_000, Action::Stranger(renamed)),
        delete(11_500, "Portal", "shop"),
    ];
    let outcome = replay(&world(steps, vec![first("create-portal", Effect::Late(13_500))], 61_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 2, "{trace}");
    assert!(asked(&outcome, "Portal delete list-portals") > 0, "{trace}");
}

/// The same where the process that had sent it ended before the deletion: the record says that it may still come.
#[test]
fn what_a_late_create_made_beside_an_adopted_portal_goes_with_it_in_the_next_process_too() {
    let lifecycle = json!({"adoption": "Adopt", "deletion": "Delete"});
    let adopts = json!({"connectionRef": {"name": "acme"}, "name": "shop", "lifecycle": lifecycle});
    let (kind, field) = ("Portal".to_owned(), "name".to_owned());
    let renamed = Stranger::Change { kind, which: 0, field, value: json!("other") };
    let steps = vec![
        apply(1_000, konnect("Portal", "shop", &adopts)),
        make(3_000, "Portal", "shop"),
        step(11_000, Action::Stranger(renamed)),
        step(11_200, Action::Crash { replica: 0, down: 500 }),
        // While nobody runs.
        delete(11_500, "Portal", "shop"),
    ];
    let outcome = replay(&world(steps, vec![first("create-portal", Effect::Late(13_500))], 61_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 2, "{trace}");
}

/// Law 3: a portal was made, and could not be recorded: its connection had been given up meanwhile, and the API server failed. For a while
/// a listing may not show it, and the deletion does not take that for its absence.
#[test]
fn a_portal_that_was_made_just_now_and_is_not_recorded_is_looked_for_until_it_must_be_shown() {
    let unwritten = Fault {
        side: Side::Kubernetes,
        from: 6_500,
        until: 7_400,
        nth: 0,
        times: 1_000,
        what: "patch portals/status".to_owned(),
        effect: Effect::Status(503, None),
    };
    let stale =
        Fault { from: 8_000, until: 16_000, times: 1_000, ..first("Portal delete list-portals", Effect::Stale(6_500)) };
    let steps = vec![
        // It is made at once, and answered after 4 s.
        apply(3_000, portal("shop")),
        // Nobody else looks at it then.
        annotate(3_500, "Portal", "shop", "paused", Some("true")),
        annotate(4_000, "KonnectConnection", "acme", "orphan", Some("true")),
        delete(4_100, "KonnectConnection", "acme"),
        apply(7_500, connection("acme")),
        delete(8_000, "Portal", "shop"),
        annotate(8_500, "Portal", "shop", "paused", None),
    ];
    let faults = vec![first("create-portal", Effect::Slow(4_000)), unwritten, stale];
    let outcome = replay(&world(steps, faults, 20_000));
    let trace = outcome.trace.join("\n");
    assert!(sent(&outcome, "patch portals/status world/shop ", "[Status(503, None)]") > 0, "{trace}");
    assert!(sent(&outcome, "GET /v2/portals?", "[Stale(6500)]") > 0, "{trace}");
    let deletes = times(&outcome, "DELETE", "/v2/portals/");
    assert!(deletes.len() == 1 && deletes[0] > 16_000, "{deletes:?}\n{trace}");
}

/// Law 5: a backup brings a portal back of which nothing is recorded, and its connection, made anew, never worked: nothing was ever made
/// through it, so there is nothing to ask it for, and nothing to wait for.
#[test]
fn a_restored_portal_does_not_wait_for_a_connection_that_never_worked() {
    let steps = vec![
        apply(1_000, portal("shop")),
        delete(10_000, "Portal", "shop"),
        delete(15_000, "KonnectConnection", "acme"),
        token(18_000, "kpat_wrong"),
        apply(20_000, connection("acme")),
        step(30_000, Action::Restore { from: 9_000 }),
        delete(32_000, "Portal", "shop"),
    ];
    let outcome = replay(&world(steps, Vec::new(), 33_000));
    let (trace, ends) = (outcome.trace.join("\n"), released(&outcome, "portals", "shop"));
    assert!(ends.last().is_some_and(|end| (32_000..34_000).contains(end)), "{ends:?}\n{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{trace}");
}

/// A portal waits for the team that lives below it, and is told when that has gone: it does not sleep on until its next try, which comes
/// after half a minute by then.
#[test]
fn a_portal_goes_as_soon_as_the_last_team_below_it_has_gone() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, team()),
        delete(10_000, "Portal", "shop"),
        delete(50_000, "PortalTeam", "readers"),
    ];
    let outcome = replay(&world(steps, Vec::new(), 51_000));
    let (trace, deletes) = (outcome.trace.join("\n"), times(&outcome, "DELETE", "/v2/portals/"));
    assert!(deletes.len() == 2 && deletes.iter().all(|at| (50_000..52_000).contains(at)), "{deletes:?}\n{trace}");
}

/// The same of a connection that waits for the last portal made through it.
#[test]
fn a_connection_goes_as_soon_as_the_last_portal_has_gone() {
    let steps =
        vec![apply(500, portal("shop")), delete(10_000, "KonnectConnection", "acme"), delete(50_000, "Portal", "shop")];
    let outcome = replay(&world(steps, Vec::new(), 51_000));
    let (trace, ends) = (outcome.trace.join("\n"), released(&outcome, "konnectconnections", "acme"));
    assert!(ends.first().is_some_and(|end| (50_000..52_000).contains(end)), "{ends:?}\n{trace}");
}
