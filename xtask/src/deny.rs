//! What the dependencies may be (`deny.toml`), checked by cargo-deny.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    Outcome,
    process::{cache, cargo, run},
};

/// Pinned, so that a new release of the tool never fails a change that did nothing.
const VERSION: &str = "0.20.2";

/// Checks licences, banned and duplicated crates, and where crates come from. The advisory database is left out: what
/// it says changes without a change here.
pub(crate) fn check() -> Outcome {
    let program = program()?;
    run(Command::new(program).args(["--workspace", "--locked", "check", "licenses", "bans", "sources"]))
}

/// The program, built on first use into the user's cache folder, apart from this repository's `target/`.
fn program() -> Outcome<PathBuf> {
    let root = cache()?.join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    println!("cargo-deny {VERSION} is built once, into {}; this takes minutes", root.display());
    let target = root.join("target");
    run(cargo()
        .args(["install", "cargo-deny", "--version", VERSION, "--locked"])
        .arg("--root")
        .arg(&root)
        .arg("--target-dir")
        .arg(&target)
        // Its own release profile spends minutes on a speed that a check of a few hundred crates has no use for.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"))?;
    fs::remove_dir_all(&target)?;
    Ok(program)
}
