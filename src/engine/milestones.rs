//! What of an object takes its time or waits for a person: shown by conditions of its own, so that `Ready` does not wait for it.
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    kind::{Milestone, Ops},
    pass::Pass,
    reason::Reason,
    status::{State, Status},
};

/// What comes by itself is looked for at the latest after this many minutes.
const MOST: u32 = 60;

/// The condition that shows a milestone.
fn state(milestone: &Milestone) -> State {
    match &milestone.met {
        Ok(message) => State::new(true, Reason::Available, message.clone()),
        Err(message) if milestone.poll => State::new(false, Reason::Updating, message.clone()),
        Err(message) => State::new(false, Reason::ReferenceNotReady, message.clone()),
    }
}

/// How long to wait before the next look at what has been open for so long: half as long again, from 10 seconds to an hour.
fn next_look(open: Duration, minute: Duration) -> Duration {
    (open / 2).clamp(minute / 6, minute * MOST)
}

/// Whether the status shows something else than the object says.
#[must_use]
pub fn has_moved(ops: &dyn Ops, status: &Status, object: &Value) -> bool {
    ops.milestones(object).iter().any(|milestone| {
        let shown = status.condition(milestone.condition);
        shown.is_none_or(|shown| (shown.status == "True") != milestone.met.is_ok())
    })
}

impl Pass<'_> {
    /// Shows how far the object is, and says when to look again.
    pub fn show_milestones(&mut self, object: &Value) -> Option<Instant> {
        let milestones = self.ops.milestones(object);
        for condition in self.ops.milestone_conditions() {
            if !milestones.iter().any(|milestone| milestone.condition == *condition) {
                self.condition(condition, None);
            }
        }
        let mut next = None;
        for milestone in &milestones {
            self.condition(milestone.condition, Some(&state(milestone)));
            if milestone.poll && milestone.met.is_err() {
                let since = self.status.condition(milestone.condition).map(|shown| shown.last_transition_time.0);
                let open = since.map(|since| self.engine.clock.now().duration_since(since));
                let open = open.and_then(|open| Duration::try_from(open).ok()).unwrap_or_default();
                let due = Instant::now() + self.engine.jitter(next_look(open, self.engine.settings.minute));
                next = Some(next.map_or(due, |next: Instant| next.min(due)));
            }
        }
        next
    }

    /// Whether something that comes by itself is still looked for.
    #[must_use]
    pub fn awaits_milestone(&self) -> bool {
        let open = |condition: &&str| {
            let shown = self.status.condition(condition);
            shown.is_some_and(|shown| shown.status != "True" && shown.reason == Reason::Updating.as_str())
        };
        self.ops.milestone_conditions().iter().any(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_by_itself_is_looked_for_ever_more_rarely_but_at_least_every_hour() {
        let minute = Duration::from_secs(60);
        let seconds = |open: u64| next_look(Duration::from_secs(open), minute).as_secs();
        assert_eq!([seconds(0), seconds(20), seconds(60), seconds(600), seconds(86_400)], [10, 10, 30, 300, 3600]);
    }
}
