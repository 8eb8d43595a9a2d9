//! Law 2 and those who only look: nothing is sent for them, and what somebody else sends is not theirs.
use serde_json::Value;

use super::{
    look::{is_deleting, is_paused, kind, label, observes, own_connection, parent, recorded_path, uid},
    notes::Notes,
    remote::HEARD,
    sorts::{Place, connection, sort, text},
};
use crate::{attribution::sender, plan::Millis, seen::RemoteRequest, world::World};

impl Notes {
    /// No resource sends a write that is in Observe or paused, nor one whose connection only looks: `spec.mode` is "the switch that stops all
    /// writes of all its resources" (DESIGN.md, section 4), also of those that have it from their parent.
    pub(super) fn check_sender(&self, world: &World, request: &RemoteRequest) {
        let Some(seen) = sender().and_then(|uid| self.resources.get(&uid)).filter(|seen| seen.live) else { return };
        let object = &seen.object;
        let is_heard = |since: Millis| since + HEARD < request.sent;
        if sort(kind(object)).is_none() || !is_heard(seen.changed) {
            return;
        }
        if observes(object) || is_paused(object) {
            let what = format!("{request} is sent by {}, which is in Observe or paused", label(object));
            world.violate("law 2: written in Observe", what);
        }
        let mut ways = Vec::new();
        self.ways(object, &mut ways);
        let is_shut = |(way, since): &(&Value, Millis)| way["spec"]["mode"] == "Observe" && is_heard(*since);
        if let Some((way, _)) = ways.first().filter(|_| ways.iter().all(is_shut)) {
            let what = format!("{request} is sent by {}, and {} only looks", label(object), label(way));
            world.violate("law 2: written in Observe", what);
        }
    }

    /// The connections that a resource's requests may go through, and since when that is so: as it is recorded ("`status.remote` is the
    /// recipe", law 5), its own, and while it lives its parent's. One that goes without a record, and had its connection from its parent,
    /// may be looked for through any.
    fn ways<'n>(&'n self, object: &Value, found: &mut Vec<(&'n Value, Millis)>) {
        let Some(sort) = sort(kind(object)) else { return };
        let mut named: Vec<&'n Value> = Vec::new();
        for known in ["remote", "creating"] {
            if let Some((within, called)) = text(&object["status"][known]["connection"]).split_once('/') {
                named.extend(self.living(connection(sort.api), within, called));
            }
        }
        if let Some(own) = own_connection(object) {
            named.extend(self.living(own.kind, &own.namespace, &own.name));
        }
        let since = |resource: &Value| self.resources[uid(resource)].changed;
        found.extend(named.into_iter().map(|way| (way, since(way).max(since(object)))));
        let above = parent(object).filter(|_| !is_deleting(object));
        if let Some(above) = above.and_then(|above| self.living(above.kind, &above.namespace, &above.name)) {
            self.ways(above, found);
        }
    }

    /// Whether a resource only looks at the object that somebody else now writes to: who made it, or may speak for it. It looks by its own
    /// mode, or through a connection that does, while another connection leads to the same account and lets its resources write. The switch
    /// of a connection is for "all its resources" (DESIGN.md, section 4), and for no others; and "whoever holds the recorded id or the mark
    /// wins" (law 12): what is observed is not recorded as one's own.
    pub(super) fn only_watches(&self, place: &Place, holder: &Value) -> bool {
        let sender = sender();
        let claims_nothing = observes(holder) || recorded_path(holder).is_none();
        if !claims_nothing || sender.as_deref() == Some(uid(holder)) {
            return false;
        }
        let made = self.made.get(&place.path);
        let is_maker = sender.is_some_and(|sender| made.is_some_and(|made| made.uids.contains(&sender)));
        is_maker || self.has_another_speaker(place, &self.resources[uid(holder)])
    }
}
