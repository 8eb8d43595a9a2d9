//! What is made again: because it went, or from a backup.
use portico_sandbox::Switches;
use portico_simulation::plan::{Action, Effect, Fault, Plan, Side, Step, Stranger};
use serde_json::{Value, json};

use crate::world::{
    acp, apply, confirm_absence, delete, first, identity_world, konnect, make, open_portal, portal, remove, replay,
    sent, server, settings, shared, step, world,
};

/// Seed 13719, law 9: the portal was made again, and its settings never got the secret that those of the one before had been sent.
#[test]
fn the_settings_of_a_portal_that_is_made_again_get_the_secret_again() {
    let confirmed = confirm_absence();
    let gone = Action::Stranger(Stranger::Delete { kind: "Portal".to_owned(), which: 0 });
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, settings("one")),
        Step { at: 9_000, action: gone },
        Step { at: 140_000, action: confirmed },
    ];
    let outcome = replay(&world(steps, Vec::new(), 140_001));
    assert_eq!(sent(&outcome, "PATCH", "/authentication-settings {"), 2);
}

/// Seed 1033271, law 3: three of three portals vanished and were held; then a fourth one was made, and three of four were no mass any more.
#[test]
fn what_vanished_in_a_mass_stays_held_though_another_one_is_made() {
    let look = |name: &str| Action::Annotate {
        kind: "Portal".to_owned(),
        namespace: "world".to_owned(),
        name: name.to_owned(),
        key: "portico.dev/reconcile-at".to_owned(),
        value: Some("now".to_owned()),
    };
    let steps = vec![
        apply(500, portal("docs")),
        apply(1_000, portal("news")),
        apply(1_500, portal("shop")),
        remove(20_000, "Portal", 0),
        remove(20_000, "Portal", 0),
        remove(20_000, "Portal", 0),
        step(22_000, look("docs")),
        apply(25_000, portal("wiki")),
        step(30_000, look("news")),
    ];
    let outcome = replay(&world(steps, Vec::new(), 30_001));
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 4, "{}", outcome.trace.join("\n"));
}

/// Seed 15000022, law 1: one of two portals vanished and was made again, its record was lost with the process, and then the other one
/// vanished: two of two, so that nobody looked whether the first was there again.
#[test]
fn what_was_made_again_before_a_crash_is_found_though_it_is_missing_with_others_by_its_record() {
    let look = Action::Annotate {
        kind: "Portal".to_owned(),
        namespace: "world".to_owned(),
        name: "docs".to_owned(),
        key: "portico.dev/reconcile-at".to_owned(),
        value: Some("now".to_owned()),
    };
    let steps = vec![
        apply(1_000, portal("docs")),
        apply(5_000, portal("news")),
        remove(20_000, "Portal", 0),
        step(22_000, look),
        remove(24_000, "Portal", 0),
    ];
    let crash = Fault { nth: 2, ..first("create-portal", Effect::CrashAfter) };
    let outcome = replay(&world(steps, vec![crash], 24_001));
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 4, "{}", outcome.trace.join("\n"));
}

/// Seed 10010574, law 3: of three portals two vanished, which is no mass. While their creates waited for their turn at the rate limit, the third
/// one went with its resource: that does not make it one.
#[test]
fn what_was_no_mass_when_it_vanished_is_made_again_though_others_go_meanwhile() {
    let look = |name: &str| Action::Annotate {
        kind: "Portal".to_owned(),
        namespace: "world".to_owned(),
        name: name.to_owned(),
        key: "portico.dev/reconcile-at".to_owned(),
        value: Some("now".to_owned()),
    };
    let retained = json!({"connectionRef": {"name": "acme"}, "name": "wiki", "lifecycle": {"deletion": "Retain"}});
    let steps = vec![
        apply(1_000, portal("docs")),
        apply(5_000, portal("news")),
        apply(9_000, konnect("Portal", "wiki", &retained)),
        remove(20_000, "Portal", 0),
        remove(20_000, "Portal", 0),
        // Each is read and looked for in the listing, which is all that may be sent at once.
        step(22_000, look("docs")),
        step(22_000, look("news")),
        delete(22_200, "Portal", "wiki"),
    ];
    let mut plan = world(steps, Vec::new(), 22_201);
    for connection in plan.before.iter_mut().filter(|manifest| manifest["kind"] == "KonnectConnection") {
        connection["spec"]["rateLimit"] = json!({"requestsPerSecond": 2, "burst": 4});
    }
    let outcome = replay(&plan);
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 5, "{}", outcome.trace.join("\n"));
}

