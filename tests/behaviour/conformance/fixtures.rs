//! What an example needs before it can be Ready: Secrets, the connection and the parents, found by following its references; and what
//! strangers must have made.
use std::{collections::BTreeSet, fs, iter::repeat_with, path::PathBuf, time::Duration};

use chrono::{TimeDelta, Utc};
use portico_sandbox::{Options, Plant, Switches};
use serde_json::{Value, json};

use super::{
    case::{Case, kebab, list, shift, times},
    shape::Shape,
};
use crate::{
    world::{World, all_kinds, condition, is_current, merge},
    world_steps::plant_portal,
};

/// A portal that strangers made, for what has no room beside our own.
pub(crate) const ELSEWHERE: &str = "elsewhere";

/// A person whom no manifest names.
pub(crate) const STRANGER: &str = "stranger@example.com";

/// Fields that can be had only in a portal with an identity provider.
const REST_ON_PROVIDERS: [&str; 2] = ["identityProviderGroups", "idpMappingEnabled"];

/// A world with all that the example of a kind needs, but without the example's own resource.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) case: Case,
    pub(crate) secrets: Vec<Value>,
}

/// The manifests of `examples/` and `examples/changed/`, made to fit a world.
pub(crate) struct Library {
    examples: Vec<Value>,
    changed: Vec<Value>,
    secrets: Vec<Value>,
}

impl Bench {
    /// A world for a section of the suite. Its connections look at everything this often.
    pub(crate) async fn new(kind: &'static str, section: &str, resync: &str) -> Self {
        Box::pin(Self::with(kind, section, resync, false)).await
    }

    /// The same with operators that know no kinds but those of the example: of many that are started one after the other most of the work
    /// would be to watch for what is not there.
    pub(crate) async fn small(kind: &'static str, section: &str, resync: &str) -> Self {
        Box::pin(Self::with(kind, section, resync, true)).await
    }

    async fn with(kind: &'static str, section: &str, resync: &str, small: bool) -> Self {
        let name = format!("c-{}-{section}", kebab(kind));
        let mut world = if Shape::of(kind) == Shape::Action {
            // What is done once is over as soon as somebody looks.
            let switches = Switches { replay_milliseconds: 0, ..Switches::default() };
            World::with(&name, Options { switches, ..Options::default() }).await
        } else {
            World::still(&name).await
        };
        if Shape::of(kind) != Shape::Action {
            // No domain is asked about meanwhile: every write counts.
            world.settings.minute = Duration::from_secs(3600);
        }
        let library = Library::load(&world, kind, resync);
        let case = Case::new(kind, &library);
        let (secrets, needed) = (library.secrets.clone(), library.needed(&[&case.example, &case.changed]));
        if small {
            let is_used = |known: &&str| *known == kind || needed.iter().any(|manifest| identity(manifest).0 == *known);
            world.kinds = all_kinds().filter(is_used).collect();
        }
        world.start();
        let bench = Self { world, case, secrets };
        for secret in &bench.secrets {
            bench.apply("Secret", "secrets", secret).await;
        }
        for manifest in &needed {
            let (kind, name) = identity(manifest);
            bench.world.create(kind, name, manifest["spec"].clone()).await;
        }
        for manifest in &needed {
            let (kind, name) = identity(manifest);
            bench.world.synced(kind, name).await;
            if bench.case.shape == Shape::Action {
                // Here questions about domains are asked: they are to be over.
                let is_verified = |o: &Value| condition(o, "Verified", "status") != "False";
                bench.world.until(kind, name, "was verified", is_verified).await;
            }
        }
        bench.plant_what_strangers_make();
        bench
    }

    /// Waits until a resource of the kind is in order; what is done once, until it is over.
    pub(crate) async fn done(&self, name: &str) -> Value {
        let kind = self.case.kind;
        if self.case.shape != Shape::Action {
            return self.world.synced(kind, name).await;
        }
        let types = ["Ready", "Synced", "Complete"];
        let is_over = |o: &Value| is_current(o) && types.iter().all(|type_| condition(o, type_, "status") == "True");
        self.world.until(kind, name, "was over", is_over).await
    }

    /// Applies an object of the core group.
    pub(crate) async fn apply(&self, kind: &str, plural: &str, object: &Value) {
        let name = object["metadata"]["name"].as_str().expect("it has a name");
        self.world.apply_as("v1", kind, plural, name, object.clone()).await;
    }

    /// Applies a copy of every Secret, under its name and this suffix; with other values, if they are to be fresh.
    pub(crate) async fn copy_secrets(&self, suffix: &str, fresh: bool) {
        for secret in &self.secrets {
            let mut copy = secret.clone();
            copy["metadata"]["name"] = json!(format!("{}{suffix}", identity(secret).1));
            if fresh && let Some(data) = copy["stringData"].as_object_mut() {
                // Of a certificate and its key nobody can make up another pair.
                for value in data.values_mut().filter(|value| !is_pem(value)) {
                    *value = json!(random());
                }
            }
            self.apply("Secret", "secrets", &copy).await;
        }
    }

