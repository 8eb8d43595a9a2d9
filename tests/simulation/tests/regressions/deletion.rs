//! Deletions: what is in their way, what they may take, and that they end.
use portico_simulation::plan::{Action, Effect, Fault, Side, Step, Stranger};
use serde_json::json;

use crate::world::{
    acp, apply, delete, first, first_lost, identity_world, konnect, make, portal, replay, sent, server, step, world,
};

/// Seed 2163, law 2: of two teams that an open create may have made a person deleted the right one, as they were asked to, and the deletion
/// then took the other one for its own.
#[test]
fn of_two_teams_that_could_be_the_one_the_other_stays_when_somebody_has_deleted_the_right_one() {
    let (kind, namespace, name) = ("PortalTeam".to_owned(), "world".to_owned(), "buyers".to_owned());
    let twin = Stranger::Make { kind: kind.clone(), key: name.clone() };
    let right = Stranger::Delete { kind: kind.clone(), which: 0 };
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, konnect(&kind, &name, &json!({"portalRef": {"name": "shop"}, "description": "a stranger's"}))),
        Step { at: 5_000, action: Action::Stranger(twin) },
        Step { at: 6_000, action: Action::Delete { kind, namespace, name } },
        Step { at: 60_000, action: Action::Stranger(right) },
    ];
    let outcome = replay(&world(steps, vec![first_lost("create-portal-team")], 61_000));
    let asked = outcome.trace.iter().any(|line| line.contains("each of the objects"));
    assert!(asked, "nobody was asked:\n{}", outcome.trace.join("\n"));
    assert_eq!(sent(&outcome, "DELETE", "/teams/"), 0);
}

/// Seed 1016716, law 2: the create of a team without a description never arrived, and the described team that a stranger made under its name
/// meanwhile was taken for the outcome, and deleted; the same where the resource is deleted only after it has looked for the outcome.
#[test]
fn a_described_team_is_not_the_outcome_of_a_create_that_sent_no_description() {
    for end in [8_000, 40_000] {
        let steps = vec![
            apply(500, portal("shop")),
            apply(3_000, konnect("PortalTeam", "buyers", &json!({"portalRef": {"name": "shop"}}))),
            make(6_000, "PortalTeam", "buyers"),
            delete(end, "PortalTeam", "buyers"),
        ];
        let outcome = replay(&world(steps, vec![first("create-portal-team", Effect::Lost)], 61_000));
        let trace = outcome.trace.join("\n");
        assert!(trace.contains("[Lost]"), "the create arrived:\n{trace}");
        assert_eq!(sent(&outcome, "DELETE", "/teams/"), 0, "{trace}");
    }
}

/// Seed 15457, laws 5 and 6: who waits for a credential was not told that the CRD goes, and that there was nothing to wait for any more.
#[test]
fn a_deletion_that_waits_for_a_credential_ends_with_the_crd() {
    let wrong = vec![("token".to_owned(), "kpat_wrong".to_owned())];
    let (namespace, name) = ("world".to_owned(), "konnect".to_owned());
    let steps = vec![
        apply(500, portal("shop")),
        Step { at: 9_000, action: Action::Secret { namespace, name, data: wrong } },
        delete(20_000, "Portal", "shop"),
        Step { at: 40_000, action: Action::DeleteCrd { kind: "Portal".to_owned() } },
    ];
    let outcome = replay(&world(steps, Vec::new(), 40_001));
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 0);
}

/// Seed 14477: a portal that nobody could record before a crash stays as long as the API refuses, as one that is recorded does.
#[test]
fn an_unrecorded_portal_with_developers_may_stay() {
    let ann = Stranger::SignUp { which: 0, email: "ann@example.com".to_owned() };
    let steps = vec![
        apply(1_000, portal("shop")),
        Step { at: 1_200, action: Action::Stranger(ann) },
        delete(1_250, "Portal", "shop"),
    ];
    replay(&world(steps, vec![first("create-portal", Effect::CrashAfter)], 60_001));
}

