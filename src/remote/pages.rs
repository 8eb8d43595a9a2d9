//! Listings: page by page, or one bare array.
use std::collections::HashSet;

use http::Method;
use serde_json::Value;

use super::{ApiError, Call, Link, Path, gate::Shut};

/// A listing of more pages than this never ends.
const MOST_PAGES: u32 = 10_000;

impl Link {
    /// A complete listing: every page was answered.
    ///
    /// # Errors
    /// [`ApiError`] of the first page that was not.
    pub async fn list(&self, path: &Path, filter: Option<&str>, counter: &mut u32) -> Result<Vec<Value>, ApiError> {
        let all = self.list_within(path, filter, MOST_PAGES, counter).await?;
        all.ok_or_else(|| ApiError::Unavailable(format!("the listing of {path} does not end")))
    }

    /// The same, or none where more pages than `most` would have to be asked for.
    ///
    /// # Errors
    /// As [`Link::list`].
    pub async fn list_within(
        &self,
        path: &Path,
        filter: Option<&str>,
        most: u32,
        counter: &mut u32,
    ) -> Result<Option<Vec<Value>>, ApiError> {
        let (mut items, mut shown, mut total, mut number) = (Vec::new(), HashSet::new(), None, 0);
        for _ in 0..most {
            number += 1;
            let query: Vec<String> =
                self.api().page_query(number).into_iter().chain(filter.map(str::to_owned)).collect();
            let query = (!query.is_empty()).then(|| query.join("&"));
            *counter += 1;
            let body = self.send(Call::new(Method::GET, path).query(query)).await?;
            let page = body.and_then(|body| self.api().page(body, number));
            let Some(mut page) = page else {
                let why = format!("{path} did not answer with a page of a listing");
                self.shut(Shut::Unavailable, &why);
                return Err(ApiError::Unavailable(why));
            };
            // What is deleted meanwhile moves what follows it up, onto a page that was read before: begin again, or it would not be seen.
            if page.total < total {
                (items, shown, total, number) = (Vec::new(), HashSet::new(), None, 0);
                continue;
            }
            total = page.total;
            // What is made meanwhile, and a page that lags, show an object twice: it is one.
            page.items.retain(|item| self.api().id(item).is_none_or(|id| shown.insert(id.to_owned())));
            items.extend(page.items);
            if !page.more {
                return Ok(Some(items));
            }
        }
        Ok(None)
    }

    /// A listing that is one bare array.
    ///
    /// # Errors
    /// [`ApiError`], also for an answer that is no array.
    pub async fn list_bare(&self, path: &Path, counter: &mut u32) -> Result<Vec<Value>, ApiError> {
        *counter += 1;
        if let Some(Value::Array(items)) = self.send(Call::new(Method::GET, path)).await? {
            return Ok(items);
        }
        let why = format!("{path} did not answer with a list");
        self.shut(Shut::Unavailable, &why);
        Err(ApiError::Unavailable(why))
    }
}
