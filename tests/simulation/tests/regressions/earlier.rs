//! Who takes over what another one is just making its own, or what an earlier process has just deleted.
use portico_simulation::plan::{Effect, Fault, Plan, Side, Step};
use serde_json::json;

use crate::world::{
    apply, delete, first, identity_world, konnect, make, portal, provider, replay, sent, server, world,
};

/// Law 12: a server stays at the API when its resource goes, and is applied again under its name, so that its derived id finds it. While
/// the answer to that is on its way another resource is bound to that id: of who derives an id nothing was recorded yet, and in the end both
/// had recorded the server.
#[test]
fn what_is_found_under_a_derived_id_right_now_is_not_recorded_by_one_that_is_bound_to_it() {
    let kept = || json!({"deletion": "Retain"});
    let login = || server("login", &json!({"lifecycle": kept()}));
    let mut bound = server("bound", &json!({"name": "login", "lifecycle": kept()}));
    bound["spec"]["lifecycle"]["id"] = json!("${id:AuthorizationServer:login}");
    let steps = vec![
        apply(2_000, login()),
        delete(6_000, "AuthorizationServer", "login"),
        apply(9_000, login()),
        apply(10_000, bound),
    ];
    let slow = Fault { from: 8_900, ..first("createAuthorizationServer", Effect::Slow(3_000)) };
    let outcome = replay(&identity_world(steps, vec![slow], 11_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[Slow(3000)]"), "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/servers/"), 0, "{trace}");
}

/// The first of two is deleted and let go of, and that is the last thing that this process does. What the next one reads is from before
/// that, however long it takes until it runs.
fn replay_taken_over(kind: &str, name: &str, operation: &str, steps: &[Step]) {
    let seen = |side, what: String, effect| Fault { side, from: 20_000, until: 40_000, nth: 0, times: 1, what, effect };
    for seed in 1..=4 {
        let steps = steps.iter().cloned().chain([delete(20_000, kind, name)]).collect();
        let last = seen(Side::Kubernetes, format!("patch {}s", kind.to_lowercase()), Effect::CrashAfter);
        let stale = Fault { times: 1_000, ..seen(Side::Remote, operation.to_owned(), Effect::Stale(9_000)) };
        let outcome = replay(&Plan { seed, ..world(in_order(steps), vec![last, stale], 41_000) });
        let trace = outcome.trace.join("\n");
        assert!(trace.contains("[Stale(9000)]"), "{trace}");
        assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{trace}");
    }
}

fn in_order(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_by_key(|step| step.at);
    steps
}

/// Law 2: a provider was deleted, and Portico ended just after that. Another one that waited for that end, and may take over what is there,
/// was shown the one that was gone by a listing from before, and changed it: what a process has deleted it alone remembers.
#[test]
fn what_an_earlier_process_deleted_is_not_taken_over_by_one_that_waited_for_its_end() {
    let adopting = json!({"enabled": true, "lifecycle": {"adoption": "Adopt"}});
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, provider("one", &json!({}))),
        apply(6_000, provider("two", &adopting)),
    ];
    replay_taken_over("PortalIdentityProvider", "one", "get-portal-identity-providers", &steps);
}

/// The same of a team that is applied again under its name, and may take over what is there.
#[test]
fn what_an_earlier_process_deleted_is_not_taken_over_by_what_is_applied_again() {
    let team = |description: &str| {
        let portal = json!({"name": "shop"});
        let spec = json!({"portalRef": portal, "description": description, "lifecycle": {"adoption": "Adopt"}});
        konnect("PortalTeam", "readers", &spec)
    };
    // It has gone by then.
    let steps = vec![apply(500, portal("shop")), apply(3_000, team("the first")), apply(21_000, team("the second"))];
    replay_taken_over("PortalTeam", "readers", "list-portal-teams", &steps);
}

/// The same of one that is bound to the id of a portal, and waited for the end of another that has recorded it.
#[test]
fn what_an_earlier_process_deleted_is_not_taken_over_by_its_id() {
    let bound = |name: &str, description: &str| {
        let lifecycle = json!({"adoption": "Adopt", "id": "${id:Portal:strange}"});
        let connection = json!({"name": "acme"});
        let spec =
            json!({"connectionRef": connection, "name": "strange", "description": description, "lifecycle": lifecycle});
        konnect("Portal", name, &spec)
    };
    let steps =
        vec![make(0, "Portal", "strange"), apply(1_000, bound("one", "first")), apply(4_000, bound("two", "second"))];
    replay_taken_over("Portal", "one", "get-portal", &steps);
}
