//! Answers before they are sent.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::answer::NoAnswer;
use crate::dialect::Dialect;
use crate::problem::Problem;
use crate::seam::Seam;

/// An answer before it is sent.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, String)>,
    body: Content,
}

pub(crate) enum Content {
    Empty,
    Json(Value),
    Text(String),
}

impl Answer {
    pub(crate) fn new(status: u16, body: Content) -> Self {
        let kind = matches!(body, Content::Json(_)).then(|| (CONTENT_TYPE, "application/json".to_owned()));
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, headers: kind.into_iter().collect(), body }
    }

    pub(crate) fn problem(seam: &Seam, dialect: Dialect, problem: &Problem) -> Self {
        let mut answer = Self::new(dialect.status(problem), Content::Json(dialect.body(problem, seam)));
        answer.headers = vec![(CONTENT_TYPE, dialect.content_type().to_owned())];
        answer
    }

    pub(crate) fn fault(
        seam: &Seam,
        dialect: Dialect,
        status: u16,
        retry_after: Option<String>,
        detail: Option<String>,
    ) -> Self {
        // Texts that differ each time are what a careless client would copy into a condition.
        let fresh = || format!("a fault was asked for ({}, {})", seam.trace(), seam.time().to_rfc3339());
        let detail = detail.unwrap_or_else(fresh);
        let mut answer = Self::problem(seam, dialect, &Problem::new(status, detail));
        answer.headers.extend(retry_after.map(|value| (RETRY_AFTER, value)));
        answer
    }

    pub(crate) fn page(status: u16, body: String, location: Option<String>) -> Self {
        let mut answer = Self::new(status, Content::Text(body));
        answer.headers.push((CONTENT_TYPE, "text/html; charset=utf-8".to_owned()));
        answer.headers.extend(location.map(|value| (LOCATION, value)));
        answer
    }

    /// The body as the record shows it.
    pub(crate) fn readable(&self) -> Value {
        match &self.body {
            Content::Json(body) => body.clone(),
            Content::Text(body) => json!(body),
            Content::Empty => Value::Null,
        }
    }

    pub(crate) fn into_response(self) -> Response {
        let mut response = Response::new(match self.body {
            Content::Empty => Body::empty(),
            Content::Json(body) => Body::from(body.to_string()),
            Content::Text(body) => Body::from(body),
        });
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// What a router gives where no answer is to reach the client.
pub(crate) fn no_answer() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.extensions_mut().insert(NoAnswer);
    response
}
