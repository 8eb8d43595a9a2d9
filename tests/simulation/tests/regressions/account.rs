//! Credentials that come and go, and those of another organization.
use portico_simulation::plan::{Action, Effect, Fault, Side, Step, Stranger};
use serde_json::json;

use crate::world::{
    apply, confirm_absence, delete, first, first_lost, made, make, portal, remove, replay, sent, step, token, world,
};

/// Seed 4297, law 10: whoever began to wait while the API was down still said so when it was up and the credential had been revoked.
#[test]
fn who_waits_for_an_api_that_is_down_says_so_no_longer_when_it_refuses_the_credential() {
    let down = Fault {
        side: Side::Remote,
        from: 20_000,
        until: 60_000,
        nth: 0,
        times: 1_000,
        what: "*".to_owned(),
        effect: Effect::Lost,
    };
    let steps = vec![
        apply(500, portal("shop")),
        Step { at: 3_000, action: Action::Revoke { account: "konnect".to_owned() } },
        apply(4_000, portal("news")),
        apply(59_000, portal("blog")),
    ];
    replay(&world(steps, vec![down], 61_000));
}

/// Seed 18875, law 5: the token was put back after a wrong one, and counted as one of another account, because the portal was gone.
#[test]
fn a_token_that_is_put_back_is_of_the_account_that_it_was_of() {
    let secret = |token: &str| Action::Secret {
        namespace: "world".to_owned(),
        name: "konnect".to_owned(),
        data: vec![("token".to_owned(), token.to_owned())],
    };
    let gone = Action::Stranger(Stranger::Delete { kind: "Portal".to_owned(), which: 0 });
    let steps = vec![
        apply(500, portal("shop")),
        delete(9_000, "KonnectConnection", "acme"),
        Step { at: 20_000, action: gone },
        Step { at: 21_000, action: secret("kpat_wrong") },
        delete(30_000, "Portal", "shop"),
        Step { at: 40_000, action: secret("${konnect.token}") },
    ];
    replay(&world(steps, Vec::new(), 40_001));
}

/// Seed 7008: a portal that a stranger deleted waits with its connection for a person, where the token is another one since.
#[test]
fn a_deletion_waits_for_a_person_where_a_new_token_finds_nothing() {
    let gone = Action::Stranger(Stranger::Delete { kind: "Portal".to_owned(), which: 0 });
    let steps = vec![
        apply(500, portal("shop")),
        delete(9_000, "KonnectConnection", "acme"),
        Step { at: 20_000, action: gone },
        Step { at: 21_000, action: Action::Renew { account: "konnect".to_owned() } },
        delete(30_000, "Portal", "shop"),
    ];
    replay(&world(steps, Vec::new(), 30_001));
}

/// Seeds 51224, 53277, 55247, laws 1 and 3: another organization's listing does not show what a create made just before a crash, and that
/// was taken for an absence.
#[test]
fn a_portal_that_nobody_recorded_is_not_looked_for_in_another_organization() {
    for restart in [None, Some(70_000)] {
        let mut steps = vec![
            apply(2_000, portal("shop")),
            delete(12_000, "Portal", "shop"),
            token(20_000, "kpat_other_organization"),
        ];
        steps.extend(restart.map(|at| step(at, Action::Stop { replica: 0, down: 2_000 })));
        steps.push(token(90_000, "${konnect.token}"));
        let faults = vec![first("create-portal", Effect::CrashAfter)];
        let outcome = replay(&world(steps, faults, 91_000));
        assert!(sent(&outcome, "DELETE", "/v2/portals/") > 0, "{}", outcome.trace.join("\n"));
    }
}

/// Seed 54064, law 1: the same while the portal lives: it was made once more, in the other organization.
#[test]
fn a_portal_that_nobody_recorded_is_not_made_again_in_another_organization() {
    let steps =
        vec![apply(2_000, portal("shop")), token(12_000, "kpat_other_organization"), token(90_000, "${konnect.token}")];
    let outcome = replay(&world(steps, vec![first_lost("create-portal")], 91_000));
    let creates = outcome.trace.iter().filter(|line| line.contains("POST /v2/portals {")).count();
    assert_eq!(creates, 1);
}

/// Law 10: a create that was refused made nothing, and the better token that is put there then is taken without a question.
#[test]
fn after_a_refused_create_another_token_needs_nobodys_word() {
    let renewed = Action::Renew { account: "konnect".to_owned() };
    let steps = vec![apply(2_000, portal("shop")), step(12_000, renewed)];
    let outcome = replay(&world(steps, vec![first("create-portal", Effect::Status(403, None))], 13_000));
    assert!(!outcome.trace.iter().any(|line| line.contains("AccountChanged")));
}

