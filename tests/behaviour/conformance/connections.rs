//! Connections: what they cost, and every field of theirs, changed alone. Nothing at the API stands for one.
use serde_json::{Value, json};

use super::{case::kebab, fixtures::Bench, life::rests, table::Table};

const NOTHING: [String; 0] = [];
/// The ending of the Secrets that hold the same values under another name.
const COPY: &str = "-copy";
/// What stands in the table where there is nothing to differ.
const NO_OBJECT: &str = "there is no object";

pub(crate) async fn connects(kind: &'static str) {
    let mut bench = Bench::new(kind, "connects", "1s").await;
    let name = bench.case.name.clone();
    bench.world.sandbox.reset_exchanges();
    bench.world.create(kind, &name, bench.case.spec(&name)).await;
    bench.world.synced(kind, &name).await;
    bench.world.flush_audit().await;
    assert_eq!(bench.writes(), NOTHING, "writes to the API for a connection");
    let plural = &bench.case.plural;
    let expected = [format!("patch {plural} {name}"), format!("patch {plural}/status {name}")];
    assert_eq!(bench.resource_writes(&name), expected);
    rests(&mut bench, None).await;
    bench.world.sandbox.reset_exchanges();
    let file = format!("conformance-{}", kebab(kind));
    let mut table = Table::new(&file, &["kind", "field", "applied", "drift found", "restored"]);
    let common = common(&bench).await;
    bench.copy_secrets(COPY, false).await;
    for (field, schema) in bench.case.schema["properties"].as_object().expect("a spec has fields") {
        println!("{kind} {field}");
        let other = common.get(field).cloned().or_else(|| copied(&bench.case.example[field]));
        let applied = match other {
            Some(other) => is_taken(&bench, field, &other).await,
            None => is_refused(&bench, field, schema).await,
        };
        table.row([kind, field, applied, NO_OBJECT, NO_OBJECT]);
    }
    bench.world.delete(kind, &name).await;
    bench.world.gone(kind, &name).await;
    assert_eq!(bench.writes(), NOTHING, "writes to the API for a connection");
    table.assert_full();
    bench.world.end().await;
}

/// Other values of what all connections have.
async fn common(bench: &Bench) -> Value {
    let address = "127.0.0.1:0".parse().expect("an address");
    let server = bench.world.sandbox.serve_tls(address).await.expect("a port is free");
    let authority = server.ca_pem().expect("it has an authority of its own");
    let authorities = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authorities"}, "data": {"ca.crt": authority},
    });
    bench.apply("ConfigMap", "configmaps", &authorities).await;
    json!({
        "allowAdoption": true,
        "allowedNamespaces": {"from": "All"},
        "caBundleRef": {"configMap": "authorities"},
        "mode": "Observe",
        "rateLimit": {"requestsPerSecond": 999, "burst": 999},
        "requestTimeout": "2s",
        "resyncInterval": "2s",
    })
}

/// The same with copies of the Secrets that it names; none where it names none.
fn copied(value: &Value) -> Option<Value> {
    let mut copy = value.clone();
    let mut open = vec![&mut copy];
    while let Some(value) = open.pop() {
        let Value::Object(members) = value else { continue };
        for (key, member) in members {
            match member {
                Value::String(name) if key == "name" => name.push_str(COPY),
                member => open.push(member),
            }
        }
    }
    (copy != *value).then_some(copy)
}

/// A change is taken, and taken back.
async fn is_taken(bench: &Bench, field: &str, other: &Value) -> &'static str {
    let (world, kind, name) = (&bench.world, bench.case.kind, bench.case.name.as_str());
    for value in [other, &bench.case.example[field]] {
        world.spec(kind, name, json!({ field: value })).await;
        world.synced(kind, name).await;
    }
    "yes"
}

/// The API server refuses: the field says where the objects are, or another one stands in its place.
async fn is_refused(bench: &Bench, field: &str, schema: &Value) -> &'static str {
    let present = &bench.case.example[field];
    let mut choices = schema["enum"].as_array().into_iter().flatten();
    let other = match choices.find(|choice| *choice != present) {
        Some(choice) => choice.clone(),
        None if schema["type"] == "object" => json!({"name": "another", "key": "another"}),
        None if present.as_str().is_some_and(|text| text.starts_with("http")) => json!("https://elsewhere.example.com"),
        None => json!("another"),
    };
    let patch = json!({"spec": { field: other }});
    let refused = bench.world.try_patch(bench.case.kind, &bench.case.name, patch).await;
    let Err(refusal) = refused else { return "" };
    if refusal.contains(&format!("{field} cannot be")) {
        return "when made; then refused";
    }
    let instead = refusal.contains("exactly one of") && refusal.contains(field);
    assert!(instead, "{field} is refused: {refusal}");
    "only in the place of another"
}
