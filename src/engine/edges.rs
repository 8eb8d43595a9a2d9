//! Who depends on whom: the reason why nothing polls for a parent.
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::key::{Key, Target};

#[derive(Default)]
struct Inner {
    uses: HashMap<Key, BTreeSet<Target>>,
    used_by: HashMap<Target, BTreeSet<Key>>,
}

/// The edges between resources, and from resources to Secrets and `ConfigMap`s.
#[derive(Default)]
pub struct Edges(Mutex<Inner>);

impl Edges {
    /// What a resource depends on, as its last computation found; true where that is news.
    pub fn set(&self, key: &Key, targets: BTreeSet<Target>) -> bool {
        let mut inner = self.lock();
        if inner.uses.get(key).map_or(targets.is_empty(), |old| *old == targets) {
            return false;
        }
        for old in inner.uses.remove(key).into_iter().flatten() {
            if let Some(keys) = inner.used_by.get_mut(&old) {
                keys.remove(key);
                if keys.is_empty() {
                    inner.used_by.remove(&old);
                }
            }
        }
        for target in &targets {
            inner.used_by.entry(target.clone()).or_default().insert(key.clone());
        }
        if !targets.is_empty() {
            inner.uses.insert(key.clone(), targets);
        }
        true
    }

    /// Who depends on something.
    #[must_use]
    pub fn dependents(&self, target: &Target) -> Vec<Key> {
        self.lock().used_by.get(target).into_iter().flatten().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_that_leaves_the_spec_wakes_nobody() {
        let (edges, me) = (Edges::default(), Key::new("PortalTeam", "n", "t"));
        let secret = |name: &str| Target::Secret("n".into(), name.into());
        edges.set(&me, BTreeSet::from([secret("a"), secret("b")]));
        edges.set(&me, BTreeSet::from([secret("b")]));
        assert!(edges.dependents(&secret("a")).is_empty());
        assert_eq!(edges.dependents(&secret("b")), [me]);
    }
}
