//! Shopify's product CSV: a line for each variant; the lines of a product are consecutive and share its handle.
//!
//! <https://help.shopify.com/en/manual/products/import-export/using-csv>. Shopify renamed its columns; both sets of
//! names are read. What the columns do not show:
//! - The columns of the product and the names of the options are filled on its first line only.
//! - A line without option value, SKU and price contains only another picture.
//! - A product without options has one called `Title` with the value `Default Title`.
//! - An empty inventory tracker means that stock is not counted. The policy `continue` sells more than there is, which
//!   is not counted in the store either. A shop with several locations exports no quantities: the stock of its counted
//!   variants is 0 until it is set.
//! - What the store does not use is kept as metadata: on the variant of the line, or on the product, whose values on
//!   several lines are those of its pictures.
//! - A variant may be sold without tax; in the store, the variants of a product are taxed alike.
//! - The price column is the price that is charged; the compare-at price is the former one.

mod columns;

use std::collections::{BTreeMap, HashSet};
use std::slice;

use jiff::Timestamp;

use self::columns::{ShopifyColumns, is_of_variant};
use super::Options;
use super::category_tree::{CategoryPath, CategoryTree};
use super::columns::{Column, Columns, Coverage};
use super::error::Fault;
use super::field_parsing::{LineError, quoted, required};
use super::format::Format;
use super::format_reader::{FormatReader, Outcomes};
use super::kept_columns::{KeptColumns, UnusedValues};
use super::numbers::{Marks, NumberColumns};
use super::skus::Skus;
use super::text::{joined_slug, plain_text};
use crate::application::import::line::{Fields, Reason, SourceLine};
use crate::application::records::identity::Identity;
use crate::application::records::{ImportedProduct, ImportedStock, Record};
use crate::domain::money::Currency;
use crate::domain::product::{Product, ProductKind, Variant};
use crate::domain::slug::{slug, uncut_slug};

const IDENTITY: Identity = Identity::new(Format::Shopify.name());

/// The most lines of a product, more than twice the variants that Shopify allows. It bounds the memory.
const MAX_LINES: usize = 5_000;

/// Assembles products from consecutive lines.
pub(super) struct Shopify {
    columns: ShopifyColumns,
    /// The columns that the store does not use, of the product and of the variant of a line.
    unused: (Vec<Column>, Vec<Column>),
    kept: KeptColumns,
    currency: Currency,
    created_at: Timestamp,
    skus: Skus,
    categories: CategoryTree,
    /// The handle of the product that is being read.
    handle: String,
    /// The lines of the product that is being read.
    lines: Vec<SourceLine>,
    /// The faults of those lines that are malformed as a whole, by their numbers.
    faults: BTreeMap<u64, LineError>,
    /// The handles of the products that were read to their last line.
    finished: HashSet<String>,
}

impl Shopify {
    pub(super) fn new(header: &Fields, options: &Options) -> Result<Self, Fault> {
        let mut columns = Columns::of(header);
        let found = ShopifyColumns::find(&mut columns, options.marks);
        let is_of_product = |column: &Column| {
            column.index().and_then(|index| header.get(index)).is_none_or(|name| !is_of_variant(name))
        };
        let unused = columns.unused().into_iter().partition(is_of_product);
        columns.check()?;
        Ok(Self {
            columns: found,
            unused,
            kept: KeptColumns::of(header),
            currency: options.currency.ok_or(Fault::CurrencyNeeded)?,
            created_at: options.created_at,
            skus: Skus::new(options.suffix_duplicate_skus),
            categories: CategoryTree::new(IDENTITY, options.created_at),
            handle: String::new(),
            lines: Vec::new(),
            faults: BTreeMap::new(),
            finished: HashSet::new(),
        })
    }

    /// Adds a line to the product that it belongs to, with its fault if it is malformed as a whole.
    fn add(&mut self, line: SourceLine, fault: Option<LineError>, out: &mut Outcomes) {
        let handle = match self.columns.handle.of(&line) {
            "" => uncut_slug(self.columns.title.of(&line)),
            handle => handle.to_owned(),
        };
        let rejection = if slug(&handle).is_empty() {
            Some((Reason::NoKey, missing_key(&handle)))
        } else if self.finished.contains(&handle) {
            Some((Reason::ScatteredProduct, handle.clone()))
        } else {
            None
        };
        if let Some(rejection) = rejection {
            let (reason, detail) = fault.unwrap_or(rejection);
            return out.reject(line.reject(reason, detail));
        }

        if handle != self.handle {
            self.finish_product(out);
            self.handle = handle;
        }
        if self.lines.len() == MAX_LINES {
            return out.reject(line.reject(Reason::TooManyLines, format!("more than {MAX_LINES}")));
        }
        self.faults.extend(fault.map(|fault| (line.number, fault)));
        self.lines.push(line);
    }

