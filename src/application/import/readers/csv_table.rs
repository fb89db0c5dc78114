//! Reads CSV by RFC 4180, with any of four separators, and reports the line and column at which a file breaks it.
//!
//! The `csv` crate is lenient: after a quotation mark that is never closed, it reads the rest of the file as one field
//! of any size. Here that is an error with its line and column, and the size of a record is bounded.

use std::io::BufRead;

use super::bounded_lines::{Appended, BoundedLines, MAX_RECORD};
use super::encoding::Encoding;
use super::error::{Fault, ReadError};
use crate::application::import::line::Fields;

/// The bytes that separate fields, the most frequent one in files first.
const SEPARATORS: [u8; 4] = *b",;\t|";

/// The records of a CSV file.
pub(super) struct CsvTable<R> {
    lines: BoundedLines<R>,
    /// The separator of fields; `None` before the first line is read.
    separator: Option<u8>,
    raw: Vec<u8>,
}

/// A record with the number of its first line.
pub(super) struct CsvRecord {
    /// The number of the first line, from 1.
    pub number: u64,
    /// The fields.
    pub fields: Fields,
}

impl<R: BufRead> CsvTable<R> {
    /// Reads from lines.
    pub(super) fn new(lines: BoundedLines<R>) -> Self {
        Self { lines, separator: None, raw: Vec::new() }
    }

    /// Returns the encoding of the file.
    pub(super) fn encoding(&self) -> Encoding {
        self.lines.encoding()
    }

    /// Returns the separator of fields: that of the first line.
    pub(super) fn separator(&self) -> u8 {
        self.separator.unwrap_or(SEPARATORS[0])
    }

    /// Returns the next record that is not an empty line, or `None` at the end of the file.
    pub(super) fn next_record(&mut self) -> Result<Option<CsvRecord>, ReadError> {
        loop {
            let number = self.lines.next_number();
            let Some(spans) = self.scan_record(number)? else { return Ok(None) };
            if spans.is_empty() {
                continue;
            }
            let text = std::str::from_utf8(&self.raw).map_err(|error| {
                Fault::Undecodable(Encoding::UTF_8).at(&self.raw, number, error.valid_up_to())
            })?;
            let mut fields = Fields::default();
            for span in spans {
                let field = &text[span.start..span.end];
                if span.doubled {
                    fields.push(&field.replace("\"\"", "\""));
                } else {
                    fields.push(field);
                }
            }
            return Ok(Some(CsvRecord { number, fields }));
        }
    }

    /// Reads a record into `raw` and returns the spans of its fields, none for an empty line, or one of white space
    /// before the header; `None` at the end of the file.
    fn scan_record(&mut self, number: u64) -> Result<Option<Vec<Span>>, ReadError> {
        self.raw.clear();
        let mut scanner = Scanner::default();
        loop {
            let appended = self.lines.append_to(&mut self.raw)?;
            if self.separator.is_none() {
                if appended == Appended::Line && self.raw.trim_ascii().is_empty() {
                    return Ok(Some(Vec::new()));
                }
                let named = separator_line(&self.raw);
                self.separator = named.or_else(|| Some(separator_of(&self.raw)));
                if named.is_some() {
                    return Ok(Some(Vec::new()));
                }
            }
            scanner.separator = self.separator();
            let fault = match appended {
                Appended::Line => match scanner.scan(&self.raw) {
                    Ok(true) => return Ok(Some(scanner.spans)),
                    Ok(false) => continue,
                    Err((fault, offset)) => return Err(fault.at(&self.raw, number, offset)),
                },
                Appended::Nothing if self.raw.is_empty() => return Ok(None),
                Appended::Nothing => Fault::UnclosedQuote,
                Appended::Full => match scanner.scan_to(&self.raw, self.raw.len()) {
                    Ok(()) => Fault::RecordTooLarge { limit: MAX_RECORD },
                    Err((fault, offset)) => return Err(fault.at(&self.raw, number, offset)),
                },
            };
            return Err(fault.at(&self.raw, number, scanner.field_start));
        }
    }
}

/// Returns the separator that a line contains most often outside of quotation marks.
fn separator_of(line: &[u8]) -> u8 {
    let mut counts = [0; SEPARATORS.len()];
    let mut is_quoted = false;
    for byte in line {
        is_quoted ^= *byte == b'"';
        if let Some(index) = SEPARATORS.iter().position(|separator| separator == byte)
            && !is_quoted
        {
            counts[index] += 1;
        }
    }
    // of equally frequent ones the first, which `max_by_key` takes from the end
    let most = (0..counts.len()).rev().max_by_key(|index| counts[*index]);
    SEPARATORS[most.unwrap_or(0)]
}

/// Returns the separator of a line such as `sep=;`, which Excel reads before the header.
fn separator_line(line: &[u8]) -> Option<u8> {
    let rest = line.strip_prefix(b"sep=")?;
    let (separator, rest) = rest.split_first()?;
    (SEPARATORS.contains(separator) && rest.iter().all(u8::is_ascii_whitespace)).then_some(*separator)
}

/// The text of a field within the raw record.
struct Span {
    start: usize,
    end: usize,
    doubled: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    FieldStart,
    Unquoted,
    Quoted,
    QuoteInQuoted,
}

/// Finds the fields of a record, line by line.
#[derive(Default)]
struct Scanner {
    separator: u8,
    state: State,
    at: usize,
    field_start: usize,
    doubled: bool,
    spans: Vec<Span>,
}

impl Scanner {
    /// Scans the line that was appended to `raw`. Returns whether the record ends with it.
    fn scan(&mut self, raw: &[u8]) -> Result<bool, (Fault, usize)> {
        let line_end = raw.strip_suffix(b"\n").unwrap_or(raw);
        let line_end = line_end.strip_suffix(b"\r").unwrap_or(line_end).len();
        if line_end == 0 {
            return Ok(true);
        }
        self.scan_to(raw, line_end)?;
        if self.state == State::Quoted {
            // the line break belongs to the field
            self.at = raw.len();
            return Ok(false);
        }
        self.end_field();
        Ok(true)
    }

    fn scan_to(&mut self, raw: &[u8], end: usize) -> Result<(), (Fault, usize)> {
        while self.at < end {
            self.step(raw[self.at])?;
            self.at += 1;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<(), (Fault, usize)> {
        self.state = match (self.state, byte) {
            (State::FieldStart, b'"') => State::Quoted,
            (State::FieldStart | State::Unquoted | State::QuoteInQuoted, byte) if byte == self.separator => {
                self.end_field();
                self.field_start = self.at + 1;
                State::FieldStart
            }
            (State::Unquoted, b'"') => return Err((Fault::StrayQuote, self.at)),
            (State::FieldStart | State::Unquoted, _) => State::Unquoted,
            (State::Quoted, b'"') => State::QuoteInQuoted,
            (State::Quoted, _) => State::Quoted,
            (State::QuoteInQuoted, b'"') => {
                self.doubled = true;
                State::Quoted
            }
            (State::QuoteInQuoted, _) => return Err((Fault::TextAfterQuote, self.at)),
        };
        Ok(())
    }

    fn end_field(&mut self) {
        let quoted = usize::from(self.state == State::QuoteInQuoted);
        let doubled = std::mem::take(&mut self.doubled);
        self.spans.push(Span { start: self.field_start + quoted, end: self.at - quoted, doubled });
    }
}
