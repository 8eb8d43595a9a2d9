//! The real program, as a process, against a real API server: killed, stopped in the middle of a write, cut off from the API server.
//!
//! Worlds, and all that is asked of them, are those of the behaviour tests; only the operator is not in this process.
#![allow(dead_code, reason = "of what the behaviour tests ask of a world, these ask a part")]
#[path = "../behaviour/tripwire.rs"]
mod tripwire;
#[path = "../behaviour/world.rs"]
mod world;
#[path = "../behaviour/world_acp.rs"]
mod world_acp;
#[path = "../behaviour/world_change.rs"]
mod world_change;
#[path = "../behaviour/world_end.rs"]
mod world_end;
#[path = "../behaviour/world_fields.rs"]
mod world_fields;
#[path = "../behaviour/world_look.rs"]
mod world_look;
#[path = "../behaviour/world_replicas.rs"]
mod world_replicas;
#[path = "../behaviour/world_steps.rs"]
mod world_steps;
#[path = "../behaviour/world_team.rs"]
mod world_team;

mod api_server;
mod kills;
mod paused;
mod program;
