//! A product, as shoppers see it in one language and currency, and as administrators do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::{CategoryId, ProductId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::domain::product::{BillingInterval, ProductKind, ProductView, Stock, Texts, Variant};
use crate::domain::tax::TaxClass;
use crate::presentation::http::languages::Languages;

/// A product that can be bought.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Product)]
pub struct ProductBody<'a> {
    id: ProductId,
    /// The readable part of its address.
    slug: &'a str,
    /// Its name, in the best language that is there.
    name: &'a str,
    /// Its description.
    description: &'a str,
    category_id: Option<CategoryId>,
    kind: ProductKind,
    /// How often it is charged, if it is a subscription.
    billing_interval: Option<BillingInterval>,
    /// The age in years a buyer must have reached.
    minimum_age: Option<i64>,
    /// The names of its options.
    options: &'a [String],
    /// What is sold.
    variants: Vec<VariantBody<'a>>,
    /// What buyers say of it.
    rating: Option<Rating>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A variant that can be bought.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Variant)]
struct VariantBody<'a> {
    id: VariantId,
    sku: &'a str,
    /// The value for each of the product's options.
    options: &'a [String],
    /// Its price in the currency that was asked for; null if it has none.
    price: Option<Money>,
    /// How many can be bought now.
    available: i64,
}

/// What buyers say of a product.
#[derive(Debug, Serialize, ToSchema)]
struct Rating {
    /// Hundredths of a star, 100 to 500.
    average_hundredths: i64,
    /// How many said so.
    count: i64,
}

impl<'a> ProductBody<'a> {
    /// The product in a language and a currency.
    pub fn of(view: &'a ProductView, languages: &Languages, currency: Currency) -> Self {
        let product = &view.product;
        let translated =
            languages.best(&product.translations.keys()).and_then(|tag| product.translations.get(tag));
        let description = translated.map(|texts| texts.description.as_str()).filter(|text| !text.is_empty());
        Self {
            id: product.id,
            slug: &product.slug,
            name: translated.map_or(&product.name, |texts| &texts.name),
            description: description.unwrap_or(&product.description),
            category_id: product.category_id,
            kind: product.kind,
            billing_interval: product.billing_interval,
            minimum_age: product.minimum_age,
            options: &product.options,
            variants: view
                .offered()
                .map(|(variant, available)| VariantBody {
                    id: variant.id,
                    sku: &variant.sku,
                    options: &variant.options,
                    price: variant.price(currency),
                    available,
                })
                .collect(),
            rating: product
                .rating_hundredths()
                .map(|average_hundredths| Rating { average_hundredths, count: product.rating_count }),
            created_at: product.created_at,
            updated_at: product.updated_at,
        }
    }
}

/// A product with all that is kept of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductRecord)]
pub struct ProductRecord<'a> {
    id: ProductId,
    slug: &'a str,
    name: &'a str,
    description: &'a str,
    category_id: Option<CategoryId>,
    kind: ProductKind,
    billing_interval: Option<BillingInterval>,
    minimum_age: Option<i64>,
    #[schema(value_type = Option<String>)]
    tax_class: Option<&'a TaxClass>,
    /// Whether shoppers see it.
    active: bool,
    options: &'a [String],
    /// Texts in other languages, by BCP 47 tag.
    translations: &'a BTreeMap<String, Texts>,
    variants: Vec<VariantRecord<'a>>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A variant with all that is kept of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VariantRecord)]
struct VariantRecord<'a> {
    id: VariantId,
    sku: &'a str,
    options: &'a [String],
    active: bool,
    /// One price a currency.
    prices: Vec<Money>,
    /// How many there are.
    stock: i64,
    /// How many of them orders have reserved.
    reserved: i64,
    /// How many can be bought now.
    available: i64,
}

impl<'a> ProductRecord<'a> {
    /// The product with all that is kept of it.
    pub fn of(view: &'a ProductView) -> Self {
        let product = &view.product;
        Self {
            id: product.id,
            slug: &product.slug,
            name: &product.name,
            description: &product.description,
            category_id: product.category_id,
            kind: product.kind,
            billing_interval: product.billing_interval,
            minimum_age: product.minimum_age,
            tax_class: product.tax_class.as_ref(),
            active: product.active,
            options: &product.options,
            translations: &product.translations,
            variants: product.variants.iter().zip(&view.stock).map(VariantRecord::of).collect(),
            version: product.version,
            created_at: product.created_at,
            updated_at: product.updated_at,
        }
    }
}

impl<'a> VariantRecord<'a> {
    fn of((variant, stock): (&'a Variant, &'a Stock)) -> Self {
        Self {
            id: variant.id,
            sku: &variant.sku,
            options: &variant.options,
            active: variant.active,
            prices: variant.prices.iter().map(|(&currency, &amount)| Money::new(amount, currency)).collect(),
            stock: stock.stock,
            reserved: stock.reserved,
            available: stock.available(),
        }
    }
}
