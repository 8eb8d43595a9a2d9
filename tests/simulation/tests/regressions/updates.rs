//! Updates of which nobody knows whether they take effect, or when.
use portico_simulation::plan::{Action, Effect};
use serde_json::{Value, json};

use crate::world::{acp, apply, delete, first, identity_world, replay, sent, step};

/// The consent `marketing`, with something to change about it.
fn marketing(deletion: &str, more: &Value) -> Value {
    let mut spec = json!({
        "connectionRef": {"name": "identity"},
        "updateExistingGrants": "keepCurrent",
        "lifecycle": {"adoption": "Adopt", "deletion": deletion},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field.as_str()] = value.clone();
    }
    acp("Consent", "marketing", &spec)
}

/// Seed 8042183, law 4: a consent was deleted while an update of it had no answer yet, and was made again under its id. The update then
/// took effect on the new one, as another version that changed nothing. The same where the consent stays and is taken over, and where the
/// operator crashed in between. Nobody lets go of it before the update is settled.
#[test]
fn a_consent_that_is_made_again_does_not_get_the_late_update_of_the_one_before() {
    let since = json!({"validFrom": "2024-06-01T08:30:00Z"});
    for (deletion, deleted) in [("Delete", 1), ("Retain", 0)] {
        for crashes in [false, true] {
            let (kind, namespace, name) = ("Consent".to_owned(), "world".to_owned(), "marketing".to_owned());
            let mut steps = vec![
                apply(1_300, marketing(deletion, &json!({}))),
                step(11_000, Action::Edit { kind, namespace, name, spec: since.clone() }),
                delete(16_300, "Consent", "marketing"),
                apply(16_420, marketing(deletion, &since)),
                // The one before is gone by now, and this makes it again.
                apply(70_000, marketing(deletion, &since)),
            ];
            if crashes {
                steps.insert(2, step(11_500, Action::Crash { replica: 0, down: 2_000 }));
            }
            let late = first("updateConsent", Effect::Late(5_600));
            let outcome = replay(&identity_world(steps, vec![late], 71_000));
            let trace = outcome.trace.join("\n");
            assert_eq!(sent(&outcome, "PUT", "[Late(5600)]"), 1, "{trace}");
            assert_eq!(sent(&outcome, "PUT", "/consents/"), 1, "{deletion}, a crash: {crashes}\n{trace}");
            assert_eq!(sent(&outcome, "DELETE", "/consents/"), deleted, "{deletion}, a crash: {crashes}\n{trace}");
        }
    }
}
