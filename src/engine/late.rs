//! A create that was given up because nothing of it was seen may still take effect: a process that was stopped before it was sent goes on
//! hours later. Where no mark tells whose the object is, a person decides.
use serde_json::Value;
use tokio::time::Instant;

use super::{
    create::digest,
    desired::Shape,
    kind::Identity,
    mark,
    observe::items,
    pass::Pass,
    reason::Reason,
    resolve::Resolved,
    status::{Intent, Recipe, Status},
    stop::Stop,
};
use crate::remote::{Link, Path};

/// Whether an object of a listing could be what a given-up create made after all.
#[must_use]
pub fn could_be_late(given_up: &Intent, key_field: &str, item: &Value) -> bool {
    item[key_field] == given_up.key.as_str() && digest(&given_up.fields, item) == given_up.digest
}

/// The create that was given up, if this very resource gave it up here and it could still show up.
#[must_use]
pub fn given_up<'s, E>(status: &'s Status<E>, uid: &str) -> Option<&'s Intent> {
    status.given_up.as_ref().filter(|intent| intent.uid == uid && intent.object.is_none())
}

impl Pass<'_> {
    /// A create is about to be written down. Until it is sent nothing can come of it, and only this process knows that: the answer to that
    /// write may be lost, and what a stranger makes meanwhile is no outcome of a create that nobody sent (law 2).
    pub(super) fn announce(&mut self, token: &str) {
        self.sent = Some(token.to_owned());
        self.engine.remember(self.object.uid(), |memory| memory.fruitless.push(token.to_owned()));
    }

    /// The create that was written down is sent now. Of those before it none is written any more: that write was for the version before.
    pub(super) fn note_sending(&self, resolved: &Resolved) {
        self.engine.remember(self.object.uid(), |memory| {
            memory.fruitless.clear();
            memory.sent_through = Some(resolved.connection.clone());
        });
    }

    /// The API has said that it did not do what was sent. Whether or not that can be written, nothing comes of it any more.
    pub(super) fn note_refused(&mut self) {
        self.status.creating = None;
        if let Some(token) = self.sent.clone() {
            self.engine.remember(self.object.uid(), |memory| memory.fruitless.push(token));
        }
    }

    /// The create of an earlier pass whose result is not known. One that nothing can come of is forgotten.
    pub(super) fn open_create(&mut self) -> Option<Intent> {
        let intent = self.status.intent(&self.engine.owner, self.object.uid()).cloned()?;
        if self.engine.remember(self.object.uid(), |memory| memory.fruitless.contains(&intent.token)) {
            self.status.creating = None;
            return None;
        }
        Some(intent)
    }

    /// Until when a create may take effect unseen. One for which that time has passed has been looked for.
    pub(super) fn note_unsettled(&self, until: Option<Instant>) {
        let until = until.filter(|until| *until > Instant::now());
        self.engine.remember(self.object.uid(), |memory| memory.unsettled = until);
    }

    /// Whether a create may take effect besides what is recorded here now: one whose end this process waits for, or one of which the record
    /// of this very object says so already. What was deleted to be made again takes that along.
    pub(super) fn is_unsettled_beside(&self, resolved: &Resolved, path: &Path) -> bool {
        let before = self.status.known(&self.engine.owner, self.object.uid());
        if before.is_some_and(|one| one.unsettled && one.path == path.as_str()) {
            return true;
        }
        if resolved.identity == Identity::Intent {
            return false;
        }
        let (now, window) = (Instant::now(), self.window(resolved.link()));
        self.engine.remember(self.object.uid(), |memory| {
            let until = memory.unsettled.or(memory.sighted.map(|sighted| sighted + window));
            let is_open = until.is_some_and(|until| until > now);
            if is_open {
                memory.sighted.get_or_insert(now);
            }
            is_open
        })
    }

    /// The create of what is recorded, and was to be made again, had no answer. It is sent again before it is settled, and a process that
    /// finds what came of that is to know that there are two.
    pub(super) fn mark_unsettled(&mut self, resolved: &Resolved) {
        let is_recorded = self.status.recorded(&self.engine.owner, self.object.uid()).is_some();
        if !is_recorded || resolved.identity == Identity::Intent {
            return;
        }
        if let Some(recipe) = &mut self.status.remote {
            recipe.unsettled = true;
        }
        self.sight_unsettled();
    }

    /// From the first sight of such a record on this process counts the time until it is settled, as with an open create: what the process
    /// before knew of it ended with that process.
    pub(super) fn sight_unsettled(&self) {
        let record = self.status.recorded(&self.engine.owner, self.object.uid());
        if record.is_some_and(|recipe| recipe.unsettled) {
            self.engine.remember(self.object.uid(), |memory| {
                memory.sighted.get_or_insert_with(Instant::now);
            });
        }
    }

    /// Until when a create may take effect beside what is recorded. What this process has sent itself it knows best.
    pub(super) fn unsettled_beside(&self, recipe: &Recipe, link: &Link) -> Option<Instant> {
        let window = self.window(link);
        self.engine.remember(self.object.uid(), |memory| {
            if recipe.unsettled && memory.unsettled.is_none() {
                // Whatever an earlier process sent was sent before this one's first sight of the record.
                memory.unsettled = Some(*memory.sighted.get_or_insert_with(Instant::now) + window);
                memory.held = true;
            }
            memory.unsettled
        })
    }

    /// The object is there, and no status says so yet.
    pub(super) fn note_made(&self) {
        self.engine.remember(self.object.uid(), |memory| {
            memory.made = Some(Instant::now());
            memory.unrecorded = true;
        });
    }

    /// What is adopted may hide a create that an earlier process sent just before it ended, and that takes effect besides it.
    pub(super) fn note_adopted(&self, resolved: &Resolved) {
        if resolved.identity == Identity::Mark && resolved.writes {
            self.unsettled_until(resolved);
        }
    }

    /// What carries this very resource's mark came of its create, so nothing more can come of that.
    pub(super) fn note_found(&self, object: &Value) {
        self.engine.remember(self.object.uid(), |memory| memory.unrecorded = true);
        if mark::uid(object, &self.engine.owner) == Some(self.object.uid()) {
            self.note_unsettled(None);
        }
    }

    /// An absence within the consistency window of the object's create, or of the first sight of it, is not believed (law 3).
    ///
    /// # Errors
    /// [`Stop`] until the window has passed.
    pub(super) fn believe_absence(&self) -> Result<(), Stop> {
        let made = self.engine.remember(self.object.uid(), |memory| memory.made);
        let by = made.map(|made| made + self.engine.settings.consistency);
        match by.filter(|by| *by > Instant::now()) {
            None => Ok(()),
            Some(by) => {
                let message = "it was there just now, and the API does not show it; looking again after the wait";
                Err(Stop::wait_until(Reason::Deleting, message, by))
            }
        }
    }

    /// Remembers a create of which nothing was seen.
    pub fn give_up(&mut self) {
        if let Some(intent) = self.status.creating.take() {
            self.status.given_up = Some(intent);
        }
    }

    /// Looks for what a given-up create may have made besides the object that this resource has by now.
    ///
    /// # Errors
    /// [`Stop`] with [`Reason::Ambiguous`], naming all that could be meant.
    pub async fn check_given_up(&mut self, resolved: &Resolved) -> Result<(), Stop> {
        let Some(late) = given_up(&self.status, self.object.uid()).cloned() else { return Ok(()) };
        let (Some(own), Shape::Collection) = (self.status.id.clone(), resolved.shape) else { return Ok(()) };
        if late.path != resolved.collection.as_str() || !resolved.common.lifecycle.id.is_empty() {
            // It has moved, or a person has decided.
            self.status.given_up = None;
            return Ok(());
        }
        let link = resolved.link().clone();
        let filter = link.api().equals_query(self.ops.key_field(), &late.key);
        let found = items(self.ops, &link, &resolved.listing, filter.as_deref(), &mut self.requests).await;
        let found = found.map_err(|e| Self::stop(&link, e))?;
        let others: Vec<String> = found
            .iter()
            .filter(|item| could_be_late(&late, self.ops.key_field(), item))
            .filter_map(|item| Some((self.ops.id(item)?, resolved.place(self.ops.id(item)?).ok()?)))
            .filter(|(id, place)| *id != own && self.recorder_of(id, &late.account, &place.path).is_none())
            .map(|(id, _)| id.to_owned())
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        let message = format!(
            "an earlier create took effect late: {own} and {} could each be the one that is meant; set spec.lifecycle.id to the right one, and delete the others at the API",
            others.join(", ")
        );
        Err(Stop::refused(Reason::Ambiguous, message))
    }
}
