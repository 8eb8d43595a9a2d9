//! What there is at the API, and what was written on both sides, seen without knowing the kind.
use std::collections::{BTreeSet, VecDeque};

use portico_sandbox::Exchange;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    case::Case,
    fixtures::{Bench, ELSEWHERE, is_pem, random},
    shape::Shape,
};
use crate::world_steps::id;

/// Requests that change nothing though they are no GET: for tokens, and questions about domains.
const NO_WRITES: [&str; 2] = ["token", "verify-portal-domains"];

/// Members that the APIs stamp by themselves when they are written to, or count by themselves.
const STAMPS: [&str; 8] = [
    "application_count",
    "client_hashed_secret",
    "developer_count",
    "expires_at",
    "published_product_count",
    "updated_at",
    "uploaded_at",
    "version",
];

/// The member under which the sandbox shows what the API takes and never shows.
pub(crate) const WRITE_ONLY: &str = "write_only";

/// Where an object is: the list in the sandbox's state, and what tells it from the others there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The JSON pointer of the list; of the object itself, where its parent has only one.
    pub(crate) list: String,
    /// The member that holds the ids of those in the list.
    member: Option<&'static str>,
    /// The object's id; its parent's, where that has only one.
    pub(crate) id: String,
    /// The object's path in requests.
    pub(crate) path: String,
}

/// All that there is, as far as anybody decides it: stamps are left out, and lists are in one order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scene {
    /// The object under test.
    pub(crate) object: Value,
    /// Everything else.
    pub(crate) rest: Value,
}

impl Place {
    fn holds(&self, item: &Value) -> bool {
        self.member.is_none_or(|member| item[member] == self.id.as_str())
    }

    /// The place of another object in the same list. Where there is no list, there is no other place.
    pub(crate) fn of(&self, id: &str) -> Self {
        if self.member.is_none() {
            return self.clone();
        }
        let above = self.path.rsplit_once('/').map_or("", |(above, _)| above);
        Self { id: id.to_owned(), path: format!("{above}/{id}"), ..self.clone() }
    }
}

impl Bench {
    /// Where the object of a resource is.
    pub(crate) fn place(&self, resource: &Value) -> Place {
        match resource["status"]["remote"]["path"].as_str() {
            Some(path) => self.place_at(path),
            // Of what is over nothing is recorded.
            None if self.case.shape == Shape::Action => self.place_at(&path_of(&self.last("PUT", |_| true).url)),
            None => panic!("nothing is recorded in {resource:#}"),
        }
    }

    /// Where the object is that requests name by this path.
    pub(crate) fn place_at(&self, path: &str) -> Place {
        let (state, member) = (self.world.sandbox.state(), self.case.id_member());
        let (above, last) = path.rsplit_once('/').unwrap_or_default();
        let (found, member, id) = if self.case.shape.is_alone() {
            (member_at(&state, above, last), None, above.rsplit('/').next().unwrap_or_default())
        } else {
            (list_at(&state, path, member), Some(member), last)
        };
        let place = found.unwrap_or_else(|| panic!("the API has no {path}"));
        Place { list: place, member, id: id.to_owned(), path: path.to_owned() }
    }

    /// The objects in a list, or the one where there is only one.
    pub(crate) fn objects(&self, list: &str) -> Vec<Value> {
        match self.world.sandbox.state().pointer(list) {
            Some(Value::Array(items)) => items.clone(),
            Some(only @ Value::Object(_)) => vec![only.clone()],
            _ => Vec::new(),
        }
    }

    /// An object as the API shows it; null where it is not.
    pub(crate) fn object(&self, place: &Place) -> Value {
        self.objects(&place.list).into_iter().find(|item| place.holds(item)).unwrap_or_default()
    }

    /// All that there is, around an object.
    pub(crate) fn scene(&self, place: &Place) -> Scene {
        let mut state = self.world.sandbox.state();
        let object = match state.pointer_mut(&place.list) {
            Some(Value::Array(items)) => items.iter().position(|item| place.holds(item)).map(|at| items.remove(at)),
            Some(only) if place.member.is_none() => Some(only.take()),
            _ => None,
        };
        Scene { object: bare(object.unwrap_or_default()), rest: plain(state) }
    }

