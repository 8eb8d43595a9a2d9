//! The project's own commands: `cargo xtask demo`, `test`, `simulate`, `coverage` and `generate`.

mod coverage;
mod demo;
mod deny;
mod generate;
mod process;
mod simulate;
mod test;

use std::{
    env,
    error::Error,
    ffi::OsString,
    io,
    path::{self, Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// What a task answers: nothing, or a reason that is shown to the person who started it.
type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Portico's own commands. All of them need a Rust toolchain; those that run something also need Go, or a folder with
/// the binaries of a control plane in `KUBEBUILDER_ASSETS`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start a control plane, a sandbox and Portico, show what Portico does step by step, then stay up to be tried.
    Demo {
        /// Exit after the tour; with a failure if any step was not as told.
        #[arg(long)]
        once: bool,
    },
    /// Check everything that a change must pass: formatting, lints, generated files, dependencies, tests.
    Test {
        /// Go on after a failed step, and fail at the end.
        #[arg(long)]
        keep_going: bool,
    },
    /// Search worlds that are drawn from seeds for a broken law, on virtual time: `--seeds N`, `--from S`, `--kind K`, `--trace`; `--help`
    /// tells the rest.
    #[command(disable_help_flag = true)]
    Simulate {
        /// What the search takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Print which operations of the two APIs a test run called: for which kinds, by whom, and how they were answered.
    Coverage {
        /// What PORTICO_EXCHANGES named in that run. Left out: what it names now; else the operator's tests run first.
        #[arg(value_parser = absolute)]
        folder: Option<PathBuf>,
    },
    /// Write what follows from the list of kinds: `crds/` and the manifests in `deploy/`.
    Generate {
        /// Change nothing; fail if a file is not as it would be written.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    match enter_root().and_then(|()| start(&task)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn start(task: &Task) -> Outcome {
    match task {
        Task::Demo { once } => demo::run(*once),
        Task::Test { keep_going } => test::run(*keep_going),
        Task::Simulate { arguments } => simulate::run(arguments),
        Task::Coverage { folder } => coverage::run(folder.as_deref()),
        Task::Generate { check: false } => generate::write(),
        Task::Generate { check: true } => generate::check(),
    }
}

/// A folder as whoever types it means it: it is read before [`enter_root`].
fn absolute(folder: &str) -> io::Result<PathBuf> {
    path::absolute(folder)
}

/// Makes the root of the repository the working folder, so that all paths below are the ones that people type.
fn enter_root() -> Outcome {
    // Set by `cargo run`, which is what `cargo xtask` stands for.
    if let Some(manifest) = env::var_os("CARGO_MANIFEST_DIR") {
        let folder = PathBuf::from(manifest);
        env::set_current_dir(folder.parent().unwrap_or(Path::new("/")))?;
    }
    Ok(())
}
