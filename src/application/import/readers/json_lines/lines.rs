//! The shapes of our own lines: these names are a contract with every catalogue that was ever written.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::domain::country::Country;
use crate::domain::money::Money;
use crate::domain::product::{BillingInterval, ProductKind, Translations};
use crate::domain::tax::TaxClass;

/// A node of the category tree.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CategoryLine {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    pub(super) id: String,
    pub(super) parent: Option<String>,
    pub(super) slug: Option<String>,
    pub(super) name: String,
    pub(super) tax_class: Option<TaxClass>,
    #[serde(default)]
    pub(super) translations: Translations,
}

/// A product with its variants.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductLine {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    pub(super) id: String,
    pub(super) slug: Option<String>,
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) category: Option<String>,
    #[serde(default = "physical")]
    pub(super) kind: ProductKind,
    pub(super) billing_interval: Option<BillingInterval>,
    pub(super) minimum_age: Option<i64>,
    pub(super) tax_class: Option<TaxClass>,
    #[serde(default = "yes")]
    pub(super) active: bool,
    #[serde(default)]
    pub(super) options: Vec<String>,
    #[serde(default)]
    pub(super) translations: Translations,
    pub(super) variants: Vec<VariantLine>,
}

/// What is sold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantLine {
    pub(super) id: Option<String>,
    pub(super) sku: String,
    #[serde(default)]
    pub(super) options: Vec<String>,
    #[serde(default = "yes")]
    pub(super) active: bool,
    pub(super) prices: Vec<Money>,
    pub(super) stock: i64,
}

/// A customer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomerLine {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    pub(super) id: String,
    pub(super) email: Option<String>,
    pub(super) name: String,
    pub(super) country: Option<Country>,
}

fn physical() -> ProductKind {
    ProductKind::Physical
}

fn yes() -> bool {
    true
}
