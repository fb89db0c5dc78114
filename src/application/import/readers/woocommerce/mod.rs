//! `WooCommerce`'s product CSV: a line a product, variations on lines of their own that name their parent.
//!
//! <https://github.com/woocommerce/woocommerce/wiki/Product-CSV-Import-Schema>. What a reader does not see from the
//! columns:
//! - A variation may stand anywhere, also before its parent: both wait for the end of the file, simple products
//!   do not.
//! - A variation without a value for an attribute goes with any. Attributes that no variation has a value for are
//!   none that one chooses.
//! - Variations may share their parent's stock. Here each has its own: the pieces are dealt out among them, so that
//!   none is sold twice.
//! - Two products may have one name: the number is part of the address.

mod columns;
mod variable;

use std::collections::{BTreeMap, HashMap};

use self::columns::{Stock, WoocommerceColumns};
use self::variable::Variable;
use super::Options;
use super::category_tree::CategoryTree;
use super::error::Fault;
use super::format::Format;
use super::layout::{Columns, Layout, Outcomes};
use super::refusal::{Refusal, present, quoted};
use super::text::joined_slug;
use crate::application::import::identity::Identity;
use crate::application::import::line::{Fields, Reason, SourceLine};
use crate::application::import::record::{ImportedProduct, ImportedVariant, Record};
use crate::domain::money::Currency;
use crate::domain::product::{ProductKind, Translations};

const IDENTITY: Identity = Identity::new(Format::Woocommerce.name());

/// Reads products, and puts variable ones together with their variations.
pub(super) struct Woocommerce {
    lines: Lines,
    categories: CategoryTree,
    parents: Vec<Variable>,
    by_reference: HashMap<String, usize>,
    variations: Vec<SourceLine>,
}

/// What is needed to read a line.
struct Lines {
    columns: WoocommerceColumns,
    currency: Currency,
    uncounted_stock: i64,
}

impl Woocommerce {
    pub(super) fn new(header: &Fields, options: &Options) -> Result<Self, Fault> {
        let mut columns = Columns::of(header);
        let found = WoocommerceColumns::find(&mut columns);
        columns.check()?;
        let currency = options.currency.ok_or(Fault::CurrencyNeeded)?;
        Ok(Self {
            lines: Lines { columns: found, currency, uncounted_stock: options.uncounted_stock },
            categories: CategoryTree::new(IDENTITY),
            parents: Vec::new(),
            by_reference: HashMap::new(),
            variations: Vec::new(),
        })
    }

    fn take_simple(&mut self, line: SourceLine, is_digital: bool, out: &mut Outcomes) {
        let read = self.lines.product(&line).and_then(|product| Ok((product, self.lines.variant(&line)?)));
        let (mut product, variant) = match read {
            Ok(read) => read,
            Err((reason, detail)) => return out.reject(line.reject(reason, detail)),
        };
        product.kind = kind(is_digital);
        product.category = self.categories.at(self.lines.columns.category(&line).split('>'), out);
        product.variants.push(variant);
        out.entry(Record::Product(product), vec![line]);
    }

    fn take_parent(&mut self, line: SourceLine, out: &mut Outcomes) {
        let mut product = match self.lines.product(&line) {
            Ok(product) => product,
            Err((reason, detail)) => return out.reject(line.reject(reason, detail)),
        };
        product.category = self.categories.at(self.lines.columns.category(&line).split('>'), out);
        let index = self.parents.len();
        let references =
            [format!("id:{}", self.lines.columns.key(&line)), self.lines.columns.sku(&line).to_owned()];
        for reference in references.into_iter().filter(|reference| !reference.is_empty()) {
            self.by_reference.entry(reference).or_insert(index);
        }
        self.parents.push(Variable::new(product, line));
    }
}

impl Layout for Woocommerce {
    fn take(&mut self, line: SourceLine, out: &mut Outcomes) {
        let types = self.lines.columns.types(&line);
        let is = |name: &str| types.iter().any(|known| known == name);
        if is("variation") {
            self.variations.push(line);
        } else if is("variable") {
            self.take_parent(line, out);
        } else if is("simple") {
            self.take_simple(line, is("virtual") || is("downloadable"), out);
        } else {
            out.reject(line.reject(Reason::UnsupportedType, types.join(", ")));
        }
    }

    fn finish(&mut self, out: &mut Outcomes) {
        for line in std::mem::take(&mut self.variations) {
            let parent = self.lines.columns.parent(&line);
            if let Some(variable) =
                self.by_reference.get(parent).and_then(|index| self.parents.get_mut(*index))
            {
                variable.add(line);
            } else {
                let detail = quoted(parent);
                out.reject(line.reject(Reason::UnknownParent, detail));
            }
        }
        for variable in std::mem::take(&mut self.parents) {
            variable.give_out(&self.lines, out);
        }
    }
}

impl Lines {
    /// What a line says of the product itself.
    fn product(&self, line: &SourceLine) -> Result<ImportedProduct, Refusal> {
        let columns = &self.columns;
        let key = present(columns.key(line), Reason::NoKey)?;
        let name = present(columns.name(line), Reason::NoName)?;
        Ok(ImportedProduct {
            id: IDENTITY.product(&key),
            slug: joined_slug([name.as_str(), key.as_str()]),
            description: columns.text(line),
            category: None,
            kind: ProductKind::Physical,
            billing_interval: None,
            minimum_age: None,
            tax_class: None,
            active: columns.is_published(line),
            options: Vec::new(),
            translations: Translations::new(),
            variants: Vec::new(),
            created_at: None,
            name,
        })
    }

    /// What a line says of a variant; shared stock is nobody's until it is dealt out.
    fn variant(&self, line: &SourceLine) -> Result<ImportedVariant, Refusal> {
        let columns = &self.columns;
        let key = present(columns.key(line), Reason::NoKey)?;
        let amount = columns.price(line, self.currency)?;
        let stock = match columns.stock(line)? {
            Stock::Counted(quantity) => quantity,
            Stock::Uncounted => self.uncounted_stock,
            Stock::Shared => 0,
        };
        let sku = match columns.sku(line) {
            "" => format!("{}-{key}", Format::Woocommerce),
            sku => sku.to_owned(),
        };
        Ok(ImportedVariant {
            id: IDENTITY.variant(&key),
            sku,
            options: Vec::new(),
            active: true,
            prices: BTreeMap::from([(self.currency, amount)]),
            stock,
        })
    }
}

fn kind(is_digital: bool) -> ProductKind {
    if is_digital { ProductKind::Digital } else { ProductKind::Physical }
}
