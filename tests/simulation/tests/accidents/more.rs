//! More known accidents in the simulation: 404s that prove nothing, refusals that never sound the same, pauses, accounts that are taken for
//! others, and objects that vanish or belong to somebody else. See `accidents`.
use std::collections::BTreeSet;

use portico_simulation::plan::{Effect, Millis, Side};
use serde_json::json;

use crate::world::{
    ALWAYS, Sent, Told, annotate, apply, delete, edit, fault, make, plan, play, portal, remove, step, stranger, team,
    token,
};

/// Who has the token of this beginning belongs to another organization.
const FOREIGN: &str = "kpat_otherAccount0123456789abcdefghijklmnopqrstuv";

/// The writes from a moment on, in short.
fn writes(told: &Told, from: Millis) -> Vec<String> {
    told.writes(from, Millis::MAX).into_iter().map(Sent::short).collect()
}

/// A path that was wrong is answered like an object that is gone, and some gateways speak as the API does. A look tells (law 3).
#[test]
fn a_deletion_that_is_answered_404_is_not_over_while_the_api_shows_the_object() {
    let rounds = [
        ("PortalTeam", "portalteams", "writers", "delete-portal-team"),
        ("Portal", "portals", "docs", "delete-portal"),
    ];
    for (kind, resource, name, operation) in rounds {
        let mut steps = vec![apply(1_000, portal("docs", &json!({})))];
        if kind == "PortalTeam" {
            steps.push(apply(3_000, team("writers", &json!({}))));
        }
        steps.extend([step(20_000, delete(kind, name)), step(400_000, delete(kind, name))]);
        let refused = fault(operation, (19_000, 100_000), ALWAYS, Effect::Status(404, None));
        let told = play(&plan(steps, vec![refused]));
        let answers: Vec<Option<u16>> =
            told.sent.iter().filter(|sent| sent.method == "DELETE").map(|sent| sent.status).collect();
        let said = || format!("{kind} {answers:?}:\n{}", told.trace());
        assert!(answers.iter().filter(|status| **status == Some(404)).count() > 1, "{}", said());
        assert_eq!(answers.last(), Some(&Some(204)), "{}", said());
        assert!(told.released(resource, name).is_some_and(|at| at > 100_000), "{}", said());
        assert!(told.was_in_vain(&delete(kind, name)), "{}", said());
    }
}

#[test]
fn a_refusal_that_carries_a_new_trace_id_each_time_is_written_once() {
    for code in [409, 403, 400] {
        let until = 320_000;
        let told = play(&plan(
            vec![
                apply(1_000, portal("docs", &json!({"description": "first"}))),
                edit(20_000, "Portal", "docs", json!({"description": "second"})),
            ],
            vec![fault("update-portal", (19_000, until), ALWAYS, Effect::Status(code, None))],
        ));
        let all = told.sent.iter().filter(|sent| sent.method == "PATCH");
        let refusals: Vec<&Sent> = all.filter(|sent| sent.status == Some(code)).collect();
        let said: BTreeSet<&str> = refusals.iter().map(|sent| sent.answer.as_str()).collect();
        assert!(refusals.len() >= 3, "{code}: it is not tried again:\n{}", told.trace());
        assert_eq!(said.len(), refusals.len(), "{code}: the refusals sound alike, so this test tests nothing");
        let mut statuses = told.statuses("portals", "docs");
        statuses.retain(|(at, _)| (20_000..until).contains(at));
        // The refusal, and that it lasts.
        assert!((1..=2).contains(&statuses.len()), "{code}: {statuses:#?}\n{}", told.trace());
        let taken = told.sent.iter().filter(|sent| sent.method == "PATCH" && sent.status == Some(200)).count();
        assert_eq!(taken, 1, "{code}:\n{}", told.trace());
    }
}

