//! Every request of a create, an update, an adoption and a deletion, crashed before and after it: one object, no stranger touched, nothing
//! stuck. The operator is dropped at the request and started again.
use std::time::Duration;

use portico_sandbox::Plant;
use serde_json::{Value, json};

use crate::{
    tripwire::{Side, When},
    world::{World, condition, is_current},
};

/// More requests than this no action makes.
const MOST_REQUESTS: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Create,
    Update,
    Adopt,
    Delete,
}

/// One kind under test: how its objects are made, and how they look at the API.
#[derive(Clone, Copy)]
enum Kind {
    Connection,
    Portal,
    Team,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Connection => "KonnectConnection",
            Self::Portal => "Portal",
            Self::Team => "PortalTeam",
        }
    }

    fn spec(self, world: &World, product: &str, adopt: bool) -> Value {
        let mut spec = match self {
            Self::Connection => {
                json!({"url": world.server.url(), "tokenSecretRef": {"name": "konnect"}, "resyncInterval": "1h"})
            }
            Self::Portal => json!({"connectionRef": {"name": "acme"}, "description": "first", "labels": {"team": "a"}}),
            Self::Team => json!({
                "portalRef": {"name": "home"},
                "description": "first",
                "roles": {"items": [{"roleName": "API Viewer", "entityId": product, "entityRegion": "eu"}]},
                "developers": {"items": ["ann@example.com"]},
            }),
        };
        if adopt {
            spec["lifecycle"] = json!({"adoption": "Adopt"});
        }
        spec
    }

    /// What an update changes.
    fn change(self) -> Value {
        match self {
            Self::Connection => json!({"requestTimeout": "2s"}),
            Self::Portal | Self::Team => json!({"description": "second"}),
        }
    }

    /// All objects of this name. A connection has none.
    fn objects(self, world: &World, name: &str) -> Vec<Value> {
        match self {
            Self::Connection => Vec::new(),
            Self::Portal => world.named(name),
            Self::Team => {
                let teams = world.only("home")["teams"].as_array().cloned().unwrap_or_default();
                teams.into_iter().filter(|t| t["name"] == name).collect()
            }
        }
    }

    fn plant(self, world: &World, name: &str) -> String {
        match self {
            Self::Connection => unreachable!("nothing stands for a connection at the API"),
            Self::Portal => {
                world.sandbox.plant("acme", Plant::Portal(json!({"name": name, "description": "planted"}))).unwrap()
            }
            Self::Team => {
                let portal = world.only("home")["id"].as_str().unwrap().to_owned();
                world
                    .sandbox
                    .plant("acme", Plant::Team { portal, body: json!({"name": name, "description": "planted"}) })
                    .unwrap()
            }
        }
    }
}

async fn crash_everywhere(kind: Kind, action: Action) {
    let name = format!("crash-{}-{action:?}", kind.name()).to_lowercase();
    let mut world = World::still(&name).await;
    let product = world.sandbox.plant("acme", Plant::ApiProduct { name: "payments".into() }).unwrap();
    world.sandbox.plant("acme", Plant::Portal(json!({"name": "stranger"}))).unwrap();
    world.start();
    // No sweep gets in between: only the action's own requests are counted.
    world.connection(json!({"resyncInterval": "1h"})).await;
    world.portal("home", json!({"forceDelete": true})).await;
    let home = world.synced("Portal", "home").await["status"]["id"].as_str().unwrap().to_owned();
    let ann = Plant::Developer { portal: home, email: "ann@example.com".into(), status: "approved".into() };
    world.sandbox.plant("acme", ann).unwrap();
    let stranger = world.only("stranger");

    let mut rows = Vec::new();
    for side in [Side::Remote, Side::Kubernetes] {
        for nth in 0..MOST_REQUESTS {
            let mut row = None;
            for when in [When::Before, When::After] {
                let object = format!("{side:?}-{nth}-{when:?}").to_lowercase();
                let Some(request) = crash_once(&mut world, kind, action, &object, &product, (side, when, nth)).await
                else {
                    break;
                };
                assert_eq!(world.only("stranger"), stranger, "the stranger was touched");
                row = Some(request);
            }
            let Some(request) = row else { break };
            let end = match (kind, action) {
                (_, Action::Delete) => "gone",
                (Kind::Connection, _) => "Ready",
                _ => "one object",
            };
            rows.push(format!("| {} | {action:?} | {side:?} | {request} | {end} | {end} |", kind.name()));
        }
    }
    assert!(rows.len() > usize::from(!matches!(kind, Kind::Connection)), "only {rows:?} were crashed");
    let table = format!(
        "| kind | action | side | request | crash before | crash after |\n|---|---|---|---|---|---|\n{}\n",
        rows.join("\n")
    );
    println!("{table}");
    std::fs::write(format!("{}/{name}.md", env!("CARGO_TARGET_TMPDIR")), table).unwrap();
    world.end().await;
}

