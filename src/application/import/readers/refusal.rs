//! Reading single fields, and saying why one cannot be read.

use super::decimal::NotANumber;
use crate::application::import::line::Reason;

/// Why a line is turned away: the reason, and what stands there.
pub(super) type Refusal = (Reason, String);

/// A text that has to be there.
pub(super) fn present(text: &str, reason: Reason) -> Result<String, Refusal> {
    if text.is_empty() { Err((reason, String::new())) } else { Ok(text.to_owned()) }
}

/// A price that something can be sold at.
pub(super) fn price(text: &str, parsed: Result<i64, NotANumber>) -> Result<i64, Refusal> {
    match parsed {
        _ if text.is_empty() => Err((Reason::NoPrice, String::new())),
        Ok(0) => Err((Reason::NoPrice, quoted(text))),
        Ok(price) if price < 0 => Err((Reason::NegativePrice, quoted(text))),
        Ok(price) => Ok(price),
        Err(fault) => Err(not_a_number(fault, Reason::BadPrice, text)),
    }
}

/// Why a text is no number of this kind.
pub(super) fn not_a_number(fault: NotANumber, malformed: Reason, text: &str) -> Refusal {
    match fault {
        NotANumber::Malformed => (malformed, quoted(text)),
        NotANumber::TooLarge => (Reason::TooLarge, quoted(text)),
    }
}

/// The text, cut so that a detail stays readable.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("“{}…”", &text[..end]),
        None => format!("“{text}”"),
    }
}
