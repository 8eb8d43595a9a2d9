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
    /// The same of ACP.
    pub acp: AcpSwitches,
}

/// What ACP's contract marks as inferred, knows from later versions or recorded data only, or leaves open.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, and none depends on another")]
pub struct AcpSwitches {
    /// For how many seconds a new access token is good.
    pub expires_in: u64,
    /// The answer to a good token of another tenant or another server: 401 or 403.
    pub foreign_token: u16,
    /// Whether a client may use only the method that its `token_endpoint_auth_method` names.
    pub auth_method_enforced: bool,
    /// Whether unknown keys of a body are ignored; otherwise they are refused.
    pub unknown_keys_ignored: bool,
    /// Whether a member that a PUT leaves out becomes its zero value; otherwise it stays.
    pub put_replaces: bool,
    /// What becomes of a secret of the server's making that a PUT leaves out.
    pub absent_secrets: AbsentSecrets,
    /// Whether the secrets of authentications (passwords, secrets of clients) are shown to who may see the server.
    pub authentication_secrets_shown: bool,
    /// Whether there is an operation to replace the authentications alone: later versions have none.
    pub authentications_endpoint: bool,
    /// Whether an authentication needs the settings of its own method.
    pub method_settings_required: bool,
    /// Whether a new server comes with claims, services, scopes, policies and the client "User Portal".
    pub side_effects: bool,
    /// Whether the built-in servers and clients can be changed.
    pub built_in_writable: bool,
    /// Whether the built-in servers and clients can be deleted.
    pub built_in_deletable: bool,
    /// The refusal to delete a server that has clients besides the built-in one; without it, it is no reason.
    pub server_in_use: Option<u16>,
    /// Whether the clients of a deleted server go with it.
    pub deletion_cascades: bool,
    /// Whether the scopes of a client must exist on its server.
    pub check_scopes: bool,
    /// Whether the policies that a server names must exist in the tenant.
    pub check_policies: bool,
    /// Whether of a client that a developer made only `system` and `trusted` can be changed.
    pub developer_clients_locked: bool,
    /// The shortest client secret that is taken; later versions say 32.
    pub shortest_client_secret: usize,
    /// Whether a consent may be valid only from a later time on.
    pub future_valid_from: bool,
    /// Whether one of several purposes must be the primary one.
    pub primary_purpose_required: bool,
    /// The answer to an action that names a missing consent.
    pub action_missing_consent: u16,
    /// The refusal to delete a consent that actions use; without it, it drops out of them.
    pub consent_in_use: Option<u16>,
    /// Whether empty lists are shown as null.
    pub empty_lists_null: bool,
}

/// What becomes of a secret that a PUT leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbsentSecrets {
    /// It is gone, as any other member would be.
    Clear,
    /// It stays.
    Keep,
    /// A new one is made.
    Generate,
}

impl Default for AcpSwitches {
    fn default() -> Self {
        Self {
            expires_in: 3600,
            foreign_token: 401,
            auth_method_enforced: false,
            unknown_keys_ignored: true,
            put_replaces: true,
            absent_secrets: AbsentSecrets::Clear,
            authentication_secrets_shown: true,
            authentications_endpoint: true,
            method_settings_required: true,
            side_effects: true,
            built_in_writable: false,
            built_in_deletable: false,
            server_in_use: None,
            deletion_cascades: true,
            check_scopes: true,
            check_policies: true,
            developer_clients_locked: true,
            shortest_client_secret: 0,
            future_valid_from: false,
            primary_purpose_required: true,
            action_missing_consent: 404,
            consent_in_use: None,
            empty_lists_null: false,
        }
    }
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
            acp: AcpSwitches::default(),
        }
    }
}

/// What strangers make at ACP, each with the body of its create operation.
#[derive(Debug, Clone)]
pub enum AcpPlant {
    /// An authorization server.
    Server(Value),
    /// A client. Unlike for the API's users, `developer_id` and `system` are taken.
    Client(Value),
    /// A consent.
    Consent(Value),
    /// A consent action.
    ConsentAction(Value),
}

/// What strangers make at Konnect: people who sign up, other teams, other tools.
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
    /// The same under an id that is known beforehand, as manifests name one.
    ApiProductOfId {
        /// Its id, a UUID.
        id: String,
        /// What it is called.
        name: String,
    },
}
