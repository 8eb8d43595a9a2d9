//! Kinds with their types erased: the engine is compiled once, not once per kind.
use std::marker::PhantomData;

use kube::Resource as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use super::{
    context::Cx,
    desired::{Desired, Endpoint, Output},
    key::Info,
    kind::{Connection, Identity, Kind, Milestone, Object, Wait},
    part::{Part, Progress},
    raw::Raw,
    spec::{Deletion, Lifecycle},
};
use crate::remote::{Credential, Dialect, Path, Refusal};

/// A [`Kind`] with its type erased: the engine is compiled once, not once per kind.
pub trait Ops: Send + Sync + 'static {
    /// Kubernetes' view of the kind.
    fn info(&self) -> &'static Info;
    /// Kubernetes' view of its connections.
    fn connection(&self) -> &'static str;
    /// How objects of this kind are known again.
    fn identity(&self) -> Identity;
    /// How this resource's object is known again: where the user chose its id, by intent.
    fn identity_of(&self, object: &Raw) -> Identity {
        match self.identity() {
            Identity::Derived if self.chosen_id(object).is_some() => Identity::Intent,
            identity => identity,
        }
    }
    /// See [`Kind::ID`].
    fn id_field(&self) -> &'static str;
    /// The id of an object.
    fn id<'v>(&self, item: &'v Value) -> Option<&'v str> {
        item[self.id_field()].as_str()
    }
    /// See [`Kind::KEY`].
    fn key_field(&self) -> &'static str;
    /// See [`Kind::BARE_LISTING`].
    fn has_bare_listing(&self) -> bool;
    /// See [`Kind::REPEATABLE`].
    fn is_repeatable(&self) -> bool;
    /// What becomes of the object when the resource is deleted.
    fn deletion(&self, lifecycle: &Lifecycle) -> Deletion;
    /// See [`Kind::GOES_FIRST`].
    fn goes_first(&self) -> bool;
    /// See [`Kind::MILESTONES`].
    fn milestone_conditions(&self) -> &'static [&'static str];
    /// See [`Kind::milestones`].
    fn milestones(&self, object: &Value) -> Vec<Milestone>;
    /// See [`Kind::normalize`].
    fn normalize(&self, object: Value) -> Value;
    /// See [`Kind::unset`].
    fn unset(&self) -> Option<Value>;
    /// See [`Kind::patched`].
    fn patched(&self, body: Map<String, Value>) -> Map<String, Value>;
    /// See [`Kind::waits_for`].
    fn waits_for(&self, refusal: &Refusal) -> Option<&'static str>;
    /// See [`Kind::natural_key`]; none for an object that does not decode.
    fn natural_key(&self, object: &Raw) -> Option<String>;
    /// See [`Kind::collection`].
    fn collection(&self) -> Option<Path>;
    /// See [`Kind::chosen_id`]; none for an object that does not decode.
    fn chosen_id(&self, object: &Raw) -> Option<String>;
    /// See [`Kind::exclusive`]; none for an object that does not decode.
    fn exclusive(&self, object: &Raw) -> Option<&'static str>;
    /// See [`Kind::is_built_in`].
    fn is_built_in(&self, object: &Value) -> bool;
    /// See [`Kind::output_secret`]; none for an object that does not decode.
    fn output_secret(&self, object: &Raw) -> Option<String>;
    /// See [`Kind::output`].
    ///
    /// # Errors
    /// As [`Ops::endpoint`].
    fn output(&self, object: &Raw, id: &str, cx: &Cx<'_>) -> Result<Output, Wait>;
    /// The words of [`Kind::views`].
    fn views(&self) -> Vec<&'static str>;
    /// Copies a view into the status.
    fn show(&self, word: &str, answer: &Value, extra: &mut Map<String, Value>);
    /// See [`Kind::endpoint`].
    ///
    /// # Errors
    /// As there, and [`InvalidSpec`](super::reason::Reason::InvalidSpec) for an object that does not decode.
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
    /// As there, and [`InvalidSpec`](super::reason::Reason::InvalidSpec) for an object that does not decode.
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
    /// See [`Connection::is_account_of_credential`]; so it is where nobody can tell.
    fn is_account_of_credential(&self, object: &Raw) -> bool;
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

/// Changes what only the kind has in its status.
fn change<K: Kind>(extra: &mut Map<String, Value>, change: impl FnOnce(&mut K::Extra)) {
    let mut typed: K::Extra = serde_json::from_value(Value::Object(extra.clone())).unwrap_or_default();
    change(&mut typed);
    if let Ok(Value::Object(map)) = serde_json::to_value(typed) {
        *extra = map;
    }
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
    fn id_field(&self) -> &'static str {
        K::ID
    }
    fn key_field(&self) -> &'static str {
        K::KEY
    }
    fn has_bare_listing(&self) -> bool {
        K::BARE_LISTING
    }
    fn is_repeatable(&self) -> bool {
        K::REPEATABLE
    }
    fn deletion(&self, lifecycle: &Lifecycle) -> Deletion {
        lifecycle.deletion.unwrap_or(K::DELETION)
    }
    fn goes_first(&self) -> bool {
        K::GOES_FIRST
    }
    fn milestone_conditions(&self) -> &'static [&'static str] {
        K::MILESTONES
    }
    fn milestones(&self, object: &Value) -> Vec<Milestone> {
        K::milestones(object)
    }
    fn normalize(&self, object: Value) -> Value {
        K::normalize(object)
    }
    fn unset(&self) -> Option<Value> {
        K::unset()
    }
    fn patched(&self, body: Map<String, Value>) -> Map<String, Value> {
        K::patched(body)
    }
    fn waits_for(&self, refusal: &Refusal) -> Option<&'static str> {
        K::waits_for(refusal)
    }
    fn natural_key(&self, object: &Raw) -> Option<String> {
        typed::<K>(object).ok()?.natural_key()
    }
    fn collection(&self) -> Option<Path> {
        K::collection()
    }
    fn chosen_id(&self, object: &Raw) -> Option<String> {
        typed::<K>(object).ok()?.chosen_id()
    }
    fn exclusive(&self, object: &Raw) -> Option<&'static str> {
        typed::<K>(object).ok()?.exclusive()
    }
    fn is_built_in(&self, object: &Value) -> bool {
        K::is_built_in(object)
    }
    fn output_secret(&self, object: &Raw) -> Option<String> {
        typed::<K>(object).ok()?.output_secret()
    }
    fn output(&self, object: &Raw, id: &str, cx: &Cx<'_>) -> Result<Output, Wait> {
        typed::<K>(object)?.output(id, cx)
    }
    fn views(&self) -> Vec<&'static str> {
        K::views().iter().map(|view| view.word).collect()
    }
    fn show(&self, word: &str, answer: &Value, extra: &mut Map<String, Value>) {
        let Some(view) = K::views().iter().find(|view| view.word == word) else { return };
        change::<K>(extra, |typed| (view.show)(answer, typed));
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
        change::<K>(extra, |typed| K::observe(object, typed));
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
    fn is_account_of_credential(&self, object: &Raw) -> bool {
        typed::<C>(object).map_or(true, |connection| connection.is_account_of_credential())
    }
}
