//! What a status says, and how often it is said.
use portico_simulation::plan::{Action, Effect, Fault, Side};
use serde_json::json;

use crate::world::{
    acp, apply, delete, first, hours, identity_world, konnect, make, mapping, portal, replay, sent, step, team, token,
    world,
};

/// Seed 63217, law 4: each try at an action whose consent the API does not know said that it is being created, and then again what it waits
/// for.
#[test]
fn an_action_that_waits_for_a_consent_at_the_api_says_the_same_at_every_try() {
    let spec = json!({
        "connectionRef": {"name": "identity"},
        "id": "sign-up",
        "name": "Sign-up",
        "consents": [{"consentRef": {"id": "no-such-consent"}, "required": true}],
    });
    replay(&identity_world(vec![apply(1_000, acp("ConsentAction", "sign-up", &spec))], Vec::new(), 2_000));
}

/// Seed 2059768, law 4: each try at a consent that is to be taken over recorded it before it was sent, and forgot it again when the API
/// refused it. Whoever refers to the consent was woken each time.
#[test]
fn a_consent_that_cannot_be_taken_over_is_not_recorded_and_forgotten_at_every_try() {
    let consent = json!({
        "connectionRef": {"name": "identity"},
        "updateExistingGrants": "keepCurrent",
        "validFrom": "2031-01-01T00:00:00Z",
        "lifecycle": {"adoption": "Adopt", "id": "${id:Consent:strange}"},
    });
    let action = json!({
        "connectionRef": {"name": "identity"},
        "name": "Sign-up",
        "consents": [{"consentRef": {"name": "marketing"}, "required": true}],
    });
    let steps = vec![
        make(0, "Consent", "strange"),
        apply(1_000, acp("Consent", "marketing", &consent)),
        apply(3_000, acp("ConsentAction", "sign-up", &action)),
    ];
    let outcome = replay(&identity_world(steps, Vec::new(), 4_000));
    let trace = outcome.trace.join("\n");
    assert!(sent(&outcome, "PUT", "/consents/strange {") > 1, "it is tried again: {trace}");
    assert_eq!(sent(&outcome, "patch consents/status world/marketing {", "\"remote\":"), 0, "{trace}");
}

/// Seeds 71559 and 80041, laws 9 and 10: the write of a status was given up, and took effect after the one that had replaced it. The
/// resource said for ever that it waits for what had come long ago.
#[test]
fn a_status_that_is_stored_too_late_is_written_again() {
    let late = Fault {
        side: Side::Kubernetes,
        from: 9_000,
        until: 11_000,
        nth: 0,
        times: 1,
        what: "write".to_owned(),
        effect: Effect::Late(8_000),
    };
    let webhook = |destination: &str| {
        let spec = json!({"portalRef": {"name": "shop"}, "auditLogDestinationId": destination, "enabled": false});
        konnect("PortalAuditLogWebhook", "audit-logs", &spec)
    };
    let steps = vec![
        apply(1_000, webhook("b7e9a345-5c2d-4f18-8a61-d93e07f4b256")),
        apply(10_000, webhook("e21c6f08-94ab-4d73-b5f2-60c8a71d3e94")),
        apply(12_000, portal("shop")),
    ];
    replay(&world(steps, vec![late], 19_000));
}

/// Seed 1011131, law 10: the portal was found, and the answer to the write that says so came when nobody waited for it any more. The next
/// pass had nothing to write and told nobody, and what is below the portal waited for ever.
#[test]
fn who_waits_for_an_object_is_told_of_it_where_the_answer_to_its_status_is_lost() {
    let slow = Fault {
        side: Side::Kubernetes,
        from: 12_000,
        until: 18_000,
        nth: 0,
        times: 1,
        what: "patch portals/status".to_owned(),
        effect: Effect::Slow(9_000),
    };
    let look = Action::Annotate {
        kind: "Portal".to_owned(),
        namespace: "world".to_owned(),
        name: "shop".to_owned(),
        key: "portico.dev/reconcile-at".to_owned(),
        value: Some("now".to_owned()),
    };
    let spec = json!({"connectionRef": {"name": "acme"}, "name": "shop", "lifecycle": {"mode": "Observe"}});
    let steps = vec![
        apply(1_000, konnect("Portal", "shop", &spec)),
        apply(2_000, mapping("world", "one", &json!({"name": "shop"}), &json!({}))),
        make(11_900, "Portal", "shop"),
        step(12_000, look),
    ];
    replay(&world(steps, vec![slow], 22_000));
}

