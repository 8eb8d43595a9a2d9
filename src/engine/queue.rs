//! Who is next. One entry a resource, whatever woke it; lanes, so that a user's change does not wait behind a sweep; and times before
//! which nothing happens, so that nobody sleeps in a worker.
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

use super::key::Key;

/// A class of work; the first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A user changed something.
    User,
    /// Something is to be deleted.
    Deletion,
    /// Something that was waited for happened, or it is time for another try.
    Retry,
    /// A sweep found a difference.
    Sweep,
}

const LANES: usize = 4;

/// Why a pass runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The operator has just started, or something that the resource refers to has changed: an object that was in order is left to the
    /// sweep.
    Start,
    /// Something happened: look at the object.
    Look,
}

#[derive(Debug)]
struct Entry {
    lane: Lane,
    cause: Cause,
    place: Place,
    /// The versions that a watch showed during the run with another status, and that no answer to a write of the run has shown yet.
    foreign: Vec<u64>,
    /// The version that the last answer to a write of ours showed.
    own: Option<u64>,
    /// The status may say what nobody was told of: the next run that ends in order tells it.
    untold: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Ready,
    Later(Instant),
    Running { again: bool, nudged: bool },
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Key, Entry>,
    ready: [VecDeque<Key>; LANES],
    later: BTreeSet<(Instant, Key)>,
    running: usize,
    closed: bool,
}

/// The queue.
#[derive(Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
}

