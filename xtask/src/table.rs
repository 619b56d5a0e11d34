//! Reads the dependency table out of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

/// The heading that makes a markdown table the dependency table.
const HEADING: [&str; 3] = ["crate", "may depend on (ours)", "must never see"];

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Line of the document, from 1.
    pub(crate) line: usize,
    pub(crate) name: String,
    /// Our crates this one may use; true if marked `(not yet)`: allowed, and not there yet.
    pub(crate) may: BTreeMap<String, bool>,
    /// Crates it must not see. `std` among them means `#![no_std]`, and then the whole closure is checked.
    pub(crate) never: BTreeSet<String>,
}

impl Row {
    /// Whether this crate promises to live without std.
    pub(crate) fn pure(&self) -> bool {
        self.never.contains("std")
    }
}

/// The rows of the dependency table, in the document's order.
pub(crate) fn read(document: &str) -> Result<Vec<Row>, String> {
    let mut lines = document.lines().enumerate().map(|(at, line)| (at + 1, cells(line)));
    lines.find(|(_, cells)| cells.as_deref() == Some(&HEADING.map(str::to_owned))).ok_or_else(|| {
        format!("ARCHITECTURE.md has no table with the heading | {} |", HEADING.join(" | "))
    })?;
    let mut rows: Vec<Row> = Vec::new();
    for (line, cells) in lines.skip(1) {
        let Some(cells) = cells else { break };
        let [name, may, never] = cells.as_slice() else {
            return Err(format!("ARCHITECTURE.md:{line}: a row has three cells: {}", HEADING.join(", ")));
        };
        if rows.iter().any(|row| row.name == *name) {
            return Err(format!("ARCHITECTURE.md:{line}: {name} has two rows"));
        }
        let may = names(may)
            .map(|entry| match entry.strip_suffix("(not yet)") {
                Some(later) => (later.trim().to_owned(), true),
                None => (entry.to_owned(), false),
            })
            .collect();
        let never = names(never).map(str::to_owned).collect();
        rows.push(Row { line, name: name.clone(), may, never });
    }
    Ok(rows)
}

/// The trimmed cells of a markdown table row, code marks removed; None for any other line.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(|cell| cell.replace('`', "").trim().to_owned()).collect())
}

/// The names in a cell; a lone dash is none.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "–" | "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_with_its_line_numbers_and_marks() {
        let document = "# A\n\n| crate | may depend on (ours) | must never see |\n|---|---|---|\n\
                        | `kernel` | protocol | `std`, `tokio` |\n| tools | protocol, sandbox (not yet) | – |\n\nend\n";
        let kernel = Row {
            line: 5,
            name: "kernel".to_owned(),
            may: BTreeMap::from([("protocol".to_owned(), false)]),
            never: BTreeSet::from(["std".to_owned(), "tokio".to_owned()]),
        };
        let tools = Row {
            line: 6,
            name: "tools".to_owned(),
            may: BTreeMap::from([("protocol".to_owned(), false), ("sandbox".to_owned(), true)]),
            never: BTreeSet::new(),
        };
        assert_eq!(read(document), Ok(vec![kernel, tools]));
    }

    #[test]
    fn a_document_without_the_table_is_refused() {
        let said = "ARCHITECTURE.md has no table with the heading \
                    | crate | may depend on (ours) | must never see |";
        assert_eq!(read("# A\n| a | b |\n"), Err(said.to_owned()));
    }

    #[test]
    fn a_row_of_the_wrong_width_and_a_second_row_are_refused() {
        let head = "| crate | may depend on (ours) | must never see |\n|---|---|---|\n";
        let said = "ARCHITECTURE.md:3: a row has three cells: crate, may depend on (ours), must never see";
        assert_eq!(read(&format!("{head}| a | – |\n")), Err(said.to_owned()));
        let twice = read(&format!("{head}| a | – | – |\n| a | – | – |\n"));
        assert_eq!(twice, Err("ARCHITECTURE.md:4: a has two rows".to_owned()));
    }
}
