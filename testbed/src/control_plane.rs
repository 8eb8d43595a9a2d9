//! One control plane: its start, the ways to talk to it, and what it saw.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::audit::{self, Request};
use crate::binaries::binaries;
use crate::certificates::{self, Authority};
use crate::components::{self, AUDIT_POLICY, Ports};
use crate::error::{Context, Error};
use crate::kubeconfig::{self, User};
use crate::process::Processes;

mod restart;

/// How often a start is tried when another program takes one of the ports.
const ATTEMPTS: usize = 3;

/// About 30 times what it takes on two idle cores.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running control plane.
///
/// Dropping it stops its processes, which takes about a second, and removes its folder. If this process ends without
/// that (a signal, an abort, a control plane in a static), a watchdog process does the same. With `PORTICO_KEEP` set,
/// the folder stays, with a log of each process.
pub struct ControlPlane {
    // Fields are dropped in this order: the processes end before their folder goes.
    processes: Mutex<Processes>,
    folder: TempDir,
    bin: PathBuf,
    kubeconfig: PathBuf,
    server: String,
    authority: Authority,
    ports: Ports,
}

impl ControlPlane {
    /// Starts a control plane and waits until it answers and its controllers work. It takes 2 to 3 seconds, and some
    /// minutes the very first time, see [`binaries`].
    ///
    /// # Errors
    /// As [`binaries`]; with the last lines of its log when a process ended; or when it was not ready within a minute.
    pub fn start() -> Result<Self, Error> {
        let bin = binaries()?;
        for _ in 1..ATTEMPTS {
            match Self::launch(&bin) {
                Err(Error::PortTaken { .. }) => {}
                outcome => return outcome,
            }
        }
        Self::launch(&bin)
    }

