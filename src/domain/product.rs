//! Products, and their variants with a price in each currency.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{CategoryId, FileId, ProductId, VariantId};
use super::metadata::Metadata;
use super::money::{Currency, Money};
use super::state::states;
use super::tax::TaxClass;

/// Texts of a product or category in other languages, by BCP 47 tag.
pub type Translations = BTreeMap<String, Texts>;

/// A product's texts in one language.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// The name in this language.
    #[schema(min_length = 1, max_length = 500)]
    pub name: String,
    /// The description in this language. If it is empty, that of the base texts is shown.
    #[serde(default)]
    #[schema(max_length = 50_000, format = "multiline")]
    pub description: String,
}

/// Returns the translations of a name. What has no description may have been stored with translations of one.
#[must_use]
pub fn names_only(translations: Translations) -> Translations {
    let named = |(tag, Texts { name, .. })| (tag, Texts { name, ..Texts::default() });
    translations.into_iter().map(named).collect()
}

states! {
    /// The kind of a product, which decides how it is delivered and charged.
    ProductKind, "product kind", {
        /// Delivered by shipping.
        Physical = "physical" -> [],
        /// Delivered without shipping.
        Digital = "digital" -> [],
        /// Charged again every billing interval.
        Subscription = "subscription" -> [],
    }
}

states! {
    /// The interval at which a subscription is charged.
    BillingInterval, "billing interval", {
        /// Every seven days.
        Week = "week" -> [],
        /// Every calendar month; the 31st becomes the month's last day.
        Month = "month" -> [],
        /// Every calendar year.
        Year = "year" -> [],
    }
}

#[expect(clippy::derivable_impls, reason = "`states!` defines the enum")]
impl Default for ProductKind {
    fn default() -> Self {
        Self::Physical
    }
}

/// An image of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductImage {
    /// The file, which is an image.
    #[schema(value_type = Uuid)]
    pub file_id: FileId,
    /// What the image shows, for people who do not see it; empty if it only decorates.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub alternative_text: String,
}

/// A product with its variants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// The id.
    pub id: ProductId,
    /// The readable part of the URL, unique in the store.
    pub slug: String,
    /// The name in the store's base language.
    pub name: String,
    /// The description in the store's base language.
    pub description: String,
    /// The category that contains the product.
    pub category_id: Option<CategoryId>,
    /// The kind.
    pub kind: ProductKind,
    /// The interval at which a subscription is charged; `None` for other kinds.
    pub billing_interval: Option<BillingInterval>,
    /// The age in years that a buyer must have reached.
    pub minimum_age: Option<i64>,
    /// The tax class; `None` means the category's.
    pub tax_class: Option<TaxClass>,
    /// Whether shoppers see the product.
    pub active: bool,
    /// The names of the options (`size`, `colour`), in order.
    pub options: Vec<String>,
    /// The texts in other languages.
    pub translations: Translations,
    /// The merchant's own values, which shoppers do not see.
    pub metadata: Metadata,
    /// The images, in order.
    pub images: Vec<ProductImage>,
    /// The sum of the approved ratings.
    pub rating_sum: i64,
    /// The number of approved ratings.
    pub rating_count: i64,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time of the creation, UTC.
    pub created_at: Timestamp,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
    /// The variants, in order.
    pub variants: Vec<Variant>,
}

/// What a customer buys: a SKU of a product, with its prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The id.
    pub id: VariantId,
    /// The product that the variant belongs to.
    pub product_id: ProductId,
    /// The merchant's stock-keeping unit, unique in the store.
    pub sku: String,
    /// The value for each of the product's options, in their order.
    pub options: Vec<String>,
    /// Whether the variant can be bought.
    pub active: bool,
    /// The price in each currency, in minor units.
    pub prices: BTreeMap<Currency, i64>,
    /// The merchant's own values, which shoppers do not see.
    pub metadata: Metadata,
}

/// The stock of a variant, in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// The pieces that the store has, reserved ones included; `None` if they are not counted.
    pub stock: Option<i64>,
    /// The pieces that are reserved for pending orders: 0 to `stock`.
    pub reserved: i64,
    /// The number of times `stock` was set, from 1.
    pub version: i64,
}

