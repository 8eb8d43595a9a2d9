//! What the tour takes place in: a control plane, a sandbox, and the built `portico` as a process of its own.

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{self, Command, Stdio},
};

use chrono::{SecondsFormat, TimeDelta, Utc};
use portico::manifests;
use portico_sandbox::{Options, Plant, Sandbox, Server};
use portico_testbed::ControlPlane;
use serde_json::{Value, json};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

use super::{
    api::Api,
    operator::{LOG, Operator},
    shell,
};
use crate::Outcome;

/// Where the people of the tour work.
pub(crate) const NAMESPACE: &str = "team-a";
/// Whose portals they are, at Konnect; ACP's tenant has the same name.
pub(crate) const ORGANIZATION: &str = "acme";
/// The portal that somebody else made, and that nobody here ever names.
pub(crate) const STRANGER: &str = "legacy-portal";
/// The examples, made to fit the sandbox.
pub(crate) const EXAMPLES: &str = "target/demo/examples";
/// Their Secret.
pub(crate) const SECRET: &str = "target/demo/examples/secret.yaml";
/// What a shell sources to try things.
pub(crate) const ENV: &str = "target/demo/env";

const FOLDER: &str = "target/demo";

/// The fields are dropped in this order: Portico first, the control plane last.
pub(crate) struct World {
    pub(crate) operator: Operator,
    pub(crate) api: Api,
    pub(crate) sandbox: Sandbox,
    _server: Server,
    control: ControlPlane,
    /// The client of the tenant at ACP: its id and its secret.
    client: (String, String),
    product: String,
    _runtime: Runtime,
}

impl World {
    /// Builds and starts everything, and prints what a person would type on a cluster of their own.
    pub(crate) fn start() -> Outcome<Self> {
        // reqwest is built without a TLS provider of its own. An error means that somebody installed one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        prepare_folder()?;

        shell::headline("Building Portico");
        let binary = Operator::build()?;

        shell::headline("Starting a control plane and a sandbox of Konnect and ACP");
        let control = ControlPlane::start()?;
        let runtime = Runtime::new()?;
        runtime.spawn(end_on_signals());
        let sandbox = Sandbox::new(Options::default());
        let server = runtime.block_on(sandbox.serve(SocketAddr::from(([127, 0, 0, 1], 0))))?;
        let token = sandbox.organization(ORGANIZATION);
        let product = sandbox.plant(ORGANIZATION, Plant::ApiProduct { name: "payments".to_owned() })?;
        plant_what_the_examples_name(&sandbox, &product)?;
        let client = sandbox.tenant(ORGANIZATION);
        let stranger = json!({ "name": STRANGER, "description": "made by somebody else" });
        sandbox.plant(ORGANIZATION, Plant::Portal(stranger))?;
        let api = Api::new(runtime.handle().clone(), server.url(), token)?;
        shell::note(&format!("the API server is {}, the sandbox {}", control.server(), api.url()));

        shell::headline("Installing Portico");
        install(&control, &binary)?;
        let service_account = control.token("portico-system", "portico")?;
        let kubeconfig = control.kubeconfig_as(&service_account, "portico")?;
        let operator = Operator::start(binary, kubeconfig, api.url().to_owned())?;

        let world = Self { operator, api, sandbox, _server: server, control, product, client, _runtime: runtime };
        world.write_files()?;
        Ok(world)
    }

