//! For which resource a create is, and which resources may touch an object that the operator did not make: read from the requests and from
//! the specs that there ever were.
use serde_json::Value;

use super::{
    look::{is_deleting, label, own_connection, recorded_path, uid},
    notes::{FOREIGN, Made, Notes, Seen},
    sorts::{Place, Shape, items, objects, place, sort, text},
};
use crate::{
    plan::{Effect, Millis, Side},
    seen::{Api, RemoteRequest},
    world::World,
};

/// So long after a stranger made an object the operator may not have seen it yet.
const UNSEEN: Millis = 30_000;

impl Made {
    /// Whether it was made for this resource. Of several that may want it, it is for the one whose pass sent the create: the others have made
    /// nothing, and it carries no mark of theirs, is not recorded for their UID, and is no outcome of a create of theirs. So they must not
    /// delete it (law 2), not even when that one has gone and left it. What one of them has recorded is looked at apart. Where the sender is
    /// none of them, nobody can tell.
    pub(super) fn is_for(&self, uid: &str) -> bool {
        match self.maker.as_ref().filter(|maker| self.uids.contains(maker)) {
            Some(maker) => maker == uid,
            None => self.uids.iter().any(|one| one == uid),
        }
    }
}

impl Notes {
    /// The UIDs of the resources that a create may be for. None: it is for nobody.
    pub(super) fn makers(&self, request: &RemoteRequest, place: &Place) -> Vec<String> {
        let body = &request.body;
        let sort = place.sort;
        match (sort.kind, sort.shape) {
            ("Portal", _) => {
                let mark = text(&body["labels"]["portico-ref"]).split_once('.');
                mark.map(|(_, uid)| uid.to_owned()).into_iter().collect()
            }
            (_, Shape::Keyed) => {
                let id = text(&body[sort.id]);
                self.uids(sort.kind, |seen| seen.ids.contains(id))
            }
            (_, Shape::Collection) => {
                // What is sent is what the intent was written for.
                let key = text(&body[sort.key.0]);
                self.uids(sort.kind, |seen| {
                    let intent = &seen.object["status"]["creating"];
                    intent["path"] == place.path.as_str()
                        && intent["key"] == key
                        && text(&intent["uid"]) == uid(&seen.object)
                })
            }
            _ => {
                let portal = place.portal.as_deref().unwrap_or_default();
                let id = place.id.as_deref().unwrap_or_default().to_lowercase();
                let is_it = |seen: &Seen| sort.shape != Shape::Upsert || seen.keys.contains(&id);
                self.uids(sort.kind, |seen| seen.parents.contains(portal) && is_it(seen))
            }
        }
    }

    fn uids(&self, kind: &str, chosen: impl Fn(&Seen) -> bool) -> Vec<String> {
        let found = self.resources.iter().filter(|(_, seen)| seen.live && seen.object["kind"] == kind && chosen(seen));
        found.map(|(uid, _)| uid.clone()).collect()
    }

    /// Law 13: while the objects that are recorded through a connection are in one account, no portal is made through it in another. A
    /// connection with nothing recorded, or whose objects are said to be meant to go, is pinned to none.
    pub(super) fn check_account(&self, world: &World, uids: &[String], path: &str) {
        let Some(maker) = uids.first().and_then(|uid| self.resources.get(uid)).filter(|_| !self.confirmed) else {
            return;
        };
        let Some(used) = own_connection(&maker.object) else { return };
        let Some(pinned) = self.pinned.get(&format!("{}/{}", used.namespace, used.name)) else { return };
        let state = world.state_of(Api::Konnect);
        let is_strange = |path: &str| {
            let id = path.split('/').nth(3).unwrap_or_default();
            items(&state["organizations"][FOREIGN]["portals"]).any(|portal| portal["id"] == id)
        };
        let mut still = self.lives().filter_map(recorded_path).filter(|path| pinned.contains(*path)).peekable();
        if is_strange(path) && still.peek().is_some() && !still.any(is_strange) {
            let what =
                format!("{path} is made for {} in another organization than what is recorded", label(&maker.object));
            world.violate("law 13: another account", what);
        }
    }

