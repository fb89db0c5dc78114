//! A line of the source file, and the reasons why one is rejected.
//!
//! Every line that is read becomes exactly one [`SourceLine`], which belongs either to an entry or to a [`Rejection`].
//! That is why the totals can be compared with the file.

use std::fmt;

/// The fields of one line, unescaped, in one allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    text: String,
    ends: Vec<usize>,
}

impl Fields {
    /// Appends a field.
    pub fn push(&mut self, field: &str) {
        self.text.push_str(field);
        self.ends.push(self.text.len());
    }

    /// Returns the field at `index`, from 0.
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { *self.ends.get(index - 1)? };
        self.text.get(start..end)
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns all fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> FromIterator<&'a str> for Fields {
    fn from_iter<I: IntoIterator<Item = &'a str>>(fields: I) -> Self {
        let mut all = Self::default();
        fields.into_iter().for_each(|field| all.push(field));
        all
    }
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// The number of its first line in the file, from 1. A quoted field can contain line breaks.
    pub number: u64,
    /// The amount in minor units, signed as in the file; `None` for a line without an amount, such as a product's, or
    /// with one that cannot be read.
    pub amount: Option<i64>,
    /// The fields.
    pub fields: Fields,
}

impl SourceLine {
    /// Rejects the line.
    pub fn reject(self, reason: Reason, detail: impl Into<String>) -> Rejection {
        Rejection { line: self, reason, detail: detail.into() }
    }
}

/// A rejected line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The line.
    pub line: SourceLine,
    /// The reason.
    pub reason: Reason,
    /// The details for people, such as the value and its field.
    pub detail: String,
}

/// Defines the reasons with their codes and texts.
macro_rules! reasons {
    ($($name:ident = $code:literal, $text:literal;)+) => {
        /// Why a line was rejected. The code is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $text] $name,)+
        }

        impl Reason {
            /// Returns the stable code of the reason, as in the file of rejected lines.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }

        impl fmt::Display for Reason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)+ })
            }
        }
    };
}

reasons! {
    WrongFieldCount = "wrong_field_count", "the line has more or fewer fields than the header";
    NulByte = "nul_byte", "the line contains a NUL byte, which a database cannot store";
    InvalidJson = "invalid_json", "the line is not a valid record";
    NotImported = "not_imported", "records of this type are exported, but not imported";
    NoKey = "no_key", "the line does not identify a product, invoice or customer";
    BadKey = "bad_key", "the number of the invoice or customer is malformed";
    ScatteredProduct = "scattered_product", "the lines of the product are not consecutive";
    TooManyLines = "too_many_lines", "the product has too many lines";
    ProductRejected = "product_rejected", "the product that the line belongs to was rejected";
    UnknownParent = "unknown_parent", "the product that the variation belongs to is not in the file, or was rejected";
    UnsupportedType = "unsupported_type", "the store does not sell this type of product";
    NoName = "no_name", "the product has no name";
    NoSku = "no_sku", "the line has no stock code";
    NoPrice = "no_price", "the price is missing or zero";
    BadPrice = "bad_price", "the price is not a whole number of minor units";
    NegativePrice = "negative_price", "the price is negative";
    NoDescription = "no_description", "the line has no description";
    BadQuantity = "bad_quantity", "the quantity is not a whole number, or zero";
    NegativeQuantity = "negative_quantity", "the quantity is negative outside a cancellation";
    PositiveCancellation = "positive_cancellation", "the quantity is positive in a cancellation";
    TooLarge = "too_large", "the number is too large";
    BadDate = "bad_date", "the date is malformed";
    UnknownCountry = "unknown_country", "the country is unknown";
    InvoiceMismatch = "invoice_mismatch", "the customer or country differs from that of the invoice";
    MissingOption = "missing_option", "an option of the product has no value";
    DuplicateVariant = "duplicate_variant", "another line has the same stock code or option values";
    NoVariant = "no_variant", "the product has no valid variant";
    Refused = "refused", "the store refused the record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_fields_are_kept() {
        let fields: Fields = ["", "a,b", "", "c"].into_iter().collect();
        assert_eq!(fields.iter().collect::<Vec<_>>(), ["", "a,b", "", "c"]);
        assert_eq!((fields.get(1), fields.get(4)), (Some("a,b"), None));
    }
}
