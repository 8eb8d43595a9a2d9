//! What takes controllers, or time: the ends of namespaces, of CRDs and of what belonged to others, and watches that begin or end in a way of
//! their own.
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{
    Both, LEAVING,
    normal::difference,
    same,
    script::{CONFIG_MAPS, CRD, EVENTS, JSON, LABEL, LEASES, PARTIAL, SECRETS, Step, WIDGETS, apply, get, merge, step},
};

fn namespace() -> String {
    format!("/api/v1/namespaces/{LEAVING}")
}

fn held(namespace: &str) -> Value {
    let mut held = WIDGETS.object(namespace, "held", 0);
    held["metadata"]["finalizers"] = json!(["example.dev/hold"]);
    held
}

fn is_marked(_: u16, object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// A namespace that is being deleted takes nothing new, whoever asks in whatever way; what is there can still be changed.
pub(crate) async fn begin_to_leave(both: &mut Both) {
    both.send(&step("POST", WIDGETS.collection(LEAVING), held(LEAVING))).await;
    both.send(&step("POST", CONFIG_MAPS.collection(LEAVING), CONFIG_MAPS.object(LEAVING, "free", 0))).await;
    both.send(&step("DELETE", namespace(), json!({"preconditions": {"uid": "$old-uid"}}))).await;
    both.send(&step("DELETE", namespace(), json!({"propagationPolicy": "Background"}))).await;
    both.send(&Step { accept: PARTIAL, ..get(namespace()) }).await;
    let mut nameless = WIDGETS.object(LEAVING, "", 0);
    nameless["metadata"] = json!({"generateName": "g-"});
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "late.1"}, "regarding": {"namespace": LEAVING},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "portico", "reportingInstance": "portico",
        "action": "Reconcile", "reason": "Late", "type": "Normal",
    });
    for late in [
        step("POST", CONFIG_MAPS.collection(LEAVING), CONFIG_MAPS.object(LEAVING, "late", 0)),
        step("POST", SECRETS.collection(LEAVING), SECRETS.object(LEAVING, "late", 0)),
        step("POST", WIDGETS.collection(LEAVING), WIDGETS.object(LEAVING, "late", 0)),
        step("POST", WIDGETS.collection(LEAVING), nameless),
        step("POST", EVENTS.collection(LEAVING), event),
        step("PUT", LEASES.path(LEAVING, "late"), LEASES.object(LEAVING, "late", 0)),
        apply(&CONFIG_MAPS.path(LEAVING, "late"), "one", false, CONFIG_MAPS.object(LEAVING, "late", 0)),
    ] {
        assert_eq!(both.send(&late).await, 403, "{}", late.path);
    }
    both.send(&merge(CONFIG_MAPS.path(LEAVING, "free"), json!({"data": {"k": "changed"}}))).await;
    let status = json!({"metadata": {"uid": "$uid"}, "status": {"id": "1"}});
    both.send(&merge(WIDGETS.path(LEAVING, "held/status"), status)).await;
}

/// It is emptied, but for what is held; that is let go.
pub(crate) async fn release_what_leaves(both: &mut Both) {
    both.until_code(&CONFIG_MAPS.path(LEAVING, "free"), 404).await;
    let held = WIDGETS.path(LEAVING, "held");
    both.until_answer(&held, is_marked).await;
    both.send(&get(held.clone())).await;
    both.send(&get(format!("{}?labelSelector={LABEL}", CONFIG_MAPS.collection(LEAVING)))).await;
    for side in &both.sides {
        assert_eq!(side.peek(&namespace(), JSON).await.0, 200, "{}: the namespace waits for what is held", side.name);
    }
    let status = json!({"metadata": {"uid": "$uid", "resourceVersion": "$version"}, "status": {"id": "2"}});
    both.send(&merge(WIDGETS.path(LEAVING, "held/status"), status)).await;
    let released = json!({"metadata": {"uid": "$uid", "resourceVersion": "$version", "finalizers": []}});
    both.send(&merge(held, released)).await;
}

/// It goes.
pub(crate) async fn end_of_a_namespace(both: &mut Both) {
    both.until_code(&namespace(), 404).await;
    both.send(&get(namespace())).await;
    both.send(&get(WIDGETS.path(LEAVING, "held"))).await;
}

