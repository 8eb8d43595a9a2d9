//! What is decided while a connection is swept: how a collection is looked at, who is woken, and when the next sweep comes. A small world for
//! each way that a decision can go.
use portico_simulation::{
    Outcome,
    plan::{Action, Effect, Fault, Millis, Stranger},
};
use serde_json::{Value, json};

use crate::{
    decisions::{edit, times},
    decisions_delete::annotate,
    world::{apply, delete, first, konnect, make, mapping, portal, provider, remove, replay, sent, step, team, world},
};

/// The first sweep in which a resource is seen comes after 60 s to 75 s, and the next one 60 s to 75 s later: by now the first is over, and
/// the second has not begun.
const BETWEEN: Millis = 100_000;

/// When this page of a collection was read, and no filter was set, by the trace.
fn pages(outcome: &Outcome, collection: &str, page: u32) -> Vec<Millis> {
    times(outcome, "GET", &format!("{collection}?page%5Bsize%5D=100&page%5Bnumber%5D={page} ->"))
}

/// When an object of a collection was read by itself, by the trace.
fn reads(outcome: &Outcome, collection: &str) -> Vec<Millis> {
    let is_one = |line: &&String| {
        let path = line.split_whitespace().skip_while(|word| *word != "GET").nth(1).unwrap_or_default();
        let split = path.rsplit_once('/');
        line.contains(" r0.") && split.is_some_and(|(above, id)| above.ends_with(collection) && !id.contains('?'))
    };
    let moment = |line: &String| -> Option<Millis> { line.split_whitespace().next()?.replace('.', "").parse().ok() };
    outcome.trace.iter().filter(is_one).filter_map(moment).collect()
}

/// How many of these moments lie in this time.
fn within(moments: &[Millis], from: Millis, until: Millis) -> usize {
    moments.iter().filter(|at| (from..until).contains(*at)).count()
}

/// How many of these moments lie after that one.
fn after(moments: &[Millis], from: Millis) -> usize {
    within(moments, from, Millis::MAX)
}

/// A team of this name in this portal, with more in its spec.
fn team_in(portal: &str, name: &str, more: &Value) -> Value {
    let mut team = konnect("PortalTeam", name, &json!({"portalRef": {"name": portal}, "name": name}));
    for (field, value) in more.as_object().into_iter().flatten() {
        team["spec"][field.as_str()] = value.clone();
    }
    team
}

/// When the status of the team `readers` was written.
fn written(outcome: &Outcome) -> Vec<Millis> {
    times(outcome, "patch portalteams/status world/readers ", "")
}

/// A stranger describes the first team that was made.
fn describe() -> Action {
    let (kind, field) = ("PortalTeam".to_owned(), "description".to_owned());
    Action::Stranger(Stranger::Change { kind, which: 0, field, value: json!("theirs") })
}

/// A collection that is far larger than what is ours in it is given up after as many pages as that is worth, and left alone for nine sweeps,
/// in which our team is read by itself. Then it may have become smaller, and is listed again.
#[test]
fn a_huge_collection_is_listed_again_with_every_tenth_sweep() {
    let steps = vec![apply(500, portal("shop")), make(3_000, "PortalTeam", "crowd*600"), apply(5_000, team())];
    let outcome = replay(&world(steps, Vec::new(), 500_000));
    let trace = outcome.trace.join("\n");
    let mut lists = pages(&outcome, "/teams", 1);
    lists.retain(|at| *at >= 30_000);
    assert_eq!(lists.len(), 2, "{lists:?}\n{trace}");
    assert_eq!(after(&pages(&outcome, "/teams", 5), 30_000), 2, "{trace}");
    assert_eq!(pages(&outcome, "/teams", 6).len(), 0, "{trace}");
    // Once when the listing was given up, and in the nine sweeps after it.
    let alone = reads(&outcome, "/teams");
    assert_eq!(within(&alone, lists[0], lists[1]), 10, "{alone:?} between {lists:?}\n{trace}");
}

