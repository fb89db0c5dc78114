//! Our own layout: a JSON object a line, each saying its `type`. What `export` writes, `import` reads.
//!
//! An `id` is a UUID, or any text, from which a UUID is then derived: a catalogue written by hand can call a
//! category `tea`, and refer to it so. Categories come before what is in them.

mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use uuid::Uuid;

use self::lines::{CategoryLine, CustomerLine, ProductLine, VariantLine};
use super::bounded_lines::{Appended, BoundedLines, MAX_RECORD};
use super::error::{Fault, ReadError};
use super::format::Format;
use super::layout::{Layout, Outcomes};
use super::text::slug;
use crate::application::import::identity::Identity;
use crate::application::import::line::{Fields, Reason, SourceLine};
use crate::application::import::record::{
    ImportedCategory, ImportedCustomer, ImportedProduct, ImportedVariant, Record,
};
use crate::domain::money::{Currency, Money};
use crate::domain::product::ProductKind;

const IDENTITY: Identity = Identity::new(Format::JsonLines.name());

/// The next line that is not empty, and its number.
pub(super) fn next_line<R: BufRead>(lines: &mut BoundedLines<R>) -> Result<Option<(u64, Fields)>, ReadError> {
    let mut raw = Vec::new();
    loop {
        raw.clear();
        let number = lines.next_number();
        match lines.append_to(&mut raw)? {
            Appended::Nothing => return Ok(None),
            Appended::Full => return Err(Fault::RecordTooLarge { limit: MAX_RECORD }.at_line(number)),
            Appended::Line => {}
        }
        let text = std::str::from_utf8(&raw)
            .map_err(|error| Fault::NotUtf8.at(&raw, number, error.valid_up_to()))?
            .trim_end_matches(['\r', '\n']);
        if !text.trim().is_empty() {
            return Ok(Some((number, [text].into_iter().collect())));
        }
    }
}

/// Reads each line by itself.
pub(super) struct JsonLines;

impl Layout for JsonLines {
    fn take(&mut self, line: SourceLine, out: &mut Outcomes) {
        match record(line.fields.get(0).unwrap_or_default()) {
            Ok(record) => out.entry(record, vec![line]),
            Err(detail) => out.reject(line.reject(Reason::InvalidJson, detail)),
        }
    }

    fn finish(&mut self, _: &mut Outcomes) {}
}

fn record(text: &str) -> Result<Record, String> {
    if escapes_nul(text) {
        return Err(": \\u0000 is a character that a database cannot keep".to_owned());
    }
    let Typed { r#type } = parse(text)?;
    match r#type.as_str() {
        "category" => parse::<CategoryLine>(text)?.record(),
        "product" => parse::<ProductLine>(text)?.record(),
        "customer" => parse::<CustomerLine>(text)?.record(),
        _ => Err("/type: expected category, product or customer".to_owned()),
    }
}

fn escapes_nul(text: &str) -> bool {
    let backslashes_before = |at: usize| text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
    // after an even number of backslashes the one that is found begins an escape
    text.match_indices("\\u0000").any(|(at, _)| backslashes_before(at) % 2 == 0)
}

/// Says where in the line it went wrong, by JSON pointer and by column.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| format!("{}: {}", pointer(error.path()), described(error.inner())))?;
    json.end().map_err(|error| format!(": {}", described(&error)))?;
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let steps = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => "/?".to_owned(),
    });
    steps.collect()
}

/// The error with its column alone: to the JSON reader each record is line 1.
fn described(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    format!("{message} (column {})", error.column())
}

/// Reads only the type, to know as what to read the rest.
#[derive(Deserialize)]
struct Typed {
    r#type: String,
}

impl CategoryLine {
    fn record(self) -> Result<Record, String> {
        Ok(Record::Category(ImportedCategory {
            id: id(&self.id, "/id", Identity::category)?,
            parent: self.parent.map(|parent| id(&parent, "/parent", Identity::category)).transpose()?,
            slug: slug_or_from(self.slug, &self.name)?,
            name: present(self.name, "/name")?,
            tax_class: self.tax_class,
            translations: self.translations,
        }))
    }
}