/// Seed 214512, law 1: a portal whose create had lost its answer was found while its connection only looked, and did not count as recorded:
/// so the credential of another organization was taken, and there it was made once more.
#[test]
fn a_portal_that_was_found_while_its_connection_only_looked_is_not_made_again_in_another_organization() {
    for restart in [None, Some(40_000)] {
        let mode = |at, mode: &str| {
            let (kind, namespace, name) = ("KonnectConnection".to_owned(), "world".to_owned(), "acme".to_owned());
            step(at, Action::Edit { kind, namespace, name, spec: json!({ "mode": mode }) })
        };
        let mut steps =
            vec![apply(2_000, portal("shop")), mode(3_000, "Observe"), token(30_000, "kpat_other_organization")];
        steps.extend(restart.map(|at| step(at, Action::Stop { replica: 0, down: 2_000 })));
        steps.extend([mode(57_000, "Manage"), token(90_000, "${konnect.token}")]);
        let late = first("create-portal", Effect::Late(6_400));
        let outcome = replay(&world(steps, vec![late], 91_000));
        assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{}", outcome.trace.join("\n"));
    }
}

/// The same where the portal was made and the status could not be written yet: between the answer and its record another credential came.
#[test]
fn a_portal_whose_record_is_not_written_yet_is_not_made_again_in_another_organization() {
    let unwritten = Fault {
        side: Side::Kubernetes,
        from: 1_900,
        until: 20_000,
        nth: 0,
        times: 1_000,
        what: "patch portals/status".to_owned(),
        effect: Effect::Lost,
    };
    let steps = vec![
        apply(2_000, portal("shop")),
        token(10_000, "kpat_other_organization"),
        token(120_000, "${konnect.token}"),
    ];
    let outcome = replay(&world(steps, vec![unwritten], 121_000));
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{}", outcome.trace.join("\n"));
}

/// Seed 210160, law 5: the same token in a Secret that was made again counted as one of another account for the process after a crash, because
/// the portal was gone. The Secret is made again while a process runs whose connection is being deleted, and while none runs.
#[test]
fn the_same_token_in_a_secret_that_was_made_again_is_of_the_account_that_it_was_of() {
    for crash in [5_000, 1_500] {
        let (namespace, name) = ("world".to_owned(), "konnect".to_owned());
        let mut steps = vec![
            apply(500, portal("shop")),
            delete(1_000, "KonnectConnection", "acme"),
            step(2_000, Action::DeleteSecret { namespace, name }),
            token(3_500, "${konnect.token}"),
            step(crash, Action::Crash { replica: 0, down: 20_000 - crash }),
            remove(8_700, "Portal", 0),
            delete(10_000, "Portal", "shop"),
        ];
        steps.sort_by_key(|step| step.at);
        replay(&world(steps, Vec::new(), 10_001));
    }
}

/// Seed 1047311: of two portals one is in another organization, where a person had said that the other one was meant to go. With the first
/// token again the other one answers, so that it is the account, and the first is made there too: the oracle called that two of one.
#[test]
fn where_one_of_the_recorded_portals_answers_to_a_token_the_others_are_made_there() {
    let confirmed = confirm_absence();
    // Its domain is taken in every organization, so it is not made a second time.
    let mut shop = portal("shop");
    shop["spec"]["customDomain"] = json!("partner.example.com");
    let steps = vec![
        apply(2_000, shop),
        token(15_000, "kpat_other_organization"),
        step(35_000, confirmed),
        apply(65_000, portal("blog")),
        token(77_000, "${konnect.token}"),
    ];
    let outcome = replay(&world(steps, Vec::new(), 77_001));
    assert_eq!(made(&outcome, "POST /v2/portals {"), 3, "{}", outcome.trace.join("\n"));
}

/// Seed 3050656, law 3: a pass that had begun with one token made a portal after the connection had taken the token of another organization,
/// where nothing was recorded yet that would have told. There it was looked for, and made once more. The same for what it takes over.
#[test]
fn what_began_with_one_token_is_not_made_with_it_once_another_is_in_use() {
    for adoption in ["Refuse", "Adopt"] {
        let mut shop = portal("shop");
        shop["spec"]["lifecycle"] = json!({ "adoption": adoption });
        let mut steps = vec![apply(20_000, shop), token(20_300, "kpat_other_organization")];
        if adoption == "Adopt" {
            steps.insert(0, make(10_000, "Portal", "shop"));
        }
        // The pass looks whether there is such a portal, and the answer comes when the other token is in use.
        let slow = Fault {
            side: Side::Remote,
            from: 20_000,
            until: 20_250,
            nth: 0,
            times: 1,
            what: "list-portals".to_owned(),
            effect: Effect::Slow(2_000),
        };
        let outcome = replay(&world(steps, vec![slow], 120_000));
        assert_eq!(made(&outcome, "POST /v2/portals {"), 1, "{}", outcome.trace.join("\n"));
        assert_eq!(sent(&outcome, "PATCH", "/v2/portals/"), 0, "{}", outcome.trace.join("\n"));
    }
}
