//! Two resources never fight over an output Secret either (law 12). One that a user took away is still the Secret of the resource that hands
//! out its credentials in it: that one makes it again, and until then nobody else takes its name.
use std::sync::Arc;

use tokio::time::Instant;

use super::{
    cache::AnyKind,
    core::Engine,
    key::{Key, Target},
    raw::Raw,
    reason::Reason,
    secrets::Stored,
    spec::annotations::OWNER_UID,
    stop::Stop,
};

impl Engine {
    /// Whether a resource may hand out its credentials in the Secret of this name; `stored`: the Secret, where there is one.
    ///
    /// # Errors
    /// [`Stop`] with [`Reason::Conflict`] where the Secret is somebody else's.
    pub(super) fn claim_output(
        &self,
        key: &Key,
        object: &Raw,
        name: &str,
        stored: Option<&Stored>,
    ) -> Result<(), Stop> {
        let holder = match stored {
            Some(stored) if self.owns_secret(key, object.uid(), name, stored) => return Ok(()),
            Some(stored) => {
                // A copy of its own is nobody's but the user's.
                let owner = stored.annotations.get(OWNER_UID).filter(|uid| *uid != object.uid());
                owner.and_then(|uid| self.living(uid))
            }
            None => match self.holder_of_output(key, object, name) {
                None => return Ok(()),
                holder => holder,
            },
        };
        let secret = format!("Secret {}/{name}", key.namespace);
        // The same words whether the holder's Secret is there right now or not: at rest nothing is written (law 4).
        let message = match holder {
            Some(holder) => {
                format!("{secret} belongs to {holder}: give credentialsSecret of one of the two another name")
            }
            None => format!(
                "{secret} exists already and is not this resource's, so it is left alone: give credentialsSecret another name, or delete the Secret"
            ),
        };
        Err(Stop::wait_until(Reason::Conflict, message, Instant::now() + self.settings.stalled))
    }

    /// Who hands out its credentials in a Secret that is not there right now, and goes before this resource: whoever has recorded it, or has
    /// written it in this process, as long as its spec says so. Of several the one that goes first anywhere else.
    fn holder_of_output(&self, key: &Key, object: &Raw, name: &str) -> Option<Key> {
        let has_it = |one: &Raw| {
            // What was written a moment ago is not recorded yet.
            let has_written = self.remember(one.uid(), |memory| memory.output.as_deref() == Some(name));
            has_written || one.status().output.as_deref() == Some(name)
        };
        let wants_it = |key: &Key, one: &Raw| match self.cache.ops(key.kind) {
            Some(AnyKind::Resource(ops)) => ops.output_secret(one).is_some_and(|secret| secret == name),
            _ => false,
        };
        let own = has_it(object).then(|| self.rank(object));
        let goes_first = |(key, other): &(Key, Arc<Raw>)| {
            let is_other = other.uid() != object.uid() && !other.is_deleting();
            let holds = is_other && has_it(other) && wants_it(key, other);
            holds && own.as_ref().is_none_or(|own| self.rank(other) < *own)
        };
        let users = self.edges.dependents(&Target::Secret(key.namespace.to_string(), name.to_owned())).into_iter();
        let users = users.filter_map(|user| {
            let other = self.cache.get(&user)?;
            Some((user, other))
        });
        let mut all = self.cache.handing_out(&key.namespace, name).into_iter().chain(users);
        all.find(goes_first).map(|(holder, _)| holder)
    }

    /// The living resource of this UID, of whatever kind.
    fn living(&self, uid: &str) -> Option<Key> {
        self.cache.kinds().find_map(|(kind, _)| self.cache.by_uid(kind, uid))
    }
}
