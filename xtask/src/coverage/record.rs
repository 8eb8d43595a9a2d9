//! What the record of a test run says of each operation: how often it was called, by whom, and the answers.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    num::NonZero,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread, vec,
};

use serde::Deserialize;

/// How Portico names itself to the APIs.
const PORTICO: &str = "portico/";

/// Most lines fit in; a longer one only takes more steps.
const BUFFER: usize = 1 << 16;

/// What is read of an exchange. Its bodies, which are most of it, are skipped and never kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exchange {
    operation: Option<String>,
    status: Option<u16>,
    request_headers: Headers,
}

#[derive(Deserialize)]
struct Headers {
    #[serde(rename = "user-agent")]
    user_agent: Option<String>,
}

/// Status → how often it was the answer; `None` stands for no answer.
pub(super) type Statuses = BTreeMap<Option<u16>, u64>;

/// The calls of one operation.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) by_portico: Statuses,
    /// By strangers, that is by tests.
    pub(super) by_others: Statuses,
}

impl Calls {
    /// Whether a call succeeded: a refusal shows nothing of what an operation does.
    pub(super) fn ran(&self) -> bool {
        self.ran_by_portico() || succeeded(&self.by_others)
    }

    pub(super) fn ran_by_portico(&self) -> bool {
        succeeded(&self.by_portico)
    }

    /// All answers, whoever called.
    pub(super) fn statuses(&self) -> Statuses {
        let mut all = self.by_portico.clone();
        add(&mut all, &self.by_others);
        all
    }
}

/// A whole record.
#[derive(Default)]
pub(super) struct Record {
    pub(super) files: u64,
    pub(super) exchanges: u64,
    /// Exchanges with a path that is no operation's.
    pub(super) nameless: u64,
    pub(super) operations: BTreeMap<String, Calls>,
}

impl Record {
    fn count(&mut self, exchange: Exchange) {
        self.exchanges += 1;
        let Some(operation) = exchange.operation else {
            self.nameless += 1;
            return;
        };
        let calls = self.operations.entry(operation).or_default();
        let by_portico = exchange.request_headers.user_agent.is_some_and(|agent| agent.starts_with(PORTICO));
        let statuses = if by_portico { &mut calls.by_portico } else { &mut calls.by_others };
        *statuses.entry(exchange.status).or_default() += 1;
    }

    fn merge(&mut self, other: Self) {
        self.files += other.files;
        self.exchanges += other.exchanges;
        self.nameless += other.nameless;
        for (operation, calls) in other.operations {
            let known = self.operations.entry(operation).or_default();
            add(&mut known.by_portico, &calls.by_portico);
            add(&mut known.by_others, &calls.by_others);
        }
    }

    /// Counts the exchanges of one file, a line at a time.
    fn take(&mut self, mut lines: impl BufRead, name: &str) -> Result<(), String> {
        self.files += 1;
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            lines.read_until(b'\n', &mut line).map_err(|error| format!("cannot read {name}: {error}"))?;
            if line.is_empty() {
                break;
            }
            match serde_json::from_slice(&line) {
                Ok(exchange) => self.count(exchange),
                // Whoever wrote it was stopped in the middle of it.
                Err(_) if !line.ends_with(b"\n") => break,
                Err(error) => return Err(format!("{name}, line {number} is not an exchange: {error}")),
            }
        }
        Ok(())
    }
}

/// Reads the files side by side, one a core: the record of a full run has hundreds of megabytes.
pub(super) fn read(files: Vec<PathBuf>) -> Result<Record, String> {
    let readers = thread::available_parallelism().map_or(1, NonZero::get).min(files.len());
    let queue = Mutex::new(files.into_iter());
    thread::scope(|scope| {
        let running: Vec<_> = (0..readers).map(|_| scope.spawn(|| read_some(&queue))).collect();
        let mut all = Record::default();
        for reader in running {
            all.merge(reader.join().map_err(|_| "reading the record panicked".to_owned())??);
        }
        Ok(all)
    })
}

