//! The list of kinds. CRDs, RBAC and tests follow from it.
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::{
    acp::{AcpConnection, AuthorizationServer, Consent, ConsentAction, OAuthClient},
    engine::{
        cache::Kinds,
        kind::{connection, kind},
    },
    konnect::{
        KonnectConnection, Portal, PortalAuditLogReplay, PortalAuditLogWebhook, PortalAuthentication,
        PortalCustomDomain, PortalDeveloper, PortalIdentityProvider, PortalProductVersion, PortalTeam,
    },
};

macro_rules! kinds {
    (connections: $($connection:ident),*; resources: $($resource:ident),*;) => {
        /// All kinds, for an operator.
        #[must_use]
        pub fn all() -> Kinds {
            Kinds { resources: vec![$(kind::<$resource>()),*], connections: vec![$(connection::<$connection>()),*] }
        }

        /// The CRDs as derived, before what all of them share is added.
        #[must_use]
        pub fn derived_crds() -> Vec<CustomResourceDefinition> {
            vec![$($connection::crd(),)* $($resource::crd()),*]
        }
    };
}

kinds! {
    connections: AcpConnection, KonnectConnection;
    resources: AuthorizationServer, Consent, ConsentAction, OAuthClient, Portal, PortalAuditLogReplay,
        PortalAuditLogWebhook, PortalAuthentication, PortalCustomDomain, PortalDeveloper, PortalIdentityProvider,
        PortalProductVersion, PortalTeam;
}
