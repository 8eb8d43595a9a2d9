//! What a pass decides on what it found, and what it reads for the status besides.
use http::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    diff::{Difference, diff, hide},
    done::Done,
    mark::hex,
    pass::Pass,
    plan::{Facts, Plan, plan},
    resolve::Resolved,
    spec::{Replace, annotations},
    status::Recipe,
};
use crate::remote::Call;

impl Pass<'_> {
    /// What to do about the object as it was read, or about none.
    #[must_use]
    pub fn decide(&self, resolved: &Resolved, object: Option<&Value>, fresh: bool, recorded: bool) -> Plan {
        let kept = object.is_some_and(|object| {
            let differences = diff(&resolved.desired, object);
            self.status.kept.is_some() && self.status.kept == Some(kept(resolved, &differences))
        });
        // A look that the user asks for may try again what can be tried again.
        let asked =
            self.object.annotation(annotations::RECONCILE_AT) != self.status.last_handled_reconcile_at.as_deref();
        plan(Facts {
            writes: resolved.writes,
            drift: resolved.common.lifecycle.drift,
            fresh,
            recorded,
            kept: kept && !(asked && self.ops.is_repeatable()),
            replace: resolved.common.lifecycle.replace == Replace::Allow && !resolved.shape.is_given(),
            desired: &resolved.desired,
            object,
        })
    }

    /// What another object was sent, or this one by the resource that a backup was made of, says nothing of what this object has: a secret
    /// that the API does not show is sent once more. `before`: the record as the pass found it.
    pub fn forget_others_digests(&mut self, resolved: &mut Resolved, before: Option<&Recipe>) {
        let (owner, uid) = (&self.engine.owner, self.object.uid());
        let own = |recipe: &&Recipe| !recipe.observed && recipe.owner == *owner && recipe.uid == uid;
        let had = before.filter(own).map(|recipe| (&recipe.account, &recipe.path));
        let has = self.status.remote.as_ref().filter(own).map(|recipe| (&recipe.account, &recipe.path));
        if resolved.writes && (had.is_none() || had != has) {
            self.status.digests.clear();
            resolved.desired.acknowledged.clear();
        }
    }

    /// Remembers what the API makes of what it is sent, where that is something else.
    pub fn note_kept(&mut self, resolved: &Resolved, differences: &[Difference], sent_all: bool) {
        if differences.is_empty() {
            self.status.kept = None;
        } else if sent_all {
            self.status.kept = Some(kept(resolved, differences));
        }
    }

    /// Reads what the status shows besides, where it may have changed with the object. It is a courtesy: no failure of it is one.
    pub async fn show_views(&mut self, resolved: &Resolved, done: &Done) {
        if !(done.created || done.updated || done.adopted || !self.is_accepted()) {
            return;
        }
        let (Ok(path), link) = (self.recorded_path(), resolved.link().clone()) else { return };
        for word in self.ops.views() {
            match self.send(&link, Call::new(Method::GET, &path.then(word))).await {
                Ok(answer) => self.ops.show(word, &answer.unwrap_or_default(), &mut self.status.extra),
                Err(error) => tracing::debug!(resource = %self.key, word, %error, "it is not shown"),
            }
        }
    }
}

/// A digest of what should be there and of where the API has something else.
fn kept(resolved: &Resolved, differences: &[Difference]) -> String {
    let mut body = Value::Object(resolved.desired.body.clone());
    hide(&mut body, resolved.desired.secrets);
    let items: Vec<_> = differences.iter().map(Difference::item).collect();
    let evidence = serde_json::to_vec(&(body, &resolved.digests, items)).unwrap_or_default();
    hex(&Sha256::digest(evidence))[..32].to_owned()
}
