//! What is decided about a create, and about which object is whose: a small world for each way that a decision can go.
use portico_sandbox::Switches;
use portico_simulation::{
    Outcome,
    plan::{Action, Effect, Fault, Millis, Step},
};
use serde_json::{Value, json};

use crate::world::{
    apply, delete, first, first_lost, identity_world, konnect, make, portal, remove, replay, sent, server, shared,
    step, team, world,
};

const VERSION: &str = "c47d0e52-3b1f-4a86-9d20-000000000002";
const OTHER_VERSION: &str = "c47d0e52-3b1f-4a86-9d20-000000000003";

/// When the operator sent the requests of this method on such a path, by the trace.
pub(crate) fn times(outcome: &Outcome, method: &str, path: &str) -> Vec<Millis> {
    let is_one = |line: &&String| line.contains(" r0.") && line.contains(method) && line.contains(path);
    let moment = |line: &String| -> Option<Millis> { line.split_whitespace().next()?.replace('.', "").parse().ok() };
    outcome.trace.iter().filter(is_one).filter_map(moment).collect()
}

/// How often a status was written whose `Ready` begins with these words. A trace shows some twenty letters of them.
pub(crate) fn said(outcome: &Outcome, plural: &str, name: &str, words: &str) -> usize {
    sent(outcome, &format!("patch {plural}/status world/{name} "), &format!("\"message\":\"{words}"))
}

/// How many events tell of a resource: new ones, and those in which one is counted that was there.
fn told(outcome: &Outcome, name: &str) -> usize {
    let made = sent(outcome, "create events world/", &format!("\"name\":\"{name}."));
    made + sent(outcome, "patch events world/", &format!("world/{name}."))
}

/// A user asks for a look.
pub(crate) fn look(at: Millis, kind: &str, name: &str) -> Step {
    let (kind, namespace, name) = (kind.to_owned(), "world".to_owned(), name.to_owned());
    let (key, value) = ("portico.dev/reconcile-at".to_owned(), Some("now".to_owned()));
    step(at, Action::Annotate { kind, namespace, name, key, value })
}

/// A user changes what is in `world`.
pub(crate) fn edit(at: Millis, kind: &str, name: &str, spec: Value) -> Step {
    let (kind, namespace, name) = (kind.to_owned(), "world".to_owned(), name.to_owned());
    step(at, Action::Edit { kind, namespace, name, spec })
}

/// The portal `shop`, or one of another name, treated in this way.
fn portal_with(name: &str, lifecycle: Value) -> Value {
    let mut portal = portal(name);
    portal["spec"]["lifecycle"] = lifecycle;
    portal
}

/// A domain of the portal `shop`.
fn domain() -> Value {
    let ssl = json!({"domainVerificationMethod": "http"});
    let spec = json!({"portalRef": {"name": "shop"}, "hostname": "docs.example.com", "ssl": ssl});
    konnect("PortalCustomDomain", "docs", &spec)
}

/// A publication in the portal `shop`.
fn publication() -> Value {
    let spec = json!({
        "portalRef": {"name": "shop"},
        "productVersionId": VERSION,
        "lifecycle": {"replace": "Allow"},
    });
    konnect("PortalProductVersion", "payments", &spec)
}

/// Law 1: two creates of a derived id make one object, so the second is sent without a wait, and that the id is taken then says that the
/// first one made it.
#[test]
fn a_server_whose_answer_was_lost_is_made_again_without_a_wait_and_known_by_its_id() {
    let steps = vec![apply(2_000, server("login", &json!({})))];
    let outcome = replay(&identity_world(steps, vec![first_lost("createAuthorizationServer")], 61_000));
    let (trace, creates) = (outcome.trace.join("\n"), times(&outcome, "POST", "/servers {"));
    assert_eq!(creates.len(), 2, "{trace}");
    // It is sent again after a timeout of 5 s and the first backoff, and not after the window of 15 s.
    assert!(creates[1] < 13_000, "{creates:?}\n{trace}");
}

