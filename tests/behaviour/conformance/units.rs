//! What is changed alone: every field of the API; whatever a field is made of that is a structure; and in lists whose entries have a key,
//! whatever an entry is made of.
use portico::engine::kubernetes::merge_patch;
use serde_json::{Map, Value, json};

use super::case::Case;
use crate::world::merge;

/// The ending of the Secrets that hold other values than those of the examples.
pub(crate) const OTHER: &str = "-other";

/// Fields that are given instead of others: kind, field, and what it takes the place of. It is varied while the other is away.
const INSTEAD: [(&str, &str, &str); 1] = [("OAuthClient", "clientSecretRef", "credentialsSecret")];

/// What cannot change alone in an entry: kind, and path. A method goes with its settings, the type of a key with its numbers.
const TOGETHER: [(&str, &str); 2] =
    [("AuthorizationServer", "authentications.methods.method"), ("OAuthClient", "jwks.keys.kty")];

/// Fields that only an object of another type has: kind, field, and what the field is in an example of that type, and then becomes.
const OF_ANOTHER_TYPE: [(&str, &str, &str, &str); 2] = [
    (
        "PortalIdentityProvider",
        "config.idpMetadataUrl",
        "https://idp.example.com/metadata.xml",
        "https://login.example.com/metadata.xml",
    ),
    (
        "PortalIdentityProvider",
        "config.idpMetadataXml",
        "<EntityDescriptor/>",
        "<EntityDescriptor entityID=\"other\"/>",
    ),
];

/// One change.
#[derive(Clone)]
pub(crate) struct Unit {
    /// What changes, as the table names it.
    pub(crate) name: String,
    /// The top-level field that it is in.
    pub(crate) field: String,
    /// What is done before, and undone after; both as merge patches of the spec, like the next two.
    pub(crate) around: Option<(Value, Value)>,
    /// From the example's value to the other.
    pub(crate) change: Value,
    /// And back.
    pub(crate) back: Value,
    /// Whether it is a map in which others' keys may stand.
    pub(crate) is_open: bool,
    /// Whether it is a part of a field that has a unit of its own.
    pub(crate) is_deep: bool,
}

/// Something that no two values were found for.
pub(crate) struct Missing {
    /// As the table names it.
    pub(crate) name: String,
    /// Why.
    pub(crate) why: &'static str,
}

/// All units of a kind, fields before what is in them.
pub(crate) fn units(case: &Case) -> Vec<Result<Unit, Missing>> {
    let of = |field: String| {
        let mut lists = Vec::new();
        keyed_lists(case.property(&field), &mut vec![field.clone()], &mut lists);
        let top = top(case, &field);
        let inner: Vec<_> =
            members(case, &field, &top).into_iter().chain(lists.iter().flat_map(|list| entries(case, list))).collect();
        std::iter::once(top).chain(inner)
    };
    case.fields().into_iter().flat_map(of).collect()
}

/// A unit that is one plain value, and not one that must be unique; none of what cannot be changed.
pub(crate) fn simple(case: &Case) -> Option<Unit> {
    let all = units(case).into_iter().filter_map(Result::ok);
    let plain = all.filter(|unit| !unit.is_deep && unit.around.is_none() && !case.is_fixed(&unit.field));
    let rank = |unit: &Unit| match unit.field.as_str() {
        "description" => 0,
        field if unit.change[field].is_boolean() => 1,
        _ => 2,
    };
    plain.min_by_key(rank)
}

fn top(case: &Case, field: &str) -> Result<Unit, Missing> {
    if let Some(other) = instead(case, field) {
        return Ok(other);
    }
    let example = &case.example[field];
    let changed = if case.is_fixed(field) { case.another(field) } else { case.changed[field].clone() };
    let missing = |why| Err(Missing { name: field.to_owned(), why });
    if example.is_null() {
        return missing("the example has no value");
    }
    if changed.is_null() {
        return missing("the changed manifest has no value");
    }
    if *example == changed {
        return missing("both manifests have the same value");
    }
    let (example, changed) = (json!({ field: example }), json!({ field: changed }));
    Ok(Unit {
        name: field.to_owned(),
        field: field.to_owned(),
        around: None,
        change: step(&example, &changed),
        back: step(&changed, &example),
        is_open: case.property(field)["additionalProperties"].is_object(),
        is_deep: false,
    })
}

