//! A line of the source file, and the reasons why one is rejected.
//!
//! Every line that is read becomes exactly one [`SourceLine`], which belongs either to an entry or to a [`Rejection`].
//! That is why the totals can be compared with the file.

/// The columns of a file of rejected lines that come before those of the source.
pub(super) const CAUSE: [&str; 3] = ["line", "reason", "detail"];

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

    /// Returns the number of columns before those of the source: those of [`CAUSE`] in the header of a file of rejected
    /// lines, otherwise none.
    pub(super) fn cause_columns(&self) -> usize {
        if self.iter().take(CAUSE.len()).eq(CAUSE) { CAUSE.len() } else { 0 }
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

/// Why a line was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The line has more or fewer fields than the header.
    WrongFieldCount,
    /// The line contains a NUL byte, which a database cannot store.
    NulByte,
    /// The line is not a valid record.
    InvalidJson,
    /// Records of this type, which the detail names, are exported, but not imported.
    NotImported,
    /// The line does not identify a product, invoice or customer.
    NoKey,
    /// Another line of the file has the same key, such as an ID; the detail names it.
    DuplicateKey,
    /// The number of the invoice or customer is malformed.
    BadKey,
    /// The lines of the product are not consecutive.
    ScatteredProduct,
    /// The product has too many lines.
    TooManyLines,
    /// The path of the category has more levels than the tree of a store.
    TooManyLevels,
    /// The product that the line belongs to was rejected.
    ProductRejected,
    /// The product that the variation belongs to is not in the file, or was rejected.
    UnknownParent,
    /// The store does not sell this type of product.
    UnsupportedType,
    /// The product has no name.
    NoName,
    /// The line has no stock code.
    NoSku,
    /// The price is missing or zero.
    NoPrice,
    /// The price is not a whole number of minor units.
    BadPrice,
    /// The price is negative.
    NegativePrice,
    /// The line has no description.
    NoDescription,
    /// The quantity is not a whole number, or zero.
    BadQuantity,
    /// The quantity is negative outside a cancellation.
    NegativeQuantity,
    /// The quantity is positive in a cancellation.
    PositiveCancellation,
    /// The number is too large.
    TooLarge,
    /// The date is malformed, or before 1970.
    BadDate,
    /// The country is unknown.
    UnknownCountry,
    /// The customer or country differs from that of the invoice.
    InvoiceMismatch,
    /// An option of the product has no value.
    MissingOption,
    /// Another variant of the product has the same option values.
    DuplicateVariant,
    /// Another variant of the file has the same SKU; the detail names its line.
    DuplicateSku,
    /// The tax class is malformed, or another one than that of the rest of the product.
    BadTaxClass,
    /// The product has no valid variant.
    NoVariant,
    /// The store refused the record.
    Refused,
}

impl Reason {
    /// Returns the stable code of the reason, as in the file of rejected lines.
    pub const fn code(self) -> &'static str {
        match self {
            Self::WrongFieldCount => "wrong_field_count",
            Self::NulByte => "nul_byte",
            Self::InvalidJson => "invalid_json",
            Self::NotImported => "not_imported",
            Self::NoKey => "no_key",
            Self::DuplicateKey => "duplicate_key",
            Self::BadKey => "bad_key",
            Self::ScatteredProduct => "scattered_product",
            Self::TooManyLines => "too_many_lines",
            Self::TooManyLevels => "too_many_levels",
            Self::ProductRejected => "product_rejected",
            Self::UnknownParent => "unknown_parent",
            Self::UnsupportedType => "unsupported_type",
            Self::NoName => "no_name",
            Self::NoSku => "no_sku",
            Self::NoPrice => "no_price",
            Self::BadPrice => "bad_price",
            Self::NegativePrice => "negative_price",
            Self::NoDescription => "no_description",
            Self::BadQuantity => "bad_quantity",
            Self::NegativeQuantity => "negative_quantity",
            Self::PositiveCancellation => "positive_cancellation",
            Self::TooLarge => "too_large",
            Self::BadDate => "bad_date",
            Self::UnknownCountry => "unknown_country",
            Self::InvoiceMismatch => "invoice_mismatch",
            Self::MissingOption => "missing_option",
            Self::DuplicateVariant => "duplicate_variant",
            Self::DuplicateSku => "duplicate_sku",
            Self::BadTaxClass => "bad_tax_class",
            Self::NoVariant => "no_variant",
            Self::Refused => "refused",
        }
    }
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
