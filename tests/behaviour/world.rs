//! A world of its own for every test.
use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex, Once, OnceLock},
    time::Duration,
};

use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    client::ClientBuilder,
    core::{ApiResource, GroupVersionKind},
};
use portico::{
    engine::{Operator, Settings, SystemClock, health::Health, metrics::Metrics},
    kinds, manifests,
    remote::{AllowList, ReqwestFactory},
};
use portico_sandbox::{Options, Sandbox, Server};
use portico_testbed::{ControlPlane, Request};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle, time::Instant};

use crate::tripwire::{KubernetesLayer, RemoteFactory, Tripwire};

/// How long anything may take. Nothing in a world takes longer than a few seconds; machines are slow sometimes.
const PATIENCE: Duration = Duration::from_secs(60);

/// All that the process has logged, at debug level.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

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
        let filter = "debug,hyper=warn,hyper_util=warn,reqwest=warn,rustls=warn,h2=warn,tower=warn,kube_client=info";
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| LogWriter).init();
    });
}

/// An operator that runs in this process.
struct Running {
    task: JoinHandle<()>,
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
    plane: &'static ControlPlane,
    admin: Client,
    operator_token: String,
    running: Option<Running>,
    forbidden_is_expected: bool,
    ended: bool,
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
        let setup = namespace.clone();
        let operator_token = tokio::task::spawn_blocking(move || prepare(plane, &setup)).await.unwrap();
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
            ..Settings::default()
        };
        let admin = Client::try_from(plane.admin_config()).unwrap();
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
            forbidden_is_expected: false,
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
        let config = self.plane.config_as(&self.operator_token);
        let client = ClientBuilder::try_from(config).unwrap().with_layer(&KubernetesLayer(self.wire.clone())).build();
        let http =
            RemoteFactory { real: ReqwestFactory { allow: self.settings.allow.clone() }, wire: self.wire.clone() };
        let operator =
            Operator::new(client, Arc::new(http), Arc::new(SystemClock), 1, self.settings.clone(), kinds::all());
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
            running.task.await.expect("it stops without a panic");
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

    /// Makes or replaces a Secret with the key `token`.
    pub(crate) async fn secret(&self, name: &str, token: &str) {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"token": token}});
        self.apply_as("v1", "Secret", "secrets", name, secret).await;
    }

    /// Makes the connection `acme` to the sandbox, with these fields besides.
    pub(crate) async fn connection(&self, spec: Value) {
        let mut whole = json!({
            "url": self.server.url(),
            "tokenSecretRef": {"name": "konnect"},
            "resyncInterval": "1s",
            "requestTimeout": "1s",
            "rateLimit": {"requestsPerSecond": 1000, "burst": 1000},
        });
        merge(&mut whole, spec);
        self.create("KonnectConnection", "acme", whole).await;
    }

    /// Makes a Portal on the connection `acme`.
    pub(crate) async fn portal(&self, name: &str, spec: Value) {
        let mut whole = json!({"connectionRef": {"name": "acme"}});
        merge(&mut whole, spec);
        self.create("Portal", name, whole).await;
    }

    /// Makes a PortalTeam in a Portal.
    pub(crate) async fn team(&self, name: &str, portal: &str, spec: Value) {
        let mut whole = json!({"portalRef": {"name": portal}});
        merge(&mut whole, spec);
        self.create("PortalTeam", name, whole).await;
    }

    /// Creates a resource.
    pub(crate) async fn create(&self, kind: &str, name: &str, spec: Value) {
        self.try_create(kind, name, spec).await.unwrap_or_else(|e| panic!("{kind} {name} is taken: {e}"));
    }

    /// Creates a resource, or says why the API server refuses.
    pub(crate) async fn try_create(&self, kind: &str, name: &str, spec: Value) -> Result<DynamicObject, String> {
        let resource = resource(kind);
        let object =
            json!({"apiVersion": resource.api_version, "kind": kind, "metadata": {"name": name}, "spec": spec});
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        self.api(kind)
            .create(&PostParams { field_manager: Some("test".into()), ..PostParams::default() }, &object)
            .await
            .map_err(|e| e.to_string())
    }

    /// Changes a resource by a merge patch.
    pub(crate) async fn patch(&self, kind: &str, name: &str, patch: Value) {
        self.try_patch(kind, name, patch).await.unwrap_or_else(|e| panic!("{kind} {name} is changed: {e}"));
    }

    /// Changes a resource, or says why the API server refuses.
    pub(crate) async fn try_patch(&self, kind: &str, name: &str, patch: Value) -> Result<DynamicObject, String> {
        self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map_err(|e| e.to_string())
    }

    /// Changes the spec of a resource by a merge patch.
    pub(crate) async fn spec(&self, kind: &str, name: &str, spec: Value) {
        self.patch(kind, name, json!({ "spec": spec })).await;
    }

    /// Sets or removes (null) an annotation.
    pub(crate) async fn annotate(&self, kind: &str, name: &str, annotation: &str, value: Value) {
        self.patch(kind, name, json!({"metadata": {"annotations": {annotation: value}}})).await;
    }

    /// Changes the status, as a restored backup or a vandal would.
    pub(crate) async fn status(&self, kind: &str, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.api(kind).patch_status(name, &PatchParams::default(), &patch).await.expect("the status is changed");
    }

    /// Asks for a deletion; does not wait.
    pub(crate) async fn delete(&self, kind: &str, name: &str) {
        self.api(kind).delete(name, &DeleteParams::default()).await.expect("the deletion is taken");
    }

    /// Waits until a resource is gone.
    pub(crate) async fn gone(&self, kind: &str, name: &str) {
        let started = Instant::now();
        while self.get(kind, name).await.is_some() {
            assert!(
                started.elapsed() < PATIENCE,
                "{kind} {name} is still there: {:#}",
                self.get(kind, name).await.unwrap_or_default()
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// A resource as it is.
    pub(crate) async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.api(kind).get_opt(name).await.expect("the API server answers").map(|o| serde_json::to_value(o).unwrap())
    }

    /// Waits until a resource is as described, and returns it.
    pub(crate) async fn until(&self, kind: &str, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let object = self.get(kind, name).await.unwrap_or_default();
            if is(&object) {
                return object;
            }
            assert!(started.elapsed() < PATIENCE, "{kind} {name} never {what}; it is {object:#}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits until something else holds.
    pub(crate) async fn eventually(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !is(self) {
            assert!(started.elapsed() < PATIENCE, "never: {what}; Konnect has {:#}", self.sandbox.state());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a resource is Ready for its present generation.
    pub(crate) async fn ready(&self, kind: &str, name: &str) -> Value {
        self.until(kind, name, "became Ready", |o| is_current(o) && condition(o, "Ready", "status") == "True").await
    }

    /// Waits until a resource is Ready and Synced for its present generation.
    pub(crate) async fn synced(&self, kind: &str, name: &str) -> Value {
        let is = |o: &Value| is_current(o) && ["Ready", "Synced"].iter().all(|c| condition(o, c, "status") == "True");
        self.until(kind, name, "became Ready and Synced", is).await
    }

    /// Waits until `Ready` is not True for this reason, and returns the message.
    pub(crate) async fn unready(&self, kind: &str, name: &str, reason: &str) -> String {
        let is = |o: &Value| condition(o, "Ready", "status") != "True" && condition(o, "Ready", "reason") == reason;
        let object = self.until(kind, name, &format!("said {reason}"), is).await;
        condition(&object, "Ready", "message").to_owned()
    }

    /// The portals of the organization as the API shows them, with what is in them.
    pub(crate) fn portals(&self) -> Vec<Value> {
        self.sandbox.state()["organizations"]["acme"]["portals"].as_array().cloned().unwrap_or_default()
    }

    /// The portals of this name.
    pub(crate) fn named(&self, name: &str) -> Vec<Value> {
        self.portals().into_iter().filter(|p| p["name"] == name).collect()
    }

    /// The one portal of this name.
    pub(crate) fn only(&self, name: &str) -> Value {
        let found = self.named(name);
        assert_eq!(found.len(), 1, "portals named {name}: {found:#?}");
        found[0].clone()
    }

    /// Changes something at the API by hand.
    pub(crate) async fn by_hand(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> u16 {
        let client = reqwest::Client::new();
        let request = client.request(method, format!("{}{path}", self.server.url())).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        request.send().await.expect("the sandbox answers").status().as_u16()
    }

    /// How often an operation was called since the record was last reset.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.sandbox.exchanges().iter().filter(|e| e.operation.as_deref() == Some(operation)).count()
    }

    /// All writes to the API since the record was last reset, as operation ids.
    pub(crate) fn remote_writes(&self) -> Vec<String> {
        let exchanges = self.sandbox.exchanges();
        exchanges.iter().filter(|e| e.method != "GET").map(|e| e.operation.clone().unwrap_or_default()).collect()
    }

    /// All writes of this world's operator to Kubernetes, but for events, as `patch portals/status docs`.
    pub(crate) fn kubernetes_writes(&self) -> Vec<String> {
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        let ours = self.requests().into_iter().filter(|r| writes.contains(&r.verb.as_str()) && r.resource != "events");
        ours.map(|r| {
            let sub = if r.subresource.is_empty() { String::new() } else { format!("/{}", r.subresource) };
            format!("{} {}{sub} {}", r.verb, r.resource, r.name)
        })
        .collect()
    }

    /// Every request of this world's operator to Kubernetes.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let user = self.user();
        self.plane.audit().expect("the audit log is readable").into_iter().filter(|r| r.user == user).collect()
    }

    fn user(&self) -> String {
        format!("system:serviceaccount:{}-system:portico", self.namespace)
    }

    /// Watches for a time, and asserts that nothing was written on either side.
    pub(crate) async fn assert_silence(&self, time: Duration) {
        self.flush_audit().await;
        self.sandbox.reset_exchanges();
        let before = self.kubernetes_writes().len();
        tokio::time::sleep(time).await;
        self.assert_nothing_written_since(before).await;
    }

    /// Asserts that nothing was written to the API since its record was reset, nor to Kubernetes since it had seen this many writes.
    pub(crate) async fn assert_nothing_written_since(&self, before: usize) {
        assert_eq!(self.remote_writes(), Vec::<String>::new(), "writes to the API at rest");
        self.flush_audit().await;
        let after = self.kubernetes_writes();
        assert_eq!(after[before..], [] as [String; 0], "writes to Kubernetes at rest");
    }

    /// The audit log is written in batches; what has happened stands in it after this.
    pub(crate) async fn flush_audit(&self) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    /// Runs kubectl in the world's namespace, as a user would.
    pub(crate) async fn kubectl(&self, args: &[&str], stdin: &str) -> Result<String, String> {
        let (plane, stdin) = (self.plane, stdin.to_owned());
        let mut all: Vec<String> = vec!["-n".to_owned(), self.namespace.clone()];
        all.extend(args.iter().map(ToString::to_string));
        tokio::task::spawn_blocking(move || {
            let args: Vec<&str> = all.iter().map(String::as_str).collect();
            plane.kubectl_stdin(&args, &stdin).map_err(|e| e.to_string())
        })
        .await
        .unwrap()
    }

    /// The notes of all events about a resource, with their reasons.
    pub(crate) async fn events(&self, name: &str) -> Vec<(String, String)> {
        let api: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(self.admin.clone(), &self.namespace);
        let all = api.list(&kube::api::ListParams::default()).await.expect("events can be listed");
        let about = all.into_iter().filter(|e| e.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(name));
        about.map(|e| (e.reason.unwrap_or_default(), e.note.unwrap_or_default())).collect()
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

    async fn apply_as(&self, api_version: &str, kind: &str, plural: &str, name: &str, object: Value) {
        let resource = ApiResource {
            group: String::new(),
            version: api_version.into(),
            api_version: api_version.into(),
            kind: kind.into(),
            plural: plural.into(),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(self.admin.clone(), &self.namespace, &resource);
        api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object)).await.expect("it is applied");
    }

    /// Checks what holds in every world, and takes it down.
    pub(crate) async fn end(mut self) {
        self.ended = true;
        let metrics = self.metrics.text();
        self.stop().await;
        self.assert_no_secret_leaked(&metrics).await;
        let forbidden: Vec<Request> = self.requests().into_iter().filter(|r| r.code == 403).collect();
        assert!(self.forbidden_is_expected || forbidden.is_empty(), "RBAC refused: {forbidden:#?}");
        // Nobody waits for the end of the namespaces; finalizers would only hold them.
        for kind in ["PortalTeam", "Portal", "KonnectConnection"] {
            let api = self.api(kind);
            for object in api.list(&kube::api::ListParams::default()).await.map(|l| l.items).unwrap_or_default() {
                let name = object.metadata.name.unwrap_or_default();
                let _ = api
                    .patch(&name, &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}})))
                    .await;
            }
        }
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.admin.clone());
        for name in [self.namespace.clone(), format!("{}-system", self.namespace)] {
            let _ = namespaces.delete(&name, &DeleteParams::default()).await;
        }
    }

    /// Greps for every secret that the sandbox accepted, made or returned.
    async fn assert_no_secret_leaked(&self, metrics: &str) {
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        places.insert("the log".into(), String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned());
        places.insert("the metrics".into(), metrics.to_owned());
        let record = self.sandbox.exchanges().iter().map(|e| serde_json::to_string(e).unwrap()).collect::<String>();
        places.insert("the exchange record".into(), record);
        for kind in ["KonnectConnection", "Portal", "PortalTeam"] {
            let objects =
                self.api(kind).list(&kube::api::ListParams::default()).await.map(|l| l.items).unwrap_or_default();
            places.insert(format!("the {kind}s"), serde_json::to_string(&objects).unwrap());
        }
        let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(self.admin.clone(), &self.namespace);
        let events = events.list(&kube::api::ListParams::default()).await.map(|l| l.items).unwrap_or_default();
        places.insert("the events".into(), serde_json::to_string(&events).unwrap());
        let secrets = self.sandbox.secrets();
        assert!(secrets.contains(&self.token), "the sandbox does not know the token: this check checks nothing");
        for (place, text) in places {
            for secret in &secrets {
                assert!(!text.contains(secret), "a secret stands in {place}");
            }
        }
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
            let about: Vec<&str> = log.lines().filter(|l| l.contains(&self.namespace)).collect();
            eprintln!(
                "--- the last passes of {}\n{}",
                self.namespace,
                about[about.len().saturating_sub(40)..].join("\n")
            );
        }
    }
}

/// The RBAC of one namespace, and the token of the operator's ServiceAccount.
fn prepare(plane: &ControlPlane, namespace: &str) -> String {
    let system = format!("{namespace}-system");
    let rbac = manifests::rbac_namespaced_yaml()
        .replace("portico-system", &system)
        .replace("namespace: default", &format!("namespace: {namespace}"))
        .replace("name: portico-cluster", &format!("name: portico-{namespace}"));
    let namespaces = format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n{rbac}");
    plane.kubectl_stdin(&["apply", "-f", "-"], &namespaces).expect("RBAC is taken");
    plane.token(&system, "portico").expect("the ServiceAccount has a token")
}

/// Konnect's kinds.
pub(crate) fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("konnect.portico.dev", "v1alpha1", kind))
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
