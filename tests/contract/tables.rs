//! What the specs have under another name than the contract, or deliberately not, and where they are stricter; each with the reason.

/// The resources of Konnect's contract that the kinds cover: which kind, and where in its spec their fields are.
pub(crate) const RESOURCES: [(&str, &str, &str); 12] = [
    ("Portal", "Portal", ""),
    ("PortalTeam", "PortalTeam", ""),
    ("PortalTeamRole", "PortalTeam", "roles.items[]."),
    ("PortalTeamMembership", "PortalTeam", "developers.items[]."),
    ("PortalTeamGroupMapping", "PortalTeam", ""),
    ("PortalAuthSettings", "PortalAuthentication", ""),
    ("PortalIdentityProvider", "PortalIdentityProvider", ""),
    ("PortalProductVersion", "PortalProductVersion", ""),
    ("PortalDeveloper", "PortalDeveloper", ""),
    ("PortalAuditLogWebhook", "PortalAuditLogWebhook", ""),
    ("PortalAuditLogReplayJob", "PortalAuditLogReplay", ""),
    ("PortalCustomDomain", "PortalCustomDomain", ""),
];

/// Fields that are in the spec under another name, or deliberately not (none), by resource and the contract's name; and why.
pub(crate) const ELSEWHERE: &[(&str, &str, Option<&str>, &str)] = &[
    ("PortalTeamMembership", "id (developer)", Some("developers.items[]"), "people know e-mails; the id is looked up"),
    ("PortalTeamMembership", "id", Some("developers.items[]"), "the same field, as the request names it"),
    ("PortalTeamGroupMapping", "data", None, "the rows of all teams; a team writes its own"),
    ("PortalTeamGroupMapping", "data[].team_id", None, "the team's own id, which only the API knows beforehand"),
    ("PortalTeamGroupMapping", "data[].groups", Some("identityProviderGroups"), "they belong to the team"),
    ("PortalTeamGroupMapping", "data[].groups[]", Some("identityProviderGroups[]"), "they belong to the team"),
    ("PortalAuthSettings", "oidc_client_secret", Some("oidcClientSecretRef"), SECRET),
    ("PortalIdentityProvider", "config.client_secret", Some("config.clientSecretRef"), SECRET),
    ("PortalIdentityProvider", "config.sp_metadata_url", None, "read-only, in the status"),
    ("PortalIdentityProvider", "config.sp_entity_id", None, "read-only, in the status"),
    ("PortalIdentityProvider", "config.callback_url", None, "read-only, in the status"),
    (
        "PortalIdentityProvider",
        "config.claim_mappings.{name,email,groups}",
        Some("config.claimMappings"),
        "three fields",
    ),
    ("PortalCustomDomain", "ssl.custom_certificate", Some("ssl.tlsSecretRef"), SECRET),
    ("PortalCustomDomain", "ssl.custom_private_key", Some("ssl.tlsSecretRef"), SECRET),
    ("PortalCustomDomain", "custom_certificate", Some("ssl.tlsSecretRef"), SECRET),
    ("PortalCustomDomain", "custom_private_key", Some("ssl.tlsSecretRef"), SECRET),
    ("PortalCustomDomain", "ssl.skip_ca_check", None, "the schemas of all requests refuse it"),
];

