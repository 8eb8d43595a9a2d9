//! What is decided about which object is a resource's own, and about one that is not there, or not where the spec says by now: a small world
//! for each way that a decision can go.
use portico_sandbox::Switches;
use portico_simulation::plan::{Action, Effect, Fault, Stranger};
use serde_json::json;

use crate::{
    decisions::{edit, look, said, times},
    decisions_delete::annotate,
    decisions_moved::domain,
    world::{
        acp, apply, delete, first, identity_world, konnect, make, mapping, open_portal, portal, remove, replay, sent,
        server, shared, step, team, world,
    },
};

/// A team that has vanished, and whose spec names another portal by now, is made there only where nobody has its name: what nobody looked at
/// before is looked at first.
#[test]
fn a_team_that_vanished_before_it_moved_is_not_made_beside_a_strangers_of_its_name() {
    let mut readers = team();
    readers["spec"]["lifecycle"] = json!({"replace": "Allow"});
    let steps = vec![
        apply(500, portal("docs")),
        // In the only portal that there is.
        make(3_000, "PortalTeam", "API readers"),
        apply(4_000, portal("shop")),
        apply(8_000, readers),
        // The one in the second portal.
        remove(30_000, "PortalTeam", 1),
        edit(30_100, "PortalTeam", "readers", json!({"portalRef": {"name": "docs"}})),
    ];
    let outcome = replay(&world(steps, Vec::new(), 31_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "portalteams", "readers", "a PortalTeam") > 0, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/teams {"), 1, "{trace}");
}

/// Law 3 holds creates when many objects vanish at once. People are never made, so however many leave, nobody is held: who signs up again is
/// found, and is as the spec says.
#[test]
fn people_who_leave_at_once_are_waited_for_one_by_one_and_found_again() {
    let people = ["ann", "bob", "eve", "kim"];
    let person = |name: &str| {
        let email = format!("{name}@example.com");
        konnect("PortalDeveloper", name, &json!({"portalRef": {"name": "shop"}, "email": email, "status": "approved"}))
    };
    let mut steps = vec![apply(500, portal("shop"))];
    steps.extend(people.map(|name| make(3_000, "PortalDeveloper", &format!("{name}@example.com"))));
    steps.extend(people.map(|name| apply(5_000, person(name))));
    steps.extend(people.map(|_| remove(30_000, "PortalDeveloper", 0)));
    steps.extend(people.map(|name| look(31_000, "PortalDeveloper", name)));
    let again = Stranger::SignUp { which: 0, email: "ann@example.com".to_owned() };
    steps.push(step(40_000, Action::Stranger(again)));
    steps.push(annotate(41_000, "PortalDeveloper", "ann", "reconcile-at", Some("later")));
    let outcome = replay(&world(steps, Vec::new(), 42_000));
    let (trace, changes) = (outcome.trace.join("\n"), times(&outcome, "PATCH", "/developers/"));
    let held = sent(&outcome, "patch konnectconnections/status world/acme ", "\"absence\":{");
    assert_eq!(held, 0, "{trace}");
    // Who signs up again waits to be approved; the others were approved already.
    assert!(changes.len() == 1 && changes[0] >= 41_000, "{changes:?}\n{trace}");
}

/// Law 3: a portal has its settings from its beginning to its end. Where the API does not show them, it is asked again, and they are not
/// made: neither those that nobody has looked at yet, nor those that are recorded.
#[test]
fn settings_that_the_api_does_not_show_for_a_moment_are_not_made() {
    for from in [0, 19_500] {
        // As it was before there was the portal; who asks for the portal itself is shown it.
        let stale = Fault { from, ..first("get-portal-authentication-settings", Effect::Stale(60_000)) };
        let steps = vec![
            apply(500, portal("shop")),
            apply(5_000, mapping("world", "one", &json!({"name": "shop"}), &json!({}))),
            look(20_000, "PortalAuthentication", "one"),
        ];
        let outcome = replay(&world(steps, vec![stale], 61_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "GET", "/authentication-settings [Stale("), 1, "from {from}:\n{trace}");
        assert!(trace.contains("<- 404"), "from {from}: they were shown:\n{trace}");
        assert_eq!(sent(&outcome, "POST", "/authentication-settings"), 0, "from {from}:\n{trace}");
        assert_eq!(sent(&outcome, "PATCH", "/authentication-settings {"), 1, "from {from}:\n{trace}");
    }
}

/// Law 2: that a domain may be deleted and made again elsewhere is said by `replace`, and nobody is bound by what it said once: while the
/// resource was paused it moved, and then was told to stay.
#[test]
fn a_domain_that_may_not_be_made_again_stays_where_it_is() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(500, portal("docs")),
        apply(3_000, domain()),
        annotate(20_000, "PortalCustomDomain", "docs", "paused", Some("true")),
        edit(22_000, "PortalCustomDomain", "docs", json!({"portalRef": {"name": "docs"}})),
        edit(23_000, "PortalCustomDomain", "docs", json!({"lifecycle": {"replace": "Refuse"}})),
        annotate(25_000, "PortalCustomDomain", "docs", "paused", None),
    ];
    let outcome = replay(&world(steps, Vec::new(), 26_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "portalcustomdomains", "docs", "the object is at") > 0, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/custom-domain"), 0, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/custom-domain {"), 1, "{trace}");
}

