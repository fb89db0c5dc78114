//! What an import came to: the account of the file's lines, and what was added to the store for them.

use std::ops::AddAssign;

use serde::Serialize;

use super::readers::Format;
use super::totals::Totals;
use crate::domain::money::Currency;

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What became of the lines of the file.
    #[serde(flatten)]
    pub totals: Totals,
    /// The layout the file was read in.
    pub format: Format,
    /// The currency of the amounts, if its lines have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// What was added to the store.
    pub added: Counts,
    /// What was there before, and stays as it is.
    pub unchanged: Counts,
}

/// How many things of each kind.
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
    /// Each of them with what it counts.
    pub fn named(self) -> [(&'static str, u64); 9] {
        [
            ("categories", self.categories),
            ("tax rules", self.tax_rules),
            ("ways of shipping", self.shipping_methods),
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
