//! The products of the data set: one for each stock code, with its most frequent name and price.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::text::joined_slug;
use super::sale::Sale;
use super::{CURRENCY, IDENTITY};
use crate::application::records::{ImportedProduct, ImportedStock};
use crate::domain::product::{Product, Variant};

/// The stock of each variant, in addition to the pieces that the orders of the file sold.
const STOCK: ImportedStock = ImportedStock::Assumed(100);

/// The uses of each stock code.
#[derive(Default)]
pub(super) struct Products(BTreeMap<String, CodeUses>);

/// The uses of a stock code: how often each name and price occurs.
struct CodeUses {
    names: BTreeMap<String, u64>,
    /// The number of uses of each price, and the time of the last.
    prices: BTreeMap<i64, (u64, Timestamp)>,
    is_sold: bool,
    first_use: Timestamp,
}

impl Products {
    /// Adds the use of a stock code in a sale.
    pub(super) fn add(&mut self, sale: &Sale) {
        let uses = self.0.entry(sale.code.clone()).or_insert_with(|| CodeUses {
            names: BTreeMap::new(),
            prices: BTreeMap::new(),
            is_sold: false,
            first_use: sale.at,
        });
        *uses.names.entry(sale.description.clone()).or_default() += 1;
        let (count, last) = uses.prices.entry(sale.unit_price).or_insert((0, sale.at));
        (*count, *last) = (*count + 1, sale.at.max(*last));
        uses.is_sold |= !sale.is_cancellation;
        uses.first_use = uses.first_use.min(sale.at);
    }

    /// Returns the products, by stock code.
    pub(super) fn into_records(self) -> impl Iterator<Item = ImportedProduct> {
        self.0.into_iter().map(|(code, uses)| uses.into_product(&code))
    }
}

impl CodeUses {
    /// Returns the product with the most frequent name (of equally frequent ones the alphabetically first) and price
    /// (of equally frequent ones the latest, then the highest). A product that was only returned is inactive.
    fn into_product(self, code: &str) -> ImportedProduct {
        let name = self.names.into_iter().max_by_key(|(name, uses)| (*uses, Reverse(name.clone())));
        let name = name.map_or_else(String::new, |(name, _)| name);
        let price = self.prices.into_iter().max_by_key(|(price, (uses, last))| (*uses, *last, *price));
        let prices = price.map(|(price, _)| (CURRENCY, price)).into_iter().collect();

        let id = IDENTITY.product(code);
        let mut product = Product::new(id, slug_of(&name, code), name, self.first_use);
        product.active = self.is_sold;
        let variant = Variant::new(IDENTITY.variant(code), id, code.to_owned(), prices);
        let mut imported = ImportedProduct::new(product);
        imported.add(variant, STOCK);
        imported
    }
}

/// Returns a slug that no other stock code has. A code with lower case letters adds a part of its id, because codes
/// may differ only in case.
fn slug_of(name: &str, code: &str) -> String {
    if code.chars().any(char::is_lowercase) {
        let id = IDENTITY.product(code).to_string();
        joined_slug([name, code, &id[..4]])
    } else {
        joined_slug([name, code])
    }
}
