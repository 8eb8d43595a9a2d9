//! What there is at the API, and what was written on both sides, seen without knowing the kind.
use std::collections::{BTreeSet, VecDeque};

use portico_sandbox::Exchange;
use serde_json::{Map, Value, json};

use super::{
    case::Case,
    fixtures::{Bench, random},
};
use crate::world_steps::id;

/// Requests that change nothing though they are no GET: for tokens, and questions about domains.
const NO_WRITES: [&str; 2] = ["token", "verify-portal-domains"];

/// Members that the APIs stamp by themselves when they are written to.
const STAMPS: [&str; 3] = ["client_hashed_secret", "updated_at", "version"];

/// Where an object is: the list in the sandbox's state, and what tells it from the others there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The JSON pointer of the list.
    pub(crate) list: String,
    member: &'static str,
    /// The object's id.
    pub(crate) id: String,
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
        item[self.member] == self.id.as_str()
    }

    /// The place of another object in the same list.
    pub(crate) fn of(&self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self.clone() }
    }
}

impl Bench {
    /// Where the object of a resource is.
    pub(crate) fn place(&self, resource: &Value) -> Place {
        let path = resource["status"]["remote"]["path"].as_str();
        let path = path.unwrap_or_else(|| panic!("nothing is recorded in {resource:#}"));
        let word = path.rsplit('/').nth(1).unwrap_or_default().replace('-', "_");
        let (member, id) = (self.case.id_member(), id(resource));
        let list = list_of(&self.world.sandbox.state(), &word, member, &id);
        Place { list: list.unwrap_or_else(|| panic!("the API has no {path}")), member, id }
    }

    /// The objects in a list.
    pub(crate) fn objects(&self, list: &str) -> Vec<Value> {
        self.world.sandbox.state().pointer(list).and_then(Value::as_array).cloned().unwrap_or_default()
    }

    /// An object as the API shows it; null where it is not.
    pub(crate) fn object(&self, place: &Place) -> Value {
        self.objects(&place.list).into_iter().find(|item| place.holds(item)).unwrap_or_default()
    }

    /// All that there is, around an object.
    pub(crate) fn scene(&self, place: &Place) -> Scene {
        let mut state = self.world.sandbox.state();
        let items = state.pointer_mut(&place.list).and_then(Value::as_array_mut);
        let object = items.and_then(|items| {
            let at = items.iter().position(|item| place.holds(item))?;
            Some(items.remove(at))
        });
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

    /// The request by which Portico made an object.
    pub(crate) fn create_of(&self, id: &str) -> Exchange {
        let member = self.case.id_member();
        let exchanges = self.world.sandbox.exchanges().into_iter().rev();
        let mut made = exchanges.filter(|e| e.method == "POST" && e.response_body[member] == id);
        made.next().expect("it was made since the record was reset")
    }

    /// Somebody else sends this request: without Portico's mark, with another id and with secrets of their own. Returns the object's id.
    pub(crate) async fn replay(&self, create: &Exchange) -> String {
        let (member, mut body) = (self.case.id_member(), create.request_body.clone());
        uncover(&mut body);
        if let Some(labels) = body.get_mut("labels").and_then(Value::as_object_mut) {
            labels.retain(|label, _| !label.starts_with("portico-"));
        }
        if body.get(member).is_some() {
            body[member] = json!(format!("stranger{:06x}", fastrand::u32(..0x0100_0000)));
        }
        let token = if create.api == "acp" {
            let tenant = create.url.split('/').skip_while(|part| *part != "admin").nth(1).unwrap_or_default();
            self.world.sandbox.access_tokens(tenant).pop().expect("Portico has a token")
        } else {
            self.world.token.clone()
        };
        let request = reqwest::Client::new().post(&create.url).bearer_auth(token).json(&body);
        let response = request.send().await.expect("the sandbox answers");
        let (status, answer) = (response.status(), response.bytes().await.expect("the answer is whole"));
        let made: Value = serde_json::from_slice(&answer).unwrap_or_default();
        assert!(status.is_success(), "a stranger makes the same: {status} {made:#}");
        made[member].as_str().expect("what was made has an id").to_owned()
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

/// Puts something in the place of the secrets that the record covers.
fn uncover(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > 3 && text.bytes().all(|b| b == b'*') => *text = random(),
        Value::Object(members) => members.values_mut().for_each(uncover),
        Value::Array(items) => items.iter_mut().for_each(uncover),
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
