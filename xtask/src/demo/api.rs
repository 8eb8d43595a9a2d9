//! The demo's own eyes and hands at the APIs, as somebody with curl has them.

use std::{iter, time::Duration};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::runtime::Handle;

use super::shell;
use crate::Outcome;

const PORTALS: &str = "/v2/portals?page[size]=100";

pub(crate) struct Api {
    handle: Handle,
    client: Client,
    url: String,
    token: String,
}

impl Api {
    /// A client for the sandbox at `url` (without a slash at its end).
    pub(crate) fn new(handle: Handle, url: String, token: String) -> Outcome<Self> {
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            // Plain HTTP to this machine: the system's certificates, which may not even be there, stay unread.
            .tls_certs_only(iter::empty())
            .build()?;
        Ok(Self { handle, client, url, token })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Uses another token from now on.
    pub(crate) fn set_token(&mut self, token: String) {
        self.token = token;
    }

    /// One portal, as the API shows it now.
    pub(crate) fn portal(&self, id: &str) -> Outcome<Value> {
        self.send(Method::GET, &path(id), None)
    }

    /// The portals of that name, as the API shows them now.
    pub(crate) fn portals_named(&self, name: &str) -> Outcome<Vec<Value>> {
        Ok(self.portals()?.into_iter().filter(|portal| portal["name"] == name).collect())
    }

    /// All portals of the organization, as the API shows them now.
    pub(crate) fn portals(&self) -> Outcome<Vec<Value>> {
        let mut listing = self.send(Method::GET, PORTALS, None)?;
        match listing.get_mut("data").map(Value::take) {
            Some(Value::Array(portals)) => Ok(portals),
            _ => Err(format!("a listing without `data`: {listing}").into()),
        }
    }

    /// Waits until the API shows this portal with this value, printing the command and what it showed in the end.
    pub(crate) fn shows(&self, id: &str, field: &str, value: &str) -> Outcome {
        shell::command(&curl("", &path(id), ""));
        let portal = shell::poll(shell::SELDOM, || {
            let portal = self.portal(id)?;
            shell::expect(portal[field] == value, format!("the API shows {field}: {}", portal[field]))?;
            Ok(portal)
        })?;
        shell::output(&summary(&portal));
        Ok(())
    }

    /// Lists all portals, printing the command and one line for each.
    pub(crate) fn show_portals(&self) -> Outcome<Vec<Value>> {
        shell::command(&curl("-g ", PORTALS, ""));
        let portals = self.portals()?;
        shell::output(&portals.iter().map(summary).collect::<Vec<_>>().join("\n"));
        Ok(portals)
    }

    /// Changes a portal behind Portico's back.
    pub(crate) fn change_by_hand(&self, id: &str, change: &Value) -> Outcome {
        let body = format!(" -H 'Content-Type: application/json' -d {}", shell::quote(&change.to_string()));
        shell::command(&curl("-X PATCH ", &path(id), &body));
        shell::output(&summary(&self.send(Method::PATCH, &path(id), Some(change))?));
        Ok(())
    }

    /// Asks a token endpoint of ACP for a token by client credentials.
    pub(crate) fn grant(&self, token_url: &str, client_id: &str, client_secret: &str) -> Outcome<Value> {
        let ours = token_url.starts_with(&format!("{}/", self.url));
        shell::expect(ours, format!("{token_url} is not at the sandbox"))?;
        let request = self.client.post(token_url).basic_auth(client_id, Some(client_secret));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.handle.block_on(exchange(request.body("grant_type=client_credentials")))
    }

    fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.handle.block_on(exchange(request))
    }
}

async fn exchange(request: RequestBuilder) -> Outcome<Value> {
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    if !status.is_success() {
        return Err(format!("the API answers {status}: {text}").into());
    }
    Ok(serde_json::from_str(&text)?)
}

/// The command that does the same; it reads the token from the environment that `target/demo/env` makes.
fn curl(flags: &str, path: &str, body: &str) -> String {
    format!(r#"curl -s {flags}-H "Authorization: Bearer $PORTICO_SANDBOX_TOKEN" "$PORTICO_SANDBOX_URL{path}"{body}"#)
}

fn path(id: &str) -> String {
    format!("/v2/portals/{id}")
}

fn summary(portal: &Value) -> String {
    format!("{}  name {}  description {}", portal["id"], portal["name"], portal["description"])
}