    /// Puts the value that one reference to a Secret means where another one looks for it: one key, or the whole Secret where none is named.
    pub(crate) async fn renew(&self, reference: &Value, by: &Value) {
        let named = |reference: &Value| {
            let found = self.secrets.iter().find(|secret| secret["metadata"]["name"] == reference["name"]);
            found.unwrap_or_else(|| panic!("there is no Secret for {reference}")).clone()
        };
        let (mut secret, other) = (named(reference), named(by));
        if let (Some(key), Some(from)) = (reference["key"].as_str(), by["key"].as_str()) {
            secret["stringData"][key] = other["stringData"][from].clone();
        } else {
            secret["stringData"] = other["stringData"].clone();
        }
        self.apply("Secret", "secrets", &secret).await;
    }

    /// The API products, their versions and the strategies that the manifests name; in every portal an identity provider where one is needed,
    /// and the people whose addresses the manifests name; and another portal for what has no room beside our own object.
    fn plant_what_strangers_make(&self) {
        let mut found = Found::default();
        for spec in [&self.case.example, &self.case.changed] {
            found.collect(spec, "");
        }
        let world = &self.world;
        for id in found.products {
            world.stranger_makes(Plant::ApiProductOfId { id: id.clone(), name: format!("product {id}") });
        }
        for id in found.versions {
            let (product, name) = (world.product(), format!("version {id}"));
            world.stranger_makes(Plant::ApiProductVersion { id: Some(id), product, name });
        }
        for id in found.strategies {
            let (name, credential_type) = (format!("strategy {id}"), "key_auth".to_owned());
            world.stranger_makes(Plant::AuthStrategy { id: Some(id), name, credential_type });
        }
        let is_claimed = self.case.shape == Shape::Claimed;
        if self.case.stands_alone() && !is_claimed && !world.portals().is_empty() {
            plant_portal(world, json!({"name": ELSEWHERE}));
        }
        // Whom a resource speaks for has not been answered yet.
        let status = if is_claimed { "pending" } else { "approved" };
        let strangers = is_claimed.then(|| STRANGER.to_owned());
        let people: Vec<String> = found.people.into_iter().chain(strangers).collect();
        for portal in world.portals() {
            let portal = portal["id"].as_str().expect("a portal has an id");
            if found.rests_on_provider {
                world.identity_provider(portal);
            }
            for email in &people {
                let (portal, email, status) = (portal.to_owned(), email.clone(), status.to_owned());
                world.stranger_makes(Plant::Developer { portal, email, status });
            }
        }
    }
}

/// Whether a value of a Secret is a certificate or a key.
pub(crate) fn is_pem(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with("-----BEGIN "))
}

/// What manifests name that only strangers can make: ids by what they stand for, and the addresses of people.
#[derive(Default)]
struct Found {
    products: BTreeSet<String>,
    versions: BTreeSet<String>,
    strategies: BTreeSet<String>,
    people: BTreeSet<String>,
    rests_on_provider: bool,
}

impl Found {
    fn collect(&mut self, value: &Value, field: &str) {
        self.rests_on_provider |= REST_ON_PROVIDERS.contains(&field);
        match value {
            Value::Object(members) => members.iter().for_each(|(field, member)| self.collect(member, field)),
            Value::Array(items) => items.iter().for_each(|item| self.collect(item, field)),
            Value::String(text) => {
                let is_address = text.contains('@') && !text.contains([' ', '/']);
                let ids = match field {
                    "entityId" => &mut self.products,
                    "productVersionId" => &mut self.versions,
                    "authStrategyIds" => &mut self.strategies,
                    _ if is_address => &mut self.people,
                    _ => return,
                };
                ids.insert(text.clone());
            }
            _ => {}
        }
    }
}

impl Library {
    fn load(world: &World, kind: &str, resync: &str) -> Self {
        let (mut examples, mut changed) = (documents("examples"), documents("examples/changed"));
        let is_secret = |manifest: &mut Value| manifest["kind"] == "Secret";
        let all = examples.extract_if(.., is_secret).chain(changed.extract_if(.., is_secret)).collect();
        let resource = list().resources.iter().find(|ops| ops.info().kind == kind);
        let connection = resource.map_or(kind, |ops| ops.connection());
        let connection = examples.iter().find(|manifest| manifest["kind"] == connection);
        let tenant = connection.and_then(|manifest| manifest["spec"]["tenant"].as_str());
        let client = tenant.map(|name| world.sandbox.tenant(name));
        let mut secrets = together(all);
        for secret in &mut secrets {
            for value in secret["stringData"].as_object_mut().expect("a Secret has values").values_mut() {
                let text = value.as_str().expect("the values of a Secret are texts");
                *value = json!(filled(text, world, client.as_ref()));
            }
        }
        for manifest in &mut examples {
            if list().connections.iter().any(|connection| manifest["kind"] == connection.info().kind) {
                let fitting = json!({
                    "region": null,
                    "url": world.server.url(),
                    "resyncInterval": resync,
                    "requestTimeout": "1s",
                    "rateLimit": {"requestsPerSecond": 1000, "burst": 1000},
                });
                merge(&mut manifest["spec"], fitting);
            }
        }
        if Shape::of(kind) == Shape::Action {
            make_recent(&mut examples, &mut changed, kind);
        }
        Self { examples, changed, secrets }
    }

