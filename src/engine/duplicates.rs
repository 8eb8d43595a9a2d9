//! Objects that carry the mark of a resource and are not its own: duplicates that slipped through, and are removed (law 1).
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::{identify::Identified, mark, observe::Read, pass::Pass, reason::Reason, resolve::Resolved, stop::Stop};
use crate::remote::{Place, Segment};

impl Pass<'_> {
    /// Of several objects with our mark the oldest is kept; the others are duplicates that slipped through (law 1).
    ///
    /// # Errors
    /// [`Stop`] where a duplicate cannot be removed, another resource has the one to be kept, or one of them may be gone.
    pub async fn keep_oldest(&mut self, resolved: &Resolved, mut ours: Vec<Value>) -> Result<Option<Identified>, Stop> {
        self.check_not_gone(resolved, &ours)?;
        let link = resolved.link().clone();
        let field = self.ops.id_field();
        // Fractions of a second come in any length, so texts cannot be compared.
        let made = |item: &Value| item["created_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        ours.sort_by_key(made);
        let mut ours = ours.into_iter();
        let Some(kept) = ours.next() else { return Ok(None) };
        let segment = |item: &Value| {
            Segment::new(item[field].as_str().unwrap_or_default())
                .map_err(|e| Stop::refused(Reason::RemoteUnavailable, e.to_string()))
        };
        let kept_path = resolved.collection.child(&segment(&kept)?);
        let id = kept[field].as_str().unwrap_or_default();
        self.claim_found(resolved, id, &kept_path)?;
        for duplicate in ours.filter(|_| resolved.writes) {
            let path = resolved.collection.child(&segment(&duplicate)?);
            self.delete_while_installed(&link, &Place::in_collection(path.clone())).await?;
            tracing::warn!(resource = %self.key, %path, "removed a duplicate that carries our mark");
        }
        self.note_found(&kept);
        // What this very resource has made is its own, also where nothing may be written now: by what is recorded a credential of another
        // account is known, which does not show it (section 5 of the design).
        let is_mine = mark::uid(&kept, &self.engine.owner) == Some(self.object.uid());
        let is_own = resolved.writes || (is_mine && self.recorder_of(id, &link.account(), &kept_path).is_none());
        self.record(resolved, id, &kept_path, !is_own);
        Ok(Some(Identified { object: Some(kept), recorded: true, adopted: resolved.writes }))
    }

    /// Removes objects that a sweep found to carry this very resource's mark besides its own object (law 1).
    ///
    /// # Errors
    /// [`Stop`] where one cannot be read or removed.
    pub async fn remove_duplicates(&mut self, resolved: &Resolved) -> Result<(), Stop> {
        let found = self.engine.remember(self.object.uid(), |memory| std::mem::take(&mut memory.duplicates));
        let own = self.status.remote.as_ref().map(|r| r.path.clone());
        for path in
            found.into_iter().filter(|path| resolved.writes && own.as_deref().is_some_and(|own| own != path.as_str()))
        {
            let link = resolved.link().clone();
            let place = Place::in_collection(path.clone());
            let Read::Found(object) = self.read(&link, &place).await? else { continue };
            if mark::uid(&object, &self.engine.owner) != Some(self.object.uid()) {
                continue;
            }
            self.delete_while_installed(&link, &place).await?;
            tracing::warn!(resource = %self.key, %path, "removed a duplicate that carries our mark");
        }
        Ok(())
    }
}
