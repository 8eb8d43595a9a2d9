//! What holds in every world, checked at its end.
use std::collections::BTreeMap;

use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use portico_testbed::Request;
use serde_json::json;

use crate::world::{LOG, World, all_kinds};

impl World {
    /// Checks what holds in every world, and takes it down.
    pub(crate) async fn end(mut self) {
        self.ended = true;
        let metrics = self.metrics.text();
        self.stop().await;
        self.assert_no_secret_leaked(&metrics).await;
        let (audit, user) = (self.plane.audit().expect("the audit log is readable"), self.user());
        let forbidden: Vec<&Request> = audit.iter().filter(|r| r.user == user && r.code == 403).collect();
        assert!(self.forbidden_is_expected || forbidden.is_empty(), "RBAC refused: {forbidden:#?}");
        let porticos = audit.iter().filter(|r| r.user_agent.starts_with("portico/"));
        let strange: Vec<&Request> = porticos.filter(|r| !is_portico(&r.user)).collect();
        assert!(strange.is_empty(), "Portico asked as somebody else: {strange:#?}");
        // Nobody waits for the end of the namespaces; finalizers would only hold them.
        for kind in all_kinds() {
            let api = self.api(kind);
            for object in api.list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default() {
                let name = object.metadata.name.unwrap_or_default();
                let _ = api
                    .patch(&name, &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}})))
                    .await;
            }
        }
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.admin.clone());
        for name in [self.namespace.clone(), format!("{}-system", self.namespace)] {
            let _ = namespaces.delete(&name, &DeleteParams::default()).await;
        }
    }

    /// Greps for every secret that the sandbox accepted, made or returned.
    async fn assert_no_secret_leaked(&self, metrics: &str) {
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        // What was logged before this world can hold none of its secrets.
        let log = String::from_utf8_lossy(&LOG.lock().unwrap()[self.log_from..]).into_owned();
        places.insert("the log".into(), log);
        places.insert("the metrics".into(), metrics.to_owned());
        let record = self.sandbox.exchanges().iter().map(|e| serde_json::to_string(e).unwrap()).collect::<String>();
        places.insert("the exchange record".into(), record);
        for kind in all_kinds() {
            let objects = self.api(kind).list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default();
            places.insert(format!("the {kind}s"), serde_json::to_string(&objects).unwrap());
        }
        let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(self.admin.clone(), &self.namespace);
        let events = events.list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default();
        places.insert("the events".into(), serde_json::to_string(&events).unwrap());
        let secrets = self.sandbox.secrets();
        assert!(secrets.contains(&self.token), "the sandbox does not know the token: this check checks nothing");
        for (place, text) in places {
            for secret in &secrets {
                assert!(!text.contains(secret), "a secret stands in {place}");
            }
        }
    }
}

/// Whether a user is the ServiceAccount of a world's operator.
fn is_portico(user: &str) -> bool {
    user.starts_with("system:serviceaccount:") && user.ends_with("-system:portico")
}
