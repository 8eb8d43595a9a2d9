//! Clocks that are an hour off, or jump. Portico waits by a clock that never does; what time it is, it only writes down.
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use portico::{
    engine::{Clock, Ended, LeaseTimes, Operator, SystemClock, kubernetes::configure},
    kinds,
    remote::ReqwestFactory,
};
use portico_sandbox::{Effect, Exchange, Options, Switches};
use serde_json::json;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::world::{PATIENCE, World};

/// In seconds.
const HOUR: i64 = 3600;

/// What asks for the verification of a domain.
const QUESTION: &str = "verify-portal-domains";

/// The system's clock, so many seconds off.
struct Off(AtomicI64);

impl Off {
    /// It jumps.
    fn jump(&self, to: i64) {
        self.0.store(to, Ordering::SeqCst);
    }
}

impl Clock for Off {
    fn now(&self) -> Timestamp {
        let off = self.0.load(Ordering::SeqCst) * 1_000_000;
        Timestamp::from_microsecond(SystemClock.now().as_microsecond() + off).expect("an hour is not that much")
    }
}

/// An operator with a clock of its own.
struct Timed {
    clock: Arc<Off>,
    task: JoinHandle<Ended>,
    stop: oneshot::Sender<()>,
}

impl Timed {
    /// Starts an operator of this world whose clock is so many seconds off.
    fn start(world: &World, seed: u64, off: i64) -> Self {
        let clock = Arc::new(Off(AtomicI64::new(off)));
        let client = Client::try_from(configure(world.plane.config_as(&world.operator_token))).unwrap();
        let http = ReqwestFactory { allow: world.settings.allow.clone() };
        let settings = world.settings.clone();
        let operator = Operator::new(client, Arc::new(http), clock.clone(), seed, settings, kinds::all());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(operator.run(async move {
            let _ = stopped.await;
        }));
        Self { clock, task, stop }
    }

    /// Drops it at once, as a crash would.
    async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Stops it in order.
    async fn stop(self) {
        let _ = self.stop.send(());
        let ended = timeout(PATIENCE, self.task).await.expect("it ends in time");
        assert_eq!(ended.expect("it ends without a panic"), Ended::Shutdown);
    }
}

async fn holder(world: &World) -> String {
    world.lease().await.holder_identity.unwrap_or_default()
}

