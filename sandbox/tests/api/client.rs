//! A client of one organization, without a network.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use portico_sandbox::{NoAnswer, Options, Plant, Sandbox, Switches};
use serde_json::{Value, json};
use tower::ServiceExt;

/// An organization of a sandbox of its own.
pub(crate) struct Acme {
    pub(crate) sandbox: Sandbox,
    pub(crate) token: String,
    router: Router,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// As JSON where it is JSON, else as text, null where there is none.
    pub(crate) body: Value,
    pub(crate) lost: bool,
}

impl Acme {
    pub(crate) fn new() -> Self {
        Self::with(Switches::default())
    }

    pub(crate) fn with(switches: Switches) -> Self {
        Self::of(Sandbox::new(Options { switches, ..Options::default() }))
    }

    pub(crate) fn of(sandbox: Sandbox) -> Self {
        let token = sandbox.organization("acme");
        Self { router: sandbox.router(), sandbox, token }
    }

    /// The same sandbox with another token.
    pub(crate) fn as_token(&self, token: &str) -> Self {
        Self { sandbox: self.sandbox.clone(), token: token.to_owned(), router: self.router.clone() }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Bearer {}", self.token));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = match bytes.as_ref() {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(bytes))),
        };
        let lost = parts.extensions.get::<NoAnswer>().is_some();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body, lost }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    /// A new portal's path.
    pub(crate) async fn portal(&self, name: &str) -> String {
        let made = self.post("/v2/portals", json!({"name": name})).await;
        assert_eq!(made.status, 201, "{made:?}");
        format!("/v2/portals/{}", made.id())
    }

    /// A new team's path.
    pub(crate) async fn team(&self, portal: &str, name: &str) -> String {
        let made = self.post(&format!("{portal}/teams"), json!({"name": name})).await;
        assert_eq!(made.status, 201, "{made:?}");
        format!("{portal}/teams/{}", made.id())
    }

    /// The id of somebody who signed up.
    pub(crate) fn developer(&self, portal: &str, email: &str) -> String {
        let (portal, email, status) = (id(portal), email.to_owned(), "approved".to_owned());
        self.sandbox.plant("acme", Plant::Developer { portal, email, status }).unwrap()
    }

    /// An identity provider that somebody else configured and enabled.
    pub(crate) fn provider(&self, portal: &str) -> String {
        let config = json!({"issuer_url": "https://idp.example.com", "client_id": "portal"});
        let body = json!({"type": "oidc", "enabled": true, "config": config});
        self.sandbox.plant("acme", Plant::IdentityProvider { portal: id(portal), body }).unwrap()
    }
}

impl Answer {
    pub(crate) fn id(&self) -> String {
        self.body["id"].as_str().unwrap().to_owned()
    }

    /// The only invalid parameter: field, rule and source.
    pub(crate) fn refusal(&self) -> (&str, &str, &str) {
        assert_eq!(self.status, 400, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let parameters = self.body["invalid_parameters"].as_array().unwrap();
        assert_eq!(parameters.len(), 1, "{parameters:?}");
        let text = |key: &str| parameters[0][key].as_str().unwrap_or("-");
        (text("field"), text("rule"), text("source"))
    }

    /// One member of every item of a page.
    pub(crate) fn all(&self, member: &str) -> Vec<&str> {
        assert_eq!(self.status, 200, "{self:?}");
        self.body["data"].as_array().unwrap().iter().map(|item| item[member].as_str().unwrap()).collect()
    }
}

/// The last segment of a path.
pub(crate) fn id(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}
