//! Events: sent in the background, aggregated, and never a reason to fail.
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;

use super::{
    key::Info,
    raw::Raw,
    reason::Reason,
    status::{Status, conditions},
};

/// The API server refuses longer notes.
const LONGEST_NOTE: usize = 1000;
/// More than this many waiting events are dropped: they are a courtesy.
const MOST_WAITING: usize = 1024;

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

/// Where events are handed in.
#[derive(Clone)]
pub struct Events(mpsc::Sender<(Event, ObjectReference)>);

impl Events {
    /// The place to hand in, and the task that sends.
    pub fn new(client: Client, deadline: Duration) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, mut receiver) = mpsc::channel::<(Event, ObjectReference)>(MOST_WAITING);
        let reporter = Reporter { controller: "portico".to_owned(), instance: Some("portico".to_owned()) };
        let recorder = Recorder::new(client, reporter);
        let send = async move {
            while let Some((event, reference)) = receiver.recv().await {
                match tokio::time::timeout(deadline, recorder.publish(&event, &reference)).await {
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
        let note: String = note.chars().take(LONGEST_NOTE).collect();
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.as_str().to_owned(),
            note: Some(note),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let reference = ObjectReference {
            api_version: Some(format!("{}/{}", info.group, info.version)),
            kind: Some(info.kind.to_owned()),
            namespace: Some(object.namespace().to_owned()),
            name: Some(object.name().to_owned()),
            uid: Some(object.uid().to_owned()),
            ..ObjectReference::default()
        };
        if self.0.try_send((event, reference)).is_err() {
            tracing::debug!("an event was dropped");
        }
    }
}
