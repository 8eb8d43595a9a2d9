//! What a process leaves to the next one in Portico's own namespace.
use portico_simulation::plan::{Action, Effect, Fault, Side};

use crate::world::{apply, delete, first, portal, replay, step, world};

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
