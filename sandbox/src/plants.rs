//! What can be planted in a sandbox.

use serde_json::Value;

/// What strangers make at ACP, each with the body of its create operation.
#[derive(Debug, Clone)]
pub enum AcpPlant {
    /// An authorization server.
    Server(Value),
    /// A client. Unlike for the API's users, `developer_id` and `system` are taken.
    Client(Value),
    /// A consent.
    Consent(Value),
    /// A consent action.
    ConsentAction(Value),
}

/// What strangers make at Konnect: people who sign up, other teams, other tools.
#[derive(Debug, Clone)]
pub enum Plant {
    /// A portal, with the body of `create-portal`.
    Portal(Value),
    /// A team in a portal, with the body of `create-portal-team`.
    Team {
        /// The portal's id.
        portal: String,
        /// The body of `create-portal-team`.
        body: Value,
    },
    /// A developer who signed up in a portal.
    Developer {
        /// The portal's id.
        portal: String,
        /// The developer's e-mail address, unique in the portal.
        email: String,
        /// `approved`, `pending`, `revoked` or `rejected`.
        status: String,
    },
    /// An identity provider of a portal, with the body of `create-portal-identity-provider` and perhaps `enabled`.
    IdentityProvider {
        /// The portal's id.
        portal: String,
        /// The body of `create-portal-identity-provider`.
        body: Value,
    },
    /// An API product, which roles may refer to.
    ApiProduct {
        /// What it is called.
        name: String,
    },
    /// The same under an id that is known beforehand, as manifests name one.
    ApiProductOfId {
        /// Its id, a UUID.
        id: String,
        /// What it is called.
        name: String,
    },
    /// A version of an API product, which portals may publish.
    ApiProductVersion {
        /// Its id, where it is to be known beforehand.
        id: Option<String>,
        /// The API product's id.
        product: String,
        /// What it is called.
        name: String,
    },
    /// An authentication strategy for applications, besides the one that every organization has.
    AuthStrategy {
        /// Its id, where it is to be known beforehand.
        id: Option<String>,
        /// What it is called.
        name: String,
        /// `key_auth`, `client_credentials` or `self_managed_client_credentials`.
        credential_type: String,
    },
    /// A product version in a portal, with the body of `create-portal-product-version`.
    PortalProductVersion {
        /// The portal's id.
        portal: String,
        /// The body of `create-portal-product-version`.
        body: Value,
    },
    /// The custom domain of a portal, with the body of `create-portal-custom-domain`. Its id is its hostname.
    CustomDomain {
        /// The portal's id.
        portal: String,
        /// The body of `create-portal-custom-domain`.
        body: Value,
    },
}
