//! When two values of an API say the same. Pure.
use chrono::{DateTime, SecondsFormat};
use data_encoding::BASE64;
use serde_json::{Map, Value};

use super::desired::How;

/// Whether a value says nothing: null and `""`, and, where an absent member equals its zero value, every zero value.
#[must_use]
pub fn is_nothing(value: &Value, absent_is_zero: bool) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        _ if !absent_is_zero => false,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(|member| is_nothing(member, true)),
    }
}

/// Whether two values say the same.
#[must_use]
pub fn is_equal(how: Option<How>, want: &Value, found: &Value, absent_is_zero: bool) -> bool {
    if how == Some(How::Exact) {
        let (want, found) = (exact(want), exact(found));
        let is_empty = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
        return want == found || (is_empty(&want) && is_empty(&found));
    }
    want == found
        || (is_nothing(want, absent_is_zero) && is_nothing(found, absent_is_zero))
        || canonical(how, want, absent_is_zero) == canonical(how, found, absent_is_zero)
}

/// A value of the user's own: the API knows no zero of what stands in it, and null alone says nothing there.
fn exact(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let inner = members.iter().map(|(key, member)| (key.clone(), exact(member)));
            Value::Object(inner.filter(|(_, member)| !member.is_null()).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(exact).collect()),
        value => value.clone(),
    }
}

/// The one way of writing a value that can be written in several. What is not of the expected form stays as it is.
#[must_use]
pub fn canonical(how: Option<How>, value: &Value, absent_is_zero: bool) -> Value {
    if is_nothing(value, absent_is_zero) {
        return Value::Null;
    }
    match (how, value) {
        (Some(How::Set), Value::Array(items)) => {
            let mut items: Vec<Value> = items.clone();
            items.sort_by_key(Value::to_string);
            items.dedup();
            Value::Array(items)
        }
        (Some(How::Duration), Value::String(text)) => match text.parse::<kube::core::Duration>() {
            Ok(duration) => {
                let nanoseconds = std::time::Duration::from(duration).as_nanos();
                format!("{}{nanoseconds}ns", if duration.is_negative() { "-" } else { "" }).into()
            }
            Err(_) => value.clone(),
        },
        (Some(How::Time), Value::String(text)) => match DateTime::parse_from_rfc3339(text) {
            // APIs keep microseconds at most.
            Ok(time) => time.to_utc().to_rfc3339_opts(SecondsFormat::Micros, true).into(),
            Err(_) => value.clone(),
        },
        (Some(How::Bytes), Value::Array(items)) => {
            Value::Array(items.iter().map(|item| canonical(how, item, absent_is_zero)).collect())
        }
        (Some(How::Bytes), Value::String(text)) => {
            let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            BASE64.decode(compact.as_bytes()).map_or_else(|_| value.clone(), |bytes| BASE64.encode(&bytes).into())
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn same(how: How, a: &str, b: &str) -> bool {
        is_equal(Some(how), &json!(a), &json!(b), true)
    }

    #[test]
    fn durations_are_compared_as_go_reads_them() {
        for (a, b) in [("90m", "1h30m0s"), ("1.5h", "90m"), ("500ms", "0.5s"), ("720h", "720h0m0s"), ("0s", "0")] {
            assert!(same(How::Duration, a, b), "{a} and {b}");
        }
        assert!(!same(How::Duration, "1m", "1h"));
        assert!(!same(How::Duration, "soon", "later"));
    }

    #[test]
    fn times_are_compared_as_instants() {
        assert!(same(How::Time, "2026-11-22T10:00:00Z", "2026-11-22T11:00:00.000000+01:00"));
        assert!(same(How::Time, "2026-11-22T10:00:00.123456789Z", "2026-11-22T10:00:00.123456Z"));
        assert!(!same(How::Time, "2026-11-22T10:00:00Z", "2026-11-22T10:00:01Z"));
    }

    #[test]
    fn bytes_are_compared_decoded() {
        assert!(same(How::Bytes, "aGVsbG8=", "aGVs\nbG8="));
        assert!(!same(How::Bytes, "aGVsbG8=", "aGVsbG8h"));
    }
}
