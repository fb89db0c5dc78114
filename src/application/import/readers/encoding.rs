//! The encodings of text that can be read: those of the WHATWG Encoding Standard.

use std::fmt;
use std::str::FromStr;

/// The encoding of a file's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static encoding_rs::Encoding);

/// The text is not the name of an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown encoding; known ones are utf-8, utf-16le, windows-1252, windows-1250, windows-1251, iso-8859-2, macintosh"
)]
pub struct UnknownEncoding;

impl Encoding {
    /// The encoding of files that the store writes.
    pub const UTF_8: Self = Self(encoding_rs::UTF_8);

    /// Returns the encoding of a byte order mark at the beginning of a file, and the length of the mark.
    pub(super) fn of_mark(start: &[u8]) -> Option<(Self, usize)> {
        encoding_rs::Encoding::for_bom(start).map(|(encoding, length)| (Self(encoding), length))
    }

    /// Returns UTF-16 if a file without a mark begins with two characters of it: each second byte of ASCII is 0 then.
    pub(super) fn of_zeros(start: &[u8]) -> Option<Self> {
        match start {
            [first, 0, second, 0, ..] if *first > 0 && *second > 0 => Some(Self(encoding_rs::UTF_16LE)),
            [0, first, 0, second, ..] if *first > 0 && *second > 0 => Some(Self(encoding_rs::UTF_16BE)),
            _ => None,
        }
    }

    /// Returns the encoding that the text of a detector is probably in.
    pub(super) fn guessed(detector: &chardetng::EncodingDetector) -> Self {
        Self(detector.guess(None, chardetng::Utf8Detection::Deny))
    }

    /// Returns a decoder, which does not handle marks; `None` for UTF-8, which needs none.
    pub(super) fn decoder(self) -> Option<encoding_rs::Decoder> {
        (self != Self::UTF_8).then(|| self.0.new_decoder_without_bom_handling())
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(name: &str) -> Result<Self, UnknownEncoding> {
        let known = encoding_rs::Encoding::for_label_no_replacement(name.as_bytes());
        known.map(Self).ok_or(UnknownEncoding)
    }
}

impl serde::Serialize for Encoding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}
