//! Events: sent in the background, aggregated, and never a reason to fail.
//!
//! They are of our own making: kube-runtime's recorder asks the system's clock, also for names, so that two events of one moment collide.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{sync::mpsc, time::Instant};

use super::{
    core::Clock,
    key::Info,
    mark::hex,
    own::Entropy,
    raw::Raw,
    reason::Reason,
    status::{Status, conditions},
};

/// The API server refuses notes of more than 1,024 bytes.
const LONGEST_NOTE: usize = 1000;
/// More than this many waiting events are dropped: they are a courtesy.
const MOST_WAITING: usize = 1024;
/// What happens again within this time is counted in the event of the last time; client-go has the same.
const SERIES: Duration = Duration::from_secs(6 * 60);
/// The name of an event begins with that of its object, as far as this leaves room for the rest.
const LONGEST_STEM: usize = 253 - 1 - 2 * DIGITS;
const DIGITS: usize = 8;
/// Who reports.
const REPORTER: &str = "portico";

/// What there is to tell about a change of `Ready` or of its reason: whether it is a warning, the reason and the note.
#[must_use]
pub fn transition(before: &Status, after: &Status) -> Option<(bool, Reason, String)> {
    let now = after.condition(conditions::READY)?;
    if before.condition(conditions::READY).is_some_and(|old| old.status == now.status && old.reason == now.reason) {
        return None;
    }
    let reason = Reason::ALL.into_iter().find(|reason| reason.as_str() == now.reason)?;
    Some((now.status != "True" && !reason.is_waiting(), reason, now.message.clone()))
}

/// Something that happened to an object.
struct Told {
    regarding: ObjectReference,
    warning: bool,
    reason: &'static str,
    note: String,
}

/// Where events are handed in.
#[derive(Clone)]
pub struct Events(mpsc::Sender<Told>);

impl Events {
    /// The place to hand in, and the task that sends.
    pub fn new(
        client: Client,
        deadline: Duration,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, mut receiver) = mpsc::channel::<Told>(MOST_WAITING);
        let mut recorder = Recorder { client, clock, entropy, series: BTreeMap::new() };
        let send = async move {
            while let Some(told) = receiver.recv().await {
                match tokio::time::timeout(deadline, recorder.record(told)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "an event was not recorded"),
                    Err(_) => tracing::debug!("an event was not recorded in time"),
                }
            }
        };
        (Self(sender), send)
    }

    /// Hands in an event about an object.
    pub fn publish(&self, info: &Info, object: &Raw, warning: bool, reason: Reason, note: &str) {
        let end = note.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LONGEST_NOTE).last();
        let note = note[..end.unwrap_or_default()].to_owned();
        let regarding = ObjectReference {
            api_version: Some(format!("{}/{}", info.group, info.version)),
            kind: Some(info.kind.to_owned()),
            namespace: Some(object.namespace().to_owned()),
            name: Some(object.name().to_owned()),
            uid: Some(object.uid().to_owned()),
            ..ObjectReference::default()
        };
        if self.0.try_send(Told { regarding, warning, reason: reason.as_str(), note }).is_err() {
            tracing::debug!("an event was dropped");
        }
    }
}

