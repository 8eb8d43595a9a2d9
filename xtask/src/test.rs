//! `cargo xtask test`: all that a change must pass, in the order in which failures are cheapest.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Outcome,
    coverage::{self, Recording},
    deny, generate,
    process::{cargo, run as run_program, succeeds},
};

/// The package whose integration tests are the operator's.
const OPERATOR: &str = "portico";

/// Always the whole workspace, and only then a choice of targets: a choice of packages may choose other features of the
/// libraries, and compile them again.
const TEST: [&str; 3] = ["test", "--workspace", "--locked"];

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

/// All tests, the operator's last: they take longest. Only their record counts: what the sandbox's own tests call says
/// nothing of Portico.
fn tests() -> Outcome {
    let written = Path::new("target/tmp");
    for old in tables(written) {
        fs::remove_file(old)?;
    }
    let others = integration_tests(|package| package != OPERATOR)?;
    run_program(cargo().args(TEST).args(["--lib", "--bins"]).args(chosen(&others)))?;
    run_program(cargo().args(TEST).arg("--doc"))?;
    let recording = Recording::start()?;
    operator(&recording)?;
    // A passing test prints nothing; these tables are worth a look.
    for table in tables(written) {
        println!("{}", fs::read_to_string(table)?);
    }
    coverage::check(&recording)
}

/// The operator's integration tests, whose sandboxes write this record.
pub(crate) fn operator(recording: &Recording) -> Outcome {
    let tests = integration_tests(|package| package == OPERATOR)?;
    run_program(cargo().args(TEST).args(chosen(&tests)).env(coverage::VARIABLE, recording.folder()?))
}

/// The names of the integration tests in some packages of the workspace.
fn integration_tests(wanted: impl Fn(&str) -> bool) -> Outcome<Vec<String>> {
    let answer =
        cargo().args(["metadata", "--no-deps", "--format-version=1"]).stderr(Stdio::inherit()).output()?.stdout;
    let metadata: Value =
        serde_json::from_slice(&answer).map_err(|error| format!("`cargo metadata` answers no JSON: {error}"))?;
    let packages = items(&metadata["packages"]).filter(|package| wanted(package["name"].as_str().unwrap_or_default()));
    let targets = packages.flat_map(|package| items(&package["targets"]));
    let tests = targets.filter(|target| items(&target["kind"]).any(|kind| kind == "test"));
    Ok(tests.filter_map(|test| test["name"].as_str()).map(str::to_owned).collect())
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The arguments that choose these integration tests.
fn chosen(tests: &[String]) -> impl Iterator<Item = &str> {
    tests.iter().flat_map(|test| ["--test", test.as_str()])
}

/// What the tests wrote to be read, such as each request of each action, and what a crash before and after it led to.
fn tables(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut tables: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    tables.sort();
    tables
}
