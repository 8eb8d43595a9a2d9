//! What this process deleted just now. For a while a listing may be older than the DELETE (the consistency window): what it shows then is
//! nobody's to take, and in nobody's way.
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use super::{identify::Identified, kind::Identity, mark, pass::Pass, resolve::Resolved, stop::Stop};
use crate::remote::{Link, Path, Place};

/// Objects that the API said are gone, by account and path, and until when a listing may show them still. Losing it costs a request that is
/// answered with a 404.
#[derive(Default)]
pub struct Gone {
    until: Mutex<HashMap<(String, Path), Instant>>,
    since: OnceLock<Instant>,
    /// The same, where an earlier process was at work.
    after_another: OnceLock<Instant>,
}

impl Gone {
    /// The work begins: what was deleted before, another process deleted, and nothing is remembered of it.
    /// `after_another`: whether there was such a process.
    pub fn begin(&self, after_another: bool) {
        let since = *self.since.get_or_init(Instant::now);
        if after_another {
            self.after_another.get_or_init(|| since);
        }
    }

    /// Since when what is deleted is remembered here.
    fn since(&self) -> Option<Instant> {
        self.since.get().copied()
    }

    /// Until when what an earlier process did may still show, or take effect; none: that is over, or there was none.
    pub(super) fn settles_at(&self, window: Duration) -> Option<Instant> {
        let until = self.after_another.get().map(|since| *since + window);
        until.filter(|until| *until > Instant::now())
    }

    fn note(&self, account: String, path: Path, until: Instant) {
        let now = Instant::now();
        let mut gone = self.lock();
        gone.retain(|_, until| *until > now);
        gone.insert((account, path), until);
    }

    fn has(&self, account: String, path: Path) -> bool {
        self.until(account, path).is_some()
    }

    fn until(&self, account: String, path: Path) -> Option<Instant> {
        self.lock().get(&(account, path)).copied().filter(|until| *until > Instant::now())
    }

    /// It is there again.
    pub(super) fn forget(&self, account: String, path: Path) {
        self.lock().remove(&(account, path));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Path), Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Remembers that an object is gone, until no listing can be older than that.
    pub(super) fn note_gone(&self, link: &Link, path: &Path) {
        let until = Instant::now() + link.deadline() + self.engine.settings.consistency;
        self.engine.gone.note(link.account(), path.clone(), until);
    }

    /// Whether an object that a listing shows was deleted just now. Not to be asked of ids that clients choose: such an object may be there
    /// again.
    pub(super) fn was_deleted(&self, resolved: &Resolved, item: &Value) -> bool {
        let place = self.ops.id(item).and_then(|id| resolved.place(id).ok());
        place.is_some_and(|place| self.engine.gone.has(resolved.link().account(), place.path))
    }

    /// An object that is about to be taken over was read at a path where we deleted one just now: the answer may be older than the DELETE. Its
    /// id may be one that clients choose, so it may also be there again.
    ///
    /// # Errors
    /// [`Stop`] until no answer can be older than that.
    pub(super) fn check_not_deleted(&self, resolved: &Resolved, path: &Path) -> Result<(), Stop> {
        match self.engine.gone.until(resolved.link().account(), path.clone()) {
            Some(until) => {
                let why =
                    format!("{path} was deleted just now, and the API still shows it; looking again after the wait");
                Err(self.absent_until(&why, until))
            }
            None => Ok(()),
        }
    }

    /// What carries the mark of a resource of this name before this one may be what an earlier process deleted for that one, and what that
    /// process remembered ended with it. Such a DELETE was answered before this resource was made, and before this process began to work:
    /// what has been there, or has been at work, for longer need not wait.
    ///
    /// # Errors
    /// [`Stop`] as long as a listing may be older than that.
    pub(super) fn check_not_gone(&self, resolved: &Resolved, ours: &[Value]) -> Result<(), Stop> {
        let is_of_before = |item: &Value| mark::uid(item, &self.engine.owner) != Some(self.object.uid());
        let made = self.object.metadata.creation_timestamp.as_ref().map(|made| made.0);
        let age = made.and_then(|made| Duration::try_from(self.engine.clock.now().duration_since(made)).ok());
        let is_young = age.unwrap_or_default() < self.window(resolved.link());
        if !resolved.writes || !is_young || !ours.iter().any(is_of_before) {
            return Ok(());
        }
        let since_then = self.engine.gone.since().map(|since| since + self.engine.settings.consistency);
        match self.unsettled_until(resolved).max(since_then).filter(|until| *until > Instant::now()) {
            Some(until) => Err(self.still_waiting(until)),
            None => Ok(()),
        }
    }

    /// What this resource is let take over may be what an earlier process deleted for another one that has ended since, and what that process
    /// remembered ended with it. What a parent always has, and people, are there without us; and what we made and could mark has our mark.
    ///
    /// # Errors
    /// [`Stop`] as long as an answer may be older than such a DELETE, which was answered before this process began to work.
    pub(super) fn check_not_gone_before(&self, resolved: &Resolved, object: &Value) -> Result<(), Stop> {
        let may_be_ours = self.ops.identity() != Identity::Mark || mark::uid(object, &self.engine.owner).is_some();
        if !resolved.writes || resolved.shape.is_given() || !may_be_ours {
            return Ok(());
        }
        match self.engine.gone.settles_at(self.engine.settings.consistency) {
            Some(until) => {
                let why = "it may have been deleted just before Portico was started; looking again after the wait";
                Err(self.absent_until(why, until))
            }
            None => Ok(()),
        }
    }

    /// The object is at another place than the spec says now, and is not there any more. Making it where the spec says is making it again:
    /// not where it vanished with many others (law 3).
    ///
    /// # Errors
    /// As [`Pass::check_absence`].
    pub(super) async fn go_elsewhere(
        &mut self,
        resolved: &Resolved,
        place: &Place,
        parent_gone: Option<&Path>,
    ) -> Result<Option<Identified>, Stop> {
        let creates = resolved.writes && !resolved.shape.is_given() && resolved.common.lifecycle.id.is_empty();
        // Where its spec is as it was, its parent was made again elsewhere, and that was asked whether it may be, for what is below it, too.
        // And what we deleted ourselves did not vanish.
        let follows = parent_gone.is_some_and(|parent| {
            !self.is_changed() || self.engine.gone.has(resolved.link().account(), parent.clone())
        });
        if creates && !follows {
            self.check_absence(resolved, place, parent_gone).await?;
        }
        self.forget_record();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_deleted_is_remembered_for_as_long_as_a_listing_may_show_it_and_by_account() {
        let (gone, path) = (Gone::default(), |text: &str| Path::parse(text).unwrap());
        let window = Duration::from_secs(35);
        gone.note("https://eu".to_owned(), path("/v2/portals/a"), Instant::now() + window);
        assert!(gone.has("https://eu".to_owned(), path("/v2/portals/a")));
        assert!(!gone.has("https://eu".to_owned(), path("/v2/portals/b")));
        assert!(!gone.has("https://us".to_owned(), path("/v2/portals/a")));
        gone.note("https://eu".to_owned(), path("/v2/portals/c"), Instant::now() + window);
        gone.forget("https://eu".to_owned(), path("/v2/portals/c"));
        assert!(!gone.has("https://eu".to_owned(), path("/v2/portals/c")), "it is there again");
        tokio::time::advance(window).await;
        assert!(!gone.has("https://eu".to_owned(), path("/v2/portals/a")));
        gone.note("https://eu".to_owned(), path("/v2/portals/b"), Instant::now() + window);
        assert_eq!(gone.lock().len(), 1, "what is over is forgotten");
    }
}
