//! What the oracle remembers: every resource that was ever there, what the operator made at the APIs, what is there, and who did what.
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    lease::Leader,
    look::{
        bound, chosen_id, is_deleting, kind, label, lifecycle, name, namespace, natural_key, own_connection, parent,
        recorded_path, secrets, uid,
    },
    sorts::{objects, sort, text},
};
use crate::{
    crds::kind_of,
    plan::{Action, Effect, Millis, Plan, Side, Stranger},
    seen::Api,
    world::World,
};

/// The annotation with which a person says that what vanished may be made again.
const CONFIRM_ABSENCE: &str = "portico.dev/confirm-absence";
/// What tokens of another organization begin with: plans put one into a connection's Secret.
pub(crate) const FOREIGN_TOKEN: &str = "kpat_other";
/// The organization that such tokens are of.
pub(crate) const FOREIGN: &str = "globex";

/// What the oracle remembers.
#[derive(Default)]
pub(super) struct Notes {
    /// How often each law was put to the test.
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// What tells this installation from others.
    pub(super) owner: String,
    /// Whether reads of an API may show the past: then the API itself says that something is not there.
    pub(super) reads_lie: bool,
    /// Whether writes to the API server may be carried out long after they were sent: then an old status comes over a newer one.
    pub(super) writes_lag: bool,
    /// Of several replicas, the one that has the Lease.
    pub(super) leader: Option<Leader>,
    /// All resources that ever were, by UID.
    pub(super) resources: BTreeMap<String, Seen>,
    /// What the operator made, by path.
    pub(super) made: BTreeMap<String, Made>,
    /// What is there, by path.
    pub(super) alive: BTreeSet<String>,
    /// When a stranger made something.
    pub(super) appeared: BTreeMap<String, Millis>,
    /// What a stranger made where an open create was to make the same, with the UID of the resource: nothing tells the two apart (law 2c).
    pub(super) outcomes: BTreeMap<String, String>,
    /// When something went that the operator did not delete.
    pub(super) vanished: BTreeMap<String, Millis>,
    /// What a stranger had changed before anybody could record it, so that it is not known again.
    pub(super) estranged: BTreeSet<String>,
    /// Since when an object carries the mark of another installation.
    pub(super) foreign: BTreeMap<String, Millis>,
    /// Strangers' objects that a spec gave away.
    pub(super) adopted: BTreeSet<String>,
    /// When the operator's DELETE of an object was carried out.
    pub(super) deleted: BTreeMap<String, Millis>,
    /// When the operator's DELETE last left nothing at a path: it was carried out, or the API answered that nothing is there.
    pub(super) emptied: BTreeMap<String, Millis>,
    /// Creates on their way, by the number of the request.
    pub(super) flights: BTreeMap<u64, Flight>,
    /// Entries of teams that the operator added, by path.
    pub(super) entries: BTreeSet<String>,
    /// Objects whose resources lived when their CRD was deleted, with the kind, and when that was.
    pub(super) protected: BTreeMap<String, (String, Millis)>,
    /// When an API last refused a write to a path with a status.
    pub(super) refusals: BTreeMap<(String, u16), Millis>,
    /// The accounts whose present credential is not taken.
    pub(super) revoked: BTreeSet<String>,
    /// The credential that each connection last said to have seen at work, by UID.
    pub(super) proven: BTreeMap<String, String>,
    /// Somebody said that what vanished may be made again.
    pub(super) confirmed: bool,
    /// What was recorded through each connection when somebody last wrote a token of another organization.
    pub(super) pinned: BTreeMap<String, BTreeSet<String>>,
    /// The versions of writes that announce another attempt at what is refused, or take that back.
    pub(super) attempts: BTreeSet<u64>,
    /// Secrets that nobody may see, as far as they were known lately.
    pub(super) secrets: Vec<String>,
    /// When they were last looked for.
    pub(super) secrets_at: Option<Millis>,
    /// The requests with a client's secret that stood in an output Secret when they were sent, by number.
    pub(super) handed_out: BTreeSet<u64>,
    /// How many writes of the API server's record are known.
    known_writes: usize,
}

