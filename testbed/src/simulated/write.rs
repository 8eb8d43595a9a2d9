//! Creating and changing objects, as `registry.Store` and `rest.BeforeCreate` and `BeforeUpdate` of `k8s.io/apiserver` do.
use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    apply::{self, Manager, Writer},
    builtin, meta, patch,
    prepare::{
        check_name, check_version, decoded, flaws_of_change, flaws_of_new, is_released, prepare_update, set_or_remove,
        settle_namespace, wipe,
    },
    refusal::Refusal,
    resource::Resource,
    seam,
    store::State,
};

/// Who writes: its name in the history, and as a field manager.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) actor: &'a str,
    pub(super) manager: &'a str,
}

impl<'a> Caller<'a> {
    pub(super) fn new(actor: &'a str) -> Self {
        Self { actor, manager: actor }
    }
}

/// What is written.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) resource: &'a Resource,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// Empty: the resource itself.
    pub(super) subresource: &'a str,
}

impl Target<'_> {
    pub(super) fn key(&self) -> String {
        self.resource.key(self.namespace, self.name)
    }

    fn other_uid(&self, wanted: &str, found: &str) -> Refusal {
        let key = self.resource.storage_key(self.namespace, self.name);
        let precondition = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}");
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {precondition}"
        );
        Refusal::conflict(self.resource, self.name, &why)
    }
}

/// How an object is changed.
pub(super) enum Change {
    /// By another object, decoded already.
    Replace(Value),
    Merge(Value),
    Json(Vec<Value>),
    Apply {
        config: Value,
        force: bool,
    },
}

/// What a write came to.
pub(super) struct Done {
    pub(super) code: u16,
    pub(super) body: Value,
    /// The version of the change; none where nothing was changed.
    pub(super) version: Option<u64>,
}

/// Where an object that is to be made comes from.
enum Origin {
    Post,
    Put,
    Apply(Vec<Manager>),
}

/// So often a name is generated that turns out to be taken.
const NAME_TRIES: usize = 8;

impl State {
    pub(super) fn create(
        &mut self,
        caller: Caller,
        resource: &Resource,
        namespace: &str,
        object: Value,
    ) -> Result<Done, Refusal> {
        let mut object = resource.typed(object)?;
        wipe(&mut object);
        settle_namespace(resource, namespace, &mut object)?;
        self.may_create(resource, namespace, &object)?;
        let prefix = meta::text(&object, "generateName").to_owned();
        if prefix.is_empty() || !meta::text(&object, "name").is_empty() {
            return self.insert(caller, resource, namespace, object, Origin::Post);
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let name = seam::generated_name(&mut self.random, &prefix);
            meta::set(&mut object, "name", json!(name));
            match self.insert(caller, resource, namespace, object.clone(), Origin::Post) {
                Err(refusal) if refusal.reason == "AlreadyExists" && tries < NAME_TRIES => {}
                done => return done,
            }
        }
    }

