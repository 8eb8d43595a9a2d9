//! How good a resource's claim to an object is, beside those of others (law 12).
use k8s_openapi::jiff::Timestamp;

use super::{
    core::{Engine, Memory},
    kind::Identity,
    pass::Pass,
    raw::Raw,
    reason::Reason,
    resolve::Resolved,
    spec::{Common, Drift, Mode},
    status::{Status, conditions},
};

/// How good a claim is, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Its object is recorded, and the API has accepted the spec as it is.
    Accepted,
    /// Its create is open.
    Creating,
    /// Its object is recorded, and not yet as the spec says: it may have come to claim the same by an edit.
    Changing,
    /// The same, and it has yielded before: it stays behind, whatever the one before it goes through.
    Yielding,
    /// What it has recorded is gone, or cannot have the name, and another one that wants the same has recorded the object of that name: behind
    /// all whose record stands for something, since it waits for one of them whatever it was before.
    Displaced,
    /// Its create is open, and its spec binds it to another object by now: what it will find there is not what it has sent. Behind everybody
    /// who has recorded an object: it waits for whoever has recorded the one that it is bound to, and nobody waits for it in a circle.
    Bound,
    /// It has nothing.
    Without,
}

/// The smaller wins.
pub(super) type Rank = (Standing, Option<Timestamp>, String);

/// Whether a resource has recorded an object, or a create that may still take effect.
pub(super) fn holds(owner: &str, object: &Raw) -> bool {
    let status = object.status();
    status.recorded(owner, object.uid()).is_some() || status.intent(owner, object.uid()).is_some()
}

/// Whether it waits for another one that claims the same.
pub(super) fn says_conflict(status: &Status) -> bool {
    let ready = status.condition(conditions::READY);
    ready.is_some_and(|ready| ready.status == "False" && ready.reason == Reason::Conflict.as_str())
}

/// Who goes first of those that claim the same. It is one order of all, and whoever waits for another has that one before it: also who finds
/// that the object belongs to another, since it has recorded none itself, and its own create is settled by then, or it is bound; or it has
/// recorded one that is gone, and is displaced ([`Engine::rank`]). So these wait in no circle. Outside of this order are only marks that are
/// not recorded, and Secrets that another has.
fn rank(owner: &str, object: &Raw) -> Rank {
    let status = object.status();
    let recorded = status.recorded(owner, object.uid()).is_some();
    let creating = status.intent(owner, object.uid()).is_some();
    let is_current = status.observed_generation == Some(object.generation());
    let standing = if !recorded && !creating {
        Standing::Without
    } else if !recorded && object.spec::<Common>().is_ok_and(|common| !common.lifecycle.id.is_empty()) {
        Standing::Bound
    } else if says_conflict(&status) {
        Standing::Yielding
    } else if recorded && is_current && status.is_true(conditions::READY) {
        Standing::Accepted
    } else if creating {
        Standing::Creating
    } else {
        Standing::Changing
    };
    (standing, object.metadata.creation_timestamp.as_ref().map(|t| t.0), object.uid().to_owned())
}

impl Engine {
    /// Who goes first, with what no status says: whose object is gone, and its name another's. After a restart it finds that out once more.
    pub(super) fn rank(&self, object: &Raw) -> Rank {
        let (standing, since, uid) = rank(&self.owner, object);
        let is_displaced = self.remember(object.uid(), |memory| memory.displaced == Some(object.generation()));
        let standing = if is_displaced { standing.max(Standing::Displaced) } else { standing };
        (standing, since, uid)
    }
}

