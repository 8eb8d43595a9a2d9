//! Law 10: whether the reason why a resource is not Ready still holds, looked up in what there is.
use portico::engine::{
    key::Key,
    mark::{self, Mark},
};
use serde_json::Value;

use super::{
    end::{End, is_usable},
    exclusive::vie,
    look::{
        Reference, bound, chosen_id, holds, is_deleting, kind, known_path, lifecycle, message, name, namespace,
        natural_key, observes, parent, reason, recorded_path, references, uid,
    },
    secret::{OWNER_UID, hands_out, has_value},
    sorts::{Shape, Sort, items, sort, text},
};

/// How the engine begins to quote a refusal.
const REFUSES: &str = "the API refuses (HTTP ";

pub(super) fn held(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

impl End<'_> {
    /// Whether the reason holds.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn cause(&self, resource: &Value) -> Result<(), String> {
        let Some(sort) = sort(kind(resource)) else { return self.cause_of_connection(resource) };
        let connection = self.connection_of(resource);
        match reason(resource, "Ready") {
            "ConnectionNotReady" => held(connection.is_none_or(|found| !is_usable(found)), "its connection is Ready"),
            "ReferenceNotFound" => {
                let is_missing = references(resource).iter().any(|reference| self.is_missing(reference));
                let was_refused = [400, 404, 422].iter().any(|status| self.was_refused(sort, resource, *status));
                held(is_missing || was_refused || connection.is_none(), "everything that it refers to is there")
            }
            "ReferenceNotReady" => {
                let is_open = references(resource).iter().any(|reference| self.is_open(reference))
                    || self.awaits_another(sort, resource);
                let was_refused = [400, 404, 409, 422].iter().any(|status| self.was_refused(sort, resource, *status));
                held(is_open || was_refused, "everything that it refers to is Ready")
            }
            "ReferenceNotPermitted" => {
                let own = namespace(resource);
                let strange = references(resource).iter().any(|reference| reference.namespace != own);
                let inherited = connection.is_some_and(|found| namespace(found) != own);
                held(strange || inherited, "it refers to nothing in another namespace")
            }
            "SecretNotFound" => held(self.lacks_secret(resource), "all its Secrets are there"),
            "Conflict" => held(self.has_rival(sort, resource), "nobody else claims what it claims"),
            "AlreadyExists" => {
                let is_taken =
                    self.named_alike(sort, resource).next().is_some() || self.was_refused(sort, resource, 409);
                held(is_taken, "there is nothing of its name")
            }
            "OwnedByAnother" => {
                let theirs = |path: &str| self.objects.get(path).is_some_and(|object| self.notes.is_foreign(object));
                let of_its_name = self.named_alike(sort, resource).any(|(_, object)| self.notes.is_foreign(object));
                let own = known_path(resource).is_some_and(theirs)
                    || self.bound(sort, resource).is_some_and(|path| theirs(&path));
                held(own || of_its_name, "nothing of its name is another installation's")
            }
            "Ambiguous" => {
                let several =
                    self.named_alike(sort, resource).count() > 1 || message(resource).contains("could be the one");
                held(several || sort.shape == Shape::Action, "there is at most one object of its name")
            }
            "NotFound" => self.is_not_found(sort, resource),
            "MassAbsence" => {
                let is_held = connection.is_some_and(|found| !found["status"]["absence"].is_null());
                held(is_held, "its connection says nothing of absence")
            }
            "InvalidSpec" | "PermissionDenied" | "QuotaExceeded" => self.is_refused(sort, resource),
            // A person changed what cannot change, or takes the blame for it.
            "ImmutableFieldChanged" => Ok(()),
            "CredentialLost" => {
                let object = known_path(resource).and_then(|path| self.objects.get(path));
                held(object.is_none_or(|object| text(&object["client_secret"]).is_empty()), "the API shows the secret")
            }
            "" => Err("it says nothing".to_owned()),
            _ => Err("nothing goes wrong any more".to_owned()),
        }
    }

    /// A refusal that the status quotes is one that the API gave.
    fn is_refused(&self, sort: &'static Sort, resource: &Value) -> Result<(), String> {
        let Some(rest) = message(resource).strip_prefix(REFUSES) else { return Ok(()) };
        let status = rest.split(')').next().and_then(|status| status.parse().ok()).unwrap_or_default();
        held(self.was_refused(sort, resource, status), "the API never refused that")
    }

    /// Whether the API refused a write for this resource with a status.
    fn was_refused(&self, sort: &'static Sort, resource: &Value, status: u16) -> bool {
        let parent = self.notes.parent_id(resource).unwrap_or_default();
        let collection = sort.collection(&parent);
        let chosen = chosen_id(resource, &self.notes.owner).map(|id| format!("{collection}/{id}"));
        let portal = format!("/v2/portals/{parent}");
        // One that was restored has what another UID recorded, and one that was made anew finds what carries its mark.
        let recorded = resource["status"]["remote"]["path"].as_str().map(str::to_owned);
        // What the spec binds to is changed before it is recorded: a refusal of that is quoted as well.
        let bound = self.bound(sort, resource);
        let places = [Some(collection), chosen, recorded, Some(portal), bound].into_iter().flatten();
        let alike = self.named_alike(sort, resource).map(|(path, _)| path.to_owned());
        places.chain(alike).any(|place| self.notes.refused(&place, status).is_some())
    }

    fn is_missing(&self, reference: &Reference) -> bool {
        if reference.name.is_empty() {
            return path_of(reference).is_none_or(|path| !self.objects.contains_key(&path));
        }
        self.notes.living(reference.kind, &reference.namespace, &reference.name).is_none()
    }

    /// Whether what is referred to is not usable yet, or not any more.
    fn is_open(&self, reference: &Reference) -> bool {
        if reference.name.is_empty() {
            return self.is_missing(reference);
        }
        let found = self.notes.living(reference.kind, &reference.namespace, &reference.name);
        found.is_none_or(|found| {
            let is_connection = sort(kind(found)).is_none();
            let is_there = is_connection || known_path(found).is_some_and(|path| self.objects.contains_key(path));
            holds(found, "Ready") != "True" || is_deleting(found) || !is_there
        })
    }

    /// Whether a resource waits for something, and will find its object then: it chooses the id, and a create under it is idempotent. What
    /// its parent keeps it from doing is one thing. The other is what its spec refers to besides: a deletion "needs no valid spec, no
    /// reference" (law 5), and looks under the derived id. So it is where a Secret is missing, and where `lifecycle.id` binds it to what
    /// another one has (law 12: "The other says `Conflict`"): nothing is recorded, and a deletion takes what has the derived id.
    ///
    /// Where a grant was withdrawn after the create nobody may look meanwhile, for a derived id or for the mark: "A reference across
    /// namespaces holds only if the referred object allows it in `spec.allowedNamespaces`" (DESIGN.md, section 5, which is law 13).
    pub(super) fn will_find(&self, resource: &Value, path: &str) -> bool {
        let own_mark = format!(".{}", uid(resource));
        let is_marked = self.objects.get(path).is_some_and(|object| {
            let labels = &object["labels"];
            labels["portico-owner"] == self.notes.owner && text(&labels["portico-ref"]).ends_with(&own_mark)
        });
        if is_marked {
            return self.is_shut_out(resource);
        }
        let id = chosen_id(resource, &self.notes.owner);
        if path.rsplit('/').next() != id.as_deref() {
            return false;
        }
        let parent_is_open = parent(resource).is_some_and(|parent| self.is_open(&parent));
        let is_derived = sort(kind(resource))
            .is_some_and(|sort| sort.shape == Shape::Keyed && resource["spec"][sort.chosen].is_null());
        let lacks_another = || references(resource).iter().any(|reference| self.is_open(reference));
        match reason(resource, "Ready") {
            "ReferenceNotReady" if parent_is_open => true,
            "ReferenceNotReady" | "ReferenceNotFound" => is_derived && !parent_is_open && lacks_another(),
            "SecretNotFound" => is_derived && !parent_is_open && self.lacks_secret(resource),
            "Conflict" => is_derived && !lifecycle(resource, "id").is_empty(),
            "ReferenceNotPermitted" => is_derived && self.is_shut_out(resource),
            _ => false,
        }
    }

    /// Whether a resource says that it is not permitted what it refers to, and what is there, its connection included, does not permit it.
    fn is_shut_out(&self, resource: &Value) -> bool {
        let own = namespace(resource);
        let refuses = |target: &Value| {
            let allowed = &target["spec"]["allowedNamespaces"];
            let permits = match text(&allowed["from"]) {
                "All" => true,
                "Names" => items(&allowed["names"]).any(|name| name == own),
                _ => false,
            };
            namespace(target) != own && !permits
        };
        let named = references(resource);
        let targets = named.iter().filter_map(|to| self.notes.living(to.kind, &to.namespace, &to.name));
        reason(resource, "Ready") == "ReferenceNotPermitted" && targets.chain(self.connection_of(resource)).any(refuses)
    }

    /// Whether another resource has begun what can only be done by one at a time, and has not seen its end.
    fn awaits_another(&self, sort: &Sort, resource: &Value) -> bool {
        let parent = self.notes.parent_id(resource);
        self.notes.lives().filter(|other| sort.shape == Shape::Action && kind(other) == sort.kind).any(|other| {
            let status = &other["status"];
            let has_begun = status["started"].is_string() || text(&status["creating"]["uid"]) == uid(other);
            let has_ended = ["Complete", "Failed", "Stalled"].iter().any(|said| holds(other, said) == "True");
            uid(other) != uid(resource)
                && has_begun
                && !has_ended
                && !is_deleting(other)
                && self.notes.parent_id(other) == parent
        })
    }

    /// The path of the object that the spec binds to.
    fn bound(&self, sort: &Sort, resource: &Value) -> Option<String> {
        let id = bound(resource)?;
        let collection = sort.collection(&self.notes.parent_id(resource).unwrap_or_default());
        Some(if sort.is_single() { collection } else { format!("{collection}/{id}") })
    }

    fn is_not_found(&self, sort: &'static Sort, resource: &Value) -> Result<(), String> {
        if let Some(path) = self.bound(sort, resource) {
            return held(!self.objects.contains_key(&path), "the object that it is bound to is there");
        }
        if observes(resource) || self.only_looks(resource) {
            return held(self.named_alike(sort, resource).next().is_none(), "there is an object of its name");
        }
        let is_gone = known_path(resource).is_none_or(|path| !self.objects.contains_key(path));
        held(is_gone && lifecycle(resource, "drift") == "Report", "it is to be made again")
    }

    /// The objects that have this resource's name, or the id that it chose, and are not its own.
    fn named_alike(&self, sort: &'static Sort, resource: &Value) -> impl Iterator<Item = (&str, &Value)> {
        let collection = sort.collection(&self.notes.parent_id(resource).unwrap_or_default());
        let (key, id) = (natural_key(resource), chosen_id(resource, &self.notes.owner));
        let own = recorded_path(resource).map(str::to_owned);
        let objects = self.objects.iter().map(|(path, object)| (path.as_str(), *object));
        objects.filter(move |(path, object)| {
            let Some(rest) = path.strip_prefix(collection.as_str()) else { return false };
            let inner = rest.strip_prefix('/').unwrap_or(rest);
            let here = if sort.is_single() { rest.is_empty() } else { !inner.is_empty() && !inner.contains('/') };
            let shown = text(&object[sort.key.0]);
            let by_key = key.as_deref().is_some_and(|key| shown == key || shown.eq_ignore_ascii_case(key));
            here && own.as_deref() != Some(*path) && (sort.is_single() || by_key || id.as_deref() == Some(inner))
        })
    }

    /// Where the objects are that a resource claims by their ids: chosen, bound or recorded.
    fn claims(&self, sort: &Sort, resource: &Value) -> Vec<String> {
        let collection = sort.collection(&self.notes.parent_id(resource).unwrap_or_default());
        let chosen = chosen_id(resource, &self.notes.owner).map(|id| format!("{collection}/{id}"));
        let known = known_path(resource).map(str::to_owned);
        [chosen, self.bound(sort, resource), known].into_iter().flatten().collect()
    }

    /// Whether another resource claims the object, or somebody else the Secret.
    fn has_rival(&self, sort: &'static Sort, resource: &Value) -> bool {
        let (key, id) = (natural_key(resource), chosen_id(resource, &self.notes.owner));
        let taken: Vec<&str> = self.named_alike(sort, resource).map(|(path, _)| path).collect();
        let claims = self.claims(sort, resource);
        // "Whoever holds the recorded id or the mark wins" (law 12), and "Same owner and digits with a UID that is no more: ours again"
        // (DESIGN.md, section 3): one from a restored backup has recorded nothing as long as it is paused, say.
        let is_heir = |other: &Value| {
            let key = Key::new(sort.kind, namespace(other), name(other));
            let mut wanted = taken.iter().copied().chain(claims.iter().map(String::as_str));
            let has_mark = |object: &&Value| mark::read(object, &self.notes.owner, &key) == Mark::Ours;
            known_path(other).is_none() && wanted.any(|path| self.objects.get(path).is_some_and(has_mark))
        };
        let is_rival = |other: &Value| {
            let is_other = kind(other) == sort.kind && uid(other) != uid(resource);
            let is_beside = self.is_beside(other, resource);
            let same_key = is_beside && key.is_some() && natural_key(other) == key;
            let same_id = id.is_some() && chosen_id(other, &self.notes.owner) == id;
            let has_it = known_path(other).is_some_and(|path| taken.contains(&path))
                || self.claims(sort, other).iter().any(|path| claims.contains(path))
                || is_heir(other);
            is_other && (same_key || same_id || has_it || (is_beside && (sort.is_single() || vie(resource, other))))
        };
        let name = text(&resource["spec"]["credentialsSecret"]["name"]);
        let stored = self.world.kubernetes.get("secrets", namespace(resource), name);
        let is_anothers = stored.is_some_and(|stored| stored["metadata"]["annotations"][OWNER_UID] != uid(resource));
        // "Whoever holds the recorded id or the mark wins" (law 12): a Secret that a user deletes "is rebuilt" (DESIGN.md, section 3) for the one
        // that has recorded it, also where that takes its time, as while it is paused.
        let has_recorded = |other: &Value| {
            let is_other = uid(other) != uid(resource) && namespace(other) == namespace(resource);
            is_other && !is_deleting(other) && hands_out(other, name)
        };
        let is_theirs = is_anothers || self.notes.lives().any(has_recorded);
        self.notes.lives().any(is_rival) || (!name.is_empty() && is_theirs)
    }

    /// Whether a Secret that a spec names, or a key in it, is not there.
    pub(super) fn lacks_secret(&self, resource: &Value) -> bool {
        let mut named = Vec::new();
        keys(&resource["spec"], &mut named);
        named.iter().any(|(name, key)| {
            let stored = self.world.kubernetes.get("secrets", namespace(resource), name);
            stored.is_none_or(|stored| !has_value(&stored, key))
        })
    }
}

