//! What is in order: a start of the operator, and a change of what a resource refers to, leave it to the sweep.
//!
//! After a start the sweep feeds all first passes. A pass over a resource that is in order asks the API nothing; each collection is
//! listed once, and whatever a listing shows to differ has its owner woken. What is not in order (a new spec, an open create, a missing
//! output Secret, another value in a Secret, a wish) is looked at by its first pass.
use super::{
    pass::Pass,
    report::is_settled,
    resolve::{Resolved, parse_connection},
    spec::{Common, Drift, Mode},
};

impl Pass<'_> {
    /// Whether nothing is open, so that a start of the operator may leave it to the sweep.
    pub(super) fn is_in_order(&self, resolved: &Resolved) -> bool {
        // A restored backup, or a status that was meant for the resource before, says nothing of this one.
        let recipe = self.status.known(&self.engine.owner, self.object.uid());
        // What was only looked at is not this resource's yet.
        let recipe = recipe.filter(|recipe| !(recipe.observed && resolved.writes));
        let stays =
            recipe.and_then(|recipe| recipe.place().ok()).is_some_and(|place| place.listing == resolved.listing);
        let leaves = !resolved.writes || resolved.common.lifecycle.drift == Drift::Report;
        let answered = self.is_answered();
        let closed = self.status.creating.is_none() && self.status.updating.is_none();
        let handed_out = self.is_handed_out(resolved);
        // Who does not write has sent nothing that could have been acknowledged.
        let sent = !resolved.writes || !self.resends(resolved);
        stays && self.is_accepted() && is_settled(&self.status, leaves) && answered && closed && handed_out && sent
    }

    /// Whether the status was written for this very resource: a restored backup brings that of another UID, whose success is not its own.
    pub(super) fn is_own_status(&self) -> bool {
        self.status.remote.as_ref().is_none_or(|recipe| recipe.uid == self.object.uid())
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
