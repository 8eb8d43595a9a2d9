//! The end of a connection: it stays while anything with a recorded id uses it, or a pass makes or takes over something through it.
//!
//! It is not swept any more. Passes of resources that live on are refused the connection, so that nothing that a sweep saw could be
//! looked at or put back; their status keeps what was seen last, and after three intervals says that it is not known any more
//! (`silence`), a new spec is answered with `ConnectionNotReady`, and `Ready=False` of the connection says why. All its requests are left to the deletions that it stays for.
use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{
    cache::AnyKind,
    connect::ConnectionPass,
    done::Outcome,
    escrow,
    key::{Key, Target},
    kind::{Identity, Ops},
    kubernetes::KubeError,
    queue::Lane,
    raw::Raw,
    reason::Reason,
    report::backoff,
    spec::{ConnectionCommon, annotations},
    status::{State, conditions},
    stop::{Again, Halt, Judgement, Stop},
};

/// So long a refusal to erase what is kept may pass, before the deletion ends without that.
const PATIENCE: Duration = Duration::from_secs(60);

impl ConnectionPass<'_> {
    /// A connection stays while anything with a recorded id uses it.
    pub(super) async fn run_deletion(mut self) -> Outcome {
        if !self.object.is_held() {
            self.engine.links.forget(self.key, self.object.uid());
            return Outcome { word: "deleting", requests: 0, later: None };
        }
        // After a restart, and where the Secret changed: the credential is needed for the deletions that this one waits for. Where it
        // cannot be read, the last one serves: the one in memory, else the one in escrow.
        let mut without_secret = None;
        if let Ok(common) = self.object.spec::<ConnectionCommon>() {
            let built = self.build(&common).await;
            if matches!(&built, Err(Stop::Halt(halt)) if halt.reason == Reason::SecretNotFound) {
                if !self.has_link() {
                    self.build_from_escrow(&common).await;
                }
                without_secret = Some(common);
            }
        }
        self.engine.links.change(self.key, |known| known.deleting = true);
        let turn = self.turn().await;
        let users: Vec<String> = self.users();
        if users.is_empty() || self.object.annotation(annotations::ORPHAN) == Some("true") {
            return match self.let_go().await {
                // The API server may say so before the watch does.
                Ok(()) | Err(Stop::Kube(KubeError::Gone)) => {
                    self.engine.links.forget(self.key, self.object.uid());
                    Outcome { word: "deleted", requests: self.requests, later: None }
                }
                Err(stop) => {
                    let is_refused = matches!(stop, Stop::Kube(KubeError::Forbidden(_)));
                    let pause = if is_refused { Duration::from_secs(5) } else { Duration::from_millis(100) };
                    let due = match stop {
                        Stop::Halt(Halt { again: Again::At(at), .. }) => at,
                        _ => Instant::now() + pause,
                    };
                    let later = Some((due, Lane::Retry));
                    Outcome { word: "kubernetes", requests: self.requests, later }
                }
            };
        }
        drop(turn);
        self.try_for_deletions(without_secret.as_ref()).await;
        self.keep_escrow().await;
        self.note_silence();
        let shown = users.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let message = format!(
            "{} resources have objects through it, or may have, and it is needed to delete them: {shown}",
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

    /// Erases what was kept for deletions, which nobody could find any more afterwards, and removes the finalizer.
    async fn let_go(&mut self) -> Result<(), Stop> {
        // What an earlier process sent to be kept may be late as well.
        let window = self.engine.kube.deadline + self.engine.settings.consistency;
        if let Some(until) = self.engine.gone.settles_at(window).filter(|_| self.engine.settings.escrow) {
            self.engine.remember(self.object.uid(), |memory| *memory.late_secret.get_or_insert(until));
        }
        match self.erase_escrow().await {
            Ok(()) => {
                // Afterwards nobody would find what was sent to be kept, had no answer, and turns up late (law 5).
                if let Some(until) = self.engine.late_secret(self.object.uid()) {
                    let message = "what is kept for deletions may still turn up; erasing it after the wait";
                    return Err(Stop::wait_until(Reason::Deleting, message, until));
                }
            }
            // A deletion always ends. But a refusal may pass, and afterwards nobody would find what is kept.
            Err(KubeError::Forbidden(why)) if self.is_out_of_patience() => {
                let name = escrow::name(self.key, self.object.uid());
                tracing::warn!(connection = %self.key, secret = name, why, "the credential kept for deletions stays: delete its Secret by hand");
            }
            Err(error) => return Err(error.into()),
        }
        let released = self.engine.kube.release(self.ops.info(), &self.object).await;
        self.take(released)?;
        self.engine.released(self.key, &self.object);
        Ok(())
    }

    /// Whether Kubernetes has refused for long to erase what is kept, or a person gives it up.
    fn is_out_of_patience(&self) -> bool {
        let now = Instant::now();
        let since = self.engine.remember(self.object.uid(), |memory| *memory.erasure_refused.get_or_insert(now));
        now >= since + PATIENCE || self.object.annotation(annotations::ORPHAN) == Some("true")
    }

    /// In a namespace that is being deleted the Secret may be gone before this connection is being deleted, too. After a restart what is
    /// kept for deletions serves them.
    pub(super) async fn end_with_the_namespace(&mut self, common: &ConnectionCommon) {
        if let Ok(Some((_, true))) = self.engine.kube.namespace(&self.key.namespace).await {
            if !self.has_link() {
                self.build_from_escrow(common).await;
            }
            self.engine.links.change(self.key, |known| known.deleting = true);
            self.try_for_deletions(Some(common)).await;
        }
    }

    /// Tries what deletions need. Where the Secret is gone, with what the spec said, nobody can put a better one there: in place of one
    /// that never worked, because the API refuses it or it is of another account, the last one that did work serves.
    async fn try_for_deletions(&mut self, without_secret: Option<&ConnectionCommon>) {
        let Err(Stop::Halt(halt)) = self.try_credential().await else { return };
        self.name_trouble(&halt.message);
        let is_wrong = matches!(
            halt.reason,
            Reason::CredentialRejected | Reason::ConnectionNotReady | Reason::PermissionDenied | Reason::AccountChanged
        );
        let Some(common) = without_secret.filter(|_| is_wrong) else { return };
        if self.build_from_escrow(common).await {
            match self.try_credential().await {
                Ok(()) => {
                    self.status.extra.remove("absence");
                }
                Err(Stop::Halt(halt)) => self.name_trouble(&halt.message),
                Err(_) => {}
            }
        }
    }

    /// Tries a credential that has not been tried yet, and a gate that is shut, so that deletions go on.
    async fn try_credential(&mut self) -> Result<(), Stop> {
        let Some(known) = self.engine.links.get(self.key) else { return Ok(()) };
        if known.verified {
            // The same credential in a Secret that was touched, or made again: the process after this one is to know it, too.
            self.note_credential(&known);
        }
        if known.verified && known.link.gate().is_shut().is_none() {
            return Ok(());
        }
        self.probe(&known).await?;
        known.link.gate().open();
        if !known.verified && self.ops.is_account_of_credential(&self.object) {
            let checked = self.check_account(&known).await;
            if matches!(&checked, Err(Stop::Halt(halt)) if halt.reason == Reason::AccountChanged) {
                // Those who wait can say now what it is for.
                self.engine.nudge_dependents(&Target::Resource(self.key.clone()));
            }
            checked?;
        } else if !known.verified {
            // What this account does not have is gone, whatever there was before.
            self.status.extra.remove("absence");
        }
        self.engine.links.change(self.key, |known| {
            known.verified = true;
            known.trouble = None;
        });
        self.engine.wake_dependents(&Target::Resource(self.key.clone()));
        Ok(())
    }

    /// Whether this process has a credential of this very connection, tried or not.
    fn has_link(&self) -> bool {
        self.engine.links.get(self.key).is_some_and(|known| known.uid == self.object.uid())
    }

    /// Who has an object, or an open create, through this connection, or is about to.
    pub(super) fn users(&self) -> Vec<String> {
        let all = self.held_through(|ops, object| ops.identity_of(object) != Identity::Intent);
        // What does not know its connection any more asks all of them once it goes, and what it made has to be there for that.
        let seekers = self.seekers().map(|(key, _)| key);
        // What a pass takes over, or makes below a parent that has gone meanwhile, is recorded at its end.
        let begun = self.engine.beginners.of(self.object.uid());
        let users: BTreeSet<Key> = all.chain(seekers).chain(begun).collect();
        users.iter().map(ToString::to_string).collect()
    }

    /// Whether anything may have an object through this connection, or have one before long: a create that is refused is tried again.
    pub(super) fn is_used(&self) -> bool {
        self.held_through(|_, _| true).next().is_some() || !self.engine.beginners.of(self.object.uid()).is_empty()
    }

    /// Those with our finalizer that have something recorded through this connection; of those that have nothing recorded, the ones that
    /// would, as far as `unrecorded` takes them.
    fn held_through(&self, unrecorded: impl Fn(&'static dyn Ops, &Raw) -> bool) -> impl Iterator<Item = Key> {
        let name = format!("{}/{}", self.key.namespace, self.key.name);
        let uses = move |key: &Key, object: &Raw| {
            let Some(AnyKind::Resource(ops)) = self.engine.cache.ops(key.kind) else { return false };
            let status = object.status();
            if let Some(recipe) = status.recorded(&self.engine.owner, object.uid()) {
                return ops.connection() == self.key.kind && recipe.connection == name;
            }
            if let Some(intent) = status.intent(&self.engine.owner, object.uid()) {
                return ops.connection() == self.key.kind && intent.connection == name;
            }
            // A create may be under way, or a crash came between it and its record.
            unrecorded(ops, object)
                && ops.connection() == self.key.kind
                && self.engine.connection_of(ops, key, object).as_ref() == Some(self.key)
        };
        let all = self.engine.cache.all().into_iter();
        all.filter(move |(key, object)| object.is_held() && uses(key, object)).map(|(key, _)| key)
    }
}