    /// Whether an object is in another organization and out of sight for the token that another one was just made with. Once a person has said
    /// there that what is recorded was meant to go, objects in both may be recorded through one connection. That what is recorded is in
    /// another account is only said "where after a new token not one recorded id answers" (DESIGN.md, section 5); where one does, a 404 for
    /// the others is an absence (law 3: "Absent is a 404 in the API's own error shape while the parent answers").
    pub(super) fn is_out_of_sight(&self, world: &World, object: &str, made: &str, maker: &Value) -> bool {
        let own = own_connection(maker).map(|own| format!("{}/{}", own.namespace, own.name));
        let used = own.as_deref().unwrap_or_else(|| text(&maker["status"]["creating"]["connection"]));
        let answers = |path: &str| self.alive.contains(path) && !is_elsewhere(world, path);
        let mut recorded =
            self.lives().filter(|user| user["status"]["remote"]["connection"] == used).filter_map(recorded_path);
        self.confirmed && is_elsewhere(world, object) && !is_elsewhere(world, made) && recorded.any(answers)
    }

    /// Whether what is at this path now was made by a stranger, after what the operator made there had gone; or was changed by one so that
    /// it is not known again.
    pub(super) fn is_strangers(&self, path: &str, made: &Made) -> bool {
        self.estranged.contains(path) || self.appeared.get(path).is_some_and(|at| *at > made.at)
    }

    /// Whether what is at the path that a deleted resource has recorded was made by a stranger, after the API had said to a DELETE of its
    /// deletion that nothing is there any more. It has not to be looked for again: a deletion "ends when the API accepts" (law 5), and
    /// "absent is a 404 in the API's own error shape" (law 3). What came before that DELETE still has to go, as what is recorded (law 2b).
    pub(super) fn was_replaced(&self, path: &str, uid: &str) -> bool {
        let going = self.resources.get(uid).and_then(|seen| seen.going);
        let emptied = self.emptied.get(path).filter(|at| going.is_some_and(|going| going <= **at));
        emptied.is_some_and(|at| self.appeared.get(path).is_some_and(|came| came >= at))
    }

    /// Whether a plan's faults may have answered a request with a refusal of their own: that is definite, and nobody told us of it.
    pub(super) fn may_be_refused(world: &World, operation: &str, sent: Millis) -> bool {
        world.plan.faults.iter().any(|fault| {
            let is_meant = ["*", "write", operation].contains(&fault.what.as_str());
            let is_definite = matches!(fault.effect, Effect::Status(status, _) if status < 500);
            fault.side == Side::Remote && is_meant && is_definite && (fault.from..fault.until).contains(&sent)
        })
    }

    /// A stranger has changed something. What nobody had recorded yet, and was changed in what its create had sent, is not to be known again
    /// (law 2c: "equal to what was sent"; DESIGN.md, section 3, step 4: "exactly one object that is not in `seen` and equals what was sent
    /// is ours …; none: POST").
    pub(super) fn stranger_changed(&mut self, world: &World, of: &str, field: &str, value: &Value) {
        let Some(sort) = sort(of) else { return };
        let state = world.state_of(sort.api);
        let objects = objects(&state);
        let is_estranged = |(path, made): &(&String, &Made)| {
            let has_it = objects.get(*path).is_some_and(|object| object[field] == *value);
            let sent = |maker: &Value| {
                let intent = &maker["status"]["creating"];
                let is_its = made.uids.iter().any(|made_for| intent["uid"] == made_for.as_str());
                is_its && items(&intent["fields"]).any(|sent| text(sent).split('.').next() == Some(field))
            };
            made.kind == of && has_it && self.lives().any(sent) && !self.is_recorded(path)
        };
        let found: Vec<String> = self.made.iter().filter(is_estranged).map(|(path, _)| path.clone()).collect();
        self.estranged.extend(found);
    }

