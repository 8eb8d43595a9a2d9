//! Output Secrets: where programs find an object's credentials.
//!
//! Portico chooses the secret, writes it into the Secret, and only then sends it, so that every crash leaves a key that works. The Secret
//! has no ownerReference: it goes after the object is gone, and stays where the object stays.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    core::Engine,
    desired::Output,
    key::Key,
    kubernetes::KubeError,
    own::{DIGEST_KEY, secret_text},
    pass::Pass,
    raw::Raw,
    reason::Reason,
    resolve::Resolved,
    secrets::Stored,
    spec::annotations::{DIGEST, KEYS, OUTPUT, OWNER, OWNER_UID, ROTATE, ROTATED},
    status::Status,
    stop::Stop,
};

/// The random bytes of a secret that Portico chooses: 43 characters, as ACP's own.
const RANDOM_BYTES: usize = 32;

/// The Secret that a resource hands its credentials out in, as it is and as it should be.
#[derive(Clone)]
pub struct Handout {
    /// The name of the Secret.
    pub secret: String,
    /// What should stand in it.
    pub output: Output,
    stored: Option<Arc<Stored>>,
    /// Whether the secret in it is the one that Portico wrote.
    intact: bool,
    /// What stands where the spec said before: under another key, or in a Secret of another name.
    carried: Option<Carried>,
}

/// The secrets of a Secret that Portico wrote.
#[derive(Clone)]
struct Carried {
    current: String,
    /// The next one, while one is rotated.
    pending: Option<String>,
    rotated: Option<String>,
}

impl Handout {
    /// Nothing is known of the Secret yet.
    #[must_use]
    pub fn new(secret: String, output: Output) -> Self {
        Self { secret, output, stored: None, intact: false, carried: None }
    }

    fn text(&self, key: &str) -> Option<String> {
        text_at(self.stored.as_ref()?, key)
    }

    fn current(&self) -> Option<String> {
        self.text(&self.output.generated.key)
    }

    /// The next secret, while one is rotated.
    fn pending(&self) -> Option<String> {
        self.text(&pending_key(&self.output.generated.key))
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.stored.as_ref()?.annotations.get(name).map(String::as_str)
    }

    fn is_complete(&self) -> bool {
        let holds = |(key, value): (&String, &String)| self.text(key).as_ref() == Some(value);
        self.intact && self.pending().is_none() && self.output.values.iter().all(holds)
    }
}

fn pending_key(key: &str) -> String {
    format!("pending_{key}")
}

fn text_at(stored: &Stored, key: &str) -> Option<String> {
    String::from_utf8(stored.data.get(key)?.clone()).ok().filter(|text| !text.is_empty())
}

impl Engine {
    /// Reads the output Secret. What stands in it is what the object should have.
    ///
    /// # Errors
    /// [`Stop`] with [`Reason::Conflict`] where the Secret is somebody else's.
    pub async fn look_at_output(&self, key: &Key, object: &Raw, resolved: &mut Resolved) -> Result<(), Stop> {
        let Some(handout) = &mut resolved.handout else { return Ok(()) };
        let name = handout.secret.clone();
        let stored = self.kube.read_secret(&key.namespace, &name).await.map_err(|e| denied(&name, e))?;
        self.claim_output(key, object, &name, stored.as_ref())?;
        let before = match object.status().output.filter(|old| stored.is_none() && *old != name) {
            Some(old) => {
                let before = self.kube.read_secret(&key.namespace, &old).await.map_err(|e| denied(&old, e))?;
                before.filter(|before| self.owns_secret(key, object.uid(), &old, before))
            }
            None => None,
        };
        if let Some(held) = stored.as_ref().or(before.as_ref()) {
            handout.carried = self.carried(held, &handout.output.generated.key, before.is_some()).await?;
        }
        handout.stored = stored.map(Arc::new);
        if let Some(current) = handout.current() {
            let digest = self.digest(&SecretString::from(current)).await.map_err(|e| denied(DIGEST_KEY, e))?;
            handout.intact = handout.annotation(DIGEST) == Some(&digest);
        }
        // Under another key or name until now: what it held is carried over, also in the middle of a rotation.
        let carried = handout.carried.clone().map(|carried| carried.pending.unwrap_or(carried.current));
        let wanted = handout.pending().or_else(|| handout.current().filter(|_| handout.intact));
        if let Some(wanted) = wanted.or(carried) {
            resolved.desired.body.insert(handout.output.generated.field.to_owned(), wanted.into());
        }
        Ok(())
    }

