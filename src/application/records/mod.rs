//! The records of a source file, which every reader produces and the import writes.
//!
//! Products, categories, discounts and customers are complete: a reader sets what the file does not contain. Their ids
//! follow from the source's own keys ([`identity`]).

pub(crate) mod identity;

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::category::Category;
use crate::domain::country::Country;
use crate::domain::discount::Discount;
use crate::domain::ids::{UserId, VariantId};
use crate::domain::money::Currency;
use crate::domain::product::{Product, Texts, Variant};
use crate::domain::shipping::ShippingMethod;
use crate::domain::tax::TaxRule;
use crate::domain::user::{Preferences, Role, User};

/// One thing that the source describes.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A category; it comes before its children and its products. Its position is set by the import.
    Category(Category),
    /// A tax rule.
    TaxRule(TaxRule),
    /// A shipping method.
    ShippingMethod(ShippingMethod),
    /// A product with its variants.
    Product(ImportedProduct),
    /// A discount.
    Discount(Discount),
    /// A customer.
    Customer(ImportedCustomer),
    /// An order that was placed and paid.
    Order(ImportedInvoice),
    /// The return of pieces that were sold.
    Cancellation(ImportedInvoice),
}

/// A product with the stock of its variants.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedProduct {
    /// The product; it has at least one variant.
    pub product: Product,
    /// The stock of each variant, in addition to the pieces that the source's own orders sold.
    pub stock: BTreeMap<VariantId, ImportedStock>,
    /// What the source has in the base language of the store, if that is not all base texts of the product: the others
    /// are in another language, and an update does not take them. An empty text is none.
    pub in_base_language: Option<Texts>,
}

/// The stock of a variant, and how it was taken from the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportedStock {
    /// The file has this many pieces.
    Given(i64),
    /// The file has no quantity, or one that is not known: the stock is 0 until it is set.
    Missing,
    /// The other shop does not count the pieces, or sells more than it has.
    NotCounted,
    /// The file has no stock at all: this many pieces are assumed.
    Assumed(i64),
}

impl ImportedStock {
    /// Returns the number of pieces; `None` if they are not counted.
    pub fn pieces(self) -> Option<i64> {
        match self {
            Self::Given(pieces) | Self::Assumed(pieces) => Some(pieces),
            Self::Missing => Some(0),
            Self::NotCounted => None,
        }
    }
}

impl ImportedProduct {
    /// Returns a product without variants.
    pub(crate) fn new(product: Product) -> Self {
        Self { product, stock: BTreeMap::new(), in_base_language: None }
    }

    /// Returns the stock of each variant in pieces; `None` if they are not counted.
    pub(crate) fn pieces(&self) -> BTreeMap<VariantId, Option<i64>> {
        self.stock.iter().map(|(&variant, stock)| (variant, stock.pieces())).collect()
    }

    /// Adds a variant with its stock.
    pub(crate) fn add(&mut self, variant: Variant, stock: ImportedStock) {
        self.stock.insert(variant.id, stock);
        self.product.variants.push(variant);
    }
}

/// A customer with their preferences.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedCustomer {
    /// The customer, without a password.
    pub user: User,
    /// The preferences, if the source has any.
    pub preferences: Option<Preferences>,
}

impl ImportedCustomer {
    /// Returns a customer without preferences.
    pub(crate) fn new(id: UserId, email: String, name: String, created_at: Timestamp) -> Self {
        let user = User::new(id, email, name, Role::Customer, created_at);
        Self { user, preferences: None }
    }
}

/// Returns the address of a customer without one: it names the source's key, and no mail is ever delivered to it
/// (RFC 2606).
pub(crate) fn placeholder_email(key: &str, id: Uuid) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (1..=64).contains(&key.len()) && key.chars().all(is_plain) {
        format!("{}@customers.invalid", key.to_lowercase())
    } else {
        format!("{}@customers.invalid", id.simple())
    }
}

/// An order that was placed, or a cancellation: a document with a date, a buyer and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedInvoice {
    /// The id of the order, or of the credit note.
    pub id: Uuid,
    /// The source's number.
    pub key: String,
    /// When the document was written.
    pub placed_at: Timestamp,
    /// The customer; `None` is a guest.
    pub customer: Option<UserId>,
    /// The buyer's name.
    pub name: String,
    /// The buyer's e-mail address.
    pub email: String,
    /// The country of delivery.
    pub country: Country,
    /// The currency of the lines.
    pub currency: Currency,
    /// The lines, at least one.
    pub lines: Vec<ImportedLine>,
}

/// A line of an order or of a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedLine {
    /// The number of the line in the file, from 1.
    pub number: u64,
    /// The variant.
    pub variant: VariantId,
    /// The variant's stock code.
    pub sku: String,
    /// The description on this line.
    pub description: String,
    /// The pieces; positive, in a cancellation too.
    pub quantity: i64,
    /// The price of one piece, in minor units.
    pub unit_price: i64,
}
