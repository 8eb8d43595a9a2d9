//! A world of its own for every test.
use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex, Once, OnceLock},
    time::Duration,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionSpec;
use kube::{Api, Client, api::DynamicObject, client::ClientBuilder, core::ApiResource};
use portico::{
    engine::{Ended, Operator, Settings, SystemClock, health::Health, kubernetes::configure, metrics::Metrics},
    kinds, logging, manifests,
    remote::{AllowList, ReqwestFactory},
};
use portico_sandbox::{Options, Sandbox, Server};
use portico_testbed::ControlPlane;
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle, time::Instant};
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    tripwire::{KubernetesLayer, RemoteFactory, Tripwire},
    world_look::Pauses,
};

/// How long anything may take. Nothing in a world takes longer than a few seconds; machines are slow sometimes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// All that the process has logged, at debug level.
pub(crate) static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct LogWriter;
impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The control plane with Portico's CRDs, shared by all worlds.
fn plane() -> &'static ControlPlane {
    static READY: OnceLock<&'static ControlPlane> = OnceLock::new();
    READY.get_or_init(|| {
        let plane = ControlPlane::shared();
        install(plane);
        plane
    })
}

/// Installs the CRDs and waits until they are served.
pub(crate) fn install(plane: &ControlPlane) {
    plane.kubectl_stdin(&["apply", "--server-side", "-f", "-"], &manifests::crds_yaml()).expect("the CRDs are taken");
    plane
        .kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])
        .expect("the CRDs are served");
}

fn once_per_process() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The caps are the program's own: one that is lost shows here.
        let filter = logging::filter("debug,portico=trace");
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| LogWriter).with_filter(filter);
        tracing_subscriber::registry().with(layer).init();
    });
}

/// An operator that runs in this process.
pub(crate) struct Running {
    task: JoinHandle<Ended>,
    stop: oneshot::Sender<()>,
}

/// What a world is made of.
pub(crate) struct World {
    /// The namespace of its resources.
    pub(crate) namespace: String,
    /// Konnect.
    pub(crate) sandbox: Sandbox,
    /// Where Konnect is.
    pub(crate) server: Server,
    /// A token of the organization `acme`.
    pub(crate) token: String,
    /// Sees and stops the operator's requests.
    pub(crate) wire: Tripwire,
    /// The next operator's windows.
    pub(crate) settings: Settings,
    /// The running operator's health and counters.
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) plane: &'static ControlPlane,
    pub(crate) admin: Client,
    pub(crate) operator_token: String,
    pub(crate) running: Option<Running>,
    /// The kinds that the next operator knows; all of them where this is empty.
    pub(crate) kinds: Vec<&'static str>,
    pub(crate) forbidden_is_expected: bool,
    /// Where the log was when this world came to be.
    pub(crate) log_from: usize,
    pub(crate) ended: bool,
}

impl World {
    /// A world in which nothing runs and only the Secret `konnect` exists.
    pub(crate) async fn still(name: &str) -> Self {
        once_per_process();
        let plane = tokio::task::spawn_blocking(plane).await.unwrap();
        Self::on(plane, name, Options::default()).await
    }

    /// The same on a control plane and with sandbox options of one's own.
    pub(crate) async fn on(plane: &'static ControlPlane, name: &str, options: Options) -> Self {
        once_per_process();
        assert!(name.len() <= 40, "namespaces are short");
        let namespace = format!("{name}-{:05x}", fastrand::u32(..0x10_0000));
        let admin = Client::try_from(plane.admin_config()).unwrap();
        let operator_token = Box::pin(prepare(&admin, &namespace)).await;
        let sandbox = Sandbox::new(options);
        let server = sandbox.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let token = sandbox.organization("acme");
        let settings = Settings {
            namespace: format!("{namespace}-system"),
            watch_namespaces: vec![namespace.clone()],
            owner: Some(format!("owner-of-{namespace}")),
            allow: AllowList::new(&[server.url()]).unwrap(),
            consistency: Duration::from_millis(300),
            backoff: Duration::from_millis(200),
            backoff_max: Duration::from_secs(1),
            stalled: Duration::from_secs(1),
            stalled_max: Duration::from_secs(2),
            minute: Duration::from_millis(200),
            // Also for how long what an earlier process sent may be late: the tests end many.
            kube_deadline: Duration::from_secs(5),
            ..Settings::default()
        };
        let world = Self {
            namespace,
            sandbox,
            server,
            token,
            wire: Tripwire::default(),
            settings,
            health: Health::default(),
            metrics: Arc::default(),
            plane,
            admin,
            operator_token,
            running: None,
            kinds: Vec::new(),
            forbidden_is_expected: false,
            log_from: LOG.lock().unwrap().len(),
            ended: false,
        };
        world.secret("konnect", &world.token).await;
        world
    }

