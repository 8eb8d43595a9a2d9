//! The operator's requests to the API server, one by one: laws 1, 3, 5, 6, 7, 8, 9 and 13.
use portico_testbed::simulated::{Call, Verb};
use serde_json::Value;

use super::{
    look::{
        FINALIZER, deletes, holds, is_deleting, is_given_up, is_held, kind, label, name, namespace, observes,
        recorded_path, uid,
    },
    notes::{Notes, is_served},
    secret::{finalizers, is_output},
    sorts::{connection, objects, sort, text},
};
use crate::{
    crds::kind_of,
    replicas,
    world::{SYSTEM, World},
};

/// What the operator may write besides custom resources and Secrets.
const ITS_OWN: [&str; 2] = ["events.events.k8s.io", "leases.coordination.k8s.io"];

/// Whether an object has these members and no others.
fn has_only(value: &Value, members: &[&str]) -> bool {
    value.as_object().is_some_and(|object| object.keys().all(|key| members.contains(&key.as_str())))
}

/// Whether a write says of a resource that something is about to be sent for it, or that nothing is on its way any more; and nothing else.
fn is_attempt(call: &Call) -> bool {
    call.subresource == "status"
        && has_only(&call.body["status"], &["creating", "updating"])
        && has_only(&call.body, &["metadata", "status"])
}

/// Whether a request takes Portico's finalizer away.
fn releases(call: &Call) -> bool {
    let left = &call.body["metadata"]["finalizers"];
    call.verb == Verb::Patch
        && call.subresource.is_empty()
        && left.is_array()
        && !finalizers(&call.body).contains(&FINALIZER)
}

impl Notes {
    pub(super) fn kubernetes_request(&mut self, world: &World, call: &Call) {
        if call.resource == "secrets" {
            self.secret_is_used(world, call);
            return;
        }
        if !call.verb.is_write() {
            return;
        }
        self.test("law 8");
        let place = format!("{} {}/{}", call.resource, call.namespace, call.name);
        self.look_for_secrets(world, &call.body.to_string(), &place);
        if kind_of(&call.resource).is_some() {
            if let Some(who) = replicas::of_actor(&call.actor) {
                self.check_lease(world, who, 0, call);
            }
            Self::check_intent(world, call);
            if let Err(why) = status_or_finalizer(world, call) {
                world.violate("law 8: the spec is the user's", format!("{call}: {why}"));
            }
        } else if !ITS_OWN.contains(&call.resource.as_str()) {
            world.violate("law 8: the spec is the user's", format!("{call} is nothing of Portico's"));
        }
        if call.resource.starts_with("leases.") && call.namespace != SYSTEM {
            world.violate("law 13: strange namespace", call.to_string());
        }
        if releases(call) {
            self.look(world);
        }
    }

    /// Secrets are read where a resource names them, and written where they are Portico's.
    fn secret_is_used(&mut self, world: &World, call: &Call) {
        let meant = &call.body["preconditions"];
        if call.verb == Verb::Delete && !(meant["uid"].is_string() && meant["resourceVersion"].is_string()) {
            // Between the look and the write it may have become somebody else's.
            world.violate("law 8: a user's Secret", format!("{call} does not say which Secret is meant"));
        }
        if call.namespace == SYSTEM || matches!(call.verb, Verb::List | Verb::Watch) {
            return;
        }
        self.look(world);
        self.test("law 13");
        let mut users = self.resources.values().filter(|seen| namespace(&seen.object) == call.namespace);
        let secret = if call.name.is_empty() { text(&call.body["metadata"]["name"]) } else { &call.name };
        if !users.any(|seen| seen.secrets.contains(secret)) {
            world.violate("law 13: a Secret that nobody named", call.to_string());
        }
        if !call.verb.is_write() || call.verb == Verb::Create {
            return;
        }
        self.test("law 8");
        let stored = world.kubernetes.get("secrets", &call.namespace, &call.name);
        // What says which one it means is refused by the API server where another one is there by now ("It is never written over a Secret that
        // is not ours", DESIGN.md, section 3).
        let named = if call.verb == Verb::Delete { meant } else { &call.body["metadata"] };
        let is_meant = |stored: &Value| {
            let is_same = |field: &str| !named[field].is_string() || named[field] == stored["metadata"][field];
            is_same("uid") && is_same("resourceVersion")
        };
        if stored.is_some_and(|stored| is_meant(&stored) && !is_output(&stored)) {
            world.violate("law 8: a user's Secret", format!("{call} is about a Secret that Portico did not make"));
        }
    }

    pub(super) fn kubernetes_answer(&mut self, world: &World, call: &Call, status: u16) {
        if call.resource.starts_with("leases.") && call.verb.is_write() && status < 300 {
            self.lease_is_written(world, call);
        }
        let Some(of) = kind_of(&call.resource).filter(|_| call.verb.is_write() && status < 300) else { return };
        if releases(call) {
            self.let_go(world, of, call);
        }
        // What was written counts from now on, whoever looks next.
        if let Some(object) = world.kubernetes.get(&call.resource, &call.namespace, &call.name) {
            if is_attempt(call) && holds(&object, "Ready") == "False" {
                self.attempts.extend(text(&object["metadata"]["resourceVersion"]).parse::<u64>());
            }
            self.note_credential(world, &object);
            self.check_own(world, &object);
            let recorded = recorded_path(&object).map(str::to_owned);
            self.see(object, world.now());
            if let Some(path) = recorded {
                self.note_taken(world, &path);
            }
        }
    }

