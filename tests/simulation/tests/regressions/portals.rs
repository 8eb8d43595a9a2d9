//! What a resource of Konnect promises of its fields, of its drift setting and of its ids, in the middle of something else. None of these
//! worlds is of a seed.
use portico_simulation::{
    Outcome,
    plan::{Action, Effect, Fault, Millis, Step, Stranger},
};
use serde_json::{Value, json};

use crate::world::{apply, first, konnect, make, mapping, portal, provider, remove, replay, sent, step, world};

const ANN: &str = "ann@example.com";
const PRODUCT: &str = "5f2c1e7a-8d34-4b6f-9a51-3c7be0d94f12";

/// The team `readers` of the portal `shop`, of which drift is only reported.
fn readers(more: &Value) -> Value {
    let mut spec = json!({"portalRef": {"name": "shop"}, "name": "API readers", "lifecycle": {"drift": "Report"}});
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field.as_str()] = value.clone();
    }
    konnect("PortalTeam", "readers", &spec)
}

/// The portal `shop` with a label.
fn labelled() -> Value {
    konnect("Portal", "shop", &json!({"connectionRef": {"name": "acme"}, "name": "shop", "labels": {"squad": "a"}}))
}

fn ann_signs_up(at: Millis) -> Step {
    step(at, Action::Stranger(Stranger::SignUp { which: 0, email: ANN.to_owned() }))
}

/// The first request of an operation after the portal was deleted.
fn later(operation: &str, effect: Effect) -> Fault {
    Fault { from: 19_000, until: 300_000, ..first(operation, effect) }
}

