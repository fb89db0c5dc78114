//! What the store sells: products, and their variants with prices per currency.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{CategoryId, ProductId, VariantId};
use super::money::{Currency, Money};
use super::state::states;
use super::tax::TaxClass;

/// Texts of a product or category in other languages, by BCP 47 tag.
pub type Translations = BTreeMap<String, Texts>;

/// The texts of one language.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// The name as shown.
    #[schema(min_length = 1, max_length = 500)]
    pub name: String,
    /// The description as shown; empty falls back to the base language.
    #[serde(default)]
    pub description: String,
}

states! {
    /// What kind of thing a product is, which decides how it is delivered and charged.
    ProductKind, "product kind", {
        /// Shipped.
        Physical = "physical" -> [],
        /// Delivered without shipping.
        Digital = "digital" -> [],
        /// Charged again every period.
        Subscription = "subscription" -> [],
    }
}

states! {
    /// How often a subscription is charged.
    BillingInterval, "billing interval", {
        /// Every seven days.
        Week = "week" -> [],
        /// Every calendar month; the 31st becomes the month's last day.
        Month = "month" -> [],
        /// Every calendar year.
        Year = "year" -> [],
    }
}

/// A product with its variants.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// The readable part of its address, unique.
    pub slug: String,
    /// Name in the store's base language.
    pub name: String,
    /// Description in the store's base language.
    pub description: String,
    /// Where it stands in the tree.
    pub category_id: Option<CategoryId>,
    /// What kind of thing it is.
    pub kind: ProductKind,
    /// How often it is charged; only for subscriptions.
    pub billing_interval: Option<BillingInterval>,
    /// The age in years a buyer must have reached.
    pub minimum_age: Option<i64>,
    /// Its tax class; `None` takes the category's.
    pub tax_class: Option<TaxClass>,
    /// Whether shoppers see it.
    pub active: bool,
    /// The names of its options (`size`, `colour`), in order.
    pub options: Vec<String>,
    /// Texts in other languages.
    pub translations: Translations,
    /// Sum of approved ratings.
    pub rating_sum: i64,
    /// Number of approved ratings.
    pub rating_count: i64,
    /// Goes up with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// What is sold, in order.
    pub variants: Vec<Variant>,
}

/// What is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its id.
    pub id: VariantId,
    /// The product it belongs to.
    pub product_id: ProductId,
    /// The stock-keeping unit, unique.
    pub sku: String,
    /// The value for each of the product's options, in their order.
    pub options: Vec<String>,
    /// Whether it can be bought.
    pub active: bool,
    /// One price a currency.
    pub prices: BTreeMap<Currency, i64>,
}

/// How many pieces of a variant there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// All of them.
    pub stock: i64,
    /// Those that orders have reserved: 0 to `stock`.
    pub reserved: i64,
    /// Goes up with every change of `stock`.
    pub version: i64,
}

impl Stock {
    /// What can be sold.
    pub fn available(self) -> i64 {
        self.stock - self.reserved
    }
}

/// A product as it stands in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductView {
    /// The product.
    pub product: Product,
    /// The stock of each of its variants, in their order.
    pub stock: Vec<Stock>,
}

impl ProductView {
    /// The variants that can be bought, each with what can be sold of it.
    pub fn offered(&self) -> impl Iterator<Item = (&Variant, i64)> {
        let stocked = self.product.variants.iter().zip(&self.stock);
        stocked.filter(|(variant, _)| variant.active).map(|(variant, stock)| (variant, stock.available()))
    }
}

impl Product {
    /// The average of its ratings in hundredths of a star, if it has any.
    pub fn rating_hundredths(&self) -> Option<i64> {
        (self.rating_count > 0).then(|| (self.rating_sum * 100 + self.rating_count / 2) / self.rating_count)
    }

    /// The lowest price of its active variants for each currency.
    pub fn lowest_prices(&self) -> BTreeMap<Currency, i64> {
        let mut lowest = BTreeMap::new();
        for variant in self.variants.iter().filter(|variant| variant.active) {
            for (&currency, &amount) in &variant.prices {
                lowest
                    .entry(currency)
                    .and_modify(|least: &mut i64| *least = (*least).min(amount))
                    .or_insert(amount);
            }
        }
        lowest
    }
}

impl Variant {
    /// Its price in a currency, if it has one.
    pub fn price(&self, currency: Currency) -> Option<Money> {
        self.prices.get(&currency).map(|&amount| Money::new(amount, currency))
    }
}
