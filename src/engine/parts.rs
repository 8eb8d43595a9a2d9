//! Lists that belong to an object and have operations of their own: roles, members, groups.
use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    done::Done,
    kubernetes::Precondition,
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
        let (mut unbound, mut adds) = (Vec::new(), Vec::new());
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
            // Who could not be added yet when the spec was accepted is no drift: nobody took them away.
            if corrects || (resolved.writes && !named.contains(key)) {
                adds.push((key, body));
            } else {
                done.differences.push(entries.lacks(key));
            }
        }
        let added: Vec<&String> = adds.iter().map(|(key, _)| *key).collect();
        self.announce_entries(entries.name, &added).await?;
        for (key, body) in adds {
            match self.send(&link, Call::new(Method::POST, &entries.path).body(&Value::Object(body))).await {
                // Someone else was quicker: it is there.
                Ok(_) => {}
                Err(ApiError::Refused(refusal)) if refusal.status == 409 => {}
                Err(error) => return Err(self.explain(&link, entries, error).await),
            }
            // Only what was there once can have been taken away.
            if was_accepted && !done.created && named.contains(key) {
                done.corrected.push(entries.lacks(key));
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
        let absent = named.iter().filter(|key| resolved.writes && !wanted.contains(key) && !there.contains_key(*key));
        let late = self.late_entries(&link, absent, done);
        if corrects {
            let bound = wanted.into_iter().filter(|key| !unbound.contains(key));
            self.remember_part(entries.name, bound.chain(late).collect());
        } else if resolved.writes {
            // Who has left altogether was not taken away, and is added when they come back. Who has left the spec and the list is not ours.
            let is_ours = |key: &&String| wanted.contains(key) || there.contains_key(*key) || late.contains(key);
            let ours = self.status.parts.get(entries.name).into_iter().flatten();
            let ours = ours.filter(is_ours).filter(|key| !unbound.contains(key)).cloned().collect();
            self.remember_part(entries.name, ours);
        }
        if let (Some(lookup), false) = (&entries.lookup, entries.wanted.is_empty()) {
            let missing = done.unbound.get_or_insert_default();
            if !unbound.is_empty() {
                missing.push(format!("{} {}", lookup.missing, unbound.join(", ")));
            }
        }
        Ok(())
    }

    /// Writes down what is about to be added, before it is sent: what was added by a pass that then failed, or by a process that then
    /// crashed, must be known as ours, or it would stay for ever once it has left the spec.
    async fn announce_entries(&mut self, name: &str, keys: &[&String]) -> Result<(), Stop> {
        let mut ours = self.status.parts.get(name).cloned().unwrap_or_default();
        ours.extend(keys.iter().copied().cloned());
        self.remember_part(name, ours);
        let stored = self.object.status().parts.remove(name).unwrap_or_default();
        if keys.iter().all(|key| stored.contains(key)) {
            return Ok(());
        }
        self.write_status(Precondition::Version).await
    }

    /// Entries that have left the spec and are not there: what added them may still take effect unseen, and they are known as ours until
    /// it cannot any more.
    pub(super) fn late_entries<'k>(
        &self,
        link: &Link,
        absent: impl Iterator<Item = &'k String>,
        done: &mut Done,
    ) -> Vec<String> {
        let absent: Vec<String> = absent.cloned().collect();
        if absent.is_empty() {
            return absent;
        }
        let (generation, window) = (self.generation, self.window(link));
        let due = self.engine.remember(self.object.uid(), |memory| match memory.entries {
            Some((of, due)) if of == generation => due,
            _ => memory.entries.insert((generation, Instant::now() + window)).1,
        });
        if due <= Instant::now() {
            return Vec::new();
        }
        done.look_again(Some(due));
        absent
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
            if resolved.writes {
                self.remember_part(row.name, row.wanted.clone());
            }
            return Ok(());
        };
        // Groups that could not be bound yet when the spec was accepted are no drift.
        let sent = self.status.parts.get(row.name).cloned().unwrap_or_default();
        let sent: BTreeSet<&String> = sent.iter().collect();
        let was_sent = sent == row.wanted.iter().collect::<BTreeSet<_>>();
        if !corrects && (was_sent || !resolved.writes) {
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
    let found = |items: Vec<Value>| {
        let is_it = |item: &&Value| item[lookup.field].as_str().is_some_and(|v| v.eq_ignore_ascii_case(written));
        items.iter().find(is_it).and_then(|item| link.api().id(item)).map(str::to_owned)
    };
    for called in spellings(written) {
        let filter = link.api().equals_query(lookup.field, &called);
        if let Some(id) = found(link.list(&lookup.path, filter.as_deref(), counter).await?) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// How a person's address may stand at the API, whose filter tells capitals from small letters: as the user wrote it, or in small letters.
pub(super) fn spellings(written: &str) -> impl Iterator<Item = String> {
    let small = Some(written.to_lowercase()).filter(|small| small != written);
    std::iter::once(written.to_owned()).chain(small)
}
