//! Label and field selectors.
use serde_json::Value;

use super::{meta, refusal::Refusal};

/// Which objects a listing or a watch is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<Term>,
    fields: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Has(String),
    Lacks(String),
}

impl Term {
    fn key(&self) -> &str {
        match self {
            Self::In(key, _) | Self::NotIn(key, _) | Self::Has(key) | Self::Lacks(key) => key,
        }
    }

    fn holds(&self, found: Option<&str>) -> bool {
        match self {
            Self::In(_, values) => found.is_some_and(|found| values.iter().any(|value| value == found)),
            Self::NotIn(_, values) => found.is_none_or(|found| values.iter().all(|value| value != found)),
            Self::Has(_) => found.is_some(),
            Self::Lacks(_) => found.is_none(),
        }
    }
}

impl Selector {
    /// From the two query parameters; either may be empty.
    ///
    /// Fields other than a name and a namespace are refused: only some built-in resources have more.
    pub(super) fn parse(labels: &str, fields: &str) -> Result<Self, Refusal> {
        let labels = terms(labels).ok_or_else(|| Refusal::bad_request("unable to parse requirement"))?;
        let fields = terms(fields).ok_or_else(|| Refusal::bad_request("invalid selector"))?;
        let known = ["metadata.name", "metadata.namespace"];
        if let Some(unknown) = fields.iter().map(Term::key).find(|key| !known.contains(key)) {
            let message =
                format!("\"{unknown}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
            return Err(Refusal::bad_request(message));
        }
        Ok(Self { labels, fields })
    }

    /// Whether everything is selected.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object is selected.
    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|term| term.holds(labels[term.key()].as_str()))
            && self.fields.iter().all(|term| {
                let field = term.key().trim_start_matches("metadata.");
                term.holds(Some(meta::text(object, field)))
            })
    }
}

/// `a=b,c!=d,e in (f,g),h notin (i),j,!k`
fn terms(text: &str) -> Option<Vec<Term>> {
    split(text).into_iter().map(|part| term(part.trim())).collect()
}

/// Splits at commas that stand outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let separator = move |letter: char| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    };
    text.split(separator).filter(|part| !part.trim().is_empty()).collect()
}

fn term(text: &str) -> Option<Term> {
    if let Some((key, values)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, operator) = key.trim().split_once(char::is_whitespace)?;
        return match operator.trim() {
            "in" => Some(Term::In(key.to_owned(), values)),
            "notin" => Some(Term::NotIn(key.to_owned(), values)),
            _ => None,
        };
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Some(Term::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(Term::In(key.trim().to_owned(), vec![value.trim().to_owned()]));
    }
    Some(match text.strip_prefix('!') {
        Some(key) => Term::Lacks(key.trim().to_owned()),
        None => Term::Has(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_select_as_in_kubectl() {
        let object =
            json!({"metadata": {"name": "x", "namespace": "n", "labels": {"tier": "web", "env": "dev", "bare": ""}}});
        let cases = [
            ("", "", true),
            ("tier=web", "", true),
            ("tier==web,env!=prod", "", true),
            ("tier in (db, web),!gone", "", true),
            ("tier notin (db,web)", "", false),
            ("gone", "", false),
            ("bare", "metadata.name=x", true),
            ("gone!=a", "metadata.name!=x", false),
            ("", "metadata.namespace=n,metadata.name=x", true),
        ];
        for (labels, fields, selected) in cases {
            let selector = Selector::parse(labels, fields).unwrap();
            assert_eq!(selector.matches(&object), selected, "{labels} {fields}");
        }
        assert_eq!(Selector::parse("", "spec.x=1").unwrap_err().code, 400);
    }
}
