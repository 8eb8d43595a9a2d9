//! Tables for people: printed, and left in a file, also where a test fails half way.
use std::fs;

/// A table.
pub(crate) struct Table {
    file: String,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(file: &str, head: &[&'static str]) -> Self {
        Self { file: file.to_owned(), head: head.to_vec(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(Vec::from(cells.map(str::to_owned)));
    }

    /// Adds a line below the table.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Asserts that no cell is empty.
    pub(crate) fn assert_full(&self) {
        let gaps: Vec<&Vec<String>> = self.rows.iter().filter(|row| row.iter().any(String::is_empty)).collect();
        assert!(gaps.is_empty(), "rows with empty cells: {gaps:#?}\n{}", self.notes.join("\n"));
    }

    fn text(&self) -> String {
        let line = |cells: Vec<&str>| format!("| {} |", cells.join(" | "));
        let head = [line(self.head.clone()), format!("|{}", "---|".repeat(self.head.len()))];
        let rows = self.rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
        let notes = self.notes.iter().map(|note| format!("\n{note}"));
        head.into_iter().chain(rows).chain(notes).map(|line| line + "\n").collect()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let text = self.text();
        println!("{text}");
        // A test that fails while this is written has said why.
        let _ = fs::write(format!("{}/{}.md", env!("CARGO_TARGET_TMPDIR"), self.file), text);
    }
}