/// The unit of a field that stands in the place of another one: it names one Secret, and then one with other values.
fn instead(case: &Case, field: &str) -> Option<Unit> {
    let (.., away) = INSTEAD.iter().find(|(kind, given, _)| (*kind, *given) == (case.kind, field))?;
    let given = [&case.changed, &case.example].map(|spec| &spec[field]).into_iter().find(|value| value.is_object())?;
    let mut other = given.clone();
    other["name"] = json!(format!("{}{OTHER}", given["name"].as_str().unwrap_or_default()));
    let before = json!({ field: case.example[field], *away: case.example[*away] });
    let during = json!({ field: given, *away: null });
    Some(Unit {
        name: field.to_owned(),
        field: field.to_owned(),
        around: Some((during, before)),
        change: json!({ field: other }),
        back: json!({ field: given }),
        is_open: false,
        is_deep: false,
    })
}

/// The units of what a field is made of, where that is a structure: without what is the same change as that of the whole field.
fn members(case: &Case, field: &str, top: &Result<Unit, Missing>) -> Vec<Result<Unit, Missing>> {
    let mut paths = Vec::new();
    leaves(case.property(field), &mut vec![field.to_owned()], &mut paths);
    let of = |path: Vec<String>| {
        let unit = member(case, &path);
        let is_whole = |unit: &Unit| top.as_ref().is_ok_and(|top| top.change == unit.change);
        (!unit.as_ref().is_ok_and(is_whole)).then_some(unit)
    };
    paths.into_iter().filter_map(of).collect()
}

/// The paths of the members of structures. A list with a key has units of its own, as have the parts of an object.
fn leaves(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let Some(inner) = schema["properties"].as_object().filter(|inner| !is_reference(inner)) else {
        let is_list = schema["x-kubernetes-list-map-keys"].is_array();
        if path.len() > 1 && !is_list {
            found.push(path.clone());
        }
        return;
    };
    if inner.contains_key("exclusive") {
        return;
    }
    for (name, schema) in inner {
        path.push(name.clone());
        leaves(schema, path, found);
        path.pop();
    }
}

/// The unit of one member of a structure.
fn member(case: &Case, path: &[String]) -> Result<Unit, Missing> {
    let (name, pointer) = (path.join("."), format!("/{}", path.join("/")));
    if let Some(unit) = of_another_type(case, &name) {
        return Ok(unit);
    }
    let example = case.example.pointer(&pointer);
    let fixed = case.is_fixed(&name).then(|| case.another(&name));
    let changed = fixed.as_ref().or_else(|| case.changed.pointer(&pointer));
    let missing = |why| Err(Missing { name: name.clone(), why });
    let (Some(example), Some(changed)) = (example, changed) else {
        return missing("one of the manifests has no value");
    };
    if example == changed {
        return missing("both manifests have the same value");
    }
    let whole = |value: &Value| path.iter().rev().fold(value.clone(), |inner, field| json!({ field: inner }));
    let (example, changed) = (whole(example), whole(changed));
    Ok(Unit {
        name,
        field: path[0].clone(),
        around: None,
        change: step(&example, &changed),
        back: step(&changed, &example),
        is_open: false,
        is_deep: true,
    })
}

