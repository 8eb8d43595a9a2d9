//! Updates of which nobody knows whether they take effect, or when.
use portico_simulation::plan::{Action, Effect, Fault};
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

/// Seed 17087092, law 4: a consent was updated, and the API answered; then a listing and a read showed it as it had been before. It was updated
/// once more, to a version that changed nothing and asked all users again. So it is where the process ends in between.
#[test]
fn a_consent_that_reads_show_as_it_was_before_its_update_is_not_updated_twice() {
    let more = json!({"description": "We may write to you about offers"});
    for crashes in [false, true] {
        let mut steps = vec![
            apply(800, marketing("Delete", &json!({}))),
            step(2_900, Action::Crash { replica: 0, down: 10_430 }),
            apply(6_400, marketing("Delete", &more)),
        ];
        if crashes {
            steps.push(step(13_700, Action::Crash { replica: 0, down: 100 }));
        }
        let look = Action::Annotate {
            kind: "Consent".to_owned(),
            namespace: "world".to_owned(),
            name: "marketing".to_owned(),
            key: "portico.dev/reconcile-at".to_owned(),
            value: Some("now".to_owned()),
        };
        steps.push(step(14_500, look));
        let stale = Fault { from: 8_500, until: 16_000, times: 1_000, ..first("*", Effect::Stale(2_800)) };
        let outcome = replay(&identity_world(steps, vec![stale], 16_001));
        assert_eq!(sent(&outcome, "PUT", "/consents/"), 1, "crashes: {crashes}\n{}", outcome.trace.join("\n"));
    }
}
