//! The sweep's look at parts: it reads an object's lists itself, and only a difference costs a pass.
//!
//! A list below the object is one request. A table that is one for many objects is read once a sweep, and a person who is looked up once,
//! however many teams name them.
use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::{
    diff::Difference,
    part::{Entries, Part, Row},
    parts::look_up,
    report::bound_state,
    status::{Status, conditions},
};
use crate::remote::{ApiError, Link, Path, Refusal};

/// What one sweep has read that is for more than one object.
#[derive(Default)]
pub(super) struct Shared {
    /// Tables, or why there is none.
    tables: BTreeMap<Path, Arc<Result<Vec<Value>, Refusal>>>,
    /// Whether somebody is there, by where they were looked up and what they are called.
    people: BTreeMap<(Path, String), bool>,
}

/// How an object's lists are.
#[derive(Default)]
pub(super) struct Lists {
    /// Where they differ from the spec.
    pub(super) differences: Vec<Difference>,
    /// Who and what is not there yet; none where the spec names nobody.
    unbound: Option<Vec<String>>,
}

impl Lists {
    /// Whether the status shows somebody else to be missing, or nobody.
    pub(super) fn have_moved(&self, status: &Status, generation: i64, now: Timestamp) -> bool {
        let mut now_shown = status.clone();
        now_shown.set(conditions::BOUND, bound_state(self.unbound.as_deref()).as_ref(), generation, now);
        now_shown.condition(conditions::BOUND) != status.condition(conditions::BOUND)
    }
}

impl Shared {
    /// Reads the lists, in the order in which a pass does.
    ///
    /// # Errors
    /// [`ApiError`] of the first one that cannot be read.
    pub(super) async fn read(
        &mut self,
        link: &Link,
        parts: &[Part],
        status: &Status,
        counter: &mut u32,
    ) -> Result<Lists, ApiError> {
        let mut lists = Lists::default();
        for part in parts {
            match part {
                Part::Entries(entries) => self.entries(link, entries, status, counter, &mut lists).await?,
                Part::Row(row) => self.row(link, row, counter, &mut lists).await?,
            }
        }
        Ok(lists)
    }

    async fn entries(
        &mut self,
        link: &Link,
        entries: &Entries,
        status: &Status,
        counter: &mut u32,
        lists: &mut Lists,
    ) -> Result<(), ApiError> {
        let items = link.list(&entries.path, None, counter).await?;
        let there = entries.there(&items, link.api());
        let named = status.parts.get(entries.name).map(Vec::as_slice).unwrap_or_default();
        let steps = entries.steps(&there, named);
        let mut unbound = Vec::new();
        for key in steps.add {
            if let Some(lookup) = &entries.lookup {
                let person = (lookup.path.clone(), key.clone());
                let is_there = match self.people.get(&person) {
                    Some(is_there) => *is_there,
                    None => look_up(link, lookup, entries.written(lookup, &key), counter).await?.is_some(),
                };
                self.people.insert(person, is_there);
                if !is_there {
                    unbound.push(key);
                    continue;
                }
            }
            lists.differences.push(entries.lacks(&key));
        }
        lists.differences.extend(steps.remove.iter().map(|key| entries.exceeds(key)));
        if let (Some(lookup), false) = (&entries.lookup, entries.wanted.is_empty()) {
            let missing = lists.unbound.get_or_insert_default();
            if !unbound.is_empty() {
                missing.push(format!("{} {}", lookup.missing, unbound.join(", ")));
            }
        }
        Ok(())
    }

    async fn row(&mut self, link: &Link, row: &Row, counter: &mut u32, lists: &mut Lists) -> Result<(), ApiError> {
        let table = if let Some(table) = self.tables.get(&row.path) {
            table.clone()
        } else {
            let table = Arc::new(match link.list(&row.path, None, counter).await {
                Ok(items) => Ok(items),
                Err(ApiError::Refused(refusal)) => Err(refusal),
                Err(error) => return Err(error),
            });
            self.tables.insert(row.path.clone(), table.clone());
            table
        };
        let unbound = lists.unbound.get_or_insert_default();
        match table.as_ref() {
            Ok(items) => lists.differences.extend(row.difference(items)),
            Err(refusal) => match (row.missing)(refusal) {
                Some(missing) if !row.wanted.is_empty() => unbound.push(missing.to_owned()),
                Some(_) => {}
                None => return Err(ApiError::Refused(refusal.clone())),
            },
        }
        Ok(())
    }
}
