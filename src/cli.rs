//! The command line.
use std::{io::IsTerminal, net::SocketAddr, sync::Arc, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    engine::{Ended, LeaseTimes, Operator, Settings, SystemClock, kubernetes::configure, lease, mark},
    kinds, logging, manifests,
    remote::{AllowList, ReqwestFactory},
    serve,
};

/// A Kubernetes operator for Kong Konnect developer portals and Cloudentity ACP OAuth access.
#[derive(Debug, Parser)]
#[command(name = "portico", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator, in a cluster or by kubeconfig.
    Run(Box<Run>),
    /// Print the CustomResourceDefinitions: pipe them into `kubectl apply --server-side -f -`.
    Crds,
}

#[derive(Debug, Args)]
struct Run {
    /// Portico's own namespace.
    #[arg(long, env = "PORTICO_NAMESPACE", default_value = "portico-system")]
    namespace: String,
    /// A namespace to look after; repeat for more. Left out: all namespaces.
    #[arg(long, env = "PORTICO_WATCH_NAMESPACE", value_delimiter = ',')]
    watch_namespace: Vec<String>,
    /// What tells this installation from others: it is in the marks on objects, and the ids that Portico chooses follow from it. Left out: the UID of the namespace kube-system.
    #[arg(long, env = "PORTICO_OWNER_ID", value_parser = owner_id)]
    owner_id: Option<String>,
    /// A host that connections may name besides *.api.konghq.com, with its scheme, such as https://konnect-proxy.example.com; repeat for more.
    #[arg(long, env = "PORTICO_ALLOW_HOST", value_delimiter = ',')]
    allow_host: Vec<String>,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, env = "PORTICO_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How logs look. Left out: text on a terminal, JSON elsewhere.
    #[arg(long, env = "PORTICO_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// How long after a request's deadline a change may still show up at the API. So long what may come late is waited for.
    #[arg(long, env = "PORTICO_CONSISTENCY_WINDOW", default_value = "30s", value_parser = duration)]
    consistency_window: Duration,
    /// The first wait after a failure; it doubles from there.
    #[arg(long, env = "PORTICO_BACKOFF", default_value = "10s", value_parser = duration)]
    backoff: Duration,
    /// The longest wait after a failure that can pass by itself.
    #[arg(long, env = "PORTICO_BACKOFF_MAX", default_value = "5m", value_parser = duration)]
    backoff_max: Duration,
    /// The first wait after a refusal that needs a person.
    #[arg(long, env = "PORTICO_STALLED_RETRY", default_value = "5m", value_parser = duration)]
    stalled_retry: Duration,
    /// The longest wait after a refusal that needs a person.
    #[arg(long, env = "PORTICO_STALLED_RETRY_MAX", default_value = "30m", value_parser = duration)]
    stalled_retry_max: Duration,
    /// The deadline of a request to the API server.
    #[arg(long, env = "PORTICO_KUBERNETES_TIMEOUT", default_value = "30s", value_parser = duration)]
    kubernetes_timeout: Duration,
    /// How long running work may take to end at shutdown.
    #[arg(long, env = "PORTICO_SHUTDOWN_TIMEOUT", default_value = "8s", value_parser = duration)]
    shutdown_timeout: Duration,
    /// Whether replicas elect one that works, by a Lease in Portico's own namespace. With `false` there must be only one.
    #[arg(long, env = "PORTICO_LEADER_ELECT", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: bool,
    /// How long the lease of a leader lives that does not renew it, in whole seconds: after so long a standby takes over.
    #[arg(long, env = "PORTICO_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    lease_duration: Duration,
    /// How often the leader renews its lease.
    #[arg(long, env = "PORTICO_LEASE_RENEW", default_value = "5s", value_parser = duration)]
    lease_renew: Duration,
    /// How soon a failed renewal is tried again, and how often a standby looks whether it may take over.
    #[arg(long, env = "PORTICO_LEASE_RETRY", default_value = "2s", value_parser = duration)]
    lease_retry: Duration,
    /// Whether the last credential of a connection that worked is kept in a Secret in Portico's own namespace, for deletions alone.
    #[arg(long, env = "PORTICO_ESCROW", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    escrow: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: kube::core::Duration =
        text.parse().map_err(|_| format!("{text:?} is no duration such as 30s, 5m or 1h30m"))?;
    if parsed.is_negative() { Err("a duration cannot be negative".to_owned()) } else { Ok(parsed.into()) }
}

