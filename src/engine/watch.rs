//! Watches: they fill the cache and wake who is concerned. A kind whose CRD is missing is switched off until the CRD arrives.
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Resource, ResourceExt,
    api::ObjectMeta,
    core::PartialObjectMeta,
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;

use super::{
    cache::{AnyKind, Change},
    core::Engine,
    health::{Health, Patience},
    key::{Info, Key, Target},
    queue::{Cause, Lane},
    raw::Raw,
    status::conditions,
};

/// The name of a watch in `/readyz`.
#[must_use]
pub fn name(info: &Info, namespace: Option<&str>) -> String {
    namespace.map_or_else(|| info.crd(), |namespace| format!("{} in {namespace}", info.crd()))
}

/// Watches one kind, for ever.
pub async fn kind(engine: Arc<Engine>, info: &'static Info, namespace: Option<String>, health: Health) {
    let client = engine.kube.client().clone();
    let api = match &namespace {
        Some(namespace) => Api::<Raw>::namespaced_with(client, namespace, &info),
        None => Api::<Raw>::all_with(client, &info),
    };
    let (name, crd) = (name(info, namespace.as_deref()), info.crd());
    let start = || watcher(api.clone(), watcher::Config::default()).backoff(Patience::default()).boxed();
    let mut events = start();
    let mut listed = BTreeSet::new();
    let mut first = true;
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                listed.insert(object.key(info));
                apply(&engine, info, object, first);
            }
            Ok(watcher::Event::InitDone) => {
                for key in engine.cache.unseen(info.kind, namespace.as_deref(), &listed) {
                    remove(&engine, &key, None);
                }
                first = false;
                health.filled(&name, &crd);
            }
            Ok(watcher::Event::Apply(object)) => apply(&engine, info, object, false),
            Ok(watcher::Event::Delete(object)) => {
                let key = object.key(info);
                engine.cache.has_ended(&key, object.uid());
                remove(&engine, &key, Some(object.uid()));
            }
            Err(error) if is_not_installed(&error) => {
                // The work begins without this kind. What comes with the CRD was not there before, and others may wait for it.
                first = false;
                health.missing(&name, &crd);
                uninstalled(&engine, info, namespace.as_deref()).await;
                if matches!(error, watcher::Error::WatchStartFailed(_)) {
                    // It would go on from where it broke, whatever has been forgotten: from the beginning.
                    events = start();
                }
            }
            Err(error) => tracing::warn!(watch = name, %error, "a watch failed and is tried again"),
        }
    }
}

/// Where the CRD is certainly gone, all its resources went with it. A watch that was broken then never tells of their end, and whoever waits
/// for that would wait for ever (law 5). An API server that has just started may not serve for a moment what is installed.
async fn uninstalled(engine: &Engine, info: &'static Info, namespace: Option<&str>) {
    let known = engine.cache.unseen(info.kind, namespace, &BTreeSet::new());
    if known.is_empty() || !matches!(engine.kube.is_crd_live(info).await, Ok(false)) {
        return;
    }
    for key in known {
        remove(engine, &key, None);
    }
}

fn is_not_installed(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}

fn apply(engine: &Engine, info: &'static Info, object: Raw, first: bool) {
    let key = object.key(info);
    let before = claimants(engine, &key);
    let status = object.status();
    let accepted = status.observed_generation == Some(object.generation()) && status.is_true(conditions::READY);
    let lane = match (object.is_deleting(), first && accepted) {
        (true, _) => Lane::Deletion,
        (false, true) => Lane::Sweep,
        (false, false) => Lane::User,
    };
    let version = object.version();
    match engine.cache.saw(&key, object) {
        Change::User => {}
        // A write that we gave up waiting for has overwritten a later one, or somebody else wrote: what it says may not be true (law 9).
        Change::Status => {
            engine.queue.restated(&key, version);
            return;
        }
        Change::None | Change::Ours | Change::Gone => return,
    }
    engine.queue.push(&key, lane, if first { Cause::Start } else { Cause::Look });
    if !first {
        engine.wake_dependents(&Target::Resource(key.clone()));
        wake_claimants(engine, &key, &before);
    }
}

/// A resource is gone.
pub(super) fn remove(engine: &Engine, key: &Key, uid: Option<&str>) {
    let before = claimants(engine, key);
    let Some(old) = engine.cache.get(key) else { return };
    if engine.cache.gone(key, uid) != Change::Gone {
        return;
    }
    engine.forget(old.uid());
    engine.edges.set(key, BTreeSet::new());
    if matches!(engine.cache.ops(key.kind), Some(AnyKind::Connection(_))) {
        engine.links.forget(key, old.uid());
    }
    engine.wake_dependents(&Target::Resource(key.clone()));
    wake_claimants(engine, key, &before);
}

