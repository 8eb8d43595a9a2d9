//! The operator's requests to the management APIs, one by one: laws 1, 2, 3, 4, 6 and 13.
use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

use super::{
    look::{is_paused, known_path, label, observes, own_connection, recorded_path, uid},
    makers::is_elsewhere,
    notes::{Flight, Made, Notes, Seen, is_served},
    same::is_idle,
    sorts::{Place, Shape, items, objects, place, text},
};
use crate::{
    attribution::sender,
    plan::{Action, Millis, Stranger},
    seen::{Api, RemoteAnswer, RemoteRequest},
    world::{CONSISTENCY, REQUEST_TIMEOUT, TENANT, World},
};

/// So long after somebody paused a resource, or put it into Observe, everybody has heard of it.
pub(super) const HEARD: Millis = 90_000;
/// So long a pass may take from its look at an object to its write.
const UNHEARD: Millis = 15_000;
/// What vanished within so many milliseconds vanished at once.
const AT_ONCE: Millis = 1_000;

/// Whether a request makes an object, if it is carried out.
fn makes(request: &RemoteRequest, place: &Place) -> bool {
    let whole = place.rest.is_empty();
    match (&request.method, place.sort.shape) {
        (&Method::POST, Shape::Collection | Shape::Keyed) => place.id.is_none(),
        (&Method::POST, Shape::Sole) => whole,
        (&Method::PUT, Shape::Upsert | Shape::Action) => whole && place.id.is_some(),
        _ => false,
    }
}

/// Where an object is listed: in the collection that its path is in, unless the status says otherwise.
fn listing(object: &Value) -> String {
    let remote = &object["status"]["remote"];
    let collection = text(&remote["path"]).rsplit_once('/').map(|(collection, _)| collection);
    remote["listing"].as_str().or(collection).unwrap_or_default().to_owned()
}

/// Whether so many of so many objects are more than chance takes away: all of two or more, or more than three and more than a fifth.
fn is_mass(missing: usize, recorded: usize) -> bool {
    missing >= 2 && (missing == recorded || (missing > 3 && missing * 5 > recorded))
}

impl Notes {
    pub(super) fn remote_request(&mut self, world: &World, request: &RemoteRequest) {
        self.test("law 13");
        let stays = match request.api {
            Api::Konnect => request.path.starts_with("/v2/") || request.path.starts_with("/v3/"),
            Api::Acp => {
                let (admin, token) = (format!("/api/admin/{TENANT}/"), format!("/{TENANT}/admin/oauth2/token"));
                request.path.starts_with(&admin) || request.path == token
            }
        };
        if !stays || request.path.contains("//") || request.path.ends_with('/') {
            world.violate("law 13: strange path", request.to_string());
        }
        if request.is_write() {
            self.check_lease(world, (request.replica, request.life), REQUEST_TIMEOUT, request);
            self.look_for_secrets(world, &request.to_string(), "a path");
            self.look(world);
            self.check_sender(world, request);
        }
        let Some(place) = place(request.api, &request.path) else { return };
        if !request.is_write() {
            return;
        }
        self.note_output(world, request);
        if makes(request, &place) {
            self.create_is_sent(world, request, &place);
        } else {
            self.change_is_sent(world, request, &place);
        }
    }

    fn create_is_sent(&mut self, world: &World, request: &RemoteRequest, place: &Place) {
        self.test("law 1");
        let mut uids = self.makers(request, place);
        let (sort, is_wanted) = (place.sort, !uids.is_empty());
        if sort.shape == Shape::Action {
            // What is done once says beforehand for whom, and that is whoever sends it: law 1 is about creates "of the same resource", and
            // several resources may want theirs below one parent. It may have gone since, with its CRD.
            uids = sender().filter(|uid| self.has_intent(uid)).into_iter().collect();
        }
        let only_looks = |uid: &String| {
            let seen = self.resources.get(uid);
            seen.is_some_and(|seen| observes(&seen.object) && seen.modes.iter().all(|mode| mode == "Observe"))
        };
        if !uids.is_empty() && uids.iter().all(only_looks) {
            world.violate("law 2: written in Observe", format!("{request} is sent, and whoever wants it only looks"));
        }
        let counts_once = matches!(sort.shape, Shape::Collection | Shape::Action);
        if uids.is_empty() && counts_once && (is_wanted || sort.shape == Shape::Collection) {
            let what = if sort.kind == "Portal" { "without the mark" } else { "without an intent in a status" };
            world.violate("law 1: create without identity", format!("{request} is sent {what}"));
        }
        let window = REQUEST_TIMEOUT + CONSISTENCY;
        let open = self.flights.values().find(|flight| {
            let is_open = flight.sent + window > request.sent && flight.uids.iter().any(|uid| uids.contains(uid));
            is_open && !Self::may_be_refused(world, request.operation, flight.sent)
        });
        if let Some(open) = open.filter(|_| counts_once) {
            let what = format!("{request} is sent, and one that was sent at {} ms may still take effect", open.sent);
            world.violate("law 1: create in flight", what);
        }
        self.test("law 3");
        if uids.len() == 1 && matches!(sort.shape, Shape::Collection | Shape::Keyed) && !self.reads_lie {
            // It may be there for another organization's token alone, and a person has said that it was meant to go.
            let seen = self.resources.get(&uids[0]).filter(|seen| !(self.confirmed && seen.left));
            let recorded = seen.and_then(|seen| recorded_path(&seen.object));
            let is_there = |path: &&str| self.alive.contains(*path) && !(self.confirmed && is_elsewhere(world, path));
            if let Some(path) = recorded.filter(is_there) {
                world.violate("law 3: create of what is there", format!("{request} is sent, and {path} is there"));
            }
        }
        for uid in &uids {
            self.check_mass(world, uid, request.sent);
        }
        if let Some(seen) = request.sender.as_ref().and_then(|uid| self.resources.get_mut(uid)) {
            seen.sent = request.body.clone();
        }
        self.flights.insert(request.number, Flight { uids, sent: request.sent });
    }

