//! A product with variations.

use std::collections::BTreeMap;

use super::super::layout::Outcomes;
use super::columns::Stock;
use super::{Lines, kind};
use crate::application::import::line::{Reason, Rejection, SourceLine};
use crate::application::import::record::{ImportedProduct, ImportedVariant, Record};

/// The value of an option that a variation leaves open.
const ANY: &str = "any";

/// A parent, and the variations found so far.
pub(super) struct Variable {
    product: ImportedProduct,
    line: SourceLine,
    variations: Vec<SourceLine>,
}

/// A variation that can be taken.
struct Variation {
    variant: ImportedVariant,
    values: BTreeMap<String, String>,
    shares_stock: bool,
    is_digital: bool,
    line: SourceLine,
}

impl Variable {
    pub(super) fn new(product: ImportedProduct, line: SourceLine) -> Self {
        Self { product, line, variations: Vec::new() }
    }

    pub(super) fn add(&mut self, variation: SourceLine) {
        self.variations.push(variation);
    }

    /// Gives out the product with those variations that can be taken.
    pub(super) fn give_out(mut self, lines: &Lines, out: &mut Outcomes) {
        let mut variations = Vec::new();
        for line in std::mem::take(&mut self.variations) {
            match Variation::read(line, lines) {
                Ok(variation) => variations.push(variation),
                Err(rejection) => out.reject(*rejection),
            }
        }
        let attributes = lines.columns.attributes(&self.line).map(|(name, _)| name);
        self.product.options = attributes
            .filter(|name| variations.iter().any(|variation| variation.values.contains_key(name)))
            .collect();

        let mut taken: Vec<Variation> = Vec::new();
        for mut variation in variations {
            variation.variant.options = variation.choose(&self.product.options);
            if taken.iter().any(|other| other.clashes_with(&variation)) {
                out.reject(variation.line.reject(Reason::DuplicateVariant, variation.variant.sku));
            } else {
                taken.push(variation);
            }
        }
        if taken.is_empty() {
            return out.reject(self.line.reject(Reason::NoVariant, ""));
        }
        if let Err((reason, detail)) = self.deal_out_stock(&mut taken, lines) {
            let see = format!("see line {}", self.line.number);
            out.reject(self.line.reject(reason, detail));
            return taken
                .into_iter()
                .for_each(|other| out.reject(other.line.reject(Reason::ProductRejected, &*see)));
        }
        self.product.kind = kind(taken.iter().all(|variation| variation.is_digital));
        let mut sources = vec![self.line];
        for variation in taken {
            self.product.variants.push(variation.variant);
            sources.push(variation.line);
        }
        out.entry(Record::Product(self.product), sources);
    }

    /// Divides the parent's pieces among the variations that share them; what is left over goes to the first ones.
    fn deal_out_stock(&self, variations: &mut [Variation], lines: &Lines) -> Result<(), super::Refusal> {
        let mut sharing: Vec<_> = variations.iter_mut().filter(|variation| variation.shares_stock).collect();
        let Ok(shares @ 1..) = i64::try_from(sharing.len()) else { return Ok(()) };
        let pieces = match lines.columns.stock(&self.line)? {
            Stock::Counted(pieces) => pieces,
            Stock::Uncounted | Stock::Shared => lines.uncounted_stock,
        };
        for (variation, place) in sharing.iter_mut().zip(0..) {
            variation.variant.stock = pieces / shares + i64::from(place < pieces % shares);
        }
        Ok(())
    }
}

impl Variation {
    fn read(line: SourceLine, lines: &Lines) -> Result<Self, Box<Rejection>> {
        let read = lines.variant(&line).and_then(|variant| Ok((variant, lines.columns.stock(&line)?)));
        let (mut variant, stock) = match read {
            Ok(read) => read,
            Err((reason, detail)) => return Err(Box::new(line.reject(reason, detail))),
        };
        variant.active = lines.columns.is_published(&line);
        let types = lines.columns.types(&line);
        Ok(Self {
            variant,
            values: lines.columns.attributes(&line).filter(|(_, value)| !value.is_empty()).collect(),
            shares_stock: stock == Stock::Shared,
            is_digital: types.iter().any(|name| name == "virtual" || name == "downloadable"),
            line,
        })
    }

    fn clashes_with(&self, other: &Self) -> bool {
        self.variant.sku == other.variant.sku || self.variant.options == other.variant.options
    }

    fn choose(&self, options: &[String]) -> Vec<String> {
        options.iter().map(|name| self.values.get(name).map_or(ANY, String::as_str).to_owned()).collect()
    }
}
