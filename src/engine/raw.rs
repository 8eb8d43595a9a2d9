//! A custom resource as the cache holds it: typed metadata, everything else as JSON text.
//!
//! Decoding cannot fail for what an older CRD stored, so one such object stops neither its watch nor its siblings (law 11).
use std::borrow::Cow;

use kube::{
    Resource,
    core::{DynamicObject, DynamicResourceScope, ObjectMeta},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::Value;

use super::{
    key::{Info, Key},
    spec::{FINALIZER, annotations},
    status::Status,
};

/// A custom resource of any kind.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The metadata, without managed fields and kubectl's last-applied copy (they are most of an object's size).
    pub metadata: ObjectMeta,
    body: Box<str>,
}

impl Raw {
    /// Everything but the metadata.
    #[must_use]
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The object as its own type.
    ///
    /// # Errors
    /// The field that does not fit.
    pub fn typed<K: DeserializeOwned>(&self) -> Result<K, String> {
        if let Some(typed) = self.whole().and_then(|whole| serde_json::from_str(&whole).ok()) {
            return Ok(typed);
        }
        // The long way knows the field that does not fit.
        let mut whole = self.body();
        whole["metadata"] = serde_json::to_value(&self.metadata).map_err(|e| e.to_string())?;
        decode(whole)
    }

    /// The whole object as text; none for one that has nothing but metadata.
    fn whole(&self) -> Option<String> {
        let metadata = serde_json::to_string(&self.metadata).ok()?;
        let rest = self.body.strip_prefix('{').filter(|rest| *rest != "}")?;
        Some(format!(r#"{{"metadata":{metadata},{rest}"#))
    }

    /// A part of the spec that does not depend on the kind.
    ///
    /// # Errors
    /// The field that does not fit.
    pub fn spec<T: DeserializeOwned>(&self) -> Result<T, String> {
        match serde_json::from_str(&self.body) {
            Ok(Spec { spec }) => Ok(spec),
            // The long way knows the field that does not fit.
            Err(_) => decode(self.body()["spec"].take()),
        }
    }

    /// The status, with what only the kind has as a map. A status that does not fit counts as none.
    #[must_use]
    pub fn status(&self) -> Status {
        serde_json::from_str(&self.body).map(|Stored { status }| status).unwrap_or_default()
    }

    /// The status as it is stored.
    #[must_use]
    pub fn status_value(&self) -> Value {
        self.body()["status"].take()
    }

    /// Unique over all time; empty only for an object that never was on a server.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The namespace; all kinds have one.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The key of this object among all kinds.
    #[must_use]
    pub fn key(&self, info: &Info) -> Key {
        Key::new(info.kind, self.namespace(), self.name())
    }

    /// The generation of the spec.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.metadata.generation.unwrap_or_default()
    }

    /// The version of the object as a number; the API server promises since 1.35 that newer is larger.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or_default()
    }

    /// Whether the object is being deleted.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether Portico's finalizer is there.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.metadata.finalizers.iter().flatten().any(|f| f == FINALIZER)
    }

    /// An annotation.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether the user wants the object left alone.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.annotation(annotations::PAUSED) == Some("true")
    }

    /// What a user changes: everything else is our own writing and wakes nothing.
    #[must_use]
    pub fn is_same_for_users(&self, other: &Self) -> bool {
        let ours = |raw: &Self| -> Vec<(String, String)> {
            let all = raw.metadata.annotations.iter().flatten();
            all.filter(|(k, _)| k.starts_with(annotations::PREFIX)).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        self.metadata.uid == other.metadata.uid
            && self.metadata.generation == other.metadata.generation
            && self.is_deleting() == other.is_deleting()
            && ours(self) == ours(other)
    }
}

/// The spec alone: what else there is is skipped, not built.
#[derive(Deserialize)]
struct Spec<T> {
    spec: T,
}

/// The status alone.
#[derive(Deserialize)]
struct Stored {
    status: Status,
}

/// Decodes, and names the field where that fails.
fn decode<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|e| format!("{}: {}", e.path(), e.inner()))
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let DynamicObject { mut metadata, mut data, types } = DynamicObject::deserialize(deserializer)?;
        metadata.managed_fields = None;
        if let Some(annotations) = &mut metadata.annotations {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
        if let (Value::Object(data), Some(types)) = (&mut data, types) {
            data.insert("apiVersion".into(), types.api_version.into());
            data.insert("kind".into(), types.kind.into());
        }
        Ok(Self { metadata, body: data.to_string().into() })
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("metadata", &self.metadata)?;
        map.end()
    }
}

impl Resource for Raw {
    type DynamicType = &'static Info;
    type Scope = DynamicResourceScope;

    fn kind(info: &&'static Info) -> Cow<'static, str> {
        info.kind.into()
    }
    fn group(info: &&'static Info) -> Cow<'static, str> {
        info.group.into()
    }
    fn version(info: &&'static Info) -> Cow<'static, str> {
        info.version.into()
    }
    fn plural(info: &&'static Info) -> Cow<'static, str> {
        info.plural.into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
