//! The operator as a value: made from its seams, run until shutdown, dropped at any moment, and made again.
use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use kube::Client;
use tokio::{task::JoinSet, time::Instant};

use super::{
    cache::{AnyKind, Kinds},
    connect::ConnectionPass,
    core::{Clock, Engine, Parts},
    done::Outcome,
    events::Events,
    health::Health,
    key::Key,
    kubernetes::Kubernetes,
    lease::{self, Lease},
    metrics::Metrics,
    own::{Entropy, SystemEntropy},
    pass::Pass,
    queue::{Cause, Lane},
    report::backoff,
    settings::Settings,
    stop::Judgement,
    watch,
    working::while_working,
};
use crate::remote::HttpFactory;

/// An operator that has not been started.
pub struct Operator {
    client: Client,
    http: Arc<dyn HttpFactory>,
    clock: Arc<dyn Clock>,
    seed: u64,
    entropy: Arc<dyn Entropy>,
    settings: Settings,
    kinds: Kinds,
    health: Health,
    metrics: Arc<Metrics>,
}

/// Why an operator ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Shutdown,
    /// Another replica leads, or may lead soon.
    LeaseLost,
}

impl Operator {
    /// An operator from its seams: both networks, time and randomness enter here and nowhere else.
    #[must_use]
    pub fn new(
        client: Client,
        http: Arc<dyn HttpFactory>,
        clock: Arc<dyn Clock>,
        seed: u64,
        settings: Settings,
        kinds: Kinds,
    ) -> Self {
        Self {
            client,
            http,
            clock,
            seed,
            entropy: Arc::new(SystemEntropy::default()),
            settings,
            kinds,
            health: Health::default(),
            metrics: Arc::default(),
        }
    }

    /// The same with another source for the randomness of secrets; `seed` is for jitter alone.
    #[must_use]
    pub fn with_entropy(self, entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy, ..self }
    }

    /// What is not ready.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Runs until `shutdown`, or until another replica may lead. At a shutdown passes under way are given time to end. When this returns,
    /// nothing of the operator runs any more. Dropping the future ends everything at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Ended {
        let kube = Kubernetes::new(self.client.clone(), self.settings.kube_deadline);
        let mut tasks = JoinSet::new();
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        let (events, send_events) = Events::new(self.client.clone(), self.settings.kube_deadline, clock, entropy);
        tasks.spawn(send_events);
        let mut shutdown = std::pin::pin!(shutdown.fuse());
        // Every `select!` has an order: without one the first branch is drawn by a generator that nobody seeds. Here whoever is asked to end
        // does not begin. Each ends with its first branch that is ready, so that none waits behind another.
        let owner = tokio::select! {
            biased;
            () = &mut shutdown => return Ended::Shutdown,
            owner = owner(&kube, &self.settings) => owner,
        };
        let lease = Arc::new(self.lease());
        let parts = Parts {
            kube,
            http: self.http,
            clock: self.clock,
            seed: self.seed,
            settings: self.settings,
            owner,
            metrics: self.metrics,
            events,
            lease: lease.clone(),
            entropy: self.entropy,
        };
        let engine = Arc::new(Engine::new(parts, &self.kinds));
        spawn_watches(&mut tasks, &engine, &self.health);
        tokio::select! {
            biased;
            () = &mut shutdown => return Ended::Shutdown,
            () = self.health.filled_up() => {},
        }
        // A standby keeps its caches warm, and waits here.
        tokio::select! {
            biased;
            () = &mut shutdown => {
                // A try to lead may be under way.
                lease.release().await;
                return Ended::Shutdown;
            }
            () = lease.acquire() => {},
        }
        engine.queue.begin();
        // Whoever was at work here holds its connection at least.
        engine.gone.begin(engine.cache.all().iter().any(|(_, object)| object.is_held()));
        tracing::info!(owner = engine.owner, "the caches are filled; working");
        for _ in 0..engine.settings.workers {
            tasks.spawn(work(engine.clone()));
        }
        let mut keep = std::pin::pin!(lease.keep());
        // A lost lease counts for more than an end in order: nothing may be sent after it, not even to give the lease back.
        let lost = tokio::select! { biased; () = &mut keep => true, () = &mut shutdown => false };
        engine.queue.close();
        let lost = lost || tokio::select! { biased; () = &mut keep => true, () = passes_end(&engine) => false };
        // Nothing is sent after this: somebody else may lead.
        tasks.shutdown().await;
        if lost {
            tracing::error!("the lease is lost; ending");
            return Ended::LeaseLost;
        }
        lease.release().await;
        tracing::info!("stopped");
        Ended::Shutdown
    }

    fn lease(&self) -> Lease {
        let Some(times) = self.settings.lease else { return Lease::none() };
        let identity = lease::identity(self.settings.host.as_deref(), self.entropy.as_ref());
        let (client, clock) = (self.client.clone(), self.clock.clone());
        Lease::new(client, &self.settings.namespace, identity, times, clock, self.seed)
    }
}