    /// A world with a running operator and a Ready connection `acme`.
    pub(crate) async fn new(name: &str) -> Self {
        let mut world = Self::still(name).await;
        world.start();
        world.connection(json!({})).await;
        world.ready("KonnectConnection", "acme").await;
        world
    }

    /// Starts an operator in this process, as its ServiceAccount.
    pub(crate) fn start(&mut self) {
        assert!(self.running.is_none(), "one operator at a time");
        let config = configure(self.plane.config_as(&self.operator_token));
        let client = ClientBuilder::try_from(config).unwrap().with_layer(&KubernetesLayer(self.wire.clone())).build();
        let http =
            RemoteFactory { real: ReqwestFactory { allow: self.settings.allow.clone() }, wire: self.wire.clone() };
        let mut known = kinds::all();
        let is_known = |kind: &str| self.kinds.is_empty() || self.kinds.contains(&kind);
        known.resources.retain(|ops| is_known(ops.info().kind));
        known.connections.retain(|ops| is_known(ops.info().kind));
        let operator = Operator::new(client, Arc::new(http), Arc::new(SystemClock), 1, self.settings.clone(), known);
        (self.health, self.metrics) = (operator.health(), operator.metrics());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(operator.run(async move {
            let _ = stopped.await;
        }));
        self.running = Some(Running { task, stop });
    }

    /// Drops the operator at once, as a crash would.
    pub(crate) async fn crash(&mut self) {
        if let Some(running) = self.running.take() {
            running.task.abort();
            let _ = running.task.await;
        }
    }

    /// Stops the operator in order; says how long it took.
    pub(crate) async fn stop(&mut self) -> Duration {
        let started = Instant::now();
        if let Some(running) = self.running.take() {
            let _ = running.stop.send(());
            assert_eq!(running.task.await.expect("it stops without a panic"), Ended::Shutdown);
        }
        started.elapsed()
    }

    /// Waits for the wire to trip, then drops the operator; false where nothing was stopped within the time.
    pub(crate) async fn crash_at_the_wire(&mut self, within: Duration) -> bool {
        let tripped = tokio::time::timeout(within, self.wire.tripped()).await.is_ok();
        self.crash().await;
        self.wire.disarm();
        tripped
    }

    /// The test means to see a 403.
    pub(crate) fn expect_forbidden(&mut self) {
        self.forbidden_is_expected = true;
    }

    /// An API of the world's namespace, as administrator.
    pub(crate) fn api(&self, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.admin.clone(), &self.namespace, &resource(kind))
    }

    /// A client as administrator.
    pub(crate) fn admin(&self) -> Client {
        self.admin.clone()
    }

    /// The control plane.
    pub(crate) fn plane(&self) -> &'static ControlPlane {
        self.plane
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.task.abort();
        }
        assert!(
            self.ended || std::thread::panicking(),
            "a world must be ended by end(): it checks what holds in every world"
        );
        if std::thread::panicking() {
            let log = LOG.lock().map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default();
            let about: Vec<&str> =
                log.lines().filter(|l| l.contains(&self.namespace) && !l.contains("outcome=ready")).collect();
            eprintln!(
                "--- the last passes of {}\n{}",
                self.namespace,
                about[about.len().saturating_sub(40)..].join("\n")
            );
        }
    }
}

