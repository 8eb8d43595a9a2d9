//! One script, two API servers: every answer and every event of the simulated one is that of the real one.
//!
//! `PORTICO_DIFFERENTIAL_SEED` names another seed, and `PORTICO_DIFFERENTIAL_STEPS` another number of steps.
#[path = "differential/drive.rs"]
mod drive;
#[path = "differential/normal.rs"]
mod normal;
#[path = "differential/script.rs"]
mod script;

use std::{env, sync::Arc};

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use portico_testbed::{
    ControlPlane,
    simulated::{Seam, Simulated},
};
use serde_json::{Value, json};

use drive::Side;
use normal::difference;
use script::{CONFIG_MAPS, CRD, JSON, LABEL, LEASES, PARTIAL, SECRETS, Step, WIDGETS, get, merge, step};

/// Both API servers.
struct Both {
    sides: [Side; 2],
    steps: usize,
}

impl Both {
    /// Sends a step to both, and compares the answers. Returns the status.
    async fn send(&mut self, step: &Step) -> u16 {
        self.steps += 1;
        let [real, simulated] = &mut self.sides;
        let (real, simulated) = (real.send(step).await, simulated.send(step).await);
        let answers = [&real, &simulated].map(|answer| json!({"code": answer.code, "body": answer.body}));
        if let Some(difference) = difference("", &answers[0], &answers[1]) {
            panic!(
                "step {}: the answers differ at {difference}\n\nto the real one:      {}\n  {}\nto the simulated one: {}\n  {}\n",
                self.steps, real.request, answers[0], simulated.request, answers[1]
            );
        }
        real.code
    }

    async fn send_all(&mut self, steps: Vec<Step>) {
        for step in steps {
            self.send(&step).await;
        }
    }

    async fn until_code(&self, path: &str, code: u16) {
        for side in &self.sides {
            side.until_code(path, code).await;
        }
    }

    async fn until_answer(&self, path: &str, wanted: impl Fn(u16, &Value) -> bool + Copy) {
        for side in &self.sides {
            side.until_answer(path, wanted).await;
        }
    }

    /// Takes all finalizers from what the script may have made in a namespace.
    async fn release(&mut self, namespace: &str) {
        for kind in [WIDGETS, SECRETS, CONFIG_MAPS, LEASES] {
            for name in ["a", "b", "c"] {
                self.send(&merge(kind.path(namespace, name), json!({"metadata": {"finalizers": null}}))).await;
            }
        }
    }

    async fn compare_watches(&mut self, last: &str) {
        let [real, simulated] = &mut self.sides;
        let (real, simulated) = (real.told(last).await, simulated.told(last).await);
        for ((path, real), (_, simulated)) in real.iter().zip(&simulated) {
            let mut pairs = real.iter().zip(simulated).enumerate();
            let first = pairs.find_map(|(index, (real, simulated))| Some((index, difference("", real, simulated)?)));
            if let Some((index, difference)) = first {
                panic!(
                    "the watch of {path}: event {index} differs at {difference}\n\n{}\n{}\n",
                    real[index], simulated[index]
                );
            }
            assert_eq!(real.len(), simulated.len(), "the watch of {path} told of more on one side");
        }
    }
}

/// Both API servers, with the CRD and the namespaces of the script.
async fn prepared(plane: &ControlPlane) -> Both {
    let real = Client::try_from(plane.admin_config()).unwrap();
    let simulated = Simulated::new(&Seam { now: Arc::new(Timestamp::now), seed: 1 });
    tokio::spawn(simulated.controllers());
    let sides = [Side::new("real", real), Side::new("simulated", simulated.client("script"))];
    let mut both = Both { sides, steps: 0 };
    // A CRD is established in other steps, so the answers are not compared.
    let definition = step("POST", CRD.to_owned(), script::definition());
    for side in &mut both.sides {
        assert_eq!(side.send(&definition).await.code, 201, "{}", side.name);
    }
    both.until_code(&WIDGETS.collection("default"), 200).await;
    for name in ["one", "two", "three"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        both.send(&step("POST", "/api/v1/namespaces".to_owned(), namespace)).await;
    }
    for side in &mut both.sides {
        side.follow("/apis/example.dev/v1/widgets", JSON).await;
        side.follow("/api/v1/namespaces/one/secrets", PARTIAL).await;
        side.follow("/api/v1/configmaps?labelSelector=suite=differential", JSON).await;
        side.follow("/apis/coordination.k8s.io/v1/namespaces/one/leases", JSON).await;
    }
    both
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test]
async fn the_simulated_api_server_answers_as_the_real_one() {
    let plane = ControlPlane::start().unwrap();
    let mut both = prepared(&plane).await;
    both.send_all(script::fixed()).await;
    let steps = usize::try_from(setting("PORTICO_DIFFERENTIAL_STEPS", 400)).unwrap();
    both.send_all(script::drawn(setting("PORTICO_DIFFERENTIAL_SEED", 1), steps)).await;
    belongings(&mut both).await;
    end_of_a_namespace(&mut both).await;
    for kind in [WIDGETS, SECRETS, CONFIG_MAPS, LEASES] {
        both.send(&step("POST", kind.collection("one"), kind.object("one", "zz-last", 0))).await;
    }
    both.compare_watches("zz-last").await;
    end_of_a_crd(&mut both).await;
}

/// What belonged to an object that is gone is collected.
async fn belongings(both: &mut Both) {
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

/// A namespace takes nothing new, is emptied, and waits for what is held.
async fn end_of_a_namespace(both: &mut Both) {
    both.release("two").await;
    let mut held = WIDGETS.object("two", "held", 0);
    held["metadata"]["finalizers"] = json!(["example.dev/hold"]);
    both.send(&step("POST", WIDGETS.collection("two"), held)).await;
    both.send(&step("POST", CONFIG_MAPS.collection("two"), CONFIG_MAPS.object("two", "free", 0))).await;
    let namespace = "/api/v1/namespaces/two";
    both.send(&step("DELETE", namespace.to_owned(), json!({"propagationPolicy": "Background"}))).await;
    let late = both.send(&step("POST", CONFIG_MAPS.collection("two"), CONFIG_MAPS.object("two", "late", 0))).await;
    assert_eq!(late, 403);
    both.send(&merge(CONFIG_MAPS.path("two", "free"), json!({"data": {"k": "changed"}}))).await;
    both.until_code(&CONFIG_MAPS.path("two", "free"), 404).await;
    let held = WIDGETS.path("two", "held");
    both.until_answer(&held, |_, widget| !widget["metadata"]["deletionTimestamp"].is_null()).await;
    both.send(&get(held.clone())).await;
    both.send(&get(format!("{}?labelSelector={LABEL}", CONFIG_MAPS.collection("two")))).await;
    both.send(&merge(held.clone(), json!({"metadata": {"finalizers": null}}))).await;
    both.until_code(namespace, 404).await;
    both.send(&get(namespace.to_owned())).await;
    both.send(&get(held)).await;
}

/// The objects of a CRD go with it.
async fn end_of_a_crd(both: &mut Both) {
    both.release("one").await;
    let definition = format!("{CRD}/widgets.example.dev");
    for side in &mut both.sides {
        assert_eq!(side.send(&step("DELETE", definition.clone(), Value::Null)).await.code, 200, "{}", side.name);
    }
    both.until_code(&definition, 404).await;
    both.send(&get(definition)).await;
    // First the object is not found, and a moment later its whole resource.
    let gone = WIDGETS.path("one", "zz-last");
    both.until_answer(&gone, |code, body| code == 404 && body.is_string()).await;
    both.send(&get(gone)).await;
}
