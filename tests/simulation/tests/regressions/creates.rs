//! Creates of which nothing is known yet, and the ways to what they made.
use portico_sandbox::Switches;
use portico_simulation::plan::{Action, Effect, Fault, Plan, Side, Step, Stranger};
use serde_json::{Value, json};

use crate::{
    decisions::{look, times},
    world::{
        acp, apply, delete, first, first_lost, identity_world, konnect, made, make, portal, provider, remove, replay,
        sent, server, shared, step, world,
    },
};

/// A lost answer is no reason to make a thing twice (law 1), and the same plan goes the same way.
#[test]
fn a_portal_and_its_team_are_made_once_though_the_answer_to_the_create_is_lost() {
    let team = json!({"portalRef": {"name": "shop"}, "name": "buyers"});
    let steps = vec![apply(1_000, portal("shop")), apply(2_000, konnect("PortalTeam", "buyers", &team))];
    let plan = world(steps, ["create-portal", "create-portal-team"].map(first_lost).into(), 120_000);
    let outcome = replay(&plan);
    assert!(outcome.settled.is_some(), "it never came to rest");
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[AnswerLost]"), "no answer was lost:\n{trace}");
    assert_eq!(made(&outcome, "POST /v2/portals {"), 1, "portals:\n{trace}");
    assert_eq!(made(&outcome, "/teams {"), 1, "teams:\n{trace}");
    assert_eq!(replay(&plan).trace, outcome.trace, "the same plan went another way");
}

/// Seed 6642, laws 1 and 12: another portal wanted the name of one whose create lost its answer, so nobody ever looked for what it had made.
#[test]
fn a_portal_finds_what_it_made_although_another_one_wants_its_name_meanwhile() {
    let (kind, namespace, name) = ("Portal".to_owned(), "world".to_owned(), "blog".to_owned());
    let renamed = json!({"name": "shop"});
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, portal("blog")),
        // The create fails at 5,500 and is looked for two seconds after that.
        Step { at: 6_000, action: Action::Edit { kind, namespace, name, spec: renamed } },
    ];
    let outcome = replay(&world(steps, vec![first_lost("create-portal")], 61_000));
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2);
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
    replay(&world(steps, vec![first_lost("create-portal")], 61_000));
}

/// Seed 53728, law 1: the create of a provider that was deleted at once was still on its way when another sent the like, and the deletion of
/// the first would have taken what the second had made for the outcome.
#[test]
fn a_provider_waits_until_the_open_create_of_one_that_is_being_deleted_is_settled() {
    let late = first("create-portal-identity-provider", Effect::Late(10_000));
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, provider("one", &json!({}))),
        apply(3_100, provider("two", &json!({"enabled": false}))),
        delete(3_500, "PortalIdentityProvider", "one"),
    ];
    let outcome = replay(&world(steps, vec![late], 61_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/identity-providers {"), 2, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/identity-providers/"), 1, "{trace}");
}

/// Seed 56702, laws 1 and 3: a client knows its connection through its server alone, and that went while the client's create was open.
#[test]
fn a_server_stays_until_its_client_has_found_what_it_made() {
    let server = json!({"connectionRef": {"name": "identity"}, "lifecycle": {"deletion": "Retain"}});
    let client = json!({"serverRef": {"name": "login"}, "lifecycle": {"deletion": "Delete"}});
    let steps = vec![
        apply(2_000, acp("AuthorizationServer", "login", &server)),
        apply(4_000, acp("OAuthClient", "shop", &client)),
        delete(4_100, "OAuthClient", "shop"),
        step(5_000, Action::Stop { replica: 0, down: 20_000 }),
        delete(12_000, "AuthorizationServer", "login"),
    ];
    let late = first("createClient", Effect::Late(13_000));
    let outcome = replay(&identity_world(steps, vec![late], 26_000));
    assert!(sent(&outcome, "DELETE", "/clients/") > 0, "{}", outcome.trace.join("\n"));
}

