//! The API server as a tower service: what `kube::Client` sends its requests to.
use std::{
    convert::Infallible,
    future, io,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt, TryStreamExt, future::BoxFuture, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use serde_json::json;
use tokio::time::sleep;

use super::{
    Simulated,
    fault::{Call, Effect, Interceptor, Loss, Verdict},
    handle::Reply,
    refusal::Refusal,
    route::{self, Route},
    watch::{self, Watching},
};

/// The body of an answer: all of it at once, or one event of a watch after the other.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Who judged a request, and the request as they saw it.
type Judged = (Arc<dyn Interceptor>, Call);

/// The way of one client to a simulated API server.
#[derive(Clone)]
pub struct Service {
    server: Simulated,
    actor: Arc<str>,
}

impl Service {
    pub(super) fn new(server: Simulated, actor: &str) -> Self {
        Self { server, actor: actor.into() }
    }

    async fn serve(self, request: Request<kube::client::Body>) -> Result<Response<Body>, io::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.map_err(io::Error::other)?;
        let request = match Route::parse(&parts, body) {
            Ok(Route::Resource(request)) => *request,
            Ok(Route::Version) => return Ok(version()),
            Err(refusal) => return Ok(refused(&refusal)),
        };
        let (verdict, judged) = self.judge(&request);
        if verdict.before.is_zero() {
            return self.carry_out(request, verdict, judged).await;
        }
        // What is on its way takes effect, whether somebody still waits for the answer or not.
        tokio::spawn(self.carry_out(request, verdict, judged)).await.map_err(io::Error::other)?
    }

    /// The verdict, and who gave it on what.
    fn judge(&self, request: &route::Request) -> (Verdict, Option<Judged>) {
        let number = self.server.shared.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(interceptor) = self.server.interceptor() else { return (Verdict::proceed(), None) };
        let version = self.server.with(|state| state.version);
        let call = request.call(number, version, &self.actor);
        (interceptor.intercept(&call), Some((interceptor, call)))
    }

    fn carry_out(
        self,
        request: route::Request,
        verdict: Verdict,
        judged: Option<Judged>,
    ) -> BoxFuture<'static, Result<Response<Body>, io::Error>> {
        async move {
            let Verdict { before, effect, after, cut } = verdict;
            if !before.is_zero() {
                sleep(before).await;
            }
            let (stale, mut silenced) = match effect {
                Effect::LoseRequest(loss) => return lose(loss).await,
                Effect::LoseAnswer(loss) => (None, Some(loss)),
                Effect::Stale(version) => (Some(version), None),
                Effect::Proceed | Effect::Answer(_) => (None, None),
            };
            let answer = if let Effect::Answer(refusal) = &effect {
                refused(refusal)
            } else {
                let (code, answer) = match self.server.handle(&self.actor, &request, stale, cut) {
                    Ok(Reply::Object(code, body)) => (code, json_answer(code, Bytes::from(body.to_string()))),
                    Ok(Reply::Watch(watching)) => (200, streamed(*watching)),
                    Ok(Reply::NoWatch(refusal)) => {
                        (refusal.code, json_answer(200, watch::line("ERROR", &refusal.status())))
                    }
                    Err(refusal) => (refusal.code, refused(&refusal)),
                };
                let loss = judged.and_then(|(interceptor, call)| interceptor.carried_out(&call, code));
                silenced = silenced.or(loss);
                answer
            };
            if !after.is_zero() {
                sleep(after).await;
            }
            match silenced {
                Some(loss) => lose(loss).await,
                None => Ok(answer),
            }
        }
        .boxed()
    }
}

impl tower::Service<Request<kube::client::Body>> for Service {
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        self.clone().serve(request).boxed()
    }
}

async fn lose(loss: Loss) -> Result<Response<Body>, io::Error> {
    match loss {
        Loss::Silence => future::pending().await,
        Loss::Reset => Err(io::Error::new(io::ErrorKind::ConnectionReset, "the connection was reset")),
    }
}

fn answer(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    answer
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| -> io::Error { match never {} }).boxed_unsync()
}

fn json_answer(code: u16, body: Bytes) -> Response<Body> {
    answer(code, "application/json", whole(body))
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let content_type = if refusal.is_plain() { "text/plain; charset=utf-8" } else { "application/json" };
    answer(refusal.code, content_type, whole(Bytes::from(refusal.body())))
}

fn streamed(watching: Watching) -> Response<Body> {
    let events = stream::unfold(watching, |mut watching| async move {
        let event = watching.next().await?;
        Some((event, watching))
    });
    answer(200, "application/json", StreamBody::new(events.map_ok(Frame::data)).boxed_unsync())
}

fn version() -> Response<Body> {
    let version = json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "",
        "compiler": "gc", "platform": "linux/amd64",
    });
    json_answer(200, Bytes::from(version.to_string()))
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
