//! The products that a list of sales speaks of: one a stock code, with the name and price it mostly had.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::text::joined_slug;
use super::sale::Sale;
use super::{CURRENCY, IDENTITY};
use crate::application::import::record::{ImportedProduct, ImportedVariant};
use crate::domain::product::{ProductKind, Translations};

/// What is left of a product when all of its history was sold: what the history itself needs comes with its orders.
const STOCK_LEFT: i64 = 100;

/// What is known of each stock code.
#[derive(Default)]
pub(super) struct Products(BTreeMap<String, Tally>);

#[derive(Default)]
struct Tally {
    names: BTreeMap<String, u64>,
    prices: BTreeMap<i64, (u64, Timestamp)>,
    is_sold: bool,
    since: Option<Timestamp>,
}

impl Products {
    /// Takes a sale into account.
    pub(super) fn count(&mut self, sale: &Sale) {
        let tally = self.0.entry(sale.code.clone()).or_default();
        *tally.names.entry(sale.description.clone()).or_default() += 1;
        let (uses, last) = tally.prices.entry(sale.unit_price).or_insert((0, sale.at));
        (*uses, *last) = (*uses + 1, sale.at.max(*last));
        tally.is_sold |= !sale.is_cancellation;
        tally.since = tally.since.into_iter().chain([sale.at]).min();
    }

    /// The products, by stock code.
    pub(super) fn into_records(self) -> impl Iterator<Item = ImportedProduct> {
        self.0.into_iter().map(|(code, tally)| tally.into_product(&code))
    }
}

impl Tally {
    /// The most frequent name (of equally frequent ones the first by its letters) and price (of equally frequent
    /// ones the latest, then the highest). What only ever came back is not for sale.
    fn into_product(self, code: &str) -> ImportedProduct {
        let name = self.names.into_iter().max_by_key(|(name, uses)| (*uses, Reverse(name.clone())));
        let name = name.map_or_else(String::new, |(name, _)| name);
        let price = self.prices.into_iter().max_by_key(|(price, (uses, last))| (*uses, *last, *price));
        let variant = ImportedVariant {
            id: IDENTITY.variant(code),
            options: Vec::new(),
            active: true,
            prices: price.map(|(price, _)| (CURRENCY, price)).into_iter().collect(),
            stock: STOCK_LEFT,
            sku: code.to_owned(),
        };
        ImportedProduct {
            id: IDENTITY.product(code),
            slug: slug_of(&name, code),
            description: String::new(),
            category: None,
            kind: ProductKind::Physical,
            billing_interval: None,
            minimum_age: None,
            tax_class: None,
            active: self.is_sold,
            options: Vec::new(),
            translations: Translations::new(),
            variants: vec![variant],
            created_at: self.since,
            name,
        }
    }
}

/// A slug that no other stock code has: where the code's case matters, a piece of the id tells them apart.
fn slug_of(name: &str, code: &str) -> String {
    if code.chars().any(char::is_lowercase) {
        let id = IDENTITY.product(code).to_string();
        joined_slug([name, code, &id[..4]])
    } else {
        joined_slug([name, code])
    }
}
