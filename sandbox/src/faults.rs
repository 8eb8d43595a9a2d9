//! Faults that tests ask for, and the older states that a lagging list answers from.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::world::World;

/// How many changes a lagging list can look back over.
const REMEMBERED: usize = 256;

/// Something that goes wrong on request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// The contract's id of an operation, `token` for ACP's token endpoint, or `*` for all.
    pub operation: String,
    /// What goes wrong.
    #[serde(flatten)]
    pub effect: Effect,
    /// How often; until cleared where it is absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// Only for calls with a token of this organization of Konnect, or to this tenant of ACP.
    #[serde(default)]
    pub organization: Option<String>,
}

/// What goes wrong. `Page`, `Reset` and `Hang` strike before authentication, since they stand for what lies in
/// between; the others after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// A refusal in the API's own shape, before any change is made.
    Status {
        /// The status.
        status: u16,
        /// The value of `Retry-After`.
        #[serde(default)]
        retry_after: Option<String>,
        /// What the problem says; where absent, a text that differs each time.
        #[serde(default)]
        detail: Option<String>,
    },
    /// A page of HTML from some proxy.
    Page {
        /// The status.
        status: u16,
        /// The text of the page.
        body: String,
        /// The value of `Location`, for a redirect.
        #[serde(default)]
        location: Option<String>,
    },
    /// The answer comes late. A client that hangs up meanwhile keeps the call from being carried out at all.
    Delay {
        /// How late.
        milliseconds: u64,
    },
    /// No answer ever comes, and the connection stays.
    Hang,
    /// The change is made, then the connection is closed without an answer.
    LoseResponse,
    /// The connection is closed before anything is done.
    Reset,
    /// Lists answer as things were so long ago.
    Lag {
        /// How long ago.
        milliseconds: u64,
    },
}

impl Effect {
    /// Whether it strikes before the token is looked at.
    pub(crate) fn before_authentication(&self) -> bool {
        matches!(self, Self::Page { .. } | Self::Reset | Self::Hang)
    }

    /// Whether it decides the answer, so that no further fault is used up.
    fn decides(&self) -> bool {
        !matches!(self, Self::Delay { .. } | Self::Lag { .. })
    }
}

/// The faults that are still to strike.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<Fault>,
}

impl Faults {
    pub(crate) fn inject(&mut self, fault: Fault) {
        self.active.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    pub(crate) fn list(&self) -> &[Fault] {
        &self.active
    }

    fn lagging(&self) -> bool {
        self.active.iter().any(|fault| matches!(fault.effect, Effect::Lag { .. }))
    }

    /// The effects that strike this call, in the order of their injection, up to the first that decides the answer.
    pub(crate) fn take(
        &mut self,
        operation: Option<&str>,
        organization: Option<&str>,
        wanted: impl Fn(&Effect) -> bool,
    ) -> Vec<Effect> {
        let mut effects: Vec<Effect> = Vec::new();
        for fault in &mut self.active {
            let meant = (fault.operation == "*" || operation == Some(fault.operation.as_str()))
                && (fault.organization.is_none() || fault.organization.as_deref() == organization)
                && fault.times != Some(0)
                && wanted(&fault.effect);
            if !meant {
                continue;
            }
            fault.times = fault.times.map(|times| times - 1);
            effects.push(fault.effect.clone());
            if fault.effect.decides() {
                break;
            }
        }
        self.active.retain(|fault| fault.times != Some(0));
        effects
    }
}

/// States of the world with the time at which each came to be. Kept only while a lag is asked for.
#[derive(Debug, Default)]
pub(crate) struct History {
    states: VecDeque<(Instant, World)>,
}

impl History {
    /// Notes the world as it is after a change, or when a lag is asked for.
    pub(crate) fn note(&mut self, world: &World, faults: &Faults) {
        if !faults.lagging() {
            self.states.clear();
            return;
        }
        self.states.push_back((Instant::now(), world.clone()));
        if self.states.len() > REMEMBERED {
            self.states.pop_front();
        }
    }

    /// The world as it was that long ago, as far as it is remembered.
    pub(crate) fn before(&mut self, lag: Duration) -> Option<&mut World> {
        let wanted = Instant::now().checked_sub(lag);
        let newest = self.states.iter().rposition(|(at, _)| wanted.is_some_and(|wanted| *at <= wanted));
        self.states.get_mut(newest.unwrap_or(0)).map(|(_, world)| world)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: serde_json::Value) -> Fault {
        serde_json::from_value(json).expect("a fault")
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_says() {
        let mut faults = Faults::default();
        faults.inject(fault(serde_json::json!({"operation": "get-portal", "effect": "hang", "times": 2})));
        assert!(faults.take(Some("list-portals"), None, |_| true).is_empty());
        assert_eq!(faults.take(Some("get-portal"), None, |_| true), [Effect::Hang]);
        assert_eq!(faults.take(Some("get-portal"), None, |_| true), [Effect::Hang]);
        assert!(faults.take(Some("get-portal"), None, |_| true).is_empty());
    }

    #[test]
    fn a_fault_that_decides_leaves_the_next_for_the_next_call() {
        let mut faults = Faults::default();
        for json in [
            serde_json::json!({"operation": "*", "effect": "delay", "milliseconds": 5}),
            serde_json::json!({"operation": "*", "effect": "status", "status": 503, "times": 1}),
            serde_json::json!({"operation": "*", "effect": "lose_response", "organization": "acme"}),
        ] {
            faults.inject(fault(json));
        }
        assert_eq!(faults.take(None, Some("acme"), |_| true).len(), 2);
        let then = faults.take(None, Some("acme"), |_| true);
        assert_eq!(then, [Effect::Delay { milliseconds: 5 }, Effect::LoseResponse]);
        assert_eq!(faults.take(None, Some("other"), |_| true), [Effect::Delay { milliseconds: 5 }]);
    }
}