/// Seed 76460, laws 9 and 12: what was found while the connection was in Observe stood for the API's consent when it was to be managed
/// again, and its credential was refused.
#[test]
fn what_was_only_looked_at_is_not_ready_when_it_is_to_be_managed_and_the_api_cannot_be_asked() {
    let mode = |at, mode: &str| {
        let (kind, namespace, name) = ("KonnectConnection".to_owned(), "world".to_owned(), "acme".to_owned());
        step(at, Action::Edit { kind, namespace, name, spec: json!({"mode": mode}) })
    };
    let shop = json!({"name": "shop"});
    for crash in [false, true] {
        let mut steps = vec![
            apply(1_000, portal("shop")),
            apply(3_000, mapping("world", "one", &shop, &json!({}))),
            apply(4_000, mapping("world", "two", &shop, &json!({}))),
            mode(13_000, "Observe"),
            step(23_000, Action::Revoke { account: "konnect".to_owned() }),
        ];
        steps.extend(crash.then(|| step(30_000, Action::Crash { replica: 0, down: 1_000 })));
        steps.push(mode(120_000, "Manage"));
        replay(&world(steps, Vec::new(), 120_001));
    }
}

/// Law 9: silence was counted from the first answer that the link of a connection ever got. Where a process began with a credential that is
/// refused, or without one, or was given another that never worked, the objects were said to be as the spec says for ever. So they were where
/// nothing brought the connection back: it waited for its Secret, or for its own end.
#[test]
fn what_nobody_can_look_at_says_so_whether_this_process_ever_heard_of_it_or_not() {
    let revoked = step(20_000, Action::Revoke { account: "konnect".to_owned() });
    let missing = step(20_000, Action::DeleteSecret { namespace: "world".to_owned(), name: "konnect".to_owned() });
    let leaving = delete(20_000, "KonnectConnection", "acme");
    let (refused, strange) = (token(20_000, "kpat_of_nobody"), token(20_000, "kpat_other_organization"));
    for trouble in [revoked, missing, leaving, refused, strange] {
        for crash in [false, true] {
            let mut steps = vec![
                apply(1_000, portal("shop")),
                apply(3_000, mapping("world", "one", &json!({"name": "shop"}), &json!({}))),
                trouble.clone(),
            ];
            steps.extend(crash.then(|| step(20_500, Action::Crash { replica: 0, down: 1_000 })));
            let outcome = replay(&world(steps, Vec::new(), 22_000));
            let trace = outcome.trace.join("\n");
            // It was made, and is not known any more.
            let written = sent(&outcome, "patch", "portals/status world/shop {");
            assert_eq!(written, 2, "{trouble:?}, crash: {crash}: {trace}");
        }
    }
}

/// Seed 9094560, law 10: a process began while the CRD of portals was not installed, and who waited for a portal was not told of those that came
/// with it: they were taken for what had been there before. Of one that is not Ready they were never told.
#[test]
fn who_waits_for_a_portal_is_told_of_the_one_that_comes_with_its_crd_after_a_restart() {
    let crd = "Portal".to_owned();
    let steps = vec![
        apply(1_400, team()),
        step(7_000, Action::DeleteCrd { kind: crd.clone() }),
        step(7_800, Action::Crash { replica: 0, down: 1_200 }),
        step(10_100, Action::InstallCrd { kind: crd }),
        // Before the watch has listed anything.
        apply(10_101, konnect("Portal", "shop", &json!({"connectionRef": {"name": "missing"}}))),
    ];
    let outcome = replay(&world(steps, Vec::new(), 10_102));
    // That there is none, and later that it is not ready.
    assert_eq!(sent(&outcome, "patch portalteams/status", "{"), 2, "{}", outcome.trace.join("\n"));
}

/// Seed 12001049, law 10: a dozen replays that waited for one asked the API again and again whether it was their turn, and left none at the
/// gate for that one. What another resource has begun, and has not seen the end of, is known without asking.
#[test]
fn replays_that_wait_for_their_turn_leave_the_one_that_has_it_a_turn_at_the_gate() {
    let mut steps = vec![apply(500, portal("shop"))];
    steps.extend((0..14).map(|n| apply(3_000 + n, hours(&format!("replay-{n}"), 29))));
    let lost =
        Fault { from: 8_000, until: 9_000, times: 2, ..first("get-portal-audit-log-replay-job", Effect::AnswerLost) };
    let mut plan = world(steps, vec![lost], 9_000);
    for connection in plan.before.iter_mut().filter(|manifest| manifest["kind"] == "KonnectConnection") {
        connection["spec"]["rateLimit"] = json!({"requestsPerSecond": 4, "burst": 6});
    }
    let outcome = replay(&plan);
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "PUT", "/audit-log-replay-job"), 14, "{trace}");
    // Each looks before it begins, and then until it has ended.
    let asked = sent(&outcome, "GET", "/audit-log-replay-job");
    assert!(asked < 14 * 20, "{asked} times\n{trace}");
}
