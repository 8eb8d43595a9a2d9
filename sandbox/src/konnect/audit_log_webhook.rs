//! Where the audit logs of a portal are sent.

use serde_json::{Value, json};

use super::{Call, Outcome, merge};
use crate::problem::Problem;
use crate::world::World;

const WRITABLE: [&str; 2] = ["enabled", "audit_log_destination_id"];

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    configured(world, call).map(Some)
}

pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let webhook = &mut call.portal_mut(world)?.audit_log_webhook;
    // The destinations themselves live on another host, so that any id is taken.
    merge(webhook.get_or_insert_with(unconfigured), &call.body, &WRITABLE);
    Ok(webhook.clone())
}

pub(super) fn status(world: &mut World, call: &Call<'_>) -> Outcome {
    let webhook = configured(world, call)?;
    let (enabled, code) = (webhook["enabled"] == true, call.switches.webhook_answer);
    let accepted = (200..300).contains(&code);
    let mut status = json!({
        "webhook_status": if enabled && accepted { "active" } else { "inactive" },
        "webhook_enabled": enabled,
    });
    if enabled && webhook.get("audit_log_destination_id").is_some() {
        status["last_attempt_at"] = json!(call.seam.now());
        status["last_response_code"] = json!(code);
        status["last_response_message"] = json!(if accepted { "OK" } else { "Refused" });
    }
    Ok(Some(status))
}

fn configured(world: &World, call: &Call<'_>) -> Result<Value, Problem> {
    match &call.portal(world)?.audit_log_webhook {
        Some(webhook) => Ok(webhook.clone()),
        None if call.switches.unconfigured_webhook_shown => Ok(unconfigured()),
        None => Err(Problem::not_found("Audit log webhook")),
    }
}

/// The webhook of a portal of which nobody has configured one.
pub(crate) fn unconfigured() -> Value {
    json!({"enabled": false})
}
