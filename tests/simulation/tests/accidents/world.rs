//! Worlds made by hand, and what their traces tell. There is no test in here: `accidents` and `accidents_more` share it.
use std::collections::BTreeMap;

use portico_sandbox::Switches;
use portico_simulation::{
    Outcome,
    plan::{Action, Effect, Fault, Millis, Plan, Side, Step, Stranger},
    run,
};
use serde_json::{Value, json};

/// As often as it comes.
pub(crate) const ALWAYS: u32 = u32::MAX;

/// What became of a world, and all requests to the APIs.
pub(crate) struct Told {
    pub(crate) outcome: Outcome,
    pub(crate) sent: Vec<Sent>,
}

/// A request of the operator to an API, as the trace tells of it.
pub(crate) struct Sent {
    /// When it was sent; of a read that nothing went wrong with, when it arrived.
    pub(crate) at: Millis,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// What the API answered, whether or not anybody heard it; none where it never arrived.
    pub(crate) status: Option<u16>,
    /// The beginning of that answer.
    pub(crate) answer: String,
}

impl Sent {
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET" && !self.path.ends_with("/oauth2/token")
    }

    /// Verb and last word of the path, for comparisons: `POST teams`.
    pub(crate) fn short(&self) -> String {
        format!("{} {}", self.method, self.path.rsplit('/').next().unwrap_or_default())
    }
}

/// Runs a world in which every law has to hold, and which has to come to rest.
pub(crate) fn play(plan: &Plan) -> Told {
    let outcome = run(plan, true);
    let found: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}\n\n{}", outcome.trace.join("\n"), found.join("\n"));
    assert!(outcome.settled.is_some(), "it never came to rest:\n{}", outcome.trace.join("\n"));
    let sent = sent(&outcome.trace);
    Told { outcome, sent }
}

/// All requests to the APIs in the order in which the trace tells of them.
fn sent(trace: &[String]) -> Vec<Sent> {
    let mut all: Vec<Sent> = Vec::new();
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    for line in trace {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [at, _, number, verb, what, rest @ ..] = words.as_slice() else { continue };
        let number = number.strip_prefix('#').and_then(|number| number.parse::<u64>().ok());
        let Some(number) = number else { continue };
        if *verb == "<-" {
            if let Some(place) = places.get(&number) {
                all[*place].status = what.parse().ok();
                all[*place].answer = rest.join(" ");
            }
            continue;
        }
        let (path, query) = what.split_once('?').unwrap_or((*what, ""));
        let (status, answer) = if let ["->", status, answer @ ..] = rest {
            (status.parse::<u16>().ok(), answer.join(" "))
        } else {
            (None, String::new())
        };
        places.insert(number, all.len());
        all.push(Sent {
            at: millis(at),
            method: (*verb).to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            status,
            answer,
        });
    }
    all
}

/// The time at the beginning of a line.
fn millis(at: &str) -> Millis {
    let (seconds, rest) = at.split_once('.').unwrap_or((at, "0"));
    let number = |digits: &str| digits.parse::<Millis>().unwrap_or_default();
    number(seconds) * 1_000 + number(rest)
}

impl Told {
    /// Everything, for the message of an assertion.
    pub(crate) fn trace(&self) -> String {
        self.outcome.trace.join("\n")
    }

    pub(crate) fn says(&self, text: &str) -> bool {
        self.outcome.trace.iter().any(|line| line.contains(text))
    }

    /// The requests with this verb to paths with this ending.
    pub(crate) fn requests(&self, method: &str, ending: &str) -> Vec<&Sent> {
        self.sent.iter().filter(|sent| sent.method == method && sent.path.ends_with(ending)).collect()
    }

    /// Everything that could change something at an API, from one moment to another.
    pub(crate) fn writes(&self, from: Millis, until: Millis) -> Vec<&Sent> {
        self.sent.iter().filter(|sent| sent.is_write() && (from..until).contains(&sent.at)).collect()
    }

    /// How many objects were really made in collections with this ending.
    pub(crate) fn made(&self, ending: &str) -> usize {
        self.requests("POST", ending).into_iter().filter(|sent| sent.status == Some(201)).count()
    }

    /// How many objects were really deleted whose path contains this.
    pub(crate) fn deleted(&self, part: &str) -> usize {
        let is_it = |sent: &&Sent| sent.method == "DELETE" && sent.status == Some(204) && sent.path.contains(part);
        self.sent.iter().filter(is_it).count()
    }

    /// Whether the second page of a collection with this ending was asked for.
    pub(crate) fn has_turned_the_page(&self, ending: &str) -> bool {
        self.requests("GET", ending).into_iter().any(|sent| sent.query.contains("number%5D=2"))
    }

    /// The writes to the status of a resource (`portals`, `docs`): when, and what.
    pub(crate) fn statuses(&self, resource: &str, name: &str) -> Vec<(Millis, &str)> {
        let what = format!(" patch {resource}/status world/{name} ");
        self.lines(&what)
    }

    /// When Portico last let a resource go.
    pub(crate) fn released(&self, resource: &str, name: &str) -> Option<Millis> {
        let what = format!(" patch {resource} world/{name} {{\"metadata\":{{\"finalizers\":[]");
        self.lines(&what).last().map(|(at, _)| *at)
    }

    fn lines(&self, what: &str) -> Vec<(Millis, &str)> {
        let found = self.outcome.trace.iter().filter(|line| line.contains(what));
        found.map(|line| (millis(line.split_whitespace().next().unwrap_or_default()), line.as_str())).collect()
    }

