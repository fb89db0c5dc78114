//! The outcome of writing a record.

use std::collections::BTreeSet;

use crate::domain::money::Currency;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{DatabaseError, SaveError, TreeError};

use super::report::{Counts, StockCounts};

/// The outcome of a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RecordOutcome {
    /// What was added to the store.
    pub added: Counts,
    /// What was in the store before and was updated.
    pub updated: Counts,
    /// What was in the store before and stays as it is.
    pub unchanged: Counts,
    /// How the stock of the variants that were added was taken from the file.
    pub stock: StockCounts,
    /// The currencies that a product of the store has prices in after the import.
    pub currencies: BTreeSet<Currency>,
    /// The lines of an invoice that the store refused, by their index, each with the reason.
    pub refused_lines: Vec<(usize, String)>,
    /// Why the store refused the record as a whole.
    pub refused: Option<String>,
}

impl RecordOutcome {
    /// Returns the outcome of a record: its `counts` were added, or were in the store before.
    pub(super) fn new(is_added: bool, counts: Counts) -> Self {
        if is_added {
            Self { added: counts, ..Self::default() }
        } else {
            Self { unchanged: counts, ..Self::default() }
        }
    }

    /// Returns the outcome of a record that the store refused.
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self { refused: Some(reason.into()), ..Self::default() }
    }

    /// Returns why the line at an index was refused, if it was.
    pub(super) fn rejection_of(&self, index: usize) -> Option<&str> {
        let of_line =
            || self.refused_lines.iter().find(|(other, _)| *other == index).map(|(_, reason)| reason);
        self.refused.as_ref().or_else(of_line).map(String::as_str)
    }
}

/// The reason for a record that refers to one that is missing.
const MISSING: &str = "a record that it refers to is not in the store";

/// Why a record was not written.
#[derive(Debug)]
pub(super) enum RecordError {
    /// The store refuses the record; the import continues.
    Refused(String),
    /// The store failed; the import ends.
    Failed(Failure),
}

impl From<Failure> for RecordError {
    fn from(failure: Failure) -> Self {
        if failure.kind().is_final() { Self::Refused(failure.to_string()) } else { Self::Failed(failure) }
    }
}

impl From<DatabaseError> for RecordError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::ForeignKey(_) => Self::Refused(MISSING.to_owned()),
            error => Failure::from(error).into(),
        }
    }
}

impl From<TreeError> for RecordError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::NoParent => Self::Refused(MISSING.to_owned()),
            TreeError::Database(error) => error.into(),
            error => Self::Refused(error.to_string()),
        }
    }
}

impl From<SaveError> for RecordError {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::SlugTaken => Self::Refused("another product has its slug".to_owned()),
            SaveError::SkuTaken(sku) => {
                Self::Refused(format!("another variant of the store has the SKU {sku}"))
            }
            SaveError::Database(error) if error.is_taken("variants_pkey") => {
                Self::Refused("one of its variants belongs to another product".to_owned())
            }
            SaveError::Database(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::exceptions::{Conflict, Fault, NotFound, ValidationException};

    #[test]
    fn only_a_record_that_is_itself_faulty_is_refused() {
        let of_the_record: [RecordError; 4] = [
            Failure::from(ValidationException::one("/slug", Fault::Required)).into(),
            Failure::from(NotFound::Product).into(),
            Failure::from(Conflict::AlreadyExists { field: "slug" }).into(),
            DatabaseError::ForeignKey("categories".to_owned()).into(),
        ];
        for error in of_the_record {
            assert!(matches!(error, RecordError::Refused(_)), "{error:?}");
        }

        let of_the_store: [RecordError; 5] = [
            Failure::from(Conflict::Stale).into(),
            Failure::from(Conflict::IdempotencyInProgress).into(),
            DatabaseError::Retryable("deadlock".to_owned()).into(),
            DatabaseError::Taken { constraint: "orders_number".to_owned() }.into(),
            DatabaseError::CheckFailed { constraint: "orders_check".to_owned() }.into(),
        ];
        for error in of_the_store {
            assert!(matches!(error, RecordError::Failed(_)), "{error:?}");
        }
    }
}