/// One crash; none where the action has no such request.
async fn crash_once(
    world: &mut World,
    kind: Kind,
    action: Action,
    name: &str,
    product: &str,
    at: (Side, When, usize),
) -> Option<String> {
    let (side, when, nth) = at;
    if action == Action::Adopt {
        kind.plant(world, name);
    }
    let spec = kind.spec(world, product, action == Action::Adopt);
    if matches!(action, Action::Update | Action::Delete) {
        world.create(kind.name(), name, spec.clone()).await;
        world.synced(kind.name(), name).await;
    }
    world.wire.arm(side, when, nth);
    match action {
        Action::Create | Action::Adopt => world.create(kind.name(), name, spec).await,
        Action::Update => world.spec(kind.name(), name, kind.change()).await,
        Action::Delete => world.delete(kind.name(), name).await,
    }
    let tripped = tokio::select! {
        () = world.wire.tripped() => true,
        () = settled(world, kind, action, name) => false,
    };
    let request = world.wire.seen(side).get(nth).map(|request| request.replace(name, "{name}"));
    world.crash().await;
    world.wire.disarm();
    world.start();
    settled(world, kind, action, name).await;
    check(world, kind, action, name);
    if action != Action::Delete {
        world.delete(kind.name(), name).await;
        world.gone(kind.name(), name).await;
        assert_eq!(kind.objects(world, name), Vec::<Value>::new(), "left behind");
    }
    if tripped { request } else { None }
}

/// The action has had its effect, and nothing is left to do.
async fn settled(world: &World, kind: Kind, action: Action, name: &str) {
    if action == Action::Delete {
        world.gone(kind.name(), name).await;
        return;
    }
    let description = if action == Action::Update { "second" } else { "first" };
    let is = |o: &Value| is_current(o) && ["Ready", "Synced"].iter().all(|c| condition(o, c, "status") == "True");
    world.until(kind.name(), name, "settled", is).await;
    if let Kind::Connection = kind {
        return;
    }
    let arrived = |w: &World| kind.objects(w, name).iter().any(|o| o["description"] == description);
    world.eventually("the description arrives", arrived).await;
}

fn check(world: &World, kind: Kind, action: Action, name: &str) {
    let objects = kind.objects(world, name);
    if action == Action::Delete {
        assert_eq!(objects, Vec::<Value>::new(), "the object is still there");
        return;
    }
    if let Kind::Connection = kind {
        return;
    }
    assert_eq!(objects.len(), 1, "{objects:#?}");
    if let Kind::Team = kind {
        assert_eq!(objects[0]["roles"].as_array().map(Vec::len), Some(1), "{:#}", objects[0]);
        assert_eq!(objects[0]["developers"], json!(["ann@example.com"]), "{:#}", objects[0]);
    }
}

macro_rules! crashes {
    ($($name:ident: $kind:ident $action:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let done = tokio::time::timeout(Duration::from_secs(300), crash_everywhere(Kind::$kind, Action::$action));
                done.await.expect("the whole table takes less than five minutes");
            }
        )*
    };
}

crashes! {
    a_connection_is_made_wherever_portico_crashes: Connection Create;
    a_connection_is_updated_wherever_portico_crashes: Connection Update;
    a_portal_is_created_once_wherever_portico_crashes: Portal Create;
    a_portal_is_updated_wherever_portico_crashes: Portal Update;
    a_portal_is_adopted_once_wherever_portico_crashes: Portal Adopt;
    a_portal_is_deleted_wherever_portico_crashes: Portal Delete;
    a_team_is_created_once_wherever_portico_crashes: Team Create;
    a_team_is_updated_wherever_portico_crashes: Team Update;
    a_team_is_adopted_once_wherever_portico_crashes: Team Adopt;
    a_team_is_deleted_wherever_portico_crashes: Team Delete;
}
