//! Files that administrators upload, such as images of products.

use jiff::Timestamp;

use super::ids::{FileId, ProductId, UserId};

/// A file. Its content is in the file storage, and never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// The id, under which the storage has the content.
    pub id: FileId,
    /// The administrator who uploaded it.
    pub owner_id: UserId,
    /// The product whose content the file is, for its buyers and subscribers only; `None` is a public file.
    pub product_id: Option<ProductId>,
    /// The name for people, such as `cup.png`.
    pub name: String,
    /// The media type, without parameters.
    pub content_type: String,
    /// The number of bytes.
    pub size: i64,
    /// The SHA-256 digest of the content.
    pub sha256: Vec<u8>,
    /// The time at which the upload was complete.
    pub created_at: Timestamp,
}

impl StoredFile {
    /// Returns the SHA-256 digest in hexadecimal.
    pub fn checksum(&self) -> String {
        use std::fmt::Write;
        self.sha256.iter().fold(String::new(), |mut text, byte| {
            // writing to a text does not fail
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Returns whether browsers may show the file: it is an image without scripts, or a PDF.
    pub fn is_shown(&self) -> bool {
        SHOWN.iter().any(|(content_type, _)| *content_type == self.content_type)
    }

    /// Returns whether the file is an image that browsers may show.
    pub fn is_image(&self) -> bool {
        self.is_shown() && self.content_type.starts_with("image/")
    }
}

/// Whether bytes are the beginning of a file of a media type.
type Beginning = fn(&[u8]) -> bool;

/// The number of bytes by which [`begins_like`] recognizes a file.
pub const BEGINNING: usize = 12;

/// The media types of files that browsers may show, each with how they begin. SVG is none of them, because it may
/// contain scripts.
const SHOWN: [(&str, Beginning); 6] = [
    ("application/pdf", |beginning| beginning.starts_with(b"%PDF-")),
    ("image/avif", |beginning| matches!(beginning.get(4..12), Some(b"ftypavif" | b"ftypavis"))),
    ("image/gif", |beginning| beginning.starts_with(b"GIF87a") || beginning.starts_with(b"GIF89a")),
    ("image/jpeg", |beginning| beginning.starts_with(b"\xff\xd8\xff")),
    ("image/png", |beginning| beginning.starts_with(b"\x89PNG\r\n\x1a\n")),
    ("image/webp", |beginning| beginning.starts_with(b"RIFF") && beginning.get(8..12) == Some(b"WEBP")),
];

/// Returns the media types of files that browsers may show.
pub fn shown_types() -> impl Iterator<Item = &'static str> {
    SHOWN.iter().map(|(content_type, _)| *content_type)
}

/// Returns whether a file of a media type can begin with these bytes, its first [`BEGINNING`]. Only the types that
/// browsers may show are known.
///
/// <https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern>
pub fn begins_like(content_type: &str, beginning: &[u8]) -> bool {
    let shown = SHOWN.iter().find(|(known, _)| *known == content_type);
    shown.is_none_or(|(_, matches)| matches(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_type_that_browsers_show_begins_like_one() {
        for (content_type, beginning) in [
            ("application/pdf", &b"%PDF-1.7\n%\xe2\xe3"[..]),
            ("image/avif", b"\0\0\0\x20ftypavif"),
            ("image/gif", b"GIF89a\x01\0\x01\0\x80\0"),
            ("image/jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01"),
            ("image/png", b"\x89PNG\r\n\x1a\n\0\0\0\r"),
            ("image/webp", b"RIFF\x24\0\0\0WEBP"),
        ] {
            assert!(begins_like(content_type, beginning), "{content_type}");
            assert!(!begins_like(content_type, b"<html><scrip"), "{content_type}");
            assert!(!begins_like(content_type, b""), "{content_type}");
        }
        assert!(begins_like("text/html", b"<html><scrip"));
        assert!(begins_like("image/svg+xml", b"<svg><script"));
    }
}
