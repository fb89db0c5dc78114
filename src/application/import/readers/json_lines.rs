//! The store's own format: one JSON object a line, each with its `type`, as `export` writes them.
//!
//! Categories come before their children and products. Lines of orders, invoices, reviews and subscriptions are
//! rejected: they are exported, but not imported.

use std::io::BufRead;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Options;
use super::bounded_lines::{Appended, BoundedLines, MAX_RECORD};
use super::encoding::Encoding;
use super::error::{Fault, ReadError};
use super::field_parsing::LineError;
use super::format_reader::{FormatReader, Outcomes};
use super::kept_columns::UnusedValues;
use super::keys::Keys;
use super::numbers::NumberColumns;
use super::skus::Skus;
use crate::application::import::line::{Fields, Reason, SourceLine};
use crate::application::json_lines::{
    CategoryLine, CustomerLine, DiscountLine, LineType, ProductLine, ShippingMethodLine, TaxRuleLine,
    described,
};
use crate::application::records::Record;
use crate::application::schema::pointer;
use crate::domain::language::Language;

/// Returns the next line that is not empty, and its number.
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
            .map_err(|error| Fault::Undecodable(Encoding::UTF_8).at(&raw, number, error.valid_up_to()))?
            .trim_end_matches(['\r', '\n']);
        if !text.trim().is_empty() {
            return Ok(Some((number, [text].into_iter().collect())));
        }
    }
}

/// Reads each line as a record.
pub(super) struct JsonLines {
    default_created_at: Timestamp,
    base_language: Language,
    /// The type and the id of each record.
    keys: Keys,
    skus: Skus,
}

impl JsonLines {
    pub(super) fn new(options: &Options) -> Self {
        let skus = Skus::new(options.suffix_duplicate_skus);
        let Options { created_at: default_created_at, base_language, .. } = *options;
        Self { default_created_at, base_language, keys: Keys::default(), skus }
    }

    fn record(&mut self, text: &str, line: u64) -> Result<Record, LineError> {
        let (at, base) = (self.default_created_at, self.base_language);
        let invalid = |detail| (Reason::InvalidJson, detail);
        let LineHead { r#type, id } = parse(text).map_err(invalid)?;
        let record = match r#type {
            LineType::Category => {
                parse::<CategoryLine>(text).and_then(|line| line.category(at, base)).map(Record::Category)
            }
            LineType::TaxRule => parse::<TaxRuleLine>(text).and_then(TaxRuleLine::rule).map(Record::TaxRule),
            LineType::ShippingMethod => parse::<ShippingMethodLine>(text)
                .and_then(|line| line.method(base))
                .map(Record::ShippingMethod),
            LineType::Product => {
                let mut product = parse::<ProductLine>(text).map_err(invalid)?;
                product.change_skus(|sku| if sku.is_empty() { Ok(sku) } else { self.skus.add(sku, line) })?;
                product.product(at, base).map(Record::Product)
            }
            LineType::Discount => {
                parse::<DiscountLine>(text).and_then(|line| line.discount(at)).map(Record::Discount)
            }
            LineType::Customer => {
                parse::<CustomerLine>(text).and_then(|line| line.customer(at)).map(Record::Customer)
            }
            LineType::Order | LineType::Invoice | LineType::Review | LineType::Subscription => {
                return Err((Reason::NotImported, r#type.name().to_owned()));
            }
        };
        let record = record.map_err(invalid)?;
        if let Some(id) = id {
            self.keys.add(&format!("{} {id}", r#type.name()), line)?;
        }
        Ok(record)
    }
}

impl FormatReader for JsonLines {
    fn numbers(&self) -> NumberColumns {
        NumberColumns::default()
    }

    fn read(&mut self, line: SourceLine, out: &mut Outcomes) {
        // of rejected lines, the fields before are number, reason and detail
        match self.record(line.fields.iter().last().unwrap_or_default(), line.number) {
            Ok(record) => out.entry(record, vec![line]),
            Err((reason, detail)) => out.reject(line.reject(reason, detail)),
        }
    }

    fn finish(&mut self, _: &mut Outcomes) {}

    fn unused_values(&self) -> UnusedValues {
        UnusedValues::default()
    }
}

/// Returns whether a JSON text contains an escaped NUL character.
fn escapes_nul(text: &str) -> bool {
    let backslashes_before = |at: usize| text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
    // a backslash after an even number of backslashes begins an escape
    text.match_indices("\\u0000").any(|(at, _)| backslashes_before(at) % 2 == 0)
}

/// Parses a line. The error names the JSON pointer and the column of the fault.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    if escapes_nul(text) {
        return Err(": \\u0000 is a character that a database cannot store".to_owned());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| format!("{}: {}", pointer::of_path(error.path()), described(error.inner())))?;
    json.end().map_err(|error| format!(": {}", described(&error)))?;
    Ok(value)
}

/// The type of a line, which is read before the rest.
#[derive(Deserialize)]
struct LineHead {
    r#type: LineType,
    id: Option<String>,
}
