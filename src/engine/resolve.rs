//! The first step of a pass: what the spec and everything it refers to amount to. The only I/O is fetching Secrets.
use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;
use serde_json::Value;

use super::{
    context::{Cx, Found, Secrets, is_torn},
    core::Engine,
    desired::{Desired, Endpoint, Output, Shape},
    diff::secrets,
    key::{Key, Target},
    kind::{Identity, Ops, Wait},
    kubernetes::KubeError,
    labels::with_labels,
    links::Known,
    mark,
    output::{Handout, denied},
    own::DIGEST_KEY,
    part::Part,
    raw::Raw,
    reason::Reason,
    spec::{Common, Mode},
    status::Status,
    stop::Stop,
};
use crate::remote::{Link, Path, PathError, Place, Segment};

/// Everything a pass needs to know about where an object lives and how it should be.
#[derive(Clone)]
pub struct Resolved {
    /// The part of the spec that all kinds have.
    pub common: Common,
    /// The connection.
    pub connection: Key,
    /// Its state.
    pub known: Known,
    /// Where the object lives, and how it comes to be.
    pub shape: Shape,
    /// The collection; the object itself where its parent has only one.
    pub collection: Path,
    /// The list that shows the object; the object itself where its parent has only one.
    pub listing: Path,
    /// What the object belongs to, where its parent has only one.
    pub parent: Option<Path>,
    /// How the object is known again.
    pub identity: Identity,
    /// The id of the object, where it is known beforehand: the client chooses it, or it is the parent's.
    pub id: Option<String>,
    /// What should be there, with the mark and with labels to be removed.
    pub desired: Desired,
    /// The label keys that the spec names.
    pub label_keys: Vec<String>,
    /// What people tell the object apart by: its name, or its id.
    pub natural_key: String,
    /// Whether Portico may write to the API for this resource.
    pub writes: bool,
    /// Whether existing objects may be taken over through this connection.
    pub may_adopt: bool,
    /// Whether what its parent always has may be taken with the parent.
    pub comes_with_parent: bool,
    /// The Secret that receives the object's credentials.
    pub handout: Option<Handout>,
    /// Digests of the secrets that should be there, by path.
    pub digests: BTreeMap<String, String>,
}

/// What a kind says of its object.
struct Typed {
    endpoint: Endpoint,
    /// As in [`Resolved`].
    id: Option<String>,
    desired: Desired,
    handout: Option<Handout>,
}

impl Resolved {
    /// The link.
    #[must_use]
    pub fn link(&self) -> &Arc<Link> {
        &self.known.link
    }

    /// The place of an object with this id.
    ///
    /// # Errors
    /// [`PathError`] for a text that is no id.
    pub fn place(&self, id: &str) -> Result<Place, PathError> {
        match &self.parent {
            Some(parent) => Ok(Place::alone(self.collection.clone(), parent.clone())),
            None => Ok(Place::listed(self.collection.child(&Segment::new(id)?), self.listing.clone())),
        }
    }

    /// The id of an object that an answer shows.
    #[must_use]
    pub fn id_of(&self, ops: &dyn Ops, object: &Value) -> String {
        match (&self.parent, &self.id) {
            (Some(_), Some(id)) => id.clone(),
            _ => ops.id(object).unwrap_or_default().to_owned(),
        }
    }

    /// The connection as the status records it.
    #[must_use]
    pub fn connection_name(&self) -> String {
        format!("{}/{}", self.connection.namespace, self.connection.name)
    }
}

impl Engine {
    /// Resolves, records the edges, and fetches Secrets as they are asked for.
    ///
    /// # Errors
    /// [`Stop`] for a reference, a Secret or a connection that is not there, and for a spec that does not decode.
    pub async fn resolve(&self, ops: &'static dyn Ops, key: &Key, object: &Raw) -> Result<Resolved, Stop> {
        self.resolve_for(ops, key, object, true).await
    }

    /// The same for a sweep, which comes by and is not what the resource depends on.
    ///
    /// # Errors
    /// As [`Engine::resolve`].
    pub async fn resolve_in_passing(&self, ops: &'static dyn Ops, key: &Key, object: &Raw) -> Result<Resolved, Stop> {
        self.resolve_for(ops, key, object, false).await
    }

