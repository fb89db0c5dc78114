//! Reads a file line by line, and never holds more of it in memory than one record of bounded size.

use std::io::BufRead;

use super::error::{Fault, ReadError};

/// The most bytes of a record.
pub const MAX_RECORD: usize = 1 << 20;

/// The lines of a file.
pub struct BoundedLines<R> {
    input: R,
    next: u64,
}

impl<R: BufRead> BoundedLines<R> {
    /// Reads from the beginning of `input`, after a byte order mark. Fails on UTF-16.
    pub fn new(mut input: R) -> Result<Self, ReadError> {
        let start = input.fill_buf().map_err(|error| Fault::from(error).at_line(1))?;
        if start.starts_with(b"\xFF\xFE") || start.starts_with(b"\xFE\xFF") {
            return Err(Fault::Utf16.at_line(1));
        }
        if start.starts_with(b"\xEF\xBB\xBF") {
            input.consume(3);
        }
        Ok(Self { input, next: 1 })
    }

    /// Returns the first byte of the first buffer that is not white space, if there is one.
    pub fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        let start = self.input.fill_buf().map_err(|error| Fault::from(error).at_line(1))?;
        Ok(start.iter().copied().find(|byte| !byte.is_ascii_whitespace()))
    }

    /// Returns the number of the next line, from 1.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Appends the next line, with its line break, to `record`, unless that would exceed [`MAX_RECORD`].
    pub fn append_to(&mut self, record: &mut Vec<u8>) -> Result<Appended, ReadError> {
        let before = record.len();
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fault::from(error).at_line(self.next)),
            };
            if buffer.is_empty() {
                return Ok(if record.len() == before { Appended::Nothing } else { Appended::Line });
            }
            let newline = buffer.iter().position(|byte| *byte == b'\n');
            let length = newline.map_or(buffer.len(), |newline| newline + 1);
            if record.len() + length > MAX_RECORD {
                return Ok(Appended::Full);
            }
            record.extend_from_slice(&buffer[..length]);
            self.input.consume(length);
            if newline.is_some() {
                self.next += 1;
                return Ok(Appended::Line);
            }
        }
    }
}

/// What [`BoundedLines::append_to`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// A line was appended.
    Line,
    /// The file has ended.
    Nothing,
    /// The record would be too large.
    Full,
}
