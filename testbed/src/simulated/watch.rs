//! WATCH. Every watch has a queue of its own, so that what is compacted later still reaches it.
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    Simulated,
    fault::Loss,
    options,
    read::prefix,
    refusal::Refusal,
    resource::{Resource, partial},
    route::Request,
    selector::Selector,
    store::{Revision, State, Stored},
};

/// So often a watch hears of the present version, and once more right before its end (`cacher.go`).
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
const BEFORE_THE_END: Duration = Duration::from_secs(2);
/// The API server draws something between one and two of its `--min-request-timeout` where the client names no timeout.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
/// Longer delays are as good as for ever.
const LONGEST_DELAY: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a watch is about.
struct Scope {
    resource: String,
    prefix: String,
    selector: Selector,
}

impl Scope {
    fn covers(&self, resource: &str, key: &str) -> bool {
        self.resource == resource && key.starts_with(&self.prefix)
    }

    /// What an object turned into, as this watch sees it: one that is not selected any more is deleted.
    fn event(&self, before: Option<&Arc<Value>>, after: Option<&Arc<Value>>) -> Option<(&'static str, Arc<Value>)> {
        let before = before.filter(|object| self.selector.matches(object));
        let after = after.filter(|object| self.selector.matches(object));
        match (before, after) {
            (None, Some(after)) => Some(("ADDED", after.clone())),
            (Some(_), Some(after)) => Some(("MODIFIED", after.clone())),
            (Some(before), None) => Some(("DELETED", before.clone())),
            (None, None) => None,
        }
    }
}

/// How a watch is ended.
#[derive(Clone, Copy)]
enum Ending {
    /// Once everything is delivered.
    Drained,
    /// At once.
    Lost(Loss),
}

struct Pending {
    at: Instant,
    kind: &'static str,
    object: Arc<Value>,
}

struct Open {
    actor: String,
    scope: Scope,
    queue: VecDeque<Pending>,
    ending: Option<Ending>,
    wake: Arc<Notify>,
}

/// All watches.
#[derive(Default)]
pub(super) struct Watches {
    last: u64,
    open: BTreeMap<u64, Open>,
    delay: Duration,
    /// By resource, where it is another than everybody's.
    delays: BTreeMap<String, Duration>,
}

/// What there is for a watch to do.
enum Next {
    Event(&'static str, Arc<Value>),
    End(Ending),
    /// Nothing before this moment; none: nothing at all is on its way.
    Wait(Option<Instant>),
}

impl Watches {
    /// Tells all who listen of a change.
    pub(super) fn tell(&mut self, resource: &Resource, revision: &Revision) {
        let covers = |open: &Open| open.scope.covers(&revision.resource, &revision.key);
        if !self.open.values().any(covers) {
            return;
        }
        let (before, after) = views(resource, revision);
        let at = Instant::now();
        for open in self.open.values_mut().filter(|open| covers(open)) {
            if let Some((kind, object)) = open.scope.event(before.as_ref(), after.as_ref()) {
                open.queue.push_back(Pending { at, kind, object });
                open.wake.notify_one();
            }
        }
    }

    /// Ends the watches of a resource, once they have heard everything.
    pub(super) fn close(&mut self, resource: &str) {
        self.end(|open| open.scope.resource == resource, Ending::Drained);
    }

    /// Breaks the watches that `chosen` names by actor and resource. What has not been delivered is lost to them.
    pub(super) fn cut(&mut self, how: Loss, chosen: impl Fn(&str, &str) -> bool) {
        self.end(|open| chosen(&open.actor, &open.scope.resource), Ending::Lost(how));
    }

    fn end(&mut self, chosen: impl Fn(&Open) -> bool, ending: Ending) {
        for open in self.open.values_mut().filter(|open| chosen(open)) {
            open.ending.get_or_insert(ending);
            open.wake.notify_one();
        }
    }

