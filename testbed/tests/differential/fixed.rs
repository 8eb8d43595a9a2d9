//! The steps that were thought of: what Portico relies on, one after the other.
use serde_json::{Value, json};

use super::script::{
    CONFIG_MAPS, CRD, EVENTS, LEASES, PARTIAL, PARTIAL_LIST, SECRETS, Step, WIDGETS, get, merge, step,
};

/// What holds an object.
const HOLD: &str = "example.dev/hold";
/// A UID that no object has.
const STRANGER: &str = "11111111-2222-4333-8444-555555555555";

/// All of them.
pub(crate) fn fixed() -> Vec<Step> {
    let all = [widget(), held_widget(), invalid(), secret(), selected(), lease(), event(), listings(), refusals()];
    all.into_iter().flatten().collect()
}

/// The resource: its status, its finalizers, its end.
fn widget() -> Vec<Step> {
    let (path, status) = (WIDGETS.path("one", "f"), WIDGETS.path("one", "f/status"));
    let mut full = WIDGETS.object("one", "f", 1);
    full["status"] = json!({"id": "mine"});
    full["spec"]["unknown"] = json!(1);
    full["spec"]["parts"] = json!([{}, {"b": 1}]);
    full["spec"]["color"] = Value::Null;
    full["metadata"]["finalizers"] = json!([HOLD]);
    let held = json!({"uid": "$uid", "resourceVersion": "$version", "finalizers": [HOLD, "example.dev/more"]});
    let released = json!({"uid": "$uid", "resourceVersion": "$version", "finalizers": []});
    vec![
        step("POST", WIDGETS.collection("one"), full.clone()),
        // The first patch that changes nothing changes something: defaults are stored now.
        merge(path.clone(), json!({})),
        merge(path.clone(), json!({})),
        merge(status.clone(), json!({"metadata": {"uid": "$uid"}, "status": {"id": "1"}})),
        merge(status.clone(), json!({"metadata": {"uid": "$uid"}, "status": {"id": "1"}})),
        // A status patch for another UID is not refused.
        merge(status.clone(), json!({"metadata": {"uid": STRANGER}, "spec": {"size": 7}, "status": {"id": "2"}})),
        merge(
            status.clone(),
            json!({"metadata": {"uid": "$uid", "resourceVersion": "$old-version"}, "status": {"id": "3"}}),
        ),
        merge(
            status.clone(),
            json!({"metadata": {"uid": "$uid", "resourceVersion": "$version"}, "status": {"id": "4"}}),
        ),
        merge(status.clone(), json!({"status": null})),
        merge(status.clone(), json!({"status": {"id": null}})),
        merge(status, json!({"metadata": {"finalizers": []}, "status": {"id": 4}})),
        merge(path.clone(), json!({"metadata": {"uid": STRANGER}})),
        merge(path.clone(), json!({"metadata": {"uid": STRANGER, "resourceVersion": "$old-version"}})),
        merge(path.clone(), json!({"metadata": {"resourceVersion": null}})),
        merge(path.clone(), json!({"metadata": held})),
        step("DELETE", path.clone(), json!({"preconditions": {"uid": "$uid", "resourceVersion": "$old-version"}})),
        step("DELETE", path.clone(), json!({"propagationPolicy": "Background"})),
        step("DELETE", path.clone(), Value::Null),
        merge(path.clone(), json!({"metadata": {"finalizers": [HOLD, "example.dev/more", "example.dev/new"]}})),
        step("POST", WIDGETS.collection("one"), full),
        merge(path.clone(), json!({"metadata": released})),
        get(path.clone()),
        merge(path, json!({"metadata": {"uid": "$uid"}})),
    ]
}

/// A resource that is deleted before anybody wrote to it: its status is written, and its spec, until it is let go.
fn held_widget() -> Vec<Step> {
    let (path, status) = (WIDGETS.path("one", "h"), WIDGETS.path("one", "h/status"));
    let mut held = WIDGETS.object("one", "h", 1);
    held["metadata"]["finalizers"] = json!([HOLD]);
    let released = json!({"uid": "$uid", "resourceVersion": "$version", "finalizers": []});
    vec![
        step("POST", WIDGETS.collection("one"), held),
        step("DELETE", path.clone(), json!({})),
        // What is marked is stored with its defaults.
        merge(path.clone(), json!({})),
        merge(status.clone(), json!({"metadata": {"uid": "$uid"}, "status": {"id": "1", "observedGeneration": 2}})),
        merge(
            status.clone(),
            json!({"metadata": {"uid": "$uid", "resourceVersion": "$version"}, "status": {"id": "2"}}),
        ),
        merge(path.clone(), json!({"spec": {"size": 9}, "status": {"id": "mine"}})),
        merge(path.clone(), json!({"metadata": {"labels": {"a": "b"}}})),
        Step { accept: PARTIAL, ..get(path.clone()) },
        merge(path.clone(), json!({"metadata": released})),
        merge(status, json!({"metadata": {"uid": "$uid"}, "status": {"id": "3"}})),
        step("DELETE", path, json!({})),
        // Another one of the name: the UID of the first is told from its own by all but the status.
        step("POST", WIDGETS.collection("one"), WIDGETS.object("one", "h", 2)),
        merge(WIDGETS.path("one", "h"), json!({"metadata": {"uid": "$old-uid", "finalizers": [HOLD]}})),
        step("DELETE", WIDGETS.path("one", "h"), json!({"preconditions": {"uid": "$old-uid"}})),
        step("DELETE", WIDGETS.path("one", "h"), json!({"preconditions": {"uid": "$uid"}})),
    ]
}

