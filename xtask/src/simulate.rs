//! `cargo xtask simulate`: the search for counterexamples to the laws, as fast as this machine can.

use std::ffi::OsString;

use crate::{
    Outcome,
    process::{cargo, run as run_program},
};

/// The package whose program searches.
const SIMULATION: &str = "portico_simulation";

/// Builds the search with optimizations and starts it with these arguments. Fails where a law was broken.
pub(crate) fn run(arguments: &[OsString]) -> Outcome {
    run_program(
        cargo().args(["run", "--release", "--quiet", "--locked", "--package", SIMULATION, "--"]).args(arguments),
    )
}