    /// What a Secret of a resource holds, known by its digest, if it stands under another key than the spec says, or `elsewhere`.
    async fn carried(&self, stored: &Stored, now: &str, elsewhere: bool) -> Result<Option<Carried>, Stop> {
        let annotation = |name: &str| stored.annotations.get(name);
        let (Some(digest), Some(keys)) = (annotation(DIGEST), annotation(KEYS)) else { return Ok(None) };
        for key in keys.split(',').filter(|key| elsewhere || *key != now) {
            let Some(current) = text_at(stored, key) else { continue };
            let found = self.digest(&SecretString::from(current.clone())).await;
            if found.map_err(|e| denied(DIGEST_KEY, e))? == *digest {
                let (pending, rotated) = (text_at(stored, &pending_key(key)), annotation(ROTATED).cloned());
                return Ok(Some(Carried { current, pending, rotated }));
            }
        }
        Ok(None)
    }

    /// Whether the Secret of this name is this resource's, or was one's of the same name before it. What was copied from such a one is not.
    pub(super) fn owns_secret(&self, key: &Key, uid: &str, name: &str, stored: &Stored) -> bool {
        let is_copy = stored.annotations.get(OUTPUT).is_some_and(|written| written != name);
        stored.annotations.get(OWNER_UID).filter(|_| !is_copy).is_some_and(|owner| {
            let is_heir = || stored.annotations.get(OWNER) == Some(&self.owner_of(key));
            owner == uid || (is_heir() && self.cache.by_uid(key.kind, owner).is_none())
        })
    }

    fn owner_of(&self, key: &Key) -> String {
        format!("{}/{}/{}", self.owner, key.kind, key.name)
    }
}