/// Reads the next file until there is none.
fn read_some(queue: &Mutex<vec::IntoIter<PathBuf>>) -> Result<Record, String> {
    let mut record = Record::default();
    while let Some(path) = next(queue) {
        let name = path.display().to_string();
        let file = File::open(&path).map_err(|error| format!("cannot read {name}: {error}"))?;
        record.take(BufReader::with_capacity(BUFFER, file), &name)?;
    }
    Ok(record)
}

/// A function of its own, so that the lock is free while the file is read.
fn next(queue: &Mutex<vec::IntoIter<PathBuf>>) -> Option<PathBuf> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).next()
}

fn succeeded(statuses: &Statuses) -> bool {
    statuses.keys().flatten().any(|status| (200..300).contains(status))
}

fn add(sum: &mut Statuses, more: &Statuses) {
    for (status, count) in more {
        *sum.entry(*status).or_default() += count;
    }
}

/// The record of these lines.
#[cfg(test)]
pub(super) fn of_lines(lines: &str) -> Result<Record, String> {
    let mut record = Record::default();
    record.take(lines.as_bytes(), "record.jsonl")?;
    Ok(record)
}

/// A line of a record.
#[cfg(test)]
pub(super) fn line(operation: Option<&str>, agent: Option<&str>, status: Option<u16>) -> String {
    let mut exchange = serde_json::json!({
        "at": "2026-01-01T00:00:00.000000Z", "api": "konnect", "operation": operation, "method": "GET",
        "url": "http://127.0.0.1/", "requestHeaders": {"accept": "*/*"}, "requestBody": {"operation": "not this one"},
        "status": status, "responseHeaders": {}, "responseBody": {"data": [{"status": "approved"}]},
    });
    if let Some(agent) = agent {
        exchange["requestHeaders"]["user-agent"] = serde_json::json!(agent);
    }
    format!("{exchange}\n")
}

#[cfg(test)]
mod tests {
    use super::{Record, Statuses, line, of_lines};

    #[test]
    fn calls_are_told_apart_by_who_made_them_and_by_their_answers() {
        let lines = [
            line(Some("get-portal"), Some("portico/0.1.0"), Some(200)),
            line(Some("get-portal"), Some("portico/0.1.0"), None),
            line(Some("get-portal"), Some("curl/8"), Some(404)),
            line(Some("get-portal"), None, Some(200)),
            line(Some("delete-portal"), Some("portico/0.1.0"), Some(403)),
            line(None, None, Some(404)),
        ];
        let record = of_lines(&lines.concat()).expect("every line is an exchange");
        assert_eq!((record.files, record.exchanges, record.nameless), (1, 6, 1));
        let get = &record.operations["get-portal"];
        assert_eq!(get.by_portico, Statuses::from([(None, 1), (Some(200), 1)]));
        assert_eq!(get.by_others, Statuses::from([(Some(200), 1), (Some(404), 1)]));
        assert_eq!(get.statuses(), Statuses::from([(None, 1), (Some(200), 2), (Some(404), 1)]));
        assert!(get.ran() && get.ran_by_portico());
        let delete = &record.operations["delete-portal"];
        assert!(!delete.ran(), "it was only refused");
    }

    #[test]
    fn a_line_that_was_cut_off_at_the_end_is_left_out_and_any_other_is_named() {
        let whole = line(Some("get-portal"), None, Some(200));
        let cut = &whole[..whole.len() / 2];
        assert_eq!(of_lines(&format!("{whole}{cut}")).expect("the end does not count").exchanges, 1);
        let reason = of_lines(&format!("{whole}{cut}\n{whole}")).err().expect("the second line is none");
        assert!(reason.starts_with("record.jsonl, line 2 is not an exchange: "), "{reason}");
    }

    #[test]
    fn records_add_up() {
        let mut all = Record::default();
        for agent in ["portico/0.1.0", "curl/8"] {
            all.merge(of_lines(&line(Some("get-portal"), Some(agent), Some(200))).expect("an exchange"));
        }
        assert_eq!((all.files, all.exchanges), (2, 2));
        assert_eq!(all.operations["get-portal"].statuses(), Statuses::from([(Some(200), 2)]));
    }
}
