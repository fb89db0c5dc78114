//! The words of a text for the search, folded so that case, accents and encoding do not matter.
//!
//! Folding is compatibility decomposition (NFKD) without marks, and case folding by way of upper case: `Straße` is
//! found by `STRASSE`, and `ﬁg` by `fig`. Every Han or kana character is a word, because these scripts have no spaces.
//! An apostrophe or a soft hyphen does not separate words. A text with umlauts has a second spelling, as it is written
//! in German without a key for them.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The most characters of a word; further ones are ignored.
const LONGEST: usize = 40;

/// Returns the words of a text in their order, with repetitions.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut length = 0;
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    for c in text.nfkd().filter(|&c| !is_combining_mark(c) && !is_ignored(c)) {
        let is_word = is_unspaced(c);
        if is_word || !c.is_alphanumeric() {
            end(&mut word);
            length = 0;
        }
        if c.is_alphanumeric() {
            for folded in c.to_uppercase().flat_map(char::to_lowercase).take(LONGEST - length) {
                word.push(folded);
                length += 1;
            }
        }
        if is_word {
            end(&mut word);
            length = 0;
        }
    }
    end(&mut word);
    words
}

/// Returns the words of each spelling of a text: as they are and, if it has umlauts, with two letters in their place.
/// `Grüner Tee` is `gruner tee`, and `gruener tee`. Each has the same number of words.
pub fn spellings(text: &str) -> Vec<Vec<String>> {
    let mut spellings = vec![words(text)];
    spellings.extend(without_umlauts(text).map(|text| words(&text)));
    spellings
}

/// Returns a text with `ae`, `oe` and `ue` in place of its umlauts; `None` if it has none.
fn without_umlauts(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let letters = |c| match c {
        'ä' | 'Ä' => Some("ae"),
        'ö' | 'Ö' => Some("oe"),
        'ü' | 'Ü' => Some("ue"),
        _ => None,
    };
    let (mut spelled, mut has_umlauts) = (String::with_capacity(text.len()), false);
    for c in text.nfc() {
        match letters(c) {
            Some(letters) => {
                has_umlauts = true;
                spelled.push_str(letters);
            }
            None => spelled.push(c),
        }
    }
    has_umlauts.then_some(spelled)
}

/// Returns whether a character is no part of a word and separates none: an apostrophe, and those that are not seen
/// within a word, such as the soft hyphen.
fn is_ignored(c: char) -> bool {
    matches!(c, '\'' | '’' | '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// Returns whether a character belongs to a script without spaces: hiragana, katakana or Han.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_accents_and_encodings_are_folded() {
        for text in ["Crème BRÛLÉE", "cre\u{300}me bru\u{302}le\u{301}e", "ＣＲＥＭＥ  brulee!"] {
            assert_eq!(words(text), ["creme", "brulee"], "{text}");
        }
        assert_eq!(words("Straße ﬁg ΣΊΣΥΦΟΣ İstanbul"), ["strasse", "fig", "σισυφοσ", "istanbul"]);
    }

    #[test]
    fn a_text_with_umlauts_has_a_spelling_without() {
        for text in ["Grüner KÄSE, Öl", "Gru\u{308}ner KA\u{308}SE O\u{308}l"] {
            assert_eq!(spellings(text), [["gruner", "kase", "ol"], ["gruener", "kaese", "oel"]], "{text}");
        }
        assert_eq!(spellings("Crème brûlée"), [["creme", "brulee"]]);
        assert_eq!(spellings("Tea"), [["tea"]]);
    }

    #[test]
    fn other_characters_than_letters_and_digits_separate_words() {
        assert_eq!(words("AB-123/x, men's 1.5\u{a0}l"), ["ab", "123", "x", "mens", "1", "5", "l"]);
        assert!(words(" -- … \u{301}").is_empty());
        assert_eq!(words("te\u{ad}a cu\u{2060}p\u{200b}s"), ["tea", "cup", "s"]);
    }

    #[test]
    fn each_han_or_kana_character_is_a_word() {
        assert_eq!(words("有機green茶 ティー"), ["有", "機", "green", "茶", "テ", "ィ", "ー"]);
    }

    #[test]
    fn a_long_word_is_cut() {
        assert_eq!(words(&"a".repeat(1_000)), ["a".repeat(LONGEST)]);
        assert_eq!(words(&"ß".repeat(1_000)), ["s".repeat(LONGEST)]);
    }

    proptest! {
        #[test]
        fn the_words_of_words_are_the_same(text in "\\PC{0,60}") {
            let once = words(&text);
            prop_assert_eq!(words(&once.join(" ")), once);
        }
    }
}
