//! What can be seen of a world: in Kubernetes, at the API, in the records of both.
use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kube::Api;
use portico_testbed::{ControlPlane, Request};
use serde_json::Value;
use tokio::time::Instant;

use crate::world::{PATIENCE, World, condition, is_current};

/// One of these stands in every line of an audit log that is about a Portico.
const ABOUT_PORTICO: [&str; 2] = ["-system:portico\"", "\"userAgent\":\"portico/"];

/// The audit logs as far as they were read, by the folder of the control plane.
static AUDIT: Mutex<BTreeMap<PathBuf, AuditTail>> = Mutex::new(BTreeMap::new());

/// What an audit log says of Porticos, read as it grows: it gets long, and every test looks at it several times.
#[derive(Default)]
struct AuditTail {
    /// How many bytes were read.
    read: u64,
    /// The requests that were met. One that stays open stands in the log twice.
    met: HashSet<String>,
    requests: Vec<Request>,
}

impl AuditTail {
    fn read_on(&mut self, log: &Path) -> io::Result<()> {
        let mut file = File::open(log)?;
        if file.metadata()?.len() < self.read {
            // Another one has its place.
            *self = Self::default();
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut more = Vec::new();
        file.read_to_end(&mut more)?;
        // Behind the last line feed, a line is still being written.
        more.truncate(more.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        for line in String::from_utf8_lossy(&more).lines() {
            if ABOUT_PORTICO.iter().any(|mark| line.contains(mark)) {
                self.take(&serde_json::from_str(line)?);
            }
        }
        self.read += u64::try_from(more.len()).map_err(io::Error::other)?;
        Ok(())
    }

    /// The first of the events about a request counts it.
    fn take(&mut self, event: &Value) {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        if !self.met.insert(text("/auditID")) {
            return;
        }
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
        self.requests.push(Request {
            user: text("/user/username"),
            user_agent: text("/userAgent"),
            verb: text("/verb"),
            group: text("/objectRef/apiGroup"),
            resource: text("/objectRef/resource"),
            subresource: text("/objectRef/subresource"),
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            code: code.and_then(|code| u16::try_from(code).ok()).unwrap_or_default(),
            stage: text("/stage"),
            at: text("/requestReceivedTimestamp"),
        });
    }
}

/// The requests of Porticos to a control plane so far that are as described, in the order in which their answers began.
pub(crate) fn porticos_requests(plane: &ControlPlane, is: impl Fn(&Request) -> bool) -> Vec<Request> {
    let mut tails = AUDIT.lock().unwrap_or_else(PoisonError::into_inner);
    let tail = tails.entry(plane.folder().to_owned()).or_default();
    tail.read_on(&plane.folder().join("audit.log")).expect("the audit log is readable");
    tail.requests.iter().filter(|request| is(request)).cloned().collect()
}

/// The pauses between looks at something. Most things take a moment only; what takes longer is looked at ever more rarely, since every look
/// costs time that others need.
pub(crate) struct Pauses {
    next: Duration,
    most: Duration,
}

impl Pauses {
    /// From ten milliseconds up to so many.
    pub(crate) fn up_to(milliseconds: u64) -> Self {
        Self { next: Duration::from_millis(10), most: Duration::from_millis(milliseconds) }
    }

    /// Waits until it is time for the next look.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 3 / 2).min(self.most);
    }
}

impl World {
    /// A resource as it is.
    pub(crate) async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.api(kind).get_opt(name).await.expect("the API server answers").map(|o| serde_json::to_value(o).unwrap())
    }

    /// Waits until a resource is as described, and returns it.
    pub(crate) async fn until(&self, kind: &str, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let (started, mut pauses) = (Instant::now(), Pauses::up_to(150));
        loop {
            let object = self.get(kind, name).await.unwrap_or_default();
            if is(&object) {
                return object;
            }
            assert!(started.elapsed() < PATIENCE, "{kind} {name} never {what}; it is {object:#}");
            pauses.pause().await;
        }
    }

    /// Waits until something else holds.
    pub(crate) async fn eventually(&self, what: &str, is: impl Fn(&Self) -> bool) {
        // Tests take this for the moment in which something happens, so that the looks stay close.
        let (started, mut pauses) = (Instant::now(), Pauses::up_to(40));
        while !is(self) {
            assert!(started.elapsed() < PATIENCE, "never: {what}; Konnect has {:#}", self.sandbox.state());
            pauses.pause().await;
        }
    }

    /// Waits until a resource is Ready for its present generation.
    pub(crate) async fn ready(&self, kind: &str, name: &str) -> Value {
        self.until(kind, name, "became Ready", |o| is_current(o) && condition(o, "Ready", "status") == "True").await
    }

    /// Waits until a resource is Ready and Synced for its present generation.
    pub(crate) async fn synced(&self, kind: &str, name: &str) -> Value {
        self.until(kind, name, "became Ready and Synced", is_synced).await
    }

