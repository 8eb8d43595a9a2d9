//! What people decide by hand, and what is kept because of them.
use portico_simulation::plan::{Action, Effect, Fault, Side, Stranger};
use serde_json::json;

use crate::world::{apply, delete, first, konnect, make, mapping, portal, remove, replay, sent, step, team, world};

/// Seed 69705, law 3: of two teams that could be the one, somebody deletes one, as they were asked to; the other is not touched then.
#[test]
fn who_deletes_one_of_two_that_could_be_it_has_decided() {
    // As the stranger describes its own.
    let mut readers = team();
    readers["spec"]["description"] = json!("a stranger's");
    for which in [0, 1] {
        let steps = vec![
            apply(1_000, portal("shop")),
            apply(3_000, readers.clone()),
            make(3_200, "PortalTeam", "API readers"),
            delete(8_000, "PortalTeam", "readers"),
            remove(57_000, "PortalTeam", which),
        ];
        let outcome = replay(&world(steps, vec![first("create-portal-team", Effect::Late(5_600))], 57_001));
        assert_eq!(sent(&outcome, "DELETE", "/teams/"), 0, "{which}");
    }
}

/// Seed 68348, law 5: a portal that was taken over just before its resource was deleted has our mark, and the developers of before.
#[test]
fn a_portal_that_was_taken_over_and_not_recorded_is_kept_by_its_developers() {
    let lifecycle = json!({"adoption": "Adopt", "deletion": "Delete", "id": "${id:Portal:strange}"});
    let spec = json!({"connectionRef": {"name": "acme"}, "description": "ours", "lifecycle": lifecycle});
    let steps = vec![
        make(0, "Portal", "strange"),
        step(1_000, Action::Stranger(Stranger::SignUp { which: 0, email: "eve@example.com".to_owned() })),
        apply(2_000, konnect("Portal", "shop", &spec)),
        delete(8_000, "Portal", "shop"),
    ];
    replay(&world(steps, vec![first("update-portal", Effect::AnswerLost)], 8_001));
}

/// Seed 115997, law 2: a watch that lagged brought back settings that had ended, and the next portal of that name was changed for them.
#[test]
fn what_has_ended_changes_nothing_even_where_a_watch_lags() {
    let lags = Fault {
        side: Side::Kubernetes,
        from: 2_000,
        until: 22_000,
        nth: 0,
        times: 1,
        what: "watch portalauthentications".to_owned(),
        effect: Effect::Slow(9_000),
    };
    let again = Action::Annotate {
        kind: "Portal".to_owned(),
        namespace: "world".to_owned(),
        name: "shop".to_owned(),
        key: "portico.dev/reconcile-at".to_owned(),
        value: Some("now".to_owned()),
    };
    // It waits for a provider; between that the API refuses it once, so that there is something to tell, and to write again.
    let refused = Fault { nth: 1, ..first("update-portal-authentication-settings", Effect::Status(400, None)) };
    let waiting = mapping("world", "one", &json!({"name": "shop"}), &json!({"idpMappingEnabled": true}));
    let steps = vec![
        apply(500, portal("shop")),
        apply(1_000, waiting),
        delete(4_000, "PortalAuthentication", "one"),
        step(8_000, again),
        delete(14_000, "Portal", "shop"),
        apply(15_000, portal("shop")),
    ];
    replay(&world(steps, vec![lags, refused], 60_001));
}

/// Seed 3047560, law 2: a team was taken over as it was, without a write, and later a stranger gave it another name. By then its id is
/// recorded, so it is changed back; the oracle asked at that first write only whether a spec gives away what has the other name.
#[test]
fn a_team_that_was_taken_over_without_a_write_gets_its_name_back() {
    let mut readers = team();
    readers["spec"]["lifecycle"] = json!({"adoption": "Adopt"});
    let (kind, field, value) = ("PortalTeam".to_owned(), "name".to_owned(), json!("API callers"));
    let steps = vec![
        apply(500, portal("shop")),
        make(3_000, "PortalTeam", "API readers"),
        apply(5_000, readers),
        step(20_000, Action::Stranger(Stranger::Change { kind, which: 0, field, value })),
    ];
    let outcome = replay(&world(steps, Vec::new(), 20_001));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "PATCH", "/teams/"), 1, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/teams {"), 0, "{trace}");
}
