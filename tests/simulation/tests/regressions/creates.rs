//! Creates of which nothing is known yet, and the ways to what they made.
use portico_simulation::plan::{Action, Effect, Step, Stranger};
use serde_json::json;

use crate::world::{
    acp, apply, delete, first, first_lost, identity_world, konnect, made, portal, provider, replay, sent, server, step,
    world,
};

/// A lost answer is no reason to make a thing twice (law 1), and the same plan goes the same way.
#[test]
fn a_portal_and_its_team_are_made_once_though_the_answer_to_the_create_is_lost() {
    let team = json!({"portalRef": {"name": "shop"}, "name": "buyers"});
    let steps = vec![apply(1_000, portal("shop")), apply(2_000, konnect("PortalTeam", "buyers", &team))];
    let plan = world(steps, ["create-portal", "create-portal-team"].map(first_lost).into(), 120_000);
    let outcome = replay(&plan);
    assert!(outcome.settled.is_some(), "it never came to rest");
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[AnswerLost]"), "no answer was lost:\n{trace}");
    assert_eq!(made(&outcome, "POST /v2/portals {"), 1, "portals:\n{trace}");
    assert_eq!(made(&outcome, "/teams {"), 1, "teams:\n{trace}");
    assert_eq!(replay(&plan).trace, outcome.trace, "the same plan went another way");
}

/// Seed 6642, laws 1 and 12: another portal wanted the name of one whose create lost its answer, so nobody ever looked for what it had made.
#[test]
fn a_portal_finds_what_it_made_although_another_one_wants_its_name_meanwhile() {
    let (kind, namespace, name) = ("Portal".to_owned(), "world".to_owned(), "blog".to_owned());
    let renamed = json!({"name": "shop"});
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, portal("blog")),
        // The create fails at 5,500 and is looked for two seconds after that.
        Step { at: 6_000, action: Action::Edit { kind, namespace, name, spec: renamed } },
    ];
    let outcome = replay(&world(steps, vec![first_lost("create-portal")], 61_000));
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2);
}

/// Seed 1001, law 1: a portal that was known again by its mark was forgotten, because the API refused the next change of it.
#[test]
fn a_marked_portal_is_recorded_although_the_next_change_of_it_is_refused() {
    let refused = json!({"labels": {"kong-reserved": "x"}});
    let (kind, namespace, name) = ("Portal".to_owned(), "world".to_owned(), "shop".to_owned());
    let steps = vec![
        apply(500, portal("shop")),
        Step { at: 520, action: Action::Edit { kind, namespace, name, spec: refused } },
    ];
    replay(&world(steps, vec![first_lost("create-portal")], 61_000));
}

/// Seed 53728, law 1: the create of a provider that was deleted at once was still on its way when another sent the like, and the deletion of
/// the first would have taken what the second had made for the outcome.
#[test]
fn a_provider_waits_until_the_open_create_of_one_that_is_being_deleted_is_settled() {
    let late = first("create-portal-identity-provider", Effect::Late(10_000));
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, provider("one", &json!({}))),
        apply(3_100, provider("two", &json!({"enabled": false}))),
        delete(3_500, "PortalIdentityProvider", "one"),
    ];
    let outcome = replay(&world(steps, vec![late], 61_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/identity-providers {"), 2, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/identity-providers/"), 1, "{trace}");
}

/// Seed 56702, laws 1 and 3: a client knows its connection through its server alone, and that went while the client's create was open.
#[test]
fn a_server_stays_until_its_client_has_found_what_it_made() {
    let server = json!({"connectionRef": {"name": "identity"}, "lifecycle": {"deletion": "Retain"}});
    let client = json!({"serverRef": {"name": "login"}, "lifecycle": {"deletion": "Delete"}});
    let steps = vec![
        apply(2_000, acp("AuthorizationServer", "login", &server)),
        apply(4_000, acp("OAuthClient", "shop", &client)),
        delete(4_100, "OAuthClient", "shop"),
        step(5_000, Action::Stop { replica: 0, down: 20_000 }),
        delete(12_000, "AuthorizationServer", "login"),
    ];
    let late = first("createClient", Effect::Late(13_000));
    let outcome = replay(&identity_world(steps, vec![late], 26_000));
    assert!(sent(&outcome, "DELETE", "/clients/") > 0, "{}", outcome.trace.join("\n"));
}

/// Seeds 68583 and 63871, law 1: the create of a derived id was on its way when it was sent again and answered, and the deletion did not wait
/// for it: the first success had wiped what was known of it.
#[test]
fn a_server_that_was_made_at_the_second_try_waits_with_its_deletion_for_the_first() {
    for crash in [None, Some(4_000)] {
        let mut steps = vec![apply(2_000, server("login", &json!({})))];
        steps.extend(crash.map(|at| step(at, Action::Crash { replica: 0, down: 3_000 })));
        steps.push(delete(11_000, "AuthorizationServer", "login"));
        let late = first("createAuthorizationServer", Effect::Late(9_900));
        let outcome = replay(&identity_world(steps, vec![late], 61_000));
        assert_eq!(sent(&outcome, "POST", "/servers {"), 2, "{}", outcome.trace.join("\n"));
        assert_eq!(sent(&outcome, "DELETE", "/servers/"), 1, "{}", outcome.trace.join("\n"));
    }
}

/// Seed 63465, law 1: while a portal's create was on its way the portal of a stranger was adopted, and the deletion of that one left behind
/// what the create made; the same where another process had sent it.
#[test]
fn a_portal_that_adopted_another_one_waits_with_its_deletion_for_its_late_create() {
    for crash in [None, Some(4_500)] {
        let lifecycle = json!({"adoption": "Adopt", "deletion": "Delete"});
        let spec = json!({"connectionRef": {"name": "acme"}, "name": "shop", "lifecycle": lifecycle});
        let theirs = Stranger::Make { kind: "Portal".to_owned(), key: "shop".to_owned() };
        let mut steps = vec![apply(500, konnect("Portal", "shop", &spec)), step(1_280, Action::Stranger(theirs))];
        steps.extend(crash.map(|at| step(at, Action::Crash { replica: 0, down: 3_900 })));
        steps.push(delete(10_830, "Portal", "shop"));
        let outcome = replay(&world(steps, vec![first("create-portal", Effect::Late(11_510))], 61_000));
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{}", outcome.trace.join("\n"));
        // The deletion waits; meanwhile the adopted portal has the name, and the API refuses what comes late.
        assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{}", outcome.trace.join("\n"));
    }
}
