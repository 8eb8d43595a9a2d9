//! The way to the management APIs: from the operator's HTTP seam to the sandbox's router, with time and faults in between.
use std::{
    future,
    io::{Error, ErrorKind},
    sync::Arc,
    time::Duration,
};

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use data_encoding::BASE64;
use futures::FutureExt;
use http::{HeaderMap, Method, header};
use portico::remote::{HttpFactory, HttpService};
use portico_sandbox::{Effect as SandboxEffect, Fault as SandboxFault, NoAnswer, operation_of};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tower::{BoxError, ServiceExt, service_fn, util::BoxCloneSyncService};
use url::form_urlencoded;

use crate::{
    attribution::{of_remote, sender},
    coverage::Point,
    faults::Target,
    plan::{Effect, Side},
    replicas,
    seen::{Api, RemoteAnswer, RemoteRequest},
    trace::Short,
    world::{ACP_URL, TENANT, World, lock},
};

/// The most milliseconds that a request, and an answer, is on its way.
const LATENCY: u64 = 20;
/// The most milliseconds until somebody notices that a connection is broken.
const NOTICE: u64 = 100;
/// Where by-hand requests to Konnect go; which host it is means nothing to the sandbox.
const KONNECT_URL: &str = "https://eu.api.konghq.com";

/// The network of one life of a replica.
#[derive(Clone)]
pub(crate) struct Network {
    world: Arc<World>,
    replica: u8,
    life: u32,
}

impl HttpFactory for Network {
    fn build(&self, _ca_pem: Option<&[u8]>) -> Result<HttpService, String> {
        let network = self.clone();
        Ok(BoxCloneSyncService::new(service_fn(move |request: reqwest::Request| network.clone().send(request))))
    }
}

/// A request on its way, as the sandbox takes it.
struct Parcel {
    sent: RemoteRequest,
    point: Point,
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

/// What came back.
type Answered = Result<http::Response<Bytes>, Error>;

impl Network {
    pub(crate) fn new(world: Arc<World>, replica: u8, life: u32) -> Self {
        Self { world, replica, life }
    }

    /// Sends a request as reqwest would, its timeout included.
    async fn send(self, request: reqwest::Request) -> Result<reqwest::Response, BoxError> {
        let deadline = request.timeout().copied();
        let answer = self.travel(request);
        let answer = match deadline {
            Some(deadline) => timeout(deadline, answer).await.map_err(|_| Error::from(ErrorKind::TimedOut))?,
            None => answer.await,
        };
        Ok(answer?.into())
    }