/// What is counted together, whatever its notes say: the UID of the object, whether it is a warning, and the reason.
type Same = (String, bool, &'static str);

/// An event that was sent.
struct Series {
    name: String,
    count: i32,
    last: Instant,
}

struct Recorder {
    client: Client,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    series: BTreeMap<Same, Series>,
}

impl Recorder {
    async fn record(&mut self, told: Told) -> Result<(), kube::Error> {
        self.series.retain(|_, series| series.last.elapsed() < SERIES);
        let Told { regarding, warning, reason, note } = told;
        let same = (regarding.uid.clone().unwrap_or_default(), warning, reason);
        let namespace = regarding.namespace.clone().unwrap_or_default();
        let events = Api::<Event>::namespaced(self.client.clone(), &namespace);
        let now = MicroTime(self.clock.now());
        if let Some(Series { name, count, .. }) = self.series.get(&same) {
            let (name, count) = (name.clone(), count + 1);
            let series = EventSeries { count, last_observed_time: now.clone() };
            match events.patch(&name, &PatchParams::default(), &Patch::Merge(json!({ "series": series }))).await {
                // Somebody has deleted it: this is the first one again.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                counted => {
                    counted?;
                    self.series.insert(same, Series { name, count, last: Instant::now() });
                    return Ok(());
                }
            }
        }
        let name = self.name(regarding.name.as_deref().unwrap_or_default());
        let event = Event {
            action: Some("Reconcile".to_owned()),
            event_time: Some(now),
            metadata: ObjectMeta { name: Some(name.clone()), namespace: Some(namespace), ..ObjectMeta::default() },
            note: Some(note),
            reason: Some(reason.to_owned()),
            regarding: Some(regarding),
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(REPORTER.to_owned()),
            type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        };
        events.create(&PostParams::default(), &event).await?;
        self.series.insert(same, Series { name, count: 1, last: Instant::now() });
        Ok(())
    }

    /// A name that no other event has, as `docs.0b6ef1a511114222`.
    fn name(&self, object: &str) -> String {
        let mut digits = [0_u8; DIGITS];
        self.entropy.fill(&mut digits);
        let stem = object.get(..LONGEST_STEM).unwrap_or(object).trim_end_matches(['-', '.']);
        format!("{stem}.{}", hex(&digits))
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Mutex};

    use http::{Method, Request, Response};
    use k8s_openapi::jiff::Timestamp;
    use kube::client::Body;
    use serde_json::Value;
    use tokio::time::sleep;

    use super::*;
    use crate::engine::own::SeededEntropy;

    const INFO: Info = Info { group: "konnect.portico.dev", version: "v1alpha1", kind: "Portal", plural: "portals" };

    struct Epoch;

    impl Clock for Epoch {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    /// The requests that an API server got: the verb, the last part of the path and the body.
    type Got = Arc<Mutex<Vec<(Method, String, Value)>>>;

    async fn serve(got: Got, request: Request<Body>) -> Response<Body> {
        let method = request.method().clone();
        let last = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let body = request.into_body().collect_bytes().await.expect("it is all there");
        let is_gone = method == Method::PATCH && last.starts_with("deleted.");
        got.lock().unwrap().push((method, last, serde_json::from_slice(&body).unwrap_or_default()));
        if is_gone {
            let answer =
                json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404});
            let body = Body::from(answer.to_string().into_bytes());
            return Response::builder().status(404).body(body).expect("it is an answer");
        }
        let answer = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {}});
        Response::new(Body::from(answer.to_string().into_bytes()))
    }

    fn events(seed: u64) -> (Events, Got) {
        let got = Got::default();
        let record = got.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let record = record.clone();
            async move { Ok::<_, Infallible>(serve(record, request).await) }
        });
        let client = Client::new(service, "default");
        let entropy = Arc::new(SeededEntropy::new(seed));
        let (events, deliver) = Events::new(client, Duration::from_secs(30), Arc::new(Epoch), entropy);
        tokio::spawn(deliver);
        (events, got)
    }

    fn portal(name: &str) -> Raw {
        let metadata = json!({"namespace": "team-a", "name": name, "uid": format!("uid-of-{name}")});
        let portal = json!({"apiVersion": "konnect.portico.dev/v1alpha1", "kind": "Portal", "metadata": metadata});
        serde_json::from_value(portal).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_again_is_counted_and_after_a_while_told_anew() {
        let (events, got) = events(1);
        let tell = |note: &str| events.publish(&INFO, &portal("docs"), true, Reason::InvalidSpec, note);
        for note in ["first", "second", "third"] {
            tell(note);
            sleep(Duration::from_secs(300)).await;
        }
        sleep(Duration::from_secs(60)).await;
        tell("fourth");
        events.publish(&INFO, &portal("docs"), false, Reason::Available, "another reason");
        sleep(Duration::from_secs(1)).await;
        let got = got.lock().unwrap();
        let verbs: Vec<&str> = got.iter().map(|(method, ..)| method.as_str()).collect();
        assert_eq!(verbs, ["POST", "PATCH", "PATCH", "POST", "POST"]);
        let first = &got[0].2;
        assert_eq!((&first["note"], &first["type"]), (&json!("first"), &json!("Warning")));
        assert_eq!((&first["reason"], &first["regarding"]["name"]), (&json!("InvalidSpec"), &json!("docs")));
        assert_eq!(first["eventTime"], "1970-01-01T00:00:00.000000Z");
        for (again, count) in [(1, 2), (2, 3)] {
            assert_eq!(first["metadata"]["name"], got[again].1.as_str());
            assert_eq!(got[again].2["series"]["count"], count);
        }
        assert_eq!(got[3].2["note"], "fourth");
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_again_after_somebody_has_deleted_the_event_is_told_anew() {
        let (events, got) = events(1);
        for note in ["first", "second"] {
            events.publish(&INFO, &portal("deleted"), true, Reason::InvalidSpec, note);
            sleep(Duration::from_secs(1)).await;
        }
        let got = got.lock().unwrap();
        let verbs: Vec<&str> = got.iter().map(|(method, ..)| method.as_str()).collect();
        assert_eq!(verbs, ["POST", "PATCH", "POST"]);
        assert_eq!(got[2].2["note"], "second");
    }

    #[tokio::test(start_paused = true)]
    async fn events_of_one_moment_have_names_of_their_own_that_follow_from_the_seed() {
        let names = async |seed: u64| {
            let (events, got) = events(seed);
            let long = format!("{}.{}", "a".repeat(235), "b".repeat(17));
            for name in ["docs", long.as_str()] {
                events.publish(&INFO, &portal(name), false, Reason::Available, "");
                events.publish(&INFO, &portal(name), false, Reason::Creating, "");
            }
            sleep(Duration::from_secs(1)).await;
            let got = got.lock().unwrap();
            got.iter().map(|(.., event)| event["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let first = names(1).await;
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!((first.len(), distinct.len()), (4, 4));
        assert!(first.iter().all(|name| name.len() <= 253 && !name.contains("..")), "{first:?}");
        assert_eq!(first, names(1).await);
        assert_ne!(first, names(2).await);
    }
}