    /// Law 3: what vanished in a mass is not made again without a person's word.
    fn check_mass(&self, world: &World, uid: &str, sent: Millis) {
        let Some(object) = self.resources.get(uid).map(|seen| &seen.object).filter(|_| !self.confirmed) else { return };
        let Some(path) = recorded_path(object) else { return };
        let Some(gone_at) = self.vanished.get(path).filter(|_| !self.alive.contains(path)) else { return };
        let connection = &object["status"]["remote"]["connection"];
        let together = |(other, listed): &&(&str, String)| {
            // What somebody made in its place since was there when it was looked for, whatever became of that.
            let is_replaced = |at: &Millis| self.appeared.get(*other).is_some_and(|came| came > at);
            let gone = self.vanished.get(*other).filter(|at| !self.alive.contains(*other) && !is_replaced(at));
            // Who found this one missing may have looked before that one went.
            let is_known = |at: Millis| at <= *gone_at || at + UNHEARD < sent;
            gone.is_some_and(|at| at.abs_diff(*gone_at) <= AT_ONCE && is_known(*at)) && *listed == listing(object)
        };
        let count = |counts: &dyn Fn(&Seen) -> bool| {
            let through = self.resources.values().filter(|seen| counts(seen)).map(|seen| &seen.object);
            let through = through.filter(|other| other["status"]["remote"]["connection"] == *connection);
            let recorded: Vec<(&str, String)> =
                through.filter_map(|other| Some((recorded_path(other)?, listing(other)))).collect();
            (recorded.iter().filter(together).count(), recorded.len())
        };
        // "If all of a connection's objects (2 or more), or more than max(3, 20 %) of them, vanish at once" (law 3): what was let go of since
        // then was one of them.
        let (missing, recorded) = count(&|seen| seen.live);
        let was_there = |seen: &Seen| seen.live || seen.going.is_some_and(|at| at > *gone_at);
        let (missing_then, recorded_then) = count(&was_there);
        if is_mass(missing, recorded) && is_mass(missing_then, recorded_then) {
            let what = format!("{path} is made again, and {missing} of {recorded} vanished with it");
            world.violate("law 3: mass absence", format!("{}: {what}", label(object)));
        }
    }

    fn change_is_sent(&mut self, world: &World, request: &RemoteRequest, place: &Place) {
        self.test("law 2");
        if place.id.is_none() {
            return;
        }
        let is_delete = request.method == Method::DELETE && place.rest.is_empty();
        if let Some(at) = self.deleted.get(&place.path).filter(|_| !is_delete) {
            let what = format!("{request} is sent, and its DELETE was carried out at {at} ms");
            world.violate("law 2: written after its DELETE", what);
        }
        let knows = |object: &&Value| known_path(object) == Some(place.path.as_str());
        // Who only observes claims nothing: what is sent is somebody else's.
        let Some(holder) = self.lives().filter(knows).find(|object| !self.only_watches(place, object)) else { return };
        if sender().as_deref() == Some(uid(holder)) {
            // What it may send itself is looked at with every write.
            return;
        }
        let seen = &self.resources[uid(holder)];
        if (observes(holder) || is_paused(holder)) && seen.changed + HEARD < request.sent {
            let what = format!("{request} is sent for {}, which is in Observe or paused", label(holder));
            world.violate("law 2: written in Observe", what);
        }
        let Some(connection) = own_connection(holder) else { return };
        let Some(found) = self.living(connection.kind, &connection.namespace, &connection.name) else { return };
        let since = self.resources[uid(found)].changed;
        if found["spec"]["mode"] == "Observe" && since + HEARD < request.sent {
            let what = format!("{request} is sent for {}, and {} only looks", label(holder), label(found));
            world.violate("law 2: written in Observe", what);
        }
    }