    async fn travel(self, request: reqwest::Request) -> Answered {
        let Self { world, replica, life } = self;
        if !replicas::is_alive(&world, replica, life) {
            return future::pending().await;
        }
        let number = world.count_request();
        if number > crate::world::MOST_REQUESTS {
            return future::pending().await;
        }
        let parcel = parcel(&world, &request, number, (replica, life));
        let sent = &parcel.sent;
        world.laws.remote_request(&world, sent);
        lock(&world.coverage).saw(&parcel.point, world.now());
        let target = Target {
            side: Side::Remote,
            name: sent.operation,
            point: Some(&parcel.point),
            is_write: sent.is_write(),
            is_later_page: is_later_page(&sent.query),
            is_watch: false,
        };
        let effect = world.faults.strike(world.now(), &target);
        note_sending(&world, sent, effect.as_ref());
        let (to, back) = world.faults.draw(|random| (random.u64(1..=LATENCY), random.u64(1..=LATENCY)));
        let mut to = Duration::from_millis(to);
        match &effect {
            Some(Effect::CrashBefore) => {
                lock(&world.coverage).crashed(&parcel.point, false);
                replicas::crash_somehow(&world, replica, life);
                return future::pending().await;
            }
            Some(Effect::Lost) => return broken(&world).await,
            Some(Effect::Late(late)) => to += Duration::from_millis(*late),
            _ => {}
        }
        let answer_is_lost = effect == Some(Effect::AnswerLost);
        let back = match &effect {
            Some(Effect::Slow(slow)) => back + slow,
            _ => back,
        };
        // What is on its way takes effect, whether somebody still waits for the answer or not.
        let there = world.clone();
        let arrival = tokio::spawn(async move {
            sleep(to).await;
            arrive(&there, &parcel, effect.as_ref())
        });
        let answer = arrival.await.map_err(Error::other)?;
        if !replicas::is_alive(&world, replica, life) {
            return future::pending().await;
        }
        if answer_is_lost {
            // A connection that breaks is noticed; one that falls silent is not.
            return if world.faults.draw(fastrand::Rng::bool) { broken(&world).await } else { future::pending().await };
        }
        sleep(Duration::from_millis(back)).await;
        answer
    }
}

async fn broken(world: &World) -> Answered {
    let moment = world.faults.draw(|random| random.u64(1..=NOTICE));
    sleep(Duration::from_millis(moment)).await;
    Err(Error::new(ErrorKind::ConnectionReset, "the connection was reset"))
}

fn parcel(world: &World, request: &reqwest::Request, number: u64, (replica, life): (u8, u32)) -> Parcel {
    let (url, method) = (request.url(), request.method().clone());
    let body = request.body().and_then(reqwest::Body::as_bytes).map(Bytes::copy_from_slice).unwrap_or_default();
    let sent = RemoteRequest {
        number,
        replica,
        life,
        api: if url.as_str().starts_with(ACP_URL) { Api::Acp } else { Api::Konnect },
        path: url.path().to_owned(),
        query: url.query().unwrap_or_default().to_owned(),
        operation: operation_of(&method, url.path()).unwrap_or_default(),
        method,
        body: readable(request.headers(), &body),
        sent: world.now(),
        sender: sender(),
    };
    let point = of_remote(&sent);
    Parcel { sent, point, url: url.as_str().to_owned(), headers: request.headers().clone(), body }
}

/// Whether a query asks for a page after the first.
fn is_later_page(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "page[number]" && value != "1")
}

/// A body as it is seen: JSON, or a form as an object of texts.
fn readable(headers: &HeaderMap, body: &[u8]) -> Value {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        let pairs = form_urlencoded::parse(body).into_owned();
        return Value::Object(pairs.map(|(name, value)| (name, json!(value))).collect());
    }
    serde_json::from_slice(body).unwrap_or_default()
}

/// A request is sent: writes, and what a fault strikes, have a line of their own for that.
fn note_sending(world: &World, sent: &RemoteRequest, effect: Option<&Effect>) {
    let RemoteRequest { number, replica, life, body, .. } = sent;
    let body = Short(body);
    match effect {
        Some(effect) => {
            world.trace.note(world.now(), format_args!("r{replica}.{life} #{number} {sent}{body} [{effect:?}]"));
        }
        None if sent.is_write() => {
            world.trace.note(world.now(), format_args!("r{replica}.{life} #{number} {sent}{body}"));
        }
        None => {}
    }
}

/// A request takes effect at its API, and is answered.
fn arrive(world: &Arc<World>, parcel: &Parcel, effect: Option<&Effect>) -> Answered {
    let Parcel { sent, point, .. } = parcel;
    let answers_itself = matches!(effect, Some(Effect::Status(..)));
    if !answers_itself {
        world.laws.remote_arrives(world, sent);
    }
    let answered = match effect {
        Some(Effect::Status(status, retry_after)) => refused(world, parcel, *status, *retry_after),
        Some(Effect::Stale(age)) => stale(world, parcel, world.now().saturating_sub(*age)),
        _ => deliver(world, parcel),
    };
    if let Ok(response) = &answered {
        let status = response.status().as_u16();
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        let answer = RemoteAnswer { status, body };
        let RemoteRequest { number, replica, life, .. } = sent;
        let shown = Short(&answer.body);
        let at = world.now();
        if sent.is_write() || effect.is_some() {
            world.trace.note(at, format_args!("r{replica}.{life} #{number} <- {status}{shown}"));
        } else {
            world.trace.note(at, format_args!("r{replica}.{life} #{number} {sent} -> {status}{shown}"));
        }
        if !answers_itself {
            world.laws.remote_answer(world, sent, &answer);
        }
        if answer.is_success() && sent.is_write() {
            world.faults.remember(at, &world.sandbox);
            // Asking again whether a domain is verified changes nothing.
            if sent.operation != "verify-portal-domains" {
                world.note_change();
            }
        }
    }
    if effect == Some(&Effect::CrashAfter) {
        lock(&world.coverage).crashed(point, true);
        replicas::crash_somehow(world, sent.replica, sent.life);
    }
    answered
}

