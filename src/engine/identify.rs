//! Which object is this resource's? By recorded id, by open create, by binding, by mark, and, only if the user says so, by name.
use serde_json::Value;
use tokio::time::Instant;

use super::{
    desired::Shape,
    diff::{Difference, diff},
    key::Key,
    kind::Identity,
    mark::{self, Mark},
    observe::{Read, wake_recorder},
    pass::Pass,
    reason::Reason,
    resolve::Resolved,
    spec::{Adoption, Replace},
    stop::Stop,
};
use crate::remote::{ApiError, Place};

/// What an object turned out to be.
#[derive(Default)]
pub struct Identified {
    /// The object; none: certainly not there.
    pub object: Option<Value>,
    /// Whether it was recorded before.
    pub recorded: bool,
    /// Whether it has become this resource's just now.
    pub adopted: bool,
}

impl Pass<'_> {
    /// Finds the object, without changing anything but duplicates of our own.
    ///
    /// # Errors
    /// [`Stop`] where it cannot be known, or is not to be had.
    pub async fn identify(&mut self, resolved: &Resolved) -> Result<Identified, Stop> {
        self.settle_update(resolved)?;
        if let Some(found) = self.by_record(resolved).await? {
            return Ok(found);
        }
        // What the user says goes before what can be found out.
        let bound = resolved.common.lifecycle.id.clone();
        if !bound.is_empty() {
            self.settle_before(resolved, &bound).await?;
            return self.by_binding(resolved, &bound).await;
        }
        match self.settle(resolved).await? {
            Some(found) => Ok(found),
            None => self.by_lookup(resolved).await,
        }
    }

    async fn by_record(&mut self, resolved: &Resolved) -> Result<Option<Identified>, Stop> {
        let Some(recipe) = self.status.recorded(&self.engine.owner, self.object.uid()).cloned() else {
            return Ok(None);
        };
        let lifecycle = &resolved.common.lifecycle;
        if recipe.account != resolved.link().account() {
            let message = format!(
                "the object is at {}, and the connection now leads to {}: put the connection back, or delete this resource and make it again",
                recipe.account,
                resolved.link().account()
            );
            return Err(Stop::hopeless(Reason::ImmutableFieldChanged, message));
        }
        if !lifecycle.id.is_empty() && self.status.id.as_deref() != Some(&lifecycle.id) {
            return Err(self.has_another(&lifecycle.id));
        }
        let place = self.recorded_place()?;
        // The user chose another object, or another place.
        let renamed = resolved.shape == Shape::Upsert && self.status.id != resolved.id;
        let moved = renamed || place.listing != resolved.listing;
        match self.read_recorded(resolved, &recipe, &place).await? {
            Read::Found(object) => {
                self.check_mark(resolved, &object, true)?;
                if moved {
                    return self.move_away(resolved, &place).await;
                }
                // The recipe follows a connection of another name to the same account.
                let id = self.status.id.clone().unwrap_or_default();
                self.record(resolved, &id, &place.path, false);
                Ok(Some(Identified { object: Some(object), recorded: true, adopted: false }))
            }
            Read::Absent if moved => self.go_elsewhere(resolved, &place, None).await,
            Read::ParentAbsent(parent) if moved => self.go_elsewhere(resolved, &place, Some(&parent)).await,
            Read::Absent if !lifecycle.id.is_empty() => {
                if self.gives_up_its_place(resolved) {
                    self.forget_record();
                }
                let message = format!("there is no object with the id {} at the API", lifecycle.id);
                Err(Stop::refused(Reason::NotFound, message))
            }
            Read::Absent if resolved.shape == Shape::Claimed => {
                self.forget_record();
                Ok(None)
            }
            Read::Absent if resolved.shape == Shape::Singleton => Err(Self::hidden(&place)),
            Read::Absent => {
                // Made again only where nobody has taken its place meanwhile.
                let items = self.check_absence(resolved, &place, None).await?;
                let found = match resolved.id {
                    None => {
                        let found = self.find_in_listing(resolved, &items).await;
                        self.step_back(resolved, &items, found.as_ref().is_err_and(Stop::is_conflict));
                        found?
                    }
                    // Its id is its own, and is made again.
                    Some(_) => Identified::default(),
                };
                Ok(Some(Identified { recorded: true, ..found }))
            }
            Read::ParentAbsent(parent) => {
                wake_recorder(self.engine, resolved, &parent);
                Err(Stop::wait(
                    Reason::ReferenceNotReady,
                    format!("{parent} does not exist at the API any more; waiting for it to be made again"),
                ))
            }
        }
    }

    /// The object is at another place than the spec says now, and is still there.
    async fn move_away(&mut self, resolved: &Resolved, place: &Place) -> Result<Option<Identified>, Stop> {
        if resolved.shape.is_given() {
            // What others made, or what a parent always has, is left where it is.
            self.forget_record();
            return Ok(None);
        }
        if resolved.common.lifecycle.replace != Replace::Allow || !resolved.writes {
            let message = format!(
                "the object is at {} and cannot move to {}; set lifecycle.replace: Allow to delete it there and make it again",
                place.path, resolved.listing
            );
            return Err(Stop::hopeless(Reason::ImmutableFieldChanged, message));
        }
        self.delete_to_replace(resolved, place).await?;
        Ok(None)
    }

    /// Deletes the object so that it can be made again, elsewhere or otherwise.
    ///
    /// # Errors
    /// [`Stop`] where the API refuses.
    pub async fn delete_to_replace(&mut self, resolved: &Resolved, place: &Place) -> Result<(), Stop> {
        self.delete_while_installed(resolved.link().clone().as_ref(), place).await?;
        self.forget_record();
        Ok(())
    }

    async fn by_binding(&mut self, resolved: &Resolved, id: &str) -> Result<Identified, Stop> {
        Self::may_take_over(resolved)?;
        let place =
            resolved.place(id).map_err(|e| Stop::hopeless(Reason::InvalidSpec, format!("lifecycle.id: {e}")))?;
        if let Some(only) = resolved.id.as_deref().filter(|only| place.is_alone() && *only != id) {
            let message =
                format!("lifecycle.id is {id}, and the only object that this resource can have is that of {only}");
            return Err(Stop::hopeless(Reason::InvalidSpec, message));
        }
        if let Some(other) = self.taken_by(resolved, id, &place) {
            return Err(self.conflict(format!("the object {id} belongs to {other}")));
        }
        match self.read(resolved.link().clone().as_ref(), &place).await? {
            Read::Found(object) => {
                self.check_not_deleted(resolved, &place.path)?;
                self.check_mark(resolved, &object, false)?;
                Self::check_listed(resolved, &object, id)?;
                self.check_built_in(resolved, &object, id)?;
                self.check_not_gone_before(resolved, &object)?;
                self.claim_found(resolved, id, &place.path)?;
                self.note_adopted(resolved);
                self.record(resolved, id, &place.path, !resolved.writes);
                Ok(Identified { object: Some(object), recorded: true, adopted: resolved.writes })
            }
            _ if self.has_marked(resolved).await? => Err(self.has_another(id)),
            _ => Err(Stop::refused(
                Reason::NotFound,
                format!(
                    "there is no object with the id {id} at the API (lifecycle.id binds to what exists and never creates)"
                ),
            )),
        }
    }

    async fn by_lookup(&mut self, resolved: &Resolved) -> Result<Identified, Stop> {
        if let Some(id) = &resolved.id {
            return self.by_id(resolved, id).await;
        }
        let link = resolved.link().clone();
        let marked = self.ops.identity() == Identity::Mark;
        // An earlier pass may have created it under another name: only a complete listing tells.
        let everything = marked && self.was_held;
        let items = match self.listed(resolved, everything).await {
            Err(ApiError::Absent(words)) => return Err(self.parent_gone(resolved, &words)),
            other => other.map_err(|e| Self::stop(&link, e))?,
        };
        self.find_in_listing(resolved, &items).await
    }

    /// The object that has the id which this resource's object is to have.
    async fn by_id(&mut self, resolved: &Resolved, id: &str) -> Result<Identified, Stop> {
        if resolved.identity == Identity::Derived && resolved.writes {
            // Nobody else's object has this id, so the create itself finds out whether ours is there.
            return Ok(Identified::default());
        }
        let place = resolved.place(id).map_err(|e| Stop::hopeless(Reason::InvalidSpec, format!("the id: {e}")))?;
        if let Some(other) = self.taken_by(resolved, id, &place) {
            return Err(self.conflict(format!("the object {id} belongs to {other}")));
        }
        match self.read(resolved.link().clone().as_ref(), &place).await? {
            Read::Found(object) => {
                self.check_not_deleted(resolved, &place.path)?;
                self.take_stranger(resolved, &[&object])
            }
            Read::Absent if resolved.shape == Shape::Singleton => Err(Self::hidden(&place)),
            Read::Absent => Ok(Identified::default()),
            Read::ParentAbsent(_) => Err(self.parent_gone(resolved, "not found")),
        }
    }

    /// The create of a derived id found the id taken: the object is ours, and was made by an earlier pass or resource.
    ///
    /// # Errors
    /// [`Stop`] where it cannot be read.
    pub async fn take_own(&mut self, resolved: &Resolved, id: &str) -> Result<Option<Value>, Stop> {
        let place = resolved.place(id).map_err(|e| Stop::hopeless(Reason::InvalidSpec, format!("the id: {e}")))?;
        let Read::Found(object) = self.read(resolved.link().clone().as_ref(), &place).await? else { return Ok(None) };
        // One that an earlier create made where the spec was then may be deleted and made again, if the user says so.
        if resolved.common.lifecycle.replace != Replace::Allow {
            Self::check_listed(resolved, &object, id)?;
        }
        self.record(resolved, id, &place.path, false);
        Ok(Some(object))
    }

    /// What a listing shows of this resource: its mark, or objects of its name.
    async fn find_in_listing(&mut self, resolved: &Resolved, items: &[Value]) -> Result<Identified, Stop> {
        // It may be older than our own DELETE of what had this name, or this mark, before.
        let items: Vec<&Value> = items.iter().filter(|item| !self.was_deleted(resolved, item)).collect();
        if self.ops.identity() == Identity::Mark {
            let is_ours = |item: &&Value| mark::read(item, &self.engine.owner, self.key) == Mark::Ours;
            let ours = items.iter().copied().filter(is_ours).cloned().collect();
            if let Some(found) = self.keep_oldest(resolved, ours).await? {
                return Ok(found);
            }
        }
        let people = resolved.shape == Shape::Claimed;
        let is_named = |item: &&Value| {
            let name = item[self.ops.key_field()].as_str().unwrap_or_default();
            // What people are called by is written in any case.
            name == resolved.natural_key || (people && name.eq_ignore_ascii_case(&resolved.natural_key))
        };
        let named: Vec<&Value> = items.into_iter().filter(is_named).collect();
        for item in &named {
            self.check_mark(resolved, item, false)?;
            let id = self.ops.id(item).unwrap_or_default();
            let Ok(place) = resolved.place(id) else { continue };
            if let Some(other) = self.taken_by(resolved, id, &place) {
                return Err(self.conflict(format!("the object of this name ({id}) belongs to {other}")));
            }
        }
        self.take_stranger(resolved, &named)
    }

    /// Another resource has the object. Its end or its change may come without a wake: look again after a while.
    pub(super) fn conflict(&self, message: String) -> Stop {
        Stop::wait_until(Reason::Conflict, message, Instant::now() + self.engine.settings.stalled)
    }

    /// What to do about objects of the wanted name that are nobody's.
    fn take_stranger(&mut self, resolved: &Resolved, named: &[&Value]) -> Result<Identified, Stop> {
        let (what, name) = (self.key.kind, &resolved.natural_key);
        let ids: Vec<String> = named.iter().map(|item| resolved.id_of(self.ops, item)).collect();
        let may = resolved.common.lifecycle.adoption == Adoption::Adopt || resolved.shape.is_given();
        match ids.as_slice() {
            [] => Ok(Identified::default()),
            [id] if !resolved.writes || may => {
                // What belongs to a parent that may be referred to may be taken with it.
                if !resolved.shape.is_given() || !resolved.comes_with_parent {
                    Self::may_take_over(resolved)?;
                }
                Self::check_listed(resolved, named[0], id)?;
                self.check_built_in(resolved, named[0], id)?;
                self.check_not_gone_before(resolved, named[0])?;
                let place = resolved.place(id).map_err(|e| Stop::refused(Reason::RemoteUnavailable, e.to_string()))?;
                self.claim_found(resolved, id, &place.path)?;
                self.note_adopted(resolved);
                self.record(resolved, id, &place.path, !resolved.writes);
                Ok(Identified { object: Some(named[0].clone()), recorded: true, adopted: resolved.writes })
            }
            [id] => {
                self.check_built_in(resolved, named[0], id)?;
                Err(Stop::refused(Reason::AlreadyExists, already_exists(resolved, what, id)))
            }
            several => {
                let message = format!(
                    "there are {} objects named {name:?} ({}); set spec.lifecycle.id to the one that is meant",
                    several.len(),
                    several.join(", ")
                );
                Err(Stop::refused(Reason::Ambiguous, message))
            }
        }
    }

    /// Whether an object's mark lets this resource have it. What was recorded and is another installation's by now is not fought over.
    ///
    /// # Errors
    /// [`Stop`] for another installation's object, and for one of a live sibling.
    pub fn check_mark(&self, resolved: &Resolved, object: &Value, recorded: bool) -> Result<(), Stop> {
        if self.ops.identity() != Identity::Mark || !resolved.writes {
            return Ok(());
        }
        let lifecycle = &resolved.common.lifecycle;
        match mark::read(object, &self.engine.owner, self.key) {
            Mark::None | Mark::Ours => Ok(()),
            Mark::Foreign(_) if !recorded && lifecycle.adoption == Adoption::Adopt && !lifecycle.id.is_empty() => {
                Ok(())
            }
            Mark::Foreign(other) => {
                let message = format!(
                    "the object belongs to the Portico installation {other:?}; to take it over, set both spec.lifecycle.adoption: Adopt and spec.lifecycle.id, or run Portico with --owner-id {other}"
                );
                Err(Stop::refused(Reason::OwnedByAnother, message))
            }
            Mark::Sibling(uid) => {
                let live = self.engine.cache.by_uid(self.key.kind, &uid);
                let heir = || (!recorded).then(|| self.heir(resolved, object)).flatten();
                match live.or_else(heir) {
                    Some(other) => Err(self.conflict(format!("the object belongs to {other}"))),
                    None => Ok(()),
                }
            }
        }
    }

    /// What belongs to the API itself is nobody's to manage.
    fn check_built_in(&self, resolved: &Resolved, object: &Value, id: &str) -> Result<(), Stop> {
        if !resolved.writes || !self.ops.is_built_in(object) {
            return Ok(());
        }
        let message = format!(
            "{id} is built into the API and cannot be managed; choose another id, or look at it with spec.lifecycle.mode: Observe"
        );
        Err(Stop::hopeless(Reason::InvalidSpec, message))
    }

    /// An object of this id may be listed somewhere else: below another parent.
    fn check_listed(resolved: &Resolved, object: &Value, id: &str) -> Result<(), Stop> {
        let differences = diff(&resolved.desired, object);
        match differences.iter().find(|difference| resolved.desired.is_fixed(&difference.path)) {
            None => Ok(()),
            Some(Difference { path, want, found }) => Err(Stop::hopeless(
                Reason::InvalidSpec,
                format!("the object {id} has the {} {found}, which cannot become {want}", path.join(".")),
            )),
        }
    }

    /// Who else has the object, if this resource wants to have it.
    fn taken_by(&self, resolved: &Resolved, id: &str, place: &Place) -> Option<Key> {
        self.recorder_of(id, &resolved.link().account(), &place.path).filter(|_| resolved.writes)
    }

    /// The API does not show what its parent always has.
    fn hidden(place: &Place) -> Stop {
        let why = format!("the API does not show {}, which is there as long as what it belongs to", place.path);
        Stop::from_api(ApiError::Unavailable(why), None)
    }

    fn may_take_over(resolved: &Resolved) -> Result<(), Stop> {
        if resolved.may_adopt || !resolved.writes {
            return Ok(());
        }
        let message = format!(
            "{} does not let other namespaces take over existing objects: set its spec.allowAdoption",
            resolved.connection
        );
        Err(Stop::wait(Reason::ReferenceNotPermitted, message))
    }
}

/// A stranger's object has the name, or the id, that this resource's object is to have.
#[must_use]
pub fn already_exists(resolved: &Resolved, what: &str, id: &str) -> String {
    match &resolved.id {
        Some(parent) if resolved.parent.is_some() => format!(
            "{parent} has a {what} already, which was not made by this resource; to take it over, set spec.lifecycle.adoption: Adopt, else delete it at the API"
        ),
        None => format!(
            "a {what} named {:?} exists already and was not made by this resource ({id}); to take it over, set spec.lifecycle.adoption: Adopt, else choose another name",
            resolved.natural_key
        ),
        Some(id) => format!(
            "a {what} with the id {id} exists already and was not made by this resource; to take it over, set spec.lifecycle.adoption: Adopt, else make this resource again with another id"
        ),
    }
}