/// Law 10: only the answer that an id is taken is a reason to look at that id. Any other refusal is told in the API's words.
#[test]
fn a_server_that_the_api_refuses_is_not_taken_for_one_that_is_there() {
    let refused = first("createAuthorizationServer", Effect::Status(400, None));
    let steps = vec![apply(2_000, server("login", &json!({})))];
    let outcome = replay(&identity_world(steps, vec![refused], 61_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "authorizationservers", "login", "the API refuses") > 0, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/servers {"), 2, "{trace}");
}

/// Law 10: where the API chooses the id, a 409 says nothing of an id: a hostname that somebody else has is told in the API's words.
#[test]
fn a_domain_that_the_api_refuses_with_409_is_told_in_the_apis_words_and_made_when_it_can_be() {
    let refused = first("create-portal-custom-domain", Effect::Status(409, None));
    let steps = vec![apply(500, portal("shop")), apply(3_000, domain())];
    let outcome = replay(&world(steps, vec![refused], 61_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "portalcustomdomains", "docs", "the API refuses") > 0, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/custom-domain {"), 2, "{trace}");
}

/// Law 2: what comes between the look at a chosen id and the create is a stranger's, and stays when the resource goes.
#[test]
fn a_stranger_who_takes_a_chosen_id_while_the_create_is_on_its_way_keeps_what_is_theirs() {
    let late = first("createAuthorizationServer", Effect::Late(3_000));
    let steps = vec![
        apply(2_000, server("login", &json!({"id": "chosen"}))),
        make(3_500, "AuthorizationServer", "chosen"),
        delete(40_000, "AuthorizationServer", "login"),
    ];
    let outcome = replay(&identity_world(steps, vec![late], 61_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("<- 409"), "the stranger came too late:\n{trace}");
    assert!(said(&outcome, "authorizationservers", "login", "a AuthorizationServer") > 0, "{trace}");
    assert_eq!(said(&outcome, "authorizationservers", "login", "the API refuses"), 0, "{trace}");
    assert_eq!(sent(&outcome, "PUT", "/servers/"), 0, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/servers/"), 0, "{trace}");
}

/// Law 2: an id that a stranger's server has is seen before anything is sent; the server is taken only when a user says so, and is this
/// resource's from then on.
#[test]
fn a_strangers_server_of_the_chosen_id_is_left_alone_until_it_is_to_be_adopted() {
    let adopt = json!({"id": "strange", "cookieMaxAge": "8h", "lifecycle": {"adoption": "Adopt"}});
    let steps = vec![
        make(0, "AuthorizationServer", "strange"),
        apply(2_000, server("login", &json!({"id": "strange", "cookieMaxAge": "8h"}))),
        apply(20_000, server("login", &adopt)),
        delete(40_000, "AuthorizationServer", "login"),
    ];
    let outcome = replay(&identity_world(steps, Vec::new(), 41_000));
    let (trace, changes) = (outcome.trace.join("\n"), times(&outcome, "PUT", "/servers/strange"));
    assert!(said(&outcome, "authorizationservers", "login", "a AuthorizationServer") > 0, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/servers {"), 0, "{trace}");
    assert!(!changes.is_empty() && changes.iter().all(|at| *at >= 20_000), "{changes:?}\n{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/servers/strange"), 1, "{trace}");
}

/// Law 2: the same for what a parent has one of: the words name the parent, for nobody chose an id.
#[test]
fn a_strangers_domain_of_the_portal_is_left_alone() {
    let steps = vec![
        apply(500, portal("shop")),
        make(3_000, "PortalCustomDomain", "theirs.example.com"),
        apply(5_000, domain()),
        delete(40_000, "PortalCustomDomain", "docs"),
    ];
    let outcome = replay(&world(steps, Vec::new(), 41_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "portalcustomdomains", "docs", "") > 0, "{trace}");
    assert_eq!(said(&outcome, "portalcustomdomains", "docs", "a Portal"), 0, "{trace}");
    for method in ["POST", "PATCH", "DELETE"] {
        assert_eq!(sent(&outcome, method, "/custom-domain"), 0, "{method}:\n{trace}");
    }
}

/// Law 2: what belongs to the API itself is not changed, whatever the spec says.
#[test]
fn a_built_in_server_is_neither_adopted_nor_deleted() {
    let steps = vec![
        apply(2_000, server("login", &json!({"id": "admin", "lifecycle": {"adoption": "Adopt"}}))),
        delete(20_000, "AuthorizationServer", "login"),
    ];
    let outcome = replay(&identity_world(steps, Vec::new(), 21_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "authorizationservers", "login", "admin is built into") > 0, "{trace}");
    assert_eq!(sent(&outcome, "PUT", "/servers/admin") + sent(&outcome, "DELETE", "/servers/admin"), 0, "{trace}");
}

/// A version is published by a PUT under its own id, and by nothing else; another version comes in its place where it may be replaced.
#[test]
fn a_publication_is_put_under_its_id_and_moves_to_another_one_where_it_may() {
    let steps = vec![
        make(0, "ApiProductVersion", VERSION),
        make(0, "ApiProductVersion", OTHER_VERSION),
        apply(500, portal("shop")),
        apply(3_000, publication()),
        edit(20_000, "PortalProductVersion", "payments", json!({"productVersionId": OTHER_VERSION})),
    ];
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    let trace = outcome.trace.join("\n");
    for version in [VERSION, OTHER_VERSION] {
        assert!(sent(&outcome, "PUT", &format!("/product-versions/{version} ")) > 0, "{version}:\n{trace}");
    }
    assert_eq!(sent(&outcome, "POST", "/product-versions"), 0, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", &format!("/product-versions/{VERSION}")), 1, "{trace}");
}

/// Law 10: a 404 to a PUT under an id is about something that the spec refers to: its portal was there just now. It is said once, not at
/// every try.
#[test]
fn a_publication_waits_for_its_version_and_says_so_once() {
    let steps =
        vec![apply(500, portal("shop")), apply(3_000, publication()), make(50_000, "ApiProductVersion", VERSION)];
    let outcome = replay(&world(steps, Vec::new(), 51_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "portalproductversions", "payments", "something that the") > 0, "{trace}");
    assert_eq!(said(&outcome, "portalproductversions", "payments", "/v2/portals/"), 0, "{trace}");
    assert!(sent(&outcome, "PUT", "/product-versions/") > 2, "{trace}");
    assert!(told(&outcome, "payments") <= 2, "one for the wait, one for its end:\n{trace}");
}

/// Law 10: a 404 to a POST is about the collection: the portal went while the create was on its way, and is made again first.
#[test]
fn a_team_whose_portal_goes_while_it_is_made_says_so_and_is_made_in_the_next_one() {
    let late = first("create-portal-team", Effect::Late(3_000));
    let steps = vec![apply(500, portal("shop")), apply(3_000, team()), remove(4_500, "Portal", 0)];
    let outcome = replay(&world(steps, vec![late], 61_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "portalteams", "readers", "/v2/portals/") > 0, "{trace}");
    assert_eq!(said(&outcome, "portalteams", "readers", "something that the"), 0, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/teams {"), 2, "{trace}");
}

/// Where nothing can be on its way nobody waits: not before the first create, and not after a refusal, which says that nothing was made,
/// even where another process got it.
#[test]
fn nobody_waits_before_a_create_where_nothing_can_be_on_its_way() {
    let steps =
        vec![apply(500, portal("shop")), apply(3_000, team()), step(4_500, Action::Crash { replica: 0, down: 2_000 })];
    let outcome = replay(&world(steps, vec![first("create-portal-team", Effect::Status(403, None))], 61_000));
    let trace = outcome.trace.join("\n");
    let (portals, teams) = (times(&outcome, "POST", "/v2/portals {"), times(&outcome, "POST", "/teams {"));
    assert!(portals.len() == 1 && portals[0] < 2_500, "{portals:?}\n{trace}");
    assert!(teams.len() == 2 && teams[1] < 17_000, "{teams:?}\n{trace}");
    // What was never held is looked for by its name alone.
    assert!(sent(&outcome, "GET /v2/portals?", "filter%5Bname%5D%5Beq%5D=shop") > 0, "{trace}");
}

/// Law 4: each try at what is refused is announced in the status, and does not say that it is being created: that would be news every time.
#[test]
fn a_team_that_is_refused_again_and_again_says_so_once() {
    let until = 150_000;
    let refused = Fault { until, times: 1_000, ..first("create-portal-team", Effect::Status(403, None)) };
    let steps = vec![apply(500, portal("shop")), apply(3_000, team())];
    let outcome = replay(&world(steps, vec![refused], until + 1));
    let trace = outcome.trace.join("\n");
    assert!(sent(&outcome, "POST", "/teams {") > 3, "{trace}");
    assert!(told(&outcome, "readers") <= 2, "one for the refusal, one for the success:\n{trace}");
}

/// Law 1: each create has its own window. That the one before was waited for says nothing of the next one.
#[test]
fn a_second_create_without_an_answer_is_waited_for_as_long_as_the_first() {
    let second = Fault { nth: 1, ..first("create-portal-team", Effect::Late(13_500)) };
    let steps = vec![apply(500, portal("shop")), apply(3_000, team())];
    let outcome = replay(&world(steps, vec![first("create-portal-team", Effect::Lost), second], 61_000));
    assert_eq!(sent(&outcome, "POST", "/teams {"), 2, "{}", outcome.trace.join("\n"));
}

/// Law 2: a portal has its object; an id that is written into the spec later does not lead it to another one.
#[test]
fn a_portal_that_has_its_object_is_not_bound_to_another_one() {
    let bound = portal_with("shop", json!({"adoption": "Adopt", "id": "${id:Portal:strange}"}));
    let steps = vec![make(0, "Portal", "strange"), apply(1_000, portal("shop")), apply(10_000, bound)];
    let outcome = replay(&world(steps, Vec::new(), 11_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "portals", "shop", "the resource already") > 0, "{trace}");
    assert_eq!(sent(&outcome, "PATCH", "/v2/portals/") + sent(&outcome, "DELETE", "/v2/portals/"), 0, "{trace}");
}

/// What a user has bound by its id and somebody has deleted is not made again; what the resource made itself is.
#[test]
fn a_bound_portal_that_vanishes_is_missed_and_one_of_our_own_is_made_again() {
    let bound = portal_with("strange", json!({"id": "${id:Portal:strange}"}));
    let vanished =
        |kept: Value, name: &str| vec![apply(1_000, kept), remove(20_000, "Portal", 0), look(20_500, "Portal", name)];
    let steps = [vec![make(0, "Portal", "strange")], vanished(bound, "strange")].concat();
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    let trace = outcome.trace.join("\n");
    assert!(said(&outcome, "portals", "strange", "there is no object wi") > 0, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 0, "{trace}");
    let outcome = replay(&world(vanished(portal("shop"), "shop"), Vec::new(), 21_000));
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 2, "{}", outcome.trace.join("\n"));
}

/// Where drift is only reported, a portal that somebody has deleted is made again when its spec changes, and not before.
#[test]
fn a_portal_whose_drift_is_reported_is_made_again_only_when_its_spec_changes() {
    let steps = vec![
        apply(1_000, portal_with("shop", json!({"drift": "Report"}))),
        remove(20_000, "Portal", 0),
        look(20_500, "Portal", "shop"),
        edit(60_000, "Portal", "shop", json!({"displayName": "Acme for partners"})),
    ];
    let outcome = replay(&world(steps, Vec::new(), 61_000));
    let (trace, creates) = (outcome.trace.join("\n"), times(&outcome, "POST", "/v2/portals {"));
    assert!(said(&outcome, "portals", "shop", "the Portal was") > 0, "{trace}");
    assert!(creates.len() == 2 && creates[1] >= 60_000, "{creates:?}\n{trace}");
}

/// Law 2: another installation's portal is taken with both adoption and id, and with neither of them alone.
#[test]
fn another_installations_portal_is_taken_only_where_adoption_and_id_say_so() {
    let by_name = portal_with("docs", json!({"adoption": "Adopt"}));
    let by_id = portal_with("docs", json!({"adoption": "Refuse", "id": "${id:Portal:docs}"}));
    let by_both = portal_with("docs", json!({"adoption": "Adopt", "id": "${id:Portal:docs}"}));
    let steps =
        vec![make(0, "Portal", "docs@other"), apply(2_000, by_name), apply(20_000, by_id), apply(40_000, by_both)];
    let outcome = replay(&world(steps, Vec::new(), 41_000));
    let (trace, changes) = (outcome.trace.join("\n"), times(&outcome, "PATCH", "/v2/portals/"));
    assert!(said(&outcome, "portals", "docs", "the object belongs to") > 0, "{trace}");
    assert!(!changes.is_empty() && changes.iter().all(|at| *at >= 40_000), "{changes:?}\n{trace}");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 0, "{trace}");
}

/// Law 13: through a connection of another namespace a portal is taken over only where that connection allows it.
#[test]
fn a_portal_is_taken_over_from_another_namespace_only_where_the_connection_lets_it() {
    let spec = json!({
        "connectionRef": {"name": "acme", "namespace": "world"},
        "name": "shop",
        "lifecycle": {"adoption": "Adopt"},
    });
    let mut portal = konnect("Portal", "shop", &spec);
    portal["metadata"]["namespace"] = json!("other");
    let steps = vec![
        make(0, "Portal", "shop"),
        apply(1_000, portal),
        edit(20_000, "KonnectConnection", "acme", json!({"allowAdoption": true})),
    ];
    let outcome = replay(&shared(Switches::default(), steps, 21_000));
    let (trace, changes) = (outcome.trace.join("\n"), times(&outcome, "PATCH", "/v2/portals/"));
    assert!(!changes.is_empty() && changes.iter().all(|at| *at >= 20_000), "{changes:?}\n{trace}");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 0, "{trace}");
}
