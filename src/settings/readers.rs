//! Functions that read the values of settings and refuse invalid ones, with a text for operators.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::domain::host::is_this_machine;
use crate::domain::money::{Currency, Money};
use crate::infrastructure::adapters::CertificateAuthorities;
use crate::infrastructure::cache::{CACHES, CacheLimits};
use crate::infrastructure::middleware::{Quota, TrustedProxies};
use crate::infrastructure::repositories::DatabaseUrl;

/// The levels of the log, as errors list them.
const LEVELS: &str = "(off, error, warn, info, debug, trace)";

/// Reads a section. A list would be read as the values of its keys in their order, and an empty one as the defaults.
pub(super) fn section<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Section<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Section<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a section")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Section(PhantomData))
}

/// Reads a number of seconds, which may be 0.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u32::deserialize(deserializer).map(|seconds| Duration::from_secs(seconds.into()))
}

/// Reads a number of seconds that is not 0.
pub(super) fn positive_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    NonZeroU32::deserialize(deserializer).map(|seconds| Duration::from_secs(seconds.get().into()))
}

/// Reads a share from 0 to 1.
pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    let is_share = (0.0..=1.0).contains(&share);
    if is_share { Ok(share) } else { Err(de::Error::custom(format!("`{share}` is not from 0 to 1"))) }
}

/// Reads a value from its text.
pub(super) fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let code = String::deserialize(deserializer)?;
    code.parse().map_err(|error: T::Err| de::Error::custom(format!("`{code}` is {error}")))
}

/// Reads a URL from its text, which may contain a secret.
pub(super) fn parsed_url<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let url = String::deserialize(deserializer)?;
    url.parse().map_err(|error: T::Err| de::Error::custom(format!("`{}` is {error}", shown(&url))))
}

/// Returns a URL as errors show it: without what may be secret, which is the text before the last `@`, and the query.
fn shown(url: &str) -> String {
    let is_scheme = |(scheme, _): &(&str, &str)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (scheme, rest) = match url.split_once("://").filter(is_scheme) {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    // with an `@` after it, the `?` may be a part of a password
    if query.is_some_and(|query| query.contains('@')) {
        return format!("{scheme}…");
    }
    let query = if query.is_some() { "?…" } else { "" };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}…@{host}{query}"),
        None => format!("{scheme}{rest}{query}"),
    }
}

/// Returns whether a URL has a user, and may have a password.
fn has_user(url: &Uri) -> bool {
    url.authority().is_some_and(|authority| authority.as_str().contains('@'))
}

/// Reads the URL of an issuer: HTTPS, or HTTP of this machine, without user and query.
pub(super) fn issuer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    unless_empty(String::deserialize(deserializer)?, |text| {
        let url: Option<Uri> = text.parse().ok();
        let url = url.filter(|url| url.query().is_none() && !has_user(url));
        let is_valid = url.is_some_and(|url| match (url.host(), url.scheme_str()) {
            (Some(_), Some("https")) => true,
            (Some(host), Some("http")) => is_this_machine(host),
            _ => false,
        });
        if is_valid {
            return Ok(text);
        }
        let shown = shown(&text);
        Err(de::Error::custom(format!("`{shown}` is neither an HTTPS URL nor an HTTP URL of this machine")))
    })
}

/// Reads a list of values, each from its text.
pub(super) fn parsed_list<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parsed = |text: String| {
        text.parse().map_err(|error: T::Err| de::Error::custom(format!("`{text}` is {error}")))
    };
    texts.into_iter().map(parsed).collect()
}

/// Reads a list of texts, none of which is empty.
pub(super) fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let has_empty = names.iter().any(String::is_empty);
    if has_empty { Err(de::Error::custom("the list has an empty text")) } else { Ok(names) }
}

/// Reads the least subtotals, each in minor units of a currency.
pub(super) fn subtotals<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Money>, D::Error> {
    let parsed = |text: &String| {
        let (amount, currency) = text.split_once(' ')?;
        let amount = amount.parse().ok().filter(|amount: &i64| *amount >= 0)?;
        Some(Money::new(amount, currency.parse().ok()?))
    };
    let texts = Vec::<String>::deserialize(deserializer)?;
    let invalid = |text: &String| {
        de::Error::custom(format!("`{text}` is not an amount in minor units, such as 1000 EUR"))
    };
    texts.iter().map(|text| parsed(text).ok_or_else(|| invalid(text))).collect()
}

/// Reads a currency; `auto` is `None`.
pub(super) fn currency_or_auto<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Currency>, D::Error> {
    let code = String::deserialize(deserializer)?;
    let parsed = |error| de::Error::custom(format!("`{code}` is {error}, and not `auto`"));
    if code == "auto" { Ok(None) } else { code.parse().map(Some).map_err(parsed) }
}

/// Reads a truth value; `auto` is none.
pub(super) fn flag_or_auto<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    match value.as_str() {
        Some("auto") => Ok(None),
        _ => value.as_bool().map(Some).ok_or_else(|| de::Error::custom("neither `true`, `false` nor `auto`")),
    }
}

/// Reads a text. A number, as which `8080` of a variable is read, is a text too, so that it is refused with the same
/// example.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        other => other.type_str().to_owned(),
    })
}

