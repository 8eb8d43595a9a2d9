//! Changing an object, as its API wants it: by what differs, or whole, with what the spec does not name as it was read.
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    desired::Shape,
    diff::Difference,
    kubernetes::Precondition,
    observe::items,
    overlay::{overlay, patch},
    pass::Pass,
    reason::Reason,
    resolve::{Resolved, parse_connection},
    status::Updating,
    stop::Stop,
};
use crate::remote::{ApiError, Call, Link, Path, Update};

impl Pass<'_> {
    /// Sends the differences. `read` is the object as this pass read it; the answer is the object as it is now. `takes_over`: it becomes
    /// this resource's with this update, and not before.
    ///
    /// # Errors
    /// [`Stop`] where the API refuses, or its answer was lost.
    pub async fn update(
        &mut self,
        resolved: &Resolved,
        read: &Value,
        differences: &[Difference],
        takes_over: bool,
    ) -> Result<Value, Stop> {
        let path = self.recorded_path()?;
        let is_repeatable = self.ops.is_repeatable();
        if !is_repeatable {
            self.status.updating = Some(Updating { token: self.engine.token(), uid: self.object.uid().to_owned() });
        }
        if self.claim_labels(resolved, &read["labels"]) || !is_repeatable {
            // For labels alone nothing else is written yet.
            self.announce_update(takes_over || is_repeatable).await?;
        }
        let answer = match resolved.link().api().update() {
            Update::Patch => {
                let desired = &resolved.desired;
                let mut body = patch(desired, read, differences);
                body.extend(desired.along.clone());
                let body = Value::Object(self.ops.patched(body));
                self.change(resolved, Method::PATCH, &path, &body).await
            }
            Update::Replace => self.replace(resolved, &path, read, differences).await,
        };
        let link = resolved.link().clone();
        match answer {
            Ok(Some(object)) => Ok(self.ops.normalize(object)),
            Ok(None) => match self.send(&link, Call::new(Method::GET, &path)).await {
                Ok(object) => Ok(self.ops.normalize(object.unwrap_or_default())),
                Err(error) => Err(Self::stop(&link, error)),
            },
            // The object was read just now, so it is something else that is not there.
            Err(ApiError::Absent(words)) => Err(self.reference_gone(&words)),
            Err(error) => {
                if matches!(&error, ApiError::Refused(refusal) if refusal.status == 409) {
                    self.yield_name(resolved, &link).await;
                }
                Err(self.refusal(&link, error))
            }
        }
    }

    /// The API refuses what another object has already. Where that is the name, whoever has recorded that object goes before this resource,
    /// which has come to claim it by an edit: that it said `Conflict` before may be lost by now.
    async fn yield_name(&mut self, resolved: &Resolved, link: &Link) {
        if resolved.shape != Shape::Collection || resolved.id.is_some() || !self.has_rivals(resolved) {
            return;
        }
        let filter = link.api().equals_query(self.ops.key_field(), &resolved.natural_key);
        let found = items(self.ops, link, &resolved.listing, filter.as_deref(), &mut self.requests).await;
        if let Ok(found) = found {
            self.step_back(resolved, &found, true);
        }
    }

    /// Writes that an update is about to be sent. What is only now being taken over is recorded when the API has taken the update: a record
    /// that each refusal took back would come and go for ever (law 4), and wake whoever refers to the object or claims it.
    async fn announce_update(&mut self, takes_over: bool) -> Result<(), Stop> {
        let taken = self.status.clone();
        if takes_over {
            let stored = self.object.status();
            (self.status.id, self.status.remote, self.status.creating) = (stored.id, stored.remote, stored.creating);
        }
        let written = self.write_status(Precondition::Version).await;
        self.status = taken;
        written
    }

    async fn replace(
        &mut self,
        resolved: &Resolved,
        path: &Path,
        read: &Value,
        differences: &[Difference],
    ) -> Result<Option<Value>, ApiError> {
        let whole = overlay(&resolved.desired, read);
        let only = |field: &&str| differences.iter().all(|d| d.path.first().is_some_and(|first| first == field));
        if let Some(field) = resolved.desired.alone.filter(only) {
            let part = whole.get(field).cloned().unwrap_or_default();
            match self.change(resolved, Method::PUT, &path.then(field), &part).await {
                // This version of the API has no such operation.
                Err(ApiError::Absent(_)) => {}
                Err(error) => return Err(error),
                Ok(answer) => {
                    let mut object = read.clone();
                    object[field] = answer.unwrap_or(part);
                    return Ok(Some(object));
                }
            }
        }
        self.change(resolved, Method::PUT, path, &json!(whole)).await
    }

    /// Until when an update that this process sent may still take effect unseen.
    pub(super) fn late_update(&self) -> Option<Instant> {
        let until = self.engine.remember(self.object.uid(), |memory| memory.late_update);
        until.filter(|until| *until > Instant::now())
    }

    /// What differs may be what this process, or one before it, has just put right, and is read as it was before. Where sending it twice does
    /// more than once, it is looked at again when no answer can be so old.
    ///
    /// # Errors
    /// [`Stop`] until then.
    pub(super) fn check_shown(&self) -> Result<(), Stop> {
        let by = self.engine.remember(self.object.uid(), |memory| memory.shown_by).filter(|by| *by > Instant::now());
        let by = by.max(self.engine.gone.settles_at(self.engine.settings.consistency));
        let Some(by) = by.filter(|_| !self.ops.is_repeatable()) else { return Ok(()) };
        let why = "it was changed just now, and the API may not show that yet; looking again after the wait";
        Err(Stop::not_shown_until(by, why))
    }

    async fn change(
        &mut self,
        resolved: &Resolved,
        method: Method,
        path: &Path,
        body: &Value,
    ) -> Result<Option<Value>, ApiError> {
        let link = resolved.link().clone();
        let answer = self.send(&link, Call::new(method, path).body(body)).await;
        let until = Instant::now() + self.window(&link);
        if answer.is_ok() {
            self.engine.remember(self.object.uid(), |memory| memory.shown_by = Some(until));
        }
        if answer.as_ref().map_or_else(ApiError::is_definite, |_| true) {
            self.status.updating = None;
            return answer;
        }
        self.engine.remember(self.object.uid(), |memory| memory.late_update = Some(until));
        if let Some(updating) = self.status.updating.clone() {
            // From now on it is waited for.
            self.settles_at(&updating.token, &link);
        }
        answer
    }

    /// Waits until an update of an earlier pass, whose answer nobody saw, can no longer take effect unseen: what is read then is true.
    ///
    /// # Errors
    /// [`Stop`] while it is too early to know.
    pub fn settle_update(&mut self, resolved: &Resolved) -> Result<(), Stop> {
        let Some(updating) = self.open_update() else {
            self.status.updating = None;
            return Ok(());
        };
        let due = self.settles_at(&updating.token, resolved.link());
        if Instant::now() < due {
            let message = "an earlier update may still take effect, and sending it twice would do more than once; looking at the object after the wait";
            return Err(Stop::wait_until(Reason::Updating, message, due));
        }
        self.status.updating = None;
        Ok(())
    }

    /// Waits with the end of this resource until an update of it, whose answer nobody saw, can no longer take effect. Whoever makes the
    /// object again, or takes over what is left, has sent what they want by then, and would get that update on top of it: sent once, it
    /// would do more than was to be done. An uninstall does not wait (law 6), nor does anybody where no connection is left to say how
    /// long a request may take.
    ///
    /// # Errors
    /// [`Stop`] while it is too early to let go.
    pub(super) async fn outlast_update(&mut self) -> Result<(), Stop> {
        let Some(updating) = self.open_update() else { return Ok(()) };
        let Some(link) = self.link_of_update().await else { return Ok(()) };
        let due = self.settles_at(&updating.token, &link);
        if due <= Instant::now() {
            self.status.updating = None;
            return Ok(());
        }
        if !self.engine.kube.is_crd_live(self.ops.info()).await? {
            return Ok(());
        }
        let message = "an earlier update may still take effect; going on with the deletion after the wait";
        Err(Stop::wait_until(Reason::Deleting, message, due))
    }

    /// The update of an earlier pass whose result is not known, if it is this very resource's.
    fn open_update(&self) -> Option<Updating> {
        self.status.updating.clone().filter(|updating| updating.uid == self.object.uid())
    }

    /// The way that an open update went. Of what was only being taken over nothing is recorded yet.
    async fn link_of_update(&self) -> Option<Arc<Link>> {
        if let Some(recipe) = self.status.recorded(&self.engine.owner, self.object.uid()) {
            let connection = parse_connection(self.ops, &recipe.connection)?;
            return self.engine.links.get(&connection).map(|known| known.link);
        }
        let resolved = self.engine.resolve_in_passing(self.ops, self.key, &self.object).await.ok()?;
        Some(resolved.link().clone())
    }
}
