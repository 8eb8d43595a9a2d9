//! Things at the API that take their time, such as the verification of a domain: asked for after 1, 5 and 15 minutes, then every 60.
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::{
    pass::Pass,
    reason::Reason,
    resolve::Resolved,
    status::{State, Tri},
    stop::Stop,
};
use crate::remote::{ApiError, Call};

/// Minutes after the beginning at which the first questions are asked.
const FIRST: [u64; 3] = [1, 5, 15];
/// Minutes between the later ones.
const THEN: u64 = 60;

impl Pass<'_> {
    /// Whether something that takes its time is still to be asked for.
    #[must_use]
    pub fn awaits_progress(&self) -> bool {
        self.ops.progress(&self.object).is_some_and(|progress| !self.status.is_true(progress.condition))
    }
}

/// The first moment after `age` at which to ask, and how many were due before it.
fn next_question(age: Duration, minute: Duration) -> Duration {
    let later = (1..).map(|n| FIRST[FIRST.len() - 1] + n * THEN);
    let minutes = FIRST.into_iter().chain(later);
    let mut due = minutes.map(|m| minute * u32::try_from(m).unwrap_or(u32::MAX));
    due.find(|due| *due > age).unwrap_or(Duration::MAX)
}

impl Pass<'_> {
    /// Asks if it is time, and says when to ask again.
    ///
    /// # Errors
    /// [`Stop`] where the API cannot be asked.
    pub async fn ask_progress(&mut self, resolved: &Resolved) -> Result<Option<Instant>, Stop> {
        let Some(progress) = self.ops.progress(&self.object).filter(|_| resolved.writes) else {
            for stale in self.ops.progress_conditions() {
                self.condition(stale, None);
            }
            return Ok(None);
        };
        let waiting = |what: &str| State::new(false, Reason::Updating, format!("{}: {what}", progress.subject));
        let prefix = format!("{}: ", progress.subject);
        let old = self.status.condition(progress.condition).filter(|c| c.message.starts_with(&prefix)).cloned();
        let Some(old) = old else {
            // New, or another subject than before: from the beginning.
            self.condition(progress.condition, None);
            self.condition(progress.condition, Some(&waiting("asked for in a minute")));
            let due = Instant::now() + next_question(Duration::ZERO, self.engine.settings.minute);
            self.engine.remember(self.object.uid(), |m| m.ask = Some(due));
            return Ok(Some(due));
        };
        if old.status == "True" {
            return Ok(None);
        }
        let minute = self.engine.settings.minute;
        let age = self.engine.clock.now().duration_since(old.last_transition_time.0);
        let age = Duration::try_from(age).unwrap_or_default();
        let now = Instant::now();
        let due = self.engine.remember(self.object.uid(), |m| {
            *m.ask.get_or_insert(now + next_question(age, minute).saturating_sub(age))
        });
        if now < due {
            return Ok(Some(due));
        }
        let path = self.recorded_path()?.then(progress.action);
        let link = resolved.link().clone();
        self.requests += 1;
        // The object was accepted whatever comes of this question, so its failure is no failed write: past `Pass::send`.
        let verdict = match link.send(Call::new(Method::POST, &path)).await {
            Ok(answer) => (progress.judge)(&answer.unwrap_or_default()),
            Err(ApiError::Refused(refusal)) => Err(refusal.words()),
            Err(error) => Err(error.to_string()),
        };
        match verdict {
            Ok(()) => {
                self.engine.remember(self.object.uid(), |m| m.ask = None);
                self.condition(
                    progress.condition,
                    Some(&State::new(Tri::True, Reason::Available, format!("{}: done", progress.subject))),
                );
                Ok(None)
            }
            Err(missing) => {
                self.condition(progress.condition, Some(&waiting(&missing)));
                let next = now + next_question(age, minute).saturating_sub(age).max(minute);
                self.engine.remember(self.object.uid(), |m| m.ask = Some(next));
                Ok(Some(next))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_come_after_1_5_and_15_minutes_and_then_every_60() {
        let minute = Duration::from_secs(60);
        let at = |age: u64| next_question(minute * u32::try_from(age).unwrap(), minute).as_secs() / 60;
        assert_eq!([at(0), at(1), at(4), at(5), at(15), at(74), at(75)], [1, 5, 5, 15, 75, 75, 135]);
    }
}