/// Seeds 68583 and 63871, law 1: the create of a derived id was on its way when it was sent again and answered, and the deletion did not wait
/// for it: the first success had wiped what was known of it.
#[test]
fn a_server_that_was_made_at_the_second_try_waits_with_its_deletion_for_the_first() {
    for crash in [None, Some(4_000)] {
        let mut steps = vec![apply(2_000, server("login", &json!({})))];
        steps.extend(crash.map(|at| step(at, Action::Crash { replica: 0, down: 3_000 })));
        steps.push(delete(11_000, "AuthorizationServer", "login"));
        let late = first("createAuthorizationServer", Effect::Late(9_900));
        let outcome = replay(&identity_world(steps, vec![late], 61_000));
        assert_eq!(sent(&outcome, "POST", "/servers {"), 2, "{}", outcome.trace.join("\n"));
        assert_eq!(sent(&outcome, "DELETE", "/servers/"), 1, "{}", outcome.trace.join("\n"));
    }
}

/// Seed 7025041, law 1: the same, and the process that waited for the first try ended. The one after it knew of nothing, and deleted at
/// once: the record itself says that another create may still come. Whether it is deleted before the crash, while nobody runs, or later.
#[test]
fn a_server_that_was_made_at_the_second_try_waits_for_the_first_in_the_next_process_too() {
    for end in [10_200, 10_600, 12_000] {
        let steps = vec![
            apply(2_000, server("login", &json!({}))),
            step(10_500, Action::Crash { replica: 0, down: 300 }),
            delete(end, "AuthorizationServer", "login"),
        ];
        let late = first("createAuthorizationServer", Effect::Late(12_500));
        let outcome = replay(&identity_world(steps, vec![late], 61_000));
        let (trace, deletes) = (outcome.trace.join("\n"), times(&outcome, "DELETE", "/servers/"));
        assert_eq!(sent(&outcome, "POST", "/servers {"), 2, "{trace}");
        assert!(deletes.len() == 1 && deletes[0] > 14_500, "{deletes:?}\n{trace}");
    }
}

/// The same of one that had vanished: it was recorded all the while, and the process ended as the second try was on its way.
#[test]
fn a_server_that_is_made_again_at_the_second_try_waits_for_the_first_in_the_next_process_too() {
    let again = Fault { nth: 1, ..first("createAuthorizationServer", Effect::Late(25_000)) };
    let crash = Fault { nth: 2, ..first("createAuthorizationServer", Effect::CrashAfter) };
    let steps = vec![
        apply(2_000, server("login", &json!({}))),
        remove(8_000, "AuthorizationServer", 0),
        look(8_500, "AuthorizationServer", "login"),
        // The next process has begun after 8 s at the most.
        delete(26_000, "AuthorizationServer", "login"),
    ];
    let outcome = replay(&identity_world(steps, vec![again, crash], 61_000));
    let (trace, deletes) = (outcome.trace.join("\n"), times(&outcome, "DELETE", "/servers/"));
    assert_eq!(sent(&outcome, "POST", "/servers {"), 3, "{trace}");
    assert!(deletes.len() == 1 && deletes[0] > 33_500, "{deletes:?}\n{trace}");
}

/// Seed 63465, law 1: while a portal's create was on its way the portal of a stranger was adopted, and the deletion of that one left behind
/// what the create made; the same where another process had sent it.
#[test]
fn a_portal_that_adopted_another_one_waits_with_its_deletion_for_its_late_create() {
    for crash in [None, Some(4_500)] {
        let lifecycle = json!({"adoption": "Adopt", "deletion": "Delete"});
        let spec = json!({"connectionRef": {"name": "acme"}, "name": "shop", "lifecycle": lifecycle});
        let theirs = Stranger::Make { kind: "Portal".to_owned(), key: "shop".to_owned() };
        let mut steps = vec![apply(500, konnect("Portal", "shop", &spec)), step(1_280, Action::Stranger(theirs))];
        steps.extend(crash.map(|at| step(at, Action::Crash { replica: 0, down: 3_900 })));
        steps.push(delete(10_830, "Portal", "shop"));
        let outcome = replay(&world(steps, vec![first("create-portal", Effect::Late(11_510))], 61_000));
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{}", outcome.trace.join("\n"));
        // The deletion waits; meanwhile the adopted portal has the name, and the API refuses what comes late.
        assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{}", outcome.trace.join("\n"));
    }
}

