//! `WooCommerce`'s product CSV: a line for each product, and one for each variation, which names its parent.
//!
//! <https://github.com/woocommerce/woocommerce/wiki/Product-CSV-Import-Schema>. The names of the columns are in the
//! shop's language (`translations.rs`). What the columns do not show:
//! - A variation may come anywhere, also before its parent. Both wait for the end of the file, simple products do not.
//! - A variation without a value for an attribute matches any value. An attribute for which no variation has a value is
//!   not an option.
//! - Variations may share their parent's stock. A variant of the store has its own stock, so the pieces are divided
//!   among the variations, and none is sold twice.
//! - A line without a quantity is not counted, nor is one with back-orders, which sells more than there is.
//! - What the store does not use, or only in part, is kept as metadata: on the variant of a variation, and else on the
//!   product.
//! - A variation may have a tax class of its own; in the store, the variants of a product are taxed alike.
//! - Two products may have the same name, so the number is part of the slug.

mod columns;
mod translations;
mod variable;

use std::collections::{BTreeMap, HashMap};
use std::slice;

use jiff::Timestamp;

pub(super) use self::translations::in_english;

use self::columns::{Stock, WoocommerceColumns};
use self::variable::Variable;
use super::Options;
use super::category_tree::{CategoryPath, CategoryTree};
use super::columns::{Column, Columns, Coverage};
use super::error::Fault;
use super::field_parsing::{LineError, quoted, required};
use super::format::Format;
use super::format_reader::{FormatReader, Outcomes};
use super::kept_columns::{KeptColumns, UnusedValues};
use super::keys::Keys;
use super::numbers::{Marks, NumberColumns};
use super::skus::Skus;
use super::text::joined_slug;
use crate::application::import::line::{Fields, Reason, SourceLine};
use crate::application::records::identity::Identity;
use crate::application::records::{ImportedProduct, Record};
use crate::domain::ids::ProductId;
use crate::domain::metadata::Metadata;
use crate::domain::money::Currency;
use crate::domain::product::{Product, ProductKind, Variant};

const IDENTITY: Identity = Identity::new(Format::Woocommerce.name());

/// Reads simple products, and assembles variable ones from their variations.
pub(super) struct Woocommerce {
    parser: LineParser,
    /// The IDs of all lines.
    ids: Keys,
    skus: Skus,
    categories: CategoryTree,
    parents: Vec<Variable>,
    by_reference: HashMap<String, usize>,
    /// The lines of variations, each with its fault if it has one.
    variations: Vec<(SourceLine, Option<LineError>)>,
}

/// Parses single lines.
struct LineParser {
    columns: WoocommerceColumns,
    currency: Currency,
    created_at: Timestamp,
    unused: Vec<Column>,
    kept: KeptColumns,
}

impl Woocommerce {
    pub(super) fn new(header: &Fields, options: &Options) -> Result<Self, Fault> {
        let header = in_english(header);
        let mut columns = Columns::of(&header);
        let found = WoocommerceColumns::find(&mut columns, options.marks);
        let unused = columns.unused();
        columns.check()?;
        let currency = options.currency.ok_or(Fault::CurrencyNeeded)?;
        Ok(Self {
            parser: LineParser {
                columns: found,
                currency,
                created_at: options.created_at,
                unused,
                kept: KeptColumns::of(&header),
            },
            ids: Keys::default(),
            skus: Skus::new(options.suffix_duplicate_skus),
            categories: CategoryTree::new(IDENTITY, options.created_at),
            parents: Vec::new(),
            by_reference: HashMap::new(),
            variations: Vec::new(),
        })
    }

    fn read_simple(&mut self, line: SourceLine, is_digital: bool, out: &mut Outcomes) {
        let category = self.parser.columns.category(&line);
        let parsed = self.parser.product(&line).and_then(|product| {
            let (mut variant, stock) = self.parser.variant(&line, product.id)?;
            let path = CategoryPath::parse(&category)?;
            let sku = self.skus.add(variant.sku.clone(), line.number)?;
            self.parser.set_sku(&line, &mut variant, sku);
            Ok((product, variant, stock, path))
        });
        let (mut product, mut variant, stock, path) = match parsed {
            Ok(parsed) => parsed,
            Err((reason, detail)) => return out.reject(line.reject(reason, detail)),
        };
        if variant.id != IDENTITY.variant(self.parser.columns.key(&line)) {
            product.id = IDENTITY.product(&variant.sku);
            product.slug = joined_slug([product.name.as_str(), variant.sku.as_str()]);
            variant.product_id = product.id;
        }
        product.kind = kind(is_digital);
        product.metadata = self.parser.metadata(&line);
        product.category_id = self.categories.at(&path, out);
        let mut imported = ImportedProduct::new(product);
        imported.add(variant, stock.imported());
        out.entry(Record::Product(imported), vec![line]);
    }

