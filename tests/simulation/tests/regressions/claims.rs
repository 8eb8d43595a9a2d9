//! Rivals that did not see each other, or that saw each other too late, and those who wait for one of them.
use portico_sandbox::Switches;
use portico_simulation::plan::{Action, Effect, Fault, Plan, Side, Step, Stranger};
use serde_json::{Value, json};

use crate::world::{
    acp, apply, confirm_absence, delete, first, hours, identity_world, konnect, make, mapping, open_portal, portal,
    provider, remove, replay, sent, server, settings, shared, step, world,
};

/// Seed 39, law 12: a rival whose spec waits for a Secret was not seen.
#[test]
fn of_two_settings_of_one_portal_that_wait_for_it_only_one_is_written() {
    let steps = vec![apply(500, settings("one")), apply(3_000, settings("two")), apply(6_000, portal("shop"))];
    let outcome = replay(&world(steps, Vec::new(), 7_000));
    assert_eq!(sent(&outcome, "PATCH", "/authentication-settings {"), 1);
}

/// Seed 2419, law 12: the second came while the first was being written, in the same second, before anything was recorded.
#[test]
fn of_two_settings_made_in_one_second_only_one_is_written() {
    for gap in [0, 5, 20, 60, 120, 400] {
        let steps = vec![
            apply(500, portal("shop")),
            apply(2_050, settings("one")),
            apply(2_050 + gap, settings("two")),
            apply(2_050 + gap, settings("three")),
        ];
        let outcome = replay(&world(steps, Vec::new(), 3_000));
        assert_eq!(sent(&outcome, "PATCH", "/authentication-settings {"), 1, "{gap} ms apart");
    }
}

/// Seeds 11366 and 18158, law 4: who waits for an older one said other words while that was at work, and so wrote at each of its tries.
#[test]
fn who_waits_for_an_older_one_says_so_once_although_that_is_at_work() {
    for gap in [51, 55, 60, 70, 90, 120] {
        // Made in two seconds: which is the older does not depend on their UIDs.
        let steps =
            vec![apply(500, portal("shop")), apply(1_950, settings("one")), apply(1_950 + gap, settings("two"))];
        let outcome = replay(&world(steps, Vec::new(), 3_000));
        assert_eq!(sent(&outcome, "patch", "portalauthentications/status world/two {"), 1, "{gap} ms apart");
    }
}

/// Seed 50727: each of several replays looked before the others had said that they were about to begin, and all began at once. One that is
/// refused then is only late; one that is done meanwhile hides the end of another for good.
#[test]
fn of_two_replays_that_wait_for_their_portal_the_second_is_sent_when_the_first_has_ended() {
    for seed in 1..=4 {
        let steps = vec![apply(500, hours("one", 29)), apply(900, hours("two", 30)), apply(3_000, portal("shop"))];
        let outcome = replay(&Plan { seed, ..world(steps, Vec::new(), 4_000) });
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "PUT", "/audit-log-replay-job {"), 2, "{trace}");
        assert!(!trace.contains(" <- 409 "), "{trace}");
    }
}

/// Seed 53215, law 2: one that may adopt was woken by the deletion of the one that had the object, and took it over from a listing that was
/// older than the DELETE.
#[test]
fn what_is_being_deleted_is_not_taken_over_from_a_listing_before_that() {
    for seed in 1..=8 {
        let steps = vec![
            apply(500, portal("shop")),
            apply(3_000, provider("one", &json!({}))),
            apply(6_000, provider("two", &json!({"enabled": true, "lifecycle": {"adoption": "Adopt"}}))),
            delete(9_000, "PortalIdentityProvider", "one"),
        ];
        replay(&Plan { seed, ..world(steps, Vec::new(), 10_000) });
    }
}

