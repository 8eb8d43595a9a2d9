//! Credentials that come and go, and those of another organization.
use portico_simulation::plan::{Action, Effect, Fault, Side, Step, Stranger};

use crate::world::{apply, delete, first, first_lost, portal, replay, sent, step, token, world};

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
