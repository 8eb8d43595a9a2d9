//! What a pass writes to its resource: the finalizer and the status, each only to the very resource that it read.
use std::{sync::Arc, time::Duration};

use http::Method;

use super::{
    kubernetes::{KubeError, Precondition},
    pass::Pass,
    raw::Raw,
    stop::Stop,
};
use crate::remote::{Call, Link, Path};

impl Pass<'_> {
    /// Adds the finalizer, if it is not there.
    ///
    /// # Errors
    /// [`Stop::Kube`].
    pub async fn hold(&mut self) -> Result<(), Stop> {
        if self.object.is_held() {
            return Ok(());
        }
        let held = self.engine.kube.hold(self.ops.info(), &self.object).await;
        self.take(held).await?;
        self.engine.remember(self.object.uid(), |memory| memory.held = true);
        Ok(())
    }

    /// Removes the finalizer.
    ///
    /// # Errors
    /// [`Stop::Kube`].
    pub async fn let_go(&mut self) -> Result<(), Stop> {
        let released = self.engine.kube.release(self.ops.info(), &self.object).await;
        self.take(released).await?;
        self.engine.released(self.key, &self.object);
        Ok(())
    }

    /// Who only looks by now, at what is recorded, deletes nothing, and needs no connection to be let go of: one that is being deleted may
    /// wait for that (law 5).
    ///
    /// # Errors
    /// [`Stop::Kube`].
    pub(super) async fn release_observed(&mut self) -> Result<(), Stop> {
        let is_recorded = self.status.recorded(&self.engine.owner, self.object.uid()).is_some();
        if self.object.is_held() && is_recorded && self.status.updating.is_none() {
            self.let_go().await?;
            self.wake_after_end();
        }
        Ok(())
    }

    /// Takes the answer to a write of our own; after a conflict the object is read again for the next pass.
    async fn take(&mut self, answer: Result<Raw, KubeError>) -> Result<(), Stop> {
        match answer {
            Ok(object) => {
                self.engine.wrote(self.key, object.clone());
                self.object = Arc::new(object);
                Ok(())
            }
            Err(error) => {
                if matches!(error, KubeError::Conflict)
                    && let Ok(Some(object)) =
                        self.engine.kube.get(self.ops.info(), &self.key.namespace, &self.key.name).await
                {
                    self.engine.wrote(self.key, object);
                }
                Err(Stop::Kube(error))
            }
        }
    }

    /// Writes the status as it is now, if it differs from what is stored.
    ///
    /// # Errors
    /// [`Stop::Kube`].
    pub async fn write_status(&mut self, precondition: Precondition) -> Result<(), Stop> {
        let status = serde_json::to_value(&self.status).unwrap_or_default();
        match self.engine.kube.patch_status(self.ops.info(), &self.object, &status, precondition).await {
            Ok(None) => Ok(()),
            Ok(Some(object)) => self.take(Ok(object)).await,
            Err(error) => self.take(Err(error)).await,
        }
    }

    /// Writes the status that records a new id, again and again until it is stored. If the resource is gone meanwhile, what was just
    /// made is removed: nobody would ever know of it.
    ///
    /// # Errors
    /// [`Stop::Kube`] with [`KubeError::Gone`] where the resource is gone.
    pub async fn persist(&mut self, link: &Link, path: &Path) -> Result<(), Stop> {
        let mut wait = Duration::from_millis(50);
        // Another process may have given up the intent meanwhile, and made an object of its own.
        let precondition = if self.sent.is_some() { Precondition::Version } else { Precondition::Uid };
        loop {
            match self.write_status(precondition).await {
                Err(Stop::Kube(_)) if self.is_gone().await => {
                    if self.made {
                        let query = self.ops.deletion_query(&self.object).map(str::to_owned);
                        let removed = self.send(link, Call::new(Method::DELETE, path).query(query)).await;
                        if removed.is_ok() {
                            self.note_gone(link, path);
                        }
                        tracing::warn!(resource = %self.key, removed = removed.is_ok(), "the resource vanished while its object was made");
                    }
                    return Err(Stop::Kube(KubeError::Gone));
                }
                Err(Stop::Kube(KubeError::Conflict)) if self.is_overtaken().await => {
                    // Its record stands, and its sweep finds this object.
                    tracing::warn!(resource = %self.key, %path, "another process has gone on meanwhile");
                    return Err(Stop::Kube(KubeError::Conflict));
                }
                Err(Stop::Kube(error)) => {
                    tracing::warn!(resource = %self.key, %error, "the new id is not stored yet");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(self.engine.settings.backoff);
                }
                other => return other,
            }
        }
    }

    /// Whether the intent of the create that this pass sent is no longer the resource's. Where it is, the resource as it is now is what the
    /// next write is for.
    async fn is_overtaken(&mut self) -> bool {
        let Some(token) = self.sent.clone() else { return false };
        let live = self.engine.kube.get(self.ops.info(), &self.key.namespace, &self.key.name).await;
        let Some(live) = live.ok().flatten().filter(|live| live.uid() == self.object.uid()) else { return false };
        let status = live.status();
        let own = status.creating.as_ref().is_some_and(|intent| intent.token == token);
        self.object = Arc::new(live);
        !own && status.id != self.status.id
    }

    /// Whether the resource itself is certainly gone, or another one has its name.
    async fn is_gone(&self) -> bool {
        let live = self.engine.kube.get(self.ops.info(), &self.key.namespace, &self.key.name).await;
        matches!(live, Ok(live) if live.as_ref().is_none_or(|live| live.uid() != self.object.uid()))
    }
}
