//! `cargo xtask simulate`: many worlds, on all cores.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    io::{IsTerminal, Write, stderr},
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
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
use portico_simulation::{
    Outcome,
    aim::{Aim, aimed},
    coverage::{Coverage, Point},
    draw::draw,
    plan::{Millis, Plan},
    run,
    seen::Violation,
    shrink::shrink,
};

/// A third of the time of a world went to the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So often the progress is shown: to a person, and to a file.
const PROGRESS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];
/// A world that takes longer than this on a real clock hangs: its own time stands still.
const LONGEST: Duration = Duration::from_secs(120);
/// More failing worlds than these are only counted.
const MOST_SHOWN: usize = 1_000;
/// More blanks than these are only counted.
const MOST_BLANKS: usize = 50;
/// Aimed crashes bring about requests that nobody has seen before, which are aimed at next, but not for ever.
const MOST_ROUNDS: usize = 10;

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
    /// Leave the crash points that no world has drawn as they are. Otherwise the world in which such a request was sent is run again, with a
    /// crash there; but not for a single seed.
    #[arg(long)]
    no_aim: bool,
    /// A crash besides those that are drawn, as failing worlds name it: "before 1234 remote Portal create create-portal".
    #[arg(long)]
    crash: Vec<Aim>,
    /// Write the table of all crash points into a file.
    #[arg(long)]
    table: Option<PathBuf>,
}

/// Which world: those without aimed crashes come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Which {
    crashes: Vec<Aim>,
    seed: u64,
}

impl Which {
    fn plan(&self, arguments: &Arguments) -> Plan {
        aimed(draw(self.seed, arguments.kind.as_deref()), &self.crashes)
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}", self.seed)?;
        self.crashes.iter().try_for_each(|aim| write!(f, " --crash \"{aim}\""))
    }
}

/// A world that is done.
struct Done {
    which: Which,
    outcome: Outcome,
}

/// Which world a thread is at, and since when.
type At = Mutex<Option<(Which, Instant)>>;

/// What all worlds had to say.
#[derive(Default)]
struct Total {
    worlds: u64,
    requests: u64,
    virtual_seconds: u64,
    coverage: Coverage,
    counts: BTreeMap<&'static str, u64>,
    failed: BTreeMap<Which, Vec<Violation>>,
    /// The simplest world in which each crash point was seen, and when.
    sights: BTreeMap<Point, (Which, Millis)>,
}

impl Total {
    fn add(&mut self, Done { which, outcome }: Done) {
        for (point, counts) in outcome.coverage.points() {
            let Some(at) = counts.first else { continue };
            match self.sights.get_mut(point) {
                Some((known, _)) if *known <= which => {}
                Some(sight) => *sight = (which.clone(), at),
                None => drop(self.sights.insert(point.clone(), (which.clone(), at))),
            }
        }
        self.worlds += 1;
        self.requests += outcome.requests;
        self.virtual_seconds += outcome.lasted / 1000;
        self.coverage.merge(&outcome.coverage);
        for (law, count) in outcome.counts {
            *self.counts.entry(law).or_default() += count;
        }
        if !outcome.violations.is_empty() {
            // Who watches a long search need not wait for its end to look into this one.
            eprintln!("\n{which}: {}", in_short(&outcome.violations));
            self.failed.insert(which, outcome.violations);
        }
    }

