//! What the worlds are made of.
use portico_sandbox::Switches;
use portico_simulation::{
    Outcome,
    plan::{Action, Effect, Fault, Millis, Plan, Side, Step, Stranger},
    run,
};
use serde_json::{Value, json};

/// Runs a world and asserts that every law holds in it.
pub(crate) fn replay(plan: &Plan) -> Outcome {
    let outcome = run(plan, true);
    let found: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{plan}{}\n\n{}", outcome.trace.join("\n"), found.join("\n"));
    outcome
}

/// How many requests of this method on such a path the operator sent, by the trace.
pub(crate) fn sent(outcome: &Outcome, method: &str, path: &str) -> usize {
    let is_one = |line: &&String| line.contains(" r0.") && line.contains(method) && line.contains(path);
    outcome.trace.iter().filter(is_one).count()
}

/// How often the API has really done an operation, by the trace: the answers that say `201`.
pub(crate) fn made(outcome: &Outcome, operation: &str) -> usize {
    let numbers: Vec<&str> = outcome
        .trace
        .iter()
        .filter(|line| line.contains(operation))
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('#')))
        .collect();
    let answered = |number: &&&str| outcome.trace.iter().any(|line| line.contains(&format!(" {number} <- 201")));
    numbers.iter().filter(answered).count()
}

/// A world with one replica, a connection, and a Secret for portals' settings.
pub(crate) fn world(steps: Vec<Step>, faults: Vec<Fault>, quiet_from: Millis) -> Plan {
    let login = secret("portal-login", &json!({"settings": "a-secret-of-the-settings-in-this-world"}));
    let before = connected(&json!({})).into_iter().chain([login]).collect();
    Plan { seed: 1, switches: Switches::default(), before, steps, faults, replicas: 1, quiet_from }
}

/// A world with one replica, a connection that every namespace may use, and the namespace `other`.
pub(crate) fn shared(switches: Switches, steps: Vec<Step>, quiet_from: Millis) -> Plan {
    let other = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}});
    let everybody = json!({"allowedNamespaces": {"from": "All"}});
    let before = [other].into_iter().chain(connected(&everybody)).collect();
    Plan { switches, before, ..world(steps, Vec::new(), quiet_from) }
}

/// A world with one replica and the connection `identity` to ACP.
pub(crate) fn identity_world(steps: Vec<Step>, faults: Vec<Fault>, quiet_from: Millis) -> Plan {
    let connection = json!({
        "url": "https://acp.example.com",
        "tenant": "acme",
        "clientCredentials": {"secretRef": {"name": "acp"}},
        "resyncInterval": "60s",
        "requestTimeout": "5s",
        "rateLimit": {"requestsPerSecond": 100, "burst": 100},
    });
    let credential = json!({"client_id": "${acp.client_id}", "client_secret": "${acp.client_secret}"});
    let before = vec![secret("acp", &credential), acp("AcpConnection", "identity", &connection)];
    Plan { before, ..world(steps, faults, quiet_from) }
}

/// A connection `acme` and its Secret.
fn connected(more: &Value) -> Vec<Value> {
    let spec = json!({
        "region": "eu",
        "tokenSecretRef": {"name": "konnect"},
        "resyncInterval": "60s",
        "requestTimeout": "5s",
        "rateLimit": {"requestsPerSecond": 100, "burst": 100},
    });
    let connection = konnect("KonnectConnection", "acme", &with(spec, more));
    vec![secret("konnect", &json!({"token": "${konnect.token}"})), connection]
}

/// A spec with more fields.
fn with(mut spec: Value, more: &Value) -> Value {
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field.as_str()] = value.clone();
    }
    spec
}

fn resource(group: &str, namespace: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{group}.portico.dev/v1alpha1"),
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    })
}

pub(crate) fn konnect(kind: &str, name: &str, spec: &Value) -> Value {
    resource("konnect", "world", kind, name, spec)
}

pub(crate) fn acp(kind: &str, name: &str, spec: &Value) -> Value {
    resource("acp", "world", kind, name, spec)
}

fn secret(name: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": "world", "name": name},
        "stringData": data,
    })
}