/// Seeds 52640, 53652, 55199, 55595, 57099 and 57759, law 12: who names the portal's namespace and who lives in it did not see each other.
#[test]
fn of_two_settings_of_one_portal_in_two_namespaces_only_one_is_written() {
    for gap in [0, 4, 60] {
        let steps = vec![
            apply(500, mapping("other", "theirs", &json!({"name": "shop", "namespace": "world"}), &json!({}))),
            apply(500 + gap, mapping("world", "ours", &json!({"name": "shop"}), &json!({}))),
            apply(3_000, open_portal()),
        ];
        let outcome = replay(&shared(Switches::default(), steps, 4_000));
        assert_eq!(sent(&outcome, "PATCH", "/authentication-settings {"), 1, "{gap} ms apart");
    }
}

/// Seed 51482, law 12: the same of who names the portal, and who names its id, while neither had recorded it.
#[test]
fn of_settings_by_name_and_by_id_that_come_at_once_only_one_is_written() {
    let theirs = "${id:Portal:strange}";
    for gap in [20, 40, 50, 55, 60, 65, 70, 80] {
        let bound = json!({"connectionRef": {"name": "acme"}, "lifecycle": {"adoption": "Adopt", "id": theirs}});
        let by_id = mapping("world", "by-id", &json!({"id": theirs}), &json!({"connectionRef": {"name": "acme"}}));
        let steps = vec![
            Step { at: 0, action: Action::Stranger(Stranger::Make { kind: "Portal".into(), key: "strange".into() }) },
            apply(500, mapping("world", "by-name", &json!({"name": "shop"}), &json!({}))),
            apply(2_050, konnect("Portal", "shop", &bound)),
            apply(2_050 + gap, by_id),
        ];
        let outcome = replay(&shared(Switches::default(), steps, 3_000));
        assert_eq!(sent(&outcome, "PATCH", "/authentication-settings {"), 1, "{gap} ms apart");
    }
}

/// Seed 51584, law 12: whoever was edited into the name of another went before it, if it was the older one, and nobody told the other.
#[test]
fn who_is_given_the_name_of_another_yields_to_it() {
    let team =
        |name: &str, called: &str| konnect("PortalTeam", name, &json!({"portalRef": {"name": "shop"}, "name": called}));
    let names = [("one", "two"), ("two", "one")];
    for (edited, other) in names {
        let spec = json!({"name": other});
        let (kind, namespace) = ("PortalTeam".to_owned(), "world".to_owned());
        let steps = vec![
            apply(500, open_portal()),
            apply(2_050, team("one", "one")),
            apply(3_050, team("two", "two")),
            Step { at: 20_000, action: Action::Edit { kind, namespace, name: edited.to_owned(), spec } },
        ];
        let outcome = replay(&shared(Switches::default(), steps, 20_100));
        assert_eq!(sent(&outcome, "PATCH", "/teams/"), 0, "{edited} has a name that is taken");
    }
}

/// Seed 57217, law 12: of those who wait for one person the older one of a second came later, and the other went on saying it is Ready.
#[test]
fn of_those_who_wait_for_one_person_all_but_one_are_told() {
    let ann = |name: &str| {
        let spec = json!({"portalRef": {"name": "shop"}, "email": "ann@example.com"});
        konnect("PortalDeveloper", name, &spec)
    };
    let steps = vec![
        apply(500, open_portal()),
        apply(2_050, ann("one")),
        apply(2_250, ann("two")),
        apply(2_450, ann("three")),
        apply(2_650, ann("four")),
        // From here on nobody looks.
        delete(5_000, "KonnectConnection", "acme"),
    ];
    replay(&shared(Switches::default(), steps, 5_100));
}

