//! Why a file cannot be read, and where.

use super::encoding::Encoding;
use super::format::Format;

/// A file cannot be read further. Files are checked before anything is written, so nothing was.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct ReadError {
    /// The line, from 1.
    pub line: u64,
    /// The character within the line, from 1.
    pub column: u64,
    /// The fault at this position.
    pub fault: Fault,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The text is not in the encoding of the file.
    #[error("not {0}; name the encoding of the file with --encoding, such as windows-1252")]
    Undecodable(Encoding),
    /// A record is too large; it was not read to its end.
    #[error("more than {limit} bytes in one record; is a quotation mark missing?")]
    RecordTooLarge {
        /// The most bytes of a record.
        limit: usize,
    },
    /// A quotation mark is within a field that does not begin with one.
    #[error("a quotation mark in an unquoted field; quote the field and double the mark")]
    StrayQuote,
    /// A quoted field continues after its closing mark.
    #[error("text after the closing quotation mark; double the marks within a quoted field")]
    TextAfterQuote,
    /// A quoted field is never closed.
    #[error("this quotation mark is never closed")]
    UnclosedQuote,
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The header, which is described, belongs to no known format.
    #[error("unknown format. {0} Known formats are {known}; set one with --format", known = Format::names())]
    UnknownFormat(String),
    /// The header is that of an export of other records than products, which are named.
    #[error("these are {0}; of Shopify and WooCommerce only exports of products are imported")]
    OtherRecords(&'static str),
    /// The header lacks columns.
    #[error("missing columns: {}; the file has {header}", missing.join(", "))]
    MissingColumns {
        /// The columns that are missing.
        missing: Vec<&'static str>,
        /// The columns of the file.
        header: String,
    },
    /// A column that is read occurs twice.
    #[error("the column {0} occurs twice")]
    RepeatedColumn(String),
    /// The format does not name the currency of its prices, and no option does.
    #[error(
        "the file does not name the currency of its prices; set it with --currency, such as --currency EUR"
    )]
    CurrencyNeeded,
    /// The file cannot be read.
    #[error("{0}")]
    Io(std::io::Error),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fault {
    /// Returns the error at `offset` bytes in a piece of the file that begins with line `first_line`.
    pub(super) fn at(self, piece: &[u8], first_line: u64, offset: usize) -> ReadError {
        let before = &piece[..offset.min(piece.len())];
        let mut at = ReadError { line: first_line, column: 1, fault: self };
        let mut previous = 0;
        for &byte in before {
            match byte {
                // the second byte of a line break
                b'\n' if previous == b'\r' => {}
                b'\n' | b'\r' => (at.line, at.column) = (at.line + 1, 1),
                // a continuation byte of a character
                0x80..=0xBF => {}
                _ => at.column += 1,
            }
            previous = byte;
        }
        at
    }

    /// Returns the error at the beginning of a line.
    pub(super) fn at_line(self, line: u64) -> ReadError {
        ReadError { line, column: 1, fault: self }
    }
}
