//! Worlds that once broke a law, as the search left them: each has a name that says what went wrong, and breaks none any more. The comment
//! of each names the seeds that found it and the law.
//!
//! The worlds of `decisions` and of the modules that are named after it broke none: each goes one way that a decision of the engine can go, and
//! tells when it goes another one.

mod account;
mod again;
mod begun;
mod blamed;
mod claims;
mod clients;
mod creates;
mod decisions;
mod decisions_create;
mod decisions_delete;
mod decisions_identify;
mod decisions_moved;
mod decisions_sweep;
mod deletion;
mod displaced;
mod earlier;
mod elsewhere;
mod gone;
mod handed;
mod leftovers;
mod lists;
mod misnamed;
mod ours;
mod outputs;
mod pages;
mod person;
mod portals;
mod providers;
mod restore;
mod seen;
mod stale;
mod tenant;
mod told;
mod untold;
mod updates;
mod world;
