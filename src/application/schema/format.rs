//! The formats of texts that are validated. Other formats are documentation only.

use jiff::{Timestamp, civil::Date};
use utoipa::openapi::{KnownFormat, SchemaFormat};
use uuid::Uuid;

use crate::domain::{
    country::Country, email::is_email, language::is_language_tag, money::Currency, tax::TaxClass,
};

/// Returns the name of the format if `text` does not have it.
pub(super) fn failed(format: &SchemaFormat, text: &str) -> Option<&'static str> {
    let (name, fits) = match format {
        // Only the hyphenated form, so that an id has one spelling.
        SchemaFormat::KnownFormat(KnownFormat::Uuid) => {
            ("uuid", text.len() == 36 && Uuid::try_parse(text).is_ok())
        }
        SchemaFormat::KnownFormat(KnownFormat::Date) => ("date", text.parse::<Date>().is_ok()),
        SchemaFormat::KnownFormat(KnownFormat::DateTime) => ("date-time", text.parse::<Timestamp>().is_ok()),
        SchemaFormat::KnownFormat(KnownFormat::Email) => ("email", is_email(text)),
        SchemaFormat::Custom(name) => match name.as_str() {
            "email" => ("email", is_email(text)),
            "currency" => ("currency", text.parse::<Currency>().is_ok()),
            "tax-class" => ("tax-class", text.parse::<TaxClass>().is_ok()),
            "language" => ("language", is_language_tag(text)),
            "country" => ("country", text.parse::<Country>().is_ok()),
            _ => return None,
        },
        SchemaFormat::KnownFormat(_) => return None,
    };
    (!fits).then_some(name)
}

/// Returns whether a text with this format may have line breaks.
pub(super) fn has_lines(format: Option<&SchemaFormat>) -> bool {
    matches!(format, Some(SchemaFormat::Custom(name)) if name == "multiline")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_format_is_not_validated() {
        assert_eq!(failed(&SchemaFormat::Custom("poem".into()), "x"), None);
        assert_eq!(failed(&SchemaFormat::Custom("currency".into()), "EURO"), Some("currency"));
        assert_eq!(failed(&SchemaFormat::Custom("currency".into()), "EUR"), None);
        assert_eq!(failed(&SchemaFormat::Custom("tax-class".into()), "Standard"), Some("tax-class"));
        assert_eq!(failed(&SchemaFormat::Custom("tax-class".into()), "standard"), None);
    }
}
