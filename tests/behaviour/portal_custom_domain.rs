//! The custom domain of a portal: one at most, with a certificate that is renewed, verified in its own time, and gone before its portal.
use std::{fs, time::Duration};

use portico_sandbox::{Certificates, Effect, Options, Plant, Switches};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    world::{World, condition, merge},
    world_steps::{answered, ask_for_a_look, assert_nothing_sent, id, plant_portal},
};

const KIND: &str = "PortalCustomDomain";
const CREATE: &str = "create-portal-custom-domain";
const UPDATE: &str = "update-portal-custom-domain";
const DELETE: &str = "delete-portal-custom-domain";
const HOST: &str = "developers.example.com";

/// A certificate and its key.
struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    /// The pair in a folder of examples. The folders have different ones.
    fn of(folder: &str) -> Self {
        let file = format!("{}/{folder}/portal-secret.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&file).expect("the file can be read");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("it is YAML");
        let secret = documents.into_iter().find(|document| document["type"] == "kubernetes.io/tls");
        let secret = secret.expect("there is a pair in it");
        // What ends a text in a Secret is not part of it.
        let value = |key: &str| secret["stringData"][key].as_str().expect("it has the key").trim_end().to_owned();
        Self { certificate: value("tls.crt"), key: value("tls.key") }
    }

    /// Makes or replaces the Secret `tls`.
    async fn apply(&self, world: &World) {
        world.keys("tls", &[("tls.crt", &self.certificate), ("tls.key", &self.key)]).await;
    }

    /// Whether this is the pair that the API has.
    fn is_kept(&self, world: &World) -> bool {
        let kept = &shown(world)["write_only"];
        kept["custom_certificate"] == self.certificate.as_str() && kept["custom_private_key"] == self.key.as_str()
    }
}

/// A world with the Portal `docs`, whose id comes with it, and whose Konnect behaves otherwise than usual.
async fn with_docs(name: &str, switches: Switches) -> (World, String) {
    let mut world = World::with(name, Options { switches, ..Options::default() }).await;
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    let portal = id(&world.synced("Portal", "docs").await);
    (world, portal)
}

/// A domain for the Portal `docs`, with these fields besides.
fn domain(more: Value) -> Value {
    let mut spec = json!({
        "portalRef": {"name": "docs"},
        "hostname": HOST,
        "ssl": {"domainVerificationMethod": "http"},
    });
    merge(&mut spec, more);
    spec
}

/// The fields of a domain whose certificate is in the Secret `tls`.
fn with_certificate() -> Value {
    json!({"ssl": {"domainVerificationMethod": "custom_certificate", "tlsSecretRef": {"name": "tls"}}})
}

/// The domain of the Portal `docs` as the API shows it, and what it never shows; null where there is none.
fn shown(world: &World) -> Value {
    world.only("docs")["custom_domain_v3"].clone()
}

