//! What `kube-controller-manager` and the controllers inside of `kube-apiserver` do here: empty namespaces and CRDs that are being deleted,
//! and collect what belonged to objects that are gone.
//!
//! They take their time, drawn from the seed: kinds in any order, objects one after the other, so that a client can act in between.
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{
    Simulated, builtin,
    delete::Options,
    fault::Verb,
    meta,
    resource::{self, Builtin, Resource},
    store::{Revision, State},
    write::{Done, Target},
};

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    EmptyNamespace(String),
    EmptyDefinition(String),
    /// Delete an object, by resource and key, if its owners are gone.
    Collect(String, String),
    /// Go on with the dependents of an object that is being deleted.
    Dependents(String, String),
}

/// What is left to delete, by resource and key.
pub(super) struct Run {
    todo: VecDeque<(String, String)>,
    /// Whether something was still there after it was deleted.
    held: bool,
}

const NAMESPACE_CONTROLLER: &str = "namespace-controller";
const CRD_FINALIZER: &str = "crd-finalizer";
const GARBAGE_COLLECTOR: &str = "garbage-collector";

/// The namespace controller waits so long after a namespace changed (`namespaceDeletionGracePeriod`).
const NAMESPACE_GRACE: Duration = Duration::from_secs(5);
/// So often, in seconds, it looks again at a namespace in which something is held by finalizers.
const NAMESPACE_AGAIN: std::ops::RangeInclusive<u64> = 5..=8;
/// So often the objects of a CRD that is being deleted are counted.
const DEFINITION_AGAIN: Duration = Duration::from_secs(5);
/// Most of the time between two steps of a controller, in milliseconds.
const STEP: u64 = 10;
/// Most of the time that the garbage collector takes to notice something, in milliseconds.
const NOTICE: u64 = 500;

/// How an object stands to what it belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Solid,
    /// It waits until its dependents are deleted.
    Waiting,
    Gone,
    /// Its kind is not served, so nobody knows.
    Unknown,
}

impl Simulated {
    /// The controllers: without them a namespace that is deleted stays for ever, and so does what belonged to objects that are gone. Never
    /// returns; spawn it beside the rest of a world.
    pub fn controllers(&self) -> impl Future<Output = ()> + Send + use<> {
        run(self.clone())
    }
}

async fn run(server: Simulated) {
    loop {
        let changed = server.shared.changed.notified();
        match server.with(State::work) {
            // Without an order the first branch is drawn by a generator that nobody seeds.
            Some(at) => tokio::select! {
                biased;
                () = changed => {}
                () = sleep_until(at) => {}
            },
            None => changed.await,
        }
    }
}

impl State {
    fn schedule(&mut self, task: Task, delay: Duration) {
        let at = Instant::now() + delay;
        let due = self.tasks.entry(task).or_insert(at);
        *due = at.min(*due);
    }

    fn soon(&mut self, task: Task, most: u64) {
        let delay = Duration::from_millis(self.random.u64(..=most));
        self.schedule(task, delay);
    }

    /// Notes what a change gives the controllers to do.
    pub(super) fn follow_up(&mut self, resource: &Resource, revision: &Revision) {
        let (id, key) = (revision.resource.clone(), revision.key.clone());
        let Some(after) = revision.after.as_ref().map(|stored| stored.value.clone()) else {
            return self.follow_removal(resource, revision);
        };
        if meta::is_deleting(&after) {
            match resource.builtin {
                Some(Builtin::Namespace) => self.schedule(Task::EmptyNamespace(key.clone()), NAMESPACE_GRACE),
                Some(Builtin::Definition) => self.soon(Task::EmptyDefinition(key.clone()), STEP),
                _ => {}
            }
            if meta::finalizers(&after).iter().any(|f| [meta::ORPHAN, meta::FOREGROUND].contains(f)) {
                self.soon(Task::Dependents(id, key), NOTICE);
            }
        } else if !after["metadata"]["ownerReferences"].is_null() {
            self.soon(Task::Collect(id, key), NOTICE);
        }
    }

