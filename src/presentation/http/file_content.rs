//! Contents of files as bodies: of an upload, and of the response to a download.

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::unfold;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;

use super::late_body::Verification;
use super::operation::OperationDescription;
use super::routing::Argument;
use super::state::AppState;
use crate::domain::file::shown_types;
use crate::domain::media_type::essence;
use crate::domain::ports::{FileContent, Interrupted, PortFuture};
use crate::infrastructure::exceptions::{Failure, RejectedRequest};
use crate::infrastructure::middleware::DecodedBody;

/// The media type of a file that is uploaded without one.
const UNKNOWN: &str = "application/octet-stream";
/// The greatest length of a media type.
const MAX_LENGTH: usize = 127;
const NOT_A_TYPE: RejectedRequest = RejectedRequest::MalformedHeader {
    header: "Content-Type",
    expected: "a media type, such as `image/png`",
};
const NOT_A_DIGEST: RejectedRequest = RejectedRequest::MalformedHeader {
    header: "Content-Digest",
    expected: "a dictionary of digests, such as `sha-256=:BASE64:`",
};

/// The bytes of a file, in the API document.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary, min_length = 1)]
pub(super) struct FileBytes(#[expect(dead_code, reason = "describes bodies")] Vec<u8>);

/// A body that is a file. It is read as it is stored.
pub(super) struct FileUpload {
    /// The media type, without parameters.
    pub(super) content_type: String,
    /// The SHA-256 digest that the client states.
    pub(super) sha256: Option<Vec<u8>>,
    /// The content.
    pub(super) content: Box<dyn FileContent>,
    /// The verification of the credential after the content was received.
    pub(super) verification: Option<Verification>,
}

impl Argument for FileUpload {
    fn describe(operation: &mut OperationDescription<'_>) {
        let description = "The digest of the body (RFC 9530), of which `sha-256` is checked. If it differs, nothing is \
                           stored.";
        operation.request_header_of("Content-Digest", description, ObjectBuilder::new());
        operation.request_types(shown_types());
        for failure in [
            RejectedRequest::BodyIncomplete,
            RejectedRequest::TooSlow,
            RejectedRequest::BodyTooLarge { limit: 0 },
            RejectedRequest::UnsupportedContentCoding { expected: "identity" },
            NOT_A_TYPE,
        ] {
            operation.fails(failure);
        }
        operation.fails_validation();
    }
}

impl FromRequest<AppState> for FileUpload {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Failure> {
        let limit = app.store.infrastructure.files.limit();
        // a body with a declared length is refused before it is read
        if request.body().size_hint().lower() > limit as u64 {
            return Err(RejectedRequest::BodyTooLarge { limit }.into());
        }
        // a JSON file with a content coding would not be stored as it was sent
        if request.extensions().get::<DecodedBody>().is_some() {
            return Err(RejectedRequest::UnsupportedContentCoding { expected: "identity" }.into());
        }
        let (content_type, sha256) = (content_type(request.headers())?, sha256(request.headers())?);
        let verification = request.extensions().get::<Verification>().cloned();
        let content = Box::new(RequestContent(request.into_body()));
        Ok(Self { content_type, sha256, content, verification })
    }
}

/// Returns the media type of a body in lower case, without its parameters.
fn content_type(headers: &HeaderMap) -> Result<String, Failure> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(UNKNOWN.to_owned()) };
    let text = value.to_str().map_err(|_| NOT_A_TYPE)?;
    let essence = essence(text).to_ascii_lowercase();
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_token);
    let is_type = essence.split_once('/').is_some_and(|(kind, name)| is_name(kind) && is_name(name));
    if is_type && essence.len() <= MAX_LENGTH { Ok(essence) } else { Err(NOT_A_TYPE.into()) }
}

