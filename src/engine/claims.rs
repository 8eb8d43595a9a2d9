//! Which resources' passes speak for an object right now.
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The UIDs of the resources whose passes speak for an object right now, and where it is, if that is known before it is looked for; and
/// the places where a pass does what one does there at a time.
#[derive(Default)]
pub struct Claims(Mutex<HashMap<String, Option<String>>>);

impl Claims {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<String, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn guard(&self, what: &str) -> Claimed<'_> {
        Claimed { claims: self, what: what.to_owned() }
    }

    /// Takes it, unless a pass has it.
    pub(super) fn take(&self, what: &str) -> Option<Claimed<'_>> {
        let mut under_way = self.lock();
        if under_way.contains_key(what) {
            return None;
        }
        under_way.insert(what.to_owned(), None);
        Some(self.guard(what))
    }
}

/// A claim of a pass, until it ends in whatever way.
pub struct Claimed<'e> {
    claims: &'e Claims,
    what: String,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_taken_until_its_pass_ends() {
        let claims = Claims::default();
        let first = claims.take("here");
        assert!(first.is_some() && claims.take("here").is_none());
        assert!(claims.take("there").is_some());
        drop(first);
        assert!(claims.take("here").is_some());
    }
}
