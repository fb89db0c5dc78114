//! The formats that can be read.

use std::fmt;
use std::str::FromStr;

use crate::application::import::line::Fields;

/// The format of a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The invoices of the UCI data set "Online Retail", as CSV.
    OnlineRetail,
    /// Shopify's product CSV.
    Shopify,
    /// `WooCommerce`'s product CSV.
    Woocommerce,
    /// The store's own JSON Lines, which `export` writes.
    JsonLines,
}

/// The text is not the name of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown format; the known ones are {}", Format::names())]
pub struct UnknownFormat;

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::OnlineRetail, Self::Shopify, Self::Woocommerce, Self::JsonLines];

    /// Returns the name on the command line, which is also the namespace of the ids of its records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnlineRetail => "online-retail",
            Self::Shopify => "shopify",
            Self::Woocommerce => "woocommerce",
            Self::JsonLines => "json-lines",
        }
    }

    /// Returns the format of a CSV header, by the columns that only one format has. Rejected JSON lines are a column of
    /// a CSV file.
    pub(super) fn of_header(header: &Fields) -> Option<Self> {
        let has = |name: &str| header.iter().any(|column| column.trim().eq_ignore_ascii_case(name));
        if has("InvoiceNo") || has("StockCode") {
            Some(Self::OnlineRetail)
        } else if has("Handle") || has("URL handle") || has("Variant Price") {
            Some(Self::Shopify)
        } else if has("Type") && has("SKU") && has("Name") {
            Some(Self::Woocommerce)
        } else if has("record") && has("reason") {
            Some(Self::JsonLines)
        } else {
            None
        }
    }

    /// Returns the names of all formats.
    pub(super) fn names() -> String {
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
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or(UnknownFormat)
    }
}
