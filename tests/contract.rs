//! The CRDs against the contract: every field that the API lets one write can be written in a spec, within the API's own limits.
#![allow(clippy::missing_panics_doc, reason = "tests panic")]
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const CONTRACT: &str = include_str!("../sandbox/contracts/konnect.json");
const ACP: &str = include_str!("../sandbox/contracts/acp.json");

/// The resources of Konnect's contract that the kinds cover: which kind, and where in its spec their fields are.
const RESOURCES: [(&str, &str, &str); 11] = [
    ("Portal", "Portal", ""),
    ("PortalTeam", "PortalTeam", ""),
    ("PortalTeamRole", "PortalTeam", "roles.items[]."),
    ("PortalTeamMembership", "PortalTeam", "developers.items[]."),
    ("PortalTeamGroupMapping", "PortalTeam", ""),
    ("PortalAuthSettings", "PortalAuthentication", ""),
    ("PortalIdentityProvider", "PortalIdentityProvider", ""),
    ("PortalProductVersion", "PortalProductVersion", ""),
    ("PortalDeveloper", "PortalDeveloper", ""),
    ("PortalAuditLogReplayJob", "PortalAuditLogReplay", ""),
    ("PortalCustomDomain", "PortalCustomDomain", ""),
];

/// Fields that are in the spec under another name, or deliberately not (none), by resource and the contract's name; and why.
const ELSEWHERE: &[(&str, &str, Option<&str>, &str)] = &[
    ("PortalTeamMembership", "id (developer)", Some("developers.items[]"), "people know e-mails; the id is looked up"),
    ("PortalTeamMembership", "id", Some("developers.items[]"), "the same field, as the request names it"),
    ("PortalTeamGroupMapping", "data", None, "the rows of all teams; a team writes its own"),
    ("PortalTeamGroupMapping", "data[].team_id", None, "the team's own id, which only the API knows beforehand"),
    ("PortalTeamGroupMapping", "data[].groups", Some("identityProviderGroups"), "they belong to the team"),
    ("PortalTeamGroupMapping", "data[].groups[]", Some("identityProviderGroups[]"), "they belong to the team"),
    ("PortalAuthSettings", "oidc_client_secret", Some("oidcClientSecretRef"), SECRET),
    ("PortalIdentityProvider", "config.client_secret", Some("config.clientSecretRef"), SECRET),
    ("PortalIdentityProvider", "config.sp_metadata_url", None, "read-only, in the status"),
    ("PortalIdentityProvider", "config.sp_entity_id", None, "read-only, in the status"),
    ("PortalIdentityProvider", "config.callback_url", None, "read-only, in the status"),
    (
        "PortalIdentityProvider",
        "config.claim_mappings.{name,email,groups}",
        Some("config.claimMappings"),
        "three fields",
    ),
    ("PortalCustomDomain", "ssl.custom_certificate", Some("ssl.tlsSecretRef"), SECRET),
    ("PortalCustomDomain", "ssl.custom_private_key", Some("ssl.tlsSecretRef"), SECRET),
    ("PortalCustomDomain", "custom_certificate", Some("ssl.tlsSecretRef"), SECRET),
    ("PortalCustomDomain", "custom_private_key", Some("ssl.tlsSecretRef"), SECRET),
    ("PortalCustomDomain", "ssl.skip_ca_check", None, "the schemas of all requests refuse it"),
];

