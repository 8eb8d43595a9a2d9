//! What a kind is: one trait, implemented once in the kind's own file; and the erased form that the engine works with.
use std::{fmt::Debug, marker::PhantomData};

use k8s_openapi::NamespaceResourceScope;
use kube::{CustomResourceExt, Resource, core::object::HasStatus};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use url::Url;

use super::{
    context::Cx,
    key::Info,
    part::{Part, Progress},
    raw::Raw,
    reason::Reason,
    status::Status,
};
use crate::remote::{Credential, Dialect, Path};

/// What `#[derive(CustomResource)]` gives every kind.
pub trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + CustomResourceExt
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
}
impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + CustomResourceExt
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static
{
}

/// Status fields that only one kind has.
pub trait Extra: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync {}
impl<T> Extra for T where
    T: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync
{
}

/// How a resource knows its object again when the status does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Two labels on the object.
    Mark,
    /// An intent, written to the status before the create.
    Intent,
}

/// Where an object lives, and which verbs apply to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST {path}`, then `GET|PATCH|DELETE {path}/{id}`; `GET {path}` lists.
    Collection {
        /// The collection.
        path: Path,
    },
}

/// What should be at an [`Endpoint`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// The fields that the spec names, as the API writes them; null clears.
    pub body: Map<String, Value>,
    /// The fields that are maps which the API merges key by key.
    pub merged: &'static [&'static str],
}

impl Desired {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A field that is always written.
    #[must_use]
    pub fn set(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.body.insert(field.to_owned(), value.into());
        self
    }

    /// A field that the spec may leave to the API.
    #[must_use]
    pub fn maybe<T: Clone + Into<Value>>(mut self, field: &str, value: Option<&T>) -> Self {
        if let Some(value) = value {
            self.body.insert(field.to_owned(), value.clone().into());
        }
        self
    }

    /// A text that the spec may leave to the API, and that `""` clears by null.
    #[must_use]
    pub fn nullable(mut self, field: &str, value: Option<&String>) -> Self {
        if let Some(value) = value {
            self.body.insert(field.to_owned(), if value.is_empty() { Value::Null } else { value.clone().into() });
        }
        self
    }
}

/// Why something cannot be computed yet. Not an error: it becomes a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Why.
    pub reason: Reason,
    /// Why, for a person.
    pub message: String,
}

impl Wait {
    /// A wait.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// The spec is at fault.
    pub fn invalid(message: impl std::fmt::Display) -> Self {
        Self::new(Reason::InvalidSpec, message.to_string())
    }
}

/// A custom resource that stands for one object at a management API. Its methods do no I/O.
pub trait Kind: Object + HasStatus<Status = Status<Self::Extra>> {
    /// The kind of its connection.
    type Connection: Connection;
    /// Status fields that only this kind has.
    type Extra: Extra;
    /// How an object is known again.
    const IDENTITY: Identity;
    /// The conditions that [`Kind::progress`] may show.
    const PROGRESS: &'static [&'static str] = &[];

    /// Where the object lives. Asks `cx` for references.
    ///
    /// # Errors
    /// [`Wait`] for a reference that does not resolve yet.
    fn endpoint(&self, cx: &Cx<'_>) -> Result<Endpoint, Wait>;

    /// What should be there.
    ///
    /// # Errors
    /// [`Wait`] for a reference or a Secret that is not there yet, or for a spec that the schema could not refuse.
    fn desired(&self, cx: &Cx<'_>) -> Result<Desired, Wait>;

    /// What people tell objects of this kind apart by; the field `name` of the body holds it.
    fn natural_key(&self) -> String;

    /// Copies what users want to see from the object into the status.
    fn observe(_object: &Value, _extra: &mut Self::Extra) {}

    /// The lists that belong to the object at `path` and have operations of their own.
    ///
    /// # Errors
    /// [`Wait`], as [`Kind::desired`].
    fn parts(&self, _path: &Path, _cx: &Cx<'_>) -> Result<Vec<Part>, Wait> {
        Ok(Vec::new())
    }

    /// What to ask for while it is not done.
    fn progress(&self) -> Option<Progress> {
        None
    }

    /// The query of the DELETE.
    fn deletion_query(&self) -> Option<&'static str> {
        None
    }
}

/// A custom resource that holds the way to a management API.
pub trait Connection: Object + HasStatus<Status = Status<Self::Extra>> {
    /// Status fields that only this kind has.
    type Extra: Extra;
    /// How the API speaks.
    const API: &'static dyn Dialect;

    /// The base URL.
    ///
    /// # Errors
    /// [`Wait`] for a URL that is none.
    fn base(&self) -> Result<Url, Wait>;

