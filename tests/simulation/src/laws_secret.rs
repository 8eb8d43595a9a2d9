//! Law 7, no secret leaks; and of law 9: the credentials of a client are where programs look for them, at every moment.
use data_encoding::BASE64;
use serde_json::Value;

use super::{
    look::{kind, label, namespace, uid},
    notes::Notes,
    sorts::{items, text},
};
use crate::{
    plan::{Millis, Step},
    seen::RemoteRequest,
    world::World,
};

/// Shorter secrets are found in everything.
const TELLING: usize = 8;
/// Lines of a key in PEM that tell something.
const TELLING_LINE: usize = 32;
/// Keys of Secrets whose values are for everybody.
const PUBLIC: [&str; 7] = ["auth_method", "ca.crt", "client_id", "issuer_url", "tls.crt", "token_url", "version"];
/// So often new secrets are looked for.
const LEARN: Millis = 5_000;
/// On an output Secret: the UID of its resource.
pub(super) const OWNER_UID: &str = "portico.dev/owner-uid";

impl Notes {
    /// Takes note of the secrets that there are by now.
    pub(super) fn learn_secrets(&mut self, world: &World) {
        let now = world.now();
        if self.secrets_at.is_some_and(|at| now < at + LEARN) {
            return;
        }
        self.secrets_at = Some(now);
        let mut known: Vec<String> = world.sandbox.secrets();
        for secret in world.kubernetes.list("secrets", None) {
            known
                .extend(values(&secret).into_iter().filter(|(key, _)| !PUBLIC.contains(&key.as_str())).map(|(_, v)| v));
        }
        // A key in PEM is shown in other words where its lines are; a line alone is enough to tell.
        let lines = |secret: &String| -> Vec<String> {
            let telling = |line: &&str| line.len() >= TELLING_LINE && !line.starts_with("-----");
            secret.lines().filter(telling).map(str::to_owned).collect()
        };
        let (long, short): (Vec<String>, Vec<String>) = known.into_iter().partition(|secret| secret.contains('\n'));
        self.secrets = long.iter().flat_map(lines).chain(short).filter(|secret| secret.len() >= TELLING).collect();
        self.secrets.sort_unstable();
        self.secrets.dedup();
    }

    /// Whether a text that others see holds a secret.
    pub(super) fn look_for_secrets(&mut self, world: &World, shown: &str, place: &str) {
        self.test("law 7");
        if let Some(secret) = self.secrets.iter().find(|secret| shown.contains(secret.as_str())) {
            let what = format!("a secret of {} letters stands in {place}", secret.len());
            world.violate("law 7: a secret leaks", what);
        }
    }

    /// All that people see, at the end.
    pub(super) fn search_everything(&mut self, world: &World) {
        self.secrets_at = None;
        self.learn_secrets(world);
        for kind in World::kinds() {
            for object in world.all(kind) {
                self.look_for_secrets(world, &object.to_string(), &label(&object));
            }
        }
        for event in world.kubernetes.list("events.events.k8s.io", None) {
            self.look_for_secrets(world, &event.to_string(), "an event");
        }
    }

    /// Takes note of a client's secret that is sent while it stands in an output Secret.
    pub(super) fn note_output(&mut self, world: &World, request: &RemoteRequest) {
        let secret = text(&request.body["client_secret"]);
        let Some(seen) = request.sender.as_ref().and_then(|sender| self.resources.get(sender)) else { return };
        let stands_in = |name: &String| {
            let stored = world.kubernetes.get("secrets", namespace(&seen.object), name);
            stored.is_some_and(|stored| is_output(&stored) && values(&stored).iter().any(|(_, value)| value == secret))
        };
        if !secret.is_empty() && seen.secrets.iter().any(stands_in) {
            self.handed_out.insert(request.number);
        }
    }

