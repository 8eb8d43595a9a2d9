//! GET and LIST.
use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use serde_json::{Map, Value, json};

use super::{
    options,
    refusal::Refusal,
    resource::Resource,
    route::Request,
    selector::Selector,
    store::{State, Stored},
};

/// The token that continues a listing: the version that is listed, and the last key that was, without what all keys begin with.
struct Continue {
    /// None: the present one.
    version: Option<u64>,
    key: String,
}

impl Continue {
    fn parse(token: &str) -> Result<Self, Refusal> {
        let parts = token.split_once(':').and_then(|(version, key)| {
            let version = if version == "-1" { None } else { Some(version.parse().ok()?) };
            Some(Self { version, key: key.to_owned() })
        });
        parts.ok_or_else(|| Refusal::bad_request("continue key is not valid"))
    }

    fn token(version: u64, key: &str) -> String {
        format!("{version}:{key}")
    }
}

impl State {
    pub(super) fn get(&self, resource: &Resource, request: &Request, stale: Option<u64>) -> Result<Value, Refusal> {
        self.version_of(request)?;
        let key = resource.key(&request.namespace, &request.name);
        let stored = match stale {
            Some(version) => self.objects_at(&resource.id, self.known(resource, version)).remove(&key),
            None => self.stored(&resource.id, &key).cloned(),
        };
        let stored = stored.ok_or_else(|| Refusal::not_found(resource, &request.name))?;
        Ok(if request.partial { Resource::partial_view(&stored) } else { resource.view(&stored) })
    }

    pub(super) fn list(&self, resource: &Resource, request: &Request, stale: Option<u64>) -> Result<Value, Refusal> {
        let selector = Selector::parse(request.query("labelSelector"), request.query("fieldSelector"))?;
        options::check_list(request)?;
        // Where any version will do, all of it is shown at once (`computeListLimit` in `cacher.go`).
        let is_limited = request.query("resourceVersion") != "0";
        let limit = request.query("limit").parse::<usize>().ok().filter(|limit| is_limited && *limit > 0);
        let (version, start) = self.start(resource, request, limit.is_some(), stale)?;
        let (past, none);
        let objects: &BTreeMap<String, Stored> = if version < self.version {
            past = self.objects_at(&resource.id, version);
            &past
        } else if let Some(objects) = self.objects.get(&resource.id) {
            objects
        } else {
            none = BTreeMap::new();
            &none
        };
        let prefix = prefix(resource, &request.namespace);
        let from = if start.is_empty() { Unbounded } else { Excluded(format!("{prefix}{start}")) };
        let candidates: Vec<_> =
            objects.range::<String, _>((from, Unbounded)).filter(|(key, _)| key.starts_with(&prefix)).collect();
        let mut items = Vec::new();
        let mut metadata = json!({"resourceVersion": version.to_string()});
        for (index, (key, stored)) in candidates.iter().enumerate() {
            let object = if request.partial { Resource::partial_view(stored) } else { resource.view(stored) };
            if selector.matches(&object) {
                items.push(object);
            }
            if Some(items.len()) == limit {
                if index + 1 < candidates.len() {
                    metadata["continue"] = json!(Continue::token(version, &key[prefix.len()..]));
                    if selector.is_empty() {
                        metadata["remainingItemCount"] = json!(candidates.len() - index - 1);
                    }
                }
                break;
            }
        }
        Ok(list(resource, request.partial, metadata, items))
    }

    /// The version to list, and the key after which it begins.
    fn start(
        &self,
        resource: &Resource,
        request: &Request,
        is_limited: bool,
        stale: Option<u64>,
    ) -> Result<(u64, String), Refusal> {
        let token = request.query("continue");
        if !token.is_empty() {
            let Continue { version, key } = Continue::parse(token)?;
            if !["", "0"].contains(&request.query("resourceVersion")) {
                return Err(Refusal::bad_request("specifying resource version is not allowed when using continue"));
            }
            return match version {
                Some(version) if version < self.compacted => Err(Refusal::continue_expired(format!("-1:{key}"))),
                version => Ok((version.unwrap_or(self.version), key)),
            };
        }
        let wanted = self.version_of(request)?;
        let is_exact = match request.query("resourceVersionMatch") {
            "Exact" => true,
            "" => is_limited,
            _ => false,
        };
        let version = match wanted.filter(|_| is_exact) {
            Some(exact) if exact < self.compacted => {
                return Err(Refusal::expired("The resourceVersion for the provided list is too old."));
            }
            Some(exact) => exact,
            None => stale.map_or(self.version, |version| self.known(resource, version)),
        };
        Ok((version, String::new()))
    }

    /// The version that a request asks for; none where any will do.
    fn version_of(&self, request: &Request) -> Result<Option<u64>, Refusal> {
        let given = request.query("resourceVersion");
        if given.is_empty() || given == "0" {
            return Ok(None);
        }
        let wanted: u64 =
            given.parse().map_err(|_| Refusal::bad_request(format!("invalid resource version: {given:?}")))?;
        // The API server waits three seconds before it says so.
        if wanted > self.version { Err(Refusal::version_too_large(wanted, self.version)) } else { Ok(Some(wanted)) }
    }

    /// The nearest version that can be shown.
    fn known(&self, resource: &Resource, version: u64) -> u64 {
        version.clamp(self.oldest(&resource.id), self.version)
    }
}

/// What the keys in a namespace begin with; the empty namespace stands for all.
pub(super) fn prefix(resource: &Resource, namespace: &str) -> String {
    if resource.namespaced && !namespace.is_empty() { format!("{namespace}/") } else { String::new() }
}

fn list(resource: &Resource, partial: bool, metadata: Value, mut items: Vec<Value>) -> Value {
    let (kind, version) = if partial {
        ("PartialObjectMetadataList", "meta.k8s.io/v1".to_owned())
    } else {
        (resource.list_kind.as_str(), resource.api_version())
    };
    if resource.builtin.is_some() && !partial {
        // Only items of custom resources repeat what they are.
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.remove("kind");
            item.remove("apiVersion");
        }
    }
    let mut body = Map::new();
    body.insert("kind".to_owned(), json!(kind));
    body.insert("apiVersion".to_owned(), json!(version));
    body.insert("metadata".to_owned(), metadata);
    body.insert("items".to_owned(), Value::Array(items));
    Value::Object(body)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