    /// Adds the outcomes of the product that is being read: one with a faulty line is rejected with all its lines.
    fn finish_product(&mut self, out: &mut Outcomes) {
        let lines = std::mem::take(&mut self.lines);
        let handle = std::mem::take(&mut self.handle);
        let mut faults = std::mem::take(&mut self.faults);
        let Some(first) = lines.first() else { return };
        self.finished.insert(handle.clone());
        let malformed = faults.get(&first.number).cloned();
        let parsed = malformed.map_or_else(|| self.product(first, &handle), Err);
        let parsed =
            parsed.and_then(|product| Ok((product, CategoryPath::parse(self.columns.category_of(first))?)));
        let (product, path) = match parsed {
            Ok(parsed) => parsed,
            Err(fault) => {
                faults.insert(first.number, fault);
                return out.reject_product(lines, faults);
            }
        };

        let options = self.columns.options_of(first);
        let mut imported = ImportedProduct::new(product);
        for line in &lines {
            if faults.contains_key(&line.number) || !self.columns.is_variant(line, first) {
                continue;
            }
            match self.variant(line, &handle, &options, &imported.product) {
                Ok((variant, stock)) => {
                    if imported.product.variants.is_empty() {
                        imported.product.tax_class = self.columns.tax_class(line);
                    }
                    imported.add(variant, stock);
                }
                Err(fault) => {
                    faults.insert(line.number, fault);
                }
            }
        }
        if !faults.is_empty() {
            return out.reject_product(lines, faults);
        }
        imported.product.category_id = self.categories.at(&path, out);
        self.complete(&mut imported.product, first, &lines);
        out.entry(Record::Product(imported), lines);
    }

    /// Adds the kind and the metadata to a product with all its variants.
    fn complete(&mut self, product: &mut Product, first: &SourceLine, lines: &[SourceLine]) {
        // a product of the store has no type beside its category
        let has_category = !self.columns.category.of(first).is_empty();
        let r#type = has_category.then_some(self.columns.r#type);
        product.metadata = self.kept.metadata(lines, self.unused.0.iter().copied().chain(r#type));

        let (of_variants, of_pictures): (Vec<_>, Vec<_>) =
            lines.iter().partition(|line| self.columns.is_variant(line, first));
        for (variant, line) in product.variants.iter_mut().zip(&of_variants) {
            variant.metadata = self.kept.metadata(slice::from_ref(*line), self.unused.1.iter().copied());
        }
        for line in of_pictures {
            self.kept.count(line, &self.unused.1);
        }
        let ships = |line: &&SourceLine| !self.columns.shipping.of(line).eq_ignore_ascii_case("false");
        let is_physical = of_variants.iter().any(ships);
        product.kind = if is_physical { ProductKind::Physical } else { ProductKind::Digital };
    }

    /// Returns the product of a first line, without category, kind and variants.
    fn product(&self, first: &SourceLine, handle: &str) -> Result<Product, LineError> {
        let columns = &self.columns;
        if columns.gift_card.of(first).eq_ignore_ascii_case("true") {
            return Err((Reason::UnsupportedType, "a gift card".to_owned()));
        }
        let is_active =
            ["", "active"].iter().any(|status| columns.status.of(first).eq_ignore_ascii_case(status));
        let name = required(columns.title.of(first), Reason::NoName)?;
        Ok(Product {
            description: plain_text(columns.body.of(first)),
            active: is_active && !columns.published.of(first).eq_ignore_ascii_case("false"),
            options: columns.options_of(first).into_iter().map(|(name, _)| name).collect(),
            ..Product::new(IDENTITY.product(handle), slug(handle), name, self.created_at)
        })
    }

    /// Returns the variant of a line, with its stock.
    fn variant(
        &mut self,
        line: &SourceLine,
        handle: &str,
        options: &[(String, Column)],
        product: &Product,
    ) -> Result<(Variant, ImportedStock), LineError> {
        let value_of = |(name, value): &(String, Column)| {
            required(value.of(line), Reason::MissingOption).map_err(|(reason, _)| (reason, name.clone()))
        };
        let values = options.iter().map(value_of).collect::<Result<Vec<_>, _>>()?;
        let amount = self.columns.price(line, self.currency)?;
        let sku = match self.columns.sku.of(line) {
            "" => joined_slug(std::iter::once(handle).chain(values.iter().map(String::as_str))),
            sku => sku.to_owned(),
        };
        if product.variants.iter().any(|other| other.options == values) {
            return Err((Reason::DuplicateVariant, sku));
        }
        if !product.variants.is_empty() && self.columns.tax_class(line) != product.tax_class {
            return Err((Reason::BadTaxClass, "the variants of a product are taxed alike".to_owned()));
        }
        let stock = self.columns.stock(line)?;
        let sku = self.skus.add(sku, line.number)?;
        let prices = BTreeMap::from([(self.currency, amount)]);
        let variant =
            Variant { options: values, ..Variant::new(IDENTITY.variant(&sku), product.id, sku, prices) };
        Ok((variant, stock))
    }
}

/// Returns why a line has no key: its handle, or what follows from its title, is empty or has only other
/// characters.
fn missing_key(handle: &str) -> String {
    if handle.is_empty() {
        "the columns Handle and Title are empty".to_owned()
    } else {
        format!("the handle {} has neither a letter nor a digit", quoted(handle))
    }
}

/// Returns how much of the format a header has.
pub(super) fn coverage(header: &Fields) -> Coverage {
    let mut columns = Columns::of(header);
    ShopifyColumns::find(&mut columns, Marks::default());
    columns.coverage()
}

impl FormatReader for Shopify {
    fn numbers(&self) -> NumberColumns {
        self.columns.numbers()
    }

    fn read(&mut self, line: SourceLine, out: &mut Outcomes) {
        self.add(line, None, out);
    }

    /// The handle is one of the first columns, so it is also that of a line with a wrong number of fields.
    fn reject(&mut self, line: SourceLine, fault: LineError, out: &mut Outcomes) {
        self.add(line, Some(fault), out);
    }

    fn finish(&mut self, out: &mut Outcomes) {
        self.finish_product(out);
    }

    fn unused_values(&self) -> UnusedValues {
        self.kept.values()
    }
}
