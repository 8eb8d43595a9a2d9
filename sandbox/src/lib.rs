//! Konnect in a box: a strict, stateful stand-in for the portal-management API of Kong Konnect.
//!
//! It keeps state, refuses what the contract refuses in the documented words, and fails on request. Which operations
//! there are, and what they take and give, comes from `contracts/konnect.json`; what they do is in `konnect/`, one
//! function an operation. Everything under `/_sandbox/` is the sandbox's own: its state, its faults, its record.

mod answer;
mod contract;
mod control;
mod exchange;
mod faults;
mod konnect;
mod options;
mod page;
mod problem;
mod sandbox;
mod server;
mod tls;
mod validate;
mod world;

pub use answer::NoAnswer;
pub use exchange::Exchange;
pub use faults::{Effect, Fault};
pub use options::{Options, Plant, Switches};
pub use sandbox::Sandbox;
pub use server::Server;
