//! What is in order: a start of the operator, and a change of what a resource refers to, leave it to the sweep.
//!
//! After a start the sweep feeds all first passes. A pass over a resource that is in order asks the API nothing; each collection is
//! listed once, and whatever a listing shows to differ has its owner woken. What is not in order (a new spec, an open create, a missing
//! output Secret, another value in a Secret, a wish) is looked at by its first pass.
use super::{
    pass::Pass,
    raw::Raw,
    report::is_settled,
    resolve::{Resolved, parse_connection},
    spec::{Common, Drift, Mode},
    status::{Status, conditions},
};

impl Pass<'_> {
    /// Whether nothing is open, so that a start of the operator may leave it to the sweep.
    pub(super) fn is_in_order(&self, resolved: &Resolved) -> bool {
        // A restored backup, or a status that was meant for the resource before, says nothing of this one.
        let recipe = self.status.known(&self.engine.owner, self.object.uid());
        // What was only looked at is not this resource's yet.
        let recipe = recipe.filter(|recipe| !(recipe.observed && resolved.writes));
        // A parent may have gone over to another connection, which the recipe is to follow: the one before is free to go then.
        let recipe = recipe.filter(|recipe| recipe.connection == resolved.connection_name());
        let stays =
            recipe.and_then(|recipe| recipe.place().ok()).is_some_and(|place| place.listing == resolved.listing);
        let leaves = !resolved.writes || resolved.common.lifecycle.drift == Drift::Report;
        let answered = self.is_answered();
        let closed = self.status.creating.is_none() && self.status.updating.is_none();
        let handed_out = self.is_handed_out(resolved);
        // One that was not to be written to was let go of, and is held again before anything else.
        let held = !resolved.writes || self.object.is_held();
        // Who does not write has sent nothing that could have been acknowledged; and of what changed meanwhile the API has accepted nothing.
        let sent = !resolved.writes || !(self.resends(resolved) || self.is_changed());
        let settled = self.is_accepted() && is_settled(&self.status, leaves) && closed;
        stays && settled && answered && handed_out && held && sent
    }

    /// Whether the status was written for this very resource: a restored backup brings that of another UID, whose success is not its own.
    pub(super) fn is_own_status(&self) -> bool {
        if let Some(recipe) = &self.status.remote {
            return recipe.uid == self.object.uid();
        }
        // Who waits for others to make the object has recorded nothing, and no UID tells. But nobody is Ready before they are made; and what
        // this process has asked the API itself is so whatever the time says. A clock that is behind the API server's costs at most a Ready
        // that is lost after a start, until the API answers. What is done once stays done.
        let is_asked = self.engine.remember(self.object.uid(), |memory| memory.held);
        is_asked || self.status.started.is_some() || !is_of_another_before(&self.object, &self.status)
    }

    /// Whether what the status says was found while nothing was to be written, and by now the object is to be managed: the API has accepted
    /// nothing yet (law 9), and nobody has looked who else claims the object (law 12).
    pub(super) fn is_only_observed(&self) -> bool {
        let recipe = self.status.remote.as_ref().filter(|recipe| recipe.observed);
        let connection = recipe.and_then(|recipe| parse_connection(self.ops, &recipe.connection));
        let manages = || self.object.spec::<Common>().is_ok_and(|common| common.lifecycle.mode == Mode::Manage);
        connection.is_some_and(|connection| self.engine.may_write(&connection)) && manages()
    }

    /// Whether a Secret holds another value than the one that the API was sent, or nobody knows which one that was.
    pub(super) fn resends(&self, resolved: &Resolved) -> bool {
        resolved.digests.iter().any(|(path, digest)| self.status.digests.get(path) != Some(digest))
    }
}

/// Whether what a status says of `Ready` was so before the resource was made: then a backup has brought it, of another one of this name.
fn is_of_another_before(object: &Raw, status: &Status) -> bool {
    let made = object.metadata.creation_timestamp.as_ref().map(|made| made.0);
    let since = status.condition(conditions::READY).map(|ready| ready.last_transition_time.0);
    since < made
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nobody_is_ready_before_they_are_made() {
        let ready = |second: u32| {
            let condition = json!({
                "type": "Ready",
                "status": "True",
                "reason": "Available",
                "message": "m",
                "lastTransitionTime": format!("2026-01-01T00:00:{second:02}Z"),
            });
            let metadata =
                json!({"namespace": "n", "name": "a", "uid": "u", "creationTimestamp": "2026-01-01T00:00:10Z"});
            let object: Raw = serde_json::from_value(json!({
                "apiVersion": "g/v1",
                "kind": "PortalDeveloper",
                "metadata": metadata,
                "spec": {},
                "status": {"conditions": [condition]},
            }))
            .unwrap();
            is_of_another_before(&object, &object.status())
        };
        assert!(ready(9));
        // Times have whole seconds.
        assert!(!ready(10) && !ready(11));
    }
}
