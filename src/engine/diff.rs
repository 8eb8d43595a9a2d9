//! Drift: where an object differs from what is desired. Pure.
use std::collections::BTreeSet;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{
    desired::{Desired, How},
    equal::{is_equal, is_nothing},
    status::DriftItem,
};

/// What stands in the place of a secret's value.
const HIDDEN: &str = "(a secret)";

/// One difference. Values of secrets are not in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The keys down to the value.
    pub path: Vec<String>,
    /// What should be there; null: nothing.
    pub want: Value,
    /// What is there; null: nothing.
    pub found: Value,
}

impl Difference {
    /// As it stands in the status.
    #[must_use]
    pub fn item(&self) -> DriftItem {
        DriftItem { path: self.path.join("."), want: self.want.to_string(), found: self.found.to_string() }
    }
}

/// The places at which `found` does not hold what is desired. Fields that the spec does not mention belong to the API. Null, `""` and
/// absent are equal in an answer, and where the API says so every zero value.
#[must_use]
pub fn diff(desired: &Desired, found: &Value) -> Vec<Difference> {
    let mut walk = Walk { desired, path: Vec::new(), rule: Vec::new(), out: Vec::new() };
    for (key, want) in &desired.body {
        walk.member(key, want, &found[key.as_str()]);
    }
    walk.out
}

struct Walk<'d> {
    desired: &'d Desired,
    /// The keys down to here, for people.
    path: Vec<String>,
    /// The members down to here, as rules name them.
    rule: Vec<String>,
    out: Vec<Difference>,
}

impl Walk<'_> {
    fn member(&mut self, key: &str, want: &Value, found: &Value) {
        self.path.push(key.to_owned());
        self.rule.push(key.to_owned());
        if self.desired.secrets.contains(&key) && !want.is_object() && !want.is_array() {
            self.secret(want, found);
        } else {
            self.value(want, found);
        }
        self.rule.pop();
        self.path.pop();
    }

    fn secret(&mut self, want: &Value, found: &Value) {
        let zero = self.desired.absent_is_zero;
        let unseen = is_nothing(found, zero) && self.desired.acknowledged.contains(&self.path.join("."));
        if unseen || want == found || (is_nothing(want, zero) && is_nothing(found, zero)) {
            return;
        }
        let hide = |value: &Value| if is_nothing(value, zero) { Value::Null } else { HIDDEN.into() };
        self.out.push(Difference { path: self.path.clone(), want: hide(want), found: hide(found) });
    }

    fn value(&mut self, want: &Value, found: &Value) {
        let how = self.desired.rule(&self.rule.join("."));
        match (how, want, found) {
            (Some(How::Keyed(by) | How::Named(by)), Value::Array(want), _) => {
                self.keyed(by, want, found.as_array().map_or(&[], Vec::as_slice));
            }
            (Some(How::Map), Value::Object(want), _) => self.whole(want, found),
            (None, Value::Object(want), _) => {
                for (key, want) in want {
                    self.member(key, want, &found[key.as_str()]);
                }
            }
            (None, Value::Array(wants), Value::Array(founds)) if wants.len() == founds.len() => {
                for (number, (want, found)) in wants.iter().zip(founds).enumerate() {
                    self.path.push(number.to_string());
                    self.value(want, found);
                    self.path.pop();
                }
            }
            _ if is_equal(how, want, found, self.desired.absent_is_zero) => {}
            _ => self.differs(want, found),
        }
    }

    /// Lists of objects that are known by a member.
    fn keyed(&mut self, by: &str, wants: &[Value], founds: &[Value]) {
        let mut named = BTreeSet::new();
        for want in wants {
            let key = &want[by];
            named.insert(key.to_string());
            self.path.push(key.as_str().map_or_else(|| key.to_string(), str::to_owned));
            match founds.iter().find(|found| found[by] == *key) {
                Some(found) => {
                    for (member, want) in want.as_object().into_iter().flatten() {
                        self.member(member, want, &found[member.as_str()]);
                    }
                }
                None => self.differs(want, &Value::Null),
            }
            self.path.pop();
        }
        for found in founds.iter().filter(|found| !named.contains(&found[by].to_string())) {
            self.path.push(found[by].as_str().unwrap_or_default().to_owned());
            self.differs(&Value::Null, found);
            self.path.pop();
        }
    }

    /// A map that the spec owns: what it does not name is to go.
    fn whole(&mut self, want: &Map<String, Value>, found: &Value) {
        for (key, want) in want {
            self.member(key, want, &found[key.as_str()]);
        }
        let strange = found.as_object().into_iter().flatten().filter(|(key, _)| !want.contains_key(*key));
        for (key, found) in strange.filter(|(_, found)| !is_nothing(found, self.desired.absent_is_zero)) {
            self.path.push(key.clone());
            self.differs(&Value::Null, found);
            self.path.pop();
        }
    }

    fn differs(&mut self, want: &Value, found: &Value) {
        let hidden = |value: &Value| {
            let mut value = value.clone();
            hide(&mut value, self.desired.secrets);
            value
        };
        self.out.push(Difference { path: self.path.clone(), want: hidden(want), found: hidden(found) });
    }
}

