//! A client of the tenant `acme`, without a network.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portico_sandbox::{AcpSwitches, NoAnswer, Options, Sandbox, Switches};
use serde_json::{Value, json};
use tower::ServiceExt;

/// A tenant of a sandbox of its own.
pub(crate) struct Acme {
    pub(crate) sandbox: Sandbox,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
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
    pub(crate) async fn new() -> Self {
        Self::with(AcpSwitches::default()).await
    }

    pub(crate) async fn with(acp: AcpSwitches) -> Self {
        let switches = Switches { acp, ..Switches::default() };
        Self::of(Sandbox::new(Options { switches, ..Options::default() })).await
    }

    pub(crate) async fn of(sandbox: Sandbox) -> Self {
        let (client_id, client_secret) = sandbox.tenant("acme");
        let mut acme = Self { router: sandbox.router(), sandbox, client_id, client_secret, token: String::new() };
        acme.token = acme.fetch_token().await;
        acme
    }

    /// A fresh token for the admin API.
    pub(crate) async fn fetch_token(&self) -> String {
        let fetched = self.basic("/acme/admin/oauth2/token", &self.client_id, &self.client_secret).await;
        assert_eq!(fetched.status, 200, "{fetched:?}");
        fetched.body["access_token"].as_str().unwrap().to_owned()
    }

    /// Client credentials in the header.
    pub(crate) async fn basic(&self, path: &str, id: &str, secret: &str) -> Answer {
        let header = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        self.form(path, Some(header), "grant_type=client_credentials").await
    }

    /// Client credentials in the body.
    pub(crate) async fn in_body(&self, path: &str, id: &str, secret: &str) -> Answer {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        self.form(path, None, &form).await
    }

    pub(crate) async fn form(&self, path: &str, authorization: Option<String>, form: &str) -> Answer {
        let mut request = Request::builder().method("POST").uri(path);
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if let Some(header) = authorization {
            request = request.header("authorization", header);
        }
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Bearer {}", self.token));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = match bytes.as_ref() {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(bytes))),
        };
        let lost = parts.extensions.get::<NoAnswer>().is_some();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body, lost }
    }

    /// Below the admin API of the tenant.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", &format!("/api/admin/acme{path}"), None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", &format!("/api/admin/acme{path}"), Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", &format!("/api/admin/acme{path}"), Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", &format!("/api/admin/acme{path}"), None).await
    }

    /// A new server as the API shows it.
    pub(crate) async fn server(&self, id: &str) -> Value {
        self.made("/servers", json!({"id": id, "name": id})).await
    }

    /// A new client as the API shows it.
    pub(crate) async fn client(&self, server: &str, id: &str) -> Value {
        self.made("/clients", json!({"client_id": id, "authorization_server_id": server})).await
    }

    /// A new consent as the API shows it.
    pub(crate) async fn consent(&self, id: &str) -> Value {
        let body = json!({"id": id, "name": id, "update_existing_grants": "keepCurrent"});
        self.made("/consents", body).await
    }

    pub(crate) async fn made(&self, path: &str, body: Value) -> Value {
        let made = self.post(path, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body
    }
}

impl Answer {
    /// Status and words of a refusal, whose shape is checked.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(self.body["status_code"], self.status, "{self:?}");
        assert!(self.body["details"].is_object(), "{self:?}");
        (self.status, self.body["error"].as_str().unwrap())
    }

    /// The fields that a 422 names.
    pub(crate) fn fields(&self) -> Vec<&str> {
        assert_eq!(self.refusal().0, 422, "{self:?}");
        self.body["details"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    /// One member of every item of a list.
    pub(crate) fn all(&self, list: &str, member: &str) -> Vec<&str> {
        assert_eq!(self.status, 200, "{self:?}");
        self.body[list].as_array().unwrap().iter().map(|item| item[member].as_str().unwrap()).collect()
    }
}

/// The same object with some members changed.
pub(crate) fn changed(object: &Value, changes: Value) -> Value {
    let mut copy = object.clone();
    let Value::Object(changes) = changes else { panic!("an object is needed") };
    copy.as_object_mut().unwrap().extend(changes);
    copy
}

/// The same object without one member.
pub(crate) fn without(object: &Value, member: &str) -> Value {
    let mut less = object.clone();
    less.as_object_mut().unwrap().remove(member).unwrap();
    less
}