/// Creates, changes, deletions and probes of a connection wait for as long as the API asked.
#[test]
fn after_an_answer_with_retry_after_7_nothing_is_sent_for_seven_seconds() {
    for code in [429, 503] {
        let told = play(&plan(
            vec![
                apply(1_000, portal("docs", &json!({}))),
                apply(1_000, portal("leaving", &json!({}))),
                apply(3_000, team("writers", &json!({"description": "first"}))),
                apply(20_000, portal("fresh", &json!({}))),
                edit(20_500, "Portal", "docs", json!({"description": "changed"})),
                edit(20_500, "PortalTeam", "writers", json!({"description": "changed"})),
                step(20_500, delete("Portal", "leaving")),
                annotate(20_600, ("KonnectConnection", "acme"), "reconcile-at", "now"),
            ],
            vec![fault("create-portal", (19_000, 24_000), 1, Effect::Status(code, Some(7)))],
        ));
        let asked = told.sent.iter().find(|sent| sent.status == Some(code)).expect("one create is refused").at;
        let in_time = |sent: &&Sent, from: Millis, until: Millis| (asked + from..asked + until).contains(&sent.at);
        // What was under way at that moment still arrives.
        let early = told.sent.iter().filter(|sent| in_time(sent, 100, 7_000)).count();
        assert_eq!(early, 0, "{code}: refused at {asked}:\n{}", told.trace());
        let after = told.sent.iter().filter(|sent| in_time(sent, 7_000, 12_000)).count();
        assert!(after > 0, "{code}: it waits for longer than it was asked to:\n{}", told.trace());
        assert_eq!((told.made("/v2/portals"), told.deleted("/v2/portals/")), (3, 1), "{code}:\n{}", told.trace());
        let changed = told.sent.iter().filter(|sent| sent.is_write() && sent.status == Some(200)).count();
        assert_eq!(changed, 2, "{code}:\n{}", told.trace());
    }
}

#[test]
fn a_token_of_another_organization_writes_nothing_until_the_old_one_is_back() {
    let told = play(&plan(
        vec![
            apply(1_000, portal("docs", &json!({"description": "first"}))),
            token(20_000, FOREIGN),
            edit(40_000, "Portal", "docs", json!({"description": "second"})),
            apply(45_000, portal("news", &json!({}))),
            token(150_000, "${konnect.token}"),
        ],
        Vec::new(),
    ));
    let meanwhile = told.writes(20_000, 150_000).len();
    assert_eq!(meanwhile, 0, "{}", told.trace());
    let mut later = told.writes(150_000, Millis::MAX);
    later.sort_by(|one, other| one.method.cmp(&other.method));
    let later: Vec<(&str, Option<u16>)> = later.iter().map(|sent| (sent.method.as_str(), sent.status)).collect();
    assert_eq!(later, [("PATCH", Some(200)), ("POST", Some(201))], "{}", told.trace());
}

#[test]
fn when_all_objects_vanish_nothing_is_made_until_a_person_confirms_it() {
    let connection = ("KonnectConnection", "acme");
    let told = play(&plan(
        vec![
            apply(1_000, portal("docs", &json!({}))),
            apply(1_000, portal("news", &json!({}))),
            step(90_000, remove("Portal")),
            step(90_000, remove("Portal")),
            annotate(250_000, connection, "confirm-absence", "no such token"),
            annotate(350_000, connection, "confirm-absence", "${absence}"),
        ],
        Vec::new(),
    ));
    assert_eq!(told.writes(90_000, 350_000).len(), 0, "{}", told.trace());
    assert_eq!(writes(&told, 350_000), ["POST portals", "POST portals"], "{}", told.trace());
    assert_eq!(told.made("/v2/portals"), 4, "{}", told.trace());
}

#[test]
fn one_of_five_is_made_again_without_asking_and_four_of_five_are_not() {
    let mut steps: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| apply(1_000, portal(name, &json!({})))).into();
    steps.push(step(90_000, remove("Portal")));
    steps.extend([300_000; 4].map(|at| step(at, remove("Portal"))));
    // So long nobody says anything.
    steps.push(annotate(600_000, ("Portal", "a"), "reconcile-at", "now"));
    let told = play(&plan(steps, Vec::new()));
    assert_eq!(told.made("/v2/portals"), 6, "{}", told.trace());
    assert_eq!(writes(&told, 90_000), ["POST portals"], "{}", told.trace());
    assert_eq!(told.writes(300_000, Millis::MAX).len(), 0, "{}", told.trace());
}

/// A listing that is up to a while behind: less than the window that Portico waits.
#[test]
fn a_list_that_lags_makes_no_second_object() {
    let told = play(&plan(
        vec![apply(20_000, portal("docs", &json!({}))), apply(60_000, team("writers", &json!({})))],
        vec![
            fault("create-portal", (19_000, 50_000), 1, Effect::AnswerLost),
            fault("create-portal-team", (59_000, 100_000), 1, Effect::AnswerLost),
            fault("list-portals", (19_000, 120_000), ALWAYS, Effect::Stale(8_000)),
            fault("list-portal-teams", (59_000, 120_000), ALWAYS, Effect::Stale(8_000)),
        ],
    ));
    assert_eq!(writes(&told, 0), ["POST portals", "POST teams"], "{}", told.trace());
}

