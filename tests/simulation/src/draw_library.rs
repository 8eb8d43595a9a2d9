//! The examples, and what the CRDs say of their fields.
use std::{fs, path::PathBuf, sync::LazyLock};

use portico::manifests;
use serde_json::{Map, Value, json};

use crate::{
    laws::sorts::{items, text},
    world::World,
};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
const CHANGED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/changed");

/// All examples, read once.
pub(super) static LIBRARY: LazyLock<Library> = LazyLock::new(Library::load);

/// All examples.
pub(super) struct Library {
    models: Vec<Model>,
    /// One a name.
    pub(super) secrets: Vec<Value>,
}

/// A kind with its two manifests.
pub(super) struct Model {
    pub(super) kind: &'static str,
    api_version: Value,
    /// What the resource in the example is called.
    pub(super) name: String,
    pub(super) example: Value,
    /// The same with other values; of a connection, the example itself.
    pub(super) changed: Value,
    /// The fields that a spec must have.
    required: Vec<String>,
    /// The fields that a rule keeps as they were made.
    fixed: Vec<String>,
}

impl Library {
    fn load() -> Self {
        let (examples, changed) = (documents(EXAMPLES), documents(CHANGED));
        let crds: Vec<Value> =
            manifests::crds().iter().map(|crd| serde_json::to_value(crd).expect("a CRD is JSON")).collect();
        let models = World::kinds().iter().copied().filter_map(|kind| {
            let example = examples.iter().find(|manifest| manifest["kind"] == kind)?;
            let other = changed.iter().find(|manifest| manifest["kind"] == kind).unwrap_or(example);
            let crd = crds.iter().find(|crd| crd["spec"]["names"]["kind"] == kind)?;
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
            let messages = items(&schema["x-kubernetes-validations"]).map(|rule| text(&rule["message"]));
            let fixed = messages.filter_map(|message| Some(message.split_once(" cannot be ")?.0.to_owned()));
            Some(Model {
                kind,
                api_version: example["apiVersion"].clone(),
                name: text(&example["metadata"]["name"]).to_owned(),
                example: example["spec"].clone(),
                changed: other["spec"].clone(),
                required: items(&schema["required"]).map(|field| text(field).to_owned()).collect(),
                fixed: fixed.collect(),
            })
        });
        let mut secrets: Vec<Value> = Vec::new();
        for secret in examples.iter().chain(&changed).filter(|manifest| manifest["kind"] == "Secret") {
            let known = secrets.iter_mut().find(|known| known["metadata"]["name"] == secret["metadata"]["name"]);
            match (known, secret["stringData"].as_object()) {
                (Some(known), Some(more)) => {
                    if let Some(values) = known["stringData"].as_object_mut() {
                        values.extend(more.clone());
                    }
                }
                _ => secrets.push(secret.clone()),
            }
        }
        Self { models: models.collect(), secrets }
    }

    /// A kind, if it has its example.
    pub(super) fn model(&self, kind: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.kind == kind)
    }
}

impl Model {
    pub(super) fn manifest(&self, namespace: &str, name: &str, spec: &Value) -> Value {
        json!({
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        })
    }

    pub(super) fn is_required(&self, field: &str) -> bool {
        self.required.iter().any(|required| required == field)
    }

    /// Whether the field, or something in it, stays as it was made.
    pub(super) fn is_fixed(&self, field: &str) -> bool {
        self.fixed.iter().any(|fixed| fixed.split('.').next() == Some(field))
    }

    /// The fields that either manifest has.
    pub(super) fn fields(&self) -> Vec<&String> {
        let all = [&self.example, &self.changed].into_iter().filter_map(Value::as_object).flat_map(Map::keys);
        let mut fields: Vec<&String> = all.collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }
}

/// Every document in a folder's YAML files, in the order of the files' names.
fn documents(folder: &str) -> Vec<Value> {
    let entries = fs::read_dir(folder).expect("the examples are in the repository");
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    let read = |path: &PathBuf| -> Vec<Value> {
        let yaml = fs::read_to_string(path).expect("an example can be read");
        serde_saphyr::from_multiple(&yaml).expect("an example is YAML")
    };
    files.iter().flat_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_read_with_what_the_crds_say() {
        let team = LIBRARY.model("PortalTeam").expect("it has an example");
        assert!(team.is_required("portalRef") && team.is_fixed("portalRef") && !team.is_fixed("description"));
        assert!(team.fields().iter().any(|field| *field == "roles"));
        assert!(LIBRARY.secrets.iter().any(|secret| secret["metadata"]["name"] == "konnect"));
    }
}
