//! Law 12: of those who claim one object at most one is Ready, and somebody goes first.
use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    end::End,
    look::{
        chosen_id, holds, is_deleting, is_paused, kind, known_path, label, lifecycle, message, namespace, natural_key,
        observes, reason, recorded_path, uid,
    },
    sorts::{Shape, sort, text},
};

impl End<'_> {
    /// Law 12: of those who claim one object at most one is Ready, and somebody goes first.
    pub(super) fn check_rivals(&self) {
        self.check_exclusive();
        let mut rivals: BTreeMap<(&str, String, String), Vec<&Value>> = BTreeMap::new();
        for resource in self.notes.lives().filter(|resource| !is_deleting(resource) && !is_paused(resource)) {
            let Some(sort) = sort(kind(resource)).filter(|sort| sort.shape != Shape::Action) else { continue };
            if observes(resource) || self.only_looks(resource) {
                continue;
            }
            let parent = self.notes.parent_id(resource).unwrap_or_default();
            let key = match sort.shape {
                Shape::Singleton | Shape::Sole => Some(String::new()),
                Shape::Keyed => chosen_id(resource, &self.notes.owner),
                _ => natural_key(resource),
            };
            let (Some(key), false) = (key, parent.is_empty() && !sort.parent.is_empty()) else { continue };
            rivals.entry((sort.kind, sort.collection(&parent), key)).or_default().push(resource);
        }
        for ((_, collection, key), rivals) in rivals.iter().filter(|(_, rivals)| rivals.len() > 1) {
            let names = || rivals.iter().map(|rival| label(rival)).collect::<Vec<_>>().join(", ");
            // "Two resources never fight" over one object, and these are two where each is in an organization of its own: a name says
            // nothing beyond its account ("Claims are keyed by host, account and path").
            let in_one = |elsewhere: bool| {
                let is_there = |rival: &&&Value| self.is_elsewhere(rival) == elsewhere;
                rivals.iter().filter(is_there).filter(|rival| holds(rival, "Ready") == "True").count()
            };
            if in_one(false).max(in_one(true)) > 1 {
                let what = format!("{} are all Ready with {key:?} in {collection}", names());
                self.world.violate("law 12: two are Ready", what);
            }
            // One that is on its way out may have it still.
            let is_going = |other: &Value| is_deleting(other) && kind(other) == kind(rivals[0]);
            let waits = rivals.iter().all(|rival| reason(rival, "Ready") == "Conflict");
            if waits && !self.notes.lives().any(is_going) && !self.waits_beside(rivals) {
                let what = format!("{} wait for each other with {key:?} in {collection}", names());
                self.world.violate("law 12: nobody goes first", what);
            }
        }
    }

    /// Whether one of them waits for a resource beside them that goes first, or for one that waits for such a one in its turn: who wants two
    /// things, as by its name and by the id that its spec binds to, stands in two queues, and both end at somebody who waits for none.
    pub(super) fn waits_for_another(&self, rivals: &[&Value]) -> bool {
        rivals.iter().any(|rival| self.waits_in_line(rival, rivals))
    }

    /// The same of one. Those who were passed already are not asked again: a circle has no end.
    fn waits_in_line(&self, rival: &Value, passed: &[&Value]) -> bool {
        let is_new = |other: &&Value| passed.iter().all(|one| uid(one) != uid(other)) && !is_deleting(other);
        self.notes.lives().filter(is_new).filter(|other| self.goes_before(other, rival)).any(|other| {
            let line: Vec<&Value> = passed.iter().copied().chain([other]).collect();
            let ends_beside = || self.waits_for_paused(&[other]) || self.waits_for_asking(&[other]);
            reason(other, "Ready") != "Conflict" || ends_beside() || self.waits_in_line(other, &line)
        })
    }

    /// Whether one says that it waits for the other, and rightly. "Whoever holds the recorded id or the mark wins; among claimants without
    /// either the older" (law 12): the other is bound to the id by its spec, has recorded the object that has the name (it may have been
    /// renamed since, or only look by now) or the only one that there can be (below a portal whose resource is gone by now, while another
    /// resource has taken the portal over), or is older and has the same name.
    fn goes_before(&self, other: &Value, rival: &Value) -> bool {
        let said = message(rival);
        let claims = said.starts_with(&format!("{} claims the same object", label(other)));
        let has_it = said.ends_with(&format!(" belongs to {}", label(other)));
        let is_bound = !observes(other) && !lifecycle(other, "id").is_empty();
        let held = recorded_path(other).and_then(|path| self.objects.get(path));
        let is_only = recorded_path(other).is_some() && recorded_path(other) == self.only_path(rival).as_deref();
        let is_held = held.is_some_and(|object| observes(other) || is_only || is_called(object, rival))
            || (is_only && self.went_with_its_parent(other));
        let since = |object: &Value| text(&object["metadata"]["creationTimestamp"]).to_owned();
        let is_beside = kind(other) == kind(rival) && self.is_beside(other, rival);
        let is_older = is_beside && natural_key(other) == natural_key(rival) && since(other) <= since(rival);
        (claims && (is_bound || is_held || is_older)) || (has_it && is_held)
    }

    /// Whether the other one's object is, or will be, beside this one's. Where what it belongs to is not to be found any more, what it has recorded,
    /// or its open create, says where that is: "Whoever holds the recorded id or the mark wins" (law 12), and a reference to what is gone
    /// voids no record. Nor does an object that went with its portal: absent is "a 404 in the API's own error shape while the parent answers"
    /// (law 3).
    pub(super) fn is_beside(&self, other: &Value, resource: &Value) -> bool {
        let (theirs, own) = (self.notes.parent_id(other), self.notes.parent_id(resource));
        let (None, Some(parent)) = (&theirs, &own) else { return theirs == own };
        let Some(collection) = sort(kind(resource)).map(|sort| sort.collection(parent)) else { return false };
        let rest = recorded_path(other).and_then(|path| path.strip_prefix(collection.as_str()));
        let intent = &other["status"]["creating"];
        let is_open = intent["path"] == collection.as_str() && text(&intent["uid"]) == uid(other);
        is_open || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Where the object of a resource is whose place below its parent is known beforehand: the parent has one at most, or the id is chosen.
    fn only_path(&self, resource: &Value) -> Option<String> {
        let sort = sort(kind(resource))?;
        let collection = sort.collection(&self.notes.parent_id(resource)?);
        if sort.is_single() {
            return Some(collection);
        }
        chosen_id(resource, &self.notes.owner).map(|id| format!("{collection}/{id}"))
    }

    /// Whether what a resource has recorded went with what it was below. That is not absent, which is "a 404 in the API's own error shape
    /// while the parent answers" (law 3), so the record stands, and "Whoever holds the recorded id or the mark wins" (law 12): until the
    /// parent is made again, elsewhere, which "creates are held (`MassAbsence`)" (law 3) may put off until a person says so. The record is
    /// one of those that vanished then: without it there might be no mass any more.
    fn went_with_its_parent(&self, resource: &Value) -> bool {
        let is_gone = |parent: String| !self.objects.contains_key(&parent) && !self.is_elsewhere(resource);
        recorded_parent(resource).is_some_and(is_gone)
    }

    /// Whether one of them waits for one that is paused, and is older or has the object: a pause gives up no claim.
    pub(super) fn waits_for_paused(&self, rivals: &[&Value]) -> bool {
        self.notes.lives().filter(|other| is_paused(other)).any(|other| {
            let claim = format!("{} claims the same object", label(other));
            let has_it = known_path(other).is_some() || text(&other["status"]["creating"]["uid"]) == uid(other);
            let since = text(&other["metadata"]["creationTimestamp"]);
            rivals.iter().any(|rival| {
                let is_older = since <= text(&rival["metadata"]["creationTimestamp"]);
                let is_told = message(rival).contains(&claim) && (has_it || is_older);
                is_told || (has_it && message(rival).ends_with(&format!(" belongs to {}", label(other))))
            })
        })
    }
}