/// "`drift`: Report lists it": what nobody changed is no drift. A team went with its portal and was made again with it, and the request that
/// gives it its role failed. By the next pass the spec counted as accepted, from the team before, and the role was told as drift for ever.
#[test]
fn a_team_that_is_made_again_gets_its_roles_although_the_first_try_fails_and_drift_is_only_reported() {
    for effect in [Effect::Status(503, None), Effect::Lost] {
        let role = json!({"roles": {"items": [{"roleName": "API Viewer", "entityId": PRODUCT}]}});
        let steps = vec![
            make(0, "ApiProduct", PRODUCT),
            apply(500, portal("shop")),
            apply(3_000, readers(&role)),
            remove(20_000, "Portal", 0),
            // Else all would have gone at once.
            apply(30_000, portal("news")),
        ];
        let outcome = replay(&world(steps, vec![later("assign-role-to-portal-teams", effect)], 200_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/teams {"), 2, "{trace}");
        assert!(sent(&outcome, "POST", "/assigned-roles {") > 2, "{trace}");
    }
}

/// The same of an identity provider, which is enabled by a request of its own.
#[test]
fn a_provider_that_is_made_again_is_enabled_although_the_first_try_fails_and_drift_is_only_reported() {
    let login = provider("login", &json!({"enabled": true, "lifecycle": {"drift": "Report"}}));
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, login),
        remove(20_000, "Portal", 0),
        apply(30_000, portal("news")),
    ];
    let fault = later("update-portal-identity-provider", Effect::Status(503, None));
    let outcome = replay(&world(steps, vec![fault], 200_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/identity-providers {"), 2, "{trace}");
    assert!(sent(&outcome, "PATCH", "/identity-providers/") > 2, "{trace}");
}

/// "Who has not signed up yet is added once they have; the condition Bound names them": a member's account was deleted, so that `Bound=False`
/// named them. When they had signed up again that was told as drift for ever, and they were never added.
#[test]
fn who_signs_up_again_becomes_a_member_again_where_drift_is_only_reported() {
    let steps = vec![
        apply(500, portal("shop")),
        ann_signs_up(2_000),
        apply(4_000, readers(&json!({"developers": {"items": [ANN]}}))),
        remove(20_000, "PortalDeveloper", 0),
        // She is named by then.
        ann_signs_up(200_000),
    ];
    let outcome = replay(&world(steps, Vec::new(), 201_000));
    assert_eq!(sent(&outcome, "POST", "/developers {"), 2, "{}", outcome.trace.join("\n"));
}

/// "A key that leaves this list is removed": a label was set by a request whose answer was lost, was late, or came when the process had ended,
/// and had left the spec by then. Nobody knew that it was ours, and it stayed for ever.
#[test]
fn a_label_that_leaves_the_spec_before_its_answer_comes_is_removed() {
    for effect in [Effect::AnswerLost, Effect::Late(7_000), Effect::Slow(3_000)] {
        let mut steps = vec![apply(1_000, portal("shop")), apply(10_000, labelled())];
        if matches!(effect, Effect::Slow(_)) {
            steps.push(step(11_500, Action::Crash { replica: 0, down: 8_000 }));
        }
        steps.push(apply(12_000, portal("shop")));
        let outcome = replay(&world(steps, vec![first("update-portal", effect.clone())], 13_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "PATCH", "\"squad\":\"a\""), 1, "{effect:?}: {trace}");
        assert_eq!(sent(&outcome, "PATCH", "\"squad\":null"), 1, "{effect:?}: {trace}");
    }
}

/// The same of the request that makes the portal.
#[test]
fn a_label_that_leaves_the_spec_before_the_portal_is_known_to_be_made_is_removed() {
    let steps = vec![apply(1_000, labelled()), apply(3_000, portal("shop"))];
    let outcome = replay(&world(steps, vec![first("create-portal", Effect::AnswerLost)], 4_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "PATCH", "\"squad\":null"), 1, "{trace}");
}

/// Law 4: the id of a strategy in capitals, as the field's pattern lets it be written, differed for ever from the same id as Konnect shows it.
#[test]
fn the_id_of_a_strategy_in_capitals_is_no_other_one() {
    let (small, field) = ("8a4f2c61-0d7e-4b39-95c8-e21f6a7d3b04", "default_application_auth_strategy_id");
    let spec = json!({
        "connectionRef": {"name": "acme"},
        "name": "shop",
        "defaultApplicationAuthStrategyId": small.to_uppercase(),
    });
    let (kind, field) = ("Portal".to_owned(), field.to_owned());
    let steps = vec![
        apply(1_000, konnect("Portal", "shop", &spec)),
        step(10_000, Action::Stranger(Stranger::Change { kind, which: 0, field, value: json!(small) })),
    ];
    let outcome = replay(&world(steps, Vec::new(), 11_000));
    assert_eq!(sent(&outcome, "PATCH", "/v2/portals/"), 0, "{}", outcome.trace.join("\n"));
}

/// The settings of a portal that Portico does not manage.
fn settings_of(name: &str, portal: &str, on: bool) -> Value {
    mapping(
        "world",
        name,
        &json!({"id": portal}),
        &json!({"connectionRef": {"name": "acme"}, "konnectMappingEnabled": on}),
    )
}

/// The id that a path has after this; the same seed gives it to the same object. It has letters.
fn id_after(outcome: &Outcome, path: &str) -> String {
    let is_id = |id: &&str| id.len() == 36 && id.chars().all(|letter| letter == '-' || letter.is_ascii_hexdigit());
    let mut lines = outcome.trace.iter().filter_map(|line| line.split_once(path)?.1.get(..36));
    let id = lines.rfind(is_id).expect("it is in a path").to_owned();
    assert_ne!(id, id.to_uppercase());
    id
}

/// Law 12: one portal, named by its id in small letters and in capitals, counted as two, and two resources fought over its settings.
#[test]
fn the_id_of_a_portal_in_capitals_is_no_other_portal() {
    let look = |more: Vec<Step>| {
        let steps = [make(0, "Portal", "strange"), apply(2_000, settings_of("one", "${id:Portal:strange}", true))];
        replay(&world(steps.into_iter().chain(more).collect(), Vec::new(), 9_000))
    };
    let id = id_after(&look(Vec::new()), "/v2/portals/");
    let outcome = look(vec![apply(8_000, settings_of("two", &id.to_uppercase(), false))]);
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "PATCH", "/authentication-settings"), 1, "{trace}");
}

/// Law 9: where Portico only looks, a developer whose account was deleted was still `Approved=True`, though `NotFound`.
#[test]
fn who_is_not_there_any_more_is_not_approved_for_whom_only_looks() {
    let spec = json!({"portalRef": {"name": "shop"}, "email": ANN, "lifecycle": {"mode": "Observe"}});
    let steps = vec![
        apply(500, portal("shop")),
        // Of an odd number she is approved at once.
        step(2_000, Action::Stranger(Stranger::SignUp { which: 1, email: ANN.to_owned() })),
        apply(4_000, konnect("PortalDeveloper", "ann", &spec)),
        remove(20_000, "PortalDeveloper", 0),
    ];
    replay(&world(steps, Vec::new(), 21_000));
}

/// Law 12: the same of a team that a resource is bound to by its id in capitals. Another has recorded it, and both went on changing it.
#[test]
fn a_team_that_another_has_recorded_is_not_taken_over_by_its_id_in_capitals() {
    let team = |name: &str, more: Value| {
        let mut spec = json!({"portalRef": {"name": "shop"}, "name": "API readers", "developers": {"items": []}});
        spec["description"] = json!(name);
        spec["lifecycle"] = more;
        konnect("PortalTeam", name, &spec)
    };
    let look = |more: Vec<Step>| {
        let steps = [apply(500, portal("shop")), apply(3_000, team("one", json!({})))];
        replay(&world(steps.into_iter().chain(more).collect(), Vec::new(), 21_000))
    };
    let id = id_after(&look(Vec::new()), "/teams/");
    let outcome = look(vec![apply(20_000, team("two", json!({"adoption": "Adopt", "id": id.to_uppercase()})))]);
    assert_eq!(sent(&outcome, "PATCH", "/teams/"), 0, "{}", outcome.trace.join("\n"));
}

/// Seed 17001501, law 9: `Verified=True` of a portal that the spec is bound to by its id, and that somebody had deleted.
#[test]
fn a_portal_that_is_bound_by_its_id_and_gone_is_not_verified() {
    let bound = json!({"connectionRef": {"name": "acme"}, "customDomain": "docs.example.com",
        "lifecycle": {"adoption": "Adopt", "id": "${id:Portal:strange}"}});
    let steps = vec![
        make(0, "Portal", "strange"),
        apply(1_000, konnect("Portal", "shop", &bound)),
        remove(30_000, "Portal", 0),
    ];
    let outcome = replay(&world(steps, Vec::new(), 30_001));
    assert_eq!(sent(&outcome, "POST", "/verify-domain"), 1, "{}", outcome.trace.join("\n"));
}
