//! What goes with a resource that is deleted, and what does not: an object that is to stay, and a parent that others still live below.
use serde_json::Value;

use super::{
    look::{deletes, is_deleting, is_held, label, namespace, recorded_path, uid},
    notes::Notes,
    sorts::Place,
};
use crate::{
    plan::{Fault, Millis, Side},
    seen::RemoteRequest,
    world::World,
};

/// So long after something was written everybody has heard of it, whichever watch lags.
const HEARD: Millis = 30_000;
/// The same where no watch lags; and a pass has ended that had begun before.
const HEARD_IN_TIME: Millis = 8_000;
/// A parent waits at least so long for what has to go first.
const WAITS: Millis = 20_000;

impl Notes {
    /// A DELETE of an object has just been carried out; what was there before it is still noted.
    pub(super) fn check_parting(&mut self, world: &World, request: &RemoteRequest, place: &Place) {
        self.test("law 5");
        let is_its = |object: &&Value| recorded_path(object) == Some(place.path.as_str()) && is_deleting(object);
        let Some(holder) = self.lives().find(is_its) else { return };
        let is_heard = |at: Millis| at + HEARD < request.sent;
        if !deletes(holder) && is_heard(self.resources[uid(holder)].changed) {
            let what = format!("{request} is carried out, and the object of {} is to stay", label(holder));
            world.violate("law 2: deleted what is to stay", what);
        }
        let within = namespace(holder);
        let goes = world.kubernetes.get("namespaces", "", within).is_none_or(|found| is_deleting(&found));
        let below = format!("{}/", place.path);
        let is_below = |other: &&Value| {
            let path = recorded_path(other).filter(|path| path.starts_with(&below));
            let made = path.and_then(|path| self.made.get(path));
            namespace(other) == within && !is_deleting(other) && made.is_some_and(|made| is_heard(made.at))
        };
        if let Some(child) = self.lives().find(is_below).filter(|_| !goes) {
            let what = format!("{request} is carried out for {}, and {} lives below it", label(holder), label(child));
            world.violate("law 5: a parent goes first", what);
        }
        self.check_first(world, request, place, holder);
    }

    /// A custom domain has to be gone before its portal goes: Konnect keeps its name reserved otherwise. Whoever deletes the portal waits for
    /// a domain that is to go as well, but not for ever.
    fn check_first(&self, world: &World, request: &RemoteRequest, place: &Place, portal: &Value) {
        let lags = |fault: &Fault| fault.side == Side::Kubernetes;
        let since = |object: &Value| self.resources[uid(object)].going.unwrap_or(Millis::MAX);
        let has_waited = since(portal).saturating_add(WAITS) < request.sent;
        if place.sort.kind != "Portal" || has_waited || world.plan.faults.iter().any(lags) {
            return;
        }
        let domain = place.id.as_deref().map(|id| format!("/v3/portals/{id}/custom-domain")).unwrap_or_default();
        let is_first = |other: &&Value| {
            let is_heard = since(other).saturating_add(HEARD_IN_TIME) < request.sent;
            recorded_path(other) == Some(domain.as_str()) && is_held(other) && is_deleting(other) && is_heard
        };
        if let Some(first) = self.lives().find(is_first).filter(|_| self.alive.contains(&domain)) {
            let what = format!("{request} is carried out for {}, and {} is to go first", label(portal), label(first));
            world.violate("law 5: a parent goes first", what);
        }
    }
}
