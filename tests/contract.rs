//! The CRDs against the contract: every field that the API lets one write can be written in a spec, within the API's own limits.
#![allow(clippy::missing_panics_doc, reason = "tests panic")]
use std::collections::BTreeSet;

use serde_json::Value;

const CONTRACT: &str = include_str!("../sandbox/contracts/konnect.json");

/// The contract's resources that the kinds cover: which kind, and where in its spec their fields are.
const RESOURCES: [(&str, &str, &str); 5] = [
    ("Portal", "Portal", ""),
    ("PortalTeam", "PortalTeam", ""),
    ("PortalTeamRole", "PortalTeam", "roles.items[]."),
    ("PortalTeamMembership", "PortalTeam", "developers.items[]."),
    ("PortalTeamGroupMapping", "PortalTeam", ""),
];

/// Fields that are in the spec under another name, or deliberately not (none), by resource and the contract's name; and why.
const ELSEWHERE: [(&str, &str, Option<&str>, &str); 6] = [
    ("PortalTeamMembership", "id (developer)", Some("developers.items[]"), "people know e-mails; the id is looked up"),
    ("PortalTeamMembership", "id", Some("developers.items[]"), "the same field, as the request names it"),
    ("PortalTeamGroupMapping", "data", None, "the rows of all teams; a team writes its own"),
    ("PortalTeamGroupMapping", "data[].team_id", None, "the team's own id, which only the API knows beforehand"),
    ("PortalTeamGroupMapping", "data[].groups", Some("identityProviderGroups"), "they belong to the team"),
    ("PortalTeamGroupMapping", "data[].groups[]", Some("identityProviderGroups[]"), "they belong to the team"),
];

/// Limits that the CRD sets where the requests of the contract set none, by kind, field and limit; and why.
const STRICTER: [(&str, &str, &str, u64, &str); 14] = [
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
];

/// A field of the contract, and where the spec has it.
struct Field<'c> {
    resource: &'c str,
    name: &'c str,
    kind: &'static str,
    /// None: deliberately nowhere.
    place: Option<String>,
}

impl<'c> Field<'c> {
    fn new(resource: &'c str, name: &'c str) -> Self {
        let &(_, kind, prefix) = RESOURCES.iter().find(|(r, ..)| *r == resource).expect("a resource that is covered");
        let elsewhere = ELSEWHERE.iter().find(|(r, n, ..)| (*r, *n) == (resource, name));
        let place = match elsewhere {
            Some((_, _, place, _)) => place.map(str::to_owned),
            None => Some(format!("{prefix}{}", camel_case(name))),
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
            let writable = matches!(class, "W" | "WO" | "CO");
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
                let (theirs, ours) = (request[limit].as_u64(), schema[limit].as_u64());
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
    let mut known = BTreeSet::new();
    for resource in list("resources") {
        for field in resource["fields"].as_array().into_iter().flatten() {
            known.insert((resource["name"].to_string(), field["field"].to_string()));
        }
    }
    for operation in list("operations") {
        for field in operation["request"]["fields"].as_array().into_iter().flatten() {
            known.insert((operation["resource"].to_string(), field["path"].to_string()));
        }
    }
    for (resource, field, ..) in ELSEWHERE {
        let entry = (Value::from(resource).to_string(), Value::from(field).to_string());
        assert!(known.contains(&entry), "{resource} {field} is not in the contract any more");
    }
}
