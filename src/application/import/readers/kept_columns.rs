//! The columns that the store does not use itself: their values are kept as metadata, or named in the report.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::columns::Column;
use crate::application::import::line::{Fields, SourceLine};
use crate::domain::metadata::Metadata;

/// The number of values that the store does not use itself, by the names of their columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UnusedValues {
    /// Those that are kept as metadata of products and variants.
    pub kept: BTreeMap<String, u64>,
    /// Those that are not kept: the record has no metadata, or the value is longer than a value of it.
    pub not_kept: BTreeMap<String, u64>,
}

/// Keeps the values of columns as metadata, and counts them.
pub(super) struct KeptColumns {
    /// The names of all columns, each another one.
    names: Vec<String>,
    values: UnusedValues,
}

impl KeptColumns {
    /// Names the columns of a header. One without a name gets its number, a repeated one a suffix.
    pub(super) fn of(header: &Fields) -> Self {
        let mut names: Vec<String> = Vec::with_capacity(header.len());
        let mut known: HashSet<String> = HashSet::with_capacity(header.len());
        for (index, column) in header.iter().enumerate() {
            let name = column.split_whitespace().collect::<Vec<_>>().join(" ");
            let name = if name.is_empty() { format!("column {}", index + 1) } else { name };
            let name = if known.contains(&name) { format!("{name} (column {})", index + 1) } else { name };
            known.insert(name.clone());
            names.push(name);
        }
        Self { names, values: UnusedValues::default() }
    }

    /// Returns the values of columns on the lines of a product or variant. The values of a column on several lines are
    /// joined by line breaks; one that the further lines only repeat, or leave empty, is taken once.
    pub(super) fn metadata(
        &mut self,
        lines: &[SourceLine],
        columns: impl IntoIterator<Item = Column>,
    ) -> Metadata {
        let mut metadata = Metadata::default();
        for column in columns {
            let values: Vec<_> = lines.iter().map(|line| column.of(line)).collect();
            let filled = values.iter().filter(|value| !value.is_empty()).count() as u64;
            let Some(name) = column.index().and_then(|index| self.names.get(index)).filter(|_| filled > 0)
            else {
                continue;
            };
            let is_kept = metadata.insert(name, joined(&values)).is_ok();
            let counts = if is_kept { &mut self.values.kept } else { &mut self.values.not_kept };
            *counts.entry(name.clone()).or_default() += filled;
        }
        metadata
    }

    /// Counts the values of columns on a line whose record has no metadata.
    pub(super) fn count(&mut self, line: &SourceLine, columns: &[Column]) {
        for column in columns.iter().filter(|column| !column.of(line).is_empty()) {
            if let Some(name) = column.index().and_then(|index| self.names.get(index)) {
                *self.values.not_kept.entry(name.clone()).or_default() += 1;
            }
        }
    }

    /// Returns the number of values so far.
    pub(super) fn values(&self) -> UnusedValues {
        self.values.clone()
    }
}

/// Joins the values of a column on several lines.
fn joined(values: &[&str]) -> String {
    match values.split_first() {
        Some((first, others)) if others.iter().all(|other| other.is_empty() || other == first) => {
            (*first).to_owned()
        }
        // the n-th line of every column is that of the n-th line of the product
        _ => values.join("\n").trim_end_matches('\n').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::Columns;
    use super::*;

    fn line(fields: &[&str]) -> SourceLine {
        SourceLine { number: 2, amount: None, fields: fields.iter().copied().collect() }
    }

    #[test]
    fn the_values_of_several_lines_are_joined_unless_they_are_repeated() {
        let header = ["Vendor", "", "Image", "Alt", "Image", "Empty"].into_iter().collect();
        let columns = Columns::of(&header).unused();
        let mut kept = KeptColumns::of(&header);
        let lines =
            [line(&["Acme", "7", "a.jpg", "", "A", ""]), line(&["Acme", "", "b.jpg", "Back", "", " "])];
        let metadata = kept.metadata(&lines, columns.iter().copied());
        let expected = serde_json::json!({
            "Vendor": "Acme", "column 2": "7", "Image": "a.jpg\nb.jpg", "Alt": "\nBack", "Image (column 5)": "A"
        });
        assert_eq!(serde_json::to_value(&metadata).unwrap(), expected);
        assert_eq!((kept.values().kept["Image"], kept.values().kept["Vendor"]), (2, 2));
        assert_eq!(kept.values().not_kept, BTreeMap::new());

        let long = "x".repeat(Metadata::MAX_CHARACTERS + 1);
        let metadata = kept.metadata(&[line(&[&long, "", "", "", "", ""])], columns.iter().copied());
        assert!(metadata.is_empty());
        kept.count(&lines[0], &columns);
        assert_eq!((kept.values().not_kept["Vendor"], kept.values().not_kept["Image"]), (2, 1));
        assert_eq!(kept.values().kept.get("Empty").or(kept.values().not_kept.get("Empty")), None);
    }
}
