//! Worlds that once broke a law, as the search left them: each has a name that says what went wrong, and breaks none any more.
use portico_sandbox::Switches;
use portico_simulation::{
    Outcome,
    plan::{Action, Effect, Fault, Millis, Plan, Side, Step},
    run,
};
use serde_json::{Value, json};

/// Runs a world and asserts that every law holds in it.
fn replay(plan: &Plan) -> Outcome {
    let outcome = run(plan, true);
    let found: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{plan}{}\n\n{}", outcome.trace.join("\n"), found.join("\n"));
    outcome
}

fn konnect(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "konnect.portico.dev/v1alpha1",
        "kind": kind,
        "metadata": {"namespace": "world", "name": name},
        "spec": spec,
    })
}

/// A connection `acme` and its Secret.
fn connected() -> Vec<Value> {
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": "world", "name": "konnect"},
        "stringData": {"token": "${konnect.token}"},
    });
    let connection = konnect(
        "KonnectConnection",
        "acme",
        &json!({
            "region": "eu",
            "tokenSecretRef": {"name": "konnect"},
            "resyncInterval": "60s",
            "requestTimeout": "5s",
            "rateLimit": {"requestsPerSecond": 100, "burst": 100},
        }),
    );
    vec![secret, connection]
}

fn apply(at: Millis, manifest: Value) -> Step {
    Step { at, action: Action::Apply(manifest) }
}

/// How often the API has really done an operation, by the trace: the answers that say `201`.
fn made(outcome: &Outcome, operation: &str) -> usize {
    let numbers: Vec<&str> = outcome
        .trace
        .iter()
        .filter(|line| line.contains(operation))
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('#')))
        .collect();
    let answered = |number: &&&str| outcome.trace.iter().any(|line| line.contains(&format!(" {number} <- 201")));
    numbers.iter().filter(answered).count()
}

/// A world with one replica, a connection, and this Secret for portals' settings.
fn world(steps: Vec<Step>, faults: Vec<Fault>, quiet_from: Millis) -> Plan {
    let login = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": "world", "name": "portal-login"},
        "stringData": {"settings": "a-secret-of-the-settings-in-this-world"},
    });
    let before = connected().into_iter().chain([login]).collect();
    Plan { seed: 1, switches: Switches::default(), before, steps, faults, replicas: 1, quiet_from }
}

fn portal(name: &str) -> Value {
    konnect("Portal", name, &json!({"connectionRef": {"name": "acme"}, "name": name}))
}

fn settings(name: &str) -> Value {
    let spec = json!({
        "portalRef": {"name": "shop"},
        "oidcScopes": ["email"],
        "oidcClientSecretRef": {"name": "portal-login", "key": "settings"},
    });
    konnect("PortalAuthentication", name, &spec)
}

/// Seed 39, law 12: a rival whose spec waits for a Secret was not seen.
#[test]
fn of_two_settings_of_one_portal_that_wait_for_it_only_one_is_written() {
    let steps = vec![apply(500, settings("one")), apply(3_000, settings("two")), apply(6_000, portal("shop"))];
    let outcome = replay(&world(steps, Vec::new(), 7_000));
    assert_eq!(sent(&outcome, "PATCH", "/authentication-settings {"), 1);
}

/// Seed 2419, law 12: the second came while the first was being written, in the same second, before anything was recorded.
#[test]
fn of_two_settings_made_in_one_second_only_one_is_written() {
    for gap in [0, 5, 20, 60, 120, 400] {
        let steps = vec![
            apply(500, portal("shop")),
            apply(2_050, settings("one")),
            apply(2_050 + gap, settings("two")),
            apply(2_050 + gap, settings("three")),
        ];
        let outcome = replay(&world(steps, Vec::new(), 3_000));
        assert_eq!(sent(&outcome, "PATCH", "/authentication-settings {"), 1, "{gap} ms apart");
    }
}

/// Seed 123, law 10: the parent's record changed its UID and not its id, and nobody woke who waited for it.
#[test]
fn after_a_restored_backup_whoever_waits_for_a_parent_goes_on() {
    let spec = json!({"portalRef": {"name": "shop"}, "email": "ann@example.com", "status": "approved"});
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, konnect("PortalDeveloper", "ann", &spec)),
        Step { at: 6_000, action: Action::DeleteCrd { kind: "Portal".to_owned() } },
        Step { at: 60_000, action: Action::InstallCrd { kind: "Portal".to_owned() } },
        Step { at: 90_000, action: Action::Restore { from: 5_000 } },
    ];
    replay(&world(steps, Vec::new(), 90_001));
}

/// Seed 1001, law 1: a portal that was known again by its mark was forgotten, because the API refused the next change of it.
#[test]
fn a_marked_portal_is_recorded_although_the_next_change_of_it_is_refused() {
    let refused = json!({"labels": {"kong-reserved": "x"}});
    let (kind, namespace, name) = ("Portal".to_owned(), "world".to_owned(), "shop".to_owned());
    let steps = vec![
        apply(500, portal("shop")),
        Step { at: 520, action: Action::Edit { kind, namespace, name, spec: refused } },
    ];
    let lost = Fault {
        side: Side::Remote,
        from: 0,
        until: 60_000,
        nth: 0,
        times: 1,
        what: "create-portal".to_owned(),
        effect: Effect::AnswerLost,
    };
    replay(&world(steps, vec![lost], 61_000));
}

/// Seed 163, law 5: a wrong token came before the namespace went, and the one that had worked was not used.
#[test]
fn a_namespace_ends_although_a_wrong_token_came_just_before_it_went() {
    let wrong = vec![("token".to_owned(), "kpat_wrong".to_owned())];
    let (namespace, name) = ("world".to_owned(), "konnect".to_owned());
    let steps = vec![
        apply(500, portal("shop")),
        Step { at: 9_000, action: Action::Secret { namespace: namespace.clone(), name, data: wrong } },
        Step { at: 9_010, action: Action::DeleteNamespace { namespace } },
    ];
    replay(&world(steps, Vec::new(), 9_100));
}

/// How many requests of this method on such a path the operator sent, by the trace.
fn sent(outcome: &Outcome, method: &str, path: &str) -> usize {
    let is_one = |line: &&String| line.contains(" r0.") && line.contains(method) && line.contains(path);
    outcome.trace.iter().filter(is_one).count()
}

#[test]
fn a_portal_and_its_team_are_made_once_though_the_answer_to_the_create_is_lost() {
    let plan = Plan {
        seed: 1,
        switches: Switches::default(),
        before: connected(),
        steps: vec![
            apply(1_000, konnect("Portal", "shop", &json!({"connectionRef": {"name": "acme"}, "name": "shop"}))),
            apply(2_000, konnect("PortalTeam", "buyers", &json!({"portalRef": {"name": "shop"}, "name": "buyers"}))),
        ],
        faults: ["create-portal", "create-portal-team"]
            .map(|operation| Fault {
                side: Side::Remote,
                from: 0,
                until: 60_000,
                nth: 0,
                times: 1,
                what: operation.to_owned(),
                effect: Effect::AnswerLost,
            })
            .into(),
        replicas: 1,
        quiet_from: 120_000,
    };
    let outcome = replay(&plan);
    assert!(outcome.settled.is_some(), "it never came to rest");
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[AnswerLost]"), "no answer was lost:\n{trace}");
    assert_eq!(made(&outcome, "POST /v2/portals {"), 1, "portals:\n{trace}");
    assert_eq!(made(&outcome, "/teams {"), 1, "teams:\n{trace}");
    assert_eq!(replay(&plan).trace, outcome.trace, "the same plan went another way");
}
