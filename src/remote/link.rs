//! A link: one connection to one API with one credential. Every request to a remote API goes through [`Link::send`].
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode, header};
use oauth2::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use url::Url;

use super::{
    AllowList, ApiError, Dialect, HttpService, Path,
    gate::{Gate, Shut},
    retry_after::retry_after,
    token::{Exchange, Tokens, TransportError},
};
use crate::engine::{Clock, metrics::Metrics};

#[cfg(debug_assertions)]
#[path = "link_stop.rs"]
mod stop;

/// No answer of a management API is larger; what is, is cut off.
const LARGEST_ANSWER: usize = 32 << 20;

/// One request.
pub struct Call<'a> {
    /// The verb.
    pub method: Method,
    /// Where to.
    pub path: &'a Path,
    /// The query, encoded, without its question mark.
    pub query: Option<String>,
    /// The body.
    pub body: Option<&'a Value>,
}

impl<'a> Call<'a> {
    /// A request without query and body.
    #[must_use]
    pub fn new(method: Method, path: &'a Path) -> Self {
        Self { method, path, query: None, body: None }
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: &'a Value) -> Self {
        self.body = Some(body);
        self
    }

    /// With a query.
    #[must_use]
    pub fn query(mut self, query: Option<String>) -> Self {
        self.query = query;
        self
    }
}

/// What a link is made of.
pub struct LinkSettings {
    /// How the API speaks.
    pub api: &'static dyn Dialect,
    /// Its base URL.
    pub base: Url,
    /// The service that sends requests.
    pub http: HttpService,
    /// Where tokens come from.
    pub tokens: Tokens,
    /// The deadline of one request.
    pub deadline: Duration,
    /// How long everyone pauses after a 429 that does not say.
    pub pause: Duration,
    /// The hosts that may be spoken to.
    pub allow: AllowList,
    /// The gate; it outlives a change of the credential.
    pub gate: Arc<Gate>,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
    /// What time it is, for a `Retry-After` that names a date.
    pub clock: Arc<dyn Clock>,
    /// Told when the gate shuts, so that someone probes.
    pub on_shut: Box<dyn Fn() + Send + Sync>,
    /// Whether writes may be sent that take at most this long: another replica may lead before they are answered.
    pub may_write: Box<dyn Fn(Duration) -> bool + Send + Sync>,
}

/// One connection to one API. Has no `Debug`: it holds the credential.
pub struct Link {
    settings: LinkSettings,
    exchange: Arc<dyn Exchange>,
    /// Until when the token endpoint asked for a pause.
    pause: Arc<Mutex<Option<Instant>>>,
}

impl Link {
    /// A link; sends nothing yet.
    #[must_use]
    pub fn new(settings: LinkSettings) -> Self {
        let pause = Arc::<Mutex<Option<Instant>>>::default();
        let exchange = Arc::new(TokenExchange {
            http: settings.http.clone(),
            deadline: settings.deadline,
            allow: settings.allow.clone(),
            metrics: settings.metrics.clone(),
            api: settings.api.name(),
            pause: Arc::clone(&pause),
            clock: settings.clock.clone(),
        });
        Self { settings, exchange, pause }
    }

