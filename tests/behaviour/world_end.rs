//! What holds in every world, checked at its end.
use std::collections::BTreeMap;

use kube::{
    Api,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use portico_testbed::Request;
use serde_json::json;

use crate::{
    world::{LOG, World, all_kinds},
    world_look::porticos_requests,
};

/// The resources of a world, by kind.
type Resources = BTreeMap<&'static str, Vec<DynamicObject>>;

impl World {
    /// Checks what holds in every world, and takes it down. Its namespaces stay: nothing runs in them, and the control plane goes with the
    /// process; to delete each would cost the API server more than most tests do.
    pub(crate) async fn end(mut self) {
        self.ended = true;
        let metrics = self.metrics.text();
        self.stop().await;
        let resources = self.resources().await;
        self.assert_no_secret_leaked(&metrics, &resources).await;
        let user = self.user();
        let forbidden = porticos_requests(self.plane, |request| request.user == user && request.code == 403);
        assert!(self.forbidden_is_expected || forbidden.is_empty(), "RBAC refused: {forbidden:#?}");
        let is_strange = |request: &Request| request.user_agent.starts_with("portico/") && !is_portico(&request.user);
        let strange = porticos_requests(self.plane, is_strange);
        assert!(strange.is_empty(), "Portico asked as somebody else: {strange:#?}");
        // What is left is not to hold the CRDs, which some tests delete.
        for (kind, objects) in &resources {
            for object in objects.iter().filter(|object| object.metadata.finalizers.is_some()) {
                let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                let name = object.metadata.name.as_deref().unwrap_or_default();
                let _ = self.api(kind).patch(name, &PatchParams::default(), &free).await;
            }
        }
    }

    async fn resources(&self) -> Resources {
        let mut resources = Resources::new();
        for kind in all_kinds() {
            let objects = self.api(kind).list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
            resources.insert(kind, objects);
        }
        resources
    }

    /// Looks for every secret that the sandbox accepted, made or returned.
    async fn assert_no_secret_leaked(&self, metrics: &str, resources: &Resources) {
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        // What was logged before this world can hold none of its secrets.
        let log = String::from_utf8_lossy(&LOG.lock().unwrap()[self.log_from..]).into_owned();
        places.insert("the log".into(), log);
        places.insert("the metrics".into(), metrics.to_owned());
        let record = self.sandbox.exchanges().iter().map(|e| serde_json::to_string(e).unwrap()).collect::<String>();
        places.insert("the exchange record".into(), record);
        for (kind, objects) in resources {
            places.insert(format!("the {kind}s"), serde_json::to_string(objects).unwrap());
        }
        let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(self.admin.clone(), &self.namespace);
        let events = events.list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default();
        places.insert("the events".into(), serde_json::to_string(&events).unwrap());
        let secrets = self.sandbox.secrets();
        assert!(secrets.contains(&self.token), "the sandbox does not know the token: this check checks nothing");
        let needles = Needles::new(&secrets);
        for (place, text) in places {
            assert!(!needles.are_in(&text), "a secret stands in {place}");
        }
    }
}

/// Texts that are looked for in one pass, however many they are: a test may see hundreds of secrets, and its log is long.
struct Needles {
    /// By their first two bytes.
    starting: Vec<Vec<String>>,
    /// Whether there are any.
    is_start: Vec<bool>,
    /// Those that have no two bytes.
    short: Vec<String>,
}

impl Needles {
    /// Each secret as it is, and as it stands in JSON where that differs, as it does for a key of several lines.
    fn new(secrets: &[String]) -> Self {
        let all = 1 << 16;
        let mut needles = Self { starting: vec![Vec::new(); all], is_start: vec![false; all], short: Vec::new() };
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            let quoted = json!(secret).to_string();
            needles.add(secret);
            if quoted[1..quoted.len() - 1] != **secret {
                needles.add(&quoted[1..quoted.len() - 1]);
            }
        }
        needles
    }

    fn add(&mut self, needle: &str) {
        match needle.as_bytes().first_chunk() {
            Some(start) => {
                let start = usize::from(u16::from_be_bytes(*start));
                self.starting[start].push(needle.to_owned());
                self.is_start[start] = true;
            }
            None => self.short.push(needle.to_owned()),
        }
    }

    /// Whether one of them stands in a text.
    #[allow(clippy::cast_lossless, reason = "without optimization, a call for each byte would take most of the time")]
    fn are_in(&self, text: &str) -> bool {
        let (bytes, is_start) = (text.as_bytes(), self.is_start.as_slice());
        let mut at = 0;
        while at + 1 < bytes.len() {
            let start = ((bytes[at] as usize) << 8) | bytes[at + 1] as usize;
            if is_start[start] && self.starting[start].iter().any(|needle| bytes[at..].starts_with(needle.as_bytes())) {
                return true;
            }
            at += 1;
        }
        self.short.iter().any(|needle| text.contains(needle.as_str()))
    }
}

#[test]
fn a_needle_is_found_wherever_it_stands_and_however_it_is_written() {
    let needles = Needles::new(&["hidden".to_owned(), "two\nlines".to_owned(), "#".to_owned()]);
    for text in
        ["hidden", "it is hidden", "so hidden it is", "hhidden", "two\nlines", r#"{"key": "two\nlines"}"#, "a # b"]
    {
        assert!(needles.are_in(text), "{text:?}");
    }
    for text in ["", "h", "hidde", "hiddex hidd", "two lines"] {
        assert!(!needles.are_in(text), "{text:?}");
    }
}

/// Whether a user is the ServiceAccount of a world's operator.
fn is_portico(user: &str) -> bool {
    user.starts_with("system:serviceaccount:") && user.ends_with("-system:portico")
}
