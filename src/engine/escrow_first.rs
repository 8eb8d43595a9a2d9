//! A connection's credential is kept for deletions before the first create is sent through it. So where none is kept, nothing was made.
use tokio::sync::OwnedRwLockReadGuard;

use super::{
    cache::AnyKind,
    context::Secrets,
    core::Engine,
    escrow::{Kept, name},
    key::Key,
    kind::{Ops, Wait},
    output::denied,
    pass::Pass,
    raw::Raw,
    reason::Reason,
    resolve::{Resolved, connection_key, parse_connection},
    spec::Common,
    stop::Stop,
};

/// While somebody has it, what is kept for a connection stays.
pub(super) type Stay = OwnedRwLockReadGuard<()>;

impl Pass<'_> {
    /// Sees to it that the connection's credential is kept, and stays so while the answer lives. From here to the end of the pass this
    /// resource counts as a user of the connection, whatever is recorded by then, and whether or not anything is kept.
    ///
    /// # Errors
    /// [`Stop`] where it cannot be kept: then nothing may be made.
    pub(super) async fn keep_first(&mut self, resolved: &Resolved) -> Result<Stay, Stop> {
        let (engine, connection, uid) = (self.engine, &resolved.connection, &resolved.known.uid);
        let stay = if engine.settings.escrow {
            engine.keep_first(connection, uid).await?
        } else {
            engine.remember(uid, |memory| memory.escrow_turn.clone()).read_owned().await
        };
        // While it stays nobody counts the users to let the connection go: it has gone already, or sees this one.
        if self.begun.is_none() {
            self.begun = Some(engine.begin(self.key, connection, uid));
        }
        Ok(stay)
    }

    /// The same for what was there before, which becomes this resource's in this pass.
    ///
    /// # Errors
    /// As [`Pass::keep_first`], and where the connection is being deleted since the pass began: nothing more is taken over through it.
    pub(super) async fn keep_adopted(&mut self, resolved: &Resolved, adopted: bool) -> Result<(), Stop> {
        if adopted && resolved.writes {
            drop(self.keep_first(resolved).await?);
            self.check_credential(resolved)?;
            let connection = &resolved.connection;
            if self.engine.links.get(connection).is_some_and(|known| known.deleting) {
                let message = format!("{connection} is being deleted");
                return Err(Wait::new(Reason::ConnectionNotReady, message).into());
            }
        }
        Ok(())
    }

    /// Whether this pass speaks with the credential that the connection has now. While nothing was recorded yet another one may have been
    /// taken, and that may be of another account: what is made or taken over in the one before would then be looked for there (law 3).
    ///
    /// # Errors
    /// [`Stop`] where there is another one: the pass after this one begins with that.
    pub(super) fn check_credential(&self, resolved: &Resolved) -> Result<(), Stop> {
        let (connection, used) = (&resolved.connection, &resolved.known);
        let now = self.engine.links.get(connection);
        if now.is_some_and(|now| now.uid == used.uid && now.fingerprint == used.fingerprint) {
            return Ok(());
        }
        let message = format!("{connection} has another credential since; going on with that one");
        Err(Wait::new(Reason::ConnectionNotReady, message).into())
    }

    /// Whether certainly nothing was made for this resource, of which nothing is recorded: the connection that it names cannot be used,
    /// and nothing was ever made through it.
    pub(super) fn was_never_sent(&self) -> bool {
        let connection = self.engine.connection_of(self.ops, self.key, &self.object);
        connection.is_some_and(|connection| self.engine.was_never_used(&connection))
    }
}

impl Engine {
    /// The connection of a resource that has just written its id, where nothing is kept for the connection yet.
    pub(super) fn awaits_escrow(&self, key: &Key, object: &Raw) -> Option<Key> {
        if !self.settings.escrow || !object.is_held() {
            return None;
        }
        let Some(AnyKind::Resource(ops)) = self.cache.ops(key.kind) else { return None };
        let status = object.status();
        let recipe = status.recorded(&self.owner, object.uid())?;
        let connection = parse_connection(ops, &recipe.connection)?;
        let known = self.links.get(&connection)?;
        let works = known.verified && known.trouble.is_none() && known.link.gate().is_shut().is_none();
        let uid = self.cache.get(&connection)?.uid().to_owned();
        let waits = self.remember(&uid, |memory| matches!(memory.escrow, Kept::Unknown | Kept::Nothing));
        (works && waits).then_some(connection)
    }

    /// The connection that a resource names, or that its parent brings.
    pub(super) fn connection_of(&self, ops: &'static dyn Ops, key: &Key, object: &Raw) -> Option<Key> {
        let common = object.spec::<Common>().ok()?;
        let found = self.compute(ops, key, object, &Secrets::new()).1;
        connection_key(ops, key, &common, found.inherited.as_deref())
    }

    async fn keep_first(&self, connection: &Key, uid: &str) -> Result<Stay, Stop> {
        // The credential in use, and not one before it: by what is kept a later process knows it again (law 3).
        let is_kept = || {
            let known = self.links.get(connection).filter(|known| known.uid == uid);
            known.is_some_and(|known| self.keeps(uid, &known.material.to_data()))
        };
        let turn = self.remember(uid, |memory| memory.escrow_turn.clone());
        let stay = turn.clone().read_owned().await;
        if is_kept() {
            return Ok(stay);
        }
        drop(stay);
        let alone = turn.write_owned().await;
        // Of those who waited for their turn the first has written it for all.
        if !is_kept() {
            // The connection may have gone meanwhile, and nobody would erase what is kept for it.
            let known = self.links.get(connection).filter(|known| known.uid == uid);
            let gone = || format!("{connection} is not ready yet: its status says why");
            let known = known.ok_or_else(|| Wait::new(Reason::ConnectionNotReady, gone()))?;
            known.usable(&connection.to_string(), false)?;
            let written = self.write_escrow(connection, uid, &known.material.to_data()).await;
            written
                .map_err(|error| denied(&format!("{}/{}", self.settings.namespace, name(connection, uid)), error))?;
        }
        Ok(alone.downgrade())
    }

    /// Whether nothing was ever made through a connection whose credential does not work, or is gone: nothing is kept for it, and
    /// nothing recorded.
    pub(super) fn was_never_used(&self, connection: &Key) -> bool {
        let Some(object) = self.cache.get(connection) else { return false };
        self.settings.escrow
            && self.kept(object.uid()) == Kept::Nothing
            && self.links.get(connection).is_none_or(|known| !known.verified)
            && self.recorded(connection).is_empty()
    }
}