/// The router's own answer, at once: nothing in the sandbox waits but its faults, and none of those that wait is used here.
fn deliver(world: &World, parcel: &Parcel) -> Answered {
    route(world, parcel.sent.method.clone(), &parcel.url, parcel.headers.clone(), parcel.body.clone())
}

fn route(world: &World, method: Method, url: &str, headers: HeaderMap, body: Bytes) -> Answered {
    let mut request = http::Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = url.parse::<http::Uri>().map_err(Error::other)?;
    *request.headers_mut() = headers;
    let answer = world.router.clone().oneshot(request).now_or_never().expect("the sandbox does not wait");
    let (parts, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
    if parts.extensions.get::<NoAnswer>().is_some() {
        return Err(Error::new(ErrorKind::ConnectionAborted, "the connection was closed"));
    }
    let body = to_bytes(body, usize::MAX).now_or_never().expect("the answer is there").map_err(Error::other)?;
    Ok(http::Response::from_parts(parts, body))
}

/// A refusal in the words of the API: the sandbox finds them.
fn refused(world: &World, parcel: &Parcel, status: u16, retry_after: Option<u32>) -> Answered {
    let retry_after = retry_after.map(|seconds| seconds.to_string());
    let operation = if parcel.sent.operation.is_empty() { "*" } else { parcel.sent.operation };
    world.sandbox.inject(SandboxFault {
        operation: operation.to_owned(),
        effect: SandboxEffect::Status { status, retry_after, detail: None },
        times: Some(1),
        organization: None,
    });
    let answered = deliver(world, parcel);
    // It is still there where the credential was refused first.
    world.sandbox.clear_faults();
    answered
}

/// The answer from the APIs as they were then.
fn stale(world: &World, parcel: &Parcel, then: u64) -> Answered {
    let Some(past) = world.faults.before(then) else { return deliver(world, parcel) };
    let present = world.sandbox.snapshot();
    world.sandbox.restore(&past);
    let answered = deliver(world, parcel);
    world.sandbox.restore(&present);
    answered
}

/// A stranger's request: at once, and past all faults.
pub(crate) fn by_hand(world: &World, api: Api, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let bearer = match api {
        Api::Konnect => world.accounts.stranger_token().to_owned(),
        Api::Acp => stranger_access(world),
    };
    let base = if api == Api::Acp { ACP_URL } else { KONNECT_URL };
    let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let headers = headers(&format!("Bearer {bearer}"), "application/json");
    let verb = method.clone();
    let answer = match route(world, method, &format!("{base}{path}"), headers, bytes) {
        Ok(response) => {
            let body = serde_json::from_slice(response.body()).unwrap_or_default();
            (response.status().as_u16(), body)
        }
        Err(_) => (0, Value::Null),
    };
    let (status, shown) = (answer.0, Short(body));
    world.trace.note(world.now(), format_args!("stranger {verb} {path}{shown} -> {status}"));
    world.faults.remember(world.now(), &world.sandbox);
    answer
}

/// An access token for ACP's admin API.
fn stranger_access(world: &World) -> String {
    let (id, secret) = world.accounts.stranger_client();
    let credentials = BASE64.encode(format!("{id}:{secret}").as_bytes());
    let headers = headers(&format!("Basic {credentials}"), "application/x-www-form-urlencoded");
    let url = format!("{ACP_URL}/{TENANT}/admin/oauth2/token");
    let answer = route(world, Method::POST, &url, headers, Bytes::from_static(b"grant_type=client_credentials"));
    let token: Option<Value> = answer.ok().and_then(|answer| serde_json::from_slice(answer.body()).ok());
    token.and_then(|token| Some(token["access_token"].as_str()?.to_owned())).unwrap_or_default()
}

fn headers(authorization: &str, content_type: &'static str) -> HeaderMap {
    let authorization = header::HeaderValue::from_str(authorization).expect("tokens are letters and digits");
    HeaderMap::from_iter([
        (header::AUTHORIZATION, authorization),
        (header::CONTENT_TYPE, header::HeaderValue::from_static(content_type)),
    ])
}
