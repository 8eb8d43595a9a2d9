//! What tests and the demo rely on, against the real programs.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, Client};
use portico_testbed::{ControlPlane, Request};

/// Tells this test binary, started by itself, to hold a control plane until it is killed.
const HOLD: &str = "PORTICO_HOLD";

/// Stands before the folder's path in the output of the holder.
const HELD: &str = "holding ";

#[tokio::test]
async fn it_answers_as_soon_as_it_has_started() {
    let control_plane = ControlPlane::shared();
    let client = Client::try_from(control_plane.admin_config()).unwrap();
    assert_eq!(client.apiserver_version().await.unwrap().major, "1");
    let namespaces: Api<Namespace> = Api::all(client);
    assert_eq!(namespaces.get("default").await.unwrap().metadata.name.as_deref(), Some("default"));
    assert!(control_plane.ca_pem().starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn kubectl_works_and_says_why_if_it_does_not() {
    let control_plane = ControlPlane::shared();
    let config_map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: greeting}, data: {hello: world}}";
    control_plane.kubectl_stdin(&["apply", "-f", "-"], config_map).unwrap();
    let read = control_plane.kubectl(&["get", "configmap", "greeting", "-o", "jsonpath={.data.hello}"]).unwrap();
    assert_eq!(read, "world");

    let refusal = control_plane.kubectl(&["get", "configmap", "farewell"]).unwrap_err().to_string();
    assert!(refusal.starts_with("kubectl get configmap farewell: "), "{refusal}");
    assert!(refusal.contains("NotFound"), "{refusal}");
}

#[test]
fn a_deleted_namespace_really_ends() {
    let control_plane = ControlPlane::shared();
    control_plane.kubectl(&["create", "namespace", "short-lived"]).unwrap();
    control_plane.kubectl(&["create", "configmap", "content", "--namespace", "short-lived"]).unwrap();
    control_plane.kubectl(&["delete", "namespace", "short-lived", "--wait", "--timeout=60s"]).unwrap();
    let left = control_plane.kubectl(&["get", "namespace", "short-lived", "--ignore-not-found"]).unwrap();
    assert_eq!(left, "");
}

#[tokio::test]
async fn a_service_account_may_do_what_it_was_granted_and_nothing_else() {
    let control_plane = ControlPlane::shared();
    control_plane.kubectl(&["create", "namespace", "guests"]).unwrap();
    control_plane.kubectl(&["create", "serviceaccount", "ann", "--namespace", "guests"]).unwrap();
    let token = control_plane.token("guests", "ann").unwrap();
    let client = Client::try_from(control_plane.config_as(&token)).unwrap();
    let config_maps: Api<ConfigMap> = Api::namespaced(client, "guests");

    let refusal = config_maps.list(&kube::api::ListParams::default()).await.unwrap_err();
    assert!(matches!(&refusal, kube::Error::Api(status) if status.code == 403), "{refusal}");
    let refused = audited(control_plane, |request| {
        request.user == "system:serviceaccount:guests:ann" && request.resource == "configmaps" && request.code == 403
    });
    assert_eq!((refused.verb.as_str(), refused.namespace.as_str(), refused.group.as_str()), ("list", "guests", ""));

    let role = ["create", "role", "reader", "--verb=list", "--resource=configmaps", "--namespace", "guests"];
    control_plane.kubectl(&role).unwrap();
    let subject = "--serviceaccount=guests:ann";
    let grant = ["create", "rolebinding", "ann", "--role=reader", subject, "--namespace", "guests"];
    control_plane.kubectl(&grant).unwrap();
    // The authorizer learns of the grant by a watch, a moment later.
    until("the grant counts", || {
        let kubeconfig = control_plane.kubeconfig_as(&token, "ann").unwrap();
        let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
        control_plane.kubectl(&[&kubeconfig, "get", "configmaps", "--namespace", "guests"]).is_ok()
    });
    config_maps.list(&kube::api::ListParams::default()).await.unwrap();
}

#[test]
fn a_kubeconfig_stays_in_the_folder_and_spares_the_administrator() {
    let control_plane = ControlPlane::shared();
    for name in ["admin", "", "../elsewhere", "a/b"] {
        assert!(control_plane.kubeconfig_as("token", name).is_err(), "{name:?}");
    }
}

#[test]
fn nothing_is_left_after_a_panic() {
    let mut folder = PathBuf::new();
    let outcome: thread::Result<()> = catch_unwind(AssertUnwindSafe(|| {
        let control_plane = ControlPlane::start().unwrap();
        folder = control_plane.folder().to_path_buf();
        assert_eq!(processes_of(&folder).len(), 4, "etcd, kube-apiserver, kube-controller-manager and the watchdog");
        panic!("on purpose");
    }));
    assert_eq!(outcome.unwrap_err().downcast_ref::<&str>(), Some(&"on purpose"));
    // Dropping waits, so there is nothing to wait for here.
    assert!(processes_of(&folder).is_empty());
    assert!(kept() || !folder.exists());
}

#[test]
fn nothing_is_left_after_the_owner_was_killed() {
    nothing_is_left_after(&["KILL"]);
}

#[test]
fn nothing_is_left_after_ctrl_c() {
    // SIGTERM as well, because what a script runs in the background ignores SIGINT.
    nothing_is_left_after(&["INT", "TERM"]);
}

/// Not a test: the owner that the two tests above kill.
#[test]
fn hold_a_control_plane() {
    if env::var_os(HOLD).is_none() {
        return;
    }
    let control_plane = ControlPlane::start().unwrap();
    println!("\n{HELD}{}", control_plane.folder().display());
    thread::sleep(Duration::from_secs(120));
}

/// Sends `signals` to the process group of an owner, as a terminal does.
fn nothing_is_left_after(signals: &[&str]) {
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "hold_a_control_plane", "--nocapture"])
        .env(HOLD, "1")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(owner.stdout.take().unwrap());
    let folder = output.lines().find_map(|line| line.unwrap().strip_prefix(HELD).map(PathBuf::from));
    let folder = folder.expect("the owner starts a control plane");
    assert_eq!(processes_of(&folder).len(), 4, "etcd, kube-apiserver, kube-controller-manager and the watchdog");

    for signal in signals {
        // In this form every shell takes a negative id for a process group.
        let kill = format!("kill -s {signal} -- -{}", owner.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
    assert!(!owner.wait().unwrap().success());
    until("its processes are gone", || processes_of(&folder).is_empty());
    assert!(kept() || !folder.exists());
}

/// The first audited request that `wanted` describes. The log follows the answers with a short delay.
fn audited(control_plane: &ControlPlane, wanted: impl Fn(&Request) -> bool) -> Request {
    let mut found = None;
    until("the request is audited", || {
        found = control_plane.audit().unwrap().into_iter().find(&wanted);
        found.is_some()
    });
    found.unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The ids of all processes that have `folder` in their arguments. A process that has ended and that nobody has waited
/// for has no arguments any more, so it does not count. Linux only.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().map(Result::unwrap);
    processes
        .filter(|process| {
            let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(folder)
        })
        .map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Whether folders stay on purpose.
fn kept() -> bool {
    env::var_os("PORTICO_KEEP").is_some_and(|value| !value.is_empty())
}
