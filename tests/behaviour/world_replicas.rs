//! Several operators in one world, as the replicas of one Deployment are.
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{Api, client::ClientBuilder};
use portico::{
    engine::{Ended, Operator, SystemClock, health::Health, kubernetes::configure, lease, own::SeededEntropy},
    kinds,
    remote::ReqwestFactory,
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tower::{Layer, Service};

use crate::world::{PATIENCE, World};

/// Once closed, it lets nothing through that is about the Lease.
#[derive(Clone, Default)]
pub(crate) struct Dam(Arc<AtomicBool>);

impl Dam {
    /// From now on the operator hears no answer about its Lease.
    pub(crate) fn close(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Clone)]
pub(crate) struct Dammed<S> {
    inner: S,
    dam: Dam,
}

impl<S> Layer<S> for Dam {
    type Service = Dammed<S>;
    fn layer(&self, inner: S) -> Self::Service {
        Dammed { inner, dam: self.clone() }
    }
}

impl<S, B> Service<http::Request<B>> for Dammed<S>
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
        let is_about_the_lease = request.uri().path().contains("/leases");
        // Nothing is sent until it is polled.
        let answer = self.inner.call(request);
        let dam = self.dam.clone();
        Box::pin(async move {
            if is_about_the_lease && dam.0.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            answer.await
        })
    }
}

/// One of several operators. Dropping it is a crash.
pub(crate) struct Replica {
    /// Its name in the Lease.
    pub(crate) identity: String,
    /// Between it and its Lease.
    pub(crate) dam: Dam,
    health: Health,
    task: JoinHandle<Ended>,
    stop: Option<oneshot::Sender<()>>,
}

impl Replica {
    /// Waits until `/readyz` is content: its caches are warm.
    pub(crate) async fn warm(&self) {
        let started = Instant::now();
        while !self.health.problems().is_empty() {
            assert!(started.elapsed() < PATIENCE, "it never became ready: {:?}", self.health.problems());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Drops it at once, as a crash would.
    pub(crate) async fn crash(&mut self) {
        self.task.abort();
        while !self.has_ended() {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Stops it in order.
    pub(crate) async fn stop(&mut self) -> Ended {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.ended().await
    }

    /// Waits until it ends, and says why.
    pub(crate) async fn ended(&mut self) -> Ended {
        let ended = timeout(PATIENCE, &mut self.task).await;
        ended.expect("it ends in time").expect("it ends without a panic")
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    /// Starts another operator of this world; the seed gives it its name.
    pub(crate) fn replica(&self, seed: u64) -> Replica {
        let dam = Dam::default();
        let config = configure(self.plane.config_as(&self.operator_token));
        let client = ClientBuilder::try_from(config).unwrap().with_layer(&dam).build();
        let http = ReqwestFactory { allow: self.settings.allow.clone() };
        let settings = self.settings.clone();
        let operator = Operator::new(client, Arc::new(http), Arc::new(SystemClock), seed, settings, kinds::all())
            .with_entropy(Arc::new(SeededEntropy::new(seed)));
        let health = operator.health();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(operator.run(async move {
            let _ = stopped.await;
        }));
        let identity = lease::identity(None, &SeededEntropy::new(seed));
        Replica { identity, dam, health, task, stop: Some(stop) }
    }

    /// The Lease as it stands; empty where there is none.
    pub(crate) async fn lease(&self) -> LeaseSpec {
        let api: Api<Lease> = Api::namespaced(self.admin(), &self.settings.namespace);
        let found = api.get_opt(lease::NAME).await.expect("the API server answers");
        found.and_then(|lease| lease.spec).unwrap_or_default()
    }

    /// Waits until the holder of the Lease is as described.
    pub(crate) async fn led_by(&self, what: &str, is: impl Fn(&str) -> bool) {
        let started = Instant::now();
        loop {
            let holder = self.lease().await.holder_identity;
            if holder.as_deref().is_some_and(&is) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{what} never led; {holder:?} does");
            sleep(Duration::from_millis(15)).await;
        }
    }

    /// Waits until this replica leads.
    pub(crate) async fn led(&self, replica: &Replica) {
        self.led_by(&replica.identity, |holder| holder == replica.identity).await;
    }
}
