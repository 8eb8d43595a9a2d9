//! The way of a request: route, faults, authentication, faults again, checks, behaviour, record.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Request, State as Handle};
use axum::response::Response;
use bytes::Bytes;
use chrono::SecondsFormat;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri};
use serde_json::{Map, Value, json};

use crate::acp;
use crate::call::{self, Behaviour, Call, Outcome};
use crate::contract::{Operation, Route, contract};
use crate::dialect::Dialect;
use crate::exchange::Exchange;
use crate::faults::Effect;
use crate::options::Switches;
use crate::page::Listing;
use crate::problem::{Problem, in_body};
use crate::reply::{Answer, Content, no_answer};
use crate::sandbox::{Sandbox, State};
use crate::seam::Seam;
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
    /// The organization of Konnect, or the tenant of ACP.
    account: String,
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
        admit(&mut sandbox.lock(), sandbox.switches(), sandbox.seam(), &asked, route)
    } else {
        Step::refuse(sandbox.seam(), asked.dialect(), 413, "the body could not be read, or is too large")
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
            (Some(perform(&mut sandbox.lock(), sandbox.switches(), sandbox.seam(), &asked, permitted)), lose)
        }
    };
    record(&sandbox, &asked, operation, answer.as_ref());
    if lost { no_answer() } else { answer.map_or_else(no_answer, Answer::into_response) }
}

/// Applies the faults on both sides of authentication, and authentication.
fn admit(state: &mut State, switches: &Switches, seam: &Seam, asked: &Asked, route: Option<Route>) -> Step {
    let dialect = asked.dialect();
    let id = route.as_ref().map(|route| route.operation.id.as_str());
    let account = seeming_account(state, asked, route.as_ref());
    let effects = state.faults.take(id, account.as_deref(), Effect::before_authentication);
    match effects.into_iter().next() {
        Some(Effect::Hang) => return Step::Hang,
        Some(Effect::Reset) => return Step::Close,
        Some(Effect::Page { status, body, location }) => return Step::Answer(Answer::page(status, body, location)),
        _ => {}
    }
    let Some(route) = route else { return Step::refuse(seam, dialect, 404, "Not found") };
    let operation = route.operation;
    let unimplemented = format!("{} is known to the contract, but not implemented by the sandbox", operation.id);
    if operation.api == "konnect-portal" {
        // Its cookie belongs to a developer; there is nobody to ask about it.
        return Step::refuse(seam, dialect, 501, &unimplemented);
    }
    let account = match authenticate(state, switches, asked, &route, account) {
        Ok(account) => account,
        Err(problem) => return Step::Answer(Answer::problem(seam, dialect, &problem)),
    };
    let Some(behaviour) = call::behaviour(operation) else { return Step::refuse(seam, dialect, 501, &unimplemented) };
    let wanted =
        |effect: &Effect| !effect.before_authentication() && (operation.list || !matches!(effect, Effect::Lag { .. }));
    let effects = state.faults.take(Some(&operation.id), Some(&account), wanted);
    let mut permitted = Permitted { route, behaviour, account, delay: Duration::ZERO, lag: None, lose: false };
    for effect in effects {
        match effect {
            Effect::Status { status, retry_after, detail } => {
                return Step::Answer(Answer::fault(seam, dialect, status, retry_after, detail));
            }
            Effect::Delay { milliseconds } => permitted.delay += Duration::from_millis(milliseconds),
            Effect::Lag { milliseconds } => permitted.lag = Some(Duration::from_millis(milliseconds)),
            Effect::LoseResponse => permitted.lose = true,
            Effect::Page { .. } | Effect::Hang | Effect::Reset => {}
        }
    }
    Step::Perform(permitted)
}

/// Whose call it seems to be: with Konnect the token says so, with ACP the path.
fn seeming_account(state: &State, asked: &Asked, route: Option<&Route>) -> Option<String> {
    match route {
        Some(route) if route.operation.api == "acp" => {
            route.path.get("tid").filter(|tenant| state.world.tenants.contains_key(*tenant)).cloned()
        }
        _ => bearer(&asked.headers).and_then(|token| state.tokens.get(token)).cloned(),
    }
}

