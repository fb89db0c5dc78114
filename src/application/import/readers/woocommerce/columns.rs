//! `WooCommerce`'s columns, and how it escapes their values.

use super::super::columns::{Column, Columns};
use super::super::field_parsing::{LineError, number_error, price, quoted};
use super::super::numbers::{Marks, NumberColumns};
use super::super::text::plain_text;
use crate::application::import::line::{Reason, SourceLine};
use crate::application::records::ImportedStock;
use crate::domain::money::Currency;
use crate::domain::slug::slug;
use crate::domain::tax::TaxClass;

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
    tax_status: Column,
    tax_class: Column,
    in_stock: Column,
    stock: Column,
    backorders: Column,
    sale_price: Column,
    regular_price: Column,
    categories: Column,
    parent: Column,
    attributes: Vec<(Column, Column)>,
    marks: Marks,
}

/// The stock of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stock {
    /// This many pieces.
    Counted(i64),
    /// Stock is not counted, or back-orders are accepted.
    NotCounted,
    /// A variation shares the stock of its parent.
    Shared,
}

impl Stock {
    /// Returns the stock to import; nothing is counted for a parent that has no stock to share.
    pub(super) fn imported(self) -> ImportedStock {
        match self {
            Self::Counted(pieces) => ImportedStock::Given(pieces),
            Self::NotCounted | Self::Shared => ImportedStock::NotCounted,
        }
    }
}

impl WoocommerceColumns {
    pub(super) fn find(columns: &mut Columns<'_>, marks: Marks) -> Self {
        let mut attributes = Vec::new();
        loop {
            let number = attributes.len() + 1;
            let name = columns.optional(&[&format!("Attribute {number} name")]);
            if !name.exists() {
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
            tax_status: columns.optional(&["Tax status"]),
            tax_class: columns.optional(&["Tax class"]),
            in_stock: columns.optional(&["In stock?"]),
            stock: columns.optional(&["Stock"]),
            backorders: columns.optional(&["Backorders allowed?"]),
            sale_price: columns.optional(&["Sale price"]),
            regular_price: columns.required(&["Regular price"]),
            categories: columns.optional(&["Categories"]),
            parent: columns.optional(&["Parent"]),
            attributes,
            marks,
        }
    }

    /// Returns the columns with numbers.
    pub(super) fn numbers(&self) -> NumberColumns {
        NumberColumns::new(vec![self.regular_price, self.sale_price], vec![self.stock])
    }

    /// Returns the types of a product: one, and optionally `virtual` and `downloadable`.
    pub(super) fn types(&self, line: &SourceLine) -> Vec<String> {
        list(self.r#type.of(line)).iter().map(|name| name.to_lowercase()).collect()
    }

    /// Returns the key of a line: the number, or else the SKU.
    pub(super) fn key<'a>(&self, line: &'a SourceLine) -> &'a str {
        match self.id.of(line) {
            "" => self.sku.of(line),
            id => id,
        }
    }

    /// Returns whether the file has a column of numbers.
    pub(super) fn are_numbered(&self) -> bool {
        self.id.exists()
    }

    /// Returns whether a line has a number.
    pub(super) fn has_id(&self, line: &SourceLine) -> bool {
        !self.id.of(line).is_empty()
    }

