//! What a person sees: kubectl, the program, and the endpoints that it serves.
use std::process::{Command, Output};

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use portico::{engine::health::Health, serve};
use serde_json::json;
use tower::ServiceExt;

use crate::{
    world::World,
    world_steps::{eventually_ok, id},
};

/// Words apart by single spaces: kubectl breaks lines and pads columns.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_waits_for_ready_and_shows_everything_in_a_table() {
    let world = World::new("user-table").await;
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    for resource in ["portal/docs", "portalteam/writers", "konnectconnection/acme"] {
        let said = world.kubectl(&["wait", "--for=condition=Ready", resource, "--timeout=30s"], "").await.unwrap();
        assert!(said.contains("condition met"), "{said}");
    }
    let portal = id(&world.synced("Portal", "docs").await);
    let table = world.kubectl(&["get", "portico", "-A"], "").await.unwrap();
    assert!(table.lines().any(|l| words(l) == "NAMESPACE NAME READY SYNCED REASON AGE"), "{table}");
    for (kind, name) in [("konnectconnection", "acme"), ("portal", "docs"), ("portalteam", "writers")] {
        let row = format!("{} {kind}.konnect.portico.dev/{name} True True Available", world.namespace);
        assert!(table.lines().any(|l| words(l).starts_with(&row)), "no row {row} in\n{table}");
    }
    let wide = world.kubectl(&["get", "kportal", "docs", "-o", "wide"], "").await.unwrap();
    assert!(words(&wide).contains(&format!("True True Available {portal}")), "{wide}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_explains_every_level_of_a_spec() {
    let world = World::still("user-explain").await;
    let explain = async || world.kubectl(&["explain", "portal.spec", "--recursive"], "").await;
    let fields = eventually_ok("the schema is served", explain).await;
    for field in ["connectionRef", "customDomain", "forceDelete", "labels", "lifecycle", "adoption"] {
        assert!(fields.lines().any(|l| l.split_whitespace().next() == Some(field)), "no {field} in\n{fields}");
    }
    let one = words(&world.kubectl(&["explain", "portal.spec.forceDelete"], "").await.unwrap());
    assert!(one.contains("Konnect refuses the deletion while there are any"), "{one}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_describe_shows_conditions_and_events() {
    let world = World::new("user-describe").await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    let describe = async || {
        let text = world.kubectl(&["describe", "portal", "docs"], "").await?;
        match text.split_once("\nEvents:") {
            Some((_, events)) if events.contains("Available") => Ok(text),
            _ => Err(text),
        }
    };
    let text = words(&eventually_ok("the event is shown", describe).await);
    for part in ["Reason: Available Status: True Type: Ready", "Reason: Available Status: True Type: Synced"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    world.end().await;
}

/// A manifest, and what the refusal says.
const REFUSED: [(&str, &str); 10] = [
    ("kind: Portal, spec: {connectionRef: {name: acme}, nick: x}", r#"unknown field "spec.nick""#),
    ("kind: Portal, spec: {connectionRef: {name: acme}, isPublic: certainly}", "spec.isPublic"),
    ("kind: Portal, spec: {connectionRef: {name: acme}, lifecycle: {deletion: Sometimes}}", "spec.lifecycle.deletion"),
    ("kind: Portal, spec: {}", "spec.connectionRef"),
    (
        "kind: Portal, spec: {connectionRef: {name: acme}, customClientDomain: a.example.com}",
        "customClientDomain goes with customDomain",
    ),
    (
        "kind: KonnectConnection, spec: {region: eu, url: 'https://eu.api.konghq.com', tokenSecretRef: {name: k}}",
        "give exactly one of region and url",
    ),
    (
        "kind: KonnectConnection, spec: {region: eu, tokenSecretRef: {name: k}, resyncInterval: 10ms}",
        "resyncInterval is at least 1s",
    ),
    (
        "kind: KonnectConnection, spec: {region: eu, tokenSecretRef: {name: k}, caBundleRef: {}}",
        "give exactly one of configMap and secret",
    ),
    ("kind: PortalTeam, spec: {portalRef: {name: docs, id: x}}", "give exactly one of name (a resource) and id"),
    ("kind: PortalTeam, spec: {portalRef: {id: x}}", "connectionRef goes with portalRef.id"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_refuses_what_is_wrong_and_names_the_field() {
    let world = World::still("user-dry-run").await;
    world.connection(json!({})).await;
    let head = "apiVersion: konnect.portico.dev/v1alpha1";
    let manifests = REFUSED
        .iter()
        .enumerate()
        .map(|(number, (rest, _))| format!("---\n{{{head}, metadata: {{name: bad-{number}}}, {rest}}}\n"))
        .collect::<Vec<_>>()
        .concat();
    let apply = ["apply", "--dry-run=server", "-f", "-"];
    let refusal = world.kubectl(&apply, &manifests).await.expect_err("all of them are wrong");
    for (manifest, wanted) in REFUSED {
        assert!(refusal.contains(wanted), "{manifest}: no {wanted:?} in\n{refusal}");
    }
    let spec = "{url: 'https://eu.api.konghq.com', tokenSecretRef: {name: konnect}}";
    let moved = format!("{{{head}, kind: KonnectConnection, metadata: {{name: acme}}, spec: {spec}}}\n");
    let refusal = world.kubectl(&apply, &moved).await.expect_err("the objects cannot move");
    assert!(refusal.contains("url cannot be changed"), "{refusal}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_takes_every_example_as_it_is() {
    let world = World::still("user-examples").await;
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    // kubectl reads YAML 1.1, in which an unquoted y is a truth value, and refuses what a schema does not know.
    for folder in [examples.to_owned(), format!("{examples}/changed")] {
        let taken = world.kubectl(&["apply", "--dry-run=server", "-f", &folder], "").await;
        taken.unwrap_or_else(|refused| panic!("{folder}: {refused}"));
    }
    world.end().await;
}

async fn get(router: axum::Router, path: &str) -> (StatusCode, String) {
    let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_readiness_and_metrics_are_served_without_the_names_of_objects() {
    let world = World::new("user-metrics").await;
    world.portal("a-very-own-name", json!({})).await;
    world.synced("Portal", "a-very-own-name").await;
    let router = serve::router(world.health.clone(), world.metrics.clone());
    assert_eq!(get(router.clone(), "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(get(router.clone(), "/readyz").await, (StatusCode::OK, "ok\n".to_owned()));
    let counted = |text: &str, name: &str, labels: [&str; 2]| {
        text.lines().any(|l| l.starts_with(name) && labels.iter().all(|label| l.contains(label)) && !l.ends_with(" 0"))
    };
    // The pass is counted after its status is written.
    let metrics = async || {
        let (_, text) = get(router.clone(), "/metrics").await;
        let passes = counted(&text, "portico_reconciles", [r#"kind="Portal""#, r#"outcome="created""#]);
        if passes { Ok(text) } else { Err(text) }
    };
    let text = eventually_ok("the pass is counted", metrics).await;
    assert!(counted(&text, "portico_remote_calls", ["POST", r#"status="201""#]), "{text}");
    assert!(counted(&text, "portico_gate_wait_seconds_count", ["konnect", ""]), "{text}");
    let portal = id(&world.only("a-very-own-name"));
    for name in ["a-very-own-name", world.namespace.as_str(), portal.as_str()] {
        assert!(!text.contains(name), "{name} in\n{text}");
    }
    world.end().await;
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let (status, text) = get(serve::router(Health::default(), std::sync::Arc::default()), "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("waiting for"), "{text}");
    let health = Health::default();
    health.expect(["portals.konnect.portico.dev".to_owned()]);
    health.missing("portals.konnect.portico.dev", "portals.konnect.portico.dev");
    let (status, text) = get(serve::router(health, std::sync::Arc::default()), "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("portals.konnect.portico.dev is not installed"), "{text}");
}

/// Runs the program with nothing but these variables around it.
fn portico(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_portico"));
    program.args(arguments).env_clear().envs(variables.iter().copied()).output().expect("the program starts")
}

#[test]
fn the_program_prints_its_crds_and_its_version() {
    let crds = portico(&["crds"], &[]);
    assert!(crds.status.success());
    let text = String::from_utf8(crds.stdout).unwrap();
    let kinds = portico::manifests::crds().len();
    assert_eq!(text.lines().filter(|l| *l == "kind: CustomResourceDefinition").count(), kinds, "{text}");
    let version = portico(&["--version"], &[]);
    assert!(version.status.success());
    assert_eq!(String::from_utf8(version.stdout).unwrap().trim(), concat!("portico ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn without_a_cluster_the_program_says_in_one_line_what_to_do() {
    let run = portico(&["run"], &[("KUBECONFIG", "/nowhere/kubeconfig"), ("HOME", "/nowhere")]);
    assert!(!run.status.success());
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("set KUBECONFIG"), "{said}");
}

#[test]
fn a_wrong_flag_is_named() {
    let wrong =
        [("--allow-host", "nonsense"), ("--owner-id", "no spaces"), ("--backoff", "soon"), ("--listen", "here")];
    for (flag, value) in wrong {
        let run = portico(&["run", flag, value], &[("KUBECONFIG", "/nowhere/kubeconfig"), ("HOME", "/nowhere")]);
        assert!(!run.status.success());
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(said.contains(flag) && said.contains(value), "{said}");
    }
}
