//! What worlds and checks of laws do without a request: put, change, delete and look; and the record of all writes.
use std::{sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Simulated,
    delete::Options,
    fault::{Interceptor, Loss, Verb},
    meta,
    prepare::settle_namespace,
    refusal::Refusal,
    resource::Resource,
    store::State,
    write::{Caller, Change, Done, Target},
};

/// A write that reached the API server, whether it changed anything or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// When it was carried out.
    pub at: Timestamp,
    /// Whose client sent it, or who called for it; the API server's own controllers have names of their own.
    pub actor: String,
    /// What it did.
    pub verb: Verb,
    /// The plural and the group.
    pub resource: String,
    /// Empty: the resource itself.
    pub subresource: String,
    /// Empty where the resource has none.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// The UID of the object; empty where the write was refused.
    pub uid: String,
    /// The status of the answer.
    pub code: u16,
    /// The version of the change; none where nothing was changed.
    pub version: Option<u64>,
}

impl State {
    pub(super) fn record(&mut self, actor: &str, verb: Verb, target: &Target, result: &Result<Done, Refusal>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (code, version, uid, made) = match result {
            Ok(Done { code, body, version }) => {
                let uids = [text(&body["metadata"]["uid"]), text(&body["details"]["uid"])];
                (*code, *version, uids.concat(), text(&body["metadata"]["name"]))
            }
            Err(refusal) => (refusal.code, None, String::new(), String::new()),
        };
        self.history.push(Write {
            at: self.now(),
            actor: actor.to_owned(),
            verb,
            resource: target.resource.id.clone(),
            subresource: target.subresource.to_owned(),
            namespace: target.namespace.to_owned(),
            name: if target.name.is_empty() { made } else { target.name.to_owned() },
            uid,
            code,
            version,
        });
    }
}

impl Simulated {
    /// Puts a CRD, or anything else that serializes to an object.
    ///
    /// # Errors
    /// What the API server says to a POST of it.
    pub fn install(&self, object: &impl Serialize) -> Result<Value, Refusal> {
        let object = serde_json::to_value(object).map_err(|e| Refusal::bad_request(e.to_string()))?;
        self.create("installer", object)
    }

    /// Makes an object, as a POST does.
    ///
    /// # Errors
    /// What the API server says to it.
    pub fn create(&self, actor: &str, object: Value) -> Result<Value, Refusal> {
        self.write(actor, Verb::Create, &object.clone(), |state, caller, target| {
            state.create(caller, target.resource, target.namespace, object)
        })
    }

    /// Makes an object, or replaces all of it but its status. Labels, annotations, finalizers and owner references stay where the object
    /// does not name them, and so does the version, so that this never conflicts.
    ///
    /// # Errors
    /// What the API server says to it.
    pub fn put(&self, actor: &str, mut object: Value) -> Result<Value, Refusal> {
        let (namespace, name) = (meta::text(&object, "namespace").to_owned(), meta::text(&object, "name").to_owned());
        let id = self.resource_of(&object)?.id.clone();
        let Some(old) = self.get(&id, &namespace, &name) else { return self.create(actor, object) };
        for field in ["labels", "annotations", "finalizers", "ownerReferences", "resourceVersion", "uid"] {
            if object["metadata"][field].is_null() {
                meta::set(&mut object, field, old["metadata"][field].clone());
            }
        }
        self.replace(actor, &object)
    }

    /// Replaces an object, as a PUT does.
    ///
    /// # Errors
    /// What the API server says to it.
    pub fn replace(&self, actor: &str, object: &Value) -> Result<Value, Refusal> {
        self.write(actor, Verb::Update, object, |state, caller, target| {
            let mut object = target.resource.typed(object.clone())?;
            settle_namespace(target.resource, target.namespace, &mut object)?;
            state.update(caller, target, &Change::Replace(object))
        })
    }

    /// Changes an object by a merge patch. The subresource is empty, or `status`.
    ///
    /// # Errors
    /// What the API server says to it.
    pub fn patch(
        &self,
        actor: &str,
        resource: &str,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: &Value,
    ) -> Result<Value, Refusal> {
        let resource = self.served(resource)?;
        let target = Target { resource: &resource, namespace, name, subresource };
        self.on(actor, Verb::Patch, &target, |state, caller, target| {
            state.update(caller, target, &Change::Merge(patch.clone()))
        })
    }

