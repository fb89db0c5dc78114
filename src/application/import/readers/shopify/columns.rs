//! Shopify's columns, by their old and new names.

use super::super::columns::{Column, Columns};
use super::super::field_parsing::{LineError, number_error, price};
use super::super::numbers::{Marks, NumberColumns};
use crate::application::import::line::{Reason, SourceLine};
use crate::application::records::ImportedStock;
use crate::domain::money::Currency;
use crate::domain::tax::TaxClass;

/// How the names of the columns of a variant begin, in lower case.
const OF_VARIANT: [&str; 9] = [
    "variant ",
    "barcode",
    "compare",
    "cost per item",
    "fulfillment",
    "price /",
    "tax code",
    "unit price",
    "weight",
];

/// Returns whether the column with a name describes the variant of a line; the others describe the product.
pub(super) fn is_of_variant(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let is_of_product = name.contains("(product.metafields");
    !is_of_product
        && (name.contains("(variant.metafields") || OF_VARIANT.iter().any(|start| name.starts_with(start)))
}

/// The columns that are read.
pub(super) struct ShopifyColumns {
    pub(super) handle: Column,
    pub(super) title: Column,
    pub(super) body: Column,
    pub(super) category: Column,
    pub(super) r#type: Column,
    pub(super) published: Column,
    pub(super) status: Column,
    pub(super) gift_card: Column,
    options: [(Column, Column); 3],
    pub(super) sku: Column,
    price: Column,
    tracker: Column,
    quantity: Column,
    policy: Column,
    pub(super) shipping: Column,
    taxable: Column,
    marks: Marks,
}

impl ShopifyColumns {
    pub(super) fn find(columns: &mut Columns<'_>, marks: Marks) -> Self {
        Self {
            handle: columns.required(&["Handle", "URL handle"]),
            title: columns.required(&["Title"]),
            body: columns.optional(&["Body (HTML)", "Description"]),
            category: columns.optional(&["Product category"]),
            r#type: columns.optional(&["Type"]),
            published: columns.optional(&["Published", "Published on online store"]),
            status: columns.optional(&["Status"]),
            gift_card: columns.optional(&["Gift card"]),
            options: [
                (columns.optional(&["Option1 name"]), columns.optional(&["Option1 value"])),
                (columns.optional(&["Option2 name"]), columns.optional(&["Option2 value"])),
                (columns.optional(&["Option3 name"]), columns.optional(&["Option3 value"])),
            ],
            sku: columns.optional(&["Variant SKU", "SKU"]),
            price: columns.required(&["Variant Price", "Price"]),
            tracker: columns.optional(&["Variant Inventory Tracker", "Inventory tracker"]),
            quantity: columns.optional(&["Variant Inventory Qty", "Inventory quantity"]),
            policy: columns.optional(&["Variant Inventory Policy", "Continue selling when out of stock"]),
            shipping: columns.optional(&["Variant Requires Shipping", "Requires shipping"]),
            taxable: columns.optional(&["Variant Taxable", "Charge tax"]),
            marks,
        }
    }

    /// Returns the columns with numbers.
    pub(super) fn numbers(&self) -> NumberColumns {
        NumberColumns::new(vec![self.price], vec![self.quantity])
    }

    /// Returns the price of a line.
    pub(super) fn price(&self, line: &SourceLine, currency: Currency) -> Result<i64, LineError> {
        let text = self.price.of(line);
        price(text, self.marks.price(text, currency))
    }

    /// Returns whether a line of a product contains a variant, as the first one does, and not only another picture.
    pub(super) fn is_variant(&self, line: &SourceLine, first: &SourceLine) -> bool {
        let values = self.options.map(|(_, value)| value);
        let mut columns = [self.sku, self.price].into_iter().chain(values);
        line.number == first.number || columns.any(|column| !column.of(line).is_empty())
    }

    /// Returns the path of a product's category, or else its type.
    pub(super) fn category_of<'a>(&self, first: &'a SourceLine) -> &'a str {
        match self.category.of(first) {
            "" => self.r#type.of(first),
            category => category,
        }
    }

    /// Returns the names of a product's options, and the columns of their values.
    pub(super) fn options_of(&self, first: &SourceLine) -> Vec<(String, Column)> {
        let named = self.options.into_iter().map(|(name, value)| (name.of(first).to_owned(), value));
        named
            .filter(|(name, value)| {
                !name.is_empty() && (name != "Title" || value.of(first) != "Default Title")
            })
            .collect()
    }

    /// Returns the tax class of a line: none, unless it is sold without tax.
    pub(super) fn tax_class(&self, line: &SourceLine) -> Option<TaxClass> {
        self.taxable.of(line).eq_ignore_ascii_case("false").then(TaxClass::zero)
    }

    /// Returns the stock. A negative quantity is a stock of 0.
    pub(super) fn stock(&self, line: &SourceLine) -> Result<ImportedStock, LineError> {
        let (tracker, quantity) = (self.tracker, self.quantity.of(line));
        let is_counted = if tracker.exists() { !tracker.of(line).is_empty() } else { !quantity.is_empty() };
        let policy = self.policy.of(line);
        let is_sold_beyond = ["continue", "true"].iter().any(|value| policy.eq_ignore_ascii_case(value));
        match self.marks.quantity(quantity) {
            _ if !is_counted || is_sold_beyond => Ok(ImportedStock::NotCounted),
            _ if quantity.is_empty() => Ok(ImportedStock::Missing),
            Ok(quantity) => Ok(ImportedStock::Given(quantity.max(0))),
            Err(fault) => Err(number_error(fault, Reason::BadQuantity, quantity)),
        }
    }
}
