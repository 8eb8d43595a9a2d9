//! What the status records of the object: where it is, and how it is deleted.
use serde_json::{Map, Value};

use super::{desired::Shape, pass::Pass, reason::Reason, resolve::Resolved, status::Recipe, stop::Stop};
use crate::remote::{Path, PathError, Place};

impl Pass<'_> {
    /// Puts the recipe and the id into the status, of an object that is where the spec says. An object that is only observed never becomes
    /// this resource's by that.
    pub fn record(&mut self, resolved: &Resolved, id: &str, path: &Path, observed: bool) {
        let (listing, parent) = (resolved.listing.clone(), resolved.parent.clone());
        self.record_at(resolved, id, &Place { path: path.clone(), listing, parent }, observed);
    }

    /// The same of an object that was made where the spec had it then. What is recorded is where it is: by that it is seen to be elsewhere
    /// than the spec says by now.
    pub(super) fn record_at(&mut self, resolved: &Resolved, id: &str, place: &Place, observed: bool) {
        self.status.id = Some(id.to_owned());
        self.status.creating = None;
        self.engine.gone.forget(resolved.link().account(), place.path.clone());
        let reset = self.reset(resolved);
        let path = &place.path;
        let unsettled = !observed && self.is_unsettled_beside(resolved, path);
        self.status.remote = Some(Recipe {
            owner: self.engine.owner.clone(),
            uid: self.object.uid().to_owned(),
            connection: resolved.connection_name(),
            account: resolved.link().account(),
            path: path.to_string(),
            listing: (path.collection().as_ref() != Some(&place.listing)).then(|| place.listing.to_string()),
            // A path below another object, and a list there, say themselves what it belongs to.
            parent: place.parent.as_ref().filter(|_| place.is_alone()).map(ToString::to_string),
            reset,
            observed,
            unsettled,
        });
        self.engine.links.change(&resolved.connection, |known| {
            known.missing.remove(path);
        });
    }

    /// Records nothing any more.
    pub(super) fn forget_record(&mut self) {
        self.status.id = None;
        self.status.remote = None;
        self.status.parts.clear();
        self.status.label_keys.clear();
    }

    /// The recorded place of the object.
    ///
    /// # Errors
    /// [`Stop`] where it is none: someone wrote into the status.
    pub fn recorded_place(&self) -> Result<Place, Stop> {
        let damaged = |e| Stop::hopeless(Reason::InvalidSpec, format!("status.remote is damaged: {e}"));
        match &self.status.remote {
            Some(recipe) => recipe.place().map_err(damaged),
            None => Err(damaged(PathError::Empty)),
        }
    }

    /// The recorded path of the object.
    ///
    /// # Errors
    /// As [`Pass::recorded_place`].
    pub fn recorded_path(&self) -> Result<Path, Stop> {
        self.recorded_place().map(|place| place.path)
    }

    /// What is written to an object that cannot be deleted when its resource goes: whatever the resource ever named.
    fn reset(&self, resolved: &Resolved) -> Option<Map<String, Value>> {
        if resolved.shape != Shape::Singleton {
            return None;
        }
        let before = self.status.known(&self.engine.owner, self.object.uid()).and_then(|recipe| recipe.reset.clone());
        let named = resolved.desired.reset.iter().filter(|(field, _)| resolved.desired.body.contains_key(*field));
        let mut reset = before.unwrap_or_default();
        reset.extend(named.map(|(field, value)| (field.clone(), value.clone())));
        Some(reset)
    }
}
