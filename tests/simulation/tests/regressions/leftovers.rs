//! What a process leaves to the next one: Secrets that nobody names.
use portico_simulation::plan::{Action, Effect, Fault, Side};
use serde_json::json;

use crate::world::{acp, apply, delete, first, identity_world, portal, replay, server, step, world};

/// Seed 12045364, law 5: a process ended while the credential that it wanted to keep for deletions was on its way into its Secret. The next one
/// let go of the connection, and then the Secret was there for nobody.
#[test]
fn a_secret_that_an_earlier_process_sent_is_waited_for_before_its_connection_goes() {
    let late = Fault { side: Side::Kubernetes, ..first("create secrets", Effect::Late(7_000)) };
    let steps = vec![
        apply(2_000, portal("shop")),
        step(2_200, Action::Crash { replica: 0, down: 1_000 }),
        delete(3_000, "Portal", "shop"),
        delete(3_001, "KonnectConnection", "acme"),
    ];
    let outcome = replay(&world(steps, vec![late], 3_002));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[Late(7000)]"), "{trace}");
    let erased = |line: &&String| line.contains("delete secrets portico-system/portico-escrow-");
    assert_eq!(outcome.trace.iter().filter(erased).count(), 1, "{trace}");
}

/// Seed 15022613, law 5: a process ended when it had written a client's credentials into their Secret and had recorded nothing. While none was
/// there, a user gave the Secret another name: nobody knew of the first one any more.
#[test]
fn credentials_that_no_status_names_go_with_their_client() {
    let client = |secret: &str| {
        let spec = json!({"serverRef": {"name": "login"}, "credentialsSecret": {"name": secret}});
        acp("OAuthClient", "shop", &spec)
    };
    let crash = Fault { nth: 1, ..first("OAuthClient create create secrets", Effect::CrashAfter) };
    let steps = vec![
        apply(500, server("login", &json!({}))),
        apply(3_000, client("first")),
        apply(3_500, client("second")),
        delete(60_000, "OAuthClient", "shop"),
    ];
    let outcome = replay(&identity_world(steps, vec![Fault { side: Side::Kubernetes, ..crash }], 60_001));
    let trace = outcome.trace.join("\n");
    let written = |line: &&String| line.contains("create secrets world/ ");
    assert_eq!(outcome.trace.iter().filter(written).count(), 2, "{trace}");
}
