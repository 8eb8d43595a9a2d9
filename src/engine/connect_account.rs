//! Is this still the account that holds the objects, and are they there? (Laws 3 and 13.)
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use http::Method;
use serde_json::{Value, json};

use super::{
    absence,
    cache::AnyKind,
    connect::{ConnectionPass, halt},
    context::{Cx, Secrets},
    core::Memory,
    key::Key,
    kind::{Identity, Ops, Wait},
    kubernetes::KubeError,
    links::{Absence, Known},
    mark::{self, Mark},
    observe::items,
    raw::Raw,
    reason::Reason,
    spec::annotations,
    stop::Stop,
};
use crate::remote::{ApiError, Call, Path, Place, Segment};

/// A create whose result nobody has seen.
struct Unseen {
    ops: &'static dyn Ops,
    key: Key,
    /// Where what it made is listed; for what no list shows, its parent, or it itself where nothing says any more what that is.
    listing: Path,
    /// Whether that is a list.
    is_list: bool,
    /// What stands for it in the token.
    stands_for: Path,
    /// Whether what it made carries a mark. If not, the listing lies below an object that no other account shows, and answers only where
    /// that is there.
    is_marked: bool,
}

impl ConnectionPass<'_> {
    /// A new credential may belong to another account: then not one recorded object answers.
    pub(super) async fn check_account(&mut self, known: &Known) -> Result<(), Stop> {
        let proven = self.engine.remember(self.object.uid(), |memory| memory.proven.clone());
        let is_same_secret = self.status.extra.get("credential").and_then(Value::as_str) == Some(&known.version);
        let is_pinned = !self.ops.is_account_of_credential(&self.object);
        if is_pinned || is_same_secret || proven.as_ref() == Some(&known.fingerprint) {
            // The URL alone says which account it is. Or this is the same Secret as when it was last seen to be right, by this process or one
            // before; or the same credential again, after one that was none: it is of the account that it was of, whatever is gone meanwhile.
            self.note_credential(known);
            return Ok(());
        }
        let all = self.engine.recorded(self.key);
        let homes = self.homes(&all);
        let all: Vec<Place> = all.into_iter().map(|(_, place)| place).collect();
        // What lies below another recorded object goes with it, and says nothing more; below one that nobody recorded it may be all that is
        // left.
        let recorded: Vec<Path> = {
            let paths: BTreeSet<&Path> = all.iter().map(|place| &place.path).collect();
            let stands_alone = |place: &&Place| place.parent.as_ref().is_none_or(|parent| !paths.contains(parent));
            let mut telling: Vec<&Place> = all.iter().filter(stands_alone).collect();
            telling.sort_by_key(|place| place.parent.is_some());
            telling.into_iter().map(|place| place.path.clone()).collect()
        };
        for path in recorded.iter().chain(&homes) {
            self.requests += 1;
            match known.link.send(Call::new(Method::GET, path)).await {
                Ok(_) => {
                    self.note_credential(known);
                    return Ok(());
                }
                Err(ApiError::Absent(_)) => {}
                Err(error) => return Err(Stop::from_api(error, known.link.gate().is_shut().map(|(shut, _)| shut))),
            }
        }
        let everything: Vec<Path> = all.into_iter().map(|place| place.path).collect();
        let nothing_is_recorded = recorded.is_empty();
        let (recorded, everything) = if nothing_is_recorded {
            let unseen = self.unseen(known).await?;
            (unseen.clone(), unseen)
        } else {
            (recorded, everything)
        };
        if recorded.is_empty() {
            self.note_credential(known);
            return Ok(());
        }
        let token = absence::token(&everything.iter().collect::<Vec<_>>());
        if self.object.annotation(annotations::CONFIRM_ABSENCE) == Some(&token) {
            self.engine.links.change(self.key, |known| known.confirmed.extend(everything.iter().cloned()));
            self.status.extra.remove("absence");
            self.note_credential(known);
            return Ok(());
        }
        if !nothing_is_recorded && self.is_kept(known).await? {
            // It is no new one (section 5 of the design: "where after a new token"): the Secret was made again while nobody ran.
            self.status.extra.remove("absence");
            self.note_credential(known);
            return Ok(());
        }
        self.status.extra.insert(
            "absence".to_owned(),
            json!({ "token": token, "missing": recorded.len(), "recorded": recorded.len() }),
        );
        let (count, annotation) = (recorded.len(), annotations::CONFIRM_ABSENCE);
        let message = if nothing_is_recorded {
            format!(
                "what {count} creates made whose results nobody has seen is not in the account of this credential; put the one into the Secret that they were sent with, or, if nothing is to be looked for, annotate this connection with {annotation}={token}"
            )
        } else {
            format!(
                "not one of the {count} recorded objects is in the account of this credential; put the right one into the Secret, or, if the objects were meant to go, annotate this connection with {annotation}={token}"
            )
        };
        let stop = halt(Reason::AccountChanged, message.clone());
        self.engine.links.change(self.key, |known| known.trouble = Some(Wait::new(Reason::AccountChanged, message)));
        Err(stop)
    }

    /// What a parent always has is not always shown: a 404 says nothing of it, and the parent tells, unless it is asked for itself anyway.
    fn homes(&self, recorded: &[(Key, Place)]) -> BTreeSet<Path> {
        let paths: BTreeSet<&Path> = recorded.iter().map(|(_, place)| &place.path).collect();
        let ops = |key: &Key| self.engine.cache.ops(key.kind);
        let may_hide = |key: &Key| matches!(ops(key), Some(AnyKind::Resource(ops)) if ops.unset().is_some());
        let hidden = recorded.iter().filter(|(key, _)| may_hide(key));
        hidden.filter_map(|(_, place)| place.parent.clone()).filter(|parent| !paths.contains(parent)).collect()
    }

    /// Where nothing is recorded, a create whose result nobody has seen may have made something all the same. Another account's listing
    /// does not show it, and that it is not there would be taken for an absence (law 3). Says what was looked for and not found: nothing
    /// where there was no such create, where what one of them made is there, and where they were sent with this very credential.
    async fn unseen(&mut self, known: &Known) -> Result<Vec<Path>, Stop> {
        let creates = self.creates_unseen();
        if creates.is_empty() || self.is_kept(known).await? {
            return Ok(Vec::new());
        }
        let mut listed: BTreeMap<Path, Option<Vec<Value>>> = BTreeMap::new();
        let mut unseen = Vec::new();
        for Unseen { ops, key, listing, is_list, stands_for, is_marked } in creates {
            let shown = match listed.entry(listing) {
                Entry::Occupied(shown) => shown.into_mut(),
                Entry::Vacant(place) => {
                    let found = if is_list {
                        items(ops, &known.link, place.key(), None, &mut self.requests).await
                    } else {
                        self.requests += 1;
                        known.link.send(Call::new(Method::GET, place.key())).await.map(|_| Vec::new())
                    };
                    let shut = || known.link.gate().is_shut().map(|(shut, _)| shut);
                    place.insert(match found {
                        Err(ApiError::Absent(_)) if !is_marked => None,
                        found => Some(found.map_err(|error| Stop::from_api(error, shut()))?),
                    })
                }
            };
            let is_ours = |item: &Value| mark::read(item, &self.engine.owner, &key) == Mark::Ours;
            if shown.as_ref().is_some_and(|items| !is_marked || items.iter().any(is_ours)) {
                return Ok(Vec::new());
            }
            unseen.push(stands_for);
        }
        Ok(unseen)
    }

    /// Those that a create may have been sent for through this connection: whose mark alone would tell, and whose intent says where.
    fn creates_unseen(&self) -> Vec<Unseen> {
        let (engine, name) = (self.engine, format!("{}/{}", self.key.namespace, self.key.name));
        let mut found = Vec::new();
        for (key, object) in engine.cache.all() {
            let Some(AnyKind::Resource(ops)) = engine.cache.ops(key.kind) else { continue };
            if ops.connection() == self.key.kind && object.is_held() {
                found.extend(self.open_create(ops, &key, &object));
            }
            let may_be = ops.connection() == self.key.kind
                && ops.identity_of(&object) == Identity::Mark
                && object.is_held()
                && object.status().recorded(&engine.owner, object.uid()).is_none();
            // Of its own creates this process knows that they were refused, or what they made, though that is not written yet.
            let may_have = |memory: &mut Memory| !memory.held || memory.unsettled.is_some() || memory.unrecorded;
            let may_be = may_be && engine.remember(object.uid(), may_have);
            if !may_be || engine.connection_of(ops, &key, &object).as_ref() != Some(self.key) {
                continue;
            }
            let secrets = Secrets::new();
            let cx = Cx::new(&key.namespace, &engine.owner, &engine.cache, &secrets);
            let cx = cx.ending(object.is_deleting()).through(&name);
            let Ok(endpoint) = ops.endpoint(&object, &cx) else { continue };
            let (collection, listing, _) = endpoint.into_paths();
            let Ok(uid) = Segment::new(object.uid()) else { continue };
            let stands_for = collection.child(&uid);
            found.push(Unseen { ops, key: key.clone(), listing, is_list: true, stands_for, is_marked: true });
        }
        found
    }

    /// A create that was written down and sent to a place below some object, through this connection. Another account's 404 for that place
    /// would be taken for the end of the object and of all that is below it.
    fn open_create(&self, ops: &'static dyn Ops, key: &Key, object: &Raw) -> Option<Unseen> {
        let status = object.status();
        let name = format!("{}/{}", self.key.namespace, self.key.name);
        let intent = status.intent(&self.engine.owner, object.uid()).filter(|intent| intent.connection == name)?;
        let path = Path::parse(&intent.path).ok().filter(|path| path.above().is_some())?;
        let stands_for = path.child(&Segment::new(object.uid()).ok()?);
        let is_list = intent.object.as_ref() != Some(&intent.path);
        let listing = if is_list { path } else { self.parent_of(ops, key, object, &path, &name).unwrap_or(path) };
        Some(Unseen { ops, key: key.clone(), listing, is_list, stands_for, is_marked: false })
    }

    /// What the object at this path lives and dies with, where the resource still says so.
    fn parent_of(&self, ops: &'static dyn Ops, key: &Key, object: &Raw, path: &Path, through: &str) -> Option<Path> {
        let secrets = Secrets::new();
        let cx = Cx::new(&key.namespace, &self.engine.owner, &self.engine.cache, &secrets);
        // The reference held when the create was sent, whoever may refer to what now.
        let (at, _, parent) = ops.endpoint(object, &cx.ending(true).through(through)).ok()?.into_paths();
        parent.filter(|_| at == *path)
    }

    pub(super) fn note_credential(&mut self, known: &Known) {
        self.engine.remember(self.object.uid(), |memory| memory.proven = Some(known.fingerprint.clone()));
        self.status.extra.insert("credential".to_owned(), known.version.clone().into());
    }

    /// What works could not be kept for deletions: the status names a credential only once it is, and until then a crash would lose it. So
    /// it is tried again soon, unless Kubernetes refuses, which lasts.
    pub(super) fn withhold_credential(&mut self, error: &KubeError) {
        self.unkept = !matches!(error, KubeError::Forbidden(_) | KubeError::Invalid(_));
        match self.object.status().extra.remove("credential") {
            Some(before) => self.status.extra.insert("credential".to_owned(), before),
            None => self.status.extra.remove("credential"),
        };
    }

    /// Shows what vanished at once, and takes a person's word that it was meant to; true where resources should be woken.
    pub(super) fn confirm_absence(&mut self) -> bool {
        let recorded: Vec<Place> = self.engine.recorded(self.key).into_iter().map(|(_, p)| p).collect();
        let mut absence = None;
        self.engine.links.change(self.key, |known| absence = Some(known.absence(&recorded)));
        let Some(absence) = absence else { return false };
        let Some(Absence { token, missing, recorded }) = absence else {
            self.status.extra.remove("absence");
            return false;
        };
        if self.object.annotation(annotations::CONFIRM_ABSENCE) == Some(&token) {
            self.engine.links.change(self.key, |known| known.confirmed.extend(known.missing.iter().cloned()));
            self.status.extra.remove("absence");
            return true;
        }
        self.status
            .extra
            .insert("absence".to_owned(), json!({ "token": token, "missing": missing, "recorded": recorded }));
        false
    }
}