impl ProductLine {
    fn record(self) -> Result<Record, String> {
        if (self.kind == ProductKind::Subscription) != self.billing_interval.is_some() {
            return Err("/billing_interval: belongs to a subscription, and to nothing else".to_owned());
        }
        if self.minimum_age.is_some_and(|age| !(1..=120).contains(&age)) {
            return Err("/minimum_age: expected 1 to 120 years".to_owned());
        }
        let mut variants = Vec::with_capacity(self.variants.len());
        let (mut skus, mut values) = (BTreeSet::new(), BTreeSet::new());
        for (index, variant) in self.variants.into_iter().enumerate() {
            let variant = variant.read(index, self.options.len())?;
            if !skus.insert(variant.sku.clone()) || !values.insert(variant.options.clone()) {
                return Err(format!("/variants/{index}: another variant has the same sku or options"));
            }
            variants.push(variant);
        }
        if variants.is_empty() {
            return Err("/variants: a product has at least one".to_owned());
        }
        Ok(Record::Product(ImportedProduct {
            id: id(&self.id, "/id", Identity::product)?,
            slug: slug_or_from(self.slug, &self.name)?,
            name: present(self.name, "/name")?,
            description: self.description,
            category: self
                .category
                .map(|category| id(&category, "/category", Identity::category))
                .transpose()?,
            kind: self.kind,
            billing_interval: self.billing_interval,
            minimum_age: self.minimum_age,
            tax_class: self.tax_class,
            active: self.active,
            options: self.options,
            translations: self.translations,
            variants,
        }))
    }
}

impl VariantLine {
    fn read(self, index: usize, options: usize) -> Result<ImportedVariant, String> {
        let at = |field: &str| format!("/variants/{index}/{field}");
        if self.options.len() != options || self.options.iter().any(|value| value.trim().is_empty()) {
            return Err(format!("{}: expected a value for each option of the product", at("options")));
        }
        if self.stock < 0 {
            return Err(format!("{}: negative", at("stock")));
        }
        let mut prices: BTreeMap<Currency, i64> = BTreeMap::new();
        for (price, Money { amount, currency }) in self.prices.into_iter().enumerate() {
            if amount < 0 {
                return Err(format!("{}/{price}/amount: negative", at("prices")));
            }
            if prices.insert(currency, amount).is_some() {
                return Err(format!("{}/{price}/currency: a second price in {currency}", at("prices")));
            }
        }
        if prices.is_empty() {
            return Err(format!("{}: a variant has at least one", at("prices")));
        }
        let sku = present(self.sku, &at("sku"))?;
        Ok(ImportedVariant {
            id: id(self.id.as_deref().unwrap_or(&sku), &at("id"), Identity::variant)?,
            sku,
            options: self.options,
            active: self.active,
            prices,
            stock: self.stock,
        })
    }
}

impl CustomerLine {
    fn record(self) -> Result<Record, String> {
        Ok(Record::Customer(ImportedCustomer {
            id: id(&self.id, "/id", Identity::customer)?,
            key: self.id,
            email: self.email,
            name: present(self.name, "/name")?,
            country: self.country,
        }))
    }
}

/// A text in the form of a UUID is the id itself, any other is a key.
fn id<T: From<Uuid>>(text: &str, pointer: &str, derive: fn(Identity, &str) -> T) -> Result<T, String> {
    const HYPHENATED: usize = 36;
    match Uuid::parse_str(text) {
        Ok(id) if text.len() == HYPHENATED => Ok(id.into()),
        _ if text.trim().is_empty() => Err(format!("{pointer}: empty")),
        _ => Ok(derive(IDENTITY, text)),
    }
}

fn present(text: String, pointer: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err(format!("{pointer}: empty")) } else { Ok(text) }
}

fn slug_or_from(given: Option<String>, name: &str) -> Result<String, String> {
    present(given.unwrap_or_else(|| slug(name)), "/slug")
}