    /// A resource has just lost its finalizer.
    fn let_go(&mut self, world: &World, of: &str, call: &Call) {
        let meant = text(&call.body["metadata"]["uid"]);
        let Some(object) = self.resources.get(meant).map(|seen| seen.object.clone()) else { return };
        if !is_held(&object) {
            return;
        }
        let Some(sort) = sort(of) else { return self.connection_goes(world, &object) };
        self.test("law 3");
        let is_served = is_served(world, of);
        let was_left = self.resources[meant].left;
        let stays = was_left || is_given_up(&object) || observes(&object) || !deletes(&object) || !is_served;
        if let Some(seen) = self.resources.get_mut(meant) {
            seen.left |= stays;
        }
        if !is_deleting(&object) {
            if !observes(&object) {
                world.violate(
                    "law 8: the spec is the user's",
                    format!("{} loses its finalizer while it lives", label(&object)),
                );
            }
            return;
        }
        let is_made = !sort.is_single() || sort.kind == "PortalCustomDomain";
        if stays || !is_made {
            return;
        }
        let state = world.state_of(sort.api);
        let objects = objects(&state);
        let made = self
            .made
            .iter()
            // What a stranger made there after ours had gone is no outcome of our create (law 2: "The same name is never proof").
            .filter(|(path, made)| made.is_for(meant) && !self.is_strangers(path, made))
            .map(|(path, _)| path.as_str());
        let recorded = recorded_path(&object).filter(|path| !self.was_replaced(path, meant));
        for path in made.chain(recorded) {
            let Some(found) = objects.get(path) else { continue };
            // Somebody else has it by now, or it belongs to another installation.
            let is_anothers = self.lives().any(|other| {
                let has_it = recorded_path(other) == Some(path) || other["status"]["creating"]["object"] == path;
                uid(other) != meant && has_it
            });
            if !is_anothers && !self.is_foreign(found) && !self.estranged.contains(path) {
                let law =
                    if self.reads_lie { "law 3: let go too early, the API lied" } else { "law 3: let go too early" };
                world.violate(law, format!("{} is let go of, and {path} is still there", label(&object)));
            }
        }
    }

    /// A connection goes: nobody with a record may still need it.
    fn connection_goes(&mut self, world: &World, gone: &Value) {
        self.test("law 5");
        let called = format!("{}/{}", namespace(gone), name(gone));
        let needs = |object: &&Value| {
            let is_of_its_api = sort(kind(object)).is_some_and(|sort| connection(sort.api) == kind(gone));
            let is_recorded = object["status"]["remote"]["connection"] == called.as_str();
            is_of_its_api && is_recorded && is_held(object) && recorded_path(object).is_some()
        };
        let may_go = is_given_up(gone) || !is_served(world, kind(gone));
        if let Some(user) = self.lives().find(needs).filter(|_| !may_go) {
            let what = format!("{} is let go of, and {} needs it to be deleted", label(gone), label(user));
            world.violate("law 5: connection gone too early", what);
        }
    }
}

/// Whether a write to a custom resource changes the status, or Portico's finalizer, and nothing else.
fn status_or_finalizer(world: &World, call: &Call) -> Result<(), String> {
    let (body, metadata) = (&call.body, &call.body["metadata"]);
    if call.verb != Verb::Patch {
        return Err("a custom resource is the user's to make, to replace and to delete".to_owned());
    }
    if !metadata["uid"].is_string() {
        return Err("it does not say which resource is meant".to_owned());
    }
    if call.subresource == "status" {
        let fits = has_only(body, &["metadata", "status"]) && has_only(metadata, &["uid", "resourceVersion"]);
        return if fits { Ok(()) } else { Err("it writes more than the status".to_owned()) };
    }
    if !has_only(body, &["metadata"]) || !has_only(metadata, &["uid", "resourceVersion", "finalizers"]) {
        return Err("it writes more than finalizers".to_owned());
    }
    let Some(stored) = world.kubernetes.get(&call.resource, &call.namespace, &call.name) else { return Ok(()) };
    let is_same = stored["metadata"]["uid"] == metadata["uid"]
        && stored["metadata"]["resourceVersion"] == metadata["resourceVersion"];
    let others = |object: &Value| -> Vec<String> {
        finalizers(object).into_iter().filter(|finalizer| *finalizer != FINALIZER).map(str::to_owned).collect()
    };
    if is_same && others(&stored) != others(body) {
        return Err("it writes the finalizers of others".to_owned());
    }
    if metadata["resourceVersion"].is_null() {
        return Err("it writes finalizers over what others may have written".to_owned());
    }
    Ok(())
}
