//! A real Kubernetes control plane without containers: etcd, `kube-apiserver`, `kube-controller-manager` and `kubectl`. And a simulated API
//! server, in [`simulated`], for searching on virtual time.
//!
//! ```text
//! ControlPlane::start()
//!   binaries()              KUBEBUILDER_ASSETS, or the user's cache folder, built there with Go the first time
//!   certificates, ports     fresh for every control plane, in a temporary folder
//!   watchdog ── etcd ── kube-apiserver ── kube-controller-manager
//! ```
//!
//! Nothing needs root, an image or a network, and many control planes may run side by side. Nothing is left running
//! afterwards: dropping a [`ControlPlane`] stops it, and a watchdog process does so when the owner dies in any other
//! way. With `PORTICO_KEEP` set, the folder with the logs stays.

mod audit;
mod binaries;
mod certificates;
mod components;
mod control_plane;
mod error;
mod kubeconfig;
mod process;
pub mod simulated;

pub use audit::Request;
pub use binaries::binaries;
pub use control_plane::ControlPlane;
pub use error::Error;