    /// Objects have been deleted by hand. One of them may be one of several that could be a deleted resource's, whose message asks for
    /// that: "delete the right one at the API". Then what is left of them is not its own (law 1: "where nothing can be marked, the resource
    /// stops as `Ambiguous` and a person decides").
    pub(super) fn stranger_decided(&mut self, gone: &[String]) {
        let id = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let mut left: Vec<String> = Vec::new();
        for resource in self.lives().filter(|resource| is_deleting(resource)) {
            let intent = &resource["status"]["creating"];
            let candidates: Vec<&str> = items(&intent["candidates"]).map(text).collect();
            let is_one = |path: &String| candidates.contains(&id(path).as_str());
            if text(&intent["uid"]) == uid(resource) && gone.iter().any(is_one) {
                left.extend(self.made.keys().filter(|path| is_one(path) && !gone.contains(path)).cloned());
            }
        }
        self.estranged.extend(left);
    }

    fn is_recorded(&self, path: &str) -> bool {
        self.lives().any(|resource| recorded_path(resource) == Some(path))
    }

    /// Whether a spec ever said that an object which the operator did not make may be changed or deleted.
    pub(super) fn is_given(&self, place: &Place, object: &Value, now: Millis) -> bool {
        let sort = place.sort;
        let (portal, id) = (place.portal.as_deref().unwrap_or_default(), place.id.as_deref().unwrap_or_default());
        let key = text(&object[sort.key.0]);
        let key = if sort.key.0 == "name" { key.to_owned() } else { key.to_lowercase() };
        let is_another_owners = self.is_foreign(object);
        let is_new = self.appeared.get(&place.path).is_some_and(|at| now.saturating_sub(*at) < UNSEEN);
        let has_our_mark = !is_another_owners && text(&object["labels"]["portico-owner"]) == self.owner;
        let gives = |seen: &Seen| {
            let is_bound = seen.bound.contains(id);
            let is_below = sort.parent != "portalRef" || seen.parents.contains(portal);
            let is_named = is_below && seen.keys.contains(&key);
            match sort.shape {
                Shape::Singleton | Shape::Action => is_below,
                Shape::Claimed => is_named || is_bound,
                Shape::Sole => is_below && (seen.adopts || is_bound),
                Shape::Upsert => {
                    let is_outcome = || self.is_outcome(place, object, seen);
                    is_bound || (is_below && seen.keys.contains(id) && (seen.adopts || is_new || is_outcome()))
                }
                _ if is_another_owners => seen.adopts && is_bound,
                // Whoever has our mark, or an id that follows from our names, is ours.
                _ if has_our_mark => true,
                Shape::Keyed => {
                    let equals_sent = || self.equals_sent(place, object, seen);
                    is_bound || (seen.ids.contains(id) && (seen.adopts || is_derived(seen, id) || equals_sent()))
                }
                Shape::Collection => {
                    is_bound || (is_named && (seen.adopts || self.looks_like_what_was_made(place, object, seen)))
                }
            }
        };
        self.resources.values().any(|seen| seen.object["kind"] == sort.kind && gives(seen))
    }

    /// A status has just recorded an object. Where a spec gave that away under the name that it has now, it is the resource's own from here
    /// on, whatever a stranger calls it later (law 2b: "its id was recorded in status by this installation, for this UID, on this account").
    /// What already equals its spec is taken over without a write, and the first write may come long after.
    pub(super) fn note_taken(&mut self, world: &World, path: &str) {
        if self.made.contains_key(path) || self.adopted.contains(path) {
            return;
        }
        // Nobody can give the others another name, and ACP has none of these.
        let found = place(Api::Konnect, path).filter(|found| found.sort.shape == Shape::Collection);
        let Some(found) = found else { return };
        self.find_parents();
        let state = world.state_of(Api::Konnect);
        let object = objects(&state).get(path).copied();
        if object.is_some_and(|object| self.is_given(&found, object, world.now())) {
            self.adopted.insert(path.to_owned());
        }
    }

    /// When an API last refused a write to this path, or into this collection, with this status.
    pub(super) fn refused(&self, path: &str, status: u16) -> Option<Millis> {
        self.refusals.get(&(path.to_owned(), status)).copied()
    }