    /// The credential, from a Secret.
    ///
    /// # Errors
    /// [`Wait`] while the Secret is not there.
    fn credential(&self, cx: &Cx<'_>) -> Result<Credential, Wait>;

    /// A cheap request that shows whether the credential is good: a listing.
    fn probe(&self) -> Path;
}

/// A [`Kind`] with its type erased: the engine is compiled once, not once per kind.
pub trait Ops: Send + Sync + 'static {
    /// Kubernetes' view of the kind.
    fn info(&self) -> &'static Info;
    /// Kubernetes' view of its connections.
    fn connection(&self) -> &'static str;
    /// How an object is known again.
    fn identity(&self) -> Identity;
    /// See [`Kind::natural_key`]; none for an object that does not decode.
    fn natural_key(&self, object: &Raw) -> Option<String>;
    /// See [`Kind::endpoint`].
    ///
    /// # Errors
    /// As there, and [`Reason::InvalidSpec`] for an object that does not decode.
    fn endpoint(&self, object: &Raw, cx: &Cx<'_>) -> Result<Endpoint, Wait>;
    /// See [`Kind::desired`].
    ///
    /// # Errors
    /// As [`Ops::endpoint`].
    fn desired(&self, object: &Raw, cx: &Cx<'_>) -> Result<Desired, Wait>;
    /// See [`Kind::parts`].
    ///
    /// # Errors
    /// As [`Ops::endpoint`].
    fn parts(&self, object: &Raw, path: &Path, cx: &Cx<'_>) -> Result<Vec<Part>, Wait>;
    /// See [`Kind::observe`].
    fn observe(&self, object: &Value, extra: &mut Map<String, Value>);
    /// See [`Kind::progress`].
    fn progress(&self, object: &Raw) -> Option<Progress>;
    /// See [`Kind::PROGRESS`].
    fn progress_conditions(&self) -> &'static [&'static str];
    /// See [`Kind::deletion_query`]; none for an object that does not decode.
    fn deletion_query(&self, object: &Raw) -> Option<&'static str>;
}

/// A [`Connection`] with its type erased.
pub trait ConnectionOps: Send + Sync + 'static {
    /// Kubernetes' view of the kind.
    fn info(&self) -> &'static Info;
    /// How the API speaks.
    fn api(&self) -> &'static dyn Dialect;
    /// See [`Connection::base`].
    ///
    /// # Errors
    /// As there, and [`Reason::InvalidSpec`] for an object that does not decode.
    fn base(&self, object: &Raw) -> Result<Url, Wait>;
    /// See [`Connection::credential`].
    ///
    /// # Errors
    /// As [`ConnectionOps::base`].
    fn credential(&self, object: &Raw, cx: &Cx<'_>) -> Result<Credential, Wait>;
    /// See [`Connection::probe`].
    ///
    /// # Errors
    /// As [`ConnectionOps::base`].
    fn probe(&self, object: &Raw) -> Result<Path, Wait>;
}

/// A kind with its [`Info`], erased.
pub struct Erased<K> {
    info: &'static Info,
    connection: &'static str,
    kind: PhantomData<fn() -> K>,
}

fn info<K: Object>() -> Info {
    let leak = |text: std::borrow::Cow<'_, str>| -> &'static str { String::leak(text.into_owned()) };
    Info {
        group: leak(K::group(&())),
        version: leak(K::version(&())),
        kind: leak(K::kind(&())),
        plural: leak(K::plural(&())),
    }
}

/// Erases a kind. Leaks a few bytes, once a kind.
#[must_use]
pub fn kind<K: Kind>() -> &'static dyn Ops {
    let connection = String::leak(K::Connection::kind(&()).into_owned());
    Box::leak(Box::new(Erased::<K> { info: Box::leak(Box::new(info::<K>())), connection, kind: PhantomData }))
}

/// Erases a kind of connection. Leaks a few bytes, once a kind.
#[must_use]
pub fn connection<C: Connection>() -> &'static dyn ConnectionOps {
    Box::leak(Box::new(Erased::<C> { info: Box::leak(Box::new(info::<C>())), connection: "", kind: PhantomData }))
}

fn typed<K: DeserializeOwned>(object: &Raw) -> Result<K, Wait> {
    object.typed().map_err(|e| {
        Wait::invalid(format_args!("the stored object does not fit its type, perhaps an older version wrote it: {e}"))
    })
}

impl<K: Kind> Ops for Erased<K> {
    fn info(&self) -> &'static Info {
        self.info
    }
    fn connection(&self) -> &'static str {
        self.connection
    }
    fn identity(&self) -> Identity {
        K::IDENTITY
    }
    fn natural_key(&self, object: &Raw) -> Option<String> {
        typed::<K>(object).ok().map(|o| o.natural_key())
    }
    fn endpoint(&self, object: &Raw, cx: &Cx<'_>) -> Result<Endpoint, Wait> {
        typed::<K>(object)?.endpoint(cx)
    }
    fn desired(&self, object: &Raw, cx: &Cx<'_>) -> Result<Desired, Wait> {
        typed::<K>(object)?.desired(cx)
    }
    fn parts(&self, object: &Raw, path: &Path, cx: &Cx<'_>) -> Result<Vec<Part>, Wait> {
        typed::<K>(object)?.parts(path, cx)
    }
    fn observe(&self, object: &Value, extra: &mut Map<String, Value>) {
        let mut typed: K::Extra = serde_json::from_value(Value::Object(extra.clone())).unwrap_or_default();
        K::observe(object, &mut typed);
        if let Ok(Value::Object(map)) = serde_json::to_value(typed) {
            *extra = map;
        }
    }
    fn progress(&self, object: &Raw) -> Option<Progress> {
        typed::<K>(object).ok()?.progress()
    }
    fn progress_conditions(&self) -> &'static [&'static str] {
        K::PROGRESS
    }
    fn deletion_query(&self, object: &Raw) -> Option<&'static str> {
        typed::<K>(object).ok()?.deletion_query()
    }
}

impl<C: Connection> ConnectionOps for Erased<C> {
    fn info(&self) -> &'static Info {
        self.info
    }
    fn api(&self) -> &'static dyn Dialect {
        C::API
    }
    fn base(&self, object: &Raw) -> Result<Url, Wait> {
        typed::<C>(object)?.base()
    }
    fn credential(&self, object: &Raw, cx: &Cx<'_>) -> Result<Credential, Wait> {
        typed::<C>(object)?.credential(cx)
    }
    fn probe(&self, object: &Raw) -> Result<Path, Wait> {
        Ok(typed::<C>(object)?.probe())
    }
}
