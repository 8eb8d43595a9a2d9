//! Kong Konnect's kinds: one file a kind, what users write and how it maps to the API.
mod connection;
mod portal;
mod portal_audit_log_replay;
mod portal_audit_log_webhook;
mod portal_authentication;
mod portal_custom_domain;
mod portal_developer;
mod portal_identity_provider;
mod portal_product_version;
mod portal_team;

pub use connection::{KonnectConnection, KonnectConnectionSpec};
pub use portal::{Portal, PortalSpec};
pub use portal_audit_log_replay::{PortalAuditLogReplay, PortalAuditLogReplaySpec};
pub use portal_audit_log_webhook::{PortalAuditLogWebhook, PortalAuditLogWebhookSpec};
pub use portal_authentication::{PortalAuthentication, PortalAuthenticationSpec};
pub use portal_custom_domain::{PortalCustomDomain, PortalCustomDomainSpec};
pub use portal_developer::{PortalDeveloper, PortalDeveloperSpec};
pub use portal_identity_provider::{PortalIdentityProvider, PortalIdentityProviderSpec};
pub use portal_product_version::{PortalProductVersion, PortalProductVersionSpec};
pub use portal_team::{PortalTeam, PortalTeamSpec};