fn owner_id(text: &str) -> Result<String, String> {
    if mark::is_label(text) {
        Ok(text.to_owned())
    } else {
        Err("an owner id is 1 to 63 letters, digits, '-', '.' and '_', beginning and ending with a letter or a digit"
            .to_owned())
    }
}

/// Runs the command.
///
/// # Errors
/// One line for the user.
pub async fn main(cli: Cli) -> Result<(), String> {
    match cli.command {
        Command::Crds => {
            print!("{}", manifests::crds_yaml());
            Ok(())
        }
        Command::Run(run) => Box::pin(run_operator(*run)).await,
    }
}

async fn run_operator(run: Run) -> Result<(), String> {
    log(run.log_format);
    // kube and reqwest both use the process-wide provider; installing it twice is the only way this fails.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let allow = AllowList::new(&run.allow_host).map_err(|e| format!("--allow-host: {e}"))?;
    let times = LeaseTimes { duration: run.lease_duration, renew: run.lease_renew, retry: run.lease_retry };
    let times = times.check().map_err(|e| format!("--lease-duration, --lease-renew, --lease-retry: {e}"))?;
    let lease_name = format!("{}/{}", run.namespace, lease::NAME);
    let config = kube::Config::infer()
        .await
        .map_err(|e| format!("no way to a Kubernetes cluster: {e}; set KUBECONFIG, or run in a cluster"))?;
    let client =
        kube::Client::try_from(configure(config)).map_err(|e| format!("no Kubernetes client can be made: {e}"))?;
    let settings = Settings {
        namespace: run.namespace,
        watch_namespaces: run.watch_namespace,
        owner: run.owner_id,
        allow: allow.clone(),
        consistency: run.consistency_window,
        backoff: run.backoff,
        backoff_max: run.backoff_max,
        stalled: run.stalled_retry,
        stalled_max: run.stalled_retry_max,
        kube_deadline: run.kubernetes_timeout,
        shutdown: run.shutdown_timeout,
        lease: run.leader_elect.then_some(times),
        escrow: run.escrow,
        ..Settings::default()
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "portico starts");
    let operator = Operator::new(
        client,
        Arc::new(ReqwestFactory { allow }),
        Arc::new(SystemClock),
        fastrand::u64(..),
        settings,
        kinds::all(),
    );
    let (health, metrics) = (operator.health(), operator.metrics());
    tokio::select! {
        ended = operator.run(terminated()) => match ended {
            Ended::Shutdown => Ok(()),
            Ended::LeaseLost => Err(format!("the lease {lease_name} is lost: another replica works on, and this one can be started again")),
        },
        result = serve::serve(run.listen, health, metrics) => result.map_err(|e| format!("--listen {}: {e}", run.listen)),
    }
}

/// Resolves at Ctrl-C, and at the SIGTERM that Kubernetes sends.
async fn terminated() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {},
        () = terminate => {},
    }
}

/// Logs to standard error, as `RUST_LOG` says.
fn log(format: Option<LogFormat>) {
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    let terminal = std::io::stderr().is_terminal();
    let text = match format {
        Some(format) => matches!(format, LogFormat::Text),
        None => terminal,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal);
    // A second initialisation, as in tests, keeps the first.
    let _ = if text {
        let layer = layer.with_target(false).with_filter(logging::filter(&wanted));
        tracing_subscriber::registry().with(layer).try_init()
    } else {
        let layer = layer.json().flatten_event(true).with_filter(logging::filter(&wanted));
        tracing_subscriber::registry().with(layer).try_init()
    };
}
