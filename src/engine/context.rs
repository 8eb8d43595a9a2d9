//! What a kind may ask for while it computes where its object lives and what should be there. Asking records an edge.
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use secrecy::SecretString;

use super::{
    cache::Cache,
    key::{Key, Target},
    kind::{Connection, Kind, Wait},
    reason::Reason,
    spec::{Common, Ref},
    status::Recipe,
};
use crate::remote::Segment;

/// A key of a Secret, by namespace, name and key.
pub type SecretKey = (String, String, String);

/// The values of Secrets that a pass has fetched, each with the version of its Secret; none for what was looked for and is not there.
pub type Secrets = HashMap<SecretKey, Option<(SecretString, String)>>;

/// Whether two keys of one Secret were read from two versions of it.
#[must_use]
pub fn is_torn(secrets: &Secrets) -> bool {
    let mut versions = BTreeMap::new();
    secrets.iter().any(|((namespace, name, _), value)| {
        let Some((_, version)) = value else { return false };
        versions.insert((namespace, name), version).is_some_and(|other| other != version)
    })
}

/// The context of one computation.
pub struct Cx<'a> {
    namespace: &'a str,
    owner: &'a str,
    cache: &'a Cache,
    secrets: &'a Secrets,
    /// Whether the resource is being deleted: then it no longer matters that others are, too, and no grant is needed.
    ending: bool,
    found: RefCell<Found>,
}

/// What a computation asked for.
#[derive(Debug, Default)]
pub struct Found {
    /// What the resource depends on.
    pub edges: BTreeSet<Target>,
    /// The connection that a parent brings, as namespace/name.
    pub inherited: Option<String>,
    /// Whether what the parent always has may be taken with it.
    pub comes_with_parent: bool,
    /// A Secret that was asked for and not fetched yet.
    pub wanted: Option<SecretKey>,
    /// The resources that were referred to, with the accounts that hold their objects.
    pub accounts: Vec<(String, String)>,
}

impl<'a> Cx<'a> {
    /// A context for a resource in `namespace`.
    #[must_use]
    pub fn new(namespace: &'a str, owner: &'a str, cache: &'a Cache, secrets: &'a Secrets) -> Self {
        Self { namespace, owner, cache, secrets, ending: false, found: RefCell::default() }
    }

    /// What was asked for.
    #[must_use]
    pub fn into_found(self) -> Found {
        self.found.into_inner()
    }

    /// For a resource that is being deleted, or not.
    #[must_use]
    pub fn ending(mut self, ending: bool) -> Self {
        self.ending = ending;
        self
    }

    /// The id of a parent, for the path. A parent that is a resource also brings its connection.
    ///
    /// # Errors
    /// [`Wait`] while the parent is not there, not permitted or has no object.
    pub fn parent<P: Kind>(&self, reference: &Ref<P>) -> Result<Segment, Wait> {
        let (id, recipe) = self.resolve(reference)?;
        if let Some(recipe) = recipe {
            let mut found = self.found.borrow_mut();
            // Who only looks at a parent needs no leave of the connection's namespace for that, and so has none to give.
            let at = reference.target.namespace.as_deref().unwrap_or(self.namespace);
            let is_at_home = recipe.connection.split_once('/').is_some_and(|(home, _)| home == at);
            found.comes_with_parent = !recipe.observed || is_at_home;
            found.inherited = Some(recipe.connection);
        }
        Segment::new(&id).map_err(Wait::invalid)
    }

    /// The id of another object of the same account.
    ///
    /// # Errors
    /// [`Wait`] while it is not there, or not permitted.
    pub fn refer<K: Kind>(&self, reference: &Ref<K>) -> Result<String, Wait> {
        let (id, recipe) = self.resolve(reference)?;
        if let Some(recipe) = recipe {
            let name = format!("{} {}", K::kind(&()), reference.target.name.as_deref().unwrap_or_default());
            self.found.borrow_mut().accounts.push((name, recipe.account));
        }
        Ok(id)
    }