    /// The writes to the API since the record was last reset, as operation ids.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.world.remote_writes().into_iter().filter(|operation| !NO_WRITES.contains(&operation.as_str())).collect()
    }

    /// How often the API was read since the record was last reset.
    pub(crate) fn looks(&self) -> usize {
        self.world.sandbox.exchanges().iter().filter(|exchange| exchange.method == "GET").count()
    }

    /// The writes to a resource of this kind so far, such as `patch portals/status docs`.
    pub(crate) fn resource_writes(&self, name: &str) -> Vec<String> {
        let is_it = |write: &String| {
            let words: Vec<&str> = write.split([' ', '/']).collect();
            words.get(1) == Some(&self.case.plural.as_str()) && words.last() == Some(&name)
        };
        self.world.kubernetes_writes().into_iter().filter(is_it).collect()
    }

    /// How often this very path was asked for anything since the record was last reset.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.world.sandbox.exchanges().iter().filter(|exchange| path_of(&exchange.url) == path).count()
    }

    /// The last request with this method that was answered with success and is as described.
    fn last(&self, method: &str, is: impl Fn(&Exchange) -> bool) -> Exchange {
        let is_it = |e: &Exchange| e.method == method && (200..300).contains(&e.status) && is(e);
        let mut all = self.world.sandbox.exchanges().into_iter().rev();
        all.find(is_it).expect("it was sent since the record was reset")
    }

    /// The request by which Portico made an object; by which it last changed one that is there without it.
    pub(crate) fn create_of(&self, place: &Place) -> Exchange {
        let by_id = |e: &Exchange| place.member.is_some_and(|member| e.response_body[member] == place.id.as_str());
        let by_path = |e: &Exchange| path_of(&e.url) == place.path;
        match self.case.shape {
            Shape::Made => self.last("POST", by_id),
            Shape::Upserted => self.last("PUT", by_id),
            Shape::Sole => self.last("POST", by_path),
            Shape::Action => self.last("PUT", by_path),
            Shape::Claimed | Shape::Singleton => self.last("PATCH", by_path),
        }
    }

    /// Somebody else sends this request: without Portico's mark, with another id and with secrets of their own. Returns the object's id.
    pub(crate) async fn replay(&self, request: &Exchange) -> String {
        let (member, mut body) = (self.case.id_member(), request.request_body.clone());
        if self.case.shape == Shape::Made && body.get(member).is_some() {
            body[member] = json!(format!("stranger{:06x}", fastrand::u32(..0x0100_0000)));
        }
        let made = self.send_as_stranger(request, &request.url, body).await;
        if self.case.shape.is_alone() {
            return path_of(&request.url).rsplit('/').nth(1).unwrap_or_default().to_owned();
        }
        made[member].as_str().expect("what was made has an id").to_owned()
    }

    /// The same in the portal that strangers made: there is room for it. Returns where that is.
    pub(crate) async fn replay_elsewhere(&self, request: &Exchange) -> Place {
        let portal = id(&self.world.only(ELSEWHERE));
        let url = &request.url;
        let own = path_of(url).split('/').skip_while(|part| *part != "portals").nth(1).unwrap_or_default().to_owned();
        let (url, mut body) = (url.replace(&own, &portal), request.request_body.clone());
        // Nobody can have what another one has in the whole organization.
        if let Some(Value::String(hostname)) = body.get_mut("hostname") {
            *hostname = format!("{ELSEWHERE}.{hostname}");
        }
        let made = self.send_as_stranger(request, &url, body).await;
        let path = path_of(&url);
        if self.case.shape == Shape::Made {
            self.place_at(&format!("{path}/{}", id(&made)))
        } else {
            self.place_at(&path)
        }
    }

    async fn send_as_stranger(&self, request: &Exchange, url: &str, mut body: Value) -> Value {
        let covered = self.companions(&body);
        uncover(&mut body, &covered);
        if let Some(labels) = body.get_mut("labels").and_then(Value::as_object_mut) {
            labels.retain(|label, _| !label.starts_with("portico-"));
        }
        let token = if request.api == "acp" {
            let tenant = url.split('/').skip_while(|part| *part != "admin").nth(1).unwrap_or_default();
            self.world.sandbox.access_tokens(tenant).pop().expect("Portico has a token")
        } else {
            self.world.token.clone()
        };
        let method = Method::from_bytes(request.method.as_bytes()).expect("it was sent");
        let request = reqwest::Client::new().request(method, url).bearer_auth(token).json(&body);
        let response = request.send().await.expect("the sandbox answers");
        let (status, answer) = (response.status(), response.bytes().await.expect("the answer is whole"));
        let made: Value = serde_json::from_slice(&answer).unwrap_or_default();
        assert!(status.is_success(), "a stranger makes the same: {status} {made:#}");
        made
    }

    /// The values of those Secrets of which another value stands openly in a body: a key is of use only with its certificate.
    fn companions(&self, body: &Value) -> Vec<String> {
        let values = |secret: &Value| -> Vec<String> {
            let values = secret["stringData"].as_object().into_iter().flat_map(Map::values);
            // However the ends of the lines at the end were sent.
            let forms = |text: &str| [text.to_owned(), text.trim_end().to_owned()];
            values.filter(|value| is_pem(value)).filter_map(Value::as_str).flat_map(forms).collect()
        };
        let all = self.secrets.iter().map(values);
        all.filter(|values| values.iter().any(|value| stands_in(body, value))).flatten().collect()
    }

    /// What a resource hands out is what the API has.
    pub(crate) async fn check_credentials(&self, resource: &Value) {
        let Some(secret) = resource["status"]["output"].as_str() else {
            assert!(!Case::hands_out(&resource["spec"]), "no credentials were handed out: {resource:#}");
            return;
        };
        let values = self.world.values(secret).await;
        let object = self.object(&self.place(resource));
        for member in [self.case.id_member(), "client_secret"] {
            let value = object[member].as_str().unwrap_or_default();
            let is_there = values.values().any(|known| known == value);
            assert!(is_there, "the Secret {secret} has another {member} than the API");
        }
        let open: Vec<&String> = values.keys().filter(|key| key.starts_with("pending_")).collect();
        assert!(open.is_empty(), "the Secret {secret} still has {open:?}");
    }
}

