//! One API server under the script: what is sent to it, and what is remembered of its answers.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{StreamExt, pin_mut};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{normal::Names, script::Step};

/// Stands for a UID or a version where none was ever seen.
const NO_UID: &str = "00000000-0000-4000-8000-000000000000";
const NO_VERSION: &str = "1";
/// So long something may take that controllers do.
const PATIENCE: Duration = Duration::from_secs(120);

/// An API server, and what the script knows of it.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    client: Client,
    names: Names,
    /// UIDs and versions of every object, by its path, in the order in which they were seen.
    seen: BTreeMap<String, Vec<(String, String)>>,
    /// What continues the last listing.
    token: String,
    watches: Vec<(&'static str, Arc<Mutex<Vec<Value>>>)>,
}

/// An answer, as it can be compared.
pub(crate) struct Answer {
    /// The request as it was sent.
    pub(crate) request: String,
    pub(crate) code: u16,
    pub(crate) body: Value,
}

impl Side {
    pub(crate) fn new(name: &'static str, client: Client) -> Self {
        Self { name, client, names: Names::default(), seen: BTreeMap::new(), token: String::new(), watches: Vec::new() }
    }

    /// Sends a step and learns from its answer.
    pub(crate) async fn send(&mut self, step: &Step) -> Answer {
        let key = step.path.split('?').next().unwrap_or_default().trim_end_matches("/status").to_owned();
        let path = step.path.replace("$continue", &self.token);
        let body = self.filled(&step.body, &key);
        let request = format!("{} {path} {body}", step.method);
        let (code, answer) = self.raw(step.method, &path, step.content_type, step.accept, &body).await;
        self.learn(&key, &answer);
        Answer { request, code, body: self.names.normal(&answer) }
    }

