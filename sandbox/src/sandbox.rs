//! The handle that tests and the program hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use serde_json::{Map, Value, json};

use crate::contract::contract;
use crate::exchange::{Exchange, Record};
use crate::faults::{Fault, Faults, History};
use crate::options::{Options, Switches};
use crate::plants::{AcpPlant, Plant};
use crate::problem::Problem;
use crate::seam::Seam;
use crate::world::{Organization, World};
use crate::{acp, answer, call, control, konnect};

/// Of Konnect's access tokens.
const TOKEN_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A sandbox. Clones share their state.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

struct Shared {
    switches: Switches,
    unrecorded: bool,
    seam: Seam,
    state: Mutex<State>,
}

/// All that changes, behind one lock that is never held across an await.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) world: World,
    /// Token → organization of Konnect.
    pub(crate) tokens: BTreeMap<String, String>,
    pub(crate) faults: Faults,
    pub(crate) history: History,
    pub(crate) record: Record,
}

/// What existed at the APIs at some moment, made by [`Sandbox::snapshot`]. It has no `Debug`: there are secrets in it.
#[derive(Clone)]
pub struct Snapshot {
    organizations: BTreeMap<String, Organization>,
    reserved: BTreeSet<String>,
    tenants: BTreeMap<String, acp::Tenant>,
}