/// Limits that the CRD sets where the requests of the contract set none, by kind, field and limit; and why.
const STRICTER: &[(&str, &str, &str, u64, &str)] = &[
    ("Portal", "defaultApplicationAuthStrategyId", "maxLength", 36, "a UUID, or empty"),
    ("PortalTeam", "name", "minLength", 1, "the request's pattern asks for one character"),
    ("PortalTeam", "name", "maxLength", 250, "the answers' schema has no room for more"),
    ("PortalTeam", "roles.items[].roleName", "minLength", 1, "no role is called nothing"),
    ("PortalTeam", "roles.items[].roleName", "maxLength", 255, "the roles that exist are far shorter"),
    ("PortalTeam", "roles.items[].entityTypeName", "minLength", 1, "no type is called nothing"),
    ("PortalTeam", "roles.items[].entityTypeName", "maxLength", 255, "the types that exist are far shorter"),
    ("PortalTeam", "roles.items[].entityRegion", "minLength", 1, "no region is called nothing"),
    ("PortalTeam", "roles.items[].entityRegion", "maxLength", 32, "regions have a few letters"),
    ("PortalTeam", "developers.items[]", "minLength", 3, "the shortest e-mail address"),
    ("PortalTeam", "developers.items[]", "maxLength", 255, "the answers' schema has no room for a longer e-mail"),
    ("PortalTeam", "identityProviderGroups[]", "minLength", 1, "no group is called nothing"),
    ("PortalTeam", "identityProviderGroups[]", "maxLength", 255, "a bound, so that the status stays small"),
    ("Portal", "labels", "maxProperties", 48, "the API takes 50, and two of them are Portico's mark"),
    ("PortalAuthentication", "oidcIssuer", "maxLength", 2048, "a URL"),
    ("PortalAuthentication", "oidcClientId", "maxLength", 1024, "a bound, so that rules on it stay cheap"),
    ("PortalAuthentication", "oidcScopes[]", "minLength", 1, "no scope is called nothing"),
    ("PortalAuthentication", "oidcScopes[]", "maxLength", 255, "a bound, so that rules on it stay cheap"),
    ("PortalAuthentication", "oidcClaimMappings.name", "minLength", 1, "no claim is called nothing"),
    ("PortalAuthentication", "oidcClaimMappings.name", "maxLength", 255, "a bound, so that rules on it stay cheap"),
    ("PortalAuthentication", "oidcClaimMappings.email", "minLength", 1, "no claim is called nothing"),
    ("PortalAuthentication", "oidcClaimMappings.email", "maxLength", 255, "a bound, so that rules on it stay cheap"),
    ("PortalAuthentication", "oidcClaimMappings.groups", "minLength", 1, "no claim is called nothing"),
    ("PortalAuthentication", "oidcClaimMappings.groups", "maxLength", 255, "a bound, so that rules on it stay cheap"),
    ("PortalIdentityProvider", "config.issuerUrl", "minLength", 1, "nothing of it is called nothing"),
    ("PortalIdentityProvider", "config.issuerUrl", "maxLength", 2048, "a URL"),
    ("PortalIdentityProvider", "config.clientId", "minLength", 1, "nothing of it is called nothing"),
    ("PortalIdentityProvider", "config.clientId", "maxLength", 1024, "a bound, so that rules on it stay cheap"),
    ("PortalIdentityProvider", "config.scopes[]", "minLength", 1, "nothing of it is called nothing"),
    ("PortalIdentityProvider", "config.scopes[]", "maxLength", 255, "a bound, so that rules on it stay cheap"),
    ("PortalIdentityProvider", "config.claimMappings.name", "minLength", 1, "nothing of it is called nothing"),
    (
        "PortalIdentityProvider",
        "config.claimMappings.name",
        "maxLength",
        255,
        "a bound, so that rules on it stay cheap",
    ),
    ("PortalIdentityProvider", "config.claimMappings.email", "minLength", 1, "nothing of it is called nothing"),
    (
        "PortalIdentityProvider",
        "config.claimMappings.email",
        "maxLength",
        255,
        "a bound, so that rules on it stay cheap",
    ),
    ("PortalIdentityProvider", "config.claimMappings.groups", "minLength", 1, "nothing of it is called nothing"),
    (
        "PortalIdentityProvider",
        "config.claimMappings.groups",
        "maxLength",
        255,
        "a bound, so that rules on it stay cheap",
    ),
    ("PortalIdentityProvider", "config.idpMetadataUrl", "maxLength", 2048, "a URL"),
    ("PortalIdentityProvider", "config.idpMetadataXml", "maxLength", 262_144, "a document of metadata is far smaller"),
    ("PortalCustomDomain", "hostname", "minLength", 3, "the shortest name with a dot"),
    ("PortalCustomDomain", "hostname", "maxLength", 253, "the longest name in DNS"),
];

/// The resources of ACP's contract that the kinds cover.
const ACP_RESOURCES: [(&str, &str); 4] = [
    ("AuthorizationServer", "AuthorizationServer"),
    ("Client", "OAuthClient"),
    ("Consent", "Consent"),
    ("ConsentAction", "ConsentAction"),
];

