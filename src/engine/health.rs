//! What is not ready, for `/readyz` and for the barrier before the first pass.
use std::{collections::BTreeSet, sync::Arc, time::Duration};

use kube::runtime::utils::Backoff;
use tokio::sync::watch;

/// What is not there yet, by name.
#[derive(Clone)]
pub struct Health(Arc<watch::Sender<State>>);

struct State {
    /// Watches that have not delivered yet.
    unfilled: BTreeSet<String>,
    /// CRDs that are not installed.
    missing: BTreeSet<String>,
}

impl Default for Health {
    fn default() -> Self {
        // Not started is not ready.
        Self(Arc::new(watch::Sender::new(State {
            unfilled: BTreeSet::from(["the operator to start".to_owned()]),
            missing: BTreeSet::new(),
        })))
    }
}

impl Health {
    /// Announces the watches that are to be filled.
    pub fn expect(&self, names: impl IntoIterator<Item = String>) {
        self.0.send_modify(|state| state.unfilled = names.into_iter().collect());
    }

    /// A watch has delivered.
    pub fn filled(&self, name: &str, crd: &str) {
        self.0.send_modify(|state| {
            state.unfilled.remove(name);
            state.missing.remove(crd);
        });
    }

    /// A watch cannot deliver: its CRD is not installed.
    pub fn missing(&self, name: &str, crd: &str) {
        self.0.send_modify(|state| {
            state.unfilled.remove(name);
            state.missing.insert(crd.to_owned());
        });
    }

    /// Waits until every watch of an installed kind has delivered: an empty store reads as "not found".
    pub async fn filled_up(&self) {
        // The sender lives in self, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|state| state.unfilled.is_empty()).await;
    }

    /// What is not ready, in words; empty when all is.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let state = self.0.borrow();
        let unfilled = state.unfilled.iter().map(|name| format!("waiting for {name}"));
        let missing = state
            .missing
            .iter()
            .map(|crd| format!("the CustomResourceDefinition {crd} is not installed; portico crds prints it"));
        unfilled.chain(missing).collect()
    }
}

/// Waits between tries of a watch: kube's own are jittered by a generator that cannot be seeded.
pub struct Patience(Duration);

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(20);

impl Default for Patience {
    fn default() -> Self {
        Self(FIRST_WAIT)
    }
}

impl Iterator for Patience {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST_WAIT);
        Some(wait)
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        self.0 = FIRST_WAIT;
    }
}
