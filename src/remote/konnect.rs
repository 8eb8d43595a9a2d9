//! How Konnect speaks: numbered pages, PATCH, and `application/problem+json`.
use serde_json::Value;

use super::{
    Dialect, Page, Update,
    error::{FieldProblem, Refusal},
};

/// Kong Konnect's management API.
#[derive(Debug)]
pub struct Konnect;

/// kongctl's page size; the specification names no maximum (contracts: `pagination`).
const PAGE_SIZE: u32 = 100;

impl Dialect for Konnect {
    fn name(&self) -> &'static str {
        "konnect"
    }

    fn page_query(&self, number: u32) -> Option<String> {
        Some(format!("page%5Bsize%5D={PAGE_SIZE}&page%5Bnumber%5D={number}"))
    }

    fn equals_query(&self, field: &str, value: &str) -> Option<String> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair(&format!("filter[{field}][eq]"), value);
        Some(query.finish())
    }

    fn page(&self, mut body: Value, number: u32) -> Option<Page> {
        let Value::Array(items) = body.get_mut("data")?.take() else { return None };
        let total = body["meta"]["page"]["total"].as_f64()?;
        let size = body["meta"]["page"]["size"].as_f64()?;
        // The contract: stop when number * size >= total, or when a page is empty.
        let more = !items.is_empty() && f64::from(number) * size < total;
        Some(Page { items, more, total: Some(total) })
    }

    fn plain_id(&self, id: &str) -> String {
        // A UUID is the same in capitals.
        id.to_lowercase()
    }

    fn update(&self) -> Update {
        Update::Patch
    }

    fn absent_is_zero(&self) -> bool {
        false
    }

    fn refusal(&self, status: u16, body: &Value) -> Option<Refusal> {
        let title = body["title"].as_str()?;
        body["status"].as_u64().filter(|s| *s == u64::from(status))?;
        let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
        let fields = body["invalid_parameters"].as_array().into_iter().flatten();
        Some(Refusal {
            status,
            detail: body["detail"].as_str().unwrap_or(title).to_owned(),
            fields: fields
                .map(|item| FieldProblem {
                    field: text(item, "field"),
                    reason: text(item, "reason"),
                    rule: item["rule"].as_str().map(str::to_owned),
                })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_listing_ends_where_the_pages_reach_the_total() {
        let page = |number: u32, total: u32| {
            let body =
                json!({"data": [{"id": "x"}], "meta": {"page": {"number": number, "size": 1.0, "total": total}}});
            Konnect.page(body, number).unwrap().more
        };
        assert!(page(1, 2));
        assert!(!page(2, 2));
        assert!(Konnect.page(json!({"data": {}}), 1).is_none());
        assert!(Konnect.page(json!([]), 1).is_none());
    }

    #[test]
    fn only_the_apis_own_error_shape_is_a_refusal() {
        assert!(Konnect.refusal(404, &json!({"message": "no Route matched"})).is_none());
        assert!(Konnect.refusal(404, &json!({"status": 400, "title": "Bad", "detail": ""})).is_none());
        let refusal = Konnect.refusal(
            400,
            &json!({"status": 400, "title": "Bad", "instance": "t", "detail": "no",
            "invalid_parameters": [{"field": "name", "reason": "too short", "rule": "min_length", "minimum": 1}]}),
        );
        assert_eq!(refusal.unwrap().words(), "name: too short");
    }
}
