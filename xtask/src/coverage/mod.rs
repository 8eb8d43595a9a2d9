//! `cargo xtask coverage`: which operations of the two APIs a test run called, for which kinds, by whom, and how they
//! were answered. The record is what the sandboxes of the run wrote into the folder that `PORTICO_EXCHANGES` names.

mod kinds;
mod record;
mod table;

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf, absolute},
};

use self::table::Coverage;
use crate::{Outcome, test};

/// Names the folder of the record, to the sandboxes and to us.
pub(crate) const VARIABLE: &str = "PORTICO_EXCHANGES";

/// The folder where nobody names one.
const FOLDER: &str = "target/exchanges";

/// How many operations of the contracts the operator's tests must run.
const NEEDED: usize = 70;

/// The record of a run that is under way.
pub(crate) struct Recording {
    folder: PathBuf,
    /// What stood there before, and is not part of it.
    earlier: Vec<PathBuf>,
}

impl Recording {
    /// Makes room for the record: in our own folder, which is emptied, or beside what the named one holds.
    pub(crate) fn start() -> Outcome<Self> {
        let named = named();
        let folder = named.clone().unwrap_or_else(|| PathBuf::from(FOLDER));
        if named.is_none() && folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let earlier = files(&folder)?;
        Ok(Self { folder, earlier })
    }

    /// The folder as any process finds it, whatever its working folder.
    pub(crate) fn folder(&self) -> Outcome<PathBuf> {
        Ok(absolute(&self.folder)?)
    }

    fn coverage(&self) -> Outcome<Coverage> {
        let mut files = files(&self.folder)?;
        files.retain(|file| !self.earlier.contains(file));
        coverage(&self.folder, files)
    }
}

/// Prints what the record in this folder shows, or in the one that the variable names; without either, runs the
/// operator's tests to make one.
pub(crate) fn run(folder: Option<&Path>) -> Outcome {
    if let Some(folder) = folder.map(Path::to_path_buf).or_else(named) {
        print!("{}", coverage(&folder, files(&folder)?)?.whole());
        return Ok(());
    }
    let recording = Recording::start()?;
    let tested = test::operator(&recording);
    // Failed tests leave a record all the same. A failed build leaves none, and says more than that.
    let printed = recording.coverage().map(|coverage| print!("{}", coverage.whole()));
    tested.and(printed)
}

/// Prints the summary of a run of the operator's tests, and fails where too little of the contracts ran.
pub(crate) fn check(recording: &Recording) -> Outcome {
    let coverage = recording.coverage()?;
    let (ran, all, folder) = (coverage.ran(), coverage.len(), recording.folder.display());
    print!("\n{}", coverage.summary());
    println!("operation by operation: `cargo xtask coverage {folder}`");
    if ran >= NEEDED {
        return Ok(());
    }
    Err(format!("the operator's tests ran {ran} of {all} operations; at least {NEEDED} are needed").into())
}

fn named() -> Option<PathBuf> {
    env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

fn coverage(folder: &Path, files: Vec<PathBuf>) -> Outcome<Coverage> {
    if files.is_empty() {
        return Err(no_record(folder, "it has no *.jsonl file"));
    }
    let record = record::read(files)?;
    if record.exchanges == 0 {
        return Err(no_record(folder, "its files are empty"));
    }
    Ok(Coverage::of(record))
}

/// The files of the record in a folder.
fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(no_record(folder, "there is no such folder")),
        Err(error) => return Err(no_record(folder, &error.to_string())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn no_record(folder: &Path, why: &str) -> Box<dyn std::error::Error> {
    let folder = folder.display();
    format!("no record of exchanges in {folder}: {why}; `cargo xtask coverage` without a folder makes one").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_record_is_named() {
        let missing = run(Some(Path::new("no/such/folder"))).expect_err("it does not exist").to_string();
        assert!(missing.starts_with("no record of exchanges in no/such/folder: there is no such folder"), "{missing}");
        let empty = run(Some(Path::new("src"))).expect_err("only sources are there").to_string();
        assert!(empty.starts_with("no record of exchanges in src: it has no *.jsonl file"), "{empty}");
    }
}
