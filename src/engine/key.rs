//! How the engine names a resource among all kinds.
use std::{fmt, sync::Arc};

/// What Kubernetes needs to know about a kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Info {
    /// `konnect.portico.dev`.
    pub group: &'static str,
    /// `v1alpha1`.
    pub version: &'static str,
    /// `Portal`; unique among all groups.
    pub kind: &'static str,
    /// `portals`.
    pub plural: &'static str,
}

impl Info {
    /// The name of the CRD.
    #[must_use]
    pub fn crd(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }
}

/// A resource of any kind, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The kind.
    pub kind: &'static str,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Key {
    /// A key.
    #[must_use]
    pub fn new(kind: &'static str, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Something that a resource depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Another resource.
    Resource(Key),
    /// A Secret, by namespace and name.
    Secret(String, String),
    /// A `ConfigMap`, by namespace and name.
    ConfigMap(String, String),
}
