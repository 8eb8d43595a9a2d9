//! How the APIs of a world are, where their contracts leave it open: mostly as is held for likeliest, and each inference the other way now
//! and then.
use portico_sandbox::{AbsentSecrets, AcpSwitches, Certificates, CustomDomainPatch, MappedProvider, Switches};

use super::Draft;

/// In so many of a hundred worlds with odd APIs a switch stands the other way.
const ODD: u64 = 12;

impl Draft {
    /// Draws the switches.
    pub(super) fn switches(&mut self) -> Switches {
        let mut switches = Switches::default();
        // Some things take their time, whatever the API.
        if self.dice.chance(30) {
            switches.replay_milliseconds = *self.dice.pick(&[0, 20_000, 90_000]);
            switches.verification_milliseconds = *self.dice.pick(&[0, 30_000]);
        }
        if self.dice.chance(30) {
            switches.acp.expires_in = *self.dice.pick(&[30, 120]);
        }
        if self.dice.chance(45) {
            self.turn_portals(&mut switches);
            self.turn_settings(&mut switches);
            self.turn_acp(&mut switches.acp);
        }
        switches
    }

    /// Turns a switch, in some worlds.
    fn turn(&mut self, switch: &mut bool) {
        if self.dice.chance(ODD) {
            *switch = !*switch;
        }
    }

    /// Sets a switch to another value, in some worlds.
    fn set<T>(&mut self, switch: &mut T, other: T) {
        if self.dice.chance(ODD) {
            *switch = other;
        }
    }

    fn turn_portals(&mut self, switches: &mut Switches) {
        self.set(&mut switches.duplicate_portal_name, 400);
        self.turn(&mut switches.hostname_reservation_outlives);
        self.set(&mut switches.max_labels, 5);
        self.turn(&mut switches.null_labels_clear);
        self.turn(&mut switches.domains_verified);
        self.turn(&mut switches.check_role_entity);
        self.turn(&mut switches.any_developer_status);
        self.set(&mut switches.duplicate_product_version, 400);
        self.set(&mut switches.missing_product_version, Some(400));
        self.set(&mut switches.missing_product_version, None);
        self.turn(&mut switches.version_needs_product);
        self.turn(&mut switches.check_auth_strategies);
        self.set(&mut switches.missing_api_product, 404);
        self.turn(&mut switches.null_unpublishes);
        self.turn(&mut switches.replay_fails);
        self.turn(&mut switches.replay_of_region);
        self.turn(&mut switches.odd_first_times);
        self.turn(&mut switches.unconfigured_webhook_shown);
        self.set(&mut switches.webhook_answer, 500);
    }

    fn turn_settings(&mut self, switches: &mut Switches) {
        self.set(&mut switches.duplicate_identity_provider, 400);
        self.turn(&mut switches.enabled_on_create);
        self.turn(&mut switches.enabling_replaces);
        self.turn(&mut switches.basic_auth_by_default);
        self.turn(&mut switches.unset_settings_shown);
        self.turn(&mut switches.oidc_parts_together);
        self.turn(&mut switches.claim_mappings_merged);
        self.turn(&mut switches.settings_count_as_provider);
        self.set(&mut switches.missing_provider_rule, "invalid".to_owned());
        self.set(&mut switches.mapped_provider, MappedProvider::SwitchedOff);
        self.set(&mut switches.mapped_provider, MappedProvider::StaysOn);
        self.set(&mut switches.duplicate_custom_domain, 400);
        self.turn(&mut switches.custom_domain_deletable);
        self.turn(&mut switches.custom_domain_outlives_portal);
        self.set(&mut switches.custom_domain_patch, CustomDomainPatch::Nested);
        self.set(&mut switches.custom_domain_patch, CustomDomainPatch::EnabledOnly);
        self.turn(&mut switches.certificates_in_pairs);
        self.set(&mut switches.certificates, Certificates::Reported);
        self.set(&mut switches.certificates, Certificates::Unchecked);
        self.turn(&mut switches.certificate_times_shown);
    }

    fn turn_acp(&mut self, switches: &mut AcpSwitches) {
        self.set(&mut switches.foreign_token, 403);
        self.turn(&mut switches.auth_method_enforced);
        self.turn(&mut switches.unknown_keys_ignored);
        self.turn(&mut switches.put_replaces);
        self.set(&mut switches.absent_secrets, AbsentSecrets::Keep);
        self.set(&mut switches.absent_secrets, AbsentSecrets::Generate);
        self.turn(&mut switches.authentication_secrets_shown);
        self.turn(&mut switches.authentications_endpoint);
        self.turn(&mut switches.method_settings_required);
        self.turn(&mut switches.side_effects);
        self.turn(&mut switches.built_in_writable);
        self.turn(&mut switches.built_in_deletable);
        self.set(&mut switches.server_in_use, Some(400));
        self.set(&mut switches.server_in_use, Some(409));
        self.turn(&mut switches.deletion_cascades);
        self.turn(&mut switches.check_scopes);
        self.turn(&mut switches.check_policies);
        self.turn(&mut switches.developer_clients_locked);
        self.set(&mut switches.shortest_client_secret, 32);
        self.turn(&mut switches.future_valid_from);
        self.turn(&mut switches.primary_purpose_required);
        self.set(&mut switches.action_missing_consent, 422);
        self.set(&mut switches.consent_in_use, Some(400));
        self.set(&mut switches.consent_in_use, Some(409));
        self.turn(&mut switches.empty_lists_null);
        self.turn(&mut switches.trims_descriptions);
    }
}
