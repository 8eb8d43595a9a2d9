//! One pass over a connection: read the Secret, build the link, probe, open or shut the gate, report.
use std::sync::Arc;

use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    absence,
    cache::AnyKind,
    context::{Cx, Secrets},
    core::Engine,
    key::{Key, Target},
    kind::{ConnectionOps, Identity, Wait},
    kubernetes::{KubeError, Precondition},
    links::{Absence, Known},
    mark::hex,
    pass::Outcome,
    queue::{Cause, Lane},
    raw::Raw,
    reason::Reason,
    report::backoff,
    spec::{ConnectionCommon, annotations},
    status::{State, Status, conditions},
    stop::{Again, Halt, Judgement, Stop},
    sweep::sweep,
};
use crate::remote::{
    ApiError, Call, Link, LinkSettings, Path,
    gate::{Gate, Rate, Shut},
};

/// After this many intervals without an answer the state of objects counts as not known.
const SILENT_INTERVALS: u32 = 3;

/// One pass over a connection.
pub struct ConnectionPass<'e> {
    engine: &'e Arc<Engine>,
    ops: &'static dyn ConnectionOps,
    key: &'e Key,
    object: Arc<Raw>,
    status: Status,
    requests: u32,
}

impl<'e> ConnectionPass<'e> {
    /// A pass.
    #[must_use]
    pub fn new(engine: &'e Arc<Engine>, ops: &'static dyn ConnectionOps, key: &'e Key, object: Arc<Raw>) -> Self {
        let status = object.status();
        Self { engine, ops, key, object, status, requests: 0 }
    }

    /// Runs to the end, and writes the status.
    pub async fn run(mut self) -> Outcome {
        if self.object.is_deleting() {
            return self.run_deletion().await;
        }
        if self.object.is_paused() {
            let state = State::new(
                super::status::Tri::Unknown,
                Reason::Paused,
                "The connection is paused; remove the annotation portico.dev/paused to go on.",
            );
            self.condition(conditions::SYNCED, Some(&state));
            return self.finish("paused", None).await;
        }
        let before = self.engine.links.get(self.key);
        let result = self.connect().await;
        let (word, later) = self.judge(&result);
        let after = self.engine.links.get(self.key);
        let usable = |known: &Option<Known>| {
            known.as_ref().is_some_and(|k| k.trouble.is_none() && k.verified && k.link.gate().is_shut().is_none())
        };
        let changed = usable(&before) != usable(&after)
            || before.map(|k| k.fingerprint) != after.as_ref().map(|k| k.fingerprint.clone());
        let (engine, key) = (self.engine, self.key);
        let mut outcome = self.finish(word, later).await;
        if changed || matches!(&result, Ok(true)) {
            engine.wake_dependents(&Target::Resource(key.clone()));
        }
        if let Some(known) =
            after.filter(|known| result.is_ok() && known.swept.is_none_or(|at| at.elapsed() >= known.common.resync()))
        {
            outcome.requests += sweep(engine, key, &known).await;
        }
        outcome
    }

    /// Makes the link usable; true where its resources should be woken.
    async fn connect(&mut self) -> Result<bool, Stop> {
        let common: ConnectionCommon = self
            .object
            .spec()
            .map_err(|e| Stop::hopeless(Reason::InvalidSpec, format!("the stored spec does not fit: {e}")))?;
        if let Err(stop) = self.build(&common).await {
            // The last verified credential still serves deletions.
            if let Stop::Halt(halt) = &stop {
                let wait = Wait::new(halt.reason, halt.message.clone());
                self.engine.links.change(self.key, |known| known.trouble = Some(wait));
            }
            return Err(stop);
        }
        let known = self.known()?;
        let mut opened = false;
        // An answer of the sweep is a probe too.
        let quiet = known.answered.is_none_or(|at| at.elapsed() >= common.resync());
        if !known.verified
            || known.link.gate().is_shut().is_some()
            || (quiet && self.engine.recorded(self.key).is_empty())
        {
            self.probe(&known).await?;
            opened = known.link.gate().open() || known.out_of_touch;
            self.engine.links.change(self.key, |known| known.out_of_touch = false);
        }
        if !self.object.is_held() {
            let held = self.engine.kube.hold(self.ops.info(), &self.object).await;
            self.take(held)?;
        }
        if !known.verified || known.trouble.is_some() {
            self.check_account(&known).await?;
            self.engine.links.change(self.key, |known| {
                known.verified = true;
                known.trouble = None;
            });
            opened = true;
        }
        Ok(self.confirm_absence() || opened)
    }

