//! The formats of texts that are validated. Other formats are documentation only.

use jiff::{Timestamp, civil::Date};
use utoipa::openapi::{KnownFormat, SchemaFormat};
use uuid::Uuid;

use crate::domain::{
    country::Country, email::is_email, language::is_language_tag, money::Currency, tax::TaxClass,
};
use crate::infrastructure::exceptions::Fault;

/// The name of the format of e-mail addresses, with an example.
const EMAIL: (&str, &str) = ("email", "ann@example.com");

/// Returns the name of the format, with a text that has it, if `text` does not have it.
pub(super) fn failed(format: &SchemaFormat, text: &str) -> Option<(&'static str, &'static str)> {
    let (named, fits) = match format {
        // Only the hyphenated form, so that an id has one spelling.
        SchemaFormat::KnownFormat(KnownFormat::Uuid) => {
            (("uuid", Fault::UUID_EXAMPLE), text.len() == 36 && Uuid::try_parse(text).is_ok())
        }
        SchemaFormat::KnownFormat(KnownFormat::Date) => (("date", "1990-05-31"), is_date(text)),
        SchemaFormat::KnownFormat(KnownFormat::DateTime) => {
            (("date-time", "2026-05-31T12:00:00Z"), is_date_time(text))
        }
        SchemaFormat::KnownFormat(KnownFormat::Email) => (EMAIL, is_email(text)),
        SchemaFormat::Custom(name) => match name.as_str() {
            "email" => (EMAIL, is_email(text)),
            "currency" => (("currency", "EUR"), text.parse::<Currency>().is_ok()),
            "tax-class" => (("tax-class", "reduced"), text.parse::<TaxClass>().is_ok()),
            "language" => (("language", "pt-BR"), is_language_tag(text)),
            "country" => (("country", "DE"), text.parse::<Country>().is_ok()),
            _ => return None,
        },
        SchemaFormat::KnownFormat(_) => return None,
    };
    (!fits).then_some(named)
}

/// Returns whether a text with this format may have line breaks.
pub(super) fn has_lines(format: Option<&SchemaFormat>) -> bool {
    matches!(format, Some(SchemaFormat::Custom(name)) if name == "multiline")
}

/// Returns whether a text is a date of the calendar in the form of RFC 3339 (`full-date`). The parser reads more than
/// these, such as dates with a time.
fn is_date(text: &str) -> bool {
    has_shape(text, "0000-00-00") && text.parse::<Date>().is_ok()
}

/// Returns whether a text is a time in the form of RFC 3339 (`date-time`).
fn is_date_time(text: &str) -> bool {
    let Some((local, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else { return false };
    let zone = rest
        .strip_prefix('.')
        .map_or(rest, |fraction| fraction.trim_start_matches(|c: char| c.is_ascii_digit()));
    let is_fraction = zone.len() + 1 != rest.len();
    let is_zone = ["Z", "+00:00", "-00:00"].iter().any(|shape| has_shape(zone, shape));
    has_shape(local, "0000-00-00T00:00:00") && is_fraction && is_zone && text.parse::<Timestamp>().is_ok()
}

/// Returns whether a text has digits where the shape has some, and otherwise its characters, in any case.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(found, expected): (u8, u8)| match expected {
        b'0' => found.is_ascii_digit(),
        letter => found.eq_ignore_ascii_case(&letter),
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_those_of_rfc_3339() {
        let date = |text| failed(&SchemaFormat::KnownFormat(KnownFormat::Date), text).is_none();
        assert!(date("1990-05-01"));
        for text in ["19900501", "1990-05-01T23:00+09:00[Asia/Tokyo]", "1990-02-30", "1990-5-1", ""] {
            assert!(!date(text), "{text}");
        }
        let time = |text| failed(&SchemaFormat::KnownFormat(KnownFormat::DateTime), text).is_none();
        for text in ["2026-01-02T03:04:05Z", "2026-01-02t03:04:05.123456z", "2026-01-02T03:04:05.5-08:00"] {
            assert!(time(text), "{text}");
        }
        for text in [
            "2026-01-02",
            "2026-01-02T03:04Z",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05,5Z",
            "2026-01-02T03:04:05Z[UTC]",
            "20260102T030405Z",
            "2026-02-30T03:04:05Z",
        ] {
            assert!(!time(text), "{text}");
        }
    }

    #[test]
    fn an_unknown_format_is_not_validated() {
        assert_eq!(failed(&SchemaFormat::Custom("poem".into()), "x"), None);
        assert_eq!(failed(&SchemaFormat::Custom("currency".into()), "EURO"), Some(("currency", "EUR")));
        assert_eq!(failed(&SchemaFormat::Custom("currency".into()), "EUR"), None);
        let found = failed(&SchemaFormat::Custom("tax-class".into()), "Standard");
        assert_eq!(found, Some(("tax-class", "reduced")));
        assert_eq!(failed(&SchemaFormat::Custom("tax-class".into()), "standard"), None);
    }

    #[test]
    fn the_example_of_a_format_has_it() {
        let known = [KnownFormat::Uuid, KnownFormat::Date, KnownFormat::DateTime, KnownFormat::Email];
        let custom = ["email", "currency", "tax-class", "language", "country"];
        let custom = custom.map(|name| SchemaFormat::Custom(name.into()));
        let formats = known.map(SchemaFormat::KnownFormat).into_iter().chain(custom);
        let mut examples = 0;
        for format in formats {
            let (name, example) = failed(&format, "?").unwrap();
            assert_eq!(failed(&format, example), None, "{name}");
            examples += 1;
        }
        assert_eq!(examples, 9);
    }
}
