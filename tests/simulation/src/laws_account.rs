//! Whether a connection's credential is of the account that its objects are in.
use serde_json::{Value, json};

use super::{
    cause::{held, keys},
    end::End,
    look::{is_held, kind, name, namespace, reason, recorded_path, uid},
    notes::{FOREIGN_TOKEN, Notes},
    secret::values,
    sorts::{connection, sort, text},
};
use crate::{
    account::{ACP, KONNECT},
    seen::Api,
    world::{ACP_URL, TENANT, World},
};

impl End<'_> {
    pub(super) fn cause_of_connection(&self, resource: &Value) -> Result<(), String> {
        let spec = &resource["spec"];
        match reason(resource, "Ready") {
            "SecretNotFound" => held(self.lacks_secret(resource), "its Secret is there"),
            "CredentialRejected" => held(!self.has_good_credential(resource), "its credential is taken"),
            "AccountChanged" => {
                let is_used = self.recorded(resource).next().is_some() || self.has_unseen(resource);
                let none_there = is_used && !self.recorded(resource).any(|path| self.objects.contains_key(path));
                let is_strange = self.token(resource).is_some_and(|token| token.starts_with(FOREIGN_TOKEN));
                // "The account is pinned: for ACP url and tenant"; a developer sees only what is their own.
                let may_change = kind(resource) == connection(Api::Konnect) || spec["persona"] == "Developer";
                held(may_change && (is_strange || none_there), "its credential is of the account of its objects")
            }
            "InvalidSpec" => {
                let strange =
                    if kind(resource) == "AcpConnection" { spec["url"] != ACP_URL } else { !spec["url"].is_null() };
                held(strange, "its spec is in order")
            }
            "NotFound" => held(spec["tenant"] != TENANT, "its tenant is there"),
            _ => Err("nothing goes wrong any more".to_owned()),
        }
    }

    /// Whether a create was sent through a connection of which nothing is recorded: nobody knows of which account its result is. Where an
    /// intent says below which object, that object would tell, if it were there.
    fn has_unseen(&self, connection: &Value) -> bool {
        self.notes.lives().any(|user| {
            let is_its = || self.connection_of(user).is_some_and(|found| uid(found) == uid(connection));
            let intent = &user["status"]["creating"];
            // A domain lives at another version of the API than its portal, which only the spec names.
            let above = if kind(user) == "PortalCustomDomain" {
                self.notes.parent_id(user).map(|portal| format!("/v2/portals/{portal}"))
            } else {
                text(&intent["path"]).rsplit_once('/').map(|(above, _)| above.to_owned())
            };
            let is_there = above.is_some_and(|above| self.objects.contains_key(&above));
            let is_lost = text(&intent["uid"]) == uid(user) && !is_there;
            let is_open = is_lost && is_through(user, &intent["connection"], connection);
            is_held(user) && (is_open || (kind(user) == "Portal" && recorded_path(user).is_none() && is_its()))
        })
    }

    /// Where the objects are that were recorded through a connection. "Where after a new token not one recorded id answers (and there is at
    /// least one), that is `AccountChanged`" (DESIGN.md, section 5): also of what lies below others, whose resources may be gone.
    fn recorded(&self, connection: &Value) -> impl Iterator<Item = &str> {
        let is_its = move |user: &&Value| is_through(user, &user["status"]["remote"]["connection"], connection);
        self.notes.lives().filter(is_its).filter_map(recorded_path)
    }

    /// Whether a credential that this connection has not seen at work yet finds not one of the objects that were recorded through it. One
    /// that was put back is not new: a process that has not seen it before finds it kept for deletions ("its last verified credential is
    /// kept", DESIGN.md, section 3).
    pub(super) fn finds_nothing(&self, resource: &Value) -> bool {
        let is_new = credential(self.world, resource).is_some_and(|(version, value)| {
            let is_seen = text(&resource["status"]["credential"]).split(',').any(|part| part == version);
            !is_seen && self.notes.proven.get(uid(resource)) != Some(&value)
        });
        let mut recorded = self.recorded(resource).peekable();
        let is_konnect = kind(resource) == connection(Api::Konnect);
        let is_used = recorded.peek().is_some() || self.has_unseen(resource);
        is_konnect && is_new && is_used && !recorded.any(|path| self.objects.contains_key(path))
    }

    /// The credential in the Secret of a connection.
    fn token(&self, resource: &Value) -> Option<String> {
        credential(self.world, resource).map(|(_, value)| value)
    }

    /// Whether a connection has the present credential of its account, and that is taken. One whose Secret is gone has the last that worked.
    pub(super) fn has_good_credential(&self, resource: &Value) -> bool {
        let (account, present) = if kind(resource) == connection(Api::Konnect) {
            (KONNECT, json!("${konnect.token}"))
        } else {
            (ACP, json!("${acp.client_secret}"))
        };
        let is_taken = !self.notes.revoked.contains(account);
        let token = self.token(resource).or_else(|| self.notes.proven.get(uid(resource)).cloned());
        is_taken && token.is_some_and(|token| self.world.filled(&present) == token.as_str())
    }
}

impl Notes {
    /// Takes note of the credential that a connection says it has seen at work, if that is the one in its Secret.
    pub(super) fn note_credential(&mut self, world: &World, connection: &Value) {
        let seen = text(&connection["status"]["credential"]);
        if seen.is_empty() || sort(kind(connection)).is_some() {
            return;
        }
        let Some((version, value)) = credential(world, connection) else { return };
        if seen.split(',').any(|part| part == version) {
            self.proven.insert(uid(connection).to_owned(), value);
        }
    }
}

/// Whether a connection is of a resource's API and is the one that its status names.
fn is_through(user: &Value, named: &Value, to: &Value) -> bool {
    let is_of_its_api = sort(kind(user)).is_some_and(|sort| connection(sort.api) == kind(to));
    is_of_its_api && *named == format!("{}/{}", namespace(to), name(to)).as_str()
}

/// The first secret that a connection names: which version of what it stands in, as the connection's status shows it, and its value.
fn credential(world: &World, connection: &Value) -> Option<(String, String)> {
    let mut named = Vec::new();
    keys(&connection["spec"], &mut named);
    let (name, key) = named.into_iter().find(|(_, key)| key != "client_id")?;
    let stored = world.kubernetes.get("secrets", namespace(connection), &name)?;
    let (_, value) = values(&stored).into_iter().find(|(known, _)| *known == key)?;
    let version = format!("{name}/{key}@{}/{}", uid(&stored), text(&stored["metadata"]["resourceVersion"]));
    Some((version, value.trim_end().to_owned()))
}