    pub(super) fn sku<'a>(&self, line: &'a SourceLine) -> &'a str {
        self.sku.of(line)
    }

    pub(super) fn name<'a>(&self, line: &'a SourceLine) -> &'a str {
        self.name.of(line)
    }

    /// Returns the reference of a variation to its product: a SKU, or `id:` and a number.
    pub(super) fn parent<'a>(&self, line: &'a SourceLine) -> &'a str {
        self.parent.of(line)
    }

    /// Returns whether shoppers see a product: not if it is a draft, private, pending or hidden.
    pub(super) fn is_published(&self, line: &SourceLine) -> bool {
        ["", "1"].contains(&self.published.of(line)) && self.visibility.of(line) != "hidden"
    }

    /// Returns the short and the long description. Line breaks are written as `\n` in the file.
    pub(super) fn text(&self, line: &SourceLine) -> String {
        let texts = [self.short_description, self.description].map(|column| {
            let html = column.of(line).replace("\\\\n", "\u{0}").replace("\\n", "\n").replace('\u{0}', "\\n");
            plain_text(&html)
        });
        texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// Returns the path of the first category, because a product of the store has only one.
    pub(super) fn category(&self, line: &SourceLine) -> String {
        list(self.categories.of(line)).into_iter().next().unwrap_or_default()
    }

    /// Returns the attributes that are named on a line, with their values.
    pub(super) fn attributes(&self, line: &SourceLine) -> impl Iterator<Item = (String, String)> {
        let pairs = self.attributes.iter().map(|(name, values)| (name.of(line), values.of(line)));
        pairs
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, values)| (name.to_owned(), values.replace("\\,", ",")))
    }

    /// Returns the price that is charged: the sale price, unless the sale is limited in time.
    pub(super) fn price(&self, line: &SourceLine, currency: Currency) -> Result<i64, LineError> {
        let is_limited = [self.sale_starts, self.sale_ends].iter().any(|date| !date.of(line).is_empty());
        let text = match self.sale_price.of(line) {
            sale if !sale.is_empty() && !is_limited => sale,
            _ => self.regular_price.of(line),
        };
        price(text, self.marks.price(text, currency))
    }

    /// Returns the tax class of a product: `zero` if it is not taxed, none if it has the standard rate.
    pub(super) fn tax_class(&self, line: &SourceLine) -> Result<Option<TaxClass>, LineError> {
        if ["none", "shipping"].contains(&self.tax_status.of(line)) {
            return Ok(Some(TaxClass::zero()));
        }
        let text = self.tax_class.of(line);
        let class = slug(text);
        let name = match class.as_str() {
            "" => return Ok(None),
            "reduced-rate" => "reduced",
            "zero-rate" => "zero",
            other => other,
        };
        name.parse().map(Some).map_err(|_| (Reason::BadTaxClass, quoted(text)))
    }

    /// Refuses a variation whose tax class is neither its parent's nor the given one, which is that of the parent.
    pub(super) fn check_tax_class(
        &self,
        line: &SourceLine,
        parent: Option<&TaxClass>,
    ) -> Result<(), LineError> {
        if ["", "parent"].contains(&self.tax_class.of(line)) || self.tax_class(line)?.as_ref() == parent {
            return Ok(());
        }
        Err((Reason::BadTaxClass, format!("{} is not that of the product", quoted(self.tax_class.of(line)))))
    }

    /// Returns the columns of whose value on a line the store uses only a part: the first of several categories,
    /// the price that is charged now, and attributes that may not be options.
    pub(super) fn partly_used(&self, line: &SourceLine) -> Vec<Column> {
        let mut columns = Vec::new();
        if list(self.categories.of(line)).len() > 1 {
            columns.push(self.categories);
        }
        if !self.sale_price.of(line).is_empty() {
            columns.extend([self.regular_price, self.sale_price, self.sale_starts, self.sale_ends]);
        }
        if !self.types(line).iter().any(|name| name == "variation") {
            columns.extend(self.attributes.iter().flat_map(|&(name, values)| [name, values]));
        }
        columns
    }

    /// Returns the stock. A negative quantity is a stock of 0.
    pub(super) fn stock(&self, line: &SourceLine) -> Result<Stock, LineError> {
        let accepts_backorders = !["", "0"].contains(&self.backorders.of(line));
        match self.stock.of(line) {
            "parent" => Ok(Stock::Shared),
            "" if self.in_stock.of(line) == "0" => Ok(Stock::Counted(0)),
            "" => Ok(Stock::NotCounted),
            text => match self.marks.quantity(text) {
                Ok(_) if accepts_backorders => Ok(Stock::NotCounted),
                Ok(quantity) => Ok(Stock::Counted(quantity.max(0))),
                Err(fault) => Err(number_error(fault, Reason::BadQuantity, text)),
            },
        }
    }
}

/// Splits values at commas. A comma within a value is preceded by a backslash.
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
    fn an_escaped_comma_does_not_separate_values() {
        assert_eq!(list("Clothing > Shirts, Sale"), ["Clothing > Shirts", "Sale"]);
        assert_eq!(list("Knives\\, forks, Spoons"), ["Knives, forks", "Spoons"]);
        assert_eq!(list(" , "), [""; 0]);
    }
}
