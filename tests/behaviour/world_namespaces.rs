//! What a world may have besides: a second namespace, more keys in a Secret, stalled resources.
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use portico::manifests;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    world::{PATIENCE, World, condition, resource},
    world_look::Pauses,
};

impl World {
    /// Makes a second namespace that the next operator watches too, with the Role for it; returns its name.
    pub(crate) async fn second_namespace(&mut self) -> String {
        let namespace = format!("{}-b", self.namespace);
        let (plane, granted) = (self.plane(), granted(&namespace, &format!("{}-system", self.namespace)));
        let apply = move || plane.kubectl_stdin(&["apply", "-f", "-"], &granted).expect("the namespace is made");
        tokio::task::spawn_blocking(apply).await.expect("kubectl runs");
        self.settings.watch_namespaces.push(namespace.clone());
        namespace
    }

    /// An API of any namespace, as administrator.
    pub(crate) fn api_in(&self, namespace: &str, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.admin(), namespace, &resource(kind))
    }

    /// Creates a resource in any namespace.
    pub(crate) async fn create_in(&self, namespace: &str, kind: &str, name: &str, spec: Value) {
        let api_version = resource(kind).api_version;
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec});
        let object: DynamicObject = serde_json::from_value(object).expect("it has a kind and metadata");
        let created = self.api_in(namespace, kind).create(&PostParams::default(), &object).await;
        created.unwrap_or_else(|e| panic!("{kind} {namespace}/{name} is taken: {e}"));
    }

    /// Waits until a resource of any namespace is as described (null: not there), and returns it.
    pub(crate) async fn until_in(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        let (api, started, mut pauses) = (self.api_in(namespace, kind), Instant::now(), Pauses::up_to(150));
        loop {
            let found = api.get_opt(name).await.expect("the API server answers");
            let object = found.map(|o| serde_json::to_value(o).expect("it is JSON")).unwrap_or_default();
            if is(&object) {
                return object;
            }
            let elapsed = started.elapsed();
            assert!(elapsed < PATIENCE, "{kind} {namespace}/{name} never {what}; it is {object:#}");
            pauses.pause().await;
        }
    }

    /// Whether a resource says that nothing moves until someone changes something.
    pub(crate) async fn is_stalled(&self, kind: &str, name: &str) -> bool {
        condition(&self.get(kind, name).await.unwrap_or_default(), "Stalled", "status") == "True"
    }

    /// Adds a key to a Secret of the world's namespace.
    pub(crate) async fn secret_key(&self, name: &str, key: &str, value: &str) {
        let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(self.admin(), &self.namespace);
        let patch = Patch::Merge(json!({"stringData": {key: value}}));
        secrets.patch(name, &PatchParams::default(), &patch).await.expect("the Secret takes the key");
    }
}

/// A namespace, and what the generated RBAC grants the world's operator in it.
fn granted(namespace: &str, system: &str) -> String {
    let all = manifests::rbac_namespaced_yaml()
        .replace("portico-system", system)
        .replace("namespace: default", &format!("namespace: {namespace}"));
    let here = format!("namespace: {namespace}\n");
    let is_namespaced = |document: &&str| {
        document.lines().any(|l| l == "kind: Role" || l == "kind: RoleBinding") && document.contains(&here)
    };
    let roles: Vec<&str> = all.split("---\n").filter(is_namespaced).collect();
    assert_eq!(roles.len(), 2, "the generated RBAC has another shape: {all}");
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n---\n{}", roles.join("---\n"))
}
