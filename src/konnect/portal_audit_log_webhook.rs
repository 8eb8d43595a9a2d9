use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{KonnectConnection, Portal, portal_path};
use crate::engine::{
    context::Cx,
    kind::{Desired, Endpoint, Identity, Kind, View, Wait},
    spec::{ConnectionRef, Deletion, Lifecycle, Ref},
    status::Status,
};

/// Where the audit logs of a portal are sent.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "konnect.portico.dev",
    version = "v1alpha1",
    kind = "PortalAuditLogWebhook",
    namespaced,
    status = "Status<PortalAuditLogWebhookExtra>",
    shortname = "kwebhook",
    doc = "Whether the audit logs of a Konnect portal are sent somewhere, and where. A portal has one of these, from its beginning to its end."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.portalRef.id) == has(self.connectionRef)")
        .message("connectionRef goes with portalRef.id, and only with it: otherwise the portal's connection is used"),
    validation = Rule::new("self.portalRef == oldSelf.portalRef")
        .message("portalRef cannot be changed: the webhook of a portal cannot move; make another resource for the other portal"),
)]
pub struct PortalAuditLogWebhookSpec {
    /// The portal whose audit logs are sent: name for a Portal resource, id for a portal that Portico does not manage. Cannot be changed.
    pub portal_ref: Ref<Portal>,
    /// The connection, where portalRef gives an id. Otherwise the portal's own is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,
    /// Whether audit logs are sent to the destination. Left out: not managed, at first false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The id (a UUID) of the destination, as the organization has it. Portico makes no destinations: Konnect keeps them, and what they need to sign in, apart from its regions. Left out: not managed, at first none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"))]
    pub audit_log_destination_id: Option<String>,
    /// How the webhook in Konnect is treated through the life of this resource. Left out: kept as the spec says, and left as it is when this resource is deleted. With `deletion: Delete` it is disabled then, if this resource has ever set `enabled`; it keeps its destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// What only a webhook shows: how it did when Portico last changed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortalAuditLogWebhookExtra {
    /// What Konnect said of the webhook when this resource was last applied: `active` (it sends, or is ready to) or `inactive` (it is switched off, for instance because its destination kept failing).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_status: Option<String>,
    /// The HTTP status of the destination's last answer, as Konnect knew it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_response_code: Option<i64>,
}

const ENABLED: &str = "enabled";
const DESTINATION: &str = "audit_log_destination_id";

impl Kind for PortalAuditLogWebhook {
    type Connection = KonnectConnection;
    type Extra = PortalAuditLogWebhookExtra;
    // Nothing is ever made, so no intent is ever written; and what is not recorded is not ours to disable.
    const IDENTITY: Identity = Identity::Intent;
    const DELETION: Deletion = Deletion::Retain;

    fn endpoint(&self, cx: &Cx<'_>) -> Result<Endpoint, Wait> {
        let parent = portal_path(&self.spec.portal_ref, cx)?;
        Ok(Endpoint::Singleton { path: parent.then("audit-log-webhook"), parent })
    }

    fn desired(&self, _: &Cx<'_>) -> Result<Desired, Wait> {
        let destination = self.spec.audit_log_destination_id.as_deref().map(str::to_lowercase);
        let mut desired =
            Desired::new().maybe(ENABLED, self.spec.enabled.as_ref()).maybe(DESTINATION, destination.as_ref());
        if let Some(enabled) = self.spec.enabled {
            // The contract gives it a default in the request: a change of the destination alone may switch the webhook off.
            desired.along.insert(ENABLED.to_owned(), enabled.into());
        }
        desired.reset.insert(ENABLED.to_owned(), Value::Bool(false));
        Ok(desired)
    }

    fn natural_key(&self) -> Option<String> {
        Some(self.spec.portal_ref.text(self.metadata.namespace.as_deref()))
    }

    /// An answer may leave out that the webhook is disabled; and an id is the same in upper case.
    fn normalize(mut object: Value) -> Value {
        let Some(webhook) = object.as_object_mut() else { return object };
        webhook.entry(ENABLED).or_insert(Value::Bool(false));
        if let Some(Value::String(id)) = webhook.get_mut(DESTINATION) {
            id.make_ascii_lowercase();
        }
        object
    }

    /// The contract infers that a webhook which nobody configured is shown as disabled. Where it is not shown, it is no other.
    fn unset() -> Option<Value> {
        Some(json!({ENABLED: false}))
    }

    fn views() -> &'static [View<PortalAuditLogWebhookExtra>] {
        VIEWS
    }
}

const VIEWS: &[View<PortalAuditLogWebhookExtra>] = &[View { word: "status", show: show_status }];

/// When it was last tried is left out: it changes all the time, and a status is only written where something happened.
fn show_status(answer: &Value, extra: &mut PortalAuditLogWebhookExtra) {
    extra.webhook_status = answer["webhook_status"].as_str().map(str::to_owned);
    extra.last_response_code = answer["last_response_code"].as_i64();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_disabled_where_nothing_says_that_it_is_enabled() {
        let id = "0B7E9A34-5C2D-4F18-8A61-D93E07F4B256";
        let read = PortalAuditLogWebhook::normalize(json!({"audit_log_destination_id": id}));
        assert_eq!(read, json!({"enabled": false, "audit_log_destination_id": id.to_lowercase()}));
        let enabled = json!({"enabled": true});
        assert_eq!(PortalAuditLogWebhook::normalize(enabled.clone()), enabled);
        assert_eq!(PortalAuditLogWebhook::normalize(Value::Null), Value::Null);
        assert_eq!(
            PortalAuditLogWebhook::unset().map(PortalAuditLogWebhook::normalize),
            PortalAuditLogWebhook::unset()
        );
    }

    #[test]
    fn the_status_shows_how_the_destination_answers_and_never_when() {
        let mut extra = PortalAuditLogWebhookExtra::default();
        let answer = json!({
            "webhook_status": "inactive",
            "webhook_enabled": true,
            "last_attempt_at": "2026-01-31T09:00:00Z",
            "last_response_code": 503,
            "last_response_message": "Refused",
        });
        show_status(&answer, &mut extra);
        let shown =
            PortalAuditLogWebhookExtra { webhook_status: Some("inactive".to_owned()), last_response_code: Some(503) };
        assert_eq!(extra, shown);
        show_status(&json!({"webhook_status": "inactive", "webhook_enabled": false}), &mut extra);
        assert_eq!(extra.last_response_code, None);
    }
}
