//! From a plan that breaks a law to a smaller one that breaks the same law: what can be left out is left out.
use portico_sandbox::Switches;

use crate::{
    plan::Plan,
    run::{Outcome, run},
};

/// More worlds than this are not run for one plan: a plan that is not the smallest is worth something, too.
const MOST_RUNS: u32 = 600;

struct Shrinking {
    law: &'static str,
    runs: u32,
    smallest: Plan,
}

/// The smallest plan that was found to break this law as the given one does, and what became of its world, with its trace.
#[must_use]
pub fn shrink(plan: &Plan, law: &'static str) -> (Plan, Outcome) {
    let mut shrinking = Shrinking { law, runs: 0, smallest: plan.clone() };
    // Whatever goes may make something else superfluous.
    loop {
        let before = shrinking.size();
        shrinking.round();
        if shrinking.size() == before || shrinking.runs >= MOST_RUNS {
            break;
        }
    }
    let outcome = run(&shrinking.smallest, true);
    (shrinking.smallest, outcome)
}

impl Shrinking {
    fn size(&self) -> (usize, usize, usize, u8) {
        let Plan { before, steps, faults, replicas, .. } = &self.smallest;
        (before.len(), steps.len(), faults.len(), *replicas)
    }

    fn round(&mut self) {
        if self.smallest.replicas > 1 {
            self.attempt(Plan { replicas: 1, ..self.smallest.clone() });
        }
        self.attempt(Plan { switches: Switches::default(), ..self.smallest.clone() });
        self.remove(|plan| plan.faults.len(), |plan, from, to| drop(plan.faults.drain(from..to)));
        self.remove(|plan| plan.steps.len(), |plan, from, to| drop(plan.steps.drain(from..to)));
        self.remove(|plan| plan.before.len(), |plan, from, to| drop(plan.before.drain(from..to)));
        // With nothing left to wait for, the quiet may begin earlier.
        let last_step = self.smallest.steps.iter().map(|step| step.at).max().unwrap_or_default();
        let last_fault = self.smallest.faults.iter().map(|fault| fault.until).max().unwrap_or_default();
        let quiet_from = last_step.max(last_fault) + 1;
        if quiet_from < self.smallest.quiet_from {
            self.attempt(Plan { quiet_from, ..self.smallest.clone() });
        }
    }

    /// Leaves out halves, quarters and so on of a list, and in the end single items.
    fn remove(&mut self, len: impl Fn(&Plan) -> usize, drain: impl Fn(&mut Plan, usize, usize)) {
        let mut chunk = len(&self.smallest);
        while chunk > 0 {
            let mut from = 0;
            while from < len(&self.smallest) {
                let to = (from + chunk).min(len(&self.smallest));
                let mut smaller = self.smallest.clone();
                drain(&mut smaller, from, to);
                if !self.attempt(smaller) {
                    from = to;
                }
            }
            chunk /= 2;
        }
    }

    /// Takes a smaller plan if it breaks the same law.
    fn attempt(&mut self, smaller: Plan) -> bool {
        if self.runs >= MOST_RUNS {
            return false;
        }
        self.runs += 1;
        let breaks = run(&smaller, false).violations.iter().any(|violation| violation.law == self.law);
        if breaks {
            self.smallest = smaller;
        }
        breaks
    }
}
