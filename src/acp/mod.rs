//! Cloudentity ACP's kinds: one file a kind, what users write and how it maps to the API.
mod connection;

pub use connection::{AcpConnection, AcpConnectionSpec};
