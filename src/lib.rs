//! Portico: a Kubernetes operator with which platform teams declare developer portals (Kong Konnect) and OAuth access
//! (Cloudentity ACP) as custom resources.
//!
//! The engine ([`engine`]) knows no kind; a kind ([`konnect`], [`acp`]) does no I/O; every request to a management API goes through [`remote`].
#[allow(unreachable_pub, reason = "kube's KubeSchema derive makes a public struct inside a function")]
pub mod acp;
pub mod cli;
pub mod engine;
pub mod kinds;
#[allow(unreachable_pub, reason = "kube's KubeSchema derive makes a public struct inside a function")]
pub mod konnect;
pub mod logging;
pub mod manifests;
pub mod remote;
pub mod serve;
