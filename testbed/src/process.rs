//! The processes of one control plane, and the watchdog that ends them when their owner cannot.
//!
//! ```text
//! owner ──pipe──▶ watchdog        the pipe closes when the owner dies, however it dies
//!   ├── etcd                      each in a process group of its own, so that Ctrl-C in the terminal
//!   ├── kube-apiserver            reaches the owner only, and they end in good order
//!   └── kube-controller-manager
//! ```

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Context, Error, last_lines};

/// How long the processes may take to end when asked, all together.
const GRACE: Duration = Duration::from_secs(3);

/// How many lines of a log explain an early end.
const LOG_LINES: usize = 15;

/// Reads process ids from the owner until the pipe closes. Then it ends these processes, the youngest first, and
/// removes the folder. "stopped" means that the owner ended them itself, so that their ids may belong to somebody else
/// by now.
const WATCHDOG: &str = r#"
trap '' HUP INT QUIT TERM
pids=
while read -r word; do
  case $word in
    stopped) pids= ;;
    *) pids="$word $pids" ;;
  esac
done
tenths=0
for pid in $pids; do
  kill -TERM "$pid" 2>/dev/null
  while [ "$tenths" -lt 20 ] && kill -0 "$pid" 2>/dev/null; do
    sleep 0.1
    tenths=$((tenths + 1))
  done
done
for pid in $pids; do
  kill -KILL "$pid" 2>/dev/null
done
[ "$2" = keep ] || rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"#;

/// The processes of one control plane. Dropping it ends them and then removes their folder.
pub(crate) struct Processes {
    folder: PathBuf,
    /// The oldest first.
    running: Vec<Process>,
    watchdog: Child,
    /// Closes when this process dies, because no child inherits it.
    pipe: Option<ChildStdin>,
}

struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Processes {
    /// Starts the watchdog over `folder`, which it leaves alone in the end if `keep` says so.
    pub(crate) fn watched(folder: &Path, keep: bool) -> Result<Self, Error> {
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "portico-watchdog"])
            .arg(folder)
            .arg(if keep { "keep" } else { "remove" })
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context(format_args!("cannot start the watchdog (sh)"))?;
        let pipe = watchdog.stdin.take();
        Ok(Self { folder: folder.to_path_buf(), running: Vec::new(), watchdog, pipe })
    }

    /// Starts `program`, with its output in `<name>.log`. It sees nothing of this process's environment: etcd, for one,
    /// takes flags from there.
    pub(crate) fn start(&mut self, name: &'static str, program: &Path, arguments: &[String]) -> Result<(), Error> {
        let log = self.folder.join(format!("{name}.log"));
        let output = File::create(&log).context(format_args!("cannot write {}", log.display()))?;
        let errors = output.try_clone().context(format_args!("cannot write {}", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("HOME", &self.folder)
            .current_dir(&self.folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .context(format_args!("cannot start {}", program.display()))?;
        let id = child.id();
        self.running.push(Process { name, child, log });
        self.tell_watchdog(&id.to_string()).context(format_args!("cannot tell the watchdog about {name}"))
    }

    /// Ends a process and starts it again; its log begins anew.
    pub(crate) fn restart(&mut self, name: &'static str, program: &Path, arguments: &[String]) -> Result<(), Error> {
        let deadline = Instant::now() + GRACE;
        for mut process in self.running.extract_if(.., |process| process.name == name) {
            process.end(deadline);
        }
        // The id may belong to somebody else from now on, so the watchdog is told once more who is left, in one write:
        // at no time does it know of nobody.
        let left = self.running.iter().map(|process| process.child.id().to_string());
        let words: Vec<String> = std::iter::once("stopped".to_owned()).chain(left).collect();
        self.tell_watchdog(&words.join("\n")).context(format_args!("cannot tell the watchdog about {name}"))?;
        self.start(name, program, arguments)
    }

    /// Whether all still run.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        for process in &mut self.running {
            if process.ended() {
                return Err(process.why_it_ended());
            }
        }
        Ok(())
    }

    fn tell_watchdog(&mut self, word: &str) -> std::io::Result<()> {
        match &mut self.pipe {
            Some(pipe) => pipe.write_all(format!("{word}\n").as_bytes()),
            None => Ok(()),
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let deadline = Instant::now() + GRACE;
        // The youngest first: without etcd, kube-apiserver needs more than a minute to end.
        for process in self.running.iter_mut().rev() {
            process.end(deadline);
        }
        // Fails only if the watchdog is gone, and then there is nobody to tell.
        let _ = self.tell_watchdog("stopped");
        drop(self.pipe.take());
        // By its end the folder is gone.
        let _ = self.watchdog.wait();
    }
}

impl Process {
    fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn why_it_ended(&self) -> Error {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        if log.contains("address already in use") {
            Error::PortTaken { name: self.name }
        } else {
            Error::Ended { name: self.name, log: last_lines(&log, LOG_LINES) }
        }
    }

    /// Asks the process to end, and makes it at `deadline`.
    fn end(&mut self, deadline: Instant) {
        if self.ended() {
            return;
        }
        terminate(self.child.id());
        while Instant::now() < deadline {
            if self.ended() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // Both fail only if it has ended in between.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends SIGTERM. The standard library sends nothing but SIGKILL, and the shell's `kill` is everywhere.
fn terminate(id: u32) {
    // If it fails, the process is killed at the deadline.
    let _ = Command::new("sh")
        .args(["-c", "kill -TERM \"$0\"", &id.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
