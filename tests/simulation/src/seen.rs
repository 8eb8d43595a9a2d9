//! What is seen of the operator's requests to the management APIs.
use std::fmt;

use http::Method;
use serde_json::Value;

use crate::plan::Millis;

/// One of the management APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    /// Kong Konnect.
    Konnect,
    /// Cloudentity ACP.
    Acp,
}

/// A request of the operator to a management API.
#[derive(Clone, Debug)]
pub struct RemoteRequest {
    /// Counts the operator's requests in this world, to both sides, from 1, in the order in which they were sent.
    pub number: u64,
    /// Which replica sent it.
    pub replica: u8,
    /// Which life of that replica, from 0: each start after a crash is another one.
    pub life: u32,
    /// Whom it is for.
    pub api: Api,
    /// The verb.
    pub method: Method,
    /// The path as it was sent, percent-encoded: `/v2/portals/…`, `/api/admin/acme/clients`.
    pub path: String,
    /// The query as it was sent, without its question mark; empty where there is none.
    pub query: String,
    /// The contract's id (`create-portal`), `token` for ACP's token endpoint; empty where no contract has such an operation.
    pub operation: &'static str,
    /// The body, a form as an object of texts; null where there is none.
    pub body: Value,
    /// When it was sent.
    pub sent: Millis,
    /// The UID of the resource whose pass sends it; none where it is nobody's.
    pub sender: Option<String>,
}

impl RemoteRequest {
    /// Whether it may change something at the API. A fetched token changes nothing.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method != Method::GET && self.operation != "token"
    }
}

impl fmt::Display for RemoteRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", self.query) }
    }
}

/// What an API answered. The operator may never have seen it.
#[derive(Clone, Debug)]
pub struct RemoteAnswer {
    /// The status.
    pub status: u16,
    /// The body; null where there is none, or where it is not JSON.
    pub body: Value,
}

impl RemoteAnswer {
    /// Whether the API did what it was asked for.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A law that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which law, in short: shrinking looks for the same one again.
    pub law: &'static str,
    /// When.
    pub at: Millis,
    /// What happened, for a person.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ms: {}", self.law, self.at, self.what)
    }
}
