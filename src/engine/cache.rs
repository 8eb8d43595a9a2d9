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
    /// The status, by a watch: no answer to a write of our own has shown it.
    Status,
    /// Only what we write, and know of: a status that an answer showed, finalizers.
    Ours,
    /// It is gone.
    Gone,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<Key, Arc<Raw>>,
    /// By kind and claim: who could claim the same.
    claims: HashMap<(&'static str, Entry), BTreeSet<Key>>,
    /// The UIDs of which an answer to a write of our own has shown the end, and no watch yet.
    ended: BTreeMap<Key, String>,
}

/// Something that a resource claims.
#[derive(PartialEq, Eq, Hash)]
enum Entry {
    /// Its natural key: who could claim the same object before it exists.
    Name(String),
    /// A recorded, bound or chosen id: who could claim the same object.
    Id(String),
    /// What only one object of a collection can have.
    Exclusive(&'static str),
    /// The namespace and name of the Secret that it has recorded as the one of its credentials.
    Output(String, String),
}

impl Inner {
    /// Everyone of a kind with one of these entries.
    fn find(&self, kind: &'static str, entries: impl IntoIterator<Item = Entry>) -> Vec<(Key, Arc<Raw>)> {
        let found = entries.into_iter().filter_map(|entry| self.claims.get(&(kind, entry)));
        let keys: BTreeSet<&Key> = found.flatten().collect();
        keys.into_iter().filter_map(|key| Some((key.clone(), self.objects.get(key)?.clone()))).collect()
    }
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

