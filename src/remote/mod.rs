//! The HTTP side: where requests are sent, and the only place where they are.
pub mod acp;
pub mod allow;
pub mod error;
pub mod gate;
pub mod http_service;
pub mod konnect;
pub mod link;
mod pages;
pub mod path;
pub mod retry_after;
pub mod token;

use serde_json::Value;

pub use allow::AllowList;
pub use error::{ApiError, FieldProblem, Refusal};
pub use http_service::{HttpFactory, HttpService, ReqwestFactory};
pub use link::{Call, Link, LinkSettings};
pub use path::{Path, PathError, Place, Segment};
pub use token::{ClientAuth, Credential};

/// One page of a listing.
pub struct Page {
    /// The objects on it.
    pub items: Vec<Value>,
    /// Whether another page follows.
    pub more: bool,
    /// How many objects there are on all pages, where the API says so.
    pub total: Option<f64>,
}

/// How an object is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// PATCH: only the fields that differ are sent.
    Patch,
    /// PUT: the whole object is sent, with what the spec does not name as it was read.
    Replace,
}

/// What differs between the management APIs.
pub trait Dialect: Send + Sync + std::fmt::Debug + 'static {
    /// The API's name in metrics and logs, lower case.
    fn name(&self) -> &'static str;

    /// The query that asks for one page of a listing, from 1; none where there are no pages.
    fn page_query(&self, number: u32) -> Option<String>;

    /// The query that asks for the objects with a field of exactly this value; none where the API cannot filter.
    fn equals_query(&self, field: &str, value: &str) -> Option<String>;

    /// Reads one page; none where the answer is no page of this API.
    fn page(&self, body: Value, number: u32) -> Option<Page>;

    /// Reads an error; none where it is not in this API's own shape (a proxy's page, for instance).
    fn refusal(&self, status: u16, body: &Value) -> Option<Refusal>;

    /// How an object is changed.
    fn update(&self) -> Update;

    /// Whether a member that an answer leaves out equals its zero value.
    fn absent_is_zero(&self) -> bool;

    /// An id that a user wrote, as the API shows it.
    fn plain_id(&self, id: &str) -> String {
        id.to_owned()
    }

    /// The id of an object, where the kind does not say otherwise.
    fn id<'v>(&self, item: &'v Value) -> Option<&'v str> {
        item["id"].as_str()
    }
}
