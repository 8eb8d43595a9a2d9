//! Whose credentials stand in a Secret: of two clients that would hand them out in one, of two that name one client at the API, and of one
//! that is told of another Secret while its create is on its way.
use portico_simulation::plan::{Action, Effect, Plan, Step};
use serde_json::{Value, json};

use crate::world::{acp, apply, delete, first, identity_world, remove, replay, sent, server, step};

/// A client of the server `login` that hands out its credentials in the Secret `handed`.
fn client(name: &str, description: &str) -> Value {
    let (server, secret) = (json!({"name": "login"}), json!({"name": "handed"}));
    let spec = json!({"serverRef": server, "credentialsSecret": secret, "description": description});
    acp("OAuthClient", name, &spec)
}

/// The client `shop` has the Secret, and `kiosk` wants it.
fn both() -> Vec<Step> {
    vec![
        apply(500, server("login", &json!({}))),
        apply(3_000, client("shop", "as it was")),
        apply(6_000, client("kiosk", "too late")),
    ]
}

fn pause(value: Option<&str>) -> Action {
    Action::Annotate {
        kind: "OAuthClient".to_owned(),
        namespace: "world".to_owned(),
        name: "shop".to_owned(),
        key: "portico.dev/paused".to_owned(),
        value: value.map(str::to_owned),
    }
}

fn take_away() -> Action {
    Action::DeleteSecret { namespace: "world".to_owned(), name: "handed".to_owned() }
}

/// Seed 5007395, law 9: a person took the Secret of a client away while nobody was there, and another client of the same Secret was faster
/// than the one that makes it again. Its programs found the credentials of the other there, and its own stood nowhere.
#[test]
fn a_secret_that_was_taken_away_is_made_again_for_the_client_that_had_it() {
    for seed in 1..=6 {
        let steps = both().into_iter().chain([
            step(20_000, Action::Crash { replica: 0, down: 5_000 }),
            apply(22_000, client("shop", "as it is")),
            step(24_000, take_away()),
        ]);
        let outcome = replay(&Plan { seed, ..identity_world(steps.collect(), Vec::new(), 24_001) });
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/clients {"), 1, "{trace}");
        assert_eq!(sent(&outcome, "PUT", "/clients/"), 1, "{trace}");
        assert_eq!(sent(&outcome, "create secrets world/", "{"), 2, "{trace}");
    }
}

/// Beside it: the client that had the Secret is paused, and so does not make it again before the pause ends, if ever.
#[test]
fn a_secret_that_was_taken_away_from_a_paused_client_waits_for_it() {
    for resumed in [false, true] {
        let mut steps = both();
        steps.extend([step(9_000, pause(Some("true"))), step(12_000, take_away())]);
        steps.extend(resumed.then(|| step(30_000, pause(None))));
        let outcome = replay(&identity_world(steps, Vec::new(), 30_001));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/clients {"), 1, "{trace}");
        assert_eq!(sent(&outcome, "create secrets world/", "{"), 1 + usize::from(resumed), "{trace}");
    }
}

/// Beside it: nobody waits any longer than the one that had the Secret wants it. Nothing else tells, as the Secret is not there.
#[test]
fn a_secret_that_was_taken_away_is_free_once_the_client_that_had_it_gives_it_up() {
    let moved = Action::Edit {
        kind: "OAuthClient".to_owned(),
        namespace: "world".to_owned(),
        name: "shop".to_owned(),
        spec: json!({"credentialsSecret": {"name": "elsewhere"}}),
    };
    for end in [step(20_000, moved), delete(20_000, "OAuthClient", "shop")] {
        let mut steps = both();
        steps.extend([step(9_000, pause(Some("true"))), step(12_000, take_away()), end]);
        steps.push(step(40_000, pause(None)));
        let outcome = replay(&identity_world(steps, Vec::new(), 40_001));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/clients {"), 2, "{trace}");
        let creates = outcome.trace.iter().filter(|line| line.contains("POST") && line.contains("/clients {"));
        let at: Vec<f64> = creates.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        assert!(at.iter().any(|at| (20.0..21.0).contains(at)), "it is told at once: {trace}");
    }
}

/// The client `counter` of the server `login`, under a name of its own, and the Secret that it hands out its credentials in, if any.
fn same_client(name: &str, secret: Option<&str>) -> Value {
    let mut spec = json!({"serverRef": {"name": "login"}, "clientId": "counter"});
    if let Some(secret) = secret {
        spec["credentialsSecret"] = json!({ "name": secret });
    }
    acp("OAuthClient", name, &spec)
}

/// Seed 7007264: two resources named one client, and only the one that did not make it hands out credentials. What it would hand out is not
/// what the client has, and nothing is written for it. Beside it: the one that made it hands out, or both do, each somewhere else.
#[test]
fn of_two_resources_of_one_client_only_the_one_that_made_it_hands_out_its_secret() {
    let choices = [(None, Some("theirs")), (Some("handed"), None), (Some("handed"), Some("theirs"))];
    for (older, younger) in choices {
        for seed in 1..=3 {
            // Both are there when the client is made, as both wait for its server.
            let steps = vec![
                apply(500, same_client("shop", older)),
                apply(2_500, same_client("kiosk", younger)),
                apply(6_000, server("login", &json!({}))),
            ];
            let outcome = replay(&Plan { seed, ..identity_world(steps, Vec::new(), 6_001) });
            let trace = outcome.trace.join("\n");
            assert_eq!(sent(&outcome, "POST", "/clients {"), 1, "{trace}");
            assert_eq!(sent(&outcome, "create secrets world/", "{"), usize::from(older.is_some()), "{trace}");
        }
    }
}

/// Beside it: the spec is told of a Secret, or of another one, while the create is on its way. What was sent follows the spec of before, and
/// the Secret has it once the create is known.
#[test]
fn a_secret_that_is_named_while_the_create_is_on_its_way_gets_what_was_sent() {
    for before in [None, Some("handed")] {
        let moved = Action::Edit {
            kind: "OAuthClient".to_owned(),
            namespace: "world".to_owned(),
            name: "shop".to_owned(),
            spec: json!({"credentialsSecret": {"name": "elsewhere"}}),
        };
        let steps = vec![
            apply(500, server("login", &json!({}))),
            apply(3_000, same_client("shop", before)),
            step(5_000, moved),
        ];
        let outcome = replay(&identity_world(steps, vec![first("createClient", Effect::Late(4_000))], 20_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/clients {"), 1, "{trace}");
        let kept = usize::from(before.is_some());
        assert_eq!(sent(&outcome, "create secrets world/", "{"), 1 + kept, "{trace}");
    }
}

/// Seed 9004974, law 9: a person took the Secret away while a create that carries it was on its way, the client of the next try was deleted by
/// a stranger, and then the first one was carried out. Nobody can take back what is on its way; the next sweep puts it right.
#[test]
fn a_secret_that_was_taken_away_while_it_was_sent_is_put_right_once_what_was_sent_takes_effect() {
    let steps = vec![
        apply(500, server("login", &json!({}))),
        apply(3_000, client("shop", "as it was")),
        step(3_300, take_away()),
        remove(9_700, "OAuthClient", 0),
    ];
    let outcome = replay(&identity_world(steps, vec![first("createClient", Effect::Late(8_300))], 9_701));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/clients {"), 2, "{trace}");
    assert_eq!(sent(&outcome, "create secrets world/", "{"), 2, "{trace}");
    assert_eq!(sent(&outcome, "PUT", "/clients/"), 1, "{trace}");
}
