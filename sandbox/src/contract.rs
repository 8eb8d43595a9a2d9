//! The contracts as data: which operations there are, where they live, and the shapes they take and give.
//!
//! `contracts/konnect.json` and `contracts/acp.json` are made from the facts of the contracts, one operation a line.
//! Nothing here knows an operation by name, but the token endpoint, which ACP's contract describes apart.

mod acp;
mod unlisted;

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use http::Method;
use jsonschema::Validator;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Map, Value};

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::load);

/// The contracts of Konnect's portal management and of ACP.
pub(crate) fn contract() -> &'static Contract {
    &CONTRACT
}

/// All operations of both contracts, each in its contract's order.
pub(crate) struct Contract {
    pub(crate) operations: Vec<Operation>,
    /// ACP's token endpoint, which is none of the counted operations.
    token: Operation,
    /// Those of Konnect that its documents leave out, which are none of them either.
    unlisted: Vec<Operation>,
    /// Where ACP is reached by those who do not say where.
    pub(crate) acp_origin: String,
}

/// One operation of a contract.
#[allow(clippy::struct_excessive_bools, reason = "facts of the contract, each of its own")]
pub(crate) struct Operation {
    /// Unique in both contracts.
    pub(crate) id: String,
    pub(crate) resource: String,
    pub(crate) method: Method,
    /// `konnect`, `konnect-portal` for what lives on a portal's own host, or `acp`.
    pub(crate) api: &'static str,
    /// Which of ACP's servers issues the tokens for it, as `{tid}/admin`.
    pub(crate) issuer: Option<String>,
    /// Whether the request's body is a form.
    pub(crate) form: bool,
    /// A GET that answers with many objects.
    pub(crate) list: bool,
    pub(crate) sort: Vec<String>,
    pub(crate) filter: BTreeMap<String, Filter>,
    pub(crate) paged: bool,
    pub(crate) request: Option<Schema>,
    pub(crate) body_required: bool,
    pub(crate) response: Option<Schema>,
    pub(crate) success: u16,
    segments: Vec<Segment>,
}

/// How one field may be filtered by.
#[derive(Deserialize)]
pub(crate) struct Filter {
    #[serde(default, rename = "filter_type")]
    pub(crate) kind: String,
    pub(crate) operators: Vec<String>,
}

impl Filter {
    /// Whether `filter[field][operator]` is allowed; `None` is the bare `filter[field]`.
    pub(crate) fn allows(&self, operator: Option<&str>) -> bool {
        self.operators.iter().any(|known| match operator {
            Some(operator) => known == operator,
            None => known.starts_with("(bare"),
        })
    }
}

enum Segment {
    Literal(String),
    Parameter { name: String, uuid: bool },
}

/// A request that fits an operation of the contract.
pub(crate) struct Route {
    pub(crate) operation: &'static Operation,
    pub(crate) path: BTreeMap<String, String>,
    /// False where a parameter does not have the format that the contract asks for: no such object can exist.
    pub(crate) well_formed: bool,
}

/// A schema of the contract, compiled when it is first used.
pub(crate) struct Schema {
    document: Value,
    validator: OnceLock<Validator>,
}

impl Schema {
    /// Takes a schema as `OpenAPI` 3.0 words it.
    pub(crate) fn new(openapi: &Value) -> Self {
        Self { document: json_schema(openapi), validator: OnceLock::new() }
    }

    /// The schema as JSON Schema words it.
    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    pub(crate) fn validator(&self) -> &Validator {
        self.validator.get_or_init(|| {
            jsonschema::options()
                .should_validate_formats(true)
                .build(&self.document)
                .expect("the schemas of the contract compile: a test compiles every one of them")
        })
    }
}

#[derive(Deserialize)]
struct Document {
    operations: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    key: String,
    resource: String,
    method: String,
    path: String,
    base_url: String,
    auth: String,
    #[serde(default)]
    path_params: Vec<Parameter>,
    pagination: Option<Value>,
    sort: Option<Vec<String>>,
    filter: Option<BTreeMap<String, Filter>>,
    request: Option<Body>,
    response: Option<Body>,
    success_status: u16,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    #[serde(default)]
    format: String,
}

