//! Reads a file line by line without ever holding more of it than a record may be long.

use std::io::BufRead;

use super::error::{Fault, ReadError};

/// How many bytes a record may have: a product's description fits many times over.
pub const MAX_RECORD: usize = 1 << 20;

/// The lines of a file.
pub struct BoundedLines<R> {
    input: R,
    next: u64,
}

impl<R: BufRead> BoundedLines<R> {
    /// Begins at the top of `input`, after its byte order mark if it has one.
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

    /// The first byte that is not white space, if it stands within the first buffer.
    pub fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        let start = self.input.fill_buf().map_err(|error| Fault::from(error).at_line(1))?;
        Ok(start.iter().copied().find(|byte| !byte.is_ascii_whitespace()))
    }

    /// The number of the line that is read next.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Appends the next line, with its end, to `record`; says `false` at the end of the file.
    ///
    /// Stops with [`Appended::Full`] when `record` would become longer than [`MAX_RECORD`].
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
            let taken = newline.map_or(buffer.len(), |newline| newline + 1);
            if record.len() + taken > MAX_RECORD {
                return Ok(Appended::Full);
            }
            record.extend_from_slice(&buffer[..taken]);
            self.input.consume(taken);
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
    /// It appended a line.
    Line,
    /// There was no more.
    Nothing,
    /// The record would have become too large.
    Full,
}