/// Law 2: a connection that only observes stops a move as well, whatever the resource allows. The domain moves once it manages again.
#[test]
fn a_domain_moves_only_when_its_connection_manages() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(500, portal("docs")),
        apply(3_000, domain()),
        edit(20_000, "KonnectConnection", "acme", json!({"mode": "Observe"})),
        edit(22_000, "PortalCustomDomain", "docs", json!({"portalRef": {"name": "docs"}})),
        edit(60_000, "KonnectConnection", "acme", json!({"mode": "Manage"})),
    ];
    let outcome = replay(&world(steps, Vec::new(), 61_000));
    let (trace, deletes) = (outcome.trace.join("\n"), times(&outcome, "DELETE", "/custom-domain"));
    assert!(said(&outcome, "portalcustomdomains", "docs", "the object is at") > 0, "{trace}");
    assert!(deletes.len() == 1 && deletes[0] >= 60_000, "{deletes:?}\n{trace}");
    assert_eq!(sent(&outcome, "POST", "/custom-domain {"), 2, "{trace}");
}

/// What a portal has one of is bound by the portal's id: by that of another portal nothing is meant that could be had, and nothing is sent.
#[test]
fn settings_are_bound_by_the_id_of_their_own_portal_and_by_no_other() {
    for (name, is_own) in [("shop", true), ("docs", false)] {
        let bound = json!({"lifecycle": {"id": format!("${{id:Portal:{name}}}")}});
        let steps = vec![
            apply(500, portal("shop")),
            apply(500, portal("docs")),
            apply(5_000, mapping("world", "one", &json!({"name": "shop"}), &bound)),
        ];
        let outcome = replay(&world(steps, Vec::new(), 6_000));
        let trace = outcome.trace.join("\n");
        let refused = said(&outcome, "portalauthentications", "one", "lifecycle.id is ");
        assert_eq!(refused > 0, !is_own, "{name}:\n{trace}");
        let changes = sent(&outcome, "PATCH", "/authentication-settings {");
        assert_eq!(changes, usize::from(is_own), "{name}:\n{trace}");
    }
}

