//! The operations of the contracts, for those who count them.

use http::Method;

use crate::call;
use crate::contract::contract;

/// An operation of one of the contracts. ACP's token endpoint is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContractOperation {
    /// `konnect`, `konnect-portal` for what lives on a portal's own host, or `acp`.
    pub api: &'static str,
    /// The contract's id, unique in both contracts.
    pub id: &'static str,
    /// What the contract calls the object.
    pub resource: &'static str,
    /// Whether the sandbox implements it.
    pub implemented: bool,
}

/// All operations of both contracts, each in its contract's order.
#[must_use]
pub fn operations() -> Vec<ContractOperation> {
    contract()
        .operations
        .iter()
        .map(|operation| ContractOperation {
            api: operation.api,
            id: &operation.id,
            resource: &operation.resource,
            implemented: call::behaviour(operation).is_some(),
        })
        .collect()
}

/// The operation that a request means: the contract's id, `token` for ACP's token endpoint, or that of an operation that the
/// documents leave out; none for a path that no contract has.
#[must_use]
pub fn operation_of(method: &Method, path: &str) -> Option<&'static str> {
    contract().route(method, path).map(|route| route.operation.id.as_str())
}
