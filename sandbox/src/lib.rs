//! Konnect and ACP in a box: a strict, stateful stand-in for the portal-management API of Kong Konnect and for
//! Cloudentity's Authorization Control Plane.
//!
//! It keeps state, refuses what the contracts refuse in the documented words, and fails on request. Which operations
//! there are, and what they take and give, comes from `contracts/`; what they do is in `konnect/` and `acp/`, one
//! function an operation. Everything under `/_sandbox/` is the sandbox's own: its state, its faults, its record.

mod acp;
mod answer;
mod call;
mod contract;
mod control;
mod dialect;
mod exchange;
mod faults;
mod konnect;
mod operations;
mod options;
mod page;
mod plants;
mod problem;
mod reply;
mod sandbox;
mod seam;
mod secret;
mod server;
mod tls;
mod validate;
mod world;

pub use answer::NoAnswer;
pub use exchange::Exchange;
pub use faults::{Effect, Fault};
pub use operations::{ContractOperation, operation_of, operations};
pub use options::{AbsentSecrets, AcpSwitches, Certificates, CustomDomainPatch, MappedProvider, Options, Switches};
pub use plants::{AcpPlant, Plant};
pub use sandbox::{Sandbox, Snapshot};
pub use seam::Clock;
pub use server::Server;
