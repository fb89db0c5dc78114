//! Responses: how results are rendered, whether they are sent at once or stored with an idempotency key.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::application::idempotency::Render;
use crate::domain::digest::first_u64;
use crate::infrastructure::exceptions::{Failure, PROBLEM_JSON, ProblemCode, Technical};

pub use crate::infrastructure::repositories::StoredResponse;

/// The media type of bodies, problem documents aside.
pub const JSON: &str = "application/json";

/// The result of a handler.
pub type HandlerResult<T = Response> = Result<T, Failure>;

/// Renders a result by a function, and a failure as a problem document.
struct Renderer<F>(F);

/// Renders a created resource: 201 with its `Location`.
pub fn created<T: 'static>(
    location: impl Fn(&T) -> String + Send + Sync + 'static,
    body: impl Fn(&T) -> StoredResponse + Send + Sync + 'static,
) -> impl Render<T> {
    Renderer(move |value: &T| {
        let mut response = body(value);
        if response.status == StatusCode::OK.as_u16() {
            response.status = StatusCode::CREATED.as_u16();
            response.headers.push((LOCATION.to_string(), location(value)));
        }
        response
    })
}

/// Renders a changed resource: 200.
pub fn changed<T: 'static>(body: impl Fn(&T) -> StoredResponse + Send + Sync + 'static) -> impl Render<T> {
    Renderer(body)
}

/// A body with the entity tag of a version.
pub fn tagged<B: Serialize>(version: i64, body: &B) -> StoredResponse {
    let mut response = untagged(body);
    if response.status == StatusCode::OK.as_u16() {
        response.headers.push((ETAG.to_string(), entity_tag(version, &response.body)));
    }
    response
}

/// A body without an entity tag.
pub fn untagged<B: Serialize>(body: &B) -> StoredResponse {
    match serde_json::to_vec(body) {
        Ok(body) => StoredResponse {
            status: StatusCode::OK.as_u16(),
            headers: vec![(CONTENT_TYPE.to_string(), JSON.to_owned())],
            body,
        },
        Err(error) => problem(&Technical::internal(error).into()),
    }
}

/// A failure as a problem document.
fn problem(failure: &Failure) -> StoredResponse {
    let mut headers = vec![(CONTENT_TYPE.to_string(), PROBLEM_JSON.to_owned())];
    for (name, value) in failure.headers() {
        headers.extend(value.to_str().ok().map(|value| (name.to_string(), value.to_owned())));
    }
    StoredResponse { status: failure.status().as_u16(), headers, body: failure.document() }
}

impl<T, F: Fn(&T) -> StoredResponse + Send + Sync + 'static> Render<T> for Renderer<F> {
    fn success(&self, value: &T) -> StoredResponse {
        (self.0)(value)
    }

    fn failure(&self, failure: &Failure) -> StoredResponse {
        problem(failure)
    }
}

impl IntoResponse for StoredResponse {
    fn into_response(self) -> Response {
        let code = if self.status >= 400 { ProblemCode::of(&self.body) } else { None };
        let mut response = Response::new(Body::from(self.body));
        if let Some(code) = code {
            response.extensions_mut().insert(code);
        }
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// The entity tag of a version with this body. Eight bytes of the digest suffice: a collision could only affect the
/// client that caused it.
pub(super) fn entity_tag(version: i64, body: &[u8]) -> String {
    let digest = first_u64(&Sha256::digest(body).into());
    format!("\"{version}-{digest:016x}\"")
}
