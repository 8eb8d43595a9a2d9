//! Whether an object is as a spec says: a small comparison of plain values, apart from the engine's. What is nested in lists is compared
//! by what tells the entries apart.
use std::collections::BTreeSet;

use chrono::DateTime;
use serde_json::{Value, json};

use super::{
    look::name,
    sorts::{Shape, Sort, items, text},
};

/// Fields that nothing at the API stands for, or that are compared elsewhere.
const OWN: [&str; 14] = [
    "allowedNamespaces",
    "clientId",
    "connectionRef",
    "credentialsSecret",
    "endAt",
    "forceDelete",
    "id",
    "keyType",
    "lifecycle",
    "notifyDevelopers",
    "portalRef",
    "serverRef",
    "startAt",
    "email",
];
/// The parts of a team, which have lists of their own.
const PARTS: [&str; 3] = ["developers", "identityProviderGroups", "roles"];
/// What tells the entries of lists apart, the most telling first.
const TELLING: [&str; 4] = ["id", "kid", "username", "name"];
/// Members that the API stamps by itself.
const STAMPS: [&str; 4] = ["id", "tenant_id", "version", "valid_from"];

/// Where a Secret is named in a spec, under which key its value stands where that is not named, and where the API keeps it.
const SECRETS: [(&str, &str, &str, &str); 5] = [
    ("AuthorizationServer", "/secretRef", "", "/secret"),
    ("OAuthClient", "/clientSecretRef", "", "/client_secret"),
    ("PortalAuthentication", "/oidcClientSecretRef", "", "/write_only/oidc_client_secret"),
    ("PortalIdentityProvider", "/config/clientSecretRef", "", "/write_only/client_secret"),
    ("PortalCustomDomain", "/ssl/tlsSecretRef", "tls.key", "/write_only/custom_private_key"),
];

/// A Secret that a spec names, and the value that the API has.
pub(super) struct Kept<'v> {
    pub(super) secret: &'v str,
    pub(super) key: &'v str,
    pub(super) value: &'v str,
}

/// The secrets that the API should have from Secrets.
pub(super) fn kept<'v>(sort: &Sort, resource: &'v Value, object: &'v Value) -> Vec<Kept<'v>> {
    let of_kind = SECRETS.iter().filter(|(kind, ..)| *kind == sort.kind);
    let pairs = of_kind.filter_map(|&(_, reference, key, place)| {
        let reference = resource["spec"].pointer(reference)?;
        let key = reference["key"].as_str().unwrap_or(key);
        let value = object.pointer(place).map(text).unwrap_or_default();
        Some(Kept { secret: reference["name"].as_str()?, key, value })
    });
    pairs.collect()
}

/// The fields of a spec that the object does not have as the spec says.
pub(super) fn differences(sort: &Sort, resource: &Value, object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if sort.shape == Shape::Action {
        return found;
    }
    let spec = &resource["spec"];
    for (field, want) in spec.as_object().into_iter().flatten() {
        let is_plain =
            !OWN.contains(&field.as_str()) && !PARTS.contains(&field.as_str()) && !field.ends_with("SecretRef");
        if is_plain && field != "secretRef" {
            let have = value_of(sort, field, object);
            if !is_same(want, &have) {
                found.push(format!("{field} is {have}, not {want}"));
            }
        }
    }
    let named = match sort.kind {
        "Portal" | "PortalTeam" | "AuthorizationServer" | "Consent" | "ConsentAction" => Some(("name", "name")),
        "OAuthClient" => Some(("clientName", "client_name")),
        _ => None,
    };
    if let Some((field, member)) = named
        && spec[field].is_null()
        && object[member] != name(resource)
    {
        found.push(format!("{field} is {}, not the name of the resource", object[member]));
    }
    found
}

/// The value that stands for a field of the spec.
fn value_of(sort: &Sort, field: &str, object: &Value) -> Value {
    let nested = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    match (sort.kind, field) {
        ("PortalAuthentication", _) if field.starts_with("oidc") => match field {
            "oidcAuthEnabled" | "oidcTeamMappingEnabled" => object[snake(field)].clone(),
            _ => nested(&format!("/oidc_config/{}", snake(field).trim_start_matches("oidc_"))),
        },
        ("PortalProductVersion", "authStrategyIds") => {
            items(&object["auth_strategies"]).map(|strategy| strategy["id"].clone()).collect()
        }
        ("AuthorizationServer", "developerPolicyRef") => json!({"id": nested("/developer_policy_id")}),
        ("AuthorizationServer", "userPolicyRef") => json!({"id": nested("/user_policy_id")}),
        // Its consents are resources; they are compared where those are known.
        ("ConsentAction", "consents") => Value::Null,
        _ => object[snake(field)].clone(),
    }
}

/// Whether a value says what another does. What the wanted one does not name is not looked at.
fn is_same(want: &Value, have: &Value) -> bool {
    if want == have || (says_nothing(want) && says_nothing(have)) {
        return true;
    }
    match (want, have) {
        (Value::Object(want), _) => {
            let mut members = want.iter().filter(|(field, _)| !field.to_lowercase().ends_with("secretref"));
            members.all(|(field, want)| is_same(want, have.get(field).unwrap_or(&have[snake(field)])))
        }
        (Value::Array(want), Value::Array(have)) => is_same_list(want, have),
        // A list that is compared elsewhere.
        (Value::Array(want), Value::Null) => want.iter().any(|entry| entry["consentRef"].is_object()),
        (Value::String(want), Value::String(have)) => is_same_text(want, have),
        (Value::Number(want), Value::Number(have)) => want.as_f64() == have.as_f64(),
        _ => false,
    }
}

