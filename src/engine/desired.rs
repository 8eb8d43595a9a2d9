//! What a kind says of its object: where it lives, what should be there, how its values are compared, and what it hands out.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{context::Cx, kind::Wait, spec::SecretKeyRef};
use crate::remote::Path;

/// Where an object lives, how it comes to be, and who chooses its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST {path}` makes an object and says its id; `{path}/{id}` is the object; `GET {path}` lists.
    Collection {
        /// The collection.
        path: Path,
    },
    /// The same, with ids that the client chooses.
    Keyed {
        /// The collection.
        path: Path,
        /// Where the objects are listed: the collection, or a list below a parent.
        listing: Path,
    },
    /// `PUT {path}/{id}` makes an object under the id that the user chose; `GET {path}` lists.
    Upsert {
        /// The collection.
        path: Path,
    },
    /// Others make the objects, and the spec names one by its natural key; `{path}/{id}` is the object; `GET {path}` lists.
    Claimed {
        /// The collection.
        path: Path,
    },
    /// One object that is there as long as its parent is: `GET` and `PATCH {path}`.
    Singleton {
        /// The object.
        path: Path,
        /// What it belongs to.
        parent: Path,
    },
    /// At most one object below its parent: `POST {path}` makes it, and `{path}` is the object.
    Sole {
        /// The object.
        path: Path,
        /// What it belongs to.
        parent: Path,
    },
    /// Something that is done once and not kept: `PUT {path}` starts it, `GET {path}` shows the last one.
    Action {
        /// The last one.
        path: Path,
        /// What it belongs to.
        parent: Path,
    },
}

impl Endpoint {
    /// The shape alone.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match self {
            Self::Collection { .. } => Shape::Collection,
            Self::Keyed { .. } => Shape::Keyed,
            Self::Upsert { .. } => Shape::Upsert,
            Self::Claimed { .. } => Shape::Claimed,
            Self::Singleton { .. } => Shape::Singleton,
            Self::Sole { .. } => Shape::Sole,
            Self::Action { .. } => Shape::Action,
        }
    }

    /// What an object that no list shows belongs to.
    #[must_use]
    pub fn parent(&self) -> Option<&Path> {
        match self {
            Self::Singleton { parent, .. } | Self::Sole { parent, .. } | Self::Action { parent, .. } => Some(parent),
            Self::Collection { .. } | Self::Keyed { .. } | Self::Upsert { .. } | Self::Claimed { .. } => None,
        }
    }

    /// Where objects are made, where they are listed, and the parent of an object that no list shows.
    #[must_use]
    pub fn into_paths(self) -> (Path, Path, Option<Path>) {
        match self {
            Self::Collection { path } | Self::Upsert { path } | Self::Claimed { path } => (path.clone(), path, None),
            Self::Keyed { path, listing } => (path, listing, None),
            Self::Singleton { path, parent } | Self::Sole { path, parent } | Self::Action { path, parent } => {
                (path.clone(), path, Some(parent))
            }
        }
    }
}

/// An [`Endpoint`] without its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// See [`Endpoint::Collection`].
    Collection,
    /// See [`Endpoint::Keyed`].
    Keyed,
    /// See [`Endpoint::Upsert`].
    Upsert,
    /// See [`Endpoint::Claimed`].
    Claimed,
    /// See [`Endpoint::Singleton`].
    Singleton,
    /// See [`Endpoint::Sole`].
    Sole,
    /// See [`Endpoint::Action`].
    Action,
}

impl Shape {
    /// Whether objects of this shape are there without us, and what the spec names is taken as it is.
    #[must_use]
    pub fn is_given(self) -> bool {
        matches!(self, Self::Claimed | Self::Singleton)
    }
}

/// How values are compared that can be written in more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A list whose order and repetitions say nothing.
    Set,
    /// A duration as Go writes it: `90m` is `1h30m0s`.
    Duration,
    /// A time as in RFC 3339.
    Time,
    /// A list of objects that are known by this member, in any order. What an entry has besides is echoed.
    Keyed(&'static str),
    /// The same; what an entry has besides is shown by the API and never sent.
    Named(&'static str),
    /// Base64, by the bytes that it stands for.
    Bytes,
    /// A map that the spec owns: keys that it does not name are removed. What stands under a key is compared member by member.
    Map,
    /// A value that the spec owns with everything in it.
    Exact,
}

/// Which field is compared how: the keys down to it with dots, without the positions in lists.
pub type Rules = &'static [(&'static str, How)];

