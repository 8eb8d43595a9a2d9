//! Cloudentity ACP's kinds: one file a kind, what users write and how it maps to the API.
mod authentication;
mod authorization_server;
mod connection;
mod consent;
mod consent_action;
mod credentials;
mod oauth_client;
mod public_key;

pub use authorization_server::{AuthorizationServer, AuthorizationServerSpec};
pub use connection::{AcpConnection, AcpConnectionSpec};
pub use consent::{Consent, ConsentSpec};
pub use consent_action::{ConsentAction, ConsentActionSpec};
pub use oauth_client::{OAuthClient, OAuthClientSpec};
