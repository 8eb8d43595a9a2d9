//! What is written down before a create is sent, and what its result may be taken for: a small world for each way that a decision can go.
use portico_simulation::{
    Outcome,
    plan::{Effect, Fault},
};
use serde_json::json;

use crate::{
    decisions::times,
    world::{acp, apply, delete, first, hours, identity_world, make, portal, replay, sent, server, team, token, world},
};

/// How often a create was written down together with conditions, which say then that the object is being created. Where they stay as they
/// are, a write that says which version it is for begins with the intent, or with what the API has accepted.
fn announced(outcome: &Outcome, plural: &str, name: &str) -> usize {
    let intent = format!("patch {plural}/status world/{name} {{\"metadata\":{{\"resourceVersion\":");
    sent(outcome, &intent, "\"status\":{\"conditions\":")
}

/// Law 9: a wait for something else is no failure of the last try. When it is over, the status says that the object is being created, and
/// no more what it waited for.
#[test]
fn a_team_that_waited_for_its_portal_says_that_it_is_being_created() {
    let steps = vec![apply(1_000, team()), apply(5_000, portal("shop"))];
    let outcome = replay(&world(steps, Vec::new(), 6_000));
    let trace = outcome.trace.join("\n");
    let waited = sent(&outcome, "patch portalteams/status world/readers ", "\"message\":\"Portal world/shop");
    assert!(waited > 0, "it did not wait:\n{trace}");
    assert_eq!(announced(&outcome, "portalteams", "readers"), 1, "{trace}");
}

/// Law 4: each try of a replay that the API refuses, because another one is under way that cannot be seen, is announced in the status, and
/// does not say that it is being created: that would be news every time.
#[test]
fn a_replay_that_waits_for_another_one_says_so_once() {
    let until = 150_000;
    let taken = first("update-portal-audit-log-replay-job", Effect::Status(409, None));
    let taken = Fault { until, times: 1_000, ..taken };
    let steps = vec![apply(500, portal("shop")), apply(3_000, hours("one", 29))];
    let outcome = replay(&world(steps, vec![taken], until + 1));
    let trace = outcome.trace.join("\n");
    assert!(sent(&outcome, "PUT", "/audit-log-replay-job {") > 3, "{trace}");
    assert_eq!(announced(&outcome, "portalauditlogreplays", "one"), 1, "at the first try alone:\n{trace}");
}

/// Law 2: a client that equals what was sent in all but its secret was made by somebody else: the create, of which nothing was heard, would
/// have made it with the secret that Portico chose.
#[test]
fn a_client_of_the_chosen_id_with_another_secret_is_a_strangers() {
    let spec = json!({
        "serverRef": {"name": "login"},
        "clientId": "chosen",
        "clientName": "chosen",
        "credentialsSecret": {"name": "shop-credentials"},
    });
    let steps = vec![
        apply(2_000, server("login", &json!({}))),
        apply(4_000, acp("OAuthClient", "shop", &spec)),
        make(10_000, "OAuthClient", "chosen"),
        delete(60_000, "OAuthClient", "shop"),
    ];
    let outcome = replay(&identity_world(steps, vec![first("createClient", Effect::Lost)], 61_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/clients {"), 1, "{trace}");
    let said = sent(&outcome, "patch oauthclients/status world/shop ", "\"message\":\"a OAuthClient");
    assert!(said > 0, "nobody took the id:\n{trace}");
    assert_eq!(sent(&outcome, "PUT", "/clients/") + sent(&outcome, "DELETE", "/clients/"), 0, "{trace}");
}

/// Law 3: a create that is on its way may make something that another organization does not show. The token of one is not taken
/// meanwhile.
#[test]
fn while_a_create_is_on_its_way_the_token_of_another_organization_is_not_taken() {
    let steps =
        vec![apply(2_000, portal("shop")), token(2_500, "kpat_other_organization"), token(90_000, "${konnect.token}")];
    let late = first("create-portal", Effect::Late(4_000));
    let outcome = replay(&world(steps, vec![late], 91_000));
    let trace = outcome.trace.join("\n");
    let creates = times(&outcome, "POST", "/v2/portals {");
    assert!(creates.len() == 1 && creates[0] < 2_500, "{creates:?}\n{trace}");
    // The create is answered after 6 s.
    let asked = times(&outcome, "patch konnectconnections/status world/acme ", "\"status\":{\"absence\":{");
    assert!(asked.first().is_some_and(|at| *at < 6_000), "{asked:?}\n{trace}");
}
