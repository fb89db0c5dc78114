//! Slugs: the readable part of a URL, derived from a name.

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

/// The longest slug, in characters.
pub const LONGEST: usize = 255;
/// The longest slug that is derived, in characters. The API takes such a slug for every resource.
const LONGEST_DERIVED: usize = 120;
/// The hexadecimal digits at the end of a slug that was shortened.
const DIGITS: usize = 8;

/// Returns the slug of a text: its letters in lower case without accents, and its digits, separated by single hyphens.
/// One of more than 120 characters is shortened. The slug of a text without letters and digits is empty.
pub fn slug(text: &str) -> String {
    shortened(uncut_slug(text))
}

/// Returns the slug of a text, however long it is.
pub fn uncut_slug(text: &str) -> String {
    let plain = text.nfkd().filter(|c| !('\u{300}'..='\u{36F}').contains(c)).nfc();
    let mut slug = String::new();
    for c in plain.flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') && c != '\'' && c != '’' {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    // characters between which an apostrophe was may have to change places
    slug.nfc().collect()
}

/// Cuts a slug of more than 120 characters. It ends with digits that follow from the whole, so that different slugs
/// stay different. A text that is a UUID gets such digits, too: it would be no slug.
pub fn shortened(slug: String) -> String {
    if slug.chars().count() <= LONGEST_DERIVED && Uuid::try_parse(&slug).is_err() {
        return slug;
    }
    let digest = Sha256::digest(slug.as_bytes());
    let number = digest.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let beginning: String = slug.chars().take(LONGEST_DERIVED - DIGITS - 1).collect();
    format!("{}-{number:0DIGITS$x}", beginning.trim_end_matches('-'))
}

/// Returns whether a text is a slug, or several joined by two hyphens, as in the path of a category. A UUID is not a
/// slug, because products and categories are found by either.
pub fn is_slug(text: &str) -> bool {
    text.chars().count() <= LONGEST
        && text.split("--").all(|part| !part.is_empty() && uncut_slug(part) == part)
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
        let code = "0123456789ABCDEF".repeat(2);
        let points = "\u{5d0}\u{5bc}\u{5b6}'\u{5ba}5";
        for text in ["Café Crème", "緑茶", "안녕", "a1-b2", "Straße 7", points, &"ab ".repeat(200), &code]
        {
            assert!(is_slug(&slug(text)), "{text}");
        }
        assert!(is_slug(&slug(&Uuid::nil().to_string())));
        assert!(is_slug("clothing--t-shirts"));
        let id = Uuid::nil().to_string();
        for text in ["", "-", "a-", "a---b", "--a", "A", "a b", "a/b", "é", &id, &"a".repeat(256)] {
            assert!(!is_slug(text), "{text}");
        }
        assert!(is_slug(&"a".repeat(255)));
    }

    #[test]
    fn long_texts_with_the_same_beginning_have_different_slugs() {
        let [one, other] = ["one", "other"].map(|end| slug(&format!("{} {end}", "long name ".repeat(12))));
        assert!(one != other && is_slug(&one) && is_slug(&other));
        assert!(one.starts_with("long-name-long-name") && one.chars().count() <= LONGEST_DERIVED, "{one}");
        let path = shortened("a--".repeat(60) + "b");
        assert!(is_slug(&path) && path.chars().count() <= LONGEST_DERIVED, "{path}");
        assert_eq!(slug(&"a".repeat(120)), "a".repeat(120));
    }
}