impl Pass<'_> {
    /// Before a create: the secret is chosen, and stands in the output Secret before anybody else knows of it.
    ///
    /// # Errors
    /// [`Stop`] where the Secret cannot be written.
    pub async fn choose_secret(&mut self, resolved: &mut Resolved) -> Result<(), Stop> {
        let Some(handout) = &resolved.handout else { return Ok(()) };
        let field = handout.output.generated.field;
        // One that was chosen before may stand in a Secret of another name.
        let chosen = resolved.desired.body.get(field).and_then(Value::as_str).map(SecretString::from);
        if chosen.is_some() && handout.stored.is_some() {
            return Ok(());
        }
        self.hold().await?;
        // One that was chosen before answers no later wish.
        let rotated = self.wish.clone().filter(|_| chosen.is_none());
        let secret = chosen.unwrap_or_else(|| secret_text(self.engine.entropy.as_ref(), RANDOM_BYTES));
        self.write_output(resolved, Some(secret.expose_secret()), None, rotated).await?;
        resolved.desired.body.insert(field.to_owned(), secret.expose_secret().into());
        Ok(())
    }

    /// Begins a rotation that the user asked for: the next secret is written beside the present one. True while one is under way.
    ///
    /// # Errors
    /// [`Stop`] where the Secret cannot be written.
    pub async fn rotate(&mut self, resolved: &mut Resolved, object: Option<&Value>) -> Result<bool, Stop> {
        let (Some(handout), Some(object)) = (&resolved.handout, object) else { return Ok(false) };
        if handout.pending().is_some() {
            return Ok(true);
        }
        if let Some(Carried { current, pending: Some(pending), rotated }) = handout.carried.clone() {
            self.hold().await?;
            self.write_output(resolved, Some(&current), Some(&pending), rotated).await?;
            return Ok(true);
        }
        let Some(wish) = self.wish.clone() else { return Ok(false) };
        if self.status.last_handled_rotate.as_deref() == Some(&wish) || handout.annotation(ROTATED) == Some(&wish) {
            return Ok(false);
        }
        // An update of before may come late, with the secret of then: where that is not kept any more, nobody could use the object.
        if self.late_update().is_some() {
            return Ok(false);
        }
        let field = handout.output.generated.field;
        self.hold().await?;
        let present = present(resolved, object);
        let next = secret_text(self.engine.entropy.as_ref(), RANDOM_BYTES);
        self.write_output(resolved, present.as_deref(), Some(next.expose_secret()), Some(wish)).await?;
        resolved.desired.body.insert(field.to_owned(), next.expose_secret().into());
        // Nobody has sent this one yet.
        resolved.desired.acknowledged.remove(field);
        Ok(true)
    }

    /// Makes the output Secret as it should be, once the object is known to be.
    ///
    /// # Errors
    /// [`Stop`] with [`Reason::CredentialLost`] where nobody knows the secret any more, and where the Secret cannot be written.
    pub async fn hand_out(&mut self, resolved: &mut Resolved, object: &Value) -> Result<(), Stop> {
        if !resolved.writes {
            return Ok(());
        }
        let connection = resolved.connection_name();
        if let Some(handout) = &mut resolved.handout {
            // Which object it is may have turned out in this pass.
            let id = self.status.id.as_deref().unwrap_or_default();
            handout.output = self.engine.output(self.ops, self.key, &self.object, id, &connection)?;
            let name = handout.secret.clone();
            let Some(secret) = present(resolved, object) else {
                let message = format!(
                    "Secret {name} is gone and the API does not show the secret; annotate this resource with {ROTATE}=<anything new> to make another one"
                );
                return Err(Stop::refused(Reason::CredentialLost, message));
            };
            self.write_output(resolved, Some(&secret), None, None).await?;
            // A wish that came while another new secret was under way is not answered by that one.
            let rotated = resolved.handout.as_ref().and_then(|handout| handout.annotation(ROTATED));
            if self.wish.is_none() || self.wish.as_deref() == rotated {
                self.status.last_handled_rotate.clone_from(&self.wish);
            }
        }
        if resolved.handout.is_none()
            && let Some(old) = self.status.output.clone()
        {
            self.remove_secrets([old].into(), None).await?;
            self.status.output = None;
        }
        Ok(())
    }

    /// Whether nothing is left to be done about the output Secret.
    #[must_use]
    pub fn is_handed_out(&self, resolved: &Resolved) -> bool {
        is_handed_out(resolved, &self.status, self.wish.as_deref())
    }

    /// The object is gone: its credentials go, too, also those in a Secret that no status names.
    ///
    /// # Errors
    /// [`Stop::Kube`].
    pub async fn withdraw(&mut self) -> Result<(), Stop> {
        let of_the_spec = self.ops.output_secret(&self.object);
        let names = self.status.output.clone().into_iter().chain(of_the_spec).collect();
        self.remove_secrets(names, None).await
    }

    /// Removes the Secrets that this resource has handed out its credentials in, by these names and by any other: a create without an
    /// answer, or of a process that ended then, may have made one under a name that nothing has recorded, and that the spec says no more.
    async fn remove_secrets(&self, mut names: BTreeSet<String>, kept: Option<&str>) -> Result<(), Stop> {
        names.extend(self.engine.handed_out.of(&self.key.namespace, self.object.uid()));
        for name in names.iter().filter(|name| kept != Some(name.as_str())) {
            self.remove_secret(name).await?;
        }
        Ok(())
    }

    async fn remove_secret(&self, name: &str) -> Result<(), Stop> {
        let kube = &self.engine.kube;
        let removed = match kube.read_secret(&self.key.namespace, name).await {
            Ok(Some(stored)) if self.engine.owns_secret(self.key, self.object.uid(), name, &stored) => {
                kube.delete_secret(&self.key.namespace, name, &stored.uid, &stored.resource_version).await
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match removed {
            // Neither a deletion nor a rename waits for a right that somebody took away.
            Err(KubeError::Forbidden(why)) => {
                tracing::warn!(resource = %self.key, secret = name, why, "the Secret stays: delete it by hand");
                Ok(())
            }
            removed => Ok(removed?),
        }
    }

    /// Writes the output Secret, if it is not so already.
    async fn write_output(
        &mut self,
        resolved: &mut Resolved,
        secret: Option<&str>,
        pending: Option<&str>,
        rotated: Option<String>,
    ) -> Result<(), Stop> {
        let Some(handout) = &mut resolved.handout else { return Ok(()) };
        let (name, Output { values, generated }) = (&handout.secret, &handout.output);
        let mut texts: BTreeMap<&str, &str> =
            values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let pending_key = pending_key(&generated.key);
        texts.extend(secret.map(|secret| (generated.key.as_str(), secret)));
        texts.extend(pending.map(|pending| (pending_key.as_str(), pending)));
        let mut annotations = BTreeMap::from([
            (OWNER_UID.to_owned(), self.object.uid().to_owned()),
            (OWNER.to_owned(), self.engine.owner_of(self.key)),
            (OUTPUT.to_owned(), name.clone()),
            (KEYS.to_owned(), texts.keys().copied().collect::<Vec<_>>().join(",")),
        ]);
        if let Some(secret) = secret {
            let digest =
                self.engine.digest(&SecretString::from(secret.to_owned())).await.map_err(|e| denied(DIGEST_KEY, e))?;
            annotations.insert(DIGEST.to_owned(), digest.clone());
            resolved.digests.insert(generated.field.to_owned(), digest);
        }
        let rotated = rotated.or(handout.carried.as_mut().and_then(|carried| carried.rotated.take()));
        annotations.extend(rotated.map(|rotated| (ROTATED.to_owned(), rotated)));
        let old = handout.stored.as_deref();
        let mut wanted = old.cloned().unwrap_or_default();
        // Keys that were ours and are not any more; others' keys stay.
        let ours = wanted.annotations.get(KEYS).cloned().unwrap_or_default();
        wanted.data.retain(|key, _| !ours.split(',').any(|our| our == key));
        wanted.data.extend(texts.into_iter().map(|(key, text)| (key.to_owned(), text.as_bytes().to_vec())));
        wanted.annotations.extend(annotations);
        let (kube, namespace) = (&self.engine.kube, &self.key.namespace);
        let written = match old {
            Some(old) if old.data == wanted.data && old.annotations == wanted.annotations => None,
            Some(_) => {
                let write = kube.replace_secret(namespace, name, &wanted);
                Some(self.engine.write_secret(self.key, name, write).await)
            }
            None => {
                // Another one may have come first since the pass began, and have lost it again.
                self.engine.claim_output(self.key, &self.object, name, None)?;
                let write = self.engine.make_secret(self.object.uid(), namespace, name, &wanted);
                Some(self.engine.write_secret(self.key, name, write).await)
            }
        };
        if let Some(written) = written {
            handout.stored = Some(Arc::new(written.map_err(|e| denied(name, e))?));
        }
        handout.intact = secret.is_some();
        let name = name.clone();
        self.engine.remember(self.object.uid(), |memory| memory.output = Some(name.clone()));
        // This one holds all that the one of before did; that one is not forgotten until it is gone.
        if let Some(old) = self.status.output.clone().filter(|old| *old != name) {
            self.remove_secrets([old].into(), Some(&name)).await?;
        }
        self.status.output = Some(name);
        Ok(())
    }
}

/// Whether nothing is left to be done about the output Secret. `wish`: the new secret that the user asks for.
#[must_use]
pub fn is_handed_out(resolved: &Resolved, status: &Status, wish: Option<&str>) -> bool {
    let Some(handout) = &resolved.handout else { return !resolved.writes || status.output.is_none() };
    handout.is_complete()
        && status.output.as_ref() == Some(&handout.secret)
        && wish == status.last_handled_rotate.as_deref()
}

/// An object that has just been taken over keeps its secret, whatever an earlier try left in the Secret: programs run on it.
pub fn leave_secret(resolved: &mut Resolved, object: Option<&Value>) {
    let Some(handout) = &mut resolved.handout else { return };
    let field = handout.output.generated.field;
    let theirs = object.and_then(|object| object[field].as_str()).unwrap_or_default();
    if !theirs.is_empty() && resolved.desired.body.get(field).is_some_and(|ours| ours != theirs) {
        (handout.intact, handout.carried) = (false, None);
        resolved.desired.body.remove(field);
        resolved.digests.remove(field);
    }
}

/// The object's secret, as far as anybody knows: as it should be, as the API shows it, or as it stands in the Secret.
fn present(resolved: &Resolved, object: &Value) -> Option<String> {
    let handout = resolved.handout.as_ref()?;
    let field = handout.output.generated.field;
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let wanted = resolved.desired.body.get(field).and_then(text);
    wanted.or_else(|| text(&object[field])).or_else(|| handout.current())
}

/// A Secret that cannot be read or written.
pub(super) fn denied(name: &str, error: KubeError) -> Stop {
    match error {
        // Nothing can be made in a namespace that is going; its resources go, too.
        KubeError::Forbidden(why) if why.contains("being terminated") => {
            Stop::wait(Reason::Deleting, "the namespace is being deleted")
        }
        KubeError::Forbidden(why) | KubeError::Invalid(why) => {
            Stop::refused(Reason::SecretAccessDenied, format!("Secret {name} cannot be read or written: {why}"))
        }
        error => Stop::Kube(error),
    }
}