/// Specs that the schema refuses.
fn invalid() -> Vec<Step> {
    let specs = [
        json!({"name": "v", "size": "big"}),
        json!({"name": "v", "size": 0}),
        json!({"size": 1}),
        json!({"name": "v", "color": "green"}),
        json!({"name": "much too long"}),
        json!({"name": ""}),
        json!({"name": "v", "parts": [{}, {}, {}]}),
        json!({"name": "v", "labels": {"a": 1}}),
    ];
    let with = |spec| {
        let mut widget = WIDGETS.object("one", "v", 0);
        widget["spec"] = spec;
        step("POST", WIDGETS.collection("one"), widget)
    };
    specs.into_iter().map(with).collect()
}

/// A Secret, made, replaced and deleted as only its reader may.
fn secret() -> Vec<Step> {
    let (collection, path) = (SECRETS.collection("one"), SECRETS.path("one", "p"));
    let metadata = json!({
        "name": "p", "annotations": {"portico.dev/owner": "a"}, "labels": {"app.kubernetes.io/managed-by": "portico"},
    });
    let made = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": {"token": "MQ=="}});
    let with = |uid: &str, version: &str, data: Value| {
        let mut secret = made.clone();
        secret["metadata"]["uid"] = json!(uid);
        secret["metadata"]["resourceVersion"] = json!(version);
        secret["data"] = data;
        secret
    };
    let renewed = json!({"token": "Mg==", "more": ""});
    let of = |uid: &str, version: &str| json!({"preconditions": {"uid": uid, "resourceVersion": version}});
    let mut certificate = made.clone();
    certificate["type"] = json!("kubernetes.io/tls");
    certificate["data"] = json!({"tls.crt": "MQ=="});
    vec![
        step("POST", collection.clone(), made.clone()),
        step("POST", collection.clone(), made.clone()),
        step("PUT", path.clone(), with("$uid", "$version", renewed.clone())),
        step("PUT", path.clone(), with("$uid", "$version", renewed.clone())),
        step("PUT", path.clone(), with("$uid", "$old-version", json!({}))),
        step("PUT", path.clone(), with(STRANGER, "$version", json!({}))),
        merge(path.clone(), json!({"data": {"more": null, "token": "Mw=="}})),
        merge(path.clone(), json!({"metadata": {"uid": STRANGER}, "data": {"token": "MQ=="}})),
        merge(path.clone(), json!({"type": "example.dev/other"})),
        Step { accept: PARTIAL, ..get(path.clone()) },
        get(path.clone()),
        step("DELETE", path.clone(), of("$uid", "$old-version")),
        step("DELETE", path.clone(), of(STRANGER, "$version")),
        step("DELETE", path.clone(), of("$uid", "$version")),
        step("PUT", path.clone(), with("$uid", "$version", renewed)),
        step("DELETE", path, of("$uid", "$version")),
        step("POST", collection, certificate),
    ]
}

/// A `ConfigMap` that a watch selects, does not, and does again.
fn selected() -> Vec<Step> {
    let path = CONFIG_MAPS.path("two", "s");
    vec![
        step("POST", CONFIG_MAPS.collection("two"), CONFIG_MAPS.object("two", "s", 0)),
        merge(path.clone(), json!({"metadata": {"labels": {"suite": null}}})),
        merge(path.clone(), json!({"data": {"k": "unseen"}})),
        merge(path.clone(), json!({"metadata": {"labels": {"suite": "differential"}}})),
        step("DELETE", path, json!({})),
    ]
}

