//! The way of a request: route, faults, authentication, faults again, checks, behaviour, record.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State as Handle};
use axum::response::Response;
use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde_json::{Value, json};

use crate::contract::{Route, contract};
use crate::exchange::Exchange;
use crate::faults::Effect;
use crate::konnect::{self, Behaviour, Call};
use crate::options::Switches;
use crate::page::Listing;
use crate::problem::{Problem, in_body, trace};
use crate::sandbox::{Sandbox, State};
use crate::validate;

/// Far above what any operation takes.
const LARGEST_BODY: usize = 16 << 20;

/// Among the extensions of a response: no answer was made, or it was lost. A server closes the connection instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAnswer;

/// Among the extensions of a request: the scheme under which it came.
#[derive(Clone, Copy)]
pub(crate) struct Scheme(pub(crate) &'static str);

/// A request as it came.
struct Asked {
    method: Method,
    uri: Uri,
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

/// An answer before it is sent.
struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: Content,
}

enum Content {
    Empty,
    Json(Value),
    Text(String),
}

/// What becomes of a request once the faults and the token have been looked at.
enum Step {
    Answer(Answer),
    Hang,
    Close,
    Perform(Permitted),
}

/// A call that may go ahead.
struct Permitted {
    route: Route,
    behaviour: Behaviour,
    organization: String,
    delay: Duration,
    lag: Option<Duration>,
    lose: bool,
}

/// Answers whatever is not under `/_sandbox/`.
pub(crate) async fn answer(Handle(sandbox): Handle<Sandbox>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LARGEST_BODY).await;
    let scheme = parts.extensions.get::<Scheme>().map_or("http", |scheme| scheme.0);
    let url = whole_url(scheme, &parts.uri, &parts.headers);
    let readable = body.is_ok();
    let asked =
        Asked { method: parts.method, uri: parts.uri, url, headers: parts.headers, body: body.unwrap_or_default() };
    let route = contract().route(&asked.method, asked.uri.path());
    let operation = route.as_ref().map(|route| (route.operation.api, route.operation.id.clone()));
    let step = if readable {
        admit(&mut sandbox.lock(), &asked, route)
    } else {
        Step::Answer(Answer::problem(&Problem::new(413, "the body could not be read, or is too large")))
    };
    let (answer, lost) = match step {
        Step::Answer(answer) => (Some(answer), false),
        Step::Close => (None, true),
        Step::Hang => {
            record(&sandbox, &asked, operation, None);
            return std::future::pending().await;
        }
        Step::Perform(permitted) => {
            if !permitted.delay.is_zero() {
                tokio::time::sleep(permitted.delay).await;
            }
            let lose = permitted.lose;
            (Some(perform(&mut sandbox.lock(), sandbox.switches(), &asked, permitted)), lose)
        }
    };
    record(&sandbox, &asked, operation, answer.as_ref());
    if lost { no_answer() } else { answer.map_or_else(no_answer, Answer::into_response) }
}

/// Applies the faults on both sides of authentication, and authentication.
fn admit(state: &mut State, asked: &Asked, route: Option<Route>) -> Step {
    let id = route.as_ref().map(|route| route.operation.id.as_str());
    let organization = bearer(&asked.headers).and_then(|token| state.tokens.get(token)).cloned();
    let effects = state.faults.take(id, organization.as_deref(), Effect::before_authentication);
    match effects.into_iter().next() {
        Some(Effect::Hang) => return Step::Hang,
        Some(Effect::Reset) => return Step::Close,
        Some(Effect::Page { status, body, location }) => return Step::Answer(Answer::page(status, body, location)),
        _ => {}
    }
    let Some(route) = route else { return Step::refuse(404, "Not found") };
    let operation = route.operation;
    let unimplemented = format!("{} is known to the contract, but not implemented by the sandbox", operation.id);
    if operation.api != "konnect" {
        // Its cookie belongs to a developer; there is nobody to ask about it.
        return Step::refuse(501, &unimplemented);
    }
    let Some(organization) = organization else { return Step::refuse(401, "Unauthorized") };
    let Some(behaviour) = konnect::behaviour(&operation.id) else { return Step::refuse(501, &unimplemented) };
    let wanted =
        |effect: &Effect| !effect.before_authentication() && (operation.list || !matches!(effect, Effect::Lag { .. }));
    let effects = state.faults.take(Some(&operation.id), Some(&organization), wanted);
    let mut permitted = Permitted { route, behaviour, organization, delay: Duration::ZERO, lag: None, lose: false };
    for effect in effects {
        match effect {
            Effect::Status { status, retry_after, detail } => {
                return Step::Answer(Answer::fault(status, retry_after, detail));
            }
            Effect::Delay { milliseconds } => permitted.delay += Duration::from_millis(milliseconds),
            Effect::Lag { milliseconds } => permitted.lag = Some(Duration::from_millis(milliseconds)),
            Effect::LoseResponse => permitted.lose = true,
            Effect::Page { .. } | Effect::Hang | Effect::Reset => {}
        }
    }
    Step::Perform(permitted)
}

