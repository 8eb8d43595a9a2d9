//! Whose account a credential is of.
use portico_simulation::plan::{Action, Effect, Step};
use serde_json::json;

use crate::world::{
    acp, apply, delete, first, identity_world, konnect, make, portal, remove, replay, sent, step, team, token, world,
};

/// A team of a portal that nobody recorded.
fn team_by_id() -> Step {
    let portal = json!({"id": "${id:Portal:strange}"});
    let spec = json!({"connectionRef": {"name": "acme"}, "portalRef": portal, "name": "API readers"});
    apply(2_000, konnect("PortalTeam", "readers", &spec))
}

/// The domain of a portal that nobody recorded.
fn domain_by_id() -> Step {
    let spec = json!({
        "connectionRef": {"name": "acme"},
        "portalRef": {"id": "${id:Portal:strange}"},
        "hostname": "docs.example.com",
        "ssl": {"domainVerificationMethod": "http"},
    });
    apply(2_000, konnect("PortalCustomDomain", "docs", &spec))
}

/// Seed 65494, law 10: URL and tenant say which account of ACP it is, and no other secret of a client leads to another.
#[test]
fn another_secret_of_a_client_does_not_change_the_tenant() {
    let server = "${id:AuthorizationServer:strange}";
    let client = json!({"connectionRef": {"name": "identity"}, "serverRef": {"id": server}, "clientId": "chosen"});
    let steps = vec![
        make(0, "AuthorizationServer", "strange"),
        apply(1_000, acp("OAuthClient", "shop", &client)),
        remove(43_000, "OAuthClient", 0),
        step(54_000, Action::Renew { account: "acp".to_owned() }),
    ];
    let outcome = replay(&identity_world(steps, Vec::new(), 54_001));
    assert!(!outcome.trace.iter().any(|line| line.contains("AccountChanged")));
}

/// Law 10: what lies below an object that nobody recorded tells as well whose account it is, where all that is at the top was deleted.
#[test]
fn what_is_left_below_a_portal_of_strangers_tells_whose_token_it_is() {
    for which in [0, 1] {
        let steps = vec![
            make(0, "Portal", "strange"),
            apply(1_000, portal("shop")),
            team_by_id(),
            remove(20_000, "Portal", which),
            step(20_100, Action::Renew { account: "konnect".to_owned() }),
        ];
        let outcome = replay(&world(steps, Vec::new(), 20_101));
        assert!(!outcome.trace.iter().any(|line| line.contains("AccountChanged")), "{which}");
    }
}

/// Seeds 60548, 66575 and 69622, law 10: a team, whose portal nobody has recorded any more, is all that could tell whose token it is.
#[test]
fn where_nothing_that_is_recorded_answers_to_a_new_token_a_person_is_asked() {
    let orphan = "portico.dev/orphan".to_owned();
    let (kind, namespace, name) = ("Portal".to_owned(), "world".to_owned(), "shop".to_owned());
    let steps = vec![
        apply(1_000, portal("shop")),
        apply(3_000, team()),
        step(31_000, Action::Annotate { kind, namespace, name, key: orphan, value: Some("true".to_owned()) }),
        remove(32_000, "PortalTeam", 0),
        delete(33_000, "Portal", "shop"),
        step(92_000, Action::Renew { account: "konnect".to_owned() }),
    ];
    replay(&world(steps, Vec::new(), 92_001));
}

/// Law 3: another organization answers 404 for a list below a portal that a reference gives by its id, and that was taken for the portal's
/// end, and for that of what an open create had made there.
#[test]
fn what_an_open_create_made_below_a_portal_of_strangers_is_not_looked_for_in_another_organization() {
    let steps = vec![
        make(0, "Portal", "strange"),
        team_by_id(),
        delete(12_000, "PortalTeam", "readers"),
        token(13_000, "kpat_other_organization"),
        token(90_000, "${konnect.token}"),
    ];
    let outcome = replay(&world(steps, vec![first("create-portal-team", Effect::AnswerLost)], 90_001));
    assert!(sent(&outcome, "DELETE", "/teams/") > 0, "{}", outcome.trace.join("\n"));
}

/// Seed 1054125, law 1: the same for the domain of such a portal, which no list shows: the other organization's 404 was taken for the portal's
/// end, and what the open create had made was nobody's when the token was put back.
#[test]
fn the_domain_that_an_open_create_made_for_a_portal_of_strangers_is_not_looked_for_in_another_organization() {
    for end in [None, Some(12_000)] {
        let mut steps = vec![make(0, "Portal", "strange"), domain_by_id()];
        steps.extend(end.map(|at| delete(at, "PortalCustomDomain", "docs")));
        steps.extend([token(13_000, "kpat_other_organization"), token(90_000, "${konnect.token}")]);
        let lost = first("create-portal-custom-domain", Effect::AnswerLost);
        let outcome = replay(&world(steps, vec![lost], 90_001));
        let trace = outcome.trace.join("\n");
        let is_misled = |line: &String| line.contains("/custom-domain") && line.contains("Portal not found");
        assert!(!outcome.trace.iter().any(is_misled), "{trace}");
        assert_eq!(sent(&outcome, "POST", "/custom-domain {"), 1, "{trace}");
        assert_eq!(sent(&outcome, "DELETE", "/custom-domain"), usize::from(end.is_some()), "{trace}");
    }
}

/// Law 10: whether a domain was made or not, its portal tells whose token it is, and nobody's word is needed.
#[test]
fn the_portal_of_a_domain_whose_create_never_arrived_tells_whose_token_it_is() {
    let renewed = step(13_000, Action::Renew { account: "konnect".to_owned() });
    let steps = vec![make(0, "Portal", "strange"), domain_by_id(), renewed];
    let lost = first("create-portal-custom-domain", Effect::Lost);
    let outcome = replay(&world(steps, vec![lost], 13_001));
    let trace = outcome.trace.join("\n");
    assert!(!trace.contains("AccountChanged"), "{trace}");
    assert_eq!(sent(&outcome, "POST", "/custom-domain {"), 2, "{trace}");
}

/// Seed 251201: each of two portals of one name is in the organization of its own connection's token, and the oracle said that they fight.
#[test]
fn portals_of_one_name_in_two_organizations_are_in_nobodys_way() {
    let globex = Action::Secret {
        namespace: "world".to_owned(),
        name: "globex".to_owned(),
        data: vec![("token".to_owned(), "kpat_other_organization".to_owned())],
    };
    let connection = json!({
        "region": "eu",
        "tokenSecretRef": {"name": "globex"},
        "resyncInterval": "60s",
        "requestTimeout": "5s",
        "rateLimit": {"requestsPerSecond": 100, "burst": 100},
    });
    let theirs = json!({"connectionRef": {"name": "second"}, "name": "shop"});
    let steps = vec![
        step(100, globex),
        apply(200, konnect("KonnectConnection", "second", &connection)),
        apply(1_000, portal("shop")),
        apply(4_000, konnect("Portal", "theirs", &theirs)),
    ];
    let outcome = replay(&world(steps, Vec::new(), 5_000));
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2, "{}", outcome.trace.join("\n"));
}
