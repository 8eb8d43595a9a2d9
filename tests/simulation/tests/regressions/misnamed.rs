//! Deletions of what has no record: where it may have been made, and what lives below it.
use portico_simulation::plan::{Effect, Millis, Step};
use serde_json::{Value, json};

use crate::{
    decisions::{edit, times},
    world::{acp, apply, delete, first, first_lost, identity_world, portal, replay, sent, server, world},
};

const QUIET: Millis = 31_000;

/// The process ends with the create of a resource before its answer; while none runs the resource comes to name a connection that there is
/// not, and later it is deleted.
fn misnamed(resource: Value, kind: &str, name: &str) -> Vec<Step> {
    vec![
        apply(2_000, resource),
        edit(3_000, kind, name, json!({"connectionRef": {"name": "missing"}})),
        delete(30_000, kind, name),
    ]
}

/// Laws 1 and 3: what a create without a record may have made was given up with the resource because the connection that it names by then is
/// not there, although the one through which it was made is.
#[test]
fn a_portal_whose_connection_was_misnamed_after_its_create_finds_what_it_made_before_it_goes() {
    let steps = misnamed(portal("shop"), "Portal", "shop");
    let outcome = replay(&world(steps, vec![first("create-portal", Effect::CrashAfter)], QUIET));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{trace}");
}

/// The same without a crash: the answer to the create is lost.
#[test]
fn a_portal_whose_connection_was_misnamed_while_its_create_was_open_finds_what_it_made_before_it_goes() {
    let steps = vec![
        apply(2_000, portal("shop")),
        // The create fails at 7,000, and is looked for when its window has passed.
        edit(8_500, "Portal", "shop", json!({"connectionRef": {"name": "missing"}})),
        delete(10_000, "Portal", "shop"),
    ];
    let outcome = replay(&world(steps, vec![first_lost("create-portal")], 11_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{trace}");
}

/// The same of what is known again by its derived id, also where the connection is to go while the resource still lives.
#[test]
fn what_has_a_derived_id_and_a_misnamed_connection_finds_what_it_made_before_it_goes() {
    let on = json!({"connectionRef": {"name": "identity"}});
    for (kind, resource, create, at) in [
        ("AuthorizationServer", server("login", &json!({})), "createAuthorizationServer", "/servers/"),
        ("ConsentAction", acp("ConsentAction", "login", &on), "createConsentAction", "/actions/"),
    ] {
        for with_connection in [false, true] {
            let mut steps = misnamed(resource.clone(), kind, "login");
            if with_connection {
                steps.insert(2, delete(20_000, "AcpConnection", "identity"));
            }
            let outcome = replay(&identity_world(steps, vec![first(create, Effect::CrashAfter)], QUIET));
            assert_eq!(sent(&outcome, "DELETE", at), 1, "{kind}, {with_connection}\n{}", outcome.trace.join("\n"));
        }
    }
}

/// Beside it, law 5: what never had a connection has made nothing, and goes at once.
#[test]
fn what_never_had_a_connection_asks_nobody_before_it_goes() {
    let elsewhere = server("login", &json!({"connectionRef": {"name": "missing"}}));
    let steps = vec![apply(2_000, elsewhere), delete(5_000, "AuthorizationServer", "login")];
    let outcome = replay(&identity_world(steps, Vec::new(), 6_000));
    assert_eq!(sent(&outcome, "DELETE", "/servers/"), 0, "{}", outcome.trace.join("\n"));
}

/// Law 5, a parent goes first: a server whose create had no answer was deleted when that was settled, and a client lives below it, which
/// names it by the id that the user chose. A recorded one waits.
#[test]
fn a_server_of_an_open_create_waits_for_the_client_that_lives_below_it() {
    let client = json!({
        "connectionRef": {"name": "identity"},
        "serverRef": {"id": "chosen"},
        "lifecycle": {"deletion": "Delete"},
    });
    let steps = vec![
        apply(2_000, server("login", &json!({"id": "chosen"}))),
        apply(3_000, acp("OAuthClient", "shop", &client)),
        delete(5_000, "AuthorizationServer", "login"),
        delete(60_000, "OAuthClient", "shop"),
    ];
    let outcome = replay(&identity_world(steps, vec![first_lost("createAuthorizationServer")], 61_000));
    let (trace, deletes) = (outcome.trace.join("\n"), times(&outcome, "DELETE", "/servers/"));
    assert!(deletes.len() == 1 && deletes[0] > 60_000, "{deletes:?}\n{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/clients/"), 1, "{trace}");
}
