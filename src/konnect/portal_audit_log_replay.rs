use chrono::DateTime;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{KonnectConnection, Portal, portal_path};
use crate::engine::{
    context::Cx,
    kind::{Desired, Endpoint, How, Identity, Kind, Milestone, Wait},
    spec::{ConnectionRef, Lifecycle, Ref},
    status::Status,
};

/// A replay of a portal's audit logs.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "konnect.portico.dev",
    version = "v1alpha1",
    kind = "PortalAuditLogReplay",
    namespaced,
    status = "Status<PortalAuditLogReplayExtra>",
    shortname = "kreplay",
    doc = "Sends the audit logs of a Konnect portal once more, like a Job: it runs once, and ends Complete or Failed."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.portalRef.id) == has(self.connectionRef)").message("connectionRef goes with portalRef.id, and only with it: otherwise the portal's connection is used"),
    validation = Rule::new("self.endAt > self.startAt").message("endAt must be after startAt"),
    validation = Rule::new("self.portalRef == oldSelf.portalRef")
        .message("portalRef cannot be changed: a replay runs once; make another resource for another replay"),
    validation = Rule::new("has(self.connectionRef) == has(oldSelf.connectionRef) && (!has(self.connectionRef) || self.connectionRef == oldSelf.connectionRef)")
        .message("connectionRef cannot be changed: a replay runs once; make another resource for another replay"),
    validation = Rule::new("self.startAt == oldSelf.startAt")
        .message("startAt cannot be changed: a replay runs once; make another resource for another replay"),
    validation = Rule::new("self.endAt == oldSelf.endAt")
        .message("endAt cannot be changed: a replay runs once; make another resource for another replay"),
)]
pub struct PortalAuditLogReplaySpec {
    /// The portal whose audit logs are sent once more: name for a Portal resource, id for a portal that Portico does not manage. Cannot be changed.
    pub portal_ref: Ref<Portal>,
    /// The connection, where portalRef gives an id. Otherwise the portal's own is used. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,
    /// The time from which on audit logs are sent, such as 2026-01-31T09:00:00Z; within the last 7 days when the replay is started. Cannot be changed.
    #[schemars(extend("format" = "date-time"))]
    pub start_at: String,
    /// The time up to which they are sent; after startAt, within the last 7 days and not in the future when the replay is started. Cannot be changed.
    #[schemars(extend("format" = "date-time"))]
    pub end_at: String,
    /// Only `mode` has a meaning here: with `Observe` no replay is started. A replay cannot be changed or taken back, and deleting this resource does not stop it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// What only a replay shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortalAuditLogReplayExtra {
    /// When the replay was complete, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
}

impl Kind for PortalAuditLogReplay {
    type Connection = KonnectConnection;
    type Extra = PortalAuditLogReplayExtra;
    const IDENTITY: Identity = Identity::Intent;
    const MILESTONES: &'static [&'static str] = &["Complete", "Failed"];

    fn endpoint(&self, cx: &Cx<'_>) -> Result<Endpoint, Wait> {
        let parent = portal_path(&self.spec.portal_ref, cx)?;
        Ok(Endpoint::Action { path: parent.then("audit-log-replay-job"), parent })
    }

    fn desired(&self, _: &Cx<'_>) -> Result<Desired, Wait> {
        let desired =
            Desired::new().set("start_at", self.spec.start_at.as_str()).set("end_at", self.spec.end_at.as_str());
        // Before the first replay Konnect shows 0001-01-01T00:00:0Z. That is no time in RFC 3339, and so it equals none.
        Ok(Desired { rules: &[("start_at", How::Time), ("end_at", How::Time)], ..desired })
    }

    fn natural_key(&self) -> Option<String> {
        Some(self.spec.portal_ref.text(self.metadata.namespace.as_deref()))
    }

    fn milestones(job: &Value) -> Vec<Milestone> {
        let status = job["status"].as_str().unwrap_or_default();
        let poll = matches!(status, "accepted" | "pending" | "running");
        let met = match status {
            "completed" => Ok("Konnect has sent the audit logs once more.".to_owned()),
            "failed" => Err("The replay failed.".to_owned()),
            _ if poll => Err(format!("Konnect says that the replay is {status}.")),
            _ => Err("The replay was not started yet.".to_owned()),
        };
        let failure = "Konnect could not send the audit logs once more; to try again, make another resource.";
        let failed =
            (status == "failed").then(|| Milestone { condition: "Failed", met: Ok(failure.to_owned()), poll: false });
        std::iter::once(Milestone { condition: "Complete", met, poll }).chain(failed).collect()
    }

    fn observe(job: &Value, extra: &mut PortalAuditLogReplayExtra) {
        let has_ended = matches!(job["status"].as_str(), Some("completed" | "failed"));
        let at = job["updated_at"].as_str().filter(|at| has_ended && DateTime::parse_from_rfc3339(at).is_ok());
        extra.finished_at = at.map(str::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The conditions that are True, and whether it is looked at again.
    fn told(status: &str) -> (Vec<&'static str>, bool) {
        let milestones = PortalAuditLogReplay::milestones(&json!({"status": status}));
        assert!(milestones.iter().all(|one| PortalAuditLogReplay::MILESTONES.contains(&one.condition)));
        let looks = milestones.iter().any(|one| one.poll);
        (milestones.into_iter().filter(|one| one.met.is_ok()).map(|one| one.condition).collect(), looks)
    }

    #[test]
    fn a_replay_ends_complete_or_failed_and_is_looked_at_until_then() {
        for status in ["accepted", "pending", "running"] {
            assert_eq!(told(status), (vec![], true), "{status}");
        }
        assert_eq!(told("completed"), (vec!["Complete"], false));
        assert_eq!(told("failed"), (vec!["Failed"], false));
        assert_eq!(told("unconfigured"), (vec![], false));
    }

    #[test]
    fn the_times_of_a_replay_that_never_was_are_not_shown() {
        let mut extra = PortalAuditLogReplayExtra::default();
        for (status, at, shown) in [
            ("unconfigured", "0001-01-01T00:00:0Z", None),
            ("running", "2026-01-31T09:00:00Z", None),
            ("failed", "0001-01-01T00:00:0Z", None),
            ("completed", "2026-01-31T09:00:00.5Z", Some("2026-01-31T09:00:00.5Z")),
        ] {
            PortalAuditLogReplay::observe(&json!({"status": status, "updated_at": at}), &mut extra);
            assert_eq!(extra.finished_at.as_deref(), shown, "{status}");
        }
    }
}
