//! What users, strangers and vandals do in a world.
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::ApiResource,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    world::{PATIENCE, World, merge, resource},
    world_look::Pauses,
};

impl World {
    /// Makes or replaces a Secret with the key `token`.
    pub(crate) async fn secret(&self, name: &str, token: &str) {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"token": token}});
        self.apply_as("v1", "Secret", "secrets", name, secret).await;
    }

    /// Makes the connection `acme` to the sandbox, with these fields besides.
    pub(crate) async fn connection(&self, spec: Value) {
        let mut whole = json!({
            "url": self.server.url(),
            "tokenSecretRef": {"name": "konnect"},
            "resyncInterval": "1s",
            "requestTimeout": "1s",
            "rateLimit": {"requestsPerSecond": 1000, "burst": 1000},
        });
        merge(&mut whole, spec);
        self.create("KonnectConnection", "acme", whole).await;
    }

    /// Makes a Portal on the connection `acme`.
    pub(crate) async fn portal(&self, name: &str, spec: Value) {
        let mut whole = json!({"connectionRef": {"name": "acme"}});
        merge(&mut whole, spec);
        self.create("Portal", name, whole).await;
    }

    /// Makes a PortalTeam in a Portal.
    pub(crate) async fn team(&self, name: &str, portal: &str, spec: Value) {
        let mut whole = json!({"portalRef": {"name": portal}});
        merge(&mut whole, spec);
        self.create("PortalTeam", name, whole).await;
    }

    /// Creates a resource.
    pub(crate) async fn create(&self, kind: &str, name: &str, spec: Value) {
        self.try_create(kind, name, spec).await.unwrap_or_else(|e| panic!("{kind} {name} is taken: {e}"));
    }

    /// Creates a resource, or says why the API server refuses.
    pub(crate) async fn try_create(&self, kind: &str, name: &str, spec: Value) -> Result<DynamicObject, String> {
        let resource = resource(kind);
        let object =
            json!({"apiVersion": resource.api_version, "kind": kind, "metadata": {"name": name}, "spec": spec});
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        self.api(kind)
            .create(&PostParams { field_manager: Some("test".into()), ..PostParams::default() }, &object)
            .await
            .map_err(|e| e.to_string())
    }

    /// Changes a resource by a merge patch.
    pub(crate) async fn patch(&self, kind: &str, name: &str, patch: Value) {
        self.try_patch(kind, name, patch).await.unwrap_or_else(|e| panic!("{kind} {name} is changed: {e}"));
    }

    /// Changes a resource, or says why the API server refuses.
    pub(crate) async fn try_patch(&self, kind: &str, name: &str, patch: Value) -> Result<DynamicObject, String> {
        self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map_err(|e| e.to_string())
    }

    /// Changes the spec of a resource by a merge patch.
    pub(crate) async fn spec(&self, kind: &str, name: &str, spec: Value) {
        self.patch(kind, name, json!({ "spec": spec })).await;
    }

    /// Sets or removes (null) an annotation.
    pub(crate) async fn annotate(&self, kind: &str, name: &str, annotation: &str, value: Value) {
        self.patch(kind, name, json!({"metadata": {"annotations": {annotation: value}}})).await;
    }

    /// Changes the status, as a restored backup or a vandal would.
    pub(crate) async fn status(&self, kind: &str, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.api(kind).patch_status(name, &PatchParams::default(), &patch).await.expect("the status is changed");
    }

    /// Asks for a deletion; does not wait.
    pub(crate) async fn delete(&self, kind: &str, name: &str) {
        self.api(kind).delete(name, &DeleteParams::default()).await.expect("the deletion is taken");
    }

    /// Waits until a resource is gone.
    pub(crate) async fn gone(&self, kind: &str, name: &str) {
        let (started, mut pauses) = (Instant::now(), Pauses::up_to(150));
        while self.get(kind, name).await.is_some() {
            assert!(
                started.elapsed() < PATIENCE,
                "{kind} {name} is still there: {:#}",
                self.get(kind, name).await.unwrap_or_default()
            );
            pauses.pause().await;
        }
    }

    /// Applies an object of the core group.
    pub(crate) async fn apply_as(&self, api_version: &str, kind: &str, plural: &str, name: &str, object: Value) {
        let resource = ApiResource {
            group: String::new(),
            version: api_version.into(),
            api_version: api_version.into(),
            kind: kind.into(),
            plural: plural.into(),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(self.admin.clone(), &self.namespace, &resource);
        api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object)).await.expect("it is applied");
    }
}