/// Seed 102852, law 2: the answer to the status write of an intent was lost, so the create was never sent, and the equal publication that a
/// stranger made meanwhile was taken for its outcome and deleted. The process that had not sent it knows that it had not.
#[test]
fn what_a_stranger_makes_is_not_the_outcome_of_a_create_that_was_never_sent() {
    const VERSION: &str = "c47d0e52-3b1f-4a86-9d20-000000000002";
    let unanswered = Fault {
        side: Side::Kubernetes,
        from: 2_500,
        until: 8_000,
        nth: 0,
        times: 1_000,
        what: "patch portalproductversions/status".to_owned(),
        effect: Effect::AnswerLost,
    };
    let spec = json!({"portalRef": {"name": "shop"}, "productVersionId": VERSION});
    let steps = vec![
        make(0, "ApiProductVersion", VERSION),
        apply(500, portal("shop")),
        apply(3_000, konnect("PortalProductVersion", "payments", &spec)),
        make(5_000, "PortalProductVersion", VERSION),
        delete(70_000, "PortalProductVersion", "payments"),
    ];
    let outcome = replay(&world(steps, vec![unanswered], 70_001));
    assert_eq!(sent(&outcome, "PUT", "/product-versions/"), 0, "{}", outcome.trace.join("\n"));
    assert_eq!(sent(&outcome, "DELETE", "/product-versions/"), 0, "{}", outcome.trace.join("\n"));
}

/// Seed 221569, laws 1 and 3: a client's create was not recorded before a crash, and its server, through which alone it knows its connection,
/// was released meanwhile. The client was let go of, and its object was there.
#[test]
fn a_client_whose_server_is_no_more_finds_what_it_made_before_it_goes() {
    for with_connection in [false, true] {
        let retained = json!({"connectionRef": {"name": "identity"}, "lifecycle": {"deletion": "Retain"}});
        let client = json!({"serverRef": {"name": "login"}, "lifecycle": {"deletion": "Delete"}});
        let mut steps = vec![
            apply(2_000, acp("AuthorizationServer", "login", &retained)),
            apply(4_000, acp("OAuthClient", "shop", &client)),
            step(4_500, Action::Crash { replica: 0, down: 10_000 }),
            delete(6_000, "AuthorizationServer", "login"),
            delete(40_000, "OAuthClient", "shop"),
        ];
        if with_connection {
            steps.push(delete(40_001, "AcpConnection", "identity"));
        }
        let late = first("createClient", Effect::Late(3_000));
        let outcome = replay(&identity_world(steps, vec![late], 61_000));
        assert_eq!(sent(&outcome, "DELETE", "/clients/"), 1, "{}", outcome.trace.join("\n"));
    }
}

