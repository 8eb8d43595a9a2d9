//! What can go wrong between a client and the API server, decided by whoever simulates.
use std::{fmt, time::Duration};

use serde_json::Value;

use super::refusal::Refusal;

/// What a request is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Reads many.
    List,
    /// Follows changes.
    Watch,
    /// Makes an object.
    Create,
    /// Replaces an object.
    Update,
    /// Changes an object.
    Patch,
    /// Deletes an object.
    Delete,
    /// Deletes many.
    DeleteCollection,
}

impl Verb {
    /// The verb as RBAC and the audit log name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Whether something may be different afterwards.
    #[must_use]
    pub fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request on its way to the API server.
#[derive(Clone, Debug)]
pub struct Call {
    /// Counts all requests of all clients, from 1.
    pub number: u64,
    /// The present version of the API server.
    pub version: u64,
    /// Whose client sends it.
    pub actor: String,
    /// What it does.
    pub verb: Verb,
    /// The plural and the group: `portals.konnect.portico.dev`, `secrets`.
    pub resource: String,
    /// Empty: the resource itself.
    pub subresource: String,
    /// Empty: all namespaces, or the resource has none.
    pub namespace: String,
    /// Empty where the request is not about one object of a known name.
    pub name: String,
    /// What is sent along; null where that is nothing, or not JSON.
    pub body: Value,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {} {} {}", self.number, self.actor, self.verb, self.resource)?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        write!(f, " {}/{}", self.namespace, self.name)
    }
}

/// How a message is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is ever heard.
    Silence,
    /// The connection breaks.
    Reset,
}

/// What becomes of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Effect {
    /// It is carried out and answered.
    #[default]
    Proceed,
    /// It is lost before it takes effect.
    LoseRequest(Loss),
    /// It takes effect, and its answer is lost.
    LoseAnswer(Loss),
    /// It takes no effect, and this is the answer.
    Answer(Refusal),
    /// A GET or a LIST shows things as they were at this version; any other request proceeds.
    Stale(u64),
}

/// What becomes of a request, and when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// How long it takes until it takes effect. It does so even when the client has given up meanwhile.
    pub before: Duration,
    /// What becomes of it.
    pub effect: Effect,
    /// How long the answer takes from there.
    pub after: Duration,
    /// A watch ends so long after it has begun, by a broken connection.
    pub cut: Option<Duration>,
}

impl Verdict {
    /// Nothing goes wrong, and at once.
    #[must_use]
    pub fn proceed() -> Self {
        Self::default()
    }
}

impl From<Effect> for Verdict {
    fn from(effect: Effect) -> Self {
        Self { effect, ..Self::default() }
    }
}

/// Decides what becomes of every request. It is asked once for each, in the order in which they arrive, and must not block.
pub trait Interceptor: Send + Sync + 'static {
    /// What becomes of this one.
    fn intercept(&self, call: &Call) -> Verdict;

    /// A request has just been carried out and is answered with this status: a last chance to lose the answer. Not called where the verdict
    /// was an answer of its own.
    fn carried_out(&self, _call: &Call, _code: u16) -> Option<Loss> {
        None
    }
}

impl<F: Fn(&Call) -> Verdict + Send + Sync + 'static> Interceptor for F {
    fn intercept(&self, call: &Call) -> Verdict {
        self(call)
    }
}
