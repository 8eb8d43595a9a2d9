//! All resources of all kinds as last seen, by watch or in the answer to a write of our own, whichever is newer.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    key::Key,
    kind::{ConnectionOps, Ops},
    raw::Raw,
    spec::{Common, Lifecycle},
};

/// The kinds that an operator knows.
pub struct Kinds {
    /// What stands for objects.
    pub resources: Vec<&'static dyn Ops>,
    /// What holds the way to an API.
    pub connections: Vec<&'static dyn ConnectionOps>,
}

/// One kind.
#[derive(Clone, Copy)]
pub enum AnyKind {
    /// A kind of resource.
    Resource(&'static dyn Ops),
    /// A kind of connection.
    Connection(&'static dyn ConnectionOps),
}

/// What changed in the cache.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that a user did.
    None,
    /// New, or changed by a user.
    User,
    /// Only the status or the finalizers.
    Ours,
    /// It is gone.
    Gone,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<Key, Arc<Raw>>,
    /// By kind and natural key: who could claim the same object before it exists.
    names: HashMap<(&'static str, String), BTreeSet<Key>>,
    /// By kind and recorded or bound id: who could claim the same object.
    ids: HashMap<(&'static str, String), BTreeSet<Key>>,
}

/// The cache.
pub struct Cache {
    kinds: BTreeMap<&'static str, AnyKind>,
    inner: Mutex<Inner>,
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new(kinds: &Kinds) -> Self {
        let resources = kinds.resources.iter().map(|k| (k.info().kind, AnyKind::Resource(*k)));
        let connections = kinds.connections.iter().map(|k| (k.info().kind, AnyKind::Connection(*k)));
        Self { kinds: resources.chain(connections).collect(), inner: Mutex::default() }
    }

    /// The kind's own static name, if it is known.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<&'static str> {
        self.kinds.get_key_value(name).map(|(k, _)| *k)
    }

    /// A kind by name.
    #[must_use]
    pub fn ops(&self, kind: &str) -> Option<AnyKind> {
        self.kinds.get(kind).copied()
    }

    /// All kinds.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, AnyKind)> + '_ {
        self.kinds.iter().map(|(name, kind)| (*name, *kind))
    }

    /// An object.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Raw>> {
        self.lock().objects.get(key).cloned()
    }

    /// Every object, in the order of keys.
    #[must_use]
    pub fn all(&self) -> Vec<(Key, Arc<Raw>)> {
        self.lock().objects.iter().map(|(k, o)| (k.clone(), o.clone())).collect()
    }

    /// Everyone of a kind with this natural key or id.
    #[must_use]
    pub fn claimants(&self, kind: &'static str, natural_key: Option<&str>, id: Option<&str>) -> Vec<(Key, Arc<Raw>)> {
        let inner = self.lock();
        let by_name = natural_key.and_then(|n| inner.names.get(&(kind, n.to_owned())));
        let by_id = id.and_then(|i| inner.ids.get(&(kind, i.to_owned())));
        let keys: BTreeSet<&Key> = by_name.into_iter().chain(by_id).flatten().collect();
        keys.into_iter().filter_map(|k| Some((k.clone(), inner.objects.get(k)?.clone()))).collect()
    }

    /// The live object of a kind with this UID.
    #[must_use]
    pub fn by_uid(&self, kind: &'static str, uid: &str) -> Option<Key> {
        self.lock().objects.iter().find(|(k, o)| k.kind == kind && o.uid() == uid).map(|(k, _)| k.clone())
    }

    /// Takes what a watch saw. An event older than what is known of the same UID is dropped.
    pub fn saw(&self, key: &Key, object: Raw) -> Change {
        let mut inner = self.lock();
        let change = match inner.objects.get(key) {
            Some(old) if old.uid() == object.uid() && old.version() >= object.version() => return Change::None,
            Some(old) if old.is_same_for_users(&object) => Change::Ours,
            _ => Change::User,
        };
        self.insert(&mut inner, key, object);
        change
    }

