//! The steps of the tour that show ACP: credentials that arrive in a Secret, their rotation, and a consent's versions.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    shell::{self, expect},
    world::{ORGANIZATION, World},
};
use crate::Outcome;

const CLIENT: &str = "oauthclient/shop";
/// The Secret that the client's manifest names.
const CREDENTIALS: &str = "shop-credentials";
const CONSENT: &str = "consent/marketing";

/// More than two of the connection's intervals, after each of which everything is compared.
const WHILE: Duration = Duration::from_secs(5);

/// What people make in a tenant: the lists of the sandbox's state, and the members that hold the ids.
const LISTS: [(&str, &str); 4] =
    [("servers", "id"), ("clients", "client_id"), ("consents", "id"), ("consent_actions", "id")];

/// Data of the Secret, by key, as `key value`.
const DATA: &str = r#"go-template={{range $key, $value := .data}}{{$key}} {{$value | base64decode}}{{"\n"}}{{end}}"#;

/// What a program finds in the Secret. Without `Debug`, and never printed.
struct Credentials {
    id: String,
    secret: String,
    token_url: String,
}

impl Credentials {
    fn read(world: &World) -> Outcome<Self> {
        let text = world.look(&["get", "secret", CREDENTIALS, "-o", DATA])?;
        let found: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        expect(!found.contains_key("pending_client_secret"), "the Secret still holds a secret that is pending")?;
        let value = |key: &str| match found.get(key) {
            Some(value) => Ok((*value).to_owned()),
            None => Err(format!("the Secret has no key {key}")),
        };
        Ok(Self { id: value("client_id")?, secret: value("client_secret")?, token_url: value("token_url")? })
    }

    /// Fetches a token as a program would, printing the command and the answer without the token.
    fn fetch_token(&self, world: &World) -> Outcome {
        shell::command(r#"curl -s -u "$client_id:$client_secret" -d grant_type=client_credentials "$token_url""#);
        let answer = world.api.grant(&self.token_url, &self.id, &self.secret)?;
        let text = |member: &str| answer[member].as_str().unwrap_or_default();
        let (token_type, expires_in) = (text("token_type"), &answer["expires_in"]);
        shell::output(&format!("token_type: {token_type}, expires_in: {expires_in}, access_token: (not shown)"));
        expect(token_type == "bearer" && !text("access_token").is_empty(), "that is no token")
    }
}

pub(crate) fn credentials_arrive(world: &mut World) -> Outcome {
    world.in_namespace(&["get", "acp"])?;
    shell::note("programs mount this Secret; kubectl shows its keys, and how long the values are");
    world.in_namespace(&["describe", "secret", CREDENTIALS])?;
    let credentials = Credentials::read(world)?;
    let recorded = world.recorded_id(CLIENT)?;
    expect(credentials.id == recorded, format!("the Secret has {:?}, recorded is {recorded:?}", credentials.id))?;
    shell::note("a program asks for a token with what the Secret holds");
    credentials.fetch_token(world)
}

pub(crate) fn secret_rotated(world: &mut World) -> Outcome {
    let old = Credentials::read(world)?;
    world.in_namespace(&["annotate", CLIENT, "portico.dev/rotate=1"])?;
    let answered = "--for=jsonpath={.status.lastHandledRotate}=1";
    world.in_namespace(&["wait", answered, "--timeout=60s", CLIENT])?;
    world.ready(&[CLIENT])?;
    let new = Credentials::read(world)?;
    expect(new.id == old.id && new.secret != old.secret, "the Secret does not hold a new secret of the same client")?;
    shell::note("with the new secret:");
    new.fetch_token(world)?;
    shell::note("with the secret of before:");
    match old.fetch_token(world) {
        Ok(()) => Err("the old secret still works".into()),
        Err(reason) => {
            let words = reason.to_string();
            shell::output(&words);
            expect(words.contains("invalid_client"), "that is not a refusal of the secret")
        }
    }
}

pub(crate) fn consent_versioned(world: &mut World) -> Outcome {
    let before = version(world)?;
    let change = r#"{"spec":{"description":"Changed once in the manifest"}}"#;
    world.in_namespace(&["patch", CONSENT, "--type=merge", "-p", change])?;
    world.ready(&[CONSENT])?;
    let after = version(world)?;
    expect(after == before + 1, format!("version {before} became version {after}"))?;
    shell::note(&format!("{} seconds later, when it has been compared with the API again and again", WHILE.as_secs()));
    shell::pause(WHILE);
    let later = version(world)?;
    expect(later == after, format!("version {after} became version {later} by itself"))
}

/// The version of the consent: the API's, which the status must show.
fn version(world: &World) -> Outcome<u64> {
    let shown = world.in_namespace(&["get", CONSENT, "-o", "jsonpath={.status.version}"])?;
    let id = world.recorded_id(CONSENT)?;
    let query = format!(r#"jq '.tenants.{ORGANIZATION}.consents[] | select(.id == "{id}") | .version'"#);
    shell::command(&format!(r#"curl -s "$PORTICO_SANDBOX_URL/_sandbox/state" | {query}"#));
    let state = world.sandbox.state();
    let mut consents = objects(&state, "consents");
    let consent = consents.find(|consent| consent["id"] == id).ok_or("the API has no such consent")?;
    shell::output(&consent["version"].to_string());
    let version = consent["version"].as_u64().ok_or("the API's consent has no version")?;
    expect(shown.trim() == version.to_string(), "the status shows another version than the API")?;
    Ok(version)
}

/// What people made in the tenant, such as `consents/…`; the built-in servers and clients come with it.
pub(crate) fn made(world: &World) -> Vec<String> {
    let state = world.sandbox.state();
    let mut made = Vec::new();
    for (list, id) in LISTS {
        let of_people = objects(&state, list).filter(|object| object["system"] != true);
        made.extend(of_people.map(|object| format!("{list}/{}", object[id].as_str().unwrap_or_default())));
    }
    made
}

fn objects<'s>(state: &'s Value, list: &str) -> impl Iterator<Item = &'s Value> + use<'s> {
    state["tenants"][ORGANIZATION][list].as_array().into_iter().flatten()
}
