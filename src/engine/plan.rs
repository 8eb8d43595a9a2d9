//! The decision, apart from its execution. Pure.
use serde_json::Value;

use super::{
    desired::Desired,
    diff::{Difference, diff},
    spec::Drift,
};

/// What a decision rests on.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, and they combine freely")]
pub struct Facts<'a> {
    /// Whether Portico may write: neither the resource nor its connection is in Observe.
    pub writes: bool,
    /// What to do about others' changes.
    pub drift: Drift,
    /// Whether the spec changed since it was last accepted, or the object has just become ours.
    pub fresh: bool,
    /// Whether the object was there before.
    pub recorded: bool,
    /// Whether the API was sent this very spec, and made of it what it has now.
    pub kept: bool,
    /// Whether what cannot be changed in place may be deleted and made again.
    pub replace: bool,
    /// What should be there.
    pub desired: &'a Desired,
    /// What is there; none: certainly nothing.
    pub object: Option<&'a Value>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// The object equals the spec.
    Nothing,
    /// Make it.
    Create,
    /// Change it in these places.
    Update(Vec<Difference>),
    /// Delete it and make it again: it differs in what an object keeps for ever.
    Replace,
    /// It differs here in what an object keeps for ever, and may not be made again.
    Immutable(Vec<Difference>),
    /// Only say what differs.
    Report(Vec<Difference>),
    /// The API keeps these values whatever is sent.
    Keep,
    /// It is not there, and is not to be made.
    Missing,
}

/// Decides.
#[must_use]
pub fn plan(facts: Facts<'_>) -> Plan {
    let leave = !facts.writes || (facts.drift == Drift::Report && !facts.fresh);
    let Some(object) = facts.object else {
        let leave = !facts.writes || (leave && facts.recorded);
        return if leave { Plan::Missing } else { Plan::Create };
    };
    let differences = diff(facts.desired, object);
    if differences.is_empty() {
        Plan::Nothing
    } else if leave {
        Plan::Report(differences)
    } else if differences.iter().any(|difference| facts.desired.is_fixed(&difference.path)) {
        if facts.replace {
            Plan::Replace
        } else {
            Plan::Immutable(differences.into_iter().filter(|d| facts.desired.is_fixed(&d.path)).collect())
        }
    } else if facts.kept {
        Plan::Keep
    } else {
        Plan::Update(differences)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decide(writes: bool, drift: Drift, fresh: bool, recorded: bool, object: Option<&Value>) -> Plan {
        let desired = Desired::new().set("name", "a");
        plan(Facts { writes, drift, fresh, recorded, kept: false, replace: false, desired: &desired, object })
    }

    #[test]
    fn what_an_object_keeps_for_ever_is_changed_only_by_making_it_again_and_only_where_that_is_allowed() {
        let fixed = Desired::new().set("ssl", json!({"method": "http", "key": "a"})).set("on", true);
        let desired = Desired { fixed: &["ssl.method"], ..fixed };
        let decide = |replace, object: &Value| {
            let facts = Facts {
                writes: true,
                drift: Drift::Correct,
                fresh: true,
                recorded: true,
                kept: false,
                replace,
                desired: &desired,
                object: Some(object),
            };
            plan(facts)
        };
        let other = json!({"ssl": {"method": "dns", "key": "a"}, "on": false});
        assert_eq!(decide(true, &other), Plan::Replace);
        let Plan::Immutable(differences) = decide(false, &other) else { panic!("it may not be made again") };
        assert_eq!(differences.iter().map(|d| d.path.join(".")).collect::<Vec<_>>(), ["ssl.method"]);
        assert!(matches!(decide(true, &json!({"ssl": {"method": "http", "key": "b"}})), Plan::Update(_)));
    }

    #[test]
    fn what_is_certainly_not_there_is_made_unless_writing_is_off_or_drift_is_only_reported() {
        assert_eq!(decide(true, Drift::Correct, true, false, None), Plan::Create);
        assert_eq!(decide(true, Drift::Correct, false, true, None), Plan::Create);
        assert_eq!(decide(true, Drift::Report, true, false, None), Plan::Create);
        assert_eq!(decide(true, Drift::Report, false, true, None), Plan::Missing);
        assert_eq!(decide(false, Drift::Correct, true, false, None), Plan::Missing);
    }

    #[test]
    fn an_object_that_equals_the_spec_is_left_alone() {
        assert_eq!(decide(true, Drift::Correct, true, true, Some(&json!({"name": "a", "more": 1}))), Plan::Nothing);
    }

    #[test]
    fn others_changes_are_put_back_or_reported_and_the_users_change_is_always_sent() {
        let other = json!({"name": "b"});
        assert!(matches!(decide(true, Drift::Correct, false, true, Some(&other)), Plan::Update(_)));
        assert!(matches!(decide(true, Drift::Report, false, true, Some(&other)), Plan::Report(_)));
        assert!(matches!(decide(true, Drift::Report, true, true, Some(&other)), Plan::Update(_)));
        assert!(matches!(decide(false, Drift::Correct, true, true, Some(&other)), Plan::Report(_)));
    }
}
