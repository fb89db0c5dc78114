//! What makes a file unreadable, and where.

use super::format::Format;

/// A file that cannot be read on: as nothing was applied yet, nothing is half done.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct ReadError {
    /// The line, counted from 1.
    pub line: u64,
    /// The character within the line, counted from 1.
    pub column: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is not UTF-8.
    #[error("not UTF-8; save the file as UTF-8 and import it again")]
    NotUtf8,
    /// It is UTF-16.
    #[error("this is UTF-16; save the file as UTF-8 and import it again")]
    Utf16,
    /// A record is larger than anything sensible; it was not read to its end.
    #[error("more than {limit} bytes in one record; is a quotation mark missing?")]
    RecordTooLarge {
        /// How large a record may be.
        limit: usize,
    },
    /// A quotation mark stands within a field that does not begin with one.
    #[error("a quotation mark in an unquoted field; quote the field and double the mark")]
    StrayQuote,
    /// A quoted field goes on after its closing mark.
    #[error("text after the closing quotation mark; double the marks within a quoted field")]
    TextAfterQuote,
    /// A quoted field is never closed.
    #[error("this quotation mark is never closed")]
    UnclosedQuote,
    /// The file has no header.
    #[error("the file is empty")]
    Empty,
    /// The header belongs to no known layout.
    #[error("unknown layout; known are {}. Say which with --format", Format::described())]
    UnknownFormat,
    /// The header lacks columns.
    #[error("missing columns: {}", .0.join(", "))]
    MissingColumns(Vec<&'static str>),
    /// A column that is read stands there twice.
    #[error("the column {0} stands there twice")]
    RepeatedColumn(String),
    /// The layout does not say which currency its prices are in, and nobody else did.
    #[error("the file does not say which currency its prices are in; say it with --currency")]
    CurrencyNeeded,
    /// Reading failed.
    #[error("{0}")]
    Io(std::io::Error),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fault {
    /// The fault, `offset` bytes into a piece of the file that begins with line `first_line`.
    pub(super) fn at(self, piece: &[u8], first_line: u64, offset: usize) -> ReadError {
        let before = &piece[..offset.min(piece.len())];
        let mut at = ReadError { line: first_line, column: 1, fault: self };
        for byte in before {
            match byte {
                b'\n' => (at.line, at.column) = (at.line + 1, 1),
                // continues a character
                0x80..=0xBF => {}
                _ => at.column += 1,
            }
        }
        at
    }

    /// The fault, at the beginning of a line.
    pub(super) fn at_line(self, line: u64) -> ReadError {
        ReadError { line, column: 1, fault: self }
    }
}
