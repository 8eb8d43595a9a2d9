//! How ACP speaks: whole lists in one answer, and errors of its own shape.
use serde_json::Value;

use super::{
    Dialect, Page, Update,
    error::{FieldProblem, Refusal},
};

/// Cloudentity ACP's administration and developer APIs.
#[derive(Debug)]
pub struct Acp;

impl Dialect for Acp {
    fn name(&self) -> &'static str {
        "acp"
    }

    /// ACP v1.1 has no pages.
    fn page_query(&self, _: u32) -> Option<String> {
        None
    }

    /// ACP v1.1 has no filters.
    fn equals_query(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    /// A list is wrapped here (`{"servers": […]}`) and bare there.
    fn page(&self, body: Value, _: u32) -> Option<Page> {
        let items = match body {
            Value::Array(items) => items,
            Value::Object(map) => {
                let mut lists = map.into_iter().filter_map(|(_, value)| match value {
                    Value::Array(items) => Some(items),
                    _ => None,
                });
                let items = lists.next()?;
                if lists.next().is_some() {
                    return None;
                }
                items
            }
            _ => return None,
        };
        Some(Page { items, more: false, total: None })
    }

    /// The contract: whole-object PUT.
    fn update(&self) -> Update {
        Update::Replace
    }

    fn absent_is_zero(&self) -> bool {
        true
    }

    /// `details` is free-form; where it holds texts, they speak of the fields that they stand under.
    fn refusal(&self, status: u16, body: &Value) -> Option<Refusal> {
        body["status_code"].as_u64().filter(|code| *code == u64::from(status))?;
        let named = body["details"].as_object().into_iter().flatten();
        let fields = named.filter_map(|(field, reason)| {
            Some(FieldProblem { field: field.clone(), reason: reason.as_str()?.to_owned(), rule: None })
        });
        Some(Refusal { status, detail: body["error"].as_str()?.to_owned(), fields: fields.collect() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_may_be_wrapped_or_bare_and_nothing_else() {
        let count = |body: Value| Acp.page(body, 1).map(|page| page.items.len());
        assert_eq!(count(json!({"servers": [{}, {}]})), Some(2));
        assert_eq!(count(json!([{}])), Some(1));
        assert_eq!(count(json!({"a": [], "b": []})), None);
        assert_eq!(count(json!("hello")), None);
    }

    #[test]
    fn only_acps_own_error_shape_is_a_refusal() {
        let own = json!({"status_code": 404, "error": "server not found", "details": {}});
        assert_eq!(Acp.refusal(404, &own).unwrap().words(), "server not found");
        let named =
            json!({"status_code": 422, "error": "unprocessable", "details": {"scopes": "x is no scope", "more": {}}});
        assert_eq!(Acp.refusal(422, &named).unwrap().words(), "scopes: x is no scope");
        assert!(Acp.refusal(404, &json!({"message": "no Route matched"})).is_none());
        assert!(Acp.refusal(500, &own).is_none());
    }
}
