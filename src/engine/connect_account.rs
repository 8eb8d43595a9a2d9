//! Is this still the account that holds the objects, and are they there? (Laws 3 and 13.)
use http::Method;
use serde_json::{Value, json};

use super::{
    absence,
    connect::{ConnectionPass, halt},
    kind::Wait,
    links::{Absence, Known},
    reason::Reason,
    spec::annotations,
    stop::Stop,
};
use crate::remote::{ApiError, Call, Path, Place};

impl ConnectionPass<'_> {
    /// A new credential may belong to another account: then not one recorded object answers.
    pub(super) async fn check_account(&mut self, known: &Known) -> Result<(), Stop> {
        if self.status.extra.get("credential").and_then(Value::as_str) == Some(&known.version) {
            // The same Secret as when it was last seen to be right, by this process or one before.
            return Ok(());
        }
        let all: Vec<Place> = self.engine.recorded(self.key).into_iter().map(|(_, place)| place).collect();
        // What lies below another object goes with it, and says less; but it may be all that there is.
        let at_the_top = all.iter().any(|place| place.parent.is_none());
        let telling = all.into_iter().filter(|place| place.parent.is_none() || !at_the_top);
        let recorded: Vec<Path> = telling.map(|place| place.path).collect();
        for path in &recorded {
            self.requests += 1;
            match known.link.send(Call::new(Method::GET, path)).await {
                Ok(_) => {
                    self.note_credential(known);
                    return Ok(());
                }
                Err(ApiError::Absent(_)) => {}
                Err(error) => return Err(Stop::from_api(error, known.link.gate().is_shut().map(|(shut, _)| shut))),
            }
        }
        let everything: Vec<Path> = self.engine.recorded(self.key).into_iter().map(|(_, p)| p.path).collect();
        let token = absence::token(&everything.iter().collect::<Vec<_>>());
        if recorded.is_empty() {
            self.note_credential(known);
            return Ok(());
        }
        if self.object.annotation(annotations::CONFIRM_ABSENCE) == Some(&token) {
            self.engine.links.change(self.key, |known| known.confirmed.extend(everything.iter().cloned()));
            self.status.extra.remove("absence");
            self.note_credential(known);
            return Ok(());
        }
        self.status.extra.insert(
            "absence".to_owned(),
            json!({ "token": token, "missing": recorded.len(), "recorded": recorded.len() }),
        );
        let message = format!(
            "not one of the {} recorded objects is in the account of this credential; put the right one into the Secret, or, if the objects were meant to go, annotate this connection with {}={token}",
            recorded.len(),
            annotations::CONFIRM_ABSENCE
        );
        let stop = halt(Reason::AccountChanged, message.clone());
        self.engine.links.change(self.key, |known| known.trouble = Some(Wait::new(Reason::AccountChanged, message)));
        Err(stop)
    }

    pub(super) fn note_credential(&mut self, known: &Known) {
        self.status.extra.insert("credential".to_owned(), known.version.clone().into());
    }

    /// Shows what vanished at once, and takes a person's word that it was meant to; true where resources should be woken.
    pub(super) fn confirm_absence(&mut self) -> bool {
        let recorded: Vec<Place> = self.engine.recorded(self.key).into_iter().map(|(_, p)| p).collect();
        let Some(known) = self.engine.links.get(self.key) else { return false };
        let Some(Absence { token, missing, recorded }) = known.absence(&recorded) else {
            self.status.extra.remove("absence");
            return false;
        };
        if self.object.annotation(annotations::CONFIRM_ABSENCE) == Some(&token) {
            self.engine.links.change(self.key, |known| known.confirmed.extend(known.missing.iter().cloned()));
            self.status.extra.remove("absence");
            return true;
        }
        self.status
            .extra
            .insert("absence".to_owned(), json!({ "token": token, "missing": missing, "recorded": recorded }));
        false
    }
}
