//! Reads a file in any encoding as UTF-8.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult};

use super::encoding::Encoding;

/// The size of the buffer of decoded text, in bytes.
const BUFFER_BYTES: usize = 1 << 16;

/// The text of a file, as UTF-8. A file in UTF-8 is read as it is: who reads the text checks it.
pub(super) struct Utf8Text<R> {
    input: R,
    encoding: Encoding,
    /// The number of empty lines before the byte order mark.
    skipped_lines: u64,
    /// Whether the encoding was given, or is that of the file's beginning.
    is_certain: bool,
    decoder: Option<Decoder>,
    decoded: Vec<u8>,
    /// The bytes of `decoded` that were consumed.
    consumed: usize,
    /// A byte after `decoded` cannot be decoded.
    is_broken: bool,
}

impl<R: BufRead> Utf8Text<R> {
    /// Reads a file from its beginning. A byte order mark, also after white space, decides on the encoding, or else
    /// `given`, or else zeros, which are those of UTF-16; otherwise it is UTF-8.
    pub(super) fn new(mut input: R, given: Option<Encoding>) -> io::Result<Self> {
        let start = input.fill_buf()?;
        let blank = start.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let (known, skipped) = match Encoding::of_mark(&start[blank..]) {
            Some((encoding, length)) => (Some(encoding), blank + length),
            None => (given.or_else(|| Encoding::of_zeros(start)), 0),
        };
        let skipped_lines = line_breaks(&start[..blank.min(skipped)]);
        input.consume(skipped);
        let encoding = known.unwrap_or(Encoding::UTF_8);
        Ok(Self {
            input,
            encoding,
            skipped_lines,
            is_certain: known.is_some(),
            decoder: encoding.decoder(),
            decoded: Vec::new(),
            consumed: 0,
            is_broken: false,
        })
    }

    /// Returns the encoding.
    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns the number of empty lines before the byte order mark, which are not part of the text.
    pub(super) fn skipped_lines(&self) -> u64 {
        self.skipped_lines
    }

    /// Returns whether the encoding was given, or is that of the file's beginning, and not just assumed.
    pub(super) fn is_certain(&self) -> bool {
        self.is_certain
    }

    /// Decodes the next bytes, unless there is decoded text left.
    fn decode(&mut self) -> io::Result<()> {
        while self.consumed == self.decoded.len() {
            if self.is_broken {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some(decoder) = &mut self.decoder else { return Ok(()) };
            let bytes = self.input.fill_buf()?;
            let is_end = bytes.is_empty();
            self.decoded.resize(BUFFER_BYTES, 0);
            self.consumed = 0;
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(bytes, &mut self.decoded, is_end);
            self.decoded.truncate(written);
            self.input.consume(read);
            self.is_broken = matches!(result, DecoderResult::Malformed(..));
            if is_end && result == DecoderResult::InputEmpty {
                self.decoder = None;
            }
        }
        Ok(())
    }
}

/// Returns the number of line breaks: LF, CR LF or CR.
fn line_breaks(text: &[u8]) -> u64 {
    let mut previous = 0;
    let is_new = |&&byte: &&u8| {
        let is_new = byte == b'\r' || (byte == b'\n' && previous != b'\r');
        previous = byte;
        is_new
    };
    text.iter().filter(is_new).count() as u64
}

impl<R: BufRead> BufRead for Utf8Text<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.encoding == Encoding::UTF_8 {
            return self.input.fill_buf();
        }
        self.decode()?;
        Ok(&self.decoded[self.consumed..])
    }

    fn consume(&mut self, amount: usize) {
        if self.encoding == Encoding::UTF_8 {
            self.input.consume(amount);
        } else {
            self.consumed += amount;
        }
    }
}

impl<R: BufRead> Read for Utf8Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
