//! Whom nobody tells of an end, because the watch that would have told of it was broken.
use portico_simulation::plan::{Action, Effect, Fault, Side};
use serde_json::{Value, json};

use crate::world::{acp, apply, delete, identity_world, portal, replay, sent, server, step, team, world};

/// Law 5: the watch of teams was broken while their CRD went, and with it a team without our finalizer, because it was only looked at by then.
/// The watch could not begin again without the CRD, and so never told of its end: the portal above it waited for ever for a resource that was
/// not there, until the CRD was installed again or the operator was started again.
#[test]
fn what_went_with_its_crd_while_its_watch_was_broken_is_in_nobodys_way() {
    for reinstalled in [false, true] {
        let watches = |from, until, times, effect| Fault {
            side: Side::Kubernetes,
            from,
            until,
            nth: 0,
            times,
            what: "watch portalteams".to_owned(),
            effect,
        };
        let faults =
            vec![watches(8_000, 8_001, 1, Effect::WatchCut(false)), watches(7_900, 12_000, 1_000, Effect::Lost)];
        let (kind, namespace, name) = ("PortalTeam".to_owned(), "world".to_owned(), "readers".to_owned());
        let observe = json!({"lifecycle": {"mode": "Observe"}});
        let mut steps = vec![
            apply(1_000, portal("shop")),
            apply(2_500, team()),
            step(5_000, Action::Edit { kind: kind.clone(), namespace, name, spec: observe }),
            step(9_000, Action::DeleteCrd { kind: kind.clone() }),
            delete(40_000, "Portal", "shop"),
        ];
        // Its watch begins from the beginning then, and tells of those that come with it.
        steps.extend(reinstalled.then(|| step(30_000, Action::InstallCrd { kind })));
        steps.sort_by_key(|step| step.at);
        let outcome = replay(&world(steps, faults, 41_000));
        let trace = outcome.trace.join("\n");
        assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{trace}");
    }
}

/// Law 10: a resource waited for a Secret that another one hands its credentials out in. Of what Portico writes itself the watch tells nobody,
/// and so it waited for ever.
#[test]
fn who_waits_for_a_secret_that_another_resource_hands_out_is_told_of_it() {
    let client = |name: &str, field: &str, secret: Value| {
        let mut spec = json!({"serverRef": {"name": "login"}});
        spec[field] = secret;
        acp("OAuthClient", name, &spec)
    };
    let handed = json!({"name": "handed", "key": "client_secret"});
    let steps = vec![
        apply(500, server("login", &json!({}))),
        apply(3_000, client("kiosk", "clientSecretRef", handed)),
        apply(9_000, client("shop", "credentialsSecret", json!({"name": "handed"}))),
    ];
    let outcome = replay(&identity_world(steps, Vec::new(), 10_000));
    assert_eq!(sent(&outcome, "POST", "/clients {"), 2, "{}", outcome.trace.join("\n"));
}
