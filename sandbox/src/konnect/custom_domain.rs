//! The custom domain of a portal in the third version of the API: at most one, of a hostname that nobody else has.
//! Its certificate and key are taken and never shown.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Call, Outcome, certificate, merge};
use crate::contract::Schema;
use crate::options::{Certificates, CustomDomainPatch};
use crate::problem::{Problem, in_body};
use crate::world::{World, stamp};

pub(super) const CERTIFICATE: &str = "custom_certificate";
pub(super) const KEY: &str = "custom_private_key";

static NESTED: LazyLock<Schema> = LazyLock::new(|| {
    let text = json!({"type": "string"});
    let ssl = json!({CERTIFICATE: text, KEY: text, "skip_ca_check": {"type": "boolean"}});
    closed(&json!({
        "enabled": {"type": "boolean"},
        "ssl": {"type": "object", "additionalProperties": false, "properties": ssl},
    }))
});
static ENABLED_ONLY: LazyLock<Schema> = LazyLock::new(|| closed(&json!({"enabled": {"type": "boolean"}})));

/// A custom domain.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    /// As the API shows it, without what the verification found, which depends on the time.
    body: Value,
    certificate: Option<String>,
    key: Option<String>,
    /// What is wrong with the two.
    faults: Vec<String>,
    made: Instant,
    /// When the certificate was uploaded, or the domain made.
    changed: Instant,
    takes: Duration,
    succeeds: bool,
}

/// The certificate and the key of a body, and where they stand in it.
struct Upload<'b> {
    given: &'b Value,
    path: &'static str,
}

impl Domain {
    fn new(call: &Call<'_>) -> Self {
        let (time, at) = (call.seam.now(), Instant::now());
        let method = &call.body["ssl"]["domain_verification_method"];
        let body = json!({
            "hostname": call.body["hostname"],
            "enabled": call.body["enabled"],
            "ssl": {"domain_verification_method": method},
            "created_at": time,
            "updated_at": time,
        });
        Self {
            body,
            certificate: None,
            key: None,
            faults: Vec::new(),
            made: at,
            changed: at,
            takes: Duration::from_millis(call.switches.verification_milliseconds),
            succeeds: call.switches.domains_verified,
        }
    }

    pub(crate) fn hostname(&self) -> &str {
        self.body["hostname"].as_str().unwrap_or_default()
    }

    /// As answers show it, and what they never show.
    pub(crate) fn show_whole(&self) -> Value {
        let mut shown = self.show();
        if self.certificate.is_some() || self.key.is_some() {
            shown["write_only"] = json!({CERTIFICATE: self.certificate, KEY: self.key});
        }
        shown
    }

    fn show(&self) -> Value {
        let state = |since: Instant| {
            let verified = self.succeeds && since.elapsed() >= self.takes;
            if verified { "verified" } else { "pending" }
        };
        let mut shown = self.body.clone();
        shown["cname_status"] = json!(state(self.made));
        shown["ssl"]["verification_status"] = json!(if self.faults.is_empty() { state(self.changed) } else { "error" });
        if !self.faults.is_empty() {
            shown["ssl"]["validation_errors"] = json!(self.faults);
        }
        shown
    }

    fn answer(&self, call: &Call<'_>) -> Value {
        let mut shown = self.show();
        if let Some(ssl) = shown["ssl"].as_object_mut()
            && !call.switches.certificate_times_shown
        {
            ssl.remove("uploaded_at");
            ssl.remove("expires_at");
        }
        shown
    }

    /// Takes the certificate and the key that a body has, if it has any. What it has not stays as it was.
    fn take(&mut self, call: &Call<'_>, upload: &Upload<'_>) -> Result<(), Problem> {
        if upload.fields().is_empty() {
            return Ok(());
        }
        self.certificate = upload.text(CERTIFICATE).or_else(|| self.certificate.take());
        self.key = upload.text(KEY).or_else(|| self.key.take());
        self.faults.clear();
        self.changed = Instant::now();
        let mut times = json!({"uploaded_at": call.seam.now()});
        let read = certificate::read(self.certificate.as_deref(), self.key.as_deref());
        match (read, call.switches.certificates) {
            (Ok(expires_at), _) => times["expires_at"] = json!(stamp(expires_at)),
            (Err((field, reason)), Certificates::Refused) => return Err(upload.refusal(&[field], "invalid", reason)),
            (Err((field, reason)), Certificates::Reported) => self.faults.push(format!("{field} {reason}")),
            (Err(_), Certificates::Unchecked) => {}
        }
        if let Some(ssl) = self.body["ssl"].as_object_mut() {
            ssl.remove("expires_at");
        }
        merge(&mut self.body["ssl"], &times, &["uploaded_at", "expires_at"]);
        Ok(())
    }