/// Seed 1073003, law 3: clients vanished with their server, and one that was told to be at another server was made there at once, unasked.
#[test]
fn what_vanished_in_a_mass_is_not_made_elsewhere_either_without_a_persons_word() {
    let client = |name: &str, server: &str| {
        let spec = json!({
            "connectionRef": {"name": "identity"},
            "serverRef": {"id": server},
            "credentialsSecret": {"name": format!("{name}-credentials")},
            "lifecycle": {"replace": "Allow"},
        });
        acp("OAuthClient", name, &spec)
    };
    let confirmed = Action::Annotate {
        kind: "AcpConnection".to_owned(),
        namespace: "world".to_owned(),
        name: "identity".to_owned(),
        key: "portico.dev/confirm-absence".to_owned(),
        value: Some("${absence}".to_owned()),
    };
    let mut steps = vec![
        make(500, "AuthorizationServer", "strange"),
        apply(1_000, client("one", "strange")),
        apply(2_000, client("two", "strange")),
        remove(10_000, "AuthorizationServer", 0),
        make(12_000, "AuthorizationServer", "other"),
        apply(20_000, client("one", "other")),
        apply(22_000, client("two", "other")),
    ];
    let held = replay(&identity_world(steps.clone(), Vec::new(), 60_000));
    assert_eq!(sent(&held, "POST", "/clients {"), 2, "{}", held.trace.join("\n"));
    steps.push(step(60_000, confirmed));
    let outcome = replay(&identity_world(steps, Vec::new(), 60_001));
    assert_eq!(sent(&outcome, "POST", "/clients {"), 4, "{}", outcome.trace.join("\n"));
}

/// Seed 5733, law 9: a backup says what was sent to the settings of a portal that is no more.
#[test]
fn restored_settings_get_the_secret_again() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, settings("one")),
        delete(9_000, "PortalAuthentication", "one"),
        delete(9_500, "Portal", "shop"),
        Step { at: 60_000, action: Action::Restore { from: 8_000 } },
    ];
    let outcome = replay(&world(steps, Vec::new(), 60_001));
    assert_eq!(sent(&outcome, "PATCH", "/authentication-settings {"), 2);
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

/// Seed 53286, law 12: a restored backup said that it is Ready, since its connection could not be asked.
#[test]
fn what_a_backup_says_of_another_uid_is_no_success_of_this_one() {
    let webhook = |name: &str, more: &Value| {
        let mut spec = json!({"portalRef": {"name": "shop"}});
        if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
            spec.extend(more.clone());
        }
        konnect("PortalAuditLogWebhook", name, &spec)
    };
    let steps = vec![
        apply(500, open_portal()),
        apply(1_500, webhook("first", &json!({}))),
        apply(2_500, webhook("second", &json!({"enabled": true, "lifecycle": {"deletion": "Delete"}}))),
        delete(59_100, "PortalAuditLogWebhook", "first"),
        Step { at: 59_400, action: Action::DeleteCrd { kind: "KonnectConnection".to_owned() } },
        Step { at: 160_000, action: Action::Restore { from: 58_800 } },
    ];
    replay(&shared(Switches::default(), steps, 160_100));
}

/// Seed 228190, law 12: the same of one who waited for a person, and so had recorded nothing that names its UID; another one waits for that
/// person by now. Whether the process is the one that saw the first of them, or another.
#[test]
fn who_waited_for_a_person_is_not_ready_because_a_backup_says_so() {
    let ann = |name: &str| {
        let spec = json!({"portalRef": {"name": "shop"}, "email": "ann@example.com"});
        konnect("PortalDeveloper", name, &spec)
    };
    for (seed, stops) in [(1, false), (2, false), (3, false), (4, true), (5, true)] {
        let mut steps = vec![
            apply(500, portal("shop")),
            apply(2_050, ann("one")),
            apply(4_050, ann("two")),
            delete(13_000, "PortalDeveloper", "one"),
            // From here on nobody looks.
            delete(28_000, "KonnectConnection", "acme"),
        ];
        steps.extend(stops.then(|| step(59_000, Action::Stop { replica: 0, down: 5_000 })));
        steps.push(step(60_000, Action::Restore { from: 8_000 }));
        replay(&Plan { seed, ..world(steps, Vec::new(), 66_000) });
    }
}

