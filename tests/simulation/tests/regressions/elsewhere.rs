//! What comes to name another connection, while what it has made, or may have made, is to be had through the one before.
use portico_simulation::plan::{Action, Effect, Fault, Millis, Plan, Step};
use serde_json::{Value, json};

use crate::{
    decisions::{edit, times},
    world::{apply, delete, first, first_lost, konnect, make, portal, remove, replay, sent, step, team, world},
};

/// A world with the connection `second`, to another organization at the same host.
fn organizations(steps: Vec<Step>, faults: Vec<Fault>, quiet_from: Millis) -> Plan {
    let globex = Action::Secret {
        namespace: "world".to_owned(),
        name: "globex".to_owned(),
        data: vec![("token".to_owned(), "kpat_other_organization".to_owned())],
    };
    let connection = json!({
        "region": "eu",
        "tokenSecretRef": {"name": "globex"},
        "resyncInterval": "60s",
        "requestTimeout": "5s",
        "rateLimit": {"requestsPerSecond": 100, "burst": 100},
    });
    let before = [step(100, globex), apply(200, konnect("KonnectConnection", "second", &connection))];
    world(before.into_iter().chain(steps).collect(), faults, quiet_from)
}

/// From this time on a resource names this connection.
fn names(at: Millis, kind: &str, name: &str, connection: &str) -> Step {
    edit(at, kind, name, json!({"connectionRef": {"name": connection}}))
}

/// A team of a portal that nobody recorded.
fn team_by_id() -> Value {
    let portal = json!({"id": "${id:Portal:strange}"});
    konnect(
        "PortalTeam",
        "readers",
        &json!({"connectionRef": {"name": "acme"}, "portalRef": portal, "name": "API readers"}),
    )
}

/// Laws 1 and 3: a recorded portal was made once more in the other organization, whose 404 was taken for the portal's end: both have one
/// host, which is all that the recipe says of the account. Put back, it is as it was; deleted, it is found where it is.
#[test]
fn a_recorded_portal_that_comes_to_name_a_connection_to_another_organization_is_not_made_there() {
    let ends = [None, Some(names(60_000, "Portal", "shop", "acme")), Some(delete(60_000, "Portal", "shop"))];
    for (which, end) in ends.into_iter().enumerate() {
        let mut steps = vec![apply(2_000, portal("shop")), names(20_000, "Portal", "shop", "second")];
        steps.extend(end);
        let outcome = replay(&organizations(steps, Vec::new(), 61_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
        assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), usize::from(which == 2), "{trace}");
    }
}

/// Beside it: what is gone there, too, is made again where the spec says by now.
#[test]
fn a_portal_that_is_gone_is_made_again_in_the_organization_that_it_comes_to_name() {
    let steps =
        vec![apply(2_000, portal("shop")), remove(15_000, "Portal", 0), names(20_000, "Portal", "shop", "second")];
    let outcome = replay(&organizations(steps, Vec::new(), 21_000));
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2, "{}", outcome.trace.join("\n"));
}

/// Law 1: a recorded team came to name a portal of the other organization, where its own portal is not: so it was made again there without a
/// word, although nothing allowed that, and the one before was nobody's.
#[test]
fn a_team_that_comes_to_name_a_portal_of_another_organization_is_not_lost_in_the_first() {
    let theirs = konnect("Portal", "theirs", &json!({"connectionRef": {"name": "second"}, "name": "theirs"}));
    let steps = vec![
        apply(1_000, portal("shop")),
        apply(1_000, theirs),
        apply(5_000, team()),
        edit(20_000, "PortalTeam", "readers", json!({"portalRef": {"name": "theirs"}})),
    ];
    let outcome = replay(&organizations(steps, Vec::new(), 21_000));
    assert_eq!(sent(&outcome, "POST", "/teams {"), 1, "{}", outcome.trace.join("\n"));
}

/// Law 1: what an open create had made was looked for through the connection that the spec named by then, and given up.
#[test]
fn an_open_create_is_not_given_up_because_another_organization_does_not_show_what_it_made() {
    for back in [None, Some(60_000)] {
        let mut steps = vec![
            make(0, "Portal", "strange"),
            apply(2_000, team_by_id()),
            // The create has failed by then, and is looked for when its window of 15 s has passed.
            names(9_000, "PortalTeam", "readers", "second"),
        ];
        steps.extend(back.map(|at| names(at, "PortalTeam", "readers", "acme")));
        let outcome = replay(&organizations(steps, vec![first_lost("create-portal-team")], 61_000));
        assert_eq!(sent(&outcome, "POST", "/teams {"), 1, "{}", outcome.trace.join("\n"));
    }
}

/// Law 1: a portal whose create had been sent, and of which nothing was recorded, was looked for in the other organization alone, and made
/// there once more. The process ends before the answer, or the answer is lost.
#[test]
fn a_portal_without_a_record_that_comes_to_name_another_organization_is_found_where_it_was_made() {
    for (effect, at) in [(Effect::CrashAfter, 3_000), (Effect::AnswerLost, 8_500)] {
        for end in [None, Some(60_000)] {
            let mut steps = vec![apply(2_000, portal("shop")), names(at, "Portal", "shop", "second")];
            steps.extend(end.map(|at| delete(at, "Portal", "shop")));
            let lost = first("create-portal", effect.clone());
            let outcome = replay(&organizations(steps, vec![lost], 61_000));
            let trace = outcome.trace.join("\n");
            assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
            assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), usize::from(end.is_some()), "{trace}");
        }
    }
}

/// Law 3: the same where it is deleted before anybody could look: its finalizer went, and the portal stayed.
#[test]
fn a_portal_without_a_record_that_comes_to_name_another_organization_is_found_before_it_goes() {
    let steps =
        vec![apply(2_000, portal("shop")), names(3_000, "Portal", "shop", "second"), delete(4_000, "Portal", "shop")];
    let outcome = replay(&organizations(steps, vec![first("create-portal", Effect::CrashAfter)], 5_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{trace}");
}

/// Law 5: a connection that was being deleted waited for a portal that only looks by then: its pass was refused the connection before it
/// could let go of its finalizer. "A resource in Observe has no finalizer, and is simply released."
#[test]
fn a_connection_does_not_wait_for_a_portal_that_comes_to_look_only() {
    let steps = vec![
        apply(2_000, portal("shop")),
        delete(10_000, "KonnectConnection", "acme"),
        edit(20_000, "Portal", "shop", json!({"lifecycle": {"mode": "Observe"}})),
    ];
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    let (trace, ends) =
        (outcome.trace.join("\n"), times(&outcome, "patch konnectconnections world/acme ", "\"finalizers\":[]"));
    assert!(!ends.is_empty(), "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 0, "{trace}");
}
