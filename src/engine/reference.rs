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
    /// The reference as one text, the same for the same words.
    #[must_use]
    pub fn text(&self) -> String {
        let target = &self.target;
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}/{}#{}", part(&target.namespace), part(&target.name), part(&target.id))
    }
}
