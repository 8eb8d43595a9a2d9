//! The last look: what every resource says, and what there is.
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    look::{
        condition, deletes, holds, is_deleting, is_paused, kind, known_path, label, lifecycle, message, name,
        namespace, natural_key, observes, own_connection, parent, reason, recorded_path, uid,
    },
    notes::{FOREIGN, Notes},
    same::{differences, kept},
    secret::{OWNER_UID, values},
    sorts::{Shape, Sort, connection, items, objects, sort, text},
};
use crate::world::{REST, SYSTEM, World};

/// What there is at the end.
pub(super) struct End<'e> {
    pub(super) world: &'e World,
    pub(super) notes: &'e Notes,
    /// All objects at the APIs, by path.
    pub(super) objects: BTreeMap<String, &'e Value>,
    /// The ids of the portals of another organization, which a connection may serve that never had a token of the first.
    elsewhere: BTreeSet<String>,
}

impl Notes {
    pub(super) fn finish(&mut self, world: &World) {
        self.look(world);
        self.refresh(world);
        self.search_everything(world);
        let state = world.sandbox.state();
        let strange = items(&state["organizations"][FOREIGN]["portals"]);
        let elsewhere = strange.map(|portal| text(&portal["id"]).to_owned()).collect();
        let end = End { world, notes: self, objects: objects(&state), elsewhere };
        let mut tested = end.check_resources();
        end.check_made();
        end.check_rivals();
        end.check_leftovers();
        end.check_silence();
        let clients: Vec<(Value, Value)> = self
            .lives()
            .filter(|resource| kind(resource) == "OAuthClient" && holds(resource, "Synced") == "True")
            .filter(|resource| !is_paused(resource) && !is_deleting(resource) && !observes(resource))
            // "Observe: `Ready` = found, `Synced` = the comparison", and a connection's mode is "the switch that stops all writes of all its
            // resources" (DESIGN.md, section 4): what became of an output Secret meanwhile is put right when it is switched back.
            .filter(|resource| end.connection_of(resource).is_some_and(is_usable) && !end.only_looks(resource))
            .filter_map(|resource| {
                let client = end.objects.get(recorded_path(resource)?)?;
                Some((resource.clone(), (*client).clone()))
            })
            .collect();
        for (resource, client) in clients {
            self.check_credentials(world, &resource, &client);
        }
        for law in ["law 1", "law 4", "law 5", "law 12"] {
            *tested.entry(law).or_default() += 1;
        }
        for (law, times) in tested {
            *self.counts.entry(law).or_default() += times;
        }
    }
}

/// Whether a connection is in use as its spec says.
pub(super) fn is_usable(connection: &Value) -> bool {
    holds(connection, "Ready") == "True" && !is_deleting(connection) && !is_paused(connection)
}

/// Whether the status speaks of the spec as it is.
fn is_current(resource: &Value) -> Result<(), String> {
    let (seen, present) = (&resource["status"]["observedGeneration"], &resource["metadata"]["generation"]);
    if seen != present {
        return Err(format!("observedGeneration is {seen}, and the generation {present}"));
    }
    if holds(resource, "Reconciling") == "True" && holds(resource, "Stalled") == "True" {
        return Err("it is Reconciling and Stalled at once".to_owned());
    }
    let is_ready = holds(resource, "Ready") == "True";
    let is_at_it = !condition(resource, "Reconciling").is_null() || !condition(resource, "Stalled").is_null();
    if is_ready == is_at_it {
        return Err("Ready does not fit Reconciling and Stalled".to_owned());
    }
    Ok(())
}

