//! Lists that belong to an object and have operations of their own: roles, members, groups.
use http::Method;
use serde_json::{Value, json};

use super::{
    done::Done,
    part::{Catalogue, Entries, Lookup, Part, Row},
    pass::Pass,
    resolve::Resolved,
    spec::Drift,
    stop::{Halt, Stop},
};
use crate::remote::{ApiError, Call, Link, Segment};

impl Pass<'_> {
    /// Makes the lists as the spec wants them, or says how they differ.
    ///
    /// # Errors
    /// [`Stop`] where the API refuses or cannot be asked.
    pub async fn do_parts(&mut self, resolved: &Resolved, done: &mut Done) -> Result<(), Stop> {
        let path = self.recorded_path()?;
        let corrects = resolved.writes
            && (resolved.common.lifecycle.drift == Drift::Correct || done.created || done.adopted || self.is_changed());
        for part in self.engine.parts(self.ops, self.key, &self.object, &path, &resolved.connection_name())? {
            match part {
                Part::Entries(entries) => self.do_entries(resolved, &entries, corrects, done).await?,
                Part::Row(row) => self.do_row(resolved, &row, corrects, done).await?,
            }
        }
        Ok(())
    }

    async fn do_entries(
        &mut self,
        resolved: &Resolved,
        entries: &Entries,
        corrects: bool,
        done: &mut Done,
    ) -> Result<(), Stop> {
        let link = resolved.link().clone();
        let items = link.list(&entries.path, None, &mut self.requests).await.map_err(|e| Self::stop(&link, e))?;
        let there = entries.there(&items, link.api());
        let wanted: Vec<String> = entries.wanted.iter().map(|(key, _)| key.clone()).collect();
        let named = self.status.parts.get(entries.name).cloned().unwrap_or_default();
        let steps = entries.steps(&there, &named);
        let was_accepted = self.is_accepted();
        let mut unbound = Vec::new();
        for key in &steps.add {
            let mut body = entries.wanted.iter().find(|(k, _)| k == key).map(|(_, b)| b.clone()).unwrap_or_default();
            if let Some(lookup) = &entries.lookup {
                body.remove(lookup.field);
                let found = look_up(&link, lookup, entries.written(lookup, key), &mut self.requests).await;
                let Some(id) = found.map_err(|e| Self::stop(&link, e))? else {
                    unbound.push(key.clone());
                    continue;
                };
                body.insert(lookup.into.to_owned(), id.into());
            }
            let difference = entries.lacks(key);
            if !corrects {
                done.differences.push(difference);
                continue;
            }
            // Remembered before it is sent: an entry added in a pass that then failed must be known as ours.
            let ours = self.status.parts.entry(entries.name.to_owned()).or_default();
            if !ours.contains(key) {
                ours.push(key.clone());
            }
            match self.send(&link, Call::new(Method::POST, &entries.path).body(&Value::Object(body))).await {
                // Someone else was quicker: it is there.
                Ok(_) => {}
                Err(ApiError::Refused(refusal)) if refusal.status == 409 => {}
                Err(error) => return Err(self.explain(&link, entries, error).await),
            }
            // Only what was there once can have been taken away.
            if was_accepted && named.contains(key) {
                done.corrected.push(difference);
            }
            done.updated = true;
        }
        for key in &steps.remove {
            let difference = entries.exceeds(key);
            if !corrects {
                done.differences.push(difference);
                continue;
            }
            let segment = Segment::new(there.get(key).map(String::as_str).unwrap_or_default())
                .map_err(|e| Self::stop(&link, ApiError::Unavailable(e.to_string())))?;
            match self.send(&link, Call::new(Method::DELETE, &entries.path.child(&segment))).await {
                Ok(_) | Err(ApiError::Absent(_)) => {}
                Err(error) => return Err(Self::stop(&link, error)),
            }
            if was_accepted {
                done.corrected.push(difference);
            }
            done.updated = true;
        }
        if corrects {
            self.remember_part(entries.name, wanted.into_iter().filter(|key| !unbound.contains(key)).collect());
        }
        if let (Some(lookup), false) = (&entries.lookup, entries.wanted.is_empty()) {
            let missing = done.unbound.get_or_insert_default();
            if !unbound.is_empty() {
                missing.push(format!("{} {}", lookup.missing, unbound.join(", ")));
            }
        }
        Ok(())
    }

    async fn do_row(&mut self, resolved: &Resolved, row: &Row, corrects: bool, done: &mut Done) -> Result<(), Stop> {
        let link = resolved.link().clone();
        let unbound = done.unbound.get_or_insert_default();
        let items = match link.list(&row.path, None, &mut self.requests).await {
            Ok(items) => items,
            Err(ApiError::Refused(refusal)) if let Some(missing) = (row.missing)(&refusal) => {
                if !row.wanted.is_empty() {
                    unbound.push(missing.to_owned());
                }
                return Ok(());
            }
            Err(error) => return Err(Self::stop(&link, error)),
        };
        let Some(difference) = row.difference(&items) else {
            if corrects {
                self.remember_part(row.name, row.wanted.clone());
            }
            return Ok(());
        };
        if !corrects {
            done.differences.push(difference);
            return Ok(());
        }
        let body = json!({ "data": [{ row.key.0: row.key.1, row.field: difference.want }] });
        self.send(&link, Call::new(Method::PATCH, &row.path).body(&body)).await.map_err(|e| Self::stop(&link, e))?;
        if self.is_accepted() && self.status.parts.contains_key(row.name) {
            done.corrected.push(difference);
        }
        done.updated = true;
        self.remember_part(row.name, row.wanted.clone());
        Ok(())
    }

    fn remember_part(&mut self, name: &str, mut keys: Vec<String>) {
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            self.status.parts.remove(name);
        } else {
            self.status.parts.insert(name.to_owned(), keys);
        }
    }

    /// A refusal of an entry; where it names a field that the API has a catalogue of, with what exists.
    async fn explain(&mut self, link: &Link, entries: &Entries, error: ApiError) -> Stop {
        let names_it =
            |c: &&Catalogue| matches!(&error, ApiError::Refused(r) if r.fields.iter().any(|f| f.field == c.field));
        let Some(catalogue) = entries.catalogue.as_ref().filter(names_it) else { return Self::stop(link, error) };
        let names = match self.send(link, Call::new(Method::GET, &catalogue.path)).await {
            Ok(Some(answer)) => (catalogue.names)(&answer),
            _ => Vec::new(),
        };
        match Self::stop(link, error) {
            Stop::Halt(halt) if !names.is_empty() => {
                let message = format!("{}; the API knows: {}", halt.message, names.join(", "));
                Stop::Halt(Halt { message, ..halt })
            }
            stop => stop,
        }
    }
}

/// The id of a person, if they are there.
///
/// # Errors
/// [`ApiError`] where it cannot be known.
pub(super) async fn look_up(
    link: &Link,
    lookup: &Lookup,
    written: &str,
    counter: &mut u32,
) -> Result<Option<String>, ApiError> {
    let filter = link.api().equals_query(lookup.field, written);
    let items = link.list(&lookup.path, filter.as_deref(), counter).await?;
    let found = items.iter().find(|item| item[lookup.field].as_str().is_some_and(|v| v.eq_ignore_ascii_case(written)));
    Ok(found.and_then(|item| link.api().id(item)).map(str::to_owned))
}