/// What should be at an [`Endpoint`]. Its `Debug` shows no values: some are secrets.
#[derive(Clone, Default, PartialEq)]
pub struct Desired {
    /// The fields that the spec names, as the API writes them; null clears.
    pub body: Map<String, Value>,
    /// The fields that are only sent when the object is made.
    pub initial: Map<String, Value>,
    /// The fields that are maps which the API merges key by key.
    pub merged: &'static [&'static str],
    /// How values are compared that are not simply equal or not.
    pub rules: Rules,
    /// The members, at any depth, whose values nobody may see.
    pub secrets: &'static [&'static str],
    /// The members of an object as read that are not sent back where objects are replaced whole.
    pub unsent: &'static [&'static str],
    /// The fields of the body, with dots, that an object keeps for ever: the id of its parent, its type.
    pub fixed: &'static [&'static str],
    /// What also tells what a create may have made: values deeper in the body, with dots; and fields that stay empty where they are not sent.
    pub telling: &'static [&'static str],
    /// The fields of the body that the API does not take when it makes an object: they are sent right after.
    pub later: &'static [&'static str],
    /// Members that go with everything that is sent and are never compared, such as a wish to notify people.
    pub along: Map<String, Value>,
    /// The values that an object which cannot be deleted has when nobody has changed it.
    pub reset: Map<String, Value>,
    /// A field that can also be replaced alone, by `PUT {object}/{field}`; some versions of the API may lack the operation.
    pub alone: Option<&'static str>,
    /// Whether an absent member equals its zero value. The engine sets it, as the API says.
    pub absent_is_zero: bool,
    /// The secrets, by path, that the API was sent and does not show. The engine sets it.
    pub acknowledged: BTreeSet<String>,
}

impl fmt::Debug for Desired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.body.keys()).finish()
    }
}

impl Desired {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The fields of a part of the spec, as the API names them: `redirectUris` becomes `redirect_uris`, at every depth. `maps` are fields
    /// (with dots) whose keys are the user's own words and stay; with `.**` at the end everything below stays.
    #[must_use]
    pub fn of(fields: &impl Serialize, maps: &[&str]) -> Self {
        let body = match api_words(serde_json::to_value(fields).unwrap_or_default(), "", maps) {
            Value::Object(body) => body,
            _ => Map::new(),
        };
        Self { body, ..Self::default() }
    }

    /// Whether a difference at this place lies in what an object keeps for ever.
    #[must_use]
    pub fn is_fixed(&self, path: &[String]) -> bool {
        let is_part = |field: &str| {
            let mut fixed = field.split('.');
            let mut here = path.iter();
            // The one lies within the other, whichever is the deeper.
            loop {
                match (fixed.next(), here.next()) {
                    (Some(fixed), Some(here)) if fixed != here => return false,
                    (Some(_), Some(_)) => {}
                    _ => return true,
                }
            }
        };
        self.fixed.iter().any(|field| is_part(field))
    }