/// Fields of ACP that are in the spec under another name, or deliberately not (none), by kind and the contract's name; and why.
const ACP_ELSEWHERE: [Exception; 21] = [
    ("AuthorizationServer", "secret", Some("secretRef"), SECRET),
    ("AuthorizationServer", "jwks", None, "the server's private keys: ACP makes them, Portico only sends them back"),
    ("AuthorizationServer", "rotated_secrets", None, "earlier secrets: ACP keeps them, Portico only sends them back"),
    ("AuthorizationServer", "developer_policy_id", Some("developerPolicyRef.id"), "a reference"),
    ("AuthorizationServer", "user_policy_id", Some("userPolicyRef.id"), "a reference"),
    (
        "AuthorizationServer",
        "authentications.methods[].oidc.client_secret",
        Some("authentications.methods[].oidc.clientSecretRef"),
        SECRET,
    ),
    (
        "AuthorizationServer",
        "authentications.methods[].azure.client_secret",
        Some("authentications.methods[].azure.clientSecretRef"),
        SECRET,
    ),
    (
        "AuthorizationServer",
        "authentications.methods[].cognito.client_secret",
        Some("authentications.methods[].cognito.clientSecretRef"),
        SECRET,
    ),
    (
        "AuthorizationServer",
        "authentications.methods[].static.users[].password",
        Some("authentications.methods[].static.users[].passwordSecretRef"),
        SECRET,
    ),
    ("OAuthClient", "authorization_server_id", Some("serverRef"), "a reference"),
    ("OAuthClient", "client_secret", Some("clientSecretRef"), SECRET),
    ("OAuthClient", "scope", None, "says once more what scopes says"),
    ("OAuthClient", "system", None, "marks what is built in"),
    ("OAuthClient", "jwks.keys[].d", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].dp", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].dq", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].k", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].p", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].q", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].qi", None, PRIVATE),
    ("ConsentAction", "consents[].id", Some("consents[].consentRef"), "a reference"),
];
type Exception = (&'static str, &'static str, Option<&'static str>, &'static str);
const SECRET: &str = "a secret, by reference";
const PRIVATE: &str = "a private member of a key";

/// What the specs of ACP's kinds have besides the fields of the API.
const ENGINES: [&str; 4] = ["allowedNamespaces", "connectionRef", "credentialsSecret", "lifecycle"];

/// A field of the contract, and where the spec has it.
struct Field<'c> {
    resource: &'c str,
    name: &'c str,
    kind: &'static str,
    /// None: deliberately nowhere.
    place: Option<String>,
}

/// The name as it is written, without the variants of a union: `config<OIDC …>.client_id` is `config.client_id`, and `a -> b` is `a`.
fn plain(name: &str) -> String {
    let name = name.split(" -> ").next().unwrap_or_default();
    let mut parts = name.split('<');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('>').map_or("", |(_, rest)| rest))
}

impl<'c> Field<'c> {
    fn new(resource: &'c str, name: &'c str) -> Self {
        let &(_, kind, prefix) = RESOURCES.iter().find(|(r, ..)| *r == resource).expect("a resource that is covered");
        let known = plain(name);
        let elsewhere = ELSEWHERE.iter().find(|(r, n, ..)| (*r, *n) == (resource, known.as_str()));
        let place = match elsewhere {
            Some((_, _, place, _)) => place.map(str::to_owned),
            None => Some(format!("{prefix}{}", camel_case(&known))),
        };
        Self { resource, name, kind, place }
    }
}

/// `entity_type_name` as Kubernetes writes it.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        text + &initial.to_uppercase() + rest
    })
}

fn contract() -> Value {
    serde_json::from_str(CONTRACT).expect("the contract is JSON")
}

fn covered(resource: &Value) -> bool {
    RESOURCES.iter().any(|(name, ..)| resource == name)
}

/// The schema of a kind's spec.
fn spec(kind: &str) -> Value {
    let crds = portico::manifests::crds();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == kind).expect("the kind has a CRD");
    let crd = serde_json::to_value(crd).expect("a CRD is JSON");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// The schema of a field of a spec, such as `roles.items[].roleName` or `labels.{key}`.
fn find<'s>(spec: &'s Value, place: &str) -> Option<&'s Value> {
    let found = place.split('.').fold(spec, |schema, part| {
        let name = part.trim_end_matches("[]");
        let field = if name == "{key}" { &schema["additionalProperties"] } else { &schema["properties"][name] };
        if name == part { field } else { &field["items"] }
    });
    found.is_object().then_some(found)
}