    /// Whether a resource is Ready and Synced for its present generation now.
    pub(crate) async fn is_synced(&self, kind: &str, name: &str) -> bool {
        self.get(kind, name).await.is_some_and(|object| is_synced(&object))
    }

    /// Waits until `Ready` is not True for this reason, and returns the message.
    pub(crate) async fn unready(&self, kind: &str, name: &str, reason: &str) -> String {
        let is = |o: &Value| condition(o, "Ready", "status") != "True" && condition(o, "Ready", "reason") == reason;
        let object = self.until(kind, name, &format!("said {reason}"), is).await;
        condition(&object, "Ready", "message").to_owned()
    }

    /// The portals of the organization as the API shows them, with what is in them.
    pub(crate) fn portals(&self) -> Vec<Value> {
        self.sandbox.state()["organizations"]["acme"]["portals"].as_array().cloned().unwrap_or_default()
    }

    /// The portals of this name.
    pub(crate) fn named(&self, name: &str) -> Vec<Value> {
        self.portals().into_iter().filter(|p| p["name"] == name).collect()
    }

    /// The one portal of this name.
    pub(crate) fn only(&self, name: &str) -> Value {
        let found = self.named(name);
        assert_eq!(found.len(), 1, "portals named {name}: {found:#?}");
        found[0].clone()
    }

    /// Changes something at the API by hand.
    pub(crate) async fn by_hand(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> u16 {
        let client = reqwest::Client::new();
        let request = client.request(method, format!("{}{path}", self.server.url())).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        request.send().await.expect("the sandbox answers").status().as_u16()
    }

    /// How often an operation was called since the record was last reset.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.sandbox.exchanges().iter().filter(|e| e.operation.as_deref() == Some(operation)).count()
    }

    /// All writes to the API since the record was last reset, as operation ids.
    pub(crate) fn remote_writes(&self) -> Vec<String> {
        let exchanges = self.sandbox.exchanges();
        exchanges.iter().filter(|e| e.method != "GET").map(|e| e.operation.clone().unwrap_or_default()).collect()
    }

    /// All writes of this world's operator to Kubernetes, but for events, as `patch portals/status docs`.
    pub(crate) fn kubernetes_writes(&self) -> Vec<String> {
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        let ours = self.requests().into_iter().filter(|r| writes.contains(&r.verb.as_str()) && r.resource != "events");
        ours.map(|r| {
            let sub = if r.subresource.is_empty() { String::new() } else { format!("/{}", r.subresource) };
            format!("{} {}{sub} {}", r.verb, r.resource, r.name)
        })
        .collect()
    }

    /// Every request of this world's operator to Kubernetes.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let user = self.user();
        porticos_requests(self.plane, |request| request.user == user)
    }

    pub(crate) fn user(&self) -> String {
        format!("system:serviceaccount:{}-system:portico", self.namespace)
    }

    /// Watches for a time, and asserts that nothing was written on either side.
    pub(crate) async fn assert_silence(&self, time: Duration) {
        self.flush_audit().await;
        self.sandbox.reset_exchanges();
        let before = self.kubernetes_writes().len();
        tokio::time::sleep(time).await;
        self.assert_nothing_written_since(before).await;
    }

    /// Asserts that nothing was written to the API since its record was reset, nor to Kubernetes since it had seen this many writes.
    pub(crate) async fn assert_nothing_written_since(&self, before: usize) {
        assert_eq!(self.remote_writes(), Vec::<String>::new(), "writes to the API at rest");
        self.flush_audit().await;
        let after = self.kubernetes_writes();
        assert_eq!(after[before..], [] as [String; 0], "writes to Kubernetes at rest");
    }

    /// The audit log is written in batches; what has happened stands in it after this.
    pub(crate) async fn flush_audit(&self) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    /// Runs kubectl in the world's namespace, as a user would.
    pub(crate) async fn kubectl(&self, args: &[&str], stdin: &str) -> Result<String, String> {
        let (plane, stdin) = (self.plane, stdin.to_owned());
        let mut all: Vec<String> = vec!["-n".to_owned(), self.namespace.clone()];
        all.extend(args.iter().map(ToString::to_string));
        tokio::task::spawn_blocking(move || {
            let args: Vec<&str> = all.iter().map(String::as_str).collect();
            plane.kubectl_stdin(&args, &stdin).map_err(|e| e.to_string())
        })
        .await
        .unwrap()
    }

    /// The notes of all events about a resource, with their reasons.
    pub(crate) async fn events(&self, name: &str) -> Vec<(String, String)> {
        let api: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(self.admin.clone(), &self.namespace);
        let all = api.list(&kube::api::ListParams::default()).await.expect("events can be listed");
        let about = all.into_iter().filter(|e| e.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(name));
        about.map(|e| (e.reason.unwrap_or_default(), e.note.unwrap_or_default())).collect()
    }
}

fn is_synced(object: &Value) -> bool {
    is_current(object) && ["Ready", "Synced"].iter().all(|c| condition(object, c, "status") == "True")
}
