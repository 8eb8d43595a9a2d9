//! Custom domains.

use portico_sandbox::{Certificates, CustomDomainPatch, Plant, Switches};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use crate::client::{Acme, id};

const HOST: &str = "docs.example.com";

/// A certificate that is good until this year begins, and its key.
struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    fn until(year: i32) -> Self {
        let mut parameters = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        parameters.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        Self { certificate: parameters.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    fn fields(&self) -> Value {
        json!({"custom_certificate": self.certificate, "custom_private_key": self.key})
    }

    /// The body that makes a domain with it.
    fn domain(&self) -> Value {
        let mut body = json!({"hostname": HOST, "enabled": true, "ssl": self.fields()});
        body["ssl"]["domain_verification_method"] = json!("custom_certificate");
        body
    }
}

/// The body that makes a domain without a certificate.
fn plain(hostname: &str) -> Value {
    json!({"hostname": hostname, "enabled": true, "ssl": {"domain_verification_method": "http"}})
}

/// The path of a portal's custom domain.
fn of(portal: &str) -> String {
    format!("{}/custom-domain", portal.replace("/v2/", "/v3/"))
}

/// The path of a new portal's custom domain.
async fn domain(acme: &Acme) -> String {
    of(&acme.portal("docs").await)
}

#[tokio::test]
async fn a_portal_has_one_domain_or_none() {
    for (status, switches) in
        [(409, Switches::default()), (400, Switches { duplicate_custom_domain: 400, ..Switches::default() })]
    {
        let acme = Acme::with(switches);
        let domain = domain(&acme).await;
        assert_eq!(acme.get(&domain).await.status, 404);
        assert_eq!(acme.patch(&domain, json!({"enabled": true})).await.status, 404);
        let made = acme.post(&domain, plain(HOST)).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!((&made.body["hostname"], &made.body["cname_status"]), (&json!(HOST), &json!("verified")));
        let ssl = json!({"domain_verification_method": "http", "verification_status": "verified"});
        assert_eq!(made.body["ssl"], ssl);
        assert!(made.body.get("id").is_none());
        assert_eq!(acme.get(&domain).await.body, made.body);
        assert_eq!(acme.post(&domain, plain("other.example.com")).await.status, status);
        assert_eq!(acme.delete(&domain).await.status, 204);
        assert_eq!(acme.delete(&domain).await.status, 404);
        assert_eq!(acme.post(&domain, plain("other.example.com")).await.status, 201);
    }
}

#[tokio::test]
async fn only_enabled_and_the_certificate_can_change() {
    let acme = Acme::new();
    let domain = domain(&acme).await;
    acme.post(&domain, plain(HOST)).await;
    let changed = acme.patch(&domain, json!({"enabled": false})).await;
    assert_eq!((changed.status, &changed.body["enabled"]), (200, &json!(false)));
    for (field, value) in [("hostname", json!("other.example.com")), ("ssl", json!({}))] {
        let refused = acme.patch(&domain, json!({field: value})).await;
        assert_eq!(refused.refusal(), (field, "unknown_property", "body"));
    }
    for field in ["hostname", "enabled", "ssl"] {
        let mut body = plain(HOST);
        body.as_object_mut().unwrap().remove(field);
        assert_eq!(acme.post(&domain, body).await.refusal(), (field, "required", "body"));
    }
    let refused = acme.post(&domain, json!({"hostname": HOST, "enabled": true, "ssl": {}})).await;
    assert_eq!(refused.refusal(), ("ssl.domain_verification_method", "required", "body"));
}

#[tokio::test]
async fn nobody_else_has_the_hostname() {
    let acme = Acme::new();
    let other = acme.as_token(&acme.sandbox.organization("other"));
    let (portal, theirs) = (acme.portal("docs").await, other.portal("docs").await);
    acme.post(&of(&portal), plain(HOST)).await;
    let refused = other.post(&of(&theirs), plain("DOCS.example.com")).await;
    assert_eq!((refused.status, &refused.body["detail"]), (409, &json!("hostname: DOCS.example.com already in use")));
    assert_eq!(other.patch(&theirs, json!({"custom_domain": HOST})).await.status, 409, "nor of the other version");
    assert_eq!(acme.patch(&portal, json!({"custom_domain": HOST})).await.status, 200, "it is its own");
    assert_eq!(acme.delete(&of(&portal)).await.status, 204);
    acme.patch(&portal, json!({"custom_domain": null})).await;
    assert_eq!(other.post(&of(&theirs), plain(HOST)).await.status, 201);
}

#[tokio::test]
async fn a_hostname_is_given_back_only_where_the_domain_goes_before_its_portal() {
    for (outlives, status) in [(true, 409), (false, 201)] {
        let acme = Acme::with(Switches { custom_domain_outlives_portal: outlives, ..Switches::default() });
        let (first, second, third) = (acme.portal("one").await, acme.portal("two").await, acme.portal("three").await);
        acme.post(&of(&first), plain(HOST)).await;
        assert_eq!(acme.delete(&of(&first)).await.status, 204);
        assert_eq!(acme.delete(&first).await.status, 204);
        assert_eq!(acme.post(&of(&second), plain(HOST)).await.status, 201);
        assert_eq!(acme.delete(&second).await.status, 204);
        assert_eq!(acme.get(&of(&second)).await.status, 404);
        assert_eq!(acme.post(&of(&third), plain(HOST)).await.status, status);
    }
}

#[tokio::test]
async fn deleting_is_left_out_where_the_switch_says_so() {
    let acme = Acme::with(Switches { custom_domain_deletable: false, ..Switches::default() });
    let domain = domain(&acme).await;
    acme.post(&domain, plain(HOST)).await;
    let refused = acme.delete(&domain).await;
    let unknown = acme.delete(&format!("{domain}s")).await;
    assert_eq!((refused.status, &refused.body["detail"]), (404, &unknown.body["detail"]));
    assert_eq!(acme.get(&domain).await.status, 200);
}

#[tokio::test]
async fn the_key_is_never_shown_and_a_renewal_is() {
    let acme = Acme::new();
    let domain = domain(&acme).await;
    let (old, new) = (Pair::until(2040), Pair::until(2041));
    let made = acme.post(&domain, old.domain()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let ssl = &made.body["ssl"];
    assert_eq!((&ssl["verification_status"], &ssl["expires_at"]), (&json!("verified"), &json!("2040-01-01T00:00:00Z")));
    assert!(ssl.get("custom_certificate").is_none() && ssl.get("custom_private_key").is_none());
    let renewed = acme.patch(&domain, new.fields()).await;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_eq!(renewed.body["ssl"]["expires_at"], "2041-01-01T00:00:00Z");
    assert_ne!(renewed.body["ssl"]["uploaded_at"], ssl["uploaded_at"]);
    let same = acme.patch(&domain, json!({"enabled": true})).await;
    assert_eq!(same.body["ssl"], renewed.body["ssl"], "nothing was uploaded");

    let secrets = acme.sandbox.secrets();
    assert!(secrets.contains(&old.key) && secrets.contains(&new.key));
    let exchanges = acme.sandbox.exchanges();
    let uploaded = |at: usize| exchanges[at].request_body.clone();
    assert_eq!(uploaded(1)["ssl"]["custom_private_key"], "*".repeat(old.key.len()));
    assert_eq!(uploaded(2)["custom_private_key"], "*".repeat(new.key.len()));
    let state = acme.sandbox.state();
    let kept = &state["organizations"]["acme"]["portals"][0]["custom_domain_v3"];
    assert_eq!(kept["write_only"], new.fields());
}

#[tokio::test]
async fn the_times_of_a_certificate_are_hidden_where_the_switch_says_so() {
    let acme = Acme::with(Switches { certificate_times_shown: false, ..Switches::default() });
    let made = acme.post(&domain(&acme).await, Pair::until(2040).domain()).await;
    let ssl = json!({"domain_verification_method": "custom_certificate", "verification_status": "verified"});
    assert_eq!(made.body["ssl"], ssl);
}

#[tokio::test]
async fn certificate_and_key_come_together() {
    let acme = Acme::new();
    let domain = domain(&acme).await;
    let pair = Pair::until(2040);
    let mut half = pair.domain();
    half["ssl"].as_object_mut().unwrap().remove("custom_private_key");
    assert_eq!(acme.post(&domain, half.clone()).await.refusal(), ("ssl.custom_private_key", "required", "body"));
    let mut wrong = pair.domain();
    wrong["ssl"]["domain_verification_method"] = json!("http");
    let refused = acme.post(&domain, wrong).await;
    assert_eq!(refused.body["invalid_parameters"].as_array().unwrap().len(), 2, "{refused:?}");
    acme.post(&domain, pair.domain()).await;
    let refused = acme.patch(&domain, json!({"custom_certificate": pair.certificate})).await;
    assert_eq!(refused.refusal(), ("custom_private_key", "required", "body"));

    let certificates = Certificates::Unchecked;
    let acme = Acme::with(Switches { certificates_in_pairs: false, certificates, ..Switches::default() });
    let made = acme.post(&self::domain(&acme).await, half).await;
    assert_eq!((made.status, &made.body["ssl"]["verification_status"]), (201, &json!("verified")));
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_reported_or_taken() {
    let (pair, other) = (Pair::until(2040), Pair::until(2041));
    let torn = Pair { certificate: pair.certificate.clone(), key: other.key };
    let made = async |certificates: Certificates| {
        let acme = Acme::with(Switches { certificates, ..Switches::default() });
        acme.post(&domain(&acme).await, torn.domain()).await
    };
    let refused = made(Certificates::Refused).await;
    assert_eq!(refused.refusal(), ("ssl.custom_private_key", "invalid", "body"));
    assert!(!refused.body.to_string().contains("PRIVATE KEY"));
    let reported = made(Certificates::Reported).await.body;
    assert_eq!(reported["ssl"]["verification_status"], "error");
    let errors = json!(["custom_private_key must be the key of the certificate"]);
    assert_eq!(reported["ssl"]["validation_errors"], errors);
    assert_eq!(made(Certificates::Unchecked).await.body["ssl"]["verification_status"], "verified");
}

#[tokio::test]
async fn a_patch_has_the_shape_that_the_switch_says() {
    let pair = Pair::until(2041);
    for (custom_domain_patch, flat, nested) in [
        (CustomDomainPatch::Flat, 200, 400),
        (CustomDomainPatch::Nested, 400, 200),
        (CustomDomainPatch::EnabledOnly, 400, 400),
    ] {
        let acme = Acme::with(Switches { custom_domain_patch, ..Switches::default() });
        let domain = domain(&acme).await;
        acme.post(&domain, Pair::until(2040).domain()).await;
        assert_eq!(acme.patch(&domain, pair.fields()).await.status, flat);
        assert_eq!(acme.patch(&domain, json!({"ssl": pair.fields()})).await.status, nested);
        assert_eq!(acme.patch(&domain, json!({"enabled": false})).await.body["enabled"], false);
        let year = if flat == 200 || nested == 200 { 2041 } else { 2040 };
        let expires_at = acme.get(&domain).await.body["ssl"]["expires_at"].clone();
        assert_eq!(expires_at, format!("{year}-01-01T00:00:00Z"));
    }
}

#[tokio::test]
async fn a_verification_takes_its_time_and_may_find_nothing() {
    for (milliseconds, verified, state) in [(0, true, "verified"), (600_000, true, "pending"), (0, false, "pending")] {
        let switches =
            Switches { verification_milliseconds: milliseconds, domains_verified: verified, ..Switches::default() };
        let acme = Acme::with(switches);
        let made = acme.post(&domain(&acme).await, plain(HOST)).await.body;
        assert_eq!((&made["cname_status"], &made["ssl"]["verification_status"]), (&json!(state), &json!(state)));
    }
}

#[tokio::test]
async fn strangers_plant_one_too() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    let planted = acme.sandbox.plant("acme", Plant::CustomDomain { portal: id(&portal), body: plain(HOST) });
    assert_eq!(planted, Ok(HOST.to_owned()));
    assert_eq!(acme.get(&of(&portal)).await.body["hostname"], HOST);
    let path = format!("/_sandbox/organizations/acme/portals/{}/custom-domain", id(&portal));
    assert_eq!(acme.post(&path, plain(HOST)).await.status, 409);
    let (before, snapshot) = (acme.sandbox.state(), acme.sandbox.snapshot());
    acme.delete(&of(&portal)).await;
    acme.sandbox.restore(&snapshot);
    assert_eq!(acme.sandbox.state(), before);
}