/// What carries a mark may have duplicates, which only a complete listing shows: now and then all pages are read, however many there are.
#[test]
fn a_huge_collection_of_what_carries_a_mark_is_listed_to_its_end_with_every_tenth_sweep() {
    let steps = vec![make(0, "Portal", "crowd*600"), apply(1_000, portal("shop"))];
    let outcome = replay(&world(steps, Vec::new(), 500_000));
    let trace = outcome.trace.join("\n");
    let mut lists = pages(&outcome, "/v2/portals", 1);
    lists.retain(|at| *at >= 30_000);
    assert_eq!(lists.len(), 2, "{lists:?}\n{trace}");
    assert_eq!(after(&pages(&outcome, "/v2/portals", 7), 30_000), 2, "{trace}");
    let alone = reads(&outcome, "/v2/portals");
    assert_eq!(within(&alone, lists[0], lists[1]), 9, "{alone:?} between {lists:?}\n{trace}");
}

/// A collection is huge by its own pages, whatever else a sweep has read before it. What is as the spec says costs no request of its own.
#[test]
fn small_collections_are_listed_however_many_there_are() {
    let portals = ["shop", "docs", "help", "labs"];
    let mut steps: Vec<_> = portals.iter().map(|name| apply(500, portal(name))).collect();
    steps.extend(portals.iter().map(|name| apply(3_000, team_in(name, &format!("{name}-readers"), &json!({})))));
    let outcome = replay(&world(steps, Vec::new(), 4_000));
    let trace = outcome.trace.join("\n");
    let sweeps = after(&pages(&outcome, "/v2/portals", 1), 30_000);
    assert!(sweeps > 3, "{sweeps} sweeps:\n{trace}");
    assert_eq!(after(&reads(&outcome, "/teams"), 30_000), 0, "{trace}");
    assert_eq!(after(&reads(&outcome, "/v2/portals"), 30_000), 0, "{trace}");
}

/// The reads of a sweep keep within their share of the rate limit, those of what no list shows as well: four reads at one a second do not come
/// every 3 s. In these worlds the share is all of it.
#[test]
fn sweeps_that_need_more_than_their_share_come_more_rarely() {
    let portals = ["shop", "docs", "help"];
    let mut steps: Vec<_> = portals.iter().map(|name| apply(500, portal(name))).collect();
    let settings = |name: &&str| apply(5_000, mapping("world", name, &json!({"name": name}), &json!({})));
    steps.extend(portals.iter().map(settings));
    let slow = json!({"resyncInterval": "3s", "rateLimit": {"requestsPerSecond": 1, "burst": 100}});
    steps.push(edit(20_000, "KonnectConnection", "acme", slow));
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    let mut lists = pages(&outcome, "/v2/portals", 1);
    lists.retain(|at| *at >= 22_000);
    assert!(lists.len() > 20, "{lists:?}\n{}", outcome.trace.join("\n"));
    let are_apart = lists.windows(2).all(|pair| pair[1] - pair[0] >= 6_000);
    assert!(are_apart, "{lists:?}\n{}", outcome.trace.join("\n"));
}

/// A sweep that did not see everything is made up for sooner; the one after it comes in its time.
#[test]
fn a_sweep_that_could_not_see_everything_is_made_up_for_soon() {
    let refused = Fault { from: 30_000, until: 100_000, ..first("list-portal-teams", Effect::Status(400, None)) };
    let steps = vec![apply(500, portal("shop")), apply(3_000, team())];
    let outcome = replay(&world(steps, vec![refused], 101_000));
    let trace = outcome.trace.join("\n");
    let failed = times(&outcome, "GET", "[Status(400, None)]");
    assert_eq!(failed.len(), 1, "{trace}");
    let mut lists = pages(&outcome, "/teams", 1);
    lists.retain(|at| *at > failed[0]);
    assert!(lists.len() > 1 && lists[0] - failed[0] < 45_000, "{lists:?} after {failed:?}\n{trace}");
    assert!(lists[1] - lists[0] >= 60_000, "{lists:?}\n{trace}");
}

