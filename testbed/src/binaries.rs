//! Where etcd, `kube-apiserver`, `kube-controller-manager` and `kubectl` come from.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::error::{Context, Error, last_lines};

/// The Kubernetes release that `tools/go.mod` pins.
const VERSION: &str = "v1.36.3";

/// Without a version, `kubectl` refuses to compare itself with the server, and the server does not name one.
const LDFLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";

/// The Go module with all four programs, pinned by its `go.mod` and `go.sum`.
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools");

/// The least minor version of Go 1 that the module takes.
const GO_MINOR: u32 = 26;

struct Tool {
    name: &'static str,
    package: &'static str,
    /// On two slow cores, in this order, with nothing in Go's own cache.
    takes: &'static str,
}

static TOOLS: [Tool; 4] = [
    Tool { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver", takes: "about 3 minutes" },
    Tool { name: "etcd", package: "go.etcd.io/etcd/server/v3", takes: "about 10 seconds" },
    Tool {
        name: "kube-controller-manager",
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        takes: "about a minute",
    },
    Tool { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl", takes: "about 20 seconds" },
];

/// What decides where the binaries are.
struct Environment {
    /// A folder that somebody else filled: `KUBEBUILDER_ASSETS`.
    assets: Option<PathBuf>,
    /// The user's cache folder.
    cache: Option<PathBuf>,
    go: OsString,
}

impl Environment {
    fn read() -> Self {
        let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            assets: folder("KUBEBUILDER_ASSETS"),
            // The XDG Base Directory Specification has relative paths ignored.
            cache: folder("XDG_CACHE_HOME")
                .filter(|cache| cache.is_absolute())
                .or_else(|| folder("HOME").map(|home| home.join(".cache"))),
            go: "go".into(),
        }
    }
}

/// The folder with `etcd`, `kube-apiserver`, `kube-controller-manager` and `kubectl`.
///
/// This is the folder that `KUBEBUILDER_ASSETS` names, or else one in the user's cache folder, where Go builds what is
/// missing: some minutes the first time, with progress on stderr. Processes that need it at the same time build it
/// once.
///
/// # Errors
/// One line that says what to do if there is neither such a folder nor a Go that could fill one, and the last lines of
/// Go's output if a build fails.
pub fn binaries() -> Result<PathBuf, Error> {
    find(&Environment::read())
}

fn find(environment: &Environment) -> Result<PathBuf, Error> {
    if let Some(assets) = &environment.assets {
        return given(assets);
    }
    let cache = environment.cache.as_ref().ok_or(Error::NoCache)?.join("portico").join("control-plane");
    let folder = cache.join(key());
    if missing(&folder).is_empty() {
        return Ok(folder);
    }
    check_go(&environment.go)?;
    fs::create_dir_all(&folder).context(format_args!("cannot create {}", folder.display()))?;
    // Held until the end of this function; it goes with the process if that is interrupted.
    let _lock = lock(&cache.join(format!("{}.lock", key())))?;
    // Another process may have built some of them before it let go of the lock.
    let missing = missing(&folder);
    let progress = Progress::new(missing.len());
    for (index, tool) in missing.iter().enumerate() {
        progress.building(tool, index);
        build(tool, &environment.go, &folder)?;
    }
    Ok(folder)
}

/// A folder that somebody else filled is taken as it is: a controller manager of another release than its
/// kube-apiserver would be worse than none.
fn given(assets: &Path) -> Result<PathBuf, Error> {
    let folder = std::path::absolute(assets).context(format_args!("cannot resolve {}", assets.display()))?;
    let missing: Vec<&str> = missing(&folder).iter().map(|tool| tool.name).collect();
    if missing.is_empty() { Ok(folder) } else { Err(Error::Assets { folder, missing: missing.join(", ") }) }
}

fn missing(folder: &Path) -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| !folder.join(tool.name).is_file()).collect()
}

/// Changes with everything that decides what is built. It needs no cryptographic hash: nobody gains from a collision.
/// Unlike `DefaultHasher`, FNV-1a stays the same from one release of Rust to the next.
fn key() -> String {
    let sources = [include_str!("../tools/go.mod"), include_str!("../tools/go.sum"), LDFLAGS];
    let hash = sources
        .iter()
        .flat_map(|source| source.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{VERSION}-{:012x}", hash >> 16)
}

fn check_go(go: &OsStr) -> Result<(), Error> {
    let output = Command::new(go)
        .args(["env", "GOVERSION"])
        .env("GOTOOLCHAIN", "local")
        // Away from any go.mod, whose wishes would come before the answer.
        .current_dir(env::temp_dir())
        .stdin(Stdio::null())
        .output();
    let found = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => return Err(Error::NoGo { found: "Go was not found".to_owned() }),
    };
    if new_enough(&found) { Ok(()) } else { Err(Error::NoGo { found: format!("{found} is too old") }) }
}

