//! Lists that belong to an object and have operations of their own: roles, members, groups.
use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Value, json};

use super::{
    diff::Difference,
    done::Done,
    part::{Catalogue, Entries, Lookup, Part, Row},
    pass::Pass,
    resolve::Resolved,
    spec::Drift,
    stop::{Halt, Stop},
};
use crate::remote::{ApiError, Call, Link, Segment};

/// What to do about a list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Steps {
    add: Vec<String>,
    /// Keys of entries that are there and should not be.
    remove: Vec<String>,
}

/// Compares what is wanted, what is there, and what this resource ever named. Pure.
fn steps(wanted: &[String], there: &BTreeSet<String>, named: &[String], exclusive: bool) -> Steps {
    let add = wanted.iter().filter(|k| !there.contains(*k)).cloned().collect();
    let remove = there.iter().filter(|k| !wanted.contains(k) && (exclusive || named.contains(k))).cloned().collect();
    Steps { add, remove }
}

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
        let there: BTreeMap<String, String> =
            items.iter().filter_map(|i| Some(((entries.key)(i)?, link.api().id(i)?.to_owned()))).collect();
        let wanted: Vec<String> = entries.wanted.iter().map(|(key, _)| key.clone()).collect();
        let named = self.status.parts.get(entries.name).cloned().unwrap_or_default();
        let steps = steps(&wanted, &there.keys().cloned().collect(), &named, entries.exclusive);
        let was_accepted = self.is_accepted();
        let mut unbound = Vec::new();
        for key in &steps.add {
            let mut body = entries.wanted.iter().find(|(k, _)| k == key).map(|(_, b)| b.clone()).unwrap_or_default();
            if let Some(lookup) = &entries.lookup {
                // The key is in lower case; the API is asked for what the user wrote.
                let written = body.remove(lookup.field).and_then(|v| v.as_str().map(str::to_owned));
                let Some(id) = self.look_up(&link, lookup, written.as_deref().unwrap_or(key)).await? else {
                    unbound.push(key.clone());
                    continue;
                };
                body.insert(lookup.into.to_owned(), id.into());
            }
            let difference =
                Difference { path: vec![entries.name.to_owned(), key.clone()], want: json!(true), found: Value::Null };
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
            let difference =
                Difference { path: vec![entries.name.to_owned(), key.clone()], want: Value::Null, found: json!(true) };
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
        let ours = items.iter().find(|item| item[row.key.0] == row.key.1.as_str());
        let there: BTreeSet<&str> =
            ours.into_iter().filter_map(|i| i[row.field].as_array()).flatten().filter_map(Value::as_str).collect();
        let wanted: BTreeSet<&str> = row.wanted.iter().map(String::as_str).collect();
        if there == wanted {
            if corrects {
                self.remember_part(row.name, row.wanted.clone());
            }
            return Ok(());
        }
        let difference = Difference { path: vec![row.name.to_owned()], want: json!(wanted), found: json!(there) };
        if !corrects {
            done.differences.push(difference);
            return Ok(());
        }
        let body = json!({ "data": [{ row.key.0: row.key.1, row.field: wanted }] });
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

    /// The id of a person, if they are there.
    async fn look_up(&mut self, link: &Link, lookup: &Lookup, key: &str) -> Result<Option<String>, Stop> {
        let filter = link.api().equals_query(lookup.field, key);
        let items =
            link.list(&lookup.path, filter.as_deref(), &mut self.requests).await.map_err(|e| Self::stop(link, e))?;
        let found = items.iter().find(|item| item[lookup.field].as_str().is_some_and(|v| v.eq_ignore_ascii_case(key)));
        Ok(found.and_then(|item| link.api().id(item)).map(str::to_owned))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn strangers_entries_stay_unless_the_list_is_exclusive_and_ours_go_when_they_leave_the_spec() {
        let there: BTreeSet<String> = strings(&["kept", "left", "stranger"]).into_iter().collect();
        let decide = |exclusive| steps(&strings(&["kept", "new"]), &there, &strings(&["kept", "left"]), exclusive);
        assert_eq!(decide(false), Steps { add: strings(&["new"]), remove: strings(&["left"]) });
        assert_eq!(decide(true), Steps { add: strings(&["new"]), remove: strings(&["left", "stranger"]) });
    }
}
