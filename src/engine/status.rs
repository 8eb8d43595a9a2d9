//! One status for all kinds, and the rules of `status.conditions`.
use std::collections::BTreeMap;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::reason::Reason;
pub use super::recipe::{Intent, Recipe, SentSecret, Updating};

/// The types of conditions.
pub mod conditions {
    /// The object exists, is usable, and the API accepted the spec of `observedGeneration`.
    pub const READY: &str = "Ready";
    /// The last observation equals the spec.
    pub const SYNCED: &str = "Synced";
    /// Portico is still at it.
    pub const RECONCILING: &str = "Reconciling";
    /// Nothing moves until someone changes something.
    pub const STALLED: &str = "Stalled";
    /// People and groups that the spec names are there and bound.
    pub const BOUND: &str = "Bound";
}

/// What Portico knows about a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", bound(deserialize = "E: Default + Deserialize<'de>"))]
pub struct Status<E = Map<String, Value>> {
    /// The id of the object at the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The generation of the spec that the conditions speak of; -1 until Portico has seen the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The state of the resource: `Ready`, `Synced`, and, only while true, `Reconciling` or `Stalled`. Some kinds have more: `Bound`, `Verified`, `Approved`, `Complete` or `Failed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Where the object at the API differs from the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftItem>,
    /// All that is needed to delete the object, also when the spec and everything it refers to are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Recipe>,
    /// A create whose result is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creating: Option<Intent>,
    /// The last create of which nothing was seen: should it take effect after all, there are two objects, and a person decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Intent>,
    /// The label keys that this resource has set, or was about to set; one that leaves the spec is removed at the API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label_keys: Vec<String>,
    /// The entries of each list (roles, members, groups) that this resource has set, or was about to set; one that leaves the spec is removed at the API.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, Vec<String>>,
    /// That it was started, where something is done once and not kept: while this is here it is never started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// An update whose result is not known yet, where sending it twice would do more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updating: Option<Updating>,
    /// The generation of the spec that the API accepted last: what differs since is the user's change, not a stranger's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_generation: Option<i64>,
    /// A digest of what was sent and of what the API made of it, where it keeps other values: sending the same again would not help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// Keyed digests of the secrets that the API was sent, by field: it may not show them, and another value in a Secret is to be noticed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<String, String>,
    /// The name of the Secret that holds the object's credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The last value of the annotation `portico.dev/reconcile-at` that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The last value of the annotation `portico.dev/rotate` that was answered: the Secret has the new secret, and the API took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_rotate: Option<String>,
    /// What only this kind has.
    #[serde(flatten)]
    pub extra: E,
}

/// One difference between the object and the spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriftItem {
    /// Which field of the object, as the API names it.
    pub path: String,
    /// What the spec wants, as JSON.
    pub want: String,
    /// What the object has, as JSON.
    pub found: String,
}

/// True, False or Unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tri {
    /// Yes.
    True,
    /// No.
    False,
    /// Not known.
    Unknown,
}

impl Tri {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Tri {
    fn from(yes: bool) -> Self {
        if yes { Self::True } else { Self::False }
    }
}

/// A condition before it has a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether it holds.
    pub holds: Tri,
    /// Why.
    pub reason: Reason,
    /// Why, for a person, and what to do.
    pub message: String,
}

impl State {
    /// A state.
    pub fn new(holds: impl Into<Tri>, reason: Reason, message: impl Into<String>) -> Self {
        Self { holds: holds.into(), reason, message: message.into() }
    }
}

impl<E> Status<E> {
    /// The recipe of an object that is this resource's: this installation recorded it for this very UID.
    pub fn recorded(&self, owner: &str, uid: &str) -> Option<&Recipe> {
        self.known(owner, uid).filter(|r| !r.observed)
    }

    /// The recipe of an object that is this resource's, or that it observes.
    pub fn known(&self, owner: &str, uid: &str) -> Option<&Recipe> {
        self.id.as_ref()?;
        self.remote.as_ref().filter(|r| r.owner == owner && r.uid == uid)
    }

    /// The open create, if this installation wrote it for this very resource.
    pub fn intent(&self, owner: &str, uid: &str) -> Option<&Intent> {
        self.creating.as_ref().filter(|i| i.owner == owner && i.uid == uid)
    }

    /// A condition by its type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == type_)
    }

    /// Whether the last try at this generation had to wait for something else.
    pub fn is_waiting(&self, reason: Reason, generation: i64) -> bool {
        let ready = self.condition(conditions::READY);
        ready.is_some_and(|ready| ready.reason == reason.as_str() && ready.observed_generation == Some(generation))
    }

    /// Whether it says that the user wants the resource left alone.
    pub fn says_paused(&self) -> bool {
        self.condition(conditions::SYNCED).is_some_and(|synced| synced.reason == Reason::Paused.as_str())
    }

    /// Whether a condition is there and `True`.
    pub fn is_true(&self, type_: &str) -> bool {
        self.condition(type_).is_some_and(|c| c.status == "True")
    }

    /// Sets a condition, or removes it. The time moves only when the status does; a message that says the same in other numbers
    /// (trace ids, times) is not written again.
    pub fn set(&mut self, type_: &str, state: Option<&State>, generation: i64, now: Timestamp) {
        let Some(state) = state else {
            self.conditions.retain(|c| c.type_ != type_);
            return;
        };
        let message = limit(&steady(&state.message));
        let mut new = Condition {
            type_: type_.to_owned(),
            status: state.holds.as_str().to_owned(),
            reason: state.reason.as_str().to_owned(),
            message,
            observed_generation: Some(generation),
            // The API server stores seconds; anything finer would never compare equal again.
            last_transition_time: Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
        };
        match self.conditions.iter_mut().find(|c| c.type_ == type_) {
            Some(old) => {
                if old.status == new.status {
                    new.last_transition_time = old.last_transition_time.clone();
                    if old.reason == new.reason
                        && state.reason.quotes_the_api(&state.message)
                        && is_same_in_words(&old.message, &new.message)
                        && old.observed_generation == new.observed_generation
                    {
                        new.message.clone_from(&old.message);
                    }
                }
                *old = new;
            }
            None => self.conditions.push(new),
        }
        self.conditions.sort_by(|a, b| order(&a.type_).cmp(&order(&b.type_)).then_with(|| a.type_.cmp(&b.type_)));
    }
}

