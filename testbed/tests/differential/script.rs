//! What is asked of both API servers: the steps and what they are about, and those that are drawn.
use fastrand::Rng;
use serde_json::{Value, json};

/// One request. In its body `$uid`, `$version`, `$old-uid` and `$old-version` stand for what was last seen of its object, and before that.
pub(crate) struct Step {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) accept: &'static str,
    pub(crate) body: Value,
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const PARTIAL: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
pub(crate) const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

pub(crate) const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Whom a `ConfigMap` of the script is known by: the real cluster has some of its own.
pub(crate) const LABEL: &str = "suite=differential";

/// A resource that the script writes.
#[allow(clippy::struct_field_names, reason = "Kubernetes' own word for it")]
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    prefix: &'static str,
    plural: &'static str,
    version: &'static str,
    kind: &'static str,
}

pub(crate) const WIDGETS: Kind =
    Kind { prefix: "/apis/example.dev/v1", plural: "widgets", version: "example.dev/v1", kind: "Widget" };
pub(crate) const SECRETS: Kind = Kind { prefix: "/api/v1", plural: "secrets", version: "v1", kind: "Secret" };
pub(crate) const CONFIG_MAPS: Kind = Kind { prefix: "/api/v1", plural: "configmaps", version: "v1", kind: "ConfigMap" };
pub(crate) const LEASES: Kind =
    Kind { prefix: "/apis/coordination.k8s.io/v1", plural: "leases", version: "coordination.k8s.io/v1", kind: "Lease" };
pub(crate) const EVENTS: Kind =
    Kind { prefix: "/apis/events.k8s.io/v1", plural: "events", version: "events.k8s.io/v1", kind: "Event" };
const KINDS: [Kind; 4] = [WIDGETS, SECRETS, CONFIG_MAPS, LEASES];

impl Kind {
    pub(crate) fn collection(self, namespace: &str) -> String {
        format!("{}/namespaces/{namespace}/{}", self.prefix, self.plural)
    }

    pub(crate) fn path(self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.collection(namespace))
    }

    /// An object, with one of a few contents.
    pub(crate) fn object(self, namespace: &str, name: &str, content: usize) -> Value {
        let mut object =
            json!({"apiVersion": self.version, "kind": self.kind, "metadata": {"name": name, "namespace": namespace}});
        let (field, content) = self.content(content);
        object[field] = content;
        if self.plural == CONFIG_MAPS.plural {
            object["metadata"]["labels"] = json!({"suite": "differential"});
        }
        object
    }

    fn content(self, content: usize) -> (&'static str, Value) {
        match self.plural {
            "widgets" => ("spec", json!({"name": format!("n{content}"), "size": content + 1})),
            "secrets" => ("data", json!({"k": (["MQ==", "Mg==", "Mw=="][content % 3])})),
            "configmaps" => ("data", json!({"k": content.to_string()})),
            _ => ("spec", json!({"holderIdentity": format!("h{content}"), "leaseDurationSeconds": 15})),
        }
    }
}

pub(crate) fn step(method: &'static str, path: String, body: Value) -> Step {
    let path = if method == "GET" || method == "DELETE" { path } else { format!("{path}?fieldManager=user") };
    Step { method, path, content_type: JSON, accept: JSON, body }
}

pub(crate) fn merge(path: String, body: Value) -> Step {
    Step { content_type: MERGE, ..step("PATCH", path, body) }
}

fn json_patch(path: String, body: Value) -> Step {
    Step { content_type: JSON_PATCH, ..step("PATCH", path, body) }
}

pub(crate) fn apply(path: &str, manager: &str, force: bool, body: Value) -> Step {
    let path = format!("{path}?fieldManager={manager}&force={force}");
    Step { method: "PATCH", path, content_type: APPLY, accept: JSON, body }
}

pub(crate) fn get(path: String) -> Step {
    step("GET", path, Value::Null)
}

