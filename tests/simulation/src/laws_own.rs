//! What is a resource's own is never said to be a stranger's, and never twice on its way: laws 1 and 9. And a wish of a user is answered.
use portico_testbed::simulated::Call;
use serde_json::Value;

use super::{
    end::End,
    look::{is_deleting, label, message, reason, recorded_path, uid},
    notes::{Made, Notes},
    sorts::text,
};
use crate::{
    plan::{Action, Stranger},
    world::World,
};

/// How the engine says that an object is nobody's whom it knows.
const STRANGERS: &str = "was not made by this resource";
/// How it says that it does not know yet what became of a create.
const UNKNOWN: &str = "looking for its result after the wait";
/// The annotation with which a user asks for a look.
const RECONCILE_AT: &str = "portico.dev/reconcile-at";

/// What a status says that cannot be said of an object which is recorded and there.
fn denies(object: &Value) -> bool {
    let says = message(object);
    (reason(object, "Ready") == "AlreadyExists" && says.contains(STRANGERS)) || says.contains(UNKNOWN)
}

impl Notes {
    /// Law 9: what a resource has recorded before, and what is there, is not a stranger's from now on, nor unknown. Only a pass says so that
    /// does not know what Portico itself wrote last. `object` is what a status write has left.
    pub(super) fn check_own(&mut self, world: &World, object: &Value) {
        if !denies(object) || is_deleting(object) {
            return;
        }
        let Some(before) = self.resources.get(uid(object)).map(|seen| &seen.object) else { return };
        let is_recorded = recorded_path(object).is_some_and(|path| {
            let id = path.rsplit('/').next().unwrap_or_default();
            let is_named = message(object).contains(id) || message(object).contains(UNKNOWN);
            recorded_path(before) == Some(path) && self.alive.contains(path) && is_named
        });
        let is_news = !denies(before);
        // With a token of another organization what is there is not to be seen.
        let is_seen = !self.reads_lie && self.pinned.is_empty();
        self.test("law 9");
        if is_recorded && is_news && is_seen && !self.writes_lag {
            let what = format!("{} says of its own object: {}", label(object), message(object));
            world.violate("law 9: its own taken for a stranger's", what);
        }
    }

    /// Whether the status says that a create of this very resource is about to be sent, or may be on its way.
    pub(super) fn has_intent(&self, of: &str) -> bool {
        self.resources.get(of).is_some_and(|seen| text(&seen.object["status"]["creating"]["uid"]) == of)
    }

    /// Law 1: an intent is written only over what its pass has read: somebody else may have written another one.
    pub(super) fn check_intent(world: &World, call: &Call) {
        let is_intent = call.subresource == "status" && call.body["status"]["creating"]["token"].is_string();
        if is_intent && !call.body["metadata"]["resourceVersion"].is_string() {
            world.violate("law 1: an intent over another's", format!("{call} names no version"));
        }
    }
}

impl End<'_> {
    /// Whether a resource that does not have an object names it, because it cannot know whose it is. What was made for it alone is not a
    /// stranger's, unless a stranger has changed it since: its intent says what was sent.
    pub(super) fn is_unsure_of(&self, resource: &Value, made: &Made, id: &str) -> bool {
        let is_its_alone = made.uids.len() == 1 && made.uids[0] == uid(resource);
        let changes = |action: &Action| matches!(action, Action::Stranger(Stranger::Change { .. }));
        let may_be_changed = self.world.plan.steps.iter().any(|step| changes(&step.action));
        let denies_it = is_its_alone && reason(resource, "Ready") == "AlreadyExists";
        message(resource).contains(id) && (!denies_it || may_be_changed || self.notes.reads_lie)
    }

    /// Whether the last wish of a user to look again is answered.
    pub(super) fn is_answered(resource: &Value) -> bool {
        let wish = &resource["metadata"]["annotations"][RECONCILE_AT];
        wish.is_null() || *wish == resource["status"]["lastHandledReconcileAt"]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_calls_an_object_a_strangers_denies_it_and_who_quotes_a_refusal_does_not() {
        let says = |reason: &str, message: &str| json!({"status": {"conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": message}]}});
        assert!(denies(&says(
            "AlreadyExists",
            "a PortalTeam named \"a\" exists already and was not made by this resource (x)"
        )));
        assert!(denies(&says(
            "Creating",
            "an earlier create may still take effect; looking for its result after the wait"
        )));
        assert!(!denies(&says("AlreadyExists", "the API refuses (HTTP 409): taken")));
    }

    #[test]
    fn a_wish_is_answered_where_the_status_repeats_it() {
        let asked = |answer: &str| json!({"metadata": {"annotations": {"portico.dev/reconcile-at": "b"}}, "status": {"lastHandledReconcileAt": answer}});
        assert!(End::is_answered(&asked("b")) && End::is_answered(&json!({})));
        assert!(!End::is_answered(&asked("a")));
    }
}
