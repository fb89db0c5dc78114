//! Parses single fields of a line.

use super::decimal::NumberError;
use crate::application::import::line::Reason;

/// Why a line is rejected: the reason, and the details.
pub(super) type LineError = (Reason, String);

/// Refuses an empty text.
pub(super) fn required(text: &str, reason: Reason) -> Result<String, LineError> {
    if text.is_empty() { Err((reason, String::new())) } else { Ok(text.to_owned()) }
}

/// Refuses a price that is empty, zero, negative or malformed.
pub(super) fn price(text: &str, parsed: Result<i64, NumberError>) -> Result<i64, LineError> {
    match parsed {
        _ if text.is_empty() => Err((Reason::NoPrice, String::new())),
        Ok(0) => Err((Reason::NoPrice, quoted(text))),
        Ok(price) if price < 0 => Err((Reason::NegativePrice, quoted(text))),
        Ok(price) => Ok(price),
        Err(fault) => Err(number_error(fault, Reason::BadPrice, text)),
    }
}

/// Returns why a line is rejected whose number cannot be parsed.
pub(super) fn number_error(fault: NumberError, malformed: Reason, text: &str) -> LineError {
    match fault {
        NumberError::Malformed => (malformed, quoted(text)),
        NumberError::TooLarge => (Reason::TooLarge, quoted(text)),
        NumberError::Ambiguous => {
            (malformed, format!("{} may be thousands or a fraction; set --decimal-mark", quoted(text)))
        }
        NumberError::OtherCurrency => (malformed, format!("{} names another currency", quoted(text))),
    }
}

/// Returns a text in quotation marks, cut after 40 characters.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("“{}…”", &text[..end]),
        None => format!("“{text}”"),
    }
}
