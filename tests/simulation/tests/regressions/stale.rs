//! What stays as it was though the object is another one, or nobody can look at it, or its parent has gone over to another connection.
use portico_simulation::{
    Outcome,
    plan::{Action, Effect, Fault, Millis, Side, Stranger},
};
use serde_json::json;

use crate::{
    decisions::{edit, times},
    decisions_delete::annotate,
    world::{acp, apply, delete, identity_world, konnect, portal, remove, replay, sent, server, step, team, world},
};

/// This happens to every request of an operation, for ten minutes.
fn always(operation: &str, effect: Effect) -> Fault {
    Fault {
        side: Side::Remote,
        from: 15_000,
        until: 600_000,
        nth: 0,
        times: 10_000,
        what: operation.to_owned(),
        effect,
    }
}

/// Whether a status of this resource was written in this time.
fn is_told(outcome: &Outcome, plural: &str, name: &str, from: Millis, until: Millis) -> bool {
    let writes = times(outcome, &format!("patch {plural}/status world/{name} "), "");
    writes.iter().any(|at| (from..until).contains(at))
}

/// Law 9: a portal that a stranger deleted was made again, and its custom domain was said to be verified since the one before was. Nobody
/// asked for the verification of the new one. So it is where the answer to the second create does not come.
#[test]
fn the_domain_of_a_portal_that_is_made_again_is_verified_again() {
    let mut shop = portal("shop");
    shop["spec"]["customDomain"] = json!("docs.example.com");
    for crash in [false, true] {
        let fault = Fault { nth: 1, times: 1, from: 0, ..always("create-portal", Effect::CrashAfter) };
        let faults = crash.then_some(fault).into_iter().collect();
        let steps = vec![apply(1_000, shop.clone()), remove(30_000, "Portal", 0)];
        let outcome = replay(&world(steps, faults, 300_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2, "crash: {crash}\n{trace}");
        assert_eq!(sent(&outcome, "POST", "/verify-domain"), 2, "crash: {crash}\n{trace}");
    }
}

/// Law 9: a listing shows that an object differs, and the API fails whenever that object itself is asked for. Its status said for ever that it
/// equals the spec, since others of its connection were answered.
#[test]
fn an_object_that_cannot_be_read_for_long_is_not_said_to_be_as_the_spec_says() {
    let shop = konnect("Portal", "shop", &json!({"connectionRef": {"name": "acme"}, "description": "ours"}));
    let (kind, field) = ("Portal".to_owned(), "description".to_owned());
    let change = Action::Stranger(Stranger::Change { kind, which: 0, field, value: json!("theirs") });
    let steps = vec![apply(1_000, shop), step(20_000, change)];
    let outcome = replay(&world(steps, vec![always("get-portal", Effect::Status(500, None))], 601_000));
    let trace = outcome.trace.join("\n");
    assert!(is_told(&outcome, "portals", "shop", 200_000, 600_000), "{trace}");
    assert_eq!(sent(&outcome, "PATCH", "/v2/portals/"), 1, "{trace}");
}

/// Law 9: one collection of a connection never answers. Each try shut the gate, and the probe that opened it counted as a look at all objects:
/// the silence never came to its end.
#[test]
fn a_probe_is_no_look_at_the_collection_that_does_not_answer() {
    let faults = ["list-portal-teams", "get-portal-team"].map(|operation| always(operation, Effect::Lost));
    let steps = vec![apply(1_000, portal("shop")), apply(3_000, team())];
    let outcome = replay(&world(steps, faults.into(), 601_000));
    let trace = outcome.trace.join("\n");
    assert!(is_told(&outcome, "portalteams", "readers", 100_000, 600_000), "{trace}");
}

/// Law 5, and the recipe is all that a deletion needs: a portal goes over to another connection to the same account, and what is below it kept
/// the one before in its record. That one could not be deleted until it had been silent for three intervals.
#[test]
fn what_is_below_a_portal_follows_it_to_another_connection_and_the_one_before_can_go() {
    let connection = json!({
        "region": "eu",
        "tokenSecretRef": {"name": "konnect"},
        "resyncInterval": "60s",
        "requestTimeout": "5s",
        "rateLimit": {"requestsPerSecond": 100, "burst": 100},
    });
    let steps = vec![
        apply(200, konnect("KonnectConnection", "second", &connection)),
        apply(1_000, portal("shop")),
        apply(4_000, team()),
        edit(10_000, "Portal", "shop", json!({"connectionRef": {"name": "second"}})),
        delete(30_000, "KonnectConnection", "acme"),
    ];
    let outcome = replay(&world(steps, Vec::new(), 31_000));
    let trace = outcome.trace.join("\n");
    assert!(is_told(&outcome, "portalteams", "readers", 10_000, 30_000), "{trace}");
    let released = times(&outcome, "patch konnectconnections world/acme ", "");
    assert!(released.iter().any(|at| (30_000..120_000).contains(at)), "{released:?}\n{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals"), 0, "{trace}");
}

/// Law 12: a client has handed out its credentials in a Secret, and the write that says so is lost. Whoever wanted the same Secret took it as
/// soon as it was taken away: the end of the pass that had written it forgot that it had.
#[test]
fn a_secret_that_was_handed_out_and_is_not_recorded_yet_is_nobody_elses() {
    let lost = Fault {
        side: Side::Kubernetes,
        from: 9_000,
        until: 30_000,
        ..always("patch oauthclients/status", Effect::Lost)
    };
    let (server_ref, secret) = (json!({"name": "login"}), json!({"name": "handed"}));
    let kiosk = json!({"serverRef": server_ref, "credentialsSecret": secret});
    let take_away = Action::DeleteSecret { namespace: "world".to_owned(), name: "handed".to_owned() };
    let steps = vec![
        apply(500, server("login", &json!({}))),
        apply(3_000, acp("OAuthClient", "shop", &json!({"serverRef": server_ref}))),
        edit(9_000, "OAuthClient", "shop", json!({"credentialsSecret": secret})),
        apply(12_000, acp("OAuthClient", "kiosk", &kiosk)),
        // It does not make the Secret again before the pause ends.
        annotate(15_000, "OAuthClient", "shop", "paused", Some("true")),
        step(18_000, take_away),
        annotate(40_000, "OAuthClient", "shop", "paused", None),
    ];
    let outcome = replay(&identity_world(steps, vec![lost], 41_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/clients {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "create secrets world/", "{"), 2, "{trace}");
}

/// Law 5: a connection that is to go waits for a server of which nothing says the connection any more. Once that one had gone, nothing woke the
/// connection but its own next try.
#[test]
fn a_connection_goes_at_once_when_the_misnamed_server_that_it_waited_for_is_gone() {
    let crash = Fault { from: 0, times: 1, ..always("createAuthorizationServer", Effect::CrashAfter) };
    let steps = vec![
        apply(2_000, server("login", &json!({}))),
        edit(3_000, "AuthorizationServer", "login", json!({"connectionRef": {"name": "missing"}})),
        delete(20_000, "AcpConnection", "identity"),
        delete(60_000, "AuthorizationServer", "login"),
    ];
    let outcome = replay(&identity_world(steps, vec![crash], 61_000));
    let (trace, deletes) = (outcome.trace.join("\n"), times(&outcome, "DELETE", "/servers/"));
    assert_eq!(deletes.len(), 1, "{trace}");
    let released = times(&outcome, "patch acpconnections world/identity ", "");
    let is_at_once = |at: &Millis| (deletes[0]..deletes[0] + 2_000).contains(at);
    assert!(released.iter().any(is_at_once), "{deletes:?}, {released:?}\n{trace}");
}
