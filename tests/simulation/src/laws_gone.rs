//! Law 5: what may keep a deletion from ending. Everything else that is still being deleted at the end has hung.
//!
//! - The resource is paused.
//! - Its connection is not there, not Ready, paused, in Observe, or being deleted and the API does not take its credential (law 5: "except
//!   where the API itself refuses"): the one in its Secret, or, where that is gone, the last one that worked.
//! - Its connection is being deleted and has had another credential since, for which not one recorded object is there: `AccountChanged`, and
//!   nothing is written until a person says which it is (DESIGN.md, section 5: "where after a new token not one recorded id answers (and
//!   there is at least one), that is `AccountChanged`: no writes").
//! - The API refuses: a portal with developers or registrations and without `forceDelete`; a server with clients, a consent that actions
//!   use, an identity provider that the mapping of groups rests on, where a switch says so; a custom domain where there is no operation.
//! - Resources live below it, in its own namespace, and nobody deletes them.
//! - Several objects could be the one that an open create made.
//! - A connection: somebody with a record still needs it.
use portico_sandbox::MappedProvider;
use serde_json::Value;

use super::{
    end::{End, is_usable},
    look::{
        Reference, deletes, is_deleting, is_given_up, is_held, is_paused, kind, known_path, label, message, name,
        namespace, observes, own_connection, parent, recorded_path, uid,
    },
    notes::{Made, is_served},
    sorts::{connection, items, sort, text},
};

