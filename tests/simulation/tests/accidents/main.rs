//! Known accidents in the simulation, each as it happened to somebody: answers lost behind full pages, names that two have, parents that go
//! first, namespaces that end in the middle of it all. The same stand in `tests/behaviour/accidents*.rs` for the real API server. In each of
//! these worlds every law has to hold; what is asserted besides is what is special about the accident.
use std::collections::BTreeSet;

use portico_simulation::plan::{Action, Effect, Fault, Millis, Side, Step, Stranger};
use serde_json::{Value, json};

mod more;
mod world;

use world::{
    Sent, acp, apply, crash, delete, delete_namespace, fault, make, make_namespace, plan, play, portal, remove, revoke,
    secret, step, stranger, team,
};

/// As many objects of strangers come before ours in every list. Portico asks for pages of 100, so ours is on the second one.
const STRANGERS: usize = 130;

#[test]
fn a_portal_whose_create_was_not_answered_is_found_behind_a_page_of_strangers() {
    let told = play(&plan(
        vec![
            stranger(0, make("Portal", &format!("theirs*{STRANGERS}"))),
            apply(1_000, portal("docs", &json!({}))),
            step(150_000, delete("Portal", "docs")),
            // This one goes before anybody knows what became of its create.
            apply(200_000, portal("short", &json!({}))),
            step(201_000, delete("Portal", "short")),
        ],
        vec![
            fault("create-portal", (0, 60_000), 1, Effect::AnswerLost),
            fault("create-portal", (199_000, 260_000), 1, Effect::AnswerLost),
        ],
    ));
    let creates = told.requests("POST", "/v2/portals");
    let early = creates.iter().filter(|sent| sent.at < 150_000).count();
    assert_eq!((early, creates.len()), (1, 2), "{}", told.trace());
    assert_eq!(told.made("/v2/portals"), 2, "{}", told.trace());
    assert_eq!(told.deleted("/v2/portals/"), 2, "{}", told.trace());
    assert!(told.has_turned_the_page("/v2/portals"), "{}", told.trace());
}

/// Teams have neither unique names nor labels: only the create that was recorded beforehand tells which one is ours.
#[test]
fn a_team_whose_create_was_not_answered_is_found_behind_a_page_of_strangers_of_its_name() {
    let mut steps = vec![
        apply(1_000, portal("docs", &json!({}))),
        apply(5_000, team("writers", &json!({"description": "ours"}))),
        step(100_000, delete("PortalTeam", "writers")),
    ];
    // They come between the create and its effect, of which nobody hears any more.
    steps.extend((0..STRANGERS).map(|_| stranger(8_000, make("PortalTeam", "writers"))));
    let told = play(&plan(steps, vec![fault("create-portal-team", (4_000, 60_000), 1, Effect::Late(8_000))]));
    assert_eq!(told.requests("POST", "/teams").len(), 1, "{}", told.trace());
    assert_eq!(told.made("/teams"), 1, "{}", told.trace());
    assert!(told.has_turned_the_page("/teams"), "{}", told.trace());
    assert_eq!(told.deleted("/teams/"), 1, "{}", told.trace());
    assert!(told.released("portalteams", "writers").is_some(), "{}", told.trace());
}

#[test]
fn of_two_resources_of_one_name_the_younger_never_takes_what_an_unanswered_create_of_the_older_made() {
    let told = play(&plan(
        vec![
            apply(1_000, portal("docs", &json!({}))),
            apply(3_000, team("one", &json!({"name": "writers"}))),
            apply(5_000, team("two", &json!({"name": "writers", "lifecycle": {"adoption": "Adopt"}}))),
            step(60_000, delete("PortalTeam", "two")),
        ],
        vec![fault("create-portal-team", (2_000, 50_000), 1, Effect::AnswerLost)],
    ));
    let writes: Vec<String> = told.sent.iter().filter(|sent| sent.is_write()).map(Sent::short).collect();
    assert_eq!(writes, ["POST portals", "POST teams"], "{}", told.trace());
    // The beginning of the message of a Conflict: it names who holds the name.
    let statuses = told.statuses("portalteams", "two");
    let conflicts = statuses.iter().filter(|(_, line)| line.contains("\"message\":\"PortalTeam world/one"));
    assert_eq!(conflicts.count(), 1, "{}", told.trace());
}

