//! Crashes at a chosen request: before it is sent, or after it was answered. The request then hangs for ever, and the test drops the operator.
//! And panics at one, which the operator is to survive.
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::Method;
use portico::remote::{HttpFactory, HttpService, ReqwestFactory};
use tokio::{sync::Notify, time::Instant};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};

/// Which side of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Writes to the Kubernetes API, but for events.
    Kubernetes,
    /// Every request to the management API.
    Remote,
}

/// Before or after the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// It is never sent.
    Before,
    /// It was answered, and the answer is never seen.
    After,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<(Side, When, usize)>,
    /// What went through since it was armed, as `POST /v2/portals`, with ids left out.
    seen: Vec<(Side, String)>,
    /// Whoever sends this to the management API panics.
    deadly: Option<String>,
    /// When somebody did.
    panics: Vec<Instant>,
}

/// Sees all requests of an operator, and stops one of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tripwire {
    state: Arc<Mutex<State>>,
    tripped: Arc<Notify>,
}

impl Tripwire {
    /// Forgets what was seen, and stops the nth request (from 0) of a side from now on.
    pub(crate) fn arm(&self, side: Side, when: When, nth: usize) {
        *self.state.lock().unwrap() = State { armed: Some((side, when, nth)), ..State::default() };
    }

    /// Forgets what was seen, and stops nothing.
    pub(crate) fn disarm(&self) {
        *self.state.lock().unwrap() = State::default();
    }

    /// Forgets what was seen. From now on whoever sends this to the management API, such as `PATCH /v2/portals/{id}`, panics.
    pub(crate) fn panic_at(&self, request: &str) {
        *self.state.lock().unwrap() = State { deadly: Some(request.to_owned()), ..State::default() };
    }

    /// When somebody panicked.
    pub(crate) fn panics(&self) -> Vec<Instant> {
        self.state.lock().unwrap().panics.clone()
    }

    /// Panics where this request is deadly.
    fn survive(&self, request: &str) {
        let mut state = self.state.lock().unwrap();
        let is_deadly = state.deadly.as_deref() == Some(request);
        if is_deadly {
            state.panics.push(Instant::now());
        }
        // A panic would poison it.
        drop(state);
        assert!(!is_deadly, "the test wants a panic at {request}");
    }

    /// The requests of a side since the last arming.
    pub(crate) fn seen(&self, side: Side) -> Vec<String> {
        self.state.lock().unwrap().seen.iter().filter(|(s, _)| *s == side).map(|(_, what)| what.clone()).collect()
    }

    /// Whether the request that is to be stopped was sent; where it was the last one, its effect may be seen before the stop is.
    pub(crate) fn has_tripped(&self) -> bool {
        let state = self.state.lock().unwrap();
        let nth = |side: Side| state.seen.iter().filter(|(s, _)| *s == side).count();
        state.armed.is_some_and(|(side, _, n)| nth(side) > n)
    }

    /// Resolves when the request was stopped.
    pub(crate) async fn tripped(&self) {
        self.tripped.notified().await;
    }

    /// Counts a request; says whether and when it is to be stopped.
    fn pass(&self, side: Side, what: String) -> Option<When> {
        let mut state = self.state.lock().unwrap();
        let nth = state.seen.iter().filter(|(s, _)| *s == side).count();
        state.seen.push((side, what));
        match state.armed {
            Some((armed, when, n)) if armed == side && n == nth => Some(when),
            _ => None,
        }
    }

    async fn around<T>(self, side: Side, what: Option<String>, send: impl Future<Output = T>) -> T {
        let stop = what.and_then(|what| self.pass(side, what));
        if stop == Some(When::Before) {
            self.hang().await;
        }
        let answer = send.await;
        if stop == Some(When::After) {
            self.hang().await;
        }
        answer
    }

    async fn hang(&self) {
        self.tripped.notify_one();
        std::future::pending::<()>().await;
    }
}

/// The way to the Kubernetes API, with the wire across it.
#[derive(Clone)]
pub(crate) struct KubernetesLayer(pub(crate) Tripwire);

#[derive(Clone)]
pub(crate) struct KubernetesService<S> {
    inner: S,
    wire: Tripwire,
}

impl<S> Layer<S> for KubernetesLayer {
    type Service = KubernetesService<S>;
    fn layer(&self, inner: S) -> Self::Service {
        KubernetesService { inner, wire: self.0.clone() }
    }
}

impl<S, B> Service<http::Request<B>> for KubernetesService<S>
where
    S: Service<http::Request<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let path = request.uri().path();
        let is_write = request.method() != Method::GET && !path.contains("/events");
        let tail = path.split_once("/namespaces/").map_or(path, |(_, tail)| tail);
        let what =
            is_write.then(|| format!("{} {}", request.method(), tail.split_once('/').map_or(tail, |(_, rest)| rest)));
        // Not polled before it may be: nothing is sent until then.
        let answer = self.inner.call(request);
        let wire = self.wire.clone();
        Box::pin(async move { wire.around(Side::Kubernetes, what, answer).await })
    }
}

/// The way to the management API, with the wire across it.
pub(crate) struct RemoteFactory {
    pub(crate) real: ReqwestFactory,
    pub(crate) wire: Tripwire,
}

impl HttpFactory for RemoteFactory {
    fn build(&self, ca_pem: Option<&[u8]>) -> Result<HttpService, String> {
        let (real, wire) = (self.real.build(ca_pem)?, self.wire.clone());
        Ok(BoxCloneSyncService::new(service_fn(move |request: reqwest::Request| {
            let (real, wire) = (real.clone(), wire.clone());
            let what = format!("{} {}", request.method(), without_ids(request.url().path()));
            async move {
                wire.survive(&what);
                wire.around(Side::Remote, Some(what), real.oneshot(request)).await.map_err(|e: BoxError| e)
            }
        })))
    }
}

fn without_ids(path: &str) -> String {
    path.split('/').map(|part| if part.len() == 36 { "{id}" } else { part }).collect::<Vec<_>>().join("/")
}
