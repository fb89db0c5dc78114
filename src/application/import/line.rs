//! A line of the source file, and why one could not be taken.
//!
//! Every line that is read becomes exactly one [`SourceLine`], and each of them ends either with the entry it
//! belongs to or in a [`Rejection`]: that is what lets the totals be checked against the file.

use std::fmt;

/// The fields of one line, unescaped, kept in one piece of memory.
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

    /// The field at `index`, counted from zero.
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { *self.ends.get(index - 1)? };
        self.text.get(start..end)
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All fields, in order.
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

/// A line as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// Where it begins, counted from 1. A quoted field may make it several lines long.
    pub number: u64,
    /// What it is worth, in minor units and signed as in the file; `None` where it has no amount (a product's
    /// line) or none that can be read.
    pub amount: Option<i64>,
    /// What it says.
    pub fields: Fields,
}

impl SourceLine {
    /// Turns the line away.
    pub fn reject(self, reason: Reason, detail: impl Into<String>) -> Rejection {
        Rejection { line: self, reason, detail: detail.into() }
    }
}

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The line.
    pub line: SourceLine,
    /// Why, for machines.
    pub reason: Reason,
    /// Why, for people: what stands there, and in which field.
    pub detail: String,
}

/// Defines the reasons with their codes and texts.
macro_rules! reasons {
    ($($name:ident = $code:literal, $text:literal;)+) => {
        /// Why a line was not taken. The code is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $text] $name,)+
        }

        impl Reason {
            /// The stable name of the reason, as in the file of rejected lines.
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
    NulByte = "nul_byte", "the line contains a NUL byte, which a database cannot keep";
    InvalidJson = "invalid_json", "the line is no record of ours";
    NotImported = "not_imported", "the record is of a type that is exported for reading, and not imported";
    NoKey = "no_key", "nothing says which product, invoice or customer the line is about";
    BadKey = "bad_key", "the number of the invoice or customer is malformed";
    ScatteredProduct = "scattered_product", "the product's lines do not stand together";
    TooManyLines = "too_many_lines", "the product has more lines than a product can have";
    ProductRejected = "product_rejected", "the product the line belongs to was not taken";
    UnknownParent = "unknown_parent", "the product the variation belongs to is not in the file, or was not taken";
    UnsupportedType = "unsupported_type", "the store does not sell this type of product";
    NoName = "no_name", "the product has no name";
    NoSku = "no_sku", "the line has no stock code";
    NoPrice = "no_price", "the price is missing or zero";
    BadPrice = "bad_price", "the price is no amount of whole minor units";
    NegativePrice = "negative_price", "the price is negative";
    NoDescription = "no_description", "the line has no description";
    BadQuantity = "bad_quantity", "the quantity is no whole number, or zero";
    NegativeQuantity = "negative_quantity", "the quantity is negative outside a cancellation";
    PositiveCancellation = "positive_cancellation", "the quantity is positive in a cancellation";
    TooLarge = "too_large", "the number is too large";
    BadDate = "bad_date", "the date is malformed";
    UnknownCountry = "unknown_country", "the country is none";
    InvoiceMismatch = "invoice_mismatch", "the line differs from its invoice in customer or country";
    MissingOption = "missing_option", "an option of the product has no value";
    DuplicateVariant = "duplicate_variant", "another line has the same stock code or option values";
    NoVariant = "no_variant", "the product has no variant that could be taken";
    Refused = "refused", "the store refused it";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_kept_apart_even_where_they_are_empty() {
        let fields: Fields = ["", "a,b", "", "c"].into_iter().collect();
        assert_eq!(fields.iter().collect::<Vec<_>>(), ["", "a,b", "", "c"]);
        assert_eq!((fields.get(1), fields.get(4)), (Some("a,b"), None));
    }
}