#[test]
fn teams_of_a_portal_that_is_deleted_before_them_are_not_ready_and_end() {
    let teams = ["readers", "writers"];
    let mut steps = vec![apply(1_000, portal("docs", &json!({})))];
    steps.extend(teams.map(|name| apply(3_000, team(name, &json!({})))));
    steps.push(step(20_000, delete("Portal", "docs")));
    // Somebody loses patience, and deletes the portal at the console. With it go its teams.
    steps.push(step(60_000, remove("Portal")));
    steps.extend(teams.map(|name| step(120_000, delete("PortalTeam", name))));
    steps.extend(teams.map(|name| step(400_000, delete("PortalTeam", name))));
    steps.push(step(400_000, delete("Portal", "docs")));
    let told = play(&plan(steps, Vec::new()));
    assert_eq!((told.made("/v2/portals"), told.made("/teams")), (1, 2), "{}", told.trace());
    for name in teams {
        let statuses = told.statuses("portalteams", name);
        assert!(statuses.iter().any(|(at, _)| (20_000..25_000).contains(at)), "{name}:\n{}", told.trace());
        assert!(told.was_in_vain(&delete("PortalTeam", name)), "{name}:\n{}", told.trace());
    }
    assert!(told.was_in_vain(&delete("Portal", "docs")), "{}", told.trace());
    let made = told.writes(20_000, Millis::MAX).into_iter().filter(|sent| sent.method != "DELETE").count();
    assert_eq!(made, 0, "something was written in what is being deleted:\n{}", told.trace());
}

/// Which of the two goes first, and whose answer is late or lost, is another each time.
#[test]
fn a_team_that_is_deleted_while_its_portal_is_leaves_nothing_and_holds_nothing() {
    let rounds = [
        ("delete-portal", Effect::Late(700), ["Portal", "PortalTeam"]),
        ("delete-portal-team", Effect::Late(700), ["PortalTeam", "Portal"]),
        ("delete-portal", Effect::AnswerLost, ["PortalTeam", "Portal"]),
        ("delete-portal-team", Effect::AnswerLost, ["Portal", "PortalTeam"]),
        ("delete-portal-team", Effect::Lost, ["PortalTeam", "Portal"]),
        ("delete-portal", Effect::Lost, ["Portal", "PortalTeam"]),
    ];
    for (operation, effect, [first, second]) in rounds {
        let end = |kind: &str| delete(kind, if kind == "Portal" { "docs" } else { "writers" });
        let steps = vec![
            apply(1_000, portal("docs", &json!({}))),
            apply(3_000, team("writers", &json!({}))),
            step(20_000, end(first)),
            step(20_100, end(second)),
            step(200_000, end(first)),
            step(200_000, end(second)),
            step(200_000, remove("Portal")),
        ];
        let told = play(&plan(steps, vec![fault(operation, (19_000, 60_000), 1, effect.clone())]));
        for action in [end(first), end(second), remove("Portal")] {
            assert!(told.was_in_vain(&action), "{operation} {effect:?}: {action:?}\n{}", told.trace());
        }
        assert!(told.made("/v2/portals") == 1 && told.made("/teams") == 1, "{}", told.trace());
    }
}

