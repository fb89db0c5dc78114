//! `WooCommerce`'s columns, and what it does to values when it writes them.

use super::super::decimal::{localized_units, units};
use super::super::layout::{Column, Columns};
use super::super::refusal::{Refusal, not_a_number, price};
use super::super::text::plain_text;
use crate::application::import::line::{Reason, SourceLine};
use crate::domain::money::Currency;

/// The columns that are read.
pub(super) struct WoocommerceColumns {
    id: Column,
    r#type: Column,
    sku: Column,
    name: Column,
    published: Column,
    visibility: Column,
    short_description: Column,
    description: Column,
    sale_starts: Column,
    sale_ends: Column,
    in_stock: Column,
    stock: Column,
    sale_price: Column,
    regular_price: Column,
    categories: Column,
    parent: Column,
    attributes: Vec<(Column, Column)>,
}

/// What a line says of its stock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stock {
    /// So many pieces.
    Counted(i64),
    /// Pieces are not counted, it is just there.
    Uncounted,
    /// A variation that takes from its parent's.
    Shared,
}

impl WoocommerceColumns {
    pub(super) fn find(columns: &mut Columns<'_>) -> Self {
        let mut attributes = Vec::new();
        loop {
            let number = attributes.len() + 1;
            let name = columns.optional(&[&format!("Attribute {number} name")]);
            if !name.is_there() {
                break;
            }
            attributes.push((name, columns.optional(&[&format!("Attribute {number} value(s)")])));
        }
        Self {
            id: columns.optional(&["ID"]),
            r#type: columns.required(&["Type"]),
            sku: columns.required(&["SKU"]),
            name: columns.required(&["Name"]),
            published: columns.optional(&["Published"]),
            visibility: columns.optional(&["Visibility in catalog"]),
            short_description: columns.optional(&["Short description"]),
            description: columns.optional(&["Description"]),
            sale_starts: columns.optional(&["Date sale price starts"]),
            sale_ends: columns.optional(&["Date sale price ends"]),
            in_stock: columns.optional(&["In stock?"]),
            stock: columns.optional(&["Stock"]),
            sale_price: columns.optional(&["Sale price"]),
            regular_price: columns.required(&["Regular price"]),
            categories: columns.optional(&["Categories"]),
            parent: columns.optional(&["Parent"]),
            attributes,
        }
    }

    /// The types of the product: one, and perhaps `virtual` and `downloadable` beside it.
    pub(super) fn types(&self, line: &SourceLine) -> Vec<String> {
        list(value(self.r#type, line)).iter().map(|name| name.to_lowercase()).collect()
    }

    /// What the line is known by: its number, or else its SKU.
    pub(super) fn key<'a>(&self, line: &'a SourceLine) -> &'a str {
        match value(self.id, line) {
            "" => value(self.sku, line),
            id => id,
        }
    }

    pub(super) fn sku<'a>(&self, line: &'a SourceLine) -> &'a str {
        value(self.sku, line)
    }

    pub(super) fn name<'a>(&self, line: &'a SourceLine) -> &'a str {
        value(self.name, line)
    }

    /// The product a variation belongs to: a SKU, or `id:` and a number.
    pub(super) fn parent<'a>(&self, line: &'a SourceLine) -> &'a str {
        value(self.parent, line)
    }

    /// Drafts, private and pending products are not published; neither are those hidden from the catalogue.
    pub(super) fn is_published(&self, line: &SourceLine) -> bool {
        ["", "1"].contains(&value(self.published, line)) && value(self.visibility, line) != "hidden"
    }

    /// Short and long description; line breaks are written as `\n`.
    pub(super) fn text(&self, line: &SourceLine) -> String {
        let texts = [self.short_description, self.description].map(|column| {
            let html =
                value(column, line).replace("\\\\n", "\u{0}").replace("\\n", "\n").replace('\u{0}', "\\n");
            plain_text(&html)
        });
        texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// The path of the first category; the store files a product once.
    pub(super) fn category(&self, line: &SourceLine) -> String {
        list(value(self.categories, line)).into_iter().next().unwrap_or_default()
    }

    /// The attributes that have a value on this line, or that are named there.
    pub(super) fn attributes(&self, line: &SourceLine) -> impl Iterator<Item = (String, String)> {
        let pairs = self.attributes.iter().map(|(name, values)| (value(*name, line), value(*values, line)));
        pairs
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, values)| (name.to_owned(), values.replace("\\,", ",")))
    }

    /// What is charged: the sale price, unless the sale is for a time only.
    pub(super) fn price(&self, line: &SourceLine, currency: Currency) -> Result<i64, Refusal> {
        let is_for_a_time =
            [self.sale_starts, self.sale_ends].iter().any(|date| !value(*date, line).is_empty());
        let text = match value(self.sale_price, line) {
            sale if !sale.is_empty() && !is_for_a_time => sale,
            _ => value(self.regular_price, line),
        };
        price(text, localized_units(text, currency.minor_digits()))
    }

    /// What is there; a shop that takes back-orders has a negative quantity, and nothing there.
    pub(super) fn stock(&self, line: &SourceLine) -> Result<Stock, Refusal> {
        match value(self.stock, line) {
            "parent" => Ok(Stock::Shared),
            "" if value(self.in_stock, line) == "0" => Ok(Stock::Counted(0)),
            "" => Ok(Stock::Uncounted),
            text => match units(text, 0) {
                Ok(quantity) => Ok(Stock::Counted(quantity.max(0))),
                Err(fault) => Err(not_a_number(fault, Reason::BadQuantity, text)),
            },
        }
    }
}

/// A value as it was: what a spreadsheet would take for a formula is written behind an apostrophe.
fn value(column: Column, line: &SourceLine) -> &str {
    let text = column.of(line);
    text.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@'])).unwrap_or(text)
}

/// Values with commas between them; a comma within a value has a backslash before it.
fn list(text: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut rest = text;
    while let Some(comma) = rest.find(',') {
        let (before, after) = (&rest[..comma], &rest[comma + 1..]);
        let unescaped = before.strip_suffix('\\');
        if let Some(last) = values.last_mut() {
            last.push_str(unescaped.unwrap_or(before));
            if unescaped.is_some() {
                last.push(',');
            }
        }
        if unescaped.is_none() {
            values.push(String::new());
        }
        rest = after;
    }
    if let Some(last) = values.last_mut() {
        last.push_str(rest);
    }
    values.into_iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_within_a_value_is_not_between_values() {
        assert_eq!(list("Clothing > Shirts, Sale"), ["Clothing > Shirts", "Sale"]);
        assert_eq!(list("Knives\\, forks, Spoons"), ["Knives, forks", "Spoons"]);
        assert_eq!(list(" , "), [""; 0]);
    }
}