    /// How the API speaks.
    #[must_use]
    pub fn api(&self) -> &'static dyn Dialect {
        self.settings.api
    }

    /// The gate.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.settings.gate
    }

    /// The deadline of one request.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.settings.deadline
    }

    /// What tells one account from another as far as can be seen without asking: the base URL, with the tenant where that stands in it.
    #[must_use]
    pub fn account(&self) -> String {
        self.settings.base.as_str().trim_end_matches('/').to_owned()
    }

    /// Sends one request through the gate and reads the answer.
    ///
    /// # Errors
    /// [`ApiError`], by what is known of the outcome.
    pub async fn send(&self, call: Call<'_>) -> Result<Option<Value>, ApiError> {
        let waited = Instant::now();
        let permit = self.settings.gate.enter().await;
        self.settings.metrics.gate_wait(self.api().name(), waited.elapsed());
        let _permit = permit?;
        let result = self.exchange(call).await;
        match &result {
            Err(ApiError::Throttled { retry_after }) => {
                self.settings.metrics.throttled(self.api().name());
                self.settings.gate.close_until(Instant::now() + retry_after.unwrap_or(self.settings.pause));
            }
            Err(ApiError::Unauthorized(why)) => self.shut(Shut::CredentialRejected, why),
            Err(ApiError::Unavailable(why)) => self.shut(Shut::Unavailable, why),
            _ => {}
        }
        result
    }

    /// Sends one request past a shut gate, to learn whether it may open. A pause that the API asked for holds for probes too.
    ///
    /// # Errors
    /// [`ApiError`], as [`Link::send`].
    pub async fn probe(&self, call: Call<'_>) -> Result<Option<Value>, ApiError> {
        if let Some(until) = self.settings.gate.closed_until() {
            return Err(ApiError::Closed { until: Some(until), why: "the API asked for a pause".to_owned() });
        }
        let result = self.exchange(call).await;
        if let Err(ApiError::Throttled { retry_after }) = &result {
            self.settings.gate.close_until(Instant::now() + retry_after.unwrap_or(self.settings.pause));
        }
        result
    }

    pub(super) fn shut(&self, shut: Shut, why: &str) {
        if self.settings.gate.shut(shut, why) {
            (self.settings.on_shut)();
        }
    }

    async fn exchange(&self, call: Call<'_>) -> Result<Option<Value>, ApiError> {
        let token = self.bearer().await?;
        let result = self.attempt(&call, &token).await;
        // A token may be revoked before its time: one fresh one, then the refusal counts.
        if matches!(result, Err(ApiError::Unauthorized(_))) && self.settings.tokens.refused(&token).await {
            let token = self.bearer().await?;
            return self.attempt(&call, &token).await;
        }
        result
    }

    async fn bearer(&self) -> Result<SecretString, ApiError> {
        let token = self.settings.tokens.bearer(&self.exchange).await;
        // Without a token nothing can be sent, so the pause is everybody's. One that is to be renewed early is good for a while yet.
        if token.is_err()
            && let Some(until) = self.pause.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            self.settings.gate.close_until(until);
        }
        token
    }

    async fn attempt(&self, call: &Call<'_>, token: &SecretString) -> Result<Option<Value>, ApiError> {
        if call.method != Method::GET && !(self.settings.may_write)(self.settings.deadline) {
            let until = Some(Instant::now() + Duration::from_millis(500));
            return Err(ApiError::Closed {
                until,
                why: "the lease of this replica ends; another one goes on".to_owned(),
            });
        }
        let operation = operation(&call.method, call.path);
        let request = self.request(call, token)?;
        #[cfg(debug_assertions)]
        stop::before(&operation);
        let started = Instant::now();
        let answer = timeout(self.settings.deadline, receive(self.settings.http.clone(), request)).await;
        let (status, result) = match answer {
            Err(_) => (None, Err(self.unavailable("did not answer in time"))),
            Ok(Err(why)) => (None, Err(self.unavailable(&why))),
            Ok(Ok((status, headers, body))) => {
                if let (StatusCode::SERVICE_UNAVAILABLE, Some(after)) = (status, self.retry_after(&headers)) {
                    self.settings.gate.close_until(Instant::now() + after);
                }
                (Some(status), self.read(status, &headers, &body))
            }
        };
        let code = status.map(|s| s.as_u16());
        self.settings.metrics.remote_call(self.api().name(), &operation, code, started.elapsed());
        tracing::debug!(api = self.api().name(), operation, status = code, "request");
        result
    }

    fn request(&self, call: &Call<'_>, token: &SecretString) -> Result<reqwest::Request, ApiError> {
        let mut url = self.settings.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        let path = format!("{base}{}", call.path);
        url.set_path(&path);
        if url.path() != path {
            return Err(ApiError::NotSent(format!("{} is not a plain path", call.path)));
        }
        url.set_query(call.query.as_deref());
        self.settings.allow.check(&url).map_err(|e| ApiError::NotSent(e.to_string()))?;
        let mut request = reqwest::Request::new(call.method.clone(), url);
        let Ok(mut bearer) = header::HeaderValue::try_from(format!("Bearer {}", token.expose_secret())) else {
            return Err(ApiError::Unauthorized("it holds characters that no credential has".to_owned()));
        };
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        request
            .headers_mut()
            .insert(header::ACCEPT, header::HeaderValue::from_static("application/json, application/problem+json"));
        if let Some(body) = call.body {
            request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.to_string().into());
        }
        Ok(request)
    }

    fn read(&self, status: StatusCode, headers: &HeaderMap, bytes: &[u8]) -> Result<Option<Value>, ApiError> {
        let body = serde_json::from_slice::<Value>(bytes).ok();
        if status.is_success() {
            return match body {
                None if bytes.is_empty() => Ok(None),
                None => Err(self.unavailable("answered with something that is not JSON")),
                body => Ok(body),
            };
        }
        if status.is_redirection() {
            return Err(self.unavailable("answered with a redirect, which Portico does not follow"));
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(ApiError::Throttled { retry_after: self.retry_after(headers) });
        }
        let Some(refusal) = body.as_ref().and_then(|body| self.api().refusal(status.as_u16(), body)) else {
            return Err(self.unavailable(&format!("answered {} in a form that is not the API's own", status.as_u16())));
        };
        Err(match status {
            StatusCode::UNAUTHORIZED => ApiError::Unauthorized(refusal.words()),
            StatusCode::NOT_FOUND => ApiError::Absent(refusal.words()),
            status if status.is_server_error() => ApiError::Failed(refusal),
            _ => ApiError::Refused(refusal),
        })
    }

    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        retry_after(headers, SystemTime::from(self.settings.clock.now()))
    }

    fn unavailable(&self, what: &str) -> ApiError {
        ApiError::Unavailable(format!("{} {what}", self.account()))
    }
}