    fn follow_removal(&mut self, resource: &Resource, revision: &Revision) {
        let Some(before) = revision.before.as_ref().map(|stored| stored.value.clone()) else { return };
        let dependents = self.owned.get(meta::text(&before, "uid")).cloned().unwrap_or_default();
        for (id, key) in dependents {
            self.soon(Task::Collect(id, key), NOTICE);
        }
        for owner in meta::owners(&before) {
            let namespace = if resource.namespaced { meta::text(&before, "namespace") } else { "" };
            if let Some(owned_by) = self.kind(&owner) {
                self.soon(Task::Dependents(owned_by.id.clone(), owned_by.key(namespace, &owner.name)), NOTICE);
            }
        }
    }

    /// Does what is due. Returns when there is more to do.
    pub(super) fn work(&mut self) -> Option<Instant> {
        loop {
            let (at, task) = self.tasks.iter().map(|(task, at)| (*at, task.clone())).min()?;
            if at > Instant::now() {
                return Some(at);
            }
            self.tasks.remove(&task);
            match &task {
                Task::EmptyNamespace(name) => self.empty_namespace(&task, name),
                Task::EmptyDefinition(name) => self.empty_definition(&task, name),
                Task::Collect(id, key) => self.collect(id, key),
                Task::Dependents(id, key) => self.go_on_with_dependents(id, key),
            }
        }
    }

    fn empty_namespace(&mut self, task: &Task, name: &str) {
        let Some(namespaces) = self.resource("namespaces") else { return };
        let is_ours = |namespace: &Value| {
            let finalizers = builtin::texts(&namespace["spec"]["finalizers"]);
            meta::is_deleting(namespace) && finalizers.iter().any(|f| f == builtin::NAMESPACE_FINALIZER)
        };
        if !self.stored("namespaces", name).is_some_and(|stored| is_ours(&stored.value)) {
            return;
        }
        let prefix = format!("{name}/");
        if !self.runs.contains_key(task) {
            let todo = self.contents(&prefix, |resource| resource.namespaced);
            self.runs.insert(task.clone(), Run { todo, held: false });
        }
        if self.delete_next(task, NAMESPACE_CONTROLLER) {
            return self.soon(task.clone(), STEP);
        }
        // What was held when it was looked at is looked for again, even if it is gone by now (`deleteAllContent` only estimates).
        let held = self.runs.remove(task).is_some_and(|run| run.held);
        if held || !self.contents(&prefix, |resource| resource.namespaced).is_empty() {
            let again = Duration::from_secs(self.random.u64(NAMESPACE_AGAIN));
            return self.schedule(task.clone(), again);
        }
        let target = Target { resource: &namespaces, namespace: "", name, subresource: "finalize" };
        self.rewrite_as(NAMESPACE_CONTROLLER, Verb::Update, &target, |namespace| {
            let mut finalizers = builtin::texts(&namespace["spec"]["finalizers"]);
            finalizers.retain(|finalizer| finalizer != builtin::NAMESPACE_FINALIZER);
            namespace["spec"] = if finalizers.is_empty() { json!({}) } else { json!({"finalizers": finalizers}) };
        });
    }

