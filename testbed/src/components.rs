//! With which flags each component of the control plane is started.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

/// The controllers that owner references, namespaces and service accounts need; the others have nothing to do without
/// nodes.
const CONTROLLERS: &str = "namespace-controller,garbage-collector-controller,serviceaccount-controller,\
    serviceaccount-token-controller,root-ca-certificate-publisher-controller,clusterrole-aggregation-controller";

/// Every request leaves who, what and the answer, but no bodies: Secrets stay out of the log. `RequestReceived` would
/// only double it, and health checks would only fill it.
pub(crate) const AUDIT_POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/readyz*", "/livez*", "/healthz*"]
- level: Metadata
"#;

/// The ports of one control plane, all on 127.0.0.1.
pub(crate) struct Ports {
    /// etcd, for kube-apiserver.
    pub(crate) client: u16,
    /// etcd, for its peers, of which there are none.
    pub(crate) peer: u16,
    /// kube-apiserver.
    pub(crate) secure: u16,
}

impl Ports {
    /// Ports that were free a moment ago. Another program may be faster, so that the start has to be tried again.
    pub(crate) fn free() -> io::Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        // All three are held at once, so that they differ.
        let (client, peer, secure) = (listen()?, listen()?, listen()?);
        Ok(Self {
            client: client.local_addr()?.port(),
            peer: peer.local_addr()?.port(),
            secure: secure.local_addr()?.port(),
        })
    }
}

/// Flags of etcd. Its data need not outlive it, so it does not wait for the disk.
pub(crate) fn etcd(folder: &Path, ports: &Ports) -> Vec<String> {
    let client = format!("http://127.0.0.1:{}", ports.client);
    let peer = format!("http://127.0.0.1:{}", ports.peer);
    vec![
        "--name=default".to_owned(),
        format!("--data-dir={}", folder.join("etcd").display()),
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ]
}

/// Flags of kube-apiserver. The `ServiceAccount` admission plugin is for pods only, and there are none.
pub(crate) fn apiserver(folder: &Path, pki: &Path, ports: &Ports) -> Vec<String> {
    let pki = pki.display();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.client),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", ports.secure),
        format!("--cert-dir={pki}"),
        format!("--tls-cert-file={pki}/server.crt"),
        format!("--tls-private-key-file={pki}/server.key"),
        format!("--client-ca-file={pki}/ca.crt"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={pki}/service-account.pub"),
        format!("--service-account-signing-key-file={pki}/service-account.key"),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        format!("--audit-policy-file={}", folder.join("audit-policy.yaml").display()),
        format!("--audit-log-path={}", folder.join("audit.log").display()),
        // In megabytes. Without it the log starts again after 100 MB, and requests would seem never made.
        "--audit-log-maxsize=100000".to_owned(),
    ]
}

/// Flags of kube-controller-manager. It has no port of its own.
pub(crate) fn controller_manager(pki: &Path) -> Vec<String> {
    let pki = pki.display();
    vec![
        format!("--kubeconfig={pki}/controller-manager.kubeconfig"),
        format!("--controllers={CONTROLLERS}"),
        "--use-service-account-credentials".to_owned(),
        format!("--service-account-private-key-file={pki}/service-account.key"),
        format!("--root-ca-file={pki}/ca.crt"),
        format!("--cert-dir={pki}"),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        // Many tests delete their namespace at the same time.
        "--concurrent-namespace-syncs=20".to_owned(),
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ]
}
