//! Answers: how results look on the wire, whether they go out at once or are kept with an idempotency key.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::application::idempotency::Render;
use crate::infrastructure::exceptions::{Failure, PROBLEM_JSON, Technical};
use crate::infrastructure::repositories::Answer;

const JSON: &str = "application/json";

/// What a handler answers.
pub type Answered = Result<Response, Failure>;

/// Renders a success by a function, and a refusal as a problem document.
pub struct Rendered<F>(F);

/// Renders what was made: 201, where it is from now on, and its body.
pub fn created<T, B, F>(describe: F) -> Rendered<impl Fn(&T) -> Answer + Send + Sync + 'static>
where
    B: Serialize,
    F: Fn(&T) -> (String, B) + Send + Sync + 'static,
{
    Rendered(move |value: &T| {
        let (location, body) = describe(value);
        let mut answer = json(StatusCode::CREATED, &body);
        answer.headers.push((LOCATION.to_string(), location));
        answer
    })
}

/// Renders what was done: 200 and its body.
pub fn done<T, B, F>(describe: F) -> Rendered<impl Fn(&T) -> Answer + Send + Sync + 'static>
where
    B: Serialize,
    F: Fn(&T) -> B + Send + Sync + 'static,
{
    Rendered(move |value: &T| json(StatusCode::OK, &describe(value)))
}

impl<T, F: Fn(&T) -> Answer + Send + Sync + 'static> Render<T> for Rendered<F> {
    fn success(&self, value: &T) -> Answer {
        (self.0)(value)
    }

    fn refusal(&self, failure: &Failure) -> Answer {
        refusal(failure)
    }
}

/// A failure as an answer that can be kept.
fn refusal(failure: &Failure) -> Answer {
    let mut headers = vec![(CONTENT_TYPE.to_string(), PROBLEM_JSON.to_owned())];
    for (name, value) in failure.headers() {
        headers.extend(value.to_str().ok().map(|value| (name.to_string(), value.to_owned())));
    }
    Answer { status: failure.status().as_u16(), headers, body: failure.document() }
}

/// A body in JSON as an answer that can be kept.
fn json<B: Serialize>(status: StatusCode, body: &B) -> Answer {
    match serde_json::to_vec(body) {
        Ok(body) => Answer {
            status: status.as_u16(),
            headers: vec![(CONTENT_TYPE.to_string(), JSON.to_owned())],
            body,
        },
        Err(error) => refusal(&Technical::internal(error).into()),
    }
}

impl IntoResponse for Answer {
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