/// A leader and a standby, each with a clock of its own.
async fn hand_over(name: &str, leader: i64, standby: i64) {
    let mut world = World::still(name).await;
    let [duration, renew, retry] = [3000, 600, 300].map(Duration::from_millis);
    world.settings.lease = Some(LeaseTimes { duration, renew, retry });
    let first = Timed::start(&world, 1, leader);
    world.led_by("anybody", |holder| !holder.is_empty()).await;
    let held = holder(&world).await;
    let second = Timed::start(&world, 2, standby);
    world.connection(json!({"requestTimeout": "500ms"})).await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    // Longer than a lease lives that nobody renews, whatever times are written in it.
    sleep(duration + Duration::from_millis(1500)).await;
    assert_eq!(holder(&world).await, held, "a lease that is renewed was taken");
    assert!(!first.task.is_finished() && !second.task.is_finished(), "one of them ended");
    first.crash().await;
    let crashed = Instant::now();
    world.led_by("the standby", |holder| !holder.is_empty() && holder != held).await;
    let waited = crashed.elapsed();
    assert!(waited + renew * 2 > duration, "taken after {waited:?}, while the leader could still write");
    assert!(waited < Duration::from_secs(20), "taken only after {waited:?}");
    world.portal("news", json!({})).await;
    world.synced("Portal", "news").await;
    world.delete("Portal", "docs").await;
    world.gone("Portal", "docs").await;
    assert_eq!((world.named("docs").len(), world.named("news").len()), (0, 1));
    second.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_whose_clock_is_behind_the_leaders_takes_over_in_time_and_not_before() {
    hand_over("clock-behind", HOUR, -HOUR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_whose_clock_is_ahead_of_the_leaders_takes_over_in_time_and_not_before() {
    hand_over("clock-ahead", -HOUR, HOUR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_is_no_reason_to_write_and_disturbs_no_change() {
    let world = World::still("clock-rest").await;
    let operator = Timed::start(&world, 1, HOUR);
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    world.team("writers", "docs", json!({})).await;
    world.synced("PortalTeam", "writers").await;
    // What stands in the status is in the future from here on.
    operator.clock.jump(-HOUR);
    world.assert_silence(Duration::from_millis(2500)).await;
    operator.stop().await;
    let operator = Timed::start(&world, 2, 0);
    sleep(Duration::from_millis(1500)).await;
    world.assert_silence(Duration::from_millis(1500)).await;
    world.spec("Portal", "docs", json!({"description": "changed"})).await;
    world.synced("Portal", "docs").await;
    world.delete("PortalTeam", "writers").await;
    world.gone("PortalTeam", "writers").await;
    operator.stop().await;
    world.end().await;
}

/// The age of a question is told from a time in the status.
async fn asks_on(name: &str, from: i64, to: i64) {
    let switches = Switches { domains_verified: false, ..Switches::default() };
    let mut world = World::with(name, Options { switches, ..Options::default() }).await;
    world.settings.minute = Duration::from_millis(200);
    let operator = Timed::start(&world, 1, from);
    world.connection(json!({})).await;
    world.portal("docs", json!({"customDomain": "docs.example.com"})).await;
    world.synced("Portal", "docs").await;
    world.eventually("it is asked for", |w| w.calls(QUESTION) > 0).await;
    // Not more than 60 of these minutes lie between two questions, however old they seem to be.
    operator.clock.jump(to);
    let before = world.calls(QUESTION);
    world.eventually("it is asked for again", |w| w.calls(QUESTION) > before + 1).await;
    operator.stop().await;
    world.sandbox.reset_exchanges();
    let operator = Timed::start(&world, 2, from);
    world.eventually("it is asked for after a restart", |w| w.calls(QUESTION) > 0).await;
    world.synced("Portal", "docs").await;
    operator.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_asked_for_although_the_clock_jumped_ahead() {
    asks_on("clock-question-ahead", -HOUR, HOUR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_asked_for_although_the_clock_jumped_back() {
    asks_on("clock-question-back", HOUR, -HOUR).await;
}

/// When something was deleted is told by the API server's clock, so how long it has been waiting cannot be told from that.
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_goes_before_its_portal_although_the_clock_is_ahead_of_the_api_servers() {
    let mut world = World::still("clock-order").await;
    // Five of these are waited.
    world.settings.minute = Duration::from_secs(10);
    let operator = Timed::start(&world, 1, HOUR);
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    let domain = json!({
        "portalRef": {"name": "docs"},
        "hostname": "docs.example.com",
        "enabled": true,
        "ssl": {"domainVerificationMethod": "http"},
    });
    world.create("PortalCustomDomain", "docs", domain).await;
    world.synced("PortalCustomDomain", "docs").await;
    world.sandbox.reset_exchanges();
    // So that the portal could overtake it.
    world.once("delete-portal-custom-domain", Effect::Delay { milliseconds: 500 });
    for kind in ["PortalCustomDomain", "Portal"] {
        world.delete(kind, "docs").await;
    }
    for kind in ["PortalCustomDomain", "Portal"] {
        world.gone(kind, "docs").await;
    }
    assert_eq!(world.remote_writes(), ["delete-portal-custom-domain", "delete-portal"]);
    operator.stop().await;
    world.end().await;
}

fn at(exchange: &Exchange) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(&exchange.at).expect("RFC 3339")
}

/// `Retry-After` may name a moment. It is one by the clock of who answers, which is in the same answer (RFC 9110, section 6.6.1).
async fn waits_until_a_moment(name: &str, off: i64) {
    let world = World::still(name).await;
    let operator = Timed::start(&world, 1, off);
    world.connection(json!({})).await;
    world.ready("KonnectConnection", "acme").await;
    world.sandbox.reset_exchanges();
    let moment = (Utc::now() + TimeDelta::seconds(4)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    world.once("create-portal", Effect::Status { status: 429, retry_after: Some(moment), detail: None });
    world.portal("docs", json!({})).await;
    let asked = Instant::now();
    world.synced("Portal", "docs").await;
    assert!(asked.elapsed() < Duration::from_secs(20), "it waited for {:?}", asked.elapsed());
    let exchanges = world.sandbox.exchanges();
    let refused = exchanges.iter().find(|e| e.status == 429).expect("it was refused once");
    // Times in headers are whole seconds, and the create came a moment later.
    let pause = TimeDelta::milliseconds(200)..TimeDelta::milliseconds(1500);
    let early: Vec<&Exchange> = exchanges.iter().filter(|e| pause.contains(&(at(e) - at(refused)))).collect();
    assert!(early.is_empty(), "{early:#?}");
    operator.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_until_a_moment_is_no_longer_where_our_clock_is_behind() {
    waits_until_a_moment("clock-pause-behind", -HOUR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_until_a_moment_is_no_shorter_where_our_clock_is_ahead() {
    waits_until_a_moment("clock-pause-ahead", HOUR).await;
}
