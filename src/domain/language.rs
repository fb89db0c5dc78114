//! Languages by their BCP 47 tag: what users read, and what translations are kept under.

/// The longest tag that a store has to keep (RFC 5646, section 4.4.1).
const LONGEST: usize = 35;

/// Whether a text is written like a tag: a language of two to eight letters, then subtags of letters and digits, as
/// in `de`, `pt-BR` and `zh-Hans`. Whether there is such a language is not asked.
pub fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    text.len() <= LONGEST
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
    fn a_tag_is_a_language_and_what_narrows_it() {
        for tag in ["de", "pt-BR", "zh-Hans", "de-CH-1996", "sl-rozaj-biske", "haw"] {
            assert!(is_language_tag(tag), "{tag}");
        }
        let long = format!("de{}", "-abcdefgh".repeat(4));
        for other in
            ["", "d", "de_DE", "de-", "-de", "12", "deutschland", "de-ABCDEFGHI", "dé", "de DE", &long]
        {
            assert!(!is_language_tag(other), "{other}");
        }
    }
}
