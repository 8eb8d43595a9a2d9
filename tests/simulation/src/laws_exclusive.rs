//! Law 12, for what only one object of a parent can have: of a portal's identity providers one is enabled. The API refuses the second, or
//! silently disables the first (contracts/konnect.md leaves it open), and then two that both say so would take turns.
use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    end::End,
    look::{holds, is_deleting, is_paused, kind, known_path, label, message, observes, reason, uid},
    rivals::waits_for_secret,
    sorts::text,
};

/// Kinds, and the field of theirs that only one beside each other can have true.
const EXCLUSIVE: [(&str, &str); 1] = [("PortalIdentityProvider", "enabled")];

/// What a resource asks for that nobody beside it can have then.
fn asks_for(resource: &Value) -> Option<&'static str> {
    let (_, field) = EXCLUSIVE.iter().find(|(of, _)| *of == kind(resource))?;
    (resource["spec"][*field] == true).then_some(*field)
}

/// Whether two resources below one parent ask for what only one of them can have.
pub(super) fn vie(one: &Value, other: &Value) -> bool {
    asks_for(one).is_some() && asks_for(one) == asks_for(other)
}

impl End<'_> {
    /// Whether one of those that claim one object waits for somebody beside them who goes first, or for a Secret.
    pub(super) fn waits_beside(&self, rivals: &[&Value]) -> bool {
        let beside = self.waits_for_paused(rivals) || self.waits_for_another(rivals) || self.waits_for_asking(rivals);
        beside || rivals.iter().any(|rival| waits_for_secret(rival))
    }

    /// Whether one of them waits for a resource of another name that asks for what only one below their parent can have, and that waits for
    /// none: "Whoever holds the recorded id or the mark wins; among claimants without either the older" (law 12), whatever the older lacks.
    pub(super) fn waits_for_asking(&self, rivals: &[&Value]) -> bool {
        let is_beside = |other: &&Value| rivals.iter().all(|rival| uid(rival) != uid(other));
        let goes_first = |other: &&Value| reason(other, "Ready") != "Conflict" && !is_deleting(other);
        self.notes.lives().filter(is_beside).filter(goes_first).any(|other| {
            let Some(field) = asks_for(other).filter(|_| !observes(other)) else { return false };
            let claim = format!("{} has {field}: true as well", label(other));
            let has_it = known_path(other).is_some() || text(&other["status"]["creating"]["uid"]) == uid(other);
            let since = text(&other["metadata"]["creationTimestamp"]);
            rivals.iter().any(|rival| {
                let is_older = since <= text(&rival["metadata"]["creationTimestamp"]);
                let vies = vie(rival, other) && self.is_beside(other, rival);
                vies && message(rival).starts_with(&claim) && (has_it || is_older)
            })
        })
    }

    /// Of those who ask for it below one parent at most one is Ready.
    pub(super) fn check_exclusive(&self) {
        let mut ready: BTreeMap<(&str, &str, String), Vec<String>> = BTreeMap::new();
        let lives = self.notes.lives().filter(|resource| !is_deleting(resource) && !is_paused(resource));
        for resource in lives.filter(|resource| !observes(resource) && !self.only_looks(resource)) {
            let asked = asks_for(resource).filter(|_| holds(resource, "Ready") == "True");
            if let (Some(field), Some(parent)) = (asked, self.notes.parent_id(resource)) {
                ready.entry((kind(resource), field, parent)).or_default().push(label(resource));
            }
        }
        for ((_, field, parent), names) in ready.iter().filter(|(_, names)| names.len() > 1) {
            let what = format!("{} are all Ready with {field}: true below {parent}", names.join(", "));
            self.world.violate("law 12: two are Ready", what);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_who_asks_for_the_same_is_in_the_way() {
        let provider = |enabled: Value| json!({"kind": "PortalIdentityProvider", "spec": {"enabled": enabled}});
        let (on, off, unsaid) = (provider(json!(true)), provider(json!(false)), provider(Value::Null));
        assert!(vie(&on, &on));
        for other in [off, unsaid, json!({"kind": "PortalTeam", "spec": {"enabled": true}})] {
            assert!(!vie(&on, &other) && !vie(&other, &on) && !vie(&other, &other));
        }
    }
}
