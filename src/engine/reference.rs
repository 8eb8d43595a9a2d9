//! How a spec refers to other resources, and to objects that Portico does not manage.
use std::{fmt, marker::PhantomData};

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A connection in the same or another namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionRef {
    /// The name of the connection.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Left out: the namespace of this resource. A connection elsewhere must allow this namespace in its `spec.allowedNamespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// A reference by name to a resource, or by id to an object that Portico does not manage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.name) != has(self.id)").message("give exactly one of name (a resource) and id (an object at the API)"),
    validation = Rule::new("!has(self.namespace) || has(self.name)").message("namespace goes with name"),
)]
pub struct Target {
    /// The name of the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// The namespace of the resource. Left out: the namespace of the resource that refers to it. A resource elsewhere must allow this namespace in its `spec.allowedNamespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The id at the API of an object that Portico does not manage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub id: Option<String>,
}

/// A [`Target`] that knows in its type which kind it names.
pub struct Ref<K> {
    /// What is referred to.
    pub target: Target,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Ref<K> {
    fn clone(&self) -> Self {
        Self { target: self.target.clone(), kind: PhantomData }
    }
}
impl<K> fmt::Debug for Ref<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}
impl<K> PartialEq for Ref<K> {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target
    }
}
impl<K> Serialize for Ref<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.target.serialize(serializer)
    }
}
impl<'de, K> Deserialize<'de> for Ref<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { target: Target::deserialize(deserializer)?, kind: PhantomData })
    }
}
impl<K> JsonSchema for Ref<K> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Target::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Target::json_schema(generator)
    }
}

impl<K> Ref<K> {
    /// The reference as one text, the same for the same target: a resource is named with its namespace. Where the reference names none, that
    /// is `own`, the namespace of the resource that refers to it.
    #[must_use]
    pub fn text(&self, own: Option<&str>) -> String {
        match &self.target {
            Target { id: Some(id), .. } => format!("#{id}"),
            Target { name, namespace, .. } => {
                let namespace = namespace.as_deref().or(own).unwrap_or_default();
                format!("{namespace}/{}", name.as_deref().unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_a_resource_with_its_namespace_and_who_lives_in_it_mean_the_same() {
        let text = |name: Option<&str>, namespace: Option<&str>, id: Option<&str>, own: &str| {
            let [name, namespace, id] = [name, namespace, id].map(|part| part.map(str::to_owned));
            Ref::<()> { target: Target { name, namespace, id }, kind: PhantomData }.text(Some(own))
        };
        assert_eq!(text(Some("docs"), None, None, "web"), text(Some("docs"), Some("web"), None, "other"));
        assert_ne!(text(Some("docs"), None, None, "web"), text(Some("docs"), None, None, "other"));
        // An id is the same wherever it is written.
        assert_eq!(text(None, None, Some("1"), "web"), text(None, None, Some("1"), "other"));
        assert_ne!(text(None, None, Some("1"), "web"), text(Some("1"), None, None, "web"));
    }
}
