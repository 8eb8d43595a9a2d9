//! What the tests of ACP's kinds ask of a world: a tenant, strangers in it, and the Secrets that programs read.
use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use portico_sandbox::{AcpPlant, AcpSwitches, Effect, Fault, Options, Switches};
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    tripwire::Side,
    world::{PATIENCE, World, merge},
    world_look::Pauses,
};

/// The Secret that receives the credentials of the OAuthClient `shop`.
pub(crate) const SHOP: &str = "shop-credentials";

/// The values of a Secret by key.
pub(crate) type Values = BTreeMap<String, String>;

impl World {
    /// A world with the tenant `acme`, in which nothing runs and only the Secret `acp` exists, with a client of the tenant.
    pub(crate) async fn still_acp(name: &str, acp: AcpSwitches) -> Self {
        let switches = Switches { acp, ..Switches::default() };
        let world = Self::with(name, Options { switches, ..Options::default() }).await;
        let (id, secret) = world.sandbox.tenant("acme");
        world.keys("acp", &[("client_id", &id), ("client_secret", &secret)]).await;
        world
    }

    /// A world with a running operator and a Ready AcpConnection `identity` to the tenant `acme`.
    pub(crate) async fn acp(name: &str) -> Self {
        Self::acp_with(name, AcpSwitches::default(), json!({})).await
    }

    /// The same with a connection that looks at nothing by itself, so that requests can be counted.
    pub(crate) async fn quiet_acp(name: &str) -> Self {
        Self::acp_with(name, AcpSwitches::default(), json!({"resyncInterval": "1h"})).await
    }

    /// The same with an ACP that behaves otherwise than usual, and these fields in the connection.
    pub(crate) async fn acp_with(name: &str, acp: AcpSwitches, connection: Value) -> Self {
        let mut world = Self::still_acp(name, acp).await;
        world.start();
        world.identity(connection).await;
        world.ready("AcpConnection", "identity").await;
        world
    }

    /// A world with the AuthorizationServer `login` and its OAuthClient `shop`, in order; the credentials stand in the Secret [`SHOP`].
    pub(crate) async fn with_shop(name: &str, acp: AcpSwitches, connection: Value) -> Self {
        let world = Self::acp_with(name, acp, connection).await;
        world.server("login", json!({})).await;
        world.client("shop", "login", json!({})).await;
        world.synced("OAuthClient", "shop").await;
        world.sandbox.reset_exchanges();
        world
    }

    /// Makes the connection `identity`, with these fields besides.
    pub(crate) async fn identity(&self, spec: Value) {
        let mut whole = json!({
            "url": self.server.url(),
            "tenant": "acme",
            "clientCredentials": {"secretRef": {"name": "acp"}},
            "resyncInterval": "1s",
            "requestTimeout": "1s",
            "rateLimit": {"requestsPerSecond": 1000, "burst": 1000},
        });
        merge(&mut whole, spec);
        self.create("AcpConnection", "identity", whole).await;
    }

    /// Makes an AuthorizationServer on the connection `identity`.
    pub(crate) async fn server(&self, name: &str, spec: Value) {
        let mut whole = json!({"connectionRef": {"name": "identity"}});
        merge(&mut whole, spec);
        self.create("AuthorizationServer", name, whole).await;
    }

    /// Makes an OAuthClient of an AuthorizationServer. It may get tokens for itself, and its credentials go to the Secret `{name}-credentials`.
    pub(crate) async fn client(&self, name: &str, server: &str, spec: Value) {
        let mut whole = json!({
            "serverRef": {"name": server},
            "grantTypes": ["client_credentials"],
            "credentialsSecret": {"name": format!("{name}-credentials")},
        });
        merge(&mut whole, spec);
        self.create("OAuthClient", name, whole).await;
    }

    /// Makes a Consent on the connection `identity`.
    pub(crate) async fn consent(&self, name: &str, spec: Value) {
        let mut whole = json!({"connectionRef": {"name": "identity"}, "updateExistingGrants": "keepCurrent"});
        merge(&mut whole, spec);
        self.create("Consent", name, whole).await;
    }

