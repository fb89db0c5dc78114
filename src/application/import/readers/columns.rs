//! The columns of a CSV file, found by their names.

use std::collections::{HashMap, HashSet};

use super::error::Fault;
use crate::application::import::line::{Fields, SourceLine};

/// A column that a format reads; it may be absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column(Option<usize>);

impl Column {
    /// Returns the value on a line, without surrounding white space and the apostrophe by which a spreadsheet marks a
    /// text; empty if the column is absent.
    pub(super) fn of(self, line: &SourceLine) -> &str {
        let value = self.0.and_then(|index| line.fields.get(index)).unwrap_or_default().trim();
        value.strip_prefix('\'').filter(|rest| is_marked_as_text(rest)).unwrap_or(value)
    }

    /// Returns the position of the column in the header, from 0.
    pub(super) fn index(self) -> Option<usize> {
        self.0
    }

    /// Returns whether the file has the column.
    pub(super) fn exists(self) -> bool {
        self.0.is_some()
    }
}

/// Finds columns in a header, and collects what is wrong with it.
pub(super) struct Columns<'a> {
    header: &'a Fields,
    /// The positions of the columns with each name, in lower case.
    positions: HashMap<String, Vec<usize>>,
    /// The positions of the columns that were found.
    known: HashSet<usize>,
    missing: Vec<&'static str>,
    repeated: Option<String>,
}

/// How much of a format a header has.
pub(super) struct Coverage {
    /// The number of columns that the format reads.
    pub(super) known: usize,
    /// The required columns that are missing.
    pub(super) missing: Vec<&'static str>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(header: &'a Fields) -> Self {
        let mut positions: HashMap<_, Vec<_>> = HashMap::new();
        for (index, column) in header.iter().enumerate() {
            positions.entry(column.trim().to_ascii_lowercase()).or_default().push(index);
        }
        Self { header, positions, known: HashSet::new(), missing: Vec::new(), repeated: None }
    }

    /// Finds a column that may be absent, by any of its names.
    pub(super) fn optional(&mut self, names: &[&str]) -> Column {
        for name in names {
            let Some([index, others @ ..]) =
                self.positions.get(&name.to_ascii_lowercase()).map(Vec::as_slice)
            else {
                continue;
            };
            if !others.is_empty() {
                self.repeated = Some((*name).to_owned());
            }
            self.known.insert(*index);
            return Column(Some(*index));
        }
        Column(None)
    }

    /// Finds a required column by any of its names, of which the first is reported if the column is missing.
    pub(super) fn required(&mut self, names: &[&'static str]) -> Column {
        let column = self.optional(names);
        if !column.exists() {
            self.missing.extend(names.first());
        }
        column
    }

    /// Returns how much of the format the header has.
    pub(super) fn coverage(self) -> Coverage {
        Coverage { known: self.known.len(), missing: self.missing }
    }

    /// Returns the columns that were not looked for, without those that a file of rejected lines has before them.
    pub(super) fn unused(&self) -> Vec<Column> {
        let of_source = self.header.cause_columns()..self.header.len();
        let others = of_source.filter(|index| !self.known.contains(index));
        others.map(|index| Column(Some(index))).collect()
    }

    /// Refuses a header with missing or repeated columns.
    pub(super) fn check(self) -> Result<(), Fault> {
        match self.repeated {
            _ if !self.missing.is_empty() => {
                Err(Fault::MissingColumns { missing: self.missing, header: listed(self.header) })
            }
            Some(name) => Err(Fault::RepeatedColumn(name)),
            None => Ok(()),
        }
    }
}

/// Returns the names of columns for a message: the first ones, cut if they are long.
pub(super) fn listed(header: &Fields) -> String {
    const SHOWN: usize = 30;
    const LONGEST: usize = 40;
    let shown =
        |name: &str| name.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>();
    let names: Vec<_> = header.iter().take(SHOWN).map(shown).collect();
    let others = header.len().saturating_sub(SHOWN);
    let rest = if others > 0 { format!(" and {others} more") } else { String::new() };
    format!("{}{rest}", names.join(", "))
}

/// Returns whether an apostrophe before a value is a spreadsheet's mark: before a number, a formula or a single word.
/// In `'Tis the Season` it belongs to the text.
fn is_marked_as_text(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_ascii_digit() || "=+-@".contains(c))
        || !rest.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apostrophe_of_a_spreadsheet_is_not_part_of_the_value() {
        let header: Fields = ["Name"].into_iter().collect();
        let column = Columns::of(&header).required(&["Name"]);
        for (cell, value) in [
            ("'00123", "00123"),
            (" 'MUG-1 ", "MUG-1"),
            ("'=SUM(A1, A2)", "=SUM(A1, A2)"),
            ("''quoted", "'quoted"),
            ("'Tis the Season", "'Tis the Season"),
            ("Baker's", "Baker's"),
            ("'", ""),
        ] {
            let line = SourceLine { number: 2, amount: None, fields: [cell].into_iter().collect() };
            assert_eq!(column.of(&line), value, "{cell}");
        }
    }
}
