//! Which Secrets hand out whose credentials, as the watch of Secrets shows it. A process that ends between writing such a Secret and recording its
//! name leaves one that no status names; and by the next pass the spec may name another one, or none.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kube::api::ObjectMeta;

use super::{
    pass::Pass,
    spec::annotations::{OUTPUT, OWNER_UID},
};

/// The output Secrets that there are: by namespace and name, the UID of the resource that each says it belongs to. Losing it costs nothing but the
/// chance to find what no status names.
#[derive(Default)]
pub struct HandedOut(Mutex<BTreeMap<String, HashMap<String, String>>>);

impl HandedOut {
    /// A Secret is there. One that a user copied under another name says of itself whose it was copied from: it is the user's.
    pub fn note(&self, metadata: &ObjectMeta) {
        let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else { return };
        let annotation = |key: &str| metadata.annotations.as_ref()?.get(key);
        match annotation(OWNER_UID).filter(|_| annotation(OUTPUT) == Some(name)) {
            Some(uid) => {
                self.lock().entry(namespace.clone()).or_default().insert(name.clone(), uid.clone());
            }
            None => self.forget(namespace, name),
        }
    }

    /// A Secret is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let mut all = self.lock();
        if let Some(names) = all.get_mut(namespace) {
            names.remove(name);
            if names.is_empty() {
                all.remove(namespace);
            }
        }
    }

    /// The names of the Secrets of one resource.
    #[must_use]
    pub fn of(&self, namespace: &str, uid: &str) -> Vec<String> {
        let all = self.lock();
        let names = all.get(namespace).into_iter().flatten();
        names.filter(|(_, owner)| *owner == uid).map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, HashMap<String, String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Whether a create of this output Secret that an earlier process sent may still be on its way: it is not there, or this process has written it.
    pub(super) fn may_be_late(&self, name: &str) -> bool {
        let is_there = self.engine.handed_out.of(&self.key.namespace, self.object.uid()).iter().any(|one| one == name);
        !is_there || self.engine.has_written(&self.key.namespace, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, annotations: &[(&str, &str)]) -> ObjectMeta {
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("shop".to_owned()),
            annotations: Some(annotations.collect()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn only_what_was_written_under_its_name_is_found_by_its_owner() {
        let all = HandedOut::default();
        all.note(&secret("login", &[(OWNER_UID, "u"), (OUTPUT, "login")]));
        all.note(&secret("copy", &[(OWNER_UID, "u"), (OUTPUT, "login")]));
        all.note(&secret("else", &[(OWNER_UID, "v"), (OUTPUT, "else")]));
        all.note(&secret("plain", &[]));
        assert_eq!(all.of("shop", "u"), ["login"]);
        assert!(all.of("other", "u").is_empty());
        all.note(&secret("login", &[(OWNER_UID, "w"), (OUTPUT, "login")]));
        assert!(all.of("shop", "u").is_empty(), "it has another owner by now");
        all.forget("shop", "login");
        all.note(&secret("else", &[]));
        assert!(all.lock().is_empty(), "what is gone is forgotten");
    }
}