    /// The control plane that everything in this process shares, started when it is first asked for.
    ///
    /// # Panics
    /// With the reason, for every caller, if it cannot be started.
    #[must_use]
    pub fn shared() -> &'static Self {
        // Never dropped: the watchdog stops it when the process ends.
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        match SHARED.get_or_init(|| ControlPlane::start().map_err(|error| error.to_string())) {
            Ok(control_plane) => control_plane,
            Err(reason) => panic!("no control plane: {reason}"),
        }
    }

    /// The folder with everything that belongs to this control plane: data, logs, certificates, kubeconfigs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The kubeconfig of the administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The folder with `kubectl` and the programs of the control plane.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The certificate, in PEM, of the authority that signed the server's certificate.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.authority.pem
    }

    /// For a client that may do everything. It retries nothing, so that every request in the audit log is the caller's.
    #[must_use]
    pub fn admin_config(&self) -> kube::Config {
        let pki = pki(self.folder());
        let mut config = self.config();
        config.auth_info.client_certificate = Some(pki.join("admin.crt").display().to_string());
        config.auth_info.client_key = Some(pki.join("admin.key").display().to_string());
        config
    }

    /// For a client with a bearer token, see [`ControlPlane::token`]. It retries nothing either.
    #[must_use]
    pub fn config_as(&self, token: &str) -> kube::Config {
        let mut config = self.config();
        config.auth_info.token = Some(token.into());
        config
    }

    /// Writes `<name>.kubeconfig` with a bearer token into the folder, over an earlier one of that name, and returns
    /// its path.
    ///
    /// # Errors
    /// If `name` has anything but letters, digits, `-` and `_`, or is `admin`; or if the file cannot be written.
    pub fn kubeconfig_as(&self, token: &str, name: &str) -> Result<PathBuf, Error> {
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
        if name.is_empty() || name == "admin" || !name.chars().all(plain) {
            return Err(Error::Name { name: name.to_owned() });
        }
        let path = self.folder().join(format!("{name}.kubeconfig"));
        kubeconfig::write(&path, &self.server, &pki(self.folder()), &User::Token(token))?;
        Ok(path)
    }

    /// Runs `kubectl` as administrator and returns its stdout. It reads and writes nothing in the user's home.
    ///
    /// # Errors
    /// With its stderr if it ends with an error.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, Error> {
        self.run_kubectl(arguments, None)
    }

    /// As [`ControlPlane::kubectl`], with `stdin`: `kubectl_stdin(&["apply", "-f", "-"], manifests)`.
    ///
    /// # Errors
    /// With its stderr if it ends with an error.
    pub fn kubectl_stdin(&self, arguments: &[&str], stdin: &str) -> Result<String, Error> {
        self.run_kubectl(arguments, Some(stdin))
    }

    /// A token of an existing service account, good for a day.
    ///
    /// # Errors
    /// If there is no such service account.
    pub fn token(&self, namespace: &str, service_account: &str) -> Result<String, Error> {
        let token = self.kubectl(&["create", "token", service_account, "--namespace", namespace, "--duration=24h"])?;
        Ok(token.trim().to_owned())
    }

    /// Every request so far, in the order in which the answers began: from users, from the controllers and from the API
    /// server itself, but no health checks. A request may appear a moment after its answer.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn audit(&self) -> Result<Vec<Request>, Error> {
        audit::read(&self.folder().join("audit.log"))
    }

    fn launch(bin: &Path) -> Result<Self, Error> {
        let keep = env::var_os("PORTICO_KEEP").is_some_and(|value| !value.is_empty());
        let folder = tempfile::Builder::new()
            .prefix("portico-control-plane-")
            .disable_cleanup(keep)
            .tempdir()
            .context(format_args!("cannot create a temporary folder"))?;
        let path = folder.path();
        let pki = pki(path);
        fs::create_dir(&pki).context(format_args!("cannot create {}", pki.display()))?;
        let ports = Ports::free().context(format_args!("cannot find a free port"))?;
        let server = format!("https://127.0.0.1:{}", ports.secure);

        let authority = certificates::write(&pki)?;
        let kubeconfig = path.join("admin.kubeconfig");
        kubeconfig::write(&kubeconfig, &server, &pki, &User::Certificate("admin"))?;
        let controllers = pki.join("controller-manager.kubeconfig");
        kubeconfig::write(&controllers, &server, &pki, &User::Certificate("controller-manager"))?;
        let policy = path.join("audit-policy.yaml");
        fs::write(&policy, AUDIT_POLICY).context(format_args!("cannot write {}", policy.display()))?;

        let mut processes = Processes::watched(path, keep)?;
        processes.start("etcd", &bin.join("etcd"), &components::etcd(path, &ports))?;
        processes.start("kube-apiserver", &bin.join("kube-apiserver"), &components::apiserver(path, &pki, &ports))?;

        let (processes, bin) = (Mutex::new(processes), bin.to_path_buf());
        let control_plane = Self { processes, folder, bin, kubeconfig, server, authority, ports };
        control_plane.wait_for("kube-apiserver", "/readyz")?;
        control_plane.wait_for("the default namespace", "/api/v1/namespaces/default")?;
        // Not earlier: it looks for the API server once a second only, and would come a second later.
        let program = control_plane.bin.join("kube-controller-manager");
        control_plane.processes().start("kube-controller-manager", &program, &components::controller_manager(&pki))?;
        control_plane.wait_for("kube-controller-manager", "/api/v1/namespaces/default/serviceaccounts/default")?;
        Ok(control_plane)
    }

    /// Waits until there is something at `path`.
    fn wait_for(&self, what: &'static str, path: &str) -> Result<(), Error> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.processes().check()?;
            let Err(refusal) = self.kubectl(&["get", "--raw", path, "--request-timeout=5s"]) else { return Ok(()) };
            if Instant::now() >= deadline {
                let last = refusal.to_string();
                return Err(Error::NotReady { what, seconds: READY_WITHIN.as_secs(), last });
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// A panic elsewhere leaves processes that still have to be ended.
    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config(&self) -> kube::Config {
        let server = self.server.parse().expect("https, an address and a port are a URL");
        let mut config = kube::Config::new(server);
        config.root_cert = Some(vec![self.authority.der.clone()]);
        config.connect_timeout = Some(Duration::from_secs(5));
        config.default_retry = false;
        config
    }

    fn run_kubectl(&self, arguments: &[&str], stdin: Option<&str>) -> Result<String, Error> {
        let home = self.folder().join("home");
        let mut kubectl = Command::new(self.bin.join("kubectl"))
            .arg(format!("--cache-dir={}", home.join("cache").display()))
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &home)
            // The user's preferences.
            .env("KUBERC", "off")
            .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context(format_args!("cannot start kubectl"))?;
        let pipe = kubectl.stdin.take();
        let output = thread::scope(|scope| {
            // Beside the reading, as either side may fill its pipe and wait for the other.
            if let (Some(mut pipe), Some(text)) = (pipe, stdin) {
                // A kubectl that ends before it has read everything says why itself.
                scope.spawn(move || pipe.write_all(text.as_bytes()));
            }
            kubectl.wait_with_output()
        })
        .context(format_args!("cannot run kubectl"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::Kubectl { arguments: arguments.join(" "), stderr })
    }
}

/// Where the certificates and keys are.
fn pki(folder: &Path) -> PathBuf {
    folder.join("pki")
}
