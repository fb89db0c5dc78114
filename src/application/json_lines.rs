//! The lines of our own files, a JSON object each: what `export` writes and `import` reads.
//!
//! These names are a contract with every file that was ever written. An `id` is a UUID, or, in a file that was written
//! by hand, any text, from which a UUID is then derived.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::active_by_default;
use crate::domain::country::Country;
use crate::domain::discount::DiscountKind;
use crate::domain::money::{Currency, Money};
use crate::domain::product::{BillingInterval, ProductKind, Translations};
use crate::domain::shipping::ShippingRate;
use crate::domain::tax::TaxClass;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LineType {
    Category,
    TaxRule,
    ShippingMethod,
    Product,
    Discount,
    Customer,
    Order,
    Invoice,
    Review,
    Subscription,
}

/// A node of the category tree; it comes after the one above it, and siblings come in their order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CategoryLine {
    pub r#type: LineType,
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    pub slug: Option<String>,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_class: Option<TaxClass>,
    #[serde(default, skip_serializing_if = "Translations::is_empty")]
    pub translations: Translations,
    pub created_at: Option<Timestamp>,
}

/// What a country charges on a class of products.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaxRuleLine {
    pub r#type: LineType,
    pub country: Country,
    pub tax_class: TaxClass,
    pub basis_points: u32,
    pub inclusive: bool,
}

/// A way of shipping.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShippingMethodLine {
    pub r#type: LineType,
    pub id: String,
    pub code: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Translations::is_empty")]
    pub translations: Translations,
    #[serde(default)]
    pub tax_class: TaxClass,
    #[serde(default)]
    pub position: i64,
    #[serde(default = "active_by_default")]
    pub active: bool,
    pub rates: Vec<ShippingRate>,
}

/// A product with its variants.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductLine {
    pub r#type: LineType,
    pub id: String,
    pub slug: Option<String>,
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default)]
    pub kind: ProductKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_interval: Option<BillingInterval>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_age: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_class: Option<TaxClass>,
    #[serde(default = "active_by_default")]
    pub active: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    #[serde(default, skip_serializing_if = "Translations::is_empty")]
    pub translations: Translations,
    pub variants: Vec<VariantLine>,
    pub created_at: Option<Timestamp>,
}

/// What is sold.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantLine {
    pub id: Option<String>,
    pub sku: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    #[serde(default = "active_by_default")]
    pub active: bool,
    pub prices: Vec<Money>,
    pub stock: i64,
}

/// A discount.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscountLine {
    pub r#type: LineType,
    pub id: String,
    pub code: String,
    pub kind: DiscountKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_limit: Option<i64>,
    #[serde(default)]
    pub used: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    #[serde(default = "active_by_default")]
    pub active: bool,
    pub created_at: Option<Timestamp>,
}

/// A customer. Their password is nobody's to carry from one store to another.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomerLine {
    pub r#type: LineType,
    pub id: String,
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified_at: Option<Timestamp>,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<Date>,
    pub created_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wishes: Option<PreferencesLine>,
}

/// What a customer wishes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PreferencesLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    #[serde(default)]
    pub marketing_consent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_at: Option<Timestamp>,
}
