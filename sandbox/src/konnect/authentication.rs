//! How developers log in: written flat, read nested, and the client secret is never shown.

use serde_json::{Map, Value, json};

use super::{Call, Outcome, merge};
use crate::options::{MappedProvider, Switches};
use crate::problem::{Problem, in_body, with};
use crate::world::{Portal, World};

const FLAGS: [&str; 6] = [
    "basic_auth_enabled",
    "oidc_auth_enabled",
    "saml_auth_enabled",
    "oidc_team_mapping_enabled",
    "konnect_mapping_enabled",
    "idp_mapping_enabled",
];
/// Those of the flags that answers may leave out.
const OPTIONAL: [&str; 2] = ["saml_auth_enabled", "idp_mapping_enabled"];
const OIDC: [&str; 4] = ["oidc_issuer", "oidc_client_id", "oidc_client_secret", "oidc_scopes"];
/// Without these two there is no configuration to show.
const PARTS: [&str; 2] = ["oidc_issuer", "oidc_client_id"];
const CLAIM_MAPPINGS: &str = "oidc_claim_mappings";
const CLAIMS: [&str; 3] = ["name", "email", "groups"];
const MAPPING: &str = "idp_mapping_enabled";

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    Ok(Some(answer(call, &call.portal(world)?.authentication_settings)))
}

pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal_mut(world)?;
    let mut settings = portal.authentication_settings.clone();
    merge(&mut settings, &call.body, &FLAGS);
    merge(&mut settings, &call.body, &OIDC);
    if let Some(Value::Object(given)) = call.body.get(CLAIM_MAPPINGS) {
        let kept = settings.get(CLAIM_MAPPINGS).and_then(Value::as_object);
        let mut mappings = kept.filter(|_| call.switches.claim_mappings_merged).cloned().unwrap_or_default();
        mappings.extend(given.clone());
        settings[CLAIM_MAPPINGS] = Value::Object(mappings);
    }
    if call.body[MAPPING] == true && !has_provider(portal, call.switches, &settings) {
        let reason = "cannot be enabled when no IdP is enabled";
        return Err(Problem::invalid(vec![in_body(MAPPING, &call.switches.missing_provider_rule, reason)]));
    }
    if call.switches.oidc_parts_together {
        check_parts(&settings)?;
    }
    let shown = answer(call, &settings);
    portal.authentication_settings = settings;
    Ok(Some(shown))
}

/// The settings as answers show them.
pub(crate) fn shown(settings: &Value) -> Value {
    let mut shown: Map<String, Value> =
        FLAGS.iter().map(|flag| ((*flag).to_owned(), settings[*flag].clone())).collect();
    if let [Some(issuer), Some(client_id)] = PARTS.map(|part| given(settings, part)) {
        let scopes = settings.get("oidc_scopes").cloned();
        let mapping = |claim: &str| settings[CLAIM_MAPPINGS].get(claim).cloned().unwrap_or_else(|| json!(claim));
        let mappings: Map<String, Value> = CLAIMS.iter().map(|claim| ((*claim).to_owned(), mapping(claim))).collect();
        let config = json!({
            "issuer": issuer,
            "client_id": client_id,
            "scopes": scopes.unwrap_or_else(|| json!(["email", "openid", "profile"])),
            "claim_mappings": mappings,
        });
        shown.insert("oidc_config".to_owned(), config);
    }
    Value::Object(shown)
}

/// What the settings do when an identity provider is about to be disabled or deleted.
pub(super) fn release(portal: &mut Portal, call: &Call<'_>, provider: &Value) -> Result<(), Problem> {
    let settings = &portal.authentication_settings;
    let rests_on_it = settings[MAPPING] == true && provider["enabled"] == true;
    if !rests_on_it || counts(call.switches, settings) {
        return Ok(());
    }
    match call.switches.mapped_provider {
        MappedProvider::Refused => {
            let reason = "the mapping of groups rests on the identity provider";
            Err(Problem::invalid(vec![json!({"field": MAPPING, "rule": "invalid", "reason": reason})]))
        }
        MappedProvider::SwitchedOff => {
            portal.authentication_settings[MAPPING] = json!(false);
            Ok(())
        }
        MappedProvider::StaysOn => Ok(()),
    }
}

fn answer(call: &Call<'_>, settings: &Value) -> Value {
    let mut shown = shown(settings);
    if let Some(members) = shown.as_object_mut()
        && !call.switches.unset_settings_shown
    {
        members.retain(|member, value| *value != false || !OPTIONAL.contains(&member.as_str()));
    }
    shown
}

fn has_provider(portal: &Portal, switches: &Switches, settings: &Value) -> bool {
    portal.identity_providers.iter().any(|provider| provider["enabled"] == true) || counts(switches, settings)
}

/// Whether the settings themselves are as good as an enabled identity provider.
fn counts(switches: &Switches, settings: &Value) -> bool {
    let enabled = settings["oidc_auth_enabled"] == true || settings["saml_auth_enabled"] == true;
    switches.settings_count_as_provider && enabled
}

/// OpenID Connect needs both parts of its configuration, and either part needs the other.
fn check_parts(settings: &Value) -> Result<(), Problem> {
    let (there, missing): (Vec<&str>, Vec<&str>) = PARTS.into_iter().partition(|part| given(settings, part).is_some());
    let field = match there.first().copied() {
        Some(part) if !missing.is_empty() => part,
        None if settings["oidc_auth_enabled"] == true => "oidc_auth_enabled",
        _ => return Ok(()),
    };
    let refusal = in_body(field, "dependent_fields", &format!("{} must be set too", missing.join(" and ")));
    Err(Problem::invalid(vec![with(refusal, "dependents", json!(missing))]))
}

/// A text of the settings; an empty one is as good as none.
fn given<'s>(settings: &'s Value, field: &str) -> Option<&'s str> {
    settings.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}
