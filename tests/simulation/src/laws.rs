//! The oracle: it sees every request and every answer on both sides as they happen, and the states at the end, and says where a law of
//! DESIGN.md, section 1, does not hold. What it knows of kinds and objects it knows by itself (`laws_sorts.rs`), not from the engine; of
//! the engine it takes only the published way in which ids are derived.
//!
//! What is checked, by law. *During*: with every request or once a virtual second. *End*: at the last look.
//!
//! 1. One object. *During*: a create whose maker still has one on its way, not answered and not past its windows (kinds whose ids the API
//!    chooses, and what is done once); a create of a kind without marks whose resource has no open intent in its status; a portal made without the mark; a second
//!    object for a UID that has one; of several replicas, a write by one whose Lease does not outlive the request's deadline. *End*:
//!    every object that the operator ever made and that is still there is recorded by a living resource, was let go of on purpose, or is
//!    named by a resource that says it is unsure.
//! 2. Never touch what is not ours. *During*: a PATCH, PUT or DELETE that finds an object that the operator did not make is allowed only
//!    where some spec ever said so (adoption and key, `lifecycle.id`, a person or portal that is named) or the id is derived; another
//!    owner's mark needs both; entries of a team that strangers added stay unless named or the list is exclusive; nothing is sent to an
//!    object once its DELETE was carried out; nothing is written for or by what has been in Observe or paused for a while, nor made for what
//!    was never anything else; what is to stay is not deleted with its resource.
//! 3. Unknown is not absent. *During*: a create while the recorded object of the same resource is there (unless the API itself lied:
//!    stale reads); creates of objects that vanished together, a mass of them, without a person's word; the finalizer goes from a resource
//!    whose objects are to be deleted and are still there.
//! 4. Silence at rest. The core waits for the rest. *During*: a PUT of a consent, or a mail to developers, that changes nothing. *End*:
//!    writes to Kubernetes that changed nothing while at rest. What is not Ready is tried again slowly (law 10), and of kinds with recorded
//!    intent each try is announced in the status beforehand, and taken back where it is refused (section 3, create, steps 3 and 5): the law
//!    speaks of where nothing differs, so these two writes do not count.
//! 5. Deletion ends. *End*: whatever is still being deleted has a blocker from the list in `laws_gone.rs`; namespaces end; output Secrets
//!    and kept credentials go with what they were for. *During*: a connection is let go of while a resource with a record needs it; a parent goes
//!    before what lives below it in its namespace, or a portal before its custom domain, where both go.
//! 6. Uninstalling wipes nothing. *During*: a DELETE of an object whose resource was not being deleted when its CRD was.
//! 7. No secret leaks. *During*: bodies of writes to Kubernetes other than Secrets, paths and queries of requests. *End*: all custom
//!    resources and events. (The log is not seen here.)
//! 8. The spec is the user's. *During*: of custom resources only the status, and of the metadata only Portico's finalizer; of Secrets only
//!    its own; nothing else but events and Leases.
//! 9. Status tells the truth. *End*: `observedGeneration`; `Ready=True` only with an object; `Synced=True` only where plain values and
//!    secrets of the spec, entries of teams and output Secrets are what the API has, and `Synced=Unknown` where nobody can look
//!    (`laws_silent.rs`); never `Reconciling` and `Stalled` at once. *During*:
//!    a client's secret at the API is always one that stands in its output Secret; what a resource has recorded is never said to be a
//!    stranger's, nor to be unknown.
//! 10. Waiting ends. *End*: the reason of whatever is not Ready still holds (`laws_cause.rs`), and wishes to look again are answered.
//! 11. One bad object hurts only itself. Law 10 for all the others, counted where a spec is refused; and no panic (the core).
//! 12. Two resources never fight. *During*: two resources with the same record. *End*: of those with one key, or who ask for what only one
//!     of them can have, at most one is Ready, and not all of those with one key wait for each other.
//! 13. Nobody reaches further. *During*: paths of requests lie within the API and the tenant; Secrets are read only where a resource names
//!     them; nothing is sent to another account.
use std::{collections::BTreeMap, sync::Mutex};

use portico_testbed::simulated::Call;

use crate::{
    plan::{Action, Plan},
    seen::{RemoteAnswer, RemoteRequest},
    world::{World, lock},
};

#[path = "laws_account.rs"]
mod account;
#[path = "laws_cause.rs"]
mod cause;
#[path = "laws_end.rs"]
mod end;
#[path = "laws_exclusive.rs"]
mod exclusive;
#[path = "laws_gone.rs"]
mod gone;
#[path = "laws_kube.rs"]
mod kube;
#[path = "laws_lease.rs"]
mod lease;
#[path = "laws_look.rs"]
pub(crate) mod look;
#[path = "laws_makers.rs"]
mod makers;
#[path = "laws_notes.rs"]
pub(crate) mod notes;
#[path = "laws_observe.rs"]
mod observe;
#[path = "laws_own.rs"]
mod own;
#[path = "laws_parting.rs"]
mod parting;
#[path = "laws_place.rs"]
mod place;
#[path = "laws_remote.rs"]
mod remote;
#[path = "laws_rivals.rs"]
mod rivals;
#[path = "laws_same.rs"]
pub(crate) mod same;
#[path = "laws_secret.rs"]
mod secret;
#[path = "laws_silent.rs"]
mod silent;
#[path = "laws_sorts.rs"]
pub(crate) mod sorts;

use notes::Notes;

/// Looks on, and remembers what it has seen.
pub struct Laws {
    notes: Mutex<Notes>,
}

impl Laws {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self { notes: Mutex::new(Notes::new(plan)) }
    }

    /// The world is as it is before any replica starts.
    pub fn begin(&self, world: &World) {
        lock(&self.notes).begin(world);
    }

    /// The operator sends a request to an API.
    pub fn remote_request(&self, world: &World, request: &RemoteRequest) {
        lock(&self.notes).remote_request(world, request);
    }

    /// A request is about to take effect.
    pub fn remote_arrives(&self, world: &World, request: &RemoteRequest) {
        lock(&self.notes).remote_arrives(world, request);
    }

    /// A request has just taken effect.
    pub fn remote_answer(&self, world: &World, request: &RemoteRequest, answer: &RemoteAnswer) {
        lock(&self.notes).remote_answer(world, request, answer);
    }

    /// The operator sends a request to the API server.
    pub fn kubernetes_request(&self, world: &World, call: &Call) {
        lock(&self.notes).kubernetes_request(world, call);
    }

    /// The API server has just carried a request out.
    pub fn kubernetes_answer(&self, world: &World, call: &Call, status: u16) {
        lock(&self.notes).kubernetes_answer(world, call, status);
    }

    /// Somebody has just done something.
    pub fn acted(&self, world: &World, action: &Action) {
        lock(&self.notes).acted(world, action);
    }

    /// Another virtual second has gone by.
    pub fn tick(&self, world: &World) {
        lock(&self.notes).tick(world);
    }

    /// The last look.
    pub fn finish(&self, world: &World) {
        lock(&self.notes).finish(world);
    }

    /// Whether the write of this version only announced another attempt at what is refused, or took that back.
    #[must_use]
    pub fn is_attempt(&self, version: u64) -> bool {
        lock(&self.notes).attempts.contains(&version)
    }

    /// How often each law was put to the test.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.notes).counts.clone()
    }
}
