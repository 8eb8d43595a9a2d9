//! What a pass found and did, and what it leaves behind.
use serde_json::Value;
use tokio::time::Instant;

use super::{
    desired::Desired,
    diff::{Difference, diff},
    plan::Plan,
    queue::Lane,
    reason::Reason,
    stop::Stop,
};

/// What a pass leaves behind for the queue and for the log.
#[derive(Debug)]
pub struct Outcome {
    /// One word.
    pub word: &'static str,
    /// Requests sent to the management API.
    pub requests: u32,
    /// When to run again by itself.
    pub later: Option<(Instant, Lane)>,
}

/// What a pass over a living resource found and did.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, and they combine freely")]
pub struct Done {
    /// Nothing was asked: the resource is in order and the sweep looks after it.
    pub unasked: bool,
    /// There is no object yet, and there is nothing to do before others make it.
    pub nothing: bool,
    /// Nothing may be written: the API was not asked to accept the spec.
    pub looked: bool,
    /// What still differs.
    pub differences: Vec<Difference>,
    /// What someone else had changed and was put back.
    pub corrected: Vec<Difference>,
    /// Whether the object was made in this pass.
    pub created: bool,
    /// Whether the object was changed in this pass.
    pub updated: bool,
    /// Whether the object was taken over in this pass.
    pub adopted: bool,
    /// Whether the API was sent what the spec wants, and keeps something else.
    pub kept: bool,
    /// People and groups that are not there yet; none where the spec names none.
    pub unbound: Option<Vec<String>>,
    /// When to ask again for something that takes its time.
    pub ask_again: Option<Instant>,
}

impl Done {
    /// Comes back at this time, or earlier.
    pub fn look_again(&mut self, at: Option<Instant>) {
        self.ask_again = self.ask_again.into_iter().chain(at).min();
    }
}

/// What a create left out because the API does not take it then.
#[must_use]
pub fn leftover(desired: &Desired, made: &Value) -> Plan {
    let is_later =
        |difference: &Difference| difference.path.first().is_some_and(|f| desired.later.contains(&f.as_str()));
    let differences: Vec<Difference> = diff(desired, made).into_iter().filter(is_later).collect();
    if differences.is_empty() { Plan::Nothing } else { Plan::Update(differences) }
}

/// The object differs in what it keeps for ever.
#[must_use]
pub fn immutable(differences: &[Difference]) -> Stop {
    let fields: Vec<String> = differences.iter().map(|difference| difference.path.join(".")).collect();
    let message = format!(
        "{} cannot be changed; set lifecycle.replace: Allow to delete the object and make it again, or put the spec back",
        fields.join(", ")
    );
    Stop::hopeless(Reason::ImmutableFieldChanged, message)
}
