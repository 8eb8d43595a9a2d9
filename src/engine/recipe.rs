//! What the status records of an object: the recipe for deleting it, and what was about to be sent.
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::remote::{Path, PathError, Place};

/// The recipe for deleting an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recipe {
    /// The installation of Portico that recorded the object.
    pub owner: String,
    /// The UID of the resource that recorded it; another one (a restored backup) counts as not recorded.
    pub uid: String,
    /// The connection, as namespace/name.
    pub connection: String,
    /// The account, as far as the URL says it: the base URL of the API, for ACP with the persona and the tenant.
    pub account: String,
    /// The path of the object.
    pub path: String,
    /// Where it is listed, if that is not the collection that the path is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<String>,
    /// The object that it belongs to, where the path does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What is written to an object that cannot be deleted, to leave it as it was when nobody had changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, Value>>")]
    pub reset: Option<Map<String, Value>>,
    /// Whether the object is only observed: then it is not this resource's, and never deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
    /// Whether another create could still take effect when this was recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsettled: bool,
}

/// A create that was about to be sent when this was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// Tells one try from the next.
    pub token: String,
    /// The installation and the resource that wrote it, as in `remote`.
    pub owner: String,
    /// The UID of the resource that wrote it.
    pub uid: String,
    /// The connection, as namespace/name.
    pub connection: String,
    /// The account, as in `remote`.
    pub account: String,
    /// The collection that it was sent to.
    pub path: String,
    /// The path that the object was to have, where that is known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// A digest of what was there before, where something always is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// The name, or the id, that the object was to have.
    pub key: String,
    /// The fields that were sent.
    pub fields: Vec<String>,
    /// A digest of their values.
    pub digest: String,
    /// The secret of our choice that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SentSecret>,
    /// The ids of those that could be it, where a person is to say which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

/// A secret of our choice that a create sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SentSecret {
    /// The field that holds it.
    pub field: String,
    /// A keyed digest of it.
    pub digest: String,
}

/// An update that was about to be sent when this was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Updating {
    /// Tells one try from the next.
    pub token: String,
    /// The UID of the resource that wrote it.
    pub uid: String,
}

impl Recipe {
    /// Where the object is, and where it is listed.
    ///
    /// # Errors
    /// [`PathError`] where someone wrote something else into the status.
    pub fn place(&self) -> Result<Place, PathError> {
        let path = Path::parse(&self.path)?;
        match (&self.listing, &self.parent) {
            (_, Some(parent)) => Ok(Place::alone(path, Path::parse(parent)?)),
            (Some(listing), None) => Ok(Place::listed(path, Path::parse(listing)?)),
            (None, None) => Ok(Place::in_collection(path)),
        }
    }
}