#[test]
fn every_writable_field_of_the_contract_is_in_the_crd() {
    let contract = contract();
    let (mut looked_at, mut missing) = (0, Vec::new());
    for resource in contract["resources"].as_array().expect("a list").iter().filter(|r| covered(&r["name"])) {
        for field in resource["fields"].as_array().expect("a list") {
            let class = field["class"].as_str().expect("a class");
            let writable = matches!(class, "W" | "WO" | "CO" | "CO/W");
            assert!(writable || matches!(class, "RO" | "ID/RO"), "a class that this test does not know: {class}");
            if writable {
                looked_at += 1;
                let name = field["field"].as_str().expect("a name");
                let field = Field::new(resource["name"].as_str().expect("a name"), name);
                if field.place.as_ref().is_some_and(|place| find(&spec(field.kind), place).is_none()) {
                    missing.push(format!("{} {name}: no {:?} in {}", field.resource, field.place, field.kind));
                }
            }
        }
    }
    assert!(looked_at >= 18, "only {looked_at} writable fields found");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_limits_of_the_crd_are_those_of_the_contract() {
    let contract = contract();
    let (mut looked_at, mut wrong, mut used) = (0, Vec::new(), BTreeSet::new());
    for operation in contract["operations"].as_array().expect("a list").iter().filter(|o| covered(&o["resource"])) {
        let resource = operation["resource"].as_str().expect("a name");
        for request in operation["request"]["fields"].as_array().into_iter().flatten() {
            let field = Field::new(resource, request["path"].as_str().expect("a path"));
            let Some(place) = &field.place else { continue };
            let spec = spec(field.kind);
            let Some(schema) = find(&spec, place) else {
                wrong.push(format!("{} {}: no {place} in {}", field.resource, field.name, field.kind));
                continue;
            };
            for limit in ["minLength", "maxLength", "maxProperties"] {
                // Three members are all that an object of three fields can have.
                let fields = schema["properties"].as_object().map(|fields| fields.len() as u64);
                let theirs = request[limit].as_u64().filter(|most| limit != "maxProperties" || Some(*most) != fields);
                let ours = schema[limit].as_u64();
                looked_at += usize::from(theirs.is_some());
                let allowed = STRICTER.iter().position(|(kind, at, which, value, _)| {
                    (*kind, *at, *which, Some(*value)) == (field.kind, place.as_str(), limit, ours)
                });
                used.extend(allowed);
                if theirs != ours && allowed.is_none() {
                    let kind = field.kind;
                    wrong.push(format!("{kind} {place} {limit}: {ours:?} in the CRD, {theirs:?} in the contract"));
                }
            }
        }
    }
    assert!(looked_at >= 20, "only {looked_at} limits found");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let unused: Vec<_> = STRICTER.iter().enumerate().filter(|(n, _)| !used.contains(n)).map(|(_, s)| s).collect();
    assert!(unused.is_empty(), "exceptions that are none any more: {unused:#?}");
}

#[test]
fn what_a_table_says_is_elsewhere_is_in_the_contract() {
    let contract = contract();
    let list = |name: &str| contract[name].as_array().expect("a list").clone();
    let text = |value: &Value| Value::from(plain(value.as_str().unwrap_or_default())).to_string();
    let mut known = BTreeSet::new();
    for resource in list("resources") {
        for field in resource["fields"].as_array().into_iter().flatten() {
            known.insert((resource["name"].to_string(), text(&field["field"])));
        }
    }
    for operation in list("operations") {
        for field in operation["request"]["fields"].as_array().into_iter().flatten() {
            known.insert((operation["resource"].to_string(), text(&field["path"])));
        }
    }
    for &(resource, field, ..) in ELSEWHERE {
        let entry = (Value::from(resource).to_string(), Value::from(field).to_string());
        assert!(known.contains(&entry), "{resource} {field} is not in the contract any more");
    }
}

/// The fields of ACP that can be written, by kind and name, as `authentications.methods[].oidc.client_id`.
fn written() -> BTreeMap<(&'static str, String), Value> {
    let contract: Value = serde_json::from_str(ACP).expect("the contract is JSON");
    let mut fields = BTreeMap::new();
    for operation in contract["operations"].as_array().expect("a list") {
        let covered = ACP_RESOURCES.iter().find(|(resource, _)| operation["resource"] == *resource);
        if let (Some(&(_, kind)), Some(schema)) = (covered, operation["request"]["schema"].as_str()) {
            // The one request that holds a part of an object.
            let part = if operation["operationId"] == "updateAuthentications" { "authentications." } else { "" };
            collect(&contract["schemas"], kind, schema, part, &mut fields);
        }
    }
    fields
}

fn collect(
    schemas: &Value,
    kind: &'static str,
    schema: &str,
    prefix: &str,
    fields: &mut BTreeMap<(&'static str, String), Value>,
) {
    for (name, field) in schemas[schema]["fields"].as_object().expect("a schema has fields") {
        // The fields of nested objects have no class of their own.
        let class = field["access"].as_str().unwrap_or("rw");
        let writable = ["rw", "id", "create-only", "wo/create-only"].contains(&class);
        assert!(writable || class == "ro", "a class that this test does not know: {class}");
        if !writable {
            continue;
        }
        let path = format!("{prefix}{name}");
        let left_out = matches!(acp_elsewhere(kind, &path), Some((_, _, None, _)));
        let named = field["type"].as_str().expect("a type");
        let (inner, step) = if let Some(item) = named.strip_prefix('[') {
            (item.trim_end_matches(']'), "[]")
        } else if let Some(item) = named.strip_prefix("map<string,") {
            (item.trim_end_matches('>'), ".{key}")
        } else {
            (named, "")
        };
        if schemas[inner].is_object() && !left_out {
            collect(schemas, kind, inner, &format!("{path}{step}."), fields);
        }
        fields.insert((kind, path), field.clone());
    }
}

fn acp_elsewhere(kind: &str, path: &str) -> Option<&'static Exception> {
    ACP_ELSEWHERE.iter().find(|(of, name, ..)| (*of, *name) == (kind, path))
}

/// Where a field of ACP is in the spec; none: deliberately nowhere.
fn acp_place(kind: &str, path: &str) -> Option<String> {
    acp_elsewhere(kind, path).map_or_else(|| Some(camel_case(path)), |(_, _, place, _)| place.map(str::to_owned))
}

fn acp_specs() -> BTreeMap<&'static str, Value> {
    ACP_RESOURCES.iter().map(|(_, kind)| (*kind, spec(kind))).collect()
}

