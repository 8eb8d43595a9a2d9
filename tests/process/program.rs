//! The real program as a process of its own.
use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::world::{PATIENCE, World};

/// The flags of a program that needs no lease, because there is no other.
pub(crate) const ALONE: [&str; 1] = ["--leader-elect=false"];

/// As many lines of its log are shown where a test fails.
const LOG_LINES: usize = 30;

/// A running `portico`. It outlives neither this value nor this process.
pub(crate) struct Program {
    child: Child,
    /// Kills it when this process ends in any way.
    watchdog: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it for a world, under a name that stands in its lease, with these flags and variables besides the usual ones.
    pub(crate) fn start(world: &World, name: &str, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let kubeconfig = world.plane().kubeconfig_as(&world.operator_token, &world.namespace).expect("it is written");
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.{name}.log", world.namespace));
        let output = File::create(&log).expect("the log can be written");
        let owner = world.settings.owner.clone().unwrap_or_default();
        let url = world.server.url();
        let child = Command::new(env!("CARGO_BIN_EXE_portico"))
            .args(["run", "--log-format", "text", "--listen", "127.0.0.1:0"])
            .args(["--namespace", &world.settings.namespace, "--watch-namespace", &world.namespace])
            .args(["--owner-id", &owner, "--allow-host", &url])
            .args(["--consistency-window", "300ms", "--backoff", "200ms", "--backoff-max", "1s"])
            .args(["--stalled-retry", "1s", "--stalled-retry-max", "2s", "--kubernetes-timeout", "10s"])
            .args(flags)
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("KUBECONFIG", &kubeconfig)
            .env("HOSTNAME", name)
            .env("RUST_LOG", "info,portico=debug")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the log can be written"))
            .stderr(output)
            .spawn()
            .expect("the program starts");
        let watchdog = Command::new("sh")
            .args(["-c", "read -r end; kill -KILL \"$0\"", &child.id().to_string()])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        Self { child, watchdog, log }
    }

    /// Kills it, as a machine that loses power would.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Stops it where it is, as a machine that is paused would.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on where it is.
    pub(crate) fn proceed(&self) {
        self.signal("CONT");
    }

    /// The standard library sends nothing but SIGKILL, and the shell's `kill` is everywhere.
    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} was not sent");
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until these words stand in its log.
    pub(crate) async fn says(&mut self, words: &str) {
        let started = Instant::now();
        while !text(&self.log).contains(words) {
            assert!(!self.has_ended(), "it ended before it said {words:?}");
            assert!(started.elapsed() < PATIENCE, "it never said {words:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn end(&mut self) {
        // The watchdog first: the id may be somebody else's once the program is gone. All of these fail only where it is gone.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let text = text(&self.log);
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            eprintln!("--- the end of {}\n{last}", self.log.display());
        }
    }
}

fn text(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}

/// Ends a world whose programs have ended: no secret may stand in what they logged.
pub(crate) async fn end(world: World) {
    let secrets = world.sandbox.secrets();
    let folder = fs::read_dir(env!("CARGO_TARGET_TMPDIR")).expect("it can be read");
    let prefix = format!("{}.", world.namespace);
    let is_of_this_world =
        |path: &PathBuf| path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(&prefix));
    let logs: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).filter(is_of_this_world).collect();
    assert!(!logs.is_empty(), "there are no logs: this check checks nothing");
    for log in logs {
        let text = text(&log);
        assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "a secret stands in {}", log.display());
        fs::remove_file(&log).expect("it can be removed");
    }
    world.end().await;
}