impl Pass<'_> {
    /// Whether the record of an object that is certainly gone is to be dropped: who only looks never makes it again, and would for ever keep
    /// others from the only id that their object can have. A record wins for the sake of what it stands for (law 12).
    ///
    /// Reads may lag behind a create of an earlier process, so it has to be gone for longer than that. Of who reports drift through a
    /// connection that only looks, the record says that the object was deleted, and is not to be made again when the connection writes.
    pub(super) fn gives_up_its_place(&self, resolved: &Resolved) -> bool {
        let lifecycle = &resolved.common.lifecycle;
        let reports = lifecycle.mode == Mode::Manage && lifecycle.drift == Drift::Report;
        // Where ids are the API's to choose, or nobody else's, a record is in nobody's way.
        let is_coveted = resolved.id.is_some() && resolved.identity == Identity::Intent;
        if resolved.writes || reports || !is_coveted {
            return false;
        }
        let generation = self.generation;
        let of_this = |memory: &mut Memory| memory.failing_since.filter(|_| memory.generation == generation);
        let since = self.engine.remember(self.object.uid(), of_this);
        since.is_some_and(|since| since.elapsed() >= self.engine.settings.consistency)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A resource made at this second, with this status.
    fn made(second: u32, status: &Value) -> Raw {
        made_with(second, &json!({}), status)
    }

    /// The same with a spec.
    fn made_with(second: u32, spec: &Value, status: &Value) -> Raw {
        let metadata = json!({
            "namespace": "n",
            "name": "a",
            "uid": "u",
            "generation": 2,
            "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
        });
        let object =
            json!({"apiVersion": "g/v1", "kind": "Portal", "metadata": metadata, "spec": spec, "status": status});
        serde_json::from_value(object).unwrap()
    }

    /// A status that has recorded an object, with `Ready` of this generation.
    fn recorded(generation: i64, holds: &str, reason: &str) -> Value {
        let ready = json!({
            "type": "Ready",
            "status": holds,
            "reason": reason,
            "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": generation,
        });
        let remote = json!({"owner": "o", "uid": "u", "connection": "n/c", "account": "a", "path": "/v2/portals/x"});
        json!({"id": "x", "observedGeneration": generation, "conditions": [ready], "remote": remote})
    }

    #[test]
    fn who_has_an_open_create_and_is_bound_to_another_object_stays_behind_all_who_have_recorded_one() {
        // Made before all others.
        let creating = |spec: &Value, reason: &str| {
            let intent = json!({
                "token": "t",
                "owner": "o",
                "uid": "u",
                "connection": "n/c",
                "account": "a",
                "path": "/v2/portals",
                "key": "x",
                "fields": [],
                "digest": "d",
            });
            let mut status = recorded(2, "False", reason);
            (status["id"], status["remote"], status["creating"]) = (Value::Null, Value::Null, intent);
            rank("o", &made_with(5, spec, &status))
        };
        let (open, bound) = (json!({}), json!({"lifecycle": {"id": "x"}}));
        let has_it = |reason: &str| rank("o", &made(30, &recorded(2, "False", reason)));
        for reason in ["RemoteUnavailable", "Conflict"] {
            assert!(has_it("RemoteUnavailable") < creating(&bound, reason));
            assert!(has_it("Conflict") < creating(&bound, reason));
            assert!(creating(&bound, reason) < rank("o", &made(1, &json!({}))), "who has nothing comes last");
        }
        let unbound = creating(&open, "RemoteUnavailable");
        assert!(unbound < has_it("RemoteUnavailable"), "it may have made what it wants");
    }

    #[test]
    fn who_has_its_object_as_the_spec_says_goes_before_an_older_one_that_was_edited_into_its_way_and_stays_there() {
        let rank = |second: u32, status: &Value| rank("o", &made(second, status));
        let accepted = recorded(2, "True", "Available");
        let (edited, yields) = (recorded(1, "True", "Available"), recorded(2, "False", "Conflict"));
        assert!(rank(30, &accepted) < rank(10, &edited));
        assert!(rank(10, &accepted) < rank(30, &accepted), "the older one of two that are alike");
        // What it goes through then changes nothing.
        for trouble in [edited.clone(), recorded(2, "False", "RemoteUnavailable")] {
            assert!(rank(30, &trouble) < rank(10, &yields));
        }
        for holds in [&accepted, &edited, &yields] {
            assert!(rank(30, holds) < rank(10, &json!({})), "who has nothing comes last");
        }
        assert!(rank(10, &json!({})) < rank(30, &json!({})));
    }
}