fn is_same_list(want: &[Value], have: &[Value]) -> bool {
    let telling = TELLING.iter().find(|member| want.iter().all(|entry| entry[**member].is_string()));
    let shown = |entry: &Value| match telling {
        Some(member) if entry.is_object() => entry[*member].to_string(),
        _ => entry.to_string(),
    };
    let set = |list: &[Value]| list.iter().map(shown).collect::<BTreeSet<_>>();
    set(want) == set(have)
}

fn is_same_text(want: &str, have: &str) -> bool {
    let time = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    let same_time = || time(want).zip(time(have)).is_some_and(|(want, have)| want == have);
    let same_duration = || nanoseconds(want).zip(nanoseconds(have)).is_some_and(|(want, have)| want == have);
    let same_uuid = want.len() == 36 && want.eq_ignore_ascii_case(have);
    same_uuid || same_duration() || same_time()
}

/// Null, `""`, `false`, 0, and what has nothing in it.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(says_nothing),
    }
}

/// A duration as Go writes it, such as `1h30m0s`.
fn nanoseconds(duration: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 6] = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let mut rest = duration;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let letters = &rest[digits..];
        let end = letters.find(|c: char| c.is_ascii_digit()).unwrap_or(letters.len());
        let (_, unit) = UNITS.iter().find(|(word, _)| *word == &letters[..end])?;
        sum = sum.checked_add(number.checked_mul(*unit)?)?;
        rest = &letters[end..];
    }
    Some(sum).filter(|_| !duration.is_empty())
}

/// Whether a write would leave an object as it is, and yet do something: a new version of a consent, mails to developers.
pub(super) fn is_idle(body: &Value, object: &Value, sort: &Sort) -> bool {
    let Some(members) = body.as_object() else { return false };
    if sort.shape == Shape::Upsert && body["notify_developers"] != true {
        return false;
    }
    members.iter().all(|(member, sent)| match member.as_str() {
        "notify_developers" => true,
        "auth_strategy_ids" => is_same(sent, &value_of(sort, "authStrategyIds", object)),
        "valid_from" => is_same(sent, &object["valid_from"]),
        stamp if STAMPS.contains(&stamp) => true,
        _ => sent == &object[member.as_str()] || (says_nothing(sent) && says_nothing(&object[member.as_str()])),
    })
}

/// `redirectUris` as `redirect_uris`.
pub(crate) fn snake(camel: &str) -> String {
    camel.chars().fold(String::new(), |mut text, letter| {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::sorts::sort;

    fn found(kind: &str, spec: &Value, object: &Value) -> Vec<String> {
        let resource = json!({"metadata": {"name": "n"}, "spec": spec});
        differences(sort(kind).expect("it is known"), &resource, object)
    }

    #[test]
    fn what_the_api_writes_otherwise_is_the_same() {
        let spec = json!({
            "name": "a", "accessTokenTtl": "90m", "grantTypes": ["a", "b"], "profiles": [], "enforcePkce": false,
            "developerPolicyRef": {"id": "p"}, "secretRef": {"name": "s", "key": "k"},
            "authentications": {"methods": [{"id": "x", "oidc": {"clientSecretRef": {"name": "s"}}}]},
        });
        let object = json!({
            "name": "a", "access_token_ttl": "1h30m0s", "grant_types": ["b", "a"], "profiles": null, "developer_policy_id": "p",
            "authentications": {"methods": [{"id": "x", "name": "", "oidc": {}}]},
        });
        assert_eq!(found("AuthorizationServer", &spec, &object), Vec::<String>::new());
        let consent = json!({"name": "c", "validFrom": "2024-05-01T00:00:00Z"});
        let shown = json!({"name": "c", "valid_from": "2024-05-01T02:00:00+02:00"});
        assert_eq!(found("Consent", &consent, &shown), Vec::<String>::new());
    }

    #[test]
    fn what_differs_is_named() {
        let portal = json!({"displayName": "A", "isPublic": true, "labels": {"stage": "x"}});
        let object = json!({"name": "other", "display_name": "B", "is_public": true, "labels": {"stage": "y"}});
        let fields: Vec<String> = found("Portal", &portal, &object)
            .iter()
            .map(|d| d.split(' ').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(fields, ["displayName", "labels", "name"]);
        let settings = json!({"oidcIssuer": "https://a", "oidcScopes": ["x"], "oidcAuthEnabled": true});
        let object = json!({"oidc_auth_enabled": true, "oidc_config": {"issuer": "https://b", "scopes": ["x"]}});
        assert_eq!(found("PortalAuthentication", &settings, &object).len(), 1);
    }

    #[test]
    fn a_consent_that_is_sent_as_it_is_would_only_get_a_new_version() {
        let consent =
            json!({"id": "c", "name": "a", "description": "", "version": 3, "valid_from": "2024-05-01T00:00:00Z"});
        let sort = sort("Consent").expect("it is known");
        assert!(is_idle(&json!({"id": "c", "name": "a"}), &consent, sort));
        assert!(!is_idle(&json!({"id": "c", "name": "b"}), &consent, sort));
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(nanoseconds("1h30m0s"), nanoseconds("90m"));
        assert_eq!(nanoseconds("soon"), None);
        assert_eq!(nanoseconds(""), None);
    }
}