    /// From now on events are delivered so long after they happened: those of one resource, or all.
    pub(super) fn delay(&mut self, resource: Option<&str>, delay: Duration) {
        let delay = delay.min(LONGEST_DELAY);
        if let Some(resource) = resource {
            self.delays.insert(resource.to_owned(), delay);
        } else {
            self.delays.clear();
            self.delay = delay;
        }
        for open in self.open.values() {
            open.wake.notify_one();
        }
    }

    fn next(&mut self, id: u64, now: Instant) -> Next {
        let Some(open) = self.open.get_mut(&id) else { return Next::End(Ending::Drained) };
        if let Some(lost @ Ending::Lost(_)) = open.ending {
            return Next::End(lost);
        }
        let delay = self.delays.get(&open.scope.resource).copied().unwrap_or(self.delay);
        match (open.queue.front().map(|pending| pending.at + delay), open.ending) {
            (Some(due), _) if due > now => Next::Wait(Some(due)),
            (None, Some(ending)) => Next::End(ending),
            (None, None) => Next::Wait(None),
            (Some(_), _) => match open.queue.pop_front() {
                Some(pending) => Next::Event(pending.kind, pending.object),
                None => Next::Wait(None),
            },
        }
    }
}

/// An object before and after a change, as it is shown. Before a deletion it has the version of the deletion.
fn views(resource: &Resource, revision: &Revision) -> (Option<Arc<Value>>, Option<Arc<Value>>) {
    let before = revision.before.as_ref().map(|stored| {
        let stored = Stored { version: revision.version, ..stored.clone() };
        Arc::new(resource.view(&stored))
    });
    (before, revision.after.as_ref().map(|stored| Arc::new(resource.view(stored))))
}

impl State {
    /// Begins a watch. What is refused here is told by an event, not by the status of the answer.
    pub(super) fn watch(&mut self, actor: &str, resource: &Resource, request: &Request) -> Result<u64, Refusal> {
        options::check_watch(request)?;
        let selector = Selector::parse(request.query("labelSelector"), request.query("fieldSelector"))?;
        let prefix = prefix(resource, &request.namespace);
        let scope = Scope { resource: resource.id.clone(), prefix, selector };
        let at = Instant::now();
        let mut queue = VecDeque::new();
        let version = request.query("resourceVersion").parse::<u64>().unwrap_or_default();
        if options::sends_initial_events(request) {
            if version > self.version {
                return Err(Refusal::version_too_large(version, self.version));
            }
            let objects = self.objects.get(&resource.id).into_iter().flatten();
            let objects = objects.filter(|(key, _)| scope.covers(&resource.id, key));
            for object in objects.map(|(_, stored)| Arc::new(resource.view(stored))) {
                queue.extend(scope.event(None, Some(&object)).map(|(kind, object)| Pending { at, kind, object }));
            }
            if request.is_set("allowWatchBookmarks") {
                let mut metadata = bookmark_metadata(self.version);
                metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
                let object = Arc::new(bookmark(resource, metadata));
                queue.push_back(Pending { at, kind: "BOOKMARK", object });
            }
        } else if version > 0 {
            let oldest = self.oldest(&resource.id);
            if version < oldest {
                return Err(Refusal::expired(format!("too old resource version: {version} ({oldest})")));
            }
            let later = self.log.iter().filter(|revision| revision.version > version);
            for revision in later.filter(|revision| scope.covers(&revision.resource, &revision.key)) {
                let (before, after) = views(resource, revision);
                let event = scope.event(before.as_ref(), after.as_ref());
                queue.extend(event.map(|(kind, object)| Pending { at, kind, object }));
            }
        }
        self.watches.last += 1;
        let open = Open { actor: actor.to_owned(), scope, queue, ending: None, wake: Arc::default() };
        self.watches.open.insert(self.watches.last, open);
        Ok(self.watches.last)
    }
}

fn bookmark_metadata(version: u64) -> Value {
    json!({"resourceVersion": version.to_string()})
}

fn bookmark(resource: &Resource, metadata: Value) -> Value {
    let mut object = json!({"kind": resource.kind, "apiVersion": resource.api_version()});
    object["metadata"] = metadata;
    object
}

/// One event as a line of the answer.
pub(super) fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"))
}

