//! A wish for a new secret that was answered twice, a good token that was not used, and an id in capitals that nobody was woken for. None of
//! these worlds is of a seed.
use portico_sandbox::{AcpSwitches, Switches};
use portico_simulation::plan::{Action, Effect, Fault, Millis, Plan, Step};
use serde_json::{Value, json};

use crate::{
    decisions::times,
    world::{acp, apply, delete, first, identity_world, konnect, portal, replay, sent, server, step, world},
};

fn annotate(at: Millis, key: &str, value: Option<&str>) -> Step {
    let (kind, namespace, name) = ("OAuthClient".to_owned(), "world".to_owned(), "shop".to_owned());
    step(at, Action::Annotate { kind, namespace, name, key: key.to_owned(), value: value.map(str::to_owned) })
}

/// README, Rotation: one pass found another wish for a new secret, and another key, or another Secret, for it. What was carried over from
/// there brought the wish of before with it, and the new one counted as unanswered: the secret was changed once more at once.
#[test]
fn a_wish_that_comes_with_another_place_for_the_secret_is_answered_once() {
    let places = [json!({"name": "handed", "keys": {"clientSecret": "password"}}), json!({"name": "elsewhere"})];
    for place in places {
        let spec = json!({"serverRef": {"name": "login"}, "credentialsSecret": {"name": "handed"}});
        let moved = Action::Edit {
            kind: "OAuthClient".to_owned(),
            namespace: "world".to_owned(),
            name: "shop".to_owned(),
            spec: json!({ "credentialsSecret": place }),
        };
        let steps = vec![
            apply(500, server("login", &json!({}))),
            apply(3_000, acp("OAuthClient", "shop", &spec)),
            annotate(10_000, "portico.dev/rotate", Some("a wish")),
            annotate(20_000, "portico.dev/paused", Some("true")),
            annotate(22_000, "portico.dev/rotate", Some("another wish")),
            step(22_500, moved),
            annotate(24_000, "portico.dev/paused", None),
        ];
        let outcome = replay(&identity_world(steps, Vec::new(), 24_001));
        assert_eq!(sent(&outcome, "PUT", "/clients/"), 2, "{}", outcome.trace.join("\n"));
    }
}

/// The gate: a token endpoint asked for a pause when a token was to be renewed early. That one was good for a while yet, and nothing was sent
/// with it all the same, for as long as the endpoint had said.
#[test]
fn a_token_that_is_still_good_is_used_while_its_endpoint_asks_for_a_pause() {
    let switches = Switches { acp: AcpSwitches { expires_in: 60, ..AcpSwitches::default() }, ..Switches::default() };
    let status = Effect::Status(429, Some(40));
    let busy = Fault { from: 45_000, until: 58_000, times: 1_000, ..first("token", status) };
    let steps = vec![apply(53_000, server("main", &json!({}))), apply(54_500, server("other", &json!({})))];
    let outcome = replay(&Plan { switches, ..identity_world(steps, vec![busy], 120_000) });
    let trace = outcome.trace.join("\n");
    assert!(times(&outcome, "POST", "/oauth2/token").iter().any(|at| (45_000..58_000).contains(at)), "{trace}");
    let made = times(&outcome, "POST", "/servers {");
    assert!(made.len() == 2 && made.iter().all(|at| *at < 57_000), "{made:?}: {trace}");
}

/// Law 12: a resource was bound by an id in capitals to a team that another one had. When that one let the team go, nobody told the first.
#[test]
fn who_waits_for_an_id_in_capitals_is_told_when_it_is_free() {
    let team = |name: &str, more: Value| {
        let mut spec = json!({"portalRef": {"name": "shop"}, "developers": {"items": []}, "lifecycle": more});
        spec["name"] = json!(format!("API {name}"));
        konnect("PortalTeam", name, &spec)
    };
    let look = |more: Vec<Step>| {
        let steps = [apply(500, portal("shop")), apply(3_000, team("readers", json!({"deletion": "Retain"})))];
        replay(&world(steps.into_iter().chain(more).collect(), Vec::new(), 24_001))
    };
    let alone = look(Vec::new()).trace;
    let is_id = |id: &&str| id.len() == 36 && id.chars().all(|letter| letter == '-' || letter.is_ascii_hexdigit());
    let id = alone.iter().filter_map(|line| line.split_once("/teams/")?.1.get(..36)).rfind(is_id);
    let id = id.expect("it is in a path").to_uppercase();
    let outcome = look(vec![
        apply(20_000, team("writers", json!({"adoption": "Adopt", "id": id}))),
        delete(24_000, "PortalTeam", "readers"),
    ]);
    let taken = times(&outcome, "PATCH", "/teams/");
    assert!(taken.first().is_some_and(|at| *at < 27_000), "{taken:?}: {}", outcome.trace.join("\n"));
}
