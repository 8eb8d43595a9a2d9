//! One script, two API servers: every answer and every event of the simulated one is that of the real one.
//!
//! `PORTICO_DIFFERENTIAL_SEED` names another seed, and `PORTICO_DIFFERENTIAL_STEPS` another number of steps.
#[path = "differential/drive.rs"]
mod drive;
#[path = "differential/fixed.rs"]
mod fixed;
#[path = "differential/flows.rs"]
mod flows;
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
use script::{CONFIG_MAPS, CRD, JSON, LEASES, PARTIAL, SECRETS, Step, WIDGETS, merge, step};

/// The namespace that ends while the drawn steps run in others.
const LEAVING: &str = "leaving";

/// Both API servers: the real one, and the simulated one.
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
        let (real, simulated) = (real.told(last, LEAVING).await, simulated.told(last, LEAVING).await);
        for ((path, real), (_, simulated)) in real.iter().zip(&simulated) {
            same(&format!("the watch of {path}"), real, simulated);
        }
    }
}

/// Compares the events of a watch.
fn same(what: &str, real: &[Value], simulated: &[Value]) {
    let mut pairs = real.iter().zip(simulated).enumerate();
    let first = pairs.find_map(|(index, (real, simulated))| Some((index, difference("", real, simulated)?)));
    if let Some((index, difference)) = first {
        panic!("{what}: event {index} differs at {difference}\n\n{}\n{}\n", real[index], simulated[index]);
    }
    assert_eq!(real.len(), simulated.len(), "{what} told of more on one side");
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
    for name in ["one", "two", "three", LEAVING] {
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
    both.send_all(fixed::fixed()).await;
    // Controllers and watches take their time, so what has to wait for them begins here and is looked at later.
    flows::begin_to_leave(&mut both).await;
    let heard = flows::hear(&both).await;
    let steps = usize::try_from(setting("PORTICO_DIFFERENTIAL_STEPS", 400)).unwrap();
    both.send_all(script::drawn(setting("PORTICO_DIFFERENTIAL_SEED", 1), steps)).await;
    heard.compare(&mut both).await;
    flows::release_what_leaves(&mut both).await;
    flows::belongings(&mut both).await;
    flows::end_of_a_namespace(&mut both).await;
    for kind in [WIDGETS, SECRETS, CONFIG_MAPS, LEASES] {
        both.send(&step("POST", kind.collection("one"), kind.object("one", "zz-last", 0))).await;
    }
    both.compare_watches("zz-last").await;
    flows::end_of_a_crd(&mut both).await;
}
