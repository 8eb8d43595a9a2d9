//! Leader election on virtual time, against an API server that knows nothing but one Lease.
use std::convert::Infallible;

use http::{Method, Request, Response};
use k8s_openapi::jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

const TIMES: LeaseTimes =
    LeaseTimes { duration: Duration::from_secs(15), renew: Duration::from_secs(5), retry: Duration::from_secs(2) };

/// Tells virtual time.
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.0.elapsed().as_micros()).expect("tests are short");
        Timestamp::from_microsecond(elapsed).expect("tests are short")
    }
}

#[derive(Default)]
struct State {
    lease: Option<Value>,
    version: u64,
    hangs: bool,
    loses_answers: bool,
}

/// An API server.
#[derive(Clone)]
struct Server {
    state: Arc<Mutex<State>>,
    start: Instant,
}

impl Server {
    fn new() -> Self {
        Self { state: Arc::default(), start: Instant::now() }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    fn spec(&self) -> Value {
        self.change(|state| state.lease.as_ref().map(|lease| lease["spec"].clone()).unwrap_or_default())
    }

    /// A replica of this name.
    fn replica(&self, name: &str) -> Lease {
        let state = self.state.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let state = state.clone();
            async move { Ok::<_, Infallible>(serve(&state, request).await) }
        });
        let client = Client::new(service, "default");
        Lease::new(client, "portico-system", name.to_owned(), TIMES, Arc::new(Virtual(self.start)), 1)
    }
}

