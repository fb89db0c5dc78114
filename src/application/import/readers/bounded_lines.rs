//! Reads a file line by line, and never holds more of it in memory than one record of bounded size.

use std::io::{BufRead, ErrorKind};

use super::encoding::Encoding;
use super::error::{Fault, ReadError};
use super::utf8_text::Utf8Text;

/// The most bytes of a record.
pub const MAX_RECORD: usize = 1 << 20;

/// The lines of a file, which end with LF, CR LF or CR.
pub(super) struct BoundedLines<R> {
    input: Utf8Text<R>,
    next: u64,
}

impl<R: BufRead> BoundedLines<R> {
    /// Reads from the beginning of `input`, after a byte order mark. `given` is the encoding of a file without one.
    pub(super) fn new(input: R, given: Option<Encoding>) -> Result<Self, ReadError> {
        let input = Utf8Text::new(input, given).map_err(|error| Fault::from(error).at_line(1))?;
        let next = 1 + input.skipped_lines();
        Ok(Self { input, next })
    }

    /// Returns the encoding of the file.
    pub(super) fn encoding(&self) -> Encoding {
        self.input.encoding()
    }

    /// Returns whether the encoding was given, or is that of the file's beginning, and not just assumed.
    pub(super) fn has_certain_encoding(&self) -> bool {
        self.input.is_certain()
    }

    /// Returns the first byte of the first buffer that is not white space, if there is one.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        let start = self.fill(&[])?;
        Ok(start.iter().copied().find(|byte| !byte.is_ascii_whitespace()))
    }

    /// Returns the number of the next line, from 1.
    pub(super) fn next_number(&self) -> u64 {
        self.next
    }

    /// Appends the next line, with its line break, to `record`, unless that would exceed [`MAX_RECORD`].
    pub(super) fn append_to(&mut self, record: &mut Vec<u8>) -> Result<Appended, ReadError> {
        let before = record.len();
        loop {
            let buffer = self.fill(&record[before..])?;
            if buffer.is_empty() {
                return Ok(if record.len() == before { Appended::Nothing } else { Appended::Line });
            }
            let line_end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let length = line_end.map_or(buffer.len(), |end| end + 1);
            if record.len() + length > MAX_RECORD {
                return Ok(Appended::Full);
            }
            record.extend_from_slice(&buffer[..length]);
            self.input.consume(length);
            if line_end.is_none() {
                continue;
            }
            if record.ends_with(b"\r") && self.fill(&record[before..])?.first() == Some(&b'\n') {
                record.push(b'\n');
                self.input.consume(1);
            }
            self.next += 1;
            return Ok(Appended::Line);
        }
    }

    /// Returns the next bytes. An error is at the end of `line`, the part of the next line that was read.
    fn fill(&mut self, line: &[u8]) -> Result<&[u8], ReadError> {
        loop {
            match self.input.fill_buf() {
                // the buffer that was filled, which the borrow checker does not accept as the value of the loop
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    let fault = Fault::Undecodable(self.input.encoding());
                    return Err(fault.at(line, self.next, line.len()));
                }
                Err(error) => return Err(Fault::from(error).at_line(self.next)),
            }
        }
        self.input.fill_buf().map_err(|error| Fault::from(error).at_line(self.next))
    }
}

/// What [`BoundedLines::append_to`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appended {
    /// A line was appended.
    Line,
    /// The file has ended.
    Nothing,
    /// The record would be too large.
    Full,
}