/// Seed 35773, law 9: each of two providers was enabled by its resource, and so disabled by the other's, for ever.
#[test]
fn two_providers_that_are_to_be_enabled_take_no_turns() {
    let provider = |name: &str, type_: &str, config: &Value| {
        let spec = json!({"portalRef": {"name": "shop"}, "type": type_, "enabled": true, "config": config});
        konnect("PortalIdentityProvider", name, &spec)
    };
    let saml = provider("partners", "saml", &json!({"idpMetadataUrl": "https://idp.example.com/metadata"}));
    let oidc = provider("work", "oidc", &json!({"issuerUrl": "https://idp.example.com", "clientId": "portal"}));
    for enabling_replaces in [false, true] {
        for gap in [0, 30, 120, 2_000] {
            let switches = Switches { enabling_replaces, ..Switches::default() };
            let steps = vec![apply(500, saml.clone()), apply(500 + gap, oidc.clone()), apply(3_000, open_portal())];
            let outcome = replay(&shared(switches, steps, 4_000));
            assert_eq!(sent(&outcome, "PATCH", r#"{"enabled":true}"#), 1, "{gap} ms apart");
        }
    }
}

/// Seeds 85858 and 86415, law 2: what was made again at once was found in a listing that was older than the DELETE, and that object was
/// changed; a team of the name was in the way.
#[test]
fn what_was_deleted_is_neither_taken_over_nor_in_the_way_in_a_listing_before_that() {
    let team = konnect("PortalTeam", "one", &json!({"portalRef": {"name": "shop"}}));
    let shown = |what: &str, from: u64| Fault {
        side: Side::Remote,
        from,
        until: from + 5_000,
        nth: 0,
        times: 1_000,
        what: what.to_owned(),
        effect: Effect::Stale(6_000),
    };
    for gap in [300, 1_500] {
        let steps = vec![
            apply(500, portal("shop")),
            apply(2_000, team.clone()),
            delete(9_000, "PortalTeam", "one"),
            apply(9_000 + gap, team.clone()),
            delete(20_000, "PortalTeam", "one"),
            delete(22_000, "Portal", "shop"),
            apply(22_000 + gap, portal("shop")),
        ];
        let faults = vec![shown("list-portal-teams", 9_000 + gap), shown("list-portals", 22_000 + gap)];
        let outcome = replay(&world(steps, faults, 30_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2, "{trace}");
        assert_eq!(sent(&outcome, "PATCH", "/v2/portals/"), 0, "{trace}");
        let again = outcome.trace.iter().rfind(|line| line.contains("POST") && line.contains("/teams {"));
        let at = again.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        assert!(at.is_some_and(|at| (9.0..12.0).contains(&at)), "at once, and not at a later look: {trace}");
    }
}

/// Beside seed 92856, law 9: what a resource had looked at, and found equal, was in order for ever when its connection was told to write.
#[test]
fn what_was_only_looked_at_is_taken_over_when_the_connection_is_told_to_write() {
    let mode = |at, mode: &str| {
        let (kind, namespace, name) = ("KonnectConnection".to_owned(), "world".to_owned(), "acme".to_owned());
        step(at, Action::Edit { kind, namespace, name, spec: json!({"mode": mode}) })
    };
    let guests = json!({"portalRef": {"name": "shop"}, "lifecycle": {"adoption": "Adopt"}});
    let steps = vec![
        apply(500, portal("shop")),
        make(3_000, "PortalTeam", "guests"),
        mode(5_000, "Observe"),
        apply(10_000, konnect("PortalTeam", "guests", &guests)),
        mode(20_000, "Manage"),
    ];
    let outcome = replay(&world(steps, Vec::new(), 20_001));
    let held = sent(&outcome, "patch portalteams world/guests", r#"{"metadata":{"finalizers""#);
    assert_eq!(held, 1, "{}", outcome.trace.join("\n"));
}

/// Seed 111452, law 12: of two resources with two connections to one account, which a backup brought back at once, one found the object by
/// its mark while the other took it over by its name, and both recorded it.
#[test]
fn what_two_resources_find_at_once_becomes_that_of_one_of_them() {
    let connection = json!({
        "region": "eu",
        "tokenSecretRef": {"name": "konnect"},
        "resyncInterval": "60s",
        "requestTimeout": "5s",
        "rateLimit": {"requestsPerSecond": 100, "burst": 100},
    });
    let named = |name: &str, connection: &str, lifecycle: &Value| {
        let spec = json!({"connectionRef": {"name": connection}, "name": "shop", "lifecycle": lifecycle});
        konnect("Portal", name, &spec)
    };
    for seed in 1..=8 {
        let steps = vec![
            apply(100, konnect("KonnectConnection", "second", &connection)),
            apply(1_000, named("one", "acme", &json!({"deletion": "Retain"}))),
            apply(4_000, named("two", "second", &json!({"adoption": "Adopt"}))),
            delete(10_000, "Portal", "two"),
            delete(12_000, "Portal", "one"),
            step(30_000, Action::Restore { from: 8_000 }),
        ];
        replay(&Plan { seed, ..world(steps, Vec::new(), 30_001) });
    }
}

/// Seed 111859: two wait for the object of a third, which was renamed and which the API goes on calling by its old name, since a stranger's
/// has the new one. Nobody waits in a circle, and the oracle said so.
#[test]
fn who_still_has_the_object_of_a_name_goes_before_those_who_want_the_name() {
    let named =
        |name: &str, called: &str| konnect("Portal", name, &json!({"connectionRef": {"name": "acme"}, "name": called}));
    let steps = vec![
        make(500, "Portal", "taken"),
        apply(1_000, named("one", "shop")),
        apply(6_000, named("one", "taken")),
        apply(9_000, named("two", "shop")),
        apply(12_000, named("three", "shop")),
    ];
    let outcome = replay(&world(steps, Vec::new(), 13_000));
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{}", outcome.trace.join("\n"));
}

/// Seed 126734: one waits for an older one of its id, which waits for the Secret that a third hands its credentials out in. Nobody waits in a
/// circle, and the oracle said so.
#[test]
fn who_waits_for_a_secret_is_waited_for_by_those_who_want_its_id() {
    let client = |name: &str, id: &str, secret: &str| {
        let (server, secret) = (json!({"name": "login"}), json!({"name": secret}));
        acp("OAuthClient", name, &json!({"serverRef": server, "clientId": id, "credentialsSecret": secret}))
    };
    let steps = vec![
        apply(500, server("login", &json!({}))),
        apply(3_000, client("one", "first", "handed")),
        apply(6_000, client("two", "second", "handed")),
        apply(9_000, client("three", "second", "handed-too")),
    ];
    let outcome = replay(&identity_world(steps, Vec::new(), 10_000));
    assert_eq!(sent(&outcome, "POST", "/clients {"), 1, "{}", outcome.trace.join("\n"));
}

/// A domain of the portal "shop" that the API verifies by HTTP.
fn domain(name: &str) -> Value {
    let (hostname, ssl) = (format!("{name}.example.com"), json!({"domainVerificationMethod": "http"}));
    let spec = json!({"portalRef": {"name": "shop"}, "hostname": hostname, "ssl": ssl});
    konnect("PortalCustomDomain", name, &spec)
}

/// Seed 251262, law 12: the resource that had the one domain of a portal was told only to look, and a stranger had deleted the domain. Whoever
/// wanted to make it again waited for that record for ever, and the next one for them.
#[test]
fn the_record_of_what_is_gone_is_in_nobodys_way_once_its_resource_only_looks() {
    for crash in [false, true] {
        let (kind, namespace, name) = ("PortalCustomDomain".to_owned(), "world".to_owned(), "one".to_owned());
        let looks = json!({"lifecycle": {"mode": "Observe"}});
        let mut steps = vec![
            apply(500, portal("shop")),
            apply(2_050, domain("one")),
            apply(4_050, domain("two")),
            apply(6_050, domain("three")),
            remove(8_000, "PortalCustomDomain", 0),
            step(9_000, Action::Edit { kind, namespace, name, spec: looks }),
        ];
        steps.extend(crash.then(|| step(9_500, Action::Crash { replica: 0, down: 1_000 })));
        let outcome = replay(&world(steps, Vec::new(), 11_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "POST", "/custom-domain {"), 2, "the next one makes it again: {trace}");
    }
}

/// Seed 3004310: a portal had gone with its domain, which is a mass: nothing is made again until a person says so, and the record of the domain
/// stands, though its resource only looks by now. Two others wait for it, no longer than the portal is away; the oracle said for ever.
#[test]
fn the_record_of_what_went_with_its_portal_stands_until_the_portal_is_made_again() {
    for confirmed in [false, true] {
        let (kind, namespace, name) = ("PortalCustomDomain".to_owned(), "world".to_owned(), "one".to_owned());
        let looks = json!({"lifecycle": {"mode": "Observe"}});
        let mut steps = vec![
            apply(500, portal("shop")),
            apply(2_050, domain("one")),
            apply(4_050, domain("two")),
            apply(6_050, domain("three")),
            remove(8_000, "Portal", 0),
            step(9_000, Action::Edit { kind, namespace, name, spec: looks }),
        ];
        steps.extend(confirmed.then(|| step(20_000, confirm_absence())));
        let outcome = replay(&world(steps, Vec::new(), 20_001));
        let (trace, times) = (outcome.trace.join("\n"), 1 + usize::from(confirmed));
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), times, "{trace}");
        assert_eq!(sent(&outcome, "POST", "/custom-domain {"), times, "the next one has it in the new portal: {trace}");
    }
}

/// Seed 1044816: two wait for the settings of a portal that a third has recorded, whose own portal was left behind, and was taken over by the
/// resource that the two refer to. Nobody waits in a circle, and the oracle said so.
#[test]
fn who_has_the_settings_of_a_portal_that_became_anothers_goes_before_those_of_the_other() {
    let named = |name: &str, lifecycle: &Value| {
        let spec = json!({"connectionRef": {"name": "acme"}, "name": "shop", "lifecycle": lifecycle});
        konnect("Portal", name, &spec)
    };
    let (kind, namespace, name) = ("Portal".to_owned(), "world".to_owned(), "first".to_owned());
    let (key, value) = ("portico.dev/orphan".to_owned(), Some("true".to_owned()));
    let of = |name: &str, portal: &str| mapping("world", name, &json!({"name": portal}), &json!({}));
    let steps = vec![
        apply(500, named("first", &json!({}))),
        apply(2_050, of("one", "first")),
        apply(4_050, named("second", &json!({"adoption": "Adopt"}))),
        apply(6_050, of("two", "second")),
        apply(8_050, of("three", "second")),
        delete(10_000, "Portal", "first"),
        step(12_000, Action::Annotate { kind, namespace, name, key, value }),
    ];
    let outcome = replay(&world(steps, Vec::new(), 12_001));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "PATCH", "/authentication-settings {"), 1, "{trace}");
    assert!(sent(&outcome, "PATCH", "/v2/portals/") > 1, "the portal became the other's: {trace}");
}

