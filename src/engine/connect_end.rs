//! The end of a connection: it stays while anything with a recorded id uses it.
use std::time::Duration;

use tokio::time::Instant;

use super::{
    cache::AnyKind,
    connect::ConnectionPass,
    key::{Key, Target},
    kind::Identity,
    pass::Outcome,
    queue::Lane,
    raw::Raw,
    reason::Reason,
    report::backoff,
    spec::{Common, ConnectionCommon, annotations},
    status::{State, conditions},
    stop::Judgement,
};

impl ConnectionPass<'_> {
    /// A connection stays while anything with a recorded id uses it.
    pub(super) async fn run_deletion(mut self) -> Outcome {
        if !self.object.is_held() {
            self.engine.links.forget(self.key);
            return Outcome { word: "deleting", requests: 0, later: None };
        }
        // After a restart, and where the Secret changed: the credential is needed for the deletions that this one waits for. Where it
        // cannot be read, the last one serves.
        if let Ok(common) = self.object.spec::<ConnectionCommon>() {
            let _ = self.build(&common).await;
        }
        self.engine.links.change(self.key, |known| known.deleting = true);
        let users: Vec<String> = self.users();
        if users.is_empty() || self.object.annotation(annotations::ORPHAN) == Some("true") {
            let released = self.engine.kube.release(self.ops.info(), &self.object).await;
            return match self.take(released) {
                Ok(()) => {
                    self.engine.links.forget(self.key);
                    Outcome { word: "deleted", requests: self.requests, later: None }
                }
                Err(_) => Outcome {
                    word: "kubernetes",
                    requests: self.requests,
                    later: Some((Instant::now() + Duration::from_millis(100), Lane::Retry)),
                },
            };
        }
        if let Some(known) = self.engine.links.get(self.key)
            && (!known.verified || known.link.gate().is_shut().is_some())
            && self.probe(&known).await.is_ok()
        {
            known.link.gate().open();
            if known.verified || self.check_account(&known).await.is_ok() {
                self.engine.links.change(self.key, |known| {
                    known.verified = true;
                    known.trouble = None;
                });
                self.engine.nudge_dependents(&Target::Resource(self.key.clone()));
            }
        }
        let shown = users.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let message = format!(
            "{} resources still have objects through it, and it is needed to delete them: {shown}",
            users.len()
        );
        self.condition(conditions::READY, Some(&State::new(false, Reason::DeletionBlocked, message.clone())));
        self.condition(conditions::RECONCILING, Some(&State::new(true, Reason::DeletionBlocked, message)));
        let failures = self.engine.remember(self.object.uid(), |m| {
            m.failures += 1;
            m.failures
        });
        let later =
            Instant::now() + self.engine.jitter(backoff(&self.engine.settings, failures, Judgement::OutOfTouch));
        self.finish("blocked", Some((later, Lane::Deletion))).await
    }

    /// Who has an object, or an open create, through this connection.
    fn users(&self) -> Vec<String> {
        let name = format!("{}/{}", self.key.namespace, self.key.name);
        let uses = |key: &Key, object: &Raw| {
            let Some(AnyKind::Resource(ops)) = self.engine.cache.ops(key.kind) else { return false };
            let status = object.status();
            if let Some(recipe) = status.recorded(&self.engine.owner, object.uid()) {
                return ops.connection() == self.key.kind && recipe.connection == name;
            }
            if let Some(intent) = status.intent(&self.engine.owner, object.uid()) {
                return ops.connection() == self.key.kind && intent.connection == name;
            }
            // Held and nothing recorded: a create may be under way, or a crash came between it and its record.
            let named = object.spec::<Common>().ok().and_then(|common| common.connection_ref);
            ops.identity() == Identity::Mark
                && ops.connection() == self.key.kind
                && named.is_some_and(|reference| {
                    let namespace = reference.namespace.as_deref().unwrap_or(&key.namespace);
                    reference.name == *self.key.name && *namespace == *self.key.namespace
                })
        };
        let all = self.engine.cache.all().into_iter();
        all.filter(|(key, object)| object.is_held() && uses(key, object)).map(|(key, _)| key.to_string()).collect()
    }
}