    async fn resolve_for(
        &self,
        ops: &'static dyn Ops,
        key: &Key,
        object: &Raw,
        with_edges: bool,
    ) -> Result<Resolved, Stop> {
        let mut secrets = Secrets::new();
        loop {
            let (result, found) = self.compute(ops, key, object, &secrets);
            if with_edges && self.edges.set(key, found.edges) {
                // What changed before the edges were there woke nobody: look again, now that a change would.
                continue;
            }
            // A deletion needs no Secret of the spec, and one that may not be read is not in its way.
            if let Some(wanted) = found.wanted.filter(|_| !object.is_deleting()) {
                let value = self.fetch(&wanted.0, &wanted.1, &wanted.2).await?;
                secrets.insert(wanted, value);
                continue;
            }
            if is_torn(&secrets) {
                // A Secret changed between the reads of two of its keys, which belong together.
                secrets.clear();
                continue;
            }
            let mut resolved = result?;
            if !object.is_deleting() {
                self.look_at_output(key, object, &mut resolved).await?;
                self.acknowledge(&mut resolved, &object.status()).await?;
            }
            return Ok(resolved);
        }
    }

    /// Finds the secrets that the API was sent already, for those that it does not show.
    async fn acknowledge(&self, resolved: &mut Resolved, status: &Status) -> Result<(), Stop> {
        for (path, secret) in secrets(&resolved.desired) {
            let digest = self.digest(&secret).await.map_err(|e| denied(DIGEST_KEY, e))?;
            // Who only looks can say nothing of what is not shown.
            let looks = resolved.common.lifecycle.mode == Mode::Observe;
            if looks || status.digests.get(&path) == Some(&digest) {
                resolved.desired.acknowledged.insert(path.clone());
            }
            resolved.digests.insert(path, digest);
        }
        Ok(())
    }

    /// A value of a Secret, and the version of the Secret.
    ///
    /// # Errors
    /// [`Stop`] where Portico may not read it, or the API server fails.
    pub async fn fetch(&self, namespace: &str, name: &str, key: &str) -> Result<Option<(SecretString, String)>, Stop> {
        match self.kube.secret(namespace, name, key).await {
            Err(KubeError::Forbidden(why)) => Err(Stop::refused(
                Reason::SecretAccessDenied,
                format!("Secret {namespace}/{name} cannot be read: {why}"),
            )),
            other => Ok(other?),
        }
    }

    /// Where a resource's object is or will be, whatever the rest of its spec waits for: nothing is desired there.
    #[must_use]
    pub fn locate(&self, ops: &'static dyn Ops, key: &Key, object: &Raw) -> Option<Resolved> {
        self.compute_as(ops, key, object, &Secrets::new(), true).0.ok()
    }

    /// Resolves without I/O: with the Secrets given.
    pub fn compute(
        &self,
        ops: &'static dyn Ops,
        key: &Key,
        object: &Raw,
        secrets: &Secrets,
    ) -> (Result<Resolved, Wait>, Found) {
        // What is being deleted needs nothing but its place.
        self.compute_as(ops, key, object, secrets, object.is_deleting())
    }

    fn compute_as(
        &self,
        ops: &'static dyn Ops,
        key: &Key,
        object: &Raw,
        secrets: &Secrets,
        place_alone: bool,
    ) -> (Result<Resolved, Wait>, Found) {
        let common = object.spec::<Common>().unwrap_or_default();
        let mut cx = Cx::new(&key.namespace, &self.owner, &self.cache, secrets).ending(object.is_deleting());
        if let Some(named) = connection_key(ops, key, &common, None) {
            cx = cx.through(&format!("{}/{}", named.namespace, named.name));
        }
        let typed = ops.endpoint(object, &cx).and_then(|endpoint| {
            let id = match (&endpoint, ops.chosen_id(object)) {
                (Endpoint::Keyed { .. }, chosen) => Some(chosen.unwrap_or_else(|| mark::derived_id(&self.owner, key))),
                (Endpoint::Upsert { .. }, chosen) => chosen,
                _ => endpoint.parent().and_then(Path::last),
            };
            let desired = match ops.desired(object, &cx) {
                Err(_) if place_alone => Desired::new(),
                desired => desired?,
            };
            let status = object.status();
            let known = status.known(&self.owner, object.uid()).and(status.id.as_deref());
            let handout = match ops.output_secret(object).filter(|_| !place_alone) {
                Some(secret) => {
                    let output = ops.output(object, known.or(id.as_deref()).unwrap_or_default(), &cx)?;
                    Some(Handout::new(secret, output))
                }
                None => None,
            };
            Ok(Typed { endpoint, id, desired, handout })
        });
        let mut found = cx.into_found();
        let connection = connection_key(ops, key, &common, found.inherited.as_deref());
        if let Some(connection) = &connection {
            found.edges.insert(Target::Resource(connection.clone()));
        }
        if let Some(secret) = ops.output_secret(object) {
            found.edges.insert(Target::Secret(key.namespace.to_string(), secret));
        }
        let result = typed.and_then(|typed| {
            let connection = connection.ok_or_else(|| Wait::invalid("there is no connection: give connectionRef"))?;
            let mut resolved = self.assemble(ops, key, object, common, connection, typed)?;
            resolved.comes_with_parent = found.comes_with_parent && resolved.common.connection_ref.is_none();
            let account = resolved.link().account();
            match found.accounts.iter().find(|(_, other)| *other != account && !object.is_deleting()) {
                None => Ok(resolved),
                Some((name, other)) => {
                    Err(Wait::invalid(format_args!("{name} is at {other}, and this resource is at {account}")))
                }
            }
        });
        (result, found)
    }