/// In a namespace that is going no Secret can be put right, but what the API takes can.
#[test]
fn a_namespace_deleted_while_its_token_is_revoked_ends_once_the_token_is_good_again() {
    for restarts in [false, true] {
        let mut steps = vec![
            apply(1_000, portal("docs", &json!({}))),
            apply(3_000, team("writers", &json!({}))),
            step(20_000, revoke()),
            step(90_000, delete_namespace()),
            step(150_000, revoke()),
            step(500_000, make_namespace()),
            step(500_000, remove("Portal")),
        ];
        if restarts {
            steps.push(step(100_000, crash(10_000)));
        }
        let told = play(&plan(steps, Vec::new()));
        let is_refused = told.sent.iter().any(|sent| sent.status == Some(401));
        assert!(is_refused, "nobody noticed that the token is revoked:\n{}", told.trace());
        for (resource, name) in [("portals", "docs"), ("portalteams", "writers")] {
            let released = told.released(resource, name);
            assert!(released.is_some_and(|at| at > 150_000), "{resource} {released:?}:\n{}", told.trace());
        }
        assert!(!told.was_in_vain(&make_namespace()), "the namespace is still there:\n{}", told.trace());
        assert!(told.was_in_vain(&remove("Portal")), "the portal is still there:\n{}", told.trace());
    }
}

#[test]
fn a_namespace_deleted_while_its_many_portals_are_made_leaves_nothing_and_writes_to_nothing_deleted() {
    let mut steps = vec![stranger(0, make("Portal", "theirs"))];
    // Those that would come last are never made: the namespace goes before it is their turn.
    steps.extend((0..1_000).map(|n| apply(1_000 + n, portal(&format!("portal-{n}"), &json!({})))));
    steps.push(step(1_700, delete_namespace()));
    // Both the name and the stranger's portal are there again; nothing else is.
    steps.extend(
        [(600_000, make_namespace()), (600_001, remove("Portal")), (600_002, remove("Portal"))]
            .map(|(at, action)| step(at, action)),
    );
    let told = play(&plan(steps, Vec::new()));
    let mut deleted: BTreeSet<&str> = BTreeSet::new();
    for sent in told.sent.iter().filter(|sent| sent.is_write()) {
        let path = sent.path.as_str();
        assert!(!deleted.contains(path), "a write to what was deleted: {} {path} at {}", sent.method, sent.at);
        if sent.method == "DELETE" && sent.status == Some(204) {
            deleted.insert(path);
        }
    }
    let made = told.made("/v2/portals");
    assert!((50..1_000).contains(&made), "{made} were made: the namespace went too early, or too late");
    assert_eq!(made, deleted.len());
    assert!(!told.was_in_vain(&make_namespace()), "the namespace is still there");
    let removed = told.outcome.trace.iter().filter(|line| line.contains(" stranger DELETE ")).count();
    assert!(removed == 1 && told.was_in_vain(&remove("Portal")), "one portal stays, the stranger's: {removed}");
}

/// One of each kind that has something below it, on both APIs.
fn everything() -> Vec<Step> {
    let on = json!({"connectionRef": {"name": "identity"}});
    let consent = json!({"connectionRef": {"name": "identity"}, "updateExistingGrants": "keepCurrent"});
    let consents = json!([{"consentRef": {"name": "terms"}, "required": true}]);
    let action = json!({"connectionRef": {"name": "identity"}, "consents": consents});
    let shop = json!({
        "serverRef": {"name": "login"},
        "grantTypes": ["client_credentials"],
        "credentialsSecret": {"name": "shop-credentials"},
    });
    let manifests = [
        portal("docs", &json!({"forceDelete": true})),
        team("writers", &json!({})),
        acp("AuthorizationServer", "login", &on),
        acp("OAuthClient", "shop", &shop),
        acp("Consent", "terms", &consent),
        acp("ConsentAction", "sign-up", &action),
    ];
    manifests.map(|manifest| apply(1_000, manifest)).into()
}

/// The connection `identity` and its Secret.
fn identity() -> [Value; 2] {
    let data = json!({"client_id": "${acp.client_id}", "client_secret": "${acp.client_secret}"});
    let spec = json!({
        "url": "https://acp.example.com",
        "tenant": "acme",
        "clientCredentials": {"secretRef": {"name": "acp"}},
        "resyncInterval": "60s",
        "requestTimeout": "5s",
        "rateLimit": {"requestsPerSecond": 1000, "burst": 1000},
    });
    [secret("acp", &data), acp("AcpConnection", "identity", &spec)]
}

