//! The files that follow from the list of kinds: one CRD a kind in `crds/`, and the access rules in `deploy/`.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use portico::manifests;

use crate::Outcome;

const CRDS: &str = "crds";
const MEND: &str = "cargo xtask generate";

/// Writes every generated file that is missing or differs, and removes the CRDs of kinds that are no more.
pub(crate) fn write() -> Outcome {
    let wanted = wanted();
    for (path, text) in &wanted {
        if found(path)?.as_ref() == Some(text) {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
        println!("wrote {}", path.display());
    }
    for path in surplus(&wanted)? {
        fs::remove_file(&path)?;
        println!("removed {}", path.display());
    }
    Ok(())
}

/// Fails, naming each of them, if generated files are not as [`write`] would leave them.
pub(crate) fn check() -> Outcome {
    let wanted = wanted();
    let mut stale = Vec::new();
    for (path, text) in &wanted {
        match found(path)? {
            Some(found) if found == *text => {}
            Some(_) => stale.push(format!("{} differs", path.display())),
            None => stale.push(format!("{} is missing", path.display())),
        }
    }
    for path in surplus(&wanted)? {
        stale.push(format!("{} belongs to no kind", path.display()));
    }
    if stale.is_empty() {
        println!("{} generated files are fresh", wanted.len());
        return Ok(());
    }
    Err(format!("stale generated files; mend them with `{MEND}`:\n  {}", stale.join("\n  ")).into())
}

fn wanted() -> BTreeMap<PathBuf, String> {
    let deploy = Path::new("deploy");
    let mut files: BTreeMap<PathBuf, String> =
        manifests::crd_files().into_iter().map(|(name, text)| (Path::new(CRDS).join(name), text)).collect();
    files.insert(deploy.join("rbac.yaml"), manifests::rbac_yaml());
    files.insert(deploy.join("rbac-namespaced.yaml"), manifests::rbac_namespaced_yaml());
    files
}

fn found(path: &Path) -> Outcome<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display()).into()),
    }
}

/// Manifests in `crds/` that no kind asks for.
fn surplus(wanted: &BTreeMap<PathBuf, String>) -> Outcome<Vec<PathBuf>> {
    let entries = match fs::read_dir(CRDS) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("cannot read {CRDS}: {error}").into()),
    };
    let mut surplus = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") && !wanted.contains_key(&path) {
            surplus.push(path);
        }
    }
    surplus.sort();
    Ok(surplus)
}
