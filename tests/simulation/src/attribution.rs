//! For whom the operator sends a request, and in the middle of what: a request does not say so itself.
//!
//! What the resources look like is followed through the API server's record of writes. It is a good guess, and where two resources of a
//! kind are in the middle of something, it may be the other one: the crash points are counted by kind all the same.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use portico_testbed::simulated::{Call, Simulated};
use serde_json::Value;

use crate::{
    coverage::{Point, Stage},
    crds,
    plan::Side,
    seen::RemoteRequest,
};

/// Which kind an operation of the contracts belongs to: the table of `cargo xtask coverage`.
const TABLE: &str = include_str!("../../../xtask/src/coverage/kinds.txt");

/// What is the engine's own, of no kind.
const ENGINE: &str = "portico";

static KIND_OF: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    let mut kinds = BTreeMap::from([("token", "AcpConnection"), ("delete-portal-custom-domain", "PortalCustomDomain")]);
    let mut kind = "";
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with(' ') {
            kinds.extend(line.split_whitespace().map(|operation| (operation, kind)));
        } else {
            kind = line;
        }
    }
    kinds
});

/// What is known of all custom resources.
#[derive(Default)]
pub(crate) struct Attribution {
    /// How many writes of the record are known.
    seen: usize,
    /// By resource, and then namespace and name.
    known: BTreeMap<(String, String, String), Entry>,
}

/// A custom resource.
struct Entry {
    kind: &'static str,
    uid: String,
    /// `status.remote.path`; empty where nothing is recorded.
    path: String,
    /// What may be its natural key or its id.
    names: BTreeSet<String>,
    /// The Secrets that its spec names.
    secrets: BTreeSet<String>,
    is_deleting: bool,
    adopts: bool,
    /// It has been Ready: what comes now changes it, or looks at it.
    was_ready: bool,
}

impl Entry {
    fn of(kind: &'static str, object: &Value, before: Option<&Self>) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (metadata, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
        let uid = text(&metadata["uid"]);
        let mut secrets = BTreeSet::new();
        collect_secrets(spec, &mut secrets);
        let conditions = status["conditions"].as_array();
        let is_ready = conditions.is_some_and(|all| {
            all.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        });
        let lifecycle = &spec["lifecycle"];
        let names = spec.as_object().into_iter().flatten().filter(|(_, value)| value.is_string());
        Self {
            kind,
            path: text(&status["remote"]["path"]),
            names: names.map(|(_, value)| text(value)).chain([text(&metadata["name"]), text(&status["id"])]).collect(),
            secrets,
            is_deleting: metadata["deletionTimestamp"].is_string(),
            adopts: lifecycle["adoption"] == "Adopt" || lifecycle["id"].as_str().is_some_and(|id| !id.is_empty()),
            was_ready: is_ready || before.is_some_and(|before| before.uid == uid && before.was_ready),
            uid,
        }
    }

    fn stage(&self) -> Stage {
        match self {
            Self { is_deleting: true, .. } => Stage::Delete,
            Self { was_ready: true, .. } => Stage::Update,
            Self { adopts: true, .. } => Stage::Adopt,
            _ => Stage::Create,
        }
    }
}

/// The names of all Secrets that a spec mentions: what stands under something that is called a secret and has a name.
fn collect_secrets(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if let (true, Some(name)) = (key.to_lowercase().contains("secret"), member["name"].as_str()) {
                    found.insert(name.to_owned());
                }
                collect_secrets(member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_secrets(item, found)),
        _ => {}
    }
}

impl Attribution {
    /// Takes note of what was written since the last time.
    pub(crate) fn refresh(&mut self, kubernetes: &Simulated) {
        let writes = kubernetes.history_since(self.seen);
        self.seen += writes.len();
        for write in writes.into_iter().filter(|write| write.version.is_some()) {
            let Some(kind) = crds::kind_of(&write.resource) else { continue };
            let object = kubernetes.get(&write.resource, &write.namespace, &write.name);
            let key = (write.resource, write.namespace, write.name);
            match object {
                Some(object) => {
                    let entry = Entry::of(kind, &object, self.known.get(&key));
                    self.known.insert(key, entry);
                }
                None => drop(self.known.remove(&key)),
            }
        }
    }

    /// Where a request to the API server belongs.
    pub(crate) fn of_call(&self, call: &Call) -> Point {
        let (kind, stage) = self.owner_of_call(call);
        let what = match call.resource.as_str() {
            "secrets" if call.name.starts_with("portico-escrow-") => " (escrow)",
            "secrets" if call.name == portico::engine::own::DIGEST_KEY => " (digest key)",
            _ => "",
        };
        Point { kind, stage, side: Side::Kubernetes, request: format!("{}{what}", call_name(call)) }
    }

