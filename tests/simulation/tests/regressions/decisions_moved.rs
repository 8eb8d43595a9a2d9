//! What is decided about a create without an answer, where the spec has moved on before anybody could look for what it made.
use portico_simulation::Outcome;
use serde_json::{Value, json};

use crate::{
    decisions::{edit, times},
    world::{apply, first_lost, konnect, portal, replay, world},
};

/// A domain of the portal `shop` that may be made again elsewhere.
fn domain() -> Value {
    let spec = json!({
        "portalRef": {"name": "shop"},
        "hostname": "docs.example.com",
        "ssl": {"domainVerificationMethod": "http"},
        "lifecycle": {"replace": "Allow"},
    });
    konnect("PortalCustomDomain", "docs", &spec)
}

/// Where the operator sent the requests of this method about domains, by the trace.
fn domains<'o>(outcome: &'o Outcome, method: &str) -> Vec<&'o str> {
    let sent = outcome.trace.iter().filter(|line| line.contains(" r0.") && line.contains(method));
    sent.filter_map(|line| line.split_whitespace().find(|word| word.ends_with("/custom-domain"))).collect()
}

/// Law 1: what a create without an answer has made is looked for where it was sent, and moves from there as the spec says by now: at once,
/// for nothing differs in it that a later look would see. Left there it would be lost, and would keep its hostname from the one that the
/// spec asks for.
#[test]
fn a_domain_whose_spec_moves_while_its_create_is_open_is_found_where_it_was_made_and_moves() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(500, portal("docs")),
        apply(3_000, domain()),
        // The create has failed by then, and is looked for when its window of 15 s has passed.
        edit(9_000, "PortalCustomDomain", "docs", json!({"portalRef": {"name": "docs"}})),
    ];
    let outcome = replay(&world(steps, vec![first_lost("create-portal-custom-domain")], 61_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[AnswerLost]"), "no answer was lost:\n{trace}");
    let (made, deletes) = (domains(&outcome, "POST"), times(&outcome, "DELETE", "/custom-domain"));
    assert_eq!(made.len(), 2, "{trace}");
    assert_ne!(made[0], made[1], "it did not move:\n{trace}");
    assert_eq!(domains(&outcome, "DELETE"), [made[0]], "{trace}");
    assert!(deletes[0] < 30_000, "{deletes:?}\n{trace}");
}