/// The unit of a field that the example cannot have: before it the object is made again, as one of the other type that has all such fields.
fn of_another_type(case: &Case, name: &str) -> Option<Unit> {
    let kind = case.kind;
    let of_it = move || OF_ANOTHER_TYPE.iter().filter(move |(known, ..)| *known == kind);
    let &(_, path, first, then) = of_it().find(|(_, path, ..)| *path == name)?;
    let field = path.split('.').next().unwrap_or_default();
    let whole =
        |path: &str, value: &Value| path.rsplit('.').fold(value.clone(), |inner, field| json!({ field: inner }));
    let key = case.known_by()?;
    let mut other = json!({ &key: case.another(&key) });
    for &(_, path, value, _) in of_it() {
        merge(&mut other, whole(path, &json!(value)));
    }
    let present = json!({ &key: case.example[&key], field: case.example[field] });
    let (mut before, mut after) = (step(&present, &other), step(&other, &present));
    for patch in [&mut before, &mut after] {
        patch["lifecycle"] = json!({"replace": "Allow"});
    }
    Some(Unit {
        name: name.to_owned(),
        field: field.to_owned(),
        around: Some((before, after)),
        change: whole(path, &json!(then)),
        back: whole(path, &json!(first)),
        is_open: false,
        is_deep: true,
    })
}

/// The merge patch from one value to another.
fn step(from: &Value, to: &Value) -> Value {
    merge_patch(from, to).unwrap_or_else(|| json!({}))
}

/// A list whose entries have a key: where it is, the key, and the schema of an entry's members.
struct KeyedList<'c> {
    path: Vec<String>,
    key: &'c str,
    members: &'c Map<String, Value>,
}

fn keyed_lists<'c>(schema: &'c Value, path: &mut Vec<String>, found: &mut Vec<KeyedList<'c>>) {
    let key = schema["x-kubernetes-list-map-keys"][0].as_str();
    if let (Some(key), Some(members)) = (key, schema["items"]["properties"].as_object()) {
        found.push(KeyedList { path: path.clone(), key, members });
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        path.push(name.clone());
        keyed_lists(inner, path, found);
        path.pop();
    }
}

/// A unit for each member of an entry; where that is a structure, for each of its members.
fn entries(case: &Case, list: &KeyedList<'_>) -> Vec<Result<Unit, Missing>> {
    let members = list.members.iter().filter(|(name, _)| *name != list.key);
    let pointers = members.flat_map(|(name, schema)| -> Vec<String> {
        match schema["properties"].as_object() {
            Some(inner) if !is_reference(inner) => inner.keys().map(|member| format!("/{name}/{member}")).collect(),
            _ => vec![format!("/{name}")],
        }
    });
    pointers.filter_map(|pointer| entry(case, list, &pointer)).collect()
}

/// Whether a structure only says where a value is.
fn is_reference(members: &Map<String, Value>) -> bool {
    members.keys().all(|member| ["id", "key", "name", "namespace"].contains(&member.as_str()))
}

/// The unit of one member of all entries: each takes the value that the changed manifest has in the entry of its key, or in its position.
fn entry(case: &Case, list: &KeyedList<'_>, pointer: &str) -> Option<Result<Unit, Missing>> {
    let path = list.path.join(".");
    let name = format!("{path}{}", pointer.replace('/', "."));
    if TOGETHER.contains(&(case.kind, name.as_str())) {
        return None;
    }
    let at = format!("/{}", list.path.join("/"));
    let items = |spec: &Value| spec.pointer(&at).and_then(Value::as_array).cloned().unwrap_or_default();
    let (example, changed) = (items(&case.example), items(&case.changed));
    let mut other = example.clone();
    for (position, item) in other.iter_mut().enumerate() {
        let same = changed.iter().find(|known| known[list.key] == item[list.key]).or(changed.get(position));
        let value = same.and_then(|known| known.pointer(pointer)).cloned();
        if let (Some(old), Some(new)) = (item.pointer_mut(pointer), value) {
            *old = new;
        }
    }
    if other == example {
        return Some(Err(Missing { name, why: "no entry has it with two values" }));
    }
    let whole = |items: Vec<Value>| list.path.iter().rev().fold(json!(items), |inner, field| json!({ field: inner }));
    Some(Ok(Unit {
        name,
        field: list.path[0].clone(),
        around: None,
        change: whole(other),
        back: whole(example),
        is_open: false,
        is_deep: true,
    }))
}
