//! Output Secrets that nothing has recorded.
use portico_simulation::plan::{Action, Effect, Fault, Plan, Side, Step};
use serde_json::{Value, json};

use crate::{
    decisions::edit,
    world::{acp, apply, delete, first, identity_world, replay, sent, server, step},
};

/// A client of the server `login` that hands out its credentials in a Secret.
fn client(name: &str, secret: &str) -> Value {
    let (server, lifecycle) = (json!({"name": "login"}), json!({"deletion": "Delete"}));
    let spec = json!({"serverRef": server, "credentialsSecret": {"name": secret}, "lifecycle": lifecycle});
    acp("OAuthClient", name, &spec)
}

/// The spec of a client names another Secret.
fn rename(at: u64, name: &str, secret: &str) -> Step {
    edit(at, "OAuthClient", name, json!({"credentialsSecret": {"name": secret}}))
}

fn crash(at: u64, down: u64) -> Step {
    step(at, Action::Crash { replica: 0, down })
}

/// The first create of a Secret after ten seconds.
fn tenth(effect: Effect) -> Fault {
    Fault { side: Side::Kubernetes, from: 9_900, ..first("create secrets", effect) }
}

/// Law 5: a client had its object, and was told of another Secret. Portico ended while that Secret was on its way, and the client was deleted.
/// The next process looked for the Secret at once and found none, and then it was there for nobody.
#[test]
fn an_output_secret_that_an_earlier_process_sent_is_waited_for_before_its_client_goes() {
    for seed in 1..=3 {
        let steps = vec![
            apply(500, server("login", &json!({}))),
            apply(3_000, client("shop", "handed")),
            rename(10_000, "shop", "elsewhere"),
            crash(10_700, 300),
            delete(11_500, "OAuthClient", "shop"),
        ];
        let late = tenth(Effect::Late(7_500));
        let outcome = replay(&Plan { seed, ..identity_world(steps, vec![late], 11_501) });
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "create secrets world/", "[Late(7500)]"), 1, "{trace}");
        assert_eq!(sent(&outcome, "delete secrets", "world/elsewhere"), 1, "{trace}");
    }
}

/// Law 5: the Secret of a second name was made, and nobody was told: its answer was lost, or came too late, or Portico ended before it could
/// write down the name. By then the spec said a third name. Of the second nothing was recorded, and it stayed when the client went.
#[test]
fn an_output_secret_under_a_name_that_nothing_has_recorded_goes_with_its_client() {
    let cases =
        [(Effect::AnswerLost, None), (Effect::Late(7_000), None), (Effect::AnswerLost, Some(crash(10_700, 2_000)))];
    for (effect, ends) in cases {
        let mut steps = vec![
            apply(500, server("login", &json!({}))),
            apply(3_000, client("shop", "handed")),
            rename(10_000, "shop", "elsewhere"),
        ];
        steps.extend(ends);
        steps.extend([rename(12_000, "shop", "third"), delete(40_000, "OAuthClient", "shop")]);
        let outcome = replay(&identity_world(steps, vec![tenth(effect.clone())], 40_001));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "create secrets world/", &format!("[{effect:?}]")), 1, "{trace}");
        for name in ["handed", "elsewhere", "third"] {
            assert_eq!(sent(&outcome, "delete secrets", &format!("world/{name}")), 1, "{name}: {trace}");
        }
    }
}

/// The same where the spec asks for no Secret at all by then, and the second one turned up after the first was removed.
#[test]
fn an_output_secret_that_turns_up_after_none_is_asked_for_goes_with_its_client() {
    let steps = vec![
        apply(500, server("login", &json!({}))),
        apply(3_000, client("shop", "handed")),
        rename(10_000, "shop", "elsewhere"),
        edit(12_000, "OAuthClient", "shop", json!({"credentialsSecret": null})),
        delete(40_000, "OAuthClient", "shop"),
    ];
    let outcome = replay(&identity_world(steps, vec![tenth(Effect::Late(8_000))], 40_001));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "create secrets world/", "[Late(8000)]"), 1, "{trace}");
    assert_eq!(sent(&outcome, "delete secrets", "world/elsewhere"), 1, "{trace}");
}
