//! What every kind shares. Nothing in here names a kind.
//!
//! ```text
//!  watches ──► cache ──► queue ──► pass: resolve → claim → identify → plan → execute → parts → status
//!                ▲                   │        │                         │
//!                └── own writes ─────┘        └── edges: who wakes whom └── link → gate → API
//!  connection pass: Secret → link → probe → sweep (lists, wakes owners of what differs; feeds all first passes)
//! ```
pub mod absence;
pub mod action;
pub mod begun;
mod below;
pub mod cache;
pub mod claim;
pub mod claims;
pub mod connect;
mod connect_account;
mod connect_build;
mod connect_end;
pub mod context;
pub mod core;
pub mod create;
pub mod delete;
pub mod desired;
pub mod diff;
pub mod done;
mod duplicates;
pub mod edges;
pub mod equal;
pub mod erased;
pub mod escrow;
mod escrow_first;
pub mod events;
pub mod gone;
pub mod handed_out;
pub mod health;
pub mod identify;
pub mod judge;
pub mod keep;
pub mod key;
pub mod kind;
pub mod kubernetes;
pub mod labels;
pub mod late;
pub mod lease;
pub mod links;
pub mod mark;
pub mod metrics;
pub mod milestones;
pub mod observe;
pub mod operator;
mod order;
pub mod output;
mod output_claim;
pub mod overlay;
pub mod own;
pub mod part;
pub mod parts;
pub mod pass;
pub mod plan;
pub mod progress;
pub mod queue;
pub mod raw;
pub mod reason;
pub mod recipe;
mod record;
#[allow(unreachable_pub, reason = "kube's KubeSchema derive makes a public struct inside a function")]
pub mod reference;
mod remove;
pub mod report;
pub mod resolve;
pub mod secrets;
mod seek;
pub mod settings;
mod silence;
#[allow(unreachable_pub, reason = "kube's KubeSchema derive makes a public struct inside a function")]
pub mod spec;
mod standing;
pub mod status;
pub mod stop;
pub mod sweep;
pub mod sweep_cost;
mod sweep_parts;
pub mod update;
pub mod watch;
pub mod working;

pub use self::{
    core::{Clock, SystemClock},
    lease::LeaseTimes,
    operator::{Ended, Operator},
    settings::Settings,
    working::{Stage, Working, working_on},
};
