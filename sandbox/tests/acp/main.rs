//! ACP in a box, checked through its router as a client would.

mod acme;
mod clients;
mod consents;
mod control;
mod faults;
mod network;
mod record;
mod servers;
mod switches;
mod tokens;
