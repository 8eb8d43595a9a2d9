//! What lies below an object that is to go: what has to be gone before it, and what nobody deletes.
use tokio::time::Instant;

use super::{
    cache::AnyKind,
    context::Secrets,
    delete::blocked,
    key::{Key, Target},
    pass::Pass,
    spec::Common,
    stop::Stop,
};
use crate::remote::Path;

/// For so many minutes what has to go first is waited for.
const LONGEST_WAIT: u32 = 5;

/// The resources whose objects lie below one that is to go.
#[derive(Default)]
struct Below {
    /// Those that are being deleted, and have to be gone at the API first.
    going: Vec<Key>,
    /// Those of the same namespace that nobody deletes.
    staying: Vec<Key>,
}

impl Pass<'_> {
    /// The resources whose objects would go with the one at this path, as far as they matter to its end.
    fn below(&self, path: &Path) -> Below {
        let mut below = Below::default();
        for (key, child) in self.engine.cache.all() {
            let Some(AnyKind::Resource(ops)) = self.engine.cache.ops(key.kind) else { continue };
            let is_going = child.is_deleting();
            let matters =
                if is_going { ops.goes_first() && child.is_held() } else { key.namespace == self.key.namespace };
            if !matters {
                continue;
            }
            let (status, uid) = (child.status(), child.uid());
            let recorded = status.recorded(&self.engine.owner, uid).and_then(|recipe| recipe.place().ok());
            if let Some(place) = recorded {
                if place.is_below(path) {
                    let list = if is_going { &mut below.going } else { &mut below.staying };
                    list.push(key);
                }
                continue;
            }
            // Of one that goes, what an open create may have made counts, too.
            let open = status.intent(&self.engine.owner, uid).and_then(|intent| intent.object.as_deref());
            if is_going && open.and_then(|path| Path::parse(path).ok()).is_some_and(|open| open.is_below(path)) {
                below.going.push(key);
            }
        }
        below
    }

    /// Waits for what would go with the object at this path.
    ///
    /// # Errors
    /// [`Stop`] that names what is in the way.
    pub(super) async fn wait_for_what_is_below(&self, path: &Path) -> Result<(), Stop> {
        let below = self.below(path);
        self.wait_for_those_that_go_first(&below.going)?;
        self.wait_for_children(&below.staying).await
    }

    /// Those that are being deleted, may have made something of which nothing is recorded, and find the way to it through this resource
    /// alone: without it their connection is not known, and what they made would be lost (law 1).
    pub(super) fn seekers(&self) -> Vec<Key> {
        let this = Target::Resource(self.key.clone());
        let mut seekers = Vec::new();
        for (key, other) in self.engine.cache.all() {
            let Some(AnyKind::Resource(ops)) = self.engine.cache.ops(key.kind) else { continue };
            if !other.is_deleting() || !other.is_held() || !ops.identity_of(&other).is_found_again() {
                continue;
            }
            let (status, uid, owner) = (other.status(), other.uid(), &self.engine.owner);
            let is_recorded = status.recorded(owner, uid).is_some() || status.intent(owner, uid).is_some();
            let has_own = other.spec::<Common>().map_or(true, |common| common.connection_ref.is_some());
            if is_recorded || has_own {
                continue;
            }
            if self.engine.compute(ops, &key, &other, &Secrets::new()).1.edges.contains(&this) {
                seekers.push(key);
            }
        }
        seekers
    }

    /// What has to be gone before this object can go is waited for, whoever deletes it, but not for ever: counted from this process' own
    /// first sight of it, because the API server's clock and ours may differ by minutes.
    pub(super) fn wait_for_those_that_go_first(&self, first: &[Key]) -> Result<(), Stop> {
        if first.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let since = self.engine.remember(self.object.uid(), |memory| *memory.waits_since.get_or_insert(now));
        if now.duration_since(since) > self.engine.settings.minute * LONGEST_WAIT {
            return Ok(());
        }
        let names: Vec<String> =
            first.iter().map(|key| format!("{} {}/{}", key.kind, key.namespace, key.name)).collect();
        Err(blocked(format!("these have to be gone at the API before it: {}", names.join(", "))))
    }

    /// Objects below this one would go with it. Those that nobody deletes are waited for, in the same namespace and while that lives.
    async fn wait_for_children(&self, children: &[Key]) -> Result<(), Stop> {
        if children.is_empty() {
            return Ok(());
        }
        let terminating = self.engine.kube.namespace(&self.key.namespace).await?.is_none_or(|(_, going)| going);
        if terminating {
            return Ok(());
        }
        let names: Vec<String> = children.iter().map(|key| format!("{} {}", key.kind, key.name)).collect();
        Err(blocked(format!("these resources live below it and are not being deleted: {}", names.join(", "))))
    }
}
