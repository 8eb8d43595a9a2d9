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