/// The path in a URL.
fn path_of(url: &str) -> String {
    let url = reqwest::Url::parse(url).expect("a request has a URL");
    url.path().to_owned()
}

/// Whether a text is one of the values in a body.
fn stands_in(body: &Value, text: &str) -> bool {
    match body {
        Value::String(value) => value == text,
        Value::Array(items) => items.iter().any(|item| stands_in(item, text)),
        Value::Object(members) => members.values().any(|member| stands_in(member, text)),
        _ => false,
    }
}

/// The pointer of the list that holds the object at a path: `/v2/portals/1/teams/2` is in the teams of the portal 1.
fn list_at(state: &Value, path: &str, member: &str) -> Option<String> {
    let mut parts = path.rsplitn(3, '/');
    let (id, word, above) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    let scope = object_at(state, above).unwrap_or_default();
    let list = list_of(state.pointer(&scope)?, &word.replace('-', "_"), member, id)?;
    Some(scope + &list)
}

/// The pointer of the object at a path, where it lies in a list by its `id`.
fn object_at(state: &Value, path: &str) -> Option<String> {
    let list = list_at(state, path, "id")?;
    let id = path.rsplit('/').next()?;
    let at = state.pointer(&list)?.as_array()?.iter().position(|item| item["id"] == id)?;
    Some(format!("{list}/{at}"))
}

/// The pointer of the only object of its kind in the object at a path. The sandbox may call it by a longer name than requests do.
fn member_at(state: &Value, above: &str, word: &str) -> Option<String> {
    let (parent, word) = (object_at(state, above)?, word.replace('-', "_"));
    let members = state.pointer(&parent)?.as_object()?;
    let is_it =
        |(key, value): &(&String, &Value)| value.is_object() && (**key == word || key.starts_with(&format!("{word}_")));
    let (key, _) = members.iter().find(is_it)?;
    Some(format!("{parent}/{key}"))
}

/// The outermost list of this name, or one that ends in it, that holds an object.
fn list_of(state: &Value, word: &str, member: &str, id: &str) -> Option<String> {
    let mut open = VecDeque::from([(String::new(), state)]);
    while let Some((pointer, value)) = open.pop_front() {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(key, inner)| (key.clone(), inner)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(n, inner)| (n.to_string(), inner)).collect(),
            _ => Vec::new(),
        };
        for (key, inner) in inner {
            let at = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            let is_named = key == word || key.ends_with(&format!("_{word}"));
            if is_named && inner.as_array().is_some_and(|items| items.iter().any(|item| item[member] == id)) {
                return Some(at);
            }
            open.push_back((at, inner));
        }
    }
    None
}

/// Puts something in the place of the secrets that the record covers: one of these, if it is as long, else anything.
fn uncover(value: &mut Value, covered: &[String]) {
    match value {
        Value::String(text) if text.len() > 3 && text.bytes().all(|b| b == b'*') => {
            let known = covered.iter().find(|known| known.chars().count() == text.len());
            *text = known.cloned().unwrap_or_else(random);
        }
        Value::Object(members) => members.values_mut().for_each(|member| uncover(member, covered)),
        Value::Array(items) => items.iter_mut().for_each(|item| uncover(item, covered)),
        _ => {}
    }
}

/// A value without stamps, and with its lists in one order.
pub(crate) fn plain(value: Value) -> Value {
    tidy(value, &|_, _, _| true, 0)
}

/// An object without stamps and without the ids that the API makes for what is in it, and with its lists in one order.
pub(crate) fn bare(object: Value) -> Value {
    let is_made = |value: &Value| value.as_str().is_some_and(|text| text.len() == 36 && text.matches('-').count() == 4);
    tidy(object, &|depth, key, value| depth == 0 || key != "id" || !is_made(value), 0)
}

fn tidy(value: Value, stays: &dyn Fn(usize, &str, &Value) -> bool, depth: usize) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter();
            let members = members.filter(|(key, value)| !STAMPS.contains(&key.as_str()) && stays(depth, key, value));
            Value::Object(members.map(|(key, value)| (key, tidy(value, stays, depth + 1))).collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(|item| tidy(item, stays, depth + 1)).collect();
            items.sort_by_cached_key(Value::to_string);
            Value::Array(items)
        }
        value => value,
    }
}

/// The members in which two objects differ.
pub(crate) fn differing(one: &Value, other: &Value) -> BTreeSet<String> {
    let members = |value: &Value| value.as_object().into_iter().flat_map(Map::keys).cloned().collect::<BTreeSet<_>>();
    let all = &members(one) | &members(other);
    all.into_iter().filter(|member| one[member] != other[member]).collect()
}

/// Whether all of `part` is in `whole`; objects in `whole` may have more members.
pub(crate) fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| is_within(part, whole)))
        }
        (part, whole) => part == whole,
    }
}
