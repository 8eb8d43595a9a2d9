//! The program is killed again and again while there is much to do.
use std::{collections::BTreeMap, time::Duration};

use portico_sandbox::AcpSwitches;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    program::{ALONE, Program, end},
    world::World,
    world_acp::works,
    world_steps::id,
};

const KILLS: usize = 20;

/// Every so many kills a client and a consent action are made, too.
const SELDOM: usize = 5;

/// How many requests the APIs have answered.
fn answered(world: &World) -> u64 {
    world.sandbox.counters().values().flat_map(BTreeMap::values).sum()
}

/// Makes something of each kind, and changes something.
async fn apply(world: &World, n: usize) {
    world.portal(&format!("portal-{n}"), json!({"description": "first"})).await;
    world.team(&format!("team-{n}"), &format!("portal-{n}"), json!({"description": "first"})).await;
    if n > 0 {
        world.spec("Portal", &format!("portal-{}", n - 1), json!({"description": "second"})).await;
        world.spec("PortalTeam", &format!("team-{}", n - 1), json!({"description": "second"})).await;
    }
    if n.is_multiple_of(SELDOM) {
        world.client(&format!("shop-{n}"), "login", json!({})).await;
        world.action(&format!("sign-up-{n}"), &["terms"]).await;
    }
}

/// Waits until a resource is in order; its id.
async fn id_of(world: &World, kind: &str, name: &str) -> String {
    id(&world.synced(kind, name).await)
}

/// Whether exactly one of these objects has this id.
fn is_there_once(objects: &[Value], member: &str, id: &str) -> bool {
    objects.iter().filter(|object| object[member] == id).count() == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_killed_at_twenty_random_moments_of_a_busy_apply_leaves_one_object_each() {
    let world = World::still_acp("process-kills", AcpSwitches::default()).await;
    world.connection(json!({})).await;
    world.identity(json!({})).await;
    world.server("login", json!({})).await;
    world.consent("terms", json!({})).await;
    let mut moments = Vec::new();
    for n in 0..KILLS {
        let before = answered(&world);
        let program = Program::start(&world, &format!("killed-{n}"), &ALONE, &[]);
        apply(&world, n).await;
        world.eventually("it is at work", |w| answered(w) > before).await;
        let moment = Duration::from_millis(fastrand::u64(..500));
        sleep(moment).await;
        program.kill();
        moments.push(moment);
    }
    println!("killed so long after its first request: {moments:?}");
    let last = Program::start(&world, "last", &ALONE, &[]);
    for n in 0..KILLS {
        let (portal, team) = (format!("portal-{n}"), format!("team-{n}"));
        let ids = (id_of(&world, "Portal", &portal).await, id_of(&world, "PortalTeam", &team).await);
        assert_eq!(ids, (id(&world.only(&portal)), id(&world.only_team_in(&portal))));
        let wanted = if n + 1 < KILLS { "second" } else { "first" };
        let (portal, team) = (world.only(&portal), world.only_team_in(&portal));
        assert_eq!((&portal["description"], &team["description"]), (&json!(wanted), &json!(wanted)));
    }
    assert_eq!(world.portals().len(), KILLS);
    let seldom: Vec<usize> = (0..KILLS).step_by(SELDOM).collect();
    for n in &seldom {
        let client = id_of(&world, "OAuthClient", &format!("shop-{n}")).await;
        assert!(is_there_once(&world.acp_clients(), "client_id", &client), "{:#?}", world.acp_clients());
        let credentials = world.values(&format!("shop-{n}-credentials")).await;
        assert!(works(&credentials, "client_secret").await, "the credentials of shop-{n} do not work");
        let action = id_of(&world, "ConsentAction", &format!("sign-up-{n}")).await;
        assert!(is_there_once(&world.acp_actions(), "id", &action), "{:#?}", world.acp_actions());
    }
    assert_eq!((world.acp_clients().len(), world.acp_actions().len()), (seldom.len(), seldom.len()));
    assert_eq!((world.acp_servers().len(), world.acp_consents().len()), (1, 1));
    last.kill();
    end(world).await;
}