/// Where that is which a recorded object belongs to, as recipes say it: in so many words, or above the list that shows the object.
fn recorded_parent(resource: &Value) -> Option<String> {
    let above = |path: &str| path.rsplit_once('/').map(|(above, _)| above.to_owned());
    let (path, remote) = (recorded_path(resource)?, &resource["status"]["remote"]);
    let listing = || remote["listing"].as_str().map(str::to_owned).or_else(|| above(path));
    remote["parent"].as_str().map(str::to_owned).or_else(|| above(&listing()?))
}

/// Whether an object at the API is called what a resource wants its own to be called.
fn is_called(object: &Value, resource: &Value) -> bool {
    let name = sort(kind(resource)).map(|sort| text(&object[sort.key.0]));
    natural_key(resource).is_some_and(|key| name.is_some_and(|name| name.eq_ignore_ascii_case(&key)))
}

/// Whether a resource waits for nobody who claims its object, but for the end of a Secret of the name under which it is to hand out its
/// credentials. An output Secret "is never written over a Secret that is not ours" (DESIGN.md, section 3). It goes first all the same, as
/// the older one does (law 12), and the others stand behind it.
pub(super) fn waits_for_secret(resource: &Value) -> bool {
    let name = text(&resource["spec"]["credentialsSecret"]["name"]);
    let secret = format!("Secret {}/{name} ", namespace(resource));
    let says =
        |rest: &str| ["exists already and is not this resource's", "belongs to "].iter().any(|s| rest.starts_with(s));
    !name.is_empty() && message(resource).strip_prefix(&secret).is_some_and(says)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_object_belongs_to_is_named_or_above_the_list_that_shows_it() {
        let of = |remote: Value| {
            let mut resource = json!({"metadata": {"uid": "u"}, "status": {"id": "x", "remote": remote}});
            resource["status"]["remote"]["uid"] = json!("u");
            recorded_parent(&resource)
        };
        let domain = json!({"path": "/v3/portals/p/custom-domain", "parent": "/v2/portals/p"});
        assert_eq!(of(domain).as_deref(), Some("/v2/portals/p"));
        assert_eq!(of(json!({"path": "/v2/portals/p/product-versions/x"})).as_deref(), Some("/v2/portals/p"));
        assert_eq!(of(json!({"path": "/clients/x", "listing": "/servers/s/clients"})).as_deref(), Some("/servers/s"));
        assert_eq!(of(json!({"path": "/v2/portals/p/teams/x", "observed": true})), None);
    }

    #[test]
    fn who_waits_for_its_own_secret_waits_for_no_rival() {
        let client = |message: &str| {
            let ready = json!({"type": "Ready", "status": "False", "reason": "Conflict", "message": message});
            json!({
                "kind": "OAuthClient",
                "metadata": {"namespace": "world", "name": "shop"},
                "spec": {"credentialsSecret": {"name": "shop-credentials"}},
                "status": {"conditions": [ready]},
            })
        };
        let left = "exists already and is not this resource's, so it is left alone";
        assert!(waits_for_secret(&client(&format!("Secret world/shop-credentials {left}"))));
        assert!(!waits_for_secret(&client(&format!("Secret world/another {left}"))));
        assert!(!waits_for_secret(&client("OAuthClient world/store claims the same object")));
        assert!(waits_for_secret(&client(
            "Secret world/shop-credentials belongs to OAuthClient world/store: rename it"
        )));
        assert!(!waits_for_secret(&client("the object x belongs to OAuthClient world/store")));
    }
}
