//! What is asked when a request is sent, and not when it takes effect: whoever sent it could not know what came afterwards, nor call it back.
use portico_simulation::plan::{Action, Effect, Fault, Side, Step, Stranger};
use serde_json::{Value, json};

use crate::{
    decisions::edit,
    world::{
        acp, apply, delete, first, identity_world, konnect, portal, remove, replay, sent, server, step, team, world,
    },
};

/// The team of the portal `shop` is told to move to the portal `docs`, and its kind is uninstalled meanwhile.
fn moves_while_uninstalled() -> Vec<Step> {
    let mut readers = team();
    readers["spec"]["lifecycle"] = json!({"replace": "Allow"});
    vec![
        apply(500, portal("shop")),
        apply(500, portal("docs")),
        apply(3_000, readers),
        edit(10_000, "PortalTeam", "readers", json!({"portalRef": {"name": "docs"}})),
        step(11_000, Action::DeleteCrd { kind: "PortalTeam".to_owned() }),
    ]
}

/// What happens to the first request of an operation that is sent when the team moves.
fn then(operation: &str, effect: Effect) -> Fault {
    Fault { from: 10_000, ..first(operation, effect) }
}

/// Law 6: "Before a remote delete, the CRD is read live". The pass had begun before the CRD was deleted, and deleted the team to make it again
/// elsewhere.
#[test]
fn what_is_to_move_stays_where_it_is_once_its_kind_is_uninstalled() {
    let slow = then("get-portal-team", Effect::Slow(3_000));
    let outcome = replay(&world(moves_while_uninstalled(), vec![slow], 20_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[Slow(3000)]"), "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/teams/"), 0, "{trace}");
    assert_eq!(sent(&outcome, "POST", "/teams {"), 1, "{trace}");
}

/// Beside it: a DELETE that was on its way when the CRD was deleted wipes nothing that an uninstall could have kept. The oracle said so.
#[test]
fn a_delete_that_is_on_its_way_when_its_kind_is_uninstalled_breaks_no_law() {
    let late = then("delete-portal-team", Effect::Late(3_000));
    let outcome = replay(&world(moves_while_uninstalled(), vec![late], 20_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[Late(3000)]"), "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/teams/"), 1, "{trace}");
}

/// Law 2, "Another owner's mark overrides b, c": it was put there when the change was on its way, and the oracle blamed whoever had sent it.
#[test]
fn what_was_on_its_way_when_another_owner_marked_the_object_breaks_no_law() {
    let mark = Stranger::Change {
        kind: "Portal".to_owned(),
        which: 0,
        field: "labels".to_owned(),
        value: json!({"portico-owner": "another"}),
    };
    let steps = vec![
        apply(1_000, portal("docs")),
        edit(10_000, "Portal", "docs", json!({"description": "changed"})),
        step(10_500, Action::Stranger(mark)),
    ];
    let outcome = replay(&world(steps, vec![then("update-portal", Effect::Late(20_000))], 40_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[Late(20000)]"), "{trace}");
    assert_eq!(sent(&outcome, "PATCH", "/v2/portals/"), 1, "{trace}");
}

/// Law 3: "vanish at once". The listing was taken while the other portal was still there, and its answer came when that had gone, too.
#[test]
fn what_was_alone_missing_in_the_listing_is_made_again_though_another_goes_before_the_answer() {
    let look = |name: &str| Action::Annotate {
        kind: "Portal".to_owned(),
        namespace: "world".to_owned(),
        name: name.to_owned(),
        key: "portico.dev/reconcile-at".to_owned(),
        value: Some("now".to_owned()),
    };
    let steps = vec![
        apply(1_000, portal("docs")),
        apply(5_000, portal("news")),
        remove(20_000, "Portal", 0),
        step(20_000, look("docs")),
        step(20_000, look("news")),
        remove(20_800, "Portal", 0),
    ];
    let slow = Fault { from: 20_000, ..first("list-portals", Effect::Slow(3_000)) };
    let outcome = replay(&world(steps, vec![slow], 30_000));
    let trace = outcome.trace.join("\n");
    assert!(trace.contains("[Slow(3000)]"), "{trace}");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 4, "{trace}");
}

/// Law 8: "never written over a Secret that is not ours" (DESIGN.md, section 3). A user puts a Secret of their own in the place of the output
/// Secret after it was read; the DELETE says which one it means, and the API server refuses it.
#[test]
fn a_delete_that_means_the_secret_before_is_about_no_users_secret() {
    let spec = json!({"serverRef": {"name": "login"}, "credentialsSecret": {"name": "handed"}});
    let mut deletes = 0;
    for swapped in (20_500..32_000).step_by(500) {
        let (within, name) = ("world".to_owned(), "handed".to_owned());
        let data = vec![("password".to_owned(), "of the user's own choice".to_owned())];
        let own = Action::Secret { namespace: within.clone(), name: name.clone(), data };
        let steps = vec![
            apply(500, server("login", &json!({}))),
            apply(3_000, acp("OAuthClient", "shop", &spec)),
            delete(20_000, "OAuthClient", "shop"),
            step(swapped, Action::DeleteSecret { namespace: within, name }),
            step(swapped, own),
        ];
        let slow =
            Fault { side: Side::Kubernetes, from: 20_000, times: 1_000, ..first("get secrets", Effect::Slow(3_000)) };
        let outcome = replay(&identity_world(steps, vec![slow], 35_000));
        deletes += sent(&outcome, "delete secrets", "world/handed");
    }
    assert!(deletes > 0, "no Secret was deleted");
}

/// Beside it, law 2: one exclusive list anywhere was to the oracle a leave to take anybody out of every team. The engine never did.
#[test]
fn an_exclusive_list_takes_people_out_of_its_own_team_alone() {
    let people = |name: &str, exclusive: bool| -> Value {
        let developers = json!({"exclusive": exclusive, "items": ["ann@example.com"]});
        konnect("PortalTeam", name, &json!({"portalRef": {"name": "shop"}, "name": name, "developers": developers}))
    };
    let sign_up =
        |at: u64, email: &str| step(at, Action::Stranger(Stranger::SignUp { which: 1, email: email.to_owned() }));
    let join = |at: u64, which: u64| {
        let email = "bob@example.com".to_owned();
        step(at, Action::Stranger(Stranger::Member { which, email, there: true }))
    };
    let steps = vec![
        apply(500, portal("shop")),
        sign_up(3_000, "ann@example.com"),
        sign_up(3_000, "bob@example.com"),
        apply(4_000, people("closed", true)),
        apply(6_000, people("open", false)),
        join(10_000, 0),
        join(10_000, 1),
    ];
    let outcome = replay(&world(steps, Vec::new(), 12_000));
    assert_eq!(sent(&outcome, "DELETE", "/developers/"), 1, "{}", outcome.trace.join("\n"));
}
