//! What the laws know of the kinds by themselves: where their objects are, what tells one from another, and which operations they need.
//! None of it comes from the engine, so that an error there does not hide here as well.
use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    seen::Api,
    world::{ORGANIZATION, TENANT},
};

/// How the objects of a kind come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Made by POST; the API chooses the id.
    Collection,
    /// Made by POST under an id that the client chooses.
    Keyed,
    /// Made and replaced by PUT under an id that somebody else chose.
    Upsert,
    /// Made by people; only found.
    Claimed,
    /// There as long as its portal.
    Singleton,
    /// At most one a portal, made and deleted.
    Sole,
    /// Done once.
    Action,
}

/// What is known of a kind. Empty texts stand for what it does not have.
pub(crate) struct Sort {
    pub(crate) kind: &'static str,
    pub(crate) api: Api,
    pub(crate) shape: Shape,
    /// The word in paths.
    pub(crate) word: &'static str,
    /// The list, or the member, in the sandbox's state.
    pub(crate) list: &'static str,
    /// The member of an object that holds its id.
    pub(crate) id: &'static str,
    /// The member of an object that people tell it from others by, and the field of the spec that says it.
    pub(crate) key: (&'static str, &'static str),
    /// The field of the spec with which a user chooses the id.
    pub(crate) chosen: &'static str,
    /// The reference to the parent.
    pub(crate) parent: &'static str,
    /// Whether the object stays when the resource is deleted, unless the spec says otherwise.
    pub(crate) retains: bool,
    /// The operations of its passes.
    pub(crate) operations: &'static [&'static str],
}

macro_rules! sort {
    ($kind:literal, $api:ident, $shape:ident, $word:literal, $list:literal, $id:literal, $key:expr, $chosen:literal, $parent:literal, $retains:literal, [$($operation:literal),*]) => {
        Sort {
            kind: $kind,
            api: Api::$api,
            shape: Shape::$shape,
            word: $word,
            list: $list,
            id: $id,
            key: $key,
            chosen: $chosen,
            parent: $parent,
            retains: $retains,
            operations: &[$($operation),*],
        }
    };
}

/// All kinds but the connections.
#[rustfmt::skip]
pub(crate) static SORTS: [Sort; 13] = [
    sort!("Portal", Konnect, Collection, "portals", "portals", "id", ("name", "name"), "", "", false,
        ["list-portals", "create-portal", "get-portal", "update-portal", "delete-portal", "verify-portal-domains"]),
    sort!("PortalTeam", Konnect, Collection, "teams", "teams", "id", ("name", "name"), "", "portalRef", false,
        ["list-portal-teams", "create-portal-team", "get-portal-team", "update-portal-team", "delete-portal-team", "list-portal-team-roles",
         "assign-role-to-portal-teams", "remove-role-from-portal-team", "list-portal-team-developers", "add-developer-to-portal-team",
         "remove-developer-from-portal-team", "list-portal-developers", "list-portal-team-group-mappings", "update-portal-team-group-mappings"]),
    sort!("PortalIdentityProvider", Konnect, Collection, "identity-providers", "identity_providers", "id", ("type", "type"), "", "portalRef", false,
        ["get-portal-identity-providers", "create-portal-identity-provider", "get-portal-identity-provider", "update-portal-identity-provider",
         "delete-portal-identity-provider"]),
    sort!("PortalDeveloper", Konnect, Claimed, "developers", "developers", "id", ("email", "email"), "", "portalRef", true,
        ["list-portal-developers", "get-developer", "update-developer", "delete-developer", "list-portal-developer-teams"]),
    sort!("PortalProductVersion", Konnect, Upsert, "product-versions", "product_versions", "product_version_id",
        ("product_version_id", "productVersionId"), "productVersionId", "portalRef", false,
        ["list-portal-product-versions", "get-portal-product-version", "replace-portal-product-version", "update-portal-product-version",
         "delete-portal-product-version"]),
    sort!("PortalAuthentication", Konnect, Singleton, "authentication-settings", "authentication_settings", "", ("", ""), "", "portalRef", true,
        ["get-portal-authentication-settings", "update-portal-authentication-settings"]),
    sort!("PortalAuditLogReplay", Konnect, Action, "audit-log-replay-job", "audit_log_replay_job", "", ("", ""), "", "portalRef", true,
        ["get-portal-audit-log-replay-job", "update-portal-audit-log-replay-job"]),
    sort!("PortalAuditLogWebhook", Konnect, Singleton, "audit-log-webhook", "audit_log_webhook", "", ("", ""), "", "portalRef", true,
        ["get-portal-audit-log-webhook", "update-portal-audit-log-webhook", "get-portal-audit-log-webhook-status"]),
    sort!("PortalCustomDomain", Konnect, Sole, "custom-domain", "custom_domain_v3", "", ("", ""), "", "portalRef", false,
        ["get-portal-custom-domain", "create-portal-custom-domain", "update-portal-custom-domain", "delete-portal-custom-domain"]),
    sort!("AuthorizationServer", Acp, Keyed, "servers", "servers", "id", ("", ""), "id", "", false,
        ["listAuthorizationServers", "createAuthorizationServer", "getAuthorizationServer", "updateAuthorizationServer",
         "deleteAuthorizationServer", "updateAuthentications", "listDashboards"]),
    sort!("OAuthClient", Acp, Keyed, "clients", "clients", "client_id", ("", ""), "clientId", "serverRef", false,
        ["listClients", "createClient", "getClient", "updateClient", "deleteClient"]),
    sort!("Consent", Acp, Keyed, "consents", "consents", "id", ("", ""), "id", "", false,
        ["listConsents", "createConsent", "getConsent", "updateConsent", "deleteConsent"]),
    sort!("ConsentAction", Acp, Keyed, "actions", "consent_actions", "id", ("", ""), "id", "", false,
        ["listConsentActions", "createConsentAction", "getConsentAction", "updateConsentAction", "deleteConsentAction"]),
];

