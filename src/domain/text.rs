//! Which characters a text may have.

/// Returns whether a text of one line, such as a name or an address, has none of the characters that could forge a line
/// of a header or of a log, or display another text than it contains: control characters, line breaks, the separators
/// of lines and paragraphs, and the controls of bidirectional text (Unicode Standard Annex #9, section 2).
pub fn is_line(text: &str) -> bool {
    text.chars().all(is_of_line)
}

/// Returns whether a text of one line may have a character ([`is_line`]).
pub fn is_of_line(character: char) -> bool {
    !(character.is_control() || is_separator(character) || is_bidi_control(character))
}

/// Returns whether a text of several lines, such as a description, has no control characters but tabs and line breaks.
pub fn is_text(text: &str) -> bool {
    text.chars().all(|character| !character.is_control() || matches!(character, '\t' | '\n' | '\r'))
}

/// Returns whether a text displays anything: it has a character that is neither a space nor invisible.
pub fn is_visible(text: &str) -> bool {
    text.chars()
        .any(|character| !character.is_whitespace() && !character.is_control() && !is_invisible(character))
}

/// Returns whether a text can be a name that is part of the path of a URL, such as that of a role: 1 to 100 small
/// letters, digits, `.`, `_` and `-`, and not dots alone, which clients remove from a path.
pub fn is_path_name(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    text.len() <= 100 && text.chars().all(is_allowed) && text.chars().any(|c| c != '.')
}

/// Returns whether a character displays nothing: it has the property `Default_Ignorable_Code_Point`, such as the zero
/// width space, the soft hyphen and the byte order mark, or is the Braille pattern without dots.
///
/// Source: <https://www.unicode.org/Public/16.0.0/ucd/DerivedCoreProperties.txt>.
pub fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
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
    fn a_text_of_spaces_and_invisible_characters_displays_nothing() {
        for text in ["Ann", " .", "שלום", "日本", "👩\u{200d}🌾", "می\u{200c}خواهم"] {
            assert!(is_visible(text), "{text:?}");
        }
        for text in ["", " \t\u{a0}\u{3000}", "\u{200b}\u{200d}\u{2060}\u{feff}", "\u{ad}\u{3164}\u{2800}"] {
            assert!(!is_visible(text), "{text:?}");
        }
    }

    #[test]
    fn a_text_may_have_tabs_and_line_breaks() {
        assert!(is_text("a\tb\r\nc"));
        assert!(!is_text("a\0b") && !is_text("a\u{85}b"));
    }
}