impl Stock {
    /// Returns the pieces that are not reserved; `None` if they are not counted, and any number can be bought.
    pub fn available(self) -> Option<i64> {
        self.stock.map(|stock| stock - self.reserved)
    }
}

/// A product with the stock of its variants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProductView {
    /// The product.
    pub product: Product,
    /// The stock of each variant, in the order of the variants.
    pub stock: Vec<Stock>,
}

impl ProductView {
    /// Returns the active variants, each with its available stock if it is counted.
    pub fn offered(&self) -> impl Iterator<Item = (&Variant, Option<i64>)> {
        let stocked = self.product.variants.iter().zip(&self.stock);
        stocked.filter(|(variant, _)| variant.active).map(|(variant, stock)| (variant, stock.available()))
    }

    /// Returns the product as shoppers see it: with the available pieces, as if none were reserved, and without the
    /// merchant's own values. The sale of reserved pieces changes nothing of it.
    #[must_use]
    pub fn as_shown(mut self) -> Self {
        self.product.metadata = Metadata::default();
        for variant in &mut self.product.variants {
            variant.metadata = Metadata::default();
        }
        for stock in &mut self.stock {
            *stock = Stock { stock: stock.available(), reserved: 0, version: 1 };
        }
        self
    }
}

impl Product {
    /// Returns an active product of the default kind, with a name and without variants.
    pub fn new(id: ProductId, slug: String, name: String, created_at: Timestamp) -> Self {
        Self {
            id,
            slug,
            name,
            description: String::new(),
            category_id: None,
            kind: ProductKind::default(),
            billing_interval: None,
            minimum_age: None,
            tax_class: None,
            active: true,
            options: Vec::new(),
            translations: Translations::new(),
            metadata: Metadata::default(),
            images: Vec::new(),
            rating_sum: 0,
            rating_count: 0,
            version: 1,
            created_at,
            updated_at: created_at,
            variants: Vec::new(),
        }
    }

    /// Returns the average rating in hundredths of a star, or `None` if there is no approved rating.
    pub fn rating_hundredths(&self) -> Option<i64> {
        (self.rating_count > 0).then(|| (self.rating_sum * 100 + self.rating_count / 2) / self.rating_count)
    }

    /// Returns the currencies in which a variant has a price.
    pub fn currencies(&self) -> BTreeSet<Currency> {
        self.variants.iter().flat_map(|variant| variant.prices.keys().copied()).collect()
    }

    /// Returns the lowest price of the active variants in each currency, in minor units.
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
    /// Returns an active variant without options.
    pub fn new(id: VariantId, product_id: ProductId, sku: String, prices: BTreeMap<Currency, i64>) -> Self {
        Self { id, product_id, sku, options: Vec::new(), active: true, prices, metadata: Metadata::default() }
    }

    /// Returns the price in a currency, if there is one.
    pub fn price(&self, currency: Currency) -> Option<Money> {
        self.prices.get(&currency).map(|&amount| Money::new(amount, currency))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_shoppers_see_has_neither_reserved_pieces_nor_values_of_the_merchant() {
        let id = ProductId(Uuid::from_u128(1));
        let mut product = Product::new(id, "tea".to_owned(), "Tea".to_owned(), Timestamp::UNIX_EPOCH);
        let variant = Variant::new(VariantId(Uuid::from_u128(2)), id, "TEA".to_owned(), BTreeMap::new());
        let shown = ProductView {
            product: Product { variants: vec![variant.clone()], ..product.clone() },
            stock: vec![Stock { stock: Some(3), reserved: 0, version: 1 }],
        };
        product.metadata.insert("supplier", "secret".to_owned()).unwrap();
        let mut kept = variant;
        kept.metadata.insert("cost", "100".to_owned()).unwrap();
        product.variants = vec![kept];
        let stock = vec![Stock { stock: Some(5), reserved: 2, version: 7 }];
        assert_eq!(ProductView { product, stock }.as_shown(), shown);
    }
}
