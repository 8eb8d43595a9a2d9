//! The gate of a connection: bounded concurrency, a token bucket, and closures that hold for all of the connection's resources.
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

use super::ApiError;

/// Longer waits for the token bucket than this are not spent in a worker: the pass ends and comes back.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many requests a second, and how many at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Sustained requests per second.
    pub per_second: f64,
    /// Requests that may go at once after a pause.
    pub burst: f64,
}

/// Why a gate is closed until a probe succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// The host does not answer, or something else answers in its place.
    Unavailable,
    /// The credential was refused.
    CredentialRejected,
}

#[derive(Debug)]
struct State {
    rate: Rate,
    tokens: f64,
    refilled: Instant,
    /// The API asked for a pause until then.
    pause: Option<Instant>,
    /// Closed until a probe succeeds, and why.
    shut: Option<(Shut, String)>,
    /// It has been shut for one reason and is shut for another now: those who wait still name the first.
    turned: bool,
}

/// Lets requests through, or says until when not.
#[derive(Debug)]
pub struct Gate {
    permits: Arc<Semaphore>,
    state: Mutex<State>,
}

impl Gate {
    /// An open gate.
    #[must_use]
    pub fn new(rate: Rate, concurrency: usize) -> Self {
        let (tokens, refilled) = (rate.burst, Instant::now());
        let state = State { rate, tokens, refilled, pause: None, shut: None, turned: false };
        Self { permits: Arc::new(Semaphore::new(concurrency)), state: Mutex::new(state) }
    }

    /// Waits for a free place and a token. Keep the permit until the answer is there.
    ///
    /// # Errors
    /// [`ApiError::Closed`] where the gate is closed, or the wait would be long.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.check()?;
        let permit = self.permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let ready = self.take_token()?;
        if ready > Instant::now() {
            sleep_until(ready).await;
        }
        self.check()?;
        Ok(permit)
    }

    /// Adopts a changed rate limit.
    pub fn set_rate(&self, rate: Rate) {
        let mut state = self.lock();
        if state.rate != rate {
            state.rate = rate;
            state.tokens = state.tokens.min(rate.burst);
        }
    }

    /// Closes for everyone until a moment, as `Retry-After` asks. Never shortens a closure.
    pub fn close_until(&self, until: Instant) {
        let mut state = self.lock();
        state.pause = state.pause.max(Some(until));
    }

    /// Closes for everyone until [`Gate::open`]; true where it was not shut before.
    pub fn shut(&self, shut: Shut, why: &str) -> bool {
        let mut state = self.lock();
        let before = state.shut.replace((shut, why.to_owned()));
        state.turned |= before.as_ref().is_some_and(|(before, _)| *before != shut);
        before.is_none()
    }

    /// A probe succeeded; true where the gate was shut before.
    pub fn open(&self) -> bool {
        let mut state = self.lock();
        state.turned = false;
        state.shut.take().is_some()
    }

    /// Whether the reason why the gate is shut has become another one since this was last asked.
    pub fn take_turn(&self) -> bool {
        std::mem::take(&mut self.lock().turned)
    }

    /// Why a probe is needed, if one is.
    pub fn is_shut(&self) -> Option<(Shut, String)> {
        self.lock().shut.clone()
    }

    /// Until when the gate is closed by `Retry-After`.
    pub fn closed_until(&self) -> Option<Instant> {
        self.lock().pause.filter(|until| *until > Instant::now())
    }

    fn check(&self) -> Result<(), ApiError> {
        let state = self.lock();
        if let Some((_, why)) = &state.shut {
            return Err(ApiError::Closed { until: None, why: why.clone() });
        }
        match state.pause.filter(|until| *until > Instant::now()) {
            Some(until) => Err(ApiError::Closed { until: Some(until), why: "the API asked for a pause".to_owned() }),
            None => Ok(()),
        }
    }

    fn take_token(&self) -> Result<Instant, ApiError> {
        let mut state = self.lock();
        let now = Instant::now();
        let gained = now.duration_since(state.refilled).as_secs_f64() * state.rate.per_second;
        state.tokens = (state.tokens + gained).min(state.rate.burst);
        state.refilled = now;
        let wait = Duration::from_secs_f64(((1.0 - state.tokens) / state.rate.per_second).max(0.0));
        if wait > PATIENCE {
            return Err(ApiError::Closed {
                until: Some(now + wait),
                why: "the connection's own rate limit is reached".to_owned(),
            });
        }
        state.tokens -= 1.0;
        Ok(now + wait)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(per_second: f64, burst: f64) -> Gate {
        Gate::new(Rate { per_second, burst }, 4)
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_the_api_asked_for_holds_for_everyone_and_ends_by_itself() {
        let gate = gate(100.0, 100.0);
        gate.close_until(Instant::now() + Duration::from_secs(7));
        gate.close_until(Instant::now() + Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(matches!(gate.enter().await, Err(ApiError::Closed { until: Some(_), .. })));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_shut_gate_waits_for_a_probe_however_long() {
        let gate = gate(100.0, 100.0);
        assert!(gate.shut(Shut::Unavailable, "down"));
        assert!(!gate.shut(Shut::Unavailable, "still down"));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(matches!(gate.enter().await, Err(ApiError::Closed { until: None, .. })));
        assert!(gate.open());
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn that_a_gate_is_shut_for_another_reason_is_told_once_and_not_at_every_failure() {
        let gate = gate(100.0, 100.0);
        gate.shut(Shut::CredentialRejected, "revoked");
        assert!(!gate.take_turn(), "nobody waits for anything else yet");
        gate.shut(Shut::Unavailable, "down");
        assert!(gate.take_turn());
        gate.shut(Shut::Unavailable, "still down");
        assert!(!gate.take_turn(), "every failed probe would wake everybody");
        gate.shut(Shut::CredentialRejected, "revoked");
        gate.open();
        assert!(!gate.take_turn(), "who waited is woken when it opens");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_outlives_a_failure_that_comes_in_between() {
        let gate = gate(100.0, 100.0);
        gate.close_until(Instant::now() + Duration::from_secs(7));
        gate.shut(Shut::Unavailable, "down");
        assert!(gate.closed_until().is_some(), "a probe would go out during the pause");
        gate.open();
        assert!(matches!(gate.enter().await, Err(ApiError::Closed { until: Some(_), .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn the_bucket_spaces_requests_and_does_not_hold_a_worker_for_long() {
        let gate = gate(2.0, 1.0);
        let start = Instant::now();
        for _ in 0..3 {
            drop(gate.enter().await.unwrap());
        }
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        let slow = super::Gate::new(Rate { per_second: 0.1, burst: 1.0 }, 4);
        drop(slow.enter().await.unwrap());
        assert!(matches!(slow.enter().await, Err(ApiError::Closed { until: Some(_), .. })));
    }
}
