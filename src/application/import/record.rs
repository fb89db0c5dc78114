//! What a source file says, in the store's words: the model that every reader fills and that is then applied
//! through the use cases.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use crate::domain::country::Country;
use crate::domain::discount::{Discount, DiscountKind};
use crate::domain::ids::{CategoryId, DiscountId, ProductId, UserId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::domain::product::{BillingInterval, ProductKind, Translations};
use crate::domain::shipping::ShippingMethod;
use crate::domain::tax::{TaxClass, TaxRule};

/// One thing the source describes.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A node of the category tree; comes before what refers to it.
    Category(ImportedCategory),
    /// What a country charges on a class of products.
    TaxRule(TaxRule),
    /// A way of shipping.
    ShippingMethod(ShippingMethod),
    /// A product with its variants.
    Product(ImportedProduct),
    /// A discount.
    Discount(ImportedDiscount),
    /// A customer.
    Customer(ImportedCustomer),
    /// An order that was placed.
    Order(ImportedInvoice),
    /// Goods that came back.
    Cancellation(ImportedInvoice),
}

/// A node of the category tree.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedCategory {
    /// Derived from the source's key.
    pub id: CategoryId,
    /// The node above.
    pub parent: Option<CategoryId>,
    /// The readable part of its address.
    pub slug: String,
    /// Name in the base language.
    pub name: String,
    /// The tax class of its products; `None` takes the parent's.
    pub tax_class: Option<TaxClass>,
    /// Names in other languages.
    pub translations: Translations,
    /// Since when it is there, where the source knows it.
    pub created_at: Option<Timestamp>,
}

/// A product with its variants.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedProduct {
    /// Derived from the source's key.
    pub id: ProductId,
    /// The readable part of its address.
    pub slug: String,
    /// Name in the base language.
    pub name: String,
    /// Description in the base language, plain text.
    pub description: String,
    /// Where it stands in the tree.
    pub category: Option<CategoryId>,
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
    /// The names of its options, in order.
    pub options: Vec<String>,
    /// Texts in other languages.
    pub translations: Translations,
    /// What is sold, in order; at least one.
    pub variants: Vec<ImportedVariant>,
    /// Since when it is there, where the source knows it.
    pub created_at: Option<Timestamp>,
}

/// What is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedVariant {
    /// Derived from the source's key.
    pub id: VariantId,
    /// The stock-keeping unit.
    pub sku: String,
    /// The value for each of the product's options, in their order.
    pub options: Vec<String>,
    /// Whether it can be bought.
    pub active: bool,
    /// One price a currency, in minor units.
    pub prices: BTreeMap<Currency, i64>,
    /// How many are there, beside those that the source's own orders take.
    pub stock: i64,
}

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedCustomer {
    /// Derived from the source's key.
    pub id: UserId,
    /// The source's key.
    pub key: String,
    /// Their address, where the source knows it.
    pub email: Option<String>,
    /// When they proved that the address is theirs.
    pub email_verified_at: Option<Timestamp>,
    /// Their name.
    pub name: String,
    /// For goods with a minimum age.
    pub birth_date: Option<Date>,
    /// Since when they are one, where the source knows it.
    pub created_at: Option<Timestamp>,
    /// What they wish, if they said anything.
    pub wishes: Option<PreferencesChange>,
}

/// What a customer wishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PreferencesChange {
    /// The language they read.
    pub locale: Option<String>,
    /// The currency they see.
    pub currency: Option<Currency>,
    /// Whether they agreed to be sent offers.
    pub marketing_consent: bool,
    /// When they said so.
    pub consent_at: Option<Timestamp>,
}

/// A discount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedDiscount {
    /// Derived from the source's key.
    pub id: DiscountId,
    /// Its code.
    pub code: String,
    /// What it takes off.
    pub kind: DiscountKind,
    /// The goods' value from which it applies.
    pub minimum: Option<Money>,
    /// How many orders of this store may use it.
    pub usage_limit: Option<i64>,
    /// From when it applies.
    pub starts_at: Option<Timestamp>,
    /// From when it applies no longer.
    pub ends_at: Option<Timestamp>,
    /// Whether it is switched on.
    pub active: bool,
    /// Since when it is there, where the source knows it.
    pub created_at: Option<Timestamp>,
}

impl ImportedDiscount {
    /// The discount as the store keeps it, made at `made_at` unless the source knows better.
    pub fn dated(&self, made_at: Timestamp) -> Discount {
        let created_at = self.created_at.unwrap_or(made_at);
        Discount {
            id: self.id,
            code: self.code.clone(),
            kind: self.kind,
            minimum: self.minimum,
            usage_limit: self.usage_limit,
            used: 0,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            active: self.active,
            version: 1,
            created_at,
            updated_at: created_at,
        }
    }
}

/// An order that was placed, or goods that came back: a document with a date, a customer and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedInvoice {
    /// The id of the order, or of the credit note; derived from the source's key.
    pub id: Uuid,
    /// The source's number.
    pub key: String,
    /// When it was made.
    pub placed_at: Timestamp,
    /// Whose; `None` is a guest.
    pub customer: Option<UserId>,
    /// Where the goods went, or came from.
    pub country: Country,
    /// The currency of its lines.
    pub currency: Currency,
    /// What was bought or came back; at least one line.
    pub lines: Vec<ImportedLine>,
}

/// A line of an order or cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedLine {
    /// Where it stands in the file.
    pub number: u64,
    /// The variant, derived from the source's key.
    pub variant: VariantId,
    /// Its stock code.
    pub sku: String,
    /// What the source calls it on this line.
    pub description: String,
    /// How many, always positive.
    pub quantity: i64,
    /// The price of one, in minor units.
    pub unit_price: i64,
}
