//! `cargo xtask simulate`: many worlds, on all cores.
use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write, stderr},
    num::{NonZeroU32, NonZeroUsize},
    process::ExitCode,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use portico_simulation::{Outcome, coverage::Coverage, draw::draw, run, seen::Violation, shrink::shrink};

/// So often the progress is shown: to a person, and to a file.
const PROGRESS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];
/// A world that takes longer than this on a real clock hangs: its own time stands still.
const LONGEST: Duration = Duration::from_secs(120);
/// More failing seeds than these are only counted.
const MOST_SHOWN: usize = 20;

/// Runs worlds drawn from seeds, and looks whether every law holds in them. Exits with 1 where one does not.
#[derive(Parser)]
#[command(name = "cargo xtask simulate", bin_name = "cargo xtask simulate")]
struct Arguments {
    /// How many worlds.
    #[arg(long, default_value = "1000")]
    seeds: NonZeroU32,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Only worlds about this kind, such as PortalTeam.
    #[arg(long)]
    kind: Option<String>,
    /// Print what happens in every world, request by request.
    #[arg(long)]
    trace: bool,
    /// How many worlds at once. Left out: as many as there are cores.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Show failing worlds as they were drawn: shrinking takes a while.
    #[arg(long)]
    no_shrink: bool,
}

/// A world that is done.
struct Done {
    seed: u64,
    outcome: Outcome,
}

/// What all worlds had to say.
#[derive(Default)]
struct Total {
    worlds: u64,
    requests: u64,
    virtual_seconds: u64,
    coverage: Coverage,
    counts: BTreeMap<&'static str, u64>,
    /// By seed.
    failed: BTreeMap<u64, Vec<Violation>>,
}

impl Total {
    fn add(&mut self, Done { seed, outcome }: Done) {
        self.worlds += 1;
        self.requests += outcome.requests;
        self.virtual_seconds += outcome.lasted / 1000;
        self.coverage.merge(&outcome.coverage);
        for (law, count) in outcome.counts {
            *self.counts.entry(law).or_default() += count;
        }
        if !outcome.violations.is_empty() {
            self.failed.insert(seed, outcome.violations);
        }
    }

    fn speed(&self, started: Instant) -> String {
        let seconds = started.elapsed().as_secs_f64().max(0.001);
        let (drawn, all) = self.coverage.drawn();
        format!(
            "{} worlds, {}/s; {} requests, {}/s; {drawn} of {all} crash points; {} failed",
            self.worlds,
            per_second(self.worlds, seconds),
            self.requests,
            per_second(self.requests, seconds),
            self.failed.len()
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts that far")]
fn per_second(count: u64, seconds: f64) -> String {
    format!("{:.1}", count as f64 / seconds)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let jobs = arguments.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let started = Instant::now();
    let total = search(&arguments, jobs, started);
    let failed = report(&arguments, &total, started);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs all worlds, each on one of `jobs` threads.
fn search(arguments: &Arguments, jobs: usize, started: Instant) -> Total {
    let end = arguments.from + u64::from(arguments.seeds.get());
    let next = AtomicU64::new(arguments.from);
    // Which seed each thread is at, and since when.
    let at: Vec<Mutex<(u64, Instant)>> = (0..jobs).map(|_| Mutex::new((0, Instant::now()))).collect();
    let (outlet, results) = mpsc::channel();
    thread::scope(|scope| {
        for place in &at {
            let (outlet, next) = (outlet.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    *held(place) = (seed, Instant::now());
                    let outcome = run(&draw(seed, arguments.kind.as_deref()), arguments.trace);
                    if outlet.send(Done { seed, outcome }).is_err() {
                        break;
                    }
                }
                *held(place) = (u64::MAX, Instant::now());
            });
        }
        drop(outlet);
        collect(arguments, &results, &at, started)
    })
}

fn collect(arguments: &Arguments, results: &Receiver<Done>, at: &[Mutex<(u64, Instant)>], started: Instant) -> Total {
    let mut total = Total::default();
    let is_terminal = stderr().is_terminal();
    let interval = PROGRESS[usize::from(!is_terminal)];
    let mut shown = Instant::now();
    loop {
        match results.recv_timeout(interval) {
            Ok(done) => {
                if arguments.trace {
                    println!("{}{}\n", draw(done.seed, arguments.kind.as_deref()), done.outcome.trace.join("\n"));
                }
                total.add(done);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if shown.elapsed() >= interval {
            shown = Instant::now();
            let (start, end) = if is_terminal { ("\r", "\x1b[K") } else { ("", "\n") };
            // Progress that nobody can see is no reason to stop.
            let _ = write!(stderr(), "{start}{}{end}", total.speed(started));
            stop_where_one_hangs(at);
        }
    }
    if is_terminal {
        let _ = write!(stderr(), "\r\x1b[K");
    }
    total
}

/// A thread in an endless loop cannot be ended; the process can.
fn stop_where_one_hangs(at: &[Mutex<(u64, Instant)>]) {
    for place in at {
        let (seed, since) = *held(place);
        if seed != u64::MAX && since.elapsed() > LONGEST {
            eprintln!("\nseed {seed} hangs: after {LONGEST:?} its world has not ended, and its time may stand still");
            std::process::exit(1);
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints what was found; true where a law was broken.
fn report(arguments: &Arguments, total: &Total, started: Instant) -> bool {
    println!("{}", total.speed(started));
    println!("{} virtual hours\n", total.virtual_seconds / 3600);
    println!("laws, and how often each was put to the test:");
    for (law, count) in &total.counts {
        println!("  {law:<44} {count}");
    }
    println!("\ncrash points:\n\n{}", total.coverage.table());
    let blanks = total.coverage.blanks();
    if blanks.is_empty() {
        println!("every one of them was drawn");
    } else {
        println!("{} blanks:\n  {}", blanks.len(), blanks.join("\n  "));
    }
    if total.failed.is_empty() {
        println!("\nno law was broken");
        return false;
    }
    println!("\n{} worlds in which a law was broken:", total.failed.len());
    for (seed, violations) in total.failed.iter().take(MOST_SHOWN) {
        println!("  seed {seed}");
        for violation in violations.iter().take(3) {
            println!("    {violation}");
        }
    }
    let mut laws: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (seed, violations) in &total.failed {
        for violation in violations {
            laws.entry(violation.law).or_insert(*seed);
        }
    }
    for (law, seed) in laws {
        show(arguments, law, seed);
    }
    true
}

/// Prints one world that breaks a law, as small as it can be made.
fn show(arguments: &Arguments, law: &'static str, seed: u64) {
    let plan = draw(seed, arguments.kind.as_deref());
    let (plan, outcome) = if arguments.no_shrink {
        let outcome = run(&plan, true);
        (plan, outcome)
    } else {
        shrink(&plan, law)
    };
    println!("\n== {law}, first seen with seed {seed}\n");
    println!("{plan}\nbefore:");
    for manifest in &plan.before {
        println!("  {manifest}");
    }
    println!("\n{}\n", outcome.trace.join("\n"));
    for violation in outcome.violations.iter().filter(|violation| violation.law == law) {
        println!("{violation}");
    }
}