    fn owner_of_call(&self, call: &Call) -> (&'static str, Stage) {
        let engines = (ENGINE, Stage::Other);
        if let Some(kind) = crds::kind_of(&call.resource) {
            let key = (call.resource.clone(), call.namespace.clone(), call.name.clone());
            return (kind, self.known.get(&key).map_or(Stage::Other, Entry::stage));
        }
        match call.resource.as_str() {
            "customresourcedefinitions.apiextensions.k8s.io" => {
                crds::kind_of(&call.name).map_or(engines, |kind| (kind, Stage::Delete))
            }
            "secrets" => {
                let in_namespace = self.known.iter().filter(|((_, namespace, _), _)| *namespace == call.namespace);
                let users = in_namespace.map(|(_, entry)| entry).filter(|entry| entry.secrets.contains(&call.name));
                users.min_by_key(|entry| busy_first(entry)).map_or(engines, |entry| (entry.kind, entry.stage()))
            }
            _ => engines,
        }
    }

    /// Where a request to a management API belongs.
    pub(crate) fn of_remote(&self, request: &RemoteRequest) -> Point {
        let kind = KIND_OF.get(request.operation).copied().unwrap_or(ENGINE);
        let point = |stage| Point { kind, stage, side: Side::Remote, request: request.operation.to_owned() };
        // What a recipe says begins below the tenant.
        let path = request.path.strip_prefix("/api/admin/acme").unwrap_or(&request.path);
        let of_kind = || self.known.values().filter(move |entry| entry.kind == kind);
        let recorded = of_kind().filter(|entry| !entry.path.is_empty() && is_below(path, &entry.path));
        if let Some(entry) = recorded.max_by_key(|entry| entry.path.len()) {
            return point(entry.stage());
        }
        let unrecorded = || of_kind().filter(|entry| entry.path.is_empty() || !entry.was_ready);
        let names = request.body.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
        let names: BTreeSet<&str> = names.collect();
        let of_that_name = unrecorded().find(|entry| names.iter().any(|name| entry.names.contains(*name)));
        let found = of_that_name.or_else(|| unrecorded().min_by_key(|entry| busy_first(entry)));
        point(found.map_or(Stage::Other, Entry::stage))
    }
}

/// Who is in the middle of something comes before who is only looked at.
fn busy_first(entry: &Entry) -> Stage {
    entry.stage()
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The verb, the plural and the subresource: `patch portals/status`.
pub(crate) fn call_name(call: &Call) -> String {
    let plural = call.resource.split('.').next().unwrap_or_default();
    let slash = if call.subresource.is_empty() { "" } else { "/" };
    format!("{} {plural}{slash}{}", call.verb, call.subresource)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::seen::Api;

    fn request(method: Method, path: &str, operation: &'static str, body: Value) -> RemoteRequest {
        let (path, query) = (path.to_owned(), String::new());
        RemoteRequest {
            number: 1,
            replica: 0,
            life: 0,
            api: Api::Konnect,
            method,
            path,
            query,
            operation,
            body,
            sent: 0,
        }
    }

    fn known(objects: &[Value]) -> Attribution {
        let mut attribution = Attribution::default();
        for object in objects {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            let entry = Entry::of("Portal", object, None);
            attribution.known.insert(("portals.konnect.portico.dev".to_owned(), "world".to_owned(), name), entry);
        }
        attribution
    }

    #[test]
    fn a_request_belongs_to_whoever_has_its_path_or_its_name() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let attribution = known(&[
            json!({"metadata": {"name": "a", "uid": "1"}, "status": {"remote": {"path": "/v2/portals/P"}, "conditions": ready}}),
            json!({"metadata": {"name": "b", "uid": "2"}, "spec": {"lifecycle": {"adoption": "Adopt"}}}),
            json!({"metadata": {"name": "c", "uid": "3"}, "spec": {"name": "shop"}}),
        ]);
        let stage =
            |method, path: &str, operation, body| attribution.of_remote(&request(method, path, operation, body)).stage;
        assert_eq!(stage(Method::PATCH, "/v2/portals/P", "update-portal", json!({})), Stage::Update);
        assert_eq!(stage(Method::POST, "/v2/portals", "create-portal", json!({"name": "shop"})), Stage::Create);
        assert_eq!(stage(Method::POST, "/v2/portals", "create-portal", json!({"name": "b"})), Stage::Adopt);
        assert_eq!(stage(Method::GET, "/v2/portals/P/teams", "list-portal-teams", json!({})), Stage::Other);
    }

    #[test]
    fn the_secrets_of_a_spec_are_found_wherever_they_are_named() {
        let spec = json!({
            "tokenSecretRef": {"name": "a"}, "clientCredentials": {"secretRef": {"name": "b"}},
            "list": [{"credentialsSecret": {"name": "c"}}], "portalRef": {"name": "d"},
        });
        let mut found = BTreeSet::new();
        collect_secrets(&spec, &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
