//! The content coding `gzip` of bodies (RFC 9110 section 8.4): of responses to clients that accept it, and of requests.
//!
//! The layers of `tower-http` code and decode. Here is what they leave open:
//!
//! - What is compressed: text of a known size from a threshold on. A response that no cache may store or that sets a
//!   cookie is not: its length would reveal secrets to a page that can choose a part of it (BREACH).
//! - Entity tags: a strong one identifies the bytes of one coding (RFC 9110 section 8.8.3.3). That of a compressed
//!   response ends with `-gzip`, which is removed from the conditions of requests, so that `If-Match` compares it, too.
//! - A response whose body is kept by a cache ([`KeptBody`]) is compressed once.
//! - Which bodies of requests are decoded: only JSON, since a file is stored as it was sent. The limit of a body counts
//!   decoded bytes, and decoding stops there. One with data after the coded one is refused.

use std::io::{self, Write};
use std::mem;

use axum::BoxError;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, Entry, IF_MATCH,
    IF_NONE_MATCH, SET_COOKIE, VARY,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request as HttpRequest, Response as HttpResponse, StatusCode,
};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt};
use tower_http::CompressionLevel;
use tower_http::compression::{CompressionLayer, Predicate};
use tower_http::decompression::{DecompressionBody, RequestDecompressionLayer};

use super::cache_control::has_directive;
use super::entity_tags::{client_has, if_none_match};
use super::last_byte::LastByteApart;
use super::surround::{Middleware, Next, service};
use crate::domain::media_type::{self, is_json};
use crate::infrastructure::cache::KeptBody;
use crate::infrastructure::exceptions::{Failure, RejectedRequest};

/// The end of the entity tag of a compressed response.
const TAG_END: &str = "-gzip\"";
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
/// The media types that are compressed, beside JSON and those based on it.
const COMPRESSED: [&str; 5] =
    ["application/javascript", "image/svg+xml", "text/css", "text/html", "text/javascript"];

/// Compresses bodies of responses and decodes those of requests, by gzip.
///
/// A response is compressed if its media type is that of a text such as JSON or HTML and its size is known. One that no
/// cache may store (`Cache-Control: no-store`) or that sets a cookie is not, since its length would reveal secrets, and
/// neither is one with ranges or another coding.
///
/// A body of a request is decoded if it is JSON. One with a coding other than gzip, or with any coding and another
/// media type, is refused with status 415.
#[derive(Clone, Copy, Debug)]
pub struct CompressionMiddleware {
    /// The smallest body that is compressed, in bytes; `None` compresses none.
    pub threshold: Option<u64>,
    /// The level of gzip, from 1 (fast) to 9 (small).
    pub level: u8,
}

impl Default for CompressionMiddleware {
    fn default() -> Self {
        Self { threshold: Some(1024), level: 4 }
    }
}

struct Coding {
    rule: Rule,
    level: u8,
    encode: CompressionLayer<Rule>,
    decode: RequestDecompressionLayer,
}

/// Which responses are compressed.
#[derive(Clone, Copy)]
struct Rule {
    threshold: Option<u64>,
}

impl CompressionMiddleware {
    /// Returns the member of the chain.
    pub(super) fn member(self) -> impl Middleware {
        let rule = Rule { threshold: self.threshold };
        let level = CompressionLevel::Precise(self.level.into());
        let encode = CompressionLayer::new().quality(level).compress_when(rule);
        Coding { rule, level: self.level, encode, decode: RequestDecompressionLayer::new() }
    }
}

impl Middleware for Coding {
    async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        let accepts = accepts_gzip(request.headers());
        let known = if_none_match(request.headers());
        remove_ends(request.headers_mut(), IF_MATCH);
        if accepts {
            // a client that does not accept the coding cannot use the compressed response that it has
            remove_ends(request.headers_mut(), IF_NONE_MATCH);
        }
        let is_coded = match decoding(request) {
            Ok(is_coded) => is_coded,
            Err(rejected) => return Failure::from(rejected).into_response(),
        };

        let mut response = if is_coded {
            decode(&self.decode, mem::take(request), next).await
        } else if accepts {
            let kept = service(next).map_response(|response| self.compress_kept(response));
            let Ok(response) = self.encode.layer(kept).oneshot(mem::take(request)).await;
            response.map(Body::new)
        } else {
            next.run(request).await
        };
        let is_compressed = response.headers().get(CONTENT_ENCODING) == Some(&GZIP);
        let is_unmodified = response.status() == StatusCode::NOT_MODIFIED;
        if !is_compressed && (is_unmodified || self.rule.should_compress(&response)) {
            add_vary(response.headers_mut());
        }
        if is_compressed || is_unmodified && accepts {
            let compressed = response.headers().get(ETAG).and_then(compressed_tag);
            if let Some(tag) = compressed.filter(|tag| is_compressed || client_has(&known, tag)) {
                response.headers_mut().insert(ETAG, tag);
            }
        }
        response
    }
}

