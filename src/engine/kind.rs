//! What a kind is: one trait, implemented once in the kind's own file; and the erased form that the engine works with.
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::{CustomResourceExt, Resource, core::object::HasStatus};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use url::Url;

use super::{
    context::Cx,
    part::{Part, Progress},
    reason::Reason,
    spec::Deletion,
    status::Status,
};
pub use super::{
    desired::{Desired, Endpoint, How, Output, Rules, Shape},
    erased::{ConnectionOps, Ops, connection, kind},
};
use crate::remote::{Credential, Dialect, Path, Refusal};

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
    /// An id that follows from the installation and the resource's namespace and name; where the user chose the id, an intent.
    Derived,
}

impl Identity {
    /// Whether a create that nobody recorded can be found again without an intent.
    #[must_use]
    pub fn is_found_again(self) -> bool {
        self != Self::Intent
    }
}

/// Something of an object that is read by an operation of its own, for the status only.
pub struct View<E> {
    /// `GET {object}/{word}`.
    pub word: &'static str,
    /// Copies it into the status.
    pub show: fn(&Value, &mut E),
}

/// Something of an object that takes its time, or waits for a person. `Ready` does not wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Milestone {
    /// The condition that shows it, one of [`Kind::MILESTONES`].
    pub condition: &'static str,
    /// Whether it is reached; the message either way.
    pub met: Result<String, String>,
    /// Whether it comes by itself, so that it is looked for more often than everything else.
    pub poll: bool,
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
    /// The member of an object that holds its id.
    const ID: &'static str = "id";
    /// The member of an object that holds its natural key.
    const KEY: &'static str = "name";
    /// Whether the listing is one bare array, without pages and filters.
    const BARE_LISTING: bool = false;
    /// Whether an update sent twice does no more than one sent once.
    const REPEATABLE: bool = true;
    /// What becomes of the object when the resource is deleted, where the spec does not say.
    const DELETION: Deletion = Deletion::Delete;
    /// Whether the object has to be gone before its parent's can go.
    const GOES_FIRST: bool = false;
    /// The conditions that [`Kind::milestones`] may show.
    const MILESTONES: &'static [&'static str] = &[];
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

    /// What people tell objects of this kind apart by; the member [`Kind::KEY`] of an object holds it. Where a parent has only one object of
    /// the kind, it is the reference to the parent. None where ids tell them apart.
    fn natural_key(&self) -> Option<String> {
        None
    }

    /// The collection of all objects of the kind in an account, where [`Kind::endpoint`] cannot say it without the parent and it does not
    /// depend on the parent: what was made there can be looked for when the parent is no more.
    #[must_use]
    fn collection() -> Option<Path> {
        None
    }

    /// The id that the user wants the object to have.
    fn chosen_id(&self) -> Option<String> {
        None
    }

    /// What at most one object of a collection can have at the API, and this spec asks for: the name of its field that is true.
    fn exclusive(&self) -> Option<&'static str> {
        None
    }

    /// Whether an object is part of the API itself, and nobody's to manage.
    #[must_use]
    fn is_built_in(_object: &Value) -> bool {
        false
    }

    /// The name of the Secret that receives the object's credentials, in the namespace of the resource.
    fn output_secret(&self) -> Option<String> {
        None
    }

    /// What stands in that Secret, for the object with this id.
    ///
    /// # Errors
    /// [`Wait`], as [`Kind::desired`].
    fn output(&self, _id: &str, _cx: &Cx<'_>) -> Result<Output, Wait> {
        Err(Wait::invalid("this kind hands out no credentials"))
    }

    /// An object as it is written, from how it is read. Every answer goes through it before anything else sees it.
    #[must_use]
    fn normalize(object: Value) -> Value {
        object
    }

    /// For what a parent always has: how it is where the API does not show it, because nobody has set anything of it yet. None where the
    /// API always shows it.
    #[must_use]
    fn unset() -> Option<Value> {
        None
    }

    /// The body of a PATCH as the API wants it, from the fields that differ.
    #[must_use]
    fn patched(body: Map<String, Value>) -> Map<String, Value> {
        body
    }

    /// What a refused write waits for, where the spec is not at fault.
    #[must_use]
    fn waits_for(_refusal: &Refusal) -> Option<&'static str> {
        None
    }

    /// How far what takes its time is, by the object alone.
    #[must_use]
    fn milestones(_object: &Value) -> Vec<Milestone> {
        Vec::new()
    }

    /// What else the status shows.
    #[must_use]
    fn views() -> &'static [View<Self::Extra>] {
        &[]
    }

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

    /// Whether another credential may lead to another account. Where the base URL alone says whose objects are seen, it cannot.
    fn is_account_of_credential(&self) -> bool {
        true
    }
}
