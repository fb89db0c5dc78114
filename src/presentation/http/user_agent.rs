//! The name by which a client calls itself (RFC 9110 section 10.1.5).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::header::USER_AGENT;
use http::request::Parts;

use super::routing::Argument;

/// The most characters that are kept.
const LENGTH: usize = 200;

/// The beginning of `User-Agent`; `None` without one.
#[derive(Debug, Clone)]
pub struct UserAgent(pub Option<String>);

impl Argument for UserAgent {}

impl<S: Sync> FromRequestParts<S> for UserAgent {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let text = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self(text.map(|text| text.chars().take(LENGTH).collect())))
    }
}
