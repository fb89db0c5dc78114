//! A product with variations.

use std::collections::{BTreeMap, HashSet};

use super::super::field_parsing::LineError;
use super::super::format_reader::Outcomes;
use super::super::skus::Skus;
use super::columns::Stock;
use super::{LineParser, kind};
use crate::application::import::line::{Reason, SourceLine};
use crate::application::records::{ImportedProduct, ImportedStock, Record};
use crate::domain::product::{Product, Variant};

/// The value of an option for which a variation has none.
const ANY: &str = "any";

/// A variable product, and the lines of its variations.
pub(super) struct Variable {
    product: Product,
    line: SourceLine,
    variations: Vec<SourceLine>,
    /// The faults of lines that were found before their product was known, by their numbers.
    faults: BTreeMap<u64, LineError>,
}

/// A valid variation.
struct Variation<'a> {
    variant: Variant,
    stock: ImportedStock,
    values: BTreeMap<String, String>,
    shares_stock: bool,
    is_digital: bool,
    line: &'a SourceLine,
}

impl Variable {
    pub(super) fn new(product: Product, line: SourceLine) -> Self {
        Self { product, line, variations: Vec::new(), faults: BTreeMap::new() }
    }

    /// Adds the line of a variation, with its fault if it has one.
    pub(super) fn add(&mut self, variation: SourceLine, fault: Option<LineError>) {
        self.faults.extend(fault.map(|fault| (variation.number, fault)));
        self.variations.push(variation);
    }

    /// Adds the product with its variations. One with a faulty line is rejected with all its lines.
    pub(super) fn into_outcomes(self, parser: &mut LineParser, skus: &mut Skus, out: &mut Outcomes) {
        let Self { mut product, line, variations: mut lines, mut faults } = self;
        let mut variations = Vec::with_capacity(lines.len());
        for variation in &lines {
            if faults.contains_key(&variation.number) {
                continue;
            }
            match Variation::parse(variation, &product, parser) {
                Ok(variation) => variations.push(variation),
                Err(fault) => {
                    faults.insert(variation.number, fault);
                }
            }
        }
        let attributes = parser.columns.attributes(&line).map(|(name, _)| name);
        product.options = attributes
            .filter(|name| variations.iter().any(|variation| variation.values.contains_key(name)))
            .collect();
        faults.extend(distinguish(&mut variations, &product.options, parser, skus));
        if lines.is_empty() {
            faults.insert(line.number, (Reason::NoVariant, String::new()));
        }
        if let Err(fault) = distribute_stock(&line, &mut variations, parser) {
            faults.insert(line.number, fault);
        }
        if !faults.is_empty() {
            lines.push(line);
            return out.reject_product(lines, faults);
        }

        product.metadata = parser.metadata(&line);
        product.kind = kind(variations.iter().all(|variation| variation.is_digital));
        let mut imported = ImportedProduct::new(product);
        for Variation { mut variant, stock, line, .. } in variations {
            variant.metadata = parser.metadata(line);
            imported.add(variant, stock);
        }
        lines.insert(0, line);
        out.entry(Record::Product(imported), lines);
    }
}

/// Sets the option values and the SKU of each variation. Returns the faults of those whose values or SKU another one
/// has.
fn distinguish(
    variations: &mut [Variation<'_>],
    options: &[String],
    parser: &LineParser,
    skus: &mut Skus,
) -> Vec<(u64, LineError)> {
    let (mut known, mut faults) = (HashSet::new(), Vec::new());
    for variation in variations {
        variation.variant.options = variation.option_values(options);
        let (number, sku) = (variation.line.number, variation.variant.sku.clone());
        if !known.insert(variation.variant.options.clone()) {
            faults.push((number, (Reason::DuplicateVariant, sku)));
            continue;
        }
        match skus.add(sku, number) {
            Ok(sku) => parser.set_sku(variation.line, &mut variation.variant, sku),
            Err(fault) => faults.push((number, fault)),
        }
    }
    faults
}

/// Divides the stock of the parent's line, if it is counted, evenly among the variations that share it; the first ones
/// get the remainder.
fn distribute_stock(
    parent: &SourceLine,
    variations: &mut [Variation<'_>],
    parser: &LineParser,
) -> Result<(), LineError> {
    let mut sharing: Vec<_> = variations.iter_mut().filter(|variation| variation.shares_stock).collect();
    let Ok(shares @ 1..) = i64::try_from(sharing.len()) else { return Ok(()) };
    if let Stock::Counted(pieces) = parser.columns.stock(parent)? {
        for (variation, position) in sharing.iter_mut().zip(0..) {
            variation.stock = ImportedStock::Given(pieces / shares + i64::from(position < pieces % shares));
        }
    }
    Ok(())
}

impl<'a> Variation<'a> {
    /// Parses the line of a variation of a product.
    fn parse(line: &'a SourceLine, product: &Product, parser: &LineParser) -> Result<Self, LineError> {
        let columns = &parser.columns;
        columns.check_tax_class(line, product.tax_class.as_ref())?;
        let (mut variant, stock) = parser.variant(line, product.id)?;
        variant.active = columns.is_published(line);
        let types = columns.types(line);
        Ok(Self {
            variant,
            stock: stock.imported(),
            values: columns.attributes(line).filter(|(_, value)| !value.is_empty()).collect(),
            shares_stock: stock == Stock::Shared,
            is_digital: types.iter().any(|name| name == "virtual" || name == "downloadable"),
            line,
        })
    }

    /// Returns the value for each option.
    fn option_values(&self, options: &[String]) -> Vec<String> {
        options.iter().map(|name| self.values.get(name).map_or(ANY, String::as_str).to_owned()).collect()
    }
}
