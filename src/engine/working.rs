//! For whom a task works right now, and in the middle of what: for whoever stands at a seam and wants to know whose request comes by.
//!
//! The engine itself never asks. A request that is not sent by a pass (watches, the lease, events) is nobody's.
use std::cell::RefCell;

use super::{
    identify::Identified,
    key::Key,
    pass::Pass,
    raw::Raw,
    spec::{Adoption, Common},
};

/// In the middle of what a pass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Nothing was recorded when it began, and there is no object to take over; of a connection: it is not held yet.
    Create,
    /// An object was recorded when it began, or something was started; a connection is held.
    Update,
    /// Nothing was recorded when it began, and it takes over an object that is there. Until it has looked: the spec lets it.
    Adopt,
    /// The resource is being deleted.
    Delete,
}

/// A pass under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Working {
    /// Whose.
    pub key: Key,
    /// The UID of that resource.
    pub uid: String,
    /// In the middle of what; none while a connection's pass looks at the objects of others, and from there on.
    pub stage: Option<Stage>,
}

tokio::task_local! {
    static CURRENT: RefCell<Working>;
}

/// The pass that this task is in. To be asked within the call that the engine makes; a task of one's own is in none.
#[must_use]
pub fn working_on() -> Option<Working> {
    CURRENT.try_with(|working| working.borrow().clone()).ok()
}

/// Runs a pass, and lets it be known while it lasts.
pub(super) async fn while_working<F: Future>(key: &Key, uid: &str, pass: F) -> F::Output {
    let working = Working { key: key.clone(), uid: uid.to_owned(), stage: None };
    CURRENT.scope(RefCell::new(working), pass).await
}

/// Says what the pass is in the middle of from here on.
pub(super) fn turn_to(stage: Option<Stage>) {
    // In tests a pass may run by itself: then nobody is told.
    let _ = CURRENT.try_with(|working| working.borrow_mut().stage = stage);
}

/// Says it at the beginning of a connection's pass.
pub(super) fn tell_connection(object: &Raw) {
    turn_to(Some(match (object.is_deleting(), object.is_held()) {
        (true, _) => Stage::Delete,
        (false, true) => Stage::Update,
        (false, false) => Stage::Create,
    }));
}

impl Pass<'_> {
    /// Says it at the beginning, as far as the status and the spec tell.
    pub(super) fn tell_stage(&self) {
        let has_object = || self.status.recorded(&self.engine.owner, self.object.uid()).is_some();
        let may_take = |common: Common| {
            let lifecycle = common.lifecycle;
            lifecycle.adoption == Adoption::Adopt || !lifecycle.id.is_empty()
        };
        turn_to(Some(if self.object.is_deleting() {
            Stage::Delete
        } else if self.status.started.is_some() || has_object() {
            Stage::Update
        } else if self.object.spec::<Common>().is_ok_and(may_take) {
            Stage::Adopt
        } else {
            Stage::Create
        }));
    }
}

impl Identified {
    /// Says it once it is known whether there is an object to take over.
    pub(super) fn tell_stage(&self) {
        match self {
            Self { adopted: true, .. } => turn_to(Some(Stage::Adopt)),
            Self { object: None, recorded: false, .. } => turn_to(Some(Stage::Create)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn stage() -> Option<Stage> {
        working_on().and_then(|working| working.stage)
    }

    #[tokio::test]
    async fn a_pass_is_known_while_it_lasts_and_to_its_own_task_alone() {
        let key = Key::new("Kind", "here", "a");
        let seen = while_working(&key, "uid", async {
            turn_to(Some(Stage::Create));
            assert_eq!(tokio::spawn(async { working_on() }).await.ok(), Some(None));
            working_on()
        });
        let seen = seen.await.expect("it is known");
        assert_eq!((seen.key, seen.uid.as_str(), seen.stage), (key, "uid", Some(Stage::Create)));
        assert_eq!(working_on(), None);
        turn_to(Some(Stage::Delete));
        assert_eq!(working_on(), None);
    }

    #[tokio::test]
    async fn what_was_found_says_whether_something_is_made_or_taken_over() {
        let object = || Some(Value::Null);
        let after = |began, object, recorded, adopted| async move {
            while_working(&Key::new("Kind", "here", "a"), "uid", async {
                turn_to(Some(began));
                Identified { object, recorded, adopted }.tell_stage();
                stage()
            })
            .await
        };
        assert_eq!(after(Stage::Adopt, None, false, false).await, Some(Stage::Create));
        assert_eq!(after(Stage::Create, object(), true, true).await, Some(Stage::Adopt));
        assert_eq!(after(Stage::Update, object(), true, false).await, Some(Stage::Update));
        assert_eq!(after(Stage::Update, None, true, false).await, Some(Stage::Update));
    }

    #[tokio::test]
    async fn a_connection_is_made_until_it_is_held() {
        let after = |metadata: Value| async move {
            let object: Raw = serde_json::from_value(json!({ "metadata": metadata })).expect("it is an object");
            while_working(&Key::new("Kind", "here", "a"), "uid", async {
                tell_connection(&object);
                stage()
            })
            .await
        };
        let held = json!(["portico.dev/remote"]);
        assert_eq!(after(json!({"name": "a"})).await, Some(Stage::Create));
        assert_eq!(after(json!({"name": "a", "finalizers": held})).await, Some(Stage::Update));
        let deleting = json!({"name": "a", "finalizers": held, "deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(after(deleting).await, Some(Stage::Delete));
    }
}