/// The answer to a watch: a stream of events, until its time is over or it is broken.
pub(super) struct Watching {
    server: Simulated,
    id: u64,
    wake: Arc<Notify>,
    resource: Arc<Resource>,
    partial: bool,
    end: Instant,
    bookmark: Option<Instant>,
    cut: Option<Instant>,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Alive,
    /// Nothing is heard any more, as when a firewall forgets a connection: clients notice that by themselves, after minutes.
    Silent,
    Over,
}

enum Step {
    Item(Result<Bytes, io::Error>),
    End,
    Wait(Instant),
    Never,
}

impl Watching {
    pub(super) fn new(
        server: Simulated,
        state: &State,
        id: u64,
        resource: Arc<Resource>,
        request: &Request,
        cut: Option<Duration>,
    ) -> Self {
        let now = Instant::now();
        let timeout = request.query("timeoutSeconds").parse::<u64>().ok().filter(|seconds| *seconds > 0);
        let end = now + timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        let wake = state.watches.open.get(&id).map(|open| open.wake.clone()).unwrap_or_default();
        let cut = cut.map(|cut| now + cut);
        let partial = request.partial;
        let fate = Fate::Alive;
        let mut watching = Self { server, id, wake, resource, partial, end, bookmark: None, cut, fate };
        if request.is_set("allowWatchBookmarks") {
            watching.bookmark = watching.next_bookmark(now);
        }
        watching
    }

    fn next_bookmark(&self, now: Instant) -> Option<Instant> {
        let due = (now + BOOKMARK_INTERVAL).min(self.end - BEFORE_THE_END);
        (due > now).then_some(due)
    }

    /// The next event, when it is due; none at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, io::Error>> {
        loop {
            match self.step() {
                Step::Item(item) => return Some(item),
                Step::End => return None,
                Step::Never => std::future::pending().await,
                Step::Wait(until) => {
                    // Without an order the first branch is drawn by a generator that nobody seeds.
                    tokio::select! {
                        biased;
                        () = self.wake.notified() => {}
                        () = sleep_until(until) => {}
                    }
                }
            }
        }
    }

    fn step(&mut self) -> Step {
        let now = Instant::now();
        match self.fate {
            Fate::Alive if now < self.end => {}
            Fate::Silent => return Step::Never,
            Fate::Alive | Fate::Over => return Step::End,
        }
        if self.cut.is_some_and(|cut| now >= cut) {
            return self.lose(Loss::Reset);
        }
        let id = self.id;
        let (next, version) = self.server.with(|state| (state.watches.next(id, now), state.version));
        match next {
            Next::Event(kind, object) if self.partial => {
                Step::Item(Ok(line(kind, &partial(object["metadata"].clone()))))
            }
            Next::Event(kind, object) => Step::Item(Ok(line(kind, &object))),
            Next::End(Ending::Lost(loss)) => self.lose(loss),
            Next::End(Ending::Drained) => Step::End,
            Next::Wait(None) if self.bookmark.is_some_and(|due| now >= due) => {
                self.bookmark = self.next_bookmark(now);
                let metadata = bookmark_metadata(version);
                let object = if self.partial { partial(metadata) } else { bookmark(&self.resource, metadata) };
                Step::Item(Ok(line("BOOKMARK", &object)))
            }
            Next::Wait(due) => {
                let bookmark = self.bookmark.filter(|_| due.is_none());
                let earliest = [due, bookmark, self.cut].into_iter().flatten().min();
                Step::Wait(earliest.map_or(self.end, |earliest| earliest.min(self.end)))
            }
        }
    }

    fn lose(&mut self, how: Loss) -> Step {
        match how {
            Loss::Silence => {
                self.fate = Fate::Silent;
                Step::Never
            }
            Loss::Reset => {
                self.fate = Fate::Over;
                Step::Item(Err(io::Error::new(io::ErrorKind::ConnectionReset, "the connection was reset")))
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let id = self.id;
        self.server.with(|state| state.watches.open.remove(&id));
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
