//! Our own layout: a JSON object a line, each saying its `type`. What `export` writes, `import` reads.
//!
//! Categories come before what is in them. Orders, invoices, reviews and subscriptions are passed over, and said to be:
//! an order is placed, never copied.

mod records;

use std::io::BufRead;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::bounded_lines::{Appended, BoundedLines, MAX_RECORD};
use super::error::{Fault, ReadError};
use super::layout::{Layout, Outcomes};
use super::refusal::Refusal;
use crate::application::import::line::{Fields, Reason, SourceLine};
use crate::application::import::record::Record;
use crate::application::json_lines::{
    CategoryLine, CustomerLine, DiscountLine, LineType, ProductLine, ShippingMethodLine, TaxRuleLine,
};

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
            Err((reason, detail)) => out.reject(line.reject(reason, detail)),
        }
    }

    fn finish(&mut self, _: &mut Outcomes) {}
}

fn record(text: &str) -> Result<Record, Refusal> {
    let Typed { r#type } = parse(text).map_err(invalid)?;
    match r#type {
        LineType::Category => parse(text).and_then(CategoryLine::record),
        LineType::TaxRule => parse(text).and_then(TaxRuleLine::record),
        LineType::ShippingMethod => parse(text).and_then(ShippingMethodLine::record),
        LineType::Product => parse(text).and_then(ProductLine::record),
        LineType::Discount => parse(text).and_then(DiscountLine::record),
        LineType::Customer => parse(text).and_then(CustomerLine::record),
        LineType::Order | LineType::Invoice | LineType::Review | LineType::Subscription => {
            return Err((Reason::NotImported, String::new()));
        }
    }
    .map_err(invalid)
}

fn invalid(detail: String) -> Refusal {
    (Reason::InvalidJson, detail)
}

fn escapes_nul(text: &str) -> bool {
    let backslashes_before = |at: usize| text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
    // after an even number of backslashes the one that is found begins an escape
    text.match_indices("\\u0000").any(|(at, _)| backslashes_before(at) % 2 == 0)
}

/// Says where in the line it went wrong, by JSON pointer and by column.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    if escapes_nul(text) {
        return Err(": \\u0000 is a character that a database cannot keep".to_owned());
    }
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
    r#type: LineType,
}
