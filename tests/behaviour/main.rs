//! Behaviour, against a real kube-apiserver, etcd and controller-manager; only Konnect is stood in for, by the sandbox.
//!
//! Every test has a [`world::World`] of its own: namespaces, a ServiceAccount with the generated RBAC, a sandbox, an organization. When it
//! ends, the world checks what holds for all of them: no secret leaked, no request under another user, no 403.
mod absence;
mod acp_bad_input;
mod acp_connection;
mod acp_ids;
mod acp_lasting;
mod acp_review;
mod acp_review_more;
mod acp_server;
mod adoption;
mod bad_input;
mod conformance;
mod consents;
mod credentials;
mod deletion;
mod escrow;
mod fields;
mod lasting;
mod lease;
mod outage;
mod portal;
mod races;
mod references;
mod rotation;
mod team;
mod team_parts;
mod tokens;
mod tripwire;
mod uninstall;
mod unshown;
mod user_view;
mod watching;
mod world;
mod world_acp;
mod world_change;
mod world_end;
mod world_fields;
mod world_look;
mod world_namespaces;
mod world_replicas;
mod world_steps;
mod world_team;
