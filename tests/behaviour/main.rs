//! Behaviour, against a real kube-apiserver, etcd and controller-manager; only Konnect is stood in for, by the sandbox.
//!
//! Every test has a [`world::World`] of its own: namespaces, a ServiceAccount with the generated RBAC, a sandbox, an organization. When it
//! ends, the world checks what holds for all of them: no secret leaked, no request under another user, no 403.
mod absence;
mod acp_connection;
mod adoption;
mod bad_input;
mod crash;
mod deletion;
mod fields;
mod lasting;
mod outage;
mod portal;
mod races;
mod references;
mod team;
mod team_parts;
mod tripwire;
mod uninstall;
mod user_view;
mod watching;
mod world;
mod world_change;
mod world_end;
mod world_fields;
mod world_look;
mod world_namespaces;
mod world_steps;
mod world_team;