/// Checks the call against the contract, lets it do what it does, and checks what it answers.
fn perform(state: &mut State, switches: &Switches, asked: &Asked, permitted: Permitted) -> Answer {
    let operation = permitted.route.operation;
    match outcome(state, switches, asked, permitted) {
        Ok(body) => {
            if cfg!(debug_assertions)
                && let Err(bug) = validate::response(operation, body.as_ref())
            {
                return Answer::problem(&Problem::new(500, format!("a bug of the sandbox: {bug}")));
            }
            Answer::new(operation.success, body.map_or(Content::Empty, Content::Json))
        }
        Err(problem) => Answer::problem(&problem),
    }
}

fn outcome(state: &mut State, switches: &Switches, asked: &Asked, permitted: Permitted) -> konnect::Outcome {
    let Permitted { route, behaviour, organization, lag, .. } = permitted;
    let operation = route.operation;
    if !route.well_formed {
        // Not one of the operations documents a 400 for it.
        return Err(Problem::new(404, "Not found"));
    }
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(asked.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let listing = Listing::parse(operation, &query)?;
    let body = if operation.request.is_some() { parse(&asked.body, operation.body_required)? } else { Value::Null };
    validate::request(operation, &body)?;
    let call = Call { organization: &organization, path: route.path, query: &query, listing, body, switches };
    if let Some(lag) = lag
        && let Some(past) = state.history.before(lag)
    {
        return behaviour(past, &call);
    }
    let outcome = behaviour(&mut state.world, &call);
    if outcome.is_ok() && operation.method != Method::GET {
        state.changed();
    }
    outcome
}

/// The body as JSON. An absent one counts as an empty object where the contract does not require it.
fn parse(body: &Bytes, required: bool) -> Result<Value, Problem> {
    if body.is_empty() {
        let absent = || Problem::invalid(vec![in_body("body", "required", "a JSON body is required")]);
        return if required { Err(absent()) } else { Ok(json!({})) };
    }
    serde_json::from_slice(body).map_err(|error| {
        Problem::invalid(vec![in_body("body", "is_object", &format!("must be a JSON object: {error}"))])
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn whole_url(scheme: &str, uri: &Uri, headers: &HeaderMap) -> String {
    if uri.authority().is_some() {
        return uri.to_string();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("sandbox");
    format!("{scheme}://{host}{}", uri.path_and_query().map_or("/", PathAndQuery::as_str))
}

fn record(sandbox: &Sandbox, asked: &Asked, operation: Option<(&'static str, String)>, answer: Option<&Answer>) {
    let (api, operation) = match operation {
        Some((api, id)) => (api, Some(id)),
        None => ("konnect", None),
    };
    let text = |headers: Vec<(String, String)>| headers.into_iter().collect::<BTreeMap<_, _>>();
    let exchange = Exchange {
        at: Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
        api: api.to_owned(),
        operation,
        method: asked.method.to_string(),
        url: asked.url.clone(),
        request_headers: text(
            asked
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
        ),
        request_body: readable(&asked.body),
        status: answer.map_or(0, |answer| answer.status.as_u16()),
        response_headers: text(
            answer
                .map(|answer| answer.headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect())
                .unwrap_or_default(),
        ),
        response_body: match answer.map(|answer| &answer.body) {
            Some(Content::Json(body)) => body.clone(),
            Some(Content::Text(body)) => json!(body),
            Some(Content::Empty) | None => Value::Null,
        },
    };
    let mut state = sandbox.lock();
    let State { record, world, .. } = &mut *state;
    record.add(exchange, &world.secrets);
}

fn readable(body: &Bytes) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)))
}

fn no_answer() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.extensions_mut().insert(NoAnswer);
    response
}

impl Step {
    fn refuse(status: u16, detail: &str) -> Self {
        Self::Answer(Answer::problem(&Problem::new(status, detail)))
    }
}

impl Answer {
    fn new(status: u16, body: Content) -> Self {
        let kind = matches!(body, Content::Json(_)).then(|| (CONTENT_TYPE, "application/json".to_owned()));
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, headers: kind.into_iter().collect(), body }
    }

    fn problem(problem: &Problem) -> Self {
        let mut answer = Self::new(problem.status, Content::Json(problem.body()));
        answer.headers = vec![(CONTENT_TYPE, "application/problem+json".to_owned())];
        answer
    }

    fn fault(status: u16, retry_after: Option<String>, detail: Option<String>) -> Self {
        // Texts that differ each time are what a careless client would copy into a condition.
        let fresh = || format!("a fault was asked for ({}, {})", trace(), Utc::now().to_rfc3339());
        let detail = detail.unwrap_or_else(fresh);
        let mut answer = Self::problem(&Problem::new(status, detail));
        answer.headers.extend(retry_after.map(|value| (RETRY_AFTER, value)));
        answer
    }

    fn page(status: u16, body: String, location: Option<String>) -> Self {
        let mut answer = Self::new(status, Content::Text(body));
        answer.headers.push((CONTENT_TYPE, "text/html; charset=utf-8".to_owned()));
        answer.headers.extend(location.map(|value| (LOCATION, value)));
        answer
    }

    fn into_response(self) -> Response {
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
