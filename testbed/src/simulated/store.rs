//! What is stored: the objects, the log of their changes, and one version for all.
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    apply::Manager,
    controllers::{Run, Task},
    direct::Write,
    meta,
    resource::{self, Builtin, Resource},
    seam::{Now, Seam},
    watch::Watches,
    write::Caller,
};

/// An object as it is stored: without its version, and without defaults that nobody wrote.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) value: Arc<Value>,
    pub(super) version: u64,
    pub(super) managers: Arc<Vec<Manager>>,
}

/// One change of one object.
pub(super) struct Revision {
    pub(super) version: u64,
    pub(super) resource: String,
    pub(super) key: String,
    pub(super) before: Option<Stored>,
    pub(super) after: Option<Stored>,
}

/// Everything that the API server knows.
pub(super) struct State {
    /// The version of the last change; all kinds share the counter, as in etcd.
    pub(super) version: u64,
    /// What happened up to this version is not known any more.
    pub(super) compacted: u64,
    /// By id.
    pub(super) resources: BTreeMap<String, Arc<Resource>>,
    /// Since which version the resource of a CRD is served as it is now.
    since: BTreeMap<String, u64>,
    /// By resource and key.
    pub(super) objects: BTreeMap<String, BTreeMap<String, Stored>>,
    pub(super) log: VecDeque<Revision>,
    pub(super) watches: Watches,
    /// Who names a UID as its owner, by resource and key.
    pub(super) owned: BTreeMap<String, BTreeSet<(String, String)>>,
    /// What the controllers have to do, and when.
    pub(super) tasks: BTreeMap<Task, Instant>,
    /// Deletions that the controllers are in the middle of.
    pub(super) runs: BTreeMap<Task, Run>,
    pub(super) history: Vec<Write>,
    pub(super) random: fastrand::Rng,
    now: Now,
}

impl State {
    pub(super) fn new(seam: &Seam) -> Self {
        let resources = resource::builtins().map(|resource| (resource.id.clone(), Arc::new(resource))).collect();
        let mut state = Self {
            version: 1,
            compacted: 0,
            resources,
            since: BTreeMap::new(),
            objects: BTreeMap::new(),
            log: VecDeque::new(),
            watches: Watches::default(),
            owned: BTreeMap::new(),
            tasks: BTreeMap::new(),
            runs: BTreeMap::new(),
            history: Vec::new(),
            random: fastrand::Rng::with_seed(seam.seed),
            now: seam.now.clone(),
        };
        let namespaces = state.resource("namespaces").expect("it is built in");
        // As every cluster has them.
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            state.create(Caller::new("kube-apiserver"), &namespaces, "", namespace).expect("nothing is there yet");
        }
        state
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// A resource that is known to be served.
    pub(super) fn resource(&self, id: &str) -> Option<Arc<Resource>> {
        self.resources.get(id).cloned()
    }

    pub(super) fn stored(&self, resource: &str, key: &str) -> Option<&Stored> {
        self.objects.get(resource)?.get(key)
    }