/// Limits that the CRD sets where the requests of the contract set none, by kind, field and limit; and why.
pub(crate) const STRICTER: &[(&str, &str, &str, u64, &str)] = &[
    ("Portal", "defaultApplicationAuthStrategyId", "maxLength", 36, "a UUID, or empty"),
    ("PortalTeam", "name", "minLength", 1, "the request's pattern asks for one character"),
    ("PortalTeam", "name", "maxLength", 250, "the answers' schema has no room for more"),
    ("PortalTeam", "roles.items[].roleName", "minLength", 1, "no role is called nothing"),
    ("PortalTeam", "roles.items[].roleName", "maxLength", 255, "the roles that exist are far shorter"),
    ("PortalTeam", "roles.items[].entityTypeName", "minLength", 1, "no type is called nothing"),
    ("PortalTeam", "roles.items[].entityTypeName", "maxLength", 255, "the types that exist are far shorter"),
    ("PortalTeam", "roles.items[].entityRegion", "minLength", 1, "no region is called nothing"),
    ("PortalTeam", "roles.items[].entityRegion", "maxLength", 32, "regions have a few letters"),
    ("PortalTeam", "developers.items[]", "minLength", 3, "the shortest e-mail address"),
    ("PortalTeam", "developers.items[]", "maxLength", 255, "the answers' schema has no room for a longer e-mail"),
    ("PortalTeam", "identityProviderGroups[]", "minLength", 1, "no group is called nothing"),
    ("PortalTeam", "identityProviderGroups[]", "maxLength", 255, "a bound, so that the status stays small"),
    ("Portal", "labels", "maxProperties", 48, "the API takes 50, and two of them are Portico's mark"),
    ("PortalAuthentication", "oidcIssuer", "maxLength", 2048, "a URL"),
    ("PortalAuthentication", "oidcClientId", "maxLength", 1024, "a bound, so that rules on it stay cheap"),
    ("PortalAuthentication", "oidcScopes[]", "minLength", 1, "no scope is called nothing"),
    ("PortalAuthentication", "oidcScopes[]", "maxLength", 255, "a bound, so that rules on it stay cheap"),
    ("PortalAuthentication", "oidcClaimMappings.name", "minLength", 1, "no claim is called nothing"),
    ("PortalAuthentication", "oidcClaimMappings.name", "maxLength", 255, "a bound, so that rules on it stay cheap"),
    ("PortalAuthentication", "oidcClaimMappings.email", "minLength", 1, "no claim is called nothing"),
    ("PortalAuthentication", "oidcClaimMappings.email", "maxLength", 255, "a bound, so that rules on it stay cheap"),
    ("PortalAuthentication", "oidcClaimMappings.groups", "minLength", 1, "no claim is called nothing"),
    ("PortalAuthentication", "oidcClaimMappings.groups", "maxLength", 255, "a bound, so that rules on it stay cheap"),
    ("PortalIdentityProvider", "config.issuerUrl", "minLength", 1, "nothing of it is called nothing"),
    ("PortalIdentityProvider", "config.issuerUrl", "maxLength", 2048, "a URL"),
    ("PortalIdentityProvider", "config.clientId", "minLength", 1, "nothing of it is called nothing"),
    ("PortalIdentityProvider", "config.clientId", "maxLength", 1024, "a bound, so that rules on it stay cheap"),
    ("PortalIdentityProvider", "config.scopes[]", "minLength", 1, "nothing of it is called nothing"),
    ("PortalIdentityProvider", "config.scopes[]", "maxLength", 255, "a bound, so that rules on it stay cheap"),
    ("PortalIdentityProvider", "config.claimMappings.name", "minLength", 1, "nothing of it is called nothing"),
    (
        "PortalIdentityProvider",
        "config.claimMappings.name",
        "maxLength",
        255,
        "a bound, so that rules on it stay cheap",
    ),
    ("PortalIdentityProvider", "config.claimMappings.email", "minLength", 1, "nothing of it is called nothing"),
    (
        "PortalIdentityProvider",
        "config.claimMappings.email",
        "maxLength",
        255,
        "a bound, so that rules on it stay cheap",
    ),
    ("PortalIdentityProvider", "config.claimMappings.groups", "minLength", 1, "nothing of it is called nothing"),
    (
        "PortalIdentityProvider",
        "config.claimMappings.groups",
        "maxLength",
        255,
        "a bound, so that rules on it stay cheap",
    ),
    ("PortalIdentityProvider", "config.idpMetadataUrl", "maxLength", 2048, "a URL"),
    ("PortalIdentityProvider", "config.idpMetadataXml", "maxLength", 262_144, "a document of metadata is far smaller"),
    ("PortalCustomDomain", "hostname", "minLength", 3, "the shortest name with a dot"),
    ("PortalCustomDomain", "hostname", "maxLength", 253, "the longest name in DNS"),
];

/// The resources of ACP's contract that the kinds cover.
pub(crate) const ACP_RESOURCES: [(&str, &str); 4] = [
    ("AuthorizationServer", "AuthorizationServer"),
    ("Client", "OAuthClient"),
    ("Consent", "Consent"),
    ("ConsentAction", "ConsentAction"),
];

/// Fields of ACP that are in the spec under another name, or deliberately not (none), by kind and the contract's name; and why.
pub(crate) const ACP_ELSEWHERE: [Exception; 21] = [
    ("AuthorizationServer", "secret", Some("secretRef"), SECRET),
    ("AuthorizationServer", "jwks", None, "the server's private keys: ACP makes them, Portico only sends them back"),
    ("AuthorizationServer", "rotated_secrets", None, "earlier secrets: ACP keeps them, Portico only sends them back"),
    ("AuthorizationServer", "developer_policy_id", Some("developerPolicyRef.id"), "a reference"),
    ("AuthorizationServer", "user_policy_id", Some("userPolicyRef.id"), "a reference"),
    (
        "AuthorizationServer",
        "authentications.methods[].oidc.client_secret",
        Some("authentications.methods[].oidc.clientSecretRef"),
        SECRET,
    ),
    (
        "AuthorizationServer",
        "authentications.methods[].azure.client_secret",
        Some("authentications.methods[].azure.clientSecretRef"),
        SECRET,
    ),
    (
        "AuthorizationServer",
        "authentications.methods[].cognito.client_secret",
        Some("authentications.methods[].cognito.clientSecretRef"),
        SECRET,
    ),
    (
        "AuthorizationServer",
        "authentications.methods[].static.users[].password",
        Some("authentications.methods[].static.users[].passwordSecretRef"),
        SECRET,
    ),
    ("OAuthClient", "authorization_server_id", Some("serverRef"), "a reference"),
    ("OAuthClient", "client_secret", Some("clientSecretRef"), SECRET),
    ("OAuthClient", "scope", None, "says once more what scopes says"),
    ("OAuthClient", "system", None, "marks what is built in"),
    ("OAuthClient", "jwks.keys[].d", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].dp", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].dq", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].k", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].p", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].q", None, PRIVATE),
    ("OAuthClient", "jwks.keys[].qi", None, PRIVATE),
    ("ConsentAction", "consents[].id", Some("consents[].consentRef"), "a reference"),
];
pub(crate) type Exception = (&'static str, &'static str, Option<&'static str>, &'static str);
const SECRET: &str = "a secret, by reference";
const PRIVATE: &str = "a private member of a key";

/// What the specs of ACP's kinds have besides the fields of the API.
pub(crate) const ENGINES: [&str; 4] = ["allowedNamespaces", "connectionRef", "credentialsSecret", "lifecycle"];