/// The secrets that should be there, by path.
#[must_use]
pub fn secrets(desired: &Desired) -> Vec<(String, SecretString)> {
    let mut found = Vec::new();
    for (key, want) in &desired.body {
        collect(desired, want, &mut vec![key.clone()], &mut vec![key.clone()], &mut found);
    }
    found
}

fn collect(
    desired: &Desired,
    want: &Value,
    path: &mut Vec<String>,
    rule: &mut Vec<String>,
    out: &mut Vec<(String, SecretString)>,
) {
    let is_secret = path.last().is_some_and(|key| desired.secrets.contains(&key.as_str()));
    match want {
        Value::String(text) if is_secret && !text.is_empty() => out.push((path.join("."), text.clone().into())),
        Value::Object(members) => {
            for (key, want) in members {
                path.push(key.clone());
                rule.push(key.clone());
                collect(desired, want, path, rule, out);
                rule.pop();
                path.pop();
            }
        }
        Value::Array(items) => {
            let by = match desired.rule(&rule.join(".")) {
                Some(How::Keyed(by) | How::Named(by)) => Some(by),
                _ => None,
            };
            for (number, item) in items.iter().enumerate() {
                path.push(by.and_then(|by| item[by].as_str()).map_or_else(|| number.to_string(), str::to_owned));
                collect(desired, item, path, rule, out);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Takes the values of secrets out.
pub(super) fn hide(value: &mut Value, secrets: &[&str]) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if secrets.contains(&key.as_str()) && !is_nothing(member, true) {
                    *member = HIDDEN.into();
                } else {
                    hide(member, secrets);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, secrets)),
        _ => {}
    }
}

/// The fields of a body by which the object that it makes is known again: plain values that are written in one way only, and no secrets;
/// and, with dots, the inner values that an object keeps for ever, or that tell it from others of its name. What stays empty where it is not
/// sent tells too: an object that has it does not equal what was sent (law 2c).
#[must_use]
pub fn telling_fields(desired: &Desired, body: &Map<String, Value>) -> Vec<String> {
    let is_plain = |value: &Value| match value {
        Value::Array(items) => items.iter().all(|item| !item.is_object() && !item.is_array()),
        value => !value.is_object(),
    };
    let tells = |key: &str| desired.rule(key).is_none() && !desired.secrets.contains(&key);
    let plain = body.iter().filter(|(key, value)| is_plain(value) && tells(key)).map(|(key, _)| key.clone());
    let is_sent = |field: &str| {
        let (outer, inner) = field.split_once('.')?;
        Some(within(body.get(outer)?, inner)).filter(|value| !value.is_null())
    };
    let inner = desired.fixed.iter().chain(desired.telling);
    let inner = inner.filter(|field| is_sent(field).is_some_and(is_plain)).map(|field| (*field).to_owned());
    let unsent = desired.telling.iter().filter(|field| !field.contains('.') && !body.contains_key(**field));
    plain.chain(inner).chain(unsent.map(|field| (*field).to_owned())).collect()
}

/// What an object holds at a place that is written with dots.
#[must_use]
pub fn within<'v>(object: &'v Value, field: &str) -> &'v Value {
    field.split('.').fold(object, |value, key| &value[key])
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
