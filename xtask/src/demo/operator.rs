//! The built `portico` as a process of its own, which is killed and started again in the tour.

use std::{
    env,
    fs::{self, OpenOptions},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::shell;
use crate::{
    Outcome,
    process::{cargo, run, succeeds},
};

/// What Portico prints.
pub(crate) const LOG: &str = "target/demo/portico.log";

const LOG_TAIL: usize = 12;

/// A running Portico; it never outlives this value.
pub(crate) struct Operator {
    child: Child,
    binary: PathBuf,
    kubeconfig: PathBuf,
    sandbox: String,
}

impl Operator {
    /// Builds `portico` next to this program, and answers where it is. `--workspace` lets the two share the libraries
    /// that are compiled already; without it cargo may choose other features for them, and compile them again.
    pub(crate) fn build() -> Outcome<PathBuf> {
        run(cargo().args(["build", "--locked", "--workspace", "--bin", "portico"]))?;
        let binary = env::current_exe()?.with_file_name(format!("portico{}", env::consts::EXE_SUFFIX));
        let works = succeeds(Command::new(&binary).arg("--version"));
        shell::expect(works, format!("{} does not start", binary.display()))?;
        Ok(binary)
    }

    /// Starts `portico run`, allowed to speak to the sandbox at this URL and to nothing else on this machine.
    pub(crate) fn start(binary: PathBuf, kubeconfig: PathBuf, sandbox: String) -> Outcome<Self> {
        let arguments = [
            &["run", "--namespace", "portico-system", "--allow-host", sandbox.as_str()][..],
            &["--consistency-window", "1s", "--stalled-retry", "3s", "--backoff", "1s", "--backoff-max", "5s"],
            // There is only one, and after `kill -9` nobody has to wait for the Lease of the dead.
            &["--leader-elect=false", "--listen", "127.0.0.1:0", "--log-format", "text"],
        ]
        .concat();
        shell::command(&format!("KUBECONFIG=… {} >> {LOG} &", shell::line("portico", &arguments)));
        let log = OpenOptions::new().create(true).append(true).open(LOG)?;
        let mut command = Command::new(&binary);
        // Settings of the shell that the demo was started from are not part of the tour.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PORTICO_")) {
            command.env_remove(name);
        }
        let child = command
            .args(&arguments)
            .env("KUBECONFIG", &kubeconfig)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child, binary, kubeconfig, sandbox })
    }

    /// Kills it as a machine that loses power does: nothing of it runs any further.
    pub(crate) fn kill(&mut self) -> Outcome {
        shell::command(&format!("kill -9 {}", self.child.id()));
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again as it was started before.
    pub(crate) fn restart(&mut self) -> Outcome {
        *self = Self::start(self.binary.clone(), self.kubeconfig.clone(), self.sandbox.clone())?;
        Ok(())
    }

    /// Fails where it has ended by itself.
    pub(crate) fn check_running(&mut self) -> Outcome {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("portico ended by itself ({status}); see {LOG}").into()),
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of the log.
pub(crate) fn log_tail() -> String {
    let log = fs::read_to_string(LOG).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
}
