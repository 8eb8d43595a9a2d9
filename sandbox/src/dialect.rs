//! The shapes in which the APIs word a refusal.

use serde_json::{Map, Value, json};

use crate::problem::Problem;
use crate::seam::Seam;

/// Below these live the operations of ACP, besides the token endpoints.
const ACP: [&str; 3] = ["/api/admin", "/api/developer", "/api/system"];

/// Who words an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `application/problem+json`.
    Konnect,
    /// `{details, error, status_code}`.
    Acp,
    /// A token endpoint: `{error, error_code, error_hint}`.
    OAuth,
}

impl Dialect {
    /// Of a path, also of one that no operation has.
    pub(crate) fn of(path: &str) -> Self {
        if path.ends_with("/oauth2/token") {
            Self::OAuth
        } else if ACP.iter().any(|base| path.starts_with(base)) {
            Self::Acp
        } else {
            Self::Konnect
        }
    }

    /// The API that it belongs to.
    pub(crate) fn api(self) -> &'static str {
        match self {
            Self::Konnect => "konnect",
            Self::Acp | Self::OAuth => "acp",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Konnect => "application/problem+json",
            Self::Acp | Self::OAuth => "application/json",
        }
    }

    /// ACP documents 422 for every body, 400 only for some.
    pub(crate) fn status(self, problem: &Problem) -> u16 {
        if self == Self::Acp && problem.status == 400 && !problem.invalid.is_empty() { 422 } else { problem.status }
    }

    pub(crate) fn body(self, problem: &Problem, seam: &Seam) -> Value {
        let status = self.status(problem);
        match self {
            Self::Konnect => problem.body(seam),
            Self::Acp => {
                let reason = |item: &Value| Some((item["field"].as_str()?.to_owned(), item["reason"].clone()));
                let details: Map<String, Value> = problem.invalid.iter().filter_map(reason).collect();
                json!({"details": details, "error": sentence(problem), "status_code": status})
            }
            Self::OAuth => {
                let code = problem.code.unwrap_or(match status {
                    400 => "invalid_request",
                    401 => "invalid_client",
                    403 => "access_denied",
                    404 => "not_found",
                    429 | 503 => "temporarily_unavailable",
                    _ => "server_error",
                });
                json!({"error": code, "error_code": status, "error_hint": sentence(problem)})
            }
        }
    }
}

/// What is wrong, in one line that names the fields.
fn sentence(problem: &Problem) -> String {
    if problem.invalid.is_empty() {
        return problem.detail.clone();
    }
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let items = problem.invalid.iter().map(|item| format!("{} {}", text(item, "field"), text(item, "reason")));
    items.collect::<Vec<_>>().join("; ")
}