/// What is known of a kind; none for connections.
pub(crate) fn sort(kind: &str) -> Option<&'static Sort> {
    SORTS.iter().find(|sort| sort.kind == kind)
}

/// The kind that a reference such as `portalRef` names.
pub(crate) fn referred(field: &str, api: Api) -> Option<&'static str> {
    match field {
        "portalRef" => Some("Portal"),
        "serverRef" => Some("AuthorizationServer"),
        "consentRef" => Some("Consent"),
        "connectionRef" => Some(connection(api)),
        _ => None,
    }
}

/// The kind of connections to an API.
pub(crate) fn connection(api: Api) -> &'static str {
    match api {
        Api::Konnect => "KonnectConnection",
        Api::Acp => "AcpConnection",
    }
}

impl Sort {
    /// Whether each portal has at most one of it.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self.shape, Shape::Singleton | Shape::Sole | Shape::Action)
    }

    /// The collection below a parent, or the object where there is at most one; as recipes write it.
    pub(crate) fn collection(&self, parent: &str) -> String {
        match (self.api, self.kind, self.shape) {
            (Api::Acp, ..) => format!("/{}", self.word),
            (_, "Portal", _) => "/v2/portals".to_owned(),
            (.., Shape::Sole) => format!("/v3/portals/{parent}/{}", self.word),
            _ => format!("/v2/portals/{parent}/{}", self.word),
        }
    }
}

/// What a request is about.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) sort: &'static Sort,
    /// The portal that it is below.
    pub(crate) portal: Option<String>,
    /// The object, as recipes write it; the collection where it is about none.
    pub(crate) path: String,
    /// None: it is about the collection.
    pub(crate) id: Option<String>,
    /// What follows the object in the path: a list of its parts.
    pub(crate) rest: Vec<String>,
}

