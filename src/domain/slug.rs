//! Slugs: the readable part of a URL, derived from a name.

use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

/// The longest slug, in characters.
const LONGEST: usize = 255;

/// Returns the slug of a text: its letters in lower case without accents, and its digits, separated by single hyphens,
/// cut after 255 characters. The slug of a text without letters and digits is empty.
pub fn slug(text: &str) -> String {
    let plain = text.nfkd().filter(|c| !('\u{300}'..='\u{36F}').contains(c)).nfc();
    let mut slug = String::new();
    for c in plain.flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') && c != '\'' && c != '’' {
            slug.push('-');
        }
    }
    if let Some((end, _)) = slug.char_indices().nth(LONGEST) {
        slug.truncate(end);
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// Returns whether a text is a slug, or several joined by two hyphens, as in the path of a category. A UUID is not a
/// slug, because products and categories are found by either.
pub fn is_slug(text: &str) -> bool {
    text.chars().count() <= LONGEST
        && text.split("--").all(|part| !part.is_empty() && slug(part) == part)
        && Uuid::try_parse(text).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_has_letters_digits_and_hyphens() {
        assert_eq!(slug("  Café Crème – Nº 5! "), "cafe-creme-no-5");
        assert_eq!(slug("Men's T-Shirt"), "mens-t-shirt");
        assert_eq!(slug("緑茶"), "緑茶");
        assert_eq!(slug("!!!"), "");
    }

    #[test]
    fn a_derived_slug_is_valid_and_an_id_is_not() {
        for text in ["Café Crème", "緑茶", "안녕", "a1-b2", "Straße 7", &"ab ".repeat(200)] {
            assert!(is_slug(&slug(text)), "{text}");
        }
        assert!(is_slug("clothing--t-shirts"));
        let id = Uuid::nil().to_string();
        for text in ["", "-", "a-", "a---b", "--a", "A", "a b", "a/b", "é", &id, &"a".repeat(256)] {
            assert!(!is_slug(text), "{text}");
        }
        assert!(is_slug(&"a".repeat(255)));
    }
}
