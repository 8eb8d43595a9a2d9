//! What a request asks for, read from its method, path, query and headers.
use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, header, request::Parts};
use serde_json::Value;
use url::form_urlencoded;

use super::{
    fault::{Call, Verb},
    refusal::Refusal,
    resource,
};

/// A request.
pub(super) enum Route {
    /// Which API server is this?
    Version,
    Resource(Box<Request>),
}

/// A request about a resource.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) verb: Verb,
    pub(super) version: String,
    pub(super) resource: String,
    pub(super) subresource: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Nothing but metadata is asked for.
    pub(super) partial: bool,
    pub(super) content_type: String,
    pub(super) manager: String,
    pub(super) body: Bytes,
    query: BTreeMap<String, String>,
}

/// Where a path leads below the API version.
#[derive(Debug, Default, PartialEq)]
struct Place<'a> {
    namespace: &'a str,
    plural: &'a str,
    name: &'a str,
    subresource: &'a str,
}

impl<'a> Place<'a> {
    fn of(path: &[&'a str]) -> Option<Self> {
        let (namespace, rest) = match *path {
            // A namespace and its subresources are no namespaced resources.
            ["namespaces", namespace, plural, ..] if !["status", "finalize"].contains(&plural) => {
                (namespace, &path[2..])
            }
            _ => ("", path),
        };
        match *rest {
            [plural] => Some(Self { namespace, plural, ..Self::default() }),
            [plural, name] => Some(Self { namespace, plural, name, subresource: "" }),
            [plural, name, subresource] => Some(Self { namespace, plural, name, subresource }),
            _ => None,
        }
    }
}

impl Route {
    pub(super) fn parse(parts: &Parts, body: Bytes) -> Result<Self, Refusal> {
        let path: Vec<&str> = parts.uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match path[..] {
            ["version"] => return Ok(Self::Version),
            ["api", version, ..] => ("", version, &path[2..]),
            ["apis", group, version, ..] => (group, version, &path[3..]),
            _ => return Err(Refusal::unknown_path()),
        };
        let place = Place::of(rest).ok_or_else(Refusal::unknown_path)?;
        let query = parts.uri.query().unwrap_or_default();
        let query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let watches = query.get("watch").is_some_and(|watch| ["true", "1"].contains(&watch.as_str()));
        let verb = match (&parts.method, place.name.is_empty()) {
            (&Method::GET, true) if watches => Verb::Watch,
            (&Method::GET, true) => Verb::List,
            (&Method::GET, false) => Verb::Get,
            (&Method::POST, true) => Verb::Create,
            (&Method::PUT, false) => Verb::Update,
            (&Method::PATCH, false) => Verb::Patch,
            (&Method::DELETE, false) => Verb::Delete,
            (&Method::DELETE, true) => Verb::DeleteCollection,
            _ => {
                let message = "the server does not allow this method on the requested resource";
                return Err(Refusal::new(405, "MethodNotAllowed", message));
            }
        };
        let header = |name: header::HeaderName| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let agent = header(header::USER_AGENT);
        let by_agent = agent.split('/').next().unwrap_or_default().to_owned();
        Ok(Self::Resource(Box::new(Request {
            verb,
            version: version.to_owned(),
            resource: resource::id(group, place.plural),
            subresource: place.subresource.to_owned(),
            namespace: place.namespace.to_owned(),
            name: place.name.to_owned(),
            partial: header(header::ACCEPT).contains("as=PartialObjectMetadata"),
            content_type: header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().to_owned(),
            manager: query.get("fieldManager").cloned().filter(|name| !name.is_empty()).unwrap_or(by_agent),
            body,
            query,
        })))
    }
}

impl Request {
    /// A query parameter; empty where it is not given.
    pub(super) fn query(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        ["true", "1"].contains(&self.query(name))
    }

    /// What was sent along, null where that is nothing.
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|e| Refusal::bad_request(format!("error decoding the body: {e}")))
    }

    /// The request as an interceptor sees it.
    pub(super) fn call(&self, number: u64, version: u64, actor: &str) -> Call {
        Call {
            number,
            version,
            actor: actor.to_owned(),
            verb: self.verb,
            resource: self.resource.clone(),
            subresource: self.subresource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            body: self.json().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, uri: &str) -> Result<Request, Refusal> {
        let request = http::Request::builder().method(method).uri(uri).header("user-agent", "tester/1.0").body(());
        let (parts, ()) = request.unwrap().into_parts();
        match Route::parse(&parts, Bytes::new())? {
            Route::Resource(request) => Ok(*request),
            Route::Version => panic!("not about a resource"),
        }
    }

    #[test]
    fn paths_are_read_as_the_api_server_reads_them() {
        let cases = [
            (Method::GET, "/api/v1/namespaces/n/secrets/a", "get secrets n a "),
            (Method::GET, "/api/v1/secrets?limit=5", "list secrets   "),
            (Method::GET, "/apis/example.dev/v1/widgets?watch=true", "watch widgets.example.dev   "),
            // One object is watched by a field selector.
            (Method::GET, "/api/v1/namespaces/n/secrets/a?watch=true", "get secrets n a "),
            (
                Method::PATCH,
                "/apis/example.dev/v1/namespaces/n/widgets/a/status",
                "patch widgets.example.dev n a status",
            ),
            (Method::DELETE, "/api/v1/namespaces/n", "delete namespaces  n "),
            (Method::PUT, "/api/v1/namespaces/n/finalize", "update namespaces  n finalize"),
            (Method::DELETE, "/api/v1/namespaces/n/secrets?", "deletecollection secrets n  "),
        ];
        for (method, uri, expected) in cases {
            let request = parse(method, uri).unwrap();
            let Request { verb, resource, namespace, name, subresource, .. } = &request;
            assert_eq!(format!("{verb} {resource} {namespace} {name} {subresource}"), expected);
            assert_eq!(request.manager, "tester");
        }
    }

    #[test]
    fn what_is_not_a_path_of_the_api_is_not_found() {
        for uri in ["/", "/api", "/api/v1", "/healthz", "/apis/example.dev/v1/a/b/c/d"] {
            assert_eq!(parse(Method::GET, uri).unwrap_err(), Refusal::unknown_path(), "{uri}");
        }
        assert_eq!(parse(Method::POST, "/api/v1/namespaces/n").unwrap_err().code, 405);
    }

    #[test]
    fn the_query_is_decoded() {
        let request = parse(Method::GET, "/api/v1/pods?labelSelector=a%3Db&fieldManager=me&force=true").unwrap();
        assert_eq!((request.query("labelSelector"), request.query("gone")), ("a=b", ""));
        assert!(request.is_set("force") && !request.is_set("gone"));
        assert_eq!(request.manager, "me");
    }
}