async fn serve(state: &Mutex<State>, request: Request<Body>) -> Response<Body> {
    if state.lock().unwrap().hangs {
        std::future::pending::<()>().await;
    }
    let method = request.method().clone();
    let body = request.into_body().collect_bytes().await.expect("it is all there");
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (code, answer) = judge(&mut state.lock().unwrap(), &method, body);
    if method != Method::GET && state.lock().unwrap().loses_answers {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
    *response.status_mut() = http::StatusCode::from_u16(code).expect("a status");
    response
}

fn judge(state: &mut State, method: &Method, mut body: Value) -> (u16, Value) {
    let refusal = |code: u16, reason: &str| {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason, "reason": reason, "code": code});
        (code, status)
    };
    match (method, &state.lease) {
        (&Method::GET, Some(lease)) => return (200, lease.clone()),
        (&Method::POST, None) => {}
        (&Method::PUT, Some(lease)) if lease["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"] => {}
        (_, None) => return refusal(404, "NotFound"),
        (_, Some(_)) => return refusal(409, "Conflict"),
    }
    state.version += 1;
    body["metadata"]["resourceVersion"] = state.version.to_string().into();
    state.lease = Some(body.clone());
    (200, body)
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_when_the_lease_has_stood_still_for_its_duration_and_not_before() {
    let server = Server::new();
    let (first, second) = (server.replica("first"), server.replica("second"));
    first.acquire().await;
    assert_eq!(server.spec()["holderIdentity"], "first");
    assert_eq!(server.spec()["leaseTransitions"], 0);
    assert_eq!(server.spec()["leaseDurationSeconds"], 15);
    assert!(first.covers(Duration::from_secs(8)));
    let started = Instant::now();
    second.acquire().await;
    assert_eq!(started.elapsed().as_secs(), 15);
    assert_eq!(server.spec()["holderIdentity"], "second");
    assert_eq!(server.spec()["leaseTransitions"], 1);
    assert_eq!(server.spec()["acquireTime"], server.spec()["renewTime"]);
    assert!(!first.covers(Duration::from_millis(1)) && second.covers(Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_renews_leads_for_ever_and_always_covers_a_usual_request() {
    let server = Server::new();
    let (first, second) = (server.replica("first"), server.replica("second"));
    first.acquire().await;
    let watch = async {
        for _ in 0..600 {
            sleep(Duration::from_secs(1)).await;
            assert!(first.covers(Duration::from_secs(15)), "a request of the usual deadline could not be sent");
        }
    };
    tokio::select! {
        biased;
        () = first.keep() => panic!("the lease was lost"),
        () = second.acquire() => panic!("two lead"),
        () = watch => {}
    }
    assert_eq!(server.spec()["leaseTransitions"], 0);
    assert_eq!(server.spec()["acquireTime"], "1970-01-01T00:00:00.000000Z");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_ends_before_anybody_else_can_lead() {
    let server = Server::new();
    let first = server.replica("first");
    first.acquire().await;
    let started = Instant::now();
    server.change(|state| state.hangs = true);
    sleep(Duration::from_secs(4)).await;
    assert!(first.covers(Duration::from_secs(8)));
    sleep(Duration::from_secs(5)).await;
    assert!(!first.covers(Duration::from_secs(8)) && first.covers(Duration::from_secs(5)));
    first.keep().await;
    let ended = started.elapsed();
    assert!(ended >= Duration::from_secs(9) && ended < TIMES.duration, "{ended:?}");
    assert!(!first.covers(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_leader_ends_when_somebody_else_has_the_lease() {
    let server = Server::new();
    let first = server.replica("first");
    first.acquire().await;
    server.change(|state| {
        state.version += 1;
        let version = state.version.to_string();
        let lease = state.lease.as_mut().unwrap();
        lease["spec"]["holderIdentity"] = "a vandal".into();
        lease["metadata"]["resourceVersion"] = version.into();
    });
    let started = Instant::now();
    first.keep().await;
    assert_eq!(started.elapsed(), TIMES.renew);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_is_taken_at_the_next_look() {
    let server = Server::new();
    let (first, second) = (server.replica("first"), server.replica("second"));
    first.acquire().await;
    let releasing = async {
        // Between two renewals: an operator sends none any more when it gives the lease back.
        sleep(Duration::from_secs(61)).await;
        first.release().await;
        Instant::now()
    };
    let ((), given_back) = tokio::join!(
        async {
            tokio::select! { biased; () = first.keep() => {}, () = second.acquire() => {} }
        },
        releasing
    );
    assert_eq!(server.spec()["holderIdentity"], "second");
    assert!(given_back.elapsed() <= TIMES.retry * 2, "{:?}", given_back.elapsed());
    assert!(!first.covers(Duration::ZERO));
    // Nothing that is not ours is given back.
    first.release().await;
    assert_eq!(server.spec()["holderIdentity"], "second");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_and_a_strangers_touch_cost_nobody_the_lease() {
    let server = Server::new();
    let first = server.replica("first");
    first.acquire().await;
    let trouble = async {
        sleep(Duration::from_secs(3)).await;
        server.change(|state| state.loses_answers = true);
        sleep(Duration::from_secs(5)).await;
        server.change(|state| state.loses_answers = false);
        sleep(Duration::from_secs(20)).await;
        server.change(|state| {
            state.version += 1;
            let version = state.version.to_string();
            state.lease.as_mut().unwrap()["metadata"]["resourceVersion"] = version.into();
        });
        sleep(Duration::from_secs(20)).await;
        server.change(|state| state.lease = None);
        sleep(Duration::from_secs(20)).await;
    };
    tokio::select! {
        biased;
        () = first.keep() => panic!("the lease was lost"),
        () = trouble => {}
    }
    assert_eq!(server.spec()["holderIdentity"], "first");
}

#[test]
fn the_holders_own_duration_counts_and_fractions_of_a_second_are_for_tests() {
    let seconds = |seconds| LeaseSpec { lease_duration_seconds: Some(seconds), ..LeaseSpec::default() };
    assert_eq!(TIMES.life(&seconds(60)), Duration::from_secs(60));
    let short = LeaseTimes { duration: Duration::from_millis(600), ..TIMES };
    assert_eq!(short.seconds(), 1);
    assert_eq!(short.life(&seconds(1)), Duration::from_millis(600));
    assert_eq!(short.life(&seconds(15)), Duration::from_secs(15));
}

#[test]
fn times_that_would_lose_the_lease_are_refused() {
    assert_eq!(TIMES.check(), Ok(TIMES));
    let (renew, retry) = (Duration::from_millis(100), Duration::from_millis(100));
    assert!(LeaseTimes { duration: Duration::from_millis(1500), renew, retry }.check().is_err());
    assert!(LeaseTimes { duration: Duration::from_secs(9), ..TIMES }.check().is_err());
    assert!(LeaseTimes { renew: Duration::ZERO, ..TIMES }.check().is_err());
}

#[test]
fn without_an_election_everything_is_covered() {
    assert!(Lease::none().covers(Duration::from_secs(3600)));
}