/// Seed 239483: a portal that a backup brought back is known by the mark of the one before it, and is kept by its developers as well.
#[test]
fn a_restored_portal_with_developers_may_stay() {
    let ann = Stranger::SignUp { which: 0, email: "ann@example.com".to_owned() };
    // Nobody can record it again before it is deleted.
    let down = Fault {
        side: Side::Remote,
        from: 80_000,
        until: 110_000,
        nth: 0,
        times: 1_000,
        what: "*".to_owned(),
        effect: Effect::Lost,
    };
    let steps = vec![
        apply(1_000, portal("shop")),
        step(3_000, Action::Stranger(ann)),
        step(6_000, Action::DeleteCrd { kind: "Portal".to_owned() }),
        step(60_000, Action::InstallCrd { kind: "Portal".to_owned() }),
        step(90_000, Action::Restore { from: 5_000 }),
        delete(100_000, "Portal", "shop"),
    ];
    let outcome = replay(&world(steps, vec![down], 110_001));
    assert!(sent(&outcome, "DELETE", "/v2/portals/") > 0, "{}", outcome.trace.join("\n"));
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

/// Seed 174, law 5: a portal had been made, and nothing was kept yet to ask for it with, when everything went. Wherever the crash comes,
/// the namespace ends.
#[test]
fn a_namespace_ends_although_it_went_with_its_secret_in_a_crash_during_the_first_create() {
    for after in [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 80, 120] {
        let (at, namespace) = (1_000 + after, "world".to_owned());
        let steps = vec![
            apply(1_000, portal("shop")),
            Step { at, action: Action::Crash { replica: 0, down: 10_000 } },
            Step { at: at + 1, action: Action::DeleteNamespace { namespace } },
        ];
        replay(&world(steps, Vec::new(), 2_000));
    }
}

/// Seed 646, law 5: the same where the answer to the first create is lost, and what it made was still to be looked for.
#[test]
fn a_namespace_ends_although_the_answer_to_the_first_create_was_lost_before_it_went() {
    let namespace = "world".to_owned();
    let steps = vec![
        apply(1_000, portal("shop")),
        Step { at: 2_000, action: Action::DeleteNamespace { namespace } },
        Step { at: 2_010, action: Action::Crash { replica: 0, down: 10_000 } },
    ];
    let outcome = replay(&world(steps, vec![first_lost("create-portal")], 61_000));
    let first = |what: &str| outcome.trace.iter().position(|line| line.contains(" r0.0 ") && line.contains(what));
    let kept = first("create secrets portico-system/").expect("the credential is kept");
    assert!(first("patch portals world/shop").is_some_and(|held| kept < held), "{}", outcome.trace.join("\n"));
}

/// Law 3: for some seconds the whole API answered as it had been before the portal was made; the portal was let go of, and stayed.
#[test]
fn a_portal_that_was_made_just_now_is_not_gone_because_the_api_does_not_show_it() {
    let stale = Fault {
        side: Side::Remote,
        from: 8_400,
        until: 12_000,
        nth: 0,
        times: 1_000,
        what: "*".to_owned(),
        effect: Effect::Stale(7_500),
    };
    let steps = vec![apply(2_000, portal("shop")), delete(8_600, "Portal", "shop")];
    let outcome = replay(&world(steps, vec![stale], 13_000));
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{}", outcome.trace.join("\n"));
}

/// Seed 66897, laws 2 and 3: a server under a chosen id had gone in a crash during its DELETE, before anything was recorded, and what a
/// stranger made under that id since is not deleted.
#[test]
fn a_stranger_may_take_the_chosen_id_of_a_server_that_has_gone() {
    let theirs = Stranger::Make { kind: "AuthorizationServer".to_owned(), key: "chosen".to_owned() };
    let steps = vec![
        apply(2_000, server("login", &json!({"id": "chosen", "cookieMaxAge": "8h"}))),
        delete(3_000, "AuthorizationServer", "login"),
        step(60_000, Action::Stranger(theirs)),
    ];
    let faults = vec![first_lost("createAuthorizationServer"), first("deleteAuthorizationServer", Effect::CrashAfter)];
    let outcome = replay(&identity_world(steps, faults, 61_000));
    assert_eq!(sent(&outcome, "DELETE", "/servers/chosen"), 1, "{}", outcome.trace.join("\n"));
}

/// Seed 2077301, laws 2, 3 and 5: a stranger took a chosen id between the DELETE of the server and the end of its resource. The deletion has
/// ended with the DELETE, whether the server was made or taken over, and what the stranger made stays.
#[test]
fn a_stranger_may_take_the_chosen_id_of_a_server_while_its_deletion_ends() {
    for is_adopted in [false, true] {
        let adoption = if is_adopted { "Adopt" } else { "Refuse" };
        let spec = json!({"id": "chosen", "lifecycle": {"adoption": adoption, "deletion": "Delete"}});
        let found = is_adopted.then(|| make(1_000, "AuthorizationServer", "chosen"));
        let mut steps: Vec<Step> = found.into_iter().collect();
        steps.extend([
            apply(2_000, server("login", &spec)),
            delete(12_000, "AuthorizationServer", "login"),
            make(13_000, "AuthorizationServer", "chosen"),
        ]);
        // The DELETE is carried out at once, and answered after the stranger came.
        let slow = first("deleteAuthorizationServer", Effect::Slow(3_000));
        let outcome = replay(&identity_world(steps, vec![slow], 13_001));
        let trace = outcome.trace.join("\n");
        let is_made = |line: &&String| line.contains("stranger POST") && line.contains("-> 201");
        assert_eq!(outcome.trace.iter().filter(is_made).count(), 1 + usize::from(is_adopted), "{trace}");
        assert_eq!(sent(&outcome, "DELETE", "/servers/chosen"), 1, "{trace}");
    }
}

/// Seed 78120, law 10: the CRD of portals went, and a new token was taken for one of another account: all that was still recorded was a
/// webhook that nobody had set, and the API does not show that.
#[test]
fn where_only_an_unset_webhook_is_recorded_its_portal_tells_whose_the_token_is() {
    let webhook = json!({"portalRef": {"name": "shop"}, "enabled": false});
    let steps = vec![
        apply(2_000, portal("shop")),
        apply(4_000, konnect("PortalAuditLogWebhook", "audit", &webhook)),
        step(20_000, Action::DeleteCrd { kind: "Portal".to_owned() }),
        step(40_000, Action::Renew { account: "konnect".to_owned() }),
    ];
    let outcome = replay(&world(steps, Vec::new(), 40_001));
    assert!(!outcome.trace.iter().any(|line| line.contains("AccountChanged")), "{}", outcome.trace.join("\n"));
}

/// Seed 129857, law 5: the API server refused once to erase what was kept for a connection, and the deletion ended without that.
#[test]
fn what_is_kept_for_a_connection_goes_with_it_although_the_first_try_is_refused() {
    let refused = Fault {
        side: Side::Kubernetes,
        from: 10_000,
        until: 30_000,
        nth: 0,
        times: 1,
        what: "delete secrets".to_owned(),
        effect: Effect::Status(403, None),
    };
    // Two deletions, for the first one of the connection waits for its server.
    let steps = vec![
        apply(2_000, server("login", &json!({"lifecycle": {"deletion": "Delete"}}))),
        delete(12_000, "AuthorizationServer", "login"),
        delete(12_001, "AcpConnection", "identity"),
    ];
    let outcome = replay(&identity_world(steps, vec![refused], 31_000));
    assert!(sent(&outcome, "delete secrets", "portico-escrow-") > 1, "{}", outcome.trace.join("\n"));
}

/// Seeds 114543 and 126818, laws 1 and 5: a server whose create lost its answer waits for its Secret, and its deletion finds what was made.
#[test]
fn a_server_that_waits_for_its_secret_is_deleted_with_what_its_create_made() {
    let cognito = json!({
        "clientId": "acp",
        "clientSecretRef": {"name": "acp", "key": "client_secret"},
        "poolId": "eu-west-1_Q8WSOH11B",
        "redirectUrl": "https://login.example.com/customers/callback",
        "region": "eu-west-1",
        "scopes": ["openid", "email"],
    });
    let method = json!({"id": "customers", "name": "Customers", "method": "cognito", "cognito": cognito});
    let spec = json!({"authentications": {"methods": [method]}, "lifecycle": {"deletion": "Delete"}});
    let missing = json!({"name": "nowhere", "key": "cognito"});
    let mut broken = spec.clone();
    broken["authentications"]["methods"][0]["cognito"]["clientSecretRef"] = missing;
    let steps = vec![
        apply(2_000, server("login", &spec)),
        // Before the create is sent again.
        apply(2_300, server("login", &broken)),
        delete(40_000, "AuthorizationServer", "login"),
    ];
    let outcome = replay(&identity_world(steps, vec![first_lost("createAuthorizationServer")], 61_000));
    assert_eq!(sent(&outcome, "DELETE", "/servers/"), 1, "{}", outcome.trace.join("\n"));
}

/// Seed 1036560, law 5: a new token worked, the API server failed once when it was to be kept for deletions, and nobody tried again for a
/// minute: with a crash and the namespace in that time it was lost. The namespace goes with a token that was kept soon after, also
/// where its Secret has gone before that.
#[test]
fn a_namespace_ends_although_the_first_try_to_keep_its_new_token_failed() {
    let fault = |side, until, times, what: &str, effect| {
        let what = what.to_owned();
        Fault { side, from: 20_000, until, nth: 0, times, what, effect }
    };
    for gone in [20_200, 26_001] {
        let (account, namespace) = ("konnect".to_owned(), "world".to_owned());
        let mut steps = vec![
            apply(2_000, portal("shop")),
            step(14_000, Action::Revoke { account: account.clone() }),
            step(20_000, Action::Renew { account }),
            step(gone, Action::DeleteNamespace { namespace }),
            step(26_000, Action::Crash { replica: 0, down: 10_000 }),
        ];
        steps.sort_by_key(|step| step.at);
        // Nothing is deleted before the crash.
        let refused = fault(Side::Remote, 26_000, 1_000, "delete-portal", Effect::Status(503, None));
        let unread = "KonnectConnection update get secrets (escrow)";
        let down = fault(Side::Kubernetes, 26_000, 1, unread, Effect::Status(503, None));
        let outcome = replay(&world(steps, vec![refused, down], 27_000));
        assert_eq!(sent(&outcome, "portico-escrow-", "[Status(503, None)]"), 1, "{}", outcome.trace.join("\n"));
        let kept = outcome.trace.iter().any(|line| line.contains(" r0.0 ") && line.contains("update secrets portico-"));
        assert!(kept, "the new token is not kept:\n{}", outcome.trace.join("\n"));
    }
}

/// The first create of a Secret from then on takes effect soon after it was given up.
fn late_secret(from: u64) -> Fault {
    Fault {
        side: Side::Kubernetes,
        from,
        until: from + 10_000,
        nth: 0,
        times: 1,
        what: "create secrets".to_owned(),
        effect: Effect::Late(7_000),
    }
}

/// Seed 3015156, law 5: what was to be kept for a connection turned up after the connection had gone; the same where the connection stays,
/// has looked in vain for what to erase, and goes much later.
#[test]
fn what_is_kept_for_a_connection_goes_with_it_although_it_turns_up_late() {
    let (kind, namespace, name) = ("KonnectConnection".to_owned(), "world".to_owned(), "acme".to_owned());
    let look = Action::Edit { kind, namespace, name, spec: json!({"resyncInterval": "50s"}) };
    for end in [3_001, 30_000] {
        let mut steps = vec![
            apply(2_000, portal("shop")),
            delete(3_000, "Portal", "shop"),
            step(8_000, look.clone()),
            delete(end, "KonnectConnection", "acme"),
        ];
        steps.sort_by_key(|step| step.at);
        let outcome = replay(&world(steps, vec![late_secret(1_000)], 31_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "create secrets portico-system/", "[Late(7000)]"), 1, "{trace}");
        assert_eq!(sent(&outcome, "delete secrets", "portico-escrow-"), 1, "{trace}");
    }
}

/// Beside it, law 5: the same of the Secret that a client was to hand its credentials out in.
#[test]
fn an_output_secret_goes_with_its_client_although_it_turns_up_late() {
    let client = |name: &str| {
        let (server, secret) = (json!({"name": "login"}), json!({"name": format!("{name}-credentials")}));
        let spec = json!({"serverRef": server, "credentialsSecret": secret, "lifecycle": {"deletion": "Delete"}});
        acp("OAuthClient", name, &spec)
    };
    let steps = vec![
        apply(2_000, server("login", &json!({}))),
        // The key of the digests is made for the first one.
        apply(4_000, client("first")),
        apply(8_000, client("shop")),
        delete(8_100, "OAuthClient", "shop"),
    ];
    let outcome = replay(&identity_world(steps, vec![late_secret(7_000)], 31_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "create secrets world/", "[Late(7000)]"), 1, "{trace}");
    assert_eq!(sent(&outcome, "delete secrets", "world/shop-credentials"), 1, "{trace}");
}

/// Seed 11021885, law 2c: while a create under an id that the spec says was on its way, a stranger made an object of this id and changed it to
/// what was sent. Nothing tells the two apart; where it differs in anything it stays.
#[test]
fn what_equals_what_an_open_create_sent_under_its_id_goes_with_the_resource_and_anything_else_stays() {
    for (called, deleted) in [("Sign-up", 1), ("Another name", 0)] {
        let changed = Stranger::Change {
            kind: "ConsentAction".to_owned(),
            which: 0,
            field: "name".to_owned(),
            value: json!(called),
        };
        let spec = json!({"connectionRef": {"name": "identity"}, "id": "chosen", "name": "Sign-up"});
        let steps = vec![
            apply(1_000, acp("ConsentAction", "sign-up", &spec)),
            make(1_200, "ConsentAction", "chosen"),
            delete(1_500, "ConsentAction", "sign-up"),
            step(1_900, Action::Stranger(changed)),
        ];
        let late = first("createConsentAction", Effect::Late(5_800));
        let outcome = replay(&identity_world(steps, vec![late], 31_000));
        assert_eq!(sent(&outcome, "DELETE", "/actions/"), deleted, "{}", outcome.trace.join("\n"));
    }
}
