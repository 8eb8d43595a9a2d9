//! Deleting objects, as `registry.Store` of `k8s.io/apiserver` does, and the ways of namespaces and CRDs.
use serde_json::{Value, json};

use super::{
    builtin, meta,
    refusal::{self, Refusal},
    resource::{Builtin, Resource},
    selector::Selector,
    store::{State, Stored},
    write::{Caller, Done, Target},
};

/// These cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// How something is to be deleted.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    uid: Option<String>,
    version: Option<String>,
    policy: Option<String>,
    /// The old word for the policy.
    orphans: Option<bool>,
}

impl Options {
    /// From the body of a request; null where there is none.
    pub(super) fn parse(body: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            uid: text(&body["preconditions"]["uid"]),
            version: text(&body["preconditions"]["resourceVersion"]),
            policy: text(&body["propagationPolicy"]),
            orphans: body["orphanDependents"].as_bool(),
        }
    }

    /// Dependents are deleted afterwards.
    pub(super) fn background() -> Self {
        Self { policy: Some("Background".to_owned()), ..Self::default() }
    }

    /// The finalizers of an object once those that say what becomes of its dependents are set.
    fn finalizers(&self, object: &Value) -> Vec<String> {
        let old = meta::finalizers(object);
        let (orphan, foreground) = match (self.orphans, self.policy.as_deref()) {
            (Some(orphans), _) => (orphans, false),
            (None, Some(policy)) => (policy == "Orphan", policy == "Foreground"),
            (None, None) => {
                let first = old.iter().find(|f| [meta::ORPHAN, meta::FOREGROUND].contains(f));
                (first == Some(&meta::ORPHAN), first == Some(&meta::FOREGROUND))
            }
        };
        let kept = old.into_iter().filter(|f| ![meta::ORPHAN, meta::FOREGROUND].contains(f));
        let orphan = orphan.then_some(meta::ORPHAN);
        let foreground = foreground.then_some(meta::FOREGROUND);
        kept.chain(orphan).chain(foreground).map(str::to_owned).collect()
    }

    /// Whether the object is the one that is meant; `why` words the difference.
    fn check(&self, object: &Value, why: impl Fn(&str, &str, &str) -> Refusal) -> Result<(), Refusal> {
        let pairs = [("UID", &self.uid, "uid"), ("ResourceVersion", &self.version, "resourceVersion")];
        for (word, wanted, field) in pairs {
            let found = meta::text(object, field);
            if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
                return Err(why(word, wanted, found));
            }
        }
        Ok(())
    }
}

impl State {
    pub(super) fn delete(&mut self, target: &Target, options: &Options) -> Result<Done, Refusal> {
        let resource = target.resource;
        let Some(current) = self.stored(&resource.id, &target.key()).cloned() else {
            return Err(Refusal::not_found(resource, target.name));
        };
        let object = resource.view(&current);
        if matches!(resource.builtin, Some(Builtin::Namespace | Builtin::Definition)) {
            options.check(&object, |word, wanted, found| {
                let why =
                    format!("Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {found}");
                Refusal::conflict(resource, target.name, &why)
            })?;
            return if resource.builtin == Some(Builtin::Namespace) {
                self.delete_namespace(target, options, &current, object)
            } else if meta::is_deleting(&object) {
                Ok(self.mark_or_remove(target, options, &current, &object))
            } else {
                Ok(self.mark_definition(target, &current))
            };
        }
        options.check(&object, |word, wanted, found| {
            let meanwhile = if word == "UID" { "deleted and then recreated" } else { "modified" };
            let why = format!("the {word} in the precondition ({wanted}) does not match the {word} in record ({found}). The object might have been {meanwhile}");
            Refusal::conflict_by_kind(resource, target.name, &why)
        })?;
        Ok(self.mark_or_remove(target, options, &current, &object))
    }

    /// An object that something holds is only marked.
    fn mark_or_remove(&mut self, target: &Target, options: &Options, current: &Stored, object: &Value) -> Done {
        let resource = target.resource;
        let finalizers = match resource.builtin {
            Some(Builtin::Event) => builtin::texts(&object["metadata"]["finalizers"]),
            _ => options.finalizers(object),
        };
        if finalizers.is_empty() {
            let version = self.commit(resource, &target.key(), None);
            return Done { code: 200, body: removed(target, object, version), version: Some(version) };
        }
        // It is stored as it was read: with the defaults that nobody wrote until now.
        let mut marked = object.clone();
        meta::set(&mut marked, "resourceVersion", Value::Null);
        meta::set_finalizers(&mut marked, &finalizers);
        if !meta::is_deleting(&marked) {
            meta::set(&mut marked, "deletionTimestamp", meta::time(self.now()));
            if let Some(generation) = marked["metadata"]["generation"].as_i64() {
                meta::set(&mut marked, "generation", json!(generation + 1));
            }
        }
        meta::set(&mut marked, "deletionGracePeriodSeconds", json!(0));
        let code = if options.orphans == Some(false) { 202 } else { 200 };
        self.store_marked(target, current, marked, code)
    }

