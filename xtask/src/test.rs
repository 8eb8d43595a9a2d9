//! `cargo xtask test`: all that a change must pass, in the order in which failures are cheapest.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    Outcome, deny, generate,
    process::{cargo, run as run_program, succeeds},
};

struct Step {
    name: &'static str,
    run: fn() -> Outcome,
}

const STEPS: [Step; 6] = [
    Step { name: "formatting", run: formatting },
    Step { name: "lints", run: lints },
    Step { name: "generated files", run: generate::check },
    Step { name: "dependencies", run: deny::check },
    Step { name: "control plane", run: control_plane },
    Step { name: "tests", run: tests },
];

/// Runs the steps, and fails if one of them does. Without `keep_going` the first failure is the last step.
pub(crate) fn run(keep_going: bool) -> Outcome {
    components()?;
    let mut results: Vec<(bool, Duration)> = Vec::new();
    for (position, step) in STEPS.iter().enumerate() {
        println!("\n== {}/{} {}", position + 1, STEPS.len(), step.name);
        let started = Instant::now();
        let outcome = (step.run)();
        let duration = started.elapsed();
        match &outcome {
            Ok(()) => println!("== {} passed in {}", step.name, seconds(duration)),
            Err(reason) => println!("{reason}\n== {} failed after {}", step.name, seconds(duration)),
        }
        results.push((outcome.is_ok(), duration));
        if outcome.is_err() && !keep_going {
            break;
        }
    }
    summary(&results);
    let failed: Vec<&str> =
        STEPS.iter().zip(&results).filter(|(_, (passed, _))| !passed).map(|(step, _)| step.name).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

fn summary(results: &[(bool, Duration)]) {
    println!();
    line("step", "result", "duration");
    for (position, step) in STEPS.iter().enumerate() {
        match results.get(position) {
            Some((true, duration)) => line(step.name, "passed", &seconds(*duration)),
            Some((false, duration)) => line(step.name, "FAILED", &seconds(*duration)),
            None => line(step.name, "not run", "-"),
        }
    }
    line("all", "", &seconds(results.iter().map(|(_, duration)| *duration).sum()));
}

fn line(name: &str, result: &str, duration: &str) {
    println!("{name:<18} {result:<8} {duration:>9}");
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Without these two the first steps fail with a page of text that names no remedy.
fn components() -> Outcome {
    if ["fmt", "clippy"].iter().all(|tool| succeeds(cargo().args([*tool, "--version"]))) {
        return Ok(());
    }
    Err("rustfmt or clippy is missing; mend it with `rustup component add rustfmt clippy`".into())
}

fn formatting() -> Outcome {
    run_program(cargo().args(["fmt", "--all", "--", "--check"]))
}

fn lints() -> Outcome {
    run_program(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
}

/// Built here, with its progress shown, and not silently within the first test that needs it.
fn control_plane() -> Outcome {
    let folder = portico_testbed::binaries()?;
    println!("the control plane's binaries are in {}", folder.display());
    Ok(())
}

fn tests() -> Outcome {
    let tables = Path::new("target/tmp");
    for old in crash_tables(tables) {
        fs::remove_file(old)?;
    }
    run_program(cargo().args(["test", "--workspace", "--locked"]))?;
    // A passing test prints nothing; these tables are worth a look.
    for table in crash_tables(tables) {
        println!("{}", fs::read_to_string(table)?);
    }
    Ok(())
}

/// What the crash tests wrote: each request of each action, and what a crash before and after it led to.
fn crash_tables(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_table = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("crash-"));
    let mut tables: Vec<PathBuf> = files.filter(is_table).collect();
    tables.sort();
    tables
}
