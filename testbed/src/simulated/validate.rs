//! Validation against the schema of a CRD: types, required fields, enums and bounds, with the words of `k8s.io/kube-openapi`.
//!
//! Patterns, formats, `oneOf` and the like, list types and CEL rules are not checked.
use serde_json::Value;

use super::{
    refusal::Flaw,
    schema::{Others, is_set, others, property},
};

/// What is wrong with a value. `prefix` stands before every path, and `old` is what was there before: what has not changed is not
/// looked at (ratcheting).
pub(super) fn flaws(prefix: &str, new: &Value, old: Option<&Value>, schema: &Value) -> Vec<Flaw> {
    let mut found = Found { prefix, flaws: Vec::new() };
    found.check("", new, old, schema);
    found.flaws
}

struct Found<'a> {
    prefix: &'a str,
    flaws: Vec<Flaw>,
}

impl Found<'_> {
    fn field(&self, path: &str) -> String {
        match (self.prefix, path) {
            (prefix, "") => prefix.to_owned(),
            ("", path) => path.to_owned(),
            (prefix, path) => format!("{prefix}.{path}"),
        }
    }

    fn invalid(&mut self, path: &str, value: &Value, why: &str) {
        self.flaws.push(Flaw::invalid(&self.field(path), value, &format!("{path} in body {why}")));
    }

    fn check(&mut self, path: &str, new: &Value, old: Option<&Value>, schema: &Value) {
        if old == Some(new) || !self.has_right_type(path, new, schema) {
            return;
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(new)
        {
            let allowed: Vec<String> =
                allowed.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
            self.flaws.push(Flaw::unsupported(&self.field(path), new, &allowed));
        }
        match new {
            Value::String(text) => self.check_text(path, new, text, schema),
            Value::Number(number) => self.check_number(path, new, number.as_f64().unwrap_or_default(), schema),
            Value::Array(items) => self.check_list(path, items, schema),
            Value::Object(_) => self.check_object(path, new, old, schema),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn has_right_type(&mut self, path: &str, new: &Value, schema: &Value) -> bool {
        let types: Vec<&str> = if is_set(schema, "x-kubernetes-int-or-string") {
            vec!["integer", "string"]
        } else {
            schema["type"].as_str().into_iter().collect()
        };
        let (found, fits) = match new {
            Value::Null => ("null", is_set(schema, "nullable")),
            Value::Bool(_) => ("boolean", false),
            Value::String(_) => ("string", false),
            Value::Array(_) => ("array", false),
            Value::Object(_) => ("object", false),
            Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => ("number", float.fract() == 0.0 && types.contains(&"integer")),
                _ => ("integer", types.contains(&"number")),
            },
        };
        if types.is_empty() || fits || types.contains(&found) {
            return true;
        }
        let why = format!("{path} in body must be of type {}: {found:?}", types.join(","));
        self.flaws.push(Flaw::wrong_type(&self.field(path), found, &why));
        false
    }

    fn check_text(&mut self, path: &str, new: &Value, text: &str, schema: &Value) {
        let length = text.chars().count() as u64;
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            self.flaws.push(Flaw::too_long(&self.field(path), most));
        }
        if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
            self.invalid(path, new, &format!("should be at least {least} chars long"));
        }
    }

    fn check_number(&mut self, path: &str, new: &Value, number: f64, schema: &Value) {
        // A whole number is shown as one, whether the schema writes 1 or 1.0.
        let shown = |bound: f64| if bound.fract() == 0.0 { format!("{bound:.0}") } else { bound.to_string() };
        if let Some(most) = schema["maximum"].as_f64().filter(|most| number > *most) {
            self.invalid(path, new, &format!("should be less than or equal to {}", shown(most)));
        }
        if let Some(least) = schema["minimum"].as_f64().filter(|least| number < *least) {
            self.invalid(path, new, &format!("should be greater than or equal to {}", shown(least)));
        }
    }

    fn check_list(&mut self, path: &str, items: &[Value], schema: &Value) {
        if let Some(inner) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.check(&format!("{path}[{index}]"), item, None, inner);
            }
        }
        let length = items.len() as u64;
        if let Some(least) = schema["minItems"].as_u64().filter(|least| length < *least) {
            self.invalid(path, &Value::from(length), &format!("should have at least {least} items"));
        }
        if let Some(most) = schema["maxItems"].as_u64().filter(|most| length > *most) {
            self.flaws.push(Flaw::too_many(&self.field(path), items.len(), most));
        }
    }

    fn check_object(&mut self, path: &str, new: &Value, old: Option<&Value>, schema: &Value) {
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        for (key, child) in new.as_object().into_iter().flatten() {
            let old = old.and_then(|old| old.get(key));
            if let Some(known) = property(schema, key) {
                self.check(&below(key), child, old, known);
            } else if let Others::Typed(typed) = others(schema) {
                self.check(&below(key), child, old, typed);
            }
        }
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if new.get(key).is_none() {
                self.flaws.push(Flaw::required(&self.field(&below(key)), ""));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulated::refusal::Refusal;

    fn words(new: &Value, old: Option<&Value>) -> String {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 3},
            "size": {"type": "integer", "minimum": 1},
            "color": {"type": "string", "enum": ["red", "blue"]},
            "tags": {"type": "array", "maxItems": 1, "items": {"type": "string"}},
        }}}});
        let found = flaws("", new, old, &schema);
        if found.is_empty() { String::new() } else { Refusal::invalid("example.dev", "Widget", "a", &found).message }
    }

    #[test]
    fn refusals_have_the_words_of_the_api_server() {
        let cases = [
            (json!({}), "spec.name: Required value"),
            (
                json!({"name": "a", "size": "b"}),
                "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
            ),
            (
                json!({"name": "a", "size": 0}),
                "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1",
            ),
            (json!({"name": ""}), "spec.name: Invalid value: \"\": spec.name in body should be at least 1 chars long"),
            (json!({"name": "abcd"}), "spec.name: Too long: may not be more than 3 bytes"),
            (
                json!({"name": "a", "color": "x"}),
                "spec.color: Unsupported value: \"x\": supported values: \"red\", \"blue\"",
            ),
            (json!({"name": "a", "tags": ["a", "b"]}), "spec.tags: Too many: 2: must have at most 1 item"),
            (
                json!({"name": "a", "tags": [1]}),
                "spec.tags[0]: Invalid value: \"integer\": spec.tags[0] in body must be of type string: \"integer\"",
            ),
        ];
        for (spec, expected) in cases {
            let expected = format!("Widget.example.dev \"a\" is invalid: {expected}");
            assert_eq!(words(&json!({ "spec": spec }), None), expected);
        }
        assert_eq!(words(&json!({"spec": {"name": "a", "size": 2.0}}), None), "");
    }

    #[test]
    fn what_was_wrong_before_may_stay() {
        let old = json!({"spec": {"name": "a", "size": 0}});
        assert_eq!(words(&json!({"spec": {"name": "b", "size": 0}}), Some(&old)), "");
    }
}
