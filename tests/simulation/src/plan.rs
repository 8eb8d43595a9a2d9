//! A world as data: everything that will happen in it, drawn from its seed before it begins. What is data can be printed, and shrunk.
use std::fmt;

use portico_sandbox::Switches;
use serde_json::Value;

/// Virtual milliseconds since the world began.
pub type Millis = u64;

/// One world.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where all randomness inside the world comes from.
    pub seed: u64,
    /// How the sandbox behaves where the contract leaves a choice.
    pub switches: Switches,
    /// What exists before the operator starts: namespaces, Secrets, connections. Applied in order.
    pub before: Vec<Value>,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How many replicas of the operator run: one without a Lease, or two with one.
    pub replicas: u8,
    /// When nothing more is done to the world: from here on it has to settle.
    pub quiet_from: Millis,
}

/// Something that somebody does.
#[derive(Clone, Debug)]
pub struct Step {
    /// When.
    pub at: Millis,
    /// What.
    pub action: Action,
}

/// What somebody does. Names of kinds are those of Kubernetes; resources live in the namespace that is named, or in `world`.
#[derive(Clone, Debug)]
pub enum Action {
    /// A user applies a manifest: made, or its spec replaced.
    Apply(Value),
    /// A user merges this into the spec of a resource that is there.
    Edit { kind: String, namespace: String, name: String, spec: Value },
    /// A user deletes a resource (in the background, as kubectl does).
    Delete { kind: String, namespace: String, name: String },
    /// A user sets an annotation, or removes it.
    Annotate { kind: String, namespace: String, name: String, key: String, value: Option<String> },
    /// A user writes a Secret, whole.
    Secret { namespace: String, name: String, data: Vec<(String, String)> },
    /// A user deletes a Secret.
    DeleteSecret { namespace: String, name: String },
    /// A user deletes a namespace with all that is in it; it comes back, empty but for `before`'s Secrets, when it is gone and `Namespace` is next.
    DeleteNamespace { namespace: String },
    /// A user makes a namespace, with its Secrets.
    Namespace { namespace: String },
    /// An administrator deletes the CRD of a kind.
    DeleteCrd { kind: String },
    /// An administrator installs it again.
    InstallCrd { kind: String },
    /// An administrator restores all custom resources as they were at this moment, with their status and new UIDs.
    Restore { from: Millis },
    /// A stranger does something at an API: a request to the sandbox with a token of their own.
    Stranger(Stranger),
    /// A token or client is revoked at the API, or made valid again under the same name.
    Revoke { account: String },
    /// The next credential of the account is written into the Secret of its connection.
    Renew { account: String },
    /// A replica of the operator dies, and another is started after `down` milliseconds.
    Crash { replica: u8, down: Millis },
    /// A replica is stopped in order, and another is started after `down` milliseconds.
    Stop { replica: u8, down: Millis },
}

/// What strangers do at an API. Objects are chosen by number among those that are there when it happens.
#[derive(Clone, Debug)]
pub enum Stranger {
    /// Makes an object with this natural key (a portal, a team in some portal, a server, a client …).
    Make { kind: String, key: String },
    /// Changes a writable field of an object of a kind.
    Change { kind: String, which: u64, field: String, value: Value },
    /// Deletes an object of a kind.
    Delete { kind: String, which: u64 },
    /// Adds a member to a team, or takes one out.
    Member { which: u64, email: String, there: bool },
    /// A developer signs up at some portal.
    SignUp { which: u64, email: String },
}

/// Which requests a fault hits.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Whose requests.
    pub side: Side,
    /// From when.
    pub from: Millis,
    /// Until when.
    pub until: Millis,
    /// Of the requests in that time, which ones: the n-th, counting from 0, that matches `what`.
    pub nth: u32,
    /// How many from there on.
    pub times: u32,
    /// Which: a contract operation for an API (`create-portal`), `verb resource` for Kubernetes (`patch portals/status`), `*` for all, `write` for all
    /// writes, `pages` for what asks an API for a page of a listing after the first, `watch plural` for the events of these watches; or a
    /// crash point (`Portal create create-portal`), or all of a stage of a kind (`Portal create *`).
    pub what: String,
    /// What happens to them.
    pub effect: Effect,
}

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The operator's requests to the Kubernetes API server.
    Kubernetes,
    /// The operator's requests to the management APIs.
    Remote,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// It never arrives: an error after a moment.
    Lost,
    /// It arrives and takes effect; its answer does not come.
    AnswerLost,
    /// It takes effect so many milliseconds after it was sent, whether or not somebody still waits.
    Late(Millis),
    /// It is answered so many milliseconds later.
    Slow(Millis),
    /// It is answered with this status and takes no effect; for 429, with `Retry-After` in seconds.
    Status(u16, Option<u32>),
    /// A read shows things as they were so many milliseconds ago (Remote: listings and GETs; Kubernetes: GETs and lists from a lagging cache).
    Stale(Millis),
    /// Kubernetes: a watch ends in its middle. With `true` its history is compacted too.
    WatchCut(bool),
    /// The operator crashes just before this request is sent.
    CrashBefore,
    /// The operator crashes when this request has taken effect, before its answer arrives.
    CrashAfter,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "world {}: {} replicas, quiet from {} ms", self.seed, self.replicas, self.quiet_from)?;
        for step in &self.steps {
            writeln!(f, "  at {:>7} ms  {:?}", step.at, step.action)?;
        }
        for fault in &self.faults {
            writeln!(f, "  fault  {fault:?}")?;
        }
        Ok(())
    }
}
