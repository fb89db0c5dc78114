//! The formats of texts that are checked. What is none of them is for readers only.

use std::net::IpAddr;

use jiff::{Timestamp, civil::Date};
use utoipa::openapi::{KnownFormat, SchemaFormat};
use uuid::Uuid;

use crate::domain::{country::Country, money::Currency, tax::TaxClass};

/// The greatest length of an e-mail address (RFC 5321 section 4.5.3.1.3, less the angle brackets).
const MAX_EMAIL: usize = 254;

/// The name of the format that `text` fails, if it fails.
pub(super) fn failed(format: &SchemaFormat, text: &str) -> Option<&'static str> {
    let (name, fits) = match format {
        // only the hyphenated form, so that an id is written in one way
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
            "country" => ("country", text.parse::<Country>().is_ok()),
            _ => return None,
        },
        SchemaFormat::KnownFormat(_) => return None,
    };
    (!fits).then_some(name)
}

/// Whether mail could be sent there: one `@`, no space, a host with a dot. Only a letter that arrives proves more.
fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    text.len() <= MAX_EMAIL
        && (1..=64).contains(&local.len())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "()<>[]:;,\\\"".contains(c))
        && !local.contains('@')
        && host.contains('.')
        && host.parse::<IpAddr>().is_err()
        && host
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_mail_address_is_one_that_mail_could_be_sent_to() {
        for good in
            ["ann@example.org", "a.b+c@sub.example.co.uk", "größe@bücher.example", "o'neil@example.org"]
        {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "",
            "@",
            "ann",
            "ann@",
            "@example.org",
            "ann@example",
            "a@b@example.org",
            "ann @example.org",
            "ann@exam ple.org",
            "ann@.org",
            "ann@example..org",
            "ann@-example.org",
            "ann@127.0.0.1",
            "ann@example.org, bob@example.org",
            "ann\n@example.org",
            &long,
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_format_that_nobody_knows_is_not_checked() {
        assert_eq!(failed(&SchemaFormat::Custom("poem".into()), "x"), None);
        assert_eq!(failed(&SchemaFormat::Custom("currency".into()), "EURO"), Some("currency"));
        assert_eq!(failed(&SchemaFormat::Custom("currency".into()), "EUR"), None);
        assert_eq!(failed(&SchemaFormat::Custom("tax-class".into()), "Standard"), Some("tax-class"));
        assert_eq!(failed(&SchemaFormat::Custom("tax-class".into()), "standard"), None);
    }
}
