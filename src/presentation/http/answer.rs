//! Answers: how results look on the wire, whether they go out at once or are kept with an idempotency key.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::conditional::tag;
use crate::application::idempotency::Render;
use crate::infrastructure::exceptions::{Failure, PROBLEM_JSON, Technical};
use crate::infrastructure::repositories::StoredResponse;

const JSON: &str = "application/json";

/// What a handler answers.
pub type HandlerResult = Result<Response, Failure>;

/// Renders a success by a function, and a refusal as a problem document.
pub struct Rendered<F>(F);

/// Renders what was made: 201, where it is from now on, and how it looks.
pub fn created<T, F>(describe: F) -> Rendered<impl Fn(&T) -> StoredResponse + Send + Sync + 'static>
where
    F: Fn(&T) -> (String, StoredResponse) + Send + Sync + 'static,
{
    Rendered(move |value: &T| {
        let (location, mut answer) = describe(value);
        if answer.status == StatusCode::OK.as_u16() {
            answer.status = StatusCode::CREATED.as_u16();
            answer.headers.push((LOCATION.to_string(), location));
        }
        answer
    })
}

/// Renders what was done: 200, and how it looks then.
pub fn done<T, F>(describe: F) -> Rendered<impl Fn(&T) -> StoredResponse + Send + Sync + 'static>
where
    F: Fn(&T) -> StoredResponse + Send + Sync + 'static,
{
    Rendered(describe)
}

/// How something looks, with the tag of its version.
pub fn versioned<B: Serialize>(version: i64, body: &B) -> StoredResponse {
    let mut answer = shown(body);
    if answer.status == StatusCode::OK.as_u16() {
        answer.headers.push((ETAG.to_string(), tag(version, &answer.body)));
    }
    answer
}

/// How something looks that never changes.
pub fn shown<B: Serialize>(body: &B) -> StoredResponse {
    match serde_json::to_vec(body) {
        Ok(body) => StoredResponse {
            status: StatusCode::OK.as_u16(),
            headers: vec![(CONTENT_TYPE.to_string(), JSON.to_owned())],
            body,
        },
        Err(error) => refusal(&Technical::internal(error).into()),
    }
}

impl<T, F: Fn(&T) -> StoredResponse + Send + Sync + 'static> Render<T> for Rendered<F> {
    fn success(&self, value: &T) -> StoredResponse {
        (self.0)(value)
    }

    fn refusal(&self, failure: &Failure) -> StoredResponse {
        refusal(failure)
    }
}

/// A failure as an answer that can be kept.
fn refusal(failure: &Failure) -> StoredResponse {
    let mut headers = vec![(CONTENT_TYPE.to_string(), PROBLEM_JSON.to_owned())];
    for (name, value) in failure.headers() {
        headers.extend(value.to_str().ok().map(|value| (name.to_string(), value.to_owned())));
    }
    StoredResponse { status: failure.status().as_u16(), headers, body: failure.document() }
}

impl IntoResponse for StoredResponse {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
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