    /// What the object with this id hands out.
    ///
    /// # Errors
    /// [`Stop`], as [`Engine::resolve`].
    pub fn output(
        &self,
        ops: &'static dyn Ops,
        key: &Key,
        object: &Raw,
        id: &str,
        connection: &str,
    ) -> Result<Output, Stop> {
        let secrets = Secrets::new();
        let cx = Cx::new(&key.namespace, &self.owner, &self.cache, &secrets).through(connection);
        Ok(ops.output(object, id, &cx)?)
    }

    /// The lists that belong to an object at this path.
    ///
    /// # Errors
    /// [`Stop`], as [`Engine::resolve`].
    pub fn parts(
        &self,
        ops: &'static dyn Ops,
        key: &Key,
        object: &Raw,
        path: &Path,
        connection: &str,
    ) -> Result<Vec<Part>, Stop> {
        let secrets = Secrets::new();
        let cx = Cx::new(&key.namespace, &self.owner, &self.cache, &secrets).through(connection);
        Ok(ops.parts(object, path, &cx)?)
    }

    fn assemble(
        &self,
        ops: &'static dyn Ops,
        key: &Key,
        object: &Raw,
        mut common: Common,
        connection: Key,
        typed: Typed,
    ) -> Result<Resolved, Wait> {
        let known = self.connection(key, &connection, object.is_deleting())?;
        let Typed { endpoint, id, mut desired, handout } = typed;
        let shape = endpoint.shape();
        let (collection, listing, parent) = endpoint.into_paths();
        let writes = common.lifecycle.mode == Mode::Manage && self.may_write(&connection);
        let may_adopt = connection.namespace == key.namespace || self.may_adopt(&connection);
        common.lifecycle.id = known.link.api().plain_id(&common.lifecycle.id);
        desired.absent_is_zero = known.link.api().absent_is_zero();
        let status = object.status();
        let (desired, label_keys) = with_labels(ops, key, object, &self.owner, &status, common.lifecycle.mode, desired);
        Ok(Resolved {
            identity: ops.identity_of(object),
            handout: handout.filter(|_| writes),
            digests: BTreeMap::new(),
            common,
            connection,
            known,
            shape,
            collection,
            listing,
            parent,
            natural_key: id.clone().or_else(|| ops.natural_key(object)).unwrap_or_default(),
            id,
            desired,
            label_keys,
            writes,
            may_adopt,
            comes_with_parent: false,
        })
    }

    /// A connection that a resource may use.
    ///
    /// # Errors
    /// [`Wait`] where it is not there, not permitted or not ready.
    fn connection(&self, key: &Key, connection: &Key, for_deletion: bool) -> Result<Known, Wait> {
        let label = connection.to_string();
        let Some(object) = self.cache.get(connection) else {
            return Err(Wait::new(Reason::ReferenceNotFound, format!("{label} does not exist yet")));
        };
        let common = object.spec::<Common>().unwrap_or_default();
        // A deletion needs no grant (law 5): what was made while there was one is looked for all the same.
        if !for_deletion && !common.allowed_namespaces.permits(&connection.namespace, &key.namespace) {
            let message = format!(
                "{label} does not allow resources of the namespace {}: add it to its spec.allowedNamespaces",
                key.namespace
            );
            return Err(Wait::new(Reason::ReferenceNotPermitted, message));
        }
        let Some(known) = self.links.get(connection) else {
            return Err(Wait::new(
                Reason::ConnectionNotReady,
                format!("{label} is not ready yet: its status says why"),
            ));
        };
        known.usable(&label, for_deletion)?;
        Ok(known)
    }
}

/// The connection that a resource names, or that its parent brings.
pub(super) fn connection_key(
    ops: &'static dyn Ops,
    key: &Key,
    common: &Common,
    inherited: Option<&str>,
) -> Option<Key> {
    match (&common.connection_ref, inherited) {
        (Some(reference), None) => {
            let namespace = reference.namespace.as_deref().unwrap_or(&key.namespace);
            Some(Key::new(ops.connection(), namespace, &reference.name))
        }
        (_, Some(inherited)) => parse_connection(ops, inherited),
        (None, None) => None,
    }
}

/// A connection as the status records it.
#[must_use]
pub fn parse_connection(ops: &'static dyn Ops, recorded: &str) -> Option<Key> {
    let (namespace, name) = recorded.split_once('/')?;
    Some(Key::new(ops.connection(), namespace, name))
}