    /// The worlds that fill the blanks: each as it was, with one crash more.
    fn aims(&self) -> Vec<Which> {
        let aims = self.coverage.missing().filter_map(|(point, after)| {
            let (Which { crashes, seed }, at) = self.sights.get(point)?;
            let aim = Aim { point: point.clone(), at: *at, after };
            let crashes = crashes.iter().cloned().chain([aim]).collect();
            Some(Which { crashes, seed: *seed })
        });
        aims.collect()
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
    let mut total = Total::default();
    let end = arguments.from + u64::from(arguments.seeds.get());
    search(&arguments, jobs, started, &mut total, &|number| {
        let seed = arguments.from.saturating_add(number);
        (seed < end).then(|| Which { crashes: arguments.crash.clone(), seed })
    });
    if !arguments.no_aim && arguments.seeds.get() > 1 {
        fill(&arguments, jobs, started, &mut total);
    }
    let failed = report(&arguments, &total, started);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Crashes wherever no crash was drawn.
fn fill(arguments: &Arguments, jobs: usize, started: Instant, total: &mut Total) {
    let mut tried = BTreeSet::new();
    for _ in 0..MOST_ROUNDS {
        let aims: Vec<Which> = total.aims().into_iter().filter(|which| tried.insert(which.clone())).collect();
        if aims.is_empty() {
            return;
        }
        search(arguments, jobs, started, total, &|number| aims.get(usize::try_from(number).ok()?).cloned());
    }
}

/// Runs worlds, numbered from 0 until there is none, each on one of `jobs` threads.
fn search(
    arguments: &Arguments,
    jobs: usize,
    started: Instant,
    total: &mut Total,
    worlds: &(dyn Fn(u64) -> Option<Which> + Sync),
) {
    let next = AtomicU64::new(0);
    let at: Vec<At> = (0..jobs).map(|_| Mutex::new(None)).collect();
    let (outlet, results) = mpsc::channel();
    thread::scope(|scope| {
        for place in &at {
            let (outlet, next) = (outlet.clone(), &next);
            scope.spawn(move || {
                while let Some(which) = worlds(next.fetch_add(1, Ordering::Relaxed)) {
                    *held(place) = Some((which.clone(), Instant::now()));
                    let outcome = run(&which.plan(arguments), arguments.trace);
                    if outlet.send(Done { which, outcome }).is_err() {
                        break;
                    }
                }
                *held(place) = None;
            });
        }
        drop(outlet);
        collect(arguments, &results, &at, started, total);
    });
}

fn collect(arguments: &Arguments, results: &Receiver<Done>, at: &[At], started: Instant, total: &mut Total) {
    let is_terminal = stderr().is_terminal();
    let interval = PROGRESS[usize::from(!is_terminal)];
    let mut shown = Instant::now();
    loop {
        match results.recv_timeout(interval) {
            Ok(done) => {
                if arguments.trace {
                    println!("{}{}\n", done.which.plan(arguments), done.outcome.trace.join("\n"));
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
}

/// A thread in an endless loop cannot be ended; the process can.
fn stop_where_one_hangs(at: &[At]) {
    for place in at {
        let Some((which, since)) = held(place).clone() else { continue };
        if since.elapsed() > LONGEST {
            eprintln!("\n{which} hangs: after {LONGEST:?} its world has not ended, and its time may stand still");
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
    report_crashes(arguments, &total.coverage);
    if total.failed.is_empty() {
        println!("\nno law was broken");
        return false;
    }
    println!("\n{} worlds in which a law was broken:", total.failed.len());
    for (which, violations) in total.failed.iter().take(MOST_SHOWN) {
        println!("  {which}: {}", in_short(violations));
    }
    let mut laws: BTreeMap<&'static str, &Which> = BTreeMap::new();
    for (which, violations) in &total.failed {
        for violation in violations {
            laws.entry(violation.law).or_insert(which);
        }
    }
    for (law, which) in laws {
        show(arguments, law, which);
    }
    true
}

/// Prints how many crashes were drawn and which were not, and the whole table where it is wanted.
fn report_crashes(arguments: &Arguments, coverage: &Coverage) {
    let (drawn, all) = coverage.drawn();
    println!("\ncrash points: {drawn} of {all} were drawn");
    match &arguments.table {
        None => println!("\n{}", coverage.table()),
        Some(file) => match fs::write(file, coverage.table()) {
            Ok(()) => println!("their table is in {}", file.display()),
            Err(error) => eprintln!("the table cannot be written to {}: {error}", file.display()),
        },
    }
    let blanks = coverage.blanks();
    if blanks.is_empty() {
        println!("there are no blanks");
        return;
    }
    let shown = blanks.iter().take(MOST_BLANKS).map(String::as_str).collect::<Vec<_>>().join("\n  ");
    println!("{} blanks:\n  {shown}", blanks.len());
    if blanks.len() > MOST_BLANKS {
        println!("  and {} more", blanks.len() - MOST_BLANKS);
    }
}

/// The first line of the first violation, and which laws were broken besides.
fn in_short(violations: &[Violation]) -> String {
    let first = violations.first().map(ToString::to_string).unwrap_or_default();
    let first = first.lines().next().unwrap_or_default();
    let laws: BTreeSet<&str> = violations.iter().map(|violation| violation.law).collect();
    if laws.len() < 2 {
        return first.to_owned();
    }
    format!("{first} [{}]", laws.into_iter().collect::<Vec<_>>().join(", "))
}

/// Prints one world that breaks a law, as small as it can be made.
fn show(arguments: &Arguments, law: &'static str, which: &Which) {
    let plan = which.plan(arguments);
    let (plan, outcome) = if arguments.no_shrink {
        let outcome = run(&plan, true);
        (plan, outcome)
    } else {
        shrink(&plan, law)
    };
    println!("\n== {law}, first seen with {which}\n");
    println!("{plan}\nbefore:");
    for manifest in &plan.before {
        println!("  {manifest}");
    }
    println!("\n{}\n", outcome.trace.join("\n"));
    for violation in outcome.violations.iter().filter(|violation| violation.law == law) {
        println!("{violation}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(law: &'static str, what: &str) -> Violation {
        Violation { law, at: 7, what: what.to_owned() }
    }

    #[test]
    fn a_failing_world_is_one_line() {
        let one = violation("law 2", "this\nand more");
        assert_eq!(in_short(std::slice::from_ref(&one)), "law 2 at 7 ms: this");
        assert_eq!(in_short(&[one, violation("law 1", "that")]), "law 2 at 7 ms: this [law 1, law 2]");
    }

    #[test]
    fn worlds_without_aimed_crashes_come_first_and_others_say_how_to_see_them_again() {
        let aim: Aim = "before 12 remote Portal create create-portal".parse().expect("it is an aim");
        let (plain, crashed) = (Which { crashes: Vec::new(), seed: 9 }, Which { crashes: vec![aim], seed: 2 });
        assert!(plain < crashed);
        assert_eq!(crashed.to_string(), "seed 2 --crash \"before 12 remote Portal create create-portal\"");
    }

    #[test]
    fn a_blank_is_aimed_at_in_the_world_where_it_was_seen() {
        let aim: Aim = "after 12 remote Portal create create-portal".parse().expect("it is an aim");
        let mut total = Total::default();
        total.coverage.saw(&aim.point, 12);
        total.coverage.crashed(&aim.point, false);
        total.sights.insert(aim.point.clone(), (Which { crashes: Vec::new(), seed: 3 }, 12));
        assert_eq!(total.aims(), [Which { crashes: vec![aim], seed: 3 }]);
    }
}
