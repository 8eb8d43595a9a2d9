//! What may happen to a control plane in the middle of its life.

use super::{ControlPlane, pki};
use crate::components;
use crate::error::Error;

impl ControlPlane {
    /// Ends kube-apiserver, starts it again on the same port with the same data, and waits until it answers, which takes
    /// a few seconds. All connections break, and watches cannot go on where they were: the new one remembers no events,
    /// and answers 429 to the first who ask for a kind that a CRD brought. Tokens stay good, and the audit log goes on.
    ///
    /// # Errors
    /// With the last lines of its log when it ended; when another program took its port meanwhile; or when it was not
    /// ready within a minute.
    pub fn restart_api_server(&self) -> Result<(), Error> {
        let program = self.bin.join("kube-apiserver");
        let arguments = components::apiserver(self.folder(), &pki(self.folder()), &self.ports);
        self.processes().restart("kube-apiserver", &program, &arguments)?;
        self.wait_for("kube-apiserver", "/readyz")
    }

    /// Where etcd listens for its clients, without TLS: `http://127.0.0.1:PORT`. It answers to JSON as well, such as
    /// `POST /v3/kv/compaction`.
    #[must_use]
    pub fn etcd(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.client)
    }
}
