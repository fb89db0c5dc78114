//! JSON bodies: parsed, validated against the schema in the API document, and then deserialized.

use std::error::Error;
use std::io;
use std::iter::successors;

use axum::{
    body::HttpBody,
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use super::{
    document,
    late_body::Verification,
    operation::{NOT_CODED, OperationDescription},
    response::JSON,
    routing::Argument,
};
use crate::application::schema::{Schema, pointer};
use crate::domain::media_type;
use crate::infrastructure::exceptions::{Failure, Fault, RejectedRequest, Technical, ValidationException};
use crate::infrastructure::middleware::BodyLimit;

/// A JSON body. As an extractor it fails with 415 for another media type or charset, 413 for too many bytes, 400 for
/// text that is not JSON, and 422 with all faults for a value that does not match the schema, or for no body.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// A JSON body that may be omitted: a request without one has the body `{}`. As an extractor it fails as [`Json`] does.
#[derive(Debug, Clone, Copy)]
pub struct OptionalJson<T>(pub T);

/// An object without members: `{}`.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyBody {}

/// The text of an object without members.
const NO_MEMBERS: &[u8] = b"{}";

/// Parses and validates a body; fails with all its faults.
pub fn parse<T: DeserializeOwned + ToSchema + 'static>(body: &[u8]) -> Result<T, Failure> {
    let value = document::parse(body)?;
    Schema::of::<T>().check(&value)?;
    // The type checks what the schema cannot express.
    T::deserialize(value).map_err(|_| ValidationException::one(misfit::<T>(body), Fault::Invalid).into())
}

/// Finds where a body does not match its type. The body is parsed again, since tracking the location from the start
/// would cost a third more.
fn misfit<T: DeserializeOwned>(body: &[u8]) -> String {
    let read: Result<T, _> =
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(body));
    read.err().map(|error| pointer::of_path(error.path())).unwrap_or_default()
}

/// Reads a body that is declared as JSON, up to the limit.
pub async fn read(request: Request) -> Result<Bytes, Failure> {
    if !is_json(request.headers()) {
        return Err(RejectedRequest::UnsupportedMediaType { expected: JSON }.into());
    }
    let BodyLimit(limit) = request.extensions().get().copied().unwrap_or_default();
    let verification = request.extensions().get::<Verification>().cloned();
    let body = request.into_body();
    // A body with a declared length is refused before it is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(RejectedRequest::BodyTooLarge { limit }.into());
    }
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(RejectedRequest::BodyTooLarge { limit }.into());
        }
        Err(error) if is_not_coded(&*error) => return Err(NOT_CODED.into()),
        Err(_) => return Err(RejectedRequest::BodyIncomplete.into()),
    };
    if let Some(verification) = verification {
        verification.repeat().await?;
    }
    Ok(body)
}

/// Returns whether a body could not be decoded. One whose chunks are malformed did not arrive.
fn is_not_coded(error: &(dyn Error + 'static)) -> bool {
    let causes = || successors(Some(error), |error| Error::source(*error));
    let has_arrived = !causes().any(<dyn Error>::is::<hyper::Error>);
    has_arrived
        && causes().any(|error| {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            matches!(kind, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput))
        })
}

/// Reads a body like [`read`]; a request without one has the body `{}`.
pub async fn read_or_empty(request: Request) -> Result<Bytes, Failure> {
    if has_body(&request) { read(request).await } else { Ok(Bytes::from_static(NO_MEMBERS)) }
}

fn has_body(request: &Request) -> bool {
    !request.body().is_end_stream() || request.headers().contains_key(CONTENT_TYPE)
}

/// Returns the failure of a request without its body: the members that it must have, or that there must be one.
fn missing<T: DeserializeOwned + ToSchema + 'static>() -> Failure {
    let lacking = parse::<T>(NO_MEMBERS).err();
    lacking.unwrap_or_else(|| ValidationException::one("", Fault::Required).into())
}

impl<S: Sync, T: DeserializeOwned + ToSchema + 'static> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        if !has_body(&request) {
            return Err(missing::<T>());
        }
        parse(&read(request).await?).map(Self)
    }
}

impl<T> Argument for Json<T> {
    fn describe(operation: &mut OperationDescription<'_>) {
        operation.fails_body();
    }
}

impl<S: Sync, T: DeserializeOwned + ToSchema + 'static> FromRequest<S> for OptionalJson<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        parse(&read_or_empty(request).await?).map(Self)
    }
}

impl<T> Argument for OptionalJson<T> {
    fn describe(operation: &mut OperationDescription<'_>) {
        operation.fails_body();
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, HeaderValue::from_static(JSON))], body).into_response(),
            Err(error) => Failure::from(Technical::internal(error)).into_response(),
        }
    }
}

/// Whether the media type is JSON or based on it, in UTF-8 (RFC 8259 section 8.1).
fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = declared.split(';').map(str::trim);
    media_type::is_json(parts.next().unwrap_or_default())
        && parts.filter_map(|part| part.split_once('=')).all(is_utf8)
}

/// Returns whether a parameter of a media type is no `charset`, or UTF-8.
fn is_utf8((name, value): (&str, &str)) -> bool {
    !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
}
