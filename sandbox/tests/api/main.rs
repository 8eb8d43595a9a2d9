//! What the sandbox promises, checked through its router as a client would.

mod audit_logs;
mod authentication;
mod client;
mod control;
mod custom_domains;
mod developers;
mod faults;
mod lists;
mod network;
mod portals;
mod product_versions;
mod products;
mod providers;
mod record;
mod seed;
mod teams;