/// What belonged to an object that is gone is collected.
pub(crate) async fn belongings(both: &mut Both) {
    let owner = CONFIG_MAPS.path("three", "owner");
    both.send(&step("POST", CONFIG_MAPS.collection("three"), CONFIG_MAPS.object("three", "owner", 0))).await;
    // Each side knows the owner by a UID of its own.
    for side in &mut both.sides {
        let uid = side.uid(&owner);
        let mut dependent = WIDGETS.object("three", "dependent", 0);
        dependent["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]);
        assert_eq!(side.send(&step("POST", WIDGETS.collection("three"), dependent)).await.code, 201);
    }
    both.send(&get(WIDGETS.path("three", "dependent"))).await;
    both.send(&step("DELETE", owner, json!({"propagationPolicy": "Background"}))).await;
    both.until_code(&WIDGETS.path("three", "dependent"), 404).await;
}

/// The objects of a CRD go with it, and what is held is waited for.
pub(crate) async fn end_of_a_crd(both: &mut Both) {
    for namespace in ["one", "two"] {
        both.release(namespace).await;
    }
    both.send(&step("POST", WIDGETS.collection("three"), held("three"))).await;
    let definition = format!("{CRD}/widgets.example.dev");
    metadata_alone(both, &definition).await;
    for side in &mut both.sides {
        assert_eq!(side.send(&step("DELETE", definition.clone(), Value::Null)).await.code, 200, "{}", side.name);
    }
    let held = WIDGETS.path("three", "held");
    both.until_answer(&held, is_marked).await;
    both.until_code(&WIDGETS.path("one", "zz-last"), 404).await;
    both.send(&get(held.clone())).await;
    metadata_alone(both, &definition).await;
    let late = step("POST", WIDGETS.collection("three"), WIDGETS.object("three", "late", 0));
    assert_eq!(both.send(&late).await, 403);
    let late = apply(&WIDGETS.path("three", "late"), "one", false, WIDGETS.object("three", "late", 0));
    assert_eq!(both.send(&late).await, 403);
    let status = json!({"metadata": {"uid": "$uid"}, "status": {"id": "1"}});
    both.send(&merge(WIDGETS.path("three", "held/status"), status)).await;
    both.send(&merge(held.clone(), json!({"metadata": {"uid": "$uid", "finalizers": []}}))).await;
    both.until_code(&definition, 404).await;
    both.send(&get(definition)).await;
    // First the object is not found, and a moment later its whole resource.
    both.until_answer(&held, |code, body| code == 404 && body.is_string()).await;
    both.send(&get(held)).await;
}

/// Of a CRD only some metadata can be compared: the real one is written by controllers of its own.
async fn metadata_alone(both: &Both, definition: &str) {
    let mut answers = Vec::new();
    for side in &both.sides {
        let (code, body) = side.peek(definition, PARTIAL).await;
        let (metadata, deleted) = (&body["metadata"], is_marked(code, &body));
        answers.push(json!({
            "code": code, "kind": body["kind"], "apiVersion": body["apiVersion"], "name": metadata["name"],
            "finalizers": metadata["finalizers"], "deleted": deleted, "spec": body["spec"],
        }));
    }
    if let Some(difference) = difference("", &answers[0], &answers[1]) {
        panic!("{definition}, metadata alone, differs at {difference}");
    }
}

/// A watch, as both API servers tell it.
type Heard = [JoinHandle<Vec<Value>>; 2];

/// Watches that begin or end in a way of their own, while other things happen.
pub(crate) struct Watches {
    initial: Heard,
    bookmarks: Heard,
    expired: Heard,
}

/// Begins them.
pub(crate) async fn hear(both: &Both) -> Watches {
    let [real, simulated] = &both.sides;
    let mut uris = Vec::new();
    for side in [real, simulated] {
        let (widgets, secrets) = (WIDGETS.collection("three"), SECRETS.collection("three"));
        let version = side.version(&WIDGETS.path("three", "i2"));
        let (_, list) = side.peek(&secrets, JSON).await;
        let present = list["metadata"]["resourceVersion"].as_str().expect("a list has a version").to_owned();
        let bookmarks = "watch=true&allowWatchBookmarks=true";
        let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        uris.push([
            format!("{widgets}?{bookmarks}&{initial}&timeoutSeconds=1&resourceVersion={version}"),
            format!("{secrets}?{bookmarks}&timeoutSeconds=5&resourceVersion={present}"),
            format!("{widgets}?watch=true&timeoutSeconds=5&resourceVersion=1"),
        ]);
    }
    let heard =
        |index: usize, accept: &str| [real.hear(&uris[0][index], accept), simulated.hear(&uris[1][index], accept)];
    Watches { initial: heard(0, JSON), bookmarks: heard(1, PARTIAL), expired: heard(2, JSON) }
}

impl Watches {
    /// Compares what was heard.
    pub(crate) async fn compare(self, both: &mut Both) {
        let [real, simulated] = events(self.initial).await;
        let [one, other] = &mut both.sides;
        let real = beginning(&real, |event| one.normal(event));
        let simulated = beginning(&simulated, |event| other.normal(event));
        assert!(real.len() > 2, "there is something to begin with: {real:?}");
        same("a watch that begins with what is there", &real, &simulated);

        let [real, simulated] = events(self.bookmarks).await.map(|events| {
            let mut shapes: Vec<Value> = events.iter().map(without_version).collect();
            shapes.dedup();
            shapes
        });
        assert_eq!(real.len(), 1, "nothing but bookmarks, which look alike: {real:?}");
        same("a watch of which only bookmarks are heard", &real, &simulated);

        let [real, simulated] = events(self.expired).await.map(|events| {
            let shapes = events.iter().map(|event| {
                let mut event = event.clone();
                let message = event["object"]["message"].as_str().unwrap_or_default();
                event["object"]["message"] = json!(message.split('(').next());
                event
            });
            shapes.collect::<Vec<_>>()
        });
        assert_eq!(real[0]["object"]["code"], 410);
        same("a watch from a version that is not known any more", &real, &simulated);
    }
}

/// What is told until all has been told that was there. More bookmarks may follow.
fn beginning(events: &[Value], mut normal: impl FnMut(&Value) -> Value) -> Vec<Value> {
    let is_bookmark = |event: &Value| event["type"] == "BOOKMARK";
    let end = events.iter().position(is_bookmark).expect("the end is told");
    let told = events[..=end].iter();
    told.map(|event| if is_bookmark(event) { without_version(event) } else { normal(event) }).collect()
}

async fn events(heard: Heard) -> [Vec<Value>; 2] {
    let [real, simulated] = heard;
    [real.await.expect("it does not panic"), simulated.await.expect("it does not panic")]
}

/// A bookmark, as it can be compared: its version is a number, and that is all.
fn without_version(event: &Value) -> Value {
    let mut event = event.clone();
    let version = event["object"]["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    event["object"]["metadata"]["resourceVersion"] = json!(version.parse::<u64>().is_ok());
    event
}