/// Reads a text that is not empty; an empty one is none.
fn unless_empty<T, E>(text: String, read: impl FnOnce(String) -> Result<T, E>) -> Result<Option<T>, E> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

/// Reads an address.
pub(super) fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    address(&text(deserializer)?, "127.0.0.1:8080")
}

/// Reads an address, or an empty text for none.
pub(super) fn optional_socket_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    unless_empty(text(deserializer)?, |text| address(&text, "127.0.0.1:9464"))
}

fn address<E: de::Error>(text: &str, example: &str) -> Result<SocketAddr, E> {
    let invalid = || E::custom(format!("`{text}` is not an IP address with a port, such as {example}"));
    text.parse().map_err(|_| invalid())
}

/// Reads a value from its text, which is not shown: it may contain a password.
pub(super) fn hidden<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<T, D::Error> {
    parsed_hidden(&text(deserializer)?)
}

/// Reads a value from its text, which is not shown; an empty text is none.
pub(super) fn hidden_or_none<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    unless_empty(text(deserializer)?, |text| parsed_hidden(&text))
}

fn parsed_hidden<T: FromStr<Err: Display>, E: de::Error>(text: &str) -> Result<T, E> {
    text.parse().map_err(|error: T::Err| E::custom(format!("the text is {error}")))
}

/// Reads the most bytes of caches, by their names.
pub(super) fn cache_limits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CacheLimits, D::Error> {
    CacheLimits::new(BTreeMap::deserialize(deserializer)?, &CACHES).map_err(de::Error::custom)
}

/// Reads certificate authorities from the file with this name, beside the public ones; an empty name is no file.
pub(super) fn authorities<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<CertificateAuthorities, D::Error> {
    let of_file = unless_empty(String::deserialize(deserializer)?, |path| {
        let read = CertificateAuthorities::with_file(Path::new(&path));
        read.map_err(|error| de::Error::custom(format!("`{path}` {error}")))
    });
    of_file.map(Option::unwrap_or_default)
}

/// Reads a quota; `none` is `None`.
pub(super) fn quota<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Quota>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let invalid = |error| de::Error::custom(format!("`{text}` is {error}"));
    if text == "none" { Ok(None) } else { text.parse().map(Some).map_err(invalid) }
}

/// Reads a list of IP addresses and networks.
pub(super) fn trusted_proxies<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<TrustedProxies, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    TrustedProxies::parse(texts.iter().map(String::as_str)).map_err(de::Error::custom)
}

/// Reads the URL at which clients reach the store; it may be empty.
pub(super) fn public_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = text.trim_end_matches('/');
    let is_url = url.parse::<Uri>().is_ok_and(|uri| {
        let is_http = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        is_http && uri.query().is_none() && !has_user(&uri)
    });
    if url.is_empty() {
        return Ok(String::new());
    }
    if let (true, Some((scheme, rest))) = (is_url, url.split_once(':')) {
        return Ok(format!("{}:{rest}", scheme.to_ascii_lowercase()));
    }
    let shown = shown(&text);
    Err(de::Error::custom(format!("`{shown}` is not the URL of a store, such as https://shop.example.com")))
}

/// Reads the URL of a page of the shop, or an empty text for none.
pub(super) fn page_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    unless_empty(String::deserialize(deserializer)?, |text| {
        let filled = text.replace("{token}", "x");
        let is_url = filled.parse::<Uri>().is_ok_and(|uri| {
            let has_host = uri.host().is_some_and(|host| !host.is_empty());
            has_host && matches!(uri.scheme_str(), Some("http" | "https"))
        });
        if is_url && filled != text {
            return Ok(text);
        }
        Err(de::Error::custom(format!(
            "`{}` is not the URL of a page with `{{token}}`, such as https://shop.example.com/reset#{{token}}",
            shown(&text)
        )))
    })
}

/// Reads the URL of a database.
pub(super) fn database_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DatabaseUrl, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

/// Reads a name that every broker allows.
pub(super) fn broker_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=64).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(name);
    }
    Err(de::Error::custom(format!("`{name}` is not a name of 1 to 64 letters, digits, `-` and `_`")))
}

/// Refuses a misspelt level, which `Targets` would read as the name of a module and thereby turn all others off.
pub(super) fn log_level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Targets, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_level = |text: &str| text.parse::<LevelFilter>().is_ok();
    for part in text.split(',').map(str::trim) {
        let message = match part.split_once('=') {
            Some((_, level)) if !is_level(level) => format!("`{level}` is no level {LEVELS}"),
            None if !is_level(part) => format!("`{part}` is neither a level {LEVELS} nor target=level"),
            _ => continue,
        };
        return Err(de::Error::custom(message));
    }
    text.parse().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_url_is_shown_without_user_and_query() {
        for (url, expected) in [
            ("https://shop.example/a", "https://shop.example/a"),
            ("s3://KEY:hush@bucket", "s3://…@bucket"),
            ("https://ann:hush@hush@shop.example:8443/a?b=hush", "https://…@shop.example:8443/a?…"),
            ("https://ann:hush/hush@shop.example", "https://…@shop.example"),
            ("https://ann:hush?hush@shop.example", "https://…"),
            ("https://shop.example?token=hush", "https://shop.example?…"),
            ("ann:hush://hush@shop.example", "…@shop.example"),
            ("shop.example", "shop.example"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