/// Beside it, law 9: who waits for a person since before the process was started, and was not restored, stays Ready.
#[test]
fn who_waits_for_a_person_stays_ready_where_nobody_can_look() {
    let spec = json!({"portalRef": {"name": "shop"}, "email": "ann@example.com"});
    let steps = vec![
        apply(500, portal("shop")),
        apply(2_050, konnect("PortalDeveloper", "ann", &spec)),
        delete(28_000, "KonnectConnection", "acme"),
        step(59_000, Action::Stop { replica: 0, down: 5_000 }),
    ];
    let outcome = replay(&world(steps, Vec::new(), 66_000));
    // After what it says at first there is only what is said of everything that nobody could look at for three intervals of a minute.
    let writes = outcome.trace.iter().filter(|line| line.contains("patch portaldevelopers/status world/ann {"));
    let at: Vec<f64> = writes.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert!(at.iter().all(|at| *at < 28.0 || *at > 59.0 + 180.0), "{}", outcome.trace.join("\n"));
    assert!(at.iter().any(|at| *at < 28.0), "{}", outcome.trace.join("\n"));
}

/// Seed 77838, law 9: a connection that only looks leaves an output Secret that was taken away, and makes it again when it manages again.
#[test]
fn an_output_secret_that_went_in_observe_is_made_again_afterwards() {
    let client = json!({
        "serverRef": {"name": "login"},
        "credentialsSecret": {"name": "shop-credentials"},
        "lifecycle": {"deletion": "Delete"},
    });
    let mode = |mode: &str| Action::Edit {
        kind: "AcpConnection".to_owned(),
        namespace: "world".to_owned(),
        name: "identity".to_owned(),
        spec: json!({"mode": mode}),
    };
    let taken = Action::DeleteSecret { namespace: "world".to_owned(), name: "shop-credentials".to_owned() };
    for back in [None, Some(60_000)] {
        let mut steps = vec![
            apply(2_000, server("login", &json!({}))),
            apply(4_000, acp("OAuthClient", "shop", &client)),
            step(10_000, mode("Observe")),
            step(40_000, taken.clone()),
        ];
        steps.extend(back.map(|at| step(at, mode("Manage"))));
        let outcome = replay(&identity_world(steps, Vec::new(), 61_000));
        let times = 1 + usize::from(back.is_some());
        assert_eq!(sent(&outcome, "create secrets", "world/ {"), times, "{}", outcome.trace.join("\n"));
    }
}