    fn store_marked(&mut self, target: &Target, current: &Stored, marked: Value, code: u16) -> Done {
        let changed = marked != *current.value;
        let version =
            changed.then(|| self.commit(target.resource, &target.key(), Some((marked, current.managers.clone()))));
        let body = self.view(target.resource, target.namespace, target.name).unwrap_or_default();
        Done { code, body, version }
    }

    /// A namespace is marked, emptied by its controller, and only then removed.
    fn delete_namespace(
        &mut self,
        target: &Target,
        options: &Options,
        current: &Stored,
        object: Value,
    ) -> Result<Done, Refusal> {
        if IMMORTAL.contains(&target.name) {
            return Err(Refusal::forbidden(target.resource, target.name, "this namespace may not be deleted"));
        }
        if !meta::is_deleting(&object) {
            let mut marked = (*current.value).clone();
            meta::set(&mut marked, "deletionTimestamp", meta::time(self.now()));
            marked["status"]["phase"] = json!("Terminating");
            meta::set_finalizers(&mut marked, &options.finalizers(&object));
            return Ok(self.store_marked(target, current, marked, 200));
        }
        if !builtin::texts(&object["spec"]["finalizers"]).is_empty() {
            return Ok(Done { code: 200, body: object, version: None });
        }
        Ok(self.mark_or_remove(target, options, current, &object))
    }

    /// A CRD stays until its objects are gone.
    fn mark_definition(&mut self, target: &Target, current: &Stored) -> Done {
        let mut marked = (*current.value).clone();
        let now = meta::time(self.now());
        let mut finalizers = builtin::texts(&marked["metadata"]["finalizers"]);
        if !finalizers.iter().any(|finalizer| finalizer == builtin::DEFINITION_FINALIZER) {
            finalizers.push(builtin::DEFINITION_FINALIZER.to_owned());
        }
        meta::set_finalizers(&mut marked, &finalizers);
        let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        let pending = builtin::condition("Terminating", "True", "InstanceDeletionPending", message, &now);
        builtin::set_condition(&mut marked, &pending);
        meta::set(&mut marked, "deletionTimestamp", now);
        self.store_marked(target, current, marked, 200)
    }

    /// Deletes what is selected, one by one. The answer lists it as it was.
    pub(super) fn delete_collection(
        &mut self,
        caller: Caller,
        resource: &Resource,
        namespace: &str,
        selector: &Selector,
        options: &Options,
    ) -> Result<Done, Refusal> {
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let objects = self.objects.get(&resource.id).cloned().unwrap_or_default();
        let mut items = Vec::new();
        for (key, stored) in objects.iter().filter(|(key, _)| key.starts_with(&prefix)) {
            let object = resource.view(stored);
            if !selector.matches(&object) {
                continue;
            }
            let (namespace, name) = key.split_once('/').unwrap_or(("", key.as_str()));
            let target = Target { resource, namespace, name, subresource: "" };
            let deleted = self.delete(&target, options);
            self.record(caller.actor, super::Verb::Delete, &target, &deleted);
            match deleted {
                Err(refusal) if refusal.code != 404 => return Err(refusal),
                _ => items.push(object),
            }
        }
        let version = self.version.to_string();
        let body = json!({
            "kind": resource.list_kind, "apiVersion": resource.api_version(), "metadata": {"resourceVersion": version}, "items": items,
        });
        Ok(Done { code: 200, body, version: None })
    }
}

/// The answer to a deletion that was carried out.
fn removed(target: &Target, object: &Value, version: u64) -> Value {
    let resource = target.resource;
    if resource.returns_deleted() {
        let mut object = object.clone();
        meta::set(&mut object, "resourceVersion", json!(version.to_string()));
        return object;
    }
    let mut details = refusal::details(&resource.group, &resource.plural, target.name);
    details["uid"] = json!(meta::text(object, "uid"));
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

#[cfg(test)]
#[path = "delete_tests.rs"]
mod tests;