    /// The UID of the resource whose open create was to make what is at this path, under an id that its spec says.
    pub(super) fn awaiting(&self, path: &str) -> Option<String> {
        let (collection, id) = path.rsplit_once('/')?;
        let awaits = |resource: &&Value| {
            let intent = &resource["status"]["creating"];
            let is_its = text(&intent["uid"]) == uid(resource) && text(&intent["path"]) == collection;
            is_its && text(&intent["key"]).eq_ignore_ascii_case(id)
        };
        self.lives().find(awaits).map(|resource| uid(resource).to_owned())
    }

    /// Law 2c: "it is the only possible outcome of a create recorded beforehand: absent in a complete listing before, present after, equal to
    /// what was sent"; and it is recorded as such.
    fn is_outcome(&self, place: &Place, version: &Value, seen: &Seen) -> bool {
        let spec = &seen.object["spec"];
        let fields = [
            ("applicationRegistrationEnabled", "application_registration_enabled"),
            ("autoApproveRegistration", "auto_approve_registration"),
            ("deprecated", "deprecated"),
            ("publishStatus", "publish_status"),
        ];
        self.outcomes.get(&place.path).is_some_and(|maker| maker == uid(&seen.object))
            && recorded_path(&seen.object) == Some(place.path.as_str())
            && fields.iter().all(|(ours, theirs)| spec[*ours].is_null() || spec[*ours] == version[*theirs])
    }

    /// The same of what has an id that a spec says. It may be deleted as such without having been recorded.
    fn equals_sent(&self, place: &Place, object: &Value, seen: &Seen) -> bool {
        let sent = seen.sent.as_object();
        self.outcomes.get(&place.path).is_some_and(|maker| maker == uid(&seen.object))
            && sent.is_some_and(|sent| sent.iter().all(|(field, value)| object[field] == *value))
    }

    /// Law 2c: a team that a create with an open intent made has gone before anybody saw it, and one that came after the create was sent
    /// equals all of what was sent. It is the only possible outcome of that create, and recorded as such.
    fn looks_like_what_was_made(&self, place: &Place, team: &Value, seen: &Seen) -> bool {
        let description = &seen.object["spec"]["description"];
        let Some(appeared) = self.appeared.get(&place.path) else { return false };
        place.sort.kind == "PortalTeam"
            && recorded_path(&seen.object) == Some(place.path.as_str())
            && (description.is_null() || *description == team["description"])
            && self.made.iter().any(|(path, made)| {
                made.uids.iter().any(|maker| maker == uid(&seen.object))
                    && made.at < *appeared
                    && !self.alive.contains(path)
            })
    }
}

/// Whether a portal is another organization's: for a token of the first its 404 is an absence (law 3).
pub(super) fn is_elsewhere(world: &World, path: &str) -> bool {
    let id = path.split('/').nth(3).unwrap_or_default();
    let state = world.state_of(Api::Konnect);
    path.starts_with("/v2/portals/")
        && items(&state["organizations"][FOREIGN]["portals"]).any(|portal| portal["id"] == id)
}

/// Whether an id was derived: no spec has it.
fn is_derived(seen: &Seen, id: &str) -> bool {
    !seen.words.contains(&format!("\"{id}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_want_was_made_for_the_one_that_sent_the_create_where_that_is_known() {
        let made = |uids: &[&str], maker: Option<&str>| Made {
            uids: uids.iter().map(|uid| (*uid).to_owned()).collect(),
            maker: maker.map(str::to_owned),
            kind: "PortalCustomDomain",
            at: 0,
        };
        let both = made(&["one", "two"], Some("two"));
        assert!(both.is_for("two") && !both.is_for("one") && !both.is_for("three"));
        // Nobody can tell.
        for unknown in [made(&["one", "two"], None), made(&["one", "two"], Some("three"))] {
            assert!(unknown.is_for("one") && unknown.is_for("two") && !unknown.is_for("three"));
        }
    }
}
