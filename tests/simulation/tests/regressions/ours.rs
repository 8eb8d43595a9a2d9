//! What counts as ours for too long, or too early. None of these worlds is of a seed.
use portico_simulation::plan::{Action, Millis, Step, Stranger};
use serde_json::{Value, json};

use crate::world::{apply, konnect, make, portal, replay, sent, step, world};

const ANN: &str = "ann@example.com";

/// The team `readers` of the portal `shop`, with Ann or without anybody.
fn readers(people: &[&str], drift: &str, description: &str) -> Value {
    let spec = json!({
        "portalRef": {"name": "shop"},
        "name": "API readers",
        "description": description,
        "developers": {"items": people},
        "lifecycle": {"drift": drift},
    });
    konnect("PortalTeam", "readers", &spec)
}

/// Ann is taken into the team by a stranger, or out of it.
fn ann(at: Millis, there: bool) -> Step {
    step(at, Action::Stranger(Stranger::Member { which: 0, email: ANN.to_owned(), there }))
}

/// The portal `shop` with these labels, which may take over what is there.
fn labelled(labels: &Value) -> Value {
    let spec = json!({
        "connectionRef": {"name": "acme"},
        "name": "shop",
        "labels": labels,
        "lifecycle": {"adoption": "Adopt"},
    });
    konnect("Portal", "shop", &spec)
}

/// The labels of the portal are changed by a stranger.
fn relabelled(at: Millis, value: Value) -> Step {
    let (kind, field) = ("Portal".to_owned(), "labels".to_owned());
    step(at, Action::Stranger(Stranger::Change { kind, which: 0, field, value }))
}

/// Law 2: who had left the team before she left the spec counted as ours until the request that had once added her could not come late any
/// more, and nobody looked then. Whoever took her in again later saw her thrown out.
#[test]
fn who_had_left_the_team_and_the_spec_is_nobody_of_ours_once_nothing_can_come_late() {
    for drift in ["Correct", "Report"] {
        let steps = vec![
            apply(500, portal("shop")),
            step(2_000, Action::Stranger(Stranger::SignUp { which: 0, email: ANN.to_owned() })),
            apply(4_000, readers(&[ANN], drift, "as it was")),
            ann(10_000, false),
            apply(10_200, readers(&[], drift, "as it was")),
            ann(90_000, true),
            apply(200_000, readers(&[], drift, "changed")),
        ];
        let outcome = replay(&world(steps, Vec::new(), 201_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/developers {"), 1, "{drift}: {trace}");
        assert_eq!(sent(&outcome, "DELETE", "/developers/"), 0, "{drift}: {trace}");
    }
}

/// The same of a label.
#[test]
fn a_label_that_had_gone_before_it_left_the_spec_is_a_strangers_when_it_comes_back_later() {
    let steps = vec![
        apply(500, labelled(&json!({"squad": "a"}))),
        relabelled(10_000, json!({"squad": null})),
        apply(10_200, labelled(&json!({}))),
        relabelled(90_000, json!({"squad": "theirs"})),
    ];
    let outcome = replay(&world(steps, Vec::new(), 91_000));
    assert_eq!(sent(&outcome, "PATCH", "\"squad\":null"), 0, "{}", outcome.trace.join("\n"));
}

/// Law 2, "others' keys stay": a label that a stranger had set stood in the spec, too, and the API refused the update for another one. It
/// counted as ours by then, though nothing of ours was ever taken, and was removed when it had left the spec.
#[test]
fn a_strangers_label_stays_where_the_api_has_never_taken_ours() {
    let steps = vec![
        make(100, "Portal", "shop"),
        relabelled(300, json!({"area": "theirs"})),
        apply(1_000, labelled(&json!({"area": "a", "kong-reserved": "x"}))),
        apply(20_000, labelled(&json!({}))),
    ];
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    let trace = outcome.trace.join("\n");
    assert_ne!(sent(&outcome, "PATCH", "\"area\":\"a\""), 0, "{trace}");
    assert_eq!(sent(&outcome, "PATCH", "\"area\":null"), 0, "{trace}");
}
