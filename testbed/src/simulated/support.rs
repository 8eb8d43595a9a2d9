//! What the tests of the simulated API server share.
use std::time::Duration;

use kube::{
    Api, Client,
    client::Body,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

use super::{Seam, Simulated};

/// A CRD with a status subresource, defaults and bounds.
pub(super) fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.dev"},
        "spec": {
            "group": "example.dev", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["name"], "properties": {
                        "name": {"type": "string"}, "size": {"type": "integer", "default": 1},
                    }},
                    "status": {
                        "type": "object", "default": {"observedGeneration": -1},
                        "properties": {"observedGeneration": {"type": "integer"}, "id": {"type": "string"}},
                    },
                }}},
            }],
        },
    })
}

/// An API server that serves widgets, on tokio's time.
pub(super) fn server() -> Simulated {
    let start = "2026-01-01T00:00:00Z".parse().expect("a time");
    let server = Simulated::new(&Seam::on_tokio_time(start, 1));
    server.install(&definition()).expect("it is new");
    server
}

/// A widget in the default namespace.
pub(super) fn widget(name: &str) -> Value {
    json!({
        "apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"name": name, "namespace": "default"}, "spec": {"name": name},
    })
}

/// A `ConfigMap` in the default namespace.
pub(super) fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"a": "1"}})
}

/// The widgets of the default namespace, as a client sees them.
pub(super) fn widgets(client: Client) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.dev", "v1", "Widget"), "widgets");
    Api::namespaced_with(client, "default", &resource)
}

/// The path of a widget in the default namespace.
pub(super) fn path(name: &str) -> String {
    format!("/apis/example.dev/v1/namespaces/default/widgets/{name}")
}

/// Sends a request as it is. The content type of a PATCH stands after the method: `PATCH merge`.
pub(super) async fn send(client: &Client, method: &str, uri: &str, body: &Value) -> (u16, Value) {
    let (method, kind) = method.split_once(' ').unwrap_or((method, ""));
    let content_type = match kind {
        "merge" => "application/merge-patch+json",
        "json" => "application/json-patch+json",
        "apply" => "application/apply-patch+yaml",
        _ => "application/json",
    };
    let sent = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = http::Request::builder().method(method).uri(uri).header("content-type", content_type);
    let request = request.body(Body::from(sent)).expect("a request");
    let answer = client.send(request).await.expect("an answer");
    let code = answer.status().as_u16();
    let bytes = answer.into_body().collect_bytes().await.expect("a whole answer");
    (code, serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
}

/// Lets time pass.
pub(super) async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
