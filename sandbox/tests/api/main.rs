//! What the sandbox promises, checked through its router as a client would.

mod client;
mod control;
mod faults;
mod lists;
mod network;
mod portals;
mod providers;
mod record;
mod teams;
