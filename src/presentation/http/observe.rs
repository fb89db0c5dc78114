//! The layer around every request: its id, the limit of its body, its line in the log.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Version};
use uuid::Uuid;

use super::body_limit::BodyLimit;
use super::state::AppState;
use crate::infrastructure::exceptions::{Failure, RejectedRequest, with_instance};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request an id, logs it in one line, and returns the id in the response. The line has the route instead
/// of the path and no query, since ids and queries may be personal data.
pub(super) async fn observe(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = app.store.database().context().ids.uuid();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(BodyLimit::of(&app.http));

    let response = if has_one_host(&request) {
        next.run(request).await
    } else {
        Failure::from(RejectedRequest::NotOneHost).into_response()
    };
    let response = with_instance(response, id);
    finish_response(response, id, &method, route.as_ref().map_or("-", MatchedPath::as_str), began)
}

/// Returns whether a request of HTTP/1.1 has exactly one `Host` (RFC 9112 section 3.2).
fn has_one_host(request: &Request) -> bool {
    request.version() != Version::HTTP_11 || request.headers().get_all(HOST).iter().count() == 1
}

/// Adds the id to the response and logs the request.
pub(super) fn finish_response(
    mut response: Response,
    id: Uuid,
    method: &Method,
    route: &str,
    began: Instant,
) -> Response {
    let mut text = Uuid::encode_buffer();
    if let Ok(value) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    tracing::info!(
        %method,
        route,
        status = response.status().as_u16(),
        microseconds = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        request_id = %id,
        "responded"
    );
    response
}
