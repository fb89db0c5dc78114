//! Shopify's product CSV: a line a variant, the lines of one product standing together under its handle.
//!
//! <https://help.shopify.com/en/manual/products/import-export/using-csv>. Shopify renamed its columns; both sets of
//! names are read. What a reader does not see from them:
//! - The product's own columns are filled on its first line only, the names of the options too.
//! - A line with no option value, SKU or price holds another picture and nothing else.
//! - A product without options has one called `Title` with the value `Default Title`.
//! - An empty inventory tracker means that pieces are not counted. A shop with several locations exports no
//!   quantities here: its counted variants have none until they are set.
//! - The price column is what is charged; the compare-at price is the one struck out.

mod columns;

use std::collections::{BTreeMap, HashSet};

use self::columns::ShopifyColumns;
use super::Options;
use super::category_tree::CategoryTree;
use super::decimal::units;
use super::error::Fault;
use super::format::Format;
use super::layout::{Column, Columns, Layout, Outcomes};
use super::refusal::{Refusal, present, price};
use super::text::{joined_slug, plain_text};
use crate::application::import::identity::Identity;
use crate::application::import::line::{Fields, Reason, SourceLine};
use crate::application::import::record::{ImportedProduct, ImportedVariant, Record};
use crate::domain::money::Currency;
use crate::domain::product::{ProductKind, Translations};
use crate::domain::slug::slug;

const IDENTITY: Identity = Identity::new(Format::Shopify.name());

/// More than twice the variants Shopify allows a product: what is held of a file stays bounded.
const MAX_LINES: usize = 5_000;

/// Puts products together from lines that stand together.
pub(super) struct Shopify {
    columns: ShopifyColumns,
    currency: Currency,
    uncounted_stock: i64,
    categories: CategoryTree,
    /// The handle of the product that is being read, and its lines.
    handle: String,
    lines: Vec<SourceLine>,
    finished: HashSet<String>,
}

impl Shopify {
    pub(super) fn new(header: &Fields, options: &Options) -> Result<Self, Fault> {
        let mut columns = Columns::of(header);
        let found = ShopifyColumns::find(&mut columns);
        columns.check()?;
        Ok(Self {
            columns: found,
            currency: options.currency.ok_or(Fault::CurrencyNeeded)?,
            uncounted_stock: options.uncounted_stock,
            categories: CategoryTree::new(IDENTITY),
            handle: String::new(),
            lines: Vec::new(),
            finished: HashSet::new(),
        })
    }

    /// Gives out the product whose lines were collected.
    fn finish_product(&mut self, out: &mut Outcomes) {
        let lines = std::mem::take(&mut self.lines);
        let handle = std::mem::take(&mut self.handle);
        let Some(first) = lines.first() else { return };
        self.finished.insert(handle.clone());
        let mut product = match self.product(first, &handle) {
            Ok(product) => product,
            Err((reason, detail)) => return reject_product(lines, reason, &detail, out),
        };
        let options = self.columns.options_of(first);
        let category = self.columns.category.of(first);
        let path = if category.is_empty() { self.columns.r#type.of(first) } else { category };
        product.category = self.categories.at(path.split('>'), out);

        let (mut taken, mut ships) = (Vec::with_capacity(lines.len()), false);
        for (index, line) in lines.into_iter().enumerate() {
            if index > 0 && self.columns.holds_only_a_picture(&line) {
                taken.push(line);
                continue;
            }
            match self.variant(&line, &handle, &options, &product.variants) {
                Ok(variant) => {
                    ships |= !self.columns.shipping.of(&line).eq_ignore_ascii_case("false");
                    product.variants.push(variant);
                    taken.push(line);
                }
                Err((reason, detail)) => out.reject(line.reject(reason, detail)),
            }
        }
        if product.variants.is_empty() {
            return taken.into_iter().for_each(|line| out.reject(line.reject(Reason::NoVariant, "")));
        }
        product.kind = if ships { ProductKind::Physical } else { ProductKind::Digital };
        out.entry(Record::Product(product), taken);
    }

    /// What the first line says of the product itself.
    fn product(&self, first: &SourceLine, handle: &str) -> Result<ImportedProduct, Refusal> {
        let columns = &self.columns;
        if columns.gift_card.of(first).eq_ignore_ascii_case("true") {
            return Err((Reason::UnsupportedType, "a gift card".to_owned()));
        }
        let is_active =
            ["", "active"].iter().any(|status| columns.status.of(first).eq_ignore_ascii_case(status));
        Ok(ImportedProduct {
            id: IDENTITY.product(handle),
            slug: slug(handle),
            name: present(columns.title.of(first), Reason::NoName)?,
            description: plain_text(columns.body.of(first)),
            category: None,
            kind: ProductKind::Physical,
            billing_interval: None,
            minimum_age: None,
            tax_class: None,
            active: is_active && !columns.published.of(first).eq_ignore_ascii_case("false"),
            options: columns.options_of(first).into_iter().map(|(name, _)| name).collect(),
            translations: Translations::new(),
            variants: Vec::new(),
            created_at: None,
        })
    }

    fn variant(
        &self,
        line: &SourceLine,
        handle: &str,
        options: &[(String, Column)],
        others: &[ImportedVariant],
    ) -> Result<ImportedVariant, Refusal> {
        let values = options
            .iter()
            .map(|(name, value)| {
                present(value.of(line), Reason::MissingOption).map_err(|(reason, _)| (reason, name.clone()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let amount = self.columns.price.of(line);
        let amount = price(amount, units(amount, self.currency.minor_digits()))?;
        let sku = match self.columns.sku.of(line) {
            "" => joined_slug(std::iter::once(handle).chain(values.iter().map(String::as_str))),
            sku => sku.to_owned(),
        };
        if others.iter().any(|other| other.sku == sku || other.options == values) {
            return Err((Reason::DuplicateVariant, sku));
        }
        Ok(ImportedVariant {
            id: IDENTITY.variant(&sku),
            sku,
            options: values,
            active: true,
            prices: BTreeMap::from([(self.currency, amount)]),
            stock: self.columns.stock(line, self.uncounted_stock)?,
        })
    }
}

impl Layout for Shopify {
    fn take(&mut self, line: SourceLine, out: &mut Outcomes) {
        let handle = match self.columns.handle.of(&line) {
            "" => slug(self.columns.title.of(&line)),
            handle => handle.to_owned(),
        };
        if slug(&handle).is_empty() {
            return out.reject(line.reject(Reason::NoKey, "neither handle nor title"));
        }
        if self.finished.contains(&handle) {
            return out.reject(line.reject(Reason::ScatteredProduct, handle));
        }
        if handle != self.handle {
            self.finish_product(out);
            self.handle = handle;
        }
        if self.lines.len() == MAX_LINES {
            return out.reject(line.reject(Reason::TooManyLines, format!("more than {MAX_LINES}")));
        }
        self.lines.push(line);
    }

    fn finish(&mut self, out: &mut Outcomes) {
        self.finish_product(out);
    }
}

/// Turns a product away with all of its lines.
fn reject_product(lines: Vec<SourceLine>, reason: Reason, detail: &str, out: &mut Outcomes) {
    let mut lines = lines.into_iter();
    let Some(first) = lines.next() else { return };
    let see = format!("see line {}", first.number);
    out.reject(first.reject(reason, detail));
    lines.for_each(|line| out.reject(line.reject(Reason::ProductRejected, see.as_str())));
}