#[test]
fn a_strangers_portal_of_the_same_name_is_refused_untouched() {
    let told = play(&plan(
        vec![
            stranger(0, make("Portal", "docs")),
            apply(1_000, portal("docs", &json!({"description": "ours"}))),
            step(100_000, delete("Portal", "docs")),
            step(150_000, delete("Portal", "docs")),
        ],
        Vec::new(),
    ));
    assert_eq!(writes(&told, 0), [] as [&str; 0], "{}", told.trace());
    assert!(told.was_in_vain(&delete("Portal", "docs")), "{}", told.trace());
}

#[test]
fn adopt_takes_a_strangers_portal_with_one_write_to_the_api() {
    let adopts = json!({"description": "ours", "lifecycle": {"adoption": "Adopt"}});
    let told =
        play(&plan(vec![stranger(0, make("Portal", "docs")), apply(1_000, portal("docs", &adopts))], Vec::new()));
    let all: Vec<&str> = told.writes(0, Millis::MAX).into_iter().map(|sent| sent.method.as_str()).collect();
    assert_eq!(all, ["PATCH"], "{}", told.trace());
}

#[test]
fn another_installations_portal_is_taken_only_with_adopt_and_id() {
    let id = "${id:Portal:docs}";
    let told = play(&plan(
        vec![
            stranger(0, make("Portal", "docs@other")),
            apply(1_000, portal("docs", &json!({"lifecycle": {"adoption": "Adopt"}}))),
            edit(50_000, "Portal", "docs", json!({"lifecycle": {"adoption": "Refuse", "id": id}})),
            edit(100_000, "Portal", "docs", json!({"lifecycle": {"adoption": "Adopt"}})),
        ],
        Vec::new(),
    ));
    assert_eq!(told.writes(0, 100_000).len(), 0, "{}", told.trace());
    let all: Vec<&str> = told.writes(0, Millis::MAX).into_iter().map(|sent| sent.method.as_str()).collect();
    assert_eq!(all, ["PATCH"], "{}", told.trace());
}

#[test]
fn a_reference_to_nothing_waits_and_goes_on_by_itself() {
    let told = play(&plan(
        vec![apply(1_000, team("writers", &json!({}))), apply(90_000, portal("docs", &json!({})))],
        Vec::new(),
    ));
    assert_eq!(told.requests("GET", "/teams").iter().filter(|sent| sent.at < 90_000).count(), 0, "{}", told.trace());
    let made: Vec<String> = told.writes(90_000, 95_000).into_iter().map(Sent::short).collect();
    assert_eq!(made, ["POST portals", "POST teams"], "{}", told.trace());
}

#[test]
fn a_connection_waits_for_its_users() {
    let told = play(&plan(
        vec![
            apply(1_000, portal("docs", &json!({}))),
            step(20_000, delete("KonnectConnection", "acme")),
            step(100_000, delete("Portal", "docs")),
            step(200_000, delete("KonnectConnection", "acme")),
        ],
        Vec::new(),
    ));
    let released = told.released("konnectconnections", "acme");
    assert!(released.is_some_and(|at| at > 100_000), "{released:?}:\n{}", told.trace());
    assert_eq!(told.deleted("/v2/portals/"), 1, "{}", told.trace());
    assert!(told.was_in_vain(&delete("KonnectConnection", "acme")), "{}", told.trace());
}

#[test]
fn the_orphan_annotation_ends_a_deletion_also_while_the_api_is_down() {
    let told = play(&plan(
        vec![
            apply(1_000, portal("docs", &json!({}))),
            step(25_000, delete("Portal", "docs")),
            annotate(60_000, ("Portal", "docs"), "orphan", "true"),
            step(90_000, delete("Portal", "docs")),
            step(150_000, remove("Portal")),
        ],
        vec![fault("*", (20_000, 140_000), ALWAYS, Effect::Lost)],
    ));
    let released = told.released("portals", "docs");
    assert!(released.is_some_and(|at| (60_000..90_000).contains(&at)), "{released:?}:\n{}", told.trace());
    assert_eq!(told.deleted("/v2/portals/"), 0, "{}", told.trace());
    assert!(!told.was_in_vain(&remove("Portal")), "the portal has gone:\n{}", told.trace());
}

/// Conflicts and lost answers of status writes: the id is written down until it stands there.
#[test]
fn the_id_of_what_was_made_is_recorded_though_the_api_server_fails() {
    for effect in [Effect::Status(409, None), Effect::Status(503, None), Effect::AnswerLost, Effect::Lost] {
        let mut fails = fault("patch portalteams/status", (5_000, 60_000), 3, effect.clone());
        fails.side = Side::Kubernetes;
        let told = play(&plan(
            vec![apply(1_000, portal("docs", &json!({}))), apply(5_000, team("writers", &json!({})))],
            vec![fails],
        ));
        let all = writes(&told, 5_000);
        assert_eq!(all, ["POST teams"], "{effect:?}:\n{}", told.trace());
    }
}