    /// How a field is compared; `path` without the positions in lists.
    #[must_use]
    pub fn rule(&self, path: &str) -> Option<How> {
        self.rules.iter().find(|(field, _)| *field == path).map(|(_, how)| *how)
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

    /// A field that is only sent when the object is made, where the spec has it.
    #[must_use]
    pub fn initially<T: Clone + Into<Value>>(mut self, field: &str, value: Option<&T>) -> Self {
        if let Some(value) = value {
            self.initial.insert(field.to_owned(), value.clone().into());
        }
        self
    }

    /// Puts the values of Secrets in the place of references to them, at every depth: `names` says which member becomes which. `maps` as in
    /// [`Desired::of`]: the user's own words are no references.
    ///
    /// # Errors
    /// [`Wait`] while a Secret is not there.
    pub fn with_secrets(mut self, names: &[(&str, &str)], maps: &[&str], cx: &Cx<'_>) -> Result<Self, Wait> {
        let mut body = Value::Object(self.body);
        put_secrets(&mut body, "", names, maps, cx)?;
        if let Value::Object(body) = body {
            self.body = body;
        } else {
            self.body = Map::new();
        }
        Ok(self)
    }
}

/// Whether the keys at a place are the user's own words.
fn own_words(path: &str, maps: &[&str]) -> bool {
    maps.contains(&path)
}

/// Whether everything at a place is the user's own.
fn is_verbatim(path: &str, maps: &[&str]) -> bool {
    maps.iter().any(|map| map.strip_suffix(".**").is_some_and(|map| map == path))
}

/// The path of a member; keys of the user's own stand as `*`.
fn inner(path: &str, key: &str, own: bool) -> String {
    match (path.is_empty(), own) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{path}.*"),
        (false, false) => format!("{path}.{key}"),
    }
}

fn api_words(value: Value, path: &str, maps: &[&str]) -> Value {
    if is_verbatim(path, maps) {
        return value;
    }
    match value {
        Value::Object(members) => {
            let own = own_words(path, maps);
            let named = members.into_iter().map(|(key, value)| {
                let key = if own { key } else { snake(&key) };
                let value = api_words(value, &inner(path, &key, own), maps);
                (key, value)
            });
            Value::Object(named.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| api_words(item, path, maps)).collect()),
        value => value,
    }
}

/// `redirectUris` as `redirect_uris`.
fn snake(camel: &str) -> String {
    camel.chars().fold(String::new(), |mut text, c| {
        if c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
        text
    })
}

fn put_secrets(value: &mut Value, path: &str, names: &[(&str, &str)], maps: &[&str], cx: &Cx<'_>) -> Result<(), Wait> {
    if is_verbatim(path, maps) {
        return Ok(());
    }
    match value {
        Value::Object(members) => {
            let own = own_words(path, maps);
            for (reference, member) in names.iter().filter(|_| !own) {
                let Some(found) = members.remove(*reference) else { continue };
                let at: SecretKeyRef =
                    serde_json::from_value(found).map_err(|e| Wait::invalid(format_args!("{reference}: {e}")))?;
                let secret = cx.secret(&at.name, &at.key)?;
                members.insert((*member).to_owned(), secret.expose_secret().into());
            }
            let mut members = members.iter_mut();
            members.try_for_each(|(key, member)| put_secrets(member, &inner(path, key, own), names, maps, cx))
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| put_secrets(item, path, names, maps, cx)),
        _ => Ok(()),
    }
}

/// A Secret that Portico writes for programs to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What stands in it besides the generated secret: ids and URLs, by key.
    pub values: BTreeMap<String, String>,
    /// The field of the object that is a secret, and the key of the Secret that holds it. Portico chooses it; the API takes it.
    pub generated: Generated,
}

/// A secret that Portico chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The field of the object.
    pub field: &'static str,
    /// The key of the Secret. While it is rotated, the next one stands under `pending_` and this key.
    pub key: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_get_the_apis_words_and_the_users_own_keys_stay() {
        let spec = json!({
            "redirectUris": ["a"], "tlsClientAuthSanDns": "x",
            "privacy": {"scopes": {"readAll": {"piiCategories": [{"name": "n"}]}}},
            "users": [{"freeForm": {"homeAddress": {"streetName": [{"isEven": 1}]}}}],
        });
        let body = Desired::of(&spec, &["privacy.scopes", "users.free_form.**"]).body;
        assert_eq!(
            Value::Object(body),
            json!({
                "redirect_uris": ["a"], "tls_client_auth_san_dns": "x",
                "privacy": {"scopes": {"readAll": {"pii_categories": [{"name": "n"}]}}},
                "users": [{"free_form": {"homeAddress": {"streetName": [{"isEven": 1}]}}}],
            })
        );
    }

    #[test]
    fn debug_shows_no_values() {
        let shown = format!("{:?}", Desired::new().set("client_secret", "hunter2"));
        assert_eq!(shown, r#"{"client_secret"}"#);
    }
}
