//! What comes into being with every server, as recorded from real ones: claims, services, scopes and policies.

use serde_json::{Value, json};

use crate::seam::Seam;

const CLAIMS: [&str; 24] = [
    "acr",
    "address",
    "amr",
    "auth_time",
    "birthdate",
    "email",
    "email_verified",
    "family_name",
    "gender",
    "given_name",
    "groups",
    "locale",
    "middle_name",
    "name",
    "nickname",
    "phone_number",
    "phone_number_verified",
    "picture",
    "preferred_username",
    "profile",
    "sub",
    "updated_at",
    "website",
    "zoneinfo",
];
const SERVICES: [(&str, &[&str]); 3] = [
    ("Profile", &["address", "email", "phone", "profile"]),
    ("User Privacy & Consent", &["list_clients", "manage_consents", "revoke_client_access", "view_consents"]),
    ("OAuth2", &["introspect_tokens", "introspect_organization_tokens", "offline_access", "openid", "revoke_tokens"]),
];
const BLOCKED: [&str; 5] = ["api", "dcr", "developer", "machine", "user"];

/// The objects that belong to a server and came with it. They are shared by the states that a lagging list looks at.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(super) claims: Vec<Value>,
    pub(super) services: Vec<Value>,
    pub(super) scopes: Vec<Value>,
    pub(super) policies: Vec<Value>,
}

impl Made {
    pub(super) fn new(seam: &Seam, tenant: &str, server: &str) -> Self {
        let mut made = Self {
            claims: CLAIMS.iter().map(|name| claim(seam, tenant, server, name)).collect(),
            policies: policy_ids(server).into_iter().map(|id| policy(tenant, &id)).collect(),
            ..Self::default()
        };
        for (name, scopes) in SERVICES {
            let id = seam.fresh_id();
            made.scopes.extend(scopes.iter().map(|scope| {
                json!({
                    "id": seam.fresh_id(), "tenant_id": tenant, "authorization_server_id": server, "service_id": id,
                    "name": scope, "display_name": scope.replace('_', " "), "description": "",
                })
            }));
            made.services.push(json!({
                "id": id, "tenant_id": tenant, "authorization_server_id": server, "name": name, "description": "",
                "gateway_id": "", "with_specification": false,
            }));
        }
        made
    }

    pub(super) fn has_scope(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope["name"] == name)
    }

    pub(super) fn has_policy(&self, id: &str) -> bool {
        self.policies.iter().any(|policy| policy["id"] == id)
    }
}

/// The ids of the eleven policies that a server comes with.
pub(super) fn policy_ids(server: &str) -> Vec<String> {
    let mut ids: Vec<String> = BLOCKED.iter().map(|kind| format!("block_{server}_{kind}")).collect();
    for level in 1..=3 {
        for kind in ["api", "user"] {
            ids.push(format!("nist-aal-{level}_{server}_{kind}"));
        }
    }
    ids
}

fn claim(seam: &Seam, tenant: &str, server: &str, name: &str) -> Value {
    json!({
        "id": seam.fresh_id(), "tenant_id": tenant, "authorization_server_id": server, "name": name, "mapping": name,
        "type": "id_token", "scopes": [],
    })
}

fn policy(tenant: &str, id: &str) -> Value {
    let validator = if id.starts_with("block_") {
        json!({"name": "false", "conf": {}, "recovery": []})
    } else {
        let fields = json!([{"comparator": "contains", "field": "amr", "value": ["pwd"]}]);
        json!({"name": "identity-context", "conf": {"fields": fields}, "recovery": []})
    };
    json!({"id": id, "tenant_id": tenant, "policy_name": id.replace('_', " "), "validators": [validator]})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::Clock;

    #[test]
    fn a_server_comes_with_what_was_recorded() {
        let made = Made::new(&Seam::new(Clock::System, Some(1)), "acme", "one");
        let counts = (made.claims.len(), made.services.len(), made.scopes.len(), made.policies.len());
        assert_eq!(counts, (24, 3, 13, 11));
        assert!(made.has_policy("nist-aal-2_one_user") && made.has_policy("block_one_dcr"));
        assert!(made.has_scope("openid") && !made.has_scope("nothing"));
    }
}