#[test]
fn every_kind_is_held_against_a_contract() {
    let covered: BTreeSet<&str> =
        RESOURCES.iter().map(|(_, kind, _)| *kind).chain(ACP_RESOURCES.iter().map(|(_, kind)| *kind)).collect();
    let kinds: Vec<String> = portico::manifests::crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    let left: Vec<&String> =
        kinds.iter().filter(|kind| !kind.ends_with("Connection") && !covered.contains(kind.as_str())).collect();
    assert!(left.is_empty(), "kinds that no contract is compared with: {left:?}");
}

#[test]
fn every_writable_field_of_acp_is_in_the_crd_and_nothing_else_is() {
    let (specs, written) = (acp_specs(), written());
    let mut wrong = Vec::new();
    for (kind, path) in written.keys() {
        if let Some(place) = acp_place(kind, path).filter(|place| find(&specs[kind], place).is_none()) {
            wrong.push(format!("{kind} {path}: no {place}"));
        }
    }
    for (kind, path, ..) in ACP_ELSEWHERE {
        if !written.contains_key(&(kind, path.to_owned())) {
            wrong.push(format!("{kind} {path}: an exception for what the contract does not have"));
        }
        if find(&specs[kind], &camel_case(path)).is_some() {
            wrong.push(format!("{kind} {path}: an exception for what is in the CRD"));
        }
    }
    for (kind, spec) in &specs {
        let places = written.keys().filter(|(of, _)| of == kind).filter_map(|(_, path)| acp_place(kind, path));
        let known: BTreeSet<String> =
            places.map(|place| place.split(['.', '[']).next().unwrap_or_default().to_owned()).collect();
        for field in spec["properties"].as_object().expect("a spec has fields").keys() {
            if !known.contains(field) && !ENGINES.contains(&field.as_str()) {
                wrong.push(format!("{kind}: {field} is in the CRD and not in the contract"));
            }
        }
    }
    assert!(written.len() >= 100, "only {} writable fields found", written.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_choices_and_durations_of_acp_are_those_of_the_contract() {
    let specs = acp_specs();
    let (mut choices, mut durations, mut wrong) = (0, 0, Vec::new());
    for ((kind, path), field) in &written() {
        let Some(schema) = acp_place(kind, path).and_then(|place| find(&specs[kind], &place).cloned()) else {
            continue;
        };
        let is_list = field["type"].as_str().is_some_and(|named| named.starts_with('['));
        let ours = if is_list { &schema["items"]["enum"] } else { &schema["enum"] };
        if *ours != field["enum"] {
            wrong.push(format!("{kind} {path}: {ours} in the CRD, {} in the contract", field["enum"]));
        }
        choices += usize::from(ours.is_array());
        if field["format"] == "duration" {
            durations += 1;
            let message = schema["x-kubernetes-validations"][0]["message"].as_str().unwrap_or_default();
            if !message.contains("90m") {
                wrong.push(format!("{kind} {path}: a duration of which nobody learns the form: {message:?}"));
            }
        }
    }
    assert!(choices >= 10 && durations >= 5, "only {choices} choices and {durations} durations found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
