//! Which characters a text may have.

/// Returns whether a text of one line, such as a name or an address, has none of the characters that could forge a line
/// of a header or of a log, or display another text than it contains: control characters, line breaks, the separators
/// of lines and paragraphs, and the controls of bidirectional text (Unicode Standard Annex #9, section 2).
pub fn is_line(text: &str) -> bool {
    !text
        .chars()
        .any(|character| character.is_control() || is_separator(character) || is_bidi_control(character))
}

/// Returns whether a text of several lines, such as a description, has no control characters but tabs and line breaks.
pub fn is_text(text: &str) -> bool {
    text.chars().all(|character| !character.is_control() || matches!(character, '\t' | '\n' | '\r'))
}

fn is_separator(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}')
}

/// Returns whether a character has the property `Bidi_Control`.
fn is_bidi_control(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_breaks_and_no_characters_that_change_how_it_is_displayed() {
        for text in ["Ann", "Größe 42", "שלום", "مرحبا", "日本", "👩\u{200d}🌾", ""] {
            assert!(is_line(text), "{text:?}");
        }
        for character in ['\0', '\t', '\n', '\r', '\u{7f}', '\u{85}', '\u{2028}', '\u{202e}', '\u{2066}'] {
            assert!(!is_line(&format!("a{character}b")), "{character:?}");
        }
    }

    #[test]
    fn a_text_may_have_tabs_and_line_breaks() {
        assert!(is_text("a\tb\r\nc"));
        assert!(!is_text("a\0b") && !is_text("a\u{85}b"));
    }
}
