//! What can come back from a remote API other than what was asked for.
use std::time::Duration;

/// One field that the API refused, in the API's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field as the API names it.
    pub field: String,
    /// Why it was refused.
    pub reason: String,
    /// The rule that it breaks, where the API names one.
    pub rule: Option<String>,
}

/// A refusal in the API's own error shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The API's own summary.
    pub detail: String,
    /// Field by field, where the API says so.
    pub fields: Vec<FieldProblem>,
}

impl Refusal {
    /// The API's words for a person: the fields where it named some, else its summary.
    #[must_use]
    pub fn words(&self) -> String {
        if self.fields.is_empty() {
            return self.detail.clone();
        }
        self.fields.iter().map(|f| format!("{}: {}", f.field, f.reason)).collect::<Vec<_>>().join("; ")
    }

    /// Whether the text speaks of a quota or a limit.
    #[must_use]
    pub fn is_quota(&self) -> bool {
        let text = format!("{} {}", self.detail, self.words()).to_lowercase();
        matches!(self.status, 400 | 403) && (text.contains("quota") || text.contains("limit"))
    }

    /// Whether the spec is at fault: a 400 or 422 that names a field, except where another object or field may mend it.
    #[must_use]
    pub fn blames_the_spec(&self) -> bool {
        matches!(self.status, 400 | 422)
            && !self.is_quota()
            && self.fields.iter().any(|f| !matches!(f.rule.as_deref(), Some("missing_reference" | "dependent_fields")))
    }
}

/// Why a request to a remote API brought nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// Not sent: the gate of the connection is closed until then (or until a probe succeeds).
    #[error("{why}")]
    Closed {
        /// When to come back; none: the connection wakes everyone when it is open again.
        until: Option<tokio::time::Instant>,
        /// Why it is closed.
        why: String,
    },
    /// Not sent: the host is not allowed, or the path is none.
    #[error("{0}")]
    NotSent(String),
    /// The credential was refused.
    #[error("the API refused the credential: {0}")]
    Unauthorized(String),
    /// Too many requests.
    #[error("the API asks for fewer requests")]
    Throttled {
        /// What `Retry-After` said.
        retry_after: Option<Duration>,
    },
    /// 404 in the API's own error shape, with its words.
    #[error("not found: {0}")]
    Absent(String),
    /// Any other refusal in the API's own error shape, below 500: definite, nothing was changed.
    #[error("HTTP {}: {}", .0.status, .0.words())]
    Refused(Refusal),
    /// 5xx in the API's own shape: what it did is not known.
    #[error("HTTP {}: {}", .0.status, .0.detail)]
    Failed(Refusal),
    /// No answer, or an answer that is not the API's: what it did is not known.
    #[error("{0}")]
    Unavailable(String),
}

impl ApiError {
    /// Whether the API said definitely that it changed nothing.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        matches!(
            self,
            Self::Closed { .. }
                | Self::NotSent(_)
                | Self::Unauthorized(_)
                | Self::Throttled { .. }
                | Self::Absent(_)
                | Self::Refused(_)
        )
    }
}