    async fn raw(&self, method: &str, path: &str, content_type: &str, accept: &str, body: &Value) -> (u16, Value) {
        let sent = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("content-type", content_type).header("accept", accept);
        let answer = self.client.send(request.body(Body::from(sent)).expect("a request")).await.expect("an answer");
        let code = answer.status().as_u16();
        let bytes = answer.into_body().collect_bytes().await.expect("a whole answer");
        (code, serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
    }

    /// A body with what was seen of its object in the place of words like `$uid`.
    fn filled(&self, body: &Value, key: &str) -> Value {
        match body {
            Value::Object(map) => {
                Value::Object(map.iter().map(|(k, child)| (k.clone(), self.filled(child, key))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.filled(item, key)).collect()),
            Value::String(word) => Value::String(self.remembered(word, key).unwrap_or_else(|| word.clone())),
            other => other.clone(),
        }
    }

    fn remembered(&self, word: &str, key: &str) -> Option<String> {
        let seen = self.seen.get(key).map(Vec::as_slice).unwrap_or_default();
        let uids = || seen.iter().rev().map(|(uid, _)| uid);
        let versions = || seen.iter().rev().map(|(_, version)| version);
        let (found, none) = match word {
            "$uid" => (uids().next(), NO_UID),
            "$old-uid" => (uids().find(|uid| Some(*uid) != uids().next()), NO_UID),
            "$version" => (versions().next(), NO_VERSION),
            "$old-version" => (versions().find(|version| Some(*version) != versions().next()), NO_VERSION),
            _ => return None,
        };
        Some(found.cloned().unwrap_or_else(|| none.to_owned()))
    }

    /// The UID of the object at a path, as it was last seen.
    pub(crate) fn uid(&self, path: &str) -> String {
        self.remembered("$uid", path).expect("it is a word")
    }

    /// The version of the object at a path, as it was last seen.
    pub(crate) fn version(&self, path: &str) -> String {
        self.remembered("$version", path).expect("it is a word")
    }

    /// An answer or an event as it can be compared.
    pub(crate) fn normal(&mut self, value: &Value) -> Value {
        self.names.normal(value)
    }

    /// What a GET says, of which nothing is learned: what controllers do meanwhile has no version that could be compared.
    pub(crate) async fn peek(&self, path: &str, accept: &str) -> (u16, Value) {
        self.raw("GET", path, "application/json", accept, &Value::Null).await
    }

    fn learn(&mut self, key: &str, answer: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &answer["metadata"];
        if !answer["items"].is_null() {
            self.token = text(&metadata["continue"]);
        } else if !metadata["uid"].is_null() {
            // What is made by a POST is known by its own path afterwards.
            let name = text(&metadata["name"]);
            let is_named = key.ends_with(&format!("/{name}"));
            let key = if is_named { key.to_owned() } else { format!("{key}/{name}") };
            self.seen.entry(key).or_default().push((text(&metadata["uid"]), text(&metadata["resourceVersion"])));
        }
    }

    /// Follows a collection from now on.
    pub(crate) async fn follow(&mut self, path: &'static str, accept: &'static str) {
        let list = self.peek(path, "application/json").await.1;
        let version = list["metadata"]["resourceVersion"].as_str().expect("a list has a version");
        let mark = if path.contains('?') { '&' } else { '?' };
        let uri = format!("{path}{mark}watch=true&timeoutSeconds=3000&resourceVersion={version}");
        let request = http::Request::get(uri).header("accept", accept).body(Vec::new()).expect("a request");
        let events: Arc<Mutex<Vec<Value>>> = Arc::default();
        self.watches.push((path, events.clone()));
        let client = self.client.clone();
        tokio::spawn(async move {
            let stream = client.request_events::<Value>(request).await.expect("a watch");
            pin_mut!(stream);
            while let Some(Ok(event)) = stream.next().await {
                events.lock().unwrap().push(serde_json::to_value(event).expect("JSON"));
            }
        });
    }

    /// Hears a watch to its end, which is the API server's, on the side.
    pub(crate) fn hear(&self, uri: &str, accept: &str) -> JoinHandle<Vec<Value>> {
        let request = http::Request::get(uri).header("accept", accept).body(Vec::new()).expect("a request");
        let client = self.client.clone();
        tokio::spawn(async move {
            let stream = client.request_events::<Value>(request).await.expect("a watch");
            pin_mut!(stream);
            let mut events = Vec::new();
            while let Some(Ok(event)) = stream.next().await {
                events.push(serde_json::to_value(event).expect("JSON"));
            }
            events
        })
    }

    /// What all watches told, once each has told of the object of this name, but for a namespace in which controllers were at work.
    pub(crate) async fn told(&mut self, last: &str, except: &str) -> Vec<(&'static str, Vec<Value>)> {
        let is_last = |event: &Value| event["object"]["metadata"]["name"] == last;
        let watches = self.watches.clone();
        until(&format!("{}: the watches tell of {last}", self.name), async || {
            watches.iter().all(|(_, events)| events.lock().unwrap().iter().any(is_last))
        })
        .await;
        let is_of_interest = |event: &&Value| event["object"]["metadata"]["namespace"] != except;
        let told = watches.iter().map(|(path, events)| {
            let events: Vec<Value> = events.lock().unwrap().iter().filter(is_of_interest).cloned().collect();
            (*path, events)
        });
        let told: Vec<(&'static str, Vec<Value>)> = told.collect();
        told.into_iter()
            .map(|(path, events)| (path, events.iter().map(|event| self.names.normal(event)).collect()))
            .collect()
    }

    /// Waits until a GET is answered with this status.
    pub(crate) async fn until_code(&self, path: &str, code: u16) {
        self.until_answer(path, |found, _| found == code).await;
    }

    /// Waits until a GET is answered as wanted.
    pub(crate) async fn until_answer(&self, path: &str, wanted: impl Fn(u16, &Value) -> bool) {
        until(&format!("{}: GET {path} is answered as it should be", self.name), async || {
            let (code, body) = self.peek(path, "application/json").await;
            wanted(code, &body)
        })
        .await;
    }
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done().await {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
