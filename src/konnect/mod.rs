//! Kong Konnect's kinds: one file a kind, what users write and how it maps to the API.
mod connection;
mod portal;
mod portal_team;

pub use connection::{KonnectConnection, KonnectConnectionSpec};
pub use portal::{Portal, PortalSpec};
pub use portal_team::{PortalTeam, PortalTeamSpec};