/// A CRD with a status subresource, defaults, bounds, and fields that it does not know.
pub(crate) fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.dev"},
        "spec": {
            "group": "example.dev", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    // The rule always holds; but where it cannot be asked, the API server says so.
                    "spec": {"type": "object", "required": ["name"], "x-kubernetes-validations": [{"rule": "self.size < 1000000"}], "properties": {
                        "name": {"type": "string", "minLength": 1, "maxLength": 8},
                        "size": {"type": "integer", "minimum": 1, "default": 1},
                        "color": {"type": "string", "enum": ["red", "blue"]},
                        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                        "parts": {"type": "array", "maxItems": 2, "items": {"type": "object", "properties": {
                            "a": {"type": "string", "default": "x"},
                        }}},
                    }},
                    "status": {"type": "object", "default": {"observedGeneration": -1}, "properties": {
                        "observedGeneration": {"type": "integer"}, "id": {"type": "string"},
                    }},
                }}},
            }],
        },
    })
}

/// Steps drawn from a seed.
pub(crate) fn drawn(seed: u64, count: usize) -> Vec<Step> {
    let mut random = Rng::with_seed(seed);
    (0..count).map(|_| draw(&mut random)).collect()
}

fn draw(random: &mut Rng) -> Step {
    let kind = KINDS[random.usize(..KINDS.len())];
    let namespace = if random.bool() { "one" } else { "two" };
    let name = ["a", "b", "c"][random.usize(..3)];
    let path = kind.path(namespace, name);
    let content = random.usize(..3);
    match random.u32(..100) {
        0..25 => created(random, kind, namespace, name, content),
        25..33 => read(random, kind, namespace, path),
        33..45 => replaced(random, kind, namespace, name, content),
        45..63 => patched(random, kind, path, content),
        63..71 => json_patched(random, kind, path),
        71..80 => status(random, namespace, name, content),
        80..88 => applied(random, namespace, name, content),
        _ => deleted(random, path),
    }
}

fn created(random: &mut Rng, kind: Kind, namespace: &str, name: &str, content: usize) -> Step {
    let mut object = kind.object(namespace, name, content);
    let mut collection = kind.collection(namespace);
    match random.u32(..20) {
        0 => object["metadata"]["resourceVersion"] = json!("1"),
        1 => object["metadata"]["namespace"] = json!("elsewhere"),
        2 => {
            collection = kind.collection("nowhere");
            object["metadata"]["namespace"] = json!("nowhere");
        }
        3 => object["metadata"]["name"] = json!("Bad_Name"),
        4 => object["unknown"] = json!({"a": 1}),
        5 => object["metadata"]["uid"] = json!("11111111-2222-4333-8444-555555555555"),
        6 if kind.plural == "widgets" => object["spec"]["size"] = json!("big"),
        7 if kind.plural == "widgets" => object["spec"] = json!({"size": 1}),
        8 if kind.plural == "widgets" => object["spec"]["color"] = json!("green"),
        9 if kind.plural == "widgets" => object["spec"]["name"] = json!("far too long"),
        10 if kind.plural == "widgets" => object["spec"]["size"] = Value::Null,
        11 if kind.plural == "leases" => object["spec"]["leaseDurationSeconds"] = json!(0),
        12 if kind.plural == "secrets" => object["stringData"] = json!({"s": "text"}),
        13..17 => object["metadata"]["finalizers"] = json!(["example.dev/hold"]),
        _ => {}
    }
    step("POST", collection, object)
}

fn read(random: &mut Rng, kind: Kind, namespace: &str, path: String) -> Step {
    let collection = kind.collection(namespace);
    match random.u32(..6) {
        0 | 1 => get(path),
        2 => Step { accept: PARTIAL, ..get(path) },
        // The real cluster has ConfigMaps of its own, which count in pages.
        _ if kind.plural == "configmaps" => get(format!("{collection}?labelSelector={LABEL}")),
        3 => Step { accept: PARTIAL_LIST, ..get(collection) },
        4 => get(format!("{collection}?limit=1")),
        _ => get(format!("{collection}?limit=1&continue=$continue")),
    }
}

fn replaced(random: &mut Rng, kind: Kind, namespace: &str, name: &str, content: usize) -> Step {
    let mut object = kind.object(namespace, name, content);
    if random.u32(..10) < 8 {
        object["metadata"]["resourceVersion"] = json!(["$version", "$version", "$old-version"][random.usize(..3)]);
    }
    if random.bool() {
        object["metadata"]["uid"] = json!(["$uid", "$uid", "$old-uid"][random.usize(..3)]);
    }
    if random.u32(..3) == 0 {
        object["metadata"]["finalizers"] = json!(["example.dev/hold"]);
    }
    if random.u32(..12) == 0 {
        object["metadata"]["name"] = json!("other");
    }
    step("PUT", kind.path(namespace, name), object)
}