/// A Lease, taken, renewed, given back, and gone.
fn lease() -> Vec<Step> {
    let (collection, path, put) = (LEASES.collection("one"), LEASES.path("one", "l"), LEASES.path("one", "f"));
    let with = |version: &str, holder: Value, second: u8| {
        let metadata = json!({"name": "l", "namespace": "one", "uid": "$uid", "resourceVersion": version});
        let time = |second: u8| json!(format!("2026-01-01T00:00:0{second}.000000Z"));
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata,
            "spec": {
                "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 1, "acquireTime": time(1),
                "renewTime": time(second),
            },
        })
    };
    let mut fresh = with("", json!("one"), 1);
    fresh["metadata"] = json!({"name": "l"});
    let mut stale = LEASES.object("one", "f", 1);
    stale["metadata"]["uid"] = json!("$uid");
    vec![
        step("POST", collection.clone(), fresh.clone()),
        step("POST", collection, fresh),
        step("PUT", path.clone(), with("$version", json!("one"), 2)),
        step("PUT", path.clone(), with("$old-version", json!("two"), 3)),
        step("PUT", path.clone(), with("", json!("two"), 3)),
        step("PUT", path.clone(), with("$version", json!("two"), 3)),
        step("PUT", path.clone(), with("$version", Value::Null, 4)),
        get(path.clone()),
        step("DELETE", path.clone(), json!({})),
        // One that is gone is not made again by who knew it.
        step("PUT", path, with("$version", json!("one"), 5)),
        step("PUT", put.clone(), LEASES.object("one", "f", 0)),
        step("DELETE", put.clone(), Value::Null),
        step("PUT", put, stale),
    ]
}

/// An Event, and the same again.
fn event() -> Vec<Step> {
    let (collection, path) = (EVENTS.collection("one"), EVENTS.path("one", "f.1"));
    let regarding = json!({
        "apiVersion": "example.dev/v1", "kind": "Widget", "namespace": "one", "name": "f", "uid": STRANGER,
    });
    let made = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "f.1", "namespace": "one"}, "regarding": regarding,
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "portico", "reportingInstance": "portico",
        "action": "Reconcile", "reason": "Available", "type": "Normal", "note": "it is there",
    });
    let series = |count: u8| json!({"series": {"count": count, "lastObservedTime": "2026-01-01T00:00:09.000000Z"}});
    let with = |field: &str, value: Value| {
        let mut event = made.clone();
        event["metadata"]["name"] = json!("f.2");
        event[field] = value;
        step("POST", collection.clone(), event)
    };
    vec![
        step("POST", collection.clone(), made.clone()),
        step("POST", collection.clone(), made.clone()),
        merge(path.clone(), series(2)),
        merge(path.clone(), series(3)),
        merge(path.clone(), series(1)),
        merge(path.clone(), json!({"note": "it is there again"})),
        merge(EVENTS.path("one", "f.2"), series(2)),
        with("eventTime", Value::Null),
        with("type", json!("Odd")),
        with("reason", json!("")),
        with("note", json!("a".repeat(1025))),
        step("DELETE", path, json!({})),
    ]
}

/// Listings of all namespaces, page by page, and questions that make no sense. Two objects stay for the watches.
fn listings() -> Vec<Step> {
    let (everywhere, here) = ("/apis/example.dev/v1/widgets", WIDGETS.collection("three"));
    vec![
        step("POST", here.clone(), WIDGETS.object("three", "i1", 0)),
        step("POST", here.clone(), WIDGETS.object("three", "i2", 1)),
        step("POST", WIDGETS.collection("two"), WIDGETS.object("two", "i3", 2)),
        get(format!("{everywhere}?limit=500")),
        get(format!("{everywhere}?limit=2")),
        // A page shows the version of the first one.
        step("DELETE", WIDGETS.path("two", "i3"), json!({})),
        get(format!("{everywhere}?limit=2&continue=$continue")),
        Step { accept: PARTIAL_LIST, ..get(format!("{everywhere}?limit=500")) },
        get(format!("{here}?fieldSelector=metadata.name%3Di2")),
        get(format!("{here}?resourceVersionMatch=Exact")),
        get(format!("{here}?sendInitialEvents=true")),
        get(format!("{here}?watch=true&resourceVersion=1&resourceVersionMatch=NotOlderThan")),
        get("/api/v1/namespaces/nowhere/secrets".to_owned()),
    ]
}

/// What is not served, not allowed, or has no name yet.
fn refusals() -> Vec<Step> {
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let mut named_twice = WIDGETS.object("three", "i1", 0);
    named_twice["metadata"]["generateName"] = json!("i");
    vec![
        get("/apis/example.dev/v1/gadgets".to_owned()),
        get(WIDGETS.path("one", "f/scale")),
        get(format!("{CRD}/gadgets.example.dev")),
        step("DELETE", "/api/v1/namespaces/kube-system".to_owned(), Value::Null),
        step("POST", "/api/v1/namespaces".to_owned(), namespace("Bad_Name")),
        step("POST", "/api/v1/namespaces".to_owned(), namespace("one")),
        step("POST", WIDGETS.collection("three"), named_twice),
        step(
            "POST",
            WIDGETS.collection("three"),
            json!({"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"generateName": "g-"}, "spec": {"name": "g"}}),
        ),
        step("POST", CONFIG_MAPS.collection("nowhere"), CONFIG_MAPS.object("nowhere", "a", 0)),
    ]
}