impl End<'_> {
    /// What keeps a resource that is being deleted.
    ///
    /// # Errors
    /// Nothing that anybody knows of.
    pub(super) fn blocker(&self, resource: &Value) -> Result<&'static str, String> {
        let hangs = || format!("nothing is in its way; it says {:?}", message(resource));
        if !is_held(resource) {
            return Err("it has no finalizer of ours, and is still there".to_owned());
        }
        if is_given_up(resource) {
            return Err("it was given up, and is still there".to_owned());
        }
        let Some(sort) = sort(kind(resource)) else {
            return if self.is_needed(resource) { Ok("somebody needs it") } else { Err(hangs()) };
        };
        if observes(resource) || !deletes(resource) || !is_served(self.world, sort.kind) {
            return Err(format!("its object stays, and there is nothing to wait for; it says {:?}", message(resource)));
        }
        if is_paused(resource) {
            return Ok("it is paused");
        }
        if let Some(why) = self.connection_blocks(resource) {
            return Ok(why);
        }
        if message(resource).contains("could be the one") {
            return Ok("several objects could be the one");
        }
        if self.has_children(resource) {
            return Ok("resources live below it");
        }
        if self.api_refuses(resource) {
            return Ok("the API refuses");
        }
        Err(hangs())
    }

    fn connection_blocks(&self, resource: &Value) -> Option<&'static str> {
        let Some(connection) = self.connection_of(resource) else { return Some("its connection is not there") };
        if connection["spec"]["mode"] == "Observe" {
            return Some("its connection only looks");
        }
        if is_paused(connection) {
            return Some("its connection is paused");
        }
        // One that is being deleted serves deletions, as long as it has a credential that is taken.
        if is_deleting(connection) {
            if self.finds_nothing(connection) {
                return Some("its connection may lead to another account");
            }
            return (!self.has_good_credential(connection)).then_some("its connection has no credential");
        }
        (!is_usable(connection)).then_some("its connection is not Ready")
    }

    /// Somebody with a record needs this connection.
    fn is_needed(&self, resource: &Value) -> bool {
        let called = format!("{}/{}", namespace(resource), name(resource));
        self.notes.lives().any(|user| {
            let status = &user["status"];
            let names = [&status["remote"]["connection"], &status["creating"]["connection"]];
            let is_of_its_api = sort(kind(user)).is_some_and(|sort| connection(sort.api) == kind(resource));
            let names_it = names.into_iter().any(|name| *name == called.as_str());
            let own = own_connection(user)
                .is_some_and(|own| own.name == name(resource) && own.namespace == namespace(resource));
            // What has no record, and knew its connection through its parent alone, may have made something through this one, and asks it once
            // it goes: "Unknown is not absent", and no reason to drop a finalizer (law 3).
            let is_there = |of: &Reference| self.notes.living(of.kind, &of.namespace, &of.name).is_some();
            // So does what is below a server that was made again while the connection goes, and holds nothing itself.
            let holds = |of: &Reference| self.notes.living(of.kind, &of.namespace, &of.name).is_some_and(is_held);
            let has_none = parent(user).is_some_and(|server| !holds(&server));
            let inherits =
                kind(user) == "OAuthClient" && (is_deleting(user) || has_none) && own_connection(user).is_none();
            // The same of what names a connection by now that is not there.
            let is_misnamed = own_connection(user).is_some_and(|own| !is_there(&own));
            let is_found_again =
                ["AuthorizationServer", "Consent", "ConsentAction", "OAuthClient", "Portal"].contains(&kind(user));
            let seeks = is_found_again
                && (inherits || is_misnamed)
                && user["spec"]["clientId"].is_null()
                && user["spec"]["id"].is_null()
                && status["remote"].is_null()
                && status["creating"].is_null();
            is_of_its_api && is_held(user) && (names_it || own || seeks)
        })
    }

    fn has_children(&self, resource: &Value) -> bool {
        // Of one without a record what it made is to be deleted, too.
        let known = recorded_path(resource).or_else(|| self.made_for(resource));
        let Some(path) = known.or_else(|| self.marked_for(resource)) else { return false };
        let is_child = |other: &Value| {
            let remote = &other["status"]["remote"];
            let is_below = |place: &str| place.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
            let below = known_path(other).is_some_and(is_below) || is_below(text(&remote["listing"]));
            // A domain lives at another version of the API.
            let by_parent = self.notes.parent_id(other).is_some_and(|parent| path.ends_with(&format!("/{parent}")));
            uid(other) != uid(resource)
                && namespace(other) == namespace(resource)
                && recorded_path(other).is_some()
                && !is_deleting(other)
                && (below || by_parent)
        };
        self.notes.lives().any(is_child)
    }

    /// Where the object is that was made for this resource alone, or may have been and is where its open create was to make it, if it is
    /// still there.
    fn made_for(&self, resource: &Value) -> Option<&str> {
        let intent = &resource["status"]["creating"];
        let is_meant = |path: &str| text(&intent["uid"]) == uid(resource) && text(&intent["path"]) == path;
        let may_be_its = |made: &Made| made.uids.iter().any(|maker| maker == uid(resource));
        let is_its = |(path, made): &(&String, &Made)| {
            let is_its = made.uids == [uid(resource)] || (may_be_its(made) && is_meant(path));
            is_its && self.objects.contains_key(*path)
        };
        self.notes.made.iter().find(is_its).map(|(path, _)| path.as_str())
    }

    /// Where the object is that carries this resource's mark: law 2a, "it carries our mark". That of one of the same name before it is its
    /// own: "Same owner and digits with a UID that is no more: ours again" (DESIGN.md, section 3). So a backup brings back who has it.
    fn marked_for(&self, resource: &Value) -> Option<&str> {
        let is_of_its_name = |of: &str| {
            let seen = self.notes.resources.get(of);
            seen.is_some_and(|seen| label(&seen.object) == label(resource))
        };
        let is_its = |(_, object): &(&String, &&Value)| {
            let (owner, mark) = (text(&object["labels"]["portico-owner"]), text(&object["labels"]["portico-ref"]));
            owner == self.notes.owner && mark.split_once('.').is_some_and(|(_, of)| is_of_its_name(of))
        };
        self.objects.iter().find(is_its).map(|(path, _)| path.as_str())
    }

    /// Whether the API does not delete the object, by what is there and how this world's API is.
    fn api_refuses(&self, resource: &Value) -> bool {
        // One that was made, also in the place of what is recorded and has gone, or taken over, just before a crash or a deletion is found by
        // its mark, and recorded by nobody.
        let recorded = recorded_path(resource).filter(|path| self.objects.contains_key(*path));
        let known = recorded.or_else(|| self.made_for(resource));
        let Some(path) = known.or_else(|| self.marked_for(resource)) else { return false };
        let Some(object) = self.objects.get(path) else { return false };
        let switches = &self.world.plan.switches;
        let id = path.rsplit('/').next().unwrap_or_default();
        match kind(resource) {
            "Portal" => {
                let registers = |version: &Value| version["application_registration_enabled"] == true;
                let in_use =
                    items(&object["developers"]).next().is_some() || items(&object["product_versions"]).any(registers);
                in_use && resource["spec"]["forceDelete"] != true
            }
            "AuthorizationServer" => {
                let is_its = |(other, client): (&String, &&Value)| {
                    other.starts_with("/clients/")
                        && client["authorization_server_id"] == id
                        && client["system"] != true
                };
                switches.acp.server_in_use.is_some() && self.objects.iter().any(is_its)
            }
            "Consent" => {
                let names = |(other, action): (&String, &&Value)| {
                    other.starts_with("/actions/") && items(&action["consents"]).any(|named| named["id"] == id)
                };
                switches.acp.consent_in_use.is_some() && self.objects.iter().any(names)
            }
            "PortalIdentityProvider" => {
                let settings =
                    path.split("/identity-providers/").next().map(|portal| format!("{portal}/authentication-settings"));
                let settings = settings.and_then(|path| self.objects.get(&path).copied());
                switches.mapped_provider == MappedProvider::Refused
                    && object["enabled"] == true
                    && settings.is_some_and(|settings| settings["idp_mapping_enabled"] == true)
            }
            "PortalCustomDomain" => !switches.custom_domain_deletable,
            _ => false,
        }
    }

    /// Law 5: a namespace goes when what is in it has gone.
    pub(super) fn check_namespaces(&self) {
        for going in self.world.kubernetes.list("namespaces", None).iter().filter(|found| is_deleting(found)) {
            let is_within = |resource: &Value| namespace(resource) == name(going);
            if !self.notes.lives().any(is_within) {
                let what = format!("the namespace {} is empty, and still there", name(going));
                self.world.violate("law 5: deletion does not end", what);
            }
        }
    }
}