impl Queue {
    /// As soon as a worker is free. A sweep does not disturb what waits for its time after a failure.
    pub fn push(&self, key: &Key, lane: Lane, cause: Cause) {
        let mut inner = self.lock();
        match inner.entries.get_mut(key) {
            Some(Entry { place: Place::Later(_), lane: waiting, .. })
                if lane == Lane::Sweep && *waiting != Lane::Sweep =>
            {
                return;
            }
            Some(entry) => {
                let before = entry.lane;
                entry.lane = before.min(lane);
                entry.cause = entry.cause.max(cause);
                match &mut entry.place {
                    // It may just be failing: then its own wait goes before a nudge.
                    Place::Running { nudged, .. } if lane == Lane::Sweep => {
                        *nudged = true;
                        return;
                    }
                    Place::Running { again, .. } => {
                        // What runs now began with another lane; the next run has the one asked for.
                        if !*again {
                            entry.lane = lane;
                        }
                        *again = true;
                        return;
                    }
                    Place::Ready => {
                        let now = entry.lane;
                        if now != before {
                            inner.ready[before as usize].retain(|k| k != key);
                            inner.ready[now as usize].push_back(key.clone());
                        }
                    }
                    Place::Later(due) => {
                        let due = *due;
                        entry.lane = lane;
                        entry.place = Place::Ready;
                        inner.later.remove(&(due, key.clone()));
                        inner.ready[lane as usize].push_back(key.clone());
                    }
                }
            }
            None => inner.add(key, lane, cause, false),
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// A watch shows another status than the one that is known. During a run it may be the run's own write, before the answer to it.
    pub fn restated(&self, key: &Key, version: u64) {
        let mut inner = self.lock();
        match inner.entries.get_mut(key) {
            // The answer was faster than the watch's word.
            Some(entry) if entry.own == Some(version) => return,
            Some(entry) if matches!(entry.place, Place::Running { .. }) => {
                entry.foreign.push(version);
                return;
            }
            // It runs anyway, in its own lane.
            Some(entry) if entry.place == Place::Ready => {
                (entry.cause, entry.untold) = (Cause::Look, true);
                return;
            }
            Some(entry) => entry.untold = true,
            None => inner.add(key, Lane::Retry, Cause::Look, true),
        }
        drop(inner);
        self.push(key, Lane::Retry, Cause::Look);
    }

    /// The run ends before it has told those who depend on the resource: what it wrote may be stored all the same, and is no news then to
    /// the run after it.
    pub fn owe(&self, key: &Key) {
        if let Some(entry) = self.lock().entries.get_mut(key) {
            entry.untold = true;
        }
    }

    /// Whether there may be something that nobody was told of. The run that asks tells it.
    pub fn take_untold(&self, key: &Key) -> bool {
        self.lock().entries.get_mut(key).is_some_and(|entry| std::mem::take(&mut entry.untold))
    }

    /// This version is the answer to a write of the run.
    pub fn answered(&self, key: &Key, version: u64) {
        if let Some(entry) = self.lock().entries.get_mut(key) {
            entry.foreign.retain(|seen| *seen != version);
            entry.own = Some(version);
        }
    }

    /// The next one, when there is one; none after [`Queue::close`].
    pub async fn next(&self) -> Option<(Key, Cause, Lane)> {
        loop {
            let changed = self.changed.notified();
            let due = {
                let mut inner = self.lock();
                if inner.closed {
                    return None;
                }
                inner.promote(Instant::now());
                if let Some(found) = inner.pop() {
                    let more = inner.ready.iter().any(|lane| !lane.is_empty());
                    drop(inner);
                    if more {
                        self.changed.notify_one();
                    }
                    return Some(found);
                }
                inner.later.first().map(|(due, _)| *due)
            };
            match due {
                // Whichever it is, the next round looks at both: what is ready by now, and what is due by now.
                Some(due) => {
                    tokio::select! { biased; () = changed => {}, () = tokio::time::sleep_until(due) => {} }
                }
                None => changed.await,
            }
        }
    }

    /// A run has ended; it may want another one later. What woke it meanwhile comes first.
    pub fn done(&self, key: &Key, later: Option<(Instant, Lane)>) {
        let mut inner = self.lock();
        inner.running -= 1;
        let Some(entry) = inner.entries.get_mut(key) else { return };
        let fails = later.is_some_and(|(_, lane)| lane != Lane::Sweep);
        let is_restated = !std::mem::take(&mut entry.foreign).is_empty();
        let wanted = match entry.place {
            Place::Running { again, nudged } => again || is_restated || (nudged && !fails),
            Place::Ready | Place::Later(_) => false,
        };
        if is_restated {
            (entry.cause, entry.untold) = (Cause::Look, true);
        }
        if wanted {
            entry.place = Place::Ready;
            let lane = entry.lane;
            inner.ready[lane as usize].push_back(key.clone());
        } else if let Some((due, lane)) = later {
            let (own, untold) = (entry.own, entry.untold);
            *entry = Entry { lane, cause: Cause::Look, place: Place::Later(due), foreign: Vec::new(), own, untold };
            inner.later.insert((due, key.clone()));
        } else {
            inner.entries.remove(key);
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// How many runs are under way.
    pub fn running(&self) -> usize {
        self.lock().running
    }

    /// The work begins: what waited until now was another replica's, so what is in order is left to the sweep.
    pub fn begin(&self) {
        for entry in self.lock().entries.values_mut() {
            entry.cause = Cause::Start;
            // Who waits for it has yet to look for the first time.
            entry.untold = false;
        }
    }

    /// No further run begins.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add(&mut self, key: &Key, lane: Lane, cause: Cause, untold: bool) {
        let entry = Entry { lane, cause, place: Place::Ready, foreign: Vec::new(), own: None, untold };
        self.entries.insert(key.clone(), entry);
        self.ready[lane as usize].push_back(key.clone());
    }

    fn promote(&mut self, now: Instant) {
        while self.later.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, key)) = self.later.pop_first() else { return };
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.place = Place::Ready;
                self.ready[entry.lane as usize].push_back(key);
            }
        }
    }

    fn pop(&mut self) -> Option<(Key, Cause, Lane)> {
        let key = self.ready.iter_mut().find_map(VecDeque::pop_front)?;
        let entry = self.entries.get_mut(&key)?;
        let found = (key, entry.cause, entry.lane);
        entry.place = Place::Running { again: false, nudged: false };
        entry.cause = Cause::Start;
        self.running += 1;
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(name: &str) -> Key {
        Key::new("Portal", "n", name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_users_change_goes_before_everything_that_waits() {
        let queue = Queue::default();
        for n in 0..1000 {
            queue.push(&key(&n.to_string()), Lane::Sweep, Cause::Look);
        }
        queue.push(&key("999"), Lane::User, Cause::Look);
        assert_eq!(queue.next().await, Some((key("999"), Cause::Look, Lane::User)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_resource_never_runs_twice_at_once() {
        let queue = Queue::default();
        queue.push(&key("a"), Lane::User, Cause::Look);
        queue.next().await.unwrap();
        queue.push(&key("a"), Lane::User, Cause::Look);
        let second = tokio::time::timeout(Duration::from_secs(60), queue.next()).await;
        assert!(second.is_err(), "it ran while it was running");
        queue.done(&key("a"), Some((Instant::now() + Duration::from_secs(600), Lane::Retry)));
        assert!(queue.next().await.is_some(), "what woke it while it ran was forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_nudge_while_a_run_fails_does_not_take_its_wait_away() {
        let queue = Queue::default();
        let wait = Duration::from_secs(10);
        queue.push(&key("a"), Lane::User, Cause::Look);
        queue.next().await.unwrap();
        queue.push(&key("a"), Lane::Sweep, Cause::Start);
        queue.done(&key("a"), Some((Instant::now() + wait, Lane::Retry)));
        let started = Instant::now();
        queue.next().await.unwrap();
        assert_eq!(started.elapsed(), wait);
        queue.push(&key("a"), Lane::Sweep, Cause::Start);
        queue.done(&key("a"), None);
        let started = Instant::now();
        assert!(queue.next().await.is_some(), "a nudge was lost");
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_that_somebody_else_wrote_is_looked_at_and_that_of_the_run_is_not() {
        let queue = Queue::default();
        queue.push(&key("a"), Lane::User, Cause::Look);
        queue.next().await.unwrap();
        queue.restated(&key("a"), 7);
        queue.answered(&key("a"), 7);
        queue.done(&key("a"), None);
        let second = tokio::time::timeout(Duration::from_secs(60), queue.next()).await;
        assert!(second.is_err(), "it ran again for its own write");
        queue.push(&key("a"), Lane::User, Cause::Start);
        queue.next().await.unwrap();
        queue.restated(&key("a"), 8);
        queue.answered(&key("a"), 9);
        queue.done(&key("a"), None);
        assert_eq!(queue.next().await.map(|(_, cause, _)| cause), Some(Cause::Look), "another's write was forgotten");
        queue.done(&key("a"), None);
        queue.restated(&key("a"), 10);
        assert_eq!(queue.next().await, Some((key("a"), Cause::Look, Lane::Retry)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_of_which_nobody_was_told_is_told_once_by_the_run_after_it() {
        let queue = Queue::default();
        queue.restated(&key("a"), 7);
        queue.next().await.unwrap();
        assert!(queue.take_untold(&key("a")), "another's write while nothing ran");
        assert!(!queue.take_untold(&key("a")));
        queue.restated(&key("a"), 9);
        queue.done(&key("a"), None);
        queue.next().await.unwrap();
        assert!(queue.take_untold(&key("a")), "a write during the run that was given up, or another's");
        queue.owe(&key("a"));
        queue.done(&key("a"), Some((Instant::now(), Lane::Retry)));
        queue.next().await.unwrap();
        assert!(queue.take_untold(&key("a")), "the run before it was cut short");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_watch_tells_after_the_answer_to_the_same_write_costs_no_run() {
        let queue = Queue::default();
        queue.push(&key("a"), Lane::User, Cause::Look);
        queue.next().await.unwrap();
        queue.answered(&key("a"), 7);
        queue.restated(&key("a"), 7);
        queue.done(&key("a"), Some((Instant::now() + Duration::from_secs(10), Lane::Retry)));
        queue.restated(&key("a"), 7);
        let started = Instant::now();
        queue.next().await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_does_not_disturb_a_backoff_and_a_user_does() {
        let queue = Queue::default();
        queue.push(&key("a"), Lane::User, Cause::Look);
        queue.next().await.unwrap();
        queue.done(&key("a"), Some((Instant::now() + Duration::from_secs(10), Lane::Retry)));
        queue.push(&key("a"), Lane::Sweep, Cause::Look);
        let started = Instant::now();
        queue.next().await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        queue.done(&key("a"), Some((Instant::now() + Duration::from_secs(10), Lane::Retry)));
        queue.push(&key("a"), Lane::User, Cause::Look);
        let started = Instant::now();
        queue.next().await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
