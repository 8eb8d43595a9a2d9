//! What is only just being made or taken over, and is recorded when its pass ends, while its connection is to go.
use portico_simulation::{
    Outcome,
    plan::{Action, Effect, Fault, Step, Stranger},
};
use serde_json::{Value, json};

use crate::world::{acp, apply, delete, first, identity_world, konnect, replay, sent, server, step, world};

/// The place in the trace of the first line with all of these words.
fn place(outcome: &Outcome, words: &[&str]) -> Option<usize> {
    outcome.trace.iter().position(|line| words.iter().all(|word| line.contains(word)))
}

/// Its answer takes longer than everything that happens meanwhile.
fn slow(operation: &str) -> Fault {
    first(operation, Effect::Slow(3_000))
}

/// The portal `shop`, which stays at the API, and somebody who has signed up there.
fn before() -> Vec<Step> {
    let spec = json!({"connectionRef": {"name": "acme"}, "lifecycle": {"deletion": "Retain"}});
    let ann = Stranger::SignUp { which: 0, email: "ann@example.com".to_owned() };
    vec![apply(500, konnect("Portal", "shop", &spec)), step(2_000, Action::Stranger(ann))]
}

/// The portal and the connection are deleted while the pass over a resource is under way, and it a moment later.
fn ending(resource: Value, kind: &str, name: &str) -> Vec<Step> {
    let mut steps = before();
    steps.extend([
        apply(4_000, resource),
        delete(5_000, "Portal", "shop"),
        delete(5_001, "KonnectConnection", "acme"),
        delete(6_000, kind, name),
    ]);
    steps
}

/// Seed 10026161, law 5: somebody was taken over whose portal had gone and whose record was still to come; their connection saw no user and
/// was let go of, and they need it to be deleted. The same of a webhook, which is changed before it is recorded.
#[test]
fn a_connection_stays_for_what_is_being_taken_over() {
    let portal = json!({"name": "shop"});
    let ann = json!({"portalRef": portal, "email": "ann@example.com", "lifecycle": {"deletion": "Delete"}});
    let webhook = json!({
        "portalRef": portal,
        "auditLogDestinationId": "e21c6f08-94ab-4d73-b5f2-60c8a71d3e94",
        "enabled": false,
        "lifecycle": {"adoption": "Adopt", "deletion": "Delete"},
    });
    for (kind, spec, operation, end, writes) in [
        ("PortalDeveloper", ann, "list-portal-developer-teams", ["DELETE", "/developers/"], 1),
        ("PortalAuditLogWebhook", webhook, "update-portal-audit-log-webhook", ["PATCH", "/audit-log-webhook"], 2),
    ] {
        let steps = ending(konnect(kind, "late", &spec), kind, "late");
        let outcome = replay(&world(steps, vec![slow(operation)], 10_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, end[0], end[1]), writes, "{kind}\n{trace}");
        let gone = place(&outcome, &["patch konnectconnections world/acme ", "\"finalizers\":[]"]);
        let ended = outcome.trace.iter().rposition(|line| end.iter().all(|word| line.contains(word)));
        assert!(ended.is_some() && ended < gone, "{kind}\n{trace}");
    }
}

/// Beside it: who has been found while the connection began to go is not taken over any more, and keeps nothing waiting.
#[test]
fn nobody_is_taken_over_through_a_connection_that_is_being_deleted() {
    let spec = json!({
        "portalRef": {"name": "shop"},
        "email": "ann@example.com",
        "lifecycle": {"deletion": "Delete"},
    });
    let mut steps = before();
    // The portal holds the connection.
    steps.extend([
        apply(4_000, konnect("PortalDeveloper", "late", &spec)),
        delete(5_000, "KonnectConnection", "acme"),
        delete(9_000, "PortalDeveloper", "late"),
        delete(9_001, "Portal", "shop"),
    ]);
    let outcome = replay(&world(steps, vec![slow("list-portal-developers")], 10_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[Slow(3000)]"), "{trace}");
    assert_eq!(sent(&outcome, "patch portaldevelopers world/late ", "finalizers"), 0, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/developers/"), 0, "{trace}");
}

/// Beside it, laws 1 and 5: a client knows its connection through its server alone, which went while the client was being made.
#[test]
fn a_connection_stays_for_what_is_being_made_below_a_parent_that_has_gone() {
    let spec = json!({"serverRef": {"name": "login"}, "lifecycle": {"deletion": "Delete"}});
    let steps = vec![
        apply(2_000, server("login", &json!({"lifecycle": {"deletion": "Retain"}}))),
        apply(4_000, acp("OAuthClient", "shop", &spec)),
        delete(5_000, "AuthorizationServer", "login"),
        delete(5_500, "AcpConnection", "identity"),
        delete(9_000, "OAuthClient", "shop"),
    ];
    let outcome = replay(&identity_world(steps, vec![slow("createClient")], 10_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[Slow(3000)]"), "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/clients/"), 1, "{trace}");
}