/// What a request to this path is about; none where it is about no kind's objects.
pub(crate) fn place(api: Api, path: &str) -> Option<Place> {
    let path = match api {
        Api::Konnect => path,
        Api::Acp => path.strip_prefix("/api/admin/")?.strip_prefix(TENANT)?,
    };
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let (sort, portal, prefix, below) = match (api, parts.as_slice()) {
        (Api::Acp, [word, below @ ..]) => (of(api, word)?, None, format!("/{word}"), below),
        (Api::Konnect, [_, "portals", portal, word, below @ ..]) => {
            let sort = of(api, word).filter(|sort| sort.kind != "Portal")?;
            (sort, Some((*portal).to_owned()), sort.collection(portal), below)
        }
        (Api::Konnect, ["v2", "portals", below @ ..]) => (&SORTS[0], None, "/v2/portals".to_owned(), below),
        _ => return None,
    };
    let owned = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
    if sort.is_single() {
        let id = portal.clone();
        return Some(Place { sort, portal, path: prefix, id, rest: owned(below) });
    }
    Some(match below {
        [] => Place { sort, portal, path: prefix, id: None, rest: Vec::new() },
        [id, rest @ ..] => {
            Place { sort, portal, path: format!("{prefix}/{id}"), id: Some((*id).to_owned()), rest: owned(rest) }
        }
    })
}

fn of(api: Api, word: &str) -> Option<&'static Sort> {
    SORTS.iter().find(|sort| sort.api == api && sort.word == word)
}

/// All objects that the sandbox shows, by their paths as recipes write them.
pub(crate) fn objects(state: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    for (sort, path, object) in in_order(state) {
        debug_assert!(path.starts_with('/'), "{} has a path", sort.kind);
        found.insert(path, object);
    }
    found
}

/// The same in the order in which they were made, kind by kind within their portals.
pub(crate) fn in_order(state: &Value) -> Vec<(&'static Sort, String, &Value)> {
    let mut found = Vec::new();
    for portal in items(&state["organizations"][ORGANIZATION]["portals"]) {
        let id = text(&portal["id"]);
        found.push((&SORTS[0], format!("/v2/portals/{id}"), portal));
        for sort in SORTS.iter().filter(|sort| sort.parent == "portalRef") {
            let (here, collection) = (&portal[sort.list], sort.collection(id));
            if !sort.is_single() {
                found.extend(items(here).map(|item| (sort, format!("{collection}/{}", text(&item[sort.id])), item)));
            } else if !here.is_null() {
                found.push((sort, collection, here));
            }
        }
    }
    for sort in SORTS.iter().filter(|sort| sort.api == Api::Acp) {
        let list = items(&state["tenants"][TENANT][sort.list]);
        found.extend(list.map(|item| (sort, format!("/{}/{}", sort.word, text(&item[sort.id])), item)));
    }
    found
}

/// The items of a list.
pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A text, or nothing.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_kinds() {
        let of = |api, path| place(api, path).map(|place| (place.sort.kind, place.path, place.id, place.rest.len()));
        let id = |id: &str| Some(id.to_owned());
        assert_eq!(of(Api::Konnect, "/v2/portals"), Some(("Portal", "/v2/portals".into(), None, 0)));
        assert_eq!(of(Api::Konnect, "/v2/portals/P"), Some(("Portal", "/v2/portals/P".into(), id("P"), 0)));
        let member = of(Api::Konnect, "/v2/portals/P/teams/T/developers/D");
        assert_eq!(member, Some(("PortalTeam", "/v2/portals/P/teams/T".into(), id("T"), 2)));
        let domain = of(Api::Konnect, "/v3/portals/P/custom-domain");
        assert_eq!(domain, Some(("PortalCustomDomain", "/v3/portals/P/custom-domain".into(), id("P"), 0)));
        assert_eq!(of(Api::Acp, "/api/admin/acme/clients/C"), Some(("OAuthClient", "/clients/C".into(), id("C"), 0)));
        assert_eq!(of(Api::Acp, "/acme/admin/oauth2/token"), None);
        assert_eq!(of(Api::Konnect, "/v2/portals/P/verify-domain"), None);
    }

    #[test]
    fn objects_are_found_by_the_paths_of_recipes() {
        let portal =
            json!({"id": "P", "teams": [{"id": "T"}], "custom_domain_v3": null, "authentication_settings": {}});
        let tenant = json!({"servers": [{"id": "admin"}], "clients": [{"client_id": "C"}]});
        let state = json!({"organizations": {"acme": {"portals": [portal]}}, "tenants": {"acme": tenant}});
        let paths: Vec<String> = objects(&state).into_keys().collect();
        let settings = "/v2/portals/P/authentication-settings";
        assert_eq!(paths, ["/clients/C", "/servers/admin", "/v2/portals/P", settings, "/v2/portals/P/teams/T"]);
    }
}
