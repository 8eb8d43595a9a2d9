//! Lists: pages, sorting and filters, checked against what the contract allows for the operation.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::contract::{Operation, is_uuid};
use crate::problem::{Problem, in_query, with};

/// Not in the documents: all their examples show pages of ten.
const DEFAULT_SIZE: usize = 10;
/// Not in the documents either: the vendor's own tool asks for a hundred.
const MAXIMUM_SIZE: usize = 100;

/// What a request wants to see of a list.
#[derive(Debug)]
pub(crate) struct Listing {
    size: usize,
    number: usize,
    sort: Vec<(String, Direction)>,
    filters: Vec<Condition>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Direction {
    Ascending,
    Descending,
}

#[derive(Debug)]
struct Condition {
    field: String,
    operator: String,
    operand: String,
    /// The operand of a filter on times.
    time: Option<DateTime<Utc>>,
}

impl Default for Listing {
    fn default() -> Self {
        Self { size: DEFAULT_SIZE, number: 1, sort: Vec::new(), filters: Vec::new() }
    }
}

impl Listing {
    /// Reads the query. Parameters that the operation does not have are ignored, as the API does.
    pub(crate) fn parse(operation: &Operation, query: &[(String, String)]) -> Result<Self, Problem> {
        let mut listing = Self::default();
        let mut invalid = Vec::new();
        for (name, value) in query {
            let read = match name.as_str() {
                "page[size]" if operation.paged => {
                    number(name, value, Some(MAXIMUM_SIZE)).map(|size| listing.size = size)
                }
                "page[number]" if operation.paged => number(name, value, None).map(|number| listing.number = number),
                "sort" if !operation.sort.is_empty() => sort(operation, value).map(|sort| listing.sort = sort),
                _ if name.starts_with("filter[") && !operation.filter.is_empty() => {
                    condition(operation, name, value).map(|condition| listing.filters.push(condition))
                }
                _ => Ok(()),
            };
            invalid.extend(read.err());
        }
        if invalid.is_empty() { Ok(listing) } else { Err(Problem::invalid(invalid)) }
    }

    /// The items of the page that was asked for, and how many there are on all pages.
    pub(crate) fn select<'a, T: 'a>(
        &self,
        items: impl Iterator<Item = &'a T>,
        body: impl Fn(&'a T) -> &'a Value,
    ) -> (Vec<&'a T>, usize) {
        let mut found = self.all(items, &body);
        let total = found.len();
        let start = (self.number - 1).saturating_mul(self.size).min(total);
        found.truncate(start.saturating_add(self.size));
        (found.split_off(start), total)
    }

    /// All items that pass the filters, sorted: for the lists that have no pages.
    pub(crate) fn all<'a, T: 'a>(
        &self,
        items: impl Iterator<Item = &'a T>,
        body: impl Fn(&'a T) -> &'a Value,
    ) -> Vec<&'a T> {
        let mut found: Vec<&T> =
            items.filter(|item| self.filters.iter().all(|condition| condition.holds(body(item)))).collect();
        if !self.sort.is_empty() {
            found.sort_by(|left, right| self.compare(body(left), body(right)));
        }
        found
    }

    /// The envelope around a page.
    pub(crate) fn envelope(&self, data: &[Value], total: usize) -> Value {
        json!({"data": data, "meta": {"page": {"number": self.number, "size": self.size, "total": total}}})
    }

    fn compare(&self, left: &Value, right: &Value) -> Ordering {
        self.sort.iter().fold(Ordering::Equal, |ordering, (field, direction)| {
            let by_field = order(field, member(left, field), member(right, field));
            ordering.then(if *direction == Direction::Descending { by_field.reverse() } else { by_field })
        })
    }
}

impl Condition {
    fn holds(&self, body: &Value) -> bool {
        let found = member(body, &self.field);
        if let Some(wanted) = self.time {
            return found.as_str().and_then(time).is_some_and(|found| self.compares(found.cmp(&wanted)));
        }
        let texts: Vec<String> = match found {
            Value::Null => Vec::new(),
            Value::String(text) => vec![text.clone()],
            // Of a list, any item will do.
            Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            other => vec![other.to_string()],
        };
        let equals = |operand: &str| texts.iter().any(|text| text == operand);
        let contains = |operand: &str| texts.iter().any(|text| text.contains(operand));
        let mut operands = self.operand.split(',').map(str::trim);
        match self.operator.as_str() {
            "eq" => equals(&self.operand),
            "neq" => !equals(&self.operand),
            "contains" => contains(&self.operand),
            "oeq" => operands.any(equals),
            "ocontains" => operands.any(contains),
            _ => false,
        }
    }