    /// Builds a new link where the spec, the Secret or the CA bundle changed.
    async fn build(&mut self, common: &ConnectionCommon) -> Result<(), Stop> {
        let base = self.ops.base(&self.object)?;
        self.engine.settings.allow.check(&base).map_err(|e| Stop::hopeless(Reason::InvalidSpec, e.to_string()))?;
        let mut edges = std::collections::BTreeSet::new();
        let ca = self.ca_bundle(common, &mut edges).await;
        let credential = self.credential(&mut edges).await;
        self.engine.edges.set(self.key, edges);
        let (ca, credential) = (ca?, credential?);
        let fingerprint = fingerprint(self.object.generation(), &credential, ca.as_deref());
        let old = self.engine.links.get(self.key);
        if old.as_ref().is_some_and(|known| known.fingerprint == fingerprint) {
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
        let fresh = Known {
            link: Arc::new(link),
            common: common.clone(),
            fingerprint,
            trouble: Some(Wait::new(Reason::ConnectionNotReady, "it has not been tried yet")),
            verified: false,
            deleting: false,
            answered: None,
            swept: old.as_ref().and_then(|k| k.swept),
            out_of_touch: old.as_ref().is_some_and(|k| k.out_of_touch),
            missing: old.as_ref().map(|k| k.missing.clone()).unwrap_or_default(),
            confirmed: old.map(|k| k.confirmed).unwrap_or_default(),
        };
        self.engine.links.put(self.key, fresh);
        Ok(())
    }

    async fn ca_bundle(
        &self,
        common: &ConnectionCommon,
        edges: &mut std::collections::BTreeSet<Target>,
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

    async fn credential(&self, edges: &mut std::collections::BTreeSet<Target>) -> Result<SecretString, Stop> {
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

    async fn probe(&mut self, known: &Known) -> Result<(), Stop> {
        let path = self.ops.probe(&self.object)?;
        let gate = known.link.gate();
        self.requests += 1;
        let query = Some(known.link.api().page_query(1));
        let answer = known.link.probe(Call::new(Method::GET, &path).query(query)).await;
        let answer = answer.and_then(|body| {
            let page = body.and_then(|body| known.link.api().page(body, 1));
            page.ok_or_else(|| ApiError::Unavailable(format!("{path} did not answer with a page of a listing")))
        });
        match answer {
            Ok(_) => {
                self.engine.links.change(self.key, |known| known.answered = Some(Instant::now()));
                Ok(())
            }
            Err(ApiError::Unauthorized(why)) => {
                gate.shut(Shut::CredentialRejected, &why);
                let message = format!("the API refused the credential: {why}; put a valid one into the Secret");
                Err(halt(Reason::CredentialRejected, message))
            }
            Err(ApiError::Unavailable(why)) => {
                gate.shut(Shut::Unavailable, &why);
                Err(halt(Reason::RemoteUnavailable, why))
            }
            Err(error) => Err(Stop::from_api(error, gate.is_shut().map(|(shut, _)| shut))),
        }
    }

    /// A new credential may belong to another account: then not one recorded object answers.
    async fn check_account(&mut self, known: &Known) -> Result<(), Stop> {
        let recorded: Vec<Path> =
            self.engine.recorded(self.key).into_iter().map(|(_, p)| p).filter(|p| p.parent().is_none()).collect();
        for path in &recorded {
            self.requests += 1;
            match known.link.send(Call::new(Method::GET, path)).await {
                Ok(_) => return Ok(()),
                Err(ApiError::Absent) => {}
                Err(error) => return Err(Stop::from_api(error, known.link.gate().is_shut().map(|(shut, _)| shut))),
            }
        }
        let all: Vec<&Path> = recorded.iter().collect();
        let token = absence::token(&all);
        if recorded.is_empty() || self.object.annotation(annotations::CONFIRM_ABSENCE) == Some(&token) {
            return Ok(());
        }
        self.status.extra.insert(
            "absence".to_owned(),
            json!({ "token": token, "missing": recorded.len(), "recorded": recorded.len() }),
        );
        let message = format!(
            "not one of the {} recorded objects is in the account of this credential; put the right one into the Secret, or, if the objects were meant to go, annotate this connection with {}={token}",
            recorded.len(),
            annotations::CONFIRM_ABSENCE
        );
        let stop = halt(Reason::AccountChanged, message.clone());
        self.engine.links.change(self.key, |known| known.trouble = Some(Wait::new(Reason::AccountChanged, message)));
        Err(stop)
    }

    /// Shows what vanished at once, and takes a person's word that it was meant to; true where resources should be woken.
    fn confirm_absence(&mut self) -> bool {
        let recorded: Vec<Path> = self.engine.recorded(self.key).into_iter().map(|(_, p)| p).collect();
        let Some(known) = self.engine.links.get(self.key) else { return false };
        let Some(Absence { token, missing, recorded }) = known.absence(&recorded) else {
            self.status.extra.remove("absence");
            return false;
        };
        if self.object.annotation(annotations::CONFIRM_ABSENCE) == Some(&token) {
            self.engine.links.change(self.key, |known| known.confirmed.extend(known.missing.iter().cloned()));
            self.status.extra.remove("absence");
            return true;
        }
        self.status
            .extra
            .insert("absence".to_owned(), json!({ "token": token, "missing": missing, "recorded": recorded }));
        false
    }

    fn judge(&mut self, result: &Result<bool, Stop>) -> (&'static str, Option<(Instant, Lane)>) {
        let now = Instant::now();
        match result {
            Ok(_) => {
                self.engine.remember(self.object.uid(), |m| m.failures = 0);
                self.condition(
                    conditions::READY,
                    Some(&State::new(true, Reason::Available, "The API answers and takes the credential.")),
                );
                let synced = match self.status.extra.get("absence") {
                    None => State::new(true, Reason::Available, "The connection is in use as the spec says."),
                    Some(absence) => State::new(
                        false,
                        Reason::MassAbsence,
                        format!(
                            "{} of {} objects vanished at once, so nothing is made again; if they were meant to go, annotate this connection with {}={}",
                            absence["missing"],
                            absence["recorded"],
                            annotations::CONFIRM_ABSENCE,
                            absence["token"].as_str().unwrap_or_default()
                        ),
                    ),
                };
                self.condition(conditions::SYNCED, Some(&synced));
                self.condition(conditions::RECONCILING, None);
                self.condition(conditions::STALLED, None);
                let resync = self.engine.links.get(self.key).map_or(super::spec::RESYNC, |k| k.common.resync());
                ("ready", Some((now + self.engine.jitter(resync), Lane::Sweep)))
            }
            Err(Stop::Halt(halt)) => {
                self.note_silence();
                let unready = State::new(false, halt.reason, halt.message.clone());
                self.condition(conditions::READY, Some(&unready));
                self.condition(conditions::SYNCED, Some(&unready));
                let stalled = halt.judgement == Judgement::Hopeless;
                let doing = State { holds: true.into(), ..unready };
                self.condition(conditions::STALLED, stalled.then_some(&doing));
                self.condition(conditions::RECONCILING, (!stalled).then_some(&doing));
                let later = match halt.again {
                    Again::OnWake => None,
                    Again::At(at) => Some(at),
                    Again::Backoff(earliest) => {
                        let failures = self.engine.remember(self.object.uid(), |m| {
                            m.failures += 1;
                            m.failures
                        });
                        let due = now + self.engine.jitter(backoff(&self.engine.settings, failures, halt.judgement));
                        Some(earliest.map_or(due, |e| e.max(due)))
                    }
                };
                ("not ready", later.map(|at| (at, Lane::Retry)))
            }
            Err(Stop::Paused) => ("paused", None),
            Err(Stop::Kube(error)) => {
                tracing::debug!(connection = %self.key, %error, "the API server failed");
                ("kubernetes", Some((now + self.engine.jitter(std::time::Duration::from_millis(500)), Lane::Retry)))
            }
        }
    }

    /// After three intervals without an answer the objects' own status says that their state is not known.
    fn note_silence(&self) {
        let mut news = false;
        self.engine.links.change(self.key, |known| {
            let long = known.answered.is_some_and(|at| at.elapsed() >= known.common.resync() * SILENT_INTERVALS);
            news = long && !known.out_of_touch;
            known.out_of_touch |= long;
        });
        if news {
            for (key, _) in self.engine.recorded(self.key) {
                self.engine.queue.push(&key, Lane::Retry, Cause::Look);
            }
        }
    }

    /// A connection stays while anything with a recorded id uses it.
    async fn run_deletion(mut self) -> Outcome {
        if !self.object.is_held() {
            self.engine.links.forget(self.key);
            return Outcome { word: "deleting", requests: 0, later: None };
        }
        if self.engine.links.get(self.key).is_none() {
            // After a restart: the credential is needed for the deletions that this one waits for.
            if let Ok(common) = self.object.spec::<ConnectionCommon>() {
                let _ = self.build(&common).await;
            }
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
                    later: Some((Instant::now() + std::time::Duration::from_millis(100), Lane::Retry)),
                },
            };
        }
        if let Some(known) = self.engine.links.get(self.key)
            && known.link.gate().is_shut().is_some()
            && self.probe(&known).await.is_ok()
        {
            known.link.gate().open();
            self.engine.wake_dependents(&Target::Resource(self.key.clone()));
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
            // Held and nothing recorded: a crash may have come between a create and its record.
            let (result, _) = self.engine.compute(ops, key, object, &Secrets::new());
            ops.identity() == Identity::Mark && result.is_ok_and(|resolved| resolved.connection == *self.key)
        };
        let all = self.engine.cache.all().into_iter();
        all.filter(|(key, object)| object.is_held() && uses(key, object)).map(|(key, _)| key.to_string()).collect()
    }

    async fn finish(mut self, word: &'static str, later: Option<(Instant, Lane)>) -> Outcome {
        if !self.object.is_paused() {
            self.status.observed_generation = Some(self.object.generation());
            self.status.last_handled_reconcile_at =
                self.object.annotation(annotations::RECONCILE_AT).map(str::to_owned);
        }
        let before = self.object.status();
        let value: Value = super::report::value(&self.status);
        let written = self.engine.kube.patch_status(self.ops.info(), &self.object, &value, Precondition::Uid).await;
        let written = match written {
            Ok(Some(object)) => self.take(Ok(object)),
            Ok(None) => Ok(()),
            Err(error) => self.take(Err(error)),
        };
        let later = match written {
            Ok(()) => later,
            Err(Stop::Kube(KubeError::Gone)) => None,
            Err(_) => Some((Instant::now() + self.engine.jitter(std::time::Duration::from_millis(500)), Lane::Retry)),
        };
        self.announce(&before);
        Outcome { word, requests: self.requests, later }
    }

    fn announce(&self, before: &Status) {
        let Some(now) = self.status.condition(conditions::READY).filter(|_| !self.object.is_deleting()) else { return };
        if before.condition(conditions::READY).is_some_and(|old| old.status == now.status && old.reason == now.reason) {
            return;
        }
        if let Some(reason) = Reason::ALL.into_iter().find(|r| r.as_str() == now.reason) {
            self.engine.events.publish(self.ops.info(), &self.object, now.status != "True", reason, &now.message);
        }
    }

    fn take(&mut self, answer: Result<Raw, KubeError>) -> Result<(), Stop> {
        let object = answer?;
        self.engine.cache.wrote(self.key, object.clone());
        self.object = Arc::new(object);
        Ok(())
    }

    fn known(&self) -> Result<Known, Stop> {
        self.engine
            .links
            .get(self.key)
            .ok_or_else(|| Stop::wait(Reason::ConnectionNotReady, "the connection is being built"))
    }

    fn condition(&mut self, type_: &str, state: Option<&State>) {
        let generation = self.object.generation();
        self.status.set(type_, state, generation, self.engine.clock.now());
    }
}

fn halt(reason: Reason, message: String) -> Stop {
    Stop::Halt(Halt { reason, message, judgement: Judgement::OutOfTouch, again: Again::Backoff(None) })
}

/// Changes with the credential, without holding it.
fn fingerprint(generation: i64, credential: &SecretString, ca: Option<&[u8]>) -> String {
    let mut hash = Sha256::new();
    hash.update(generation.to_be_bytes());
    hash.update(credential.expose_secret().as_bytes());
    hash.update([0]);
    hash.update(ca.unwrap_or_default());
    hex(&hash.finalize())
}