    /// Makes a ConsentAction of these Consents, the first of which is required.
    pub(crate) async fn action(&self, name: &str, consents: &[&str]) {
        let of = |(n, consent): (usize, &&str)| json!({"consentRef": {"name": consent}, "required": n == 0});
        let consents: Vec<Value> = consents.iter().enumerate().map(of).collect();
        let spec = json!({"connectionRef": {"name": "identity"}, "consents": consents});
        self.create("ConsentAction", name, spec).await;
    }

    /// What a tenant has of `servers`, `clients`, `consents` or `consent_actions`, but for what is built in.
    pub(crate) fn tenant_has(&self, tenant: &str, what: &str) -> Vec<Value> {
        let all = self.sandbox.state()["tenants"][tenant][what].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|object| object["system"] != true).collect()
    }

    /// The authorization servers of the tenant.
    pub(crate) fn acp_servers(&self) -> Vec<Value> {
        self.tenant_has("acme", "servers")
    }

    /// Its clients.
    pub(crate) fn acp_clients(&self) -> Vec<Value> {
        self.tenant_has("acme", "clients")
    }

    /// Its consents.
    pub(crate) fn acp_consents(&self) -> Vec<Value> {
        self.tenant_has("acme", "consents")
    }

    /// Its consent actions, with their consents inlined.
    pub(crate) fn acp_actions(&self) -> Vec<Value> {
        self.tenant_has("acme", "consent_actions")
    }

    /// Its one server.
    pub(crate) fn only_server(&self) -> Value {
        sole(&self.acp_servers())
    }

    /// Its one client.
    pub(crate) fn only_client(&self) -> Value {
        sole(&self.acp_clients())
    }

    /// Its one consent.
    pub(crate) fn only_consent(&self) -> Value {
        sole(&self.acp_consents())
    }

    /// Its one consent action.
    pub(crate) fn only_action(&self) -> Value {
        sole(&self.acp_actions())
    }

    /// A stranger makes something in the tenant; its id.
    pub(crate) fn plant_acp(&self, what: AcpPlant) -> String {
        self.sandbox.plant_acp("acme", what).expect("it can be planted")
    }

    /// Something goes wrong once.
    pub(crate) fn once(&self, operation: &str, effect: Effect) {
        self.sandbox.inject(Fault { operation: operation.to_owned(), effect, times: Some(1), organization: None });
    }

    /// Does something in the tenant by hand, as a stranger with a client of the tenant's; the status and the answer.
    pub(crate) async fn by_hand_acp(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let (id, secret) = self.sandbox.tenant("acme");
        let endpoint = format!("{}/acme/admin/oauth2/token", self.server.url());
        let (status, token) = ask_for_token(&endpoint, &id, &secret).await;
        assert_eq!(status, 200, "the stranger gets a token");
        let url = format!("{}/api/admin/acme{path}", self.server.url());
        let token = token["access_token"].as_str().expect("it is a text");
        let request = reqwest::Client::new().request(method, url).header(AUTHORIZATION, format!("Bearer {token}"));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        answered(request).await
    }

    /// Someone changes some members of an object by hand: it is read, and written back whole.
    pub(crate) async fn alter_by_hand(&self, path: &str, change: Value) {
        let (status, mut object) = self.by_hand_acp(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path} is there");
        merge(&mut object, change);
        let (status, _) = self.by_hand_acp(Method::PUT, path, Some(object)).await;
        assert!([200, 201].contains(&status), "{path} is changed by hand: {status}");
    }

    /// Someone deletes an object by hand.
    pub(crate) async fn delete_by_hand_acp(&self, path: &str) {
        assert_eq!(self.by_hand_acp(Method::DELETE, path, None).await.0, 204, "{path} is deleted by hand");
    }

    /// All writes to ACP since the record was last reset, as operation ids. Requests for tokens are none.
    pub(crate) fn acp_writes(&self) -> Vec<String> {
        self.remote_writes().into_iter().filter(|operation| operation != "token").collect()
    }

    /// The bodies that an operation was called with since the record was last reset; secrets are covered.
    pub(crate) fn bodies(&self, operation: &str) -> Vec<Value> {
        let called = self.sandbox.exchanges().into_iter().filter(|e| e.operation.as_deref() == Some(operation));
        called.map(|e| e.request_body).collect()
    }

    /// Restarts the operator, waits as long as three resyncs take, and asserts that nothing was written on either side.
    pub(crate) async fn assert_silence_after_a_restart(&mut self) {
        self.stop().await;
        self.flush_audit().await;
        self.sandbox.reset_exchanges();
        let before = self.kubernetes_writes().len();
        self.start();
        tokio::time::sleep(Duration::from_millis(3300)).await;
        assert!(self.calls("token") >= 1, "the operator did not come back");
        assert_eq!(self.acp_writes(), Vec::<String>::new(), "writes to ACP after a restart");
        self.flush_audit().await;
        assert_eq!(self.kubernetes_writes()[before..], [] as [String; 0], "writes to Kubernetes after a restart");
    }

    /// Drops the operator as a crash would, starts another, and waits until that one has come to the API.
    pub(crate) async fn crash_and_come_back(&mut self) {
        self.crash().await;
        self.wire.disarm();
        self.sandbox.reset_exchanges();
        self.start();
        self.eventually("the operator is back", |w| w.calls("token") >= 1).await;
    }

    /// Waits until the operator has asked nothing and written nothing for a while.
    pub(crate) async fn quiet(&self) {
        // Nobody may have waited for the last trip; it is not to be taken for the next.
        let _ = tokio::time::timeout(Duration::ZERO, self.wire.tripped()).await;
        let started = Instant::now();
        loop {
            self.wire.disarm();
            tokio::time::sleep(Duration::from_millis(400)).await;
            let seen = [self.wire.seen(Side::Remote), self.wire.seen(Side::Kubernetes)].concat();
            if seen.is_empty() {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "there is no end to {seen:?}");
        }
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.admin(), &self.namespace)
    }

    /// Makes or replaces a Secret with these keys.
    pub(crate) async fn keys(&self, name: &str, keys: &[(&str, &str)]) {
        let keys: BTreeMap<&str, &str> = keys.iter().copied().collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": keys});
        self.apply_as("v1", "Secret", "secrets", name, secret).await;
    }

    /// Changes a Secret by a merge patch.
    pub(crate) async fn edit_secret(&self, name: &str, patch: Value) {
        let patched = self.secrets().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.expect("the Secret is changed");
    }

    /// A Secret, if it is there.
    pub(crate) async fn secret_named(&self, name: &str) -> Option<Secret> {
        self.secrets().get_opt(name).await.expect("the API server answers")
    }

    /// What stands in a Secret; nothing where it is not there.
    pub(crate) async fn values(&self, name: &str) -> Values {
        let data = self.secret_named(name).await.and_then(|secret| secret.data).unwrap_or_default();
        data.into_iter().map(|(key, value)| (key, String::from_utf8(value.0).expect("it is a text"))).collect()
    }

    /// Waits until what stands in a Secret is as described (nothing: it is not there), and returns it.
    pub(crate) async fn until_values(&self, name: &str, what: &str, is: impl Fn(&Values) -> bool) -> Values {
        let (started, mut pauses) = (Instant::now(), Pauses::up_to(150));
        loop {
            let values = self.values(name).await;
            if is(&values) {
                return values;
            }
            let keys: Vec<&String> = values.keys().collect();
            assert!(started.elapsed() < PATIENCE, "the Secret {name} never {what}; it has the keys {keys:?}");
            pauses.pause().await;
        }
    }
}

/// The one object of a list.
fn sole(found: &[Value]) -> Value {
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

/// What a token endpoint answers to a client that shows its secret in the header: the status, and the body.
pub(crate) async fn ask_for_token(url: &str, id: &str, secret: &str) -> (u16, Value) {
    let request = reqwest::Client::new()
        .post(url)
        .basic_auth(id, Some(secret))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials");
    answered(request).await
}

/// Whether a program that reads a Secret gets a token with the secret under this key.
pub(crate) async fn works(values: &Values, key: &str) -> bool {
    let Some(secret) = values.get(key) else { return false };
    let (status, _) = ask_for_token(&values["token_url"], &values["client_id"], secret).await;
    status == 200
}

async fn answered(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the sandbox answers");
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("the answer is whole");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}
