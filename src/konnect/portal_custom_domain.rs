use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{KonnectConnection, Portal, portal_of};
use crate::{
    engine::{
        context::Cx,
        kind::{Desired, Endpoint, Identity, Kind, Milestone, Wait},
        spec::{ConnectionRef, Lifecycle, Ref},
        status::Status,
    },
    remote::Path,
};

/// A portal's own hostname.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "konnect.portico.dev",
    version = "v1alpha1",
    kind = "PortalCustomDomain",
    namespaced,
    status = "Status<PortalCustomDomainExtra>",
    shortname = "kdomain",
    doc = "A hostname of your own for a Konnect portal, with a certificate of Konnect's or of your own. A portal has at most one of these."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.portalRef.id) == has(self.connectionRef)")
        .message("connectionRef goes with portalRef.id, and only with it: otherwise the portal's connection is used"),
    validation = Rule::new("self.portalRef == oldSelf.portalRef || (has(self.lifecycle) && self.lifecycle.replace == 'Allow')")
        .message("portalRef cannot be changed: a domain cannot move; set lifecycle.replace: Allow to delete it there and make it again"),
    validation = Rule::new("self.hostname == oldSelf.hostname || (has(self.lifecycle) && self.lifecycle.replace == 'Allow')")
        .message("hostname cannot be changed: a domain keeps its hostname; set lifecycle.replace: Allow to delete it and make it again"),
    validation = Rule::new("self.ssl.domainVerificationMethod == oldSelf.ssl.domainVerificationMethod || (has(self.lifecycle) && self.lifecycle.replace == 'Allow')")
        .message("ssl.domainVerificationMethod cannot be changed: a domain keeps it; set lifecycle.replace: Allow to delete the domain and make it again"),
)]
pub struct PortalCustomDomainSpec {
    /// The portal that is served under the hostname: name for a Portal resource, id for a portal that Portico does not manage. Cannot be changed, except with `lifecycle.replace: Allow`.
    pub portal_ref: Ref<Portal>,
    /// The connection, where portalRef gives an id. Otherwise the portal's own is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,
    /// The hostname, such as developers.example.com, in lower case; up to 253 characters. Nobody else in Konnect can have it. Its DNS needs a CNAME to the portal's default domain; the condition Verified shows how far Konnect is. Cannot be changed, except with `lifecycle.replace: Allow`.
    #[schemars(
        length(min = 3, max = 253),
        regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$")
    )]
    pub hostname: String,
    /// Whether the portal is served under the hostname. Left out: not managed, at first true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Where the certificate for the hostname comes from.
    pub ssl: CustomDomainSsl,
    /// How the domain in Konnect is treated through its life. Left out: created, kept as the spec says, and deleted with this resource. Where it stays and its portal is deleted, Konnect keeps the hostname reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// Where the certificate for a hostname comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.tlsSecretRef) == (self.domainVerificationMethod == 'custom_certificate')")
    .message("tlsSecretRef goes with domainVerificationMethod: custom_certificate, and only with it"))]
pub struct CustomDomainSsl {
    /// How Konnect sees that the hostname is yours: `http` (it asks the hostname, and makes a certificate by itself) or `custom_certificate` (you bring the certificate). Cannot be changed, except with `lifecycle.replace: Allow`.
    #[schemars(extend("enum" = ["http", "custom_certificate"]))]
    pub domain_verification_method: String,
    /// The Secret that holds the certificate and its key, with domainVerificationMethod: custom_certificate. A certificate that is renewed there is sent to Konnect at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_secret_ref: Option<TlsSecretRef>,
}

/// A Secret of the type kubernetes.io/tls in the same namespace, as cert-manager makes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsSecretRef {
    /// The name of the Secret, in the namespace of this resource. Its key tls.crt holds the certificate and those above it, tls.key the private key, both in PEM.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What only a custom domain shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortalCustomDomainExtra {
    /// Whether Konnect has seen the CNAME: `verified` or `pending`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cname_status: Option<String>,
    /// How far Konnect is with the certificate: `verified`, `pending` or `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_status: Option<String>,
    /// What is wrong with the certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation_errors: Vec<String>,
    /// When Konnect got the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_at: Option<String>,
    /// Until when the certificate is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// The key is a secret. The certificate is not, but neither is shown, so that both are known by their digests.
const UPLOADED: &[&str] = &["custom_certificate", "custom_private_key"];

/// The condition that says whether Konnect serves the hostname.
const VERIFIED: &str = "Verified";