    /// The example of a kind.
    pub(crate) fn manifest(&self, kind: &str) -> &Value {
        only(&self.examples, kind, "examples")
    }

    /// The example of a kind in which every field of the API has another value.
    pub(crate) fn changed(&self, kind: &str) -> &Value {
        only(&self.changed, kind, "examples/changed")
    }

    /// The examples that these specs refer to, and those that they refer to, in the order in which they can be made.
    fn needed(&self, specs: &[&Value]) -> Vec<Value> {
        let mut needed = Vec::new();
        for spec in specs {
            self.follow(spec, &mut needed);
        }
        needed
    }

    fn follow(&self, spec: &Value, needed: &mut Vec<Value>) {
        for (field, name) in references(spec) {
            let Some(manifest) = self.referred(&field, &name) else { continue };
            if !needed.contains(manifest) {
                self.follow(&manifest["spec"], needed);
                needed.push(manifest.clone());
            }
        }
    }

    /// The example that a field such as `portalRef` means by a name. Of several of one name it is the one whose kind sounds like the field.
    fn referred(&self, field: &str, name: &str) -> Option<&Value> {
        let named: Vec<&Value> = self.examples.iter().filter(|manifest| manifest["metadata"]["name"] == name).collect();
        let stem = field.trim_end_matches("Ref").to_lowercase();
        let sounds = |manifest: &&&Value| identity(manifest).0.to_lowercase().ends_with(&stem);
        named.iter().find(sounds).or(named.first()).copied()
    }
}

/// The references in a spec: field and name. Those to Secrets name no example.
fn references(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(members) => {
            let names_one = |field: &str| field.ends_with("Ref") && !field.to_lowercase().ends_with("secretref");
            let own = members.iter().filter(|(field, _)| names_one(field));
            let own = own.filter_map(|(field, member)| Some((field.clone(), member["name"].as_str()?.to_owned())));
            own.chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// Every document in a folder's YAML files.
fn documents(folder: &str) -> Vec<Value> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{folder} can be listed: {e}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    let documents = files.iter().flat_map(|path| {
        let text = fs::read_to_string(path).expect("the file can be read");
        serde_saphyr::from_multiple::<Value>(&text).unwrap_or_else(|e| panic!("{} is no YAML: {e}", path.display()))
    });
    documents.collect()
}

/// The one manifest of a kind.
fn only<'m>(manifests: &'m [Value], kind: &str, folder: &str) -> &'m Value {
    let found: Vec<&Value> = manifests.iter().filter(|manifest| manifest["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "manifests of {kind} in {folder}; it belongs into {folder}/{}.yaml", kebab(kind));
    found[0]
}

/// Moves the moments in the manifests of a kind so that the last one was an hour ago: the API remembers a few days only.
fn make_recent(examples: &mut [Value], changed: &mut [Value], kind: &str) {
    let mut specs: Vec<&mut Value> = examples
        .iter_mut()
        .chain(changed)
        .filter(|manifest| manifest["kind"] == kind)
        .map(|manifest| &mut manifest["spec"])
        .collect();
    let all = specs.iter().flat_map(|spec| times(spec)).map(|(_, at)| at);
    let last = all.max().expect("what is done once is about some time");
    let by = Utc::now() - TimeDelta::hours(1) - last.to_utc();
    for spec in &mut specs {
        shift(spec, by);
    }
}

/// Kind and name.
fn identity(manifest: &Value) -> (&str, &str) {
    let (kind, name) = (manifest["kind"].as_str(), manifest["metadata"]["name"].as_str());
    kind.zip(name).expect("a manifest has a kind and a name")
}

/// One Secret a name, with the keys of all of that name.
fn together(all: Vec<Value>) -> Vec<Value> {
    let mut secrets: Vec<Value> = Vec::new();
    for secret in all {
        match secrets.iter_mut().find(|known| known["metadata"]["name"] == secret["metadata"]["name"]) {
            Some(known) => merge(known, secret),
            None => secrets.push(secret),
        }
    }
    secrets
}

/// What stands in the place of a placeholder.
fn filled(text: &str, world: &World, client: Option<&(String, String)>) -> String {
    match (text, client) {
        ("kpat_replace-me", _) => world.token.clone(),
        ("client-id-replace-me", Some((id, _))) => id.clone(),
        ("client-secret-replace-me", Some((_, secret))) => secret.clone(),
        _ if text.contains("replace-me") => random(),
        _ => text.to_owned(),
    }
}

/// A secret of its own, as long as the APIs make them.
pub(crate) fn random() -> String {
    repeat_with(fastrand::alphanumeric).take(43).collect()
}

/// A spec with this merge patch applied.
pub(crate) fn with(mut spec: Value, patch: Value) -> Value {
    merge(&mut spec, patch);
    spec
}