#[derive(Deserialize)]
struct Body {
    schema: Option<Value>,
    #[serde(default)]
    body_required: bool,
}

impl Contract {
    fn load() -> Self {
        let document: Document = serde_json::from_str(include_str!("../contracts/konnect.json"))
            .expect("the contract is part of the crate and parsed by its tests");
        let acp = acp::load();
        let konnect = document.operations.into_iter().map(Operation::new);
        Self {
            operations: konnect.chain(acp.operations).collect(),
            token: acp.token,
            unlisted: unlisted::load(),
            acp_origin: acp.origin,
        }
    }

    /// The operation with this id.
    pub(crate) fn operation(&self, id: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.id == id)
    }

    /// The operation that a request means. A literal segment wins over a parameter: `/portals/appearance-defaults` is
    /// not a portal.
    pub(crate) fn route(&'static self, method: &Method, path: &str) -> Option<Route> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        self.operations
            .iter()
            .chain([&self.token])
            .chain(&self.unlisted)
            .filter(|operation| operation.method == *method)
            .filter_map(|operation| operation.fit(&segments))
            .min_by_key(|route| route.path.len())
    }
}

impl Operation {
    fn new(described: Described) -> Self {
        let base = described.base_url.split("://").last().and_then(|rest| rest.split_once('/')).map(|(_, base)| base);
        let full = format!("{}{}", base.map(|base| format!("/{base}")).unwrap_or_default(), described.path);
        let uuid = |name: &str| described.path_params.iter().any(|known| known.name == name && known.format == "uuid");
        let segments = segments(&full, uuid);
        let response = described.response.and_then(|body| body.schema);
        let bare_array = response.as_ref().is_some_and(|schema| schema["type"] == "array");
        let method: Method = described.method.parse().expect("the contract names HTTP methods");
        let paged = described.pagination.is_some();
        let (request, body_required) = match described.request {
            Some(body) => (body.schema.as_ref().map(Schema::new), body.body_required),
            None => (None, false),
        };
        Self {
            list: method == Method::GET && (paged || bare_array),
            api: if described.auth == "bearer" { "konnect" } else { "konnect-portal" },
            issuer: None,
            form: false,
            id: described.key,
            resource: described.resource,
            method,
            sort: described.sort.unwrap_or_default(),
            filter: described.filter.unwrap_or_default(),
            paged,
            request,
            body_required,
            response: response.as_ref().map(Schema::new),
            success: described.success_status,
            segments,
        }
    }

    fn fit(&'static self, path: &[&str]) -> Option<Route> {
        if path.len() != self.segments.len() {
            return None;
        }
        let mut route = Route { operation: self, path: BTreeMap::new(), well_formed: true };
        for (segment, text) in self.segments.iter().zip(path) {
            match segment {
                Segment::Literal(literal) if literal == text => {}
                Segment::Literal(_) => return None,
                Segment::Parameter { .. } if text.is_empty() => return None,
                Segment::Parameter { name, uuid } => {
                    let text = percent_decode_str(text).decode_utf8_lossy();
                    route.well_formed &= !uuid || is_uuid(&text);
                    route.path.insert(name.clone(), if *uuid { text.to_lowercase() } else { text.into_owned() });
                }
            }
        }
        Some(route)
    }
}

/// The segments of a path such as `/portals/{portalId}`.
fn segments(path: &str, uuid: impl Fn(&str) -> bool) -> Vec<Segment> {
    path.trim_start_matches('/')
        .split('/')
        .map(|segment| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => Segment::Parameter { name: name.to_owned(), uuid: uuid(name) },
            None => Segment::Literal(segment.to_owned()),
        })
        .collect()
}

/// Whether a text is a UUID in its hyphenated form, the only one that the contract means.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

