//! The report of an import: the totals of the file's lines, and what was added to the store.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use super::readers::{Encoding, Format, UnusedValues};
use super::totals::LineTotals;
use crate::application::records::ImportedStock;
use crate::domain::money::Currency;

/// The report of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The totals of the file's lines.
    #[serde(flatten)]
    pub totals: LineTotals,
    /// The format of the file.
    pub format: Format,
    /// The encoding of the file.
    pub encoding: Encoding,
    /// The currency of the amounts, if the lines have amounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// The number of accepted products that have a price in each currency after the import.
    pub prices: BTreeMap<Currency, u64>,
    /// How the stock of the variants that were added was taken from the file.
    pub stock: StockCounts,
    /// The values that the store does not use itself.
    pub unused_values: UnusedValues,
    /// What was added to the store.
    pub added: Counts,
    /// What was in the store before, and was updated.
    pub updated: Counts,
    /// What was in the store before, and stays as it is.
    pub unchanged: Counts,
}

impl Report {
    /// Returns the number of products of the file that are in the store.
    pub fn products(&self) -> u64 {
        self.added.products + self.updated.products + self.unchanged.products
    }
}

/// The number of variants by how their stock was taken from the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StockCounts {
    /// The file has the pieces.
    pub given: u64,
    /// The file has no quantity: the stock is 0 until it is set.
    pub missing: u64,
    /// The pieces are not counted.
    pub not_counted: u64,
    /// The file has no stock at all: a number of pieces was assumed.
    pub assumed: u64,
    /// The number of pieces that was assumed for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed_pieces: Option<i64>,
}

impl FromIterator<ImportedStock> for StockCounts {
    fn from_iter<I: IntoIterator<Item = ImportedStock>>(stocks: I) -> Self {
        let mut counts = Self::default();
        for stock in stocks {
            match stock {
                ImportedStock::Given(_) => counts.given += 1,
                ImportedStock::Missing => counts.missing += 1,
                ImportedStock::NotCounted => counts.not_counted += 1,
                ImportedStock::Assumed(pieces) => {
                    counts.assumed += 1;
                    counts.assumed_pieces = Some(pieces);
                }
            }
        }
        counts
    }
}

impl AddAssign for StockCounts {
    fn add_assign(&mut self, other: Self) {
        self.given += other.given;
        self.missing += other.missing;
        self.not_counted += other.not_counted;
        self.assumed += other.assumed;
        self.assumed_pieces = other.assumed_pieces.or(self.assumed_pieces);
    }
}

/// The number of records of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub categories: u64,
    pub tax_rules: u64,
    pub shipping_methods: u64,
    pub products: u64,
    pub discounts: u64,
    pub customers: u64,
    pub orders: u64,
    pub refunds: u64,
    pub credit_notes: u64,
}

impl Counts {
    /// Returns each number with its name.
    pub fn named(self) -> [(&'static str, u64); 9] {
        [
            ("categories", self.categories),
            ("tax rules", self.tax_rules),
            ("shipping methods", self.shipping_methods),
            ("products", self.products),
            ("discounts", self.discounts),
            ("customers", self.customers),
            ("orders", self.orders),
            ("refunds", self.refunds),
            ("credit notes", self.credit_notes),
        ]
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.categories += other.categories;
        self.tax_rules += other.tax_rules;
        self.shipping_methods += other.shipping_methods;
        self.products += other.products;
        self.discounts += other.discounts;
        self.customers += other.customers;
        self.orders += other.orders;
        self.refunds += other.refunds;
        self.credit_notes += other.credit_notes;
    }
}
