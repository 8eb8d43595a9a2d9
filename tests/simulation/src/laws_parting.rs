//! What goes with a resource that is deleted, and what does not: an object that is to stay, and a parent that others still live below.
use serde_json::Value;

use super::{
    look::{deletes, is_deleting, label, namespace, recorded_path, uid},
    notes::Notes,
    sorts::Place,
};
use crate::{plan::Millis, seen::RemoteRequest, world::World};

/// So long after something was written everybody has heard of it, whichever watch lags.
const HEARD: Millis = 30_000;

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
    }
}