/// Law 1: a portal was adopted while a create had no answer, and was given another name, so the create had its way after all. Both carry the
/// mark of one resource; the sweep sees that, and the one that is not its own goes.
#[test]
fn a_duplicate_that_a_listing_shows_is_removed() {
    let lifecycle = json!({"adoption": "Adopt", "deletion": "Delete"});
    let adopts = json!({"connectionRef": {"name": "acme"}, "name": "shop", "lifecycle": lifecycle});
    let (kind, field) = ("Portal".to_owned(), "name".to_owned());
    let renamed = Stranger::Change { kind, which: 0, field, value: json!("other") };
    let steps = vec![
        apply(1_000, konnect("Portal", "shop", &adopts)),
        // With the create on its way, which is given up after 5 s.
        make(3_000, "Portal", "shop"),
        step(11_000, Action::Stranger(renamed)),
    ];
    let outcome = replay(&world(steps, vec![first("create-portal", Effect::Late(13_500))], 61_000));
    let trace = outcome.trace.join("\n");
    assert_eq!(sent(&outcome, "POST", "/v2/portals {"), 1, "{trace}");
    assert_eq!(sent(&outcome, "DELETE", "/v2/portals/"), 1, "{trace}");
}

/// A listing shows what a stranger has changed, and nothing about the others: the one object is looked at, and put back, once.
#[test]
fn what_a_stranger_has_changed_is_put_back_and_nothing_else_is_looked_at() {
    let ours = json!({"description": "ours"});
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, team_in("shop", "readers", &ours)),
        apply(5_000, team_in("shop", "writers", &ours)),
        step(20_000, describe()),
    ];
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    let (trace, changes) = (outcome.trace.join("\n"), times(&outcome, "PATCH", "/teams/"));
    assert!(changes.len() == 1 && (30_000..BETWEEN).contains(&changes[0]), "{changes:?}\n{trace}");
    let looks = reads(&outcome, "/teams");
    assert!(after(&looks, 30_000) > 0, "{looks:?}\n{trace}");
    assert_eq!(after(&looks, BETWEEN), 0, "{looks:?}\n{trace}");
}

/// Where drift is to be left the status tells of it after the sweep that sees it, and the sweeps after that have nothing to tell.
#[test]
fn drift_that_is_left_is_told_once() {
    let report = json!({"description": "ours", "lifecycle": {"drift": "Report"}});
    let steps =
        vec![apply(500, portal("shop")), apply(3_000, team_in("shop", "readers", &report)), step(20_000, describe())];
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    let (trace, writes) = (outcome.trace.join("\n"), written(&outcome));
    assert!(within(&writes, 30_000, BETWEEN) > 0, "{writes:?}\n{trace}");
    let looks = reads(&outcome, "/teams");
    assert_eq!(after(&looks, BETWEEN), 0, "{looks:?}\n{trace}");
    assert_eq!(sent(&outcome, "PATCH", "/teams/"), 0, "{trace}");
}

/// The same where nothing may be written at all: what differs from the beginning is told at the first look.
#[test]
fn what_only_observes_and_differs_is_not_looked_at_again_and_again() {
    let observe = json!({"name": "API readers", "description": "ours", "lifecycle": {"mode": "Observe"}});
    let steps = vec![
        apply(500, portal("shop")),
        make(3_000, "PortalTeam", "API readers"),
        apply(5_000, team_in("shop", "readers", &observe)),
    ];
    let outcome = replay(&world(steps, Vec::new(), 6_000));
    let (trace, looks) = (outcome.trace.join("\n"), reads(&outcome, "/teams"));
    assert!(after(&pages(&outcome, "/teams", 1), 30_000) > 3, "it was never found:\n{trace}");
    assert_eq!(after(&looks, BETWEEN), 0, "{looks:?}\n{trace}");
}

/// The same of a list that belongs to the object: the sweep reads it, and its differences are in the status.
#[test]
fn drift_of_a_list_that_is_left_is_told_once() {
    let ann = "ann@example.com";
    let report = json!({"developers": {"items": [ann]}, "lifecycle": {"drift": "Report"}});
    let leaves = Stranger::Member { which: 0, email: ann.to_owned(), there: false };
    let steps = vec![
        apply(500, portal("shop")),
        step(2_000, Action::Stranger(Stranger::SignUp { which: 1, email: ann.to_owned() })),
        apply(4_000, team_in("shop", "readers", &report)),
        step(20_000, Action::Stranger(leaves)),
    ];
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    let (trace, writes) = (outcome.trace.join("\n"), written(&outcome));
    assert!(within(&writes, 30_000, BETWEEN) > 0, "{writes:?}\n{trace}");
    let looks = reads(&outcome, "/teams");
    assert_eq!(after(&looks, BETWEEN), 0, "{looks:?}\n{trace}");
    assert_eq!(sent(&outcome, "POST", "/developers {"), 1, "{trace}");
}