impl Kind for PortalCustomDomain {
    type Connection = KonnectConnection;
    type Extra = PortalCustomDomainExtra;
    const IDENTITY: Identity = Identity::Intent;
    // Konnect keeps the hostname of a domain reserved whose portal went first.
    const GOES_FIRST: bool = true;
    const MILESTONES: &'static [&'static str] = &[VERIFIED];

    fn endpoint(&self, cx: &Cx<'_>) -> Result<Endpoint, Wait> {
        let portal = portal_of(&self.spec.portal_ref, cx)?;
        Ok(Endpoint::Sole {
            path: Path::literal("/v3/portals").child(&portal).then("custom-domain"),
            parent: Path::literal("/v2/portals").child(&portal),
        })
    }

    fn desired(&self, cx: &Cx<'_>) -> Result<Desired, Wait> {
        let mut ssl = json!({"domain_verification_method": self.spec.ssl.domain_verification_method});
        if let Some(TlsSecretRef { name }) = &self.spec.ssl.tls_secret_ref {
            ssl["certificate_ref"] = json!({"name": name, "key": "tls.crt"});
            ssl["key_ref"] = json!({"name": name, "key": "tls.key"});
        }
        let desired = Desired::new()
            .set("hostname", self.spec.hostname.as_str())
            .maybe("enabled", self.spec.enabled.as_ref())
            .set("ssl", ssl)
            .with_secrets(&[("certificate_ref", UPLOADED[0]), ("key_ref", UPLOADED[1])], &[], cx)?;
        // A create must say it.
        let desired = if self.spec.enabled.is_none() { desired.initially("enabled", Some(&true)) } else { desired };
        Ok(Desired { secrets: UPLOADED, fixed: &["hostname", "ssl.domain_verification_method"], ..desired })
    }

    fn natural_key(&self) -> Option<String> {
        Some(self.spec.portal_ref.text(self.metadata.namespace.as_deref()))
    }

    /// A create takes certificate and key within `ssl`, a change beside `enabled`, and nothing else of `ssl`.
    fn patched(mut body: Map<String, Value>) -> Map<String, Value> {
        if let Some(Value::Object(ssl)) = body.remove("ssl") {
            body.extend(ssl.into_iter().filter(|(field, _)| UPLOADED.contains(&field.as_str())));
        }
        body
    }

    fn observe(object: &Value, extra: &mut PortalCustomDomainExtra) {
        let ssl = &object["ssl"];
        extra.cname_status = text(&object["cname_status"]);
        extra.verification_status = text(&ssl["verification_status"]);
        extra.validation_errors = errors(ssl);
        extra.uploaded_at = text(&ssl["uploaded_at"]);
        extra.expires_at = text(&ssl["expires_at"]);
    }

    fn milestones(object: &Value) -> Vec<Milestone> {
        let (hostname, ssl) = (object["hostname"].as_str().unwrap_or_default(), &object["ssl"]);
        let is_seen = object["cname_status"] == "verified";
        let met = match (ssl["verification_status"].as_str(), is_seen) {
            (Some("verified"), true) => Ok(format!("{hostname}: the CNAME and the certificate are verified")),
            (Some("error"), _) => Err(format!("{hostname}: Konnect cannot use the certificate: {}", wrong(ssl))),
            (_, false) => Err(format!("{hostname}: Konnect does not see the CNAME to the portal's default domain yet")),
            (_, true) => Err(format!("{hostname}: the CNAME is there, the certificate is not verified yet")),
        };
        vec![Milestone { condition: VERIFIED, met, poll: true }]
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn errors(ssl: &Value) -> Vec<String> {
    ssl["validation_errors"].as_array().into_iter().flatten().filter_map(text).collect()
}

/// What is wrong with a certificate, in the API's words.
fn wrong(ssl: &Value) -> String {
    let errors = errors(ssl);
    if errors.is_empty() { "it does not say why".to_owned() } else { errors.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            _ => panic!("not an object"),
        }
    }

    #[test]
    fn a_change_sends_certificate_and_key_beside_enabled_and_nothing_else_of_ssl() {
        let ssl = json!({
            "domain_verification_method": "custom_certificate",
            "verification_status": "verified",
            "custom_certificate": "C",
            "custom_private_key": "K",
        });
        let flat = json!({"enabled": true, "custom_certificate": "C", "custom_private_key": "K"});
        let body = object(json!({"enabled": true, "ssl": ssl}));
        assert_eq!(PortalCustomDomain::patched(body), object(flat));
        let enabled = object(json!({"enabled": false}));
        assert_eq!(PortalCustomDomain::patched(enabled.clone()), enabled);
    }

    #[test]
    fn a_domain_is_verified_when_both_its_cname_and_its_certificate_are() {
        let verdict = |cname: &str, certificate: &str, errors: Value| {
            let ssl = json!({"verification_status": certificate, "validation_errors": errors});
            let object = json!({"hostname": "docs.example.com", "cname_status": cname, "ssl": ssl});
            PortalCustomDomain::milestones(&object).remove(0).met
        };
        assert!(verdict("verified", "verified", json!([])).is_ok());
        for (cname, certificate, errors, missing) in [
            ("pending", "verified", json!([]), "CNAME to the portal's default domain"),
            ("pending", "pending", json!(null), "CNAME to the portal's default domain"),
            ("verified", "pending", json!(null), "certificate is not verified yet"),
            ("pending", "error", json!(["it has expired", "it is another's"]), "it has expired; it is another's"),
            ("verified", "error", json!([]), "does not say why"),
        ] {
            let message = verdict(cname, certificate, errors).expect_err("it is not verified");
            assert!(message.starts_with("docs.example.com: ") && message.contains(missing), "{message}");
        }
    }

    #[test]
    fn the_status_shows_how_long_the_certificate_is_good() {
        let mut extra = PortalCustomDomainExtra::default();
        let ssl = json!({"verification_status": "verified", "expires_at": "2040-01-01T00:00:00Z"});
        PortalCustomDomain::observe(&json!({"cname_status": "pending", "ssl": ssl}), &mut extra);
        assert_eq!(extra.expires_at.as_deref(), Some("2040-01-01T00:00:00Z"));
        assert_eq!((extra.cname_status.as_deref(), extra.uploaded_at), (Some("pending"), None));
    }
}