impl Coding {
    /// Compresses a response whose body is kept; uses what was compressed before, if it was.
    fn compress_kept(&self, mut response: Response) -> Response {
        if !self.rule.should_compress(&response) {
            return response;
        }
        let kept = response.extensions_mut().remove::<KeptBody>();
        let Some(Ok(body)) = kept.map(|kept| kept.gzip(|bytes| compress(bytes, self.level))) else {
            return response;
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_ENCODING, GZIP);
        headers.insert(CONTENT_LENGTH, body.len().into());
        add_vary(headers);
        response.map(|_| Body::from(body))
    }
}

fn compress(bytes: &[u8], level: u8) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(level.into()));
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// The body of the request had a content coding and is decoded while it is read: an extension of the request.
#[derive(Clone, Copy, Debug)]
pub struct DecodedBody;

/// Returns whether the body of a request must be decoded. Fails for a coding that is not.
fn decoding(request: &mut Request) -> Result<bool, RejectedRequest> {
    if !request.headers().contains_key(CONTENT_ENCODING) || request.body().is_end_stream() {
        return Ok(false);
    }
    let headers = request.headers_mut();
    let is_json = headers.get(CONTENT_TYPE).map(essence).is_some_and(is_json);
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let coding = match (codings.next(), codings.next()) {
        (Some(coding), None) => coding.as_bytes().to_ascii_lowercase(),
        _ => Vec::new(),
    };
    match &*coding {
        b"identity" => {
            headers.remove(CONTENT_ENCODING);
            Ok(false)
        }
        b"gzip" | b"x-gzip" if is_json => {
            headers.insert(CONTENT_ENCODING, GZIP);
            Ok(true)
        }
        _ => {
            let expected = if is_json { "gzip" } else { "identity" };
            Err(RejectedRequest::UnsupportedContentCoding { expected })
        }
    }
}

/// Sends a request whose body is decoded while it is read.
async fn decode(layer: &RequestDecompressionLayer, mut request: Request, next: impl Next) -> Response {
    request.extensions_mut().insert(DecodedBody);
    let decoded = |request: HttpRequest<DecompressionBody<LastByteApart>>| {
        request.map(|body| Body::new(BodyExt::map_err(body, of_decoding)))
    };
    let decoded = service(next).map_request(decoded);
    let Ok(response) = layer.layer(decoded).oneshot(request.map(LastByteApart::new)).await;
    response.map(Body::new)
}

/// Returns the error of a body that is decoded. That of data after the coded one, to which the layer gives no type, is
/// one of malformed data, too.
fn of_decoding(error: BoxError) -> BoxError {
    let has_type = error.is::<axum::Error>() || error.is::<io::Error>();
    if has_type { error } else { io::Error::new(io::ErrorKind::InvalidData, error).into() }
}

/// Returns whether a client accepts gzip (RFC 9110 section 12.5.3). One that accepts all codings with `*` gets none.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|part| {
        let (coding, weight) = part.split_once(';').unwrap_or((part, ""));
        let weight = weight.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('='));
        let weight = weight.map_or(Ok(1.0), str::parse::<f32>);
        coding.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

/// Removes the end of the entity tags of compressed responses.
fn remove_ends(headers: &mut HeaderMap, name: HeaderName) {
    if !headers.contains_key(&name) {
        return;
    }
    let Entry::Occupied(mut lists) = headers.entry(name) else { return };
    for list in lists.iter_mut() {
        let removed = list.to_str().map(|text| text.replace(TAG_END, "\""));
        if let Some(value) = removed.ok().and_then(|text| HeaderValue::try_from(text).ok()) {
            *list = value;
        }
    }
}

/// Returns the entity tag of the compressed response. A weak tag is that of all codings.
fn compressed_tag(tag: &HeaderValue) -> Option<HeaderValue> {
    let text = tag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?;
    HeaderValue::try_from(format!("\"{text}{TAG_END}")).ok()
}

/// Says that the response depends on `Accept-Encoding`.
fn add_vary(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
}

/// Returns a media type without its parameters.
fn essence(value: &HeaderValue) -> &str {
    media_type::essence(value.to_str().unwrap_or_default())
}

/// Returns whether responses of a media type are compressed.
fn is_text(essence: &str) -> bool {
    COMPRESSED.iter().any(|known| known.eq_ignore_ascii_case(essence)) || is_json(essence)
}

impl Predicate for Rule {
    fn should_compress<B: HttpBody>(&self, response: &HttpResponse<B>) -> bool {
        let size = response.body().size_hint().exact();
        if self.threshold.is_none_or(|threshold| size.is_none_or(|size| size < threshold)) {
            return false;
        }
        let headers = response.headers();
        let is_secret = has_directive(headers, "no-store") || headers.contains_key(SET_COOKIE);
        let is_text = headers.get(CONTENT_TYPE).map(essence).is_some_and(is_text);
        // a response with ranges is identified by its bytes as they are
        let is_whole = !headers.contains_key(ACCEPT_RANGES) && !headers.contains_key(CONTENT_ENCODING);
        is_text && is_whole && !is_secret
    }
}
