//! Every request to the API server, each with a deadline and, for writes, with the UID that it is meant for.
use std::{future::Future, time::Duration};

use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::{key::Info, raw::Raw, spec::FINALIZER};

/// Who Portico is in `managedFields`.
pub const FIELD_MANAGER: &str = "portico";

/// A client as Portico needs it: it says who it is, and never repeats a write by itself (kube's own retry turns a write that was
/// committed into a 409).
#[must_use]
pub fn configure(mut config: kube::Config) -> kube::Config {
    config.default_retry = false;
    let agent = http::HeaderValue::from_static(concat!("portico/", env!("CARGO_PKG_VERSION")));
    config.headers.push((http::header::USER_AGENT, agent));
    config
}

/// Why a request to the API server brought nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KubeError {
    /// The object is not there, or one of another UID is.
    #[error("the object is gone")]
    Gone,
    /// Someone else wrote in between.
    #[error("the object has changed meanwhile")]
    Conflict,
    /// The API server does not take what is written.
    #[error("Kubernetes refuses: {0}")]
    Invalid(String),
    /// RBAC refuses.
    #[error("Kubernetes refuses: {0}")]
    Forbidden(String),
    /// Anything else.
    #[error("Kubernetes: {0}")]
    Other(String),
}

impl From<kube::Error> for KubeError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                404 => Self::Gone,
                409 => Self::Conflict,
                // So the API server answers a patch that is meant for another UID.
                422 if status.message.contains("metadata.uid") => Self::Gone,
                422 => Self::Invalid(status.message),
                403 => Self::Forbidden(status.message),
                _ => Self::Other(status.message),
            },
            other => Self::Other(other.to_string()),
        }
    }
}

/// What must still hold for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// It is still the same object.
    Uid,
    /// It is still the same object, and nobody wrote in between.
    Version,
}

/// The way to the API server.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    pub(super) deadline: Duration,
}

impl Kubernetes {
    /// A way with a deadline for each request.
    #[must_use]
    pub fn new(client: Client, deadline: Duration) -> Self {
        Self { client, deadline }
    }