/// Law 1: what a create made that nobody heard of carries the mark, and the name that the spec had then. It is looked for by the mark, among
/// all that there is.
#[test]
fn a_portal_that_was_made_under_an_earlier_name_is_known_by_its_mark() {
    let steps = vec![
        apply(1_000, portal("shop")),
        step(1_500, Action::Crash { replica: 0, down: 10_000 }),
        // While nobody runs.
        edit(3_000, "Portal", "shop", json!({"name": "docs"})),
    ];
    let outcome = replay(&world(steps, vec![first("create-portal", Effect::Late(3_000))], 61_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
    assert!(sent(&outcome, "PATCH", "/v2/portals/") > 0, "{trace}");
}

/// Names of things are written in one way: a team whose name differs from a stranger's in its capitals is another team, and is made again
/// beside it. People alone are called the same in any case.
#[test]
fn a_team_that_vanished_is_made_again_beside_a_strangers_that_is_written_otherwise() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, team()),
        make(10_000, "PortalTeam", "api readers"),
        // The first one that was made.
        remove(30_000, "PortalTeam", 0),
        look(30_100, "PortalTeam", "readers"),
    ];
    let outcome = replay(&world(steps, Vec::new(), 31_000));
    let (trace, creates) = (outcome.trace.join("\n"), times(&outcome, "POST", "/teams {"));
    assert!(creates.len() == 2 && creates[1] >= 30_000, "{creates:?}\n{trace}");
}

/// Law 13: what lies below a portal is taken over from another namespace only where the portal's connection allows it, as the portal itself is.
#[test]
fn a_team_is_taken_over_from_another_namespace_only_where_the_connection_of_its_portal_lets_it() {
    let spec = json!({
        "portalRef": {"name": "shop", "namespace": "world"},
        "name": "API readers",
        "description": "ours",
        "lifecycle": {"adoption": "Adopt"},
    });
    let mut readers = konnect("PortalTeam", "readers", &spec);
    readers["metadata"]["namespace"] = json!("other");
    let steps = vec![
        apply(500, open_portal()),
        make(3_000, "PortalTeam", "API readers"),
        apply(5_000, readers),
        edit(20_000, "KonnectConnection", "acme", json!({"allowAdoption": true})),
    ];
    let outcome = replay(&shared(Switches::default(), steps, 21_000));
    let (trace, changes) = (outcome.trace.join("\n"), times(&outcome, "PATCH", "/teams/"));
    assert!(!changes.is_empty() && changes.iter().all(|at| *at >= 20_000), "{changes:?}\n{trace}");
    assert_eq!(sent(&outcome, "POST", "/teams {"), 0, "{trace}");
}

/// Law 2: a stranger's client of the chosen id that belongs to another server is not what the spec speaks of. It is not taken over, and so is
/// not deleted there to be made again here.
#[test]
fn a_strangers_client_of_another_server_is_not_taken_over() {
    let spec = json!({
        "serverRef": {"name": "kiosk"},
        "clientId": "chosen",
        "lifecycle": {"adoption": "Adopt", "replace": "Allow"},
    });
    let steps = vec![
        apply(2_000, server("login", &json!({}))),
        // At the only server that there is.
        make(8_000, "OAuthClient", "chosen"),
        apply(10_000, server("kiosk", &json!({}))),
        apply(15_000, acp("OAuthClient", "shop", &spec)),
    ];
    let outcome = replay(&identity_world(steps, Vec::new(), 16_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "oauthclients", "shop", "the object chosen") > 0, "{trace}");
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(sent(&outcome, method, "/clients"), 0, "{method}:\n{trace}");
    }
}

/// Law 12: what a resource has recorded is its own, also while it only observes. Another one that wants the same waits for its end.
#[test]
fn settings_of_a_resource_that_only_observes_by_now_are_nobody_elses_until_it_goes() {
    let shop = json!({"name": "shop"});
    let steps = vec![
        apply(500, portal("shop")),
        apply(5_000, mapping("world", "one", &shop, &json!({}))),
        edit(15_000, "PortalAuthentication", "one", json!({"lifecycle": {"mode": "Observe"}})),
        apply(20_000, mapping("world", "two", &shop, &json!({"oidcTeamMappingEnabled": true}))),
        delete(40_000, "PortalAuthentication", "one"),
    ];
    let outcome = replay(&world(steps, Vec::new(), 41_000));
    let (trace, changes) = (outcome.trace.join("\n"), times(&outcome, "PATCH", "/authentication-settings {"));
    assert!(said(&outcome, "portalauthentications", "two", "the object") > 0, "{trace}");
    assert!(changes.len() == 2 && changes[1] >= 40_000, "{changes:?}\n{trace}");
}
