//! Languages by their BCP 47 tag, for users and translations.

/// The greatest length of a tag (RFC 5646 section 4.4.1).
const MAX_LENGTH: usize = 35;

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
        }
    }
}
