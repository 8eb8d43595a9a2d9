//! Law 1, of several replicas: one alone writes. Who that is says the Lease as the API server has it, not what a replica believes of itself.
//!
//! A write to an API is sent only while the Lease of its sender outlives the request's deadline, so that whoever leads next begins when it
//! is answered or given up. What is on its way longer than that is not the sender's to stop.
use std::fmt;

use k8s_openapi::jiff::Timestamp;
use portico_testbed::simulated::Call;

use super::{notes::Notes, sorts::text};
use crate::{plan::Millis, replicas, world::World};

/// The Lease is written down in microseconds, and looked at in milliseconds.
const ROUNDING: Millis = 5;

/// Whose the Lease is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leader {
    replica: u8,
    life: u32,
    /// When it runs out, unless it is renewed.
    until: Millis,
}

impl Leader {
    /// Whether this life of a replica has the Lease, and still has it so many milliseconds after now.
    fn is(&self, (replica, life): (u8, u32), now: Millis, lasts: Millis) -> bool {
        (self.replica, self.life) == (replica, life) && self.until + ROUNDING >= now + lasts
    }
}

impl Notes {
    /// A write to the Lease was carried out.
    pub(super) fn lease_is_written(&mut self, world: &World, call: &Call) {
        let spec = &call.body["spec"];
        // Given back, it is nobody's.
        let sender = replicas::of_actor(&call.actor).filter(|_| !text(&spec["holderIdentity"]).is_empty());
        self.leader = sender.map(|(replica, life)| {
            // It may have been on its way for a while, and lasts from when it was sent.
            let renewed = text(&spec["renewTime"]).parse::<Timestamp>().map_or(0, Timestamp::as_millisecond);
            let age = world.timestamp().as_millisecond().saturating_sub(renewed);
            let seconds = spec["leaseDurationSeconds"].as_u64().unwrap_or_default();
            let ends = world.now() + seconds * 1_000;
            Leader { replica, life, until: ends.saturating_sub(u64::try_from(age).unwrap_or_default()) }
        });
    }

    /// A replica sends something that nobody may send but the leader; its Lease has to last so many milliseconds more.
    pub(super) fn check_lease(&mut self, world: &World, who: (u8, u32), lasts: Millis, what: &dyn fmt::Display) {
        if world.plan.replicas < 2 {
            return;
        }
        self.test("law 1");
        let now = world.now();
        if self.leader.as_ref().is_some_and(|leader| leader.is(who, now, lasts)) {
            return;
        }
        let (replica, life) = who;
        let whose = match &self.leader {
            Some(Leader { replica, life, until }) => format!("the Lease is that of r{replica}.{life} until {until} ms"),
            None => "the Lease is nobody's".to_owned(),
        };
        world.violate("law 1: written without the lease", format!("r{replica}.{life} sends {what}, and {whose}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_leads_until_its_lease_ends_and_another_life_of_it_does_not() {
        let leader = Leader { replica: 1, life: 2, until: 20_000 };
        assert!(leader.is((1, 2), 15_000, 5_000));
        assert!(!leader.is((1, 2), 15_100, 5_000));
        assert!(!leader.is((1, 3), 1_000, 0) && !leader.is((0, 2), 1_000, 0));
    }
}