impl Sandbox {
    /// A sandbox without organizations and tenants. Where the environment variable `PORTICO_EXCHANGES` names a folder,
    /// its exchanges go to a fresh file there, besides the file that the options name.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let mut state = State::default();
        let shared_folder = std::env::var_os("PORTICO_EXCHANGES").filter(|folder| !folder.is_empty());
        let fresh = shared_folder.map(|folder| {
            // Not from the seed: two sandboxes of one seed must not share a file.
            let name = format!("sandbox-{}-{}.jsonl", std::process::id(), uuid::Uuid::new_v4());
            PathBuf::from(folder).join(name)
        });
        for path in options.exchanges.iter().chain(&fresh) {
            if let Some(folder) = path.parent() {
                // A folder that cannot be made is reported as the file that cannot be opened.
                let _ = std::fs::create_dir_all(folder);
            }
            state.record.append_to(path);
        }
        let seam = Seam::new(options.clock, options.seed);
        let Options { switches, unrecorded, .. } = options;
        Self { shared: Arc::new(Shared { switches, unrecorded, seam, state: Mutex::new(state) }) }
    }

    /// The API and `/_sandbox/`, for calls without a network. Where no answer would be made, the response carries
    /// [`NoAnswer`](crate::NoAnswer) among its extensions.
    pub fn router(&self) -> Router {
        Router::new().nest("/_sandbox", control::router()).fallback(answer::answer).with_state(self.clone())
    }

    /// Makes an organization, or finds it, and returns a fresh bearer token for it.
    #[must_use]
    pub fn organization(&self, name: &str) -> String {
        let token = format!("kpat_{}", self.seam().letters(TOKEN_ALPHABET, 48));
        self.accept(name, &token);
        token
    }

    /// Makes an organization, or finds it, and accepts this bearer token for it.
    pub fn accept(&self, organization: &str, token: &str) {
        let mut state = self.lock();
        state.world.ensure(organization, self.seam());
        state.world.secrets.insert(token);
        state.tokens.insert(token.to_owned(), organization.to_owned());
    }

    /// Makes a tenant of ACP, or finds it, and returns the id and the secret of a fresh client of its server `admin`,
    /// which may fetch tokens for the admin API by client credentials.
    #[must_use]
    pub fn tenant(&self, name: &str) -> (String, String) {
        let (id, secret) = (acp::client_id(self.seam()), acp::secret(self.seam()));
        self.accept_client(name, &id, &secret);
        (id, secret)
    }

    /// Makes a tenant of ACP, or finds it, and accepts these credentials for its admin API.
    pub fn accept_client(&self, tenant: &str, client_id: &str, client_secret: &str) {
        let mut state = self.lock();
        let made = state.world.ensure_tenant(tenant, self.seam());
        made.add_admin_client(self.seam(), tenant, client_id, client_secret);
        state.world.secrets.insert(client_secret);
        state.changed();
    }

    /// The access tokens that a tenant has issued and that are still good.
    #[must_use]
    pub fn access_tokens(&self, tenant: &str) -> Vec<String> {
        acp::access_tokens(&self.lock().world, tenant)
    }

    /// Refuses this from now on: a token of either API, or the secret of a tenant's admin client.
    pub fn revoke(&self, token: &str) {
        let mut state = self.lock();
        state.tokens.remove(token);
        acp::revoke(&mut state.world, token);
    }

    /// Makes what strangers make at Konnect, and returns its id.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn plant(&self, organization: &str, what: Plant) -> Result<String, String> {
        self.try_plant(organization, what).map_err(in_words)
    }

    /// Makes what strangers make at ACP, and returns its id.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn plant_acp(&self, tenant: &str, what: AcpPlant) -> Result<String, String> {
        self.try_plant_acp(tenant, what).map_err(in_words)
    }

    pub(crate) fn try_plant(&self, organization: &str, what: Plant) -> Result<String, Problem> {
        let mut state = self.lock();
        let id = konnect::plant(&mut state.world, self.switches(), self.seam(), organization, what)?;
        state.changed();
        Ok(id)
    }

    pub(crate) fn try_plant_acp(&self, tenant: &str, what: AcpPlant) -> Result<String, Problem> {
        let mut state = self.lock();
        let id = acp::plant(&mut state.world, self.switches(), self.seam(), tenant, what)?;
        state.changed();
        Ok(id)
    }

    /// Everything that exists, as the APIs would show it. What Konnect takes and never shows is under `write_only`.
    #[must_use]
    pub fn state(&self) -> Value {
        self.lock().world.show()
    }

    /// What exists at Konnect, as [`Sandbox::state`] shows it. To show the tenants, too, takes far longer.
    #[must_use]
    pub fn organizations(&self) -> Value {
        json!({"organizations": self.lock().world.show_organizations()})
    }

    /// What exists at ACP, as [`Sandbox::state`] shows it.
    #[must_use]
    pub fn tenants(&self) -> Value {
        json!({"tenants": self.lock().world.show_tenants()})
    }

    /// What exists at the APIs now, to be put back later.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot {
            organizations: state.world.organizations.clone(),
            reserved: state.world.reserved.clone(),
            tenants: state.world.tenants.clone(),
        }
    }

    /// Puts back what existed at some moment, as if strangers had made and unmade all that differs. Tokens stay good;
    /// the secrets that were seen since, the mails, the faults and the record stay known; no id comes a second time.
    pub fn restore(&self, snapshot: &Snapshot) {
        let mut state = self.lock();
        state.world.organizations.clone_from(&snapshot.organizations);
        state.world.reserved.clone_from(&snapshot.reserved);
        state.world.tenants.clone_from(&snapshot.tenants);
        state.changed();
    }

    /// Every secret that was accepted, made or returned, tokens included.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.lock().world.secrets.iter().cloned().collect()
    }

    /// Lets something go wrong.
    pub fn inject(&self, fault: Fault) {
        let mut state = self.lock();
        state.faults.inject(fault);
        state.changed();
    }

    /// Lets nothing go wrong any more.
    pub fn clear_faults(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.changed();
    }

    /// The faults that are still to strike.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.lock().faults.list().to_vec()
    }

    /// The record so far, also where no file is written.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.lock().record.exchanges()
    }

    /// Forgets the record in memory. The file keeps it.
    pub fn reset_exchanges(&self) {
        self.lock().record.forget_exchanges();
    }

    /// How often each operation was answered with each status; status 0 stands for no answer.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, BTreeMap<u16, u64>> {
        self.lock().record.counters().clone()
    }

    /// Counts from zero again.
    pub fn reset_counters(&self) {
        self.lock().record.forget_counters();
    }

    /// Each operation of the contracts: whether it is implemented, how often it was called, and with which statuses.
    #[must_use]
    pub fn coverage(&self) -> Value {
        let state = self.lock();
        let operations: Map<String, Value> = contract()
            .operations
            .iter()
            .map(|operation| {
                let statuses = state.record.counters().get(&operation.id).cloned().unwrap_or_default();
                let entry = json!({
                    "resource": operation.resource,
                    "implemented": call::behaviour(operation).is_some(),
                    "calls": statuses.values().sum::<u64>(),
                    "statuses": statuses,
                });
                (operation.id.clone(), entry)
            })
            .collect();
        Value::Object(operations)
    }

    pub(crate) fn switches(&self) -> &Switches {
        &self.shared.switches
    }

    pub(crate) fn is_unrecorded(&self) -> bool {
        self.shared.unrecorded
    }

    pub(crate) fn seam(&self) -> &Seam {
        &self.shared.seam
    }

    /// A panic elsewhere leaves a state that is still worth showing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_words(problem: Problem) -> String {
    if problem.invalid.is_empty() { problem.detail } else { json!(problem.invalid).to_string() }
}

impl State {
    /// Notes the world for the lists that lag. Called after every change of it.
    pub(crate) fn changed(&mut self) {
        self.history.note(&self.world, &self.faults);
    }
}
