//! Kong Konnect's kinds: one file a kind, what users write and how it maps to the API.
use crate::{
    engine::{context::Cx, kind::Wait, spec::Ref},
    remote::{Dialect, Path, Segment, konnect::Konnect},
};

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

/// The portal that a resource belongs to. Its id is a UUID, which is the same in capitals: who writes it so means the same portal (law 12).
fn portal_of(portal: &Ref<Portal>, cx: &Cx<'_>) -> Result<Segment, Wait> {
    let id = cx.parent(portal)?;
    Ok(Segment::new(&Konnect.plain_id(&id.to_string())).unwrap_or(id))
}

/// The path of that portal.
fn portal_path(portal: &Ref<Portal>, cx: &Cx<'_>) -> Result<Path, Wait> {
    Ok(Path::literal("/v2/portals").child(&portal_of(portal, cx)?))
}