    /// Whether an action was in vain the last time: what it is about was not there, or was there already.
    pub(crate) fn was_in_vain(&self, action: &Action) -> bool {
        let said = format!(" * {action:?}");
        let at = self.outcome.trace.iter().rposition(|line| line.ends_with(&said)).expect("it is a step of the plan");
        self.outcome.trace.get(at + 1).is_some_and(|line| line.contains("  nothing: "))
    }
}

/// A world with the connection `acme`, which is quiet a second after the last thing that happens.
pub(crate) fn plan(steps: Vec<Step>, faults: Vec<Fault>) -> Plan {
    let ends = steps.iter().map(|step| step.at).chain(faults.iter().map(|fault| fault.until)).max();
    let quiet_from = ends.unwrap_or_default() + 1_000;
    Plan { seed: 1, switches: Switches::default(), before: connected(), steps, faults, replicas: 1, quiet_from }
}

/// A connection `acme` and its Secret.
fn connected() -> Vec<Value> {
    let spec = json!({
        "region": "eu",
        "tokenSecretRef": {"name": "konnect"},
        "resyncInterval": "60s",
        "requestTimeout": "5s",
        "rateLimit": {"requestsPerSecond": 1000, "burst": 1000},
    });
    vec![secret("konnect", &json!({"token": "${konnect.token}"})), konnect("KonnectConnection", "acme", &spec)]
}

pub(crate) fn secret(name: &str, data: &Value) -> Value {
    let metadata = json!({"namespace": "world", "name": name});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
}

pub(crate) fn konnect(kind: &str, name: &str, spec: &Value) -> Value {
    let metadata = json!({"namespace": "world", "name": name});
    json!({"apiVersion": "konnect.portico.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// The same for ACP.
pub(crate) fn acp(kind: &str, name: &str, spec: &Value) -> Value {
    let metadata = json!({"namespace": "world", "name": name});
    json!({"apiVersion": "acp.portico.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// A portal on the connection `acme`, with these fields besides.
pub(crate) fn portal(name: &str, fields: &Value) -> Value {
    konnect("Portal", name, &with(json!({"connectionRef": {"name": "acme"}}), fields))
}

/// A team of the portal `docs`, likewise.
pub(crate) fn team(name: &str, fields: &Value) -> Value {
    konnect("PortalTeam", name, &with(json!({"portalRef": {"name": "docs"}}), fields))
}

fn with(mut spec: Value, fields: &Value) -> Value {
    if let (Some(spec), Some(fields)) = (spec.as_object_mut(), fields.as_object()) {
        spec.extend(fields.clone());
    }
    spec
}

pub(crate) fn step(at: Millis, action: Action) -> Step {
    Step { at, action }
}

pub(crate) fn apply(at: Millis, manifest: Value) -> Step {
    step(at, Action::Apply(manifest))
}

pub(crate) fn stranger(at: Millis, deed: Stranger) -> Step {
    step(at, Action::Stranger(deed))
}

pub(crate) fn edit(at: Millis, kind: &str, name: &str, spec: Value) -> Step {
    step(at, Action::Edit { kind: kind.to_owned(), namespace: "world".to_owned(), name: name.to_owned(), spec })
}

pub(crate) fn annotate(at: Millis, (kind, name): (&str, &str), key: &str, value: &str) -> Step {
    let (kind, namespace, name) = (kind.to_owned(), "world".to_owned(), name.to_owned());
    let key = format!("portico.dev/{key}");
    step(at, Action::Annotate { kind, namespace, name, key, value: Some(value.to_owned()) })
}

/// Writes a token into the Secret of the connection.
pub(crate) fn token(at: Millis, token: &str) -> Step {
    let data = vec![("token".to_owned(), token.to_owned())];
    step(at, Action::Secret { namespace: "world".to_owned(), name: "konnect".to_owned(), data })
}

/// Deletes a resource: in vain where it has gone.
pub(crate) fn delete(kind: &str, name: &str) -> Action {
    Action::Delete { kind: kind.to_owned(), namespace: "world".to_owned(), name: name.to_owned() }
}

/// A stranger deletes the oldest object of a kind: in vain where there is none.
pub(crate) fn remove(kind: &str) -> Action {
    Action::Stranger(Stranger::Delete { kind: kind.to_owned(), which: 0 })
}

pub(crate) fn make(kind: &str, key: &str) -> Stranger {
    Stranger::Make { kind: kind.to_owned(), key: key.to_owned() }
}

/// The namespace is deleted with all that is in it.
pub(crate) fn delete_namespace() -> Action {
    Action::DeleteNamespace { namespace: "world".to_owned() }
}

/// The namespace is made again: in vain where it has not gone.
pub(crate) fn make_namespace() -> Action {
    Action::Namespace { namespace: "world".to_owned() }
}

pub(crate) fn crash(down: Millis) -> Action {
    Action::Crash { replica: 0, down }
}

/// The present token is not taken any more, or is taken again.
pub(crate) fn revoke() -> Action {
    Action::Revoke { account: "konnect".to_owned() }
}

/// What happens to so many requests of an operation of the APIs in some time.
pub(crate) fn fault(what: &str, (from, until): (Millis, Millis), times: u32, effect: Effect) -> Fault {
    Fault { side: Side::Remote, from, until, nth: 0, times, what: what.to_owned(), effect }
}
