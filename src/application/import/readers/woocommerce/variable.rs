//! A product with variations.

use std::collections::BTreeMap;

use super::super::field_parsing::LineError;
use super::super::format_reader::Outcomes;
use super::super::skus::Skus;
use super::columns::Stock;
use super::{LineParser, kind};
use crate::application::import::line::{Reason, Rejection, SourceLine};
use crate::application::records::{ImportedProduct, ImportedStock, Record};
use crate::domain::product::{Product, Variant};

/// The value of an option for which a variation has none.
const ANY: &str = "any";

/// A variable product, and the lines of its variations.
pub(super) struct Variable {
    product: Product,
    line: SourceLine,
    variations: Vec<SourceLine>,
}

/// A valid variation.
struct Variation {
    variant: Variant,
    stock: ImportedStock,
    values: BTreeMap<String, String>,
    shares_stock: bool,
    is_digital: bool,
    line: SourceLine,
}

impl Variable {
    pub(super) fn new(product: Product, line: SourceLine) -> Self {
        Self { product, line, variations: Vec::new() }
    }

    pub(super) fn add(&mut self, variation: SourceLine) {
        self.variations.push(variation);
    }

    /// Adds the product with its valid variations, and rejects the others.
    pub(super) fn into_outcomes(mut self, parser: &mut LineParser, skus: &mut Skus, out: &mut Outcomes) {
        let mut variations = Vec::new();
        for line in std::mem::take(&mut self.variations) {
            match Variation::parse(line, &self.product, parser) {
                Ok(variation) => variations.push(variation),
                Err(rejection) => out.reject(*rejection),
            }
        }
        let attributes = parser.columns.attributes(&self.line).map(|(name, _)| name);
        self.product.options = attributes
            .filter(|name| variations.iter().any(|variation| variation.values.contains_key(name)))
            .collect();

        let mut accepted: Vec<Variation> = Vec::new();
        for mut variation in variations {
            variation.variant.options = variation.option_values(&self.product.options);
            let Variant { sku, options, .. } = &variation.variant;
            if accepted.iter().any(|other| other.variant.options == *options) {
                out.reject(variation.line.reject(Reason::DuplicateVariant, variation.variant.sku));
                continue;
            }
            match skus.add(sku.clone(), variation.line.number) {
                Ok(sku) => {
                    variation.variant = parser.with_sku(&variation.line, variation.variant, sku);
                    variation.variant.metadata = parser.metadata(&variation.line);
                    accepted.push(variation);
                }
                Err((reason, detail)) => out.reject(variation.line.reject(reason, detail)),
            }
        }
        if accepted.is_empty() {
            return out.reject(self.line.reject(Reason::NoVariant, ""));
        }
        if let Err((reason, detail)) = self.distribute_stock(&mut accepted, parser) {
            let cause = format!("see line {}", self.line.number);
            out.reject(self.line.reject(reason, detail));
            return accepted
                .into_iter()
                .for_each(|other| out.reject(other.line.reject(Reason::ProductRejected, &*cause)));
        }

        self.product.kind = kind(accepted.iter().all(|variation| variation.is_digital));
        let mut lines = vec![self.line];
        let mut imported = ImportedProduct::new(self.product);
        for variation in accepted {
            imported.add(variation.variant, variation.stock);
            lines.push(variation.line);
        }
        out.entry(Record::Product(imported), lines);
    }

    /// Divides the parent's stock, if it is counted, evenly among the variations that share it; the first ones get the
    /// remainder.
    fn distribute_stock(&self, variations: &mut [Variation], parser: &LineParser) -> Result<(), LineError> {
        let mut sharing: Vec<_> = variations.iter_mut().filter(|variation| variation.shares_stock).collect();
        let Ok(shares @ 1..) = i64::try_from(sharing.len()) else { return Ok(()) };
        if let Stock::Counted(pieces) = parser.columns.stock(&self.line)? {
            for (variation, position) in sharing.iter_mut().zip(0..) {
                variation.stock =
                    ImportedStock::Given(pieces / shares + i64::from(position < pieces % shares));
            }
        }
        Ok(())
    }
}

impl Variation {
    /// Parses the line of a variation of a product.
    fn parse(line: SourceLine, product: &Product, parser: &LineParser) -> Result<Self, Box<Rejection>> {
        let columns = &parser.columns;
        let taxed = columns.check_tax_class(&line, product.tax_class.as_ref());
        let (mut variant, stock) = match taxed.and_then(|()| parser.variant(&line, product.id)) {
            Ok(parsed) => parsed,
            Err((reason, detail)) => return Err(Box::new(line.reject(reason, detail))),
        };
        variant.active = columns.is_published(&line);
        let types = columns.types(&line);
        Ok(Self {
            variant,
            stock: stock.imported(),
            values: columns.attributes(&line).filter(|(_, value)| !value.is_empty()).collect(),
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