    /// Every object of a kind, in the order of keys.
    #[must_use]
    pub fn of_kind(&self, kind: &'static str) -> Vec<(Key, Arc<Raw>)> {
        let inner = self.lock();
        let found = inner.objects.range(Key::new(kind, "", "")..).take_while(|(key, _)| key.kind == kind);
        found.map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    /// Everyone of a kind with this natural key or id.
    #[must_use]
    pub fn claimants(&self, kind: &'static str, natural_key: Option<&str>, id: Option<&str>) -> Vec<(Key, Arc<Raw>)> {
        let by_name = natural_key.map(|name| Entry::Name(name.to_owned()));
        let by_id = id.map(|id| Entry::Id(id.to_lowercase()));
        self.lock().find(kind, by_name.into_iter().chain(by_id))
    }

    /// Everyone of a kind that asks for what only one object of a collection can have: [`Kind::exclusive`](super::kind::Kind::exclusive).
    #[must_use]
    pub fn contenders(&self, kind: &'static str, field: &'static str) -> Vec<(Key, Arc<Raw>)> {
        self.lock().find(kind, [Entry::Exclusive(field)])
    }

    /// Everyone who has recorded that its credentials are handed out in this Secret.
    #[must_use]
    pub fn handing_out(&self, namespace: &str, secret: &str) -> Vec<(Key, Arc<Raw>)> {
        let inner = self.lock();
        let output = || Entry::Output(namespace.to_owned(), secret.to_owned());
        self.kinds().flat_map(|(kind, _)| inner.find(kind, [output()])).collect()
    }

    /// The live object of a kind with this UID.
    #[must_use]
    pub fn by_uid(&self, kind: &'static str, uid: &str) -> Option<Key> {
        self.lock().objects.iter().find(|(k, o)| k.kind == kind && o.uid() == uid).map(|(k, _)| k.clone())
    }

    /// Takes what a watch saw. An event older than what is known of the same UID is dropped, and one of a UID that has ended: a watch that
    /// lags tells of what was before that.
    pub fn saw(&self, key: &Key, object: Raw) -> Change {
        let mut inner = self.lock();
        if inner.ended.get(key).is_some_and(|uid| uid == object.uid()) {
            return Change::None;
        }
        // Whoever has the name now came after the one that ended.
        inner.ended.remove(key);
        let change = match inner.objects.get(key) {
            Some(old) if old.uid() == object.uid() && old.version() >= object.version() => return Change::None,
            Some(old) if !old.is_same_for_users(&object) => Change::User,
            Some(old) if old.status_value() != object.status_value() => Change::Status,
            Some(_) => Change::Ours,
            None => Change::User,
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

    /// An answer to a write of our own showed the end of an object. No watch brings it back from then on.
    pub fn ends(&self, key: &Key, uid: &str) {
        let mut inner = self.lock();
        if inner.objects.get(key).is_some_and(|old| old.uid() == uid) {
            inner.ended.insert(key.clone(), uid.to_owned());
        }
    }

    /// A watch has told of the end of an object, and so of nothing that was before it any more.
    pub fn has_ended(&self, key: &Key, uid: &str) {
        let mut inner = self.lock();
        if inner.ended.get(key).is_some_and(|ended| ended == uid) {
            inner.ended.remove(key);
        }
    }

    /// The objects of a kind in a namespace (or all) that a complete listing did not show. What has ended and is not in it is forgotten: the
    /// watch goes on from the listing.
    #[must_use]
    pub fn unseen(&self, kind: &'static str, namespace: Option<&str>, seen: &BTreeSet<Key>) -> Vec<Key> {
        let mut inner = self.lock();
        let is_listed = |key: &Key| key.kind == kind && namespace.is_none_or(|n| *n == *key.namespace);
        inner.ended.retain(|key, _| !is_listed(key) || seen.contains(key));
        let of_kind = inner.objects.keys().filter(|key| is_listed(key));
        of_kind.filter(|k| !seen.contains(*k)).cloned().collect()
    }

    fn insert(&self, inner: &mut Inner, key: &Key, object: Raw) {
        self.remove(inner, key);
        for entry in self.entries(key, &object) {
            inner.claims.entry((key.kind, entry)).or_default().insert(key.clone());
        }
        inner.objects.insert(key.clone(), Arc::new(object));
    }

    fn remove(&self, inner: &mut Inner, key: &Key) {
        let Some(old) = inner.objects.remove(key) else { return };
        for entry in self.entries(key, &old) {
            let slot = (key.kind, entry);
            if let Some(keys) = inner.claims.get_mut(&slot) {
                keys.remove(key);
                if keys.is_empty() {
                    inner.claims.remove(&slot);
                }
            }
        }
    }

    /// What an object claims.
    fn entries(&self, key: &Key, object: &Raw) -> Vec<Entry> {
        let Some(AnyKind::Resource(ops)) = self.kinds.get(key.kind) else { return Vec::new() };
        let Lifecycle { id: bound, .. } = object.spec::<Common>().unwrap_or_default().lifecycle;
        let name = ops.natural_key(object).map(Entry::Name);
        let status = object.status();
        let output = status.output.map(|secret| Entry::Output(key.namespace.to_string(), secret));
        let ids = status.id.into_iter().chain(Some(bound).filter(|b| !b.is_empty()));
        // Some APIs take an id in capitals for the same. Who looks for one compares what is found here.
        let ids = ids.chain(ops.chosen_id(object)).map(|id| Entry::Id(id.to_lowercase()));
        let exclusive = ops.exclusive(object).map(Entry::Exclusive);
        name.into_iter().chain(ids).chain(exclusive).chain(output).collect()
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
    fn a_status_that_no_answer_has_shown_is_told_and_one_that_an_answer_has_shown_is_not() {
        let cache = Cache::new(&Kinds { resources: Vec::new(), connections: Vec::new() });
        let key = Key::new("Portal", "n", "a");
        let with = |version: u64, id: &str| -> Raw {
            let metadata = json!({"namespace": "n", "name": "a", "uid": "u", "resourceVersion": version.to_string(), "generation": 1});
            let object =
                json!({"apiVersion": "g/v1", "kind": "Portal", "metadata": metadata, "spec": {}, "status": {"id": id}});
            serde_json::from_value(object).unwrap()
        };
        assert_eq!(cache.saw(&key, with(10, "x")), Change::User);
        assert_eq!(cache.wrote(&key, with(11, "y")), Change::Ours);
        assert_eq!(cache.saw(&key, with(11, "y")), Change::None);
        assert_eq!(cache.saw(&key, with(12, "y")), Change::Ours);
        assert_eq!(cache.saw(&key, with(13, "x")), Change::Status);
    }

    #[test]
    fn those_of_a_kind_are_those_of_all_namespaces() {
        let cache = Cache::new(&Kinds { resources: Vec::new(), connections: Vec::new() });
        let keys = [("Other", "n"), ("Portal", "a"), ("Portal", "n"), ("PortalTeam", "n")]
            .map(|(kind, namespace)| Key::new(kind, namespace, "a"));
        for key in &keys {
            cache.saw(key, portal(10, 1));
        }
        let found: Vec<Key> = cache.of_kind("Portal").into_iter().map(|(key, _)| key).collect();
        assert_eq!(found, keys[1..3]);
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

    #[test]
    fn a_watch_that_lags_never_brings_back_what_has_ended() {
        let cache = Cache::new(&Kinds { resources: Vec::new(), connections: Vec::new() });
        let key = Key::new("Portal", "n", "a");
        let end = || {
            assert_eq!(cache.saw(&key, portal(10, 1)), Change::User);
            cache.ends(&key, "u");
            assert_eq!(cache.gone(&key, Some("u")), Change::Gone);
        };
        end();
        assert_eq!(cache.saw(&key, portal(11, 1)), Change::None);
        assert!(cache.get(&key).is_none());
        cache.has_ended(&key, "another");
        assert_eq!(cache.saw(&key, portal(12, 2)), Change::None);
        cache.has_ended(&key, "u");
        end();
        assert!(cache.unseen("Portal", None, &BTreeSet::new()).is_empty());
        assert!(cache.lock().ended.is_empty(), "a complete listing does not show it any more");
        cache.ends(&key, "u");
        assert!(cache.lock().ended.is_empty(), "a watch was faster than our own answer");
    }
}