/// `Ready` first: `kubectl describe` reads top down.
fn order(type_: &str) -> usize {
    let known = [conditions::READY, conditions::SYNCED, conditions::RECONCILING, conditions::STALLED];
    known.iter().position(|k| *k == type_).unwrap_or(known.len())
}

/// The API server refuses messages of more than 32,768 characters; nobody reads more than a few lines.
fn limit(message: &str) -> String {
    const MOST: usize = 1024;
    match message.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// A text without the words that differ at every answer: trace ids and times. They stand in the event and in the log.
fn steady(text: &str) -> String {
    // A name may have as many digits, and a colon after it.
    let is_hour = |three: &[u8]| three[0].is_ascii_digit() && three[1] == b':' && three[2].is_ascii_digit();
    let is_time = |word: &str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        digits >= 8 && word.contains('-') && word.as_bytes().windows(3).any(is_hour)
    };
    let volatile = |word: &&str| word.contains("trace:") || is_time(word);
    text.split(' ').map(|word| if volatile(&word) { "…" } else { word }).collect::<Vec<_>>().join(" ")
}

/// Whether two texts differ only in words that hold digits: trace ids, times, counters.
fn is_same_in_words(a: &str, b: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split_whitespace()
            .map(|w| if w.bytes().any(|b| b.is_ascii_digit()) { "#".to_owned() } else { w.to_owned() })
            .collect()
    };
    a == b || words(a) == words(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_of_a_condition_moves_only_with_its_status() {
        let mut status = Status::<Map<String, Value>>::default();
        status.set("Ready", Some(&State::new(false, Reason::Creating, "a")), 1, at(10));
        status.set("Ready", Some(&State::new(false, Reason::InvalidSpec, "b")), 2, at(20));
        assert_eq!(status.conditions[0].last_transition_time.0, at(10));
        status.set("Ready", Some(&State::new(true, Reason::Available, "c")), 2, at(30));
        assert_eq!(status.conditions[0].last_transition_time.0, at(30));
    }

    #[test]
    fn a_text_that_differs_only_in_trace_ids_and_times_is_not_written_again() {
        let mut status = Status::<Map<String, Value>>::default();
        let say = |text: &str| State::new(false, Reason::RemoteUnavailable, text);
        status.set("Ready", Some(&say("HTTP 503: failed at 12:00:01 (trace 7f3a)")), 1, at(10));
        let before = status.clone();
        status.set("Ready", Some(&say("HTTP 503: failed at 12:00:09 (trace 99bc)")), 1, at(20));
        assert_eq!(status, before);
        status.set("Ready", Some(&say("HTTP 503: something else (trace 99bc)")), 1, at(20));
        assert_ne!(status, before);
    }

    #[test]
    fn a_refused_credential_is_not_told_again_at_every_try() {
        let mut status = Status::<Map<String, Value>>::default();
        let say = |why: &str| {
            let text = format!("the connection is not ready: the API refused its credential: {why}");
            State::new(false, Reason::ConnectionNotReady, text)
        };
        status.set("Ready", Some(&say("token is expired by 5m3s")), 1, at(10));
        let before = status.clone();
        status.set("Ready", Some(&say("token is expired by 9m8s")), 1, at(20));
        assert_eq!(status, before);
    }

    #[test]
    fn trace_ids_and_times_stay_out_of_conditions_and_urls_and_ids_stay_in() {
        assert_eq!(steady("failed at 2026-11-22T16:00:00.123Z (kong:trace:7f3a9b)"), "failed at … …");
        let plain = "docs-20261122.example.com: GET http://127.0.0.1:8080 0b6ef1a5-1111-4222-8333-444455556666: failed";
        assert_eq!(steady(plain), plain);
    }

    #[test]
    fn a_record_of_another_uid_or_owner_counts_as_none() {
        let recipe = Recipe {
            owner: "o".into(),
            uid: "u".into(),
            connection: "n/c".into(),
            account: "a".into(),
            path: "/v2/portals/x".into(),
            listing: None,
            parent: None,
            reset: None,
            observed: false,
            unsettled: false,
        };
        let status = Status::<Map<String, Value>> { id: Some("x".into()), remote: Some(recipe), ..Status::default() };
        assert!(status.recorded("o", "u").is_some());
        assert!(status.recorded("o", "other").is_none());
        assert!(status.recorded("other", "u").is_none());
    }
}
