//! Operations that the documents leave out and the API has. They are none of those that are counted.

use serde_json::json;

use super::{Described, Operation};

pub(super) fn load() -> Vec<Operation> {
    let described = json!([{
        "key": "delete-portal-custom-domain",
        "resource": "PortalCustomDomain",
        "method": "DELETE",
        "path": "/portals/{portalId}/custom-domain",
        "base_url": "https://{region}.api.konghq.com/v3",
        "auth": "bearer",
        "path_params": [{"name": "portalId", "format": "uuid"}],
        "success_status": 204,
    }]);
    let described: Vec<Described> = serde_json::from_value(described).expect("it has all that an operation must have");
    described.into_iter().map(Operation::new).collect()
}