/// Waits until no pass is under way, as long as a shutdown may take.
async fn passes_end(engine: &Engine) {
    let deadline = Instant::now() + engine.settings.shutdown;
    while engine.queue.running() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Who this installation is: as set, or the UID of the namespace kube-system.
async fn owner(kube: &Kubernetes, settings: &Settings) -> String {
    if let Some(owner) = &settings.owner {
        return owner.clone();
    }
    loop {
        match kube.namespace("kube-system").await {
            Ok(Some((uid, _))) => return uid,
            Ok(None) => tracing::warn!("there is no namespace kube-system; set --owner-id"),
            Err(error) => {
                tracing::warn!(%error, "the namespace kube-system cannot be read; set --owner-id, or allow it");
            }
        }
        tokio::time::sleep(settings.backoff.min(Duration::from_secs(5))).await;
    }
}

fn spawn_watches(tasks: &mut JoinSet<()>, engine: &Arc<Engine>, health: &Health) {
    let named = &engine.settings.watch_namespaces;
    let namespaces: Vec<Option<String>> =
        if named.is_empty() { vec![None] } else { named.iter().cloned().map(Some).collect() };
    let infos: Vec<_> = engine
        .cache
        .kinds()
        .map(|(_, kind)| match kind {
            AnyKind::Resource(ops) => ops.info(),
            AnyKind::Connection(ops) => ops.info(),
        })
        .collect();
    health.expect(namespaces.iter().flat_map(|ns| infos.iter().map(|info| watch::name(info, ns.as_deref()))));
    for namespace in namespaces {
        for info in &infos {
            tasks.spawn(watch::kind(engine.clone(), info, namespace.clone(), health.clone()));
        }
        tasks.spawn(watch::secrets(engine.clone(), namespace.clone()));
        tasks.spawn(watch::config_maps(engine.clone(), namespace));
    }
}

/// One worker: the next pass, again and again.
async fn work(engine: Arc<Engine>) {
    while let Some((key, cause, _)) = engine.queue.next().await {
        let started = Instant::now();
        let pass = AssertUnwindSafe(run(&engine, &key, cause)).catch_unwind().await;
        let outcome = pass.unwrap_or_else(|panic| panicked(&engine, &key, panic.as_ref()));
        engine.metrics.pass(key.kind, outcome.word);
        let took = started.elapsed();
        tracing::info!(kind = %key.kind, namespace = %key.namespace, name = %key.name, outcome = %outcome.word, requests = outcome.requests, ?took, "pass");
        engine.queue.done(&key, outcome.later);
    }
}

async fn run(engine: &Arc<Engine>, key: &Key, cause: Cause) -> Outcome {
    let (Some(object), Some(kind)) = (engine.cache.get(key), engine.cache.ops(key.kind)) else {
        return Outcome { word: "gone", requests: 0, later: None };
    };
    let uid = object.uid().to_owned();
    match kind {
        AnyKind::Resource(ops) => {
            let pass = Box::pin(Pass::new(engine, ops, key, object).run(cause));
            while_working(key, &uid, pass).await
        }
        AnyKind::Connection(ops) => {
            let pass = Box::pin(ConnectionPass::new(engine, ops, key, object).run());
            while_working(key, &uid, pass).await
        }
    }
}

/// A panic stops neither the worker nor the siblings (law 11).
fn panicked(engine: &Engine, key: &Key, panic: &(dyn std::any::Any + Send)) -> Outcome {
    let text =
        panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(resource = %key, panic = text.unwrap_or_default(), "a pass panicked: this is a bug in Portico, please report it");
    let uid = engine.cache.get(key).map(|o| o.uid().to_owned()).unwrap_or_default();
    let failures = engine.remember(&uid, |memory| {
        memory.failures += 1;
        memory.failures
    });
    let later = Instant::now() + engine.jitter(backoff(&engine.settings, failures, Judgement::Refused));
    Outcome { word: "panic", requests: 0, later: Some((later, Lane::Retry)) }
}
