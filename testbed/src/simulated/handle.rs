//! What a request does: from its route to what is read or written.
use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    Simulated,
    delete::Options,
    fault::Verb,
    prepare::{check_name, settle_namespace},
    refusal::{Flaw, Refusal},
    resource::{Resource, partial},
    route::Request,
    selector::Selector,
    store::State,
    watch::Watching,
    write::{Caller, Change, Done, Target},
};

/// The answer to a request.
pub(super) enum Reply {
    Object(u16, Value),
    Watch(Box<Watching>),
    /// A watch that ends with its first event, an error.
    NoWatch(Refusal),
}

const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const NO_DRY_RUN: &str = "dryRun is not simulated";

impl Simulated {
    /// Carries out a request. `shown` is the version that reads show where it is not the present one, and `cut` is how long a watch lives.
    pub(super) fn handle(
        &self,
        actor: &str,
        request: &Request,
        shown: Option<u64>,
        cut: Option<Duration>,
    ) -> Result<Reply, Refusal> {
        self.with(|state| {
            let resource = state.serving(request)?;
            match request.verb {
                Verb::Get => Ok(Reply::Object(200, state.get(&resource, request, shown)?)),
                Verb::List => Ok(Reply::Object(200, state.list(&resource, request, shown)?)),
                Verb::Watch => Ok(match state.watch(actor, &resource, request) {
                    Ok(id) => Reply::Watch(Box::new(Watching::new(self.clone(), state, id, resource, request, cut))),
                    Err(refusal) if [410, 504].contains(&refusal.code) => Reply::NoWatch(refusal),
                    Err(refusal) => return Err(refusal),
                }),
                _ => {
                    let done = state.write(actor, &resource, request)?;
                    let is_object = done.body["kind"] != "Status";
                    let body =
                        if request.partial && is_object { partial(done.body["metadata"].clone()) } else { done.body };
                    Ok(Reply::Object(done.code, body))
                }
            }
        })
    }
}

impl State {
    /// The resource that a request is about, if it is served at that path.
    fn serving(&self, request: &Request) -> Result<Arc<Resource>, Refusal> {
        let in_all_namespaces = matches!(request.verb, Verb::List | Verb::Watch);
        let resource = self.resource(&request.resource).filter(|resource| {
            let fits = if resource.namespaced {
                !request.namespace.is_empty() || in_all_namespaces
            } else {
                request.namespace.is_empty()
            };
            fits && resource.version == request.version
        });
        let resource = resource.ok_or_else(Refusal::unknown_path)?;
        if !resource.has_subresource(&request.subresource) {
            let refusal = match resource.builtin {
                Some(_) => Refusal::unknown_path(),
                None => Refusal::not_found(&resource, &request.name),
            };
            return Err(refusal);
        }
        if !request.subresource.is_empty() && !matches!(request.verb, Verb::Get | Verb::Update | Verb::Patch) {
            return Err(Refusal::method_not_allowed(&resource, request.verb.as_str()));
        }
        Ok(resource)
    }

    fn write(&mut self, actor: &str, resource: &Resource, request: &Request) -> Result<Done, Refusal> {
        let caller = Caller { actor, manager: &request.manager };
        let Request { namespace, name, subresource, .. } = request;
        let target = Target { resource, namespace, name, subresource };
        if request.verb == Verb::DeleteCollection {
            let selector = Selector::parse(request.query("labelSelector"), request.query("fieldSelector"))?;
            let options = delete_options(request)?;
            return self.delete_collection(caller, resource, namespace, &selector, &options);
        }
        let result = self.attempt(caller, &target, request);
        self.record(actor, request.verb, &target, &result);
        result
    }

    fn attempt(&mut self, caller: Caller, target: &Target, request: &Request) -> Result<Done, Refusal> {
        let Target { resource, namespace, name, .. } = *target;
        if !request.query("dryRun").is_empty() {
            return Err(Refusal::bad_request(NO_DRY_RUN));
        }
        match request.verb {
            Verb::Create => self.create(caller, resource, namespace, request.json()?),
            Verb::Update => {
                let mut object = resource.typed(request.json()?)?;
                settle_namespace(resource, namespace, &mut object)?;
                check_name(name, &object)?;
                self.update(caller, target, &Change::Replace(object))
            }
            Verb::Patch => {
                let change = change(resource, request)?;
                self.update(caller, target, &change)
            }
            _ => self.delete(target, &delete_options(request)?),
        }
    }
}

/// How a PATCH changes its object.
fn change(resource: &Resource, request: &Request) -> Result<Change, Refusal> {
    let body = || match request.json()? {
        Value::Null => Err(Refusal::bad_request("Invalid JSON Patch")),
        body => Ok(body),
    };
    match request.content_type.as_str() {
        MERGE => Ok(Change::Merge(body()?)),
        JSON => match body()? {
            Value::Array(operations) => Ok(Change::Json(operations)),
            _ => Err(Refusal::bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")),
        },
        APPLY => {
            // YAML is taken as well by the real one; clients in Rust send JSON.
            let config = body()?;
            if request.query("fieldManager").is_empty() {
                let flaw = Flaw::required("fieldManager", "is required for apply patch");
                return Err(Refusal::invalid("meta.k8s.io", "PatchOptions", "", &[flaw]));
            }
            let (found, expected) = (config["apiVersion"].as_str().unwrap_or_default(), resource.api_version());
            if found != expected {
                let message = format!(
                    "Incorrect version specified in apply patch. Specified patch version: {found}, expected: {expected}"
                );
                return Err(Refusal::bad_request(message));
            }
            Ok(Change::Apply { config, force: request.is_set("force") })
        }
        STRATEGIC if resource.builtin.is_some() => {
            Err(Refusal::new(501, "NotImplemented", "strategic merge patches are not simulated"))
        }
        _ if resource.builtin.is_some() => Err(Refusal::unsupported_media_type(&[JSON, MERGE, STRATEGIC, APPLY])),
        _ => Err(Refusal::unsupported_media_type(&[JSON, MERGE, APPLY])),
    }
}

/// The options of a deletion stand in the body, or in the query where there is none.
fn delete_options(request: &Request) -> Result<Options, Refusal> {
    let mut body = request.json()?;
    if !body["dryRun"].is_null() {
        return Err(Refusal::bad_request(NO_DRY_RUN));
    }
    let policy = request.query("propagationPolicy");
    if body.is_null() && !policy.is_empty() {
        body = json!({"propagationPolicy": policy});
    }
    Ok(Options::parse(&body))
}
