//! Where a request to log in comes from: the address of the client, and the cookie of a known device.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::request::Parts;

use super::principal::cookie;
use super::routing::Argument;
use super::state::AppState;
use crate::application::people::log_in_limits::LogInOrigin;
use crate::infrastructure::middleware::Client;

/// The cookie with the token of a known device.
const DEVICE_COOKIE: &str = "undercroft_device";
/// How long a browser keeps the cookie: a year.
const SECONDS: i64 = 365 * 24 * 60 * 60;

/// The origin of a request that has a password.
#[derive(Debug, Clone)]
pub(super) struct Origin(pub(super) LogInOrigin);

impl Argument for Origin {}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<Client>().map(|client| client.address);
        let device = cookie(&parts.headers, DEVICE_COOKIE).map(str::to_owned);
        Ok(Self(LogInOrigin { address, device }))
    }
}

/// The value of `Set-Cookie` with the token of a known device.
pub(super) fn device_cookie(app: &AppState, token: &str) -> Option<HeaderValue> {
    let secure = if app.http.secure_cookies { "; Secure" } else { "" };
    let text = format!(
        "{DEVICE_COOKIE}={token}; Path=/v1/sessions; Max-Age={SECONDS}; HttpOnly; SameSite=Strict{secure}"
    );
    HeaderValue::from_str(&text).ok()
}
