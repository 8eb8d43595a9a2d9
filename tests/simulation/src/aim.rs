//! A crash at a request that is known to be sent: a world goes the same way again up to there.
//!
//! No number of worlds drawn by chance makes sure that every request was crashed, since some are rare. But the world in which one was sent
//! can be run once more, with a crash at that very request.
use std::{fmt, str::FromStr};

use crate::{
    coverage::{Point, Stage},
    plan::{Effect, Fault, Millis, Plan, Side},
    world::World,
};

/// A crash at the first request of a point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aim {
    /// Which request.
    pub point: Point,
    /// When it is sent first.
    pub at: Millis,
    /// Whether the crash comes when it has taken effect, and not before it is sent.
    pub after: bool,
}

impl Aim {
    fn fault(&self) -> Fault {
        Fault {
            side: self.point.side,
            from: 0,
            until: self.at + 1,
            nth: 0,
            times: 1,
            what: self.point.to_string(),
            effect: if self.after { Effect::CrashAfter } else { Effect::CrashBefore },
        }
    }
}

/// A plan with these crashes besides. It is not quiet before the last of them.
#[must_use]
pub fn aimed(mut plan: Plan, aims: &[Aim]) -> Plan {
    // Of several faults at a request the first strikes.
    let mut faults: Vec<Fault> = aims.iter().map(Aim::fault).collect();
    faults.append(&mut plan.faults);
    plan.faults = faults;
    let last = aims.iter().map(|aim| aim.at + 2).max().unwrap_or_default();
    plan.quiet_from = plan.quiet_from.max(last);
    plan
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.after { "after" } else { "before" };
        let side = if self.point.side == Side::Remote { "remote" } else { "kubernetes" };
        write!(f, "{when} {} {side} {}", self.at, self.point)
    }
}

impl FromStr for Aim {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.splitn(6, ' ').collect();
        let read = || {
            let [when, at, side, kind, stage, request] = parts.as_slice() else { return None };
            let after = match *when {
                "before" => false,
                "after" => true,
                _ => return None,
            };
            let side = match *side {
                "remote" => Side::Remote,
                "kubernetes" => Side::Kubernetes,
                _ => return None,
            };
            let kind = World::kinds().iter().copied().find(|known| known == kind)?;
            let point = Point { kind, stage: Stage::named(stage)?, side, request: (*request).to_owned() };
            Some(Self { point, at: at.parse().ok()?, after })
        };
        read().ok_or_else(|| format!("{text:?} is not like \"before 1234 remote Portal create create-portal\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::draw;

    #[test]
    fn an_aim_is_read_as_it_is_written() {
        for text in [
            "before 1234 remote Portal create create-portal",
            "after 7 kubernetes Consent delete patch consents/status",
        ] {
            let aim: Aim = text.parse().expect("it is an aim");
            assert_eq!(aim.to_string(), text);
        }
        for text in
            ["", "never 7 remote Portal create x", "after 7 remote Nothing create x", "after 7 remote Portal other x"]
        {
            assert!(text.parse::<Aim>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_aimed_crash_comes_before_all_other_faults_and_before_the_quiet() {
        let plan = draw(1, None);
        let aim: Aim = "after 99000000 remote Portal update get-portal".parse().expect("it is an aim");
        let with = aimed(plan.clone(), &[aim]);
        assert_eq!(with.faults.len(), plan.faults.len() + 1);
        assert_eq!(
            (with.faults[0].what.as_str(), &with.faults[0].effect),
            ("Portal update get-portal", &Effect::CrashAfter)
        );
        assert!(with.faults[0].until < with.quiet_from);
        assert_eq!(aimed(plan.clone(), &[]).to_string(), plan.to_string());
    }
}