/// Who else could claim what this resource claims: its object, what only one object beside it can have, or the Secret that it hands out its
/// credentials in.
pub(super) fn claimants(engine: &Engine, key: &Key) -> Vec<Key> {
    let (Some(object), Some(AnyKind::Resource(ops))) = (engine.cache.get(key), engine.cache.ops(key.kind)) else {
        return Vec::new();
    };
    let status = object.status();
    let (name, id) = (ops.natural_key(&object), status.id.or_else(|| ops.chosen_id(&object)));
    let claimants = engine.cache.claimants(key.kind, name.as_deref(), id.as_deref());
    let contenders = ops.exclusive(&object).map(|field| engine.cache.contenders(key.kind, field));
    let output = status.output.map(|secret| Target::Secret(key.namespace.to_string(), secret));
    let users = output.map(|secret| engine.edges.dependents(&secret)).into_iter().flatten();
    let users = users.filter_map(|user| {
        let other = engine.cache.get(&user)?;
        Some((user, other))
    });
    // These may be many, below other parents: who is Ready waits for nobody.
    let beside = contenders.into_iter().flatten().chain(users);
    let waiting = beside.filter(|(_, other)| !other.status().is_true(conditions::READY));
    claimants.into_iter().chain(waiting).map(|(k, _)| k).collect()
}

/// Wakes those who may now have what another one had.
pub(super) fn wake_claimants(engine: &Engine, key: &Key, claimants: &[Key]) {
    for other in claimants.iter().filter(|other| *other != key) {
        engine.queue.push(other, Lane::Retry, Cause::Start);
    }
}

/// Watches the metadata of Secrets and wakes who uses one that changed. The values are read when they are needed.
pub async fn secrets(engine: Arc<Engine>, namespace: Option<String>) {
    metadata::<Secret>(engine, namespace, Target::Secret, |engine, (namespace, name), secret| match secret {
        Some(secret) => engine.handed_out.note(secret),
        None => engine.handed_out.forget(namespace, name),
    })
    .await;
}

/// Watches the metadata of `ConfigMap`s and wakes who uses one that changed.
pub async fn config_maps(engine: Arc<Engine>, namespace: Option<String>) {
    metadata::<ConfigMap>(engine, namespace, Target::ConfigMap, |_, _, _| ()).await;
}

/// Watches the metadata of one kind. `note`: what else to do about each; none: it is gone.
async fn metadata<K>(
    engine: Arc<Engine>,
    namespace: Option<String>,
    target: fn(String, String) -> Target,
    note: fn(&Engine, &(String, String), Option<&ObjectMeta>),
) where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let client = engine.kube.client().clone();
    let api = match &namespace {
        Some(namespace) => Api::<PartialObjectMeta<K>>::namespaced(client, namespace),
        None => Api::<PartialObjectMeta<K>>::all(client),
    };
    let mut versions: HashMap<(String, String), String> = HashMap::new();
    // Whether the first list is still under way: what it shows was there before anybody looked.
    let mut first = true;
    // What a list that is under way has not shown yet.
    let mut unlisted: BTreeSet<(String, String)> = BTreeSet::new();
    let mut events = watcher(api, watcher::Config::default()).backoff(Patience::default()).boxed();
    while let Some(event) = events.next().await {
        let (object, gone) = match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => (object, false),
            Ok(watcher::Event::Delete(object)) => (object, true),
            Ok(watcher::Event::Init) => {
                unlisted = versions.keys().cloned().collect();
                continue;
            }
            Ok(watcher::Event::InitDone) => {
                first = false;
                // No other event tells of what went while the watch was broken.
                for id in std::mem::take(&mut unlisted) {
                    versions.remove(&id);
                    note(&engine, &id, None);
                    engine.wake_dependents(&target(id.0, id.1));
                }
                continue;
            }
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "a watch failed and is tried again");
                continue;
            }
        };
        let id = (object.namespace().unwrap_or_default(), object.name_any());
        unlisted.remove(&id);
        note(&engine, &id, (!gone).then_some(&object.metadata));
        let version = object.resource_version().unwrap_or_default();
        let changed = if gone {
            versions.remove(&id).is_some()
        } else {
            versions.insert(id.clone(), version.clone()).as_ref() != Some(&version)
        };
        // An answer to our own write has told us already.
        if changed && (gone || !engine.is_own_secret(&id.0, &id.1, &version)) {
            let target = target(id.0, id.1);
            if first {
                engine.introduce(&target);
            } else {
                engine.wake_dependents(&target);
            }
        }
    }
}