/// Seed 11016534, law 3: the same without a crash, and the connection went while the client was still to live; nobody could delete it then.
#[test]
fn a_connection_stays_for_a_client_of_which_nobody_knows_what_it_made_below_a_server_that_is_gone() {
    let retained = json!({"connectionRef": {"name": "identity"}, "lifecycle": {"deletion": "Retain"}});
    let client = json!({"serverRef": {"name": "login"}, "lifecycle": {"deletion": "Delete"}});
    let steps = vec![
        apply(2_000, acp("AuthorizationServer", "login", &retained)),
        apply(4_000, acp("OAuthClient", "shop", &client)),
        delete(4_300, "AuthorizationServer", "login"),
        delete(5_000, "AcpConnection", "identity"),
        delete(20_000, "OAuthClient", "shop"),
    ];
    let outcome = replay(&identity_world(steps, vec![first("createClient", Effect::AnswerLost)], 61_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/clients {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/clients/"), 1, "{trace}");
    assert_eq!(sent(&outcome, "patch acpconnections world/identity {", "\"finalizers\":[]"), 1, "{trace}");
}

/// Beside it, law 5: the server goes in the same moment, and another connection of the namespace never works. The client looks where its
/// server leads while that is there, and asks nobody else.
#[test]
fn a_client_that_goes_with_its_server_does_not_wait_for_a_connection_that_was_never_its_own() {
    let kept = json!({"lifecycle": {"deletion": "Delete"}});
    let client = json!({"serverRef": {"name": "login"}, "lifecycle": {"deletion": "Delete"}});
    let broken = json!({
        "url": "https://acp.example.com",
        "tenant": "acme",
        "clientCredentials": {"secretRef": {"name": "nowhere"}},
    });
    let steps = vec![
        apply(100, acp("AcpConnection", "broken", &broken)),
        apply(2_000, server("login", &kept)),
        apply(4_000, acp("OAuthClient", "shop", &client)),
        step(4_500, Action::Crash { replica: 0, down: 10_000 }),
        delete(6_000, "AuthorizationServer", "login"),
        delete(6_001, "OAuthClient", "shop"),
    ];
    let outcome = replay(&identity_world(steps, vec![first("createClient", Effect::Late(3_000))], 61_000));
    assert_eq!(sent(&outcome, "DELETE", "/clients/"), 1, "{}", outcome.trace.join("\n"));
}

/// Seed 120168, law 1: the create of a derived id was not recorded before a crash, and nobody knew of its outcome any more once the user had
/// bound the resource to another object.
#[test]
fn a_server_that_is_bound_to_another_one_is_known_to_have_what_it_made_before() {
    for other in ["strange", "nowhere"] {
        let bound = json!({"lifecycle": {"adoption": "Adopt", "id": other}, "cookieMaxAge": "8h"});
        let steps = vec![
            make(0, "AuthorizationServer", "strange"),
            apply(2_000, server("login", &json!({"cookieMaxAge": "8h"}))),
            step(2_500, Action::Crash { replica: 0, down: 8_000 }),
            apply(4_000, server("login", &bound)),
        ];
        let late = first("createAuthorizationServer", Effect::Late(3_000));
        let outcome = replay(&identity_world(steps, vec![late], 61_000));
        assert_eq!(sent(&outcome, "PUT", "/servers/"), 0, "{}", outcome.trace.join("\n"));
    }
}

/// Law 1: the same for what carries a mark, where the other one is not there: no duplicate is ever removed then.
#[test]
fn a_portal_that_is_bound_to_none_is_known_to_have_what_it_made_before() {
    let mut bound = portal("shop");
    bound["spec"]["lifecycle"] = json!({"id": "3d7e1b94-5a20-4c68-b0f7-91c4e2a86d05"});
    let steps =
        vec![apply(2_000, portal("shop")), step(2_500, Action::Crash { replica: 0, down: 8_000 }), apply(4_000, bound)];
    let outcome = replay(&world(steps, vec![first("create-portal", Effect::Late(3_000))], 61_000));
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 0, "{}", outcome.trace.join("\n"));
}

/// Law 1: the same where the user chose the id, and the intent says what the create may have made.
#[test]
fn an_open_create_under_a_chosen_id_is_settled_before_the_spec_binds_to_another_object() {
    let spec = json!({"id": "chosen", "cookieMaxAge": "8h"});
    let mut bound = spec.clone();
    bound["lifecycle"] = json!({"adoption": "Adopt", "id": "strange"});
    let steps = vec![
        make(0, "AuthorizationServer", "strange"),
        apply(2_000, server("login", &spec)),
        apply(3_000, server("login", &bound)),
    ];
    let outcome = replay(&identity_world(steps, vec![first_lost("createAuthorizationServer")], 61_000));
    assert_eq!(sent(&outcome, "PUT", "/servers/"), 0, "{}", outcome.trace.join("\n"));
}

/// Seed 237522: a client's create was on its way with the secret that its user brought when the spec asked for one of Portico's own; then the
/// resource was paused. What Portico did not choose stood in no output Secret before, and the oracle missed it there.
#[test]
fn a_secret_that_the_user_brought_may_arrive_after_the_spec_asks_for_another() {
    let own = json!({"name": "acp", "key": "client_secret"});
    let (kind, namespace, name) = ("OAuthClient".to_owned(), "world".to_owned(), "shop".to_owned());
    let chosen = json!({"clientSecretRef": null, "credentialsSecret": {"name": "shop-credentials"}});
    let edit = Action::Edit { kind: kind.clone(), namespace: namespace.clone(), name: name.clone(), spec: chosen };
    let (key, value) = ("portico.dev/paused".to_owned(), Some("true".to_owned()));
    let steps = vec![
        apply(2_000, server("login", &json!({}))),
        apply(4_000, acp("OAuthClient", "shop", &json!({"serverRef": {"name": "login"}, "clientSecretRef": own}))),
        step(6_000, edit),
        step(7_000, Action::Annotate { kind, namespace, name, key, value }),
    ];
    let outcome = replay(&identity_world(steps, vec![first("createClient", Effect::Late(9_000))], 61_000));
    assert_eq!(made(&outcome, "/clients {"), 1, "{}", outcome.trace.join("\n"));
}

/// The same resource in the namespace `other`.
fn in_other(mut resource: Value) -> Value {
    resource["metadata"]["namespace"] = json!("other");
    resource
}

/// Who may use what is in `world`.
fn grant(at: u64, kind: &str, name: &str, from: &str) -> Step {
    let (kind, namespace, name) = (kind.to_owned(), "world".to_owned(), name.to_owned());
    step(at, Action::Edit { kind, namespace, name, spec: json!({"allowedNamespaces": {"from": from}}) })
}

/// A user deletes what is in the namespace `other`.
fn delete_in_other(at: u64, kind: &str, name: &str) -> Step {
    let (kind, namespace, name) = (kind.to_owned(), "other".to_owned(), name.to_owned());
    step(at, Action::Delete { kind, namespace, name })
}

/// Seed 1016824, laws 1, 3 and 5: a portal was not recorded before a crash, and its namespace was not permitted the connection any more. It
/// waits for the grant and finds what it made; its deletion needs none, and had let go of it without a look.
#[test]
fn a_portal_finds_what_it_made_before_its_grant_was_withdrawn() {
    let again = grant(60_000, "KonnectConnection", "acme", "All");
    let end = delete_in_other(60_000, "Portal", "shop");
    for (then, deletes) in [(None, 0), (Some(again), 0), (Some(end), 1)] {
        let theirs = konnect("Portal", "shop", &json!({"connectionRef": {"name": "acme", "namespace": "world"}}));
        let mut steps = vec![apply(1_000, in_other(theirs)), grant(1_500, "KonnectConnection", "acme", "Same")];
        steps.extend(then);
        let faults = vec![first("create-portal", Effect::CrashAfter)];
        let outcome = replay(&Plan { faults, ..shared(Switches::default(), steps, 61_000) });
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{}", outcome.trace.join("\n"));
        assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), deletes, "{}", outcome.trace.join("\n"));
    }
}

/// Beside it, law 3: the same of a client, which reaches its connection through its server: each of the two may refuse it by now, or both.
#[test]
fn a_client_that_goes_finds_what_it_made_before_its_grants_were_withdrawn() {
    let server_ref = json!({"name": "login", "namespace": "world"});
    let client = json!({"serverRef": server_ref, "lifecycle": {"deletion": "Delete"}});
    for (connection, parent) in [("Same", "All"), ("All", "Same"), ("Same", "Same")] {
        let steps = vec![
            step(100, Action::Namespace { namespace: "other".to_owned() }),
            grant(200, "AcpConnection", "identity", "All"),
            apply(2_000, server("login", &json!({"allowedNamespaces": {"from": "All"}}))),
            apply(4_000, in_other(acp("OAuthClient", "shop", &client))),
            grant(4_500, "AcpConnection", "identity", connection),
            grant(4_600, "AuthorizationServer", "login", parent),
            delete_in_other(60_000, "OAuthClient", "shop"),
        ];
        let faults = vec![first("createClient", Effect::CrashAfter)];
        let outcome = replay(&identity_world(steps, faults, 61_000));
        assert_eq!(sent(&outcome, "DELETE", "/clients/"), 1, "{}", outcome.trace.join("\n"));
    }
}
