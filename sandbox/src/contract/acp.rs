//! The contract of ACP, whose schemas are tables of fields, told in the words that Konnect's contract has.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Operation, Schema, segments};

/// A duration as Go reads it, or nothing: `1h30m`, `0`, `1.5s`.
const DURATION: &str = r"^(|0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// What is taken from the contract.
pub(super) struct Acp {
    pub(super) operations: Vec<Operation>,
    pub(super) token: Operation,
    pub(super) origin: String,
}

#[derive(Deserialize)]
struct Document {
    base_url: String,
    token_endpoint: TokenEndpoint,
    operations: Vec<Described>,
    schemas: Tables,
}

#[derive(Deserialize)]
struct TokenEndpoint {
    path: String,
    request: BTreeMap<String, String>,
    success: TokenSuccess,
}

#[derive(Deserialize)]
struct TokenSuccess {
    status: u16,
    fields: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    operation_id: String,
    resource: String,
    method: String,
    path: String,
    request: Option<Body>,
    success: Vec<Success>,
    auth: Auth,
}

#[derive(Deserialize)]
struct Body {
    schema: String,
    #[serde(default)]
    required: bool,
}

#[derive(Deserialize)]
struct Success {
    status: u16,
    schema: Option<String>,
}

#[derive(Deserialize)]
struct Auth {
    token_authorization_server: String,
}

/// The schemas by name.
type Tables = BTreeMap<String, Table>;

#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    fields: BTreeMap<String, Field>,
    #[serde(default)]
    required: Vec<String>,
}

#[derive(Deserialize)]
struct Field {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    format: String,
    #[serde(rename = "enum")]
    choices: Option<Vec<Value>>,
    #[serde(rename = "minLength")]
    shortest: Option<u64>,
}

pub(super) fn load() -> Acp {
    let document: Document = serde_json::from_str(include_str!("../../contracts/acp.json"))
        .expect("the contract is part of the crate and parsed by its tests");
    let tables = document.schemas;
    let operations = document.operations.into_iter().map(|described| operation(described, &tables)).collect();
    Acp { operations, token: token(&document.token_endpoint), origin: document.base_url }
}

fn operation(described: Described, tables: &Tables) -> Operation {
    let method: Method = described.method.parse().expect("the contract names HTTP methods");
    let success = described.success.into_iter().next().expect("each operation has one success");
    let envelope = success.schema.as_ref().and_then(|name| tables.get(name));
    let many = |field: &Field| field.kind.starts_with('[') || field.kind.starts_with("map<");
    let (request, body_required) = match described.request {
        Some(body) => (Some(Schema::new(&typed(&body.schema, tables))), body.required),
        None => (None, false),
    };
    Operation {
        list: method == Method::GET
            && envelope.is_some_and(|table| table.fields.len() == 1 && table.fields.values().all(many)),
        api: "acp",
        issuer: Some(described.auth.token_authorization_server),
        form: false,
        id: described.operation_id,
        resource: described.resource,
        method,
        sort: Vec::new(),
        filter: BTreeMap::new(),
        paged: false,
        request,
        body_required,
        response: success.schema.map(|name| Schema::new(&typed(&name, tables))),
        success: success.status,
        segments: segments(&described.path, |_| false),
    }
}

fn token(endpoint: &TokenEndpoint) -> Operation {
    Operation {
        list: false,
        api: "acp",
        issuer: None,
        form: true,
        id: "token".to_owned(),
        resource: "Token".to_owned(),
        method: Method::POST,
        sort: Vec::new(),
        filter: BTreeMap::new(),
        paged: false,
        request: Some(Schema::new(&worded(&endpoint.request))),
        body_required: true,
        response: Some(Schema::new(&worded(&endpoint.success.fields))),
        success: endpoint.success.status,
        segments: segments(&endpoint.path, |_| false),
    }
}

/// The schema of fields that are described as `string, required` and `integer (seconds)`.
fn worded(fields: &BTreeMap<String, String>) -> Value {
    let kind = |words: &str| words.split([',', ' ']).next().unwrap_or("string").to_owned();
    let properties: Map<String, Value> =
        fields.iter().map(|(name, words)| (name.clone(), json!({"type": kind(words)}))).collect();
    let required: Vec<&String> =
        fields.iter().filter(|(_, words)| words.contains("required")).map(|(name, _)| name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// The schema of a type as the contract names it: `string`, `[Client]`, `map<string,any>`, `Client`.
fn typed(kind: &str, tables: &Tables) -> Value {
    if let Some(item) = kind.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return json!({"type": "array", "items": typed(item, tables)});
    }
    if let Some(item) = kind.strip_prefix("map<string,").and_then(|rest| rest.strip_suffix('>')) {
        return json!({"type": "object", "additionalProperties": typed(item, tables)});
    }
    match kind {
        "string" | "boolean" | "integer" | "number" => json!({"type": kind}),
        "any" => json!({}),
        name => tables.get(name).map_or_else(|| json!({"type": "object"}), |table| object(name, table, tables)),
    }
}

fn object(name: &str, table: &Table, tables: &Tables) -> Value {
    let properties: Map<String, Value> = table
        .fields
        .iter()
        .map(|(name, field)| (name.clone(), property(field, table.required.contains(name), tables)))
        .collect();
    json!({
        "title": name,
        "type": "object",
        "properties": properties,
        "required": table.required,
        "additionalProperties": false,
    })
}

/// A member of an object. One that is not required may be null or empty, which ACP takes for absent.
fn property(field: &Field, required: bool, tables: &Tables) -> Value {
    let mut schema = typed(&field.kind, tables);
    if let Some(choices) = &field.choices {
        let mut choices = choices.clone();
        if field.kind.starts_with('[') {
            schema["items"]["enum"] = json!(choices);
        } else {
            choices.extend((!required).then(|| json!("")));
            schema["enum"] = json!(choices);
        }
    }
    match field.format.as_str() {
        "duration" => {
            schema["pattern"] = json!(DURATION);
            // For those who write durations as the API does.
            schema["x-duration"] = json!(true);
        }
        "date-time" => schema["format"] = json!("date-time"),
        _ => {}
    }
    if let Some(shortest) = field.shortest {
        schema["pattern"] = json!(format!("^(|.{{{shortest},}})$"));
    }
    if !required {
        schema["nullable"] = json!(true);
    } else if field.kind == "string" && field.choices.is_none() {
        schema["minLength"] = json!(1);
    }
    schema
}
