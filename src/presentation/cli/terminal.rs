//! What commands print. A text of the database, of a file or of another service may have control characters: a terminal
//! obeys them, and may then show another text, or hide what it showed before. They are escaped, as JSON does it.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, Stderr, Stdout, Write};

use crate::domain::text::is_of_line;

/// The bytes of a text that are compared at once.
const PIECE: usize = 64;

/// Standard output or standard error, for texts of several lines: tabs and line breaks stay as they are.
pub(super) struct Terminal<W>(W);

/// Returns standard output, for what people read and for JSON.
pub(super) fn stdout() -> Terminal<Stdout> {
    Terminal(io::stdout())
}

/// Returns standard error.
pub(super) fn stderr() -> Terminal<Stderr> {
    Terminal(io::stderr())
}

impl<W: Write> Write for Terminal<W> {
    /// Writes a whole text: no character may be split between two calls.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.write_all(&escaped(text, |character| matches!(character, '\t' | '\n')))?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    /// Writes a text at once.
    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        self.write_all(text.to_string().as_bytes())
    }
}

/// Returns a text in which the characters that no line may have ([`is_of_line`]) are escaped, except those that stay.
/// JSON remains JSON with the same content.
pub(super) fn escaped(text: &[u8], stays: fn(char) -> bool) -> Cow<'_, [u8]> {
    // a whole piece is compared at once
    let is_plain = |piece: &[u8]| piece.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if text.chunks(PIECE).all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            _ if is_of_line(character) || stays(character) => shown.push(character),
            '\t' => shown.push_str("\\t"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            _ => {
                // writing to a text does not fail, and none of them has more digits
                let _ = write!(shown, "\\u{:04x}", u32::from(character));
            }
        }
    }
    Cow::Owned(shown.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_escaped_and_json_stays_the_same() {
        let harmful = "\u{1b}[2J\u{9b}31m\u{0}\u{7f}\u{7}\r\u{202e}\u{2066}\u{2028}";
        let mut out = Terminal(Vec::new());
        writeln!(out, "Größe\t{harmful}\n日本").unwrap();
        let shown = "Größe\t\\u001b[2J\\u009b31m\\u0000\\u007f\\u0007\\r\\u202e\\u2066\\u2028\n日本\n";
        assert_eq!(String::from_utf8(out.0).unwrap(), shown);

        let json = serde_json::to_string(harmful).unwrap();
        let shown = escaped(json.as_bytes(), |_| false).into_owned();
        assert!(shown.iter().all(|byte| matches!(byte, b' '..=b'~')), "{shown:?}");
        assert_eq!(serde_json::from_slice::<String>(&shown).unwrap(), harmful);
    }
}