/// A domain as strangers make it.
fn theirs(enabled: bool) -> Value {
    json!({"hostname": HOST, "enabled": enabled, "ssl": {"domain_verification_method": "http"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_sent_exactly_once_with_its_key_and_nothing_else() {
    let (first, second) = (Pair::of("examples"), Pair::of("examples/changed"));
    let (world, _) = World::quiet_with_docs("domain-renewed").await;
    first.apply(&world).await;
    world.sandbox.reset_exchanges();
    world.create(KIND, "docs", domain(with_certificate())).await;
    let resource = world.synced(KIND, "docs").await;
    assert_eq!(world.remote_writes(), [CREATE]);
    assert!(first.is_kept(&world));
    assert_eq!(shown(&world)["enabled"], true, "a create must say it");
    assert_eq!(resource["status"]["expiresAt"], shown(&world)["ssl"]["expires_at"]);
    ask_for_a_look(&world, KIND, "docs", "1").await;
    answered(&world, KIND, "docs", "1").await;
    assert_eq!(world.remote_writes(), [CREATE], "it is not sent again");
    second.apply(&world).await;
    world.eventually("the new certificate is sent", |w| second.is_kept(w)).await;
    let expires = shown(&world)["ssl"]["expires_at"].clone();
    world.until(KIND, "docs", "showed the new one", |o| o["status"]["expiresAt"] == expires).await;
    assert_ne!(resource["status"]["expiresAt"], expires);
    let sent = world.bodies(UPDATE);
    assert_eq!(sent.len(), 1, "{sent:#?}");
    let fields: Vec<&String> = sent[0].as_object().expect("it is an object").keys().collect();
    assert_eq!(fields, ["custom_certificate", "custom_private_key"]);
    ask_for_a_look(&world, KIND, "docs", "2").await;
    answered(&world, KIND, "docs", "2").await;
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_waits_for_its_certificate_and_for_its_key() {
    let pair = Pair::of("examples");
    let (world, _) = World::with_docs("domain-secret").await;
    world.sandbox.reset_exchanges();
    world.create(KIND, "docs", domain(with_certificate())).await;
    let message = world.unready(KIND, "docs", "SecretNotFound").await;
    assert!(message.contains("/tls") && message.contains("tls.crt"), "{message}");
    world.keys("tls", &[("tls.crt", &pair.certificate)]).await;
    let names_key = |o: &Value| condition(o, "Ready", "message").contains("tls.key");
    world.until(KIND, "docs", "named the key", names_key).await;
    assert!(!world.is_stalled(KIND, "docs").await);
    assert_nothing_sent(&world);
    pair.apply(&world).await;
    world.synced(KIND, "docs").await;
    assert_eq!(world.remote_writes(), [CREATE]);
    assert!(pair.is_kept(&world));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_does_not_wait_for_the_verification_which_is_seen_when_it_comes() {
    let switches = Switches { verification_milliseconds: 6000, ..Switches::default() };
    let (world, _) = with_docs("domain-verified", switches).await;
    world.create(KIND, "docs", domain(json!({}))).await;
    let resource = world.synced(KIND, "docs").await;
    assert_eq!(condition(&resource, "Verified", "status"), "False");
    let message = condition(&resource, "Verified", "message");
    assert!(message.contains(HOST) && message.contains("CNAME"), "{message}");
    assert_eq!(resource["status"]["cnameStatus"], "pending");
    assert_eq!(condition(&resource, "Reconciling", "status"), "");
    world.sandbox.reset_exchanges();
    let verified = |o: &Value| condition(o, "Verified", "status") == "True";
    let resource = world.until(KIND, "docs", "became verified", verified).await;
    assert_eq!(resource["status"]["cnameStatus"], "verified");
    assert!(world.is_synced(KIND, "docs").await);
    assert_nothing_sent(&world);
    world.assert_silence(Duration::from_millis(2500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_certificate_stands_in_the_condition_until_it_is_mended() {
    let (first, second) = (Pair::of("examples"), Pair::of("examples/changed"));
    let torn = Pair { certificate: first.certificate.clone(), key: second.key };
    let switches = Switches { certificates: Certificates::Reported, ..Switches::default() };
    let (world, _) = with_docs("domain-error", switches).await;
    torn.apply(&world).await;
    world.create(KIND, "docs", domain(with_certificate())).await;
    let resource = world.synced(KIND, "docs").await;
    assert_eq!(condition(&resource, "Verified", "status"), "False");
    let message = condition(&resource, "Verified", "message");
    assert!(message.contains("must be the key of the certificate"), "the API's own words: {message}");
    assert_eq!(resource["status"]["verificationStatus"], "error");
    first.apply(&world).await;
    let verified = |o: &Value| condition(o, "Verified", "status") == "True";
    let resource = world.until(KIND, "docs", "became verified", verified).await;
    assert!(resource["status"]["validationErrors"].is_null(), "{resource:#}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostname_that_somebody_else_has_is_told_in_the_apis_words_and_taken_once_it_is_free() {
    let (world, _) = World::with_docs("domain-taken").await;
    let other = plant_portal(&world, json!({"name": "theirs"}));
    world.stranger_makes(Plant::CustomDomain { portal: other.clone(), body: theirs(true) });
    world.create(KIND, "docs", domain(json!({}))).await;
    let message = world.unready(KIND, "docs", "AlreadyExists").await;
    assert!(message.contains(&format!("hostname: {HOST} already in use")), "{message}");
    assert!(shown(&world).is_null());
    let path = format!("/v3/portals/{other}/custom-domain");
    assert_eq!(world.by_hand(Method::DELETE, &path, None).await, 204);
    world.synced(KIND, "docs").await;
    assert_eq!(shown(&world)["hostname"], HOST);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_domain_of_the_portal_is_taken_only_when_told() {
    let (world, portal) = World::with_docs("domain-stranger").await;
    world.stranger_makes(Plant::CustomDomain { portal, body: theirs(false) });
    let before = shown(&world);
    world.sandbox.reset_exchanges();
    world.create(KIND, "docs", domain(json!({"enabled": true}))).await;
    let message = world.unready(KIND, "docs", "AlreadyExists").await;
    assert!(message.contains("adoption: Adopt"), "{message}");
    assert_nothing_sent(&world);
    assert_eq!(shown(&world), before);
    world.spec(KIND, "docs", json!({"lifecycle": {"adoption": "Adopt"}})).await;
    world.synced(KIND, "docs").await;
    assert_eq!(world.remote_writes(), [UPDATE]);
    assert_eq!(world.bodies(UPDATE), [json!({"enabled": true})]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostname_and_method_change_only_by_making_the_domain_again() {
    let pair = Pair::of("examples");
    let (world, _) = World::with_docs("domain-fixed").await;
    pair.apply(&world).await;
    world.create(KIND, "docs", domain(json!({}))).await;
    world.synced(KIND, "docs").await;
    for (mut change, field) in
        [(json!({"hostname": "dev.example.com"}), "hostname"), (with_certificate(), "ssl.domainVerificationMethod")]
    {
        let refusal = world.try_patch(KIND, "docs", json!({"spec": change})).await.expect_err("it is refused");
        assert!(refusal.contains(&format!("{field} cannot be changed")), "{refusal}");
        world.sandbox.reset_exchanges();
        change["lifecycle"] = json!({"replace": "Allow"});
        world.spec(KIND, "docs", change).await;
        world.synced(KIND, "docs").await;
        assert_eq!(world.remote_writes(), [DELETE, CREATE], "{field}");
        world.spec(KIND, "docs", json!({"lifecycle": null})).await;
        world.synced(KIND, "docs").await;
    }
    assert_eq!(shown(&world)["hostname"], "dev.example.com");
    assert!(pair.is_kept(&world));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_goes_before_its_portal_and_gives_its_hostname_back() {
    let (world, _) = World::with_docs("domain-order").await;
    world.create(KIND, "docs", domain(json!({}))).await;
    world.synced(KIND, "docs").await;
    world.sandbox.reset_exchanges();
    world.delete("Portal", "docs").await;
    let message = world.unready("Portal", "docs", "DeletionBlocked").await;
    assert!(message.contains("PortalCustomDomain docs"), "{message}");
    world.delete(KIND, "docs").await;
    world.gone("Portal", "docs").await;
    world.gone(KIND, "docs").await;
    assert_eq!(world.remote_writes(), [DELETE, "delete-portal"]);
    // Had its portal gone first, nobody could have the hostname any more.
    let next = plant_portal(&world, json!({"name": "next"}));
    let path = format!("/v3/portals/{next}/custom-domain");
    assert_eq!(world.by_hand(Method::POST, &path, Some(theirs(true))).await, 201);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_and_its_portal_deleted_together_go_in_the_right_order() {
    let mut world = World::still("domain-together").await;
    // Five of these are waited.
    world.settings.minute = Duration::from_secs(10);
    world.start();
    world.connection(json!({})).await;
    for order in [["Portal", KIND], [KIND, "Portal"]] {
        world.portal("docs", json!({})).await;
        world.create(KIND, "docs", domain(json!({}))).await;
        world.synced(KIND, "docs").await;
        world.sandbox.reset_exchanges();
        // So that the portal could overtake it.
        world.once(DELETE, Effect::Delay { milliseconds: 500 });
        for kind in order {
            world.delete(kind, "docs").await;
        }
        for kind in order {
            world.gone(kind, "docs").await;
        }
        assert_eq!(world.remote_writes(), [DELETE, "delete-portal"], "{order:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_goes_with_its_method_and_a_hostname_is_one() {
    let world = World::still("domain-bad").await;
    let tls = json!({"name": "tls"});
    for (change, word) in [
        (json!({"ssl": {"tlsSecretRef": tls}}), "tlsSecretRef goes with"),
        (json!({"ssl": {"domainVerificationMethod": "custom_certificate"}}), "tlsSecretRef goes with"),
        (json!({"ssl": {"domainVerificationMethod": "dns"}}), "spec.ssl.domainVerificationMethod"),
        (json!({"hostname": "https://developers.example.com"}), "spec.hostname"),
        (json!({"hostname": "Developers.example.com"}), "spec.hostname"),
    ] {
        let refusal = world.try_create(KIND, "bad", domain(change)).await.expect_err("it is refused");
        assert!(refusal.contains(word), "{refusal}");
    }
    world.end().await;
}