    /// Whether a resource other than the one that observes an object may be the one that speaks for it.
    pub(super) fn has_another_speaker(&self, place: &Place, observer: &Seen) -> bool {
        let (portal, id) = (place.portal.as_deref().unwrap_or_default(), place.id.as_deref().unwrap_or_default());
        self.resources.values().filter(|seen| seen.live && seen.object["kind"] == place.sort.kind).any(|seen| {
            let is_below = place.sort.parent != "portalRef" || seen.parents.contains(portal);
            let is_same = place.sort.is_single()
                || seen.ids.contains(id)
                || seen.bound.contains(id)
                || !seen.keys.is_disjoint(&observer.keys);
            uid(&seen.object) != uid(&observer.object) && !observes(&seen.object) && is_below && is_same
        })
    }

    pub(super) fn remote_arrives(&mut self, world: &World, request: &RemoteRequest) {
        if !request.is_write() {
            return;
        }
        if request.path.ends_with("/team-group-mappings") {
            return self.groups_arrive(world, request);
        }
        let Some(place) = place(request.api, &request.path).filter(|place| place.id.is_some()) else { return };
        if request.method == Method::POST && place.rest.is_empty() {
            // It is refused where something is there.
            return;
        }
        let is_known = self.made.contains_key(&place.path) || self.adopted.contains(&place.path);
        let may_be_idle = ["Consent", "PortalProductVersion"].contains(&place.sort.kind);
        let is_marked = place.sort.kind == "Portal";
        if is_known && !may_be_idle && !is_marked && place.rest.is_empty() {
            return;
        }
        let state = world.state_of(request.api);
        let objects = objects(&state);
        let Some(object) = objects.get(&place.path) else { return };
        // Who was in the middle of something could not know yet, nor call back what was on its way.
        let is_anothers = self.foreign.get(&place.path).is_some_and(|since| since + UNHEARD < request.sent);
        if !is_known || is_anothers {
            self.test("law 2");
            if self.is_given(&place, object, request.sent) {
                self.adopted.insert(place.path.clone());
            } else {
                let what = format!("{request} finds an object that is not ours, and no spec gave it away");
                world.violate("law 2: a stranger's object", what);
            }
        }
        if request.method == Method::DELETE && place.rest.len() == 2 {
            self.entry_goes(world, request, &place, &objects);
        }
        self.test("law 4");
        let reads_lied =
            self.reads_lie && world.plan.steps.iter().any(|step| matches!(step.action, Action::Stranger(_)));
        // Where a pass saw nothing, something differed (law 4): that a stranger came between its look and its write is nobody's fault.
        let just_came = !is_known
            && world.plan.steps.iter().any(|step| {
                let is_past = step.at <= world.now() && request.sent < step.at + UNHEARD;
                is_past && matches!(step.action, Action::Stranger(_))
            });
        // The same of a known object that a stranger changed into just what is sent, after the look or with the write on its way: when the
        // pass looked, something differed ("where nothing differs, nothing is written", law 4).
        let was_done = world.plan.steps.iter().any(|step| {
            let Action::Stranger(Stranger::Change { kind, field, value, .. }) = &step.action else { return false };
            let is_past = step.at <= world.now() && request.sent < step.at + UNHEARD;
            is_past && kind == place.sort.kind && request.body[field.as_str()] == *value
        });
        let could_know = !reads_lied && !just_came && !was_done;
        if may_be_idle && place.rest.is_empty() && could_know && is_idle(&request.body, object, place.sort) {
            world.violate("law 4: idle write", format!("{request} changes nothing"));
        }
    }

    /// The groups of teams are written through a path of the portal.
    fn groups_arrive(&mut self, world: &World, request: &RemoteRequest) {
        self.test("law 2");
        let portal = request.path.split('/').nth(3).unwrap_or_default();
        for mapping in items(&request.body["data"]) {
            let team = format!("/v2/portals/{portal}/teams/{}", text(&mapping["team_id"]));
            if !self.made.contains_key(&team) && !self.adopted.contains(&team) {
                let recorded = self.lives().any(|object| recorded_path(object) == Some(team.as_str()));
                if !recorded {
                    world
                        .violate("law 2: a stranger's object", format!("{request} is about {team}, which is not ours"));
                }
            }
        }
    }

