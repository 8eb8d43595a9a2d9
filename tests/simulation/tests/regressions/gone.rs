//! What Portico has just deleted, and the API shows for a while still.
use portico_simulation::plan::{Effect, Fault, Millis, Step};
use serde_json::{Value, json};

use crate::decisions::times;
use crate::world::{apply, delete, first, konnect, make, portal, replay, sent, world};

/// A version of an API product that a stranger made.
const VERSION: &str = "c47d0e52-3b1f-4a86-9d20-000000000002";

/// The first reads of an object from this time on show things as they were some seconds ago.
fn stale(operation: &str, from: Millis) -> Fault {
    Fault { from, times: 2, ..first(operation, Effect::Stale(2_500)) }
}

/// The publication of a version at the portal `shop`, to be taken over where there is one.
fn publication(deprecated: bool) -> Value {
    let lifecycle = json!({"adoption": "Adopt"});
    let portal = json!({"name": "shop"});
    let spec =
        json!({"portalRef": portal, "productVersionId": VERSION, "deprecated": deprecated, "lifecycle": lifecycle});
    konnect("PortalProductVersion", "payments", &spec)
}

/// Seed 9023261, law 2: a publication that was deleted and applied again at once was read from before its DELETE, taken over, and written to.
#[test]
fn a_publication_that_is_applied_again_at_once_does_not_take_over_the_one_that_was_deleted() {
    let steps = |again: Millis| -> Vec<Step> {
        vec![
            make(0, "ApiProductVersion", VERSION),
            apply(500, portal("shop")),
            apply(3_000, publication(false)),
            delete(20_000, "PortalProductVersion", "payments"),
            apply(again, publication(true)),
        ]
    };
    // So soon that the answer still shows it, and as late as a person would.
    for (again, waits) in [(20_150, true), (30_000, false)] {
        let outcome = replay(&world(steps(again), vec![stale("get-portal-product-version", 20_100)], 31_000));
        let trace = outcome.trace.join("\n");
        let shown = outcome.trace.iter().filter(|line| line.contains("[Stale(2500)]")).count();
        assert!(shown >= 1, "{trace}");
        assert_eq!(sent(&outcome, "PATCH", "/product-versions/"), 0, "{trace}");
        assert_eq!(sent(&outcome, "PUT", "/product-versions/"), 2, "{trace}");
        // Nobody waits who was shown nothing.
        let made = times(&outcome, "PUT", "/product-versions/");
        assert_eq!(made[1] > again + 1_000, waits, "{made:?}\n{trace}");
    }
}

/// Beside it: of two resources that name one portal by its id, the one that waits while the other is deleted does not take over what is gone.
#[test]
fn who_waited_for_a_portal_that_another_deletes_does_not_take_over_what_is_gone() {
    let bound = |name: &str, description: &str| {
        let lifecycle = json!({"adoption": "Adopt", "id": "${id:Portal:strange}"});
        let spec = json!({"connectionRef": {"name": "acme"}, "description": description, "lifecycle": lifecycle});
        konnect("Portal", name, &spec)
    };
    let steps = vec![
        make(0, "Portal", "strange"),
        apply(500, bound("one", "the first")),
        apply(500, bound("two", "the second")),
        // It has the portal: both came at once, and its UID is the lesser one.
        delete(20_000, "Portal", "two"),
    ];
    // One read of its deletion, and two of the one that waited.
    let stale = Fault { times: 3, ..stale("get-portal", 19_900) };
    let outcome = replay(&world(steps, vec![stale], 21_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[Stale(2500)]"), "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{trace}");
    assert_eq!(sent(&outcome, "PATCH", "/v2/portals/"), 1, "{trace}");
}

/// Law 3: a domain is answered with a 404 while its portal does not answer at all. No listing shows domains, so nothing else would tell that
/// it is still there.
#[test]
fn a_domain_counts_as_gone_only_while_its_portal_answers() {
    let ssl = json!({"domainVerificationMethod": "http"});
    let spec = json!({"portalRef": {"name": "shop"}, "hostname": "docs.example.com", "ssl": ssl});
    let fails = |operation: &str, status: u16| {
        let effect = Effect::Status(status, None);
        Fault { from: 20_000, until: 90_000, times: 1_000, ..first(operation, effect) }
    };
    // One is no mass, and its record stands beside another's.
    let steps = vec![
        apply(500, portal("shop")),
        apply(1_000, portal("news")),
        apply(3_000, konnect("PortalCustomDomain", "docs", &spec)),
    ];
    let faults = vec![fails("get-portal-custom-domain", 404), fails("get-portal", 503)];
    let outcome = replay(&world(steps, faults, 90_001));
    assert_eq!(sent(&outcome, "POST", "/custom-domain {"), 1, "{}", outcome.trace.join("\n"));
}
