//! How a sandbox behaves where the contract leaves a choice, and what can be planted in it.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

/// How to make a [`Sandbox`](crate::Sandbox).
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A file that every exchange is appended to, one JSON object a line.
    pub exchanges: Option<PathBuf>,
    /// What the contract leaves open.
    pub switches: Switches,
}

/// What the contract marks as inferred, or leaves open. The defaults are what it holds for likeliest.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, and none depends on another")]
pub struct Switches {
    /// The answer to a portal of a name that is taken: 409, or 400, since only 400 is documented for POST.
    pub duplicate_portal_name: u16,
    /// Whether the custom domain of a deleted portal stays reserved, unless it was cleared before.
    pub hostname_reservation_outlives: bool,
    /// How many labels a portal may have: the schema says 50, the vendor's documentation 5.
    pub max_labels: usize,
    /// Whether `labels: null` in a PATCH clears all labels; otherwise it changes nothing.
    pub null_labels_clear: bool,
    /// What the verification of a portal's domains finds.
    pub domains_verified: bool,
    /// Whether the entity of a role must be an API product of the organization.
    pub check_role_entity: bool,
    /// The answer to a second identity provider of a type: 409 or 400.
    pub duplicate_identity_provider: u16,
    /// Whether `enabled` is taken when an identity provider is created; otherwise it is ignored there.
    pub enabled_on_create: bool,
    /// Whether enabling an identity provider disables the one that was; otherwise it is refused.
    pub enabling_replaces: bool,
    /// The region in the default domains of portals.
    pub region: String,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            duplicate_portal_name: 409,
            hostname_reservation_outlives: false,
            max_labels: 50,
            null_labels_clear: true,
            domains_verified: true,
            check_role_entity: true,
            duplicate_identity_provider: 409,
            enabled_on_create: false,
            enabling_replaces: false,
            region: "eu".to_owned(),
        }
    }
}

/// What strangers make: people who sign up, other teams, other tools.
#[derive(Debug, Clone)]
pub enum Plant {
    /// A portal, with the body of `create-portal`.
    Portal(Value),
    /// A team in a portal, with the body of `create-portal-team`.
    Team {
        /// The portal's id.
        portal: String,
        /// The body of `create-portal-team`.
        body: Value,
    },
    /// A developer who signed up in a portal.
    Developer {
        /// The portal's id.
        portal: String,
        /// The developer's e-mail address, unique in the portal.
        email: String,
        /// `approved`, `pending`, `revoked` or `rejected`.
        status: String,
    },
    /// An identity provider of a portal, with the body of `create-portal-identity-provider` and perhaps `enabled`.
    IdentityProvider {
        /// The portal's id.
        portal: String,
        /// The body of `create-portal-identity-provider`.
        body: Value,
    },
    /// An API product, which roles may refer to.
    ApiProduct {
        /// What it is called.
        name: String,
    },
}
