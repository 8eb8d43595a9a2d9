//! The search for counterexamples to the laws: the whole operator in one process on virtual time, in worlds that follow from a seed.
//!
//! ```text
//! seed ──draw──► Plan: what exists, what users and strangers do, what goes wrong
//!                  │
//!                 run: one thread, tokio's time paused
//!                  │      Operator ── cluster ── simulated API server ── controllers
//!                  │          └────── network ── sandbox (Konnect, ACP)
//!                  │      act: the actions     faults, crashes     laws: looked at with every request
//!                  ▼
//!               Outcome: violations, trace, crash points ──► shrink: the smallest plan that breaks the same law
//! ```
//!
//! The same plan gives the same trace, byte for byte: there is one source of time (tokio's clock), one of chance (the seed), and one thread.

pub mod account;
pub mod act;
pub mod aim;
mod attribution;
mod cluster;
pub mod coverage;
mod crds;
pub mod draw;
mod faults;
pub mod laws;
mod network;
mod panics;
#[allow(missing_docs, reason = "what an action does is told; its fields say by their names what they are")]
pub mod plan;
mod replicas;
pub mod run;
pub mod seen;
mod settings;
pub mod shrink;
pub mod trace;
pub mod world;

pub use run::{Outcome, run};