/// A create was given up, since nothing of it was seen, and another one made the team. What equals it and appears later may be what came of
/// the first: a listing shows that, and the status asks a person. The team's own object is no such thing.
#[test]
fn a_listing_that_shows_what_a_given_up_create_may_have_made_wakes_its_resource() {
    // What strangers make is described so.
    let like_theirs = json!({"name": "API readers", "description": "a stranger's"});
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, team_in("shop", "readers", &like_theirs)),
        make(200_000, "PortalTeam", "API readers"),
        remove(300_000, "PortalTeam", 1),
    ];
    let outcome = replay(&world(steps, vec![first("create-portal-team", Effect::Lost)], 301_000));
    let (trace, looks) = (outcome.trace.join("\n"), reads(&outcome, "/teams"));
    assert_eq!(sent(&outcome, "POST", "/teams {"), 2, "{trace}");
    assert_eq!(within(&looks, 45_000, 200_000), 0, "{looks:?}\n{trace}");
    let writes = written(&outcome);
    assert!(within(&writes, 200_000, 300_000) > 0, "{writes:?}\n{trace}");
}

/// What no list shows is read by itself, with every sweep: a domain that a stranger deletes is made again though nobody asks for a look.
#[test]
fn a_domain_that_vanishes_is_missed_by_the_sweep() {
    let spec = json!({
        "portalRef": {"name": "shop"},
        "hostname": "docs.example.com",
        "ssl": {"domainVerificationMethod": "http"},
    });
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, konnect("PortalCustomDomain", "docs", &spec)),
        remove(20_000, "PortalCustomDomain", 0),
    ];
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    let (trace, creates) = (outcome.trace.join("\n"), times(&outcome, "POST", "/custom-domain {"));
    assert!(creates.len() == 2 && creates[1] < BETWEEN, "{creates:?}\n{trace}");
}

/// A listing that is one bare array has no pages, and is asked for none.
#[test]
fn a_provider_that_vanishes_is_missed_by_the_sweep() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, provider("workforce", &json!({}))),
        remove(20_000, "PortalIdentityProvider", 0),
    ];
    let outcome = replay(&world(steps, Vec::new(), 21_000));
    let (trace, creates) = (outcome.trace.join("\n"), times(&outcome, "POST", "/identity-providers {"));
    assert!(creates.len() == 2 && creates[1] < BETWEEN, "{creates:?}\n{trace}");
    assert_eq!(sent(&outcome, "GET", "/identity-providers?page"), 0, "{trace}");
}

/// Nobody looks at what is paused.
#[test]
fn what_is_paused_is_not_swept() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, team()),
        annotate(20_000, "PortalTeam", "readers", "paused", Some("true")),
        annotate(300_000, "PortalTeam", "readers", "paused", None),
    ];
    let outcome = replay(&world(steps, Vec::new(), 301_000));
    let (trace, asked) = (outcome.trace.join("\n"), times(&outcome, "GET", "/teams"));
    assert_eq!(within(&asked, 30_000, 300_000), 0, "{asked:?}\n{trace}");
    assert!(after(&asked, 300_000) > 0, "{asked:?}\n{trace}");
}

/// Drift of what is being deleted is nobody's concern: a portal that waits for the team below it is not swept.
#[test]
fn what_is_being_deleted_is_not_swept() {
    let steps = vec![
        apply(500, portal("shop")),
        apply(3_000, team()),
        delete(20_000, "Portal", "shop"),
        delete(200_000, "PortalTeam", "readers"),
    ];
    let outcome = replay(&world(steps, Vec::new(), 201_000));
    let (trace, lists) = (outcome.trace.join("\n"), pages(&outcome, "/v2/portals", 1));
    assert_eq!(within(&lists, 30_000, 200_000), 0, "{lists:?}\n{trace}");
}
