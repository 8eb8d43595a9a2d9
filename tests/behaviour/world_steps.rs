//! Steps that several tests take: faults, strangers, and rights that outlive a namespace.
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::DeleteParams};
use portico::manifests;
use portico_sandbox::{Effect, Fault, Plant};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

/// The id in a status, or of an object at the API.
pub(crate) fn id(of: &Value) -> String {
    let id = of["status"]["id"].as_str().or_else(|| of["id"].as_str());
    id.unwrap_or_else(|| panic!("there is no id in {of:#}")).to_owned()
}

/// The ids of all portals of the organization, in the order in which they were made.
pub(crate) fn portal_ids(world: &World) -> Vec<String> {
    world.portals().iter().map(id).collect()
}

/// The teams of a portal.
pub(crate) fn teams(world: &World, portal: &str) -> Vec<Value> {
    world.only(portal)["teams"].as_array().cloned().unwrap_or_default()
}

/// A stranger makes a portal; its id.
pub(crate) fn plant_portal(world: &World, body: Value) -> String {
    world.sandbox.plant("acme", Plant::Portal(body)).expect("it can be planted")
}

/// A stranger makes a team in a portal; its id.
pub(crate) fn plant_team(world: &World, portal: &str, body: Value) -> String {
    world.sandbox.plant("acme", Plant::Team { portal: portal.to_owned(), body }).expect("it can be planted")
}

/// Someone deletes a portal at the API by hand.
pub(crate) async fn delete_by_hand(world: &World, portal: &str) {
    let path = format!("/v2/portals/{}", id(&world.only(portal)));
    assert_eq!(world.by_hand(Method::DELETE, &path, None).await, 204);
}

/// Something goes wrong, until the faults are cleared.
pub(crate) fn fault(world: &World, operation: &str, effect: Effect) {
    world.sandbox.inject(Fault { operation: operation.to_owned(), effect, times: None, organization: None });
}

/// A refusal in the API's own shape.
pub(crate) fn status(status: u16) -> Effect {
    Effect::Status { status, retry_after: None, detail: None }
}

/// What a proxy says that knows no way to the API.
pub(crate) fn page(status: u16) -> Effect {
    Effect::Page { status, body: "<html><body>no such page</body></html>".to_owned(), location: None }
}

/// Asserts that nothing was written to the API since the record was last reset.
pub(crate) fn assert_nothing_sent(world: &World) {
    assert_eq!(world.remote_writes(), Vec::<String>::new(), "writes to the API");
}

/// Waits for the next listing of the portals: after it there is a second in which nobody looks. Forgets the record.
pub(crate) async fn after_a_sweep(world: &World) {
    world.sandbox.reset_exchanges();
    world.eventually("the portals are listed", |w| w.calls("list-portals") > 0).await;
}

/// Asks for a look at the object, now; `answered` says when it was taken.
pub(crate) async fn ask_for_a_look(world: &World, kind: &str, name: &str, when: &str) {
    world.annotate(kind, name, "portico.dev/reconcile-at", json!(when)).await;
}

/// Waits until the look that was asked for was taken.
pub(crate) async fn answered(world: &World, kind: &str, name: &str, when: &str) {
    world.until(kind, name, "took the look", |o| o["status"]["lastHandledReconcileAt"] == when).await;
}

/// Deletes a Secret.
pub(crate) async fn delete_secret(world: &World, name: &str) {
    let api: Api<Secret> = Api::namespaced(world.admin(), &world.namespace);
    api.delete(name, &DeleteParams::default()).await.expect("the Secret is deleted");
}

/// Gives the operator the generated rights for the whole cluster: those in a namespace go with the namespace.
pub(crate) async fn grant_everywhere(world: &World) {
    let role = format!("portico-everywhere-{}", world.namespace);
    let generated = manifests::rbac_yaml();
    let rules = generated.split("---\n").find(|d| d.contains("kind: ClusterRole\n")).expect("there is a ClusterRole");
    let rules = rules.replace("name: portico\n", &format!("name: {role}\n"));
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "portico", "namespace": format!("{}-system", world.namespace)}],
    });
    world.kubectl(&["apply", "-f", "-"], &format!("{rules}---\n{binding}\n")).await.expect("the rights are given");
}

/// Tries until it works: what was just installed is served a moment later.
pub(crate) async fn eventually_ok<T, E: std::fmt::Display>(what: &str, attempt: impl AsyncFn() -> Result<T, E>) -> T {
    let started = tokio::time::Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(60), "never: {what}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
