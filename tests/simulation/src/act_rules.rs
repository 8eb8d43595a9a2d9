//! The rules that CRDs have in CEL for a whole spec: the simulated API server does not check them, so users here keep to them by
//! themselves. A small part of CEL is read: `has`, comparisons, `!`, `&&`, `||`. A rule with anything else in it counts as kept.
use std::{collections::BTreeMap, sync::LazyLock};

use portico::manifests;
use serde_json::Value;

/// A rule, and what is said where it is broken.
struct Rule {
    rule: String,
    message: String,
}

static RULES: LazyLock<BTreeMap<String, Vec<Rule>>> = LazyLock::new(|| {
    let rules = manifests::crds().into_iter().map(|crd| {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).expect("a schema is JSON");
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
        let all = spec["x-kubernetes-validations"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rules = all.map(|rule| Rule { rule: text(&rule["rule"]), message: text(&rule["message"]) }).collect();
        (crd.spec.names.kind, rules)
    });
    rules.collect()
});

/// Whether a spec keeps to the rules of its kind; `old` is what it was before, none where it is new.
///
/// # Errors
/// The message of the first rule that it breaks.
pub(crate) fn check(kind: &str, new: &Value, old: Option<&Value>) -> Result<(), &'static str> {
    let broken = RULES.get(kind).into_iter().flatten().find(|rule| !holds(&rule.rule, new, old));
    broken.map_or(Ok(()), |rule| Err(rule.message.as_str()))
}

fn holds(rule: &str, new: &Value, old: Option<&Value>) -> bool {
    if old.is_none() && rule.contains("oldSelf") {
        return true;
    }
    let Some(tokens) = tokens(rule) else { return true };
    let mut reader = Reader { tokens, at: 0, new, old: old.unwrap_or(&Value::Null) };
    match reader.either() {
        Some(result) if reader.at == reader.tokens.len() => result != Value::Bool(false),
        _ => true,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Token<'r> {
    /// A name with dots.
    Path(&'r str),
    Text(&'r str),
    Sign(&'r str),
}

/// The tokens of a rule; none where it has others than are known here.
fn tokens(rule: &str) -> Option<Vec<Token<'_>>> {
    const SIGNS: [&str; 11] = ["&&", "||", "==", "!=", ">=", "<=", ">", "<", "!", "(", ")"];
    let mut found = Vec::new();
    let mut rest = rule.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' {
            let end = rest[1..].find('\'')? + 2;
            found.push(Token::Text(&rest[1..end - 1]));
            end
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            found.push(Token::Sign(sign));
            sign.len()
        } else if first.is_alphanumeric() {
            let is_outside = |c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_'));
            let end = rest.find(is_outside).unwrap_or(rest.len());
            found.push(Token::Path(&rest[..end]));
            end
        } else {
            return None;
        };
        rest = rest[length..].trim_start();
    }
    Some(found)
}

/// Reads and evaluates at once. Nothing of it has effects, so that both sides of `||` may be evaluated.
struct Reader<'r> {
    tokens: Vec<Token<'r>>,
    at: usize,
    new: &'r Value,
    old: &'r Value,
}

impl<'r> Reader<'r> {
    fn take(&mut self, sign: &str) -> bool {
        let is_next = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(is_next);
        is_next
    }

    fn either(&mut self) -> Option<Value> {
        let mut result = self.both()?;
        while self.take("||") {
            let other = self.both()?;
            result = Value::Bool(result == true || other == true);
        }
        Some(result)
    }

    fn both(&mut self) -> Option<Value> {
        let mut result = self.compared()?;
        while self.take("&&") {
            let other = self.compared()?;
            result = Value::Bool(result == true && other == true);
        }
        Some(result)
    }

    fn compared(&mut self) -> Option<Value> {
        let left = self.single()?;
        for sign in ["==", "!=", ">", "<"] {
            if self.take(sign) {
                let right = self.single()?;
                let texts = left.as_str().zip(right.as_str());
                return Some(Value::Bool(match sign {
                    "==" => left == right,
                    "!=" => left != right,
                    ">" => texts.is_some_and(|(left, right)| left > right),
                    _ => texts.is_some_and(|(left, right)| left < right),
                }));
            }
        }
        Some(left)
    }

    fn single(&mut self) -> Option<Value> {
        if self.take("!") {
            return Some(Value::Bool(self.single()? != true));
        }
        if self.take("(") {
            let inner = self.either()?;
            return self.take(")").then_some(inner);
        }
        let token = *self.tokens.get(self.at)?;
        self.at += 1;
        match token {
            Token::Text(text) => Some(text.into()),
            Token::Path("has") => {
                let inner = if self.take("(") { *self.tokens.get(self.at)? } else { return None };
                self.at += 1;
                let Token::Path(path) = inner else { return None };
                self.take(")").then(|| Value::Bool(!self.value(path).is_null()))
            }
            Token::Path("true") => Some(Value::Bool(true)),
            Token::Path("false") => Some(Value::Bool(false)),
            // A function that is not known here.
            Token::Path(_) if self.tokens.get(self.at) == Some(&Token::Sign("(")) => None,
            Token::Path(path) if path.starts_with("self") || path.starts_with("oldSelf") => {
                Some(self.value(path).clone())
            }
            Token::Path(_) | Token::Sign(_) => None,
        }
    }

    /// What stands at a path; null where nothing does.
    fn value(&self, path: &str) -> &'r Value {
        let mut parts = path.split('.');
        let root = if parts.next() == Some("oldSelf") { self.old } else { self.new };
        parts.fold(root, |value, part| &value[part])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_read() {
        let cases = [
            ("has(self.a.id) == has(self.b)", json!({"a": {"id": "x"}}), None, false),
            ("has(self.a.id) == has(self.b)", json!({"a": {"name": "x"}}), None, true),
            ("!has(self.c) || self.c == '' || (has(self.d) && self.d != '')", json!({"c": "x"}), None, false),
            ("!has(self.c) || self.c == '' || (has(self.d) && self.d != '')", json!({"c": "x", "d": "y"}), None, true),
            ("self.r == oldSelf.r || self.l.replace == 'Allow'", json!({"r": 1}), Some(json!({"r": 2})), false),
            ("self.r == oldSelf.r", json!({"r": 1}), None, true),
            ("self.b > self.a", json!({"a": "2025-01-01", "b": "2024-01-01"}), None, false),
            ("size(self.names) == 0", json!({"names": [1]}), None, true),
            ("!(has(self.a) && has(self.b))", json!({"a": 1, "b": 2}), None, false),
        ];
        for (rule, new, old, expected) in cases {
            assert_eq!(holds(rule, &new, old.as_ref()), expected, "{rule} of {new}");
        }
    }

    #[test]
    fn the_rules_of_the_crds_are_known() {
        let portal = json!({"connectionRef": {"name": "a"}, "customClientDomain": "x"});
        assert!(check("Portal", &portal, None).is_err());
        assert!(check("Portal", &json!({"connectionRef": {"name": "a"}}), None).is_ok());
    }
}