    /// Deletes an object, as `kubectl delete` does: whatever belongs to it goes later.
    ///
    /// # Errors
    /// What the API server says to it.
    pub fn delete(&self, actor: &str, resource: &str, namespace: &str, name: &str) -> Result<Value, Refusal> {
        let resource = self.served(resource)?;
        let target = Target { resource: &resource, namespace, name, subresource: "" };
        self.on(actor, Verb::Delete, &target, |state, _, target| state.delete(target, &Options::background()))
    }

    /// An object as it is now. The resource is named by its plural and its group: `portals.konnect.portico.dev`, `secrets`.
    #[must_use]
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.with(|state| {
            let resource = state.resource(resource)?;
            state.view(&resource, namespace, name)
        })
    }

    /// All objects of a resource as they are now, in one namespace or in all.
    #[must_use]
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<Value> {
        let prefix = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        self.with(|state| {
            let Some(known) = state.resource(resource) else { return Vec::new() };
            let objects = state.objects.get(resource).into_iter().flatten();
            objects.filter(|(key, _)| key.starts_with(&prefix)).map(|(_, stored)| known.view(stored)).collect()
        })
    }

    /// The version of the last change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.with(|state| state.version)
    }

    /// All writes so far, the API server's own included.
    #[must_use]
    pub fn history(&self) -> Vec<Write> {
        self.with(|state| state.history.clone())
    }

    /// The writes since this many; what [`Simulated::history`] had so far can be skipped so.
    #[must_use]
    pub fn history_since(&self, count: usize) -> Vec<Write> {
        self.with(|state| state.history.get(count..).unwrap_or_default().to_vec())
    }

    /// Forgets what happened up to a version: older versions cannot be listed, nor watched from.
    pub fn compact(&self, version: u64) {
        self.with(|state| state.compact(version));
    }

    /// Breaks all watches that `chosen` names by actor and resource. What was not delivered yet is lost to them.
    pub fn break_watches(&self, how: Loss, chosen: impl Fn(&str, &str) -> bool) {
        self.with(|state| state.watches.cut(how, chosen));
    }

    /// From now on all watches tell of a change so long after it happened.
    pub fn delay_watches(&self, delay: Duration) {
        self.with(|state| state.watches.delay(None, delay));
    }

    /// The same for the watches of one resource alone, until it is said again for this one or for all. Of several resources each is told in
    /// its own time, as by the watch caches of a real API server.
    pub fn delay_watches_of(&self, resource: &str, delay: Duration) {
        self.with(|state| state.watches.delay(Some(resource), delay));
    }

    /// Sets who decides what becomes of the requests of all clients from now on.
    pub fn intercept(&self, interceptor: Option<Arc<dyn Interceptor>>) {
        *self.shared.interceptor.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = interceptor;
    }

    fn served(&self, id: &str) -> Result<Arc<Resource>, Refusal> {
        self.with(|state| state.resource(id)).ok_or_else(Refusal::unknown_path)
    }

    fn resource_of(&self, object: &Value) -> Result<Arc<Resource>, Refusal> {
        let found = self.with(|state| {
            let mut resources = state.resources.values();
            resources
                .find(|r| object["kind"] == json!(r.kind) && object["apiVersion"] == json!(r.api_version()))
                .cloned()
        });
        found.ok_or_else(Refusal::unknown_path)
    }

    fn write(
        &self,
        actor: &str,
        verb: Verb,
        object: &Value,
        write: impl FnOnce(&mut State, Caller, &Target) -> Result<Done, Refusal>,
    ) -> Result<Value, Refusal> {
        let resource = self.resource_of(object)?;
        let (namespace, name) = (meta::text(object, "namespace"), meta::text(object, "name"));
        self.on(actor, verb, &Target { resource: &resource, namespace, name, subresource: "" }, write)
    }

    fn on(
        &self,
        actor: &str,
        verb: Verb,
        target: &Target,
        write: impl FnOnce(&mut State, Caller, &Target) -> Result<Done, Refusal>,
    ) -> Result<Value, Refusal> {
        self.with(|state| {
            let result = write(state, Caller::new(actor), target);
            state.record(actor, verb, target, &result);
            result.map(|done| done.body)
        })
    }
}

#[cfg(test)]
#[path = "direct_tests.rs"]
mod tests;
