//! The lines of the store's own files, one JSON object each: `export` writes them and `import` reads them.
//!
//! The names of the members are a contract with every file that was ever written. An `id` is a UUID or, in a file that
//! was written by hand, any other text, from which a UUID is derived. A conversion from a line fails with a text that
//! begins with the JSON pointer of the faulty member.

mod catalogue;
mod customer;
mod discount;
mod product;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(super) use self::catalogue::{CategoryLine, ShippingMethodLine, TaxRuleLine};
pub(super) use self::customer::CustomerLine;
pub(super) use self::discount::DiscountLine;
pub(super) use self::product::ProductLine;

use super::records::identity::Identity;
use crate::domain::slug::slug;

const IDENTITY: Identity = Identity::new("json-lines");

/// The type of a line.
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

impl LineType {
    /// Returns the value of `type` in the file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::TaxRule => "tax_rule",
            Self::ShippingMethod => "shipping_method",
            Self::Product => "product",
            Self::Discount => "discount",
            Self::Customer => "customer",
            Self::Order => "order",
            Self::Invoice => "invoice",
            Self::Review => "review",
            Self::Subscription => "subscription",
        }
    }
}

/// Returns the message of an error with its column; to the JSON parser, each line is the first.
pub(super) fn described(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    format!("{message} (column {})", error.column())
}

/// Returns the id of a text: a hyphenated UUID is the id itself, from any other text one is derived.
fn id<T: From<Uuid>>(text: &str, pointer: &str, derive: fn(Identity, &str) -> T) -> Result<T, String> {
    const HYPHENATED: usize = 36;
    match Uuid::parse_str(text) {
        Ok(id) if text.len() == HYPHENATED => Ok(id.into()),
        _ if text.trim().is_empty() => Err(format!("{pointer}: empty")),
        _ => Ok(derive(IDENTITY, text)),
    }
}

/// Refuses an empty text.
fn required(text: String, pointer: &str) -> Result<String, String> {
    if text.is_empty() { Err(format!("{pointer}: empty")) } else { Ok(text) }
}

/// Returns the given slug, or else one derived from the name.
fn slug_or_derived(given: Option<String>, name: &str) -> Result<String, String> {
    required(given.unwrap_or_else(|| slug(name)), "/slug")
}
