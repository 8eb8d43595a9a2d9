//! A simulated `kube-apiserver` 1.36: small, stateful, in this process, and the same for the same seed.
//!
//! ```text
//! kube::Client ── Service ── Interceptor: lost, late, refused, stale, as whoever simulates decides
//!                    │
//!                  Route ── Reply: GET, LIST, WATCH, POST, PUT, PATCH, DELETE
//!                    │
//!                  State: objects, a log of their changes, one version for all ── watches
//!                    │
//!               controllers: namespaces and CRDs that end, owners that are gone
//! ```
//!
//! It has no clock and draws no lots: both come from the [`Seam`], and what waits, waits on tokio's time. `tests/differential.rs` runs one
//! script against it and against the real thing and compares every answer and every event.
//!
//! What it does as the real one does:
//! - `Namespace`, `Secret`, `ConfigMap`, `ServiceAccount`, `Event` (`events.k8s.io/v1`), `Lease` and `CustomResourceDefinition`, and the custom
//!   resources of the CRDs put into it, with pruning, defaults (when read, not only when written), and the types, required fields, enums and
//!   bounds of their schemas;
//! - versions, UIDs, generations, preconditions, finalizers, deletion timestamps, the status subresource, `generateName`, refusals with
//!   their very words;
//! - merge patches, JSON patches, server-side apply field by field with its conflicts, PUT with and without a version;
//! - listings by page, by version and by selector; watches from a version, or from all that is there, with bookmarks, 410 (also after a CRD
//!   has changed or come back) and broken connections; metadata alone (`PartialObjectMetadata`);
//! - namespaces that are emptied before they go, CRDs likewise, and garbage collection, once [`Simulated::controllers`] is running.
//!
//! What it does not:
//! - CEL rules, patterns, formats, `oneOf` and list types of schemas are not checked, and built-in objects only in part;
//! - of a CRD one version is served, that which is stored; it is established at once, without the steps in between, and takes objects at
//!   once (the real one lets them wait for two seconds);
//! - no authentication, no RBAC, no quotas: whoever asks may. An interceptor can say no;
//! - no strategic merge patches, no `dryRun`, no `fieldValidation`, no warnings, no tables, no discovery, no `scale`;
//! - managed fields are kept, but not shown; lists are owned as a whole, but for finalizers and owner references;
//! - a namespace on its way out shows its phase, not the conditions of its controller;
//! - nothing expires: Events stay, and the log grows until [`Simulated::compact`].

mod apply;
mod builtin;
mod controllers;
mod delete;
mod direct;
mod event;
mod fault;
mod handle;
mod meta;
mod options;
mod patch;
mod prepare;
mod read;
mod refusal;
mod resource;
mod route;
mod schema;
mod seam;
mod selector;
mod service;
mod store;
mod validate;
mod watch;
mod write;

#[cfg(test)]
mod support;

use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicU64};

use tokio::sync::Notify;

pub use direct::Write;
pub use fault::{Call, Effect, Interceptor, Loss, Verb, Verdict};
pub use refusal::Refusal;
pub use seam::{Now, Seam};
pub use service::{Body, Service};

use store::State;

/// A simulated API server. Clones are handles of the same one.
#[derive(Clone)]
pub struct Simulated {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    interceptor: Mutex<Option<Arc<dyn Interceptor>>>,
    /// Wakes the controllers.
    changed: Notify,
    /// Requests so far.
    calls: AtomicU64,
}

impl Simulated {
    /// An API server with the namespaces that every cluster has, and nothing else.
    #[must_use]
    pub fn new(seam: &Seam) -> Self {
        let shared = Shared {
            state: Mutex::new(State::new(seam)),
            interceptor: Mutex::default(),
            changed: Notify::new(),
            calls: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A client of its own for somebody, under whose name its requests are recorded. Must be called within a tokio runtime.
    #[must_use]
    pub fn client(&self, actor: &str) -> kube::Client {
        kube::Client::new(self.service(actor), "default")
    }

    /// What [`Simulated::client`] sends its requests to.
    #[must_use]
    pub fn service(&self, actor: &str) -> Service {
        Service::new(self.clone(), actor)
    }

    /// Does something with the state. Never waits for anything but other such calls.
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let version = state.version;
        let result = change(&mut state);
        if state.version != version {
            self.shared.changed.notify_one();
        }
        result
    }

    fn interceptor(&self) -> Option<Arc<dyn Interceptor>> {
        self.shared.interceptor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