/// `version` is like `go1.26.8`, or `devel go1.27-0123abc`.
fn new_enough(version: &str) -> bool {
    let minor = version.split_once("go1.").and_then(|(_, rest)| {
        let digits = rest.split(|character: char| !character.is_ascii_digit()).next()?;
        digits.parse::<u32>().ok()
    });
    // What names itself in another way knows better than we do whether it can build the module.
    minor.is_none_or(|minor| minor >= GO_MINOR)
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).context(format_args!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => say("waiting for another process that builds the control plane"),
        Err(TryLockError::Error(error)) => {
            return Err(error).context(format_args!("cannot lock {}", path.display()));
        }
    }
    file.lock().context(format_args!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Builds beside the final place and renames, so that an interrupted build leaves nothing half.
fn build(tool: &Tool, go: &OsStr, folder: &Path) -> Result<(), Error> {
    let partial = folder.join(format!("{}.partial", tool.name));
    if partial.exists() {
        // Go refuses to overwrite what is not a whole program.
        fs::remove_file(&partial).context(format_args!("cannot remove {}", partial.display()))?;
    }
    let output = Command::new(go)
        .args(["build", "-trimpath", "-ldflags", LDFLAGS, "-o"])
        .arg(&partial)
        .arg(tool.package)
        .current_dir(MODULE)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env_remove("GOOS")
        .env_remove("GOARCH")
        .stdin(Stdio::null())
        .output()
        .context(format_args!("cannot build {} in {MODULE}", tool.name))?;
    if !output.status.success() {
        return Err(Error::Build { name: tool.name, output: last_lines(&String::from_utf8_lossy(&output.stderr), 15) });
    }
    let place = folder.join(tool.name);
    fs::rename(&partial, &place).context(format_args!("cannot create {}", place.display()))
}

/// A bar on a terminal, lines elsewhere. Both show in `cargo test` too, which hides only what `eprintln!` says.
struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
}

impl Progress {
    fn new(total: usize) -> Self {
        let bar = (total > 0 && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
            let bar = ProgressBar::new_spinner().with_style(style.expect("the template is correct"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, total }
    }

    fn building(&self, tool: &Tool, index: usize) {
        let (name, number, total, takes) = (tool.name, index + 1, self.total, tool.takes);
        let line = format!("building {name} ({number} of {total}), takes {takes} the first time");
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None => say(&line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn say(line: &str) {
    // Without stderr there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_GO: &str = "/no/such/go";

    #[test]
    fn without_go_and_without_assets_one_line_says_what_to_do() {
        let cache = tempfile::tempdir().unwrap();
        let environment = Environment { assets: None, cache: Some(cache.path().to_path_buf()), go: NO_GO.into() };
        let message = find(&environment).unwrap_err().to_string();
        assert_eq!(
            message,
            "Go was not found: install Go 1.26 or newer, or set KUBEBUILDER_ASSETS to a folder with etcd, \
             kube-apiserver, kube-controller-manager and kubectl"
        );
    }

    #[test]
    fn assets_are_used_as_they_are_and_what_they_lack_is_named() {
        let assets = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver", "kubectl"] {
            fs::write(assets.path().join(name), "").unwrap();
        }
        let environment = Environment { assets: Some(assets.path().to_path_buf()), cache: None, go: NO_GO.into() };
        let message = find(&environment).unwrap_err().to_string();
        assert!(message.contains("where kube-controller-manager cannot be found"), "{message}");
        assert_eq!(message.lines().count(), 1);

        fs::write(assets.path().join("kube-controller-manager"), "").unwrap();
        assert_eq!(find(&environment).unwrap(), assets.path());
    }

    #[test]
    fn what_is_in_the_cache_needs_no_go() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("portico/control-plane").join(key());
        fs::create_dir_all(&folder).unwrap();
        for tool in &TOOLS {
            fs::write(folder.join(tool.name), "").unwrap();
        }
        let environment = Environment { assets: None, cache: Some(cache.path().to_path_buf()), go: NO_GO.into() };
        assert_eq!(find(&environment).unwrap(), folder);
    }

    #[test]
    fn a_failing_build_shows_what_go_said_and_leaves_no_binary() {
        let folder = tempfile::tempdir().unwrap();
        let tool = Tool { name: "etcd", package: "portico.dev/no/such/package", takes: "no time" };
        // Any program that fails stands in for Go here.
        let error = build(&tool, OsStr::new("false"), folder.path()).unwrap_err();
        assert!(error.to_string().starts_with("building etcd with Go failed:"), "{error}");
        assert!(!folder.path().join("etcd").exists());
    }

    #[test]
    fn go_must_be_new_enough() {
        assert!(new_enough("go1.26.0"));
        assert!(new_enough("devel go1.27-0123abc"));
        assert!(!new_enough("go1.22.12"));
    }
}
