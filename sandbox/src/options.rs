//! How a sandbox behaves where the contract leaves a choice.

use std::path::PathBuf;

use serde::Deserialize;

use crate::seam::Clock;

/// How to make a [`Sandbox`](crate::Sandbox).
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A file that every exchange is appended to, one JSON object a line.
    pub exchanges: Option<PathBuf>,
    /// Whether nothing is written down of what is asked and answered, neither in memory nor in a file: that takes its time.
    pub unrecorded: bool,
    /// What the contract leaves open.
    pub switches: Switches,
    /// Where ids, secrets, tokens and trace ids come from: with the same seed and clock, and the same calls in the same
    /// order, every answer is the same. Without one they are random.
    pub seed: Option<u64>,
    /// What time it is.
    pub clock: Clock,
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
    /// What the verification of a portal's domains finds, and that of its custom domain.
    pub domains_verified: bool,
    /// Whether the entity of a role must be an API product of the organization.
    pub check_role_entity: bool,
    /// The answer to a second identity provider of a type: 409 or 400.
    pub duplicate_identity_provider: u16,
    /// Whether `enabled` is taken when an identity provider is created; otherwise it is ignored there.
    pub enabled_on_create: bool,
    /// Whether enabling an identity provider disables the one that was; otherwise it is refused.
    pub enabling_replaces: bool,
    /// Whether basic authentication is switched on in a new portal, as nothing else is.
    pub basic_auth_by_default: bool,
    /// Whether authentication settings that answers may leave out are shown while they are false.
    pub unset_settings_shown: bool,
    /// Whether OpenID Connect is taken only with issuer and client id both there; otherwise it is shown once they are.
    pub oidc_parts_together: bool,
    /// Whether claim mappings are merged claim by claim; otherwise those that are left out get their defaults.
    pub claim_mappings_merged: bool,
    /// Whether OpenID Connect or SAML in the authentication settings counts as an enabled identity provider.
    pub settings_count_as_provider: bool,
    /// The rule that the refusal of `idp_mapping_enabled` without an enabled identity provider names.
    pub missing_provider_rule: String,
    /// What becomes of `idp_mapping_enabled` when the identity provider is disabled or deleted.
    pub mapped_provider: MappedProvider,
    /// Whether a developer may get any status; otherwise nobody becomes pending again, a rejected one stays rejected,
    /// and only an approved one is revoked.
    pub any_developer_status: bool,
    /// The answer to a second product version of the same id by POST: 409 or 400.
    pub duplicate_product_version: u16,
    /// The answer to a product version that no API product of the organization has, 404 or 400; without it, any id is
    /// taken.
    pub missing_product_version: Option<u16>,
    /// Whether the API product of a product version must be published in the portal.
    pub version_needs_product: bool,
    /// Whether the authentication strategies of a product version must be there.
    pub check_auth_strategies: bool,
    /// The answer where an API product is to be published that is not there: 400 or 404.
    pub missing_api_product: u16,
    /// Whether null in the place of a publication takes the API product out of the portal; otherwise it does nothing.
    pub null_unpublishes: bool,
    /// How long a replay of audit logs takes.
    pub replay_milliseconds: u64,
    /// Whether it fails in the end.
    pub replay_fails: bool,
    /// Whether there is one replay at a time in the whole organization; otherwise in each portal.
    pub replay_of_region: bool,
    /// Whether the times of a replay that never was are those of the documents, which RFC 3339 does not know.
    pub odd_first_times: bool,
    /// Whether an audit log webhook that nobody configured is shown as a disabled one; otherwise it is not found.
    pub unconfigured_webhook_shown: bool,
    /// The status that the destination of audit logs answers with.
    pub webhook_answer: u16,
    /// The answer to a custom domain whose hostname is taken, or for a portal that has one: 409, or 400, since only 400
    /// is documented.
    pub duplicate_custom_domain: u16,
    /// Whether there is an operation to delete a custom domain: the documents have none.
    pub custom_domain_deletable: bool,
    /// Whether the hostname of a custom domain stays reserved when its portal is deleted first.
    pub custom_domain_outlives_portal: bool,
    /// What a PATCH of a custom domain takes.
    pub custom_domain_patch: CustomDomainPatch,
    /// Whether certificate and key come together, and only where the domain is verified by them, as later versions say.
    pub certificates_in_pairs: bool,
    /// What becomes of a certificate that cannot be read, or whose key is another one.
    pub certificates: Certificates,
    /// Whether a custom domain shows when its certificate was uploaded and when it expires.
    pub certificate_times_shown: bool,
    /// How long the verification of a custom domain takes, and of each certificate of it.
    pub verification_milliseconds: u64,
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
    /// Whether the descriptions of consents and consent actions are kept without the blanks at their ends.
    pub trims_descriptions: bool,
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

/// What becomes of `idp_mapping_enabled` when the identity provider that it rests on is disabled or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappedProvider {
    /// Nothing: the identity provider stays, and the request is refused.
    Refused,
    /// It is switched off.
    SwitchedOff,
    /// It stays on.
    StaysOn,
}

/// What a PATCH of a custom domain takes, by the version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustomDomainPatch {
    /// As the contract has it: certificate and key beside `enabled`.
    Flat,
    /// As the latest version has it: certificate and key in `ssl`.
    Nested,
    /// As the versions between the two have it: `enabled` and nothing else.
    EnabledOnly,
}

/// What becomes of a certificate that cannot be read, or whose key is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificates {
    /// It is refused.
    Refused,
    /// It is taken, and the domain says what is wrong with it.
    Reported,
    /// It is taken as any other: nobody looks at it.
    Unchecked,
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
            trims_descriptions: false,
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
            basic_auth_by_default: true,
            unset_settings_shown: true,
            oidc_parts_together: false,
            claim_mappings_merged: false,
            settings_count_as_provider: false,
            missing_provider_rule: "missing_reference".to_owned(),
            mapped_provider: MappedProvider::Refused,
            any_developer_status: true,
            duplicate_product_version: 409,
            missing_product_version: Some(404),
            version_needs_product: false,
            check_auth_strategies: true,
            missing_api_product: 400,
            null_unpublishes: false,
            replay_milliseconds: 1000,
            replay_fails: false,
            replay_of_region: true,
            odd_first_times: true,
            unconfigured_webhook_shown: true,
            webhook_answer: 200,
            duplicate_custom_domain: 409,
            custom_domain_deletable: true,
            custom_domain_outlives_portal: true,
            custom_domain_patch: CustomDomainPatch::Flat,
            certificates_in_pairs: true,
            certificates: Certificates::Refused,
            certificate_times_shown: true,
            verification_milliseconds: 0,
            region: "eu".to_owned(),
            acp: AcpSwitches::default(),
        }
    }
}