pub(crate) fn portal(name: &str) -> Value {
    konnect("Portal", name, &json!({"connectionRef": {"name": "acme"}, "name": name}))
}

/// A portal `shop` that every namespace may refer to.
pub(crate) fn open_portal() -> Value {
    konnect("Portal", "shop", &json!({"connectionRef": {"name": "acme"}, "allowedNamespaces": {"from": "All"}}))
}

/// Settings of the portal `shop`, with a Secret.
pub(crate) fn settings(name: &str) -> Value {
    let spec = json!({
        "portalRef": {"name": "shop"},
        "oidcScopes": ["email"],
        "oidcClientSecretRef": {"name": "portal-login", "key": "settings"},
    });
    konnect("PortalAuthentication", name, &spec)
}

/// Settings of a portal without a Secret.
pub(crate) fn mapping(namespace: &str, name: &str, portal: &Value, more: &Value) -> Value {
    let spec = json!({"portalRef": portal, "konnectMappingEnabled": true});
    resource("konnect", namespace, "PortalAuthentication", name, &with(spec, more))
}

/// A team of the portal `shop`.
pub(crate) fn team() -> Value {
    konnect("PortalTeam", "readers", &json!({"portalRef": {"name": "shop"}, "name": "API readers"}))
}

/// A provider of the portal `shop`. A portal has one of a type.
pub(crate) fn provider(name: &str, more: &Value) -> Value {
    let spec = json!({
        "portalRef": {"name": "shop"},
        "type": "saml",
        "config": {"idpMetadataUrl": "https://idp.example.com/metadata"},
    });
    konnect("PortalIdentityProvider", name, &with(spec, more))
}

/// A replay of some hours of a day in December 2025 at the portal `shop`.
pub(crate) fn hours(name: &str, day: u8) -> Value {
    let (from, to) = (format!("2025-12-{day}T08:00:00Z"), format!("2025-12-{day}T20:00:00Z"));
    konnect("PortalAuditLogReplay", name, &json!({"portalRef": {"name": "shop"}, "startAt": from, "endAt": to}))
}

/// An authorization server.
pub(crate) fn server(name: &str, more: &Value) -> Value {
    acp("AuthorizationServer", name, &with(json!({"connectionRef": {"name": "identity"}}), more))
}

pub(crate) fn step(at: Millis, action: Action) -> Step {
    Step { at, action }
}

pub(crate) fn apply(at: Millis, manifest: Value) -> Step {
    step(at, Action::Apply(manifest))
}

pub(crate) fn delete(at: Millis, kind: &str, name: &str) -> Step {
    let (kind, namespace, name) = (kind.to_owned(), "world".to_owned(), name.to_owned());
    step(at, Action::Delete { kind, namespace, name })
}

/// A stranger makes an object.
pub(crate) fn make(at: Millis, kind: &str, key: &str) -> Step {
    step(at, Action::Stranger(Stranger::Make { kind: kind.to_owned(), key: key.to_owned() }))
}

/// A stranger deletes an object.
pub(crate) fn remove(at: Millis, kind: &str, which: u64) -> Step {
    step(at, Action::Stranger(Stranger::Delete { kind: kind.to_owned(), which }))
}

/// A token is written into the Secret of the connection.
pub(crate) fn token(at: Millis, token: &str) -> Step {
    let data = vec![("token".to_owned(), token.to_owned())];
    step(at, Action::Secret { namespace: "world".to_owned(), name: "konnect".to_owned(), data })
}

/// This happens to the first request of an operation.
pub(crate) fn first(operation: &str, effect: Effect) -> Fault {
    Fault { side: Side::Remote, from: 0, until: 60_000, nth: 0, times: 1, what: operation.to_owned(), effect }
}

/// A person confirms that what vanished through the connection `world/acme` was meant to.
pub(crate) fn confirm_absence() -> Action {
    Action::Annotate {
        kind: "KonnectConnection".to_owned(),
        namespace: "world".to_owned(),
        name: "acme".to_owned(),
        key: "portico.dev/confirm-absence".to_owned(),
        value: Some("${absence}".to_owned()),
    }
}

/// The answer to the first request of an operation is lost.
pub(crate) fn first_lost(operation: &str) -> Fault {
    first(operation, Effect::AnswerLost)
}
