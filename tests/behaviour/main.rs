//! Behaviour, against a real kube-apiserver, etcd and controller-manager; only Konnect is stood in for, by the sandbox.
//!
//! Every test has a [`world::World`] of its own: namespaces, a ServiceAccount with the generated RBAC, a sandbox, an organization. When it
//! ends, the world checks what holds for all of them: no secret leaked, no request under another user, no 403.
#![allow(clippy::missing_panics_doc, reason = "tests panic")]
mod crash;
mod portal;
mod tripwire;
mod world;
mod world_change;
mod world_end;
mod world_look;
