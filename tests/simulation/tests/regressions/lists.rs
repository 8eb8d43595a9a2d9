//! Lists of a team, and what is sent late or never: what the user wished for is done, whoever comes when. None of these worlds is of a seed.
use portico_simulation::plan::{Action, Effect, Millis, Step, Stranger};
use serde_json::{Value, json};

use crate::{
    decisions::edit,
    world::{apply, first, hours, konnect, portal, provider, replay, sent, step, world},
};

const ANN: &str = "ann@example.com";

/// The team `readers` of the portal `shop`.
fn readers(more: &Value) -> Value {
    let mut spec = json!({"portalRef": {"name": "shop"}, "name": "API readers"});
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field.as_str()] = value.clone();
    }
    konnect("PortalTeam", "readers", &spec)
}

fn members(at: Millis, people: &[&str]) -> Step {
    edit(at, "PortalTeam", "readers", json!({"developers": {"items": people}}))
}

/// Ann signs up, and waits for an answer.
fn ann_signs_up(at: Millis) -> Step {
    step(at, Action::Stranger(Stranger::SignUp { which: 0, email: ANN.to_owned() }))
}

/// Law 9, and "who has not signed up yet is added once they have": where drift is only reported, whoever signed up after the spec was
/// accepted was told as drift, and never added, while `Bound=True` said that everyone is bound. Nobody had taken her away.
#[test]
fn who_signs_up_later_becomes_a_member_where_drift_is_only_reported() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, readers(&json!({"developers": {"items": [ANN]}, "lifecycle": {"drift": "Report"}}))),
        ann_signs_up(20_000),
    ];
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    assert_eq!(sent(&outcome, "POST", "/developers {"), 1, "{}", outcome.trace.join("\n"));
}

/// The same of groups, which wait for a provider.
#[test]
fn groups_are_bound_once_there_is_a_provider_where_drift_is_only_reported() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, readers(&json!({"identityProviderGroups": ["engineers"], "lifecycle": {"drift": "Report"}}))),
        apply(20_000, provider("login", &json!({}))),
    ];
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    assert_eq!(sent(&outcome, "PATCH", "/team-group-mappings"), 1, "{}", outcome.trace.join("\n"));
}

/// Law 9: "`Ready=True`: … the API accepted the spec of `observedGeneration`". A change of the spec that came while the connection only
/// observed counted as accepted. Where drift is only reported it was then told as drift for ever, and never sent.
#[test]
fn a_change_that_came_while_the_connection_observed_is_sent_once_it_manages() {
    let spec = json!({
        "connectionRef": {"name": "acme"},
        "description": "as it was",
        "lifecycle": {"drift": "Report"},
    });
    let steps = vec![
        apply(500, konnect("Portal", "shop", &spec)),
        edit(10_000, "KonnectConnection", "acme", json!({"mode": "Observe"})),
        edit(15_000, "Portal", "shop", json!({"description": "as the user wants it"})),
        edit(30_000, "KonnectConnection", "acme", json!({"mode": "Manage"})),
    ];
    let outcome = replay(&world(steps, Vec::new(), 31_000));
    assert_eq!(sent(&outcome, "PATCH", "/v2/portals/"), 1, "{}", outcome.trace.join("\n"));
}

/// "An address that leaves this list leaves the team": whoever was added just before a crash, and left the spec before the next start, was
/// known as ours by nobody, and kept what the team may do.
#[test]
fn who_was_added_just_before_a_crash_leaves_the_team_with_the_spec() {
    let steps = vec![
        apply(500, portal("shop")),
        ann_signs_up(2_000),
        apply(4_000, readers(&json!({}))),
        members(10_000, &[ANN]),
        // She is a member by now, and the answer is on its way.
        step(11_500, Action::Crash { replica: 0, down: 8_000 }),
        members(14_000, &[]),
    ];
    let slow = first("add-developer-to-portal-team", Effect::Slow(3_000));
    let outcome = replay(&world(steps, vec![slow], 15_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/developers {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/developers/"), 1, "{trace}");
}

/// The same in the middle of the create: the team is recorded, and she was added, when it crashes.
#[test]
fn who_was_added_to_a_new_team_just_before_a_crash_leaves_it_with_the_spec() {
    let steps = vec![
        apply(500, portal("shop")),
        ann_signs_up(2_000),
        apply(10_000, readers(&json!({"developers": {"items": [ANN]}}))),
        step(12_500, Action::Crash { replica: 0, down: 8_000 }),
        members(15_000, &[]),
    ];
    let slow = first("add-developer-to-portal-team", Effect::Slow(4_000));
    let outcome = replay(&world(steps, vec![slow], 16_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/developers {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/developers/"), 1, "{trace}");
}

/// The same without a crash: what adds her takes effect when she has left the spec, and a pass has seen that she is not there.
#[test]
fn who_is_added_late_leaves_the_team_with_the_spec() {
    let steps = vec![
        apply(500, portal("shop")),
        ann_signs_up(2_000),
        apply(4_000, readers(&json!({}))),
        members(10_000, &[ANN]),
        members(12_000, &[]),
    ];
    let late = first("add-developer-to-portal-team", Effect::Late(7_000));
    let outcome = replay(&world(steps, vec![late], 13_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/developers {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/developers/"), 1, "{trace}");
}

/// Laws 9 and 10: a person whose address stands in the spec in capitals, and at the API in small letters, was never found, since the
/// filter of the API tells the one from the other.
#[test]
fn an_address_in_capitals_means_who_signed_up_in_small_letters() {
    let (capitals, shop) = ("Ann@Example.com", json!({"name": "shop"}));
    let person =
        konnect("PortalDeveloper", "ann", &json!({"portalRef": shop, "email": capitals, "status": "approved"}));
    for (resource, method, path) in [
        (readers(&json!({"developers": {"items": [capitals]}})), "POST", "/developers {"),
        (person, "PATCH", "/developers/"),
    ] {
        let steps = vec![apply(500, portal("shop")), ann_signs_up(2_000), apply(4_000, resource)];
        let outcome = replay(&world(steps, Vec::new(), 5_000));
        assert_eq!(sent(&outcome, method, path), 1, "{}", outcome.trace.join("\n"));
    }
}

/// Law 9: while the connection only observed, a replay that nobody had started yet showed the end of the one before it as its own:
/// `Complete=True`. It was never started after that.
#[test]
fn a_replay_that_came_while_the_connection_observed_is_started_once_it_manages() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, hours("one", 29)),
        edit(60_000, "KonnectConnection", "acme", json!({"mode": "Observe"})),
        apply(65_000, hours("two", 30)),
        edit(100_000, "KonnectConnection", "acme", json!({"mode": "Manage"})),
    ];
    let outcome = replay(&world(steps, Vec::new(), 101_000));
    assert_eq!(sent(&outcome, "PUT", "/audit-log-replay-job {"), 2, "{}", outcome.trace.join("\n"));
}
