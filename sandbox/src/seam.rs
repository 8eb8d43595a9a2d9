//! Where time and chance come from: nothing else in the sandbox asks a clock what time it is, or draws lots.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::{Builder, Uuid};

use crate::world::stamp;

/// What time it is, for what the sandbox shows and compares. What takes its time takes it on tokio's clock either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// The system's.
    #[default]
    System,
    /// Tokio's, which is virtual where it is paused. The sandbox must then be made within a runtime.
    Tokio {
        /// What time it is when the sandbox is made.
        start: DateTime<Utc>,
    },
}

/// The same seed and clock, and the same calls in the same order, give the same answers.
pub(crate) struct Seam {
    clock: Clock,
    begun: Instant,
    /// Locked for one draw at a time, so that it can be used under any other lock.
    random: Mutex<fastrand::Rng>,
}

impl Seam {
    /// Without a seed the operating system gives one.
    pub(crate) fn new(clock: Clock, seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(|| {
            // A random UUID has bits that are always the same; what stands in them is random once the halves are mixed.
            let (high, low) = Uuid::new_v4().as_u64_pair();
            high ^ low
        });
        Self { clock, begun: Instant::now(), random: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }

    /// What time it is.
    pub(crate) fn time(&self) -> DateTime<Utc> {
        match self.clock {
            Clock::System => Utc::now(),
            Clock::Tokio { start } => start + self.begun.elapsed(),
        }
    }

    /// The time as the APIs show it.
    pub(crate) fn now(&self) -> String {
        stamp(self.time())
    }

    pub(crate) fn uuid(&self) -> Uuid {
        Builder::from_random_bytes(self.draw(|random| random.u128(..)).to_be_bytes()).into_uuid()
    }

    /// A new id as the API makes them.
    pub(crate) fn fresh_id(&self) -> String {
        self.uuid().to_string()
    }

    /// A new object with id and times, and then these members.
    pub(crate) fn fresh(&self, members: Value) -> Value {
        let time = self.now();
        let mut body = json!({"id": self.fresh_id(), "created_at": time, "updated_at": time});
        if let (Value::Object(body), Value::Object(members)) = (&mut body, members) {
            body.extend(members);
        }
        body
    }

    /// A fresh trace id as Kong words them.
    pub(crate) fn trace(&self) -> String {
        format!("kong:trace:{}", self.draw(|random| random.u64(1_000_000_000_000_000_000..)))
    }

    /// So many random bytes.
    pub(crate) fn bytes(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.draw(|random| random.fill(&mut bytes));
        bytes
    }

    /// So many random letters of an alphabet.
    pub(crate) fn letters(&self, alphabet: &[u8], count: usize) -> String {
        self.draw(|random| (0..count).map(|_| char::from(alphabet[random.usize(..alphabet.len())])).collect())
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_drawn_follows_from_the_seed_alone() {
        let drawn = |seed: Option<u64>| {
            let seam = Seam::new(Clock::System, seed);
            (seam.fresh_id(), seam.trace(), seam.bytes(5), seam.letters(b"abc", 20))
        };
        assert_eq!(drawn(Some(7)), drawn(Some(7)));
        assert_ne!(drawn(Some(7)), drawn(Some(8)));
        assert_ne!(drawn(None), drawn(None));
    }

    #[test]
    fn an_id_is_a_random_uuid_and_never_comes_twice() {
        let seam = Seam::new(Clock::System, Some(1));
        let ids: BTreeSet<Uuid> = (0..1000).map(|_| seam.uuid()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.get_version_num() == 4));
    }

    #[test]
    fn time_starts_where_it_is_told_to() {
        let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().expect("a time");
        let time = Seam::new(Clock::Tokio { start }, None).time();
        assert!((time - start).num_minutes() == 0 && time >= start, "{time}");
        assert!((Utc::now() - Seam::new(Clock::System, None).time()).num_minutes() == 0);
    }
}
