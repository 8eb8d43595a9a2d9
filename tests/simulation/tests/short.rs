//! A short search, as a part of `cargo xtask test`: no law is broken, and every world goes the same way twice.
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use portico_simulation::{draw::draw, run};

/// The seeds are always the same: a failure here is a failure of the change.
const FIRST: u64 = 1;
/// As many worlds.
const WORLDS: u64 = 150;

#[test]
fn no_law_is_broken() {
    each(|seed| {
        let outcome = run(&draw(seed, None), false);
        assert!(outcome.requests > 0, "seed {seed}: nobody did anything");
        let found: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
        assert!(
            found.is_empty(),
            "seed {seed} breaks laws; see `cargo xtask simulate --seeds 1 --from {seed}`:\n{}",
            found.join("\n")
        );
    });
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    each(twice);
}

/// Looks at every world, on all cores.
fn each(look: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(FIRST);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let _stops = StopsAll(&next);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= FIRST + WORLDS {
                        break;
                    }
                    look(seed);
                }
            });
        }
    });
}

/// Where one world fails the other threads need not go on.
struct StopsAll<'n>(&'n AtomicU64);

impl Drop for StopsAll<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(FIRST + WORLDS, Ordering::Relaxed);
        }
    }
}

fn twice(seed: u64) {
    let plan = draw(seed, None);
    assert_eq!(plan.to_string(), draw(seed, None).to_string(), "seed {seed} does not always mean the same plan");
    let (one, other) = (run(&plan, true), run(&plan, true));
    let differs = one.trace.iter().zip(&other.trace).position(|(one, other)| one != other);
    if let Some(line) = differs {
        let around = line.saturating_sub(5);
        panic!(
            "seed {seed} went another way at line {line}:\n{}\n--\n{}",
            one.trace[around..=line].join("\n"),
            other.trace[around..=line].join("\n")
        );
    }
    assert_eq!(one.trace.len(), other.trace.len(), "seed {seed} went on longer");
    assert_eq!(one.digest, other.digest, "seed {seed}");
}