    fn read_parent(&mut self, line: SourceLine, out: &mut Outcomes) {
        let category = self.parser.columns.category(&line);
        let parsed = self.parser.product(&line);
        let parsed = parsed.and_then(|product| Ok((product, CategoryPath::parse(&category)?)));
        let (mut product, path) = match parsed {
            Ok(parsed) => parsed,
            Err((reason, detail)) => return out.reject(line.reject(reason, detail)),
        };
        product.category_id = self.categories.at(&path, out);
        let index = self.parents.len();
        let references =
            [format!("id:{}", self.parser.columns.key(&line)), self.parser.columns.sku(&line).to_owned()];
        for reference in references.into_iter().filter(|reference| !reference.is_empty()) {
            self.by_reference.entry(reference).or_insert(index);
        }
        self.parents.push(Variable::new(product, line));
    }
}

/// Returns how much of the format a header has.
pub(super) fn coverage(header: &Fields) -> Coverage {
    let header = in_english(header);
    let mut columns = Columns::of(&header);
    WoocommerceColumns::find(&mut columns, Marks::default());
    columns.coverage()
}

impl FormatReader for Woocommerce {
    fn numbers(&self) -> NumberColumns {
        self.parser.columns.numbers()
    }

    fn read(&mut self, line: SourceLine, out: &mut Outcomes) {
        let columns = &self.parser.columns;
        let has_id = columns.has_id(&line);
        let repeated = if has_id { self.ids.add(columns.key(&line), line.number).err() } else { None };
        let types = columns.types(&line);
        let is = |name: &str| types.iter().any(|known| known == name);
        if is("variation") {
            self.variations.push((line, repeated));
        } else if let Some((reason, detail)) = repeated {
            out.reject(line.reject(reason, detail));
        } else if is("variable") {
            self.read_parent(line, out);
        } else if is("simple") {
            self.read_simple(line, is("virtual") || is("downloadable"), out);
        } else {
            out.reject(line.reject(Reason::UnsupportedType, types.join(", ")));
        }
    }

    fn finish(&mut self, out: &mut Outcomes) {
        for (line, fault) in std::mem::take(&mut self.variations) {
            let parent = self.parser.columns.parent(&line);
            if let Some(variable) =
                self.by_reference.get(parent).and_then(|index| self.parents.get_mut(*index))
            {
                variable.add(line, fault);
            } else {
                let (reason, detail) = fault.unwrap_or_else(|| (Reason::UnknownParent, quoted(parent)));
                out.reject(line.reject(reason, detail));
            }
        }
        for variable in std::mem::take(&mut self.parents) {
            variable.into_outcomes(&mut self.parser, &mut self.skus, out);
        }
    }

    fn unused_values(&self) -> UnusedValues {
        self.parser.kept.values()
    }
}

impl LineParser {
    /// Returns the product of a line, without category, kind, options and variants.
    fn product(&self, line: &SourceLine) -> Result<Product, LineError> {
        let columns = &self.columns;
        let key = self.key(line)?;
        let name = required(columns.name(line), Reason::NoName)?;
        let slug = joined_slug([name.as_str(), key]);
        Ok(Product {
            description: columns.text(line),
            active: columns.is_published(line),
            tax_class: columns.tax_class(line)?,
            ..Product::new(IDENTITY.product(key), slug, name, self.created_at)
        })
    }

    /// Returns the variant of a line without options, and its stock.
    fn variant(&self, line: &SourceLine, product: ProductId) -> Result<(Variant, Stock), LineError> {
        let columns = &self.columns;
        let key = self.key(line)?;
        let amount = columns.price(line, self.currency)?;
        let stock = columns.stock(line)?;
        let sku = match columns.sku(line) {
            "" => format!("{}-{key}", Format::Woocommerce),
            sku => sku.to_owned(),
        };
        let prices = BTreeMap::from([(self.currency, amount)]);
        Ok((Variant::new(IDENTITY.variant(key), product, sku, prices), stock))
    }

    /// Returns what the store does not use of a line.
    fn metadata(&mut self, line: &SourceLine) -> Metadata {
        let columns = self.unused.iter().copied().chain(self.columns.partly_used(line));
        self.kept.metadata(slice::from_ref(line), columns)
    }

    /// Returns the key of a line.
    fn key<'a>(&self, line: &'a SourceLine) -> Result<&'a str, LineError> {
        match self.columns.key(line) {
            "" if self.columns.are_numbered() => {
                Err((Reason::NoKey, "the columns ID and SKU are empty".to_owned()))
            }
            "" => Err((Reason::NoKey, "there is no column ID, and the column SKU is empty".to_owned())),
            key => Ok(key),
        }
    }

    /// Sets the SKU of a variant, which is also its key if the line has no number.
    fn set_sku(&self, line: &SourceLine, variant: &mut Variant, sku: String) {
        if sku != variant.sku && !self.columns.has_id(line) {
            variant.id = IDENTITY.variant(&sku);
        }
        variant.sku = sku;
    }
}

fn kind(is_digital: bool) -> ProductKind {
    if is_digital { ProductKind::Digital } else { ProductKind::Physical }
}
