//! How a connection's link is built: from its spec, its Secret and its CA bundle.
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    connect::ConnectionPass,
    context::{Cx, Found, SecretKey, Secrets},
    escrow::Material,
    key::Target,
    kind::Wait,
    links::Known,
    mark::hex,
    queue::{Cause, Lane},
    reason::Reason,
    spec::ConnectionCommon,
    stop::Stop,
    sweep_cost::Pace,
};
use crate::remote::{
    Credential, Link, LinkSettings,
    gate::{Gate, Rate},
    token::Tokens,
};

impl ConnectionPass<'_> {
    /// Builds a new link where the spec, the Secret or the CA bundle changed.
    pub(super) async fn build(&mut self, common: &ConnectionCommon) -> Result<(), Stop> {
        let base = self.base()?;
        // The edges first: what changes while it is read then wakes this connection.
        let asked = self.ask(&Secrets::new()).1;
        let edges = asked.edges.into_iter().chain(self.ca_target(common)).collect();
        self.engine.edges.set(self.key, edges);
        let material = self.material(common).await?;
        self.escrow = Some(material.to_data());
        self.install(common, base, material)
    }

    /// What its Secrets hold now.
    pub(super) async fn material(&self, common: &ConnectionCommon) -> Result<Material, Stop> {
        let ca = self.ca_bundle(common).await?;
        let (credential, version) = self.credential().await?;
        Ok(Material { credential, version, ca })
    }

    /// Where the API is, if that may be spoken to.
    pub(super) fn base(&self) -> Result<Url, Stop> {
        let base = self.ops.base(&self.object)?;
        self.engine.settings.allow.check(&base).map_err(|e| Stop::hopeless(Reason::InvalidSpec, e.to_string()))?;
        Ok(base)
    }

    /// Makes a link of all that it is built from, and of what is known of the one before. Keeps that one where nothing differs.
    pub(super) fn install(&self, common: &ConnectionCommon, base: Url, material: Material) -> Result<(), Stop> {
        let fingerprint = fingerprint(&material.credential.identity(), material.ca.as_deref());
        let (version, material) = (material.version.clone(), Arc::new(material));
        let generation = self.object.generation();
        let uid = self.object.uid();
        let old = self.engine.links.get(self.key).filter(|known| known.uid == uid);
        if old.as_ref().is_some_and(|known| known.fingerprint == fingerprint && known.generation == generation) {
            self.engine.links.change(self.key, |known| (known.version, known.material) = (version, material));
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
            .build(material.ca.as_deref())
            .map_err(|e| Stop::hopeless(Reason::InvalidSpec, format!("caBundleRef: {e}")))?;
        let (queue, key, lease) = (self.engine.queue.clone(), self.key.clone(), self.engine.lease.clone());
        let link = Link::new(LinkSettings {
            api: self.ops.api(),
            base,
            http,
            tokens: Tokens::new(material.credential.clone()),
            deadline: common.deadline(),
            pause: self.engine.settings.backoff,
            allow: self.engine.settings.allow.clone(),
            gate,
            metrics: self.engine.metrics.clone(),
            clock: self.engine.clock.clone(),
            on_shut: Box::new(move || queue.push(&key, Lane::Retry, Cause::Look)),
            may_write: Box::new(move |deadline| lease.covers(deadline)),
        });
        let link = Arc::new(link);
        let untried = Wait::new(Reason::ConnectionNotReady, "it has not been tried yet");
        let fresh = match old {
            // Only settings changed: what is known of the credential still holds.
            Some(old) if old.fingerprint == fingerprint => {
                let pace = Pace::default();
                Known { link, common: common.clone(), generation, version, material, pace, ..old }
            }
            old => Known {
                uid: uid.to_owned(),
                link,
                common: common.clone(),
                generation,
                fingerprint,
                version,
                material,
                sweep_trouble: None,
                trouble: Some(untried),
                verified: false,
                deleting: false,
                answered: None,
                swept: None,
                pace: Pace::default(),
                missing: old.as_ref().map(|k| k.missing.clone()).unwrap_or_default(),
                among: old.as_ref().map(|k| k.among.clone()).unwrap_or_default(),
                confirmed: old.map(|k| k.confirmed).unwrap_or_default(),
            },
        };
        self.engine.links.put(self.key, fresh);
        Ok(())
    }

    /// What the CA bundle is read from.
    fn ca_target(&self, common: &ConnectionCommon) -> Option<Target> {
        let reference = common.ca_bundle_ref.as_ref()?;
        let namespace = self.key.namespace.to_string();
        match (&reference.config_map, &reference.secret) {
            (Some(name), _) => Some(Target::ConfigMap(namespace, name.clone())),
            (None, Some(name)) => Some(Target::Secret(namespace, name.clone())),
            (None, None) => None,
        }
    }

    async fn ca_bundle(&self, common: &ConnectionCommon) -> Result<Option<Vec<u8>>, Stop> {
        let Some(reference) = &common.ca_bundle_ref else { return Ok(None) };
        let key = &reference.key;
        let (what, namespace, name, found) = match self.ca_target(common) {
            Some(Target::Secret(namespace, name)) => {
                let found = self.engine.fetch(&namespace, &name, key).await?;
                ("Secret", namespace, name, found.map(|(value, _)| value.expose_secret().as_bytes().to_vec()))
            }
            Some(Target::ConfigMap(namespace, name)) => {
                let found = self.engine.kube.config_map(&namespace, &name, key).await?;
                ("ConfigMap", namespace, name, found)
            }
            _ => return Err(Stop::hopeless(Reason::InvalidSpec, "caBundleRef names neither configMap nor secret")),
        };
        let missing = || format!("{what} {namespace}/{name} with the key {key} does not exist yet");
        found.map(Some).ok_or_else(|| Stop::wait(Reason::SecretNotFound, missing()))
    }

    /// Asks the kind for its credential, with the Secrets that are there.
    fn ask(&self, secrets: &Secrets) -> (Result<Credential, Wait>, Found) {
        let cx = Cx::new(&self.key.namespace, &self.engine.owner, &self.engine.cache, secrets);
        let result = self.ops.credential(&self.object, &cx);
        (result, cx.into_found())
    }

    /// The credential, and the version of what it was read from.
    async fn credential(&self) -> Result<(Credential, String), Stop> {
        let mut secrets = Secrets::new();
        loop {
            let (result, found) = self.ask(&secrets);
            let Some(wanted) = found.wanted else {
                let credential = result?;
                // Another key of the same Secret, or another token endpoint, may lead to another account.
                let read = |((_, name, key), value): (&SecretKey, &Option<(SecretString, String)>)| {
                    value.as_ref().map(|(_, version)| format!("{name}/{key}@{version}"))
                };
                let mut versions: Vec<String> = secrets.iter().filter_map(read).collect();
                if let Credential::Client { url, .. } = &credential {
                    self.engine
                        .settings
                        .allow
                        .check(url)
                        .map_err(|e| Stop::hopeless(Reason::InvalidSpec, e.to_string()))?;
                    versions.push(url.to_string());
                }
                versions.sort_unstable();
                return Ok((credential, versions.join(",")));
            };
            let value = self.engine.fetch(&wanted.0, &wanted.1, &wanted.2).await?;
            secrets.insert(wanted, value);
        }
    }
}

/// Changes with the credential, without holding it.
pub(super) fn fingerprint(credential: &SecretString, ca: Option<&[u8]>) -> String {
    let mut hash = Sha256::new();
    hash.update(credential.expose_secret().as_bytes());
    hash.update([0]);
    hash.update(ca.unwrap_or_default());
    hex(&hash.finalize())
}
