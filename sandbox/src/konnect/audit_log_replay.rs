//! Audit logs sent once more: a job that runs for a while, and one at a time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Call, Outcome};
use crate::problem::{Problem, in_body};
use crate::world::{Portal, World, stamp};

/// What the documents show as the first times. It is none in RFC 3339, which wants two digits for the seconds.
pub(crate) const UNSET: &str = "0001-01-01T00:00:0Z";
/// The same as it should be.
const SOUND: &str = "0001-01-01T00:00:00Z";
/// How far back a replay reaches, in days.
const REACH: i64 = 7;

/// The last job that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct ReplayJob {
    start_at: String,
    end_at: String,
    accepted_at: DateTime<Utc>,
    accepted: Instant,
    takes: Duration,
    fails: bool,
}

impl ReplayJob {
    /// As answers show it.
    pub(crate) fn show(&self) -> Value {
        let (status, since) = self.phase();
        self.show_as(status, since)
    }

    fn show_as(&self, status: &str, since: Duration) -> Value {
        let updated_at = stamp(self.accepted_at + since);
        json!({"start_at": self.start_at, "end_at": self.end_at, "status": status, "updated_at": updated_at})
    }

    /// What it is at, and how long after the request that began.
    fn phase(&self) -> (&'static str, Duration) {
        let end = if self.fails { "failed" } else { "completed" };
        let phases = [(end, self.takes), ("running", self.takes / 2), ("pending", self.takes / 4)];
        let elapsed = self.accepted.elapsed();
        phases.into_iter().find(|(_, since)| elapsed >= *since).unwrap_or(("accepted", Duration::ZERO))
    }

    fn is_under_way(&self) -> bool {
        self.accepted.elapsed() < self.takes
    }
}

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    let job = call.portal(world)?.audit_log_replay_job.as_ref();
    let never = if call.switches.odd_first_times { UNSET } else { SOUND };
    let unset = || json!({"start_at": never, "end_at": never, "status": "unconfigured", "updated_at": never});
    Ok(Some(job.map_or_else(unset, ReplayJob::show)))
}

pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal(world)?;
    let now = call.seam.time();
    let (start, end) = window(call, now)?;
    let is_busy = |portal: &Portal| portal.audit_log_replay_job.as_ref().is_some_and(ReplayJob::is_under_way);
    let others = &world.organization(call.account)?.portals;
    if is_busy(portal) || (call.switches.replay_of_region && others.iter().any(is_busy)) {
        return Err(Problem::new(409, "an audit log replay job is running"));
    }
    let job = ReplayJob {
        start_at: stamp(start),
        end_at: stamp(end),
        accepted_at: now,
        accepted: Instant::now(),
        takes: Duration::from_millis(call.switches.replay_milliseconds),
        fails: call.switches.replay_fails,
    };
    let answer = job.show_as("accepted", Duration::ZERO);
    call.portal_mut(world)?.audit_log_replay_job = Some(job);
    Ok(Some(answer))
}

/// From when until when. Both must lie within the last days.
fn window(call: &Call<'_>, now: DateTime<Utc>) -> Result<(DateTime<Utc>, DateTime<Utc>), Problem> {
    let time = |field: &str| {
        let text = call.text(field).unwrap_or_default();
        match DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()) {
            Err(_) => Err(in_body(field, "is_date_time", "must be a valid date-time")),
            Ok(time) if time > now || time < now - TimeDelta::days(REACH) => {
                Err(in_body(field, "invalid", &format!("must be within the last {REACH} days")))
            }
            Ok(time) => Ok(time),
        }
    };
    match (time("start_at"), time("end_at")) {
        (Ok(start), Ok(end)) if start < end => Ok((start, end)),
        (Ok(_), Ok(_)) => Err(Problem::invalid(vec![in_body("start_at", "invalid", "must be before end_at")])),
        (start, end) => Err(Problem::invalid([start.err(), end.err()].into_iter().flatten().collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_goes_through_its_phases() {
        let job = |seconds: u64, fails: bool| ReplayJob {
            start_at: SOUND.to_owned(),
            end_at: SOUND.to_owned(),
            accepted_at: Utc::now(),
            accepted: Instant::now().checked_sub(Duration::from_secs(seconds)).expect("the clock is past it"),
            takes: Duration::from_secs(1000),
            fails,
        };
        for (seconds, status) in [(100, "accepted"), (300, "pending"), (600, "running"), (1100, "completed")] {
            assert_eq!(job(seconds, false).show()["status"], status);
            assert_eq!(job(seconds, false).is_under_way(), status != "completed");
        }
        let failed = job(1100, true);
        assert_eq!(failed.show()["status"], "failed");
        assert_eq!(failed.show()["updated_at"], stamp(failed.accepted_at + failed.takes));
    }
}