/// Where the object is that a reference names by its id.
fn path_of(reference: &Reference) -> Option<String> {
    Some(format!("{}/{}", sort(reference.kind)?.collection(""), reference.id))
}

/// The names of the Secrets in a spec, each with a key that is needed.
pub(super) fn keys(spec: &Value, found: &mut Vec<(String, String)>) {
    match spec {
        Value::Object(members) => {
            for (field, member) in members {
                let is_reference = field.to_lowercase().ends_with("secretref");
                let Some(name) = member["name"].as_str().filter(|_| is_reference) else {
                    keys(member, found);
                    continue;
                };
                let keys = match (member["key"].as_str(), field.as_str()) {
                    (Some(key), _) => vec![key],
                    (None, "tokenSecretRef") => vec!["token"],
                    (None, "tlsSecretRef") => vec!["tls.crt", "tls.key"],
                    (None, _) => vec!["client_id", "client_secret"],
                };
                found.extend(keys.into_iter().map(|key| (name.to_owned(), key.to_owned())));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_keys_of_secrets_are_those_that_are_needed() {
        let spec = json!({
            "tokenSecretRef": {"name": "t"},
            "clientCredentials": {"secretRef": {"name": "c"}},
            "list": [{"clientSecretRef": {"name": "d", "key": "k"}}],
        });
        let mut found = Vec::new();
        keys(&spec, &mut found);
        found.sort_unstable();
        let pair = |name: &str, key: &str| (name.to_owned(), key.to_owned());
        assert_eq!(found, [pair("c", "client_id"), pair("c", "client_secret"), pair("d", "k"), pair("t", "token")]);
    }
}