    fn has_own_certificate(&self) -> bool {
        self.body["ssl"]["domain_verification_method"] == "custom_certificate"
    }
}

impl Upload<'_> {
    /// Which of the two there are.
    fn fields(&self) -> Vec<&'static str> {
        [CERTIFICATE, KEY].into_iter().filter(|field| self.given.get(field).is_some()).collect()
    }

    fn text(&self, field: &str) -> Option<String> {
        self.given.get(field).and_then(Value::as_str).map(str::to_owned)
    }

    /// Later versions want both together, and neither where the domain is verified another way.
    fn check_pair(&self, own_certificate: bool, required: bool) -> Result<(), Problem> {
        let fields = self.fields();
        if !own_certificate && !fields.is_empty() {
            return Err(self.refusal(&fields, "unknown_property", "is only for the method custom_certificate"));
        }
        let missing: Vec<&str> = [CERTIFICATE, KEY].into_iter().filter(|field| !fields.contains(field)).collect();
        if own_certificate && !missing.is_empty() && (required || !fields.is_empty()) {
            return Err(self.refusal(&missing, "required", "is a required field"));
        }
        Ok(())
    }

    fn refusal(&self, fields: &[&str], rule: &str, reason: &str) -> Problem {
        let name = |field: &&str| format!("{}{field}", self.path);
        Problem::invalid(fields.iter().map(|field| in_body(&name(field), rule, reason)).collect())
    }
}

pub(super) fn get(world: &mut World, call: &Call<'_>) -> Outcome {
    let domain = call.portal(world)?.domain.as_ref().ok_or_else(unknown)?;
    Ok(Some(domain.answer(call)))
}

pub(super) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal(world)?;
    let hostname = call.text("hostname").unwrap_or_default();
    let taken = |reason: &str| Err(Problem::taken(call.switches.duplicate_custom_domain, "hostname", reason));
    if portal.domain.is_some() {
        return taken("the portal has a custom domain already");
    }
    if world.hostname_taken(hostname, &portal.body["id"]) {
        return taken(&format!("hostname: {hostname} already in use"));
    }
    let mut domain = Domain::new(call);
    let upload = Upload { given: &call.body["ssl"], path: "ssl." };
    if call.switches.certificates_in_pairs {
        upload.check_pair(domain.has_own_certificate(), true)?;
    }
    domain.take(call, &upload)?;
    let answer = domain.answer(call);
    call.portal_mut(world)?.domain = Some(domain);
    Ok(Some(answer))
}

/// The hostname and the way of its verification cannot change.
pub(super) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let portal = call.portal_mut(world)?;
    let mut domain = portal.domain.clone().ok_or_else(unknown)?;
    let upload = match call.switches.custom_domain_patch {
        CustomDomainPatch::Nested => Upload { given: &call.body["ssl"], path: "ssl." },
        CustomDomainPatch::Flat | CustomDomainPatch::EnabledOnly => Upload { given: &call.body, path: "" },
    };
    if call.switches.certificates_in_pairs {
        upload.check_pair(domain.has_own_certificate(), false)?;
    }
    domain.take(call, &upload)?;
    merge(&mut domain.body, &call.body, &["enabled"]);
    domain.body["updated_at"] = json!(call.seam.now());
    let answer = domain.answer(call);
    portal.domain = Some(domain);
    Ok(Some(answer))
}

/// Gives the hostname back.
pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    if !call.switches.custom_domain_deletable {
        // As for any path that the API does not have.
        return Err(Problem::new(404, "Not found"));
    }
    call.portal_mut(world)?.domain.take().map(|_| None).ok_or_else(unknown)
}

/// The shape of a PATCH in another version of the API.
pub(super) fn patch_shape(version: CustomDomainPatch) -> Option<&'static Schema> {
    match version {
        CustomDomainPatch::Flat => None,
        CustomDomainPatch::Nested => Some(&NESTED),
        CustomDomainPatch::EnabledOnly => Some(&ENABLED_ONLY),
    }
}

/// The schema of an object with these properties and no others.
fn closed(properties: &Value) -> Schema {
    Schema::new(&json!({"type": "object", "additionalProperties": false, "properties": properties}))
}

fn unknown() -> Problem {
    Problem::not_found("Custom domain")
}
