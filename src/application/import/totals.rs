//! The totals of an import: every line is either accepted or rejected, and both add up to the file.

use std::collections::BTreeMap;

use serde::Serialize;

use super::line::{Reason, Rejection, SourceLine};

/// The totals of a file's lines.
///
/// Amounts are in minor units and signed as in the file. The lines of a catalogue have no amount: their sum is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LineTotals {
    /// The lines of the file, without the header and empty lines.
    pub lines: u64,
    /// The accepted lines.
    pub accepted: Accepted,
    /// The rejected lines.
    pub rejected: Rejected,
}

/// The accepted lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// The number of lines.
    pub lines: u64,
    /// The sum of the amounts.
    pub amount: i128,
}

/// The rejected lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The number of lines.
    pub lines: u64,
    /// The sum of the amounts of those that have one.
    pub amount: i128,
    /// The number of lines without an amount that can be read.
    pub unpriced: u64,
    /// The number of lines for each reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// The number of lines of each type that is exported, but not imported, such as `order`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub not_imported: BTreeMap<String, u64>,
}

/// The totals do not add up: a line was lost or counted twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{read} lines were read, but {accepted} accepted and {rejected} rejected")]
pub struct TotalsMismatch {
    /// The lines that were read.
    pub read: u64,
    /// The lines that were accepted.
    pub accepted: u64,
    /// The lines that were rejected.
    pub rejected: u64,
}

impl LineTotals {
    /// Counts an accepted line.
    pub fn accept(&mut self, line: &SourceLine) {
        self.accepted.lines += 1;
        self.accepted.amount += i128::from(line.amount.unwrap_or(0));
    }

    /// Counts a rejected line.
    pub fn reject(&mut self, rejection: &Rejection) {
        self.rejected.lines += 1;
        *self.rejected.reasons.entry(rejection.reason.code()).or_default() += 1;
        if rejection.reason == Reason::NotImported {
            *self.rejected.not_imported.entry(rejection.detail.clone()).or_default() += 1;
        }
        match rejection.line.amount {
            Some(amount) => self.rejected.amount += i128::from(amount),
            None => self.rejected.unpriced += 1,
        }
    }

    /// Compares the totals with the number of lines that were read.
    pub fn close(&mut self, read: u64) -> Result<(), TotalsMismatch> {
        self.lines = read;
        let (accepted, rejected) = (self.accepted.lines, self.rejected.lines);
        if accepted.checked_add(rejected) == Some(read) {
            Ok(())
        } else {
            Err(TotalsMismatch { read, accepted, rejected })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::import::line::Fields;

    fn line(amount: Option<i64>) -> SourceLine {
        SourceLine { number: 1, amount, fields: Fields::default() }
    }

    #[test]
    fn amounts_beyond_64_bits_still_add_up() {
        let mut totals = LineTotals::default();
        for amount in [i64::MAX, i64::MAX, -1] {
            totals.accept(&line(Some(amount)));
        }
        assert_eq!(totals.accepted.amount, 2 * i128::from(i64::MAX) - 1);
        assert_eq!(totals.close(3), Ok(()));
    }

    #[test]
    fn a_lost_line_is_found() {
        let mut totals = LineTotals::default();
        totals.accept(&line(None));
        totals.reject(&line(None).reject(Reason::NoPrice, ""));
        assert_eq!(totals.close(3), Err(TotalsMismatch { read: 3, accepted: 1, rejected: 1 }));
    }

    #[test]
    fn the_json_report_keeps_its_names() {
        let mut totals = LineTotals::default();
        totals.accept(&line(Some(-250)));
        totals.reject(&line(Some(99)).reject(Reason::NoDescription, ""));
        totals.reject(&line(None).reject(Reason::BadPrice, ""));
        totals.close(3).unwrap();
        assert_eq!(
            serde_json::to_string(&totals).unwrap(),
            r#"{"lines":3,"accepted":{"lines":1,"amount":-250},"rejected":{"lines":2,"amount":99,"unpriced":1,"#
                .to_owned()
                + r#""reasons":{"bad_price":1,"no_description":1}}}"#
        );
    }
}
