//! Finds the encoding of a whole file.

use std::io::BufRead;

use chardetng::{EncodingDetector, Iso2022JpDetection};

use super::bounded_lines::{Appended, BoundedLines};
use super::encoding::Encoding;
use super::error::ReadError;

/// Returns the encoding of a file: that of its beginning, or UTF-8, or, if none of its lines that are not ASCII is
/// UTF-8, the most probable one.
///
/// A file with some such lines in UTF-8 and others not is UTF-8 with a fault: reading it names the line.
pub fn encoding_of<R: BufRead>(input: R) -> Result<Encoding, ReadError> {
    let mut lines = BoundedLines::new(input, None)?;
    if lines.has_certain_encoding() {
        return Ok(lines.encoding());
    }

    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let (mut is_utf8, mut is_other) = (false, false);
    let mut line = Vec::new();
    // a line that is too large is reported when it is read
    while lines.append_to(&mut line)? == Appended::Line {
        if !line.is_ascii() {
            let is_valid = std::str::from_utf8(&line).is_ok();
            (is_utf8, is_other) = (is_utf8 || is_valid, is_other || !is_valid);
            detector.feed(&line, false);
        }
        line.clear();
    }
    detector.feed(&[], true);
    Ok(if is_other && !is_utf8 { Encoding::guessed(&detector) } else { Encoding::UTF_8 })
}
