//! The trait that each format implements, and what a reader yields.

use std::collections::{BTreeMap, VecDeque};

use super::field_parsing::LineError;
use super::kept_columns::UnusedValues;
use super::numbers::NumberColumns;
use crate::application::import::line::{Reason, Rejection, SourceLine};
use crate::application::records::Record;

/// Turns the lines of one format into records.
pub(super) trait FormatReader: Send {
    /// Returns the columns with numbers, of which one may show how the others are written.
    fn numbers(&self) -> NumberColumns;

    /// Reads a line. Every line is added to `out` with an entry or a rejection, here or in `finish`.
    fn read(&mut self, line: SourceLine, out: &mut Outcomes);

    /// Rejects a line that is malformed as a whole; with the other lines of its product, if it is known to belong to
    /// one.
    fn reject(&mut self, line: SourceLine, (reason, detail): LineError, out: &mut Outcomes) {
        out.reject(line.reject(reason, detail));
    }

    /// Adds the outcomes of the lines that depended on later lines.
    fn finish(&mut self, out: &mut Outcomes);

    /// Returns the number of values so far that the store does not use itself.
    fn unused_values(&self) -> UnusedValues;
}

/// What a reader yields.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are entries, and few exist at a time")]
pub enum Outcome {
    /// A record with its lines.
    Entry(Entry),
    /// A rejected line.
    Rejected(Rejection),
}

/// A record, and the lines of the file that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The record.
    pub record: Record,
    /// The lines; none for a record that only follows from others, such as a category.
    pub lines: Vec<SourceLine>,
}

/// The outcomes that a reader has not yielded yet.
#[derive(Debug, Default)]
pub(super) struct Outcomes(VecDeque<Outcome>);

impl Outcomes {
    pub(super) fn entry(&mut self, record: Record, lines: Vec<SourceLine>) {
        self.0.push_back(Outcome::Entry(Entry { record, lines }));
    }

    pub(super) fn reject(&mut self, rejection: Rejection) {
        self.0.push_back(Outcome::Rejected(rejection));
    }

    /// Rejects all lines of a product, in the order of the file, so that they can be corrected and imported together.
    /// Those with a fault, by their numbers, have its reason; the others name the first of them.
    pub(super) fn reject_product(
        &mut self,
        mut lines: Vec<SourceLine>,
        mut faults: BTreeMap<u64, LineError>,
    ) {
        let cause = faults.keys().next().map_or_else(String::new, |first| format!("see line {first}"));
        lines.sort_unstable_by_key(|line| line.number);
        for line in lines {
            let fault = faults.remove(&line.number);
            let (reason, detail) = fault.unwrap_or_else(|| (Reason::ProductRejected, cause.clone()));
            self.reject(line.reject(reason, detail));
        }
    }

    pub(super) fn pop(&mut self) -> Option<Outcome> {
        self.0.pop_front()
    }
}
