//! The Secrets that Portico writes. No type here has a `Debug`.
use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api,
    api::{DeleteParams, PostParams, Preconditions},
};
use tokio::time::Instant;

use super::{
    core::Engine,
    kubernetes::{FIELD_MANAGER, KubeError, Kubernetes},
};

/// Who made a Secret, as kubectl and dashboards show it.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "portico");

/// A Secret as it is, or as it is to be.
#[derive(Clone, Default, PartialEq)]
pub struct Stored {
    /// The UID; empty before it is made.
    pub uid: String,
    /// The version; empty before it is made.
    pub resource_version: String,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// Others' finalizers.
    pub finalizers: Option<Vec<String>>,
    /// Others' owners.
    pub owners: Option<Vec<OwnerReference>>,
    /// What stands in it.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl From<Secret> for Stored {
    fn from(secret: Secret) -> Self {
        let metadata = secret.metadata;
        Self {
            uid: metadata.uid.unwrap_or_default(),
            resource_version: metadata.resource_version.unwrap_or_default(),
            annotations: metadata.annotations.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            finalizers: metadata.finalizers,
            owners: metadata.owner_references,
            data: secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect(),
        }
    }
}

impl Stored {
    fn secret(&self, name: &str) -> Secret {
        let mut labels = self.labels.clone();
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            uid: Some(self.uid.clone()).filter(|uid| !uid.is_empty()),
            resource_version: Some(self.resource_version.clone()).filter(|version| !version.is_empty()),
            annotations: Some(self.annotations.clone()),
            labels: Some(labels),
            finalizers: self.finalizers.clone(),
            owner_references: self.owners.clone(),
            ..ObjectMeta::default()
        };
        let data = self.data.iter().map(|(key, value)| (key.clone(), ByteString(value.clone())));
        Secret { metadata, data: Some(data.collect()), type_: Some("Opaque".to_owned()), ..Secret::default() }
    }
}

impl Kubernetes {
    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client().clone(), namespace)
    }

    /// A Secret as it is now.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn read_secret(&self, namespace: &str, name: &str) -> Result<Option<Stored>, KubeError> {
        Ok(self.in_time(self.secrets(namespace).get_opt(name)).await?.map(Stored::from))
    }

    /// Makes a Secret.
    ///
    /// # Errors
    /// [`KubeError::Conflict`] where there is one of this name already.
    pub async fn create_secret(&self, namespace: &str, name: &str, secret: &Stored) -> Result<Stored, KubeError> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let fresh = Stored { uid: String::new(), resource_version: String::new(), ..secret.clone() };
        let api = self.secrets(namespace);
        match self.in_time(api.create(&params, &fresh.secret(name))).await {
            Ok(made) => Ok(made.into()),
            // It is the namespace that is gone: for callers `Gone` would mean that the resource is.
            Err(KubeError::Gone) => Err(KubeError::Other(format!("there is no namespace {namespace}"))),
            Err(error) => Err(error),
        }
    }

    /// Replaces a Secret that is still the one that was read, and that nobody has written since.
    ///
    /// # Errors
    /// [`KubeError::Conflict`] where it is not.
    pub async fn replace_secret(&self, namespace: &str, name: &str, secret: &Stored) -> Result<Stored, KubeError> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let api = self.secrets(namespace);
        match self.in_time(api.replace(name, &params, &secret.secret(name))).await {
            Ok(replaced) => Ok(replaced.into()),
            Err(KubeError::Gone) => Err(KubeError::Conflict),
            Err(error) => Err(error),
        }
    }

    /// Deletes a Secret that is still the one that was read. One that is gone is as good.
    ///
    /// # Errors
    /// [`KubeError::Conflict`] where somebody wrote it meanwhile.
    pub async fn delete_secret(&self, namespace: &str, name: &str, uid: &str, version: &str) -> Result<(), KubeError> {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: Some(version.to_owned()) };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.in_time(self.secrets(namespace).delete(name, &params)).await {
            Ok(_) | Err(KubeError::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Engine {
    /// Makes a Secret for the resource or connection of this UID. One without an answer may turn up later: what goes with its owner has to
    /// be looked for until then, or nobody would find it any more (law 5).
    ///
    /// # Errors
    /// As [`Kubernetes::create_secret`].
    pub(super) async fn make_secret(
        &self,
        uid: &str,
        namespace: &str,
        name: &str,
        secret: &Stored,
    ) -> Result<Stored, KubeError> {
        let made = self.kube.create_secret(namespace, name, secret).await;
        if matches!(made, Err(KubeError::Other(_))) {
            let until = Instant::now() + self.settings.consistency;
            self.remember(uid, |memory| memory.late_secret = Some(until));
        }
        made
    }

    /// Until when a Secret of this owner may turn up. It may lie in the past: nobody has looked since.
    pub(super) fn late_secret(&self, uid: &str) -> Option<Instant> {
        self.remember(uid, |memory| memory.late_secret)
    }
}
