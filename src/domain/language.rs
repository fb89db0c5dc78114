//! Languages by their BCP 47 tag, for users, base texts and translations.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parsed::parsed;

/// The greatest length of a tag (RFC 5646 section 4.4.1).
const MAX_LENGTH: usize = 35;

/// A language by its tag, such as `de` or `pt-BR`. Whether it exists is not checked. Letter case does not matter.
#[derive(Clone, Copy)]
pub struct Language {
    tag: [u8; MAX_LENGTH],
    length: usize,
}

/// The error for a text that is not a language tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a language tag (BCP 47), such as en or pt-BR")]
pub struct InvalidLanguage;

impl Language {
    /// The English language.
    pub const EN: Self = {
        let mut tag = [0; MAX_LENGTH];
        tag[0] = b'e';
        tag[1] = b'n';
        Self { tag, length: 2 }
    };

    /// Returns the tag.
    pub fn tag(&self) -> &str {
        // it is ASCII
        std::str::from_utf8(&self.tag[..self.length]).unwrap_or_default()
    }

    /// Returns whether this is the language of a tag.
    pub fn is(&self, tag: &str) -> bool {
        self.tag().eq_ignore_ascii_case(tag)
    }
}

impl FromStr for Language {
    type Err = InvalidLanguage;

    fn from_str(text: &str) -> Result<Self, InvalidLanguage> {
        if !is_language_tag(text) {
            return Err(InvalidLanguage);
        }
        let mut tag = [0; MAX_LENGTH];
        tag[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { tag, length: text.len() })
    }
}

impl PartialEq for Language {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.tag())
    }
}

impl Eq for Language {}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.tag())
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a language tag")
    }
}

/// Returns whether a text has the form of a tag: a language of two to eight letters, then subtags of letters and
/// digits, such as `de`, `pt-BR` and `zh-Hans`. Whether the language exists is not checked.
pub fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    text.len() <= MAX_LENGTH
        && (2..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_language_with_subtags() {
        for tag in ["de", "pt-BR", "zh-Hans", "de-CH-1996", "sl-rozaj-biske", "haw"] {
            assert!(is_language_tag(tag), "{tag}");
        }
        let long = format!("de{}", "-abcdefgh".repeat(4));
        for other in
            ["", "d", "de_DE", "de-", "-de", "12", "deutschland", "de-ABCDEFGHI", "dé", "de DE", &long]
        {
            assert!(!is_language_tag(other), "{other}");
            assert_eq!(other.parse::<Language>(), Err(InvalidLanguage), "{other}");
        }
    }

    #[test]
    fn a_language_is_its_tag_in_any_case() {
        let swiss: Language = serde_json::from_str("\"de-CH-1996\"").unwrap();
        assert_eq!(
            (swiss.tag(), serde_json::to_string(&swiss).unwrap()),
            ("de-CH-1996", "\"de-CH-1996\"".into())
        );
        assert_eq!(swiss, "DE-ch-1996".parse().unwrap());
        assert_ne!(swiss, "de-CH".parse().unwrap());
        assert_eq!(Language::EN.tag(), "en");
        assert!(Language::EN.is("EN") && !Language::EN.is("en-GB"));
        assert!(serde_json::from_str::<Language>("\"de_DE\"").is_err());
    }
}