    /// Whether a CRD or a namespace on its way out keeps new objects away (admission `NamespaceLifecycle`).
    fn may_create(&self, resource: &Resource, namespace: &str, object: &Value) -> Result<(), Refusal> {
        let name = meta::text(object, "name");
        if resource.terminating {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Refusal::forbidden(resource, name, why));
        }
        let Some(namespaces) = self.resource("namespaces").filter(|_| resource.namespaced) else { return Ok(()) };
        let Some(found) = self.stored("namespaces", namespace) else {
            return Err(Refusal::not_found(&namespaces, namespace));
        };
        if found.value["status"]["phase"] == "Terminating" {
            let names = [name, meta::text(object, "generateName"), "Unknown"];
            let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
            return Err(Refusal::namespace_terminating(resource, name, namespace));
        }
        Ok(())
    }

    fn insert(
        &mut self,
        caller: Caller,
        resource: &Resource,
        namespace: &str,
        mut object: Value,
        origin: Origin,
    ) -> Result<Done, Refusal> {
        let now = self.now();
        meta::set(&mut object, "creationTimestamp", meta::time(now));
        meta::set(&mut object, "uid", json!(seam::uid(&mut self.random)));
        if let Some(builtin) = resource.builtin {
            builtin::prepare_create(builtin, &mut object, &meta::time(now));
        } else {
            if resource.has_status {
                set_or_remove(&mut object, "status", None);
            }
            meta::set(&mut object, "generation", json!(1));
        }
        let name = meta::text(&object, "name").to_owned();
        let flaws = flaws_of_new(resource, &object);
        if !flaws.is_empty() {
            return Err(Refusal::invalid(resource.group_of_kind(), &resource.kind, &name, &flaws));
        }
        if matches!(origin, Origin::Post) && !["", "0"].contains(&meta::text(&object, "resourceVersion")) {
            return Err(Refusal::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        let key = resource.key(namespace, &name);
        if let Some(found) = self.stored(&resource.id, &key) {
            let is_deleting = meta::is_deleting(&found.value);
            // So it is said even where the name was given as well.
            return Err(if meta::text(&object, "generateName").is_empty() {
                Refusal::already_exists(resource, &name, is_deleting)
            } else {
                Refusal::no_name_left(resource, &name, is_deleting)
            });
        }
        meta::set(&mut object, "resourceVersion", Value::Null);
        let managers = match origin {
            Origin::Apply(managers) => managers,
            Origin::Post | Origin::Put => {
                let writer = Writer { name: caller.manager, resource, subresource: "" };
                apply::written(&[], &writer, None, &object)
            }
        };
        let version = self.commit(resource, &key, Some((object, Arc::new(managers))));
        let body = self.view(resource, namespace, &name).unwrap_or_default();
        Ok(Done { code: 201, body, version: Some(version) })
    }

    pub(super) fn update(&mut self, caller: Caller, target: &Target, change: &Change) -> Result<Done, Refusal> {
        let resource = target.resource;
        let Some(current) = self.stored(&resource.id, &target.key()).cloned() else {
            return self.update_missing(caller, target, change);
        };
        let before = resource.view(&current);
        if let Change::Replace(object) = change {
            let (wanted, found) = (meta::text(object, "uid"), meta::text(&before, "uid"));
            if !wanted.is_empty() && wanted != found {
                return Err(target.other_uid(wanted, found));
            }
        }
        let writer = Writer { name: caller.manager, resource, subresource: target.subresource };
        let (mut after, applied) = change.on(target, &before, &current.managers, &writer)?;
        check_version(target, &after, current.version)?;
        settle_namespace(resource, target.namespace, &mut after)?;
        meta::set(&mut after, "generation", before["metadata"]["generation"].clone());
        prepare_update(target, &mut after, &before);
        meta::keep(&mut after, &before);
        let flaws = flaws_of_change(target, &after, &before);
        if !flaws.is_empty() {
            return Err(Refusal::invalid(resource.group_of_kind(), &resource.kind, target.name, &flaws));
        }
        let managers = applied.unwrap_or_else(|| apply::written(&current.managers, &writer, Some(&before), &after));
        if is_released(resource, &after, &before) {
            let version = self.commit(resource, &target.key(), None);
            // The answer is the object as it was sent, which has no newer version than before.
            meta::set(&mut after, "resourceVersion", json!(current.version.to_string()));
            return Ok(Done { code: 200, body: after, version: Some(version) });
        }
        meta::set(&mut after, "resourceVersion", Value::Null);
        if after == *current.value && managers == *current.managers {
            return Ok(Done { code: 200, body: before, version: None });
        }
        let version = self.commit(resource, &target.key(), Some((after, Arc::new(managers))));
        let body = self.view(resource, target.namespace, target.name).unwrap_or_default();
        Ok(Done { code: 200, body, version: Some(version) })
    }

    /// Some kinds are made by a PUT, and all by an apply.
    fn update_missing(&mut self, caller: Caller, target: &Target, change: &Change) -> Result<Done, Refusal> {
        let Target { resource, namespace, name, subresource } = *target;
        let (mut object, origin) = match change {
            Change::Replace(object) if resource.creates_on_update() && subresource.is_empty() => {
                let uid = meta::text(object, "uid");
                if !uid.is_empty() {
                    return Err(target.other_uid(uid, ""));
                }
                (object.clone(), Origin::Put)
            }
            Change::Apply { config, .. } if subresource.is_empty() => {
                let uid = meta::text(config, "uid");
                if !uid.is_empty() {
                    let why = format!(
                        "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                    );
                    return Err(Refusal::conflict(resource, name, &why));
                }
                let writer = Writer { name: caller.manager, resource, subresource };
                let (object, managers) = apply::applied(None, &[], &writer, config, false)?;
                let object = decoded(resource, object)?;
                check_name(name, &object)?;
                (object, Origin::Apply(managers))
            }
            _ => return Err(Refusal::not_found(resource, name)),
        };
        wipe(&mut object);
        settle_namespace(resource, namespace, &mut object)?;
        self.may_create(resource, namespace, &object)?;
        self.insert(caller, resource, namespace, object, origin)
    }

    /// A write of a controller, which always fits: changes what is stored, and lets it go where nothing holds it any more.
    pub(super) fn rewrite(
        &mut self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Option<u64> {
        let key = resource.key(namespace, name);
        let current = self.stored(&resource.id, &key)?.clone();
        // As with everybody's writes: what is stored has the defaults that were read.
        let mut after = resource.view(&current);
        meta::set(&mut after, "resourceVersion", Value::Null);
        change(&mut after);
        if is_released(resource, &after, &current.value) {
            return Some(self.commit(resource, &key, None));
        }
        (after != *current.value).then(|| self.commit(resource, &key, Some((after, current.managers))))
    }
}

impl Change {
    /// The object as it is to be, and its managers where the change says who they are.
    fn on(
        &self,
        target: &Target,
        before: &Value,
        managers: &[Manager],
        writer: &Writer,
    ) -> Result<(Value, Option<Vec<Manager>>), Refusal> {
        let mut after = before.clone();
        let mut applied = None;
        match self {
            Self::Replace(object) => return Ok((object.clone(), None)),
            Self::Merge(change) => {
                if !patch::merge(&mut after, change) {
                    return Err(Refusal::bad_request("Invalid JSON Patch"));
                }
            }
            Self::Json(operations) => {
                patch::json(&mut after, operations).ok_or_else(Refusal::patch_does_not_apply)?;
            }
            Self::Apply { config, force } => {
                let (object, owners) = apply::applied(Some(before), managers, writer, config, *force)?;
                after = object;
                applied = Some(owners);
            }
        }
        let mut after = decoded(target.resource, after)?;
        settle_namespace(target.resource, target.namespace, &mut after)?;
        check_name(target.name, &after)?;
        Ok((after, applied))
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