#[test]
fn a_namespace_with_everything_in_it_ends_without_its_secrets_whenever_portico_crashes_meanwhile() {
    let kinds = ["Portal", "AuthorizationServer", "OAuthClient", "Consent", "ConsentAction"];
    for after in [0, 50, 300, 1_000, 5_000, 5_100] {
        let mut steps = everything();
        let developer = Stranger::SignUp { which: 0, email: "ann@example.com".to_owned() };
        steps.push(stranger(20_000, developer));
        steps.push(step(30_000, delete_namespace()));
        steps.push(step(30_000 + after, crash(30_000)));
        steps.push(step(600_000, make_namespace()));
        steps.extend(kinds.map(|kind| step(600_000, remove(kind))));
        let mut plan = plan(steps, Vec::new());
        plan.before.extend(identity());
        let told = play(&plan);
        assert!(told.says("r0.1 starts"), "{}", told.trace());
        assert!(!told.was_in_vain(&make_namespace()), "crash after {after}:\n{}", told.trace());
        for kind in kinds {
            assert!(told.was_in_vain(&remove(kind)), "crash after {after}: {kind}\n{}", told.trace());
        }
    }
}

/// When the team of the next test is applied.
const APPLIED: Millis = 5_000;

#[test]
fn a_team_is_made_once_wherever_portico_crashes_in_the_middle_of_its_create() {
    for side in [Side::Remote, Side::Kubernetes] {
        for effect in [Effect::CrashBefore, Effect::CrashAfter] {
            let mut points = 0;
            // One request further each time, until there are none left to crash at.
            for nth in 0..40 {
                let (from, until, what) = (APPLIED, APPLIED + 2_000, "*".to_owned());
                let at = Fault { side, from, until, nth, times: 1, what, effect: effect.clone() };
                let steps = vec![
                    apply(1_000, portal("docs", &json!({}))),
                    apply(APPLIED, team("writers", &json!({"description": "ours"}))),
                ];
                let told = play(&plan(steps, vec![at]));
                let place = || format!("{side:?} {nth} {effect:?}:\n{}", told.trace());
                assert_eq!((told.made("/v2/portals"), told.made("/teams")), (1, 1), "{}", place());
                assert_eq!(told.deleted("/"), 0, "{}", place());
                if !told.says("r0 crashes") {
                    break;
                }
                points += 1;
            }
            // A look and the create; the finalizer, the intent and the id.
            let least = if side == Side::Remote { 2 } else { 3 };
            assert!((least..40).contains(&points), "{side:?} {effect:?}: {points} points");
        }
    }
}

#[test]
fn a_deletion_ends_wherever_portico_crashes_in_the_middle_of_it() {
    for side in [Side::Remote, Side::Kubernetes] {
        for effect in [Effect::CrashBefore, Effect::CrashAfter] {
            for nth in 0..40 {
                let end = |at: Millis| step(at, delete("PortalTeam", "writers"));
                let (from, until, what) = (20_000, 22_000, "*".to_owned());
                let at = Fault { side, from, until, nth, times: 1, what, effect: effect.clone() };
                let steps = vec![
                    apply(1_000, portal("docs", &json!({}))),
                    apply(3_000, team("writers", &json!({}))),
                    end(20_000),
                    end(200_000),
                ];
                let told = play(&plan(steps, vec![at]));
                let gone: Action = delete("PortalTeam", "writers");
                assert!(told.was_in_vain(&gone), "{side:?} {nth} {effect:?}:\n{}", told.trace());
                assert_eq!(told.deleted("/teams/"), 1, "{side:?} {nth} {effect:?}:\n{}", told.trace());
                if !told.says("r0 crashes") {
                    assert!(nth > 0, "{side:?} {effect:?}: there was nothing to crash at");
                    break;
                }
            }
        }
    }
}
