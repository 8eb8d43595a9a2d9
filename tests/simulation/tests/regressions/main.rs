//! Worlds that once broke a law, as the search left them: each has a name that says what went wrong, and breaks none any more. The comment
//! of each names the seeds that found it and the law.

mod account;
mod claims;
mod creates;
mod deletion;
mod person;
mod providers;
mod restore;
mod tenant;
mod told;
mod world;