fn patched(random: &mut Rng, kind: Kind, path: String, content: usize) -> Step {
    let (field, content) = kind.content(content);
    let body = match random.u32(..16) {
        0..4 => json!({ field: content }),
        4 => json!({field: content, "metadata": {"uid": "$uid", "resourceVersion": "$version"}}),
        5 => json!({field: content, "metadata": {"uid": "$old-uid"}}),
        6 => json!({field: content, "metadata": {"resourceVersion": "$old-version"}}),
        7 => json!({"metadata": {"finalizers": ["example.dev/hold"]}}),
        8 | 9 => json!({"metadata": {"finalizers": null}}),
        10 => json!({"metadata": {"labels": {"x": "y", "suite": "differential"}, "annotations": {"note": "a"}}}),
        11 => json!({"metadata": {"annotations": null}}),
        12 => json!({}),
        13 => json!({"metadata": {"name": "other"}}),
        14 => json!({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z", "generation": 77}}),
        _ => json!({"unknown": {"a": 1}, "metadata": {"namespace": "elsewhere"}}),
    };
    merge(path, body)
}

fn json_patched(random: &mut Rng, kind: Kind, path: String) -> Step {
    let field = if kind.plural == "widgets" || kind.plural == "leases" { "spec" } else { "data" };
    let value = match kind.plural {
        "widgets" => ("name", json!("patched")),
        "leases" => ("holderIdentity", json!("patched")),
        _ => ("k", json!("Mg==")),
    };
    let body = match random.u32(..5) {
        0 | 1 => json!([{"op": "replace", "path": format!("/{field}/{}", value.0), "value": value.1}]),
        2 => {
            json!([{"op": "test", "path": "/metadata/uid", "value": "$uid"}, {"op": "add", "path": format!("/{field}/{}", value.0), "value": value.1}])
        }
        3 => json!([{"op": "test", "path": "/metadata/resourceVersion", "value": "$old-version"}]),
        _ => json!([{"op": "remove", "path": "/metadata/annotations/gone"}]),
    };
    json_patch(path, body)
}

fn status(random: &mut Rng, namespace: &str, name: &str, content: usize) -> Step {
    let path = WIDGETS.path(namespace, &format!("{name}/status"));
    let fresh = json!({"id": format!("i{content}"), "observedGeneration": content, "unknown": 1});
    match random.u32(..6) {
        0 => merge(path, json!({"status": fresh})),
        1 => merge(path, json!({"metadata": {"uid": "$old-uid", "labels": {"a": "b"}}, "status": fresh})),
        2 => merge(path, json!({"metadata": {"resourceVersion": "$old-version"}, "status": fresh})),
        3 => merge(path, json!({"status": {"observedGeneration": "x"}})),
        4 => get(path),
        _ => {
            let mut object = WIDGETS.object(namespace, name, content);
            object["metadata"]["resourceVersion"] = json!("$version");
            object["status"] = fresh;
            step("PUT", path, object)
        }
    }
}

fn applied(random: &mut Rng, namespace: &str, name: &str, content: usize) -> Step {
    let kind = if random.bool() { WIDGETS } else { CONFIG_MAPS };
    let mut object = kind.object(namespace, name, content);
    if random.u32(..4) == 0 {
        object["metadata"]["finalizers"] = json!(["example.dev/hold"]);
    }
    if kind.plural == "widgets" && random.bool() {
        object["spec"] = json!({"name": format!("n{content}"), "color": "red", "labels": {"m": "1"}});
    }
    let manager = ["one", "two"][random.usize(..2)];
    apply(&kind.path(namespace, name), manager, random.u32(..3) == 0, object)
}

fn deleted(random: &mut Rng, path: String) -> Step {
    let body = match random.u32(..6) {
        0 => json!({"preconditions": {"uid": "$uid", "resourceVersion": "$version"}}),
        1 => json!({"preconditions": {"uid": "$old-uid"}}),
        2 => json!({"preconditions": {"resourceVersion": "$old-version"}}),
        3 => json!({"propagationPolicy": "Background"}),
        4 => json!({}),
        _ => Value::Null,
    };
    step("DELETE", path, body)
}