    /// Whether a time that compares so with the one of the filter passes.
    fn compares(&self, ordering: Ordering) -> bool {
        match self.operator.as_str() {
            "lt" => ordering.is_lt(),
            "lte" => ordering.is_le(),
            "gt" => ordering.is_gt(),
            "gte" => ordering.is_ge(),
            _ => ordering.is_eq(),
        }
    }
}

fn number(name: &str, value: &str, maximum: Option<usize>) -> Result<usize, Value> {
    let Ok(number) = value.parse::<i64>() else {
        return Err(in_query(name, "is_integer", "must be an integer"));
    };
    match (usize::try_from(number), maximum) {
        (Ok(number), Some(maximum)) if number > maximum => {
            Err(with(in_query(name, "max", &format!("must not be more than {maximum}")), "maximum", json!(maximum)))
        }
        (Ok(number), _) if number > 0 => Ok(number),
        _ => Err(with(in_query(name, "min", "must not be less than 1"), "minimum", json!(1))),
    }
}

fn sort(operation: &Operation, value: &str) -> Result<Vec<(String, Direction)>, Value> {
    let choice =
        |choices: Value| with(in_query("sort", "enum", &format!("must be one of {choices}")), "choices", choices);
    let mut attributes = Vec::new();
    for attribute in value.split(',') {
        let (field, direction) = attribute.trim().split_once(' ').unwrap_or((attribute.trim(), "asc"));
        if !operation.sort.iter().any(|known| known == field) {
            return Err(choice(json!(operation.sort)));
        }
        let direction = match direction.trim() {
            "asc" => Direction::Ascending,
            "desc" => Direction::Descending,
            _ => return Err(choice(json!(["asc", "desc"]))),
        };
        attributes.push((field.to_owned(), direction));
    }
    Ok(attributes)
}

fn condition(operation: &Operation, name: &str, value: &str) -> Result<Condition, Value> {
    let unknown = || in_query(name, "unknown_property", "is not a filter of this operation");
    let inner = name.strip_prefix("filter[").and_then(|rest| rest.strip_suffix(']')).ok_or_else(unknown)?;
    let (field, operator) = match inner.split_once("][") {
        Some((field, operator)) => (field, Some(operator)),
        None => (inner, None),
    };
    let filter = operation.filter.get(field).filter(|filter| filter.allows(operator)).ok_or_else(unknown)?;
    let mut operands = value.split(',').map(str::trim);
    if filter.kind == "UuidFieldFilter" && !operands.all(is_uuid) {
        return Err(in_query(name, "is_uuid", "must be a valid uuid"));
    }
    if filter.kind == "BooleanFieldFilter" && !matches!(value, "true" | "false") {
        return Err(in_query(name, "is_boolean", "must be true or false"));
    }
    let time = time(value).filter(|_| filter.kind == "DateTimeFieldFilter");
    if filter.kind == "DateTimeFieldFilter" && time.is_none() {
        return Err(in_query(name, "is_date_time", "must be a valid date-time"));
    }
    let operator = operator.unwrap_or("eq").to_owned();
    Ok(Condition { field: field.to_owned(), operator, operand: value.to_owned(), time })
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

/// A field of an object. Developers are listed by `name`, which their body calls `full_name`.
fn member<'a>(body: &'a Value, field: &str) -> &'a Value {
    match body.get(field) {
        None if field == "name" => &body["full_name"],
        found => found.unwrap_or(&Value::Null),
    }
}

fn order(field: &str, left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        // Of two times with fractions of different length, the `Z` would make the shorter one the later.
        (Value::String(left), Value::String(right)) if field.ends_with("_at") => {
            left.trim_end_matches('Z').cmp(right.trim_end_matches('Z'))
        }
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => {
            left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal)
        }
        (left, right) => right.is_null().cmp(&left.is_null()),
    }
}
