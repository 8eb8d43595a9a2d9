//! What an example needs before it can be Ready: Secrets, the connection and the parents, found by following its references; and what
//! strangers must have made.
use std::{collections::BTreeSet, fs, iter::repeat_with, path::PathBuf, time::Duration};

use portico_sandbox::Plant;
use serde_json::{Value, json};

use super::case::{Case, kebab, list};
use crate::world::{World, merge};

/// A world with all that the example of a kind needs, but without the example's own resource.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) case: Case,
    secrets: Vec<Value>,
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
        let mut world = World::still(&format!("c-{}-{section}", kebab(kind))).await;
        // No domain is asked about meanwhile: every write counts.
        world.settings.minute = Duration::from_secs(3600);
        let library = Library::load(&world, kind, resync);
        let case = Case::new(kind, &library);
        let (secrets, needed) = (library.secrets.clone(), library.needed(&[&case.example, &case.changed]));
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
        }
        bench.plant_what_strangers_make();
        bench
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
                for value in data.values_mut() {
                    *value = json!(random());
                }
            }
            self.apply("Secret", "secrets", &copy).await;
        }
    }

    /// The API products that roles name, and in every portal an identity provider and the people whose addresses the manifests name.
    fn plant_what_strangers_make(&self) {
        let mut found = (BTreeSet::new(), BTreeSet::new());
        for spec in [&self.case.example, &self.case.changed] {
            collect(spec, "", &mut found);
        }
        let (products, people) = found;
        for id in products {
            self.world.stranger_makes(Plant::ApiProductOfId { id: id.clone(), name: format!("product {id}") });
        }
        for portal in self.world.portals() {
            let portal = portal["id"].as_str().expect("a portal has an id");
            self.world.identity_provider(portal);
            for email in &people {
                self.world.sign_up(portal, email);
            }
        }
    }
}

/// The ids of API products, and the e-mail addresses, in a spec.
fn collect(value: &Value, field: &str, found: &mut (BTreeSet<String>, BTreeSet<String>)) {
    match value {
        Value::Object(members) => members.iter().for_each(|(field, member)| collect(member, field, found)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, field, found)),
        Value::String(text) if field == "entityId" => {
            found.0.insert(text.clone());
        }
        Value::String(text) if text.contains('@') && !text.contains([' ', '/']) => {
            found.1.insert(text.clone());
        }
        _ => {}
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
