//! What happens in a world, line by line; or only a digest of it.
use std::{
    collections::hash_map::DefaultHasher,
    fmt::{self, Write as _},
    hash::{Hash, Hasher},
    io,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use crate::{plan::Millis, world::lock};

/// Longer bodies are cut; their digest is of the whole.
const LONGEST_BODY: usize = 160;

/// What happens in a world. Clones share it.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<Inner>>);

struct Inner {
    lines: Option<Vec<String>>,
    digest: DefaultHasher,
    line: String,
}

impl Trace {
    /// An empty one, which keeps its lines or forgets them.
    #[must_use]
    pub fn new(keep: bool) -> Self {
        let inner = Inner { lines: keep.then(Vec::new), digest: DefaultHasher::new(), line: String::new() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Adds a line.
    pub fn note(&self, at: Millis, what: fmt::Arguments<'_>) {
        let mut inner = lock(&self.0);
        let Inner { lines, digest, line } = &mut *inner;
        line.clear();
        // Writing to a String cannot fail.
        let _ = write!(line, "{:>6}.{:03} {what}", at / 1000, at % 1000);
        digest.write(line.as_bytes());
        digest.write_u8(b'\n');
        if let Some(lines) = lines {
            lines.push(line.clone());
        }
    }

    /// The lines so far; none where they are not kept.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        lock(&self.0).lines.clone().unwrap_or_default()
    }

    /// What all lines have in common with those of another world that went the same way: this number.
    #[must_use]
    pub fn digest(&self) -> u64 {
        lock(&self.0).digest.finish()
    }
}

/// A body in a line: as JSON, cut, and a digest of the whole where it was cut. Nothing for null.
pub struct Short<'a>(pub &'a Value);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_null() {
            return Ok(());
        }
        let mut head = Head(Vec::with_capacity(LONGEST_BODY));
        let whole = serde_json::to_writer(&mut head, self.0).is_ok();
        write!(f, " {}", String::from_utf8_lossy(&head.0))?;
        if whole {
            return Ok(());
        }
        let mut digest = DefaultHasher::new();
        self.0.hash(&mut digest);
        write!(f, "… #{:08x}", digest.finish() >> 32)
    }
}

/// Takes the beginning of what is written, and then fails.
struct Head(Vec<u8>);

impl io::Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LONGEST_BODY - self.0.len();
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_bodies_are_cut_and_still_told_apart() {
        let long = |last: u32| json!([(0..100).collect::<Vec<u32>>(), last]);
        let (one, other) = (Short(&long(1)).to_string(), Short(&long(2)).to_string());
        assert_ne!(one, other);
        assert!(one.chars().count() <= LONGEST_BODY + 14, "{one}");
        assert_eq!(Short(&json!({"a": 1})).to_string(), " {\"a\":1}");
        assert_eq!(Short(&Value::Null).to_string(), "");
    }

    #[test]
    fn the_digest_is_the_same_whether_or_not_lines_are_kept() {
        let [kept, forgotten] = [true, false].map(|keep| {
            let trace = Trace::new(keep);
            trace.note(1234, format_args!("GET /"));
            trace
        });
        assert_eq!(kept.digest(), forgotten.digest());
        assert_eq!(kept.lines(), ["     1.234 GET /"]);
        assert!(forgotten.lines().is_empty());
    }
}
