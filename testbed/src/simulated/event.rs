//! What `kube-apiserver` asks of Events (`pkg/apis/core/validation/events.go`), as far as their writers can tell. Inside they are those of
//! `core/v1`, so refusals say `involvedObject` and `message` where `events.k8s.io` says `regarding` and `note`.
use serde_json::{Value, json};

use super::{meta, refusal::Flaw};

const LONGEST: usize = 128;
const LONGEST_NOTE: usize = 1024;

/// What an update may not change, and as what a refusal knows it. The API server looks at the reason twice.
const KEPT: [(&str, &str); 10] = [
    ("regarding", "involvedObject"),
    ("reason", "reason"),
    ("note", "message"),
    ("reason", "reason"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingController", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

/// Sets what every Event shows, even where it was not sent.
pub(super) fn complete(event: &mut Value) {
    for field in ["regarding", "deprecatedSource"] {
        if event[field].is_null() {
            event[field] = json!({});
        }
    }
}

/// What is wrong with an Event; `before` is none where it is to be made.
pub(super) fn flaws(after: &Value, before: Option<&Value>) -> Vec<Flaw> {
    let mut flaws = if after["eventTime"].is_null() { Vec::new() } else { flaws_of_new_kind(after) };
    let Some(before) = before else {
        flaws.extend(flaw_of_series(after));
        if after["eventTime"].is_null() {
            flaws.push(Flaw::required("eventTime", ""));
        }
        let found = text(after, "type");
        if !["Normal", "Warning"].contains(&found) {
            flaws.push(Flaw::invalid("type", &json!(""), &format!("has invalid value: {found}")));
        }
        return flaws;
    };
    if after["series"] != before["series"] {
        flaws.extend(flaw_of_series(after));
    }
    let changed = KEPT.into_iter().filter(|(field, _)| after[*field] != before[*field]);
    flaws.extend(changed.map(|(field, known)| Flaw::invalid(known, &after[field], "field is immutable")));
    flaws
}

/// Only an Event of the new kind has a time of its own.
fn flaws_of_new_kind(event: &Value) -> Vec<Flaw> {
    let nothing = json!("");
    let mut flaws = Vec::new();
    let is_of_the_cluster = ["default", "kube-system"].contains(&meta::text(event, "namespace"));
    if event["regarding"]["namespace"].as_str().unwrap_or_default().is_empty() && !is_of_the_cluster {
        flaws.push(Flaw::invalid("involvedObject.namespace", &nothing, "does not match event.namespace"));
    }
    for field in ["reportingController", "reportingInstance", "action", "reason"] {
        if text(event, field).is_empty() {
            flaws.push(Flaw::required(field, ""));
        } else if text(event, field).len() > LONGEST {
            flaws.push(Flaw::invalid(field, &nothing, &format!("can have at most {LONGEST} characters")));
        }
    }
    if text(event, "note").len() > LONGEST_NOTE {
        flaws.push(Flaw::invalid("message", &nothing, &format!("can have at most {LONGEST_NOTE} characters")));
    }
    flaws
}

fn flaw_of_series(event: &Value) -> Option<Flaw> {
    let count = event["series"]["count"].as_i64();
    count.filter(|count| *count < 2).map(|_| Flaw::invalid("series.count", &json!(""), "should be at least 2"))
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Value {
        json!({
            "metadata": {"name": "a.1", "namespace": "n"}, "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Made",
            "action": "Reconcile", "reportingController": "portico", "reportingInstance": "portico", "note": "it is made",
            "regarding": {"kind": "Widget", "namespace": "n", "name": "a"},
        })
    }

    #[test]
    fn a_whole_event_is_taken_and_counted_on() {
        assert!(flaws(&event(), None).is_empty());
        let mut again = event();
        again["series"] = json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:09.000000Z"});
        assert!(flaws(&again, Some(&event())).is_empty());
    }

    #[test]
    fn what_is_missing_or_too_long_or_changed_is_refused() {
        for (field, value) in [
            ("eventTime", Value::Null),
            ("type", json!("Odd")),
            ("reason", json!("")),
            ("action", json!("a".repeat(129))),
            ("note", json!("ä".repeat(513))),
            ("regarding", json!({})),
            ("series", json!({"count": 1, "lastObservedTime": "2026-01-01T00:00:09.000000Z"})),
        ] {
            let mut wrong = event();
            wrong[field] = value;
            assert_eq!(flaws(&wrong, None).len(), 1, "{field}");
        }
        let mut changed = event();
        changed["note"] = json!("it is made again");
        let value = json!("it is made again");
        assert_eq!(flaws(&changed, Some(&event())), [Flaw::invalid("message", &value, "field is immutable")]);
    }

    #[test]
    fn every_event_shows_what_it_is_about() {
        let mut empty = json!({"regarding": null});
        complete(&mut empty);
        assert_eq!(empty, json!({"regarding": {}, "deprecatedSource": {}}));
    }
}
