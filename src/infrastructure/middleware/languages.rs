//! `Accept-Language` (RFC 9110 section 12.5.4), matched with the available languages (RFC 4647 section 3.4).

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::ACCEPT_LANGUAGE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

/// The languages of a client, best first: an extension of each request that names any, and an extractor. An empty list
/// is any language.
#[derive(Debug, Clone, Default)]
pub struct Languages(Arc<[String]>);

/// The languages of the texts in a response that depends on those of the client, as `Content-Language` has them: an
/// extension of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseLanguages(pub HeaderValue);

/// The language of problem documents without a translation.
pub(super) const ENGLISH: &str = "en";
/// The most languages that are considered; further ones are ignored.
const MAX_LANGUAGES: usize = 10;

impl Languages {
    /// Reads the header of a request; `None` if it has none.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|line| line.to_str().ok());
        headers.contains_key(ACCEPT_LANGUAGE).then(|| Self::parse(lines))
    }

    fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let ranges = lines.flat_map(|line| line.split(','));
        let mut ranges: Vec<(u16, String)> = ranges.take(MAX_LANGUAGES).filter_map(range).collect();
        ranges.sort_by_key(|&(quality, _)| std::cmp::Reverse(quality));
        Self(ranges.into_iter().map(|(_, tag)| tag).collect())
    }

    /// Returns the best of the available tags: for `de-AT` also `de`. Returns `None` for the texts of which there are
    /// always some, in the language `base`.
    pub fn best<T: AsRef<str>>(
        &self,
        available: &(impl Iterator<Item = T> + Clone),
        base: &str,
    ) -> Option<T> {
        for range in &*self.0 {
            let mut tag = range.as_str();
            loop {
                if let Some(found) = available.clone().find(|other| other.as_ref().eq_ignore_ascii_case(tag))
                {
                    return Some(found);
                }
                if tag.eq_ignore_ascii_case(base) || tag == "*" {
                    return None;
                }
                match tag.rsplit_once('-') {
                    Some((shorter, _)) => tag = shorter,
                    None => break,
                }
            }
        }
        None
    }
}

/// Parses a language range and its quality in thousandths. Returns `None` for an invalid range, or one with quality 0.
fn range(part: &str) -> Option<(u16, String)> {
    let (tag, parameter) = part.split_once(';').unwrap_or((part, "q=1"));
    let quality: f32 = parameter.trim().strip_prefix(['q', 'Q'])?.strip_prefix('=')?.parse().ok()?;
    let tag = tag.trim();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 1000")]
    let thousandths = (quality.clamp(0.0, 1.0) * 1000.0) as u16;
    let is_tag =
        !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-*".contains(&byte));
    (is_tag && thousandths > 0).then(|| (thousandths, tag.to_owned()))
}

/// The languages that were negotiated for the request, or those of its header without the middleware.
impl<S: Sync> FromRequestParts<S> for Languages {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.or_else(|| Self::of(&parts.headers)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_available_language_is_found() {
        let available = ["de".to_owned(), "fr".to_owned(), "pt-BR".to_owned()];
        let best =
            |header: &str| Languages::parse(header.lines()).best(&available.iter(), "en").map(String::as_str);
        assert_eq!(best("de-AT,fr;q=0.9"), Some("de"));
        assert_eq!(best("it, fr;q=0.5, de;q=0.7"), Some("de"));
        assert_eq!(best("it, fr;q=0.5, de;Q=0.4"), Some("fr"));
        assert_eq!(best("PT-br"), Some("pt-BR"));
        assert_eq!(best("it\nfr"), Some("fr"), "several lines are one list");
        assert_eq!(best("en-GB, de;q=0.1"), None);
        assert_eq!(best("de;q=0, *"), None);
        assert_eq!(best(""), None);
        assert_eq!(best(";;q=,,\u{e9}"), None);
    }

    #[test]
    fn texts_in_the_base_language_are_best_for_those_who_accept_it_first() {
        let best = |header: &str, base: &str| {
            Languages::parse(header.lines()).best(&["en", "de-AT"].into_iter(), base)
        };
        for (header, base, expected) in [
            ("de, en;q=0.5", "de", None),
            ("de-DE, en;q=0.5", "DE", None),
            ("en, de;q=0.5", "de", Some("en")),
            ("de-AT, de;q=0.5", "de", Some("de-AT")),
            // a language with subtags is that of longer ranges, and not of shorter ones
            ("de-CH-1996, en;q=0.5", "de-CH", None),
            ("de, en;q=0.5", "de-CH", Some("en")),
            ("fr", "de", None),
        ] {
            assert_eq!(best(header, base), expected, "{header} {base}");
        }
    }
}