/// `OpenAPI` 3.0 says `nullable: true` where JSON Schema lists `null` among the types, and among the choices.
fn json_schema(openapi: &Value) -> Value {
    match openapi {
        Value::Object(members) => {
            let mut schema: Map<String, Value> =
                members.iter().map(|(key, value)| (key.clone(), json_schema(value))).collect();
            if members.get("nullable") == Some(&Value::Bool(true))
                && let Some(Value::String(kind)) = members.get("type")
            {
                schema.insert("type".to_owned(), serde_json::json!([kind, "null"]));
                if let Some(Value::Array(choices)) = schema.get_mut("enum") {
                    choices.push(Value::Null);
                }
            }
            schema.retain(|key, value| key != "nullable" || value.is_object());
            Value::Object(schema)
        }
        Value::Array(items) => items.iter().map(json_schema).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_of_the_contracts_compiles() {
        for operation in contract().operations.iter().chain([&contract().token]) {
            for schema in [&operation.request, &operation.response].into_iter().flatten() {
                schema.validator();
            }
        }
        let of = |api: &str| contract().operations.iter().filter(|operation| operation.api == api).count();
        assert_eq!((of("konnect") + of("konnect-portal"), of("acp")), (80, 68));
        let ids: std::collections::BTreeSet<_> = contract().operations.iter().map(|operation| &operation.id).collect();
        assert_eq!(ids.len(), 148, "the ids of the two contracts do not collide");
    }

    #[test]
    fn a_literal_segment_wins_over_a_parameter() {
        let route = contract().route(&Method::GET, "/v2/portals/appearance-defaults").expect("known");
        assert_eq!(route.operation.id, "get-portal-appearance-defaults");
        let route = contract().route(&Method::GET, "/v3/portals/email-domains").expect("known");
        assert_eq!(route.operation.id, "list-email-domains");
    }

    #[test]
    fn a_path_parameter_of_the_wrong_format_is_noticed() {
        let route = contract().route(&Method::GET, "/v2/portals/not-an-id").expect("known");
        assert_eq!(route.operation.id, "get-portal");
        assert!(!route.well_formed);
        assert!(contract().route(&Method::GET, "/v2/portals/").is_none());
        assert!(contract().route(&Method::GET, "/v3/portals").is_none());
    }

    #[test]
    fn ids_of_acp_are_decoded_and_the_token_endpoint_is_an_operation() {
        let route = contract().route(&Method::GET, "/api/admin/acme/clients/a%2Fb").expect("known");
        assert_eq!((route.operation.id.as_str(), route.path["cid"].as_str()), ("getClient", "a/b"));
        assert_eq!(route.operation.issuer.as_deref(), Some("{tid}/admin"));
        let route = contract().route(&Method::POST, "/acme/admin/oauth2/token").expect("known");
        assert_eq!((route.operation.id.as_str(), route.path["aid"].as_str()), ("token", "admin"));
        assert!(contract().operation("token").is_none());
    }

    #[test]
    fn what_the_documents_leave_out_is_known_and_not_counted() {
        let path = "/v3/portals/00000000-0000-4000-8000-000000000000/custom-domain";
        let route = contract().route(&Method::DELETE, path).expect("known");
        assert_eq!((route.operation.id.as_str(), route.operation.success), ("delete-portal-custom-domain", 204));
        assert!(contract().operation("delete-portal-custom-domain").is_none());
    }

    #[test]
    fn lists_of_acp_are_those_that_hold_nothing_else() {
        let lists = contract().operations.iter().filter(|operation| operation.api == "acp" && operation.list);
        let ids: Vec<_> = lists.map(|operation| operation.id.as_str()).collect();
        for list in ["listAuthorizationServers", "listClients", "listConsents", "listConsentActions"] {
            assert!(ids.contains(&list), "{ids:?}");
        }
        assert!(!ids.contains(&"listDashboards") && !ids.contains(&"getClient"), "{ids:?}");
    }

    #[test]
    fn a_filter_on_the_description_is_part_of_the_contract() {
        let portals = contract().operation("list-portals").expect("known");
        assert_eq!(portals.filter.len(), 10);
        assert!(portals.filter["description"].allows(Some("contains")));
        assert!(portals.filter["is_public"].allows(None));
        assert!(!portals.filter["is_public"].allows(Some("eq")));
    }
}
