//! The CRDs against the contract: every field that the API lets one write can be written in a spec, within the API's own limits.
#![allow(clippy::missing_panics_doc, reason = "tests panic")]
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

mod tables;

use tables::{ACP_ELSEWHERE, ACP_RESOURCES, ELSEWHERE, ENGINES, Exception, RESOURCES, STRICTER};

const CONTRACT: &str = include_str!("../../sandbox/contracts/konnect.json");
const ACP: &str = include_str!("../../sandbox/contracts/acp.json");

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