    /// Takes the answer to a write of our own. It never brings an object back that is gone. The answer may show what a user did just
    /// before, and no watch will tell of that again.
    pub fn wrote(&self, key: &Key, object: Raw) -> Change {
        let mut inner = self.lock();
        let change = match inner.objects.get(key) {
            Some(old) if old.uid() == object.uid() && old.version() < object.version() => {
                if old.is_same_for_users(&object) { Change::Ours } else { Change::User }
            }
            _ => return Change::None,
        };
        self.insert(&mut inner, key, object);
        change
    }

    /// A watch saw the end of an object.
    pub fn gone(&self, key: &Key, uid: Option<&str>) -> Change {
        let mut inner = self.lock();
        match inner.objects.get(key) {
            Some(old) if uid.is_none_or(|uid| uid == old.uid()) => {
                self.remove(&mut inner, key);
                Change::Gone
            }
            _ => Change::None,
        }
    }

    /// The objects of a kind in a namespace (or all) that a complete listing did not show.
    #[must_use]
    pub fn unseen(&self, kind: &'static str, namespace: Option<&str>, seen: &BTreeSet<Key>) -> Vec<Key> {
        let inner = self.lock();
        let of_kind = inner.objects.keys().filter(|k| k.kind == kind && namespace.is_none_or(|n| *n == *k.namespace));
        of_kind.filter(|k| !seen.contains(*k)).cloned().collect()
    }

    fn insert(&self, inner: &mut Inner, key: &Key, object: Raw) {
        self.remove(inner, key);
        for (index, entry) in self.index(key, &object) {
            let map = if index { &mut inner.names } else { &mut inner.ids };
            map.entry((key.kind, entry)).or_default().insert(key.clone());
        }
        inner.objects.insert(key.clone(), Arc::new(object));
    }

    fn remove(&self, inner: &mut Inner, key: &Key) {
        let Some(old) = inner.objects.remove(key) else { return };
        for (index, entry) in self.index(key, &old) {
            let map = if index { &mut inner.names } else { &mut inner.ids };
            let slot = (key.kind, entry);
            if let Some(keys) = map.get_mut(&slot) {
                keys.remove(key);
                if keys.is_empty() {
                    map.remove(&slot);
                }
            }
        }
    }

    /// The entries of an object in the index of names (true) and of ids (false).
    fn index(&self, key: &Key, object: &Raw) -> Vec<(bool, String)> {
        let Some(AnyKind::Resource(ops)) = self.kinds.get(key.kind) else { return Vec::new() };
        let Lifecycle { id: bound, .. } = object.spec::<Common>().unwrap_or_default().lifecycle;
        let name = ops.natural_key(object).map(|name| (true, name));
        let ids = object.status().id.into_iter().chain(Some(bound).filter(|b| !b.is_empty()));
        let ids = ids.chain(ops.chosen_id(object)).map(|id| (false, id));
        name.into_iter().chain(ids).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn portal(version: u64, generation: i64) -> Raw {
        let metadata = json!({"namespace": "n", "name": "a", "uid": "u", "resourceVersion": version.to_string(), "generation": generation});
        serde_json::from_value(json!({"apiVersion": "g/v1", "kind": "Portal", "metadata": metadata, "spec": {}}))
            .unwrap()
    }

    #[test]
    fn a_users_change_that_our_own_answer_shows_first_is_told_once_and_not_lost() {
        let cache = Cache::new(&Kinds { resources: Vec::new(), connections: Vec::new() });
        let key = Key::new("Portal", "n", "a");
        assert_eq!(cache.saw(&key, portal(10, 1)), Change::User);
        // The user wrote version 11; the answer to our status write is 12 and shows it.
        assert_eq!(cache.wrote(&key, portal(12, 2)), Change::User);
        assert_eq!(cache.saw(&key, portal(11, 2)), Change::None);
        assert_eq!(cache.saw(&key, portal(12, 2)), Change::None);
        assert_eq!(cache.wrote(&key, portal(13, 2)), Change::Ours);
    }

    #[test]
    fn our_own_answer_never_brings_back_what_is_gone() {
        let cache = Cache::new(&Kinds { resources: Vec::new(), connections: Vec::new() });
        let key = Key::new("Portal", "n", "a");
        cache.saw(&key, portal(10, 1));
        assert_eq!(cache.gone(&key, Some("u")), Change::Gone);
        assert_eq!(cache.wrote(&key, portal(12, 1)), Change::None);
        assert!(cache.get(&key).is_none());
    }
}
