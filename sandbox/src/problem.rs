//! Refusals. Konnect words them as `application/problem+json`, on a 400 with `invalid_parameters`; how ACP words them
//! is in `dialect`.

use http::StatusCode;
use serde_json::{Value, json};

use crate::seam::Seam;

/// A refusal. One with status 400 names at least one parameter.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) detail: String,
    pub(crate) invalid: Vec<Value>,
    /// What OAuth calls it, at the token endpoint.
    pub(crate) code: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), invalid: Vec::new(), code: None }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(404, format!("{what} not found"))
    }

    /// A 400 for these parameters, each made by [`in_body`] or [`in_query`].
    pub(crate) fn invalid(parameters: Vec<Value>) -> Self {
        Self { status: 400, detail: "Invalid Parameters".to_owned(), invalid: parameters, code: None }
    }

    /// A refusal of the token endpoint, under the name that OAuth has for it.
    pub(crate) fn oauth(status: u16, code: &'static str, detail: &str) -> Self {
        Self { code: Some(code), ..Self::new(status, detail) }
    }

    /// Something unique is taken. Which of the two statuses is answered is not always documented, so switches choose.
    pub(crate) fn taken(status: u16, field: &str, reason: &str) -> Self {
        if status == 400 { Self::invalid(vec![in_body(field, "invalid", reason)]) } else { Self::new(status, reason) }
    }

    /// The body as Konnect sends it, with a trace id of its own.
    pub(crate) fn body(&self, seam: &Seam) -> Value {
        let title = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut body = json!({
            "status": self.status,
            "title": title.unwrap_or("Error"),
            "instance": seam.trace(),
            "detail": self.detail,
        });
        if !self.invalid.is_empty() {
            body["invalid_parameters"] = json!(self.invalid);
        } else if self.status == 400 {
            // The contract wants at least one on every 400.
            body["invalid_parameters"] = json!([{"field": "request", "rule": "invalid", "reason": self.detail}]);
        }
        body
    }
}

/// What is wrong with a field of the body.
pub(crate) fn in_body(field: &str, rule: &str, reason: &str) -> Value {
    json!({"field": field, "rule": rule, "reason": reason, "source": "body"})
}

/// What is wrong with a parameter of the query.
pub(crate) fn in_query(field: &str, rule: &str, reason: &str) -> Value {
    json!({"field": field, "rule": rule, "reason": reason, "source": "query"})
}

/// The same with what its rule asks for besides: `minimum`, `maximum`, `choices` or `dependents`.
pub(crate) fn with(mut parameter: Value, key: &str, value: Value) -> Value {
    parameter[key] = value;
    parameter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Schema;
    use crate::seam::Clock;

    #[test]
    fn every_problem_has_the_shape_that_the_contract_gives_it() {
        let document: Value = serde_json::from_str(include_str!("../contracts/konnect.json")).unwrap();
        let seam = Seam::new(Clock::System, Some(1));
        let schema = |name: &str| Schema::new(&document["common"]["error_schemas"][name]);
        let bad = Problem::invalid(vec![
            in_body("name", "required", "is required"),
            with(in_body("name", "min_length", "is too short"), "minimum", json!(1)),
            with(in_query("page[size]", "max", "is too large"), "maximum", json!(100)),
            with(in_body("status", "enum", "is unknown"), "choices", json!(["approved"])),
            with(in_body("client", "dependent_fields", "needs it"), "dependents", json!(["domain"])),
        ]);
        for problem in [bad, Problem::new(400, "without a parameter"), Problem::taken(400, "name", "taken")] {
            let body = problem.body(&seam);
            assert!(schema("BadRequestError").validator().is_valid(&body), "{body}");
        }
        let body = Problem::taken(409, "name", "taken").body(&seam);
        assert!(schema("ConflictError").validator().is_valid(&body), "{body}");
        assert!(body.get("invalid_parameters").is_none());
    }
}