impl<'e> End<'e> {
    /// Laws 5, 9, 10 and 11, resource by resource; says how often each was tested.
    fn check_resources(&self) -> BTreeMap<&'static str, u64> {
        let mut tested = BTreeMap::new();
        let mut test = |law: &'static str| *tested.entry(law).or_default() += 1;
        let has_refused = self.notes.lives().any(|resource| reason(resource, "Ready") == "InvalidSpec");
        for resource in self.notes.lives() {
            if is_deleting(resource) {
                test("law 5");
                if let Err(why) = self.blocker(resource) {
                    self.world.violate("law 5: deletion does not end", format!("{}: {why}", label(resource)));
                }
                continue;
            }
            if is_paused(resource) {
                continue;
            }
            test("law 9");
            if let Err(why) = is_current(resource) {
                self.world.violate("law 9: status out of date", format!("{}: {why}", label(resource)));
                continue;
            }
            if holds(resource, "Ready") == "True" {
                self.check_ready(resource);
                continue;
            }
            // "`Approved`, `Verified`" (DESIGN.md, section 4) speak of an object.
            let shown = ["Approved", "Verified"].into_iter().find(|said| holds(resource, said) == "True");
            if let ("NotFound", Some(said)) = (reason(resource, "Ready"), shown) {
                self.world.violate("law 9: status out of date", format!("{}: {said} of nothing", label(resource)));
            }
            test("law 10");
            if has_refused {
                test("law 11");
            }
            if let Err(why) = self.cause(resource) {
                let said = format!("{} ({})", reason(resource, "Ready"), message(resource));
                self.world
                    .violate("law 10: waits for nothing", format!("{} is not Ready: {said}; {why}", label(resource)));
            }
        }
        tested
    }

    /// `Ready` and `Synced` are what they say.
    fn check_ready(&self, resource: &Value) {
        let Some(sort) = sort(kind(resource)) else {
            let (synced, why) = (holds(resource, "Synced"), reason(resource, "Synced"));
            if synced != "True" && why != "MassAbsence" {
                let what = format!("{} is Ready, and Synced={synced}: {why}", label(resource));
                self.world.violate("law 10: waits for nothing", what);
            }
            return;
        };
        let connection = self.connection_of(resource);
        let unusable = connection.is_none_or(|connection| !is_usable(connection));
        if unusable && sort.shape != Shape::Action {
            self.check_unseen(resource, connection);
        }
        // Nobody looks through it, and the status says what was seen last.
        if unusable || sort.shape == Shape::Action || self.is_elsewhere(resource) {
            return;
        }
        let violate = |law, what: String| self.world.violate(law, format!("{}: {what}", label(resource)));
        let object = known_path(resource).and_then(|path| self.objects.get(path)).copied();
        let Some(object) = object else {
            if sort.shape == Shape::Claimed && holds(resource, "Bound") == "False" {
                if let Some(path) = self.person(resource) {
                    violate("law 10: waits for nothing", format!("it is not Bound, and {path} is there"));
                }
            } else {
                violate("law 9: Ready without an object", format!("there is no {:?}", known_path(resource)));
            }
            return;
        };
        if !Self::is_answered(resource) {
            violate("law 10: waits for nothing", "the last wish to look again is not answered".to_owned());
        }
        let leaves = observes(resource) || lifecycle(resource, "drift") == "Report" || self.only_looks(resource);
        match (holds(resource, "Synced"), reason(resource, "Synced")) {
            ("True", _) => {
                for difference in differences(sort, resource, object) {
                    violate("law 9: Synced and different", difference);
                }
                let inner = self.inner_differences(sort, resource, object).into_iter();
                for difference in inner.chain(self.misplaced(sort, resource, object)) {
                    violate("law 9: Synced and different", difference);
                }
            }
            // What the API keeps otherwise is said, and not sent again.
            ("False", "Updating") => {}
            ("False", "DriftDetected") if leaves => {}
            (synced, why) => violate("law 10: waits for nothing", format!("it is Ready, and Synced={synced}: {why}")),
        }
    }

    /// Secrets, the consents of an action, and the lists of a team.
    fn inner_differences(&self, sort: &Sort, resource: &Value, object: &Value) -> Vec<String> {
        let mut found = Vec::new();
        for kept in kept(sort, resource, object) {
            let stored = self.world.kubernetes.get("secrets", namespace(resource), kept.secret).unwrap_or_default();
            let value = values(&stored).into_iter().find(|(key, _)| key == kept.key);
            if value.is_some_and(|(_, value)| value.trim_end() != kept.value.trim_end()) && !observes(resource) {
                found.push(format!("the API does not have what {} holds under {}", kept.secret, kept.key));
            }
        }
        let spec = &resource["spec"];
        if sort.kind == "ConsentAction" && spec["consents"].is_array() {
            let wanted: Vec<(String, bool)> = items(&spec["consents"])
                .filter_map(|entry| Some((self.target_id(resource, &entry["consentRef"])?, entry["required"] == true)))
                .collect();
            let there: Vec<(String, bool)> = items(&object["consents"])
                .map(|entry| (text(&entry["id"]).to_owned(), entry["required"] == true))
                .collect();
            let (mut wanted, mut there) = (wanted, there);
            wanted.sort_unstable();
            there.sort_unstable();
            if wanted != there {
                found.push(format!("its consents are {there:?}, not {wanted:?}"));
            }
        }
        if sort.kind == "PortalTeam" {
            self.team_differences(resource, object, &mut found);
        }
        found
    }

    fn team_differences(&self, resource: &Value, team: &Value, found: &mut Vec<String>) {
        let spec = &resource["spec"];
        let Some(portal) = known_path(resource).and_then(|path| path.split('/').nth(3)) else { return };
        let Some(portal) = self.objects.get(&format!("/v2/portals/{portal}")) else { return };
        let lower = |value: &Value| text(value).to_lowercase();
        let members: Vec<String> = items(&team["developers"]).map(lower).collect();
        let people: Vec<String> = items(&portal["developers"]).map(|person| lower(&person["email"])).collect();
        let wanted: Vec<String> = items(&spec["developers"]["items"]).map(lower).collect();
        found.extend(
            wanted
                .iter()
                .filter(|one| people.contains(*one) && !members.contains(*one))
                .map(|one| format!("{one} is no member")),
        );
        if spec["developers"]["exclusive"] == true {
            found.extend(members.iter().filter(|one| !wanted.contains(*one)).map(|one| format!("{one} is a member")));
        }
        for role in items(&spec["roles"]["items"]) {
            let is_it = |given: &Value| {
                given["role_name"] == role["roleName"] && lower(&given["entity_id"]) == lower(&role["entityId"])
            };
            if !items(&team["roles"]).any(is_it) {
                found.push(format!("it does not have the role {}", role["roleName"]));
            }
        }
        if spec["roles"]["exclusive"] == true && items(&team["roles"]).count() > items(&spec["roles"]["items"]).count()
        {
            found.push("it has roles that nobody named".to_owned());
        }
        let has_provider = items(&portal["identity_providers"]).next().is_some();
        if spec["identityProviderGroups"].is_array() && has_provider {
            let sorted = |list: &Value| {
                let mut words: Vec<&str> = items(list).filter_map(Value::as_str).collect();
                words.sort_unstable();
                words.join(", ")
            };
            let (wanted, there) =
                (sorted(&spec["identityProviderGroups"]), sorted(&portal["group_mappings"][text(&team["id"])]));
            if wanted != there {
                found.push(format!("its groups are {there:?}, not {wanted:?}"));
            }
        }
    }

    /// The id of what a reference means.
    fn target_id(&self, resource: &Value, reference: &Value) -> Option<String> {
        if let Some(id) = reference["id"].as_str() {
            return Some(id.to_owned());
        }
        let within = reference["namespace"].as_str().unwrap_or(namespace(resource));
        let target = self.notes.living("Consent", within, text(&reference["name"]))?;
        target["status"]["id"].as_str().map(str::to_owned)
    }

    /// The developer whom a resource names, if they have signed up.
    fn person(&self, resource: &Value) -> Option<String> {
        let collection = sort(kind(resource))?.collection(&self.notes.parent_id(resource)?);
        let key = natural_key(resource)?;
        let mut people = self.objects.iter().filter(|(path, _)| path.starts_with(&format!("{collection}/")));
        people.find(|(_, person)| text(&person["email"]).to_lowercase() == key).map(|(path, _)| path.clone())
    }

    /// The connection that a resource uses: as it is recorded, else its own, else its parent's.
    pub(super) fn connection_of(&self, resource: &Value) -> Option<&'e Value> {
        let of = connection(sort(kind(resource))?.api);
        for known in ["remote", "creating"] {
            let named = text(&resource["status"][known]["connection"]).split_once('/');
            if let Some(found) = named.and_then(|(within, called)| self.notes.living(of, within, called)) {
                return Some(found);
            }
        }
        if let Some(own) = own_connection(resource) {
            return self.notes.living(own.kind, &own.namespace, &own.name);
        }
        let parent = parent(resource)?;
        let parent = self.notes.living(parent.kind, &parent.namespace, &parent.name)?;
        self.connection_of(parent)
    }

    /// Whether the object of a resource is in the other organization, or below a portal there.
    pub(super) fn is_elsewhere(&self, resource: &Value) -> bool {
        let portal = known_path(resource).and_then(|path| path.split('/').nth(3));
        portal.is_some_and(|id| self.elsewhere.contains(id))
    }

    /// Whether the connection of a resource only looks.
    pub(super) fn only_looks(&self, resource: &Value) -> bool {
        self.connection_of(resource).is_some_and(|connection| connection["spec"]["mode"] == "Observe")
    }

    /// Law 1: whatever was made and is there is somebody's, or was left on purpose.
    fn check_made(&self) {
        let notes = self.notes;
        // What carries another owner's mark is not ours any more (law 2).
        let is_ours = |path: &str| self.objects.get(path).is_some_and(|object| !notes.is_foreign(object));
        for (path, made) in notes.made.iter().filter(|(path, made)| is_ours(path) && !notes.is_strangers(path, made)) {
            let id = path.rsplit('/').next().unwrap_or_default();
            let knows = |resource: &Value| {
                // Who is unsure, or in the middle of something that cannot go on, has it in mind.
                let is_open = resource["status"]["creating"]["uid"] == uid(resource)
                    || is_paused(resource)
                    || is_deleting(resource);
                let is_its = made.uids.iter().any(|maker| maker == uid(resource));
                known_path(resource) == Some(path.as_str())
                    || self.is_unsure_of(resource, made, id)
                    || (is_its && is_open)
            };
            let was_left = made.uids.iter().filter_map(|uid| notes.resources.get(uid)).any(|seen| seen.left);
            let unusable = |resource: &Value| {
                made.uids.iter().any(|maker| maker == uid(resource))
                    && (self.connection_of(resource).is_none_or(|connection| !is_usable(connection))
                        || self.will_find(resource, path))
            };
            let is_single = sort(made.kind).is_some_and(Sort::is_single) && made.kind != "PortalCustomDomain";
            if !was_left && !is_single && !notes.lives().any(|resource| knows(resource) || unusable(resource)) {
                let who: Vec<String> = made
                    .uids
                    .iter()
                    .filter_map(|uid| notes.resources.get(uid))
                    .map(|seen| label(&seen.object))
                    .collect();
                let what =
                    format!("{path} was made for {} at {} ms, and nobody knows of it", who.join(" or "), made.at);
                self.world.violate("law 1: an object is lost", what);
            }
        }
    }

    /// Law 4: at rest not even what changes nothing is written to the API server.
    fn check_silence(&self) {
        let begun = self.world.timestamp() - std::time::Duration::from_millis(REST / 2);
        let history = self.world.kubernetes.history();
        let noise = ["leases.", "events."];
        let written = history.iter().rev().take_while(|write| write.at > begun).find(|write| {
            let counts = !noise.iter().any(|word| write.resource.starts_with(word));
            let is_attempt = write.version.is_some_and(|version| self.notes.attempts.contains(&version));
            World::is_operator(&write.actor) && counts && write.code < 300 && !is_attempt
        });
        if let Some(write) = written {
            let what =
                format!("{} {} {} {}/{}", write.verb, write.resource, write.subresource, write.namespace, write.name);
            self.world.violate("law 4: idle write", format!("at rest there still is: {what}"));
        }
    }

    /// Law 5: what served a resource goes with it.
    fn check_leftovers(&self) {
        let notes = self.notes;
        for secret in self.world.kubernetes.list("secrets", None) {
            let owner = text(&secret["metadata"]["annotations"][OWNER_UID]);
            let seen = notes.resources.get(owner).filter(|seen| !seen.live && !seen.left);
            if let Some(seen) = seen.filter(|seen| deletes(&seen.object)) {
                let what =
                    format!("Secret {}/{} of {} is left", namespace(&secret), name(&secret), label(&seen.object));
                self.world.violate("law 5: a Secret is left", what);
            }
        }
        let kept = self.world.kubernetes.list("secrets", Some(SYSTEM));
        let kept = kept.iter().filter(|secret| name(secret).starts_with("portico-escrow-")).count();
        let is_connection = |resource: &&Value| sort(kind(resource)).is_none();
        let connections = notes.lives().filter(is_connection).count();
        if kept > connections {
            let what = format!("{kept} credentials are kept for {connections} connections");
            self.world.violate("law 5: a Secret is left", what);
        }
        self.check_namespaces();
    }
}