    /// The client, for watches.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// An object as it is now.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn get(&self, info: &'static Info, namespace: &str, name: &str) -> Result<Option<Raw>, KubeError> {
        let api = Api::<Raw>::namespaced_with(self.client.clone(), namespace, &info);
        self.in_time(api.get_opt(name)).await
    }

    /// Adds Portico's finalizer, if nobody wrote in between.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn hold(&self, info: &'static Info, object: &Raw) -> Result<Raw, KubeError> {
        let finalizers = object.metadata.finalizers.iter().flatten().map(String::as_str).chain([FINALIZER]);
        self.patch_finalizers(info, object, finalizers.collect()).await
    }

    /// Removes Portico's finalizer, if nobody wrote in between.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn release(&self, info: &'static Info, object: &Raw) -> Result<Raw, KubeError> {
        let finalizers = object.metadata.finalizers.iter().flatten().map(String::as_str).filter(|f| *f != FINALIZER);
        self.patch_finalizers(info, object, finalizers.collect()).await
    }

    async fn patch_finalizers(
        &self,
        info: &'static Info,
        object: &Raw,
        finalizers: Vec<&str>,
    ) -> Result<Raw, KubeError> {
        let metadata = json!({ "uid": object.uid(), "resourceVersion": object.metadata.resource_version, "finalizers": finalizers });
        let api = Api::<Raw>::namespaced_with(self.client.clone(), object.namespace(), &info);
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        self.in_time(api.patch(
            object.name(),
            &PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() },
            &patch,
        ))
        .await
    }

    /// Writes what differs between two statuses; none where nothing does.
    ///
    /// # Errors
    /// [`KubeError`]; [`KubeError::Conflict`] where the precondition does not hold.
    pub async fn patch_status(
        &self,
        info: &'static Info,
        object: &Raw,
        status: &Value,
        precondition: Precondition,
    ) -> Result<Option<Raw>, KubeError> {
        let Some(change) = merge_patch(&object.status_value(), status) else { return Ok(None) };
        let mut metadata = json!({ "uid": object.uid() });
        if precondition == Precondition::Version {
            metadata["resourceVersion"] = json!(object.metadata.resource_version);
        }
        let patch = Patch::Merge(json!({ "metadata": metadata, "status": change }));
        let api = Api::<Raw>::namespaced_with(self.client.clone(), object.namespace(), &info);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let answer = self.in_time(api.patch_status(object.name(), &params, &patch)).await?;
        // Of a custom resource's status the API server checks no UID (apiextensions-apiserver's status strategy takes the old metadata
        // back first). What landed in the next object of the name counts for nothing there: its recipe has another UID.
        if answer.uid() == object.uid() { Ok(Some(answer)) } else { Err(KubeError::Gone) }
    }

    /// A key of a Secret, and the version of the Secret.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn secret(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<Option<(SecretString, String)>, KubeError> {
        let secret = self.in_time(Api::<Secret>::namespaced(self.client.clone(), namespace).get_opt(name)).await?;
        let Some(secret) = secret else { return Ok(None) };
        let metadata = secret.metadata;
        let version = format!("{}/{}", metadata.uid.unwrap_or_default(), metadata.resource_version.unwrap_or_default());
        let bytes = secret.data.and_then(|mut data| data.remove(key));
        // A token pasted by `echo` ends in a newline, which no header may hold.
        let text = bytes.and_then(|b| String::from_utf8(b.0).ok());
        // A placeholder that is still empty is not there yet.
        let text = text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty());
        Ok(text.map(|text| (SecretString::from(text), version)))
    }

    /// A key of a `ConfigMap`.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn config_map(&self, namespace: &str, name: &str, key: &str) -> Result<Option<Vec<u8>>, KubeError> {
        let map = self.in_time(Api::<ConfigMap>::namespaced(self.client.clone(), namespace).get_opt(name)).await?;
        Ok(map.and_then(|m| {
            let text = m.data.and_then(|mut d| d.remove(key)).map(String::into_bytes);
            text.or_else(|| m.binary_data.and_then(|mut d| d.remove(key)).map(|b| b.0))
        }))
    }

    /// Whether the CRD of a kind is there and not being deleted. Read live, before a remote delete (law 6).
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn is_crd_live(&self, info: &'static Info) -> Result<bool, KubeError> {
        let crd = self
            .in_time(Api::<CustomResourceDefinition>::all(self.client.clone()).get_metadata_opt(&info.crd()))
            .await?;
        Ok(crd.is_some_and(|crd| crd.metadata.deletion_timestamp.is_none()))
    }

    /// The UID of a namespace, and whether it is being deleted.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn namespace(&self, name: &str) -> Result<Option<(String, bool)>, KubeError> {
        let namespace = self.in_time(Api::<Namespace>::all(self.client.clone()).get_metadata_opt(name)).await?;
        Ok(namespace.map(|n| (n.metadata.uid.unwrap_or_default(), n.metadata.deletion_timestamp.is_some())))
    }

    pub(super) async fn in_time<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, KubeError> {
        match tokio::time::timeout(self.deadline, request).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(KubeError::Other("the API server did not answer in time".to_owned())),
        }
    }
}

/// A JSON merge patch (RFC 7386) that turns one value into another; none where they are equal.
#[must_use]
pub fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let mut patch = Map::new();
    for (key, value) in after {
        match before.get(key) {
            Some(old) => {
                if let Some(change) = merge_patch(old, value) {
                    patch.insert(key.clone(), change);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_patch_holds_only_what_changed_and_nothing_when_nothing_did() {
        let old = json!({"id": "a", "gone": 1, "remote": {"path": "x", "uid": "u"}, "conditions": [1]});
        let new = json!({"id": "a", "remote": {"path": "y", "uid": "u"}, "conditions": [2], "fresh": true});
        assert_eq!(
            merge_patch(&old, &new),
            Some(json!({"gone": null, "remote": {"path": "y"}, "conditions": [2], "fresh": true}))
        );
        assert_eq!(merge_patch(&new, &new.clone()), None);
    }
}