/// A resource that is there, or was.
#[derive(Default)]
pub(super) struct Seen {
    /// As it was seen last.
    pub(super) object: Value,
    pub(super) live: bool,
    /// When the spec or an annotation was last changed.
    pub(super) changed: Millis,
    /// Since when it is being deleted.
    pub(super) going: Option<Millis>,
    /// Its objects were left behind on purpose.
    pub(super) left: bool,
    /// The modes that its spec ever had.
    pub(super) modes: BTreeSet<String>,
    /// Whether its spec ever took over what exists.
    pub(super) adopts: bool,
    /// The ids that its spec ever bound it to.
    pub(super) bound: BTreeSet<String>,
    /// The keys that its spec ever gave.
    pub(super) keys: BTreeSet<String>,
    /// The ids that its object may have been made under.
    pub(super) ids: BTreeSet<String>,
    /// The ids of its parents.
    pub(super) parents: BTreeSet<String>,
    /// The Secrets that its spec ever named.
    pub(super) secrets: BTreeSet<String>,
    /// What its last create sent.
    pub(super) sent: Value,
    /// The specs that it ever had, as one text: for words in them.
    pub(super) words: String,
}

/// An object that the operator made.
pub(super) struct Made {
    /// For whom; several where nobody can tell.
    pub(super) uids: Vec<String>,
    /// Whose pass sent the create.
    pub(super) maker: Option<String>,
    pub(super) kind: &'static str,
    pub(super) at: Millis,
}

/// A create on its way.
pub(super) struct Flight {
    pub(super) uids: Vec<String>,
    pub(super) sent: Millis,
}

impl Notes {
    pub(super) fn new(plan: &Plan) -> Self {
        let lies = |fault: &crate::plan::Fault| fault.side == Side::Remote && matches!(fault.effect, Effect::Stale(_));
        let lags =
            |fault: &crate::plan::Fault| fault.side == Side::Kubernetes && matches!(fault.effect, Effect::Late(_));
        let (reads_lie, writes_lag) = (plan.faults.iter().any(lies), plan.faults.iter().any(lags));
        Self { reads_lie, writes_lag, ..Self::default() }
    }

    /// A law is put to the test.
    pub(super) fn test(&mut self, law: &'static str) {
        *self.counts.entry(law).or_default() += 1;
    }

    pub(super) fn begin(&mut self, world: &World) {
        let system = || world.kubernetes.get("namespaces", "", "kube-system").unwrap_or_default();
        self.owner = world.settings.owner.clone().unwrap_or_else(|| uid(&system()).to_owned());
        self.refresh(world);
        self.look(world);
    }

    pub(super) fn tick(&mut self, world: &World) {
        self.look(world);
    }