    /// What a resource that is referred to shows in its status; none where it is referred to by id, or is not there.
    #[must_use]
    pub fn extra<K: Kind>(&self, reference: &Ref<K>) -> Option<K::Extra> {
        let target = &reference.target;
        let namespace = target.namespace.as_deref().unwrap_or(self.namespace);
        let key = Key::new(self.cache.kind(&K::kind(&()))?, namespace, target.name.as_deref()?);
        serde_json::from_value(self.cache.get(&key)?.status_value()).ok()
    }

    /// The id that is referred to, and the recipe of the resource that has it.
    fn resolve<K: Kind>(&self, reference: &Ref<K>) -> Result<(String, Option<Recipe>), Wait> {
        let target = &reference.target;
        let kind = K::kind(&());
        if let Some(id) = &target.id {
            return Ok((id.clone(), None));
        }
        let name = target.name.as_deref().unwrap_or_default();
        let namespace = target.namespace.as_deref().unwrap_or(self.namespace);
        let label = format!("{kind} {namespace}/{name}");
        let kind = self.cache.kind(&kind).ok_or_else(|| Wait::invalid(format_args!("there is no kind {kind}")))?;
        let key = Key::new(kind, namespace, name);
        self.found.borrow_mut().edges.insert(Target::Resource(key.clone()));
        let Some(parent) = self.cache.get(&key) else {
            return Err(Wait::new(Reason::ReferenceNotFound, format!("{label} does not exist yet")));
        };
        let common = parent.spec::<Common>().unwrap_or_default();
        if !self.ending && !common.allowed_namespaces.permits(namespace, self.namespace) {
            let message = format!(
                "{label} does not allow references from the namespace {}: add it to its spec.allowedNamespaces",
                self.namespace
            );
            return Err(Wait::new(Reason::ReferenceNotPermitted, message));
        }
        if parent.is_deleting() && !self.ending {
            return Err(Wait::new(Reason::ReferenceNotReady, format!("{label} is being deleted")));
        }
        let status = parent.status();
        let Some(recipe) = status.known(self.owner, parent.uid()) else {
            return Err(Wait::new(Reason::ReferenceNotReady, format!("{label} has no object at the API yet")));
        };
        Ok((status.id.clone().unwrap_or_default(), Some(recipe.clone())))
    }

    /// Says which connection is in use, as namespace/name.
    #[must_use]
    pub fn through(self, connection: &str) -> Self {
        self.found.borrow_mut().inherited = Some(connection.to_owned());
        self
    }

    /// A text field of the spec of the connection in use.
    #[must_use]
    pub fn connection_field<C: Connection>(&self, field: &str) -> Option<String> {
        let found = self.found.borrow();
        let (namespace, name) = found.inherited.as_deref()?.split_once('/')?;
        let connection = self.cache.get(&Key::new(self.cache.kind(&C::kind(&()))?, namespace, name))?;
        connection.body()["spec"][field].as_str().map(str::to_owned)
    }

    /// A key of a Secret in the resource's own namespace.
    ///
    /// # Errors
    /// [`Wait`] while the Secret or the key is not there.
    pub fn secret(&self, name: &str, key: &str) -> Result<SecretString, Wait> {
        let wanted = (self.namespace.to_owned(), name.to_owned(), key.to_owned());
        let mut found = self.found.borrow_mut();
        found.edges.insert(Target::Secret(wanted.0.clone(), wanted.1.clone()));
        match self.secrets.get(&wanted) {
            Some(Some((value, _))) => return Ok(value.clone()),
            Some(None) => {}
            None => found.wanted = Some(wanted),
        }
        Err(Wait::new(
            Reason::SecretNotFound,
            format!("Secret {}/{name} with the key {key} does not exist yet", self.namespace),
        ))
    }
}