    /// A client was made or changed by a request of this moment: its secret stands in its output Secret already.
    pub(super) fn check_output(&mut self, world: &World, request: &RemoteRequest, client: &Value) {
        let (id, secret) = (text(&client["client_id"]), text(&client["client_secret"]));
        let Some(made) = self.made.get(&format!("/clients/{id}")) else { return };
        let is_new = made.at == world.now();
        // Several resources may name one client, and "whoever holds the recorded id or the mark wins" (law 12): its secret is the one that its
        // maker chose, and the others, which may hand out theirs elsewhere, choose nothing for it.
        let maker = made.maker.as_ref().filter(|maker| request.sender.as_ref() == Some(*maker));
        let Some(seen) = maker.and_then(|maker| self.resources.get(maker)).filter(|seen| seen.live) else { return };
        let owner = &seen.object;
        if !owner["spec"]["credentialsSecret"].is_object() {
            return;
        }
        // What was sent follows the spec of then. KINDS.md, `OAuthClient`: "`clientSecretRef` brings one's own". What was sent while the spec
        // still said so, or asked for no Secret at all, is not what Portico chooses, and that alone stands in the output Secret before it is
        // sent (DESIGN.md section 3, Secrets).
        // Nor is what a pass sent that began before an edit, of which it has said nothing yet.
        let is_behind =
            owner["metadata"]["generation"].as_i64() > owner["status"]["observedGeneration"].as_i64().max(Some(1));
        let was_edited = seen.changed >= request.sent || (is_new && is_behind);
        let chose_none =
            || seen.words.contains("\"clientSecretRef\":{") || text(&request.body["client_secret"]).is_empty();
        if was_edited && chose_none() {
            return;
        }
        let name = text(&owner["spec"]["credentialsSecret"]["name"]);
        // One that a resource before it left, as it does where its CRD went, holds the secret just as well (DESIGN.md section 3, Secrets).
        // Of one that never had it, another's is left alone: "never written over a Secret that is not ours" (DESIGN.md section 3). Whoever has
        // recorded it does not lose it to another, whatever a person takes away: "If a user deletes it, it is rebuilt" (the same).
        let is_ours = |name: &str, stored: &Value| {
            let holder = text(&stored["metadata"]["annotations"][OWNER_UID]);
            let is_anothers = holder != uid(owner) && self.resources.get(holder).is_some_and(|seen| seen.live);
            is_output(stored) && (!is_anothers || hands_out(owner, name))
        };
        let stored = |name: &str| {
            let stored = world.kubernetes.get("secrets", namespace(owner), name);
            stored.filter(|stored| is_ours(name, stored))
        };
        let has_it = |stored: &Value| values(stored).iter().any(|(_, value)| value == secret);
        let held = match stored(name) {
            Some(stored) => has_it(&stored),
            // Somebody may have taken it away, but nobody before there is a client.
            None => !is_new || world.plan.steps.iter().any(|step| takes_secrets(&step.action)),
        };
        // Of another name when it was sent: there it stands.
        let is_held_before = || was_edited && seen.secrets.iter().any(|name| stored(name).is_some_and(|s| has_it(&s)));
        // It stood there when it was sent, and while that was on its way somebody took it away: "generate it, write the output Secret, then
        // send it" (DESIGN.md section 3, Secrets) says no more, and nobody can take back what is on its way.
        let is_taken_since = || {
            let taken = |step: &Step| takes_secrets(&step.action) && step.at >= request.sent && step.at <= world.now();
            self.handed_out.contains(&request.number) && world.plan.steps.iter().any(taken)
        };
        if !held && !secret.is_empty() && !is_held_before() && !is_taken_since() {
            let what = format!("{} has a secret at the API that does not stand in {name}", label(owner));
            world.violate("law 9: credentials nowhere", what);
        }
        self.test("law 9");
    }

    /// An output Secret has what the API has, and nothing is half done.
    pub(super) fn check_credentials(&mut self, world: &World, resource: &Value, client: &Value) {
        self.test("law 9");
        debug_assert_eq!(kind(resource), "OAuthClient");
        let name = text(&resource["spec"]["credentialsSecret"]["name"]);
        if name.is_empty() {
            return;
        }
        let stored = world.kubernetes.get("secrets", namespace(resource), name).unwrap_or_default();
        let values = values(&stored);
        for member in ["client_id", "client_secret"] {
            let at_the_api = text(&client[member]);
            if !values.iter().any(|(_, value)| value == at_the_api) {
                let what = format!("{} is Ready, and {name} does not hold the {member} of the API", label(resource));
                world.violate("law 9: wrong credentials", what);
            }
        }
        if values.iter().any(|(key, _)| key.starts_with("pending_")) {
            let what = format!("{} is Ready, and {name} still has a pending secret", label(resource));
            world.violate("law 9: wrong credentials", what);
        }
    }
}

/// Whether a resource has recorded that its credentials are handed out in this Secret of its namespace, and its spec says so still.
pub(super) fn hands_out(resource: &Value, secret: &str) -> bool {
    !secret.is_empty()
        && text(&resource["status"]["output"]) == secret
        && text(&resource["spec"]["credentialsSecret"]["name"]) == secret
}

fn takes_secrets(action: &crate::plan::Action) -> bool {
    use crate::plan::Action::{DeleteNamespace, DeleteSecret, Secret};
    matches!(action, DeleteNamespace { .. } | DeleteSecret { .. } | Secret { .. })
}

/// What stands in a Secret, as text.
pub(super) fn values(secret: &Value) -> Vec<(String, String)> {
    let data = secret["data"].as_object().into_iter().flatten();
    let decoded = data.filter_map(|(key, value)| {
        let bytes = BASE64.decode(text(value).as_bytes()).ok()?;
        Some((key.clone(), String::from_utf8(bytes).ok()?))
    });
    decoded.filter(|(_, value)| !value.is_empty()).collect()
}

/// Whether a Secret has a value under a key.
pub(super) fn has_value(secret: &Value, key: &str) -> bool {
    values(secret).iter().any(|(known, value)| known == key && !value.trim_end().is_empty())
}

/// Whether an object of the API server has an annotation of ours.
pub(super) fn is_output(secret: &Value) -> bool {
    secret["metadata"]["annotations"][OWNER_UID].is_string()
}

/// The finalizers of an object.
pub(super) fn finalizers(object: &Value) -> Vec<&str> {
    items(&object["metadata"]["finalizers"]).filter_map(Value::as_str).collect()
}