/// Beside seed 1044816, law 12: one whose create was open, and whose spec bound it to the object of another by then, went before that one, which
/// had been edited and yielded; and found then that the object is the other's. The two waited for each other for ever.
#[test]
fn who_is_bound_to_the_object_of_another_waits_for_it_although_its_own_create_is_open() {
    let bound = || json!({"adoption": "Adopt", "id": "${id:PortalTeam:strange}"});
    let team = |name: &str, called: &str, description: &str, lifecycle: &Value| {
        let portal = json!({"name": "shop"});
        let spec = json!({"portalRef": portal, "name": called, "description": description, "lifecycle": lifecycle});
        konnect("PortalTeam", name, &spec)
    };
    let pause = |at, value: Option<&str>| {
        let (kind, namespace, name) = ("PortalTeam".to_owned(), "world".to_owned(), "one".to_owned());
        let (key, value) = ("portico.dev/paused".to_owned(), value.map(str::to_owned));
        step(at, Action::Annotate { kind, namespace, name, key, value })
    };
    let steps = vec![
        apply(500, portal("shop")),
        make(2_000, "PortalTeam", "strange"),
        apply(3_050, team("one", "one", "made first", &json!({}))),
        pause(3_500, Some("true")),
        apply(5_050, team("two", "strange", "made second", &bound())),
        apply(8_000, team("one", "one", "made first", &bound())),
        apply(9_000, team("two", "strange", "for readers", &bound())),
        pause(20_000, None),
    ];
    let outcome = replay(&world(steps, vec![first("create-portal-team", Effect::Lost)], 21_000));
    let changed = sent(&outcome, "PATCH", r#""description":"for readers""#);
    assert_eq!(changed, 1, "{}", outcome.trace.join("\n"));
}