/// The way to a token endpoint: the same service, deadline and list of hosts as for everything else.
struct TokenExchange {
    http: HttpService,
    deadline: Duration,
    allow: AllowList,
    metrics: Arc<Metrics>,
    api: &'static str,
    pause: Arc<Mutex<Option<Instant>>>,
    clock: Arc<dyn Clock>,
}

impl Exchange for TokenExchange {
    fn exchange(&self, request: HttpRequest) -> BoxFuture<'static, Result<HttpResponse, TransportError>> {
        let (http, deadline) = (self.http.clone(), self.deadline);
        let (allow, metrics, api) = (self.allow.clone(), self.metrics.clone(), self.api);
        let (pause, clock) = (self.pause.clone(), self.clock.clone());
        Box::pin(async move {
            let request =
                reqwest::Request::try_from(request).map_err(|e| TransportError(e.without_url().to_string()))?;
            allow.check(request.url()).map_err(|e| TransportError(e.to_string()))?;
            let host = request.url().origin().ascii_serialization();
            let started = Instant::now();
            let (status, headers, body) = match timeout(deadline, receive(http, request)).await {
                Err(_) => return Err(TransportError(format!("{host} did not answer in time"))),
                Ok(Err(why)) => return Err(TransportError(format!("{host} {why}"))),
                Ok(Ok(answer)) => answer,
            };
            metrics.remote_call(api, "token", Some(status.as_u16()), started.elapsed());
            let asked = retry_after(&headers, SystemTime::from(clock.now()));
            if let (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(after)) = (status, asked) {
                *pause.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + after);
            }
            // The library takes every answer with an `error` for a refusal of the client.
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                return Err(TransportError(format!("{host} answered {}", status.as_u16())));
            }
            let mut response = HttpResponse::new(body);
            *response.status_mut() = status;
            Ok(response)
        })
    }
}

/// The status, headers and body of an answer, or why there is none, without URL and headers of the request.
async fn receive(http: HttpService, request: reqwest::Request) -> Result<(StatusCode, HeaderMap, Vec<u8>), String> {
    let mut response = http.oneshot(request).await.map_err(|e| reason(e.as_ref()))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| reason(&e))? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_ANSWER {
            return Err("answered with more than 32 MiB".to_owned());
        }
    }
    Ok((status, headers, body))
}

/// The innermost cause of a transport error: it says what happened (refused, unknown issuer), and holds no URL.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    format!("cannot be reached: {cause}")
}

/// `GET /v2/portals/{id}/teams`: what was called, without the ids, for metrics.
fn operation(method: &Method, path: &Path) -> String {
    let path = path.as_str();
    // After the collection comes an id, however it looks: at ACP a user may choose it. Further down the API makes them.
    let first = if path.starts_with("/v2/") || path.starts_with("/v3/") { 3 } else { 2 };
    let is_made = |part: &str| part.len() > 8 && part.bytes().any(|b| b.is_ascii_digit() || b == b'%');
    let parts = path.split('/').enumerate().map(|(at, part)| if at == first || is_made(part) { "{id}" } else { part });
    format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_name_operations_and_no_objects() {
        let path = Path::parse("/v2/portals/9f0c1f2e-1111-4222-8333-444455556666/verify-domain").unwrap();
        assert_eq!(operation(&Method::POST, &path), "POST /v2/portals/{id}/verify-domain");
        // An id that a user chose, with `lifecycle.id`.
        for (path, shown) in [
            ("/clients/payments", "DELETE /clients/{id}"),
            ("/servers/customers/clients", "DELETE /servers/{id}/clients"),
            ("/v2/portal-roles", "DELETE /v2/portal-roles"),
        ] {
            assert_eq!(operation(&Method::DELETE, &Path::parse(path).unwrap()), shown);
        }
    }
}