    /// Runs kubectl as the cluster's admin, printing the command and its answer.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Outcome<String> {
        kubectl(&self.control, arguments)
    }

    /// Like [`Self::kubectl`], in the namespace of the tour.
    pub(crate) fn in_namespace(&self, arguments: &[&str]) -> Outcome<String> {
        self.kubectl(&[&["-n", NAMESPACE][..], arguments].concat())
    }

    /// Applies a manifest in the namespace of the tour, printing both.
    pub(crate) fn apply(&self, manifest: &str) -> Outcome {
        let arguments = ["-n", NAMESPACE, "apply", "-f", "-"];
        shell::command(&format!("{} <<END", shell::line("kubectl", &arguments)));
        shell::output(&format!("{}\nEND", manifest.trim()));
        shell::output(&self.control.kubectl_stdin(&arguments, manifest)?);
        Ok(())
    }

    /// Looks at something in the namespace of the tour without printing, to be asked again and again.
    pub(crate) fn look(&self, arguments: &[&str]) -> Outcome<String> {
        Ok(self.control.kubectl(&[&["-n", NAMESPACE][..], arguments].concat())?)
    }

    /// Waits by kubectl until these are Ready for the spec that they have now.
    pub(crate) fn ready(&self, resources: &[&str]) -> Outcome {
        self.in_namespace(&[&["wait", "--for=condition=Ready", "--timeout=60s"][..], resources].concat())?;
        Ok(())
    }

    /// Waits by kubectl until the condition Ready of a resource has this reason.
    pub(crate) fn ready_reason(&self, resource: &str, reason: &str) -> Outcome {
        let until = format!(r#"--for=jsonpath={{.status.conditions[?(@.type=="Ready")].reason}}={reason}"#);
        self.in_namespace(&["wait", &until, "--timeout=60s", resource])?;
        Ok(())
    }

    /// The id that a resource recorded, empty where there is none.
    pub(crate) fn recorded_id(&self, resource: &str) -> Outcome<String> {
        let found: Value = serde_json::from_str(&self.look(&["get", resource, "-o", "json"])?)?;
        Ok(found["status"]["id"].as_str().unwrap_or_default().to_owned())
    }

    /// Writes the examples as the sandbox needs them, and the shell's variables, with the token of now.
    pub(crate) fn write_files(&self) -> Outcome {
        let replacements = [
            ("  region: eu\n", format!("  url: {}\n", self.api.url())),
            ("resyncInterval: 10m\n", "resyncInterval: 2s\n".to_owned()),
            ("requestTimeout: 15s\n", "requestTimeout: 2s\n".to_owned()),
            ("kpat_replace-me", self.api.token().to_owned()),
            ("https://acp.example.com", self.api.url().to_owned()),
            // Without a host of its own the server issues tokens at the sandbox, where the tour asks for one.
            ("  issuerUrl: https://login.example.com\n", String::new()),
            ("client_id: client-id-replace-me", format!("client_id: {}", self.client.0)),
            ("client_secret: client-secret-replace-me", format!("client_secret: {}", self.client.1)),
            ("5f2c1e7a-8d34-4b6f-9a51-3c7be0d94f12", self.product.clone()),
            ("2026-01-05T08:00:00Z", hours_ago(30)),
            ("2026-01-05T20:00:00Z", hours_ago(18)),
        ];
        let mut used = vec![false; replacements.len()];
        for entry in fs::read_dir("examples")? {
            let path = entry?.path();
            let (Some(name), Some("yaml")) = (path.file_name(), path.extension().and_then(OsStr::to_str)) else {
                continue;
            };
            let mut text = fs::read_to_string(&path)?;
            for ((from, to), used) in replacements.iter().zip(&mut used) {
                *used |= text.contains(from);
                text = text.replace(from, to);
            }
            fs::write(Path::new(EXAMPLES).join(name), text)?;
        }
        if let Some(((from, _), _)) = replacements.iter().zip(used).find(|(_, used)| !used) {
            return Err(format!("the demo replaces {from:?} in examples/, and no file there has it").into());
        }
        self.write_env()
    }

    fn write_env(&self) -> Outcome {
        let kubeconfig = self.control.kubeconfig().to_string_lossy();
        let text = format!(
            "# Written by `cargo xtask demo`, and good for as long as it runs.\n\
             export KUBECONFIG={}\n\
             export PORTICO_SANDBOX_URL={}\n\
             export PORTICO_SANDBOX_TOKEN={}\n\
             export PATH={}:\"$PATH\"\n",
            shell::quote(&kubeconfig),
            shell::quote(self.api.url()),
            shell::quote(self.api.token()),
            shell::quote(&self.control.bin().to_string_lossy()),
        );
        fs::write(ENV, text)?;
        Ok(())
    }
}

/// What the examples name by id, so that the sandbox has it under these very ids.
fn plant_what_the_examples_name(sandbox: &Sandbox, product: &str) -> Outcome {
    let version = Plant::ApiProductVersion {
        id: Some("c47d0e52-3b1f-4a86-9d20-6e8f51a7b394".to_owned()),
        product: product.to_owned(),
        name: "v1".to_owned(),
    };
    let strategy = Plant::AuthStrategy {
        id: Some("8a4f2c61-07be-4d53-9e1a-6b3d5f7c2e90".to_owned()),
        name: "keys".to_owned(),
        credential_type: "key_auth".to_owned(),
    };
    sandbox.plant(ORGANIZATION, version)?;
    sandbox.plant(ORGANIZATION, strategy)?;
    Ok(())
}

/// A time that a replay can begin or end at.
fn hours_ago(hours: i64) -> String {
    (Utc::now() - TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn prepare_folder() -> Outcome {
    if Path::new(FOLDER).exists() {
        fs::remove_dir_all(FOLDER)?;
    }
    fs::create_dir_all(EXAMPLES)?;
    File::create(LOG)?;
    Ok(())
}

/// CRDs and access rules, as on any cluster.
fn install(control: &ControlPlane, binary: &Path) -> Outcome {
    let apply = ["apply", "--server-side", "-f", "-"];
    shell::command(&format!("portico crds | {}", shell::line("kubectl", &apply)));
    let crds = Command::new(binary).arg("crds").stderr(Stdio::inherit()).output()?;
    shell::expect(crds.status.success(), format!("`portico crds` failed ({})", crds.status))?;
    shell::output(&control.kubectl_stdin(&apply, &String::from_utf8(crds.stdout)?)?);
    kubectl(control, &["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
    // The API server serves a new kind a moment after it has accepted it, and kubectl remembers what was served.
    let kinds = ["api-resources", "--categories=portico"];
    shell::poll(shell::SELDOM, || {
        let listed = control.kubectl(&kinds)?;
        let served: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let missing = manifests::crds().into_iter().find(|crd| !served.contains(&crd.spec.names.plural.as_str()));
        shell::expect(missing.is_none(), "some kinds are not served yet")
    })?;
    kubectl(control, &kinds)?;
    kubectl(control, &["apply", "-f", "deploy/rbac.yaml"])?;
    Ok(())
}

fn kubectl(control: &ControlPlane, arguments: &[&str]) -> Outcome<String> {
    shell::command(&shell::line("kubectl", arguments));
    let answer = control.kubectl(arguments)?;
    shell::output(&answer);
    Ok(answer)
}

/// The first Ctrl-C (or the end of the terminal) lets the demo end in order, the second one ends it at once.
async fn end_on_signals() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        if shell::interrupted() {
            process::exit(130);
        }
        shell::interrupt();
    }
}
