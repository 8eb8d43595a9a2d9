//! The audit log of kube-apiserver: every request, seen from outside its maker.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Context, Error};

/// One request that kube-apiserver answered. Text that a request does not have is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asked, such as `system:serviceaccount:portico-system:portico`; empty if the credentials were refused.
    pub user: String,
    /// What the client calls itself, such as `portico/0.1.0`; empty if it does not say.
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`; another HTTP method in
    /// lower case where no resource was asked for.
    pub verb: String,
    /// The API group of the resource; empty for the core group, and where no resource was asked for.
    pub group: String,
    /// The resource in the plural; empty where none was asked for, such as for `/version`.
    pub resource: String,
    /// Such as `status`.
    pub subresource: String,
    /// Empty for cluster-wide requests.
    pub namespace: String,
    /// The object's name; empty for lists and the like.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// `ResponseComplete`; for requests that stay open, such as a watch, `ResponseStarted`.
    pub stage: String,
    /// When the request came in, in RFC 3339 UTC with microseconds.
    pub at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    id: String,
    stage: String,
    verb: String,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    user: User,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    request_received_timestamp: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

/// Every request in the log at `path`, once, in the order in which the answers began.
pub(crate) fn read(path: &Path) -> Result<Vec<Request>, Error> {
    let log = fs::read(path).context(format_args!("cannot read {}", path.display()))?;
    Ok(parse(&log)?)
}

/// A request that stays open has two events, when its answer starts and when it ends; a refused credential has only the
/// first, and all others have only the second. So the first event of each request counts it once, and soonest.
fn parse(log: &[u8]) -> serde_json::Result<Vec<Request>> {
    // Behind the last line feed, a line is still being written.
    let end = log.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
    let mut seen = HashSet::new();
    let mut requests = Vec::new();
    for line in log[..end].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let event: Event = serde_json::from_slice(line)?;
        if seen.insert(event.id.clone()) {
            requests.push(Request::from(event));
        }
    }
    Ok(requests)
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        Self {
            user: event.user.username,
            user_agent: event.user_agent,
            verb: event.verb,
            group: event.object_ref.api_group,
            resource: event.object_ref.resource,
            subresource: event.object_ref.subresource,
            namespace: event.object_ref.namespace,
            name: event.object_ref.name,
            code: event.response_status.code,
            stage: event.stage,
            at: event.request_received_timestamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"auditID":"1","stage":"ResponseComplete","verb":"list","user":{"username":"ann","groups":["a"]},"objectRef":{"resource":"portals","apiGroup":"konnect.portico.dev","namespace":"team-a"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-01-02T03:04:05.000006Z"}"#;
    const WATCH_STARTED: &str = r#"{"auditID":"2","stage":"ResponseStarted","verb":"watch","user":{"username":"ann"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-02T03:04:06.000000Z"}"#;
    const WATCH_ENDED: &str = r#"{"auditID":"2","stage":"ResponseComplete","verb":"watch","user":{"username":"ann"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-02T03:04:06.000000Z"}"#;
    const STRANGER: &str = r#"{"auditID":"3","stage":"ResponseStarted","verb":"list","user":{},"responseStatus":{"code":401},"requestReceivedTimestamp":"2026-01-02T03:04:07.000000Z"}"#;

    #[test]
    fn every_request_is_returned_once() {
        let log = format!("{LIST}\n{WATCH_STARTED}\n{STRANGER}\n{WATCH_ENDED}\n");
        let requests = parse(log.as_bytes()).unwrap();
        let seen: Vec<(&str, &str, u16)> =
            requests.iter().map(|request| (request.verb.as_str(), request.stage.as_str(), request.code)).collect();
        assert_eq!(
            seen,
            [("list", "ResponseComplete", 200), ("watch", "ResponseStarted", 200), ("list", "ResponseStarted", 401)]
        );
        assert_eq!(requests[0].group, "konnect.portico.dev");
        assert_eq!(requests[0].at, "2026-01-02T03:04:05.000006Z");
        assert_eq!(requests[2].user, "");
    }

    #[test]
    fn a_half_written_line_is_left_for_later() {
        for end in 0..LIST.len() {
            let log = format!("{LIST}\n{}", &LIST[..end]);
            assert_eq!(parse(log.as_bytes()).unwrap().len(), 1);
            assert!(parse(&log.as_bytes()[..end]).unwrap().is_empty());
        }
    }
}
