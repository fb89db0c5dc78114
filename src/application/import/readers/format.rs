//! The layouts that can be read, and how one is known from another.

use std::fmt;
use std::str::FromStr;

use crate::application::import::line::Fields;

/// A layout of a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The invoices of the UCI data set "Online Retail", as CSV.
    OnlineRetail,
    /// Shopify's product CSV.
    Shopify,
    /// `WooCommerce`'s product CSV.
    Woocommerce,
    /// Our own: a JSON object a line.
    JsonLines,
}

/// The text names no layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no known layout; known are {}", Format::described())]
pub struct NotAFormat;

impl Format {
    /// Every layout.
    pub const ALL: [Self; 4] = [Self::OnlineRetail, Self::Shopify, Self::Woocommerce, Self::JsonLines];

    /// Its name on the command line, which is also the namespace of the ids derived from it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnlineRetail => "online-retail",
            Self::Shopify => "shopify",
            Self::Woocommerce => "woocommerce",
            Self::JsonLines => "json-lines",
        }
    }

    /// The layout whose own columns a CSV header has.
    pub(super) fn of_header(header: &Fields) -> Option<Self> {
        let has = |name: &str| header.iter().any(|column| column.trim().eq_ignore_ascii_case(name));
        if has("InvoiceNo") || has("StockCode") {
            Some(Self::OnlineRetail)
        } else if has("Handle") || has("URL handle") || has("Variant Price") {
            Some(Self::Shopify)
        } else if has("Type") && has("SKU") && has("Name") {
            Some(Self::Woocommerce)
        } else {
            None
        }
    }

    pub(super) fn described() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for Format {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for Format {
    type Err = NotAFormat;

    fn from_str(name: &str) -> Result<Self, NotAFormat> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or(NotAFormat)
    }
}