/// Returns whether a character can be part of a token (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Returns the SHA-256 digest in `Content-Digest`, a dictionary (RFC 9651), of which the last member of a name counts.
/// Other members are ignored, whatever their type is.
fn sha256(headers: &HeaderMap) -> Result<Option<Vec<u8>>, Failure> {
    let mut digest = None;
    for line in headers.get_all("content-digest") {
        for member in members(line.to_str().map_err(|_| NOT_A_DIGEST)?) {
            let member = member.trim();
            let (name, value) = member.split_at(member.find(['=', ';']).unwrap_or(member.len()));
            if name == "sha-256" {
                digest = Some(byte_sequence(value).ok_or(NOT_A_DIGEST)?);
            }
        }
    }
    Ok(digest)
}

/// Splits a line of a dictionary at its commas, except those in strings.
fn members(line: &str) -> impl Iterator<Item = &str> {
    let (mut in_string, mut is_escaped) = (false, false);
    line.split(move |c: char| {
        let escapes = in_string && !is_escaped && c == '\\';
        if c == '"' && !is_escaped {
            in_string = !in_string;
        }
        is_escaped = escapes;
        c == ',' && !in_string
    })
}

/// Returns the bytes of the rest of a member, which may have parameters.
fn byte_sequence(rest: &str) -> Option<Vec<u8>> {
    let (text, parameters) = rest.strip_prefix("=:")?.split_once(':')?;
    let is_whole = parameters.is_empty() || parameters.starts_with(';');
    STANDARD.decode(text).ok().filter(|_| is_whole)
}

/// The content of a request.
struct RequestContent(Body);

impl FileContent for RequestContent {
    fn next(&mut self) -> PortFuture<'_, Option<Bytes>, Interrupted> {
        Box::pin(async move {
            while let Some(frame) = self.0.frame().await {
                // other frames are trailers
                if let Ok(bytes) = frame.map_err(|_| Interrupted)?.into_data() {
                    return Ok(Some(bytes));
                }
            }
            Ok(None)
        })
    }
}

/// Returns the body of a response with this content.
pub(super) fn body_of(content: Box<dyn FileContent>) -> Body {
    Body::from_stream(unfold(content, async |mut content| {
        let part = content.next().await.transpose()?;
        Some((part, content))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn the_media_type_has_no_parameters() {
        let parsed = |value| content_type(&headers("content-type", value)).ok();
        assert_eq!(parsed("Image/PNG; charset=x").as_deref(), Some("image/png"));
        assert_eq!(content_type(&HeaderMap::new()).unwrap(), UNKNOWN);
        for value in ["", "image", "image/", "/png", "image/p ng", "a/b/c", &format!("a/{}", "b".repeat(200))]
        {
            assert_eq!(parsed(value), None, "{value}");
        }
    }

    #[test]
    fn the_digest_is_that_of_sha_256() {
        let parsed = |value| sha256(&headers("content-digest", value));
        for value in [
            "sha-512=:AA==:, sha-256=:AAEC:",
            "sha-256=:AA==:,sha-256=:AAEC:",
            "sha-256=:AAEC:;by=proxy;trusted, unixsum=30637",
            r#"note="a \", sha-256=:AA==:", sha-256=:AAEC:"#,
            "sizes=(1 2);unit=\"a,b\", whole, sha-256=:AAEC:, at=@1700000000",
        ] {
            assert_eq!(parsed(value).unwrap(), Some(vec![0, 1, 2]), "{value}");
        }
        for value in ["", "sha-512=:AA==:", "sha-512;a=:AAEC:", "note=\"sha-256=:AAEC:\"", "sha-2567=:AAEC:"]
        {
            assert_eq!(parsed(value).unwrap(), None, "{value}");
        }
        let malformed = [
            "sha-256",
            "sha-256=AAEC",
            "sha-256=:?:",
            "sha-256=:AAEC",
            "sha-256=:AAEC:x",
            "sha-256;a=:AAEC:",
        ];
        for value in malformed {
            assert!(parsed(value).is_err(), "{value}");
        }
    }
}
