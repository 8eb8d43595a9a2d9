//! The record beside the contracts, as tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use portico_sandbox::ContractOperation;

use super::{
    kinds,
    record::{Calls, Record, Statuses},
};

/// A kind that no row should have: a test compares the table of kinds with the contracts.
const NO_KIND: &str = "(no kind)";

/// What a record shows of the operations of the contracts.
pub(super) struct Coverage {
    rows: Vec<Row>,
    record: Record,
}

/// An operation of the contracts.
struct Row {
    kind: &'static str,
    operation: ContractOperation,
}

impl Coverage {
    pub(super) fn of(record: Record) -> Self {
        let mut listed: BTreeMap<&str, ContractOperation> =
            portico_sandbox::operations().into_iter().map(|operation| (operation.id, operation)).collect();
        let mut rows: Vec<Row> = kinds::operations()
            .filter_map(|(id, kind)| listed.remove(id).map(|operation| Row { kind, operation }))
            .collect();
        rows.extend(listed.into_values().map(|operation| Row { kind: NO_KIND, operation }));
        Self { rows, record }
    }

    /// How many operations there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many operations succeeded at least once, whoever called them.
    pub(super) fn ran(&self) -> usize {
        self.rows.iter().filter(|row| self.has_run(row)).count()
    }

    /// A line for each operation that was called, one for each kind with operations that did not run, and the summary.
    pub(super) fn whole(&self) -> String {
        let mut text = String::new();
        add(&mut text, &line("kind", "operation", "Portico", "others", "answers"));
        for row in &self.rows {
            if let Some(calls) = self.calls(row) {
                let (portico, others) = (total(&calls.by_portico), total(&calls.by_others));
                let answers = worded(&calls.statuses());
                add(&mut text, &line(row.kind, row.operation.id, &portico.to_string(), &others.to_string(), &answers));
            }
        }
        add(&mut text, "\nmissing:");
        for (kind, operations) in self.missing() {
            add(&mut text, &format!("  {kind}: {}", operations.join(", ")));
        }
        for (name, calls) in self.besides() {
            let portico = total(&calls.by_portico);
            add(&mut text, &format!("\nbesides: {name}, {portico} by Portico: {}", worded(&calls.statuses())));
        }
        add(&mut text, "");
        text + &self.summary()
    }

    /// A line for each API and one for both.
    pub(super) fn summary(&self) -> String {
        let mut text = String::new();
        let columns = ["operations", "in sandbox", "ran", "by Portico", "missing"];
        add(&mut text, &numbers("API", columns.map(str::to_owned)));
        for (name, apis) in [("Konnect", &["konnect", "konnect-portal"][..]), ("ACP", &["acp"][..])] {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| apis.contains(&row.operation.api)).collect();
            add(&mut text, &self.sum(name, &rows));
        }
        add(&mut text, &self.sum("both", &self.rows.iter().collect::<Vec<_>>()));
        let Record { files, exchanges, nameless, .. } = &self.record;
        add(&mut text, &format!("{exchanges} exchanges in {files} files; {nameless} had a path of no operation"));
        text
    }

    fn sum(&self, name: &str, rows: &[&Row]) -> String {
        let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
        let ran = count(&|row| self.has_run(row));
        let by_portico = count(&|row| self.calls(row).is_some_and(Calls::ran_by_portico));
        let implemented = count(&|row| row.operation.implemented);
        numbers(name, [rows.len(), implemented, ran, by_portico, rows.len() - ran].map(|count| count.to_string()))
    }

    /// The operations that did not run, by kind, in the order of the rows.
    fn missing(&self) -> Vec<(&str, Vec<String>)> {
        let mut kinds: Vec<(&str, Vec<String>)> = Vec::new();
        for row in self.rows.iter().filter(|row| !self.has_run(row)) {
            let refused = if self.calls(row).is_some() { " (only refused)" } else { "" };
            let operation = format!("{}{refused}", row.operation.id);
            match kinds.last_mut() {
                Some((kind, operations)) if *kind == row.kind => operations.push(operation),
                _ => kinds.push((row.kind, vec![operation])),
            }
        }
        kinds
    }

    /// What was called and is not counted: ACP's token endpoint.
    fn besides(&self) -> impl Iterator<Item = (&String, &Calls)> {
        let counted: BTreeSet<&str> = self.rows.iter().map(|row| row.operation.id).collect();
        self.record.operations.iter().filter(move |(name, _)| !counted.contains(name.as_str()))
    }

    fn calls(&self, row: &Row) -> Option<&Calls> {
        self.record.operations.get(row.operation.id)
    }

    fn has_run(&self, row: &Row) -> bool {
        self.calls(row).is_some_and(Calls::ran)
    }
}

fn line(kind: &str, operation: &str, portico: &str, others: &str, answers: &str) -> String {
    format!("{kind:<29}  {operation:<43}  {portico:>8}  {others:>8}  {answers}")
}

fn numbers(name: &str, columns: [String; 5]) -> String {
    let columns = columns.map(|column| format!("{column:>12}")).concat();
    format!("{name:<8}{columns}")
}

/// `no answer ×1, 200 ×17, 404 ×2`.
fn worded(statuses: &Statuses) -> String {
    let word = |status: Option<u16>| status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let words = statuses.iter().map(|(status, count)| format!("{} ×{count}", word(*status)));
    words.collect::<Vec<_>>().join(", ")
}

fn total(statuses: &Statuses) -> u64 {
    statuses.values().sum()
}

fn add(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::Coverage;
    use crate::coverage::record;

    fn coverage() -> Coverage {
        let lines = [
            record::line(Some("list-portals"), Some("portico/0.1.0"), Some(200)),
            record::line(Some("list-portals"), Some("portico/0.1.0"), Some(429)),
            record::line(Some("get-developer"), None, Some(200)),
            record::line(Some("createConsent"), Some("portico/0.1.0"), Some(403)),
            record::line(Some("token"), Some("portico/0.1.0"), Some(200)),
            record::line(None, None, Some(404)),
        ];
        Coverage::of(record::of_lines(&lines.concat()).expect("every line is an exchange"))
    }

    #[test]
    fn an_operation_counts_once_it_succeeded_and_the_token_endpoint_never() {
        let coverage = coverage();
        assert_eq!((coverage.len(), coverage.ran()), (148, 2));
        let summary = coverage.summary();
        let both = summary.lines().find_map(|line| line.strip_prefix("both")).expect("the line of both");
        let both: Vec<usize> = both.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        assert_eq!((both[0], both[2], both[3], both[4]), (148, 2, 1, 146));
    }

    #[test]
    fn the_table_has_what_was_called_and_names_what_is_missing() {
        let table = coverage().whole();
        let row = |operation: &str| {
            let words = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            words.filter(|words| words.contains(operation)).collect::<Vec<_>>()
        };
        assert_eq!(row(" list-portals "), ["Portal list-portals 2 0 200 ×1, 429 ×1"]);
        assert_eq!(row(" get-developer "), ["PortalDeveloper get-developer 0 1 200 ×1"]);
        assert_eq!(
            row("Consent: "),
            ["Consent: listConsents, createConsent (only refused), getConsent, updateConsent, deleteConsent"]
        );
        assert_eq!(row("besides"), ["besides: token, 1 by Portico: 200 ×1"]);
        assert!(!table.contains("(no kind)"));
    }
}