/// The RBAC of one namespace, and the token of the operator's ServiceAccount. Without kubectl: there are many worlds, and it takes its time.
async fn prepare(admin: &Client, namespace: &str) -> String {
    let system = format!("{namespace}-system");
    let rbac = manifests::rbac_namespaced_yaml()
        .replace("portico-system", &system)
        .replace("namespace: default", &format!("namespace: {namespace}"))
        .replace("name: portico-cluster", &format!("name: portico-{namespace}"));
    let namespaces = format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n{rbac}");
    for document in serde_saphyr::from_multiple::<Value>(&namespaces).expect("what is generated is YAML") {
        let api = match document["apiVersion"].as_str() {
            Some("v1") => "/api/v1".to_owned(),
            group => format!("/apis/{}", group.expect("it has a version")),
        };
        let within = document["metadata"]["namespace"].as_str().map(|name| format!("/namespaces/{name}"));
        let plural = format!("{}s", document["kind"].as_str().expect("it has a kind").to_lowercase());
        post(admin, &format!("{api}{}/{plural}", within.unwrap_or_default()), &document).await;
    }
    let token = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 86400},
    });
    let token = post(admin, &format!("/api/v1/namespaces/{system}/serviceaccounts/portico/token"), &token).await;
    until_it_holds(admin, namespace, &system).await;
    token["status"]["token"].as_str().expect("the ServiceAccount has a token").to_owned()
}

/// Makes something by a POST; the answer.
async fn post(admin: &Client, path: &str, body: &Value) -> Value {
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(body.to_string().into_bytes()).expect("a path of letters makes a request");
    admin.request(request).await.unwrap_or_else(|e| panic!("POST {path} is taken: {e}"))
}

/// What was granted holds a moment later: before that, an operator would be refused.
async fn until_it_holds(admin: &Client, namespace: &str, system: &str) {
    let portal = resource("Portal");
    for (namespace, verb, group, resource) in [
        (namespace, "watch", portal.group.as_str(), portal.plural.as_str()),
        (system, "create", "coordination.k8s.io", "leases"),
        ("", "get", "", "namespaces"),
    ] {
        let attributes = json!({"namespace": namespace, "verb": verb, "group": group, "resource": resource});
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": format!("system:serviceaccount:{system}:portico"), "resourceAttributes": attributes},
        });
        let (started, mut pauses) = (Instant::now(), Pauses::up_to(150));
        loop {
            let answer = post(admin, "/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await;
            if answer["status"]["allowed"] == true {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "the rights never came to hold: {answer:#}");
            pauses.pause().await;
        }
    }
}

/// The kinds by name, as their CRDs have them.
fn resources() -> &'static BTreeMap<String, ApiResource> {
    static RESOURCES: OnceLock<BTreeMap<String, ApiResource>> = OnceLock::new();
    RESOURCES.get_or_init(|| {
        let resource = |spec: CustomResourceDefinitionSpec| {
            let version = spec.versions[0].name.clone();
            let api_version = format!("{}/{version}", spec.group);
            let (kind, plural) = (spec.names.kind, spec.names.plural);
            (kind.clone(), ApiResource { group: spec.group, version, api_version, kind, plural })
        };
        manifests::crds().into_iter().map(|crd| resource(crd.spec)).collect()
    })
}

/// The names of all kinds in the list.
pub(crate) fn all_kinds() -> impl Iterator<Item = &'static str> {
    resources().keys().map(String::as_str)
}

/// A kind by its name.
pub(crate) fn resource(kind: &str) -> ApiResource {
    resources().get(kind).unwrap_or_else(|| panic!("{kind} is in the list of kinds")).clone()
}

/// A field of a condition, or "".
pub(crate) fn condition<'v>(object: &'v Value, type_: &str, field: &str) -> &'v str {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.and_then(|all| all.iter().find(|c| c["type"] == type_));
    found.and_then(|c| c[field].as_str()).unwrap_or_default()
}

/// Whether the status speaks of the present spec.
pub(crate) fn is_current(object: &Value) -> bool {
    object["metadata"]["generation"].is_i64()
        && object["metadata"]["generation"] == object["status"]["observedGeneration"]
}

/// Merges `patch` into `value`, as a merge patch does.
pub(crate) fn merge(value: &mut Value, patch: Value) {
    match (value, patch) {
        (Value::Object(value), Value::Object(patch)) => {
            for (key, patch) in patch {
                if patch.is_null() {
                    value.remove(&key);
                } else {
                    merge(value.entry(key).or_insert(Value::Null), patch);
                }
            }
        }
        (value, patch) => *value = patch,
    }
}
