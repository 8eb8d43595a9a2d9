//! The kinds, as their CRDs say: prepared once for all worlds.
use std::sync::LazyLock;

use portico::manifests;
use portico_testbed::simulated::Simulated;
use serde_json::{Map, Value};

/// A kind.
struct Known {
    kind: &'static str,
    /// Plural and group.
    resource: &'static str,
    definition: Value,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let leaked = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let known = manifests::crds().into_iter().map(|crd| Known {
        kind: leaked(&crd.spec.names.kind),
        resource: leaked(crd.metadata.name.as_deref().unwrap_or_default()),
        definition: simplified(&serde_json::to_value(&crd).expect("a CRD is JSON")),
    });
    known.collect()
});

static KINDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| KNOWN.iter().map(|known| known.kind).collect());

/// The names of all kinds.
pub(crate) fn kinds() -> &'static [&'static str] {
    &KINDS
}

/// Plural and group of a kind; empty where it is not known.
pub(crate) fn resource(kind: &str) -> &'static str {
    match kind {
        "Secret" => "secrets",
        "ConfigMap" => "configmaps",
        "Namespace" => "namespaces",
        _ => KNOWN.iter().find(|known| known.kind == kind).map_or("", |known| known.resource),
    }
}

/// The kind of plural and group, if it is one of Portico's.
pub(crate) fn kind_of(resource: &str) -> Option<&'static str> {
    KNOWN.iter().find(|known| known.resource == resource).map(|known| known.kind)
}

/// Installs all CRDs.
pub(crate) fn install_all(kubernetes: &Simulated) {
    for known in KNOWN.iter() {
        kubernetes.create("installer", known.definition.clone()).expect("nothing is installed yet");
    }
}

/// Installs the CRD of a kind; one that is there stays as it is.
pub(crate) fn install(kubernetes: &Simulated, kind: &str) {
    if let Some(known) = KNOWN.iter().find(|known| known.kind == kind) {
        // It may not be gone yet; then whoever asked tries again, or does without.
        let _ = kubernetes.create("installer", known.definition.clone());
    }
}

/// Without what is only for people to read, and the rules that the simulated API server does not check: every world copies it.
fn simplified(definition: &Value) -> Value {
    match definition {
        Value::Object(members) => {
            let kept = members.iter().filter(|(key, value)| match key.as_str() {
                // A property may be called like this, too; its value is a schema.
                "description" => !value.is_string(),
                "x-kubernetes-validations" | "additionalPrinterColumns" => !value.is_array(),
                _ => true,
            });
            Value::Object(kept.map(|(key, value)| (key.clone(), simplified(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(simplified).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_are_known_by_name_and_by_resource() {
        assert_eq!(resource("Portal"), "portals.konnect.portico.dev");
        assert_eq!(kind_of("portals.konnect.portico.dev"), Some("Portal"));
        assert_eq!((resource("Secret"), kind_of("secrets"), resource("Pod")), ("secrets", None, ""));
        assert!(kinds().contains(&"AcpConnection"));
    }

    #[test]
    fn a_property_that_is_called_description_stays() {
        let schema =
            json!({"description": "words", "properties": {"description": {"type": "string", "description": "words"}}});
        assert_eq!(simplified(&schema), json!({"properties": {"description": {"type": "string"}}}));
    }
}