    fn empty_definition(&mut self, task: &Task, name: &str) {
        let Some(definitions) = self.resource("customresourcedefinitions.apiextensions.k8s.io") else { return };
        let Some(definition) = self.stored(&definitions.id, name).map(|stored| stored.value.clone()) else { return };
        if !meta::is_deleting(&definition) || !meta::finalizers(&definition).contains(&builtin::DEFINITION_FINALIZER) {
            return;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (group, plural) = (text(&definition["spec"]["group"]), text(&definition["spec"]["names"]["plural"]));
        let custom = resource::id(&group, &plural);
        let target = Target { resource: &definitions, namespace: "", name, subresource: "status" };
        let now = meta::time(self.now());
        if !self.runs.contains_key(task) {
            let message = "CustomResource deletion is in progress";
            let progress = builtin::condition("Terminating", "True", "InstanceDeletionInProgress", message, &now);
            self.rewrite_as(CRD_FINALIZER, Verb::Update, &target, |definition| {
                builtin::set_condition(definition, &progress);
            });
            let todo = self.contents("", |resource| resource.id == custom);
            self.runs.insert(task.clone(), Run { todo, held: false });
        }
        if self.delete_next(task, CRD_FINALIZER) {
            return self.soon(task.clone(), STEP);
        }
        self.runs.remove(task);
        if !self.contents("", |resource| resource.id == custom).is_empty() {
            return self.schedule(task.clone(), DEFINITION_AGAIN);
        }
        let done =
            builtin::condition("Terminating", "False", "InstanceDeletionCompleted", "removed all instances", &now);
        self.rewrite_as(CRD_FINALIZER, Verb::Update, &target, |definition| {
            builtin::set_condition(definition, &done);
            remove_finalizer(definition, builtin::DEFINITION_FINALIZER);
        });
    }

    /// What the chosen resources have under a prefix, the resources in an order that nobody can rely on.
    fn contents(&mut self, prefix: &str, chosen: impl Fn(&Resource) -> bool) -> VecDeque<(String, String)> {
        let chosen = self.resources.values().filter(|resource| chosen(resource));
        let mut kinds: Vec<String> = chosen.map(|resource| resource.id.clone()).collect();
        self.random.shuffle(&mut kinds);
        let mut found = VecDeque::new();
        for kind in kinds {
            let keys = self.objects.get(&kind).into_iter().flat_map(BTreeMap::keys);
            found.extend(keys.filter(|key| key.starts_with(prefix)).map(|key| (kind.clone(), key.clone())));
        }
        found
    }

    /// Deletes the next object of a run; false where none is left.
    fn delete_next(&mut self, task: &Task, actor: &str) -> bool {
        let next = self.runs.get_mut(task).and_then(|run| run.todo.pop_front());
        let Some((id, key)) = next else { return false };
        self.delete_as(actor, &id, &key, &Options::background());
        let held = self.stored(&id, &key).is_some();
        if let Some(run) = self.runs.get_mut(task) {
            run.held |= held;
        }
        true
    }

    fn delete_as(&mut self, actor: &str, id: &str, key: &str, options: &Options) {
        // It may be gone meanwhile, or its kind may not be served any more.
        let Some(resource) = self.resource(id).filter(|_| self.stored(id, key).is_some()) else { return };
        let (namespace, name) = split(key);
        let target = Target { resource: &resource, namespace, name, subresource: "" };
        let result = self.delete(&target, options);
        self.record(actor, Verb::Delete, &target, &result);
    }

    fn rewrite_as(&mut self, actor: &str, verb: Verb, target: &Target, change: impl FnOnce(&mut Value)) {
        let uid = self.stored(&target.resource.id, &target.key()).map(|stored| stored.value["metadata"]["uid"].clone());
        let version = self.rewrite(target.resource, target.namespace, target.name, change);
        let body = json!({"metadata": {"uid": uid}});
        self.record(actor, verb, target, &Ok(Done { code: 200, body, version }));
    }

    fn kind(&self, owner: &OwnerReference) -> Option<Arc<Resource>> {
        let mut resources = self.resources.values();
        resources.find(|r| r.kind == owner.kind && r.api_version() == owner.api_version).cloned()
    }

    fn owner(&self, dependent: &Resource, namespace: &str, owner: &OwnerReference) -> Owner {
        let Some(kind) = self.kind(owner).filter(|kind| dependent.namespaced || !kind.namespaced) else {
            return Owner::Unknown;
        };
        match self.stored(&kind.id, &kind.key(namespace, &owner.name)) {
            Some(found) if meta::text(&found.value, "uid") != owner.uid => Owner::Gone,
            Some(found)
                if meta::is_deleting(&found.value) && meta::finalizers(&found.value).contains(&meta::FOREGROUND) =>
            {
                Owner::Waiting
            }
            Some(_) => Owner::Solid,
            None => Owner::Gone,
        }
    }

    fn collect(&mut self, id: &str, key: &str) {
        let Some(resource) = self.resource(id) else { return };
        let Some(object) = self.stored(id, key).map(|stored| stored.value.clone()) else { return };
        let (namespace, name) = split(key);
        let owners = meta::owners(&object);
        if meta::is_deleting(&object) || owners.is_empty() {
            return;
        }
        let states: Vec<Owner> = owners.iter().map(|owner| self.owner(&resource, namespace, owner)).collect();
        if states.contains(&Owner::Unknown) {
            return;
        }
        if states.contains(&Owner::Solid) {
            let solid = owners.into_iter().zip(&states).filter(|(_, state)| **state == Owner::Solid);
            let solid: Vec<OwnerReference> = solid.map(|(owner, _)| owner).collect();
            if solid.len() < states.len() {
                let target = Target { resource: &resource, namespace, name, subresource: "" };
                self.rewrite_as(GARBAGE_COLLECTOR, Verb::Patch, &target, |object| meta::set_owners(object, &solid));
            }
            return;
        }
        let has_dependents = self.owned.get(meta::text(&object, "uid")).is_some_and(|owned| !owned.is_empty());
        let finalizers = meta::finalizers(&object);
        let waits = states.contains(&Owner::Waiting) && has_dependents;
        let policy = if waits || finalizers.contains(&meta::FOREGROUND) {
            "Foreground"
        } else if finalizers.contains(&meta::ORPHAN) {
            "Orphan"
        } else {
            "Background"
        };
        let options = Options::parse(&json!({"propagationPolicy": policy}));
        self.delete_as(GARBAGE_COLLECTOR, id, key, &options);
    }

    fn go_on_with_dependents(&mut self, id: &str, key: &str) {
        let Some(resource) = self.resource(id) else { return };
        let Some(object) = self.stored(id, key).map(|stored| stored.value.clone()) else { return };
        let finalizers = meta::finalizers(&object);
        if !meta::is_deleting(&object) {
            return;
        }
        let uid = meta::text(&object, "uid").to_owned();
        let dependents = self.owned.get(&uid).cloned().unwrap_or_default();
        let (namespace, name) = split(key);
        let target = Target { resource: &resource, namespace, name, subresource: "" };
        if finalizers.contains(&meta::ORPHAN) {
            for (id, key) in dependents {
                let Some(resource) = self.resource(&id) else { continue };
                let (namespace, name) = split(&key);
                let target = Target { resource: &resource, namespace, name, subresource: "" };
                self.rewrite_as(GARBAGE_COLLECTOR, Verb::Patch, &target, |object| {
                    let mut owners = meta::owners(object);
                    owners.retain(|owner| owner.uid != uid);
                    meta::set_owners(object, &owners);
                });
            }
            return self.rewrite_as(GARBAGE_COLLECTOR, Verb::Patch, &target, |object| {
                remove_finalizer(object, meta::ORPHAN);
            });
        }
        if !finalizers.contains(&meta::FOREGROUND) {
            return;
        }
        let blocks = |(id, key): &&(String, String)| {
            let owners = self.stored(id, key).map(|stored| meta::owners(&stored.value)).unwrap_or_default();
            owners.iter().any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
        };
        let blocking: Vec<(String, String)> = dependents.iter().filter(blocks).cloned().collect();
        if blocking.is_empty() {
            return self.rewrite_as(GARBAGE_COLLECTOR, Verb::Patch, &target, |object| {
                remove_finalizer(object, meta::FOREGROUND);
            });
        }
        for (id, key) in blocking {
            self.soon(Task::Collect(id, key), NOTICE);
        }
    }
}

fn remove_finalizer(object: &mut Value, finalizer: &str) {
    let mut finalizers = builtin::texts(&object["metadata"]["finalizers"]);
    finalizers.retain(|other| other != finalizer);
    meta::set_finalizers(object, &finalizers);
}

/// The namespace and the name in a key.
fn split(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}

#[cfg(test)]
#[path = "controllers_tests.rs"]
mod tests;
