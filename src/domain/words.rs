//! The words of a text, folded: neither case nor accents nor the way a letter is encoded keep a search from finding.
//!
//! Compatibility decomposition (NFKD) without marks, case folded by way of upper case, so that `Straße` is found by
//! `STRASSE` and `ﬁg` by `fig`. Han and kana, which are written without spaces, are a word each; an apostrophe joins.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Characters of a word that count; the rest is cut off.
const LONGEST: usize = 40;

/// The words of `text` in their order, each as often as it stands there.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut length = 0;
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    for c in text.nfkd().filter(|&c| !is_combining_mark(c) && !matches!(c, '\'' | '’')) {
        let alone = is_unspaced(c);
        if alone || !c.is_alphanumeric() {
            end(&mut word);
            length = 0;
        }
        if c.is_alphanumeric() && length < LONGEST {
            word.extend(c.to_uppercase().flat_map(char::to_lowercase));
            length += 1;
        }
        if alone {
            end(&mut word);
            length = 0;
        }
    }
    end(&mut word);
    words
}

/// Whether words of this script are written without spaces between them: hiragana, katakana, Han.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_encodings_are_folded() {
        for text in ["Crème BRÛLÉE", "cre\u{300}me bru\u{302}le\u{301}e", "ＣＲＥＭＥ  brulee!"] {
            assert_eq!(words(text), ["creme", "brulee"], "{text}");
        }
        assert_eq!(words("Straße ﬁg ΣΊΣΥΦΟΣ İstanbul"), ["strasse", "fig", "σισυφοσ", "istanbul"]);
    }

    #[test]
    fn what_is_no_letter_or_digit_parts_words_and_an_apostrophe_joins_them() {
        assert_eq!(words("AB-123/x, men's 1.5\u{a0}l"), ["ab", "123", "x", "mens", "1", "5", "l"]);
        assert!(words(" -- … \u{301}").is_empty());
    }

    #[test]
    fn han_and_kana_are_words_by_themselves() {
        assert_eq!(words("有機green茶 ティー"), ["有", "機", "green", "茶", "テ", "ィ", "ー"]);
    }

    #[test]
    fn a_word_without_end_is_cut() {
        assert_eq!(words(&"a".repeat(1_000)), ["a".repeat(LONGEST)]);
    }
}
