//! How a connection's link is built: from its spec, its Secret and its CA bundle.
use std::{collections::BTreeSet, sync::Arc};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{
    connect::ConnectionPass,
    context::{Cx, Secrets},
    key::Target,
    kind::Wait,
    links::Known,
    mark::hex,
    queue::{Cause, Lane},
    reason::Reason,
    spec::ConnectionCommon,
    stop::Stop,
};
use crate::remote::{
    Link, LinkSettings,
    gate::{Gate, Rate},
};

impl ConnectionPass<'_> {
    /// Builds a new link where the spec, the Secret or the CA bundle changed.
    pub(super) async fn build(&mut self, common: &ConnectionCommon) -> Result<(), Stop> {
        let base = self.ops.base(&self.object)?;
        self.engine.settings.allow.check(&base).map_err(|e| Stop::hopeless(Reason::InvalidSpec, e.to_string()))?;
        let mut edges = BTreeSet::new();
        let ca = self.ca_bundle(common, &mut edges).await;
        let credential = self.credential(&mut edges).await;
        self.engine.edges.set(self.key, edges);
        let (ca, credential) = (ca?, credential?);
        let fingerprint = fingerprint(&credential, ca.as_deref());
        let generation = self.object.generation();
        let old = self.engine.links.get(self.key);
        if old.as_ref().is_some_and(|known| known.fingerprint == fingerprint && known.generation == generation) {
            return Ok(());
        }
        let rate = Rate {
            per_second: f64::from(common.rate_limit.requests_per_second),
            burst: f64::from(common.rate_limit.burst),
        };
        let gate = old.as_ref().map_or_else(
            || Arc::new(Gate::new(rate, self.engine.settings.concurrency)),
            |known| known.link.gate().clone(),
        );
        gate.set_rate(rate);
        let http = self
            .engine
            .http
            .build(ca.as_deref())
            .map_err(|e| Stop::hopeless(Reason::InvalidSpec, format!("caBundleRef: {e}")))?;
        let (queue, key) = (self.engine.queue.clone(), self.key.clone());
        let link = Link::new(LinkSettings {
            api: self.ops.api(),
            base,
            http,
            credential,
            deadline: common.deadline(),
            pause: self.engine.settings.backoff,
            allow: self.engine.settings.allow.clone(),
            gate,
            metrics: self.engine.metrics.clone(),
            on_shut: Box::new(move || queue.push(&key, Lane::Retry, Cause::Look)),
        });
        let link = Arc::new(link);
        let untried = Wait::new(Reason::ConnectionNotReady, "it has not been tried yet");
        let fresh = match old {
            // Only settings changed: what is known of the credential still holds.
            Some(old) if old.fingerprint == fingerprint => Known { link, common: common.clone(), generation, ..old },
            old => Known {
                link,
                common: common.clone(),
                generation,
                fingerprint,
                trouble: Some(untried),
                verified: false,
                deleting: false,
                answered: None,
                swept: None,
                out_of_touch: old.as_ref().is_some_and(|k| k.out_of_touch),
                missing: old.as_ref().map(|k| k.missing.clone()).unwrap_or_default(),
                confirmed: old.map(|k| k.confirmed).unwrap_or_default(),
            },
        };
        self.engine.links.put(self.key, fresh);
        Ok(())
    }

    async fn ca_bundle(
        &self,
        common: &ConnectionCommon,
        edges: &mut BTreeSet<Target>,
    ) -> Result<Option<Vec<u8>>, Stop> {
        let Some(reference) = &common.ca_bundle_ref else { return Ok(None) };
        let namespace = &*self.key.namespace;
        let (what, name) = match (&reference.config_map, &reference.secret) {
            (Some(name), _) => ("ConfigMap", name),
            (None, Some(name)) => ("Secret", name),
            (None, None) => {
                return Err(Stop::hopeless(Reason::InvalidSpec, "caBundleRef names neither configMap nor secret"));
            }
        };
        let found = if what == "Secret" {
            edges.insert(Target::Secret(namespace.to_owned(), name.clone()));
            self.engine.fetch(namespace, name, &reference.key).await?.map(|s| s.expose_secret().as_bytes().to_vec())
        } else {
            edges.insert(Target::ConfigMap(namespace.to_owned(), name.clone()));
            self.engine.kube.config_map(namespace, name, &reference.key).await?
        };
        match found {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(Stop::wait(
                Reason::SecretNotFound,
                format!("{what} {namespace}/{name} with the key {} does not exist yet", reference.key),
            )),
        }
    }

    async fn credential(&self, edges: &mut BTreeSet<Target>) -> Result<SecretString, Stop> {
        let mut secrets = Secrets::new();
        loop {
            let cx = Cx::new(&self.key.namespace, &self.engine.owner, &self.engine.cache, &secrets);
            let result = self.ops.credential(&self.object, &cx);
            let found = cx.into_found();
            edges.extend(found.edges);
            let Some(wanted) = found.wanted else { return Ok(result?) };
            let value = self.engine.fetch(&wanted.0, &wanted.1, &wanted.2).await?;
            secrets.insert(wanted, value);
        }
    }
}

/// Changes with the credential, without holding it.
fn fingerprint(credential: &SecretString, ca: Option<&[u8]>) -> String {
    let mut hash = Sha256::new();
    hash.update(credential.expose_secret().as_bytes());
    hash.update([0]);
    hash.update(ca.unwrap_or_default());
    hex(&hash.finalize())
}
