//! What is decided about a create without an answer, where the spec has moved on before anybody could look for what it made.
use portico_simulation::Outcome;
use serde_json::{Value, json};

use crate::{
    decisions::{edit, times},
    world::{acp, apply, first_lost, identity_world, konnect, make, portal, provider, replay, sent, server, world},
};

const VERSION: &str = "c47d0e52-3b1f-4a86-9d20-6e8f51a7b394";
const OTHER_VERSION: &str = "c47d0e52-3b1f-4a86-9d20-6e8f51a7b395";

/// A domain of the portal `shop` that may be made again elsewhere.
pub(crate) fn domain() -> Value {
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

/// Two portals; and a resource of the one, which comes to name the other while its create is open.
fn moves_between_portals(kind: &str, name: &str, resource: Value, create: &str) -> Outcome {
    let steps = vec![
        apply(500, portal("shop")),
        apply(500, portal("docs")),
        apply(3_000, resource),
        edit(9_000, kind, name, json!({"portalRef": {"name": "docs"}})),
    ];
    replay(&world(steps, vec![first_lost(create)], 61_000))
}

/// The same of what is in a collection: the record names the one that the create was sent to, also where that is not the one of the spec.
#[test]
fn a_team_whose_spec_moves_while_its_create_is_open_is_found_where_it_was_made_and_moves() {
    let spec = json!({"portalRef": {"name": "shop"}, "name": "API readers", "lifecycle": {"replace": "Allow"}});
    let team = konnect("PortalTeam", "readers", &spec);
    let outcome = moves_between_portals("PortalTeam", "readers", team, "create-portal-team");
    let (trace, deletes) = (outcome.trace.join("\n"), times(&outcome, "DELETE", "/teams/"));
    assert!(trace.contains("[AnswerLost]"), "no answer was lost:\n{trace}");
    assert_eq!(sent(&outcome, "POST", "/teams {"), 2, "{trace}");
    assert!(deletes.len() == 1 && deletes[0] < 30_000, "{deletes:?}\n{trace}");
}

#[test]
fn a_provider_whose_spec_moves_while_its_create_is_open_is_found_where_it_was_made_and_moves() {
    let resource = provider("workforce", &json!({"lifecycle": {"replace": "Allow"}}));
    let create = "create-portal-identity-provider";
    let outcome = moves_between_portals("PortalIdentityProvider", "workforce", resource, create);
    let (trace, deletes) = (outcome.trace.join("\n"), times(&outcome, "DELETE", "/identity-providers/"));
    assert!(trace.contains("[AnswerLost]"), "no answer was lost:\n{trace}");
    assert_eq!(sent(&outcome, "POST", "/identity-providers {"), 2, "{trace}");
    assert!(deletes.len() == 1 && deletes[0] < 30_000, "{deletes:?}\n{trace}");
}

/// The same within one collection: another version of a product is another object there.
#[test]
fn a_publication_that_comes_to_name_another_version_while_its_create_is_open_is_withdrawn_and_made_again() {
    let spec = json!({
        "portalRef": {"name": "shop"},
        "productVersionId": VERSION,
        "publishStatus": "published",
        "lifecycle": {"replace": "Allow"},
    });
    let steps = vec![
        make(0, "ApiProductVersion", VERSION),
        make(0, "ApiProductVersion", OTHER_VERSION),
        apply(500, portal("shop")),
        apply(3_000, konnect("PortalProductVersion", "payments", &spec)),
        edit(9_000, "PortalProductVersion", "payments", json!({"productVersionId": OTHER_VERSION})),
    ];
    let outcome = replay(&world(steps, vec![first_lost("replace-portal-product-version")], 61_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[AnswerLost]"), "no answer was lost:\n{trace}");
    assert_eq!(times(&outcome, "PUT", VERSION).len(), 1, "{trace}");
    assert_eq!(times(&outcome, "DELETE", VERSION).len(), 1, "{trace}");
    let put = times(&outcome, "PUT", OTHER_VERSION);
    assert!(put.len() == 1 && put[0] < 30_000, "{put:?}\n{trace}");
}

/// The same of an id that follows from names: the create at the other server finds it taken by what the first one made (law 2a), which
/// cannot become another server's, and may be made again.
#[test]
fn a_client_whose_spec_moves_while_its_create_is_open_is_found_by_its_id_and_made_again() {
    let spec = json!({"serverRef": {"name": "login"}, "lifecycle": {"replace": "Allow"}});
    let steps = vec![
        apply(500, server("login", &json!({}))),
        apply(500, server("staff", &json!({}))),
        apply(3_000, acp("OAuthClient", "shop", &spec)),
        edit(3_500, "OAuthClient", "shop", json!({"serverRef": {"name": "staff"}})),
    ];
    let outcome = replay(&identity_world(steps, vec![first_lost("createClient")], 61_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[AnswerLost]"), "no answer was lost:\n{trace}");
    assert_eq!(times(&outcome, "DELETE", "/clients/").len(), 1, "{trace}");
}