    /// An entry is taken out of a team: one that the operator added, or that a spec ever named, or of a list that is exclusive.
    fn entry_goes(&self, world: &World, request: &RemoteRequest, place: &Place, objects: &BTreeMap<String, &Value>) {
        let ([list, id], Some(portal)) = (place.rest.as_slice(), &place.portal) else { return };
        let words: Vec<String> = if list == "developers" {
            let person = objects.get(&format!("/v2/portals/{portal}/developers/{id}"));
            person.map(|person| text(&person["email"]).to_lowercase()).into_iter().collect()
        } else {
            let roles = objects.get(&place.path).into_iter().flat_map(|team| items(&team["roles"]));
            let role = roles
                .filter(|role| role["id"] == id.as_str())
                .flat_map(|role| [&role["role_name"], &role["entity_id"]]);
            role.map(|word| text(word).to_lowercase()).collect()
        };
        // What one team's spec says gives away nothing in another's; of its own name there may have been one before it.
        let sender = request.sender.as_ref().and_then(|sender| self.resources.get(sender));
        let is_its = |seen: &Seen| sender.is_none_or(|sender| label(&sender.object) == label(&seen.object));
        let mut teams = self.resources.values().filter(|seen| seen.object["kind"] == "PortalTeam" && is_its(seen));
        let is_ours = teams.any(|seen| {
            let spec = seen.words.to_lowercase();
            seen.words.contains("\"exclusive\":true") || words.iter().all(|word| spec.contains(word))
        });
        let added = self.entries.contains(&format!("{}/{list}/{id}", place.path));
        if !is_ours && !added && !words.is_empty() {
            world.violate("law 2: a stranger's entry", format!("{request} takes out what nobody named"));
        }
    }

    pub(super) fn remote_answer(&mut self, world: &World, request: &RemoteRequest, answer: &RemoteAnswer) {
        let Some(place) = place(request.api, &request.path) else { return };
        if !request.is_write() {
            return;
        }
        let flight = self.flights.remove(&request.number);
        let now = world.now();
        let is_delete = request.method == Method::DELETE && place.rest.is_empty();
        if is_delete && (answer.is_success() || answer.status == 404) {
            self.emptied.insert(place.path.clone(), now);
        }
        if !answer.is_success() {
            self.refusals.insert((place.path.clone(), answer.status), now);
            if let Some(portal) = &place.portal {
                // What a refusal speaks of may stand one level higher.
                self.refusals.insert((format!("/v2/portals/{portal}"), answer.status), now);
            }
            return;
        }
        if let Some(flight) = flight {
            self.create_is_done(world, request, &place, flight.uids, answer);
        } else if is_delete {
            self.test("law 6");
            // "Before a remote delete, the CRD is read live" (law 6), and what is on its way already nobody calls back.
            if let Some((kind, since)) = self.protected.get(&place.path)
                && *since < request.sent
                && !is_served(world, kind)
            {
                let what = format!("{request} is carried out after the CRD of {kind} was deleted");
                world.violate("law 6: uninstalling wipes", what);
            }
            self.check_parting(world, request, &place);
            self.deleted.insert(place.path.clone(), now);
            self.refresh_one(world, request.api);
        } else if request.method == Method::POST && place.rest.len() == 1 {
            // Of a member the request says the id, of a role the answer.
            let id = if answer.body["id"].is_string() { &answer.body["id"] } else { &request.body["id"] };
            self.entries.insert(format!("{}/{}/{}", place.path, place.rest[0], text(id)));
        }
        if ["createClient", "updateClient"].contains(&request.operation) {
            self.check_output(world, request, &answer.body);
        }
    }

    fn create_is_done(
        &mut self,
        world: &World,
        request: &RemoteRequest,
        place: &Place,
        uids: Vec<String>,
        answer: &RemoteAnswer,
    ) {
        let sort = place.sort;
        if sort.shape == Shape::Action {
            return;
        }
        let path = match &place.id {
            Some(_) => place.path.clone(),
            None => format!("{}/{}", place.path, text(&answer.body[sort.id])),
        };
        if sort.kind == "Portal" {
            self.check_account(world, &uids, &path);
        }
        if sort.shape == Shape::Upsert && self.alive.contains(&path) {
            // It changed what was there.
            return;
        }
        let twin = self.made.iter().find(|(other, made)| {
            sort.shape == Shape::Collection
                && **other != path
                && self.alive.contains(*other)
                && !self.estranged.contains(*other)
                && made.kind == sort.kind
                && made.uids.len() == 1
                && made.uids == uids
                && !self
                    .resources
                    .get(&uids[0])
                    .is_some_and(|seen| seen.left || self.is_out_of_sight(world, other, &path, &seen.object))
        });
        if let Some((twin, made)) = twin {
            let what =
                format!("{path} is made for the same resource as {twin}, made at {} ms, which is there", made.at);
            world.violate("law 1: two objects", what);
        }
        self.deleted.remove(&path);
        self.alive.insert(path.clone());
        let maker = request.sender.clone();
        self.made.insert(path, Made { uids, maker, kind: sort.kind, at: world.now() });
    }
}