    /// Takes note of what was written to resources since the last look.
    pub(super) fn look(&mut self, world: &World) {
        let writes = world.kubernetes.history_since(self.known_writes);
        self.known_writes += writes.len();
        let mut changed: BTreeSet<(&'static str, String, String)> = BTreeSet::new();
        for write in writes.into_iter().filter(|write| write.version.is_some()) {
            changed.extend(kind_of(&write.resource).map(|kind| (kind, write.namespace, write.name)));
        }
        if changed.is_empty() {
            return;
        }
        let now = world.now();
        for (of, within, called) in changed {
            let found = world.kubernetes.get(World::resource(of), &within, &called);
            let present = found.as_ref().map(|found| uid(found).to_owned());
            // One of the same name before it is no more.
            for (uid, seen) in &mut self.resources {
                let is_it =
                    kind(&seen.object) == of && namespace(&seen.object) == within && name(&seen.object) == called;
                seen.live &= !is_it || present.as_ref() == Some(uid);
            }
            if let Some(object) = found {
                self.see(object, now);
            }
        }
        self.find_parents();
        self.compare_records(world);
        self.learn_secrets(world);
    }

    /// Takes note of one resource.
    pub(super) fn see(&mut self, object: Value, now: Millis) {
        let seen = self.resources.entry(uid(&object).to_owned()).or_default();
        let annotations = |object: &Value| object["metadata"]["annotations"].clone();
        if seen.object["spec"] != object["spec"] || annotations(&seen.object) != annotations(&object) {
            seen.changed = now;
            seen.adopts |= lifecycle(&object, "adoption") == "Adopt";
            seen.modes.insert(lifecycle(&object, "mode").to_owned());
            seen.bound.extend(bound(&object));
            seen.keys.extend(natural_key(&object));
            seen.ids.extend(chosen_id(&object, &self.owner));
            secrets(&object["spec"], &mut seen.secrets);
            seen.words.push_str(&object["spec"].to_string());
        }
        seen.ids.extend(object["status"]["id"].as_str().map(str::to_owned));
        seen.secrets.extend(object["status"]["output"].as_str().map(str::to_owned));
        seen.live = true;
        if is_deleting(&object) {
            seen.going.get_or_insert(now);
        }
        seen.object = object;
    }

    /// Takes note of the ids of the parents, as far as they are known by now.
    pub(super) fn find_parents(&mut self) {
        let found: Vec<(String, String)> = self
            .resources
            .iter()
            .filter(|(_, seen)| seen.live)
            .filter_map(|(uid, seen)| Some((uid.clone(), self.parent_id(&seen.object)?)))
            .collect();
        for (uid, parent) in found {
            if let Some(seen) = self.resources.get_mut(&uid) {
                seen.parents.insert(parent);
            }
        }
    }

    /// The id of the object that this resource's object is below, as far as it is known.
    pub(super) fn parent_id(&self, object: &Value) -> Option<String> {
        let parent = parent(object)?;
        if !parent.id.is_empty() {
            return Some(parent.id);
        }
        let target = self.living(parent.kind, &parent.namespace, &parent.name)?;
        target["status"]["id"].as_str().map(str::to_owned)
    }

    /// A living resource by its name.
    pub(super) fn living(&self, of: &str, within: &str, called: &str) -> Option<&Value> {
        self.lives().find(|object| kind(object) == of && namespace(object) == within && name(object) == called)
    }

    /// All living resources.
    pub(super) fn lives(&self) -> impl Iterator<Item = &Value> {
        self.resources.values().filter(|seen| seen.live).map(|seen| &seen.object)
    }

    /// Law 12: no two living resources have the same object.
    fn compare_records(&mut self, world: &World) {
        self.test("law 12");
        let mut holders: BTreeMap<&str, &Value> = BTreeMap::new();
        for object in self.lives().filter(|object| kind(object) != "PortalAuditLogReplay") {
            let Some(path) = recorded_path(object) else { continue };
            if let Some(other) = holders.insert(path, object) {
                let what = format!("{} and {} have both recorded {path}", label(other), label(object));
                world.violate("law 12: one object for two", what);
            }
        }
    }

    /// Looks what there is at the APIs.
    pub(super) fn refresh(&mut self, world: &World) {
        for api in [Api::Konnect, Api::Acp] {
            self.refresh_one(world, api);
        }
    }

    /// Looks what there is at an API. Returns what has come and what has gone since the last time.
    pub(super) fn refresh_one(&mut self, world: &World, api: Api) -> (Vec<String>, Vec<String>) {
        let (state, now) = (world.state_of(api), world.now());
        let objects = objects(&state);
        let foreign = objects.iter().filter(|(_, object)| self.is_foreign(object)).map(|(path, _)| path.clone());
        let since = |path: String| {
            let since = self.foreign.get(&path).copied().unwrap_or(now);
            (path, since)
        };
        let is_elsewhere = |path: &&String| api_of(path) != api;
        let others = self.foreign.iter().filter(|(path, _)| is_elsewhere(path));
        self.foreign = foreign.map(since).chain(others.map(|(path, at)| (path.clone(), *at))).collect();
        let alive: BTreeSet<String> =
            objects.into_keys().chain(self.alive.iter().filter(is_elsewhere).cloned()).collect();
        let before = std::mem::replace(&mut self.alive, alive);
        let come = self.alive.difference(&before).cloned().collect();
        let gone = before.difference(&self.alive).cloned().collect();
        (come, gone)
    }

    pub(super) fn acted(&mut self, world: &World, action: &Action) {
        let now = world.now();
        self.look(world);
        match action {
            Action::Stranger(what) => {
                let (come, gone) = self.refresh_one(world, touched(what));
                for path in come {
                    self.deleted.remove(&path);
                    self.outcomes.extend(self.awaiting(&path).map(|uid| (path.clone(), uid)));
                    self.appeared.insert(path, now);
                }
                self.stranger_decided(&gone);
                self.vanished.extend(gone.into_iter().map(|path| (path, now)));
                if let Stranger::Change { kind, field, value, .. } = what {
                    self.stranger_changed(world, kind, field, value);
                }
            }
            Action::DeleteCrd { kind: of } if !is_served(world, of) => {
                let paths: Vec<String> = self
                    .lives()
                    .filter(|object| kind(object) == of && !is_deleting(object))
                    // What is only observed may be another one's, whose DELETE may be on its way: "the CRD is read live" before it.
                    .filter_map(|object| recorded_path(object).map(str::to_owned))
                    .collect();
                self.protected.extend(paths.into_iter().map(|path| (path, (of.clone(), now))));
            }
            Action::InstallCrd { kind: of } if is_served(world, of) => {
                self.protected.retain(|_, (kind, _)| kind != of);
            }
            // Revoked again, it is valid again.
            Action::Revoke { account } if self.revoked.remove(account) => {}
            Action::Revoke { account } => {
                self.revoked.insert(account.clone());
            }
            Action::Renew { account } => {
                self.revoked.remove(account);
            }
            Action::Annotate { kind: of, namespace: within, name: called, key, .. } if key == CONFIRM_ABSENCE => {
                self.absence_is_confirmed(of, within, called);
            }
            Action::Secret { data, .. } if data.iter().any(|(_, value)| value.starts_with(FOREIGN_TOKEN)) => {
                self.pinned = self.recorded_portals();
            }
            _ => {}
        }
    }

    /// A person says that what a connection does not find was meant to go. What is there after all, for another organization's token, is
    /// left behind by that.
    fn absence_is_confirmed(&mut self, of: &str, within: &str, called: &str) {
        let Some(connection) = self.living(of, within, called) else { return };
        let said = &connection["metadata"]["annotations"][CONFIRM_ABSENCE];
        if !said.is_string() || *said != connection["status"]["absence"]["token"] {
            return;
        }
        self.confirmed = true;
        let used = format!("{within}/{called}");
        for (uid, seen) in self.resources.iter_mut().filter(|(_, seen)| seen.live) {
            let is_there = recorded_path(&seen.object).is_some_and(|path| self.alive.contains(path));
            seen.left |= is_there && seen.object["status"]["remote"]["connection"] == used.as_str();
            // The same of what a create made of which nothing is recorded.
            let is_its = own_connection(&seen.object).is_some_and(|own| own.name == called && own.namespace == within);
            let was_made = |(path, made): (&String, &Made)| made.uids.contains(uid) && self.alive.contains(path);
            seen.left |= is_its && recorded_path(&seen.object).is_none() && self.made.iter().any(was_made);
        }
    }

    /// The recorded paths of portals and of what is below them, by connection.
    fn recorded_portals(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for object in self.lives() {
            let Some(path) = recorded_path(object).filter(|path| path.starts_with("/v2/portals/")) else { continue };
            let connection = text(&object["status"]["remote"]["connection"]).to_owned();
            found.entry(connection).or_default().insert(path.to_owned());
        }
        found
    }

    /// Whether an object carries the mark of another installation.
    pub(super) fn is_foreign(&self, object: &Value) -> bool {
        let owner = text(&object["labels"]["portico-owner"]);
        !owner.is_empty() && owner != self.owner
    }
}

/// At which API an object is.
fn api_of(path: &str) -> Api {
    if path.starts_with("/v2/") || path.starts_with("/v3/") { Api::Konnect } else { Api::Acp }
}

/// At which API a stranger does something.
fn touched(what: &Stranger) -> Api {
    match what {
        Stranger::Make { kind, .. } | Stranger::Change { kind, .. } | Stranger::Delete { kind, .. } => {
            sort(kind).map_or(Api::Konnect, |sort| sort.api)
        }
        Stranger::Member { .. } | Stranger::SignUp { .. } => Api::Konnect,
    }
}

/// Whether a CRD is there and is not being deleted.
pub(super) fn is_served(world: &World, kind: &str) -> bool {
    let definitions = "customresourcedefinitions.apiextensions.k8s.io";
    let found = world.kubernetes.get(definitions, "", World::resource(kind));
    found.is_some_and(|definition| !is_deleting(&definition))
}
