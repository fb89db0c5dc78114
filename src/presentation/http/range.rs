//! `Range` and `If-Range` (RFC 9110 section 14): a part of a representation, to continue a download.

use std::convert::Infallible;
use std::ops::Range;

use axum::extract::FromRequestParts;
use http::header::{IF_RANGE, RANGE};
use http::request::Parts;
use http::{HeaderMap, Method};

use super::operation::OperationDescription;
use super::routing::Argument;
use crate::domain::file::shown_types;
use crate::infrastructure::exceptions::RejectedRequest;

/// The bytes that a client requests: a range, or the whole. Several ranges, and those of other units, are ignored, and
/// so is a range in a request that is not `GET` (RFC 9110 section 14.2).
#[derive(Debug, Clone, Default)]
pub struct RequestedRange {
    /// Whether the response has no body, as that to `HEAD`.
    is_head: bool,
    range: Option<Bounds>,
    /// The entity tag of the representation of which the client has a part.
    if_range: Option<Vec<u8>>,
}

/// What a range of bytes begins and ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bounds {
    /// From a byte, up to another one or the last.
    From(u64, Option<u64>),
    /// The last bytes.
    Last(u64),
}

impl RequestedRange {
    /// Returns whether the client requests the headers alone.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// Returns the requested bytes of a representation with this size and entity tag; `None` is the whole.
    ///
    /// # Errors
    ///
    /// [`RejectedRequest::RangeNotSatisfiable`] if the representation has none of them.
    pub fn of(&self, size: u64, tag: &str) -> Result<Option<Range<u64>>, RejectedRequest> {
        let is_current = self.if_range.as_ref().is_none_or(|known| known == tag.as_bytes());
        let Some(bounds) = self.range.filter(|_| is_current) else { return Ok(None) };
        let range = match bounds {
            Bounds::From(first, last) => first..last.map_or(size, |last| size.min(last.saturating_add(1))),
            Bounds::Last(count) => size.saturating_sub(count)..size,
        };
        if range.is_empty() { Err(RejectedRequest::RangeNotSatisfiable { size }) } else { Ok(Some(range)) }
    }
}

/// Reads a single range of bytes.
fn bounds(headers: &HeaderMap) -> Option<Bounds> {
    let (unit, range) = headers.get(RANGE)?.to_str().ok()?.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    match (first, last) {
        ("", last) => Some(Bounds::Last(number(last)?)),
        (first, "") => Some(Bounds::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Bounds::From(first, Some(last)))
        }
    }
}

impl Argument for RequestedRange {
    fn describe(operation: &mut OperationDescription<'_>) {
        operation.request_header("Range", "One range of bytes, such as `bytes=1000-`; others are ignored.");
        operation.request_header(
            "If-Range",
            "The `ETag` of which the client has a part: if it is another one, the \
                                              response is the whole.",
        );
        operation.types_and_part(shown_types());
        operation.fails(RejectedRequest::RangeNotSatisfiable { size: 0 });
    }
}

impl<S: Sync> FromRequestParts<S> for RequestedRange {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let if_range = parts.headers.get(IF_RANGE).map(|value| value.as_bytes().to_vec());
        let range = bounds(&parts.headers).filter(|_| parts.method == Method::GET);
        Ok(Self { is_head: parts.method == Method::HEAD, range, if_range })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Result<Option<Range<u64>>, RejectedRequest> {
        let headers = HeaderMap::from_iter([(RANGE, text.parse().unwrap())]);
        RequestedRange { range: bounds(&headers), ..RequestedRange::default() }.of(10, "\"a\"")
    }

    #[test]
    fn one_range_of_bytes_is_read() {
        for (text, expected) in
            [("bytes=0-0", 0..1), ("bytes=2-", 2..10), ("Bytes=4-99", 4..10), ("bytes=-3", 7..10)]
        {
            assert_eq!(range(text), Ok(Some(expected)), "{text}");
        }
        for text in [
            "bytes=0-1,4-5",
            "items=0-1",
            "bytes=3-2",
            "bytes=-",
            "bytes=+1-",
            "bytes",
            "bytes=1-99999999999999999999",
        ] {
            assert_eq!(range(text), Ok(None), "{text}");
        }
        for text in ["bytes=10-", "bytes=-0", "bytes=99-100"] {
            assert_eq!(range(text), Err(RejectedRequest::RangeNotSatisfiable { size: 10 }), "{text}");
        }
    }

    #[test]
    fn a_range_of_another_representation_is_ignored() {
        let requested = |tag: &str| RequestedRange {
            is_head: false,
            range: Some(Bounds::From(1, None)),
            if_range: Some(tag.as_bytes().to_vec()),
        };
        assert_eq!(requested("\"a\"").of(10, "\"a\""), Ok(Some(1..10)));
        for tag in ["\"b\"", "W/\"a\"", "Thu, 01 Jan 2026 00:00:00 GMT"] {
            assert_eq!(requested(tag).of(10, "\"a\""), Ok(None), "{tag}");
        }
    }
}