    /// An object of any kind, as it is shown.
    pub(super) fn view(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Value> {
        self.stored(&resource.id, &resource.key(namespace, name)).map(|stored| resource.view(stored))
    }

    /// Writes an object, or removes it. Returns the version of the change.
    pub(super) fn commit(&mut self, resource: &Resource, key: &str, after: Option<(Value, Arc<Vec<Manager>>)>) -> u64 {
        self.version += 1;
        let version = self.version;
        let after = after.map(|(value, managers)| Stored { value: Arc::new(value), version, managers });
        let objects = self.objects.entry(resource.id.clone()).or_default();
        let before = match &after {
            Some(stored) => objects.insert(key.to_owned(), stored.clone()),
            None => objects.remove(key),
        };
        let revision = Revision { version, resource: resource.id.clone(), key: key.to_owned(), before, after };
        self.watches.tell(resource, &revision);
        self.index_owners(&revision);
        self.follow_up(resource, &revision);
        if resource.builtin == Some(Builtin::Definition) {
            let before = revision.before.as_ref().map(|stored| &*stored.value);
            self.serve_definition(before, revision.after.as_ref().map(|stored| &*stored.value));
        }
        self.log.push_back(revision);
        version
    }

    /// The oldest version from which a resource can be watched. A CRD that is new, or is changed, has a watch cache of its own, which knows
    /// of nothing that was before (`cacher.go`).
    pub(super) fn oldest(&self, resource: &str) -> u64 {
        self.compacted.max(self.since.get(resource).copied().unwrap_or_default())
    }

    /// The objects of a resource as they were at a version that is not compacted.
    pub(super) fn objects_at(&self, resource: &str, version: u64) -> BTreeMap<String, Stored> {
        let mut objects = self.objects.get(resource).cloned().unwrap_or_default();
        let later = self.log.iter().rev().take_while(|revision| revision.version > version);
        for revision in later.filter(|revision| revision.resource == resource) {
            match &revision.before {
                Some(before) => objects.insert(revision.key.clone(), before.clone()),
                None => objects.remove(&revision.key),
            };
        }
        objects
    }

    /// Forgets what happened up to a version.
    pub(super) fn compact(&mut self, version: u64) {
        self.compacted = self.compacted.max(version.min(self.version));
        let compacted = self.compacted;
        while self.log.front().is_some_and(|revision| revision.version <= compacted) {
            self.log.pop_front();
        }
    }

    fn index_owners(&mut self, revision: &Revision) {
        let uids = |stored: Option<&Stored>| -> Vec<String> {
            stored.into_iter().flat_map(|stored| meta::owners(&stored.value)).map(|owner| owner.uid).collect()
        };
        let (before, after) = (uids(revision.before.as_ref()), uids(revision.after.as_ref()));
        let place = (revision.resource.clone(), revision.key.clone());
        for uid in before.iter().filter(|uid| !after.contains(uid)) {
            if let Some(dependents) = self.owned.get_mut(uid) {
                dependents.remove(&place);
            }
        }
        for uid in after {
            self.owned.entry(uid).or_default().insert(place.clone());
        }
    }

    /// Serves what a CRD defines, anew where it changed, or not any more. Whoever watches it has to start again then.
    fn serve_definition(&mut self, before: Option<&Value>, after: Option<&Value>) {
        let old = before.and_then(resource::of_definition);
        let new = after.and_then(resource::of_definition);
        let differs = match (&old, &new) {
            (Some(old), Some(new)) => Resource { terminating: new.terminating, ..old.clone() } != *new,
            _ => true,
        };
        if let Some(old) = old.filter(|_| differs) {
            self.resources.remove(&old.id);
            self.watches.close(&old.id);
        }
        if let Some(new) = new {
            if differs {
                self.since.insert(new.id.clone(), self.version);
            }
            self.resources.insert(new.id.clone(), Arc::new(new));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new(&Seam::on_tokio_time(Timestamp::UNIX_EPOCH, 1))
    }

    fn put(state: &mut State, name: &str, value: &str) -> u64 {
        let maps = state.resource("configmaps").unwrap();
        let map = json!({"metadata": {"name": name, "namespace": "default"}, "data": {"x": value}});
        state.commit(&maps, &format!("default/{name}"), Some((map, Arc::default())))
    }

    #[test]
    fn every_change_has_a_version_of_its_own_and_the_past_can_be_read() {
        let mut state = state();
        let first = put(&mut state, "a", "1");
        let second = put(&mut state, "b", "1");
        let third = put(&mut state, "a", "2");
        assert!(first < second && second < third);
        let maps = state.resource("configmaps").unwrap();
        let last = state.commit(&maps, "default/a", None);
        assert_eq!(state.objects_at("configmaps", first).keys().collect::<Vec<_>>(), ["default/a"]);
        assert_eq!(state.objects_at("configmaps", third)["default/a"].value["data"]["x"], "2");
        assert_eq!(state.objects_at("configmaps", second)["default/a"].version, first);
        assert!(!state.objects_at("configmaps", last).contains_key("default/a"));
        state.compact(third);
        assert_eq!((state.compacted, state.log.len()), (third, 1));
    }

    #[test]
    fn a_new_cluster_has_its_namespaces() {
        let state = state();
        let namespaces = state.resource("namespaces").unwrap();
        let system = state.view(&namespaces, "", "kube-system").unwrap();
        assert_eq!(system["status"]["phase"], "Active");
        assert!(!system["metadata"]["uid"].as_str().unwrap().is_empty());
        assert!(state.history.is_empty());
    }
}