/// Whose call it is.
fn authenticate(
    state: &State,
    switches: &Switches,
    asked: &Asked,
    route: &Route,
    account: Option<String>,
) -> Result<String, Problem> {
    if route.operation.api != "acp" {
        return account.ok_or_else(|| Problem::new(401, "Unauthorized"));
    }
    let tenant = route.path.get("tid").cloned().unwrap_or_default();
    if let Some(issuer) = &route.operation.issuer {
        let issuer = issuer.replace("{tid}", &tenant);
        acp::authenticate(&state.world, &switches.acp, bearer(&asked.headers), &issuer)?;
    }
    // The token endpoint looks at credentials itself.
    Ok(tenant)
}

/// Checks the call against the contract, lets it do what it does, and checks what it answers.
fn perform(state: &mut State, switches: &Switches, seam: &Seam, asked: &Asked, permitted: Permitted) -> Answer {
    let operation = permitted.route.operation;
    match outcome(state, switches, seam, asked, permitted) {
        Ok(body) => {
            if cfg!(debug_assertions)
                && let Err(bug) = validate::response(operation, body.as_ref())
            {
                let problem = Problem::new(500, format!("a bug of the sandbox: {bug}"));
                return Answer::problem(seam, asked.dialect(), &problem);
            }
            Answer::new(operation.success, body.map_or(Content::Empty, Content::Json))
        }
        Err(problem) => Answer::problem(seam, asked.dialect(), &problem),
    }
}

fn outcome(state: &mut State, switches: &Switches, seam: &Seam, asked: &Asked, permitted: Permitted) -> Outcome {
    let Permitted { route, behaviour, account, lag, .. } = permitted;
    let operation = route.operation;
    if !route.well_formed {
        // Not one of the operations documents a 400 for it.
        return Err(Problem::new(404, "Not found"));
    }
    let query = pairs(asked.uri.query().unwrap_or_default().as_bytes());
    let listing = Listing::parse(operation, &query)?;
    let body = body(operation, switches, asked)?;
    call::check(operation, switches, &body)?;
    let authorization = asked.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let call = Call {
        account: &account,
        path: route.path,
        query: &query,
        listing,
        body,
        switches,
        seam,
        authorization,
        origin: asked.origin(),
    };
    if let Some(lag) = lag
        && let Some(past) = state.history.before(lag)
    {
        return call.run(behaviour, past);
    }
    let outcome = call.run(behaviour, &mut state.world);
    if outcome.is_ok() && operation.method != Method::GET {
        state.changed();
    }
    outcome
}

/// The body that an operation gets.
fn body(operation: &Operation, switches: &Switches, asked: &Asked) -> Result<Value, Problem> {
    let Some(schema) = &operation.request else { return Ok(Value::Null) };
    if operation.form {
        return Ok(form(&asked.body));
    }
    let mut body = parse(&asked.body, operation.body_required)?;
    if operation.api == "acp" && switches.acp.unknown_keys_ignored {
        acp::prune(schema.document(), &mut body);
    }
    Ok(body)
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

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}

fn form(body: &Bytes) -> Value {
    Value::Object(pairs(body).into_iter().map(|(name, value)| (name, json!(value))).collect::<Map<_, _>>())
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
    if sandbox.is_unrecorded() {
        return;
    }
    let (api, operation) = match operation {
        Some((api, id)) => (api, Some(id)),
        None => (asked.dialect().api(), None),
    };
    let text = |headers: Vec<(String, String)>| headers.into_iter().collect::<BTreeMap<_, _>>();
    let exchange = Exchange {
        at: sandbox.seam().time().to_rfc3339_opts(SecondsFormat::Micros, true),
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
        request_body: asked.readable(),
        status: answer.map_or(0, |answer| answer.status.as_u16()),
        response_headers: text(
            answer
                .map(|answer| answer.headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect())
                .unwrap_or_default(),
        ),
        response_body: answer.map_or(Value::Null, Answer::readable),
    };
    let mut state = sandbox.lock();
    let State { record, world, .. } = &mut *state;
    record.add(exchange, &world.secrets);
}

impl Asked {
    fn dialect(&self) -> Dialect {
        Dialect::of(self.uri.path())
    }

    /// Scheme, host and port.
    fn origin(&self) -> &str {
        let path = self.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        self.url.strip_suffix(path).unwrap_or(&self.url)
    }

    /// The body as the record shows it. A form becomes an object, so that its secrets are covered as any others.
    fn readable(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        let kind = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("application/x-www-form-urlencoded") {
            return form(&self.body);
        }
        serde_json::from_slice(&self.body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&self.body)))
    }
}

impl Step {
    fn refuse(seam: &Seam, dialect: Dialect, status: u16, detail: &str) -> Self {
        Self::Answer(Answer::problem(seam, dialect, &Problem::new(status, detail)))
    }
}
