//! What belongs to an object besides its body: lists with operations of their own, and things that take their time.
use serde_json::{Map, Value};

use crate::remote::{Path, Refusal};

/// A list that belongs to an object but has operations of its own.
#[derive(Clone)]
pub enum Part {
    /// Entries that are added and removed one by one.
    Entries(Entries),
    /// A list that is replaced whole, one row of a table for all objects.
    Row(Row),
}

/// Entries that are added by `POST {path}` and removed by `DELETE {path}/{id}`.
#[derive(Clone)]
pub struct Entries {
    /// The field of the spec, for the status and for messages.
    pub name: &'static str,
    /// The collection.
    pub path: Path,
    /// What should be there, by key.
    pub wanted: Vec<(String, Map<String, Value>)>,
    /// Whether entries that this resource never named are removed.
    pub exclusive: bool,
    /// The key of an entry as the API lists it.
    pub key: fn(&Value) -> Option<String>,
    /// For entries that are people: where they are looked up, and the field of the body that takes their id.
    pub lookup: Option<Lookup>,
    /// Where the API lists the values of a field, for a refusal that names the field.
    pub catalogue: Option<Catalogue>,
}

/// How an entry's key becomes an id.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The collection to look in.
    pub path: Path,
    /// The field that equals the key but for its case; the listing can be filtered by it. A body may hold it as the user wrote it.
    pub field: &'static str,
    /// The field of the body that takes the id.
    pub into: &'static str,
    /// What is said where nobody is found, before the names.
    pub missing: &'static str,
}

/// Where the API lists what it knows.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// The field that a refusal names.
    pub field: &'static str,
    /// Where to look.
    pub path: Path,
    /// The names in the answer.
    pub names: fn(&Value) -> Vec<String>,
}

/// A row of a table at `path`, read by listing it and replaced by `PATCH {path}`.
#[derive(Clone)]
pub struct Row {
    /// The field of the spec.
    pub name: &'static str,
    /// The table.
    pub path: Path,
    /// The field that holds the row's key, and the key.
    pub key: (&'static str, String),
    /// The field that holds the list.
    pub field: &'static str,
    /// What should be in it, as a set.
    pub wanted: Vec<String>,
    /// Whether a refusal means that the table cannot exist yet, and what to say then.
    pub missing: fn(&Refusal) -> Option<&'static str>,
}

/// Something at the API that takes its time and must be asked for, such as the verification of a domain.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The condition that shows it.
    pub condition: &'static str,
    /// What it is about, such as a domain; another one begins anew.
    pub subject: String,
    /// `POST {object}/{action}` asks.
    pub action: &'static str,
    /// Whether it is done, and what is missing.
    pub judge: fn(&Value) -> Result<(), String>,
}
