//! What a pass decides on what it found, and what it reads for the status besides.
use http::Method;
use serde_json::Value;

use super::{
    pass::{Done, Pass},
    plan::{Facts, Plan, plan},
    reason::Reason,
    resolve::Resolved,
    status::conditions,
};
use crate::remote::Call;

impl Pass<'_> {
    /// What to do about the object as it was read, or about none.
    #[must_use]
    pub fn decide(&self, resolved: &Resolved, object: Option<&Value>, fresh: bool, recorded: bool) -> Plan {
        let synced = self.status.condition(conditions::SYNCED);
        let facts = Facts {
            writes: resolved.writes,
            drift: resolved.common.lifecycle.drift,
            fresh,
            recorded,
            kept: !self.ops.is_repeatable() && synced.is_some_and(|c| c.reason == Reason::Updating.as_str()),
            left: &self.status.drift,
            desired: &resolved.desired,
            object,
        };
        plan(facts)
    }

    /// Reads what the status shows besides, where it may have changed with the object. It is a courtesy: no failure of it is one.
    pub async fn show_views(&mut self, resolved: &Resolved, done: &Done) {
        if !(done.created || done.updated || done.adopted || !self.is_accepted()) {
            return;
        }
        let (Ok(path), link) = (self.recorded_path(), resolved.link().clone()) else { return };
        for word in self.ops.views() {
            match self.send(&link, Call::new(Method::GET, &path.then(word))).await {
                Ok(answer) => self.ops.show(word, &answer.unwrap_or_default(), &mut self.status.extra),
                Err(error) => tracing::debug!(resource = %self.key, word, %error, "it is not shown"),
            }
        }
    }
}