/// Seed 1070037, law 2: a portal was deleted and made again, and the process ended. The next one was shown the API as it was before that,
/// took the portal of before by its mark, and sent it a change.
#[test]
fn a_portal_that_an_earlier_process_deleted_is_not_taken_back_by_its_mark() {
    let stale = Fault {
        side: Side::Remote,
        from: 23_000,
        until: 29_000,
        nth: 0,
        times: 1_000,
        what: "*".to_owned(),
        effect: Effect::Stale(8_500),
    };
    let again = Action::Annotate {
        kind: "Portal".to_owned(),
        namespace: "world".to_owned(),
        name: "shop".to_owned(),
        key: "portico.dev/reconcile-at".to_owned(),
        value: Some("now".to_owned()),
    };
    let steps = vec![
        apply(2_000, portal("shop")),
        delete(20_000, "Portal", "shop"),
        apply(20_500, portal("shop")),
        step(22_000, Action::Crash { replica: 0, down: 2_000 }),
        // Without a reason nobody looks at what is in order.
        step(23_000, again),
    ];
    let outcome = replay(&world(steps, vec![stale], 40_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2, "{trace}");
    assert_eq!(sent(&outcome, "PATCH", "/v2/portals/"), 0, "{trace}");
}

/// Seed 1070037 once more: the process ended before it had looked at what was made again, so the next one found no finalizer there.
#[test]
fn a_portal_that_an_earlier_process_deleted_is_not_taken_back_by_what_nobody_held() {
    let stale = Fault {
        side: Side::Remote,
        from: 20_400,
        until: 28_000,
        nth: 0,
        times: 1_000,
        what: "*".to_owned(),
        effect: Effect::Stale(8_500),
    };
    let steps = vec![
        apply(2_000, portal("shop")),
        delete(20_000, "Portal", "shop"),
        // By now it is gone, and its resource with it.
        step(20_400, Action::Crash { replica: 0, down: 1_600 }),
        apply(20_600, portal("shop")),
    ];
    let outcome = replay(&world(steps, vec![stale], 40_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2, "{trace}");
    assert_eq!(sent(&outcome, "PATCH", "/v2/portals/"), 0, "{trace}");
}

/// The kind goes with its resources, and comes back.
fn reinstalled(kind: &str) -> [Step; 2] {
    let kind = || kind.to_owned();
    [step(19_000, Action::DeleteCrd { kind: kind() }), step(58_000, Action::InstallCrd { kind: kind() })]
}

/// A stranger gives the only object of a kind another name.
fn renamed(at: u64, kind: &str, name: &str) -> Step {
    let (kind, field) = (kind.to_owned(), "name".to_owned());
    step(at, Action::Stranger(Stranger::Change { kind, which: 0, field, value: json!(name) }))
}

/// Seed 2032991, law 12 and law 10: a portal was given another name at the API, and after a restore the one that adopts by that name took it
/// from the one whose mark it carries. That one has a new UID, waited before it looked for its mark, and then said `Conflict` for ever.
#[test]
fn what_carries_the_mark_of_a_restored_portal_is_not_adopted_by_another() {
    let adopts = json!({"connectionRef": {"name": "acme"}, "name": "shop", "lifecycle": {"adoption": "Adopt"}});
    let mut steps = vec![
        apply(2_000, portal("docs")),
        renamed(10_000, "Portal", "shop"),
        apply(17_000, konnect("Portal", "shop", &adopts)),
    ];
    steps.extend(reinstalled("Portal"));
    steps.push(step(120_000, Action::Restore { from: 18_500 }));
    let outcome = replay(&world(steps, Vec::new(), 120_001));
    // Each has one of its own.
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2, "{}", outcome.trace.join("\n"));
}

/// Beside it, law 10: what has no mark was adopted meanwhile. The restored one has recorded nothing, and so claims nothing but its name.
#[test]
fn the_id_that_a_backup_says_of_another_uid_is_no_claim() {
    let team = |name: &str, called: &str| {
        let spec = json!({"portalRef": {"name": "shop"}, "name": called, "lifecycle": {"adoption": "Adopt"}});
        konnect("PortalTeam", name, &spec)
    };
    let mut steps = vec![
        apply(500, portal("shop")),
        apply(3_000, team("readers", "API readers")),
        renamed(10_000, "PortalTeam", "API writers"),
    ];
    steps.extend(reinstalled("PortalTeam"));
    steps.extend([apply(62_000, team("writers", "API writers")), step(140_000, Action::Restore { from: 18_500 })]);
    let outcome = replay(&world(steps, Vec::new(), 140_001));
    assert_eq!(sent(&outcome, "POST", "/teams {"), 2, "{}", outcome.trace.join("\n"));
}

/// Seed 8050097, law 3: a domain was made while two wanted it, and stayed when its resource went. The other one came from a backup, with the
/// finalizer and the record of another UID, and had never made anything: it was let go of, and the oracle said that it left its domain.
#[test]
fn what_another_one_made_and_left_does_not_go_with_who_waited_for_it() {
    let domain = |name: &str, deletion: &str| {
        let (hostname, ssl) = (format!("{name}.example.com"), json!({"domainVerificationMethod": "http"}));
        let lifecycle = json!({ "deletion": deletion });
        let spec = json!({"portalRef": {"name": "shop"}, "hostname": hostname, "ssl": ssl, "lifecycle": lifecycle});
        konnect("PortalCustomDomain", name, &spec)
    };
    for later in [0, 15_000] {
        let steps = vec![
            apply(500, portal("shop")),
            apply(3_000, domain("one", "Delete")),
            delete(10_000, "PortalCustomDomain", "one"),
            // When somebody looks again, both are there, and the second is the older.
            step(20_000, Action::Crash { replica: 0, down: 10_000 }),
            apply(21_000, domain("two", "Retain")),
            step(24_000, Action::Restore { from: 9_000 }),
            delete(45_000, "PortalCustomDomain", "two"),
            delete(45_000 + later, "PortalCustomDomain", "one"),
        ];
        let outcome = replay(&world(steps, Vec::new(), 60_001));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/custom-domain {"), 2, "{trace}");
        assert_eq!(sent(&outcome, "DELETE", "/custom-domain"), 1, "{trace}");
    }
}
