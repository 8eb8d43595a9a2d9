//! Why a pass ended before the object was as desired, and what follows from it. The one place where errors are classified (law 10).
use tokio::time::Instant;

use super::{kind::Wait, kubernetes::KubeError, reason::Reason};
use crate::remote::{ApiError, gate::Shut};

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// When what is waited for happens; nobody polls.
    OnWake,
    /// At this time.
    At(Instant),
    /// After a wait that doubles; not before the given time.
    Backoff(Option<Instant>),
}

/// How an ended pass is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Not an error: something else has to happen first.
    Waiting,
    /// The API could not be asked: what was true may still be true.
    OutOfTouch,
    /// Refused: stalled after some tries.
    Refused,
    /// Refused for good: stalled at once.
    Hopeless,
}

/// Why a pass ended.
#[derive(Clone, Debug)]
pub struct Halt {
    /// Why.
    pub reason: Reason,
    /// Why, for a person.
    pub message: String,
    /// How to judge it.
    pub judgement: Judgement,
    /// When to try again.
    pub again: Again,
}

/// How a pass can end early.
#[derive(Clone, Debug)]
pub enum Stop {
    /// The user wants the resource left alone.
    Paused,
    /// Something is in the way; it belongs in the status.
    Halt(Halt),
    /// The API server failed; nothing can be written now.
    Kube(KubeError),
}

impl Stop {
    /// Something has to happen first that will wake the resource.
    pub fn wait(reason: Reason, message: impl Into<String>) -> Self {
        Self::Halt(Halt { reason, message: message.into(), judgement: Judgement::Waiting, again: Again::OnWake })
    }

    /// Something has to happen first, at the latest at this time.
    pub fn wait_until(reason: Reason, message: impl Into<String>, at: Instant) -> Self {
        Self::Halt(Halt { reason, message: message.into(), judgement: Judgement::Waiting, again: Again::At(at) })
    }

    /// A person has to do something that nothing will tell us of.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self::Halt(Halt { reason, message: message.into(), judgement: Judgement::Refused, again: Again::Backoff(None) })
    }

    /// Nothing helps but a change of the spec.
    pub fn hopeless(reason: Reason, message: impl Into<String>) -> Self {
        Self::Halt(Halt {
            reason,
            message: message.into(),
            judgement: Judgement::Hopeless,
            again: Again::Backoff(None),
        })
    }

    /// What the API shows may be older than what Portico did itself: it is looked at again when no answer can be so old.
    pub(super) fn not_shown_until(by: Instant, message: impl Into<String>) -> Self {
        Self::Halt(Halt {
            reason: Reason::RemoteUnavailable,
            message: message.into(),
            judgement: Judgement::OutOfTouch,
            again: Again::At(by),
        })
    }

    /// Whether another resource is in the way.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Halt(halt) if halt.reason == Reason::Conflict)
    }

    /// An answer of a remote API, seen from a connection whose gate may be shut.
    #[must_use]
    pub fn from_api(error: ApiError, shut: Option<Shut>) -> Self {
        let out_of_touch = |reason, message: String, again| {
            Self::Halt(Halt { reason, message, judgement: Judgement::OutOfTouch, again })
        };
        match error {
            ApiError::Closed { until: Some(at), why } => out_of_touch(Reason::RateLimited, why, Again::At(at)),
            ApiError::Closed { until: None, why } => match shut {
                Some(Shut::CredentialRejected) => out_of_touch(
                    Reason::ConnectionNotReady,
                    format!("the connection is not ready: the API refused its credential: {why}"),
                    Again::OnWake,
                ),
                _ => out_of_touch(Reason::RemoteUnavailable, why, Again::OnWake),
            },
            ApiError::NotSent(why) => Self::hopeless(Reason::InvalidSpec, why),
            // A connection whose probe is answered wakes at once who waits for it: who is refused all the same has a wait of its own.
            ApiError::Unauthorized(why) => out_of_touch(
                Reason::ConnectionNotReady,
                format!("the connection is not ready: the API refused its credential: {why}"),
                Again::Backoff(None),
            ),
            ApiError::Throttled { retry_after } => {
                let message = "the API asks for fewer requests; Portico goes on by itself".to_owned();
                out_of_touch(
                    Reason::RateLimited,
                    message,
                    Again::Backoff(retry_after.map(|after| Instant::now() + after)),
                )
            }
            ApiError::Absent(words) => out_of_touch(
                Reason::RemoteUnavailable,
                format!("the API does not know what it should know: {words}"),
                Again::Backoff(None),
            ),
            ApiError::Failed(refusal) => {
                let message = format!("the API failed with HTTP {}: {}", refusal.status, refusal.detail);
                out_of_touch(Reason::RemoteUnavailable, message, Again::Backoff(None))
            }
            ApiError::Unavailable(why) => out_of_touch(Reason::RemoteUnavailable, why, Again::Backoff(None)),
            ApiError::Refused(refusal) => {
                let message = format!("the API refuses (HTTP {}): {}", refusal.status, refusal.words());
                if refusal.is_quota() {
                    Self::refused(Reason::QuotaExceeded, message)
                } else if refusal.blames_the_spec() {
                    Self::hopeless(Reason::InvalidSpec, message)
                } else if refusal.status == 403 {
                    Self::refused(Reason::PermissionDenied, message)
                } else if refusal.status == 409 {
                    Self::refused(Reason::AlreadyExists, message)
                } else {
                    Self::refused(Reason::InvalidSpec, message)
                }
            }
        }
    }
}

impl From<Wait> for Stop {
    fn from(wait: Wait) -> Self {
        match wait.reason {
            Reason::InvalidSpec => Self::hopeless(wait.reason, wait.message),
            // What was true of the object may still be true.
            Reason::ConnectionNotReady => {
                let (reason, message) = (wait.reason, wait.message);
                Self::Halt(Halt { reason, message, judgement: Judgement::OutOfTouch, again: Again::OnWake })
            }
            reason => Self::wait(reason, wait.message),
        }
    }
}

impl From<KubeError> for Stop {
    fn from(error: KubeError) -> Self {
        Self::Kube(error)
    }
}
